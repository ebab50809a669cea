// Numbers for whatever is no secret: errors of comparisons, starting points, permutations.

/** Uniform numbers from 0 to 1 that a seed decides: Marsaglia's xorshift of 32 bits (2003). */
export class Uniform {
  #state = 1

  constructor(seed = 1) {
    this.begin(seed)
  }

  /** Begins anew. */
  begin(seed: number): void {
    this.#state = (seed ^ 0x9e3779b9) | 0 || 1
  }

  readonly next = (): number => {
    this.#state ^= this.#state << 13
    this.#state ^= this.#state >>> 17
    this.#state ^= this.#state << 5
    return (this.#state >>> 0) / 2 ** 32
  }
}
