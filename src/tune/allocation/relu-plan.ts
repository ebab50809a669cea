// From measured distortions and a budget to a ReLU spec: which block every channel uses, which layers become linear.
import { RingfenceError } from '../../errors.js'
import type { Architecture } from '../../model/architecture.js'
import { dreluCount } from '../../model/relu/layout.js'
import { type LayerRelu, parseReluSpec, type ReluSpec } from '../../model/relu/spec.js'
import { type ReluSpecFile, reluSpecFile } from '../../model/relu/spec-file.js'
import { asMap, formatShape } from '../../model/shape.js'
import { maskOf } from '../distortion/nested-masks.js'
import type { DistortionTable } from '../distortion/table.js'
import { type GroupedOptions, type GroupedSolution, solveGroupedKnapsack } from '../knapsack/groups.js'
import { solveKnapsack } from '../knapsack/knapsack.js'
import { type Candidate, knapsackProblem, shortened } from '../knapsack/problem.js'
import {
  COMPARISONS,
  isLinear,
  type LayerMode,
  movesOf,
  type PricedMoves,
  priced,
  type SpecCost,
  whole,
} from './relu-moves.js'

/** Comparisons as the papers count them; or bytes or seconds of one inference by a cost model. */
export type Objective =
  | { readonly kind: 'drelus' }
  | { readonly kind: 'bytes'; readonly cost: SpecCost }
  | { readonly kind: 'seconds'; readonly cost: SpecCost }

/** The largest cost allowed: itself, or as a share of what the network costs with all its ReLUs. */
export type Budget = { readonly maxCost: number } | { readonly ratio: number }

/** What is counted, and how much of it may be spent. */
export interface ReluPlanOptions extends GroupedOptions {
  /** Comparisons when not given. */
  readonly objective?: Objective
  readonly budget: Budget
  /** Offers channels that are zero ([1,0]) too, where the table has them; left out as published otherwise. */
  readonly zeroChannels?: boolean
  /** Offers masks of single elements, where the table has them. Default true. */
  readonly masks?: boolean
  /**
   * Keeps or drops whole layers alone, or whole stages, which are all layers of one map size (culling, as in DeepReDuce:
   * Jha, Ghodsi, Garg and Reagen 2021). A stage's distortion is taken for the sum of its layers'.
   */
  readonly cull?: 'layers' | 'stages'
}

/** A ReLU spec within a budget, and how good it is. */
export interface ReluPlan {
  /** To be written as it is. */
  readonly file: ReluSpecFile
  readonly spec: ReluSpec
  readonly unit: Objective['kind']
  /** In the objective's unit, like `cost`. */
  readonly budget: number
  readonly cost: number
  /** What the network costs with all its ReLUs. */
  readonly plainCost: number
  /** Summed distortion of the choice; an estimate of what all of it does together. */
  readonly distortion: number
  /** No choice within the budget has less; equal to `distortion` but for rounding, unless the search was cut short. */
  readonly bound: number
  readonly layers: readonly { readonly name: string; readonly drelus: number; readonly linear: boolean }[]
}

/** Seconds are summed as integers, rounded up. */
export const NANOSECONDS = 1e9

/**
 * The ReLU spec of least summed distortion within a budget, proven by the exact knapsack. In each layer either every
 * channel has a block, or, where the table has masks, every channel has one of its masks, or the layer is linear
 * throughout: then its distortion is the table's `identity`, where it was measured, or else the sum over its channels.
 * @throws RingfenceError BAD_INPUT with every problem: a table of another network or with holes, costs that are no numbers
 *   >= 0, a budget below the cheapest possible; ABORTED by `signal`
 */
