import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ITERATIONS, sharedKeys, userName } from './accounts.ts';
import { versionOf } from './debian-package.ts';
import { modulesOf } from './features.ts';
import { DOMAIN, type Peer, type Place, type RunningServer, type Setting, type Tuning } from './peer.ts';
import { copyKeyPair, freePorts, giveTo, identityOf, ServerProcess, type ProcessGuard } from './server-process.ts';

/** What Debian's prosody.cfg.lua enables, its limits excepted. */
const INSTALLED = [
  ...['disco', 'roster', 'saslauth', 'tls', 'blocklist', 'bookmarks', 'carbons', 'dialback', 'pep', 'private'],
  ...['smacks', 'vcard4', 'vcard_legacy', 'csi_simple', 'invites', 'invites_adhoc', 'invites_register', 'ping'],
  ...['register', 'time', 'uptime', 'version', 'admin_adhoc', 'admin_shell', 'posix'],
];

/** Debian's Prosody, run in the foreground under its own user. */
export function prosodyPeer(guard: ProcessGuard, tuning: Tuning): Peer {
  return {
    name: 'prosody',
    tuning,
    configuration:
      tuning === 'tuned'
        ? 'the modules that Posthorn has too; generational collector; epoll, no Nagle, opportunistic writes, backlog 4096; limits off'
        : "Debian's modules and settings; limits off",
    version: () => versionOf('prosody'),
    durabilityOf: () => 'a file is appended without fsync: a message survives kill -9, not the loss of power',
    start: async (setting, place): Promise<RunningServer> => {
      const [port, directTlsPort] = (await freePorts(2)) as [number, number];
      const identity = identityOf('prosody');
      copyKeyPair(place, identity);
      writeAccounts(join(place.directory, 'data'), place.users);
      const config = join(place.directory, 'prosody.cfg.lua');
      writeFileSync(config, configurationOf(setting, tuning, place, port, directTlsPort));
      giveTo(identity, place.directory);
      const command = ['prosody', '-F', '--config', config] as const;
      const server = await ServerProcess.start(
        { name: 'prosody', command: [...command], identity, port },
        place,
        guard,
      );
      return { pid: server.pid, port, directTlsPort, startUpMs: server.startUpMs, stop: () => server.stop() };
    },
  };
}

function configurationOf(setting: Setting, tuning: Tuning, place: Place, port: number, directTlsPort: number): string {
  const isTuned = tuning === 'tuned';
  const modules = [...(isTuned ? ['saslauth', 'tls', 'posix', ...modulesOf('prosody')] : INSTALLED)];
  if (setting.history) modules.push('mam');
  const tuned = `
gc = { mode = "generational" }
network_backend = "epoll"
network_settings = { nagle = false; opportunistic_writes = true; tcp_backlog = 4096; }
`;
  return `
modules_enabled = { ${modules.map((name) => `"${name}"`).join('; ')} }
modules_disabled = { "s2s"; "limits" }
pidfile = "${join(place.directory, 'prosody.pid')}"
data_path = "${join(place.directory, 'data')}"
certificates = "${join(place.directory, 'certificate')}"
admin_socket = "${join(place.directory, 'prosody.sock')}"
interfaces = { "127.0.0.1" }
c2s_ports = { ${port} }
c2s_direct_tls_ports = { ${directTlsPort} }
http_ports = { }
https_ports = { }
c2s_require_encryption = false
authentication = "internal_hashed"
storage = "internal"
default_archive_policy = true
archive_expires_after = "never"
storage_archive_item_limit = 10000000
log = { warn = "*console" }
${isTuned ? tuned : ''}
VirtualHost "${DOMAIN}"
`;
}

/** One file an account, as mod_storage_internal reads it. */
function writeAccounts(dataPath: string, users: number): void {
  const directory = join(dataPath, DOMAIN, 'accounts');
  mkdirSync(directory, { recursive: true });
  const { salt, storedKey, serverKey } = sharedKeys();
  // The salt is a Lua string of any bytes; keys are hexadecimal there.
  const saltText = [...salt].map((byte) => `\\${String(byte).padStart(3, '0')}`).join('');
  const record = `return {
["salt"] = "${saltText}";
["iteration_count"] = ${ITERATIONS};
["stored_key"] = "${storedKey.toString('hex')}";
["server_key"] = "${serverKey.toString('hex')}";
};
`;
  for (let index = 0; index < users; index++) writeFileSync(join(directory, `${userName(index)}.dat`), record);
}
