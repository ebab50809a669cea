// Segment tables in a plan from a peer, checked.
import { integer, list, object } from '../../model/json/form.js'
import { type Curve, elementCount, type MccActivation, type Step } from '../plan.js'

/** A table's entries start where a block of their stream does. */
const LEAST_SEGMENTS = 3
const MOST_SEGMENTS = 8
/** Low bits that a value drops. */
export const MOST_DROPPED = 31
/** Words of all tables of a step; their streams have 2^32 blocks of eight. */
const MAX_WORDS = 2 ** 34

export const curveForm = object({
  segments: integer(LEAST_SEGMENTS, MOST_SEGMENTS),
  drop: integer(0, MOST_DROPPED),
  polynomials: list(list(integer(), 2, 3), 1, 2 ** MOST_SEGMENTS),
})

/** What is wrong with a curve, one line each. */
export function curveProblems(
  ring: number,
  step: Step,
  { bits, relu, bends }: MccActivation,
  { segments, drop, polynomials }: Curve,
): string[] {
  const problems: string[] = []
  const { length } = polynomials[0]
  if (relu.kind !== 'identity' || bends) problems.push('a curve takes the place of its ReLUs')
  if (bits > 26 || segments > bits - 2) problems.push(`${bits} opened bits have no 2^${segments} segments`)
  if (polynomials.length !== 2 ** segments || polynomials.some((each) => each.length !== length))
    problems.push(`2^${segments} polynomials of one degree are due`)
  if (ring + drop > 63) problems.push(`${ring} ring bits and ${drop} more do not fit a word`)
  if (elementCount(step.out) * 2 ** segments * length > MAX_WORDS)
    problems.push(`its tables have more than 2^${Math.log2(MAX_WORDS)} words`)
  const reach = 2 ** (bits - segments)
  const limit = Math.min(2 ** (ring - 1 + drop), 2 ** 52)
  const most = (each: readonly number[]) => each.reduce((sum, q, degree) => sum + Math.abs(q) * reach ** degree, 0)
  if (polynomials.some((each) => most(each) >= limit)) problems.push('a polynomial has values beyond the ring')
  return problems
}