export async function planRelus(
  arch: Architecture,
  table: DistortionTable,
  options: ReluPlanOptions,
): Promise<ReluPlan> {
  const { objective = { kind: 'drelus' }, zeroChannels = false, masks = true } = options
  const { kind } = objective
  const unit = kind === 'seconds' ? NANOSECONDS : 1
  const costs = objective.kind === 'drelus' ? COMPARISONS : objective.cost
  const problems: string[] = []
  const moves = movesOf(arch, table, { zeroChannels, masks: masks && costs.masked !== undefined }, problems)
  if (problems.length > 0) throw new RingfenceError('BAD_INPUT', NO_PLAN, shortened(problems))
  const layers = moves.map((layer) => priced(layer, costs, unit, options.cull !== undefined))
  const rest = whole(costs.rest ?? 0, unit)
  const plainCost = layers.reduce((sum, { plain }) => sum + plain, rest)
  const budget = budgetOf(options.budget, plainCost, unit)
  problems.push(...costProblems(layers, budget, rest, unit, kind))
  if (problems.length > 0) throw new RingfenceError('BAD_INPUT', NO_PLAN, shortened(problems))
  const { chosen, ...solution } = options.cull
    ? await culled(layers, options.cull, budget - rest, options)
    : await freely(layers, budget - rest, options)
  const file = reluSpecFile(arch, new Map(chosen.map((relu, l) => [layers[l].layer.id, relu])))
  return {
    file,
    spec: parseReluSpec(file, arch),
    unit: kind,
    budget: budget / unit,
    cost: (solution.cost + rest) / unit,
    plainCost: plainCost / unit,
    distortion: solution.value,
    bound: solution.bound,
    layers: chosen.map((relu, l) => ({
      name: layers[l].name,
      drelus: dreluCount(relu, layers[l].out),
      linear: isLinearLayer(relu),
    })),
  }
}

type Solved = Pick<GroupedSolution, 'value' | 'cost' | 'bound'> & { readonly chosen: readonly LayerRelu[] }

async function freely(layers: readonly PricedMoves[], budget: number, options: ReluPlanOptions): Promise<Solved> {
  const problem = knapsackProblem(
    layers.flatMap(({ candidates }) => candidates.flat()),
    budget,
  )
  const groups = layers.map(({ group }) => group)
  const solution = await solveGroupedKnapsack(problem, groups, options)
  return { ...solution, chosen: chosenOf(layers, solution) }
}

/** Each unit keeps all its ReLUs, or none. */
async function culled(
  layers: readonly PricedMoves[],
  by: NonNullable<ReluPlanOptions['cull']>,
  budget: number,
  options: ReluPlanOptions,
): Promise<Solved> {
  const unitOf = ({ name, out }: PricedMoves) => (by === 'layers' ? name : formatShape(asMap(out).slice(1)))
  const units = new Map<string, { keep: Candidate; drop: Candidate | undefined }>()
  for (const layer of layers) {
    const { keep, drop } = units.get(unitOf(layer)) ?? { keep: { cost: 0, value: 0 }, drop: { cost: 0, value: 0 } }
    const m = layer.modes.findIndex(({ kind }) => kind === 'linear')
    const own = m < 0 ? undefined : layer.group[m]
    units.set(unitOf(layer), {
      keep: { cost: keep.cost + layer.plain, value: 0 },
      drop: own && drop && { cost: drop.cost + own.cost, value: drop.value + own.value },
    })
  }
  const problem = knapsackProblem(
    [...units.values()].map(({ keep, drop }) => (drop ? [keep, drop] : [keep])),
    budget,
  )
  const solution = (await solveKnapsack(problem, { signal: options.signal }))!
  const dropped = new Set([...units.keys()].filter((_, u) => solution.choice[u] === 1))
  const chosen = layers.map((layer): LayerRelu => ({ kind: dropped.has(unitOf(layer)) ? 'identity' : 'relu' }))
  return { ...solution, chosen }
}

const NO_PLAN = 'no ReLU spec can be planned:'

