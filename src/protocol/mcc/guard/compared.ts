// What an inference compares, step after step, as the second sets compare it once more: one word and one bit per
// comparison, all words shifted to the width of the widest step.
import type { Kernels, Region } from '../../../kernels/instance.js'
import { groupsOf } from '../../../kernels/mcc.js'
import { add32, shl32, sub32 } from '../../../kernels/ring.js'
import { copies, grouped } from '../bends.js'
import type { ReluStep } from '../step.js'
import { tested } from '../values.js'
import type { GuardTerms } from './terms.js'

export class Compared {
  readonly words: Region
  readonly bits: Region
  readonly #width: number
  #words = 0
  #bits = 0

  constructor(
    private readonly k: Kernels,
    { sets }: GuardTerms,
  ) {
    const [set] = sets
    this.#width = set?.chain.bits ?? 0
    this.words = k.memory.allocZero((set?.comparisons ?? 0) * 4)
    this.bits = k.memory.allocZero(groupsOf(set?.comparisons ?? 0))
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
    const out = this.words.part(this.#words * 4, relu.comparisons * 4)
    shl32(k, words, this.#width - activation.bits, out, relu.comparisons)
    this.#words += relu.comparisons
    if (words !== all) words.release(true)
    if (all !== bare) all.release(true)
    bare.release(true)
  }

  /** Appends ρ (helper) or β (server) of a step. */
  addBits({ relu }: ReluStep, bits: Region): void {
    appendBits(this.bits.u8(), this.#bits, bits.u8(), relu.comparisons)
    this.#bits += relu.comparisons
  }

  release(): void {
    this.words.release(true)
    this.bits.release(true)
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
