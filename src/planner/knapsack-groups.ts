// The knapsack in which groups of channels have a cost of their own: open, a group costs `opening` beside its channels'
// candidates; closed, it has one fixed cost and value. Branch and bound over the groups, exact knapsacks at the leaves.
import { RingfenceError } from '../errors.js'
import {
  type KnapsackOptions,
  type KnapsackSolution,
  knapsackSteps,
  type SearchProgress,
  takeSteps,
} from './knapsack.js'
import { type Curve, curvesOf, vertexAt } from './knapsack-curve.js'
import { type Candidate, checkProblem, type KnapsackProblem } from './knapsack-problem.js'

export interface ChannelGroup {
  /** Channels of the problem, contiguous: the groups follow each other. */
  readonly channels: number
  /** An integer >= 0. */
  readonly opening: number
  /** What the group is when it is closed; a group without it is always open. */
  readonly closed?: Candidate
}

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
  readonly open: readonly boolean[]
  /** Per channel, its candidate; -1 in closed groups. */
  readonly choice: Int32Array
  readonly value: number
  readonly cost: number
  /** No choice has a lower value; below `value` by more than rounding only when the search ran into `maxNodes`. */
  readonly bound: number
  readonly nodes: number
}

interface Node {
  readonly bound: number
  /** Per group. */
  readonly state: Int8Array
}

const State = { undecided: -1, closed: 0, open: 1 } as const

/** Of a value: what two ways of adding the same numbers may differ by. */
const ROUNDING = 1e-12

