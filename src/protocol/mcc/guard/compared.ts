// What an inference compares, step after step, as the second sets compare it once more: one word and one bit per
// comparison, all words shifted to the width of the widest step, apart for every segment.
import type { Kernels, Region } from '../../../kernels/instance.js'
import { groupsOf } from '../../../kernels/mcc.js'
import { add32, shl32, sub32 } from '../../../kernels/ring.js'
import { copies, grouped } from '../bends.js'
import type { ReluStep } from '../step.js'
import { tested } from '../values.js'
import type { GuardTerms } from './terms.js'

/** What the steps of a segment compare. */
class ComparedSegment {
  readonly words: Region
  readonly bits: Region
  /** How many words and bits there are so far. */
  filled = { words: 0, bits: 0 }

  constructor(
    k: Kernels,
    readonly last: number,
    comparisons: number,
  ) {
    this.words = k.memory.allocZero(comparisons * 4)
    this.bits = k.memory.allocZero(groupsOf(comparisons))
  }
}

export class Compared {
  readonly segments: readonly ComparedSegment[]
  readonly #width: number

  constructor(
    private readonly k: Kernels,
    { segments }: GuardTerms,
  ) {
    this.#width = segments[0]?.sets[0].chain.bits ?? 0
    this.segments = segments.map(({ last, comparisons }) => new ComparedSegment(k, last, comparisons))
  }

  /** The segment of a step that compares something. */
  #of({ index }: ReluStep): ComparedSegment {
    return this.segments.find(({ last }) => index <= last)!
  }

  /**
   * Appends what a step's comparisons test, without the mask of its opening: ŷ' at the server, m' at the helper.
   * @param opened what was opened (server: the copies are moved) or what masks it (helper), in whole groups
   * @param a a' of every opened value
   */
  addWords(step: ReluStep, side: 'server' | 'helper', opened: Region, a: Region): void {
    const { k } = this
    const { relu, activation } = step
    if (relu.comparisons === 0) return
    const count = relu.opened.values + relu.opened.patches
    const bare = grouped(k, count)
    ;(side === 'server' ? add32 : sub32)(k, opened, a, bare, count)
    const all = copies(k, step, bare, side === 'server')
    const words = tested(k, relu, all)
    const into = this.#of(step)
    const out = into.words.part(into.filled.words * 4, relu.comparisons * 4)
    shl32(k, words, this.#width - activation.bits, out, relu.comparisons)
    into.filled.words += relu.comparisons
    if (words !== all) words.release(true)
    if (all !== bare) all.release(true)
    bare.release(true)
  }

  /** Appends ρ (helper) or β (server) of a step. */
  addBits(step: ReluStep, bits: Region): void {
    const { comparisons } = step.relu
    if (comparisons === 0) return
    const into = this.#of(step)
    appendBits(into.bits.u8(), into.filled.bits, bits.u8(), comparisons)
    into.filled.bits += comparisons
  }

  release(): void {
    for (const { words, bits } of this.segments) {
      words.release(true)
      bits.release(true)
    }
  }
}

/** Writes `count` bits behind the first `at`; what lies behind those is zero. */
function appendBits(into: Uint8Array, at: number, bits: Uint8Array, count: number): void {
  const shift = at & 7
  for (let i = 0, to = at >> 3; 8 * i < count; i++, to++) {
    const left = count - 8 * i
    const byte = left >= 8 ? bits[i] : bits[i] & (2 ** left - 1)
    into[to] |= byte << shift
    if (shift + Math.min(8, left) > 8) into[to + 1] |= byte >> (8 - shift)
  }
}
