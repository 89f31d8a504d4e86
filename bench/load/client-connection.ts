import { connect, type Socket } from 'node:net';
import { connect as connectTls, type SecureContext, type TLSSocket } from 'node:tls';
import { userName } from '../peers/accounts.ts';
import { DOMAIN } from '../peers/peer.ts';
import { ScramLogin, type ScramKeyCache } from './scram-login.ts';

export type Security = 'plaintext' | 'starttls' | 'direct-tls';

/** What all connections of the load generator share. */
export interface Shared {
  /** The system's bytes are read into it and looked at before the next read: no buffer is made for them. */
  readonly readBuffer: Buffer;
  readonly secureContext: SecureContext;
  readonly keys: ScramKeyCache;
}

/** Where and how to connect. */
export interface Endpoint {
  readonly port: number;
  readonly security: Security;
}

/** Gets what a connection receives once it has logged in. The buffer holds `length` bytes, and only until it returns. */
export type Receiver = (bytes: Buffer, length: number) => void;

type Step =
  'opening' | 'upgrading' | 'challenge' | 'outcome' | 'reopening' | 'binding' | 'arriving' | 'online' | 'closed';

const HEADER = Buffer.from(
  `<?xml version='1.0'?><stream:stream to='${DOMAIN}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`,
);
const START_TLS = Buffer.from(`<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`);
const SASL = `xmlns='urn:ietf:params:xml:ns:xmpp-sasl'`;
const BIND = Buffer.from(
  `<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>bench</resource></bind></iq>`,
);
const ARRIVE = Buffer.from(`<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq><presence/>`);
const LEAVE = Buffer.from('</stream:stream>');

/** One client: connects, logs in with SCRAM-SHA-1, binds, and hands on what comes afterwards. */
export class ClientConnection {
  readonly user: number;
  receiver: Receiver | undefined;
  /** Told of the end of the connection that nobody here wanted. */
  onFailure: ((error: Error) => void) | undefined;
  /** Whether TLS was resumed. */
  isResumed = false;
  /** What resumes TLS, once the server has sent it. */
  tlsSession: Buffer | undefined;
  readonly #shared: Shared;
  readonly #endpoint: Endpoint;
  readonly #login: ScramLogin;
  #socket: Socket;
  #step: Step = 'opening';
  #text = '';
  #tls: TLSSocket | undefined;
  #arrives = false;
  #done: (() => void) | undefined;

  private constructor(user: number, endpoint: Endpoint, shared: Shared, session: Buffer | undefined) {
    this.user = user;
    this.#shared = shared;
    this.#endpoint = endpoint;
    this.#login = new ScramLogin(userName(user), shared.keys);
    const at = { host: '127.0.0.1', port: endpoint.port, noDelay: true };
    const onread = {
      buffer: shared.readBuffer,
      callback: (length: number, bytes: Uint8Array): boolean => this.#read(bytes as Buffer, length),
    };
    if (endpoint.security === 'direct-tls') {
      // The socket options of `connect` hold here too; the types only know those of TLS.
      this.#socket = this.#secured(connectTls({ ...at, ...this.#tlsOptions(session), ...{ onread } }));
    } else if (endpoint.security === 'starttls') {
      this.#socket = connect(at); // a socket that reads into a given buffer cannot be handed over to TLS
      this.#socket.on('data', (bytes) => this.#read(bytes, bytes.length));
    } else {
      this.#socket = connect({ ...at, onread });
    }
    this.#watch(this.#socket);
    this.#socket.write(HEADER);
  }

