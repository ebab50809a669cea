// Memory of a plan at each party, from the plan alone: what its kernels hold at once while one inference is prepared or
// runs. An upper bound of a party's WebAssembly memory, which is nearly all it needs beside its program.
import { RingfenceError } from '../errors.js'
import { type ConvGeometry, packedWords, paddedSize, tiledBytes } from '../kernels/geometry.js'
import { dealerBytes } from '../kernels/mcc.js'
import { quadraticWords } from '../kernels/polynomial/quadratic.js'
import { wordRing } from '../kernels/words.js'
import { groupedWindows, TAPS } from '../plan/max-pools.js'
import {
  elementCount,
  hasWins,
  type LinearOp,
  type MccPlan,
  maxPoolOf,
  type Plan,
  reluShape,
  type SecurennPlan,
  type Step,
  stepCounts,
  tensorShape,
} from '../plan/plan.js'
import {
  type ActivationOf,
  isActive,
  isProduct,
  type PlanLayout,
  planLayout,
  type ReluNumbers,
  type StepLayout,
} from './layout.js'
import { lastUses } from './live-tensors.js'
import { aheadOf } from './mcc/gadgets.js'
import { type SignSet, signSizes } from './mcc/guard/signs.js'
import { guardSizes, guardTerms, keyShapes, setsOf } from './mcc/guard/terms.js'
import { heldBytes, materialLengths } from './mcc/material.js'
import { maxPoolSizes } from './mcc/maxima/max-pool.js'
import { winsSizes } from './mcc/maxima/wins.js'
import { curveSizes } from './mcc/polynomial/curve.js'
import { productSizes } from './mcc/polynomial/product.js'
import { reluSizes } from './mcc/relu.js'
import { isCurve, isMaxPool, isQuadratic, isWins, type MaxPoolStep, type QuadraticStep } from './mcc/step.js'
import { type FilterSlot, filterSlots } from './weights.js'

/** Bytes that each party's kernels take at most. Every inference prepared ahead adds `prepared` at the server; none is on `securenn`. */
export interface PlanMemory {
  readonly client: number
  readonly server: number
  readonly helper: number
  readonly prepared: number
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)
const most = (numbers: readonly number[]): number => numbers.reduce((a, b) => Math.max(a, b), 0)

/** Round keys, tables of windows, and what allocations are rounded up to. */
const SMALL = 2 ** 17

/**
 * What each party of a plan needs, before anything is dealt. `Server.create` refuses more than the 4 GiB that WebAssembly has.
 * @param layout @internal the plan's, where it is at hand
 */
export function planMemory(plan: Plan, layout: PlanLayout = planLayout(plan)): PlanMemory {
  const slots = filterSlots(plan)
  const filters = slots.map(({ words }) => words * wordRing(plan.ring).bytes)
  const held = sum(slots.map(({ geometry }) => packedFilterBytes(plan, geometry))) + layoutBytes(plan) + SMALL
  const live = liveBytes(layout)
  /** While the model comes, the largest filter lies there beside what is packed. */
  const peak = (of: (index: number) => number, more = 0, comes = most(filters)) =>
    held + Math.max(comes, more + most(plan.steps.map((_, index) => live[index] + of(index))))
  /** At the server one more, which it masks for the helper while it packs its own. */
  const two = 2 * most(filters)
  if (plan.backend === 'securenn') {
    const { steps } = layout as PlanLayout<SecurennPlan>
    const side = (i: number) => sideBytes(steps[i])
    return {
      client: peak(side),
      server: peak(side, 0, two),
      helper: peak((i) => dealerSideBytes(steps[i])),
      prepared: 0,
    }
  }
  const own = layout as PlanLayout<MccPlan>
  const dealt = materialLengths(own).helper
  const prepared = heldBytes(own)
  const online = own.steps.map((step) => onlineBytes(step, plan.ring))
  const linear = own.steps.map((step) => linearBytes(step, 4))
  const ahead = most(own.steps.map(aheadOf))
  const guard = guardBytes(own)
  return {
    client: peak((i) => Math.max(online[i], linear[i])) + guard.client,
    server: peak((i) => online[i] + linear[i], prepared + ahead, two) + guard.server,
    helper: peak((i) => linear[i] + dealtBytes(own.steps[i], plan.ring) + dealt[i]) + guard.helper,
    prepared,
  }
}

