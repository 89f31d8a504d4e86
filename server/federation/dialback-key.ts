import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

/** As whom an operator's own visit comes: as nobody (RFC 2606 2), for no server believes that it is called by itself. */
export const VISITOR = 'visitor.invalid';

/** Makes and checks the keys of XEP-0185: only who has the secret can, and each is good for one stream of one pair. */
export class DialbackKeys {
  readonly #secret: string;

  constructor(secret: Uint8Array) {
    // XEP-0185 3: hexadecimal
    this.#secret = createHash('sha256').update(secret).digest('hex');
  }

  /**
   * The key that proves, to the receiving server, a stream of the originating domain.
   * @param streamId the id that the receiving server gave the stream
   */
  key(receiving: string, originating: string, streamId: string): string {
    return createHmac('sha256', this.#secret).update(`${receiving} ${originating} ${streamId}`).digest('hex');
  }

  isValid(key: string, receiving: string, originating: string, streamId: string): boolean {
    const expected = Buffer.from(this.key(receiving, originating, streamId), 'latin1');
    const given = Buffer.from(key.trim(), 'utf8');
    return given.length === expected.length && timingSafeEqual(given, expected);
  }
}
