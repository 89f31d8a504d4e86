import { connect, type Socket } from 'node:net';
import { otherAttribute, type Frame } from '../../stanzas/frame.ts';
import { Scanner } from '../../stanzas/scanner.ts';
import { ScramClient } from '../support/scram-client.ts';
import type { ChatHistory } from './history.ts';
import { PASSWORD } from './server-process.ts';

const LIMITS = { maxBytes: 1024 * 1024, maxDepth: 100, maxAttributes: 100 };
const SM = `xmlns='urn:xmpp:sm:3'`;
const SASL = `xmlns='urn:ietf:params:xml:ns:xmpp-sasl'`;
const RETRY_MS = 20;

interface OutgoingMessage {
  readonly to: string;
  readonly index: number;
}

/** What was sent over the session and not acknowledged; undefined for what is no message. */
type Unacknowledged = OutgoingMessage | undefined;

/**
 * A careful client with a bad network: it comes back for ever, resumes its session where it can, sends again what was not
 * acknowledged, and writes everything it receives into the history.
 */
export class ChatClient {
  readonly name: string;
  readonly #resource: string;
  readonly #port: number;
  readonly #history: ChatHistory;
  readonly #domainOf: (name: string) => string;
  #socket: Socket | undefined;
  #isWanted = false;
  /** Leaves after the stream was closed in order, rather than being cut. */
  #isClosing = false;
  #sessionId: string | undefined;
  #isBound = false;
  #handled = 0;
  #acknowledgedCount = 0;
  #unacknowledged: Unacknowledged[] = [];
  /** To be sent as soon as there is a session. */
  #outbox: OutgoingMessage[] = [];
  /** Sessions that were resumed, for the report. */
  resumptions = 0;

  /** @param domainOf where somebody has an account */
  constructor(
    name: string,
    resource: string,
    port: number,
    history: ChatHistory,
    domainOf: (name: string) => string = () => 'localhost',
  ) {
    this.name = name;
    this.#resource = resource;
    this.#port = port;
    this.#history = history;
    this.#domainOf = domainOf;
  }

  /** Whether nothing waits to be sent or acknowledged. */
  get isIdle(): boolean {
    return this.#outbox.length === 0 && this.#unacknowledged.every((message) => message === undefined);
  }

