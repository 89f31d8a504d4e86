import { MemoryStore } from '../../storage/backends/memory.ts';
import type { Write } from '../../storage/ordered-store.ts';

/** A store that dies after some batches: what comes later is neither written nor answered, until another process opens it. */
export class MortalStore extends MemoryStore {
  batchesLeft = Infinity;
  #life = 0;

  /** Another process opens it; what the dead one still has to say is not heard. */
  revive(): void {
    this.#life++;
    this.batchesLeft = Infinity;
  }

  override async write(batch: readonly Write[]): Promise<void> {
    const life = this.#life;
    if (--this.batchesLeft < 0) await new Promise(() => undefined);
    await super.write(batch);
    if (life !== this.#life) await new Promise(() => undefined);
  }
}