/** In whole units, rounded down but for what rounding made of an integer. */
export function budgetOf(budget: Budget, plainCost: number, unit: number): number {
  // A share of an integer that is an integer but for rounding is that integer.
  if ('ratio' in budget) return Math.floor(plainCost * budget.ratio * (1 + 2 ** -50))
  return Math.floor(budget.maxCost * unit * (1 + 2 ** -50))
}

function costProblems(
  layers: readonly PricedMoves[],
  budget: number,
  rest: number,
  unit: number,
  kind: Objective['kind'],
): string[] {
  const isCost = (cost: number) => Number.isSafeInteger(cost) && cost >= 0
  const problems = layers.flatMap(({ name, group, candidates, modes }) => {
    const wrong = modes.flatMap((mode, m) => {
      const own = isCost(group[m].cost) ? [] : [mode.kind === 'linear' ? 'the layer as linear' : 'the layer itself']
      if (mode.kind === 'linear') return own
      const channels = candidates[m].flatMap((list, c) =>
        list.flatMap(({ cost }, j) => (isCost(cost) ? [] : [`channel ${c} with ${mode.offers[c][j].name}`])),
      )
      return [...own, ...channels]
    })
    return [...new Set(wrong)].map((what) => `layer ${name}: expected a cost that is a number >= 0 for ${what}`)
  })
  if (!isCost(rest)) problems.push('rest: expected a cost that is a number >= 0')
  if (!Number.isFinite(budget) || budget < 0) problems.push(`budget: expected a number >= 0, got ${budget / unit}`)
  if (problems.length > 0) return problems
  const least = (list: readonly Candidate[]) => list.reduce((low, { cost }) => Math.min(low, cost), list[0].cost)
  const cheapest = layers.map(({ candidates, group }) =>
    Math.min(...group.map(({ cost }, m) => candidates[m].reduce((sum, list) => sum + least(list), cost))),
  )
  const total = cheapest.reduce((sum, cost) => sum + cost, rest)
  if (total <= budget) return []
  const dearest = layers[cheapest.indexOf(Math.max(...cheapest))]
  return [
    `budget: the cheapest possible spec costs ${total / unit} ${kind}, ${(total - budget) / unit} more than ${budget / unit}`,
    ...(rest > 0 ? [`what no spec changes costs ${rest / unit} of it`] : []),
    `the layer that costs the most at the least is ${dearest.name}, ${Math.max(...cheapest) / unit}`,
  ]
}

function chosenOf(layers: readonly PricedMoves[], { mode, choice }: GroupedSolution): readonly LayerRelu[] {
  let first = 0
  return layers.map((layer, l) => {
    const from = layer.group.slice(0, mode[l]).reduce((sum, { channels }) => sum + channels, first)
    first = layer.group.reduce((sum, { channels }) => sum + channels, first)
    const taken = Array.from(choice.subarray(from, from + layer.group[mode[l]].channels))
    return reluOf(layer, layer.modes[mode[l]], taken)
  })
}

function reluOf({ out }: PricedMoves, mode: LayerMode, taken: readonly number[]): LayerRelu {
  if (mode.kind === 'masks') {
    const masks = taken.map((j, c) => mode.offers[c][j].mask)
    const bits = maskOf(mode.masks, out, masks)
    if (bits.every(Boolean)) return { kind: 'relu' }
    return bits.some(Boolean) ? { kind: 'mask', bits, off: 'identity' } : { kind: 'identity' }
  }
  const blocks = mode.kind === 'linear' ? mode.blocks : taken.map((j, c) => mode.offers[c][j].block)
  const all = (key: string) => blocks.every((block) => formatShape(block) === key)
  return all('[1,1]') ? { kind: 'relu' } : all('[0,1]') ? { kind: 'identity' } : { kind: 'block', blocks }
}

function isLinearLayer(relu: LayerRelu): boolean {
  return relu.kind === 'identity' || (relu.kind === 'block' && relu.blocks.every(isLinear))
}
