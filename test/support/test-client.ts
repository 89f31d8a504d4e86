import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { ScramClient } from './scram-client.ts';

/** A client over real sockets that shows what comes as text: enough of XMPP to play Juliet and Romeo. */
export class TestClient {
  /** Everything received and not taken by `until`. */
  received = '';
  isClosed = false;
  #socket: Socket;
  #wake: (() => void) | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#listen();
  }

  static async connect(port: number): Promise<TestClient> {
    const socket = connectTcp(port, '127.0.0.1');
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new TestClient(socket);
  }

  send(bytes: string): void {
    this.#socket.write(bytes);
  }

  open(domain = 'localhost'): void {
    this.send(
      `<?xml version='1.0'?><stream:stream to='${domain}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`,
    );
  }

  /** Waits for the pattern and takes everything up to its end. Rejects when the connection closes first. */
  async until(pattern: RegExp): Promise<string> {
    for (;;) {
      const match = pattern.exec(this.received);
      if (match !== null) {
        const end = match.index + match[0].length;
        const taken = this.received.slice(0, end);
        this.received = this.received.slice(end);
        return taken;
      }
      if (this.isClosed) throw new Error(`closed while waiting for ${String(pattern)}; received: ${this.received}`);
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** RFC 6120 5.4 */
  async startTls(domain = 'localhost'): Promise<void> {
    this.open(domain);
    await this.until(/<\/stream:features>/);
    this.send(`<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`);
    await this.until(/<proceed[^>]*>/);
    this.#socket.removeAllListeners('data');
    const secured = connectTls({ socket: this.#socket, servername: domain, rejectUnauthorized: false });
    await new Promise<void>((resolve, reject) => secured.once('secureConnect', resolve).once('error', reject));
    this.#socket = secured;
    this.#listen();
  }

  /** RFC 6120 6.4 with SCRAM-SHA-256 */
  async authenticate(username: string, password: string, domain = 'localhost'): Promise<void> {
    this.open(domain);
    await this.until(/<\/stream:features>/);
    const client = new ScramClient({ username, password, mechanism: 'SCRAM-SHA-256' });
    const sasl = `xmlns='urn:ietf:params:xml:ns:xmpp-sasl'`;
    this.send(`<auth ${sasl} mechanism='SCRAM-SHA-256'>${client.first()}</auth>`);
    const challenge = await this.until(/<challenge[^>]*>([^<]*)<\/challenge>/);
    this.send(`<response ${sasl}>${client.respond(textOf(challenge))}</response>`);
    client.verify(textOf(await this.until(/<success[^>]*>([^<]*)<\/success>|<failure.*<\/failure>/)));
  }

  /** RFC 6120 7 */
  async bind(resource: string, domain = 'localhost'): Promise<void> {
    this.open(domain);
    await this.until(/<\/stream:features>/);
    this.send(
      `<iq id='bind' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${resource}</resource></bind></iq>`,
    );
    await this.until(/<iq [^>]*type='result'.*?<\/iq>/);
  }

  /** Logs in over STARTTLS and binds. */
  static async login(port: number, username: string, password: string, resource: string): Promise<TestClient> {
    const client = await TestClient.connect(port);
    await client.startTls();
    await client.authenticate(username, password);
    await client.bind(resource);
    return client;
  }

  /** What is below it, for who does with it what no client should. */
  get socket(): Socket {
    return this.#socket;
  }

  /** Reads nothing more, so that the server's output stays in the buffers of the system and then in its own. */
  pause(): void {
    this.#socket.pause();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Resolves when the connection is closed. */
  async closed(): Promise<void> {
    while (!this.isClosed) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  #listen(): void {
    this.#socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('utf8');
      this.#wake?.();
    });
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => {
      this.isClosed = true;
      this.#wake?.();
    });
  }
}

function textOf(element: string): string {
  return /.*>([^<]+)<\/\w+>$/s.exec(element)?.[1] ?? '';
}
