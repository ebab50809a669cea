// The exact multiple-choice knapsack: reduction, the relaxation's bounds, then dynamic programming over what is left.
import { RingfenceError } from '../../errors.js'
import { coreOf } from './core.js'
import { checkProblem, type KnapsackProblem } from './problem.js'
import { greedy, onGrid, type Reduced, undominated } from './reduce.js'
import { type SearchFigures, type SearchProgress, searchCore } from './search.js'

export { type Candidate, type KnapsackProblem, knapsackProblem } from './problem.js'
export type { SearchProgress } from './search.js'

export interface KnapsackOptions {
  readonly signal?: AbortSignal
  /** Called a few times a second while the search lasts. */
  readonly onProgress?: (progress: SearchProgress) => void
  /** Only a choice of a value below this one is wanted. */
  readonly below?: number
  /** States whose predecessors may be held at once, 8 bytes each; 2^24 by default. */
  readonly historyStates?: number
}

export interface KnapsackSolution {
  /** Per channel, the index of its candidate within the channel. */
  readonly choice: Int32Array
  /** Summed value, added up in channel order. */
  readonly value: number
  readonly cost: number
  /** Lower bound on every choice's value by the relaxation, before the search closed the gap. */
  readonly bound: number
  readonly figures: {
    readonly candidates: number
    /** Candidates left that no other of their channel dominates. */
    readonly undominated: number
    /** Channels in which the optimum may differ from the relaxation's solution. */
    readonly coreChannels: number
    readonly searchedChannels: number
    /** Most partial choices held at once. */
    readonly states: number
  }
}

/** Between two looks at the signal and the event loop. */
const SLICE_MS = 50
const HISTORY_STATES = 2 ** 24

/**
 * The choice of least summed value whose summed cost is within the budget, or undefined when `below` rules it out.
 *
 * Exact in this sense: every value, taken over its channel's least, is rounded to a multiple of 2^-48 or less of the
 * greedy solution's total, and among the rounded values the choice is an optimum, proven without any tolerance (their
 * sums are exact in float64, in any order). Integers whose sums stay below 2^48 are not changed by the rounding; else the
 * summed value is at most channels * 2^-48 of that total above the least possible. Equal problems give equal choices.
 *
 * Memory, beside the problem: 84 bytes per undominated candidate, 28 per deviation in the core, 72 per state and
 * 8 * historyStates. There can be no more states than 2 * budget / (the costs' common divisor), whatever the channels;
 * the bounds leave far fewer in practice, see `figures`. More than 2^24 are refused.
 *
 * @throws RingfenceError BAD_INPUT with every problem of the input, ABORTED by `signal`, UNSUPPORTED for too many states
 */
export async function solveKnapsack(
  problem: KnapsackProblem,
  options: KnapsackOptions = {},
): Promise<KnapsackSolution | undefined> {
  checkProblem(problem)
  return await takeSteps(knapsackSteps(problem, options), options)
}

/** Runs a search in slices, between which the event loop turns. */
export async function takeSteps<P, T>(
  search: Generator<P, T>,
  { signal, onProgress }: { readonly signal?: AbortSignal; readonly onProgress?: (progress: P) => void },
): Promise<T> {
  let since = performance.now()
  for (;;) {
    if (signal?.aborted) throw aborted(signal)
    const step = search.next()
    if (step.done) return step.value
    if (performance.now() - since < SLICE_MS) continue
    onProgress?.(step.value)
    await new Promise((resolve) => setTimeout(resolve, 0))
    since = performance.now()
  }
}

function aborted(signal: AbortSignal): RingfenceError {
  return new RingfenceError('ABORTED', 'solving the knapsack was aborted by the caller', [], { cause: signal.reason })
}

/** The search itself, for a problem that was checked. */
export function* knapsackSteps(
  problem: KnapsackProblem,
  { below = Number.POSITIVE_INFINITY, historyStates = HISTORY_STATES }: KnapsackOptions,
): Generator<SearchProgress, KnapsackSolution | undefined> {
  const reduced = undominated(problem)
  const first = greedy(reduced)
  const figures = { candidates: problem.cost.length, undominated: reduced.cost.length, coreChannels: 0 }
  const search: SearchFigures = { states: 0, channels: 0 }
  const done = (origins: Int32Array, bound: number) => {
    const { states, channels: searchedChannels } = search
    return solution(problem, origins, bound, { ...figures, searchedChannels, states })
  }
  if (first.lambda === 0 || first.excess === 0) {
    const best = done(
      first.choice.map((k) => reduced.origin[k]),
      reduced.floor,
    )
    return best.value < below ? best : undefined
  }
  const grid = onGrid(reduced, first)
  const core = coreOf(grid)
  const bound = core.baseValue - core.lambda * core.room - core.rounding
  figures.coreChannels = core.channel.length
  const wanted = Math.ceil((below - reduced.floor) / grid.step)
  if (wanted <= bound) return undefined
  const way = yield* scaled(searchCore(core, Math.min(grid.excess, wanted), historyStates, search), grid.step)
  if (!way && wanted < grid.excess) return undefined
  const choice = way ? core.base.slice() : grid.choice
  for (const k of way ?? []) choice[channelOf(grid.problem, core.candidate[k])] = core.candidate[k]
  const found = done(
    choice.map((k) => grid.problem.origin[k]),
    reduced.floor + bound * grid.step,
  )
  return found.value < below ? found : undefined
}

function* scaled<T>(search: Generator<SearchProgress, T>, step: number): Generator<SearchProgress, T> {
  for (;;) {
    const next = search.next()
    if (next.done) return next.value
    yield { ...next.value, gap: next.value.gap * step }
  }
}

function channelOf({ start }: Reduced, candidate: number): number {
  let low = 0
  let high = start.length - 1
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (start[middle] <= candidate) low = middle
    else high = middle
  }
  return low
}

function solution(
  { start, cost, value }: KnapsackProblem,
  origins: Int32Array,
  bound: number,
  figures: KnapsackSolution['figures'],
): KnapsackSolution {
  let [valueSum, costSum] = [0, 0]
  for (const j of origins) {
    valueSum += value[j]
    costSum += cost[j]
  }
  const choice = origins.map((j, channel) => j - start[channel])
  return { choice, value: valueSum, cost: costSum, bound: Math.min(bound, valueSum), figures }
}
