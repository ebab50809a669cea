// What a guard adds to the work of the three parties, in nanoseconds: MACs of replies, second sets, sums of uploads.
import { packedBytes } from '../../kernels/bits.js'
import { tableBytes } from '../../kernels/mcc.js'
import type { MccPlan } from '../../plan/plan.js'
import type { PlanLayout, ReluNumbers } from '../../protocol/layout.js'
import { places, type SignSet } from '../../protocol/mcc/guard/signs.js'
import { type GuardTerms, keyShapes, type SignSegment, setsOf, tagWidths } from '../../protocol/mcc/guard/terms.js'
import { tensorSizes } from '../../protocol/mcc/guard/upload.js'
import type { MccStep, ReluStep } from '../../protocol/mcc/step.js'
import { wordBytes } from '../../protocol/mcc/words.js'
import { comparisonNs, type MachineModel } from './machine.js'

type Relu = ReluStep<ReluNumbers>

/** Bytes of α or of a reply. */
const LONG = 8

export class GuardWork {
  readonly #stream: number
  readonly #sizes: readonly number[]

  constructor(
    private readonly machine: MachineModel,
    { plan }: PlanLayout<MccPlan>,
    readonly terms: GuardTerms,
  ) {
    this.#stream = machine.chacha[plan.rounds]
    this.#sizes = tensorSizes(plan)
  }

  #words(count: number): number {
    return count * 4 * this.#stream
  }

  /** Words of up to N bits, packed or unpacked in two halves. */
  #long(count: number, each: number): number {
    return count * 2 * (each + this.machine.ring32.word)
  }

  #tags(step: Relu): number {
    const { wide, narrow } = tagWidths(step.activation.bits, this.terms.word)
    const bytes = keyShapes(step, this.terms.word).reduce(
      (sum, { count, bits }) => sum + count * (bits === this.terms.word ? wide : narrow),
      0,
    )
    return bytes * this.#stream
  }

  /** r̃ from r. */
  #lifted(size: number): number {
    return this.#words(size) + 3 * size * this.machine.ring32.word
  }

  /** Client: the input's message, and the server: x̂ from it. */
  openInput(): number {
    const { input, word } = this.terms
    if (!input) return 0
    const { tag, lift } = this.machine.guard
    return input.size * (tag + lift + (word / 4) * this.#stream) + this.#lifted(input.size)
  }

  takeInput(): number {
    const { input } = this.terms
    if (!input) return 0
    const { tag, product } = this.machine.guard
    return input.size * (tag + product + LONG * this.#stream) + this.#long(3 * input.size, this.machine.mcc.unpack)
  }

  /** Client, before an opening: tags, r̃, and the step's part of its segment's pads. */
  draw(step: Relu): number {
    const segment = this.terms.segments.find(({ last }) => step.index <= last)
    const share = segment ? step.relu.comparisons / segment.comparisons : 0
    const pads = segment ? segment.sets.reduce((sum, set) => sum + this.#tables(set), 0) : 0
    return this.#tags(step) + this.#lifted(step.size) + share * pads * this.#stream
  }

  /** Client: what a reply takes beyond that of a plan without a guard. */
  answer({ relu }: Relu): number {
    const { guard, mcc } = this.machine
    const values = relu.switched + relu.passed
    return (
      relu.switched * Math.max(0, guard.lift - mcc.select) + values * guard.tag + this.#long(relu.results, mcc.pack)
    )
  }

  /** Server, while the client answers: keys and α. */
  prepare(step: Relu): number {
    const keys = keyShapes(step, this.terms.word).reduce((sum, { count }) => sum + count, 0)
    return this.#long(keys, this.machine.mcc.unpack) + step.relu.results * LONG * this.#stream
  }

  /** Server: from a reply to what it is worth. */
  finish({ relu }: Relu): number {
    const { guard, mcc } = this.machine
    return (
      this.#long(relu.results, mcc.unpack) + (relu.switched + relu.passed) * guard.tag + relu.results * guard.product
    )
  }

  #tables(set: SignSet): number {
    return tableBytes(set.chain.chunks, places(set))
  }

  /** Order, a'' and what stands where. */
  #arranged(set: SignSet): number {
    const { guard, mcc } = this.machine
    return places(set) * (guard.place + mcc.gather + mcc.mask) + this.#words(2 * places(set))
  }

  /** Server: the openings of a segment. */
  openSigns({ sets }: SignSegment): number {
    return sets.reduce((sum, set) => {
      const { read } = comparisonNs(this.machine, set.chain.chunks)
      return sum + this.#arranged(set) + places(set) * (read + this.machine.mcc.pack)
    }, 0)
  }

  /** Client: the answers to them. */
  walkSigns({ sets }: SignSegment): number {
    return sets.reduce((sum, set) => {
      const { read, walk } = comparisonNs(this.machine, set.chain.chunks)
      return sum + places(set) * (read + walk + this.machine.mcc.unpack)
    }, 0)
  }

  /** Server: the check. */
  check(): number {
    return setsOf(this.terms).reduce((sum, set) => sum + places(set) * this.machine.mcc.gatherBit, 0)
  }

  /** Server and helper: one step's words in all the subsets they belong to. */
  subsets({ size }: MccStep<ReluNumbers>): number {
    return this.#words(size) + size * (this.machine.ring32.word + this.machine.guard.subsets)
  }

  /** Helper: the keys of a step's replies. */
  dealKeys(step: Relu): number {
    const { guard, mcc } = this.machine
    const keys = keyShapes(step, this.terms.word).reduce((sum, { count }) => sum + count, 0)
    const halves = wordBytes(step, this.terms.ring) * this.#stream
    const drawn = this.#tags(step) + halves + this.#lifted(step.size) + step.relu.results * LONG * this.#stream
    return drawn + (step.relu.switched + step.relu.passed) * guard.keys + this.#long(keys, mcc.pack)
  }

  /** Helper: what goes behind the steps, the tables of all second sets and h. */
  dealRest(): number {
    const sets = setsOf(this.terms).reduce((sum, set) => {
      const { deal } = comparisonNs(this.machine, set.chain.chunks)
      return sum + this.#arranged(set) + this.#tables(set) * this.#stream + places(set) * deal
    }, 0)
    return sets + this.#dots()
  }

  /** Client: t, with z at hand. */
  tag(): number {
    return this.#dots() + packedBytes(this.terms.vectors, this.terms.ring) * this.#stream
  }

  #dots(): number {
    const words = this.#sizes.reduce((sum, size) => sum + size, 0)
    return words * this.terms.vectors * this.machine.guard.dot
  }
}
