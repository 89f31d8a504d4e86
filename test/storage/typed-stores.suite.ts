import { expect } from 'chai';
import { AccountExistsError, AccountUnknownError } from '../../storage/accounts.ts';
import type { Account, AccountRecord, ScramKeys } from '../../storage/accounts.ts';
import { DocumentLimitError } from '../../storage/documents.ts';
import {
  contactKey,
  omissionKey,
  OWNER_TABLES,
  ownerRange,
  positionKey,
  shardOf,
  textKey,
} from '../../storage/keys.ts';
import { omissionsOf, omissionWrite } from '../../storage/omissions.ts';
import type { LogEntry } from '../../storage/message-log.ts';
import { StoreError } from '../../storage/ordered-store.ts';
import type { Key, OrderedStore } from '../../storage/ordered-store.ts';
import type { RosterItem } from '../../storage/rosters.ts';
import type { SavedSession } from '../../storage/resumptions.ts';
import { chatKey, shardOfChat } from '../../storage/sequences.ts';
import { storageOver } from '../../storage/storage.ts';
import type { Storage } from '../../storage/storage.ts';
import type { OpenedStore } from './ordered-store.suite.ts';

const JULIET = 'juliet@capulet.example';
const ROMEO = 'romeo@montague.example';
const NURSE = 'nurse@capulet.example';

