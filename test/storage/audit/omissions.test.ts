import { expect } from 'chai';
import fc from 'fast-check';
import { audit } from '../../../storage/audit/audit.ts';
import type { Finding } from '../../../storage/audit/finding.ts';
import { WHOLE_STORE } from '../../../storage/audit/scope.ts';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import { contactKey, ownerRange, positionKey } from '../../../storage/keys.ts';
import { decodeOmission, omissionsOf, type OmissionReason } from '../../../storage/omissions.ts';
import type { Write } from '../../../storage/ordered-store.ts';
import { Stage, type Actor } from '../../support/core.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const JULIET = 'juliet@example.com';
const ROMEO = 'romeo@example.net';
const ABROAD = 'mercutio@example.org';
const OFF = { POSTHORN_MESSAGES_HISTORY: 'off' };

describe('what a log never kept, and an audit', () => {
  let store: MemoryStore;
  let stage: Stage;
  let juliet: Actor;
  let romeo: Actor;
  let clock: ManualClock;
  let sent: number;

  const found = async (): Promise<readonly Finding[]> =>
    (await audit(store, { scope: WHOLE_STORE, nowMs: clock.now() })).found.described;
  const faults = async (): Promise<string[]> =>
    (await found()).map(({ fault, owner, number }) => `${fault} ${owner} ${number}`);

  /** The same store with another configuration, as after a restart. */
  async function begin(environment: Record<string, string> = {}, people: readonly string[] = []): Promise<void> {
    clock.advance(1000);
    stage = await Stage.open(people, { store, environment, clock });
    juliet = await stage.actor(`${JULIET}/balcony`);
    romeo = await stage.actor(`${ROMEO}/orchard`);
    await juliet.enter();
    await romeo.enter();
  }

  const say = (actor: Actor, to: string, count = 1): Promise<void[]> =>
    Promise.all(
      Array.from({ length: count }, () => {
        const n = ++sent;
        return actor.send(`<message to='${to}' type='chat' id='m${n}'><body>line ${n}</body></message>`);
      }),
    );
  const prefer = (actor: Actor, by: string, never = ''): Promise<void> =>
    actor.send(
      `<iq id='p' type='set'><prefs xmlns='urn:xmpp:mam:2' default='${by}'><always/><never>${never}</never></prefs></iq>`,
    );
  /** Everything is delivered, and what no archive keeps is gone from the logs. */
  async function deliver(): Promise<void> {
    for (const { session } of [juliet, romeo]) session.flushed(session.flushMark());
    await stage.core.table.saveCursors();
  }
  const numbersOf = async (owner: string, peer: string): Promise<(number | undefined)[]> =>
    (await stage.storage.log.page(owner, { limit: 1000 }))
      .filter((entry) => entry.peer === peer)
      .map((e) => e.sequence);
  const rangesOf = async (owner: string, peer: string): Promise<unknown[]> =>
    (await omissionsOf(store, owner, peer)).map(({ from, upTo, reason }) => [from, upTo, reason]);

  /** Takes a message and its row away, as nothing of ours does. */
  async function lose(owner: string, peer: string, number: number): Promise<Write[]> {
    const log = await stage.storage.log.page(owner, { limit: 1000 });
    const entry = log.find((one) => one.peer === peer && one.sequence === number);
    if (entry === undefined) throw new Error(`${owner} has no number ${number}`);
    const [log0, row] = [positionKey('log', owner, entry.position), contactKey(owner, peer, entry.position)];
    const values = await store.getMany([log0, row]);
    await store.write([log0, row].map((key) => ({ type: 'delete', key })));
    return [log0, row].flatMap((key, index) => {
      const value = values[index];
      return value === undefined ? [] : [{ type: 'put' as const, key, value }];
    });
  }

  /** Every message that is there is missed when it is not. */
  async function expectEachMissed(owner: string, peer: string): Promise<void> {
    for (const number of await numbersOf(owner, peer)) {
      const again = await lose(owner, peer, number!);
      expect(await faults(), `number ${number} of ${owner}`).to.deep.equal([`gap ${owner} ${number}`]);
      await store.write(again);
    }
    expect(await faults()).to.deep.equal([]);
  }

  /** Neither side has the third and the fourth of six messages, for this reason. */
  async function expectMiddleOmitted(reason: OmissionReason): Promise<void> {
    for (const [owner, peer] of [
      [JULIET, ROMEO],
      [ROMEO, JULIET],
    ] as const) {
      expect(await numbersOf(owner, peer)).to.deep.equal([1, 2, 5, 6]);
      expect(await rangesOf(owner, peer)).to.deep.equal([[3, 4, reason]]);
      await expectEachMissed(owner, peer);
    }
  }

  beforeEach(async () => {
    store = new MemoryStore();
    clock = new ManualClock(Date.UTC(2026, 0));
    sent = 0;
    await begin({}, [JULIET, ROMEO]);
  });

  it('costs nothing where everything is kept: the counter is as ever, and no other record is there', async () => {
    await say(juliet, ROMEO, 3);
    await say(romeo, JULIET, 2);
    const [[, counter] = []] = await store.page(ownerRange('sequences', JULIET), 2);
    expect([...counter!]).to.deep.equal([1, 0, 0, 0, 0, 0, 0, 0, 5]);
    expect(await store.page(ownerRange('omissions', JULIET), 1)).to.deep.equal([]);
    expect(await store.page(ownerRange('omissions', ROMEO), 1)).to.deep.equal([]);
  });

  it('keeps apart what the preferences of one side leave out, and what either side has lost', async () => {
    await say(juliet, ROMEO, 2);
    await prefer(juliet, 'never');
    await say(juliet, ROMEO, 2);
    await say(romeo, JULIET, 2);
    await prefer(juliet, 'always');
    await say(romeo, JULIET, 2);
    await deliver();
    expect(await numbersOf(JULIET, ROMEO)).to.deep.equal([1, 2, 7, 8]);
    expect(await rangesOf(JULIET, ROMEO)).to.deep.equal([[3, 6, 'preference']]);
    expect(await rangesOf(ROMEO, JULIET)).to.deep.equal([]);
    expect(await faults()).to.deep.equal([]);
    await expectEachMissed(JULIET, ROMEO);
    await expectEachMissed(ROMEO, JULIET);
  });

  it('has one record for each range, however many messages and batches are in it', async () => {
    await prefer(juliet, 'never');
    for (let n = 0; n < 20; n++) await say(n % 2 === 0 ? juliet : romeo, n % 2 === 0 ? ROMEO : JULIET, 5);
    await deliver();
    expect(await store.page(ownerRange('omissions', JULIET), 1)).to.deep.equal([]);
    expect(await faults()).to.deep.equal([]);
    await prefer(juliet, 'always');
    await say(juliet, ROMEO, 3);
    expect(await rangesOf(JULIET, ROMEO)).to.deep.equal([[1, 100, 'preference']]);
    const [entry] = await store.page(ownerRange('omissions', JULIET), 2);
    const [, , , { position } = { position: 0 }] = (await stage.storage.log.page(JULIET, { limit: 4 })).toReversed();
    expect(decodeOmission(...entry!).endedAt).to.be.greaterThan(position);
    await expectEachMissed(JULIET, ROMEO);
  });

  it('keeps apart the contacts of one side', async () => {
    await prefer(juliet, 'always', `<jid>${ROMEO}</jid>`);
    await say(juliet, ROMEO, 2);
    await say(juliet, ABROAD, 2);
    await stage.receive(`<message from='${ABROAD}/a' to='${JULIET}' type='chat'><body>x</body></message>`);
    await prefer(juliet, 'always', `<jid>${ABROAD}</jid>`);
    await say(juliet, ROMEO, 2);
    await say(juliet, ABROAD, 2);
    await prefer(juliet, 'always');
    await say(juliet, ABROAD);
    await deliver();
    expect(await rangesOf(JULIET, ROMEO)).to.deep.equal([[1, 2, 'preference']]);
    expect(await rangesOf(JULIET, ABROAD)).to.deep.equal([[4, 5, 'preference']]);
    for (const [owner, peer] of [
      [JULIET, ROMEO],
      [JULIET, ABROAD],
      [ROMEO, JULIET],
    ] as const)
      await expectEachMissed(owner, peer);
  });

  it('knows an unkept range over a restart, and when the chat was forgotten meanwhile', async () => {
    await prefer(juliet, 'never');
    await say(juliet, ROMEO, 2);
    await begin();
    await say(romeo, JULIET, 2);
    await deliver();
    expect(await faults()).to.deep.equal([]);
    await begin();
    await prefer(juliet, 'always');
    await say(juliet, ROMEO);
    expect(await rangesOf(JULIET, ROMEO)).to.deep.equal([[1, 4, 'preference']]);
    await expectEachMissed(ROMEO, JULIET);
    await expectEachMissed(JULIET, ROMEO);
  });

  it('keeps apart what another default of the server left out', async () => {
    await say(juliet, ROMEO, 2);
    await begin({ POSTHORN_ARCHIVE_DEFAULT: 'roster' });
    await say(juliet, ROMEO, 2);
    await deliver();
    await begin({ POSTHORN_ARCHIVE_DEFAULT: 'always' });
    await say(romeo, JULIET, 2);
    await deliver();
    await expectMiddleOmitted('preference');
  });

  it('keeps apart what came while there was no history', async () => {
    await say(juliet, ROMEO, 2);
    await begin(OFF);
    await say(juliet, ROMEO, 2); // neither stored nor numbered
    await romeo.leave();
    await say(juliet, ROMEO, 2); // numbered, since it waits
    await begin();
    expect(await faults(), 'while it waits').to.deep.equal([]);
    await deliver();
    await say(romeo, JULIET, 2);
    await deliver();
    await expectMiddleOmitted('history');
  });

  it('takes nothing for a message of another place when the clock was set back while the server was down', async () => {
    await prefer(romeo, 'never');
    await say(juliet, ROMEO);
    await say(romeo, JULIET); // in no log of his, but known if he sends it again
    await deliver();
    await prefer(romeo, 'always');
    clock = new ManualClock(Date.UTC(2025, 0));
    await begin();
    await say(juliet, ROMEO);
    await say(romeo, JULIET);
    await deliver();
    clock = new ManualClock(Date.UTC(2026, 0, 2));
    expect(await faults()).to.deep.equal([]);
  });

  it('knows why the last numbers are not kept, and misses what others have of them', async () => {
    await say(juliet, ROMEO, 2);
    await prefer(juliet, 'never');
    await say(juliet, ROMEO, 2);
    await deliver();
    expect(await rangesOf(JULIET, ROMEO)).to.deep.equal([]);
    await expectEachMissed(JULIET, ROMEO);
    await expectEachMissed(ROMEO, JULIET);
  });

  it('misses a message that waited and is not to be kept', async () => {
    await prefer(romeo, 'never');
    await deliver();
    await romeo.leave();
    await say(juliet, ROMEO, 4);
    expect(await faults()).to.deep.equal([]);
    for (const number of [2, 3, 4]) {
      const again = await lose(ROMEO, JULIET, number);
      expect(await faults()).to.deep.equal([`gap ${ROMEO} ${number}`]);
      await store.write(again);
    }
  });

  it('accepts what was under way when its sender was disabled, and what a disabled account did not get', async () => {
    await say(juliet, ROMEO, 2);
    await begin(); // the chat's number is read again, and that takes a moment
    const put = `<message to='${ROMEO}' type='chat' id='late'><body>late</body></message>`;
    stage.put(juliet.session, put);
    const account = stage.core.table.account(juliet.session.jid.toBare());
    account.state = 'disabled';
    await stage.settle();
    await stage.storage.accounts.update(JULIET, (record) => ({ ...record, disabled: true }));
    await romeo.send(`<message to='${JULIET}' type='chat'><body>refused</body></message>`);
    expect(await numbersOf(ROMEO, JULIET)).to.deep.equal([1, 2, 3]);
    expect(await numbersOf(JULIET, ROMEO)).to.deep.equal([1, 2]);
    expect(await faults()).to.deep.equal([]);
    for (const number of [1, 2]) {
      const again = await lose(JULIET, ROMEO, number);
      expect(await faults(), 'while it is disabled').to.deep.equal([`gap ${JULIET} ${number}`]);
      await store.write(again);
    }
    await stage.storage.accounts.update(JULIET, (record) => ({ ...record, disabled: false }));
    await begin();
    await say(juliet, ROMEO, 2);
    expect(await rangesOf(JULIET, ROMEO)).to.deep.equal([[3, 3, 'account']]);
    await expectEachMissed(JULIET, ROMEO);
    await expectEachMissed(ROMEO, JULIET);
  });

  it('accepts that what nobody sent is in the log of its recipient alone, also when that is gone', async () => {
    await say(juliet, ROMEO);
    await stage.receive(`<message from='${JULIET}' to='${ROMEO}' type='chat' id='op'><body>operator</body></message>`);
    await say(juliet, ROMEO);
    expect(await rangesOf(JULIET, ROMEO)).to.deep.equal([[2, 2, 'origin']]);
    await expectEachMissed(ROMEO, JULIET);
    const rule = { reason: 'erasure', before: Infinity, maxBytes: Infinity } as const;
    await deliver();
    await stage.storage.retention.trim(ROMEO, rule, clock.now());
    expect(await numbersOf(ROMEO, JULIET)).to.deep.equal([]);
    await expectEachMissed(JULIET, ROMEO);
  });

  it('drops the records that a removal explains, and they go with their account', async () => {
    for (let n = 0; n < 4; n++) {
      await prefer(juliet, 'never');
      await say(juliet, ROMEO, 2);
      await prefer(juliet, 'always');
      await say(juliet, ROMEO, 2);
    }
    expect(await rangesOf(JULIET, ROMEO)).to.have.lengthOf(4);
    const log = await stage.storage.log.page(JULIET, { limit: 100 });
    const before = log[4]!.position;
    await stage.storage.retention.trim(JULIET, { reason: 'age', before, maxBytes: Infinity }, clock.now());
    expect(await rangesOf(JULIET, ROMEO)).to.deep.equal([
      [9, 10, 'preference'],
      [13, 14, 'preference'],
    ]);
    expect(await faults()).to.deep.equal([]);
    await stage.storage.accounts.remove(JULIET);
    expect(await rangesOf(JULIET, ROMEO)).to.deep.equal([]);
    expect(await faults()).to.deep.equal([]);
    await stage.storage.accounts.create(JULIET, { createdAt: clock.now(), disabled: false, credentials: {} });
    expect(await faults()).to.deep.equal([]);
  });

  it('makes a number final also where nobody keeps its message', async () => {
    await prefer(juliet, 'never');
    await say(juliet, ABROAD, 2);
    await juliet.send(`<message to='${ABROAD}' type='chat'><body>without an id</body></message>`);
    expect(await stage.storage.sequences.load(`${JULIET} ${ABROAD}`)).to.equal(3);
    await begin();
    await prefer(juliet, 'always');
    await say(juliet, ABROAD);
    expect(await numbersOf(JULIET, ABROAD)).to.deep.equal([4]);
    expect(await rangesOf(JULIET, ABROAD)).to.deep.equal([[1, 3, 'preference']]);
    expect(await faults()).to.deep.equal([]);
  });

  it('whatever people prefer and the server is told to, names each message that is lost and nothing else', async () => {
    type Act = readonly ['say', 0 | 1, string] | readonly ['prefer', 0 | 1, string] | readonly ['begin', string];
    const who = fc.constantFrom(0 as const, 1 as const);
    const act: fc.Arbitrary<Act> = fc.oneof(
      { weight: 6, arbitrary: fc.tuple(fc.constant('say' as const), who, fc.constantFrom('other', 'self', 'abroad')) },
      {
        weight: 2,
        arbitrary: fc.tuple(fc.constant('prefer' as const), who, fc.constantFrom('always', 'never', 'roster')),
      },
      { weight: 1, arbitrary: fc.tuple(fc.constant('begin' as const), fc.constantFrom('on', 'off')) },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(act, { minLength: 1, maxLength: 25 }), fc.nat(), async (acts, choice) => {
        store = new MemoryStore();
        await begin({}, [JULIET, ROMEO]);
        for (const [name, ...rest] of acts) {
          if (name === 'begin') await begin({ POSTHORN_MESSAGES_HISTORY: rest[0] as string });
          else {
            const [index, text] = rest as [0 | 1, string];
            const actor = [juliet, romeo][index]!;
            const others = { other: [ROMEO, JULIET][index]!, self: [JULIET, ROMEO][index]!, abroad: ABROAD };
            if (name === 'prefer') await prefer(actor, text);
            else await say(actor, others[text as keyof typeof others]);
          }
        }
        await deliver();
        expect(await faults()).to.deep.equal([]);
        const kept: [string, string, number][] = [];
        for (const owner of [JULIET, ROMEO])
          for (const peer of [JULIET, ROMEO, ABROAD])
            for (const number of await numbersOf(owner, peer)) kept.push([owner, peer, number!]);
        const lost = kept[choice % Math.max(1, kept.length)];
        if (lost === undefined) return;
        await lose(...lost);
        expect(await faults()).to.deep.equal([`gap ${lost[0]} ${lost[2]}`]);
      }),
      { numRuns: 150, seed: 1597 },
    );
  });
});
