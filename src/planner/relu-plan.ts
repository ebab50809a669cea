// From measured distortions and a budget to a ReLU spec: which block every channel uses, which layers become linear.
import { RingfenceError } from '../errors.js'
import type { Architecture } from '../model/architecture.js'
import type { Layer, Pair } from '../model/layers.js'
import { blockCount } from '../model/relu-layout.js'
import { parseReluSpec, type ReluSpec } from '../model/relu-spec.js'
import { asMap, formatShape, type Shape } from '../model/shape.js'
import { activationLayers, channelCount, type DistortionTable, isComplete, specNameOf } from './distortion-table.js'
import { type ChannelGroup, type GroupedOptions, solveGroupedKnapsack } from './knapsack-groups.js'
import { type Candidate, knapsackProblem, shortened } from './knapsack-problem.js'

/** What a spec costs, as a sum over layers and channels. */
export interface SpecCost {
  /** One channel of an activation layer that makes comparisons in at least one of its channels. */
  channel(layer: Layer, block: Pair, channel: number): number
  /** What such a layer costs beside its channels: its round trip, headers. */
  layer(layer: Layer): number
  /** What an activation layer costs whose channels are all linear; 0 without it. */
  linearLayer?(layer: Layer): number
  /** All that does not depend on the spec; 0 without it. */
  readonly rest?: number
}

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
}

/** One layer of a `relu-spec/1` file, as a planner writes it. */
export type PlannedRelu =
  | { readonly kind: 'relu' | 'identity' }
  | {
      readonly kind: 'block'
      readonly shape: Shape
      readonly palette: readonly Pair[]
      readonly index: readonly number[]
    }

