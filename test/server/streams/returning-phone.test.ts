import { expect } from 'chai';
import fc from 'fast-check';

import { MemoryStore } from '../../../storage/backends/memory.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { nextTurn, PASSWORD, StreamStage, type StreamPlayer } from '../../support/stream-stage.ts';

const JULIET = 'juliet@capulet.example';
const AGENT = `<user-agent id='d4565fa7-4d72-4749-b3d3-740edbf87770'/>`;
const BIND = `<bind xmlns='urn:xmpp:bind:0'><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>`;
const WELCOME = /<success .*?<\/success><stream:features>.*?<\/stream:features>/;

/** Everything that was sent has led to what it leads to. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await nextTurn();
}

/** A phone that keeps what it saw, and whether it saw something twice: live, or in the archive that it was shown. */
class Phone {
  readonly seen = new Map<number, number>();
  player: StreamPlayer | undefined;
  #id = '';
  #handled = 0;

  /** Reads what has come; what it never reads is lost with the connection. */
  read(): void {
    const { player } = this;
    if (player === undefined) return;
    const text = player.connection.sent;
    player.connection.sent = '';
    this.#handled += text.match(/<(?:message|presence|iq) /g)?.length ?? 0;
    for (const [, word] of text.matchAll(/<body>(\d+)<\/body>/g)) this.#see(Number(word));
    if (text.includes('<message ')) player.send(`<a xmlns='urn:xmpp:sm:3' h='${this.#handled}'/>`);
  }

  cut(): void {
    this.player?.connection.close(new Error('no signal'));
    this.player = undefined;
  }

  /** Comes back with everything in one request; takes from the archive what is there when it has to bind. */
  async enter(stage: StreamStage, resumes: boolean, stored: readonly number[]): Promise<void> {
    this.cut();
    await settle();
    const player = stage.connectSecurely();
    await player.open({ from: JULIET });
    const response = Buffer.from(`\0juliet\0${PASSWORD}`).toString('base64');
    const resume = resumes ? `<resume xmlns='urn:xmpp:sm:3' previd='${this.#id || 'none'}' h='${this.#handled}'/>` : '';
    player.send(
      `<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>${response}</initial-response>` +
        `${AGENT}${resume}${BIND}</authenticate>`,
    );
    const success = await player.until(WELCOME);
    this.player = player;
    if (success.includes('<resumed ')) return;
    this.#id = / id='([^']+)' resume=/.exec(success)?.[1] ?? '';
    this.#handled = 0;
    for (const word of stored) if (!this.seen.has(word)) this.#see(word);
    player.send('<presence/>');
  }

  #see(word: number): void {
    this.seen.set(word, (this.seen.get(word) ?? 0) + 1);
  }
}

describe('a phone that binds, resumes, loses its connection and its server', () => {
  it('sees every message once, whatever the order', async () => {
    const action = fc.constantFrom('send', 'send', 'read', 'cut', 'resume', 'bind', 'restart');
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 16 }), async (actions) => {
        const store = new MemoryStore();
        const clock = new ManualClock(Date.UTC(2026, 0, 1));
        let stage = await StreamStage.open({ store, clock });
        const writer = async (): Promise<StreamPlayer> => {
          const player = stage.connectSecurely();
          await player.enter('romeo', 'orchard');
          return player;
        };
        let romeo = await writer();
        const phone = new Phone();
        const stored: number[] = [];
        for (const kind of [...actions, 'resume', 'read']) {
          if (kind === 'send') {
            const word = stored.length + 1;
            romeo.send(`<message to='${JULIET}' type='chat' id='m${word}'><body>${word}</body></message>`);
            stored.push(word);
          } else if (kind === 'read') phone.read();
          else if (kind === 'cut') phone.cut();
          else if (kind === 'restart') {
            phone.cut();
            await settle();
            await stage.storage.commit.flush();
            await stage.core.table.saveCursors();
            await stage.core.saveSessions();
            stage = await StreamStage.open({ store, clock, people: [] });
            await stage.core.restoreSessions();
            romeo = await writer();
          } else await phone.enter(stage, kind === 'resume', stored);
          await settle();
        }
        expect([...phone.seen].sort(([one], [other]) => one - other)).to.deep.equal(stored.map((word) => [word, 1]));
      }),
      { numRuns: 40 },
    );
  });
});
