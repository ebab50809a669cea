// The channels in which an optimal choice may differ from the choice that is best at the relaxation's multiplier, the
// most promising first (Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", 1995).
import type { OnGrid } from './knapsack-reduce.js'

/**
 * A deviation of a channel from its break candidate changes the cost by `dc` and the value by rc - lambda * dc, rc >= 0.
 * With d the summed dc and r the summed rc of a choice, its value is `bound` + r + lambda * (room - d): all choices within
 * the budget have d <= room, so `bound` is a lower bound, and `gap` is what the known solution is above it.
 */
export interface Core {
  /** Candidate of every channel that is best at the multiplier: least value + lambda * cost, then least cost. */
  readonly base: Int32Array
  readonly lambda: number
  readonly room: number
  readonly bound: number
  readonly gap: number
  /** Channels with deviations of rc < gap, by the least rc per unit of cost changed. */
  readonly channel: Int32Array
  /** channels + 1 entries. */
  readonly start: Int32Array
  readonly dc: Float64Array
  readonly rc: Float64Array
  /** The candidate a deviation leads to. */
  readonly candidate: Int32Array
  /** From position p on, the least rc per unit of cost added; infinite when none adds. */
  readonly upward: Float64Array
  /** From position p on, the least rc per unit of cost saved. */
  readonly downward: Float64Array
  /** From position p on, by how much the cost can fall at most. */
  readonly saving: Float64Array
}

/** All sums are of integers below 2^53, hence exact; where a product with lambda is larger, only its size matters. */
export function coreOf({ problem, lambda, excess }: OnGrid): Core {
  const { start, cost, value, budget } = problem
  const base = new Int32Array(start.length - 1)
  let room = budget
  let baseValue = 0
  for (let i = 0; i < base.length; i++) {
    let best = start[i]
    for (let k = best + 1; k < start[i + 1]; k++) {
      if (value[best] - value[k] > lambda * (cost[k] - cost[best])) best = k
    }
    base[i] = best
    room -= cost[best]
    baseValue += value[best]
  }
  const bound = baseValue - lambda * room
  const gap = excess - bound
  return { base, lambda, room, bound, gap, ...deviations(problem, base, lambda, gap) }
}

type Deviations = Pick<Core, 'channel' | 'start' | 'dc' | 'rc' | 'candidate' | 'upward' | 'downward' | 'saving'>

function deviations(problem: OnGrid['problem'], base: Int32Array, lambda: number, gap: number): Deviations {
  const { cost, value } = problem
  const reducedCost = (i: number, k: number) => value[k] - value[base[i]] + lambda * (cost[k] - cost[base[i]])
  const keys = new Float64Array(base.length).fill(Number.POSITIVE_INFINITY)
  let size = 0
  for (let i = 0; i < base.length; i++) {
    for (let k = problem.start[i]; k < problem.start[i + 1]; k++) {
      const rc = reducedCost(i, k)
      if (k === base[i] || !(rc < gap)) continue
      keys[i] = Math.min(keys[i], rc / Math.abs(cost[k] - cost[base[i]]))
      size++
    }
  }
  const channel = Int32Array.from(keys.keys()).filter((i) => keys[i] < Number.POSITIVE_INFINITY)
  channel.sort((a, b) => keys[a] - keys[b] || a - b)
  const start = new Int32Array(channel.length + 1)
  const dc = new Float64Array(size)
  const rc = new Float64Array(size)
  const candidate = new Int32Array(size)
  let at = 0
  for (const [p, i] of channel.entries()) {
    for (let k = problem.start[i]; k < problem.start[i + 1]; k++) {
      rc[at] = reducedCost(i, k)
      if (k === base[i] || !(rc[at] < gap)) continue
      dc[at] = cost[k] - cost[base[i]]
      candidate[at++] = k
    }
    start[p + 1] = at
  }
  return { channel, start, dc, rc, candidate, ...slopes(start, dc, rc) }
}

function slopes(start: Int32Array, dc: Float64Array, rc: Float64Array): Pick<Core, 'upward' | 'downward' | 'saving'> {
  const upward = new Float64Array(start.length).fill(Number.POSITIVE_INFINITY)
  const downward = upward.slice()
  const saving = new Float64Array(start.length)
  for (let p = start.length - 2; p >= 0; p--) {
    upward[p] = upward[p + 1]
    downward[p] = downward[p + 1]
    let least = 0
    for (let k = start[p]; k < start[p + 1]; k++) {
      if (dc[k] > 0) upward[p] = Math.min(upward[p], rc[k] / dc[k])
      else downward[p] = Math.min(downward[p], -rc[k] / dc[k])
      least = Math.min(least, dc[k])
    }
    saving[p] = saving[p + 1] - least
  }
  return { upward, downward, saving }
}
