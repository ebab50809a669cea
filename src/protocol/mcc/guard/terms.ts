// What a guard adds to a plan, in numbers: public, and the same at every party.
import { packedBytes } from '../../../kernels/bits.js'
import type { TagBytes } from '../../../kernels/mac.js'
import type { Chain } from '../../../kernels/mcc.js'
import { segmentsOf } from '../../../plan/guard.js'
import { boundedInputBits, elementCount, type MccPlan, tensorShape } from '../../../plan/plan.js'
import { isActive, type ReluNumbers } from '../../layout.js'
import { remembered } from '../../remembered.js'
import type { MccLayout, ReluStep } from '../step.js'
import { type SignSet, signSizes } from './signs.js'
import { longBytes } from './words.js'

export interface GuardTerms {
  readonly ring: number
  /** N: bits of MACs and of guarded replies. */
  readonly word: number
  /** q: subsets of δ that are checked. */
  readonly vectors: number
  /** What is compared once more, and when; none where nothing is compared. */
  readonly segments: readonly SignSegment[]
  /** Of an input that is opened under keys of its own; null where the first step bounds it. */
  readonly input: InputWindow | null
}

/** The second sets of some consecutive steps. */
export interface SignSegment {
  readonly number: number
  /** The last of the steps: its opening is the last one that the sets cover. */
  readonly last: number
  readonly comparisons: number
  readonly sets: readonly SignSet[]
}

export interface InputWindow {
  readonly size: number
  readonly bits: number
}

/** Terms of a plan whose input is opened under keys of its own. */
export type WindowedTerms = GuardTerms & { readonly input: InputWindow }

export const isWindowed = (terms: GuardTerms): terms is WindowedTerms => terms.input !== null

/** Null for a plan without a guard. */
export const guardTerms = remembered(({ plan, steps }: MccLayout): GuardTerms | null => {
  const { guard, ring } = plan
  if (!guard) return null
  const { sigma, signs } = guard
  const compared = steps.map(({ relu }) => relu?.comparisons ?? 0)
  const segments = segmentsOf(compared, sigma).map(({ last, comparisons }, number): SignSegment => {
    const sets = Array.from({ length: signs!.sets }, (_, number): SignSet => {
      return { chain: chainOfSigns(signs!), comparisons, traps: signs!.traps, step: last, number }
    })
    return { number, last, comparisons, sets }
  })
  return { ring, word: ring + sigma, vectors: sigma + 1, segments, input: inputWindow(plan) }
})

const chainOfSigns = ({ bits, chunks }: NonNullable<NonNullable<MccPlan['guard']>['signs']>): Chain => {
  return { bits, lo: 0, chunks, add: 0 }
}

/** What is opened of the input: |x| < 2^(bits-1) of the plan, opened with the one bit more that the select needs. */
function inputWindow(plan: MccPlan): InputWindow | null {
  if (boundedInputBits(plan) !== null) return null
  return { size: elementCount(tensorShape(plan, 0)), bits: plan.input.bits + 1 }
}

/** All second sets, in the order in which they are opened. */
export const setsOf = ({ segments }: GuardTerms): SignSet[] => segments.flatMap(({ sets }) => sets)

/** The second sets that leave with a step's opening. */
export const segmentAt = ({ segments }: GuardTerms, step: number): SignSegment | undefined =>
  segments.find(({ last }) => last === step)

/** The last step that opens anything: with its reply the client vouches for all. */
export const lastActive = (steps: MccLayout['steps']): number => steps.findLastIndex((step) => isActive(step))

/** Keys and tags of a step's replies: how many of each, and of how many bits. */
export function keyShapes(
  { relu, activation }: Pick<ReluStep<ReluNumbers>, 'relu' | 'activation'>,
  word: number,
): { field: KeyField; count: number; bits: number }[] {
  const high = word - activation.bits
  return [
    { field: 'rho', count: relu.switched, bits: word },
    { field: 'w0', count: relu.values, bits: word },
    { field: 'w2', count: relu.switched, bits: word },
    { field: 'q', count: relu.switched, bits: high },
    { field: 'muQ', count: relu.values, bits: high },
  ]
}

/** Tags are whole bytes of their streams. */
export const tagWidths = (bits: number, word: number): TagBytes => {
  return { wide: Math.ceil(word / 8), narrow: Math.ceil((word - bits) / 8) }
}

/** Of passed values only `w0` and `muQ`, which is then that of μ. */
export type KeyField = 'rho' | 'w0' | 'w2' | 'q' | 'muQ'

export const keyBytes = (step: Pick<ReluStep<ReluNumbers>, 'relu' | 'activation'>, word: number): number =>
  keyShapes(step, word).reduce((sum, { count, bits }) => sum + longBytes(count, bits), 0)

/** Bytes of a segment's openings, and of the answers to them. */
export function segmentSizes({ sets }: SignSegment): { opening: number; beta: number } {
  const each = sets.map(signSizes)
  return {
    opening: each.reduce((sum, { opened, rows }) => sum + opened + rows, 0),
    beta: each.reduce((sum, { beta }) => sum + beta, 0),
  }
}

/** Byte lengths of what a guard sends beside the steps. */
export function guardSizes(terms: GuardTerms) {
  const { ring, word, vectors, segments, input } = terms
  const checks = packedBytes(vectors, ring)
  const inputKeys = input ? longBytes(input.size, word) + longBytes(input.size, word - input.bits) : 0
  const tables = setsOf(terms).reduce((sum, set) => sum + signSizes(set).tables, 0)
  return {
    /** Helper to server, after the steps' material: keys of the input, tables, h. */
    inputKeys,
    tables,
    checks,
    dealt: inputKeys + tables + checks,
    /** Client to server, after δ: t. */
    uploaded: checks,
    /** Client to server with the last reply: T, β of the second sets. */
    proof: PROOF_WORD + segments.reduce((sum, segment) => sum + segmentSizes(segment).beta, 0),
  }
}

/** Bytes of T. */
export const PROOF_WORD = 8
