import { expect } from 'chai';
import { RandomSource } from '../../server/random-source.ts';

describe('random source', () => {
  it('gives out no byte twice, across refills', () => {
    const random = new RandomSource();
    const pieces = new Set<string>();
    for (let index = 0; index < 2000; index++) pieces.add(random.bytes(8 + (index % 3)).toString('hex', 0, 8));
    expect(pieces.size).to.equal(2000);
  });

  it('leaves the caller bytes that nobody else changes', () => {
    const random = new RandomSource();
    const first = random.bytes(16);
    const before = first.toString('hex');
    for (let index = 0; index < 1000; index++) random.bytes(16);
    expect(first.toString('hex')).to.equal(before);
    expect(before).to.not.equal('00'.repeat(16));
  });

  it('gives as many bytes as are asked for, be it more than it holds', () => {
    const random = new RandomSource();
    for (const length of [0, 1, 4095, 4096, 4097, 100_000]) expect(random.bytes(length)).to.have.length(length);
  });

  it('makes ids of 144 bits that can stand in an attribute, and fractions below 1', () => {
    const random = new RandomSource();
    const ids = Array.from({ length: 1000 }, () => random.id());
    expect(new Set(ids).size).to.equal(1000);
    for (const id of ids) expect(id).to.match(/^[A-Za-z0-9_-]{24}$/);
    for (let index = 0; index < 1000; index++) expect(random.fraction()).to.be.within(0, 1 - 2 ** -32);
  });
});
