import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PeerChoice, StartPeer } from './peer.ts';
import { freePorts } from '../support/free-ports.ts';
import { PeerProcess } from './peer-process.ts';

/** Debian's ejabberd: its release started by `erl` as ejabberdctl does, in the foreground and without distribution. */
export const startEjabberd: StartPeer = async (choice) => {
  const { directory, address, dnsPort } = choice;
  const [clientPort = 0, serverPort = 0, directTlsPort = 0] = await freePorts(3, address);
  const spool = join(directory, 'spool');
  mkdirSync(spool, { recursive: true });
  const config = join(directory, 'ejabberd.yml');
  writeFileSync(config, configurationOf(choice, clientPort, serverPort, directTlsPort));
  const resolver = join(directory, 'inetrc');
  writeFileSync(
    resolver,
    `{resolv_conf,""}.\n{hosts_file,""}.\n{lookup,[dns]}.\n{nameserver,{127,0,0,1},${dnsPort}}.\n`,
  );
  const provisioned = join(directory, 'provisioned');
  const application = ['-noinput', '-mnesia', 'dir', `"${spool}"`, '-s', 'ejabberd', '-eval', provisioning(choice)];
  const environment = {
    HOME: directory,
    ERL_LIBS: erlangLibraries(),
    ERL_INETRC: resolver,
    ERL_CRASH_DUMP_BYTES: '0',
    EJABBERD_CONFIG_PATH: config,
    EJABBERD_LOG_PATH: join(directory, 'ejabberd.log'),
  };
  const running = new PeerProcess(['erl', '+K', 'true', '+sbwt', 'none', ...application], environment, directory, {
    host: address,
    port: clientPort,
  });
  await running.start();
  for (let polls = 0; !existsSync(provisioned); polls++) {
    if (polls > 600) throw new Error(`ejabberd does not take the accounts\n${running.log()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    name: 'ejabberd',
    clientPort,
    serverPort,
    directTlsPort,
    kill: () => running.end('SIGKILL'),
    restart: () => running.start(),
    stop: () => running.end('SIGTERM'),
    log: () => running.log(),
  };
};

/** The text of ejabberd.yml, of which JSON is a part. */
function configurationOf(choice: PeerChoice, clientPort: number, serverPort: number, directTlsPort: number): string {
  const { address, domain, certificateFile, keyFile, caFile, dialback } = choice;
  const listener = { ip: address, max_stanza_size: 262_144 };
  return JSON.stringify({
    loglevel: 'info',
    hosts: [domain],
    certfiles: [certificateFile, keyFile],
    ca_file: caFile,
    auth_method: 'internal',
    s2s_use_starttls: dialback ? 'required' : 'required_trusted',
    s2s_cafile: caFile,
    access_rules: { local: { allow: 'local' }, c2s: { allow: 'all' } },
    acl: { local: { user_regexp: '' } },
    shaper_rules: { max_user_sessions: 'infinity', max_user_offline_messages: 'infinity' },
    listen: [
      { port: clientPort, ...listener, module: 'ejabberd_c2s', starttls: true },
      { port: serverPort, ...listener, module: 'ejabberd_s2s_in' },
      { port: directTlsPort, ...listener, module: 'ejabberd_s2s_in', tls: true },
    ],
    modules: {
      mod_disco: {},
      mod_offline: { access_max_user_messages: 'max_user_offline_messages' },
      mod_ping: {},
      mod_roster: {},
      ...(dialback && { mod_s2s_dialback: {} }),
    },
  });
}

function provisioning({ users, domain, password }: PeerChoice): string {
  const registrations = users.map(
    (user) => `ejabberd_auth:try_register(<<"${user}">>, <<"${domain}">>, <<"${password}">>)`,
  );
  return `${registrations.join(', ')}, ok = file:write_file("provisioned", <<>>).`;
}

/** Debian keeps ejabberd's Erlang libraries under the machine's triplet. @throws Error where they are not */
function erlangLibraries(): string {
  for (const triplet of readdirSync('/usr/lib')) {
    const directory = join('/usr/lib', triplet);
    if (triplet.includes('-linux-') && readdirSync(directory).some((name) => name.startsWith('ejabberd-')))
      return directory;
  }
  throw new Error('the libraries of ejabberd are not under /usr/lib: apt-get install ejabberd');
}
