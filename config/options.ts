import { externalComponents } from './external-components.ts';
import { option, table, type Configured } from './option.ts';
import {
  certificateName,
  choice,
  cipherList,
  dnsServer,
  flag,
  hostAndPort,
  hostName,
  ipAddress,
  listenerPort,
  listOf,
  origin,
  path,
  publicUrl,
  tablesOf,
  uri,
  urlPath,
  wholeNumber,
} from './value-types.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

const everyAddress = ['0.0.0.0', '::'];
const contact = (meaning: string) =>
  option(listOf(uri(), 'URIs'), [], meaning, { example: '["mailto:nurse@capulet.example"]' });

/** Every option of Posthorn, once, in the order of the reference. */
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

  c2s: table('Client connections over TCP, and limits that hold for WebSocket clients too.', {
    port: option(listenerPort(), 5222, 'Connections that are upgraded with STARTTLS (RFC 6120 5).'),
    tls_port: option(listenerPort(), 5223, 'Connections that begin with TLS (XEP-0368).'),
    addresses: option(listOf(ipAddress(), 'IP addresses', 1), everyAddress, 'The addresses both ports listen on.'),
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
      'New connections one address may open in a minute (RFC 6120 13.12); 0: any number.',
    ),
    logins_per_second: option(
      wholeNumber(0, 1_000_000),
      1000,
      'Logins begun in a second, over all; further ones wait, with returning devices before passwords. 0: any number.',
    ),
    logins_per_minute_per_address: option(
      wholeNumber(0, 10_000_000),
      3000,
      'Logins one address may begin in a minute; further ones are told when to come back. 0: any number.',
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
      'What one client may send over time; reading pauses when it sends more. 0: any amount.',
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
  }),

  s2s: table('Streams to and from other servers.', {
    enabled: option(
      flag(),
      true,
      'Whether this server talks to others. One that serves localhost alone does not, for nobody could find it.',
    ),
    port: option(listenerPort(), 5269, 'Connections that are upgraded with STARTTLS (RFC 6120 5).'),
    tls_port: option(listenerPort(), 5270, 'Connections that begin with TLS (XEP-0368).'),
    addresses: option(listOf(ipAddress(), 'IP addresses', 1), everyAddress, 'The addresses both ports listen on.'),
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
      'New connections one address may open in a minute; 0: any number.',
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
      'What one stream may bring over time; reading pauses when it is more. 0: any amount.',
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
  }),

  tls: table('Certificates and the TLS of every listener.', {
    min_version: option(choice('1.2', '1.3'), '1.2', 'The oldest version of TLS a client may speak.'),
    ciphers: option(
      cipherList(),
      [
        ...['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'],
        ...['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256'],
        ...['ECDHE-ECDSA-AES256-GCM-SHA384', 'ECDHE-RSA-AES256-GCM-SHA384'],
        ...['ECDHE-ECDSA-CHACHA20-POLY1305', 'ECDHE-RSA-CHACHA20-POLY1305'],
      ].join(':'),
      // Deviation: RFC 6120 13.8 makes TLS_RSA_WITH_AES_128_CBC_SHA mandatory; RFC 7590 3 (by way of RFC 7525, now
      // 9325) advises against it. It is there for an operator who adds AES128-SHA here.
      'The cipher suites, best first. TLS 1.3 suites have names with underscores; without one, TLS 1.3 is off.',
    ),
    max_handshakes: option(
      wholeNumber(1, 10_000),
      32,
      'TLS handshakes at the same time; further connections wait, so that a crowd logging in does not stall the others.',
    ),
    certificates_directory: option(
      path('a folder'),
      'certificates',
      'Where a local certificate authority and its certificates are made when none is configured.',
      { relativeTo: 'data directory' },
    ),
    certificates: option(
      tablesOf({
        domains: listOf(certificateName(), 'host names', 1),
        certificate: path('a PEM file with the certificate, then its intermediates'),
        key: path('a PEM file with the private key'),
      }),
      [],
      'Certificates of your own, each for the domains it names; chosen by SNI, read again on SIGHUP and when a file ' +
        'changes. With one configured, every domain needs one.',
      {
        relativeTo: 'configuration',
        example: [
          '[[tls.certificates]]',
          'domains = ["capulet.example", "*.capulet.example"]',
          'certificate = "/etc/letsencrypt/live/capulet.example/fullchain.pem"',
          'key = "/etc/letsencrypt/live/capulet.example/privkey.pem"',
        ].join('\n'),
      },
    ),
  }),

  http: table('The HTTP listener: WebSocket (RFC 7395) and host-meta (XEP-0156).', {
    port: option(listenerPort(), 5443, 'The port of HTTPS and secure WebSocket.'),
    addresses: option(listOf(ipAddress(), 'IP addresses', 1), everyAddress, 'The addresses it listens on.'),
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
  }),

  components: table(
    'External components, such as gateways to other networks (XEP-0114). Nothing listens unless one is configured.',
    {
      port: option(listenerPort(), 5347, 'Their port. It is not encrypted.'),
      addresses: option(
        listOf(ipAddress(), 'IP addresses', 1),
        ['127.0.0.1'],
        'The addresses it listens on: keep it where only components can reach it.',
      ),
      max_connections: option(wholeNumber(1, 10_000), 100, 'Connections at the same time.'),
      max_stanza_bytes: option(wholeNumber(10_000, 16 * MIB), MIB, 'The largest stanza a component may send.', {
        unit: 'bytes',
      }),
      bytes_per_second: option(
        wholeNumber(0, GIB),
        16 * MIB,
        'What one component may send over time; reading pauses when it sends more. 0: any amount.',
        { unit: 'bytes per second' },
      ),
      burst_bytes: option(wholeNumber(10_000, GIB), 64 * MIB, 'What one that was silent may send at once.', {
        unit: 'bytes',
      }),
      authentication_timeout_seconds: option(
        wholeNumber(1, 3600),
        10,
        'A connection that has not shown its secret for longer than this is closed.',
        { unit: 'seconds' },
      ),
      close_timeout_seconds: option(
        wholeNumber(1, 600),
        5,
        'How long a component has to close its side of a stream that was closed.',
        { unit: 'seconds' },
      ),
      idle_seconds: option(wholeNumber(10, 86_400), 120, 'A component that has been silent for this long is pinged.', {
        unit: 'seconds',
      }),
      ping_timeout_seconds: option(
        wholeNumber(1, 3600),
        60,
        'A component that leaves a ping unanswered, or reads nothing, for this long is disconnected; what it has not ' +
          'confirmed comes back to its senders.',
        { unit: 'seconds' },
      ),
      max_queue_stanzas: option(
        wholeNumber(10, 1_000_000),
        20_000,
        'Stanzas that a component has not confirmed; further ones come back to their senders with resource-constraint.',
      ),
      max_queue_bytes: option(wholeNumber(64 * KIB, GIB), 32 * MIB, 'The same in bytes.', { unit: 'bytes' }),
      external: option(
        externalComponents(),
        [],
        'The components. secret_file has mode 0600; secret_environment names a variable instead. conflict: whether a ' +
          'second connection takes over ("replace", the default) or is refused ("refuse"). roster ("get", "set", "both"), ' +
          'roster_push, message ("outgoing"), presence ("managed_entity", "roster") and iq: what it may do in the name of ' +
          'the accounts of the domain it is below, nothing unless named (XEP-0356). delegated: what it answers in place of ' +
          'the server (XEP-0355).',
        {
          example: [
            '[[components.external]]',
            'domain = "gateway.capulet.example"',
            'secret_file = "/etc/posthorn/gateway.secret"',
            'roster = "both"',
            'message = "outgoing"',
            'iq = [{ namespace = "http://jabber.org/protocol/pubsub", type = "both" }]',
          ].join('\n'),
        },
      ),
    },
  ),

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

  messages: table('What becomes of messages.', {
    history: option(
      choice('on', 'off'),
      'on',
      'off: a message to somebody who is online is neither stored nor given a sequence number.',
    ),
    repeat_hours: option(
      wholeNumber(1, 8760),
      168,
      'How long a message is known that a client sends again because its acknowledgement was lost.',
      { unit: 'hours' },
    ),
  }),

  archive: table('The message archive of each account (XEP-0313); nothing is archived with messages.history off.', {
    default: option(
      choice('always', 'roster', 'never'),
      'always',
      'What is archived of who has not said otherwise (XEP-0441). roster: what is exchanged with contacts.',
    ),
    page_messages: option(
      wholeNumber(1, 1000),
      50,
      'Messages a client is sent at a time when it does not say how many.',
    ),
    max_page_messages: option(wholeNumber(1, 1000), 250, 'The most it may ask for.'),
    max_age_days: option(wholeNumber(0, 36_500), 0, 'Messages older than this are removed; 0: kept for ever.', {
      unit: 'days',
    }),
    max_bytes: option(
      wholeNumber(0, 1024 * GIB),
      0,
      'When an archive is greater than this, its oldest messages are removed; 0: any size.',
      { unit: 'bytes' },
    ),
    sweep_minutes: option(wholeNumber(1, 10_080), 60, 'How often the limits are enforced.', { unit: 'minutes' }),
    max_preferences: option(wholeNumber(0, 100_000), 1000, 'Contacts in the preferences of one account.'),
    domains: option(
      tablesOf({ domain: hostName(), max_age_days: wholeNumber(0, 36_500), max_bytes: wholeNumber(0, 1024 * GIB) }),
      [],
      'Other limits for the accounts of a domain. "posthorn archive limit" sets those of one account.',
      {
        example: ['[[archive.domains]]', 'domain = "capulet.example"', 'max_age_days = 365', 'max_bytes = 0'].join(
          '\n',
        ),
      },
    ),
  }),

  offline: table('Messages that wait for somebody who is away (XEP-0160).', {
    max_messages: option(
      wholeNumber(0, 10_000_000),
      1000,
      'Messages kept for one account; when full, senders get service-unavailable.',
    ),
    max_bytes: option(wholeNumber(0, 64 * GIB), 16 * MIB, 'The same in bytes.', { unit: 'bytes' }),
  }),

  roster: table('Contact lists.', {
    max_items: option(wholeNumber(1, 100_000), 1000, 'Contacts of one account.'),
    max_groups_per_item: option(wholeNumber(0, 1000), 32, 'Groups one contact may be in.'),
    max_name_bytes: option(wholeNumber(16, 8192), 1023, 'The longest name of a contact or group.', { unit: 'bytes' }),
  }),

  sasl: table('Logging in.', {
    mechanisms: option(
      listOf(
        choice(
          ...(['SCRAM-SHA-512-PLUS', 'SCRAM-SHA-256-PLUS', 'SCRAM-SHA-1-PLUS'] as const),
          ...(['SCRAM-SHA-512', 'SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN'] as const),
        ),
        'of the mechanisms in the default',
        1,
      ),
      [
        ...(['SCRAM-SHA-512-PLUS', 'SCRAM-SHA-256-PLUS', 'SCRAM-SHA-1-PLUS'] as const),
        ...(['SCRAM-SHA-512', 'SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN'] as const),
      ],
      'The mechanisms that may be offered; each only where the connection is fit for it. Some clients know only ' +
        'SCRAM-SHA-1 and PLAIN.',
    ),
    scram_iterations: option(
      wholeNumber(4096, 10_000_000),
      10_000,
      'PBKDF2 rounds for new passwords: what a thief of the store, and every phone that logs in, has to compute.',
    ),
    max_retries: option(
      wholeNumber(2, 5),
      3,
      'Failed logins on one stream that may be followed by another try (RFC 6120 6.4.5).',
    ),
    password_work_running: option(
      wholeNumber(1, 64),
      2,
      'Passwords checked at the same time. They share four threads with the disk (UV_THREADPOOL_SIZE).',
    ),
    password_work_waiting: option(
      wholeNumber(0, 100_000),
      256,
      'Passwords that wait for their check; further logins get temporary-auth-failure.',
    ),
    token_days: option(
      wholeNumber(0, 3650),
      21,
      'How long a device that logs in with a token (XEP-0484) may stay away before it needs its password; 0: no tokens.',
      { unit: 'days' },
    ),
    token_rotation_hours: option(wholeNumber(1, 87_600), 24, 'A token older than this is replaced when it is used.', {
      unit: 'hours',
    }),
    max_token_clients: option(
      wholeNumber(1, 1000),
      40,
      'Devices of one account that may hold tokens; one more takes the place of the one seen longest ago.',
    ),
    free_failures: option(
      wholeNumber(0, 100),
      2,
      'Failed logins from one address to one account that cost nothing; each further one doubles the delay.',
    ),
    free_failures_per_address: option(wholeNumber(0, 10_000), 10, 'The same from one address to any accounts.'),
    free_failures_per_account: option(
      wholeNumber(0, 10_000),
      10,
      'The same to one account from any addresses; only answers to failures are delayed then, never a correct login.',
    ),
    max_failure_delay_seconds: option(wholeNumber(0, 300), 8, 'The longest delay.', { unit: 'seconds' }),
    forget_failures_seconds: option(
      wholeNumber(1, 86_400),
      900,
      'Failures are forgotten when none has followed for this long.',
      { unit: 'seconds' },
    ),
  }),

  limits: table('What one account or session may occupy.', {
    max_queue_stanzas: option(
      wholeNumber(10, 1_000_000),
      2000,
      'Stanzas that wait for a client to read or acknowledge them; one that falls further behind is disconnected.',
    ),
    max_queue_bytes: option(wholeNumber(64 * KIB, GIB), 8 * MIB, 'The same in bytes.', { unit: 'bytes' }),
    max_unprocessed_stanzas: option(
      wholeNumber(1, 100_000),
      256,
      'Stanzas of one session in work; reading from it pauses above.',
    ),
    max_directed_presences: option(
      wholeNumber(10, 100_000),
      1000,
      'Addresses to which one session may have sent directed presence (RFC 6121 4.6).',
    ),
    max_private_xml_bytes: option(wholeNumber(0, GIB), MIB, 'Private XML of one account (XEP-0049).', {
      unit: 'bytes',
    }),
  }),

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