  /**
   * Logs in; resolves with the bound connection. Rejects with an Error that shows what the server sent.
   * @param arrives also asks for the roster, sends presence and waits until it has come back
   * @param session what resumes TLS
   */
  static open(
    user: number,
    endpoint: Endpoint,
    shared: Shared,
    { arrives = false, session }: { arrives?: boolean; session?: Buffer | undefined } = {},
  ): Promise<ClientConnection> {
    return new Promise((resolve, reject) => {
      const connection = new ClientConnection(user, endpoint, shared, session);
      connection.#arrives = arrives;
      connection.onFailure = reject;
      connection.#done = () => {
        connection.onFailure = undefined;
        resolve(connection);
      };
    });
  }

  /** Whether everything that was written has gone to the system, so that its buffer may change. */
  get isDrained(): boolean {
    return this.#socket.writableLength === 0;
  }

  get tlsVersion(): string | null {
    return this.#tls?.getProtocol() ?? null;
  }

  write(bytes: Buffer): void {
    this.#socket.write(bytes);
  }

  /** Closes the stream in order; resolves when the server has closed too. */
  leave(): Promise<void> {
    this.#step = 'closed';
    return new Promise((resolve) => {
      this.#socket.once('close', () => resolve());
      this.#socket.end(LEAVE);
      this.#socket.resume();
    });
  }

  /** Breaks the connection, as a network does. */
  reset(): void {
    this.#step = 'closed';
    // A socket under TLS cannot be reset: it is closed without TLS' close_notify.
    if (this.#tls === undefined) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  #tlsOptions(session: Buffer | undefined) {
    return {
      servername: DOMAIN,
      secureContext: this.#shared.secureContext,
      rejectUnauthorized: false, // what is measured is the server's side
      ...(session !== undefined && { session }),
    };
  }

  #watch(socket: Socket): void {
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the server closed the connection')));
  }

  #secured(socket: TLSSocket): TLSSocket {
    this.#tls = socket;
    socket.once('secureConnect', () => (this.isResumed = socket.isSessionReused()));
    socket.once('session', (session: Buffer) => (this.tlsSession = session));
    return socket;
  }

  #fail(error: Error): void {
    if (this.#step === 'closed') return;
    const step = this.#step;
    this.#step = 'closed';
    this.#socket.destroy();
    this.onFailure?.(new Error(`user ${this.user}, ${step}: ${error.message} ${this.#text}`));
  }

  #read(bytes: Buffer, length: number): boolean {
    try {
      if (this.#step === 'online') this.receiver?.(bytes, length);
      else if (this.#step !== 'closed') this.#negotiate(bytes.toString('latin1', 0, length));
    } catch (error) {
      this.#fail(error instanceof Error ? error : new Error(String(error)));
    }
    return true;
  }

  #negotiate(text: string): void {
    this.#text += text;
    switch (this.#step) {
      case 'opening':
        if (!this.#text.includes('</stream:features>')) return;
        if (this.#endpoint.security === 'starttls' && this.#tls === undefined) this.#say('upgrading', START_TLS);
        else this.#say('challenge', Buffer.from(`<auth ${SASL} mechanism='SCRAM-SHA-1'>${this.#login.first()}</auth>`));
        return;
      case 'upgrading':
        if (/<proceed[^>]*>/.test(this.#text)) this.#upgrade();
        return;
      case 'challenge': {
        const challenge = this.#content('challenge');
        if (challenge === undefined) return;
        this.#say('outcome', Buffer.from(`<response ${SASL}>${this.#login.final(challenge)}</response>`));
        return;
      }
      case 'outcome': {
        const outcome = this.#content('success');
        if (outcome === undefined) return;
        this.#login.verify(outcome);
        this.#say('reopening', HEADER);
        return;
      }
      case 'reopening':
        if (this.#text.includes('</stream:features>')) this.#say('binding', BIND);
        return;
      case 'binding':
        if (!this.#text.includes('</iq>')) return;
        if (!this.#text.includes('/bench')) throw new Error('the resource was not bound');
        if (this.#arrives) this.#say('arriving', ARRIVE);
        else this.#online();
        return;
      case 'arriving':
        // RFC 6121 4.2.2: presence goes to the user's own resources too, this one among them
        if (/<presence[^>]*\/bench/.test(this.#text)) this.#online();
        return;
      case 'online':
      case 'closed':
        return;
    }
  }

  #content(name: string): string | undefined {
    if (this.#text.includes('<failure')) throw new Error('the login failed');
    return new RegExp(`<${name}[^>]*>([^<]*)</${name}>`).exec(this.#text)?.[1];
  }

  #say(next: Step, bytes: Buffer): void {
    this.#text = '';
    this.#step = next;
    this.#socket.write(bytes);
  }

  #online(): void {
    this.#text = '';
    this.#step = 'online';
    this.#done?.();
    this.#done = undefined;
  }

  #upgrade(): void {
    const plain = this.#socket;
    plain.removeAllListeners();
    const socket = this.#secured(connectTls({ socket: plain, ...this.#tlsOptions(undefined) }));
    this.#socket = socket;
    this.#watch(socket);
    socket.on('data', (bytes: Buffer) => this.#read(bytes, bytes.length));
    this.#say('opening', HEADER);
  }
}
