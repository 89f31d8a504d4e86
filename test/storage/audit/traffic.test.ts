import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import fc from 'fast-check';
import { audit } from '../../../storage/audit/audit.ts';
import type { Finding } from '../../../storage/audit/finding.ts';
import { WHOLE_STORE } from '../../../storage/audit/scope.ts';
import { MemoryStore } from '../../../storage/backends/memory.ts';
import { restoreBackup, writeBackup } from '../../../storage/backup-file.ts';
import type { Entry, OrderedStore, Range, StoreView } from '../../../storage/ordered-store.ts';
import { Stage, type Actor } from '../../support/core.ts';
import { ManualClock } from '../../support/manual-clock.ts';

const JULIET = 'juliet@example.com';
const ROMEO = 'romeo@example.net';
const NURSE = 'nurse@example.com';
const PEOPLE = [JULIET, ROMEO, NURSE] as const;

type Act =
  | { readonly act: 'send'; readonly from: number; readonly to: number; readonly children: string }
  | { readonly act: 'leave' | 'enter' | 'count'; readonly who: number }
  | { readonly act: 'prefer'; readonly who: number; readonly by: string }
  | { readonly act: 'age' | 'erasure'; readonly who: number; readonly share: number }
  | { readonly act: 'save' | 'restart' };

/** What everybody does over one store, whatever becomes of the server. */
class Play {
  stage: Stage;
  readonly #store: OrderedStore;
  readonly #actors = new Map<string, Actor>();
  #sent = 0;

  private constructor(store: OrderedStore, stage: Stage) {
    this.#store = store;
    this.stage = stage;
  }

  static async open(store: OrderedStore): Promise<Play> {
    const clock = new ManualClock(Date.UTC(2026, 0, 1));
    return new Play(store, await Stage.open(PEOPLE, { store, clock }));
  }

  async found(store = this.#store): Promise<readonly Finding[]> {
    const options = { scope: WHOLE_STORE, nowMs: this.stage.clock.now() };
    return (await audit(store, options)).found.described;
  }

  async perform(act: Act): Promise<void> {
    this.stage.advance();
    switch (act.act) {
      case 'send': {
        const actor = await this.#actor(PEOPLE[act.from]!);
        const children = act.children === '' ? `<body>line ${this.#sent}</body>` : act.children;
        await actor.send(`<message to='${PEOPLE[act.to]!}' type='chat' id='m${++this.#sent}'>${children}</message>`);
        break;
      }
      case 'enter':
        await this.#actor(PEOPLE[act.who]!);
        break;
      case 'leave':
        await this.#actors.get(PEOPLE[act.who]!)?.leave();
        this.#actors.delete(PEOPLE[act.who]!);
        break;
      case 'count':
        await this.stage.storage.retention.usage(PEOPLE[act.who]!);
        break;
      case 'prefer': {
        const actor = await this.#actor(PEOPLE[act.who]!);
        const lists = '<always/><never/>';
        await actor.send(
          `<iq id='p' type='set'><prefs xmlns='urn:xmpp:mam:2' default='${act.by}'>${lists}</prefs></iq>`,
        );
        break;
      }
      case 'age':
      case 'erasure': {
        const owner = PEOPLE[act.who]!;
        const log = await this.stage.storage.log.page(owner, { limit: 1000 });
        const before = log[Math.floor(log.length * act.share)]?.position ?? Infinity;
        const rule = { reason: act.act, before, maxBytes: Infinity };
        await this.stage.storage.retention.trim(owner, rule, this.stage.clock.now());
        break;
      }
      case 'save':
        await this.stage.core.table.saveCursors();
        break;
      case 'restart':
        this.#actors.clear();
        this.stage = await Stage.open([], { store: this.#store, clock: this.stage.clock });
        break;
    }
  }

  async #actor(jid: string): Promise<Actor> {
    let actor = this.#actors.get(jid);
    if (actor === undefined) {
      this.#actors.set(jid, (actor = await this.stage.actor(`${jid}/stage`)));
      await actor.enter();
    }
    return actor;
  }
}

const who = fc.integer({ min: 0, max: PEOPLE.length - 1 });
const share = fc.double({ min: 0, max: 1, noNaN: true });
const children = fc.constantFrom(
  '',
  '',
  '',
  "<body>unkept</body><no-permanent-store xmlns='urn:xmpp:hints'/>",
  "<active xmlns='http://jabber.org/protocol/chatstates'/>",
  "<retract xmlns='urn:xmpp:message-retract:1' id='m1'/><body>gone</body>",
);
const anyAct: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({ act: fc.constant('send' as const), from: who, to: who, children }),
  },
  { weight: 4, arbitrary: fc.record({ act: fc.constantFrom('leave' as const, 'enter' as const), who }) },
  { weight: 1, arbitrary: fc.record({ act: fc.constant('count' as const), who }) },
  {
    weight: 1,
    arbitrary: fc.record({
      act: fc.constant('prefer' as const),
      who,
      by: fc.constantFrom('always', 'never', 'roster'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ act: fc.constantFrom('age' as const, 'erasure' as const), who, share }) },
  { weight: 2, arbitrary: fc.record({ act: fc.constantFrom('save' as const, 'restart' as const) }) },
);

