// Slow, plain solutions of the same problem, and problems to try them on.
import type { Candidate } from '../../../src/tune/knapsack/knapsack.js'

export type Channels = readonly (readonly Candidate[])[]

/** Every choice, one after the other. */
export function bruteForce(channels: Channels, budget: number): number {
  let best = Number.POSITIVE_INFINITY
  const visit = (i: number, cost: number, value: number): void => {
    if (cost > budget) return
    if (i === channels.length) best = Math.min(best, value)
    else for (const candidate of channels[i]) visit(i + 1, cost + candidate.cost, value + candidate.value)
  }
  visit(0, 0, 0)
  return best
}

/** The textbook's table over the cost axis: least value of every cost up to the budget. */
export function costTable(channels: Channels, budget: number): number {
  let least = new Float64Array(budget + 1)
  for (const list of channels) {
    const next = new Float64Array(budget + 1).fill(Number.POSITIVE_INFINITY)
    for (const { cost, value } of list) {
      for (let c = cost; c <= budget; c++) next[c] = Math.min(next[c], least[c - cost] + value)
    }
    least = next
  }
  return least[budget]
}

/** The problem as HiGHS reads it. */
export function linearProgram(channels: Channels, budget: number): string {
  const sum = (of: (candidate: Candidate) => number) =>
    channels.flatMap((list, i) => list.map((candidate, j) => `${of(candidate)} x${i}_${j}`)).join(' + ')
  const once = channels.map((list, i) => ` c${i}: ${list.map((_, j) => `x${i}_${j}`).join(' + ')} = 1`)
  const names = channels.flatMap((list, i) => list.map((_, j) => `x${i}_${j}`))
  const rows = [` budget: ${sum(({ cost }) => cost)} <= ${budget}`, ...once]
  return `Minimize\n obj: ${sum(({ value }) => value)}\nSubject To\n${rows.join('\n')}\nBinary\n ${names.join(' ')}\nEnd`
}

/** Reproducible numbers in [0, 1). */
export function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

/** A budget between the cheapest and the dearest choice. */
export function someBudget(channels: Channels, at: number): number {
  const costs = channels.map((list) => list.map(({ cost }) => cost))
  const least = costs.reduce((sum, list) => sum + Math.min(...list), 0)
  const most = costs.reduce((sum, list) => sum + Math.max(...list), 0)
  return least + Math.floor(at * (most - least + 1))
}
