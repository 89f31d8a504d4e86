import { expect } from 'chai';

import { FailureThrottle, type ThrottleOptions } from '../../../server/sasl/failure-throttle.ts';

const JULIET = 'juliet@capulet.lit';
const ROMEO = 'romeo@montague.lit';

/** A clock that stands still until it is told to go on. */
class FakeClock {
  #nowMs = 1_000_000;
  #sleepers: { readonly at: number; readonly wake: () => void }[] = [];

  monotonic(): number {
    return this.#nowMs;
  }

  schedule(delayMs: number, wake: () => void): () => void {
    this.#sleepers.push({ at: this.#nowMs + delayMs, wake });
    return () => undefined; // nothing here is ever cancelled
  }

  async advance(durationMs: number): Promise<void> {
    this.#nowMs += durationMs;
    const due = this.#sleepers.filter(({ at }) => at <= this.#nowMs);
    this.#sleepers = this.#sleepers.filter(({ at }) => at > this.#nowMs);
    for (const { wake } of due.sort((a, b) => a.at - b.at)) wake();
    await settle();
  }

  /** How long each sleeper still sleeps, in ms. */
  get remaining(): number[] {
    return this.#sleepers.map(({ at }) => at - this.#nowMs).sort((a, b) => a - b);
  }
}

/** Lets every promise that can settle do so. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

const SCHEDULE: ThrottleOptions = {
  freeFailures: { pair: 1, address: 3, account: 2 },
  baseDelayMs: 100,
  maxDelayMs: 1000,
  maxWaitMs: 2000,
  forgetAfterMs: 60_000,
};

function begin(options: ThrottleOptions = {}): { clock: FakeClock; throttle: FailureThrottle } {
  const clock = new FakeClock();
  return { clock, throttle: new FailureThrottle(clock, { ...SCHEDULE, ...options }) };
}

/** Fails and lets the answer out; returns how long it was held back, in ms. */
async function fail(clock: FakeClock, throttle: FailureThrottle, address: string, account: string): Promise<number> {
  const answered = throttle.failed(address, account);
  const heldMs = clock.remaining.at(-1) ?? 0;
  await clock.advance(heldMs);
  await answered;
  return heldMs;
}

/** What becomes of an attempt at this moment: judged, refused, or the wait in ms. */
async function attempt(
  clock: FakeClock,
  throttle: FailureThrottle,
  address: string,
  account: string,
): Promise<string | number> {
  const before = clock.remaining.length;
  let outcome: string | undefined;
  void Promise.resolve(throttle.admit(address, account)).then(
    (admitted) => (outcome = admitted ? 'judged' : 'refused'),
  );
  await settle();
  return outcome ?? clock.remaining[before] ?? NaN;
}

