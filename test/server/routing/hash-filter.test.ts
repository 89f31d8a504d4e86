import { expect } from 'chai';
import fc from 'fast-check';
import { HashFilter } from '../../../server/routing/hash-filter.ts';

describe('the filter of hashes', () => {
  const hash = fc.integer({ min: 0, max: 0xffff_ffff });

  it('has what was added, and of what was not only what shares the place of 0', () => {
    fc.assert(
      fc.property(fc.array(hash, { maxLength: 300 }), hash, (added, other) => {
        const filter = new HashFilter();
        for (const one of added) filter.add(one);
        for (const one of added) expect(filter.mayHave(one)).to.equal(true);
        const places = new Set(added.map((one) => (one === 0 ? 1 : one)));
        expect(filter.size).to.equal(places.size);
        expect(filter.mayHave(other)).to.equal(places.has(other === 0 ? 1 : other));
      }),
    );
  });
});
