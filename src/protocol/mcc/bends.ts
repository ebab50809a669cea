// Several ReLUs of one value in the round trip of one (clips, leaky ReLUs): the value is opened once, copy j of it is
// e + shift_j with the same r, and every copy has a chain of its own.
//
// Privacy: e + shift_j says what e says. The chains of a value share e, r and the words of r (ω and μ) and nothing else:
// each has its own ρ, carry masks, keys, pads, P and Q, so that, given e and r, what the client sees of one is uniform and
// independent of what it sees of the others, and the server sees tables under independent pads and words under
// independent halves. Where an element's copies are summed, each party adds up its shares before the client's next mask
// hides the sum.
import { gather32, scatter32 } from '../../kernels/index-maps.js'
import type { Kernels, Region } from '../../kernels/instance.js'
import { addTruncated, groupsOf } from '../../kernels/mcc.js'
import { add32, sub32 } from '../../kernels/ring.js'
import type { Bends } from '../../plan/plan.js'
import type { CopyMaps } from '../layout.js'
import type { InMemory, PlannedRelu } from '../step.js'
import type { ReluStep } from './step.js'

/** Room for `count` words in whole groups. */
export const grouped = (k: Kernels, count: number): Region => k.memory.allocZero(groupsOf(count) * 32)

/**
 * e (`moved`) or r of every activated value and compared patch sum, from those that were opened: r is the same in all
 * copies. Whole groups; released by the caller if it is not `opened`.
 */
export function copies(k: Kernels, { activation, relu }: ReluStep, opened: Region, moved: boolean): Region {
  const { copied, values, patches } = relu
  if (!copied) return opened
  const out = grouped(k, values + patches)
  fill(k, copied, opened, out)
  let at = 0
  for (const { count, shift } of copied.runs) {
    if (moved) addConstant(k, out.part(at * 4, count * 4), count, shift, activation.bits)
    at += count
  }
  if (copied.patches) {
    const sums = out.part(values * 4, patches * 4)
    const from = opened.part(relu.opened.values * 4, relu.opened.patches * 4)
    gather32(k, from, copied.patches.of, sums)
    if (moved) addTruncated(k, sums, copied.patches.offset, patches, 0, activation.bits, sums)
  }
  return out
}

/** One word per activated value from one per opened value. Released by the caller if it is not `opened`. */
export function ofOpened(k: Kernels, { copied, values }: PlannedRelu, opened: Region): Region {
  if (!copied) return opened
  const out = k.memory.alloc(values * 4)
  fill(k, copied, opened, out)
  return out
}

function fill(k: Kernels, { openedOf, runs }: CopyMaps<InMemory>, opened: Region, out: Region): void {
  if (openedOf) {
    gather32(k, opened, openedOf, out)
    return
  }
  let at = 0
  for (const { count } of runs) {
    out
      .part(at * 4, count * 4)
      .u8()
      .set(opened.u8().subarray(0, count * 4))
    at += count
  }
}

/** words = (words + constant) mod 2^bits. */
export function addConstant(k: Kernels, words: Region, count: number, constant: number, bits: number): void {
  if (constant === 0) return
  const constants = k.memory.alloc(count * 4)
  constants.u32().fill(constant)
  addTruncated(k, words, constants, count, 0, bits, words)
  constants.release()
}

/**
 * Adds the signed sum of an element's copies to `total`.
 * @param z one word per activated value; @param total one word per element
 */
export function addCopies(k: Kernels, { relu, size }: ReluStep, { signs }: Summed, z: Region, total: Region): void {
  const bytes = size * 4
  const all = relu.valueElement ? k.memory.allocZero(signs.length * bytes) : z
  if (relu.valueElement) scatter32(k, z, relu.valueElement, all)
  signs.forEach((sign, j) => {
    ;(sign === 1 ? add32 : sub32)(k, total, all.part(j * bytes, bytes), total, size)
  })
  if (all !== z) all.release()
}

export type Summed = NonNullable<Bends['sum']>
