import { expect } from 'chai';
import { encodeArchive } from '../../../storage/archive-record.ts';
import { audit } from '../../../storage/audit/audit.ts';
import type { Fault } from '../../../storage/audit/finding.ts';
import { WHOLE_STORE } from '../../../storage/audit/scope.ts';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import { contactKey, positionKey, textKey } from '../../../storage/keys.ts';
import { encodeEntry, type LogEntry } from '../../../storage/log-entry.ts';
import type { Write } from '../../../storage/ordered-store.ts';
import { chatKey } from '../../../storage/sequences.ts';
import { Stage } from '../../support/core.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const JULIET = 'juliet@example.com';
const ROMEO = 'romeo@example.net';
const DAY_US = 86_400_000_000;

/** The store after a short talk of eight messages, of which Romeo has 1 to 8 in his log and in his index. */
interface Talk {
  readonly stage: Stage;
  /** Romeo's log, in order: number 1 first. */
  readonly log: readonly LogEntry[];
}

interface Damage {
  readonly name: string;
  readonly plant: (talk: Talk) => readonly Write[] | Promise<readonly Write[]>;
  readonly fault: Fault;
  readonly owner: string;
  /** Where it must be said to be; left out where the fault has no place of that kind. */
  readonly number?: number;
  readonly position?: (talk: Talk) => number;
  readonly isMended: boolean;
  /** What else is wrong because of it. */
  readonly also?: readonly Fault[];
}

const at = ({ log }: Talk, number: number): LogEntry => log[number - 1]!;

/** Writes the entry as it was, or as it is changed here, with the contact's resource as the play has it. */
function changed(talk: Talk, number: number, change: (entry: LogEntry) => Partial<LogEntry>): Write {
  const entry = at(talk, number);
  const resource = number % 2 === 1 ? 'balcony' : '';
  const value = encodeEntry({ ...entry, ...change(entry) }, resource);
  return { type: 'put', key: positionKey('log', ROMEO, entry.position), value };
}

/** Takes the entry from the log and from the index. */
function lost(talk: Talk, number: number): Write[] {
  const { position } = at(talk, number);
  return [
    { type: 'delete', key: positionKey('log', ROMEO, position) },
    { type: 'delete', key: contactKey(ROMEO, JULIET, position) },
  ];
}

const DAMAGES: readonly Damage[] = [
  {
    name: 'a message lost in the middle of one log',
    plant: (talk) => lost(talk, 3),
    fault: 'gap',
    also: ['usage'],
    owner: ROMEO,
    number: 3,
    position: (talk) => at(talk, 2).position,
    isMended: false,
  },
  {
    name: 'the last message lost from one log',
    plant: (talk) => lost(talk, 8),
    fault: 'gap',
    also: ['usage'],
    owner: ROMEO,
    number: 8,
    position: (talk) => at(talk, 7).position,
    isMended: false,
  },
  {
    name: 'a number given twice',
    plant: (talk) => [changed(talk, 4, () => ({ sequence: 3 }))],
    fault: 'order',
    owner: ROMEO,
    number: 3,
    position: (talk) => at(talk, 4).position,
    isMended: false,
  },
  {
    name: 'one byte of a message changed',
    plant: (talk) => [changed(talk, 5, ({ stanza }) => ({ stanza: stanza.replace('line 5', 'line 6') }))],
    fault: 'disagreement',
    owner: JULIET,
    number: 5,
    isMended: false,
  },
  {
    name: 'a message whose end is missing',
    plant: (talk) => [changed(talk, 5, ({ stanza }) => ({ stanza: stanza.slice(0, -4) }))],
    fault: 'unreadable',
    also: ['usage', 'disagreement'],
    owner: ROMEO,
    position: (talk) => at(talk, 5).position,
    isMended: false,
  },
  {
    name: 'a record that is too short',
    plant: () => [{ type: 'put', key: textKey('cursors', ROMEO), value: Uint8Array.of(1, 2) }],
    fault: 'unreadable',
    owner: ROMEO,
    isMended: false,
  },
  {
    name: 'a key of no table',
    plant: () => [{ type: 'put', key: Uint8Array.of(0, 0, 99, 1), value: Uint8Array.of(1) }],
    fault: 'key',
    owner: '',
    isMended: false,
  },
  {
    name: 'a record of somebody without an account',
    plant: ({ stage }) => stage.storage.log.cursorWrites('tybalt@example.com', 1),
    fault: 'orphan',
    owner: 'tybalt@example.com',
    isMended: false,
  },
  {
    name: 'a row of the index lost',
    plant: (talk) => [{ type: 'delete', key: contactKey(ROMEO, JULIET, at(talk, 6).position) }],
    fault: 'index',
    owner: ROMEO,
    position: (talk) => at(talk, 6).position,
    isMended: true,
  },
  {
    name: 'a row of the index without a message',
    plant: () => [{ type: 'put', key: contactKey(ROMEO, JULIET, 5), value: new Uint8Array() }],
    fault: 'index',
    owner: ROMEO,
    position: () => 5,
    isMended: true,
  },
  {
    name: 'a row of the index with another resource',
    plant: (talk) => [
      { type: 'put', key: contactKey(ROMEO, JULIET, at(talk, 1).position), value: Buffer.from('tomb') },
    ],
    fault: 'index',
    owner: ROMEO,
    position: (talk) => at(talk, 1).position,
    isMended: true,
  },
  {
    name: 'a wrong count of what an archive holds',
    plant: async ({ stage }) => {
      const usage = await stage.storage.retention.usage(ROMEO);
      const value = encodeArchive({ ...usage, count: usage.count + 1 });
      return [{ type: 'put', key: textKey('archives', ROMEO), value }];
    },
    fault: 'usage',
    owner: ROMEO,
    position: (talk) => at(talk, 8).position,
    isMended: true,
  },
  {
    name: 'a counter that would give a number again',
    plant: ({ stage }) => stage.storage.sequences.putWrites(chatKey(JULIET, ROMEO), 6),
    fault: 'counter',
    owner: JULIET,
    number: 8,
    isMended: true,
  },
  {
    name: 'a counter lost',
    plant: () => [{ type: 'delete', key: textKey('sequences', JULIET, ROMEO) }],
    fault: 'counter',
    owner: JULIET,
    number: 8,
    isMended: true,
  },
  {
    name: 'a cursor that would swallow what is yet to come',
    plant: ({ stage }) => stage.storage.log.cursorWrites(ROMEO, stage.clock.now() * 1000 + 3 * DAY_US),
    fault: 'cursor',
    owner: ROMEO,
    position: ({ stage }) => stage.clock.now() * 1000 + 3 * DAY_US,
    isMended: true,
  },
  {
    name: 'a cursor of the archive that would do the same',
    plant: ({ stage }) => stage.storage.log.cursorWrites(ROMEO, 1, stage.clock.now() * 1000 + 3 * DAY_US),
    fault: 'cursor',
    owner: ROMEO,
    position: ({ stage }) => stage.clock.now() * 1000 + 3 * DAY_US,
    isMended: true,
  },
];

