import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PeerChoice, StartPeer } from './peer.ts';
import { freePorts } from '../support/free-ports.ts';
import { PeerProcess } from './peer-process.ts';

/** Debian's Prosody in the foreground, on one loopback address. */
export const startProsody: StartPeer = async (choice) => {
  const { directory, address, domain, users, password } = choice;
  const [clientPort = 0, serverPort = 0, directTlsPort = 0] = await freePorts(3, address);
  const certificates = join(directory, 'certificates');
  mkdirSync(certificates, { recursive: true });
  copyFileSync(choice.certificateFile, join(certificates, `${domain}.crt`));
  copyFileSync(choice.keyFile, join(certificates, `${domain}.key`));
  const accounts = join(directory, 'data', encodeURIComponent(domain).replaceAll('.', '%2e'), 'accounts');
  mkdirSync(accounts, { recursive: true });
  for (const user of users) writeFileSync(join(accounts, `${user}.dat`), `return { ["password"] = "${password}" };\n`);
  const config = join(directory, 'prosody.cfg.lua');
  writeFileSync(config, configurationOf(choice, { clientPort, serverPort, directTlsPort, certificates }));
  const running = new PeerProcess(['prosody', '-F', '--config', config], {}, directory, {
    host: address,
    port: clientPort,
  });
  await running.start();
  return {
    name: 'prosody',
    clientPort,
    serverPort,
    directTlsPort,
    kill: () => running.end('SIGKILL'),
    restart: () => running.start(),
    stop: () => running.end('SIGTERM'),
    log: () => running.log(),
  };
};

interface Ports {
  readonly clientPort: number;
  readonly serverPort: number;
  readonly directTlsPort: number;
  readonly certificates: string;
}

function configurationOf(choice: PeerChoice, { clientPort, serverPort, directTlsPort, certificates }: Ports): string {
  const { directory, address, domain, caFile, dnsPort, dialback } = choice;
  const modules = ['disco', 'roster', 'saslauth', 'tls', 'ping', 'smacks', 'offline', 's2s_bidi', 'posix'];
  return `
modules_enabled = { ${[...modules, ...(dialback ? ['dialback'] : [])].map((name) => `"${name}"`).join('; ')} }
run_as_root = true
pidfile = "${join(directory, 'prosody.pid')}"
data_path = "${join(directory, 'data')}"
certificates = "${certificates}"
interfaces = { "${address}" }
c2s_ports = { ${clientPort} }
c2s_direct_tls_ports = { }
s2s_ports = { ${serverPort} }
s2s_direct_tls_ports = { ${directTlsPort} }
http_ports = { }
https_ports = { }
admin_socket = "${join(directory, 'prosody.sock')}"
authentication = "internal_plain"
storage = "internal"
s2s_require_encryption = true
s2s_secure_auth = ${String(!dialback)}
ssl = { cafile = "${caFile}"; capath = false; }
log = { info = "*console" }
unbound = {
  resolvconf = false; hoststxt = false; forward = "127.0.0.1@${dnsPort}";
  options = { ["do-not-query-localhost:"] = "no"; ["module-config:"] = "iterator"; };
}
VirtualHost "${domain}"
`;
}
