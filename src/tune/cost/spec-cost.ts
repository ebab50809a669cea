// What ReLU specs cost in bytes or seconds, as a sum over layers and channels: differences of predictions around the
// network with all its ReLUs. Bytes add up but for the rounding of a message; seconds add up as far as nothing overlaps.
import { RingfenceError } from '../../errors.js'
import type { Architecture } from '../../model/architecture.js'
import type { Layer, Pair } from '../../model/layers/layers.js'
import { type LayerRelu, type ReluSpec, resolveRelu } from '../../model/relu/spec.js'
import { elementCount, formatShape } from '../../model/shape.js'
import type { CompileOptions } from '../../plan/compile/compile.js'
import { type Plan, planRelu } from '../../plan/plan.js'
import type { SpecCost } from '../allocation/relu-moves.js'
import { keptCounts } from '../distortion/nested-masks.js'
import { activationLayers, channelCount, type DistortionTable, isTooLarge, specNameOf } from '../distortion/table.js'
import { type CostPrediction, type PredictOptions, predict } from './predict.js'
import { shapePlan } from './shape-plan.js'

/** What is predicted, and for which lines and machines. */
export interface SpecCostOptions {
  /** On-line bytes over all links, or on-line seconds. */
  readonly unit: 'bytes' | 'seconds'
  readonly network: PredictOptions
  /** The back end and its numbers. */
  readonly compile?: CompileOptions
  readonly signal?: AbortSignal
  /** Told how many layers are done. */
  readonly onProgress?: (done: number, layer: string) => void
}

/** On-line bytes of one inference over all links. */
export function onlineBytes({ total: { online } }: CostPrediction): number {
  return online.up + online.down + online.clientHelper + online.serverHelper + online.helperServer
}

/**
 * Predicts every layer with every candidate of a table.
 * @throws RingfenceError as `compile`; ABORTED by `signal`
 */
export async function predictedCosts(
  arch: Architecture,
  table: DistortionTable,
  options: SpecCostOptions,
): Promise<SpecCost> {
  const layers = activationLayers(arch)
  const model = new Predictions(arch, options)
  const costs = new Map<string, LayerCosts>()
  for (const [i, layer] of layers.entries()) {
    options.onProgress?.(i / layers.length, layer.id)
    await new Promise((resolve) => setTimeout(resolve, 0))
    if (options.signal?.aborted) throw new RingfenceError('ABORTED', 'predicting costs was aborted by the caller')
    const measured = table.layers.get(specNameOf(layer))
    const counts = measured?.masks ? keptCounts(measured.masks, layer.out).flat() : []
    costs.set(layer.id, layerCosts(model, layer, measured?.blocks ?? [], counts))
  }
  const drops = [...costs.values()].reduce((sum, { drop }) => sum + drop, 0)
  return {
    channel: ({ id }, block) => costs.get(id)!.channel.get(formatShape(block))!,
    masked: ({ id }, kept) => costs.get(id)!.masked.get(kept)!,
    layer: ({ id }) => costs.get(id)!.opening,
    linearLayer: ({ id }) => costs.get(id)!.closed,
    rest: Math.max(0, model.plain - drops),
  }
}

interface LayerCosts {
  /** What the network costs less at most, whatever the layer becomes. */
  readonly drop: number
  /** The layer as identity, above that. */
  readonly closed: number
  readonly opening: number
  /** By candidate. */
  readonly channel: ReadonlyMap<string, number>
  /** By the number of elements that stay ReLUs. */
  readonly masked: ReadonlyMap<number, number>
}

/**
 * An open layer costs at least what its channels do when they are linear: that share counts as the layer's, so that the
 * cheaper kind of linear channel costs nothing.
 */
