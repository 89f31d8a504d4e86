import { loadConfig } from '../../config/load.ts';
import { DialbackKeys } from '../../server/federation/dialback-key.ts';
import { Federation } from '../../server/federation/federation.ts';
import { DialingError, type Dialed, type Place } from '../../server/federation/dialing.ts';
import { PeerPolicies } from '../../server/federation/peer-policy.ts';
import type { Log } from '../../server/log.ts';
import type { SecurityLayer } from '../../server/sasl/mechanisms.ts';
import { JidCache } from '../../stanzas/jid.ts';
import type { OrderedStore } from '../../storage/ordered-store.ts';
import { Stage, type Actor } from './core.ts';
import { ManualClock } from './manual-clock.ts';
import { MemoryConnection } from './memory-connection.ts';
import { silentLog } from './silent-log.ts';

/** TLS with a certificate that is valid for these domains. */
export function certified(...domains: readonly string[]): SecurityLayer {
  const names = { dns: domains, srv: [], xmpp: [], ip: [] };
  return { encrypted: true, tlsExporter: undefined, tlsServerEndPoint: undefined, peer: { names, problem: undefined } };
}

/** TLS with a certificate for which nobody vouches. */
export function uncertified(...domains: readonly string[]): SecurityLayer {
  const names = { dns: domains, srv: [], xmpp: [], ip: [] };
  const peer = { names, problem: 'DEPTH_ZERO_SELF_SIGNED_CERT' };
  return { encrypted: true, tlsExporter: undefined, tlsServerEndPoint: undefined, peer };
}

/** A server of this host name, at an address that no other has. */
export function placeAt(host: string, more: { readonly address?: string; readonly directTls?: boolean } = {}): Place {
  const { address = `the address of ${host}`, directTls = false } = more;
  return { target: { host, port: 5269, directTls }, address };
}

export interface FederationStageOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly store?: OrderedStore;
  /** What protects the connections that are made; undefined: nobody answers. */
  readonly security?: SecurityLayer | undefined;
  readonly log?: Log;
  /** Juliet is not there. */
  readonly isAlone?: boolean;
}

/** Juliet's server, example.com, whose connections to other servers end in the test. */
export class FederationStage {
  readonly stage: Stage;
  readonly federation: Federation;
  readonly clock: ManualClock;
  readonly keys = new DialbackKeys(Buffer.from('s3cr3tf0rd14lb4ck'));
  readonly juliet: Actor;
  /** Connections that were made, oldest first, and for whom. */
  readonly dialed: { readonly domain: string; readonly connection: MemoryConnection }[] = [];
  /** Domains that were tried in vain. */
  readonly missed: string[] = [];
  security: SecurityLayer | undefined;
  /** How many servers each domain has. */
  servers = 1;
  /** Where domains are served that have not a host of their own name. */
  readonly places = new Map<string, Place>();
  #offered = 0;

