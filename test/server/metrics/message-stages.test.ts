import { expect } from 'chai';

import { MessageStages } from '../../../server/metrics/message-stages.ts';
import { ManualClock } from '../../support/manual-clock.ts';

describe('server/metrics/message-stages', () => {
  it('measures the first message and one of 17 from then on', () => {
    const stages = new MessageStages(new ManualClock());
    const measured = Array.from({ length: 35 }, () => stages.begin(0) !== undefined);
    expect(measured.flatMap((is, index) => (is ? [index] : []))).to.deep.equal([0, 17, 34]);
  });

  it('measures each stage from when the message was read, and writing when output is flushed', () => {
    const clock = new ManualClock();
    const stages = new MessageStages(clock);
    const message = stages.begin(clock.monotonic())!;
    clock.advance(2);
    message.reached('routed');
    clock.advance(3);
    message.reached('committed');
    message.leaves();
    expect(stages.seconds.written.sum).to.equal(0);
    clock.advance(5);
    stages.flushed();
    stages.flushed();
    expect(stages.seconds.routed.sum).to.be.closeTo(0.002, 1e-9);
    expect(stages.seconds.committed.sum).to.be.closeTo(0.005, 1e-9);
    expect(stages.seconds.written.sum).to.be.closeTo(0.01, 1e-9);
    expect(stages.seconds.handled.sum).to.equal(0);
  });
});
