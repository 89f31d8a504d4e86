import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { expect } from 'chai';
import { Verona, type ServerChoice, type ServerInPlay } from '../../support/federated-servers.ts';
import type { TestClient } from '../../support/test-client.ts';

const HOUSES = ['capulet.example', 'rooms.capulet.example'];
const OTHERS = ['montague.example', 'rooms.montague.example'];

/** Stands before a server, so that its connections can be cut. */
class Bridge {
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  constructor(port: number) {
    this.#server = createServer({ allowHalfOpen: true }, (near) => {
      const far = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(socket);
        socket.on('error', () => other.destroy()).on('close', () => this.#sockets.delete(socket));
        socket.pipe(other);
      }
    });
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  /** Resets every connection that goes over it. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  close(): void {
    this.cut();
    this.#server.close();
  }
}

describe('two servers with several domains each', function () {
  this.timeout(60_000);
  let verona: Verona;
  let capulet: ServerInPlay;
  let montague: ServerInPlay;
  const bridges: Bridge[] = [];
  /** By domain, who is there. */
  const people = new Map<string, TestClient>();

  const begin = async (choice: ServerChoice): Promise<void> => {
    verona = await Verona.found();
    capulet = await verona.start(HOUSES[0]!, ['juliet'], { ...choice, furtherDomains: HOUSES.slice(1) });
    montague = await verona.start(OTHERS[0]!, ['juliet'], { ...choice, furtherDomains: OTHERS.slice(1) });
    for (const [server, domains] of [
      [capulet, HOUSES],
      [montague, OTHERS],
    ] as const) {
      const bridge = new Bridge(server.serverPort);
      bridges.push(bridge);
      const port = await bridge.listen();
      for (const domain of domains) {
        verona.announce(domain, port);
        people.set(domain, await server.enter('juliet', 'here', domain));
      }
    }
  };
  afterEach(async () => {
    for (const bridge of bridges.splice(0)) bridge.close();
    people.clear();
    await verona.fall();
  });

  const say = (from: string, to: string, body: string): void =>
    people
      .get(from)!
      .send(`<message to='juliet@${to}' type='chat' id='${body}'><body>${from}: ${body}</body></message>`);
  /** Every pair in both directions. */
  const pairs = HOUSES.flatMap((one) =>
    OTHERS.flatMap((other) => [
      [one, other],
      [other, one],
    ]),
  ) as readonly (readonly [string, string])[];
  /** One message for each pair, one after the other. */
  const greet = async (): Promise<void> => {
    for (const [from, to] of pairs) {
      say(from, to, 'good morrow');
      await people.get(to)!.until(new RegExp(`<body>${from}: good morrow</body>`));
    }
  };
  /** The streams over which stanzas go, as one of both sees them: `outgoing both`. */
  const streams = ({ running }: ServerInPlay): string[] =>
    running.operations
      .serverStreams()
      .streams.filter(({ managed }) => managed)
      .map(({ direction, remote, local, bidirectional }) => {
        const all = remote.length === 2 && local.length === 2 ? 'all domains' : `${local.join()} ${remote.join()}`;
        return `${direction} ${bidirectional ? 'both ways ' : ''}${all}`;
      });

  for (const [proof, choice] of [
    ['dialback', { isUntrusted: true }],
    ['certificates, of each domain its own', {}],
  ] as const satisfies readonly (readonly [string, ServerChoice])[]) {
    it(`share one stream for all of them in both directions (XEP-0220 2.6, XEP-0288), by ${proof}`, async () => {
      await begin(choice);
      await greet();
      expect(streams(capulet)).to.deep.equal(['outgoing both ways all domains']);
      expect(streams(montague)).to.deep.equal(['incoming both ways all domains']);
    });

    it(`share one stream for each direction where none serves both, by ${proof}`, async () => {
      await begin({ ...choice, environment: { POSTHORN_S2S_BIDIRECTIONAL: 'false' } });
      await greet();
      for (const server of [capulet, montague]) {
        expect(streams(server)).to.have.members(['outgoing all domains', 'incoming all domains']);
      }
    });
  }

  it('keep the order of each pair over cuts, and lose nothing in silence (XEP-0198 5)', async () => {
    await begin({ isUntrusted: true, environment: { POSTHORN_S2S_BIDIRECTIONAL: 'false' } });
    await greet();
    const rounds = 120;
    for (let round = 0; round < rounds; round++) {
      for (const [from, to] of pairs) say(from, to, `line ${round}.`);
      if (round % 50 !== 20) continue;
      // Some are on their way by now.
      const [from, to] = pairs[0]!;
      await people
        .get(to)!
        .until(new RegExp(`<body>${from}: line ${round - 10}\\.</body>`))
        .then(replay(to));
      for (const bridge of bridges) bridge.cut();
    }
    for (const [from, to] of pairs) say(from, to, 'adieu');
    for (const [from, to] of pairs) {
      const client = people.get(to)!;
      await client.until(new RegExp(`<body>${from}: adieu</body>`)).then(replay(to));
      const heard = [...client.received.matchAll(new RegExp(`<body>${from}: line (\\d+)\\.</body>`, 'g'))];
      const numbers = heard.map(([, number]) => Number(number));
      expect(numbers, `${from} to ${to}`).to.deep.equal(Array.from({ length: rounds }, (_, round) => round));
    }
    for (const [domain, { received }] of people) expect(received, domain).not.to.include(`type='error'`);
    for (const server of [capulet, montague]) {
      expect(server.running.operations.serverStreams().waiting).to.deep.equal([]);
    }
  });

  /** Puts back what `until` took. */
  function replay(domain: string): (taken: string) => void {
    return (taken) => void (people.get(domain)!.received = taken + people.get(domain)!.received);
  }
});