/** What the typed stores must do over every backend. */
export function typedStoresSuite(name: string, open: () => Promise<OpenedStore>): void {
  describe(`typed stores over ${name}`, () => {
    let opened: OpenedStore;
    let store: OrderedStore;
    let storage: Storage;

    beforeEach(async () => {
      opened = await open();
      store = opened.store;
      storage = storageOver(store);
    });

    afterEach(async () => {
      await storage.close();
      await opened.dispose();
    });

    /** Puts what no Posthorn has written, and expects `read` to say so in words. */
    async function expectCorrupt(
      key: Key,
      value: Uint8Array,
      words: string,
      read: () => Promise<unknown>,
    ): Promise<void> {
      await store.write([{ type: 'put', key, value }]);
      const error = await read().catch((reason: unknown) => reason);
      expect(error, Buffer.from(value).toString('hex')).to.be.instanceOf(StoreError).with.property('code', 'corrupt');
      expect((error as StoreError).message).to.include(words);
    }

    /** Every beginning of a value, and the value with a byte too many. */
    async function expectEveryCutCorrupt(key: Key, words: string, read: () => Promise<unknown>): Promise<void> {
      const [whole] = await store.getMany([key]);
      if (whole === undefined) throw new Error('there is no value to cut');
      await read();
      for (let length = 0; length < whole.length; length++) {
        await expectCorrupt(key, whole.subarray(0, length), words, read);
      }
      await expectCorrupt(key, Buffer.concat([whole, Buffer.of(0)]), words, read);
      const unknownFormat = Buffer.from(whole);
      unknownFormat[0] = 99;
      await expectCorrupt(key, unknownFormat, words, read);
    }

    describe('resumptions', () => {
      it('keeps how much of a session is handled, and forgets what is old', async () => {
        const { resumptions, commit } = storage;
        await commit.write(resumptions.handledWrites(JULIET, 'old', { handled: 3, at: 1000 }));
        await commit.write(resumptions.handledWrites(JULIET, 'young', { handled: 2 ** 32 - 1, at: 2000 }));
        await commit.write(resumptions.handledWrites(ROMEO, 'old', { handled: 4, at: 999 }));
        expect(await resumptions.handled(JULIET, 'old')).to.deep.equal({ handled: 3, at: 1000 });
        expect(await resumptions.handled(ROMEO, 'young')).to.equal(undefined);
        await resumptions.forgetHandledBefore(2000);
        expect(await resumptions.handled(JULIET, 'old')).to.equal(undefined);
        expect(await resumptions.handled(ROMEO, 'old')).to.equal(undefined);
        expect(await resumptions.handled(JULIET, 'young')).to.deep.equal({ handled: 2 ** 32 - 1, at: 2000 });
        await commit.write(resumptions.forgetHandledWrites(JULIET, 'young'));
        expect(await resumptions.handled(JULIET, 'young')).to.equal(undefined);
      });

      it('keeps sessions of every account until they are removed', async () => {
        const { resumptions, commit } = storage;
        const saved = [
          savedSession(JULIET, 'one'),
          { ...savedSession(JULIET, 'two'), presence: undefined, priority: 0, unconfirmed: [], slots: new Map() },
          savedSession(ROMEO, 'three'),
        ];
        await commit.write(saved.flatMap((session) => resumptions.saveSessionWrites(session)));
        const found = async (): Promise<SavedSession[]> => {
          const sessions = [];
          for await (const session of resumptions.savedSessions((error) => expect.fail(String(error)))) {
            sessions.push(session);
          }
          return sessions.sort(
            (one, other) => saved.findIndex(({ id }) => id === one.id) - saved.findIndex(({ id }) => id === other.id),
          );
        };
        expect(await found()).to.deep.equal(saved);
        await commit.write(resumptions.removeSessionWrites(JULIET, 'one'));
        expect((await found()).map(({ id }) => id)).to.deep.equal(['two', 'three']);
      });

      it('passes over, and removes, a session it cannot read', async () => {
        const { resumptions, commit } = storage;
        await commit.write(resumptions.saveSessionWrites(savedSession(JULIET, 'whole')));
        const [value] = await store.getMany([textKey('sessions', JULIET, 'whole')]);
        await store.write([{ type: 'put', key: textKey('sessions', JULIET, 'cut'), value: value!.subarray(0, 40) }]);
        for (const expected of [
          ['whole', 1],
          ['whole', 0],
        ] as const) {
          const ids: string[] = [];
          const errors: unknown[] = [];
          for await (const { id } of resumptions.savedSessions((error) => errors.push(error))) ids.push(id);
          expect(ids).to.deep.equal([expected[0]]);
          expect(errors).to.have.length(expected[1]);
        }
      });
    });

    describe('accounts', () => {
      it('returns what was created, with all its keys', async () => {
        await storage.accounts.create(JULIET, account());
        expect(await storage.accounts.get(JULIET)).to.deep.equal(account());
        expect(await storage.accounts.get(ROMEO)).to.equal(undefined);
        const bare: AccountRecord = { createdAt: 0, disabled: true, credentials: {} };
        await storage.accounts.create(ROMEO, bare);
        expect(await storage.accounts.get(ROMEO)).to.deep.equal(bare);
      });

      it('creates a name once, were it asked twice at a time', async () => {
        const outcomes = await Promise.allSettled([
          storage.accounts.create(JULIET, account(1)),
          storage.accounts.create(JULIET, account(2)),
        ]);
        expect(outcomes.map(({ status }) => status)).to.deep.equal(['fulfilled', 'rejected']);
        const error = await storage.accounts.create(JULIET, account(3)).catch((reason: unknown) => reason);
        expect(error).to.be.instanceOf(AccountExistsError);
        expect((await storage.accounts.get(JULIET))?.createdAt).to.equal(1);
      });

      it('imports many, leaves those that exist and says which', async () => {
        await storage.accounts.create('citizen7@verona.example', account(1));
        const many = citizens(450);
        many.push({ jid: 'citizen3@verona.example', record: account(99) });
        expect(await storage.accounts.createMany(many)).to.deep.equal([
          'citizen7@verona.example',
          'citizen3@verona.example',
        ]);
        expect(await storage.accounts.count()).to.equal(450);
        expect((await storage.accounts.get('citizen7@verona.example'))?.createdAt).to.equal(1);
        expect((await storage.accounts.get('citizen3@verona.example'))?.createdAt).to.equal(1003);
        expect(await storage.accounts.createMany([])).to.deep.equal([]);
      });

      it('updates from what is there, one change after the other', async () => {
        await storage.accounts.create(JULIET, account(0));
        const increment = (record: AccountRecord): AccountRecord => ({ ...record, createdAt: record.createdAt + 1 });
        await Promise.all(Array.from({ length: 5 }, () => storage.accounts.update(JULIET, increment)));
        expect((await storage.accounts.get(JULIET))?.createdAt).to.equal(5);
        const error = await storage.accounts.update(ROMEO, increment).catch((reason: unknown) => reason);
        expect(error).to.be.instanceOf(AccountUnknownError);
        expect(await storage.accounts.get(ROMEO)).to.equal(undefined);
      });

      it('lists every account once, page by page, and those of one domain', async () => {
        await storage.accounts.createMany([...citizens(300), { jid: JULIET, record: account(1) }]);
        const all: Account[] = [];
        for (let after: string | undefined; ; after = all.at(-1)?.jid) {
          const page = await storage.accounts.list({ after, limit: 70 });
          expect(page.length).to.be.at.most(70);
          if (page.length === 0) break;
          all.push(...page);
        }
        expect(all.map(({ jid }) => jid).toSorted()).to.deep.equal(
          [...citizens(300).map(({ jid }) => jid), JULIET].toSorted(),
        );
        expect(all.find(({ jid }) => jid === JULIET)?.record).to.deep.equal(account(1));
        const capulets = await storage.accounts.list({ domain: 'capulet.example', limit: 10 });
        expect(capulets.map(({ jid }) => jid)).to.deep.equal([JULIET]);
        expect(await storage.accounts.list({ domain: 'example', limit: 10 })).to.deep.equal([]);
        expect(await storage.accounts.count('verona.example')).to.equal(300);
        expect(await storage.accounts.count()).to.equal(301);
      });

      it('removes an account with everything it owns, and nothing of anybody else', async () => {
        for (const owner of [JULIET, NURSE]) await fill(storage, owner);
        expect(await storage.accounts.remove(JULIET)).to.be.true;
        expect(await storage.accounts.remove(JULIET)).to.be.false;
        // One record stays: why the numbers of its chats begin late for who takes the name again.
        expect((await storage.retention.removals(JULIET)).map(({ reason, count }) => [reason, count])).to.deep.equal([
          ['account', 0],
        ]);
        for (const table of OWNER_TABLES) {
          expect(await store.page(ownerRange(table, JULIET), 10), table).to.have.lengthOf(table === 'removals' ? 1 : 0);
          expect(await store.page(ownerRange(table, NURSE), 10), table).to.not.be.empty;
        }
        // The other side of the chat still has the messages: the numbers go on.
        expect(await storage.sequences.load(chatKey(JULIET, ROMEO))).to.equal(3);
      });

      it('refuses to store keys that cannot be right', async () => {
        const right = keys(32);
        const wrong: ScramKeys[] = [
          { ...right, salt: new Uint8Array() },
          { ...right, iterations: 0 },
          { ...right, storedKey: new Uint8Array(20) },
          { ...right, serverKey: new Uint8Array(31) },
        ];
        for (const flawed of wrong) {
          const record = { createdAt: 1, disabled: false, credentials: { 'SHA-256': flawed } };
          const error = await storage.accounts.create(JULIET, record).catch((reason: unknown) => reason);
          expect(error).to.be.instanceOf(RangeError);
        }
        expect(await storage.accounts.get(JULIET)).to.equal(undefined);
      });

      it('does not believe the disk', async () => {
        const key = textKey('accounts', JULIET);
        // Each time as after a start: what was read before is not read again.
        const read = (): Promise<unknown> => storageOver(store).accounts.get(JULIET);
        await storage.accounts.create(JULIET, account());
        await expectEveryCutCorrupt(key, `accounts of ${JULIET}`, read);
        // format, created, flags, then a hash function nobody knows
        const header = [1, 0, 0, 0, 0, 0, 0, 0, 1];
        await expectCorrupt(key, Uint8Array.of(...header, 0, 9), 'hash function 9', read);
        await expectCorrupt(key, Uint8Array.of(...header, 2, 0), 'unknown flags 2', read);
        await expectCorrupt(key, Uint8Array.of(...header, 0, 2, 0xff, 0xff, 0xff, 0xff), 'too early', read);
        await expectCorrupt(key, Uint8Array.of(1, 0xff, 0xff, 0, 0, 0, 0, 0, 1, 0, 0), 'too great', read);
      });
    });

    describe('rosters', () => {
      const romeo: RosterItem = {
        jid: ROMEO,
        name: 'Roméo 🌹',
        groups: ['Friends', 'Montague', ''],
        subscription: 'both',
        ask: false,
        approved: true,
        request: undefined,
        isListed: true,
      };
      const paris: RosterItem = {
        jid: 'paris@verona.example',
        name: '',
        groups: [],
        subscription: 'none',
        ask: true,
        approved: false,
        request: "<presence type='subscribe' from='paris@verona.example'><status>\u00c3\u00a9</status></presence>",
        isListed: false,
      };

      it('is empty with version 0 before the first change', async () => {
        expect(await storage.rosters.load(JULIET)).to.deep.equal({ version: 0, items: [] });
      });

      it('returns every field of every item, and the version', async () => {
        await storage.rosters.save(JULIET, 1, [romeo], []);
        await storage.rosters.save(JULIET, 2, [paris], []);
        expect(await storage.rosters.load(JULIET)).to.deep.equal({ version: 2, items: [paris, romeo] });
        expect(await storage.rosters.load(NURSE)).to.deep.equal({ version: 0, items: [] });
        for (const subscription of ['none', 'to', 'from', 'both'] as const) {
          await storage.rosters.save(JULIET, 3, [{ ...romeo, subscription }], []);
          expect((await storage.rosters.load(JULIET)).items[1]?.subscription).to.equal(subscription);
        }
      });

      it('removes and replaces items', async () => {
        await storage.rosters.save(JULIET, 1, [romeo, paris], []);
        await storage.rosters.save(JULIET, 2, [{ ...romeo, name: 'Romeo' }], [paris.jid, 'nobody@verona.example']);
        expect(await storage.rosters.load(JULIET)).to.deep.equal({ version: 2, items: [{ ...romeo, name: 'Romeo' }] });
      });

      it('loads rosters longer than its pages', async () => {
        const items = citizens(1200).map(({ jid }): RosterItem => ({ ...romeo, jid }));
        await storage.rosters.save(JULIET, 7, items, []);
        const loaded = await storage.rosters.load(JULIET);
        expect(loaded.version).to.equal(7);
        expect(loaded.items.map(({ jid }) => jid)).to.deep.equal(items.map(({ jid }) => jid).toSorted());
      });

      it('does not believe the disk', async () => {
        const read = (): Promise<unknown> => storage.rosters.load(JULIET);
        await storage.rosters.save(JULIET, 1, [paris], []);
        await expectEveryCutCorrupt(textKey('rosters', JULIET, paris.jid), paris.jid, read);
        const key = textKey('rosters', JULIET, paris.jid);
        await expectCorrupt(key, Uint8Array.of(1, 4, 0), 'unknown subscription', read);
        await expectCorrupt(key, Uint8Array.of(1, 0, 16), 'unknown flags 16', read);
        await expectCorrupt(key, Uint8Array.of(1, 0, 0, 0, 0, 0, 1, 0xff), 'not UTF-8', read);
        await storage.rosters.save(JULIET, 1, [], [paris.jid]);
        await expectEveryCutCorrupt(textKey('rosters', JULIET), `rosters of ${JULIET}`, read);
      });
    });

    describe('the message log', () => {
      const START = 1_700_000_000_000_000;

      function entry(position: number, change: Partial<LogEntry> = {}): LogEntry {
        return {
          position,
          flags: { archived: false, pending: true, sent: false },
          peer: ROMEO,
          sequence: position - START,
          stanza: `<message xmlns='jabber:client' id='${position}'><body>\u00c3\u00a9</body></message>`,
          ...change,
        };
      }

      async function append(...entries: LogEntry[]): Promise<void> {
        await storage.commit.write(entries.flatMap((one) => storage.log.appendWrites(JULIET, one)));
      }

      async function positions(options: Parameters<Storage['log']['page']>[1]): Promise<number[]> {
        return (await storage.log.page(JULIET, options)).map(({ position }) => position - START);
      }

      it('returns every field of an entry', async () => {
        const entries = [
          entry(START + 1),
          entry(START + 2, { sequence: undefined, peer: 'ophélie@例.example', stanza: '<message/>' }),
          entry(START + 3, { flags: { archived: true, pending: false, sent: true }, sequence: 2 ** 40 }),
          entry(START + 4, { flags: { archived: true, pending: true, sent: false } }),
        ];
        await append(...entries);
        expect(await storage.log.page(JULIET, { limit: 10 })).to.deep.equal(entries);
        expect(await storage.log.page(NURSE, { limit: 10 })).to.be.empty;
      });

      it('pages in both directions between positions that are not included', async () => {
        await append(...[1, 2, 3, 4, 5].map((number) => entry(START + number)));
        expect(await positions({ limit: 2 })).to.deep.equal([1, 2]);
        expect(await positions({ after: START + 2, limit: 2 })).to.deep.equal([3, 4]);
        expect(await positions({ before: START + 4, limit: 9 })).to.deep.equal([1, 2, 3]);
        expect(await positions({ after: START + 1, before: START + 5, reverse: true, limit: 2 })).to.deep.equal([4, 3]);
        expect(await positions({ reverse: true, limit: 2 })).to.deep.equal([5, 4]);
        expect(await positions({ after: START + 5, before: START + 2, limit: 9 })).to.deep.equal([]);
        expect((await storage.log.last(JULIET))?.position).to.equal(START + 5);
        expect(await storage.log.last(NURSE)).to.equal(undefined);
      });

      it('keeps a cursor, 0 before the first', async () => {
        const cursors = (owner = JULIET): Promise<unknown> => storage.log.cursors(owner);
        expect(await cursors()).to.deep.equal({ cursor: 0, archivedCursor: 0 });
        await storage.commit.write(storage.log.cursorWrites(JULIET, START + 2));
        expect(await cursors()).to.deep.equal({ cursor: START + 2, archivedCursor: 0 });
        expect(await cursors(NURSE)).to.deep.equal({ cursor: 0, archivedCursor: 0 });
        await storage.commit.write(storage.log.cursorWrites(JULIET, START + 2, START + 4));
        expect(await cursors()).to.deep.equal({ cursor: START + 2, archivedCursor: START + 4 });
        // Behind the one cursor the other says nothing.
        await storage.commit.write(storage.log.cursorWrites(JULIET, START + 4, START + 4));
        expect(await cursors()).to.deep.equal({ cursor: START + 4, archivedCursor: 0 });
      });

      it('deletes single entries', async () => {
        await append(...[1, 2, 3].map((number) => entry(START + number)));
        await storage.commit.write(storage.log.deleteWrites(JULIET, [START + 1, START + 2]));
        expect(await positions({ limit: 9 })).to.deep.equal([3]);
      });

      const none = { count: 0, bytes: 0 };
      const nothing = { ...none, returned: none };

      it('counts what is pending behind the cursor', async () => {
        expect(await storage.log.pendingUsage(JULIET)).to.deep.equal({ ...nothing, lastPosition: 0 });
        const numbers = Array.from({ length: 150 }, (_, index) => index + 1);
        await append(...numbers.map((number) => entry(START + number, { stanza: 'x'.repeat(10) })));
        await append(entry(START + 151, { flags: { archived: true, pending: false, sent: true } }));
        expect(await storage.log.pendingUsage(JULIET)).to.deep.equal({
          count: 150,
          bytes: 1500,
          returned: none,
          lastPosition: START + 151,
        });
        await storage.commit.write(storage.log.cursorWrites(JULIET, START + 148));
        expect(await storage.log.pendingUsage(JULIET)).to.deep.equal({
          count: 2,
          bytes: 20,
          returned: none,
          lastPosition: START + 151,
        });
        await storage.commit.write([
          ...storage.log.cursorWrites(JULIET, START + 151),
          ...storage.log.deleteWrites(
            JULIET,
            [...numbers, 151].map((number) => START + number),
          ),
        ]);
        expect(await storage.log.pendingUsage(JULIET)).to.deep.equal({
          ...nothing,
          lastPosition: START + 151,
        });
      });

      it('counts apart the errors among what is pending, and takes nothing else for one', async () => {
        const names = ` to='juliet@capulet.lit' from='romeo@montague.lit'`;
        const stanzas = [
          `<message xmlns='jabber:client'${names} id='a' type='error'><error/></message>`,
          `<message xmlns='jabber:client'${names} type='error'/>`,
          `<message xmlns='jabber:client'${names} type='chat'><body type='error'/></message>`,
          `<message xmlns='jabber:client'${names} xmlns:p=" type='error'"><body/></message>`,
          `<message xmlns='jabber:client'${names} id=' type=&apos;error&apos;'><body/></message>`,
        ];
        await append(...stanzas.map((stanza, n) => entry(START + n + 1, { stanza })));
        const usage = await storage.log.pendingUsage(JULIET);
        expect(usage.count).to.equal(5);
        const bytes = stanzas.slice(0, 2).join('').length;
        expect(usage.returned).to.deep.equal({ count: 2, bytes });
      });

      it('does not count as pending what is archived up to the cursor of the archive', async () => {
        const both = { archived: true, pending: true, sent: false };
        await append(
          ...[1, 2, 3, 4, 5, 6].map((n) =>
            n % 2 === 0 ? entry(START + n, { flags: both, stanza: 'xx' }) : entry(START + n, { stanza: 'x' }),
          ),
        );
        await storage.commit.write(storage.log.cursorWrites(JULIET, START + 1, START + 4));
        expect(await storage.log.pendingUsage(JULIET)).to.deep.equal({
          count: 3, // 3, 5 and 6
          bytes: 4,
          returned: none,
          lastPosition: START + 6,
        });
      });

      it('refuses to write what could not be read', () => {
        expect(() => storage.log.appendWrites(JULIET, entry(-1))).to.throw(RangeError);
        expect(() => storage.log.appendWrites(JULIET, entry(START, { sequence: 0 }))).to.throw(RangeError);
        expect(() => storage.log.appendWrites(JULIET, entry(START, { sequence: 1.5 }))).to.throw(RangeError);
        expect(() => storage.log.appendWrites(JULIET, entry(START, { peer: 'x'.repeat(70_000) }))).to.throw(RangeError);
      });

      it('does not believe the disk', async () => {
        const key = positionKey('log', JULIET, START);
        const words = `log of ${JULIET} at ${START}`;
        const read = (): Promise<unknown> => storage.log.page(JULIET, { limit: 1 });
        const sequence = [0, 0, 0, 0, 0, 0, 0, 1];
        await expectCorrupt(key, Uint8Array.of(), words, read);
        await expectCorrupt(key, Uint8Array.of(9, 0, ...sequence, 0, 0), words, read);
        await expectCorrupt(key, Uint8Array.of(1, 8, ...sequence, 0, 0), words, read);
        await expectCorrupt(key, Uint8Array.of(1, 2, ...sequence, 0, 1), words, read);
        await expectCorrupt(key, Uint8Array.of(1, 2, ...sequence, 0, 1, 0xff), words, read);
        await expectCorrupt(key, Uint8Array.of(1, 2, 0xff, 0, 0, 0, 0, 0, 0, 1, 0, 0), words, read);
        const usage = (): Promise<unknown> => storage.log.pendingUsage(JULIET);
        await expectCorrupt(key, Uint8Array.of(1, 2, ...sequence, 0, 1), words, usage);
        await storage.commit.write(storage.log.cursorWrites(JULIET, START));
        const cursors = (): Promise<unknown> => storage.log.cursors(JULIET);
        await expectEveryCutCorrupt(textKey('cursors', JULIET), `cursors of ${JULIET}`, cursors);
        await storage.commit.write(storage.log.cursorWrites(JULIET, START, START + 1));
        await expectEveryCutCorrupt(textKey('cursors', JULIET), `cursors of ${JULIET}`, cursors);
      });
    });

    describe('the archive', () => {
      const START = 1_700_000_000_000_000;
      const flags = { archived: true, pending: false, sent: true };
      const everything = { limit: 1000, maxBytes: Infinity };

      beforeEach(async () => {
        const entries = Array.from({ length: 300 }, (_, n) => ({
          entry: {
            position: START + n,
            flags: { ...flags, archived: n % 7 !== 0 },
            peer: n % 50 === 1 ? NURSE : ROMEO,
            sequence: n + 1,
            stanza: 'x'.repeat(10),
          },
          contact: `${n % 50 === 1 ? NURSE : ROMEO}/${n % 3 === 0 ? 'garden' : 'home'}`,
        }));
        const writes = entries.flatMap(({ entry, contact }) => storage.log.appendWrites(JULIET, entry, contact));
        await storage.commit.write(writes);
      });

      async function numbers(options: Partial<Parameters<Storage['archive']['page']>[1]>): Promise<number[]> {
        const { entries } = await storage.archive.page(JULIET, { ...everything, ...options });
        return entries.map(({ position }) => position - START);
      }

      it('holds what is archived, and no more', async () => {
        const all = Array.from({ length: 300 }, (_, n) => n).filter((n) => n % 7 !== 0);
        expect(await numbers({})).to.deep.equal(all);
        expect(await numbers({ reverse: true })).to.deep.equal(all.toReversed());
        expect(await numbers({ after: START + 10, before: START + 16 })).to.deep.equal([11, 12, 13, 15]);
        expect(await storage.archive.entries(JULIET, [START + 1, START + 7, START + 999])).to.satisfy(
          ([one, two, three]: (LogEntry | undefined)[]) =>
            one !== undefined && two === undefined && three === undefined,
        );
        const bounds = await storage.archive.bounds(JULIET);
        expect([bounds?.first.position, bounds?.last.position]).to.deep.equal([START + 1, START + 299]);
        expect(await storage.archive.bounds(NURSE)).to.equal(undefined);
      });

      it('ends a page at its limit of messages or bytes, and knows whether there is more', async () => {
        const page = await storage.archive.page(JULIET, { limit: 3, maxBytes: Infinity, after: START + 295 });
        expect(page.entries.map(({ position }) => position - START)).to.deep.equal([296, 297, 298]);
        expect(page.hasMore).to.equal(true);
        expect(
          (await storage.archive.page(JULIET, { limit: 4, maxBytes: Infinity, after: START + 295 })).hasMore,
        ).to.equal(false);
        const bytes = await storage.archive.page(JULIET, { limit: 100, maxBytes: 25 });
        expect(bytes.entries).to.have.lengthOf(3);
        expect(bytes.hasMore).to.equal(true);
      });

      it('finds what came since a contact was last asked for, with its resource', async () => {
        const nurse = { bare: NURSE, resource: '' };
        await numbers({ contact: nurse });
        for (const [n, contact] of [`${NURSE}/home`, `${ROMEO}/home`, NURSE].entries()) {
          const entry = { position: START + 300 + n, flags, peer: ROMEO, sequence: undefined, stanza: 'x' };
          const peer = contact.split('/')[0]!;
          const archived = { ...entry, peer, flags: { ...flags, archived: true } };
          await storage.commit.write(storage.log.appendWrites(JULIET, archived, contact));
        }
        expect(await numbers({ contact: nurse, after: START + 250 })).to.deep.equal([251, 300, 302]);
        const home = { bare: NURSE, resource: 'home' };
        expect(await numbers({ contact: home, only: new Set([START + 300, START + 302]) })).to.deep.equal([300]);
        expect((await storage.retention.usage(JULIET)).count).to.equal((await numbers({})).length);
      });

      it('finds a contact, and one of its resources, in both directions', async () => {
        const nurse = { bare: NURSE, resource: '' };
        expect(await numbers({ contact: nurse })).to.deep.equal([1, 51, 101, 151, 201, 251]);
        expect(await numbers({ contact: nurse, reverse: true, after: START + 60 })).to.deep.equal([251, 201, 151, 101]);
        expect(await numbers({ contact: { bare: NURSE, resource: 'garden' } })).to.deep.equal([51, 201]);
        expect(await numbers({ contact: nurse, only: new Set([START + 51, START + 2, START + 1]) })).to.deep.equal([
          1, 51,
        ]);
        expect(await numbers({ contact: { bare: 'nurse@capulet', resource: '' } })).to.deep.equal([]);
      });

      it('does not believe the disk', async () => {
        await storage.retention.usage(JULIET);
        const usage = (): Promise<unknown> => storage.retention.limits(JULIET);
        await expectEveryCutCorrupt(textKey('archives', JULIET), `archives of ${JULIET}`, usage);
        await store.write([{ type: 'delete', key: textKey('archives', JULIET) }]);
        const waiting = { archived: false, pending: true, sent: false };
        const entry = { position: START + 300, flags: waiting, peer: ROMEO, sequence: 301, stanza: 'x' };
        await storage.commit.write(storage.log.appendWrites(JULIET, entry));
        await storage.retention.usage(JULIET);
        await expectEveryCutCorrupt(textKey('archives', JULIET), `archives of ${JULIET}`, usage);
        await store.write([{ type: 'delete', key: textKey('archives', JULIET) }]);
        await storage.retention.trim(JULIET, { reason: 'age', before: START + 5, maxBytes: Infinity }, 1);
        const key = positionKey('removals', JULIET, START + 4);
        await expectEveryCutCorrupt(key, `removals of ${JULIET} at ${START + 4}`, () =>
          storage.retention.removals(JULIET),
        );
      });
    });

    describe('send keys', () => {
      const hash = { first: 1, second: 0xffff_fffe };
      const stream = { resource: 'balcony', since: 1_700_000_000_000 };

      it('are kept in order, and forgotten up to a position', async () => {
        await storage.commit.write([
          ...storage.sendKeys.putWrites(JULIET, [{ ...hash, position: 1, stream: undefined }]),
          ...storage.sendKeys.putWrites(JULIET, [{ ...hash, position: 2, stream }]),
          ...storage.sendKeys.closedWrites(JULIET, 3, stream),
          ...storage.sendKeys.returnedWrites(JULIET, { ...hash, position: 4 }),
        ]);
        expect(await storage.sendKeys.load(JULIET, 0)).to.deep.equal([
          { kind: 'sent', position: 1, ...hash, stream: undefined },
          { kind: 'sent', position: 2, ...hash, stream },
          { kind: 'closed', position: 3, stream },
          { kind: 'returned', position: 4, ...hash },
        ]);
        await storage.commit.write(storage.sendKeys.forgetWrites(JULIET, 2));
        expect(await storage.sendKeys.load(JULIET, 0)).to.have.lengthOf(2);
        expect(await storage.sendKeys.load(JULIET, 4)).to.deep.equal([]);
      });

      it('of one batch lie together, and are read from any position between them', async () => {
        const abroad = { resource: 'Zimmer №1', since: 1_700_000_000_000 };
        const keys = [
          { ...hash, position: 1, stream },
          { first: 7, second: 8, position: 5, stream: undefined },
          { first: 9, second: 10, position: 9, stream: abroad },
        ];
        const writes = storage.sendKeys.putWrites(JULIET, keys);
        expect(writes).to.have.lengthOf(1);
        await storage.commit.write(writes);
        const sent = keys.map((key) => ({ kind: 'sent', ...key }));
        expect(await storage.sendKeys.load(JULIET, 0)).to.deep.equal(sent);
        expect(await storage.sendKeys.load(JULIET, 4)).to.deep.equal(sent.slice(1));
        expect(await storage.sendKeys.load(JULIET, 9)).to.deep.equal([]);
        await storage.commit.write(storage.sendKeys.forgetWrites(JULIET, 8));
        expect(await storage.sendKeys.load(JULIET, 8)).to.deep.equal(sent.slice(2));
        await storage.commit.write(storage.sendKeys.forgetWrites(JULIET, 9));
        expect(await storage.sendKeys.load(JULIET, 0)).to.deep.equal([]);
      });

      it('do not believe the disk', async () => {
        await storage.commit.write(storage.sendKeys.putWrites(JULIET, [{ ...hash, position: 2, stream }]));
        const read = (): Promise<unknown> => storage.sendKeys.load(JULIET, 0);
        await expectEveryCutCorrupt(positionKey('sendKeys', JULIET, 2), `sendKeys of ${JULIET} at 2`, read);
        await expectCorrupt(positionKey('sendKeys', JULIET, 2), Uint8Array.of(2, 4), 'unknown kind 4', read);
      });
    });

    describe('sequences', () => {
      it('have one key for both sides of a chat', () => {
        expect(chatKey(JULIET, ROMEO)).to.equal(chatKey(ROMEO, JULIET));
        expect(chatKey(JULIET, JULIET)).to.equal(`${JULIET} ${JULIET}`);
        expect(() => chatKey('juliet capulet', ROMEO)).to.throw(RangeError);
        expect(shardOfChat(chatKey(ROMEO, JULIET))).to.equal(shardOf(JULIET));
        expect(shardOfChat('balcony@rooms.example')).to.equal(shardOf('balcony@rooms.example'));
      });

      it('begin at 0 and keep the last number of each chat', async () => {
        const chat = chatKey(ROMEO, JULIET);
        expect(await storage.sequences.load(chat)).to.equal(0);
        await storage.commit.write([
          ...storage.sequences.putWrites(chat, 41),
          ...storage.sequences.putWrites(chat, 42),
          ...storage.sequences.putWrites('balcony@rooms.example', 7),
          ...storage.sequences.putWrites(JULIET, 1),
        ]);
        expect(await storage.sequences.load(chat)).to.equal(42);
        expect(await storage.sequences.load('balcony@rooms.example')).to.equal(7);
        expect(await storage.sequences.load(JULIET)).to.equal(1);
        expect(await storage.sequences.load(chatKey(JULIET, NURSE))).to.equal(0);
      });

      it('do not believe the disk', async () => {
        const chat = chatKey(ROMEO, JULIET);
        await storage.commit.write(storage.sequences.putWrites(chat, 42));
        const read = (): Promise<unknown> => storage.sequences.load(chat);
        const key = textKey('sequences', JULIET, ROMEO);
        await expectEveryCutCorrupt(key, `sequences of ${JULIET}: ${ROMEO}`, read);
        const omissions = { owner: { from: 3, reason: 'history' }, other: undefined } as const;
        await storage.commit.write(storage.sequences.putWrites(chat, 42, omissions));
        await expectEveryCutCorrupt(key, `sequences of ${JULIET}: ${ROMEO}`, read);
      });

      it('know what their sides have not kept since, and why', async () => {
        const chat = chatKey(ROMEO, JULIET);
        for (const omissions of [
          { owner: { from: 3, reason: 'preference' }, other: { from: 42, reason: 'origin' } },
          { owner: undefined, other: { from: 1, reason: 'account' } },
        ] as const) {
          await storage.commit.write(storage.sequences.putWrites(chat, 42, omissions));
          expect(await storage.sequences.counter(chat)).to.deep.equal({ number: 42, omissions });
        }
        await storage.commit.write(storage.sequences.putWrites(chat, 43));
        expect(await storage.sequences.counter(chat)).to.deep.equal({ number: 43, omissions: undefined });
      });
    });

    describe('omissions', () => {
      const omission = { from: 3, upTo: 300, reason: 'preference', endedAt: 1_700_000_000_000_000 } as const;
      const occupant = 'balcony@rooms.example/the nurse';

      it('are of one owner and chat, in the order of their numbers', async () => {
        const others = { ...omission, from: 256, reason: 'history' } as const;
        await storage.commit.write([
          omissionWrite(JULIET, ROMEO, others),
          omissionWrite(JULIET, ROMEO, omission),
          omissionWrite(JULIET, NURSE, omission),
          omissionWrite(JULIET, occupant, omission),
        ]);
        expect(await omissionsOf(store, JULIET, ROMEO)).to.deep.equal([omission, others]);
        expect(await omissionsOf(store, JULIET, occupant)).to.deep.equal([omission]);
        expect(await omissionsOf(store, ROMEO, JULIET)).to.deep.equal([]);
      });

      it('do not believe the disk', async () => {
        await storage.commit.write([omissionWrite(JULIET, ROMEO, omission)]);
        const read = (): Promise<unknown> => omissionsOf(store, JULIET, ROMEO);
        await expectEveryCutCorrupt(omissionKey(JULIET, ROMEO, 3), `omissions of ${JULIET} at 3`, read);
      });
    });

    it('since when an account is unavailable is kept, the last time only', async () => {
      expect(await storage.lastUnavailable.get(JULIET)).to.equal(undefined);
      await storage.lastUnavailable.put(JULIET, 1000);
      await storage.lastUnavailable.put(JULIET, 2000);
      await storage.lastUnavailable.put(NURSE, -1);
      expect(await storage.lastUnavailable.get(JULIET)).to.equal(2000);
      expect(await storage.lastUnavailable.get(NURSE)).to.equal(0);
    });

    describe('documents', () => {
      const content = "<storage xmlns='storage:bookmarks'>\u00c3\u00a9</storage>";

      it('are kept by owner and name', async () => {
        await storage.documents.put(JULIET, 'private: storage:bookmarks', content, 1000);
        await storage.documents.put(JULIET, 'card', '', 1000);
        await storage.documents.put(NURSE, 'card', 'nurse', 1000);
        expect(await storage.documents.get(JULIET, 'private: storage:bookmarks')).to.equal(content);
        expect(await storage.documents.get(JULIET, 'card')).to.equal('');
        expect(await storage.documents.get(JULIET, 'other')).to.equal(undefined);
        expect(await storage.documents.list(JULIET)).to.deep.equal([
          { name: 'card', byteLength: 4 },
          { name: 'private: storage:bookmarks', byteLength: 26 + content.length },
        ]);
        expect(await storage.documents.list(JULIET, 'private')).to.have.lengthOf(1);
        await storage.documents.remove(JULIET, 'card');
        await storage.documents.remove(JULIET, 'card');
        expect(await storage.documents.get(JULIET, 'card')).to.equal(undefined);
        expect(await storage.documents.get(NURSE, 'card')).to.equal('nurse');
      });

      it('together never take more bytes than allowed', async () => {
        await storage.documents.put(JULIET, 'a', 'x'.repeat(49), 100);
        await storage.documents.put(JULIET, 'b', 'x'.repeat(49), 100);
        const error = await storage.documents.put(JULIET, 'c', '', 100).catch((reason: unknown) => reason);
        expect(error).to.be.instanceOf(DocumentLimitError);
        // In place of one of that name: the old one does not count.
        await storage.documents.put(JULIET, 'a', 'y'.repeat(49), 100);
        const grown = await storage.documents.put(JULIET, 'a', 'z'.repeat(50), 100).catch((reason: unknown) => reason);
        expect(grown).to.be.instanceOf(DocumentLimitError);
        expect(await storage.documents.get(JULIET, 'a')).to.equal('y'.repeat(49));
      });

      it('put together are stored all or none', async () => {
        const putAll = (a: string, b: string): Promise<unknown> =>
          storage.documents
            .putAll(
              JULIET,
              new Map([
                ['a', a],
                ['b', b],
              ]),
              100,
            )
            .catch((reason: unknown) => reason);
        expect(await putAll('x'.repeat(49), 'x'.repeat(49))).to.equal(undefined);
        expect(await putAll('y', 'y'.repeat(98))).to.be.instanceOf(DocumentLimitError);
        expect(await storage.documents.get(JULIET, 'a')).to.equal('x'.repeat(49));
        expect(await putAll('y', 'y'.repeat(97))).to.equal(undefined);
      });

      it('stay within the limit though many are put at a time', async () => {
        const puts = ['a', 'b', 'c', 'd'].map((name) => storage.documents.put(JULIET, name, 'x'.repeat(39), 100));
        const outcomes = await Promise.allSettled(puts);
        expect(outcomes.filter(({ status }) => status === 'fulfilled')).to.have.lengthOf(2);
        expect(await storage.documents.list(JULIET)).to.have.lengthOf(2);
      });

      it('have a name', async () => {
        const error = await storage.documents.put(JULIET, '', 'x', 100).catch((reason: unknown) => reason);
        expect(error).to.be.instanceOf(RangeError);
      });

      it('do not believe the disk', async () => {
        await storage.documents.put(JULIET, 'card', content, 1000);
        const read = (): Promise<unknown> => storage.documents.get(JULIET, 'card');
        await expectEveryCutCorrupt(textKey('documents', JULIET, 'card'), `documents of ${JULIET}: card`, read);
      });
    });

    describe('server keys', () => {
      it('are made once, and kept', async () => {
        const [first, second] = await Promise.all([
          storage.serverKeys.secret('salt', 32),
          storage.serverKeys.secret('salt', 32),
        ]);
        expect(first).to.have.lengthOf(32);
        expect(second).to.deep.equal(first);
        expect(await storageOver(store).serverKeys.secret('salt', 32)).to.deep.equal(first);
        expect(await storage.serverKeys.secret('pepper', 32)).to.not.deep.equal(first);
      });

      it('take their randomness from where they are told', async () => {
        const given = storageOver(store, { randomBytes: (length) => new Uint8Array(length).fill(7) });
        expect([...(await given.serverKeys.secret('salt', 4))]).to.deep.equal([7, 7, 7, 7]);
      });

      it('do not believe the disk', async () => {
        await storage.serverKeys.secret('salt', 8);
        const read = (): Promise<unknown> => storage.serverKeys.secret('salt', 8);
        await expectEveryCutCorrupt(textKey('serverKeys', '', 'salt'), 'serverKeys: salt', read);
        await storage.serverKeys.secret('pepper', 8);
        const error = await storage.serverKeys.secret('pepper', 16).catch((reason: unknown) => reason);
        expect(error).to.be.instanceOf(StoreError).with.property('code', 'corrupt');
      });
    });
  });
}

