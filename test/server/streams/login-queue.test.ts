import { expect } from 'chai';
import { LoginQueue, type LoginKind, type LoginLimits } from '../../../server/streams/login-queue.ts';
import { StreamError } from '../../../stanzas/stream-error.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { silentLog } from '../../support/silent-log.ts';
import { nextTurn } from '../../support/stream-stage.ts';

const GENEROUS: LoginLimits = {
  loginsPerSecond: 0,
  loginsPerMinutePerAddress: 0,
  maxLoginsWaiting: 1000,
  loginWaitSeconds: 15,
};
const PER_TURN = 16;

describe('LoginQueue', () => {
  let clock: ManualClock;
  let jitter: number;
  let begun: string[];
  let refused: StreamError[];

  beforeEach(() => {
    clock = new ManualClock();
    jitter = 0;
    begun = [];
    refused = [];
  });

  const queueOf = (limits: Partial<LoginLimits> = {}): LoginQueue =>
    new LoginQueue({ limits: { ...GENEROUS, ...limits }, clock, log: silentLog, random: () => jitter });

  /** Somebody wants to log in; what becomes of it is in `begun` and `refused`. */
  function enter(queue: LoginQueue, name: string, kind: LoginKind = 'full', address = '192.0.2.1'): void {
    const note = (error: unknown): void => {
      if (!(error instanceof StreamError)) throw error;
      refused.push(error);
    };
    try {
      const turn = queue.enter(kind, address);
      if (turn === undefined) begun.push(name);
      else turn.then(() => void begun.push(name), note);
    } catch (error) {
      note(error);
    }
  }

  const fill = (queue: LoginQueue, count: number, kind: LoginKind = 'full', name = 'crowd'): void => {
    for (let n = 1; n <= count; n++) enter(queue, `${name} ${n}`, kind);
  };
  const retriesIn = (): (string | undefined)[] =>
    refused.map(({ application }) => /^<retry xmlns='urn:posthorn:retry:0' after='(\d+)'\/>$/.exec(application)?.[1]);

  it('makes nobody wait without a crowd', async () => {
    const queue = queueOf();
    for (let n = 0; n < 5; n++) {
      enter(queue, String(n));
      expect(begun).to.have.lengthOf(n + 1);
      await nextTurn();
    }
  });

  it('lets a few begin in each turn of the loop, in the order in which they came', async () => {
    const queue = queueOf();
    fill(queue, 3 * PER_TURN);
    expect(begun).to.have.lengthOf(PER_TURN);
    await nextTurn();
    expect(begun.length)
      .to.be.at.least(PER_TURN)
      .and.at.most(2 * PER_TURN);
    while (queue.waiting > 0) await nextTurn();
    await nextTurn();
    expect(begun).to.deep.equal(Array.from({ length: 3 * PER_TURN }, (_, n) => `crowd ${n + 1}`));
  });

  it('lets who returns begin before full logins, but keeps nobody out', async () => {
    const queue = queueOf();
    fill(queue, PER_TURN, 'full', 'first');
    fill(queue, 8, 'full', 'full');
    fill(queue, 64, 'return', 'return');
    while (queue.waiting > 0) await nextTurn();
    await nextTurn();
    const later = begun.slice(PER_TURN);
    const fulls = later.flatMap((name, place) => (name.startsWith('full') ? [place] : []));
    expect(fulls).to.have.lengthOf(8);
    // One in eight: not the first ones, and not the last ones either.
    expect(fulls[0]).to.be.at.least(1);
    for (const [index, place] of fulls.entries()) expect(place).to.be.within(8 * index, 8 * index + 8);
    expect(later.filter((name) => name.startsWith('return'))).to.deep.equal(
      Array.from({ length: 64 }, (_, n) => `return ${n + 1}`),
    );
  });

  it('lets no more begin than the rate over all allows', async () => {
    const queue = queueOf({ loginsPerSecond: 10 });
    fill(queue, 15);
    expect(begun).to.have.lengthOf(10);
    await nextTurn();
    expect(begun).to.have.lengthOf(10);
    clock.advance(200);
    await nextTurn();
    expect(begun).to.have.lengthOf(12);
    clock.advance(1000);
    await nextTurn();
    expect(begun).to.have.lengthOf(15);
    expect(clock.scheduled).to.equal(0);
  });

  it('tells one address that is too fast when to come back, and no other', () => {
    const queue = queueOf({ loginsPerMinutePerAddress: 3 });
    for (let n = 0; n < 4; n++) enter(queue, 'tybalt', 'full', '198.51.100.1');
    enter(queue, 'juliet', 'full', '192.0.2.1');
    enter(queue, 'nurse', 'full', '2001:db8::1');
    enter(queue, 'peter', 'full', '2001:db8::2');
    expect(begun).to.deep.equal(['tybalt', 'tybalt', 'tybalt', 'juliet', 'nurse', 'peter']);
    expect(refused[0]).to.have.property('condition', 'resource-constraint');
    expect(retriesIn()).to.deep.equal(['20']);
    clock.advance(20_000);
    enter(queue, 'tybalt again', 'full', '198.51.100.1');
    expect(begun.at(-1)).to.equal('tybalt again');
  });

  it('tells who finds the queue full when to come back: some at once, some later', () => {
    const queue = queueOf({ maxLoginsWaiting: 4, loginsPerSecond: 2 });
    fill(queue, 6);
    expect(begun).to.have.lengthOf(2);
    for (jitter of [0, 0.5, 1]) enter(queue, 'late');
    expect(retriesIn()).to.deep.equal(['5', '8', '10']);
    expect(refused[0]?.text).to.equal('Too many clients at the moment: come back in 5 seconds');
  });

  it('tells who has waited too long', async () => {
    const queue = queueOf({ loginsPerSecond: 1 });
    fill(queue, 20);
    clock.advance(14_999);
    queue.expire();
    await nextTurn();
    expect([begun.length, refused.length]).to.deep.equal([15, 0]);
    enter(queue, 'later');
    clock.advance(1);
    queue.expire();
    await nextTurn();
    expect(refused).to.have.lengthOf(5);
    expect(queue.waiting).to.equal(1);
    clock.advance(1000);
    await nextTurn();
    expect(begun.at(-1)).to.equal('later');
  });
});
