// The knapsack in which channels come in groups, and a group can be in one of several modes: each with a cost and a value
// of its own beside those of its channels' candidates. Branch and bound over the modes, exact knapsacks at the leaves.
import { RingfenceError } from '../../errors.js'
import { type Curve, curvesOf, vertexAt } from './curve.js'
import {
  type KnapsackOptions,
  type KnapsackSolution,
  knapsackSteps,
  type SearchProgress,
  takeSteps,
} from './knapsack.js'
import { checkProblem, type KnapsackProblem } from './problem.js'

/** One way for a group to be. */
export interface GroupMode {
  /** Channels of the problem, contiguous: the modes follow each other, group by group. None where nothing is to choose. */
  readonly channels: number
  /** What the mode costs beside its channels' candidates, an integer >= 0. */
  readonly cost: number
  readonly value: number
  /** Per channel a candidate; a group in which all of these are taken is in another mode, not in this one. */
  readonly barred?: readonly number[]
}

/** The ways for a group to be, at most 31, of which one is to be taken. */
export type ChannelGroup = readonly GroupMode[]

/** How far the search is. */
export interface GroupedProgress extends Partial<SearchProgress> {
  readonly nodes: number
  /** Value of the best solution so far. */
  readonly value: number
}

export interface GroupedOptions extends Pick<KnapsackOptions, 'signal' | 'historyStates'> {
  /** Told how far the search is. */
  readonly onProgress?: (progress: GroupedProgress) => void
  /** Nodes of the search tree to look at, at most; 100,000 by default. */
  readonly maxNodes?: number
}

export interface GroupedSolution {
  /** Per group. */
  readonly mode: readonly number[]
  /** Per channel, its candidate; -1 in channels of modes that are not taken. */
  readonly choice: Int32Array
  readonly value: number
  readonly cost: number
  /** No choice has a lower value; below `value` by more than rounding only when the search ran into a limit. */
  readonly bound: number
  readonly nodes: number
}

interface Node {
  readonly bound: number
  /** Per group, a bit for every mode that it may still be in. */
  readonly allowed: Int32Array
  readonly excluded: readonly Excluded[]
}

/** A candidate that must not be taken: its channel, and its place in the problem. */
interface Excluded {
  readonly channel: number
  readonly place: number
}

/** A lower bound, and what else is known where it was found. */
interface Relaxation {
  readonly bound: number
  readonly lambda: number
  readonly cost: number
  /** Per mode of all groups, by how much it would be worse than the best one of its group that is allowed. */
  readonly excess: Float64Array
}

/** Of a value: what two ways of adding the same numbers may differ by. */
const ROUNDING = 1e-12

/**
 * Parts of leaves that took what is barred are looked at until there are a solution and this many of them; which channel
 * takes something else makes hardly a difference then, and `bound` says which.
 */
const MOST_PARTS = 200

/**
 * Which mode every group is in, and the candidates of that mode's channels, such that the summed value is the least
 * possible within the budget. Every node's bound is the Lagrangian one, maximised over the multiplier: it falls into one
 * curve per mode. A mode that the bound alone rules out is not branched on.
 * @throws RingfenceError BAD_INPUT with every problem of the input, ABORTED by `signal`
 */
export async function solveGroupedKnapsack(
  problem: KnapsackProblem,
  groups: readonly ChannelGroup[],
  options: GroupedOptions = {},
): Promise<GroupedSolution> {
  checkProblem({ ...problem, budget: Number.MAX_SAFE_INTEGER })
  return await takeSteps(new GroupSearch(problem, groups, options).steps(), options)
}

class GroupSearch {
  /** The modes of all groups; those of group g are firstMode[g] … firstMode[g + 1] - 1. */
  readonly modes: readonly GroupMode[]
  readonly firstMode: readonly number[]
  /** Per mode: its first channel, and the curve of its channels. */
  readonly first: readonly number[]
  readonly curves: readonly Curve[]
  readonly stack: Node[] = []
  best: Omit<GroupedSolution, 'bound' | 'nodes'> | undefined
  nodes = 0
  parts = 0
  /** The least bound of the parts that were left out. */
  leftOut = Number.POSITIVE_INFINITY

  constructor(
    readonly problem: KnapsackProblem,
    readonly groups: readonly ChannelGroup[],
    readonly options: GroupedOptions,
  ) {
    this.modes = groups.flat()
    this.firstMode = sums(groups.map(({ length }) => length))
    this.first = sums(this.modes.map(({ channels }) => channels))
    this.curves = curvesOf(problem, this.first)
  }

  get value(): number {
    return this.best?.value ?? Number.POSITIVE_INFINITY
  }

  /** Only bounds below this are worth following. */
  get ceiling(): number {
    return this.value - ROUNDING * Math.abs(this.value)
  }

