import { loadConfig } from '../../config/load.ts';
import { createCore, type Core } from '../../server/core.ts';
import { MODULES } from '../../server/module-list.ts';
import { Session, type SessionStream } from '../../server/routing/session.ts';
import { Jid } from '../../stanzas/jid.ts';
import { scanDocument } from '../../stanzas/scanner.ts';
import { Stanza, stanzaKind } from '../../stanzas/stanza.ts';
import type { StreamError } from '../../stanzas/stream-error.ts';
import { MemoryStore } from '../../storage/backends/memory.ts';
import type { OrderedStore } from '../../storage/ordered-store.ts';
import { storageOver, type Storage } from '../../storage/storage.ts';
import { ManualClock } from './manual-clock.ts';
import { silentLog } from './silent-log.ts';

const LIMITS = { maxBytes: 1024 * 1024, maxDepth: 100, maxAttributes: 100 };

/** The stream under an actor's session: remembers what was written to it. */
class RecordingStream implements SessionStream {
  readonly remoteAddress = '192.0.2.1';
  readonly transport = 'memory';
  readonly isSecure = true;
  readonly bufferedBytes = 0;
  readonly written: string[] = [];
  closedWith: StreamError | undefined;

  writeStanza(stanza: Stanza): void {
    this.written.push(stanza.toBytes());
  }

  closeWithError(error: StreamError): void {
    this.closedWith = error;
  }
}

/** One resource of a person in a play over the routing core, without sockets. */
export class Actor {
  readonly session: Session;
  readonly #stream: RecordingStream;
  readonly #stage: Stage;

  constructor(stage: Stage, session: Session, stream: RecordingStream) {
    this.#stage = stage;
    this.session = session;
    this.#stream = stream;
  }

  /** Sends a stanza written as on the stream, and waits until everything it leads to has happened. */
  async send(bytes: string): Promise<void> {
    this.#stage.put(this.session, bytes);
    await this.#stage.settle();
  }

  /** What came since the last call, one string for each stanza. */
  take(): string[] {
    return this.#stream.written.splice(0);
  }

  /** Requests the roster, becomes available, and forgets what came of it. */
  async enter(presence = '<presence/>'): Promise<void> {
    await this.send(`<iq id='roster' type='get'><query xmlns='jabber:iq:roster'/></iq>`);
    await this.send(presence);
    this.take();
  }

  /** The connection breaks. */
  async leave(): Promise<void> {
    this.#stage.core.table.end(this.session);
    await this.#stage.settle();
  }
}

export interface StageOptions {
  readonly store?: OrderedStore;
  /** Options as environment variables, over the defaults. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Goes on where another stage stopped. */
  readonly clock?: ManualClock;
}

/** A server of example.com and example.net without sockets, on which everybody who is named has an account. */
export class Stage {
  readonly core: Core;
  readonly storage: Storage;
  readonly clock: ManualClock;
  readonly #abroad: string[] = [];
  /** Whose stanzas may be under way, though the session has ended. */
  readonly #senders = new Set<Session>();

  private constructor(core: Core, storage: Storage, clock: ManualClock) {
    this.core = core;
    this.storage = storage;
    this.clock = clock;
    core.router.addService('example.org', {
      receive: ({ stanza, receipt }) => {
        this.#abroad.push(stanza.toBytes());
        receipt?.settle();
      },
    });
  }

  static async open(
    people: readonly string[],
    { store, environment, clock = new ManualClock() }: StageOptions = {},
  ): Promise<Stage> {
    const storage = storageOver(store ?? new MemoryStore());
    const config = loadConfig({
      environment: { POSTHORN_DOMAINS: 'example.com,example.net', ...environment },
      workingDirectory: '/',
    });
    for (const jid of people) {
      await storage.accounts.create(jid, { createdAt: 0, disabled: false, credentials: {} });
    }
    let ids = 0;
    const randomId = (): string => `id-${++ids}`;
    const archiveIdKey = new Uint8Array(16);
    const core = createCore({ config, storage, clock, log: silentLog, modules: MODULES, randomId, archiveIdKey });
    return new Stage(core, storage, clock);
  }

  /** Binds a resource. */
  async actor(full: string, { maxQueueStanzas = 1000 } = {}): Promise<Actor> {
    const jid = Jid.parse(full);
    const account = this.core.table.account(jid.toBare());
    await account.loaded;
    const stream = new RecordingStream();
    const limits = { maxQueueStanzas, maxQueueBytes: 1_000_000, maxUnprocessedStanzas: 1000 };
    const session = new Session(account, jid, stream, this.clock.monotonic(), limits);
    this.core.table.add(session);
    for (const handler of this.core.pipeline.sessionBound) handler(session);
    return new Actor(this, session, stream);
  }

  /** Lets a second pass, so that what is bound later is bound later. */
  advance(): void {
    this.clock.advance(1000);
  }

  /** A stanza from elsewhere, for instance another server. */
  async receive(bytes: string): Promise<void> {
    this.core.router.route(read(bytes));
    await this.settle();
  }

  /** What was sent to example.org, which is another server, since the last call. */
  takeAbroad(): string[] {
    return this.#abroad.splice(0);
  }

  /** For Actor. */
  put(session: Session, bytes: string): void {
    this.#senders.add(session);
    this.core.router.send(session, read(bytes).withHeader({ from: session.jid }), session.inbound.begin());
  }

  /** Resolves when nothing is under way: every mailbox at rest over several turns of the loop. */
  async settle(): Promise<void> {
    for (let quietTurns = 0; quietTurns < 5;) {
      await new Promise((resolve) => setImmediate(resolve));
      // What was sent before its stream broke goes on all the same, though nobody of its account or the recipient's is there.
      const isQuiet = [...this.core.table.sessions(), ...this.#senders].every(
        ({ account, inbound }) => account.sent.isIdle && account.received.isIdle && inbound.outstanding === 0,
      );
      quietTurns = isQuiet ? quietTurns + 1 : 0;
    }
    this.#senders.clear();
  }
}

function read(bytes: string): Stanza {
  const frame = scanDocument(Buffer.from(bytes.replace(/^<(\w+)/, "<$1 xmlns='jabber:client'")), LIMITS);
  const kind = stanzaKind(frame);
  if (kind === undefined) throw new Error(`no stanza: ${bytes}`);
  const address = (text: string | undefined): Jid | undefined => (text === undefined ? undefined : Jid.parse(text));
  const { id, type, lang } = frame;
  return Stanza.fromFrame(kind, frame, { to: address(frame.to), from: address(frame.from), id, type, lang });
}
