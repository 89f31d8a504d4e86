import { expect } from 'chai';
import { Results, verdicts } from '../../bench/compare/results.ts';
import { HISTORY_OFF, type Goal, type Row } from '../../bench/compare/row.ts';
import { FULL } from '../../bench/compare/scale.ts';
import { readings } from '../../bench/compare/text-report.ts';
import type { Peer, ServerName, Tuning } from '../../bench/peers/peer.ts';

function peer(name: ServerName, tuning: Tuning = 'tuned'): Peer {
  return {
    name,
    tuning,
    configuration: '',
    version: () => '1',
    durabilityOf: () => '',
    start: () => Promise.reject(new Error('is not started here')),
  };
}

function rowWith(...goals: Goal[]): Row {
  return {
    id: 'row',
    title: 'a row',
    note: '',
    setting: HISTORY_OFF,
    isFresh: false,
    figures: () => [
      { key: 'cost', label: 'cost', better: 'less' },
      { key: 'speed', label: 'speed', better: 'more' },
    ],
    goals: () => goals,
    users: () => 0,
    measure: () => Promise.resolve({}),
  };
}

function met(row: Row, results: Results): (boolean | undefined)[] {
  return verdicts(row, results, FULL).map(({ isMet }) => isMet);
}

describe('the results of a comparison', () => {
  it('count the median of the rounds, and the better of two tunings', () => {
    const goal = (times: number): Goal => ({ kind: 'ratio', figure: 'cost', server: 'prosody', times });
    const row = rowWith(goal(5), goal(5.1));
    const results = new Results();
    // The machine was slow in the first round.
    [90, 2, 1].forEach((cost, round) => results.add(row, peer('posthorn'), round, { cost, speed: 1 }));
    [450, 10, 30].forEach((cost, round) => results.add(row, peer('prosody'), round, { cost, speed: 1 }));
    results.add(row, peer('prosody', 'installed'), 0, { cost: 900, speed: 1 });
    expect(met(row, results)).to.deep.equal([true, false]);
    expect(results.medians(row, 'prosody', FULL)).to.deep.equal({ cost: 30, speed: 1 });
  });

  it('hold a server against the less favourable of its tunings', () => {
    const goal = (times: number): Goal => ({ kind: 'ratio', figure: 'cost', server: 'prosody', times });
    const row = rowWith(goal(4), goal(4.1));
    const results = new Results();
    results.add(row, peer('posthorn'), 0, { cost: 1, speed: 1 });
    results.add(row, peer('prosody'), 0, { cost: 5, speed: 1 });
    results.add(row, peer('prosody', 'installed'), 0, { cost: 4, speed: 1 });
    expect(met(row, results)).to.deep.equal([true, false]);
  });

  it('compare no rounds of which one failed', () => {
    const row = rowWith({ kind: 'ratio', figure: 'cost', server: 'prosody', times: 2 });
    const results = new Results();
    results.add(row, peer('posthorn'), 0, new Error('a message was lost'));
    results.add(row, peer('posthorn'), 1, { cost: 1, speed: 1 });
    results.add(row, peer('prosody'), 0, { cost: 1, speed: 1 });
    results.add(row, peer('prosody'), 1, { cost: 2, speed: 1 });
    expect(met(row, results)).to.deep.equal([true]);
  });

  it('hold another Node.js to a limit of its own', () => {
    const limit = { kind: 'limit', figure: 'cost', atMost: 10 } as const;
    const row = rowWith(limit, { ...limit, atMost: 20, variant: 'Node.js 24' });
    const results = new Results();
    results.add(row, { ...peer('posthorn'), variant: 'Node.js 24' }, 0, { cost: 15, speed: 1 });
    expect(met(row, results)).to.deep.equal([undefined, true]);
  });

  it('turn the ratio round where more is better', () => {
    const goal = (times: number): Goal => ({ kind: 'ratio', figure: 'speed', server: 'ejabberd', times });
    const row = rowWith(goal(10), goal(11));
    const results = new Results();
    results.add(row, peer('posthorn'), 0, { cost: 1, speed: 100 });
    results.add(row, peer('ejabberd'), 0, { cost: 1, speed: 10 });
    expect(met(row, results)).to.deep.equal([true, false]);
  });

  it('hold Posthorn to limits, and to its own growth', () => {
    const row = rowWith(
      { kind: 'limit', figure: 'cost', atMost: 10 },
      { kind: 'limit', figure: 'cost', atMost: 9 },
      { kind: 'growth', figure: 'cost', base: 'speed', atMost: 2 },
      { kind: 'growth', figure: 'cost', base: 'speed', atMost: 1.9 },
    );
    const results = new Results();
    results.add(row, peer('posthorn'), 0, { cost: 10, speed: 5 });
    expect(met(row, results)).to.deep.equal([true, false, true, false]);
  });

  it('read out how each peer compares where no goal says so, but for what was not measured', () => {
    const results = new Results();
    const row = rowWith({ kind: 'limit', figure: 'cost', atMost: 1 });
    results.add(row, peer('posthorn'), 0, { cost: 1, speed: 1 });
    results.add(row, { ...peer('posthorn'), variant: 'Node.js 24' }, 0, { cost: 1, speed: 1 });
    results.add(row, peer('prosody'), 0, { cost: 3, speed: 4 });
    results.add(row, peer('ejabberd'), 0, { cost: 0.5 });
    expect(readings(row, results, FULL)).to.deep.equal([
      'cost: 3 times better than prosody, 2 times worse than ejabberd',
      'speed: 4 times worse than prosody',
    ]);
    const held = rowWith({ kind: 'ratio', figure: 'cost', server: 'prosody', times: 2 });
    expect(readings(held, results, FULL)).to.deep.equal([]);
  });

  it('claim nothing where a server failed', () => {
    const row = rowWith({ kind: 'ratio', figure: 'cost', server: 'ejabberd', times: 2 });
    const results = new Results();
    results.add(row, peer('posthorn'), 0, { cost: 1, speed: 1 });
    results.add(row, peer('ejabberd'), 0, new Error('nothing was delivered'));
    expect(met(row, results)).to.deep.equal([undefined]);
  });
});
