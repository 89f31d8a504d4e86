import { expect } from 'chai';
import { NBXMPP, SLIXMPP, STROPHE, XMPP_JS } from './client-kinds.ts';
import { login, logout, PASSWORD, seePresence, subscribe, talk, type Part, type Player } from './duet.ts';
import { PosthornProcess } from './posthorn-process.ts';

const MESSAGES = 100;

/** Who meets whom: each client, and each transport, talks to another. */
const PAIRS: readonly (readonly [Omit<Part, 'jid'>, Omit<Part, 'jid'>])[] = [
  [
    { kind: SLIXMPP, transport: 'starttls' },
    { kind: NBXMPP, transport: 'direct-tls' },
  ],
  [
    { kind: XMPP_JS, transport: 'direct-tls' },
    { kind: SLIXMPP, transport: 'starttls' },
  ],
  [
    { kind: STROPHE, transport: 'websocket' },
    { kind: SLIXMPP, transport: 'direct-tls' },
  ],
  [
    { kind: NBXMPP, transport: 'starttls' },
    { kind: XMPP_JS, transport: 'websocket' },
  ],
  [
    { kind: NBXMPP, transport: 'websocket' },
    { kind: STROPHE, transport: 'websocket' },
  ],
];

describe('different clients', () => {
  let server: PosthornProcess;
  const jidsOf = (index: number) => [`juliet.${index}@localhost`, `romeo.${index}@localhost`] as const;

  before(async () => {
    server = await PosthornProcess.start();
    await server.createAccounts(
      PAIRS.flatMap((_, index) => jidsOf(index)),
      PASSWORD,
    );
  });

  after(async () => {
    expect(await server.stop()).to.equal(0);
  });

  for (const [index, parts] of PAIRS.entries()) {
    const [first, second] = parts.map(({ kind, transport }) => `${kind.name} over ${transport}`);
    it(`${first!} and ${second!} become contacts and talk`, async () => {
      const players: Player[] = [];
      try {
        for (const [part, jid] of [
          [parts[0], jidsOf(index)[0]],
          [parts[1], jidsOf(index)[1]],
        ] as const) {
          const player = await login(server, { ...part, jid });
          players.push(player);
          expect(player.mechanism).to.equal(part.kind.mechanism);
          // RFC 6121 2.2: who has asked for the roster hears of subscriptions.
          await player.client.perform({ command: 'roster' });
          await player.client.perform({ command: 'presence' });
          await seePresence(player, player.full, 'available');
        }
        const [juliet, romeo] = players as [Player, Player];
        await subscribe(juliet, romeo, 'to');
        await subscribe(romeo, juliet, 'both');
        const version = await juliet.client.perform({ command: 'version', to: romeo.full });
        expect(version).to.deep.equal({ name: romeo.kind.name, version: '1' });
        const bodies = Array.from({ length: MESSAGES }, (_, count) => `line ${count + 1} & so <on>`);
        await talk(juliet, romeo, bodies, 0);
        for (const { client } of players) expect(client.takeLeft('message')).to.deep.equal([]);
        await logout(romeo);
        await seePresence(juliet, romeo.full, 'unavailable');
        await logout(juliet);
      } finally {
        for (const { client } of players) await client.end();
      }
    });
  }
});
