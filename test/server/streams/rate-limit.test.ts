import { expect } from 'chai';
import { RateLimit } from '../../../server/streams/rate-limit.ts';

describe('server/streams/rate-limit', () => {
  it('lets a burst pass, then holds to the rate', () => {
    const limit = new RateLimit(1000, 500, 0);
    expect(limit.spend(500, 0)).to.equal(0);
    expect(limit.spend(100, 0)).to.equal(100);
    expect(limit.spend(100, 100)).to.equal(100);
    expect(limit.spend(200, 400)).to.equal(0);
  });

  it('saves up no more than a burst, however long the silence', () => {
    const limit = new RateLimit(1000, 500, 0);
    expect(limit.spend(600, 3_600_000)).to.equal(100);
  });
});
