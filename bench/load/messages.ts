import { randomBytes } from 'node:crypto';
import { DOMAIN } from '../peers/peer.ts';
import { userName } from '../peers/accounts.ts';

/** Stands before the number in a body, and nowhere else in what a server sends. */
export const MARK = 0x7e; // ~
export const DIGITS = 8;
const TEXT =
  'But, soft! what light through yonder window breaks? It is the east, and Juliet is the sun. Arise, fair sun, and kill the envious moon';

/** Messages of one sender to one recipient, prebuilt: only their numbers are written before they go out. */
export class MessageRun {
  readonly bytes: Buffer;
  readonly messageLength: number;
  readonly #idOffset: number;
  readonly #bodyOffset: number;
  readonly #capacity: number;

  /** @param capacity the most messages of one write */
  constructor(recipient: number, capacity: number) {
    const zeros = '0'.repeat(DIGITS);
    // No two runs have an id in common: a message with the id and the text of another is one that was sent again.
    const run = randomBytes(4).toString('hex');
    // What a usual client sends with a line of text: a chat state and a request for a receipt (XEP-0085, XEP-0184).
    const message =
      `<message to='${userName(recipient)}@${DOMAIN}' type='chat' id='${run}-${zeros}'><body>~${zeros} ${TEXT}</body>` +
      `<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/></message>`;
    this.messageLength = Buffer.byteLength(message);
    this.#idOffset = message.indexOf(`-${zeros}`) + 1;
    this.#bodyOffset = message.indexOf(`~${zeros}`) + 1;
    this.#capacity = capacity;
    this.bytes = Buffer.from(message.repeat(capacity), 'latin1');
  }

  /**
   * The bytes of `count` messages numbered from `first`.
   * @param isFree whether the bytes of the run before have left this process; they are copied otherwise
   */
  take(first: number, count: number, isFree: boolean): Buffer {
    if (count > this.#capacity) throw new RangeError(`at most ${this.#capacity} messages at once`);
    const bytes = isFree ? this.bytes : Buffer.from(this.bytes);
    for (let index = 0; index < count; index++) {
      const start = index * this.messageLength;
      let rest = first + index;
      for (let digit = DIGITS - 1; digit >= 0; digit--) {
        const code = 0x30 + (rest % 10);
        bytes[start + this.#idOffset + digit] = code;
        bytes[start + this.#bodyOffset + digit] = code;
        rest = (rest - (rest % 10)) / 10;
      }
    }
    return bytes.subarray(0, count * this.messageLength);
  }
}

/**
 * Finds the numbers of messages in what a server sends, by their mark, and checks that each comes once and in order. Nothing
 * is parsed and nothing allocated.
 */
export class MessageCheck {
  /** The number that has to come next. */
  next = 0;
  /** Digits of a number that the end of the last piece cut off. */
  #cutDigits = -1;
  #cutValue = 0;

  /** Returns how many messages came. @throws Error for one that is missing, repeated or out of order */
  scan(bytes: Buffer, length: number): number {
    const before = this.next;
    let position = 0;
    if (this.#cutDigits >= 0) position = this.#number(bytes, 0, length);
    for (;;) {
      const at = bytes.indexOf(MARK, position);
      if (at === -1 || at >= length) return this.next - before;
      this.#cutDigits = 0;
      this.#cutValue = 0;
      position = this.#number(bytes, at + 1, length);
    }
  }

  /** Reads the digits that are there, and the number when it is whole. */
  #number(bytes: Buffer, from: number, length: number): number {
    let position = from;
    while (this.#cutDigits < DIGITS && position < length) {
      this.#cutValue = this.#cutValue * 10 + (bytes[position++]! - 0x30);
      this.#cutDigits++;
    }
    if (this.#cutDigits === DIGITS) {
      if (this.#cutValue !== this.next) {
        throw new Error(`message ${this.#cutValue} came where ${this.next} was due: lost, repeated or out of order`);
      }
      this.next++;
      this.#cutDigits = -1;
    }
    return position;
  }
}
