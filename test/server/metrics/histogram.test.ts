import { expect } from 'chai';

import { Histogram } from '../../../server/metrics/histogram.ts';

describe('server/metrics/histogram', () => {
  it('counts a value under the first bound that is not below it', () => {
    const histogram = new Histogram([1, 10]);
    for (const value of [0, 1, 1.1, 10, 11]) histogram.observe(value);
    expect(histogram.counts).to.deep.equal([2, 2, 1]);
    expect(histogram.sum).to.be.closeTo(23.1, 1e-9);
  });
});