/** What a WebAssembly memory can have at most, and so a party. */
export const MAX_MEMORY = 2 ** 32

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`

/**
 * Whether all parties have the memory for a plan, before anything is dealt.
 * @throws RingfenceError UNSUPPORTED with what each would need, what there is, and what to do
 */
export function requireMemory(plan: Plan): void {
  const { prepared, ...parties } = planMemory(plan)
  const short = Object.entries(parties).filter(([, bytes]) => bytes > MAX_MEMORY)
  if (short.length === 0) return
  const problems = short.map(([party, bytes]) => {
    const dealt =
      party === 'server' && prepared > 0 ? `, ${gib(prepared)} of it for what is dealt to one inference` : ''
    return `the ${party} needs up to ${gib(bytes)} of memory${dealt}; WebAssembly has at most 4 GiB`
  })
  const remedy = 'use smaller pictures, larger blocks, or a network with fewer weights and values'
  throw new RingfenceError('UNSUPPORTED', `${plan.network} does not fit its parties; ${remedy}`, problems)
}

const packedFilterBytes = ({ ring }: Plan, geometry: ConvGeometry): number =>
  wordRing(ring).bytes * packedWords(geometry, ring > 32 ? 64 : 32)

/** Bytes of WASM memory that a party holds for one filter: as it comes, and packed for the kernels. */
export const filterBytes = (plan: Plan, { words, geometry }: FilterSlot): number =>
  words * wordRing(plan.ring).bytes + packedFilterBytes(plan, geometry)

/** Bytes of WASM memory that a plan's index maps take. */
export const layoutBytes = ({ steps }: Plan): number => sum(steps.map(mapBytes))

/** Those of a step (layout.ts), by counts alone: at most four words for every copy of a value that several ReLUs read. */
function mapBytes(step: Step): number {
  const counts = stepCounts(step)
  if (!counts) return 0
  const { switched, passed, singles, patches, patchElements, inOrder } = counts
  const elements = elementCount(reluShape(step))
  if (step.activation?.bends) return 16 * elements
  if (hasWins(step)) return 0
  if (maxPoolOf(step)) return 4 * TAPS * groupedWindows(step)
  if (switched === elements && patches === 0) return 0
  const [values, zeros] = [switched + passed, elements - switched - passed]
  return 4 * ((inOrder ? 0 : values) + switched + singles + 2 * patches + 1 + patchElements + zeros) + patches
}

/** Of the tensors that are still read when each step runs. */
function liveBytes({ plan, steps }: PlanLayout): number[] {
  const { bytes } = wordRing(plan.ring)
  const last = lastUses({ steps })
  const sizes = plan.steps.map((_, tensor) => bytes * elementCount(tensorShape(plan, tensor)))
  return plan.steps.map((_, step) =>
    sum(sizes.filter((_, tensor) => tensor <= step && (last.get(tensor) ?? -1) >= step)),
  )
}

/** y, its mask, and what lies between them and the tensors: values of operations, and the image that a convolution pads. */
function linearBytes({ step, size }: StepLayout, word: number): number {
  const inner = step.linear.slice(0, -1).filter(({ op }) => op !== 'tensor')
  const lent = (op: LinearOp) => {
    if (op.op !== 'conv') return 0
    const { image, scratch } = tiledBytes(op.geometry)
    if (word === 4 && image > 0) return image + scratch
    return op.geometry.pad.some(Boolean) ? word * paddedSize(op.geometry) : 0
  }
  return word * (3 * size + sum(inner.map(({ out }) => elementCount(out)))) + most(step.linear.map(lent))
}

type MccStep = StepLayout<ActivationOf<MccPlan>>

/** Client and server: an opening and its reply, the masks of what is opened and given back, the words of a select. */
function onlineBytes(step: MccStep, ring: number): number {
  if (isProduct(step)) {
    const { opening, reply, words } = productSizes(step.product, ring)
    return opening + reply + 8 * words + 4 * 8 * step.size
  }
  if (!isActive(step)) return 4 * 3 * step.size
  if (isCurve(step)) {
    const { opening, reply, piece } = curveSizes(step, ring)
    return opening + reply + 3 * piece + 4 * 8 * step.size
  }
  if (isMaxPool(step)) {
    const { opening, reply, rows, tables } = maxPoolSizes(step, ring)
    return opening + reply + 2 * rows + tables + maxPoolBytes(step)
  }
  const { relu } = step
  if (isWins(step)) {
    const { opening, reply, rows, tables } = winsSizes(step, ring)
    return opening + reply + 2 * rows + tables + 4 * (3 * step.size + 6 * relu.comparisons)
  }
  const { opening, reply, rows, tables } = reluSizes(step, ring)
  const words = isQuadratic(step) ? quadraticBytes(step) : 0
  return words + opening + reply + rows + tables + 4 * (2 * step.size + 6 * relu.values + 2 * relu.comparisons)
}

/** The words of a quadratic select in memory, the replies, and a field that is packed. */
const quadraticBytes = ({ size, activation }: QuadraticStep<ReluNumbers>): number =>
  8 * (quadraticWords({ count: size, copies: activation.bends.shifts.length }) + 4 * size)

/** What is opened, what windows read of it, and the words and shares of their maxima. */
const maxPoolBytes = ({ size, relu }: MaxPoolStep<ReluNumbers>): number => 4 * (4 * size + 16 * relu.comparisons)

/** Helper: what a step's material is made from. */
function dealtBytes(step: MccStep, ring: number): number {
  if (isProduct(step)) return 4 * 24 * step.size
  if (!isActive(step)) return 0
  if (isCurve(step)) return 3 * curveSizes(step, ring).piece + 4 * 8 * step.size
  const { relu, activation } = step
  if (isMaxPool(step)) {
    const { tables } = maxPoolSizes(step, ring)
    return tables + dealerBytes(activation.chunks, relu.comparisons) + maxPoolBytes(step)
  }
  const { tables } = reluSizes(step, 32)
  if (isWins(step))
    return tables + dealerBytes(activation.chunks, relu.comparisons) + 4 * (3 * step.size + 4 * relu.comparisons)
  const words = isQuadratic(step) ? quadraticBytes(step) : 0
  return (
    words + tables + dealerBytes(activation.chunks, relu.comparisons) + 4 * (9 * relu.values + 3 * relu.comparisons)
  )
}

/**
 * What a guard adds: keys, tags and lifted masks of the largest step, everything that is compared once more, tables and pads
 * of the second sets, and what the helper checks uploads with.
 */
function guardBytes(layout: PlanLayout<MccPlan>): Pick<PlanMemory, 'client' | 'server' | 'helper'> {
  const terms = guardTerms(layout)
  if (!terms) return { client: 0, server: 0, helper: 0 }
  const replies = most(
    layout.steps.map((step) => {
      if (!isActive(step)) return 0
      const keys = sum(keyShapes(step, terms.word).map(({ count }) => count))
      return 8 * (2 * keys + 4 * step.relu.values + 2 * step.relu.results)
    }),
  )
  const sets = setsOf(terms)
  const compared = sum(terms.segments.map(({ comparisons }) => 8 * comparisons))
  const pads = most(terms.segments.map((segment) => sum(segment.sets.map((set) => signSizes(set).tables))))
  const { dealt } = guardSizes(terms)
  const set = most(sets.map(setBytes))
  const secrets = sum(sets.map((each) => 5 * each.comparisons + 5 * each.traps))
  const transposes = sum(layout.plan.steps.map((_, tensor) => elementCount(tensorShape(layout.plan, tensor))))
  return {
    client: replies + pads + set,
    server: replies + compared + secrets + set,
    helper: replies + compared + secrets + set + 2 * dealt + 2 * 4 * terms.vectors * transposes,
  }
}

/** What a second set takes while it is dealt, opened or answered: a few words for each of its places. */
function setBytes(set: SignSet): number {
  const { opened, rows, beta } = signSizes(set)
  const places = set.comparisons + set.traps
  return opened + 2 * rows + beta + dealerBytes(set.chain.chunks, places) + 4 * 8 * places
}

type SecurennStep = StepLayout<ActivationOf<SecurennPlan>>

/** Client and server on `securenn`: a comparison's digits are bytes, a few times over. */
function sideBytes(step: SecurennStep): number {
  const linear = linearBytes(step, 8)
  if (!isActive(step)) return linear
  return linear + 8 * 12 * step.relu.values + step.relu.comparisons * (4 * digitsOf(step) + 96)
}

/** Helper on `securenn`: the digits of both. */
function dealerSideBytes(step: SecurennStep): number {
  const linear = linearBytes(step, 8)
  if (!isActive(step)) return linear
  return linear + 8 * 12 * step.relu.values + step.relu.comparisons * (6 * digitsOf(step) + 96)
}

const digitsOf = ({ activation }: SecurennStep): number => 64 - activation!.ignoredMsb
