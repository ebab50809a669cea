// Quadratic selects in a plan from a peer, checked.
import { integer, list, object, tuple } from '../model/json/form.js'
import { MOST_DROPPED } from './curves/check.js'
import type { MccActivation, Quadratic } from './plan.js'

/** Whole numbers hold the sum of all polynomials of values of so many bits in plain-text reruns too. */
export const MOST_QUADRATIC_BITS = 22
const coefficient = integer()

export const quadraticForm = object({
  drop: integer(0, MOST_DROPPED),
  polynomials: list(tuple(coefficient, coefficient), 1, 16),
})

/** What is wrong with a quadratic select, one line each. */
export function quadraticProblems(
  ring: number,
  { bits, relu, bends, curve }: MccActivation,
  { drop, polynomials }: Quadratic,
): string[] {
  const problems: string[] = []
  if (relu.kind !== 'relu' || curve) problems.push('a quadratic select switches every copy by a comparison of its own')
  if (bends?.sum?.plus !== 0 || bends.shifts.length !== polynomials.length)
    problems.push(`${polynomials.length} polynomials are of as many copies, which are summed with nothing else`)
  if (bits < 4 || bits > MOST_QUADRATIC_BITS)
    problems.push(`a quadratic select opens 4 to ${MOST_QUADRATIC_BITS} bits, not ${bits}`)
  if (ring + drop > 63) problems.push(`${ring} ring bits and ${drop} more do not fit a word`)
  const reach = 2 ** (bits - 1)
  if (polynomials.some(([c0, c1]) => Math.abs(c1) >= 2 * reach || Math.abs(c0) >= 2 * reach ** 2))
    problems.push(`coefficients stay below 2^${bits} and 2^${2 * bits - 1}`)
  return problems
}
