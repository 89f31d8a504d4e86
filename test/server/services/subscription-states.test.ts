import { expect } from 'chai';
import {
  inbound,
  outbound,
  type SubscriptionState,
  type Transition,
} from '../../../server/services/subscription-states.ts';

const REQUEST = `<presence xmlns='jabber:client' from='romeo@example.net' type='subscribe'/>`;
const AGAIN = `<presence xmlns='jabber:client' from='romeo@example.net' id='again' type='subscribe'/>`;

/** RFC 6121 A.1: the nine states, by the names the tables use. */
const STATES = {
  None: { subscription: 'none', ask: false, request: undefined, approved: false },
  'None + Pending Out': { subscription: 'none', ask: true, request: undefined, approved: false },
  'None + Pending In': { subscription: 'none', ask: false, request: REQUEST, approved: false },
  'None + Pending Out+In': { subscription: 'none', ask: true, request: REQUEST, approved: false },
  To: { subscription: 'to', ask: false, request: undefined, approved: false },
  'To + Pending In': { subscription: 'to', ask: false, request: REQUEST, approved: false },
  From: { subscription: 'from', ask: false, request: undefined, approved: false },
  'From + Pending Out': { subscription: 'from', ask: true, request: undefined, approved: false },
  Both: { subscription: 'both', ask: false, request: undefined, approved: false },
} as const satisfies Record<string, SubscriptionState>;

type StateName = keyof typeof STATES;
/** Existing state, whether the stanza is routed or delivered, new state where it changes. */
type Row = readonly [existing: StateName, passes: 'MUST' | 'M.N.' | 'S.N.', next: StateName | 'no state change'];

function expectRow({ state, isChanged, passes }: Transition, [existing, may, next]: Row): void {
  expect(passes, 'routed or delivered').to.equal(may === 'MUST');
  expect(isChanged, 'changed').to.equal(next !== 'no state change');
  expect(state).to.deep.equal(STATES[next === 'no state change' ? existing : next]);
}

function covers(rows: readonly Row[]): void {
  it('has a row for each of the nine states', () => {
    expect(rows.map(([existing]) => existing)).to.have.members(Object.keys(STATES));
  });
}