describe('an audit of what was played', function () {
  this.timeout(60_000);

  it('is clean whatever people do: sending, going, coming, preferring, forgetting, and the server restarting', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(anyAct, { minLength: 1, maxLength: 25 }), async (acts) => {
        const play = await Play.open(new MemoryStore());
        for (const act of acts) await play.perform(act);
        expect(await play.found()).to.deep.equal([]);
      }),
      { numRuns: 120, seed: 1595 },
    );
  });

  it('judges everything as it was when it began, while the store is written to', async () => {
    const store = new BusyStore();
    const play = await Play.open(store);
    for (const act of acts(30)) await play.perform(act);
    await play.perform({ act: 'erasure', who: 1, share: 0.3 });
    const more = acts(400).values();
    store.whileRead = async () => {
      for (let n = 0; n < 3; n++) {
        const next = more.next();
        if (next.done !== true) await play.perform(next.value);
      }
      await play.perform({ act: 'count', who: 1 });
      await play.perform({ act: 'erasure', who: 0, share: 0.2 });
    };
    expect(await play.found()).to.deep.equal([]);
    expect(store.reads, 'it was read while it changed').to.be.greaterThan(5);
    store.whileRead = undefined;
    expect(await play.found()).to.deep.equal([]);
  });

  it('is clean of a store restored from a backup that was written under load', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'posthorn-audit-'));
    try {
      const store = new MemoryStore();
      const play = await Play.open(store);
      for (const act of acts(40)) await play.perform(act);
      const file = join(directory, 'posthorn.backup');
      const backup = writeBackup(store, file);
      for (const act of acts(40)) await play.perform(act);
      const { entries } = await backup;
      expect(entries).to.be.greaterThan(40);
      const restored = new MemoryStore();
      await restoreBackup(file, restored);
      expect(await play.found(restored)).to.deep.equal([]);
      expect(await play.found()).to.deep.equal([]);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});

/** Messages between all of them, over and over, with usage counted in between. */
function acts(count: number): Act[] {
  return Array.from({ length: count }, (_, n): Act => {
    if (n % 7 === 6) return { act: 'count', who: n % 3 };
    return { act: 'send', from: n % 3, to: (n + 1 + (n % 2)) % 3, children: '' };
  });
}

/** Goes on changing whenever a view of it was read. */
class BusyStore extends MemoryStore {
  reads = 0;
  whileRead: (() => Promise<void>) | undefined;

  override async view(): Promise<StoreView> {
    const view = await super.view();
    const after = async <Result>(read: Promise<Result>): Promise<Result> => {
      const result = await read;
      this.reads++;
      await this.whileRead?.();
      return result;
    };
    return {
      getMany: (keys) => after(view.getMany(keys)),
      page: (range: Range, limit: number): Promise<readonly Entry[]> => after(view.page(range, limit)),
      close: () => view.close(),
    };
  }
}
