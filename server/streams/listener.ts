import type { Log } from '../log.ts';
import type { Admission } from './admission.ts';
import { refusedStream } from './come-back.ts';
import type { Connection } from './connection.ts';
import type { Flusher } from './flusher.ts';
import type { ListeningAddress } from './listening.ts';
import { SocketListener } from './socket-listener.ts';
import { TcpConnection } from './tcp-connection.ts';
import { ALPN_CLIENT } from './tls-context.ts';
import type { TlsHandshakes } from './tls-handshakes.ts';

/** Options of Listener. */
export interface ListenerOptions {
  /** `c2s`: STARTTLS (RFC 6120 5); `c2s-tls`: direct TLS (XEP-0368). */
  readonly name: 'c2s' | 'c2s-tls';
  /** 0: any free port. */
  readonly port: number;
  readonly addresses: readonly string[];
  readonly directTls: boolean;
  readonly admission: Admission;
  /** Called with each connection; to be given a listener before this returns, for it is read at once. */
  readonly accept: (connection: Connection, about: { readonly directTls: boolean }) => void;
  /** One for all listeners. */
  readonly handshakes: TlsHandshakes;
  /** One for all listeners. */
  readonly flusher: Flusher;
  readonly log: Log;
  /** From 0 to 1, for jitter. */
  readonly random?: () => number;
}

const PORT_OPTIONS = { c2s: 'c2s.port', 'c2s-tls': 'c2s.tls_port' } as const;

/** Listens for the TCP connections of clients. */
export class Listener {
  readonly #sockets: SocketListener;

  constructor({ directTls, accept, handshakes, flusher, name, random = Math.random, ...options }: ListenerOptions) {
    this.#sockets = new SocketListener({
      ...options,
      name,
      portOption: PORT_OPTIONS[name],
      addressOption: 'c2s.addresses',
      // Before TLS there is nobody else to tell it to; under direct TLS it would cost a handshake.
      farewell: directTls ? undefined : (seconds) => refusedStream(seconds, random()),
      // XEP-0368: a client that uses ALPN must name xmpp-client; one that does not is let in
      directTls: directTls ? { handshakes, alpnProtocols: [ALPN_CLIENT] } : undefined,
      accept: (socket) => accept(new TcpConnection(socket, { flusher, handshakes }), { directTls }),
    });
  }

  /**
   * Begins to listen.
   * @throws ListenError that names the option, the address, the port and what to do
   */
  listen(): Promise<readonly ListeningAddress[]> {
    return this.#sockets.listen();
  }

  /** Accepts nobody more; connections stay. */
  close(): void {
    this.#sockets.close();
  }
}
