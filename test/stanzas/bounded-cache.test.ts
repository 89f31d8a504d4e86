import { expect } from 'chai';
import fc from 'fast-check';
import { BoundedCache } from '../../stanzas/bounded-cache.ts';

interface Person {
  readonly name: string;
}

describe('BoundedCache', () => {
  const person = (name: string): Person => ({ name });

  it('gives back what was set, the latest for a key', () => {
    const cache = new BoundedCache<string, Person>(4);
    expect(cache.get('juliet')).to.equal(undefined);
    cache.set('juliet', person('Juliet'));
    cache.set('juliet', person('Juliet Capulet'));
    expect(cache.get('juliet')).to.deep.equal(person('Juliet Capulet'));
    expect(cache.size).to.equal(1);
  });

  it('never holds more than its capacity, and always what was set last', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 9 }),
        fc.array(fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 20 })), { maxLength: 200 }),
        (capacity, steps) => {
          const cache = new BoundedCache<number, Person>(capacity);
          const latest = new Map<number, Person>();
          for (const [isSet, key] of steps) {
            if (isSet) {
              const value = person(String(key));
              cache.set(key, value);
              latest.set(key, value);
              expect(cache.get(key)).to.equal(value);
            } else {
              const found = cache.get(key);
              if (found !== undefined) expect(found).to.equal(latest.get(key)); // never a value that was replaced
            }
            expect(cache.size).to.be.at.most(capacity);
          }
        },
      ),
    );
  });

  it('keeps what is asked for while others pass', () => {
    const cache = new BoundedCache<string, Person>(4);
    cache.set('juliet', person('Juliet'));
    for (let index = 0; index < 100; index++) {
      cache.set(`guest ${index}`, person('guest'));
      expect(cache.get('juliet')).to.deep.equal(person('Juliet'));
    }
    expect(cache.get('guest 0')).to.equal(undefined);
  });

  it('refuses a capacity it could not keep', () => {
    for (const capacity of [1, 0, -1, 2.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => new BoundedCache(capacity)).to.throw(RangeError);
    }
  });
});
