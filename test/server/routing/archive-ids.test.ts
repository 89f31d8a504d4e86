import { expect } from 'chai';
import fc from 'fast-check';
import { ArchiveIds } from '../../../server/routing/archive-ids.ts';

const JULIET = 'juliet@capulet.example';

describe('archive ids', () => {
  const ids = new ArchiveIds(new Uint8Array(16).fill(7));

  it('lead back to their position, in their own archive alone', () => {
    fc.assert(
      fc.property(fc.nat({ max: Number.MAX_SAFE_INTEGER }), fc.string(), (position, owner) => {
        const id = ids.idOf(owner, position);
        expect(id).to.match(/^[\w-]{22}$/);
        expect(ids.positionOf(owner, id)).to.equal(position);
        expect(ids.positionOf(`${owner}x`, id)).to.equal(undefined);
      }),
    );
  });

  it('tell nothing: neighbours have nothing in common, and another key makes others', () => {
    const [one = '', other = ''] = [1, 2].map((position) => ids.idOf(JULIET, position));
    const same = Array.from(one).filter((character, index) => character === other[index]);
    expect(same.length).to.be.lessThan(6);
    const elsewhere = new ArchiveIds(new Uint8Array(16).fill(8));
    expect(elsewhere.idOf(JULIET, 1)).to.not.equal(one);
    expect(elsewhere.positionOf(JULIET, one)).to.equal(undefined);
  });

  it('are the same where they were expected, whenever they are asked for', () => {
    const expected = Array.from({ length: 600 }, (_, position) => ({
      position,
      id: ids.expect(JULIET, position),
      early: position % 100 === 5 ? ids.expected(ids.expect(JULIET, position)) : undefined,
    }));
    for (const { position, id, early } of expected.toReversed()) {
      expect(ids.expected(id)).to.equal(ids.idOf(JULIET, position));
      if (early !== undefined) expect(early).to.equal(ids.expected(id));
    }
  });

  it('are nothing else: whatever is no id stands for nothing', () => {
    const id = ids.idOf(JULIET, 42);
    for (const wrong of [
      '',
      'x',
      `${id}A`,
      id.slice(1),
      id.slice(0, -1) + '=',
      id.slice(0, -1) + '*',
      'A'.repeat(22),
    ]) {
      expect(ids.positionOf(JULIET, wrong), wrong).to.equal(undefined);
    }
  });
});