  private constructor(stage: Stage, juliet: Actor, { environment, security, log }: FederationStageOptions) {
    this.stage = stage;
    this.juliet = juliet;
    this.clock = new ManualClock();
    this.security = security;
    const { s2s } = loadConfig({ environment: environment ?? {}, workingDirectory: '/', systemFile: '/nonexistent' });
    let ids = 0;
    this.federation = new Federation({
      settings: s2s,
      router: stage.core.router,
      storage: stage.storage,
      clock: this.clock,
      log: log ?? silentLog,
      counters: stage.core.counters,
      jids: new JidCache(100),
      policies: new PeerPolicies(s2s.policy, s2s.policies),
      keys: this.keys,
      randomId: () => `id-${++ids}`,
      random: () => 1,
      dialing: {
        dial: (domain, tried) => this.#dial(domain, tried),
        firstPlaces: (domain) => Promise.resolve([this.#placeOf(domain)]),
      },
      connect: (_dialed, { remote }) => {
        const connection = new MemoryConnection({ security: this.security ?? certified() });
        this.dialed.push({ domain: remote, connection });
        return Promise.resolve(connection);
      },
    });
    stage.core.router.setRemote(this.federation);
  }

  static async open(options: FederationStageOptions = {}): Promise<FederationStage> {
    const people = ['juliet@example.com'];
    const isNew = options.store === undefined;
    const stage = await Stage.open(isNew ? people : [], {
      ...(options.store !== undefined && { store: options.store }),
      environment: { POSTHORN_DOMAINS: 'example.com', ...options.environment },
    });
    if (!isNew && (await stage.storage.accounts.get(people[0]!)) === undefined) {
      await stage.storage.accounts.create(people[0]!, { createdAt: 0, disabled: false, credentials: {} });
    }
    const juliet = await stage.actor('juliet@example.com/balcony');
    if (options.isAlone === true) await juliet.leave();
    else await juliet.enter();
    return new FederationStage(stage, juliet, options);
  }

  /** Another server connects. */
  connect(security: SecurityLayer, address = '192.0.2.1'): Peer {
    const connection = new MemoryConnection({ security, address });
    this.federation.accept(connection);
    return new Peer(connection);
  }

  /** The next connection that is made to another server, once it is. */
  async nextDialed(): Promise<Peer> {
    for (let turns = 0; turns < 200; turns++) {
      const next = this.dialed[this.#offered];
      if (next !== undefined) {
        this.#offered++;
        return new Peer(next.connection);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    throw new Error('no connection was made');
  }

  /** Lets time pass, and whatever follows from it. */
  async pass(seconds: number): Promise<void> {
    for (let passed = 0; passed < seconds; passed++) {
      this.clock.advance(1000);
      this.federation.check(this.clock.monotonic());
    }
    await this.stage.settle();
  }

  /** What Juliet hears of a message of hers that came back. */
  takeErrors(): string[] {
    return this.juliet.take().filter((stanza) => stanza.includes(`type='error'`));
  }

  /** The same, each as its id and the condition of the error. */
  errors(): string[] {
    return this.takeErrors().map(
      (stanza) => `${/ id='([^']*)'/.exec(stanza)?.[1] ?? ''} ${/<error [^>]*><([\w-]+)/.exec(stanza)?.[1] ?? ''}`,
    );
  }

  /** How many messages wait for Juliet. */
  async waiting(): Promise<number> {
    await this.stage.storage.commit.flush();
    return (await this.stage.storage.log.pendingUsage('juliet@example.com')).count;
  }

  /** The ids of the messages that went over a connection since the last look. */
  async sent(peer: Peer): Promise<string[]> {
    await this.stage.settle();
    return [...peer.connection.take().matchAll(/<message [^>]*id='(m[^']*)'/g)].map(([, id]) => id ?? '');
  }

  /** How many stanzas lie in the outbox. */
  async stored(): Promise<number> {
    await this.stage.storage.commit.flush();
    let count = 0;
    for await (const entry of this.stage.storage.outboxes.everything(() => undefined)) count += entry.length - 1;
    return count;
  }

  #dial(domain: string, tried: ReadonlySet<string> = new Set()): Promise<Dialed> {
    const { target, address } = this.#placeOf(domain);
    if (this.security === undefined || tried.size >= this.servers) {
      this.missed.push(domain);
      return Promise.reject(new DialingError(`${domain} cannot be reached`));
    }
    const next = { ...target, port: target.port + tried.size };
    return Promise.resolve({ socket: undefined as unknown as Dialed['socket'], target: next, address });
  }

  #placeOf(domain: string): Place {
    return this.places.get(domain) ?? placeAt(domain);
  }
}

const STREAM = `xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback'`;

/** The other server at the other end of a connection. */
export class Peer {
  readonly connection: MemoryConnection;

  constructor(connection: MemoryConnection) {
    this.connection = connection;
  }

  send(bytes: string): void {
    this.connection.send(bytes);
  }

  /** Sends the header of a stream. */
  open(from: string, to = 'example.com', more = ''): void {
    this.send(`<?xml version='1.0'?><stream:stream ${STREAM} from='${from}' to='${to}' version='1.0'${more}>`);
  }

  /** Waits for the pattern in what the server sends, and takes everything up to its end. */
  async until(pattern: RegExp): Promise<RegExpExecArray> {
    for (let turns = 0; turns < 300; turns++) {
      const match = pattern.exec(this.connection.sent);
      if (match !== null) {
        this.connection.sent = this.connection.sent.slice(match.index + match[0].length);
        return match;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    throw new Error(`nothing like ${String(pattern)} in: ${this.connection.sent}`);
  }

  /** Opens a stream and proves the domain by the certificate of the connection. */
  async prove(from: string): Promise<void> {
    this.open(from);
    await this.until(/<mechanism>EXTERNAL<\/mechanism>.*<\/stream:features>/s);
    this.send(
      `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>${Buffer.from(from).toString('base64')}</auth>`,
    );
    await this.until(/<success [^>]*>/);
    this.open(from);
    await this.until(/<\/stream:features>/);
  }

  /** Answers the header of a stream that the server has opened, with these features. */
  async answerHeader(features: string, id = 'D60000229F'): Promise<void> {
    const [, from = '', to = ''] = await this.until(/<stream:stream [^>]*from='([^']*)' to='([^']*)'[^>]*>/);
    this.send(
      `<?xml version='1.0'?><stream:stream ${STREAM} from='${to}' to='${from}' id='${id}' version='1.0'><stream:features>${features}</stream:features>`,
    );
  }

  /** Accepts the proof of the server by SASL EXTERNAL. */
  async accept(features = ''): Promise<void> {
    await this.answerHeader(
      `<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>`,
    );
    await this.until(/<auth [^>]*mechanism='EXTERNAL'>[^<]*<\/auth>/);
    this.send(`<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`);
    await this.answerHeader(features);
    // What follows from it takes a few turns.
    for (let turns = 0; turns < 10; turns++) await new Promise((resolve) => setImmediate(resolve));
  }
}
