const FEWEST_PLACES = 16;

/**
 * A set of 32-bit hashes in little memory (4 to 16 bytes each): says of a key that it is surely not there, or may be.
 * Hashes are added and never removed.
 */
export class HashFilter {
  #places = new Uint32Array(FEWEST_PLACES);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(hash: number): void {
    if (this.#size * 2 >= this.#places.length) this.#grow();
    if (insert(this.#places, placed(hash))) this.#size++;
  }

  mayHave(hash: number): boolean {
    const wanted = placed(hash);
    const mask = this.#places.length - 1;
    for (let place = wanted & mask; ; place = (place + 1) & mask) {
      const found = this.#places[place];
      if (found === wanted) return true;
      if (found === 0) return false;
    }
  }

  #grow(): void {
    const places = new Uint32Array(this.#places.length * 2);
    for (const hash of this.#places) if (hash !== 0) insert(places, hash);
    this.#places = places;
  }
}

/** 0 marks a free place. */
function placed(hash: number): number {
  return hash >>> 0 === 0 ? 1 : hash >>> 0;
}

function insert(places: Uint32Array, hash: number): boolean {
  const mask = places.length - 1;
  let place = hash & mask;
  while (places[place] !== 0) {
    if (places[place] === hash) return false;
    place = (place + 1) & mask;
  }
  places[place] = hash;
  return true;
}
