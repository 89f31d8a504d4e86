import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { modulesOf } from './features.ts';
import { DOMAIN, type Setting, type Tuning } from './peer.ts';

/** What Debian's ejabberd.yml enables and needs no listener of its own. */
const INSTALLED = [
  ...['mod_adhoc', 'mod_admin_extra', 'mod_announce', 'mod_avatar', 'mod_blocking', 'mod_caps', 'mod_carboncopy'],
  ...['mod_client_state', 'mod_configure', 'mod_disco', 'mod_fail2ban', 'mod_last', 'mod_muc', 'mod_muc_admin'],
  ...['mod_offline', 'mod_ping', 'mod_privacy', 'mod_private', 'mod_pubsub', 'mod_push', 'mod_push_keepalive'],
  ...['mod_roster', 'mod_s2s_dialback', 'mod_shared_roster', 'mod_sic', 'mod_stream_mgmt', 'mod_vcard'],
  ...['mod_vcard_xupdate', 'mod_version'],
];

const MODULE_OPTIONS: Readonly<Record<string, object>> = {
  mod_offline: { access_max_user_messages: 'max_user_offline_messages' },
  mod_pubsub: { plugins: ['flat', 'pep'] },
  mod_roster: { versioning: true },
  mod_stream_mgmt: { resend_on_timeout: 'if_offline' },
};

/** Options of ejabberdConfiguration. */
export interface EjabberdPlace {
  readonly port: number;
  readonly directTlsPort: number;
  readonly certificateFiles: readonly string[];
}

/** The text of ejabberd.yml, of which JSON is a part. */
export function ejabberdConfiguration({ history }: Setting, tuning: Tuning, place: EjabberdPlace): string {
  const { port, directTlsPort, certificateFiles } = place;
  // Its documentation prefers SQL for large archives; SQLite was tried and took 20 times longer than Mnesia.
  const stored = { db_type: 'mnesia' };
  const names = new Set([...(tuning === 'tuned' ? modulesOf('ejabberd') : INSTALLED), 'mod_ping']);
  const modules: Record<string, object> = {};
  for (const name of names) modules[name] = { ...MODULE_OPTIONS[name], ...(name === 'mod_offline' && stored) };
  if (history) modules['mod_mam'] = { default: 'always', ...stored };
  const listener = { ip: '127.0.0.1', module: 'ejabberd_c2s', max_stanza_size: 262_144, backlog: 4096 };
  return JSON.stringify({
    loglevel: 'error',
    hosts: [DOMAIN],
    certfiles: certificateFiles,
    auth_method: 'internal',
    auth_password_format: 'scram',
    auth_scram_hash: 'sha',
    acl: { local: { user_regexp: '' } },
    access_rules: { local: { allow: 'local' }, c2s: { allow: 'all' } },
    shaper_rules: { max_user_sessions: 'infinity', max_user_offline_messages: 'infinity' },
    listen: [
      { port, ...listener, starttls: true },
      { port: directTlsPort, ...listener, tls: true },
    ],
    modules,
  });
}

/** Debian keeps ejabberd's Erlang libraries under the machine's triplet. @throws Error where they are not */
export function erlangLibraries(): string {
  for (const triplet of readdirSync('/usr/lib')) {
    const directory = join('/usr/lib', triplet);
    if (triplet.includes('-linux-') && librariesOf(directory).length > 0) return directory;
  }
  throw new Error('the libraries of ejabberd are not under /usr/lib; install the Debian package ejabberd');
}

function librariesOf(directory: string): string[] {
  return readdirSync(directory).filter((name) => name.startsWith('ejabberd-'));
}
