import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { ArchiveIds } from '../../../server/routing/archive-ids.ts';
import { Jid } from '../../../stanzas/jid.ts';
import type { OrderedStore } from '../../../storage/ordered-store.ts';
import { Faults } from '../../storage/backends/level-faults.ts';
import { temporaryDirectory } from '../../storage/temporary-directory.ts';
import { Stage, type Actor } from '../../support/core.ts';

const JULIET = 'juliet@example.com';
const ROMEO = 'romeo@example.net';
const NURSE = 'bália@example.com';
const ABROAD = 'mercutio@example.org';
const ACCOUNTS = [JULIET, ROMEO, NURSE];
/** Who writes to whom, in turn. */
const WAYS = [
  [JULIET, ROMEO],
  [ROMEO, JULIET],
  [NURSE, ROMEO],
  [JULIET, JULIET],
  [ROMEO, NURSE],
  [JULIET, ABROAD],
] as const;
const ALL = (): boolean => true;
const NONE = (): boolean => false;
/** What an entry is lent in holds 16 kB of the stanza. */
const LENGTHS = [0, 1, 40, 700, 16_200, 16_250, 16_300, 16_384, 60_000];
/** What the recipient's side may take away. */
const MARK = "<x xmlns='urn:example:mark'/>";
const TEXTS = ['x', 'è', '忍', '🌹', '&lt;'];

interface Line {
  readonly from: string;
  readonly to: string;
  /** The whole stanza as a log has it, a byte string. */
  readonly document: string;
}

describe('the record of many messages on a disk', () => {
  let directory: { path: string; remove: () => Promise<void> };
  let faults: Faults;
  let store: OrderedStore;
  let stage: Stage;
  let actors: Map<string, Actor>;
  let lines: Map<string, Line>;

  beforeEach(async () => {
    directory = await temporaryDirectory();
    faults = new Faults();
    store = await faults.open(directory.path);
    stage = await Stage.open(ACCOUNTS, { store });
    actors = new Map();
    for (const account of ACCOUNTS) {
      const actor = await stage.actor(`${account}/balcony`);
      await actor.enter();
      actors.set(account, actor);
    }
    lines = new Map();
  });

  afterEach(async () => {
    await stage.storage.commit.close();
    await store.close();
    await directory.remove();
  });

  /** One side says one thing, and does not wait for what becomes of it. */
  function say(from: string, to: string, length: number, text: string): void {
    const id = `line-${lines.size}`;
    const body = text.repeat(Math.ceil(length / Buffer.byteLength(text)));
    const content = `<body>${body}</body>${MARK}`;
    const document = `<message xmlns='jabber:client' to='${to}' from='${from}/balcony' id='${id}' type='chat'>${content}</message>`;
    lines.set(id, { from, to, document: Buffer.from(document).toString('latin1') });
    stage.put(actors.get(from)!.session, `<message to='${to}' type='chat' id='${id}'>${content}</message>`);
  }

  /** Everybody writes to everybody, over several batches of which one fills while another one is under way. */
  async function play(): Promise<void> {
    for (const [index, length] of [...LENGTHS, ...LENGTHS].entries()) {
      for (const [at, [from, to]] of WAYS.entries()) say(from, to, length, TEXTS[(index + at) % TEXTS.length]!);
      if (index % 2 === 0) await turn();
    }
    await stage.settle();
  }

  /** What the log of an account should hold, in any order. */
  function expectedOf(owner: string, isKept: (id: string) => boolean, isAmended: (owner: string) => boolean): string[] {
    const own = [...lines].filter(([id, { from, to }]) => (from === owner || to === owner) && isKept(id));
    const asHeld = ({ to, document }: Line): string =>
      to === owner && isAmended(owner) ? document.replace(MARK, '') : document;
    return own.map(([, line]) => asHeld(line)).sort();
  }

  async function expectLogs(isKept: (id: string) => boolean, isAmended: (owner: string) => boolean): Promise<void> {
    for (const owner of ACCOUNTS) {
      const entries = await stage.storage.log.page(owner, { limit: 1000 });
      const held = entries.filter(({ flags }) => flags.archived).map(({ stanza }) => stanza);
      const wanted = expectedOf(owner, isKept, isAmended);
      expect(held.length, owner).to.equal(wanted.length);
      // One by one: a difference of so many bytes is nothing to read.
      for (const [index, stanza] of held.sort().entries())
        expect(stanza === wanted[index], `${owner} ${index}`).to.equal(true);
    }
  }

  /** XEP-0313 3.4: the id that a client was told leads to that very message in its own archive. */
  async function expectIds(): Promise<void> {
    const ids = new ArchiveIds(new Uint8Array(16));
    for (const [owner, actor] of actors) {
      const bare = Jid.parse(owner).bare;
      const byPosition = new Map<number, string>();
      for (const { position, stanza } of await stage.storage.log.page(owner, { limit: 1000 }))
        byPosition.set(position, stanza);
      const received = actor.take().filter((stanza) => stanza.includes('<body>') && !stanza.includes("type='error'"));
      expect(received, owner).to.not.be.empty;
      for (const stanza of received) {
        const id = /<stanza-id [^>]*id='([^']+)'/.exec(stanza)?.[1];
        const position = ids.positionOf(bare, id ?? '');
        expect(lineOf(byPosition.get(position ?? -1) ?? ''), owner).to.equal(lineOf(stanza));
      }
    }
  }

  it('holds every stanza as it was sent, on both sides, and its archive ids lead there', async () => {
    await play();
    await expectLogs(ALL, NONE);
    await expectIds();
  });

  it('is what each side has of it where the recipient amends it', async () => {
    stage.core.pipeline.amendReceived.push((_, { jid }) =>
      jid.bare === ROMEO ? { remove: ({ namespace }) => namespace === 'urn:example:mark' } : undefined,
    );
    await play();
    await expectLogs(ALL, (owner) => owner === ROMEO);
    await expectIds();
  });

  it('holds nothing of what was refused, also where the disk has kept it, and all else', async () => {
    await play();
    faults.failNextWrite = 'IO error: 000003.log: Input/output error';
    faults.keepsFailedWrite = true;
    const before = lines.size;
    await play();
    expect(faults.failNextWrite).to.equal(undefined);
    const afterwards = lines.size;
    await play();
    expect(faults.kept).to.be.greaterThan(0);
    const refused = new Set<string>();
    for (const actor of actors.values()) {
      const all = actor.take();
      for (const stanza of all) if (stanza.includes("type='error'")) refused.add(lineOf(stanza));
    }
    expect(refused).to.not.be.empty;
    for (const id of refused) expect(Number(id.slice(5))).to.be.within(before, afterwards - 1);
    await expectLogs((id) => !refused.has(id), NONE);
  });
});

function lineOf(stanza: string): string {
  return / id='(line-\d+)'/.exec(stanza)?.[1] ?? 'none';
}
