import { expect } from 'chai';
import { messageFate, type MessageFate } from '../../../server/routing/delivery.ts';
import { Jid } from '../../../stanzas/jid.ts';

// RFC 6121 8.5.4, table 1, transcribed. What we choose where it leaves a choice: O of O/E, E of S/E, M of M/A. D: to the
// resource addressed; M: to the most available; A: to all non-negative ones.
type Outcome = 'S' | 'E' | 'O' | 'D' | 'M' | 'A';
type Row = readonly [
  condition: Condition,
  to: To,
  normal: Outcome,
  chat: Outcome,
  groupchat: Outcome,
  headline: Outcome,
];
type Condition = 'no active resources' | 'only negative' | 'one non-negative' | 'several non-negative';
type To = 'bare' | 'full match' | 'full no match';

const TABLE: readonly Row[] = [
  ['no active resources', 'bare', 'O', 'O', 'E', 'S'],
  ['no active resources', 'full no match', 'E', 'O', 'E', 'E'],
  ['only negative', 'bare', 'O', 'O', 'E', 'S'],
  ['only negative', 'full match', 'D', 'D', 'D', 'D'],
  ['only negative', 'full no match', 'E', 'O', 'E', 'E'],
  ['one non-negative', 'bare', 'D', 'D', 'E', 'D'],
  ['one non-negative', 'full match', 'D', 'D', 'D', 'D'],
  ['one non-negative', 'full no match', 'E', 'D', 'E', 'E'],
  ['several non-negative', 'bare', 'M', 'M', 'E', 'A'],
  ['several non-negative', 'full match', 'D', 'D', 'D', 'D'],
  ['several non-negative', 'full no match', 'E', 'M', 'E', 'E'],
];

const resource = (name: string, priority: number | undefined) => ({
  jid: Jid.parse(`juliet@capulet.lit/${name}`),
  priority,
});
const RESOURCES: Record<Condition, ReturnType<typeof resource>[]> = {
  'no active resources': [],
  'only negative': [resource('balcony', -1)],
  'one non-negative': [resource('balcony', 1), resource('crypt', -1)],
  'several non-negative': [
    resource('balcony', 5),
    resource('chamber', 5),
    resource('orchard', 1),
    resource('crypt', -1),
  ],
};
const ADDRESS: Record<To, string> = {
  bare: 'juliet@capulet.lit',
  'full match': 'juliet@capulet.lit/balcony',
  'full no match': 'juliet@capulet.lit/garden',
};
const EXPECTED: Record<Exclude<Outcome, 'D' | 'M' | 'A'>, string> = { S: 'ignore', E: 'refuse', O: 'store' };

function described(fate: MessageFate<ReturnType<typeof resource>>): string {
  return fate.kind === 'deliver' ? fate.to.map(({ jid }) => jid.resource).join(' ') : fate.kind;
}

describe('RFC 6121 8.5.4: message delivery rules', () => {
  const types = ['normal', 'chat', 'groupchat', 'headline'] as const;
  for (const [condition, to, ...outcomes] of TABLE) {
    types.forEach((type, index) => {
      const outcome = outcomes[index]!;
      it(`${condition}, ${to}, ${type}: ${outcome}`, () => {
        const fate = messageFate(type, Jid.parse(ADDRESS[to]), RESOURCES[condition]);
        const expected =
          outcome === 'D'
            ? 'balcony'
            : outcome === 'M'
              ? 'balcony chamber'
              : outcome === 'A'
                ? 'balcony chamber orchard'
                : EXPECTED[outcome];
        expect(described(fate)).to.equal(expected);
      });
    });
  }

  it('8.5.2.1.1: an error to a bare JID is ignored', () => {
    for (const resources of Object.values(RESOURCES)) {
      expect(messageFate('error', Jid.parse(ADDRESS.bare), resources).kind).to.equal('ignore');
    }
  });

  it('8.5.3.1: an error to a resource that is there is delivered; 8.5.3.2.1: to one that is not, ignored', () => {
    expect(described(messageFate('error', Jid.parse(ADDRESS['full match']), RESOURCES['only negative']))).to.equal(
      'balcony',
    );
    expect(messageFate('error', Jid.parse(ADDRESS['full no match']), RESOURCES['one non-negative']).kind).to.equal(
      'ignore',
    );
  });

  it('8.5.3.1: a connected resource without presence gets what is addressed to it, and nothing else', () => {
    const connected = [resource('balcony', undefined)];
    expect(described(messageFate('chat', Jid.parse(ADDRESS['full match']), connected))).to.equal('balcony');
    expect(messageFate('chat', Jid.parse(ADDRESS.bare), connected).kind).to.equal('store');
  });
});
