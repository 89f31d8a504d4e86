import { expect } from 'chai';
import { nextKey } from '../../storage/ordered-store.ts';

describe('nextKey', () => {
  it('is greater than the key, with no other key between them', () => {
    expect([...nextKey(Uint8Array.of(1, 2))]).to.deep.equal([1, 2, 0]);
    expect([...nextKey(Uint8Array.of(0xff))]).to.deep.equal([0xff, 0]);
  });
});
