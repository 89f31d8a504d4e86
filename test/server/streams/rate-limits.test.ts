import { expect } from 'chai';
import { RateLimits } from '../../../server/streams/rate-limits.ts';

describe('RateLimits', () => {
  it('gives what the bucket holds, then as fast as it fills, and says how long that takes', () => {
    const limits = new RateLimits({ perMs: 0.01, burst: 2 });
    expect([limits.take('verona', 0), limits.take('verona', 0)]).to.deep.equal([0, 0]);
    expect(limits.take('verona', 0)).to.equal(100);
    expect(limits.waitMs('verona', 40)).to.be.closeTo(60, 1e-6);
    expect(limits.take('verona', 101)).to.equal(0);
    expect(limits.take('verona', 101)).to.be.closeTo(99, 1e-6);
  });

  it('keeps one bucket for each key, none of which holds more than its burst', () => {
    const limits = new RateLimits({ perMs: 1, burst: 2 });
    expect([limits.take('verona', 0), limits.take('mantua', 0)]).to.deep.equal([0, 0]);
    for (const expected of [0, 0, 1]) expect(limits.take('verona', 1_000_000)).to.equal(expected);
  });

  it('takes no more memory than it has room for', () => {
    const limits = new RateLimits({ perMs: 0.001, burst: 1 });
    for (let n = 0; n < 30_000; n++) limits.take(`198.51.100.${n}`, n);
    expect(limits.size).to.equal(20_000);
  });
});