describe('planted damage', () => {
  for (const { name, plant, fault, also = [], owner, number, position, isMended } of DAMAGES) {
    it(`${name}: ${fault}, ${isMended ? 'mended' : 'not mended'}`, async () => {
      const store = new MemoryStore();
      const talk = await talkOver(store);
      const options = { scope: WHOLE_STORE, nowMs: talk.stage.clock.now() };
      expect((await audit(store, options)).found.described, 'before').to.deep.equal([]);
      await store.write(await plant(talk));
      const { described } = (await audit(store, options)).found;
      expect(described.map((finding) => finding.fault)).to.have.members([fault, ...also]);
      const finding = described.find((one) => one.fault === fault);
      expect(finding).to.include({ fault, owner, isRepairable: isMended });
      if (number !== undefined) expect(finding).to.have.property('number', number);
      if (position !== undefined) expect(finding).to.have.property('position', position(talk));
      const before = await talk.stage.storage.log.page(ROMEO, { limit: 100 }).catch(() => []);
      const { left, mended } = await talk.stage.storage.audits.repair(options);
      expect(mended).to.deep.equal(described.filter(({ isRepairable }) => isRepairable));
      expect(left.described).to.deep.equal(described.filter(({ isRepairable }) => !isRepairable));
      expect(await talk.stage.storage.log.page(ROMEO, { limit: 100 }).catch(() => [])).to.deep.equal(before);
    });
  }

  it('a mended cursor says the same of what is there, and what comes now waits', async () => {
    const store = new MemoryStore();
    const { stage, log } = await talkOver(store);
    await store.write(stage.storage.log.cursorWrites(ROMEO, stage.clock.now() * 1000 + 3 * DAY_US));
    const options = { scope: WHOLE_STORE, nowMs: stage.clock.now() };
    await stage.storage.audits.repair(options);
    expect(await stage.storage.log.cursors(ROMEO)).to.deep.equal({ cursor: log.at(-1)?.position, archivedCursor: 0 });
    const next = await Stage.open([], { store, clock: stage.clock });
    const juliet = await next.actor(`${JULIET}/balcony`);
    await juliet.send(`<message to='${ROMEO}' type='chat' id='m9'><body>line 9</body></message>`);
    expect(await next.storage.log.pendingUsage(ROMEO)).to.include({ count: 1 });
  });
});

async function talkOver(store: MemoryStore): Promise<Talk> {
  const stage = await Stage.open([ROMEO, JULIET], { store, clock: new ManualClock(Date.UTC(2026, 0, 1)) });
  const juliet = await stage.actor(`${JULIET}/balcony`);
  const romeo = await stage.actor(`${ROMEO}/orchard`);
  await juliet.enter();
  await romeo.enter();
  for (let n = 1; n <= 8; n++) {
    const [who, to] = n % 2 === 1 ? [juliet, ROMEO] : [romeo, JULIET];
    await who.send(`<message to='${to}' type='chat' id='m${n}'><body>line ${n}</body></message>`);
  }
  await stage.storage.retention.usage(ROMEO);
  return { stage, log: await stage.storage.log.page(ROMEO, { limit: 100 }) };
}
