import { expect } from 'chai';
import { audit } from '../../../storage/audit/audit.ts';
import { accountScope, chatScope, WHOLE_STORE, type AuditScope } from '../../../storage/audit/scope.ts';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import { contactKey, positionKey, textKey } from '../../../storage/keys.ts';
import { decodeEntry, encodeEntry, type LogEntry } from '../../../storage/log-entry.ts';
import { chatKey } from '../../../storage/sequences.ts';
import { Stage, type Actor } from '../../support/core.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const JULIET = 'juliet@example.com';
const ROMEO = 'romeo@example.net';
const ABROAD = 'mercutio@example.org';

describe('an audit', () => {
  let store: MemoryStore;
  let stage: Stage;
  let juliet: Actor;
  let romeo: Actor;

  async function found(scope: AuditScope = WHOLE_STORE) {
    const result = await audit(store, { scope, nowMs: stage.clock.now() });
    return result.found.described;
  }

  async function faults(scope?: AuditScope): Promise<string[]> {
    return (await found(scope)).map(({ fault, owner }) => `${fault} ${owner}`);
  }

  async function entryAt(owner: string, index: number): Promise<LogEntry> {
    const entry = (await stage.storage.log.page(owner, { limit: 100 }))[index];
    if (entry === undefined) throw new Error(`${owner} has no entry ${index}`);
    return entry;
  }

  const put = (owner: string, entry: LogEntry): Promise<void> => {
    const key = positionKey('log', owner, entry.position);
    return store.write([{ type: 'put', key, value: encodeEntry(entry, '') }]);
  };

  /** Takes a message and its row away, as nothing of ours does. */
  const cut = async (owner: string, index: number): Promise<void> => {
    const { position, peer } = await entryAt(owner, index);
    await store.write([
      { type: 'delete', key: positionKey('log', owner, position) },
      { type: 'delete', key: contactKey(owner, peer, position) },
    ]);
  };

  beforeEach(async () => {
    store = new MemoryStore();
    stage = await Stage.open([ROMEO, JULIET], { store, clock: new ManualClock(Date.UTC(2026, 0, 1)) });
    juliet = await stage.actor(`${JULIET}/balcony`);
    romeo = await stage.actor(`${ROMEO}/orchard`);
    await juliet.enter();
    await romeo.enter();
    for (let n = 1; n <= 3; n++) {
      await juliet.send(`<message to='${ROMEO}' type='chat' id='j${n}'><body>j${n}</body></message>`);
      await romeo.send(`<message to='${JULIET}' type='chat' id='r${n}'><body>r${n}</body></message>`);
      await juliet.send(`<message to='${ABROAD}' type='chat' id='a${n}'><body>a${n}</body></message>`);
    }
    await juliet.send(`<message to='${JULIET}' type='chat' id='self'><body>note</body></message>`);
  });

  it('counts the accounts and chats it has read, and none for what is the server’s own', async () => {
    await stage.storage.serverKeys.secret('tokens', 32);
    const { accounts, chats } = await audit(store, { scope: WHOLE_STORE, nowMs: stage.clock.now() });
    expect({ accounts, chats }).to.deep.equal({ accounts: 2, chats: 3 });
  });

  it('passes over what was played', async () => {
    expect(await found()).to.deep.equal([]);
  });

  it('names a message that one side lacks', async () => {
    await cut(ROMEO, 2);
    expect(await faults()).to.deep.equal([`gap ${ROMEO}`]);
    const [finding] = await found(chatScope(JULIET, ROMEO));
    expect(finding).to.include({ owner: ROMEO, peer: JULIET, number: 3, position: (await entryAt(ROMEO, 1)).position });
    expect(finding?.found).to.include('no number 3').and.to.include('the other side has it');
    expect(await faults(accountScope(JULIET))).to.deep.equal([`gap ${ROMEO}`]);
  });

  it('names numbers that both sides lack, first and last among them', async () => {
    for (const index of [5, 2, 0])
      for (const owner of [JULIET, ROMEO]) {
        const entries = await stage.storage.log.page(owner, { limit: 100 });
        const ofChat = entries
          .filter(({ peer }) => peer === JULIET || peer === ROMEO)
          .filter(({ peer }) => peer !== owner);
        await cut(owner, entries.indexOf(ofChat[index]!));
      }
    expect((await found()).map(({ fault, number }) => [fault, number])).to.have.deep.members(
      [1, 3, 6, 1, 3, 6].map((number) => ['gap', number]),
    );
  });

  it('names a number that is there twice', async () => {
    await put(ROMEO, { ...(await entryAt(ROMEO, 2)), sequence: 2 });
    const [finding] = await found();
    expect(finding).to.include({ fault: 'order', owner: ROMEO, number: 2, expected: 'a number greater than 2' });
  });

  it('names a message that is not the same on both sides', async () => {
    const entry = await entryAt(ROMEO, 2);
    await put(ROMEO, { ...entry, stanza: entry.stanza.replace('j2', 'j9') });
    const [finding, ...more] = await found();
    expect(more).to.deep.equal([]);
    expect(finding).to.include({ fault: 'disagreement', peer: ROMEO, owner: JULIET, number: 3 });
    await put(ROMEO, { ...entry, flags: { ...entry.flags, sent: true } });
    expect((await found())[0]?.found).to.include('both sent it');
  });

  it('names what cannot be read and what nobody owns', async () => {
    const entry = await entryAt(JULIET, 2);
    await put(JULIET, { ...entry, stanza: entry.stanza.slice(0, -3) });
    expect(await faults()).to.deep.equal([`unreadable ${JULIET}`]);
    await put(JULIET, entry);
    await store.write([{ type: 'put', key: textKey('cursors', ROMEO), value: Uint8Array.of(1, 2) }]);
    expect((await found())[0]?.found)
      .to.include('cursors of romeo@example.net')
      .and.to.include('too early');
    await store.write([{ type: 'delete', key: textKey('cursors', ROMEO) }]);
    await store.write([{ type: 'delete', key: textKey('accounts', ROMEO) }]);
    expect(await faults()).to.include(`orphan ${ROMEO}`);
    await store.write([{ type: 'put', key: Uint8Array.of(0, 0, 99, 1), value: Uint8Array.of(1) }]);
    expect(await faults()).to.include('key ');
  });

  it('names a cursor from the future', async () => {
    await store.write(stage.storage.log.cursorWrites(ROMEO, (stage.clock.now() + 3 * 86_400_000) * 1000));
    expect(await faults()).to.deep.equal([`cursor ${ROMEO}`]);
  });

  it('mends index, counter and usage, and makes no message', async () => {
    await stage.storage.retention.usage(ROMEO);
    const { position } = await entryAt(ROMEO, 0);
    const record = textKey('archives', ROMEO);
    const usage = (await store.getMany([record]))[0]!;
    const [row] = await store.getMany([contactKey(ROMEO, JULIET, position)]);
    usage[16] = 77;
    await store.write([
      { type: 'delete', key: contactKey(ROMEO, JULIET, position) },
      { type: 'put', key: contactKey(ROMEO, ABROAD, 5), value: new Uint8Array() },
      ...stage.storage.sequences.putWrites(chatKey(JULIET, ROMEO), 4),
      { type: 'put', key: record, value: usage },
    ]);
    expect(await faults()).to.have.members([`index ${ROMEO}`, `index ${ROMEO}`, `usage ${ROMEO}`, `counter ${JULIET}`]);
    const before = await stage.storage.log.page(ROMEO, { limit: 100 });
    const options = { scope: WHOLE_STORE, nowMs: stage.clock.now() };
    const { mended, left } = await stage.storage.audits.repair(options);
    expect(mended).to.have.lengthOf(4);
    expect(left).to.include({ findings: 0, repaired: 4 });
    expect(await found()).to.deep.equal([]);
    expect(await stage.storage.log.page(ROMEO, { limit: 100 })).to.deep.equal(before);
    expect(await store.getMany([contactKey(ROMEO, JULIET, position)])).to.deep.equal([row]);
  });

  it('accepts what retention and erasure removed, on one side or both', async () => {
    const at = stage.clock.now();
    const half = (await entryAt(JULIET, 4)).position;
    await stage.storage.retention.trim(JULIET, { reason: 'age', before: half, maxBytes: Infinity }, at);
    expect(await found()).to.deep.equal([]);
    await stage.storage.retention.trim(ROMEO, { reason: 'erasure', before: Infinity, maxBytes: Infinity }, at);
    expect(await found()).to.deep.equal([]);
    const [removal] = await stage.storage.retention.removals(ROMEO);
    await store.write([{ type: 'delete', key: positionKey('removals', ROMEO, removal?.upTo ?? 0) }]);
    // What Juliet wrote still waits for Romeo, so it stayed in his log.
    expect((await found()).map(({ fault, owner, number }) => [fault, owner, number])).to.deep.equal(
      [2, 4, 6].map((number) => ['gap', ROMEO, number]),
    );
  });

  it('accepts what preferences left out, a retraction, and accounts that were removed and made again', async () => {
    const prefs = (by: string) =>
      `<iq id='p' type='set'><prefs xmlns='urn:xmpp:mam:2' default='${by}'><always/><never/></prefs></iq>`;
    await juliet.send(prefs('never'));
    await juliet.send(`<message to='${ROMEO}' type='chat' id='x'><body>unkept</body></message>`);
    await juliet.send(prefs('always'));
    await romeo.send(
      `<message to='${JULIET}' type='chat' id='y'><retract xmlns='urn:xmpp:message-retract:1' id='r2'/><body>gone</body></message>`,
    );
    expect(await found()).to.deep.equal([]);
    for (const jid of [JULIET, ROMEO]) {
      await stage.storage.accounts.remove(jid);
      expect(await found()).to.deep.equal([]);
      await stage.storage.accounts.create(jid, { createdAt: stage.clock.now(), disabled: false, credentials: {} });
      expect(await found()).to.deep.equal([]);
    }
  });

  it('shows the life of one message', async () => {
    const entry = await entryAt(ROMEO, 0);
    expect(decodeEntry(positionKey('log', ROMEO, entry.position), encodeEntry(entry, ''))).to.deep.equal(entry);
    const life = await stage.storage.audits.message(ROMEO, 'j1');
    expect(life).to.include({ number: 1, id: 'j1', from: `${JULIET}/balcony`, to: ROMEO });
    expect(life?.sides.map(({ owner, isSent, delivery }) => [owner, isSent, delivery])).to.deep.equal([
      [ROMEO, false, 'waits, or is not confirmed'],
      [JULIET, true, 'not for delivery'],
    ]);
    expect(await stage.storage.audits.message(ROMEO, entry.position)).to.deep.equal(life);
    expect(await stage.storage.audits.message(ROMEO, 'none')).to.equal(undefined);
  });
});
