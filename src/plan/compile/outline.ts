// What a plan will look like, from shapes alone: the compiler folds a network whose weights nobody has loaded, and
// where a plan would get its integers the expressions are only counted.
import type { Architecture } from '../../model/architecture.js'
import { effectiveOp, isActivation, type Layer } from '../../model/layers/layers.js'
import { parametersOf } from '../../model/parameters.js'
import { type LayerRelu, type ReluSpec, resolveRelu } from '../../model/relu/spec.js'
import { requireRunnable } from '../../model/runnable.js'
import { elementCount, type Shape } from '../../model/shape.js'
import { bodyOf } from '../../model/tail/split.js'
import type { LayerTensors, Weights } from '../../model/weights.js'
import type { Calibration } from '../calibrate.js'
import { type GuardSummary, summarizeGuard } from '../guard.js'
import { type LinearOp, type MccPlan, maxPoolOf, type Step } from '../plan.js'
import { waves } from '../waves.js'
import { Compiler } from './compile.js'
import { type Expression, type Filter, UNLOADED } from './expression.js'
import type { Lower } from './lower.js'
import { isOfThree } from './max-pool.js'
import { MccNumbers, type MccOptions } from './mcc-numbers.js'

export interface StepOutline {
  /** The layer whose value the step produces. */
  readonly id: string
  /** Whether signs are compared; otherwise the step only truncates, or is the last and goes out. */
  readonly compares: boolean
  /** Convolutions and matrix products with secret weights; factors per channel are none. */
  readonly convolutions: number
}

export interface PlanOutline {
  readonly steps: readonly StepOutline[]
  /** Layers that multiply: by weights, by coefficients, by the share of a window. */
  readonly linearLayers: number
  /** Round trips on `mcc`: waves of the steps. */
  readonly waves: number
  /** What a guard would add on `mcc`. */
  readonly guard: GuardSummary
  /** Steps if every one of them ended in a truncation of its own, and shared it with an activation right behind it. */
  readonly unfolded: readonly Pick<StepOutline, 'id' | 'compares'>[]
  /** Of these, too. */
  readonly unfoldedWaves: number
}

/**
 * The steps that `compile` makes, whatever the weights are: those of a network whose biases and statistics are not all
 * zero, and without those of averages over windows so large that weights behind them would vanish. Takes no memory for weights.
 * @param pools as the option of `compile`; on `securenn` it is `bytes`, and with a guard
 * @throws RingfenceError UNSUPPORTED as `compile`
 */
export function outlinePlan(arch: Architecture, spec?: ReluSpec, pools: MccOptions['pools'] = 'trips'): PlanOutline {
  requireRunnable(arch)
  const lowering: Lower = (expression, { wanted }) => {
    const quantized = { weights: new Map(), bias: new Float64Array(0) }
    return { linear: operationsOf(expression), scale: wanted, quantized, roundings: [] }
  }
  const planOf = (options: MccOptions) => {
    const numbers = new MccNumbers(unitRanges(arch), options)
    return new Compiler(arch, placeholders(arch), withoutWindows(spec), numbers, {}, lowering).run().plan as MccPlan
  }
  const plan = planOf({ pools })
  const steps = plan.steps.map((step) => {
    const convolutions = step.linear.filter(({ op }) => op === 'conv').length
    return { id: step.id, compares: compares(step), convolutions }
  })
  const linearLayers = bodyOf(arch).layers.filter((layer) => MULTIPLIES.has(effectiveOp(layer).op)).length
  // A guarded plan has other steps for max pools.
  const guard = summarizeGuard(plan.steps.some(maxPoolOf) ? planOf({ pools: 'bytes' }) : plan)
  return { steps, linearLayers, waves: waves(plan.steps).length, guard, ...unfolded(bodyOf(arch), spec, pools) }
}

/** The tensors that an expression reads, its convolutions, and its shape. */
function operationsOf(expression: Expression): LinearOp[] {
  const seen = new Set<Expression>()
  const operations: LinearOp[] = []
  const visit = (e: Expression): void => {
    if (seen.has(e)) return
    seen.add(e)
    const { shape: out } = e
    if (e.kind === 'tensor') operations.push({ op: 'tensor', tensor: e.tensor, out })
    if (e.kind === 'add') e.of.forEach(visit)
    else if ('of' in e) visit(e.of)
    if (e.kind !== 'conv' || isFactor(e.filter)) return
    const { layer, geometry } = e.filter
    operations.push({ op: 'conv', of: operations.length - 1, layer, geometry, scale: 0, out })
  }
  visit(expression)
  return [...operations, { op: 'zero', out: expression.shape }]
}

