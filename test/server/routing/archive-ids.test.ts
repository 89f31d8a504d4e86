import { expect } from 'chai';
import fc from 'fast-check';
import { ArchiveIds, type ExpectedId } from '../../../server/routing/archive-ids.ts';

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

  // XEP-0313 3.2: an id stays its message's. Clients keep the last they have seen and ask for what is behind it.
  it('are those that earlier versions have given out', () => {
    const given: [string, number, string][] = [
      [JULIET, 1700000000000000, 'NLEUnCsh7S4_voPlc9gxeg'],
      ['giuliettaè@忍.example', 42, 'MfI8zMtDvGPSSSXlpTkJig'],
      ['🌹@capulet.example', 4294967296, 'gvBU2eiAYSvShGn0HIoCJg'],
    ];
    const expected = given.map(([owner, position]) => ids.expect(owner, position));
    for (const [index, [owner, position, id]] of given.entries()) {
      expect(ids.idOf(owner, position)).to.equal(id);
      expect(ids.expected(expected[index]!)).to.equal(id);
    }
  });

  it('keep to their owner and position whatever is asked for in between', () => {
    const step = fc.oneof(
      fc.record({ owner: fc.string({ unit: 'binary' }), position: fc.nat({ max: Number.MAX_SAFE_INTEGER }) }),
      fc.nat(),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 800, size: 'max' }), (steps) => {
        const all: { owner: string; position: number; id: ExpectedId }[] = [];
        for (const next of steps) {
          if (typeof next !== 'number') {
            all.push({ ...next, id: ids.expect(next.owner, next.position) });
            continue;
          }
          const asked = all[next % Math.max(1, all.length)];
          if (asked === undefined) continue;
          const id = ids.expected(asked.id);
          expect(ids.positionOf(asked.owner, id)).to.equal(asked.position);
          expect(id).to.equal(ids.idOf(asked.owner, asked.position));
        }
        for (const { owner, position, id } of all) expect(ids.expected(id)).to.equal(ids.idOf(owner, position));
      }),
      { numRuns: 8 },
    );
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