/** A `relu-spec/1` file as a planner writes it. */
export interface ReluSpecFile {
  readonly format: 'relu-spec/1'
  readonly network: string
  readonly layers: Readonly<Record<string, PlannedRelu>>
  readonly expect: { readonly drelus: number }
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

const PLAIN: Pair = [1, 1]
const isLinear = ([bh, bw]: Pair): boolean => bh === 0 || bw === 0
const isZero = ([bh, bw]: Pair): boolean => bh > 0 && bw === 0

/** Seconds are summed as integers, rounded up. */
const NANOSECONDS = 1e9

/**
 * The ReLU spec of least summed distortion within a budget, proven by the exact knapsack. When a layer costs something
 * beside its channels, layers that are linear throughout are weighed against it; the distortion of such a layer is the
 * table's `identity`, where it was measured, or the sum over its channels.
 * @throws RingfenceError BAD_INPUT with every problem: a table of another network or with holes, costs that are no numbers
 *   >= 0, a budget below the cheapest possible; ABORTED by `signal`
 */
export async function planRelus(
  arch: Architecture,
  table: DistortionTable,
  options: ReluPlanOptions,
): Promise<ReluPlan> {
  const { kind } = options.objective ?? { kind: 'drelus' }
  const unit = kind === 'seconds' ? NANOSECONDS : 1
  const costs = specCost(options.objective)
  const layers = layersToPlan(arch, table, options.zeroChannels ?? false)
  const planned = layers.map((layer) => priced(layer, costs, unit))
  const rest = whole(costs.rest ?? 0, unit)
  const plainCost = planned.reduce((sum, { plain }) => sum + plain, rest)
  const budget = budgetOf(options.budget, plainCost, unit)
  const problems = costProblems(planned, budget, rest, unit, kind)
  if (problems.length > 0) throw new RingfenceError('BAD_INPUT', 'no ReLU spec can be planned:', shortened(problems))
  const channels = planned.flatMap(({ candidates }) => candidates)
  const solution = await solveGroupedKnapsack(
    knapsackProblem(channels, budget - rest),
    planned.map(({ group }) => group),
    options,
  )
  const file = specFile(arch, planned, solution)
  const spec = parseReluSpec(file, arch)
  return {
    file,
    spec,
    unit: kind,
    budget: budget / unit,
    cost: (solution.cost + rest) / unit,
    plainCost: plainCost / unit,
    distortion: solution.value,
    bound: solution.bound,
    layers: planned.map(({ name, out }) => ({ name, ...summaryOf(file.layers[name], out) })),
  }
}

function specCost(objective: Objective = { kind: 'drelus' }): SpecCost {
  if (objective.kind !== 'drelus') return objective.cost
  const channel = ({ out }: Layer, block: Pair) => {
    const [, height, width] = asMap(out)
    return blockCount(block, height, width)
  }
  return { channel, layer: () => 0 }
}

interface LayerToPlan {
  readonly layer: Layer
  readonly name: string
  readonly out: Shape
  /** Per channel, the candidates on offer and their distortions. */
  readonly offers: readonly (readonly { readonly block: Pair; readonly value: number }[])[]
  /** Measured distortion of the layer as identity. */
  readonly identity?: number
}

function layersToPlan(arch: Architecture, table: DistortionTable, zeroChannels: boolean): readonly LayerToPlan[] {
  const problems: string[] = []
  if (table.network !== arch.name) problems.push(`the table is of network ${table.network}, not of ${arch.name}`)
  const layers = activationLayers(arch).flatMap((layer): LayerToPlan[] => {
    const name = specNameOf(layer)
    const measured = table.layers.get(name)
    if (!measured) {
      problems.push(`layer ${name}: not in the distortion table`)
      return []
    }
    const { blocks, values, identity } = measured
    if (!isComplete(measured)) problems.push(`layer ${name}: its distortions are not measured to the end`)
    const offers = Array.from({ length: channelCount(layer.out) }, (_, c) =>
      blocks
        .map((block, j) => ({ block, value: values[c * blocks.length + j] }))
        .filter(({ block, value }) => !Number.isNaN(value) && (zeroChannels || !isZero(block))),
    )
    if (offers.some((offer) => offer.length === 0)) problems.push(`layer ${name}: no candidate fits into its map`)
    return [{ layer, name, out: layer.out, offers, ...(identity === undefined ? {} : { identity }) }]
  })
  if (problems.length > 0) throw new RingfenceError('BAD_INPUT', 'no ReLU spec can be planned:', shortened(problems))
  return layers
}

interface PricedLayer extends LayerToPlan {
  readonly candidates: readonly (readonly Candidate[])[]
  readonly group: ChannelGroup
  /** What closing the group means, per channel. */
  readonly linear: readonly Pair[] | undefined
  readonly plain: number
}

/** In whole units, rounded up, but for what rounding of the sum alone makes of an integer. */
function whole(cost: number, unit: number): number {
  return Math.ceil(cost * unit * (1 - 2 ** -50))
}

function priced(planned: LayerToPlan, costs: SpecCost, unit: number): PricedLayer {
  const { layer, offers, identity } = planned
  const candidates = offers.map((offer, c) =>
    offer.map(({ block, value }) => ({ cost: whole(costs.channel(layer, block, c), unit), value })),
  )
  const opening = whole(costs.layer(layer), unit)
  const linear = linearLayer(offers, identity !== undefined)
  const value = identity ?? linear?.reduce((sum, choice) => sum + choice.value, 0)
  const cost = whole(costs.linearLayer?.(layer) ?? 0, unit)
  // Where a linear channel costs nothing and neither does the layer, the channels' own candidates say it all.
  const saves =
    opening > 0 || candidates.some((list, c) => list.some((own, j) => isLinear(offers[c][j].block) && own.cost > 0))
  const group = { channels: offers.length, opening, ...(linear && saves ? { closed: { cost, value: value! } } : {}) }
  const plain = offers.reduce((sum, _, c) => sum + whole(costs.channel(layer, PLAIN, c), unit), opening)
  return { ...planned, candidates, group, linear: linear?.map(({ block }) => block), plain }
}

/** The linear candidate of least distortion in every channel, or identity in all; undefined where one has none. */
function linearLayer(offers: LayerToPlan['offers'], identity: boolean): LayerToPlan['offers'][number] | undefined {
  if (identity) return offers.map(() => ({ block: [0, 1] as const, value: 0 }))
  const best = offers.map((offer) => {
    const linear = offer.filter(({ block }) => isLinear(block))
    return linear.sort((a, b) => a.value - b.value)[0]
  })
  return best.every(Boolean) ? best : undefined
}

function budgetOf(budget: Budget, plainCost: number, unit: number): number {
  // A share of an integer that is an integer but for rounding is that integer.
  if ('ratio' in budget) return Math.floor(plainCost * budget.ratio * (1 + 2 ** -50))
  return Math.floor(budget.maxCost * unit * (1 + 2 ** -50))
}

function costProblems(
  planned: readonly PricedLayer[],
  budget: number,
  rest: number,
  unit: number,
  kind: Objective['kind'],
): string[] {
  const isCost = (cost: number) => Number.isSafeInteger(cost) && cost >= 0
  const problems = planned.flatMap(({ name, group, candidates, offers }) => {
    const wrong = candidates.flatMap((list, c) =>
      list.flatMap(({ cost }, j) =>
        isCost(cost) ? [] : [`channel ${c} with block ${formatShape(offers[c][j].block)}`],
      ),
    )
    if (!isCost(group.opening)) wrong.unshift('the layer itself')
    if (group.closed && !isCost(group.closed.cost)) wrong.unshift('the layer as linear')
    return wrong.map((what) => `layer ${name}: expected a cost that is a number >= 0 for ${what}`)
  })
  if (!isCost(rest)) problems.push('rest: expected a cost that is a number >= 0')
  if (!Number.isFinite(budget) || budget < 0) problems.push(`budget: expected a number >= 0, got ${budget / unit}`)
  if (problems.length > 0) return problems
  const cheapest = planned.map(({ candidates, group }) => {
    const least = (list: readonly Candidate[]) => list.reduce((low, { cost }) => Math.min(low, cost), list[0].cost)
    const open = candidates.reduce((sum, list) => sum + least(list), group.opening)
    return Math.min(open, group.closed?.cost ?? open)
  })
  const total = cheapest.reduce((sum, cost) => sum + cost, rest)
  if (total <= budget) return []
  const dearest = planned[cheapest.indexOf(Math.max(...cheapest))]
  return [
    `budget: the cheapest possible spec costs ${total / unit} ${kind}, ${(total - budget) / unit} more than ${budget / unit}`,
    ...(rest > 0 ? [`what no spec changes costs ${rest / unit} of it`] : []),
    `the layer that costs the most at the least is ${dearest.name}, ${Math.max(...cheapest) / unit}`,
  ]
}

function specFile(
  arch: Architecture,
  planned: readonly PricedLayer[],
  { open, choice }: { readonly open: readonly boolean[]; readonly choice: Int32Array },
): ReluSpecFile {
  let at = 0
  let drelus = 0
  const layers: Record<string, PlannedRelu> = {}
  for (const [l, { name, out, offers, linear }] of planned.entries()) {
    const first = at
    const blocks = open[l] ? offers.map((offer, c) => offer[choice[first + c]].block) : linear!
    at += offers.length
    const [, height, width] = asMap(out)
    for (const block of blocks) drelus += blockCount(block, height, width)
    layers[name] = plannedRelu(blocks, out)
  }
  return { format: 'relu-spec/1', network: arch.name, layers, expect: { drelus } }
}

function plannedRelu(blocks: readonly Pair[], shape: Shape): PlannedRelu {
  const keys = blocks.map(formatShape)
  const distinct = [...new Map(blocks.map((block) => [formatShape(block), block]))]
  if (distinct.length === 1 && distinct[0][0] === '[1,1]') return { kind: 'relu' }
  if (distinct.length === 1 && distinct[0][0] === '[0,1]') return { kind: 'identity' }
  const palette = distinct.sort(([, a], [, b]) => a[0] * a[1] - b[0] * b[1] || a[0] - b[0])
  const place = new Map(palette.map(([key], i) => [key, i]))
  return { kind: 'block', shape, palette: palette.map(([, block]) => block), index: keys.map((key) => place.get(key)!) }
}

function summaryOf(relu: PlannedRelu, shape: Shape): { drelus: number; linear: boolean } {
  const [channels, height, width] = asMap(shape)
  if (relu.kind !== 'block')
    return { drelus: relu.kind === 'relu' ? channels * height * width : 0, linear: relu.kind !== 'relu' }
  const drelus = relu.index.reduce((sum, i) => sum + blockCount(relu.palette[i], height, width), 0)
  return { drelus, linear: relu.palette.every(isLinear) }
}