  /** Comes, and comes back however often the connection breaks, until `leave`. */
  come(): void {
    if (this.#isWanted) return;
    this.#isWanted = true;
    if (this.#socket === undefined) this.#connect();
  }

  /** Cuts the connection; the client comes back at once. */
  cut(): void {
    this.#socket?.destroy();
  }

  /** Goes, in order or by a cut, and stays away. */
  leave(inOrder: boolean): void {
    this.#isWanted = false;
    if (inOrder && this.#isBound) {
      this.#isClosing = true;
      this.#socket?.write(`<a ${SM} h='${this.#handled}'/></stream:stream>`);
    } else this.#socket?.destroy();
  }

  say(to: string): void {
    const message = { to, index: this.#history.nextIndex(this.name, to) };
    if (this.#isBound) this.#send(message);
    else this.#outbox.push(message);
  }

  /** Asks for the server's count, as clients do. */
  requestAcknowledgement(): void {
    if (this.#isBound) this.#socket?.write(`<r ${SM}/>`);
  }

  #connect(): void {
    const socket = connect(this.#port, '127.0.0.1');
    this.#socket = socket;
    const conversation = new Conversation(socket, this.#domainOf(this.name), (frame) => this.#heard(frame));
    socket.on('connect', () => this.#logIn(conversation));
    socket.on('error', () => undefined);
    socket.on('close', () => this.#lost());
  }

  #lost(): void {
    this.#socket = undefined;
    this.#isBound = false;
    if (this.#isClosing) {
      // Closed in order: there is no session any more, and what was not acknowledged is sent over the next one.
      this.#isClosing = false;
      this.#beginAnew(undefined);
    }
    if (this.#isWanted) setTimeout(() => this.#isWanted && this.#socket === undefined && this.#connect(), RETRY_MS);
  }

  #logIn(conversation: Conversation): void {
    const scram = new ScramClient({ username: this.name, password: PASSWORD, mechanism: 'SCRAM-SHA-256' });
    conversation.open();
    conversation.expect('features', () => {
      conversation.write(`<auth ${SASL} mechanism='SCRAM-SHA-256'>${scram.first()}</auth>`);
      conversation.expect('challenge', (challenge) => {
        conversation.write(`<response ${SASL}>${scram.respond(challenge.content)}</response>`);
        conversation.expect('success', () => {
          conversation.open();
          conversation.expect('features', () => this.#resumeOrBind(conversation));
        });
      });
    });
  }

  #resumeOrBind(conversation: Conversation): void {
    if (this.#sessionId === undefined) {
      this.#bind(conversation);
      return;
    }
    conversation.write(`<resume ${SM} previd='${this.#sessionId}' h='${this.#handled}'/>`);
    conversation.expect('resumed failed', (answer) => {
      const h = otherAttribute(answer, 'h');
      if (answer.name === 'resumed') {
        this.resumptions++;
        this.#confirm(Number(h));
        this.#isBound = true;
        const again = this.#unacknowledged.splice(0);
        for (const message of again) {
          if (message !== undefined) this.#send(message);
          else this.#sendPresence();
        }
        this.#sendOutbox();
      } else {
        this.#beginAnew(h === undefined ? undefined : Number(h));
        this.#bind(conversation);
      }
    });
  }

  #bind(conversation: Conversation): void {
    conversation.write(
      `<iq id='bind' type='set'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>${this.#resource}</resource></bind></iq>`,
    );
    conversation.expect('iq', (result) => {
      if (result.type !== 'result') throw new Error(`no resource: ${result.content}`);
      conversation.write(`<enable ${SM} resume='true'/>`);
      conversation.expect('enabled', (enabled) => {
        this.#sessionId = enabled.id;
        this.#handled = 0;
        this.#acknowledgedCount = 0;
        this.#isBound = true;
        this.#sendPresence();
        this.#sendOutbox();
      });
    });
  }

  /** The session is over. `handled` is how many of its stanzas the server has, where it says so. */
  #beginAnew(handled: number | undefined): void {
    if (handled !== undefined) this.#confirm(handled);
    const again = this.#unacknowledged.filter((message) => message !== undefined);
    this.#unacknowledged = [];
    this.#outbox = [...again, ...this.#outbox];
    this.#sessionId = undefined;
  }

  #sendOutbox(): void {
    const outbox = this.#outbox;
    this.#outbox = [];
    for (const message of outbox) this.#send(message);
    this.requestAcknowledgement();
  }

  #send(message: OutgoingMessage): void {
    const id = `${this.name}-${message.to}-${message.index}`;
    this.#unacknowledged.push(message);
    this.#socket?.write(
      `<message to='${message.to}@${this.#domainOf(message.to)}' type='chat' id='${id}'><body>${message.index}</body>` +
        `<origin-id xmlns='urn:xmpp:sid:0' id='${id}'/></message>`,
    );
  }

  #sendPresence(): void {
    this.#unacknowledged.push(undefined);
    this.#socket?.write('<presence/>');
  }

  /** The server has handled `h` of this session's stanzas. */
  #confirm(h: number): void {
    for (; this.#acknowledgedCount < h; this.#acknowledgedCount++) {
      if (this.#unacknowledged.length === 0) throw new Error(`${this.name}: ${h} acknowledged, fewer were sent`);
      const message = this.#unacknowledged.shift();
      if (message !== undefined) this.#history.acknowledged(this.name, message.to, message.index);
    }
  }

  #heard(frame: Frame): void {
    if (frame.namespace === 'urn:xmpp:sm:3') {
      if (frame.name === 'r') this.#socket?.write(`<a ${SM} h='${this.#handled}'/>`);
      else if (frame.name === 'a') this.#confirm(Number(otherAttribute(frame, 'h')));
      return;
    }
    if (frame.name !== 'message' && frame.name !== 'presence' && frame.name !== 'iq') return;
    this.#handled++;
    if (frame.name !== 'message') return;
    if (frame.type === 'error') {
      const [, from, to, returned] = /^(\w+)-(\w+)-(\d+)$/.exec(frame.id ?? '') ?? [];
      if (from === this.name && to !== undefined) this.#history.returned?.(from, to, Number(returned));
      return;
    }
    const index = Number(/<body>(\d+)<\/body>/.exec(frame.content)?.[1]);
    const sequence = Number(/<sequence [^>]* n='(\d+)'/.exec(frame.content)?.[1]);
    this.#history.received({ to: this.name, from: /^[^@]+/.exec(frame.from ?? '')?.[0] ?? '', index, sequence });
  }
}

/** One connection: first-level elements go to whoever expects them, and later to the client. */
class Conversation {
  readonly #socket: Socket;
  readonly #domain: string;
  readonly #scanner = new Scanner(LIMITS);
  readonly #otherwise: (frame: Frame) => void;
  #expected: { readonly names: string; readonly then: (frame: Frame) => void } | undefined;

  constructor(socket: Socket, domain: string, otherwise: (frame: Frame) => void) {
    this.#socket = socket;
    this.#domain = domain;
    this.#otherwise = otherwise;
    const sink = {
      streamOpened: (): boolean => true,
      elementScanned: (frame: Frame): boolean => this.#heard(frame),
      streamClosed: (): boolean => {
        socket.end();
        return false;
      },
    };
    socket.on('data', (chunk: Buffer) => {
      for (let offset = 0; offset < chunk.length && !socket.destroyed;) {
        const consumed = this.#scanner.scan(chunk, sink, offset);
        if (consumed <= offset) break;
        offset = consumed;
      }
    });
  }

  open(): void {
    this.#scanner.reset();
    this.write(
      `<?xml version='1.0'?><stream:stream to='${this.#domain}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`,
    );
  }

  write(bytes: string): void {
    this.#socket.write(bytes);
  }

  /** The next element must have one of the names, or the connection is given up. */
  expect(names: string, then: (frame: Frame) => void): void {
    this.#expected = { names, then };
  }

  #heard(frame: Frame): boolean {
    const expected = this.#expected;
    if (expected === undefined) this.#otherwise(frame);
    else if (!expected.names.split(' ').includes(frame.name)) this.#socket.destroy();
    else {
      this.#expected = undefined;
      expected.then(frame);
    }
    return true;
  }
}
