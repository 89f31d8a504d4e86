import { createServer, type Server, type Socket } from 'node:net';

import type { Log } from '../log.ts';
import type { Admission } from './admission.ts';
import { listenAt, ListenError, stopListening, type ListeningAddress } from './listening.ts';
import type { TlsHandshakes } from './tls-handshakes.ts';

/** Options of SocketListener. */
export interface SocketListenerOptions {
  readonly name: string;
  /** 0: any free port. */
  readonly port: number;
  readonly addresses: readonly string[];
  /** The options to blame when it cannot listen. */
  readonly portOption: string;
  readonly addressOption: string;
  /** TLS from the first byte on, for who offers one of these by ALPN or nothing at all; undefined: none. */
  readonly directTls?: { readonly handshakes: TlsHandshakes; readonly alpnProtocols: readonly string[] } | undefined;
  readonly admission: Pick<Admission, 'admit' | 'release' | 'comeBackSeconds'>;
  /** What one that is refused is told, in clear, before its connection is closed; a byte string. Undefined: nothing. */
  readonly farewell?: ((comeBackSeconds: number) => string) | undefined;
  /** Whether a connection from this address is not counted here, as its listener counts whom it stands for. */
  readonly uncounted?: (address: string) => boolean;
  /** A connection that was let in, with its handshake done under direct TLS. */
  readonly accept: (socket: Socket) => void;
  readonly log: Log;
}

/** Refused connections that are open at the same time, and for how long: beyond, nobody is told anything. */
const MAX_FAREWELLS = 100;
const FAREWELL_MS = 1000;

/** Who counted a socket and as what: a closure for `once` would take 250 bytes of each connection more. */
const ADMITTED = Symbol('admitted');
type AdmittedSocket = Socket & {
  [ADMITTED]?: { readonly admission: Pick<Admission, 'release'>; readonly address: string } | undefined;
};

/** Listens on one port of several addresses, lets in whom admission allows, and does direct TLS. */
export class SocketListener {
  readonly #options: SocketListenerOptions;
  readonly #servers: Server[] = [];
  /** Sockets whose handshake is not complete. */
  readonly #greeted = new Set<Socket>();
  /** Sockets that are told when to come back. */
  readonly #refused = new Set<Socket>();

  constructor(options: SocketListenerOptions) {
    this.#options = options;
  }

  /**
   * Begins to listen at every address; `::` on a machine without IPv6 is left out where there are others.
   * @throws ListenError; then it listens nowhere
   */
  async listen(): Promise<readonly ListeningAddress[]> {
    const { addresses, log, name } = this.#options;
    const listening: ListeningAddress[] = [];
    try {
      for (const address of addresses) {
        const server = this.#server();
        const place = await listenAt(server, { ...this.#options, address });
        if (place === undefined) {
          log.warn({ name, address }, 'this machine has no IPv6: listening on the other addresses only');
          continue;
        }
        server.on('error', (error) => log.error({ err: error, name, address }, 'accepting connections failed'));
        this.#servers.push(server);
        listening.push(place);
      }
      if (listening.length > 0) return listening;
      const { addressOption } = this.#options;
      const message = `${addressOption}: this machine has no IPv6; set ${addressOption} to addresses it has`;
      throw new ListenError(message, { code: 'EAFNOSUPPORT', cause: undefined });
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Accepts nobody more. Who was let in stays; who was still at the handshake goes. */
  close(): void {
    stopListening(this.#servers.splice(0));
    for (const socket of [...this.#greeted, ...this.#refused]) socket.destroy();
  }

  #server(): Server {
    const { directTls } = this.#options;
    // Half open: what is on its way to a client that has closed its own side is still written.
    const options = { allowHalfOpen: true, pauseOnConnect: directTls !== undefined };
    return createServer(options, (socket) => this.#admit(socket));
  }

  #admit(socket: Socket): void {
    const { admission, directTls, uncounted } = this.#options;
    const address = socket.remoteAddress;
    if (address === undefined) {
      socket.destroy(); // gone already
      return;
    }
    if (uncounted?.(address) !== true) {
      if (!admission.admit(address)) {
        this.#refuse(socket, address);
        return;
      }
      (socket as AdmittedSocket)[ADMITTED] = { admission, address };
      socket.on('close', release);
    }
    if (directTls === undefined) this.#accept(socket);
    else void this.#secure(socket, directTls);
  }

  #refuse(socket: Socket, address: string): void {
    const { admission, farewell } = this.#options;
    if (farewell === undefined || this.#refused.size >= MAX_FAREWELLS) {
      socket.destroy();
      return;
    }
    this.#refused.add(socket);
    socket.on('error', ignore).once('close', () => this.#refused.delete(socket));
    // What it sends is read and dropped: closing over it would take the farewell from it as well.
    socket.once('end', () => socket.destroy()).setTimeout(FAREWELL_MS, () => socket.destroy());
    socket.resume().end(farewell(admission.comeBackSeconds(address)), 'latin1');
  }

  async #secure(socket: Socket, { handshakes, alpnProtocols }: NonNullable<SocketListenerOptions['directTls']>) {
    const { log, name } = this.#options;
    this.#greeted.add(socket);
    socket.on('error', ignore);
    try {
      const secured = await handshakes.secure({ socket, alpnProtocols });
      this.#accept(secured);
    } catch (error) {
      // Strangers cause these as they like, so they are for who looks for them.
      log.debug({ err: error, name, address: socket.remoteAddress }, 'a connection did not get as far as TLS');
      socket.destroy();
    } finally {
      this.#greeted.delete(socket);
    }
  }

  #accept(socket: Socket): void {
    const { accept, log, name } = this.#options;
    try {
      accept(socket);
    } catch (error) {
      log.error({ err: error, name }, 'a new connection could not be served');
      socket.destroy();
    }
  }
}

function release(this: AdmittedSocket): void {
  const admitted = this[ADMITTED];
  this[ADMITTED] = undefined;
  admitted?.admission.release(admitted.address);
}

/** Errors end in `close`. */
function ignore(): void {
  // nothing
}