describe('FailureThrottle', () => {
  it('holds the answer to a failure back, longer each time, up to the most', async () => {
    const { clock, throttle } = begin();
    const held: number[] = [];
    for (let failure = 0; failure < 7; failure += 1) held.push(await fail(clock, throttle, '192.0.2.1', JULIET));
    expect(held).to.deep.equal([0, 100, 200, 400, 800, 1000, 1000]);
  });

  it('gives attempts of one address on one account turns, one after the other', async () => {
    const { clock, throttle } = begin();
    await fail(clock, throttle, '192.0.2.1', JULIET);
    await fail(clock, throttle, '192.0.2.1', JULIET);
    expect(await attempt(clock, throttle, '192.0.2.1', JULIET)).to.equal('judged');
    expect(await attempt(clock, throttle, '192.0.2.1', JULIET)).to.equal(100);
    expect(await attempt(clock, throttle, '192.0.2.1', JULIET)).to.equal(200);
    expect(await attempt(clock, throttle, '192.0.2.1', JULIET)).to.equal(300);
    await clock.advance(300);
    expect(throttle.waiting).to.equal(0);
  });

  it('refuses an attempt whose turn is too far away', async () => {
    const { clock, throttle } = begin({ baseDelayMs: 1000 });
    await fail(clock, throttle, '192.0.2.1', JULIET);
    await fail(clock, throttle, '192.0.2.1', JULIET);
    const outcomes = [];
    for (let i = 0; i < 5; i += 1) outcomes.push(await attempt(clock, throttle, '192.0.2.1', JULIET));
    expect(outcomes).to.deep.equal(['judged', 1000, 2000, 'refused', 'refused']);
  });

  it('never delays a correct login from another address, however often the account has failed', async () => {
    const { clock, throttle } = begin();
    for (let i = 0; i < 20; i += 1) await fail(clock, throttle, `192.0.2.${i}`, JULIET);
    expect(await attempt(clock, throttle, '198.51.100.7', JULIET)).to.equal('judged');
    throttle.succeeded('198.51.100.7', JULIET);
    expect(await attempt(clock, throttle, '198.51.100.7', JULIET)).to.equal('judged');
  });

  it('holds back the answer to a failure on an account that fails from everywhere', async () => {
    const { clock, throttle } = begin();
    const held: number[] = [];
    for (let i = 0; i < 5; i += 1) held.push(await fail(clock, throttle, `192.0.2.${i}`, JULIET));
    expect(held).to.deep.equal([0, 0, 100, 200, 400]);
  });

  it('slows an address that tries many accounts', async () => {
    const { clock, throttle } = begin();
    const held: number[] = [];
    for (let i = 0; i < 5; i += 1) held.push(await fail(clock, throttle, '192.0.2.1', `guess${i}@capulet.lit`));
    expect(held).to.deep.equal([0, 0, 0, 100, 200]);
    expect(await attempt(clock, throttle, '192.0.2.1', ROMEO)).to.equal('judged');
    expect(await attempt(clock, throttle, '192.0.2.1', ROMEO)).to.equal(200);
    expect(await attempt(clock, throttle, '192.0.2.2', ROMEO)).to.equal('judged');
  });

  it('lets an account that has logged in from an address pass its neighbours', async () => {
    const { clock, throttle } = begin();
    throttle.succeeded('192.0.2.1', ROMEO);
    for (let i = 0; i < 9; i += 1) await fail(clock, throttle, '192.0.2.1', JULIET);
    for (let i = 0; i < 3; i += 1) expect(await attempt(clock, throttle, '192.0.2.1', ROMEO)).to.equal('judged');
  });

  it("does not let a success clear the address' failures on other accounts", async () => {
    const { clock, throttle } = begin();
    const held: number[] = [];
    for (let i = 0; i < 5; i += 1) {
      held.push(await fail(clock, throttle, '192.0.2.1', `guess${i}@capulet.lit`));
      throttle.succeeded('192.0.2.1', 'tybalt@capulet.lit');
    }
    expect(held).to.deep.equal([0, 0, 0, 100, 200]);
  });

  it('clears the failures of an address on an account with a success', async () => {
    const { clock, throttle } = begin({ freeFailures: { pair: 1, address: 99, account: 99 } });
    await fail(clock, throttle, '192.0.2.1', JULIET);
    throttle.succeeded('192.0.2.1', JULIET);
    expect(await fail(clock, throttle, '192.0.2.1', JULIET)).to.equal(0);
    expect(await fail(clock, throttle, '192.0.2.1', JULIET)).to.equal(100);
  });

  it('forgets failures after a while', async () => {
    const { clock, throttle } = begin();
    for (let i = 0; i < 4; i += 1) await fail(clock, throttle, '192.0.2.1', JULIET);
    await clock.advance(59_000);
    expect(await fail(clock, throttle, '192.0.2.1', JULIET)).to.equal(800);
    await clock.advance(60_000);
    expect(await fail(clock, throttle, '192.0.2.1', JULIET)).to.equal(0);
  });

  it('counts an IPv6 address by its /64', async () => {
    const { clock, throttle } = begin();
    const held: number[] = [];
    for (let i = 1; i < 4; i += 1) held.push(await fail(clock, throttle, `2001:db8::${i}`, JULIET));
    expect(held).to.deep.equal([0, 100, 200]);
  });

  it('keeps a bounded number of records, whatever strangers send', async () => {
    const { throttle } = begin({ capacity: { pair: 10, address: 10, account: 10 } });
    for (let i = 0; i < 200; i += 1) await throttle.failed(`10.0.0.${i}`, `${'a'.repeat(500)}${i}@capulet.lit`);
    expect(throttle.size).to.equal(30);
  });

  it('holds back a bounded number; beyond it a failure is answered at once and an attempt refused', async () => {
    const { clock, throttle } = begin({ maxWaiting: 2 });
    for (let i = 0; i < 3; i += 1) await fail(clock, throttle, '192.0.2.1', JULIET);
    const held = [throttle.failed('192.0.2.1', JULIET), throttle.failed('192.0.2.1', JULIET)];
    expect(throttle.waiting).to.equal(2);
    await throttle.failed('192.0.2.1', JULIET);
    expect(await attempt(clock, throttle, '192.0.2.1', JULIET)).to.equal('refused');
    await clock.advance(1000);
    await Promise.all(held);
    expect(throttle.waiting).to.equal(0);
  });
});
