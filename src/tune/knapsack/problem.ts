// The multiple-choice knapsack as it is asked: one candidate per channel, least summed value within a budget.
import { RingfenceError } from '../../errors.js'

/**
 * One candidate is to be taken in every channel. Candidates of all channels lie one after the other: those of channel i
 * are start[i] … start[i + 1] - 1.
 */
export interface KnapsackProblem {
  /** channels + 1 entries, ascending from 0. */
  readonly start: Int32Array
  /** Integers >= 0. */
  readonly cost: Float64Array
  /** Finite; smaller is better. */
  readonly value: Float64Array
  /** Largest summed cost allowed. */
  readonly budget: number
  /** What a channel is called in messages; its number without it. */
  readonly name?: (channel: number) => string
}

export interface Candidate {
  readonly cost: number
  readonly value: number
}

/** The problem as typed arrays, from one list of candidates per channel. */
export function knapsackProblem(channels: readonly (readonly Candidate[])[], budget: number): KnapsackProblem {
  const start = new Int32Array(channels.length + 1)
  for (const [i, list] of channels.entries()) start[i + 1] = start[i] + list.length
  const cost = new Float64Array(start[channels.length])
  const value = new Float64Array(start[channels.length])
  let at = 0
  for (const list of channels) {
    for (const candidate of list) {
      cost[at] = candidate.cost
      value[at++] = candidate.value
    }
  }
  return { start, cost, value, budget }
}

const SHOWN = 20

/** At most 20 problems, and how many more there are. */
export function shortened(problems: readonly string[]): readonly string[] {
  if (problems.length <= SHOWN) return problems
  return [...problems.slice(0, SHOWN), `and ${problems.length - SHOWN} more`]
}

/**
 * @throws RingfenceError BAD_INPUT with every problem: channels without candidates, costs that are not integers >= 0,
 *   values that are not finite, a budget below the cheapest possible sum
 */
export function checkProblem(problem: KnapsackProblem): void {
  const { start, cost, value, budget } = problem
  const name = problem.name ?? ((channel: number) => `channel ${channel}`)
  const problems: string[] = []
  let cheapest = 0
  let dearest = 0
  for (let i = 0; i + 1 < start.length; i++) {
    if (start[i] === start[i + 1]) problems.push(`${name(i)}: expected at least one candidate, got none`)
    let least = Number.POSITIVE_INFINITY
    let most = 0
    for (let j = start[i]; j < start[i + 1]; j++) {
      if (!Number.isSafeInteger(cost[j]) || cost[j] < 0) {
        problems.push(`${name(i)}, candidate ${j - start[i]}: expected a cost that is an integer >= 0, got ${cost[j]}`)
      }
      if (!Number.isFinite(value[j])) {
        problems.push(`${name(i)}, candidate ${j - start[i]}: expected a finite value, got ${value[j]}`)
      }
      if (cost[j] < least) least = cost[j]
      if (cost[j] > most) most = cost[j]
    }
    cheapest += least
    dearest += most
  }
  if (!(budget >= 0 && Number.isFinite(budget))) problems.push(`budget: expected a number >= 0, got ${budget}`)
  else if (problems.length === 0 && cheapest > budget) {
    problems.push(`budget: the cheapest possible choice costs ${cheapest}, ${cheapest - budget} more than ${budget}`)
  }
  if (dearest > Number.MAX_SAFE_INTEGER) problems.push(`costs: expected sums below 2^53, got ${dearest}`)
  if (problems.length > 0) throw new RingfenceError('BAD_INPUT', 'the knapsack cannot be solved:', shortened(problems))
}
