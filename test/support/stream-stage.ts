import { randomBytes } from 'node:crypto';

import { loadConfig } from '../../config/load.ts';
import { createCore, type Core } from '../../server/core.ts';
import type { Log } from '../../server/log.ts';
import { MODULES } from '../../server/module-list.ts';
import { deriveCredentials } from '../../server/sasl/scram-keys.ts';
import { RandomSource } from '../../server/random-source.ts';
import { streamContext } from '../../server/server-parts.ts';
import { ClientStream } from '../../server/streams/client-stream.ts';
import type { StreamContext } from '../../server/streams/stream-context.ts';
import type { OrderedStore } from '../../storage/ordered-store.ts';
import { MemoryStore } from '../../storage/backends/memory.ts';
import { storageOver, type Storage } from '../../storage/storage.ts';
import { ManualClock } from './manual-clock.ts';
import { MemoryConnection, type MemoryConnectionOptions } from './memory-connection.ts';
import { silentLog } from './silent-log.ts';

export const PASSWORD = 'wherefore-art-thou';
/** TLS without channel binding. */
export const ENCRYPTED = { encrypted: true, tlsExporter: undefined, tlsServerEndPoint: undefined } as const;

/** The attributes of a stream header; undefined leaves one out. */
export interface HeaderAttributes {
  readonly to?: string | undefined;
  readonly from?: string | undefined;
  readonly version?: string | undefined;
  readonly lang?: string | undefined;
  readonly id?: string | undefined;
  /** Further attributes and declarations, as they are written. */
  readonly others?: string;
}

const DEFAULT_ATTRIBUTES: HeaderAttributes = { to: 'capulet.example', version: '1.0' };

function attributesOf(given: HeaderAttributes): string {
  const { to, from, version, lang, id, others } = { ...DEFAULT_ATTRIBUTES, ...given };
  const pairs = [
    ['to', to],
    ['from', from],
    ['version', version],
    ['xml:lang', lang],
    ['id', id],
  ] as const;
  const written = pairs.map(([name, value]) => (value === undefined ? '' : ` ${name}='${value}'`)).join('');
  return others === undefined ? written : `${written} ${others}`;
}

/** A client's stream header (RFC 6120 4.2). */
export function header(given: HeaderAttributes = {}): string {
  return `<?xml version='1.0'?><stream:stream${attributesOf(given)} xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`;
}

/** RFC 6120 6.4.2 with PLAIN (RFC 4616). */
export function plainAuth(username: string, password = PASSWORD): string {
  const message = Buffer.from(`\0${username}\0${password}`).toString('base64');
  return `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${message}</auth>`;
}

/** RFC 6120 7.6, or 7.7 with a resource. */
export function bindRequest(resource?: string, id = 'bind'): string {
  const child = resource === undefined ? '' : `<resource>${resource}</resource>`;
  return `<iq id='${id}' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>${child}</bind></iq>`;
}

/** The other end of a client stream over memory. */
export class StreamPlayer {
  readonly connection: MemoryConnection;
  readonly stream: ClientStream;

  constructor(context: StreamContext, options: MemoryConnectionOptions) {
    this.connection = new MemoryConnection(options);
    this.stream = new ClientStream(this.connection, context);
  }

  /** Sends bytes (text beyond ASCII as UTF-8). */
  send(text: string): void {
    this.connection.send(Buffer.from(text).toString('latin1'));
  }

  /** Everything that went out and was not taken. */
  get sent(): string {
    return Buffer.from(this.connection.sent, 'latin1').toString();
  }

  /** Waits for the pattern and takes everything up to its end. Rejects when the server closes its side first. */
  async until(pattern: RegExp): Promise<string> {
    for (;;) {
      const match = pattern.exec(this.connection.sent);
      if (match !== null) {
        const end = match.index + match[0].length;
        const taken = this.connection.sent.slice(0, end);
        this.connection.sent = this.connection.sent.slice(end);
        return Buffer.from(taken, 'latin1').toString();
      }
      if (this.connection.ended || this.connection.destroyed) {
        throw new Error(`closed while waiting for ${String(pattern)}; sent: ${this.sent}`);
      }
      await nextTurn();
    }
  }

  /** Opens a stream and waits for its features. */
  async open(given: HeaderAttributes = {}): Promise<string> {
    this.send(header(given));
    return this.until(/<stream:features>.*<\/stream:features>/);
  }

  /** Opens a stream, logs in and expects a new stream next. */
  async logIn(username: string, given: HeaderAttributes = {}): Promise<void> {
    await this.open(given);
    this.send(plainAuth(username));
    await this.until(/<success [^>]*>/);
  }