function account(createdAt = 1_700_000_000_000): AccountRecord {
  return {
    createdAt,
    disabled: false,
    credentials: { 'SHA-1': keys(20), 'SHA-256': keys(32), 'SHA-512': keys(64) },
  };
}

function keys(length: number): ScramKeys {
  return {
    salt: Uint8Array.of(1, 2, 3, length),
    iterations: 10_000,
    storedKey: new Uint8Array(length).fill(0xaa),
    serverKey: new Uint8Array(length).fill(0xbb),
  };
}

function citizens(count: number): Account[] {
  return Array.from({ length: count }, (_, index) => ({
    jid: `citizen${index}@verona.example`,
    record: { ...account(1000 + index), credentials: {} },
  }));
}

/** An owner with something in every table. */
async function fill(storage: Storage, owner: string): Promise<void> {
  await storage.accounts.create(owner, account());
  const state = { subscription: 'none', ask: false, approved: false, request: undefined } as const;
  const item = { name: '', groups: [], ...state, isListed: true };
  await storage.rosters.save(owner, 1, [{ ...item, jid: ROMEO }], []);
  await storage.lastUnavailable.put(owner, 1);
  await storage.documents.put(owner, 'card', 'x', 100);
  const client = { software: '', device: '', firstSeenAt: 0, lastSeenAt: 0, credentials: new Uint8Array() };
  await storage.clientTokens.change(owner, 'phone', 1, () => ({ ...client, current: undefined, fresh: undefined }));
  const flags = { archived: false, pending: true, sent: false };
  const entries = Array.from({ length: 1100 }, (_, index) =>
    storage.log.appendWrites(owner, {
      position: index + 1,
      flags,
      peer: ROMEO,
      sequence: index + 1,
      stanza: '<message/>',
    }),
  );
  await storage.commit.write([
    ...entries.flat(),
    ...storage.log.appendWrites(owner, {
      position: 2000,
      flags: { ...flags, archived: true },
      peer: ROMEO,
      sequence: 2000,
      stanza: '<message/>',
    }),
    { type: 'put', key: contactKey(owner, ROMEO, 2000), value: Uint8Array.of() },
    omissionWrite(owner, ROMEO, { from: 1, upTo: 2, reason: 'preference', endedAt: 1 }),
    ...(['archives', 'removals', 'sendKeys'] as const).map((table) => ({
      type: 'put' as const,
      key: positionKey(table, owner, 1),
      value: Uint8Array.of(1),
    })),
    ...storage.log.cursorWrites(owner, 1),
    ...storage.sequences.putWrites(chatKey(owner, ROMEO), 3),
    ...storage.resumptions.handledWrites(owner, 'id', { handled: 1, at: 1 }),
    ...storage.resumptions.saveSessionWrites(savedSession(owner, 'id')),
  ]);
}

function savedSession(owner: string, id: string): SavedSession {
  return {
    owner,
    id,
    resource: 'balcony',
    since: 1_700_000_000_000,
    maxMs: 600_000,
    handled: 2 ** 32 - 1,
    confirmed: 7,
    unconfirmed: [
      { document: `<message xmlns='jabber:client'/>`, position: 12 },
      { document: `<presence xmlns='jabber:client'/>`, position: undefined },
    ],
    presence: `<presence xmlns='jabber:client'/>`,
    priority: -1,
    slots: new Map([['roster-interest', 'interested']]),
  };
}