/**
 * Which groups to open, and the candidates of their channels, such that the summed value is the least possible within the
 * budget. Every node's bound is the Lagrangian one, maximised over the multiplier: it falls into one curve per group. A
 * group that the bound alone decides is not branched on.
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
  readonly curves: readonly Curve[]
  /** First channel of every group, and the number of channels. */
  readonly first: readonly number[]
  readonly stack: Node[] = []
  best: Omit<GroupedSolution, 'bound' | 'nodes'> | undefined
  nodes = 0

  constructor(
    readonly problem: KnapsackProblem,
    readonly groups: readonly ChannelGroup[],
    readonly options: GroupedOptions,
  ) {
    const first = [0]
    for (const { channels } of groups) first.push(first[first.length - 1] + channels)
    this.first = first
    this.curves = curvesOf(problem, first)
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
    const state = Int8Array.from(this.groups, ({ closed }) => (closed ? State.undecided : State.open))
    this.#checkBudget(state)
    this.stack.push({ bound: Number.NEGATIVE_INFINITY, state })
    for (let node = this.stack.pop(); node; node = this.stack.pop()) {
      if (node.bound >= this.ceiling) continue
      if (this.nodes >= maxNodes && this.best) {
        this.stack.push(node)
        break
      }
      this.nodes++
      const leaf = this.#branch(node)
      if (leaf && this.#cheapest(leaf) <= this.problem.budget) yield* this.#solve(leaf)
      yield { nodes: this.nodes, value: this.value }
    }
    const best = this.best
    if (!best) throw new Error('the grouped knapsack lost every solution')
    const bound = this.stack.reduce((least, node) => Math.min(least, node.bound), best.value)
    return { ...best, bound, nodes: this.nodes }
  }

  #checkBudget(state: Int8Array): void {
    const { budget } = this.problem
    const cheapest = this.#cheapest(state)
    if (budget >= cheapest) return
    const problem = `budget: the cheapest possible choice costs ${cheapest}, ${cheapest - budget} more than ${budget}`
    throw new RingfenceError('BAD_INPUT', 'the knapsack cannot be solved:', [problem])
  }

  #cheapest(state: Int8Array): number {
    return this.groups.reduce((sum, { opening, closed }, g) => {
      const open = opening + this.curves[g].cost
      if (state[g] === State.open || !closed) return sum + open
      return sum + (state[g] === State.closed ? closed.cost : Math.min(open, closed.cost))
    }, 0)
  }

  /** Bounds a node and puts its two halves on the stack; a node with nothing left to decide is returned. */
  #branch({ state }: Node): Int8Array | undefined {
    if (this.#cheapest(state) > this.problem.budget) return undefined
    const { bound, margin } = this.#relax(state)
    if (bound >= this.ceiling) return undefined
    const decided = state.slice()
    let closest = -1
    for (let g = 0; g < decided.length; g++) {
      if (decided[g] !== State.undecided) continue
      const prefers = margin[g] > 0 ? State.open : State.closed
      if (bound + Math.abs(margin[g]) >= this.ceiling) decided[g] = prefers
      else if (closest < 0 || Math.abs(margin[g]) < Math.abs(margin[closest])) closest = g
    }
    if (closest < 0) return decided
    const prefers = margin[closest] > 0 ? State.open : State.closed
    const half = (choice: number, least: number) => {
      const next = decided.slice()
      next[closest] = choice
      this.stack.push({ bound: least, state: next })
    }
    half(prefers === State.open ? State.closed : State.open, bound + Math.abs(margin[closest]))
    half(prefers, bound)
    return undefined
  }

  /**
   * The greatest lower bound over all multipliers, by bisection towards the budget, and per undecided group by how much
   * closing it would be worse than opening it there.
   */
  #relax(state: Int8Array): { bound: number; margin: Float64Array } {
    let best = this.#relaxAt(state, 0)
    if (best.cost <= this.problem.budget) return best
    let low = 0
    let high = 1e-18
    for (let there = best; there.cost > this.problem.budget && high < 1e250; low = high, high *= 8) {
      there = this.#relaxAt(state, high)
      if (there.bound > best.bound) best = there
      if (there.cost <= this.problem.budget) break
    }
    for (let i = 0; i < 52 && high - low > high * 1e-15; i++) {
      const middle = (low + high) / 2
      const there = this.#relaxAt(state, middle)
      if (there.bound > best.bound) best = there
      if (there.cost <= this.problem.budget) high = middle
      else low = middle
    }
    return best
  }

  #relaxAt(state: Int8Array, lambda: number): { bound: number; cost: number; margin: Float64Array } {
    const margin = new Float64Array(state.length)
    let bound = -lambda * this.problem.budget
    let cost = 0
    for (let g = 0; g < state.length; g++) {
      const curve = this.curves[g]
      const { closed, opening } = this.groups[g]
      const vertex = vertexAt(curve, lambda)
      const openCost = opening + curve.cost + curve.dearer[vertex]
      const open = curve.value - curve.better[vertex] + lambda * openCost
      const shut = closed ? closed.value + lambda * closed.cost : Number.POSITIVE_INFINITY
      margin[g] = shut - open
      const opens = state[g] === State.open || (state[g] === State.undecided && open < shut)
      bound += opens ? open : shut
      cost += opens ? openCost : closed!.cost
    }
    return { bound, cost, margin }
  }

  /** The exact knapsack of the open groups' channels, as far as it is better than what is known. */
  *#solve(state: Int8Array): Generator<GroupedProgress, void> {
    const open = Array.from(state, (choice) => choice === State.open)
    let [fixedCost, fixedValue] = [0, 0]
    for (const [g, { opening, closed }] of this.groups.entries()) {
      fixedCost += open[g] ? opening : closed!.cost
      if (!open[g]) fixedValue += closed!.value
    }
    const { problem, channels } = this.#restrict(open, fixedCost)
    const { historyStates } = this.options
    const search = knapsackSteps(problem, { below: this.value - fixedValue, historyStates })
    let step = search.next()
    for (; !step.done; step = search.next()) yield { ...step.value, nodes: this.nodes, value: this.value }
    if (step.value) this.#accept(step.value, open, channels, fixedValue, fixedCost)
  }

  #accept(
    found: KnapsackSolution,
    open: readonly boolean[],
    channels: readonly number[],
    value: number,
    cost: number,
  ): void {
    if (found.value + value >= this.value) return
    const choice = new Int32Array(this.problem.start.length - 1).fill(-1)
    for (const [i, channel] of channels.entries()) choice[channel] = found.choice[i]
    this.best = { open, choice, value: found.value + value, cost: found.cost + cost }
  }

  #restrict(open: readonly boolean[], fixedCost: number): { problem: KnapsackProblem; channels: readonly number[] } {
    const { start, cost, value, budget } = this.problem
    const channels: number[] = []
    for (const [g, isOpen] of open.entries()) {
      for (let i = this.first[g]; isOpen && i < this.first[g + 1]; i++) channels.push(i)
    }
    const starts = new Int32Array(channels.length + 1)
    for (const [k, i] of channels.entries()) starts[k + 1] = starts[k] + start[i + 1] - start[i]
    const costs = new Float64Array(starts[channels.length])
    const values = new Float64Array(starts[channels.length])
    for (const [k, i] of channels.entries()) {
      costs.set(cost.subarray(start[i], start[i + 1]), starts[k])
      values.set(value.subarray(start[i], start[i + 1]), starts[k])
    }
    return { problem: { start: starts, cost: costs, value: values, budget: budget - fixedCost }, channels }
  }
}
