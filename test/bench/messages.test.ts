import { expect } from 'chai';
import { MessageCheck, MessageRun } from '../../bench/load/messages.ts';

/** Scans as a connection would hand it over: the piece at the front of a larger buffer with something older behind it. */
function scan(check: MessageCheck, piece: Buffer): number {
  return check.scan(Buffer.concat([piece, Buffer.from('~00000099')]), piece.length);
}

describe('the load generator’s messages', () => {
  it('are numbered in their id and in their body', () => {
    const text = new MessageRun(7, 3).take(41, 2, true).toString();
    expect([...text.matchAll(/ id='[0-9a-f]{8}-(\d{8})'/g)].map(([, number]) => number)).to.deep.equal([
      '00000041',
      '00000042',
    ]);
    expect(text.match(/~\d{8}/g)).to.deep.equal(['~00000041', '~00000042']);
    expect(text.match(/to='u7@localhost'/g)).to.have.length(2);
  });

  it('have an id of their own in every run', () => {
    const [one, other] = [0, 1].map(() => new MessageRun(7, 1).take(0, 1, true).toString());
    expect(one).to.not.equal(other);
  });

  it('do not change bytes that are still on their way', () => {
    const run = new MessageRun(7, 1);
    const first = run.take(1, 1, true);
    run.take(2, 1, false);
    expect(first.toString()).to.contain('~00000001');
  });

  it('cannot be more than were prepared', () => {
    expect(() => new MessageRun(7, 3).take(0, 4, true)).to.throw(RangeError);
  });
});

describe('the load generator’s check', () => {
  const three = Buffer.from(new MessageRun(7, 3).take(0, 3, true));

  it('counts messages wherever the stream is cut', () => {
    for (let cut = 0; cut <= three.length; cut++) {
      const check = new MessageCheck();
      const count = scan(check, three.subarray(0, cut)) + scan(check, three.subarray(cut));
      expect(count, `cut at ${cut}`).to.equal(3);
    }
  });

  it('counts messages that come a byte at a time', () => {
    const check = new MessageCheck();
    for (const byte of three) scan(check, Buffer.of(byte));
    expect(check.next).to.equal(3);
  });

  for (const [fault, numbers] of [
    ['lost', [0, 2]],
    ['repeated', [0, 0]],
    ['out of order', [1, 0]],
  ] as const) {
    it(`finds a message that is ${fault}`, () => {
      const run = new MessageRun(7, 1);
      const bytes = Buffer.concat(numbers.map((number) => Buffer.from(run.take(number, 1, true))));
      expect(() => scan(new MessageCheck(), bytes)).to.throw(/lost, repeated or out of order/);
    });
  }
});
