import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';

/** How a connection comes to its end. */
const WAYS = [
  'closed', // both ends read the end of the stream of bytes
  'reset', // both ends read ECONNRESET
  'half open', // only the client learns of it; the server's end stays open, and what it writes is lost
] as const;

/** A connection is cut behind at most so many bytes, both directions together: within a login, or within a talk. */
const MAX_BYTES = 60_000;

/** One connection through the proxy. */
interface Line {
  readonly client: Socket;
  readonly server: Socket;
}

interface Cut {
  /** What still goes through, both directions together. */
  bytesLeft: number;
  readonly done: () => void;
}

/**
 * Stands between a client and a server and cuts the connection behind a random number of bytes: in the middle of whatever
 * was being written. Needs no timer, as it cuts only where bytes flow.
 */
export class CuttingProxy {
  readonly #listener: Server;
  readonly #random: () => number;
  readonly #sockets = new Set<Socket>();
  #cut: Cut | undefined;

  private constructor(targetPort: number, random: () => number) {
    this.#random = random;
    this.#listener = createServer((client) => this.#pass(client, connect(targetPort, '127.0.0.1')));
  }

  /**
   * Listens on a free port of the loopback, and cuts nothing yet.
   * @param random from 0 to 1
   */
  static async start(targetPort: number, random: () => number): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(targetPort, random);
    await new Promise<void>((resolve) => proxy.#listener.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port;
  }

  /** Cuts the present connection, or the next where there is none; resolves when that is done. One at a time. */
  cut(): Promise<void> {
    return new Promise((done) => {
      this.#cut = { bytesLeft: Math.floor(this.#random() * MAX_BYTES), done };
    });
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#listener.close(resolve));
  }

  #pass(client: Socket, server: Socket): void {
    const line = { client, server };
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from);
      from.setNoDelay(true);
      from.on('error', () => undefined); // "close" follows
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroySoon(); // with what it still has to write
      });
      from.on('data', (chunk: Buffer) => this.#forward(line, chunk, from, to));
    }
  }

  #forward(line: Line, chunk: Buffer, from: Socket, to: Socket): void {
    if (to.destroyed) return; // cut: for the end that is left there is no other
    const cut = this.#cut;
    const part = cut === undefined ? chunk : chunk.subarray(0, cut.bytesLeft);
    if (!to.write(part)) {
      from.pause();
      to.once('drain', () => from.resume());
    }
    if (cut === undefined) return;
    cut.bytesLeft -= part.length;
    if (part.length === chunk.length) return;
    this.#cut = undefined;
    this.#end(line);
    cut.done();
  }

  #end({ client, server }: Line): void {
    const way = WAYS[Math.floor(this.#random() * WAYS.length)]!;
    switch (way) {
      case 'closed':
        client.destroy();
        server.destroy();
        return;
      case 'reset':
        client.resetAndDestroy();
        server.resetAndDestroy();
        return;
      case 'half open':
        client.removeAllListeners('close').on('close', () => this.#sockets.delete(client));
        client.destroy();
        server.resume(); // into the void
    }
  }
}
