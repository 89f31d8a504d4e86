import { expect } from 'chai';
import { SLIXMPP, XMPP_JS } from './client-kinds.ts';
import { CuttingProxy } from './cutting-proxy.ts';
import { hear, login, logout, PASSWORD, seePresence, type Player } from './duet.ts';
import { PosthornProcess } from './posthorn-process.ts';
import { seededRandom } from './seeded-random.ts';

const CUTS = 100;
/** Messages in one breath. */
const BREATH = 10;
const MAX_PADDING = 500;

const PARTS = [
  { kind: SLIXMPP, mayBeCutAtLogin: true },
  // Interop: when a login of xmpp.js was cut short, the success of the next one is taken twice, and all that was not
  // acknowledged is sent twice. Cut within the millisecond after its TLS handshake it never comes back.
  { kind: XMPP_JS, mayBeCutAtLogin: false },
] as const;

/** To see again what was seen: the seed of a failure. */
const SEED = Number(process.env.INTEROP_SEED ?? Date.now() % 2 ** 32);

describe(`clients whose connection is cut ${CUTS} times (INTEROP_SEED=${SEED})`, () => {
  let server: PosthornProcess;

  before(async () => {
    server = await PosthornProcess.start();
  });

  after(async () => {
    expect(await server.stop()).to.equal(0);
  });

  for (const { kind, mayBeCutAtLogin } of PARTS) {
    it(`${kind.name} resumes, and nothing is lost, doubled or out of order either way`, async function () {
      const jids = { juliet: `juliet.${kind.name}@localhost`, romeo: `romeo.${kind.name}@localhost` };
      await server.createAccounts([jids.juliet, jids.romeo], PASSWORD);
      const transport = 'direct-tls';
      const proxy = await CuttingProxy.start(server.port('c2s-tls'), seededRandom(SEED));
      const players: Player[] = [];
      const enter = async (part: Parameters<typeof login>[1]): Promise<Player> => {
        const player = await login(server, part);
        players.push(player);
        await player.client.perform({ command: 'presence' });
        await seePresence(player, player.full, 'available');
        return player;
      };
      let isCutting = true;
      const cut = async ({ client }: Player): Promise<number> => {
        let resumptions = 0;
        for (let count = 0; count < CUTS; count++) {
          await proxy.cut();
          if (mayBeCutAtLogin) continue;
          await client.next('resumed');
          resumptions++;
        }
        isCutting = false;
        return resumptions;
      };
      /** Talks until there are no more cuts; gives the numbers of what the other heard, who heard it once and in order. */
      const talkTo = async (speaker: Player, listener: Player): Promise<number[]> => {
        const numbers: number[] = [];
        const random = seededRandom(SEED + players.indexOf(speaker) + 1);
        while (isCutting) {
          const bodies = Array.from(
            { length: BREATH },
            (_, index) => `line ${numbers.length + index} ${'x'.repeat(random() * MAX_PADDING)}`,
          );
          await speaker.client.perform({ command: 'chat', to: listener.jid, bodies });
          numbers.push(...(await hear(listener, speaker, bodies, () => undefined)));
        }
        return numbers;
      };
      try {
        const juliet = await enter({ kind, transport, jid: jids.juliet, proxyPort: proxy.port });
        const romeo = await enter({ kind: SLIXMPP, transport, jid: jids.romeo });
        const [seen, said, heard] = await Promise.all([cut(juliet), talkTo(juliet, romeo), talkTo(romeo, juliet)]);
        // RFC 6120 10.1: the answers come behind whatever there would be too much.
        for (const { client } of [juliet, romeo]) await client.perform({ command: 'ping', to: 'localhost' });
        for (const { client } of [juliet, romeo]) expect(client.takeLeft('message')).to.deep.equal([]);
        for (const numbers of [said, heard]) expect(numbers).to.deep.equal([...numbers].sort((a, b) => a - b));
        const all = [...said, ...heard].sort((a, b) => a - b);
        expect(all).to.deep.equal(all.map((_, index) => index + 1));
        // No fresh login: where a login was cut short, the next one has resumed.
        expect(juliet.client.takeLeft('online')).to.deep.equal([]);
        const resumptions = seen + juliet.client.takeLeft('resumed').length;
        expect(resumptions).to.be.within(mayBeCutAtLogin ? CUTS / 2 + 1 : CUTS, CUTS);
        this.test!.title += `: ${resumptions} resumptions, ${all.length} messages`;
        juliet.client.takeLeft('offline');
        await logout(romeo);
        await logout(juliet);
      } finally {
        for (const { client } of players) await client.end();
        await proxy.stop();
      }
    });
  }
});
