// What can be said of a multiple-choice knapsack before any search: which candidates cannot be of use, the solution of
// the linear relaxation, a good solution, and a grid on which every sum is exact. (Kellerer, Pferschy, Pisinger,
// "Knapsack Problems", 2004, §11.2: dominance, LP-dominance, the greedy solution of the relaxation.)
import type { KnapsackProblem } from './problem.js'

/**
 * Undominated candidates: within a channel, cost rises strictly from 0 and value falls strictly to 0. Costs are over the
 * channel's cheapest candidate, in units of `unit`; values are over the channel's least.
 */
export interface Reduced {
  readonly start: Int32Array
  readonly cost: Float64Array
  readonly value: Float64Array
  /** Index among the problem's candidates. */
  readonly origin: Int32Array
  /** What is left of the budget over the cheapest choice, in units of `unit`. */
  readonly budget: number
  readonly unit: number
  /** Summed least values, in channel order. */
  readonly floor: number
}

/** Drops what another candidate of its channel beats in cost and value; of equal ones the first stays. */
export function undominated({ start, cost, value, budget }: KnapsackProblem): Reduced {
  const channels = start.length - 1
  const kept = { start: new Int32Array(channels + 1), origin: new Int32Array(cost.length) }
  let size = 0
  let left = budget
  let floor = 0
  let unit = 0
  for (let i = 0; i < channels; i++) {
    const order = byCost(start[i], start[i + 1], cost, value)
    let best = Number.POSITIVE_INFINITY
    for (const j of order) {
      if (value[j] >= best) continue
      best = value[j]
      unit = gcd(unit, cost[j] - cost[order[0]])
      kept.origin[size++] = j
    }
    left -= cost[order[0]]
    floor += best
    kept.start[i + 1] = size
  }
  if (unit === 0) unit = 1
  const reducedCost = new Float64Array(size)
  const reducedValue = new Float64Array(size)
  const origin = kept.origin.slice(0, size)
  for (let i = 0; i < channels; i++) {
    const [first, last] = [origin[kept.start[i]], origin[kept.start[i + 1] - 1]]
    for (let k = kept.start[i]; k < kept.start[i + 1]; k++) {
      reducedCost[k] = (cost[origin[k]] - cost[first]) / unit
      reducedValue[k] = value[origin[k]] - value[last]
    }
  }
  const room = Math.floor(left / unit)
  return { start: kept.start, cost: reducedCost, value: reducedValue, origin, budget: room, unit, floor }
}

function byCost(from: number, to: number, cost: Float64Array, value: Float64Array): Int32Array {
  const order = Int32Array.from({ length: to - from }, (_, k) => from + k)
  return order.sort((a, b) => cost[a] - cost[b] || value[a] - value[b] || a - b)
}

function gcd(a: number, b: number): number {
  let [x, y] = [a, b]
  if (x === 1) return 1
  while (y > 0) [x, y] = [y, x % y]
  return x
}

/** The relaxation's solution without its one fractional channel, filled up. */
export interface Greedy {
  /** Value per unit of cost at which the relaxation stops buying; 0 when the budget does not bind. */
  readonly lambda: number
  /** One candidate of the reduced problem per channel; within the budget. */
  readonly choice: Int32Array
  /** Summed value of the choice over the channels' least. */
  readonly excess: number
}

export interface Segments {
  readonly slope: Float64Array
  readonly extra: Float64Array
  readonly channel: Int32Array
  /** The candidate a segment leads to; segments of a channel stand in the order of rising cost. */
  readonly target: Int32Array
}

export function greedy(problem: Reduced): Greedy {
  const segments = hullSegments(problem)
  const { lambda, spent } = breakSlope(segments, problem.budget)
  const choice = problem.start.slice(0, -1)
  const { slope, channel, target } = segments
  for (let s = 0; s < slope.length; s++) if (slope[s] > lambda) choice[channel[s]] = target[s]
  if (lambda > 0) fill(problem, segments, lambda, choice, problem.budget - spent)
  let excess = 0
  for (const k of choice) excess += problem.value[k]
  return { lambda, choice, excess }
}

