import { createHash } from 'node:crypto';

import { loadConfig } from '../../config/load.ts';
import { FailureThrottle } from '../../server/sasl/failure-throttle.ts';
import { ComponentStream } from '../../server/streams/component-stream.ts';
import type { ComponentStreamContext } from '../../server/streams/component-stream-context.ts';
import { JidCache } from '../../stanzas/jid.ts';
import { Stage } from './core.ts';
import { MemoryConnection, type MemoryConnectionOptions } from './memory-connection.ts';
import { silentLog } from './silent-log.ts';

export const SECRET = 'a rose by any other name';
const HEADER = `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'`;

const PING = /<iq to='([^']+)' from='([^']+)' id='([^']+)' type='get'><ping xmlns='urn:xmpp:ping'\/><\/iq>/g;

/** The other end of a component's stream over memory. */
export class ComponentPlayer {
  readonly connection: MemoryConnection;
  readonly stream: ComponentStream;
  readonly #stage: ComponentStage;
  /** What `send` gave: pings in it are answered by `answerPings`. */
  #seen = '';

  constructor(stage: ComponentStage, options: MemoryConnectionOptions = {}) {
    this.#stage = stage;
    this.connection = new MemoryConnection(options);
    this.stream = new ComponentStream(this.connection, stage.context);
  }

  /** Sends bytes, waits until everything they lead to has happened, and takes what came. */
  async send(text: string): Promise<string> {
    this.connection.send(Buffer.from(text).toString('latin1'));
    await this.#stage.play.settle();
    this.connection.flush();
    const came = this.connection.take();
    this.#seen += came;
    return came;
  }

  /** Confirms what it has read so far, as whoever answers pings does; gives what else had come. */
  async answerPings(): Promise<string> {
    this.connection.flush();
    const came = this.#seen + this.connection.take();
    this.#seen = '';
    for (const [, to, from, id] of came.matchAll(PING)) {
      this.connection.send(`<iq from='${to}' to='${from}' id='${id}' type='result'/>`);
    }
    await this.#stage.play.settle();
    return came.replaceAll(PING, '');
  }

  /** Opens the stream; gives the header that answers. */
  open(domain: string): Promise<string> {
    return this.send(`${HEADER} to='${domain}'>`);
  }

  /** Opens the stream and shows the secret; gives what came behind our header. */
  async enter(domain: string, secret = SECRET): Promise<string> {
    const id = /id='([^']*)'/.exec(await this.open(domain))?.[1] ?? '';
    return this.send(`<handshake>${createHash('sha1').update(`${id}${secret}`).digest('hex')}</handshake>`);
  }
}

/** The core of a server of example.com and example.net, and its external components over memory. */
export class ComponentStage {
  readonly play: Stage;
  readonly context: ComponentStreamContext;

  private constructor(play: Stage, context: ComponentStreamContext) {
    this.play = play;
    this.context = context;
  }

  /** @param external as in the configuration, where the secrets come from is added; @param options further ones */
  static async open(
    people: readonly string[],
    external: readonly Readonly<Record<string, unknown>>[],
    options: Readonly<Record<string, string>> = {},
  ): Promise<ComponentStage> {
    const environment = {
      POSTHORN_DOMAINS: 'example.com,example.net',
      POSTHORN_COMPONENTS_EXTERNAL: JSON.stringify(external.map((one) => ({ secret_environment: 'ROSE', ...one }))),
      ...options,
    };
    const play = await Stage.open(people, { environment });
    const config = loadConfig({ environment, workingDirectory: '/' });
    let ids = 0;
    return new ComponentStage(play, {
      config,
      secrets: new Map(config.components.external.map(({ domain }) => [domain, SECRET])),
      components: play.core.components,
      router: play.core.router,
      jids: new JidCache(100),
      commit: play.storage.commit,
      clock: play.clock,
      log: silentLog,
      randomId: () => `stream-${++ids}`,
      throttle: new FailureThrottle(play.clock),
      streams: new Set(),
    });
  }

  /** A component connects. */
  connect(options: MemoryConnectionOptions = {}): ComponentPlayer {
    return new ComponentPlayer(this, options);
  }

  /** A component connects and is accepted. */
  async enter(domain: string, options: MemoryConnectionOptions = {}): Promise<ComponentPlayer> {
    const player = this.connect(options);
    await player.enter(domain);
    return player;
  }

  /** Time passes, and every stream looks at the clock as it does once a second. */
  pass(seconds: number): void {
    for (let passed = 0; passed < seconds; passed++) {
      this.play.clock.advance(1000);
      for (const stream of [...this.context.streams]) stream.check(this.play.clock.monotonic());
    }
  }
}
