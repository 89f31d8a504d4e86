import { expect } from 'chai';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { Jid } from '../../../stanzas/jid.ts';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import type { Key } from '../../../storage/ordered-store.ts';
import { ScramClient } from '../../support/scram-client.ts';
import { bindRequest, header, nextTurn, PASSWORD, StreamStage, type StreamPlayer } from '../../support/stream-stage.ts';

const SASL = `xmlns='urn:ietf:params:xml:ns:xmpp-sasl'`;
const MECHANISM = 'SCRAM-SHA-256';
const HOME = '192.0.2.1';
const ELSEWHERE = '198.51.100.7';

/** Counts what is read by name. */
class CountingStore extends MemoryStore {
  reads = 0;

  override getMany(keys: readonly Key[]): Promise<readonly (Uint8Array | undefined)[]> {
    this.reads++;
    return super.getMany(keys);
  }
}

const contentOf = (element: string): string => />([^<]*)</.exec(element)?.[1] ?? '';

describe('an account that was asked for lately', () => {
  let store: CountingStore;
  let stage: StreamStage;

  beforeEach(async () => {
    store = new CountingStore();
    stage = await StreamStage.open({ store });
  });

  /** Asks for a challenge; how many reads that took, and what proves the password. */
  async function challenged(
    username: string,
    address: string,
  ): Promise<{ client: StreamPlayer; reads: number; response: string }> {
    const client = stage.connectSecurely({ address });
    await client.open();
    const scram = new ScramClient({ username, password: PASSWORD, mechanism: MECHANISM });
    const before = store.reads;
    client.send(`<auth ${SASL} mechanism='${MECHANISM}'>${scram.first()}</auth>`);
    const challenge = contentOf(await client.until(/<challenge [^>]*>[^<]*<\/challenge>/));
    const reads = store.reads - before;
    return { client, reads, response: `<response ${SASL}>${scram.respond(challenge)}</response>` };
  }

  it('is there at once for who logs in again, not for a stranger: that would tell who was here (RFC 6120 6.5.10)', async () => {
    const first = await challenged('juliet', HOME);
    first.client.send(first.response);
    await first.client.until(/<success [^>]*>/);
    expect((await challenged('juliet', HOME)).reads).to.equal(0);

    const reads: number[] = [];
    for (const name of ['juliet', 'juliet', 'romeo', 'romeo', 'rosaline', 'rosaline']) {
      reads.push((await challenged(name, ELSEWHERE)).reads);
    }
    expect(reads).to.deep.equal([1, 1, 1, 1, 1, 1]);
  });

  it('lets its client do everything in one turn that it sends without waiting, in the order of RFC 6120', async () => {
    const first = await challenged('juliet', HOME);
    first.client.send(first.response);
    await first.client.until(/<success [^>]*>/);
    // The account is loaded as well.
    first.client.send(header() + bindRequest('garden'));
    await first.client.until(/<jid>/);

    const ping = `<iq id='ping' type='get' to='capulet.example'><ping xmlns='urn:xmpp:ping'/></iq>`;
    const rest = header() + bindRequest('balcony') + '<presence/>' + ping;
    for (let cut = 0; cut < rest.length; cut += 7) {
      const { client, response } = await challenged('juliet', HOME);
      client.send(response + rest.slice(0, cut));
      client.send(rest.slice(cut));
      await client.until(
        /^<success [^>]*>[^<]*<\/success><\?xml[^>]*><stream:stream [^>]*><stream:features>.*<\/stream:features><iq [^>]*id='bind' type='result'.*id='ping'/,
      );
      client.send('</stream:stream>');
      await nextTurn();
    }
  });

  it('keeps nothing of the address by which it was asked for but its name', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const ask = async (from: number, to: number): Promise<void> => {
      for (let index = from; index < to; index++) {
        const stranger = Jid.parse(`nobody-${index}@capulet.example/${'x'.repeat(1000)}`);
        await stage.core.table.account(stranger).loaded;
      }
      for (let turn = 0; turn < 3; turn++) await nextTurn(); // who does not exist is forgotten by the table
      collectGarbage();
    };
    await ask(0, 100);
    const before = process.memoryUsage().heapUsed;
    await ask(100, 8100);
    expect(process.memoryUsage().heapUsed - before).to.be.below(6_000_000); // 8 MB of resourceparts
  });
});
