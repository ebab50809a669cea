// What reading one file may cost: a hostile file asks for memory it never delivers, so every reader asks here first.
import { RingfenceError } from '../../errors.js'

/** Any file may cost this much, however small it is. */
const FREE_BYTES = 2 ** 26
/** Weights that shrink a lot when compressed, or halves widened to float32, stay far below this. */
const BYTES_PER_FILE_BYTE = 16

/** Memory that reading one file may take beyond the file itself. */
export class Budget {
  readonly limit: number
  #spent = 0

  /** @param source the file's name, for messages */
  constructor(
    fileBytes: number,
    readonly source: string,
  ) {
    this.limit = FREE_BYTES + BYTES_PER_FILE_BYTE * fileBytes
  }

  /** @throws RingfenceError BAD_FILE when `bytes` more would exceed the limit; call it before allocating */
  spend(bytes: number, what: string): void {
    this.#spent += bytes
    if (this.#spent <= this.limit) return
    this.fail(`${what} would bring what the file unfolds to over ${this.limit} bytes; refused as hostile or damaged`)
  }

  /** @throws RingfenceError BAD_FILE, always */
  fail(text: string, problems: readonly string[] = []): never {
    throw new RingfenceError('BAD_FILE', `${this.source}: ${text}`, problems)
  }
}
