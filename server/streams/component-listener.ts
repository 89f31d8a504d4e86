import { StreamError } from '../../stanzas/stream-error.ts';
import { FailureThrottle } from '../sasl/failure-throttle.ts';
import { Admission } from './admission.ts';
import { ComponentStream } from './component-stream.ts';
import type { ComponentStreamContext } from './component-stream-context.ts';
import { Flusher } from './flusher.ts';
import type { ListeningAddress } from './listening.ts';
import { SocketListener } from './socket-listener.ts';
import { TcpConnection } from './tcp-connection.ts';

/** Components come back every second or so; faster is somebody who tries secrets. */
const CONNECTIONS_PER_MINUTE_PER_ADDRESS = 600;
const MAX_FAILURE_DELAY_MS = 4000;
const GRACE_MS = 1000;
const POLL_MS = 20;

/** Listens for external components (XEP-0114), and has their streams. */
export class ComponentListener {
  readonly #context: ComponentStreamContext;
  readonly #streams = new Set<ComponentStream>();
  readonly #sockets: SocketListener | undefined;

  /** Where no component is configured nothing listens. */
  constructor(shared: Omit<ComponentStreamContext, 'streams' | 'throttle'>) {
    const { config, clock, log } = shared;
    const { maxConnections, addresses, external, port } = config.components;
    const throttle = new FailureThrottle(clock, { maxDelayMs: MAX_FAILURE_DELAY_MS });
    this.#context = { ...shared, streams: this.#streams, throttle };
    if (external.length === 0 || port === false) return;
    const flusher = new Flusher({ log });
    this.#sockets = new SocketListener({
      name: 'component',
      port,
      addresses,
      portOption: 'components.port',
      addressOption: 'components.addresses',
      admission: new Admission({
        limits: {
          maxConnections,
          maxConnectionsPerAddress: maxConnections,
          connectionsPerMinutePerAddress: CONNECTIONS_PER_MINUTE_PER_ADDRESS,
        },
        section: 'components',
        clock,
        log,
      }),
      accept: (socket) => {
        new ComponentStream(new TcpConnection(socket, { flusher }), this.#context);
      },
      log,
    });
  }

  /** Begins to listen, where there is something to listen for. @throws ListenError */
  async listen(): Promise<readonly ListeningAddress[]> {
    return this.#sockets === undefined ? [] : this.#sockets.listen();
  }

  /** Looks at the clock, about once a second. */
  check(nowMs: number): void {
    for (const stream of this.#streams) stream.check(nowMs);
  }

  /** Accepts nobody more; streams stay. */
  close(): void {
    this.#sockets?.close();
  }

  /** Ends every stream; resolves when all have agreed, or after a moment. What has not arrived is back at its senders. */
  async endStreams(): Promise<void> {
    const { clock } = this.#context;
    for (const stream of [...this.#streams]) stream.closeWithError(new StreamError('system-shutdown'));
    const until = clock.monotonic() + GRACE_MS;
    while (this.#streams.size > 0 && clock.monotonic() < until) {
      await new Promise<void>((resolve) => void clock.schedule(POLL_MS, resolve));
    }
    for (const stream of [...this.#streams]) stream.abort();
  }
}