  *steps(): Generator<GroupedProgress, GroupedSolution> {
    const { maxNodes = 100_000 } = this.options
    const allowed = Int32Array.from(this.groups, ({ length }) => 2 ** length - 1)
    this.#checkBudget(allowed)
    this.stack.push({ bound: Number.NEGATIVE_INFINITY, allowed, excluded: [] })
    for (let node = this.stack.pop(); node; node = this.stack.pop()) {
      if (node.bound >= this.ceiling) continue
      if (this.nodes >= maxNodes && this.best) {
        this.stack.push(node)
        break
      }
      this.nodes++
      if (node.excluded.length > 0 && ++this.parts > MOST_PARTS && this.best) {
        this.leftOut = Math.min(this.leftOut, node.bound)
        continue
      }
      const leaf = this.#branch(node)
      if (leaf && this.#cheapest(leaf.allowed) <= this.problem.budget) yield* this.#solve(leaf)
      yield { nodes: this.nodes, value: this.value }
    }
    const best = this.best
    if (!best) throw new Error('the grouped knapsack lost every solution')
    const bound = this.stack.reduce((least, node) => Math.min(least, node.bound), Math.min(best.value, this.leftOut))
    return { ...best, bound, nodes: this.nodes }
  }

  #checkBudget(allowed: Int32Array): void {
    const { budget } = this.problem
    const cheapest = this.#cheapest(allowed)
    if (budget >= cheapest) return
    const problem = `budget: the cheapest possible choice costs ${cheapest}, ${cheapest - budget} more than ${budget}`
    throw new RingfenceError('BAD_INPUT', 'the knapsack cannot be solved:', [problem])
  }

