import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { connect, type TLSSocket } from 'node:tls';

/** How a client comes back. */
export type ReturnKind =
  | 'login' // its password with SCRAM-SHA-256: two round trips
  | 'token' // its token, and a new session: one round trip
  | 'resume'; // its token, and its session

/** What became of one client in a storm. */
export interface Returned {
  /** From the moment the storm began until the client was in, milliseconds. */
  readonly afterMs: number;
  /** How often it was told to come back later. */
  readonly deferred: number;
  /** How often its connection ended without a word. */
  readonly dropped: number;
  /** Whether it has the session that it had. */
  readonly isResumed: boolean;
}

const SASL2 = `xmlns='urn:xmpp:sasl:2'`;
const MECHANISM = 'HT-SHA-256-EXPR';
const ENABLE = `<enable xmlns='urn:xmpp:sm:3' resume='true'/>`;
const BIND = `<bind xmlns='urn:xmpp:bind:0'><tag>Storm</tag>${ENABLE}<enable xmlns='urn:xmpp:carbons:2'/></bind>`;
const DROPPED_RETRY_MS = 1000;
/** Salted passwords by salt: a client keeps its own, and here all are the same. */
const salted = new Map<string, Buffer>();

class Deferred extends Error {
  readonly seconds: number;

  constructor(seconds: number) {
    super(`told to come back in ${seconds} s`);
    this.seconds = seconds;
  }
}

/** One device of one account, as it is over several connections. */
export class StormClient {
  readonly #username: string;
  readonly #password: string;
  readonly #agent: string;
  #token = '';
  #sessionId = '';
  #handled = 0;
  #socket: TLSSocket | undefined;
  #received = '';
  #wake: () => void = () => undefined;

  constructor(username: string, password: string, id: string) {
    this.#username = username;
    this.#password = password;
    this.#agent = `<user-agent id='${id}'><software>Storm</software></user-agent>`;
  }

  /** Comes back, however often it takes. */
  async comeBack(kind: ReturnKind, port: number): Promise<Returned> {
    const startMs = performance.now();
    let deferred = 0;
    let dropped = 0;
    for (;;) {
      try {
        const isResumed = await this.#enter(kind, port);
        return { afterMs: performance.now() - startMs, deferred, dropped, isResumed };
      } catch (error) {
        this.#socket?.destroy();
        if (error instanceof Deferred) deferred += 1;
        else dropped += 1;
        const pauseMs = error instanceof Deferred ? error.seconds * 1000 : DROPPED_RETRY_MS * (1 + Math.random());
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
  }

  /** Waits until the server has ended the connection. */
  async gone(): Promise<void> {
    while (this.#socket?.closed === false) await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  destroy(): void {
    this.#socket?.destroy();
  }

  async #enter(kind: ReturnKind, port: number): Promise<boolean> {
    await this.#dial(port);
    const header =
      `<stream:stream from='${this.#username}@localhost' to='localhost' version='1.0' xmlns='jabber:client' ` +
      `xmlns:stream='http://etherx.jabber.org/streams'>`;
    if (kind === 'login') await this.#logIn(header);
    else this.#send(header + this.#tokenRequest(kind));
    const success = await this.#until(/<success .*<\/success><stream:features>.*?<\/stream:features>/);
    this.#token = attributeIn(success, 'token', 'token') ?? this.#token;
    const isResumed = success.includes('<resumed ');
    if (isResumed) return true;
    this.#sessionId = attributeIn(success, 'enabled', 'id') ?? '';
    this.#handled = 0;
    this.#send(`<iq id='r' type='get'><query xmlns='jabber:iq:roster'/></iq><presence/>`);
    await this.#until(/<presence [^>]*\/>|<presence .*?<\/presence>/);
    this.#handled = 2; // the roster and its own presence
    return false;
  }

  async #logIn(header: string): Promise<void> {
    this.#send(header);
    await this.#until(/<\/stream:features>/);
    const bare = `n=${this.#username},r=${randomBytes(18).toString('base64')}`;
    const first = Buffer.from(`n,,${bare}`).toString('base64');
    const request = `<request-token xmlns='urn:xmpp:fast:0' mechanism='${MECHANISM}'/>`;
    this.#send(
      `<authenticate ${SASL2} mechanism='SCRAM-SHA-256'><initial-response>${first}</initial-response>` +
        `${this.#agent}${BIND}${request}</authenticate>`,
    );
    const encoded = /<challenge [^>]*>([^<]*)</.exec(await this.#until(/<challenge .*?<\/challenge>/))?.[1] ?? '';
    const challenge = Buffer.from(encoded, 'base64').toString();
    const parts = new Map(challenge.split(',').map((part) => [part.slice(0, 2), part.slice(2)]));
    const withoutProof = `c=biws,r=${parts.get('r=') ?? ''}`;
    const key = hmac(this.#salted(parts.get('s=') ?? '', Number(parts.get('i='))), 'Client Key');
    const signature = hmac(createHash('sha256').update(key).digest(), `${bare},${challenge},${withoutProof}`);
    const proof = Buffer.from(key.map((byte, index) => byte ^ signature[index]!)).toString('base64');
    const final = Buffer.from(`${withoutProof},p=${proof}`).toString('base64');
    this.#send(`<response ${SASL2}>${final}</response>`);
  }

  #tokenRequest(kind: ReturnKind): string {
    const binding = this.#socket!.exportKeyingMaterial(32, 'EXPORTER-Channel-Binding', Buffer.alloc(0));
    const hashed = createHmac('sha256', this.#token).update('Initiator').update(binding).digest();
    const initial = Buffer.concat([Buffer.from(`${this.#username}\0`), hashed]).toString('base64');
    const resume = `<resume xmlns='urn:xmpp:sm:3' previd='${this.#sessionId}' h='${this.#handled}'/>`;
    return (
      `<authenticate ${SASL2} mechanism='${MECHANISM}'><initial-response>${initial}</initial-response>` +
      `${this.#agent}${kind === 'resume' ? resume : ''}${BIND}<fast xmlns='urn:xmpp:fast:0'/></authenticate>`
    );
  }

  #salted(salt: string, iterations: number): Buffer {
    let known = salted.get(salt);
    if (known === undefined) {
      known = pbkdf2Sync(this.#password, Buffer.from(salt, 'base64'), iterations, 32, 'sha256');
      salted.set(salt, known);
    }
    return known;
  }

  async #dial(port: number): Promise<void> {
    const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false });
    this.#socket = socket;
    this.#received = '';
    socket.on('error', () => undefined);
    socket.on('close', () => this.#wake());
    socket.on('data', (chunk: Buffer) => {
      this.#received += chunk.toString('latin1');
      this.#wake();
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve);
      socket.once('close', () => reject(new Error('no connection')));
    });
  }

  #send(bytes: string): void {
    this.#socket?.write(bytes);
  }

  async #until(pattern: RegExp): Promise<string> {
    for (;;) {
      const match = pattern.exec(this.#received);
      if (match !== null) {
        this.#received = this.#received.slice(match.index + match[0].length);
        return match[0];
      }
      const retry = /<retry xmlns='urn:posthorn:retry:0' after='(\d+)'/.exec(this.#received)?.[1];
      if (retry !== undefined) throw new Deferred(Number(retry));
      if (this.#socket?.closed !== false || this.#received.includes('<failure ')) {
        throw new Error(`refused: ${this.#received.slice(-300)}`);
      }
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function attributeIn(bytes: string, name: string, attribute: string): string | undefined {
  return new RegExp(`<${name} [^>]*\\b${attribute}='([^']*)'`).exec(bytes)?.[1];
}