/** One number per channel, everywhere. */
const isFactor = ({ geometry: { kernel, groups, cin, cout } }: Filter): boolean =>
  kernel[0] * kernel[1] === 1 && groups === cin && groups === cout

function compares({ activation }: Pick<Step, 'activation'>): boolean {
  return activation !== null && activation.relu.kind !== 'identity' && activation.relu.kind !== 'zero'
}

/** Vectors of ones, which no rule can fold away; larger tensors are not there. */
function placeholders(arch: Architecture): Weights {
  const weights = new Map<string, LayerTensors>()
  const tensor = (shape: Shape) => (shape.length > 1 ? UNLOADED : new Float32Array(elementCount(shape)).fill(1))
  for (const layer of arch.layers) {
    const tensors = parametersOf(layer).map(({ tensor: name, shape }) => [name, tensor(shape)] as const)
    if (tensors.length > 0) weights.set(layer.id, Object.fromEntries(tensors))
    // A shift of one minus a mean of one would be none.
    if (layer.op === 'batchNorm') weights.get(layer.id)!.running_mean!.fill(0)
  }
  return weights
}

function unitRanges(arch: Architecture): Calibration {
  const ids = ['input', ...arch.layers.map(({ id }) => id)]
  return { format: 'calibration/1', source: 'shapes alone', maxAbs: Object.fromEntries(ids.map((id) => [id, 1])) }
}

/** Comparison windows make no step, but one may not fit values of the unit range. */
function withoutWindows(spec: ReluSpec | undefined): ReluSpec | undefined {
  if (!spec) return undefined
  const bare = ([id, relu]: readonly [string, LayerRelu]): [string, LayerRelu] => {
    return [id, 'comparison' in relu ? { ...relu, comparison: undefined } : relu]
  }
  return { ...spec, layers: new Map([...spec.layers].map(bare)) }
}

/** Every layer that multiplies ends a step; so does an activation, the same one where only it reads the layer. */
function unfolded(
  arch: Architecture,
  spec: ReluSpec | undefined,
  pools: MccOptions['pools'],
): Pick<PlanOutline, 'unfolded' | 'unfoldedWaves'> {
  const readers = new Map<string, number>()
  for (const layer of arch.layers) for (const id of layer.in) readers.set(id, (readers.get(id) ?? 0) + 1)
  const truncated = new Set<string>()
  const compared = new Map<string, number>()
  for (const layer of arch.layers) {
    const { id } = layer
    if (isActivation(layer)) {
      const { kind } = resolveRelu(spec, layer)
      if (kind === 'identity' || kind === 'zero') continue
      if (readers.get(layer.in[0]) === 1) truncated.delete(layer.in[0])
      compared.set(id, 1)
    } else if (MULTIPLIES.has(effectiveOp(layer).op) || layer.op === 'multiply') truncated.add(id)
    else compared.set(id, poolLevels(layer, pools))
  }
  // Steps one after the other up to each layer.
  const chain = new Map<string, number>()
  for (const { id, in: from } of arch.layers) {
    const own = truncated.has(id) ? 1 : (compared.get(id) ?? 0)
    chain.set(id, own + Math.max(0, ...from.map((name) => chain.get(name) ?? 0)))
  }
  const comparisons = [...compared].flatMap(([id, levels]) => new Array<string>(levels).fill(id))
  return {
    unfolded: [
      ...comparisons.map((id) => ({ id, compares: true })),
      ...[...truncated].map((id) => ({ id, compares: false })),
    ],
    unfoldedWaves: Math.max(...chain.values()),
  }
}

const MULTIPLIES: ReadonlySet<string> = new Set([
  ...['conv2d', 'convTranspose2d', 'linear', 'batchNorm', 'channelScale', 'affine', 'weightedSum'],
  // Their factors are public, but the fraction bits that they add have to go.
  ...['avgPool', 'globalAvgPool'],
])

/** Along each axis one step where it takes all maxima of three, else a tree. */
function poolLevels(layer: Layer, pools: MccOptions['pools']): number {
  const op = effectiveOp(layer)
  if (op.op !== 'maxPool') return 0
  const levels = (axis: 0 | 1) => (pools === 'trips' && isOfThree(op, axis) ? 1 : Math.ceil(Math.log2(op.kernel[axis])))
  return levels(0) + levels(1)
}
