// The channels in which an optimal choice may differ from the choice that is best at the relaxation's multiplier, the
// most promising first (Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", 1995).
import type { OnGrid, Reduced } from './reduce.js'

/**
 * A deviation of a channel from its base candidate changes the cost by `dc` and the value by `dv`, of opposite signs.
 */
export interface Core {
  /** Candidate of every channel with the least value + lambda * cost; of equal ones that of the known solution. */
  readonly base: Int32Array
  readonly baseValue: number
  /** What the base choice leaves of the budget; may be negative. */
  readonly room: number
  /** No choice within the budget is below baseValue - lambda * room - rounding. */
  readonly lambda: number
  readonly rounding: number
  /** Channels whose deviations may lead below the known solution, those of slopes dv / dc near -lambda first. */
  readonly channel: Int32Array
  /** channels + 1 entries. */
  readonly start: Int32Array
  readonly dc: Float64Array
  readonly dv: Float64Array
  /** dv + lambda * dc: how far above that bound a choice with this deviation is at least. */
  readonly above: Float64Array
  /** The candidate a deviation leads to. */
  readonly candidate: Int32Array
  /** From position p on, the most value that a unit of cost saves; 0 when no deviation adds cost. */
  readonly gain: Float64Array
  /** From position p on, the least value that a saved unit of cost loses; infinite when no deviation saves. */
  readonly loss: Float64Array
  /** From position p on, by how much the cost can fall at most. */
  readonly saving: Float64Array
}

/** What rounding may add to value + lambda * cost of a candidate worth looking at, in steps of the grid. */
const ROUNDING = 1 / 8

export function coreOf({ problem, choice, lambda, excess }: OnGrid): Core {
  const { start, cost, value, budget } = problem
  const base = new Int32Array(start.length - 1)
  let room = budget
  let baseValue = 0
  for (let i = 0; i < base.length; i++) {
    let best = choice[i]
    for (let k = start[i]; k < start[i + 1]; k++) {
      if (value[best] - value[k] > lambda * (cost[k] - cost[best])) best = k
    }
    base[i] = best
    room -= cost[best]
    baseValue += value[best]
  }
  const rounding = ROUNDING * base.length
  const gap = excess - baseValue + lambda * room + rounding
  return { base, baseValue, room, lambda, rounding, ...deviations(problem, base, lambda, gap) }
}

type Deviations = Omit<Core, 'base' | 'baseValue' | 'room' | 'lambda' | 'rounding'>

function deviations(problem: Reduced, base: Int32Array, lambda: number, gap: number): Deviations {
  const { cost, value } = problem
  const reducedCost = (i: number, k: number) => value[k] - value[base[i]] + lambda * (cost[k] - cost[base[i]])
  const dearer = new Float64Array(base.length).fill(Number.POSITIVE_INFINITY)
  const cheaper = dearer.slice()
  let size = 0
  for (let i = 0; i < base.length; i++) {
    for (let k = problem.start[i]; k < problem.start[i + 1]; k++) {
      const rc = reducedCost(i, k)
      if (k === base[i] || rc >= gap) continue
      const change = cost[k] - cost[base[i]]
      if (change > 0) dearer[i] = Math.min(dearer[i], rc / change)
      else cheaper[i] = Math.min(cheaper[i], -rc / change)
      size++
    }
  }
  const channel = alternating(ascending(dearer), ascending(cheaper))
  const list = { start: new Int32Array(channel.length + 1), candidate: new Int32Array(size) }
  const [dc, dv, above] = [new Float64Array(size), new Float64Array(size), new Float64Array(size)]
  let at = 0
  for (const [p, i] of channel.entries()) {
    for (let k = problem.start[i]; k < problem.start[i + 1]; k++) {
      const rc = reducedCost(i, k)
      if (k === base[i] || rc >= gap) continue
      dc[at] = cost[k] - cost[base[i]]
      dv[at] = value[k] - value[base[i]]
      above[at] = rc
      list.candidate[at++] = k
    }
    list.start[p + 1] = at
  }
  return { channel, ...list, dc, dv, above, ...rates(list.start, dc, dv) }
}

/** The indices of the finite keys, in their order. */
function ascending(keys: Float64Array): Int32Array {
  const finite = Int32Array.from(keys.keys()).filter((i) => keys[i] < Number.POSITIVE_INFINITY)
  return finite.sort((a, b) => keys[a] - keys[b] || a - b)
}

/** Both lists by turns, nothing twice: what one channel adds to the cost another can soon take back. */
function alternating(a: Int32Array, b: Int32Array): Int32Array {
  const merged = new Set<number>()
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    if (i < a.length) merged.add(a[i])
    if (i < b.length) merged.add(b[i])
  }
  return Int32Array.from(merged)
}

function rates(start: Int32Array, dc: Float64Array, dv: Float64Array): Pick<Core, 'gain' | 'loss' | 'saving'> {
  const gain = new Float64Array(start.length)
  const loss = new Float64Array(start.length).fill(Number.POSITIVE_INFINITY)
  const saving = new Float64Array(start.length)
  for (let p = start.length - 2; p >= 0; p--) {
    gain[p] = gain[p + 1]
    loss[p] = loss[p + 1]
    let lowest = 0
    for (let k = start[p]; k < start[p + 1]; k++) {
      if (dc[k] > 0) gain[p] = Math.max(gain[p], -dv[k] / dc[k])
      else loss[p] = Math.min(loss[p], -dv[k] / dc[k])
      lowest = Math.min(lowest, dc[k])
    }
    saving[p] = saving[p + 1] - lowest
  }
  return { gain, loss, saving }
}
