// Inferences of kept sessions, taken out of the store before their input is masked.

import { RingfenceError } from '../../errors.js'
import type { Kernels } from '../../kernels/instance.js'
import { type InferenceMaterial, releaseMaterial } from '../../protocol/mcc/material.js'
import type { Streams } from '../../random/streams.js'
import type { KeptSession } from './kept-sessions.js'
import type { MaterialStore } from './store.js'

/** What a walk takes of an inference. */
export interface Taken {
  /** Of its session, and the stream shared with the helper. */
  readonly name: string
  readonly sh: Streams
  readonly material: InferenceMaterial
}

/** Of one connection, one at a time. */
export class Claims {
  /** Its stream is a copy: another connection may end the session meanwhile. */
  #claimed: (Taken & { readonly inference: number }) | undefined

  constructor(
    private readonly k: Kernels,
    private readonly store: MaterialStore,
    private readonly deadlineMs: number,
  ) {}

  /** Whether that inference is unused, and this connection's from now on; what it claimed before is lost. */
  async claim(kept: KeptSession | undefined, inference: number): Promise<boolean> {
    this.drop()
    if (!kept) return false
    const sh = kept.sh.on(this.k)
    try {
      const material = await this.store.take(kept.name, inference, this.deadlineMs)
      this.#claimed = { name: kept.name, sh, inference, material }
      return true
    } catch {
      // Used, never dealt, or the helper left while it dealt: the client goes on with another.
      sh.release()
      return false
    }
  }

  drop(): void {
    this.#claimed?.sh.release()
    if (this.#claimed) releaseMaterial(this.#claimed.material)
    this.#claimed = undefined
  }

  /**
   * An inference, once: what was claimed, whose stream the caller releases, or what the store has of the connection's own session.
   * @throws RingfenceError PROTOCOL for another than the claimed one; as `MaterialStore.take`
   */
  async take({ name, sh }: Pick<Taken, 'name' | 'sh'>, inference: number): Promise<Taken> {
    const claimed = this.#claimed
    if (!claimed) return { name, sh, material: await this.store.take(name, inference, this.deadlineMs) }
    if (claimed.inference !== inference) {
      this.drop()
      throw new RingfenceError('PROTOCOL', `the client claimed inference ${claimed.inference} and starts ${inference}`)
    }
    this.#claimed = undefined
    return claimed
  }
}