function layerCosts(model: Predictions, layer: Layer, blocks: readonly Pair[], counts: readonly number[]): LayerCosts {
  const channels = channelCount(layer.out)
  const identity = Math.max(0, model.plain - model.cost(layer, { kind: 'identity' }))
  const kind = (first: Pair, others: Pair): LayerRelu => ({
    kind: 'block',
    blocks: Array.from({ length: channels }, (_, c) => (c === 0 ? first : others)),
  })
  /** What the network costs less for every channel of this candidate; a layer that is linear throughout is closed. */
  const saved = (block: Pair): number => {
    if (block[0] > 0 && block[1] > 0) return (model.plain - model.cost(layer, kind(block, block))) / channels
    return channels === 1 ? identity : (model.plain - model.cost(layer, kind([1, 1], block))) / (channels - 1)
  }
  const plane = elementCount(layer.out) / channels
  const savedBy = (kept: number): number => {
    if (kept > 0) return (model.plain - model.cost(layer, alike(layer, kept, kept))) / channels
    return channels === 1 ? identity : (model.plain - model.cost(layer, alike(layer, plane, 0))) / (channels - 1)
  }
  const offered = blocks.filter((block) => !isTooLarge(block, layer.out))
  const savings = offered.map((block) => [formatShape(block), saved(block)] as const)
  const counted = counts.length === 0 ? [] : [...new Set([plane, ...counts])]
  const masks = counted.map((kept) => [kept, savedBy(kept)] as const)
  const plain = Math.max(0, saved([0, 1]), ...[...savings, ...masks].map(([, saving]) => saving))
  const channel = new Map(savings.map(([block, saving]) => [block, plain - saving]))
  const masked = new Map(masks.map(([kept, saving]) => [kept, plain - saving]))
  // Zero channels send nothing: a layer of them may cost less than one that passes everything on.
  const drop = Math.max(identity, channels * plain)
  return { drop, closed: drop - identity, opening: drop - channels * plain, channel, masked }
}

/** A mask that keeps as many elements in every channel but the first. */
function alike({ out }: Layer, inFirst: number, inOthers: number): LayerRelu {
  const plane = elementCount(out) / channelCount(out)
  const bits = Uint8Array.from({ length: elementCount(out) }, (_, i) =>
    Number(i % plane < (i < plane ? inFirst : inOthers)),
  )
  return { kind: 'mask', bits, off: 'identity' }
}

/** Predictions of networks that differ from the plain one in one layer. */
class Predictions {
  readonly plain: number
  readonly #plan: Plan

  constructor(
    private readonly arch: Architecture,
    private readonly options: SpecCostOptions,
  ) {
    this.#plan = shapePlan(arch, undefined, options.compile)
    this.plain = this.#price(this.#plan)
  }

  cost(layer: Layer, relu: LayerRelu): number {
    return this.#price(this.#changed(layer, relu))
  }

  /** A step whose values stay as they are needs no new compilation; anything else may fold differently. */
  #changed(layer: Layer, relu: LayerRelu): Plan {
    const at = this.#plan.steps.findIndex(({ id, activation }) => id === layer.id && activation?.relu.kind === 'relu')
    const step = this.#plan.steps[at]
    const own =
      (relu.kind === 'block' || relu.kind === 'mask') &&
      step &&
      elementCount(step.out) === layer.out.reduce((a, b) => a * b, 1)
    if (!own || layer.op !== 'relu') return shapePlan(this.arch, this.#spec(layer, relu), this.options.compile)
    const steps = this.#plan.steps.slice() as Plan['steps'][number][]
    steps[at] = { ...step, activation: { ...step.activation!, relu: planRelu(relu) } } as typeof step
    return { ...this.#plan, steps } as Plan
  }

  #spec(layer: Layer, relu: LayerRelu): ReluSpec {
    const layers = activationLayers(this.arch).map((each) => [each.id, resolveRelu(undefined, each)] as const)
    return { format: 'relu-spec/1', drelus: 0, layers: new Map([...layers, [layer.id, relu]]) }
  }

  #price(plan: Plan): number {
    const prediction = predict(plan, this.options.network)
    return this.options.unit === 'bytes' ? onlineBytes(prediction) : prediction.total.seconds.online
  }
}
