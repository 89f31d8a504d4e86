/** How much one client may send over time: a bucket of bytes that fills at a steady rate (RFC 6120 13.12). */
export class RateLimit {
  readonly #bytesPerSecond: number;
  readonly #burstBytes: number;
  #leftBytes: number;
  #lastMs: number;

  /** @param nowMs monotonic, as in `spend` */
  constructor(bytesPerSecond: number, burstBytes: number, nowMs: number) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#burstBytes = burstBytes;
    this.#leftBytes = burstBytes;
    this.#lastMs = nowMs;
  }

  /** Takes what came; returns for how many milliseconds nothing more should be read, 0 for not at all. */
  spend(bytes: number, nowMs: number): number {
    const filled = this.#leftBytes + ((nowMs - this.#lastMs) / 1000) * this.#bytesPerSecond;
    this.#lastMs = nowMs;
    this.#leftBytes = Math.min(this.#burstBytes, filled) - bytes;
    return this.#leftBytes >= 0 ? 0 : Math.ceil((-this.#leftBytes / this.#bytesPerSecond) * 1000);
  }
}
