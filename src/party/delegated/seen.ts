// Ids that came before: so many at least, and not many more.

export class SeenIds {
  #young = new Set<string>()
  #old = new Set<string>()

  /** @param most how many of the last are known for certain */
  constructor(private readonly most: number) {}

  /** False when this one came before. */
  add(id: string): boolean {
    if (this.#young.has(id) || this.#old.has(id)) return false
    if (this.#young.size >= this.most) {
      this.#old = this.#young
      this.#young = new Set()
    }
    this.#young.add(id)
    return true
  }
}