describe('RFC 6121 A.2: outbound subscription stanzas', () => {
  describe('Table 2: subscribe', () => {
    const rows: readonly Row[] = [
      ['None', 'MUST', 'None + Pending Out'],
      ['None + Pending Out', 'MUST', 'no state change'],
      ['None + Pending In', 'MUST', 'None + Pending Out+In'],
      ['None + Pending Out+In', 'MUST', 'no state change'],
      ['To', 'MUST', 'no state change'],
      ['To + Pending In', 'MUST', 'no state change'],
      ['From', 'MUST', 'From + Pending Out'],
      ['From + Pending Out', 'MUST', 'no state change'],
      ['Both', 'MUST', 'no state change'],
    ];
    covers(rows);
    for (const row of rows) {
      it(`${row[0]}: ${row[1]} route, ${row[2]}`, () => expectRow(outbound('subscribe', STATES[row[0]]), row));
    }
  });

  describe('Table 3: unsubscribe', () => {
    const rows: readonly Row[] = [
      ['None', 'MUST', 'no state change'],
      ['None + Pending Out', 'MUST', 'None'],
      ['None + Pending In', 'MUST', 'no state change'],
      ['None + Pending Out+In', 'MUST', 'None + Pending In'],
      ['To', 'MUST', 'None'],
      ['To + Pending In', 'MUST', 'None + Pending In'],
      ['From', 'MUST', 'no state change'],
      ['From + Pending Out', 'MUST', 'From'],
      ['Both', 'MUST', 'From'],
    ];
    covers(rows);
    for (const row of rows) {
      it(`${row[0]}: ${row[1]} route, ${row[2]}`, () => expectRow(outbound('unsubscribe', STATES[row[0]]), row));
    }
  });

  describe('Table 4: subscribed', () => {
    const preApproving: readonly StateName[] = ['None', 'None + Pending Out', 'To'];
    const rows: readonly Row[] = [
      ['None + Pending In', 'MUST', 'From'],
      ['None + Pending Out+In', 'MUST', 'From + Pending Out'],
      ['To + Pending In', 'MUST', 'Both'],
      ['From', 'M.N.', 'no state change'],
      ['From + Pending Out', 'M.N.', 'no state change'],
      ['Both', 'M.N.', 'no state change'],
    ];
    for (const row of rows) {
      it(`${row[0]}: ${row[1]} route, ${row[2]}`, () => expectRow(outbound('subscribed', STATES[row[0]]), row));
    }
    for (const name of preApproving) {
      it(`${name}: M.N. route, pre-approval [1]`, () => {
        const { state, isChanged, passes } = outbound('subscribed', STATES[name]);
        expect(state).to.deep.equal({ ...STATES[name], approved: true });
        expect({ isChanged, passes }).to.deep.equal({ isChanged: true, passes: false });
      });
    }
    it('3.4.2: a second pre-approval changes nothing', () => {
      expect(outbound('subscribed', { ...STATES.None, approved: true })).to.include({
        isChanged: false,
        passes: false,
      });
    });
  });

  describe('Table 5: unsubscribed', () => {
    const rows: readonly Row[] = [
      ['None', 'S.N.', 'no state change'],
      ['None + Pending Out', 'S.N.', 'no state change'],
      ['None + Pending In', 'MUST', 'None'],
      ['None + Pending Out+In', 'MUST', 'None + Pending Out'],
      ['To', 'S.N.', 'no state change'],
      ['To + Pending In', 'MUST', 'To'],
      ['From', 'MUST', 'None'],
      ['From + Pending Out', 'MUST', 'None + Pending Out'],
      ['Both', 'MUST', 'To'],
    ];
    covers(rows);
    for (const row of rows) {
      it(`${row[0]}: ${row[1]} route, ${row[2]}`, () => expectRow(outbound('unsubscribed', STATES[row[0]]), row));
    }
    for (const name of ['None', 'None + Pending Out', 'To'] as const) {
      it(`${name}: cancels a pre-approval without being routed [1] (3.2.2, rule 2)`, () => {
        const { state, isChanged, passes } = outbound('unsubscribed', { ...STATES[name], approved: true });
        expect(state).to.deep.equal(STATES[name]);
        expect({ isChanged, passes }).to.deep.equal({ isChanged: true, passes: false });
      });
    }
  });
});

