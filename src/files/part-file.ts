// The file that an interrupted measurement leaves beside its output, written whole each time.
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { RingfenceError } from '../errors.js'
import { readWhole, writeWhole } from './whole-files.js'

/** The state is saved this often. */
const SAVE_MS = 2000

export class PartFile {
  readonly path: string
  #state: (() => string) | undefined
  #saved = performance.now()
  #writing: Promise<void> = Promise.resolve()

  /** @param output the file that the measurement makes in the end */
  constructor(output: string) {
    this.path = `${output}.part`
  }

  /** What an earlier run left. */
  async read(): Promise<string | undefined> {
    return existsSync(this.path) ? new TextDecoder().decode(await readWhole(this.path)) : undefined
  }

  /** Notes what is to be kept and saves it now and then. @param state called when it is saved */
  keep(state: () => string): void {
    this.#state = state
    if (performance.now() - this.#saved < SAVE_MS) return
    this.#saved = performance.now()
    void this.#save()
  }

  /** Saves what there is. */
  async saved(): Promise<void> {
    await this.#save()
  }

  /** Saves what there is; the error says where, if it was an interruption. */
  async left(error: unknown): Promise<unknown> {
    await this.#save()
    if (!(error instanceof RingfenceError) || error.code !== 'ABORTED' || !this.#state) return error
    const text = `interrupted; ${this.path} holds what was measured, the same command, without --force, goes on from there`
    return new RingfenceError('ABORTED', text, [], { cause: error })
  }

  async remove(): Promise<void> {
    await this.#writing.catch(() => {})
    await rm(this.path, { force: true })
  }

  /** After whatever is being saved. */
  #save(): Promise<void> {
    if (!this.#state) return this.#writing
    const bytes = new TextEncoder().encode(this.#state())
    this.#writing = this.#writing.catch(() => {}).then(() => writeWhole([{ path: this.path, bytes }], true))
    this.#writing.catch(() => {})
    return this.#writing
  }
}
