// Several files are read before anything is said: what is wrong with each comes out as one error.
import { RingfenceError } from '../errors.js'
import { summary } from '../model/json/file.js'

/** Collects what goes wrong in several files. */
export class Faults {
  readonly #errors: RingfenceError[] = []

  /** @param what the folder or the command that the files belong to, for the first line */
  constructor(readonly what: string) {}

  async guard<T>(run: () => Promise<T>): Promise<T | undefined> {
    try {
      return await run()
    } catch (error) {
      if (!(error instanceof RingfenceError)) throw error
      this.#errors.push(error)
      return undefined
    }
  }

  throwIfAny(): void {
    if (this.#errors.length === 0) return
    if (this.#errors.length === 1) throw this.#errors[0]
    const [{ code: first }] = this.#errors
    const code = this.#errors.every((error) => error.code === first) ? first : 'BAD_FILE'
    const problems = this.#errors.flatMap((error) => {
      const head = error.message.split('\n', 1)[0]
      return error.problems.length === 0 ? [head] : error.problems.map((problem) => `${fileOf(head)}: ${problem}`)
    })
    throw new RingfenceError(code, summary(this.what, problems.length), problems)
  }
}

/** The file a message is about: its text up to the words every summary goes on with. */
function fileOf(head: string): string {
  return head.replace(/ (has (a problem|\d+ problems)|cannot be run by this version):$/, '')
}
