// The server's one-time material: what was promised to clients, what has come, what was used. An entry is handed out
// once and forgotten.
import { moreTime, RingfenceError } from '../../errors.js'
import type { Kernels } from '../../kernels/instance.js'
import type { QuantizedModel } from '../../plan/compile/compile.js'
import { type GuardTerms, guardTerms } from '../../protocol/mcc/guard/terms.js'
import {
  emptyMaterial,
  heldBytes,
  type InferenceMaterial,
  materialLengths,
  releaseMaterial,
  takeDealt,
  takeDelta,
} from '../../protocol/mcc/material.js'
import type { MccSteps } from '../../protocol/mcc/step.js'
import type { Streams } from '../../random/streams.js'
import { asRingfenceError } from '../options.js'

/** What an inference's material waits for. */
export type Lack = 'upload' | 'deal' | 'nothing'

/** The material of one inference of one session, while it arrives and until it is used. */
class Bundle {
  readonly material: InferenceMaterial
  /** Next message due from the helper and from the client. */
  dealt = 0
  uploaded = 0
  /** Somebody waits for it, or has it: nobody else gets it. */
  taken = false
  #released = false
  #resolve!: () => void
  #reject!: (error: RingfenceError) => void
  readonly ready: Promise<void>

  constructor(
    k: Kernels,
    { steps }: MccSteps,
    terms: GuardTerms | null,
    bias: QuantizedModel['bias'],
    private readonly due: { helper: number; client: number },
    readonly owner: string,
    readonly onProgress: (lacks: Lack) => void,
  ) {
    this.material = emptyMaterial(k, steps, terms, bias)
    this.ready = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.ready.catch(() => undefined) // nobody may be waiting yet
  }

  get complete(): boolean {
    return this.dealt === this.due.helper && this.uploaded === this.due.client
  }

  advance(): void {
    if (this.complete) this.#resolve()
    this.onProgress(this.complete ? 'nothing' : this.uploaded < this.due.client ? 'upload' : 'deal')
  }

  fail(error: RingfenceError): void {
    this.#reject(error)
  }

  /** Frees the material, once; whoever waits for it does so when told that it will not come. */
  release(): void {
    if (this.#released) return
    this.#released = true
    releaseMaterial(this.material)
  }
}

export class MaterialStore {
  readonly #bundles = new Map<string, Bundle>()
  /** Bundles by owner. */
  readonly #held = new Map<string, number>()
  /** Inferences there is room for in all. */
  readonly places: number
  /** Of one inference. */
  readonly bytesEach: number
  readonly #terms: GuardTerms | null
  /** Lengths of what comes from the helper and from the client for one inference. */
  readonly lengths: { readonly helper: readonly number[]; readonly client: readonly number[] }

  constructor(
    private readonly k: Kernels,
    private readonly planned: MccSteps,
    private readonly bias: QuantizedModel['bias'],
    limitBytes: number,
  ) {
    this.#terms = guardTerms(planned)
    this.lengths = materialLengths(planned)
    this.bytesEach = heldBytes(planned, this.lengths)
    this.places = Math.max(1, Math.floor(limitBytes / this.bytesEach))
  }

