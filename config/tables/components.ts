import { externalComponents } from '../external-components.ts';
import { option, table } from '../option.ts';
import { ipAddress, listenerPort, listOf, wholeNumber } from '../value-types.ts';
import { KIB, MIB, GIB } from '../sizes.ts';

export const components = table(
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
      'What one component may send over time; reading pauses when it sends more. 0: no limit.',
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
);