describe('RFC 6121 A.3: inbound subscription stanzas', () => {
  describe('Table 6: subscribe', () => {
    const rows: readonly Row[] = [
      ['None', 'MUST', 'None + Pending In'],
      ['None + Pending Out', 'MUST', 'None + Pending Out+In'],
      ['None + Pending In', 'S.N.', 'no state change'],
      ['None + Pending Out+In', 'S.N.', 'no state change'],
      ['To', 'MUST', 'To + Pending In'],
      ['To + Pending In', 'S.N.', 'no state change'],
      ['From', 'S.N.', 'no state change'],
      ['From + Pending Out', 'S.N.', 'no state change'],
      ['Both', 'S.N.', 'no state change'],
    ];
    const autoReplied: readonly StateName[] = ['From', 'From + Pending Out', 'Both'];
    covers(rows);
    for (const row of rows) {
      const reply = autoReplied.includes(row[0]) ? 'subscribed' : undefined;
      it(`${row[0]}: ${row[1]} deliver, ${row[2]}${reply === undefined ? '' : ', auto-reply [2]'}`, () => {
        const transition = inbound('subscribe', REQUEST, STATES[row[0]]);
        expectRow(transition, row);
        expect(transition.reply).to.equal(reply);
      });
    }
    it('3.1.3, rule 4: the first of several requests is the one that is kept', () => {
      expect(inbound('subscribe', AGAIN, STATES['To + Pending In']).state.request).to.equal(REQUEST);
    });
    for (const [existing, next] of [
      ['None', 'From'],
      ['None + Pending Out', 'From + Pending Out'],
      ['To', 'Both'],
    ] as const) {
      it(`${existing}, pre-approved: auto-reply and ${next} [1], undelivered, the approval kept (3.4.2)`, () => {
        const transition = inbound('subscribe', REQUEST, { ...STATES[existing], approved: true });
        expect(transition.state).to.deep.equal({ ...STATES[next], approved: true });
        expect(transition).to.include({ isChanged: true, passes: false, reply: 'subscribed' });
      });
    }
  });

  describe('Table 7: unsubscribe', () => {
    const rows: readonly Row[] = [
      ['None', 'S.N.', 'no state change'],
      ['None + Pending Out', 'S.N.', 'no state change'],
      ['None + Pending In', 'MUST', 'None'],
      ['None + Pending Out+In', 'MUST', 'None + Pending Out'],
      ['To', 'S.N.', 'no state change'],
      ['To + Pending In', 'MUST', 'To'],
      ['From', 'MUST', 'None'],
      ['From + Pending Out', 'MUST', 'None + Pending Out'],
      ['Both', 'MUST', 'To'],
    ];
    covers(rows);
    for (const row of rows) {
      // Deviation, by 3.3.3: a stranger who takes a request back is not told that there was somebody to ask.
      const reply = row[1] === 'MUST' && row[0] !== 'None + Pending In' ? 'unsubscribed' : undefined;
      it(`${row[0]}: ${row[1]} deliver, ${row[2]}${reply === undefined ? '' : ', auto-reply [1]'}`, () => {
        const transition = inbound('unsubscribe', REQUEST, STATES[row[0]]);
        expectRow(transition, row);
        expect(transition.reply).to.equal(reply);
      });
    }
  });

  describe('Table 8: subscribed', () => {
    const rows: readonly Row[] = [
      ['None', 'S.N.', 'no state change'],
      ['None + Pending Out', 'MUST', 'To'],
      ['None + Pending In', 'S.N.', 'no state change'],
      ['None + Pending Out+In', 'MUST', 'To + Pending In'],
      ['To', 'S.N.', 'no state change'],
      ['To + Pending In', 'S.N.', 'no state change'],
      ['From', 'S.N.', 'no state change'],
      ['From + Pending Out', 'MUST', 'Both'],
      ['Both', 'S.N.', 'no state change'],
    ];
    covers(rows);
    for (const row of rows) {
      it(`${row[0]}: ${row[1]} deliver, ${row[2]}`, () => {
        const transition = inbound('subscribed', REQUEST, STATES[row[0]]);
        expectRow(transition, row);
        expect(transition.reply).to.equal(undefined);
      });
    }
  });

  describe('Table 9: unsubscribed', () => {
    const rows: readonly Row[] = [
      ['None', 'S.N.', 'no state change'],
      ['None + Pending Out', 'MUST', 'None'],
      ['None + Pending In', 'S.N.', 'no state change'],
      ['None + Pending Out+In', 'MUST', 'None + Pending In'],
      ['To', 'MUST', 'None'],
      ['To + Pending In', 'MUST', 'None + Pending In'],
      ['From', 'S.N.', 'no state change'],
      ['From + Pending Out', 'MUST', 'From'],
      ['Both', 'MUST', 'From'],
    ];
    covers(rows);
    for (const row of rows) {
      it(`${row[0]}: ${row[1]} deliver, ${row[2]}`, () => {
        const transition = inbound('unsubscribed', REQUEST, STATES[row[0]]);
        expectRow(transition, row);
        expect(transition.reply).to.equal(undefined);
      });
    }
    it('4.3.2, rule 1: leaves a pre-approval alone', () => {
      expect(inbound('unsubscribed', REQUEST, { ...STATES.To, approved: true }).state.approved).to.equal(true);
    });
  });

  it('A.1: somebody who is not in the roster is in state "None"', () => {
    expect(inbound('subscribe', REQUEST).state).to.deep.equal(STATES['None + Pending In']);
    expect(outbound('subscribe').state).to.deep.equal(STATES['None + Pending Out']);
  });
});