  /** Opens a stream and binds a resource; the full JID. */
  async bind(resource?: string, given: HeaderAttributes = {}): Promise<string> {
    await this.open(given);
    this.send(bindRequest(resource));
    return /<jid>(.*)<\/jid>/.exec(await this.until(/<iq [^>]*type='result'.*?<\/iq>/))?.[1] ?? '';
  }

  async enter(username: string, resource: string, given: HeaderAttributes = {}): Promise<string> {
    await this.logIn(username, given);
    return this.bind(resource, given);
  }

  /** Asks the server something whose answer comes behind everything that was sent before; takes what came until then. */
  async fence(): Promise<string> {
    this.send(`<iq id='fence' type='get' to='capulet.example'><ping xmlns='urn:xmpp:ping'/></iq>`);
    return this.until(/<iq [^>]*id='fence'[^>]*>/);
  }

  /**
   * The condition with which the server ends the stream. Rejects where it ends in another form than RFC 6120 4.9.1.1 has
   * it: the error, then the end of the stream, then nothing.
   */
  async refusal(): Promise<string> {
    while (!this.connection.ended && !this.connection.destroyed) await nextTurn();
    const form =
      /<stream:error><([a-z-]+) xmlns='urn:ietf:params:xml:ns:xmpp-streams'\/>(?:<text .*?<\/text>)?(?:<[^>]*\/>)?<\/stream:error><\/stream:stream>$/;
    const condition = form.exec(this.sent)?.[1];
    if (condition === undefined) throw new Error(`no stream error at the end of: ${this.sent}`);
    return condition;
  }
}

export interface StreamStageOptions {
  /** Options as environment variables, over the defaults. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly store?: OrderedStore;
  readonly log?: Log;
  readonly clock?: ManualClock;
  /** Who gets an account; nobody where the store has them already. */
  readonly people?: readonly string[];
}

/** A server of capulet.example and montague.example whose streams are over memory. Juliet and Romeo have accounts. */
export class StreamStage {
  readonly clock: ManualClock;
  readonly core: Core;
  readonly storage: Storage;
  readonly context: StreamContext;

  private constructor(clock: ManualClock, core: Core, storage: Storage, context: StreamContext) {
    this.clock = clock;
    this.core = core;
    this.storage = storage;
    this.context = context;
  }

  static async open({
    environment,
    store,
    log = silentLog,
    // The store keeps when a session began, and no time before 1970.
    clock = new ManualClock(Date.UTC(2026, 0, 1)),
    people = ['juliet@capulet.example', 'romeo@capulet.example', 'romeo@montague.example'],
  }: StreamStageOptions = {}): Promise<StreamStage> {
    const config = loadConfig({
      environment: {
        POSTHORN_DOMAINS: 'capulet.example,montague.example',
        POSTHORN_SASL_SCRAM_ITERATIONS: '4096',
        POSTHORN_SASL_FREE_FAILURES: '100', // the clock stands still
        ...environment,
      },
      workingDirectory: '/',
      systemFile: '/nonexistent',
    });
    const storage = storageOver(store ?? new MemoryStore());
    const credentials = await deriveCredentials(PASSWORD, {
      iterations: 4096,
      random: (length) => randomBytes(length),
    });
    for (const bare of people) {
      await storage.accounts.create(bare, { createdAt: 0, disabled: false, credentials });
    }
    const archiveIdKey = new Uint8Array(16);
    const random = new RandomSource();
    const core = createCore({ config, storage, clock, log, modules: MODULES, randomId: random.id, archiveIdKey });
    const context = await streamContext({ config, storage, clock, log, core, random }, new Set());
    return new StreamStage(clock, core, storage, context);
  }

  /** A client connects over TCP, in clear unless said otherwise. */
  connect(options: MemoryConnectionOptions = {}): StreamPlayer {
    return new StreamPlayer(this.context, options);
  }

  /** A client connects under TLS. */
  connectSecurely(options: MemoryConnectionOptions = {}): StreamPlayer {
    return this.connect({ security: ENCRYPTED, ...options });
  }

  /** Time passes, and every stream looks at the clock as it does once a second. */
  pass(seconds: number): void {
    for (let passed = 0; passed < seconds; passed++) {
      this.clock.advance(1000);
      for (const stream of [...this.context.streams]) stream.check(this.clock.monotonic());
    }
  }
}

/** Resolves in the next turn of the loop. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
