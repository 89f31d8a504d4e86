import { option, table } from '../option.ts';
import {
  certificateName,
  choice,
  dnsServer,
  flag,
  hostName,
  ipAddress,
  listenerPort,
  listOf,
  path,
  tablesOf,
  wholeNumber,
  everyAddress,
} from '../value-types.ts';
import { KIB, MIB, GIB } from '../sizes.ts';

export const s2s = table('Streams to and from other servers.', {
  enabled: option(
    flag(),
    true,
    'Whether this server talks to others. One that serves localhost alone does not, for nobody could find it.',
  ),
  port: option(listenerPort(), 5269, 'Connections that are upgraded with STARTTLS (RFC 6120 5).'),
  tls_port: option(listenerPort(), 5270, 'Connections that begin with TLS (XEP-0368).'),
  addresses: option(listOf(ipAddress(), 'IP addresses', 1), [...everyAddress], 'The addresses both ports listen on.'),
  policy: option(
    choice('certificate', 'dialback', 'deny'),
    'dialback',
    'What another server must prove. certificate: a valid certificate for its domain. dialback: where it has none, what DNS ' +
      'says of its domain will do (XEP-0220). deny: only those that s2s.policies names may connect.',
  ),
  require_tls: option(flag(), true, 'Whether streams to and from other servers must be encrypted (RFC 7590 3).'),
  authorities: option(
    listOf(path('a PEM file of a certificate authority'), 'PEM files'),
    [],
    'Authorities of your own whose certificates are believed of other servers.',
    { relativeTo: 'configuration' },
  ),
  trust_public_authorities: option(
    flag(),
    true,
    'Whether the public authorities are believed as well, where s2s.authorities names some.',
  ),
  bidirectional: option(flag(), true, 'Whether one stream may serve both directions (XEP-0288).'),
  resolvers: option(
    listOf(dnsServer(), 'DNS servers'),
    [],
    'The DNS servers to ask; those of the system where none is given.',
    { example: '["192.0.2.53", "[2001:db8::53]:5353"]' },
  ),
  max_connections: option(
    wholeNumber(1, 100_000),
    5000,
    'Connections from other servers at the same time, and streams to them.',
  ),
  max_connections_per_address: option(
    wholeNumber(1, 100_000),
    100,
    'Connections from one address at the same time (an IPv6 /64 counts as one).',
  ),
  connections_per_minute_per_address: option(
    wholeNumber(0, 1_000_000),
    300,
    'New connections one address may open in a minute; 0: no limit.',
  ),
  max_stanza_bytes: option(
    wholeNumber(10_000, 16 * MIB),
    512 * KIB,
    'The largest stanza another server may send, announced to it (XEP-0478).',
    { unit: 'bytes' },
  ),
  max_stanza_bytes_unauthenticated: option(
    wholeNumber(10_000, 16 * MIB),
    16 * KIB,
    'The largest element of a server that has not proved its domain.',
    { unit: 'bytes' },
  ),
  bytes_per_second: option(
    wholeNumber(0, GIB),
    4 * MIB,
    'What one stream may bring over time; reading pauses when it is more. 0: no limit.',
    { unit: 'bytes per second' },
  ),
  burst_bytes: option(wholeNumber(10_000, GIB), 16 * MIB, 'What a stream that was silent may bring at once.', {
    unit: 'bytes',
  }),
  dns_timeout_seconds: option(wholeNumber(1, 60), 3, 'How long one DNS server may take for one question.', {
    unit: 'seconds',
  }),
  connect_timeout_seconds: option(
    wholeNumber(1, 600),
    20,
    'How long connecting to a domain may take, all its addresses together.',
    { unit: 'seconds' },
  ),
  tls_timeout_seconds: option(wholeNumber(1, 600), 15, 'A TLS handshake that takes longer is given up.', {
    unit: 'seconds',
  }),
  negotiation_timeout_seconds: option(
    wholeNumber(1, 600),
    60,
    'How long a server may take to prove its domain, or to answer to a proof of ours.',
    { unit: 'seconds' },
  ),
  acknowledgement_timeout_seconds: option(
    wholeNumber(5, 3600),
    60,
    'A server that does not say for this long whether it has what it was sent is given up.',
    { unit: 'seconds' },
  ),
  idle_seconds: option(
    wholeNumber(10, 86_400),
    600,
    'A stream without stanzas is closed after this time. It is announced (XEP-0478).',
    { unit: 'seconds' },
  ),
  patience_seconds: option(
    wholeNumber(0, 604_800),
    600,
    'How long messages wait for a server that does not answer before they come back to their senders.',
    { unit: 'seconds' },
  ),
  max_queue_stanzas: option(
    wholeNumber(10, 10_000_000),
    10_000,
    'Stanzas from one domain to another that wait or are not known to have arrived; when full, senders get resource-constraint.',
  ),
  max_queue_bytes: option(wholeNumber(64 * KIB, 64 * GIB), 32 * MIB, 'The same in bytes.', { unit: 'bytes' }),
  max_total_queue_bytes: option(wholeNumber(64 * KIB, 64 * GIB), 256 * MIB, 'The same for all domains together.', {
    unit: 'bytes',
  }),
  policies: option(
    tablesOf({ domain: certificateName(), policy: choice('certificate', 'dialback', 'deny') }),
    [],
    'Other policies for some domains; "*." before a name means everything below it, and the nearest name wins.',
    {
      example: ['[[s2s.policies]]', 'domain = "*.tybalt.example"', 'policy = "deny"'].join('\n'),
    },
  ),
  routes: option(
    tablesOf({
      domain: hostName(),
      host: hostName(),
      port: wholeNumber(1, 65535),
      tls: choice('starttls', 'direct'),
    }),
    [],
    'Where to find a domain, whatever DNS says: for closed networks.',
    {
      example: [
        '[[s2s.routes]]',
        'domain = "montague.example"',
        'host = "192.0.2.7"',
        'port = 5269',
        'tls = "starttls"',
      ].join('\n'),
    },
  ),
});
