import { loadConfig } from '../../config/load.ts';
import { createCore, type Core } from '../../server/core.ts';
import { MODULES } from '../../server/module-list.ts';
import { Session, type SessionStream } from '../../server/routing/session.ts';
import { parseElement, type Element } from '../../stanzas/element.ts';
import { Jid } from '../../stanzas/jid.ts';
import { NS } from '../../stanzas/namespaces.ts';
import { scanDocument } from '../../stanzas/scanner.ts';
import { Stanza } from '../../stanzas/stanza.ts';
import { openStorage, type Storage } from '../../storage/storage.ts';
import { ManualClock } from './manual-clock.ts';
import { silentLog } from './silent-log.ts';

const LIMITS = { maxBytes: 1024 * 1024, maxDepth: 100, maxAttributes: 100 };

/** The routing core with every module, over memory, for the domains of both houses. */
export interface Stage {
  readonly core: Core;
  readonly storage: Storage;
  readonly clock: ManualClock;
  /** Logs somebody in whose account `setStage` made. */
  enter(full: string): Promise<Actor>;
  /** The stream features as a client with a resource to bind sees them, as byte strings. */
  streamFeatures(): string[];
  strike(): Promise<void>;
}

/**
 * Sets a stage with the accounts of Juliet, Romeo and Tybalt; Romeo receives Juliet's presence, Tybalt does not.
 * @param environment options as in environment variables
 */
export async function setStage(environment: Record<string, string> = {}): Promise<Stage> {
  const config = loadConfig({
    environment: { POSTHORN_DOMAINS: 'capulet.example,montague.example', ...environment },
    workingDirectory: import.meta.dirname,
    systemFile: '/nonexistent',
  });
  const storage = await openStorage({ backend: 'memory', directory: '', durability: 'process' });
  for (const bare of ['juliet@capulet.example', 'tybalt@capulet.example', 'romeo@montague.example']) {
    await storage.accounts.create(bare, { createdAt: 0, disabled: false, credentials: {} });
  }
  const romeo = {
    jid: 'romeo@montague.example',
    name: 'Romeo',
    groups: [],
    ask: false,
    approved: false,
    isListed: true,
  };
  await storage.rosters.save('juliet@capulet.example', 1, [{ ...romeo, subscription: 'from', request: undefined }], []);
  const clock = new ManualClock();
  const secrets = { randomId: () => 'id', archiveIdKey: new Uint8Array(16) };
  const core = createCore({ config, storage, clock, log: silentLog, modules: MODULES, ...secrets });
  return {
    core,
    storage,
    clock,
    async enter(full) {
      const jid = Jid.parse(full);
      const account = core.table.account(jid.toBare());
      await account.loaded;
      const actor = new Actor(core);
      actor.session = new Session(account, jid, actor, clock.now(), { ...config.limits });
      core.table.add(actor.session);
      for (const handler of core.pipeline.sessionBound) handler(actor.session);
      return actor;
    },
    streamFeatures: () => core.streamFeatures.map((feature) => feature().toBytes(NS.CLIENT)),
    strike: () => storage.close(),
  };
}

/** A client without a socket: says stanzas and hears the answers. */
export class Actor implements SessionStream {
  readonly remoteAddress = '192.0.2.1';
  readonly transport = 'memory';
  readonly isSecure = true;
  readonly bufferedBytes = 0;
  session!: Session;
  readonly #core: Core;
  readonly #waiting = new Map<string, (answer: Stanza) => void>();

  constructor(core: Core) {
    this.#core = core;
  }

  writeStanza(stanza: Stanza): void {
    const hear = this.#waiting.get(stanza.id ?? '');
    this.#waiting.delete(stanza.id ?? '');
    hear?.(stanza);
  }

  closeWithError(error: Error): void {
    throw error;
  }

  /** Sends an IQ without waiting; resolves with what comes back under its id. */
  ask(xml: string): Promise<Stanza> {
    const frame = scanDocument(Buffer.from(xml.replace('<iq', `<iq xmlns='${NS.CLIENT}'`)), LIMITS);
    const { id = '', type } = frame;
    const to = frame.to === undefined ? undefined : Jid.parse(frame.to);
    const heard = new Promise<Stanza>((resolve) => this.#waiting.set(id, resolve));
    const stanza = Stanza.fromFrame('iq', frame, { from: this.session.jid, to, id, type });
    this.#core.router.send(this.session, stanza, this.session.inbound.begin());
    return heard;
  }

  /** Asks and expects a result; its payload. */
  async answerTo(xml: string): Promise<Element> {
    const answer = await this.ask(xml);
    const child = answer.payload;
    if (answer.type !== 'result' || child === undefined) throw new Error(`no payload in ${answer.toBytes()}`);
    return answer.parse(child);
  }

  /** Asks and expects an error; its type and condition, as in `cancel item-not-found`. */
  async refusalOf(xml: string): Promise<string> {
    const answer = await this.ask(xml);
    const error = answer.child('error', NS.CLIENT);
    if (answer.type !== 'error' || error === undefined) throw new Error(`no error: ${answer.toBytes()}`);
    return `${error.attribute('type') ?? ''} ${error.children[0]?.name ?? ''}`;
  }
}

/** An element written down in a test. */
export function elementOf(xml: string): Element {
  return parseElement(Buffer.from(xml, 'utf8').toString('latin1'));
}

/** The values of `var` among an answer's features. */
export function featuresOf(info: Element): string[] {
  return info.childrenNamed('feature').map((feature) => feature.attribute('var') ?? '');
}