/** Edges of every channel's lower convex hull in the plane of cost and value. */
export function hullSegments({ start, cost, value }: Reduced): Segments {
  const channels = start.length - 1
  const size = cost.length - channels
  const slope = new Float64Array(size)
  const extra = new Float64Array(size)
  const channel = new Int32Array(size)
  const target = new Int32Array(size)
  const hull = new Int32Array(size + 1)
  const fall = (a: number, b: number) => (value[a] - value[b]) / (cost[b] - cost[a])
  let count = 0
  for (let i = 0; i < channels; i++) {
    let top = 0
    hull[0] = start[i]
    for (let k = start[i] + 1; k < start[i + 1]; k++) {
      while (top > 0 && fall(hull[top - 1], hull[top]) <= fall(hull[top], k)) top--
      hull[++top] = k
    }
    for (let t = 1; t <= top; t++) {
      slope[count] = fall(hull[t - 1], hull[t])
      extra[count] = cost[hull[t]] - cost[hull[t - 1]]
      channel[count] = i
      target[count++] = hull[t]
    }
  }
  const cut = <T extends Float64Array | Int32Array>(list: T) => list.subarray(0, count) as T
  return { slope: cut(slope), extra: cut(extra), channel: cut(channel), target: cut(target) }
}

/** The least slope such that all segments steeper than it fit into the budget, and what these cost. */
function breakSlope({ slope, extra }: Segments, budget: number): { lambda: number; spent: number } {
  const steeperThan = (lambda: number) => {
    let sum = 0
    for (let s = 0; s < slope.length; s++) if (slope[s] > lambda) sum += extra[s]
    return sum
  }
  const all = steeperThan(0)
  if (all <= budget) return { lambda: 0, spent: all }
  const sorted = slope.slice().sort()
  let low = 0
  let high = sorted.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if (steeperThan(sorted[middle]) <= budget) high = middle
    else low = middle + 1
  }
  return { lambda: sorted[low], spent: steeperThan(sorted[low]) }
}

/** Buys further segments, the steepest first, as long as they fit. */
function fill(problem: Reduced, segments: Segments, lambda: number, choice: Int32Array, slack: number): void {
  const { slope, extra, channel, target } = segments
  const near: number[] = []
  for (let s = 0; s < slope.length; s++) if (slope[s] <= lambda && slope[s] >= lambda / 2) near.push(s)
  near.sort((a, b) => slope[b] - slope[a] || a - b)
  let left = slack
  for (const s of near) {
    const follows = problem.cost[target[s]] - problem.cost[choice[channel[s]]] === extra[s]
    if (!follows || extra[s] > left) continue
    left -= extra[s]
    choice[channel[s]] = target[s]
  }
}

/** A reduced problem whose values are integers, as multiples of `step`. */
export interface OnGrid {
  readonly problem: Reduced
  readonly choice: Int32Array
  /** Summed value of the choice; at most 2^49. */
  readonly excess: number
  readonly lambda: number
  readonly step: number
}

/** Leaves bits to spare below 2^53 for sums of differences and for the rounding of bounds. */
const GRID_BITS = 48

/**
 * Rounds the values to multiples of a power of two such that a known solution sums to 2^48 of them at most, but for the
 * rounding: all sums that can matter are then exact, whatever their order. Candidates that alone exceed the known solution
 * are dropped, and so are those that rounding makes no better than a cheaper one. Integers that sum to at most 2^48 in the
 * known solution stay as they are.
 */
export function onGrid(reduced: Reduced, { lambda, choice, excess }: Greedy): OnGrid {
  const exponent = Math.max(Math.ceil(Math.log2(excess)) - GRID_BITS, -1070)
  const step = 2 ** exponent
  let sum = 0
  for (const k of choice) sum += Math.round(reduced.value[k] / step)
  const channels = choice.length
  const start = new Int32Array(channels + 1)
  const cost = new Float64Array(reduced.cost.length)
  const value = new Float64Array(reduced.cost.length)
  const origin = new Int32Array(reduced.cost.length)
  const moved = new Int32Array(channels)
  let size = 0
  for (let i = 0; i < channels; i++) {
    for (let k = reduced.start[i]; k < reduced.start[i + 1]; k++) {
      const rounded = Math.round(reduced.value[k] / step)
      const same = size > start[i] && value[size - 1] === rounded
      if (rounded <= sum && !same) {
        cost[size] = reduced.cost[k]
        value[size] = rounded
        origin[size++] = reduced.origin[k]
      }
      if (k === choice[i]) moved[i] = size - 1
    }
    start[i + 1] = size
  }
  const problem = {
    ...reduced,
    start,
    cost: cost.slice(0, size),
    value: value.slice(0, size),
    origin: origin.slice(0, size),
  }
  return { problem, choice: moved, excess: sum, lambda: lambda / step, step }
}