  #cheapest(allowed: Int32Array): number {
    return this.groups.reduce((sum, group, g) => {
      let least = Number.POSITIVE_INFINITY
      for (let m = 0; m < group.length; m++) {
        if (allowed[g] & (1 << m)) least = Math.min(least, group[m].cost + this.curves[this.firstMode[g] + m].cost)
      }
      return sum + least
    }, 0)
  }

  /** Bounds a node and puts its two halves on the stack; a node with nothing left to decide is returned. */
  #branch({ allowed, excluded }: Node): (Node & { readonly lambda: number }) | undefined {
    if (this.#cheapest(allowed) > this.problem.budget) return undefined
    const { bound, excess, lambda } = this.#relax(allowed)
    if (bound >= this.ceiling) return undefined
    const left = allowed.slice()
    let [closest, preferred, gap] = [-1, 0, Number.POSITIVE_INFINITY]
    for (let g = 0; g < left.length; g++) {
      let [best, second] = [0, Number.POSITIVE_INFINITY]
      for (let m = 0; m < this.groups[g].length; m++) {
        if (!(left[g] & (1 << m))) continue
        const over = excess[this.firstMode[g] + m]
        if (over === 0 && best === 0) best = 1 << m
        else if (bound + over >= this.ceiling) left[g] &= ~(1 << m)
        else second = Math.min(second, over)
      }
      if (second < gap) [closest, preferred, gap] = [g, best, second]
    }
    if (closest < 0) return { bound, lambda, allowed: left, excluded }
    const half = (modes: number, least: number) =>
      this.stack.push({ bound: least, allowed: left.with(closest, modes), excluded })
    half(left[closest] & ~preferred, bound + gap)
    half(preferred, bound)
    return undefined
  }

  /** The greatest lower bound over all multipliers, by bisection towards the budget. */
  #relax(allowed: Int32Array): Relaxation {
    let best = this.#relaxAt(allowed, 0)
    if (best.cost <= this.problem.budget) return best
    let low = 0
    let high = 1e-18
    for (let there = best; there.cost > this.problem.budget && high < 1e250; low = high, high *= 8) {
      there = this.#relaxAt(allowed, high)
      if (there.bound > best.bound) best = there
      if (there.cost <= this.problem.budget) break
    }
    for (let i = 0; i < 52 && high - low > high * 1e-15; i++) {
      const middle = (low + high) / 2
      const there = this.#relaxAt(allowed, middle)
      if (there.bound > best.bound) best = there
      if (there.cost <= this.problem.budget) high = middle
      else low = middle
    }
    return best
  }

  #relaxAt(allowed: Int32Array, lambda: number): Relaxation {
    const excess = new Float64Array(this.modes.length)
    let bound = -lambda * this.problem.budget
    let cost = 0
    for (let g = 0; g < allowed.length; g++) {
      const [from, to] = [this.firstMode[g], this.firstMode[g + 1]]
      let [least, cheapest] = [Number.POSITIVE_INFINITY, 0]
      for (let k = from; k < to; k++) {
        if (!(allowed[g] & (1 << (k - from)))) continue
        const curve = this.curves[k]
        const vertex = vertexAt(curve, lambda)
        const own = this.modes[k].cost + curve.cost + curve.dearer[vertex]
        const all = this.modes[k].value + curve.value - curve.better[vertex] + lambda * own
        excess[k] = all
        if (all < least || (all === least && own < cheapest)) [least, cheapest] = [all, own]
      }
      for (let k = from; k < to; k++) excess[k] -= least
      bound += least
      cost += cheapest
    }
    return { bound, lambda, cost, excess }
  }

  /** The exact knapsack of the channels of the modes that are left, as far as it is better than what is known. */
  *#solve(leaf: Node & { readonly lambda: number }): Generator<GroupedProgress, void> {
    const { allowed, excluded } = leaf
    const mode = Array.from(allowed, (bit) => 31 - Math.clz32(bit))
    let [fixedCost, fixedValue] = [0, 0]
    for (const [g, m] of mode.entries()) {
      fixedCost += this.groups[g][m].cost
      fixedValue += this.groups[g][m].value
    }
    const { problem, channels, origin } = this.#restrict(mode, fixedCost, excluded)
    if (cheapestOf(problem) > problem.budget) return
    const { historyStates } = this.options
    const search = knapsackSteps(problem, { below: this.value - fixedValue, historyStates })
    let step = search.next()
    for (; !step.done; step = search.next()) yield { ...step.value, nodes: this.nodes, value: this.value }
    const found: KnapsackSolution | undefined = step.value
    if (!found || found.value + fixedValue >= this.value) return
    const choice = new Int32Array(this.problem.start.length - 1).fill(-1)
    for (const [i, channel] of channels.entries()) {
      choice[channel] = origin[problem.start[i] + found.choice[i]] - this.problem.start[channel]
    }
    const value = found.value + fixedValue
    if (!this.#divide(leaf, mode, choice, value)) this.best = { mode, choice, value, cost: found.cost + fixedCost }
  }

  /**
   * Whether a solution takes all that a mode bars: then the leaf is divided into those in which one of its channels takes
   * something else, which together hold all that is left of it.
   */
  #divide(
    { allowed, excluded, bound, lambda }: Node & { readonly lambda: number },
    mode: readonly number[],
    choice: Int32Array,
    value: number,
  ): boolean {
    for (const [g, m] of mode.entries()) {
      const k = this.firstMode[g] + m
      const barred = this.modes[k].barred
      const first = this.first[k]
      if (!barred?.every((candidate, c) => choice[first + c] === candidate)) continue
      // Relaxed, what is excluded in one channel adds to what is in another.
      const known = excluded.reduce((sum, each) => sum + this.#regret(each, lambda), bound)
      const parts = barred.map((candidate, c): Node => {
        const own = { channel: first + c, place: this.problem.start[first + c] + candidate }
        return { allowed, excluded: [...excluded, own], bound: Math.max(value, known + this.#regret(own, lambda)) }
      })
      // The most promising part is looked at first.
      this.stack.push(
        ...parts.filter((part) => part.bound < Number.POSITIVE_INFINITY).sort((a, b) => b.bound - a.bound),
      )
      return true
    }
    return false
  }

  /** By how much the channel's best candidate gets worse, relaxed, without the excluded one; infinite where it was alone. */
  #regret({ channel, place }: Excluded, lambda: number): number {
    const { start, cost, value } = this.problem
    let other = Number.POSITIVE_INFINITY
    for (let j = start[channel]; j < start[channel + 1]; j++) {
      if (j !== place) other = Math.min(other, value[j] + lambda * cost[j])
    }
    return Math.max(0, other - (value[place] + lambda * cost[place]))
  }

  /** The channels of the modes; `origin` is each candidate's place in the whole problem. */
  #restrict(mode: readonly number[], fixedCost: number, excluded: readonly Excluded[]) {
    const { start, cost, value, budget } = this.problem
    const out = new Set(excluded.map(({ place }) => place))
    const channels: number[] = []
    const origin: number[] = []
    const starts = [0]
    for (const [g, m] of mode.entries()) {
      const k = this.firstMode[g] + m
      for (let i = this.first[k]; i < this.first[k + 1]; i++) {
        channels.push(i)
        for (let j = start[i]; j < start[i + 1]; j++) if (!out.has(j)) origin.push(j)
        starts.push(origin.length)
      }
    }
    const problem: KnapsackProblem = {
      start: Int32Array.from(starts),
      cost: Float64Array.from(origin, (j) => cost[j]),
      value: Float64Array.from(origin, (j) => value[j]),
      budget: budget - fixedCost,
    }
    return { problem, channels, origin }
  }
}

/** The least summed cost; infinite where a channel has no candidate. */
function cheapestOf({ start, cost }: KnapsackProblem): number {
  let sum = 0
  for (let i = 0; i + 1 < start.length; i++) {
    sum += cost.subarray(start[i], start[i + 1]).reduce((least, own) => Math.min(least, own), Number.POSITIVE_INFINITY)
  }
  return sum
}

/** 0, and the sum of the entries up to each. */
function sums(list: readonly number[]): readonly number[] {
  const all = [0]
  for (const entry of list) all.push(all[all.length - 1] + entry)
  return all
}
