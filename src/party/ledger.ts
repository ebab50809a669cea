// Which one-time material has been used. Identifiers only ever rise: a number once burnt stays burnt, and one that was
// skipped never comes back. Keys live no longer than the process, so a crash burns everything at once.
import { RingfenceError } from '../errors.js'

export class Ledger {
  #next = 0

  /** The next number that was never used. */
  get next(): number {
    return this.#next
  }

  /**
   * Burns `count` numbers from `first` on, before any of them is used.
   * @throws RingfenceError MATERIAL_USED when one of them may have been used already
   */
  burn(first: number, count = 1): void {
    if (
      !Number.isSafeInteger(first) ||
      !Number.isSafeInteger(count) ||
      count < 1 ||
      !Number.isSafeInteger(first + count)
    ) {
      throw new RingfenceError('PROTOCOL', 'an inference number is out of range')
    }
    if (first < this.#next) {
      throw new RingfenceError(
        'MATERIAL_USED',
        `inference ${first} was used before; the next free one is ${this.#next}`,
      )
    }
    this.#next = first + count
  }
}
