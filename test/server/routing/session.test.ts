import { expect } from 'chai';

import { Stanza } from '../../../stanzas/stanza.ts';
import { Stage } from '../../support/core.ts';

const LAST = 2 ** 32 - 1;

describe('the queue of a session', () => {
  for (const [what, header] of [
    ['ids', { id: 'i'.repeat(100_000) }],
    ['types', { type: 't'.repeat(100_000) }],
  ] as const) {
    it(`is bounded in bytes, those of ${what} among them`, async () => {
      const stage = await Stage.open(['juliet@example.com']);
      const { session } = await stage.actor('juliet@example.com/balcony');
      session.startAcknowledging();
      const stanza = Stanza.create('message', { to: session.jid, ...header });
      for (let n = 0; n < 9; n++) session.deliver(stanza);
      expect(session.isOver).to.equal(false);
      for (let n = 0; n < 2; n++) session.deliver(stanza); // a million bytes
      expect(session.isOver).to.equal(true);
    });
  }
});

describe('a session whose counters pass 2^32 (XEP-0198 4)', () => {
  it('takes acknowledgements across it, sends again what is left, and refuses more than was sent', async () => {
    const stage = await Stage.open(['juliet@example.com']);
    const juliet = await stage.actor('juliet@example.com/balcony');
    const { session } = juliet;
    const stanza = (id: string): Stanza => Stanza.create('message', { to: session.jid, id });
    session.restore({
      handled: LAST,
      confirmed: LAST - 1,
      unconfirmed: [{ stanza: stanza('m1'), position: undefined }],
    });
    for (const id of ['m2', 'm3']) session.deliver(stanza(id));
    expect(session.sent).to.equal(1);
    expect(session.acknowledge(2)).to.equal(false);
    expect(session.acknowledge(LAST - 2)).to.equal(false);
    expect(session.unconfirmedCount).to.equal(3);
    expect(session.acknowledge(LAST)).to.equal(true);
    expect(session.unconfirmedCount).to.equal(2);
    juliet.take();
    session.attach(session.stream!);
    expect(juliet.take().map((bytes) => / id='(\w+)'/.exec(bytes)?.[1])).to.deep.equal(['m2', 'm3']);
    expect(session.acknowledge(1)).to.equal(true);
    expect([session.unconfirmedCount, session.queue.confirmed]).to.deep.equal([0, 1]);

    expect(session.inbound.handled).to.equal(LAST);
    session.inbound.begin().settle();
    expect(session.inbound.handled).to.equal(0);
  });
});
