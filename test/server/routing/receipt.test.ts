import { expect } from 'chai';
import { InboundLedger } from '../../../server/routing/receipt.ts';

describe('inbound ledger', () => {
  it('counts an unbroken run only: what is behind something unsettled is not acknowledged', () => {
    const ledger = new InboundLedger(100);
    const [first, second] = [ledger.begin(), ledger.begin()];
    second.settle();
    expect(ledger.handled).to.equal(0);
    first.settle();
    expect(ledger.handled).to.equal(2);
  });

  it('answers a request behind what came before it, and in its place', () => {
    const ledger = new InboundLedger(100);
    const first = ledger.begin();
    let h: number | undefined;
    ledger.whenReached(() => (h = ledger.handled));
    ledger.begin().settle();
    expect(h).to.equal(undefined);
    first.settle();
    expect(h).to.equal(1);
    expect(ledger.handled).to.equal(2);
  });

  it('counts a stanza once however often it is settled', () => {
    const ledger = new InboundLedger(100);
    const receipt = ledger.begin();
    receipt.settle();
    receipt.settle();
    expect([ledger.handled, ledger.outstanding]).to.deep.equal([1, 0]);
  });

  it('does not count what was sent before counting started', () => {
    const ledger = new InboundLedger(100);
    const early = ledger.begin();
    ledger.restartCount();
    const late = ledger.begin();
    early.settle();
    late.settle();
    expect(ledger.handled).to.equal(1);
  });

  it('calls for a pause above the mark and gives relief at half of it', () => {
    const ledger = new InboundLedger(4);
    const receipts = [1, 2, 3, 4].map(() => ledger.begin());
    expect(ledger.isAboveMark).to.equal(true);
    let relieved = false;
    ledger.onRelief = () => (relieved = true);
    receipts[0]!.settle();
    expect(relieved).to.equal(false);
    receipts[1]!.settle();
    expect(relieved).to.equal(true);
  });

  it('knows what will be handled once the batch that closes is committed: an unbroken run of what is in it', () => {
    const ledger = new InboundLedger(100);
    const receipts = Array.from({ length: 5 }, () => ledger.begin());
    receipts[0]!.settle();
    receipts[1]!.batched();
    ledger.whenReached(() => undefined);
    receipts[2]!.settle();
    receipts[4]!.batched();
    expect(ledger.handled).to.equal(1);
    expect(ledger.handledOnceCommitted).to.equal(3);
    ledger.restore(2 ** 32 - 1);
    expect(ledger.handledOnceCommitted).to.equal(1);
  });
});
