import { expect } from 'chai';
import { Results, verdicts } from '../../bench/compare/results.ts';
import { HISTORY_OFF, type Goal, type Row } from '../../bench/compare/row.ts';
import { FULL } from '../../bench/compare/scale.ts';
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
    for (const cost of [90, 2, 1]) results.add(row, peer('posthorn'), { cost, speed: 1 });
    results.add(row, peer('prosody', 'installed'), { cost: 10, speed: 1 });
    results.add(row, peer('prosody'), { cost: 30, speed: 1 });
    expect(met(row, results)).to.deep.equal([true, false]);
  });

  it('turn the ratio round where more is better', () => {
    const goal = (times: number): Goal => ({ kind: 'ratio', figure: 'speed', server: 'ejabberd', times });
    const row = rowWith(goal(10), goal(11));
    const results = new Results();
    results.add(row, peer('posthorn'), { cost: 1, speed: 100 });
    results.add(row, peer('ejabberd'), { cost: 1, speed: 10 });
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
    results.add(row, peer('posthorn'), { cost: 10, speed: 5 });
    expect(met(row, results)).to.deep.equal([true, false, true, false]);
  });

  it('claim nothing where a server failed', () => {
    const row = rowWith({ kind: 'ratio', figure: 'cost', server: 'ejabberd', times: 2 });
    const results = new Results();
    results.add(row, peer('posthorn'), { cost: 1, speed: 1 });
    results.add(row, peer('ejabberd'), new Error('nothing was delivered'));
    expect(met(row, results)).to.deep.equal([undefined]);
  });
});
