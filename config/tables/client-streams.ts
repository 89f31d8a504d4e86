import { option, table } from '../option.ts';
import {
  choice,
  flag,
  hostAndPort,
  ipAddress,
  listenerPort,
  listOf,
  origin,
  publicUrl,
  urlPath,
  wholeNumber,
  everyAddress,
} from '../value-types.ts';
import { KIB, MIB, GIB } from '../sizes.ts';

export const c2s = table('Client connections over TCP, and limits that hold for WebSocket clients too.', {
  port: option(listenerPort(), 5222, 'Connections that are upgraded with STARTTLS (RFC 6120 5).'),
  tls_port: option(listenerPort(), 5223, 'Connections that begin with TLS (XEP-0368).'),
  addresses: option(listOf(ipAddress(), 'IP addresses', 1), [...everyAddress], 'The addresses both ports listen on.'),
  allow_plaintext_authentication: option(
    flag(),
    false,
    'Lets clients log in without TLS, passwords readable on the way: for a benchmark on loopback, nothing else.',
  ),
  max_connections: option(
    wholeNumber(1, 1_000_000),
    20_000,
    'Connections at the same time; further ones are closed at once. Each needs a file descriptor.',
  ),
  max_connections_per_address: option(
    wholeNumber(1, 1_000_000),
    1000,
    'The same for one client address (an IPv6 /64 counts as one). Offices and phone networks share addresses.',
  ),
  connections_per_minute_per_address: option(
    wholeNumber(0, 10_000_000),
    3000,
    'New connections one address may open in a minute (RFC 6120 13.12); 0: no limit.',
  ),
  logins_per_second: option(
    wholeNumber(0, 1_000_000),
    1000,
    'Logins begun in a second, over all; further ones wait, with returning devices before passwords. 0: no limit.',
  ),
  logins_per_minute_per_address: option(
    wholeNumber(0, 10_000_000),
    3000,
    'Logins one address may begin in a minute; further ones are told when to come back. 0: no limit.',
  ),
  max_logins_waiting: option(
    wholeNumber(0, 1_000_000),
    5000,
    'Logins that wait for their turn when a crowd comes back; further ones are told when to come back.',
  ),
  login_wait_seconds: option(
    wholeNumber(1, 600),
    15,
    'A login that has waited this long for its turn is told when to come back.',
    { unit: 'seconds' },
  ),
  max_sessions_per_account: option(
    wholeNumber(1, 10_000),
    20,
    'Devices one account may have logged in at the same time; one more is refused with resource-constraint.',
  ),
  resource_conflict: option(
    choice('replace', 'refuse'),
    'replace',
    'When a client asks for a resource that is in use: end the older session, or refuse the newer (RFC 6120 7.7.2.2).',
  ),
  max_bind_attempts: option(
    wholeNumber(5, 10),
    5,
    'How often a client may ask for a resource that is refused before its stream is closed (RFC 6120 7.7.3).',
  ),
  max_stanza_bytes: option(
    wholeNumber(10_000, 16 * MIB),
    256 * KIB,
    'The largest stanza a client may send, announced to it (XEP-0478). RFC 6120 13.12 forbids less than 10000.',
    { unit: 'bytes' },
  ),
  max_stanza_bytes_unauthenticated: option(
    wholeNumber(10_000, 16 * MIB),
    64 * KIB,
    'The same for who has not logged in yet.',
    { unit: 'bytes' },
  ),
  max_depth: option(wholeNumber(8, 1000), 64, 'How deep elements may be nested in a stanza.'),
  max_attributes: option(wholeNumber(16, 1000), 64, 'Attributes and namespace declarations one element may have.'),
  bytes_per_second: option(
    wholeNumber(0, GIB),
    MIB,
    'What one client may send over time; reading pauses when it sends more. 0: no limit.',
    { unit: 'bytes per second' },
  ),
  burst_bytes: option(wholeNumber(10_000, GIB), 4 * MIB, 'What a client that was silent may send at once.', {
    unit: 'bytes',
  }),
  tls_timeout_seconds: option(wholeNumber(1, 600), 10, 'A connection whose TLS handshake takes longer is closed.', {
    unit: 'seconds',
  }),
  authentication_timeout_seconds: option(
    wholeNumber(1, 3600),
    30,
    'A connection that has not logged in for longer than this is closed.',
    { unit: 'seconds' },
  ),
  close_timeout_seconds: option(
    wholeNumber(1, 600),
    5,
    'How long a client has to close its side of a stream that was closed (RFC 6120 4.4).',
    { unit: 'seconds' },
  ),
  idle_seconds: option(
    wholeNumber(10, 86_400),
    900,
    'A client that has been silent for this long is pinged. It is announced to the client (XEP-0478).',
    { unit: 'seconds' },
  ),
  resumption_seconds: option(
    wholeNumber(0, 604_800),
    600,
    'How long the session of a client that lost its connection waits for it to come back (XEP-0198); 0: not at all.',
    { unit: 'seconds' },
  ),
  resume_location: option(
    hostAndPort(),
    '',
    'Where a client that lost its connection should try first (XEP-0198), "host:port" or "[IPv6 address]:port"; empty: as for a new connection.',
  ),
  ping_timeout_seconds: option(
    wholeNumber(1, 3600),
    60,
    'A client that was pinged and stays silent for this long is gone: its connection is closed.',
    { unit: 'seconds' },
  ),
});

export const http = table('The HTTP listener: WebSocket (RFC 7395) and host-meta (XEP-0156).', {
  port: option(listenerPort(), 5443, 'The port of HTTPS and secure WebSocket.'),
  addresses: option(listOf(ipAddress(), 'IP addresses', 1), [...everyAddress], 'The addresses it listens on.'),
  tls: option(flag(), true, 'Whether it speaks TLS itself; false behind a proxy on this machine that does.'),
  websocket_path: option(urlPath(), '/xmpp-websocket', 'The path of WebSocket.'),
  allowed_origins: option(
    listOf(origin(), 'origins', 1),
    ['*'],
    'The sites whose pages may connect; "*": every site. Clients that are no web pages are not affected.',
    { example: '["https://chat.capulet.example"]' },
  ),
  public_url: option(
    publicUrl(),
    '',
    'The URL under which clients reach this listener, announced in host-meta; "": https, the domain and the port.',
    { example: '"https://chat.capulet.example"' },
  ),
});
