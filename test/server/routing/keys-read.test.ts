import { expect } from 'chai';
import { KeysRead } from '../../../server/routing/keys-read.ts';
import type { StoredSendKey } from '../../../storage/send-keys.ts';
import { Stage } from '../../support/core.ts';

const sent = (position: number): StoredSendKey => ({ kind: 'sent', position, first: 1, second: 2, stream: undefined });
const positions = (keys: readonly StoredSendKey[]): number[] => keys.map(({ position }) => position);

describe('the keys of what an account sent, as read from the store', () => {
  it('reads what it has read once only, and lets go of what is too old', async () => {
    const stage = await Stage.open(['juliet@example.com']);
    const { account } = (await stage.actor('juliet@example.com/balcony')).session;
    const stored = [sent(10), sent(20)];
    const asked: number[] = [];
    const read = new KeysRead({
      load: (_owner, after) => {
        asked.push(after);
        return Promise.resolve(stored.filter(({ position }) => position > after));
      },
    });
    expect(positions(await read.load(account, 5))).to.deep.equal([10, 20]);
    stored.push(sent(30));
    expect(positions(await read.load(account, 5))).to.deep.equal([10, 20, 30]);
    expect(positions(await read.load(account, 10))).to.deep.equal([20, 30]);
    expect(positions(await read.load(account, 40))).to.deep.equal([]);
    expect(asked).to.deep.equal([5, 20, 30, 40]);
    read.forget(account);
    expect(positions(await read.load(account, 0))).to.deep.equal([10, 20, 30]);
  });
});
