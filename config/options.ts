import { option, table, type Configured } from './option.ts';
import { tls } from './tables/certificates.ts';
import { c2s, http } from './tables/client-streams.ts';
import { components } from './tables/components.ts';
import { sasl } from './tables/logging-in.ts';
import { archive, messages, offline } from './tables/message-keeping.ts';
import { s2s } from './tables/server-streams.ts';
import { limits, roster } from './tables/shares.ts';
import { choice, flag, hostName, ipAddress, listenerPort, listOf, path, uri } from './value-types.ts';

const contact = (meaning: string) =>
  option(listOf(uri(), 'URIs'), [], meaning, { example: '["mailto:nurse@capulet.example"]' });

/** Every option of Posthorn, once, in the order of the reference; the larger tables are in `tables/`. */
export const OPTIONS = {
  domains: option(
    listOf(hostName(), 'host names', 1),
    ['localhost'],
    'The domains whose accounts live here: what stands behind the @ of a user. The first is the default of commands.',
  ),
  data_directory: option(path('a folder'), './data', 'Where accounts, messages, keys and made certificates are kept.', {
    relativeTo: 'configuration',
  }),

  contacts: table('Contact addresses that clients and other servers can discover (XEP-0157).', {
    abuse: contact('Whom to tell of abuse of the service.'),
    admin: contact('Where to reach the administrators.'),
    feedback: contact('Where feedback goes.'),
    sales: contact('Where to reach sales.'),
    security: contact('Whom to tell of a security problem.'),
    status: contact('Where the state of the service is shown: a page that stays up when the service does not.'),
    support: contact('Where to find help.'),
  }),

  c2s,
  s2s,
  tls,
  http,
  components,

  operations: table('Health and metrics for the operator, over plain HTTP.', {
    port: option(listenerPort(), 5280, 'Its port.'),
    address: option(ipAddress(), '127.0.0.1', 'The address it listens on: keep it where only you can reach it.'),
    metrics: option(flag(), true, 'Whether it gives metrics at /metrics, in the text format of Prometheus.'),
  }),

  storage: table('How data is kept.', {
    backend: option(
      choice('level', 'memory'),
      'level',
      'level: LevelDB in the data directory. memory: nothing survives a restart; for tests.',
    ),
    durability: option(
      choice('sync', 'process'),
      'sync',
      'What an acknowledged message survives. sync: the loss of power. process: a crash of the server, at less cost.',
    ),
  }),

  messages,
  archive,
  offline,
  roster,
  sasl,
  limits,

  log: table('The log: one JSON object a line on standard error; plain lines on a terminal.', {
    level: option(choice('debug', 'info', 'warn', 'error', 'silent'), 'info', 'The least important that is written.'),
  }),

  admin: table('How the command-line tool reaches the running server.', {
    control_socket: option(path('a socket'), 'control.sock', 'The socket it listens on, open to its own user alone.', {
      relativeTo: 'data directory',
    }),
  }),
};

/** The configuration: every option by its name in camelCase, paths absolute, frozen through and through. */
export interface Config extends Configured<typeof OPTIONS> {
  /** The file it was read from; undefined where there was none. */
  readonly file: string | undefined;
}