  /** Bytes promised to clients, of those there are. */
  get status(): { usedBytes: number; limitBytes: number } {
    return { usedBytes: this.#bundles.size * this.bytesEach, limitBytes: this.places * this.bytesEach }
  }

  /** Inferences there is room for. */
  get room(): number {
    return this.places - this.#bundles.size
  }

  /** Inferences whose room somebody holds. */
  heldBy(owner: string): number {
    return this.#held.get(owner) ?? 0
  }

  /**
   * Makes room for an inference of a session.
   * @param owner whom the room counts for
   * @param onProgress told, whenever some of the material has come, what it waits for
   */
  reserve(session: string, inference: number, owner: string, onProgress: (lacks: Lack) => void): void {
    const due = { helper: this.lengths.helper.length, client: this.lengths.client.length }
    const bundle = new Bundle(this.k, this.planned, this.#terms, this.bias, due, owner, onProgress)
    this.#bundles.set(key(session, inference), bundle)
    this.#held.set(owner, this.heldBy(owner) + 1)
  }

  /** The helper could not deal an inference: it will not be complete. */
  undealt(session: string, inference: number, error: RingfenceError): void {
    this.#bundles.get(key(session, inference))?.fail(error)
  }

  has(session: string, inference: number): boolean {
    return this.#bundles.has(key(session, inference))
  }

  /** Whether all that comes from the helper is here. */
  isDealt(session: string, inference: number): boolean {
    return this.#bundles.get(key(session, inference))?.dealt === this.lengths.helper.length
  }

  /** One message from the helper; they come in order. Material nobody reserved is dropped. */
  dealt(session: string, inference: number, step: number, payload: Uint8Array): void {
    const bundle = this.#bundles.get(key(session, inference))
    if (!bundle || bundle.dealt !== step) return
    try {
      takeDealt(this.k, this.planned, this.#terms, step, payload, bundle.material)
    } catch (cause) {
      // Part of it may be taken in: it must not be taken in again.
      bundle.dealt = Number.NaN
      const error = asRingfenceError(cause)
      bundle.fail(error)
      throw error
    }
    bundle.dealt++
    bundle.advance()
  }

  /**
   * One step's δ from the client, or what a guard checks it by; they come in order.
   * @param registration shared with the helper, where the plan is guarded
   */
  uploaded(session: string, inference: number, step: number, payload: Uint8Array, registration?: Streams): void {
    const bundle = this.#bundles.get(key(session, inference))
    if (!bundle || bundle.uploaded !== step) {
      throw new RingfenceError('MATERIAL_USED', `inference ${inference} was not reserved or was uploaded before`)
    }
    takeDelta(this.k, this.planned, step, payload, bundle.material, registration)
    bundle.uploaded++
    bundle.advance()
  }

  /**
   * Hands out an inference's material once it is complete; from then on it is gone from the store.
   * @throws RingfenceError MATERIAL_USED when it was never reserved or is used already, DEADLINE, or why it will not be dealt
   */
  async take(session: string, inference: number, deadlineMs: number): Promise<InferenceMaterial> {
    const at = key(session, inference)
    const bundle = this.#bundles.get(at)
    if (!bundle || bundle.taken) {
      throw new RingfenceError('MATERIAL_USED', `no unused material for inference ${inference}; prepare it first`)
    }
    bundle.taken = true
    let timer: ReturnType<typeof setTimeout> | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(
          new RingfenceError(
            'DEADLINE',
            `the material of inference ${inference} did not arrive within ${deadlineMs} ms; ${moreTime(deadlineMs)}`,
          ),
        )
      }, deadlineMs)
    })
    try {
      await Promise.race([bundle.ready, late])
    } catch (error) {
      bundle.release()
      throw error
    } finally {
      clearTimeout(timer)
      this.#remove(at)
    }
    return bundle.material
  }

  /** The helper is gone: what it has not dealt whole will not come. What only a client's part is missing of may. */
  helperLost(error: RingfenceError): void {
    for (const bundle of this.#bundles.values()) if (bundle.dealt !== this.lengths.helper.length) bundle.fail(error)
  }

  /** Frees what a session's client did not finish uploading; returns how many are left. */
  settle(session: string): number {
    const whole = this.lengths.client.length
    return this.#drop(session, ({ uploaded }) => uploaded < whole)
  }

  /** Frees what of a session is not complete, unless somebody waits for it. */
  lapse(session: string): void {
    this.#drop(session, ({ complete, taken }) => !complete && !taken)
  }

  /** Frees what a session left unused. */
  forget(session: string): void {
    this.#drop(session, () => true)
  }

  #remove(at: string): void {
    const bundle = this.#bundles.get(at)
    if (!bundle) return
    this.#bundles.delete(at)
    const left = this.heldBy(bundle.owner) - 1
    if (left > 0) this.#held.set(bundle.owner, left)
    else this.#held.delete(bundle.owner)
  }

  #drop(session: string, unwanted: (bundle: Bundle) => boolean): number {
    let left = 0
    for (const [at, bundle] of this.#bundles) {
      if (!at.startsWith(`${session} `)) continue
      if (unwanted(bundle)) {
        this.#remove(at)
        if (bundle.taken) bundle.fail(new RingfenceError('PEER_GONE', 'the session that this material is of has ended'))
        else bundle.release()
      } else left++
    }
    return left
  }
}

const key = (session: string, inference: number): string => `${session} ${inference}`
