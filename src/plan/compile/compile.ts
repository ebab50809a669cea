// Architecture + ReLU spec + weights + ranges → a plan all parties can see and integer weights only the server sees.
import { RingfenceError } from '../../errors.js'
import type { Architecture } from '../../model/architecture.js'
import { type Curve, curvesOf, evaluateCurve } from '../../model/curves.js'
import { spreadFactors } from '../../model/layers/broadcast.js'
import { effectiveOp, isActivation, type Layer, type LayerOf } from '../../model/layers/layers.js'
import { type LayerRelu, type ReluSpec, resolveRelu } from '../../model/relu/spec.js'
import { requireRunnable } from '../../model/runnable.js'
import { bodyOf, splitNetwork } from '../../model/tail/split.js'
import type { LayerTensors, Weights } from '../../model/weights.js'
import { type Calibration, rangeKey } from '../calibrate.js'
import { withChannelWindows } from '../equalize/channel-windows.js'
import {
  type Activation,
  asMap,
  type LinearOp,
  type MapShape,
  type MccPlan,
  type Plan,
  type PlanOutputs,
  planRelu,
  reluShape,
  type SecurennPlan,
  type Step,
} from '../plan.js'
import { lastReads } from '../reads.js'
import { levelOrder, reordered } from '../waves.js'
import { bent, reluBut } from './activations.js'
import { type Expression, everywhere, isWeighted, type Value } from './expression.js'
import { foldLayer, lift } from './fold.js'
import { type Lower, lower, type Quantized, type Scales, scaleOf, stepScale } from './lower.js'
import { maxPool } from './max-pool.js'
import { MccNumbers } from './mcc-numbers.js'
import type { Given, Numbers } from './numbers.js'
import { type CompileOptions, checkOptions, guarded, requireNoTail } from './options.js'
import { type JoinedOutputs, joinOutputs, saidOutputs } from './outputs.js'
import { coarseLayers, type FilterWords, type LayerRounding, MOST_LOST, withAverages } from './rounding.js'
import { SecurennNumbers } from './securenn-numbers.js'
import { countBits, exactly, meetsAtOnce, requireRoom, WINS, winner, winnerOfWins } from './winner.js'

export type { CompileOptions } from './options.js'

/** What a server needs to run a network. */
export interface Compiled<P extends Plan = Plan> {
  readonly plan: P
  /** The server's secret: integer weights and biases, in step order. */
  readonly model: QuantizedModel<P>
  /** Layers whose weights lost more than `MOST_LOST` of themselves when they became integers, the worst first, if any. */
  readonly coarse?: readonly LayerRounding[]
}

/** Ring words of a plan's back end. */
type Words<P extends Plan> = P extends MccPlan ? Int32Array : BigInt64Array

/** Weights and biases as integers: the server's secret. */
export interface QuantizedModel<P extends Plan = Plan> {
  /** By `step.operation`, as `weightKey` writes it: [cout, cin/groups, kh, kw]; on `mcc` |w| < 2^15. */
  readonly weights: ReadonlyMap<string, Int16Array | Int32Array>
  /** Per step: what the biases add to y, one ring word per channel, or per element where a channel's differ. */
  readonly bias: readonly Words<P>[]
}

export const weightKey = (step: number, operation: number): string => `${step}.${operation}`

/**
 * Compiles a network to run privately. What its parties need of memory: `planMemory` of ringfence/plan.
 * @param calibration ranges of its values; a model's folder without them is refused here
 * @throws RingfenceError UNSUPPORTED for ops or shapes that cannot run; BAD_INPUT for options or ranges that do not fit
 */
export function compile(
  arch: Architecture,
  weights: Weights,
  calibration: Calibration | undefined,
  spec?: ReluSpec,
  options?: CompileOptions<'mcc'>,
): Compiled<MccPlan>
export function compile(
  arch: Architecture,
  weights: Weights,
  calibration: Calibration | undefined,
  spec: ReluSpec | undefined,
  options: CompileOptions<'securenn'> & { backend: 'securenn' },
): Compiled<SecurennPlan>
export function compile(
  arch: Architecture,
  weights: Weights,
  calibration: Calibration | undefined,
  spec?: ReluSpec,
  options?: CompileOptions,
): Compiled
export function compile(
  arch: Architecture,
  weights: Weights,
  calibration: Calibration | undefined,
  spec?: ReluSpec,
  options: CompileOptions = {},
): Compiled {
  requireRunnable(arch)
  if (!calibration) {
    const how = 'measure them with `ringfence calibrate`, or with `calibrateNetwork` of ringfence/plan'
    throw new RingfenceError('BAD_INPUT', `${arch.name}: expected the ranges of its values, got no calibration; ${how}`)
  }
  checkOptions(arch, options)
  const { body } = splitNetwork(arch)
  const own = withChannelWindows(body, weights, calibration, spec, options.backend)
  const numbers =
    options.backend === 'securenn'
      ? new SecurennNumbers(own.calibration, options)
      : new MccNumbers(own.calibration, options)
  return new Compiler(arch, own.weights, own.spec, numbers, options).run()
}

export class Compiler {
  /** Of layers that somebody still reads: folded weights are as large as the model. */
  readonly #values = new Map<string, Value>()
  readonly #steps: Step[] = []
  readonly #weights = new Map<string, FilterWords>()
  readonly #bias: Float64Array[] = []
  /** What was cut already, so that a value read by several layers is opened once. */
  readonly #cuts = new WeakMap<Expression, Value>()
  /** ReLU layers that wait until the max pool behind them has shrunk the map: the two commute. */
  readonly #postponed = new Map<string, LayerRelu>()
  /** Sums over large windows that ended a step, so that weights behind them keep their size. */
  readonly #averages = new WeakMap<Expression, Expression>()
  /** Layers by what their weights lost. */
  readonly #lost = new Map<string, number>()

  constructor(
    private readonly arch: Architecture,
    private readonly tensors: Weights,
    private readonly spec: ReluSpec | undefined,
    private readonly numbers: Numbers,
    private readonly options: CompileOptions,
    private readonly lowering: Lower = lower,
  ) {}

  run(): Compiled {
    const { numbers } = this
    const { body: arch, tail } = splitNetwork(this.arch)
    const [input] = arch.inputs
    const given: Value = { expression: { kind: 'tensor', tensor: 0, shape: asMap(input.shape) }, factor: 1 }
    this.#values.set(input.name, this.options.delegated ? this.#cut(given, 'input') : given)
    const takes = (id: string, root: string) => numbers.takesQuadratic?.(id, rangeKey(this.arch, root)) ?? false
    const { byLayer, inner } = curvesOf(arch, this.spec, takes)
    const unread = lastReads(arch, byLayer)
    for (const layer of arch.layers) {
      const curve = byLayer.get(layer.id)
      if (!inner.has(layer.id)) this.#values.set(layer.id, curve ? this.#curve(layer, curve) : this.#value(layer))
      for (const id of unread.get(layer.id)!) this.#values.delete(id)
    }
    const outputs = this.#finish(arch, tail)
    if (outputs) requireNoTail(this.options, outputs.tail)
    const { backend = 'mcc' } = this.options
    // On `mcc` steps that do not wait for each other share a round trip.
    const order = backend === 'mcc' ? levelOrder(this.#steps) : this.#steps.map((_, i) => i)
    const bare = {
      format: 'plan/1',
      backend,
      network: arch.name,
      ring: numbers.ring,
      rounds: this.options.rounds ?? 12,
      input: {
        shape: input.shape,
        ...(input.layout && { layout: input.layout }),
        scale: numbers.scaleOf('input'),
        bits: numbers.inputBits,
        preprocess: input.preprocess,
      },
      labels: arch.labels,
      steps: reordered(this.#steps, order),
      ...(outputs && { outputs }),
    } as Plan
    const plan = bare.backend === 'mcc' ? guarded(bare, this.options) : bare
    const coarse = coarseLayers(this.#lost)
    const model = { weights: this.#weightsOf(order), bias: order.map((step) => numbers.words(this.#bias[step])) }
    const compiled = { plan, model } as Compiled
    return coarse.length > 0 ? { ...compiled, coarse } : compiled
  }

  /** The weights, steps renumbered. */
  #weightsOf(order: readonly number[]): Map<string, FilterWords> {
    const weights = order.flatMap((from, to) =>
      this.#steps[from].linear.flatMap((_, operation) => {
        const words = this.#weights.get(weightKey(from, operation))
        return words ? [[weightKey(to, operation), words] as const] : []
      }),
    )
    return new Map(weights)
  }

  #value(given: Layer): Value {
    const layer = { ...given, ...effectiveOp(given) } as Layer
    const inputs = layer.in.map((id) => this.#values.get(id)!)
    if (layer.op === 'maxPool') return this.#maxPool(layer, inputs[0])
    if (isActivation(layer)) return this.#activation(layer, inputs[0])
    if (layer.op === 'multiply') return this.#product(layer, inputs)
    // What another reader had cut is there already: folding past it would cost work and save no round trip.
    const known = inputs.map((value) => this.#cuts.get(value.expression) ?? value)
    return foldLayer(layer, known, this.#tensorsOf(layer), (v, at) => this.#cut(v, at))
  }

  #tensorsOf({ id }: Layer): LayerTensors {
    return this.tensors.get(id) ?? {}
  }

  #activation(layer: Layer, input: Value): Value {
    const relu = resolveRelu(this.spec, layer)
    if (relu.kind === 'identity') return input
    const zero = { kind: 'zero', shape: asMap(layer.out) } as const
    if (relu.kind === 'zero' || (input.expression.kind === 'zero' && layer.op !== 'clip')) {
      return { expression: zero, factor: 1 }
    }
    const reader = this.#onlyReader(layer.id)
    if (layer.op === 'relu' && relu.kind === 'relu' && reader && effectiveOp(reader).op === 'maxPool') {
      this.#postponed.set(layer.id, relu)
      return input
    }
    const { relu: copies, offset, bends, combine } = bent(layer, relu, input.expression.shape, this.#tensorsOf(layer))
    const scale = this.numbers.scaleOf(layer.id, 0, offset)
    const tensor = this.#truncate(input, layer.id, copies, { scale, bends })
    return { expression: combine(tensor.expression), factor: 1 }
  }

  /** A function of one value, which its step looks up. */
  #curve(layer: Layer, curve: Curve): Value {
    const input = this.#values.get(curve.root)!
    if (input.expression.kind === 'zero')
      return { expression: everywhere(evaluateCurve(curve, new Float32Array(1))[0], asMap(layer.out)), factor: 1 }
    const of = rangeKey(this.arch, curve.root)
    const looked = curve.quadratic ? null : this.numbers.curve!(layer.id, of, (x) => evaluateCurve(curve, x))
    if (looked) return this.#truncate(input, layer.id, { kind: 'identity' }, looked)
    const { factor, ...numbers } = this.numbers.quadratic!(layer.id, of, curve.quadratic!)
    const { expression } = this.#truncate(input, layer.id, { kind: 'relu' }, { ...numbers, exact: true })
    return { expression, factor }
  }

  /** A step that opens both factors as the tensors they are. */
  #product(layer: LayerOf<'multiply'>, inputs: readonly Value[]): Value {
    const shape = asMap(layer.out)
    if (inputs.some(({ expression }) => expression.kind === 'zero'))
      return { expression: { kind: 'zero', shape }, factor: 1 }
    const factors = inputs.map((value, i) => this.#tensor(value, layer.in[i], asMap(layer.inShapes[i])))
    const { left } = spreadFactors(layer.inShapes)! // `requireRunnable` has refused what does not meet
    const linear = (left === 0 ? factors.toReversed() : factors).map(({ op }) => op)
    const full = linear.reduce((sum, { tensor }) => sum + this.tensorScale(tensor), 0)
    const product = this.numbers.product!(layer.id, full)
    this.#bias.push(new Float64Array(0))
    this.#steps.push({ id: layer.id, linear, out: shape, scale: full - product.truncate, activation: null, product })
    const factor = factors[0].factor * factors[1].factor
    return { expression: { kind: 'tensor', tensor: this.#steps.length, shape }, factor }
  }

  /** A value as a tensor, which it is as many times: it ends a step unless it is one. */
  #tensor(value: Value, at: string, out: MapShape): { op: Extract<LinearOp, { op: 'tensor' }>; factor: number } {
    const { expression, factor } = value.expression.kind === 'tensor' ? value : this.#cut(value, at)
    return { op: { op: 'tensor', tensor: (expression as Extract<Expression, { kind: 'tensor' }>).tensor, out }, factor }
  }

  /** The layer that reads a value, if it is the only one and the value is no output. */
  #onlyReader(id: string): Layer | undefined {
    const readers = this.arch.layers.filter((layer) => layer.in.includes(id))
    return readers.length === 1 && !bodyOf(this.arch).outputs.includes(id) ? readers[0] : undefined
  }

  #maxPool(layer: LayerOf<'maxPool'>, input: Value): Value {
    const [[from], shape] = [layer.in, asMap(layer.out)]
    if (input.expression.kind === 'zero') return { expression: { kind: 'zero', shape }, factor: 1 }
    const waiting = this.#postponed.get(from)
    const value = input.factor === 1 || input.expression.kind === 'tensor' ? input : this.#cut(input, from)
    // Differences are up to twice the values.
    const scale = this.arch.byId.has(from)
      ? this.numbers.scaleOf(from, 1)
      : this.numbers.grown(scaleOf(value.expression, this), 1)
    const ends = (map: Expression, relu: LayerRelu, given: Given = {}) =>
      this.#truncate({ expression: map, factor: 1 }, layer.id, relu, { scale, ...given }).expression
    const pooled = maxPool(value, layer, shape, {
      compare: (stacked, relu) => ends(stacked, reluBut(stacked.shape[0], stacked.shape[0] - relu)),
      ofThree:
        this.numbers.takesMaxPool &&
        ((map, windows, out) =>
          ends(map, { kind: 'relu' }, { out, computed: (scale) => ({ how: { maxPool: windows }, scale }) })),
    })
    return waiting ? this.#truncate(pooled, from, waiting) : pooled
  }

  /** A linear value that has to lose its fraction bits before secret weights can meet it again. */
  #cut(value: Value, at: string): Value {
    const known = this.#cuts.get(value.expression)
    if (known) return known
    const cut = this.#truncate(value, at, { kind: 'identity' })
    this.#cuts.set(value.expression, cut)
    return cut
  }

  /**
   * Ends a step.
   * @param spec over all copies where there are `bends`
   */
  #truncate(value: Value, id: string, spec: LayerRelu, given: Given = {}): Value {
    const { numbers } = this
    const shape = value.expression.shape
    const calibrated = given.scale ?? numbers.scaleOf(id)
    const relu = planRelu(spec)
    const room = numbers.roomFor(id, calibrated, relu, shape)
    // A value that met neither weights nor a factor has its fraction bits already: more would only be dropped again.
    const bare = value.factor === 1 && !isWeighted(value.expression)
    const wanted = given.y ?? (bare ? Math.min(room, Math.max(calibrated, scaleOf(value.expression, this))) : room)
    const { linear, scale: yScale } = this.#lower(value, wanted, id)
    // Large weights leave y few fraction bits; a small value then cannot have more.
    const scale = Math.min(calibrated, yScale)
    const bends = given.bends?.(scale)
    const windowed = numbers.activation(id, scale, yScale, spec, relu)
    const compared = given.exact ? exactly(windowed, this.options.chunks, given.bits) : windowed
    const found = given.computed?.(scale)
    const activation: Activation = { ...compared, ...(bends && { bends }), ...found?.how }
    const rounding = numbers.rounding(activation.truncate)
    this.#bias[this.#steps.length] = this.#bias[this.#steps.length].map((b) => b + rounding)
    const out = given.out ?? (bends?.sum === null ? reluShape({ linear, activation }) : shape)
    this.#steps.push({ id, linear, out, scale: found?.scale ?? scale, activation })
    return { expression: { kind: 'tensor', tensor: this.#steps.length, shape: out }, factor: 1 }
  }

  /** @returns what the plan has to say of its outputs */
  #finish({ outputs, byId }: Architecture, tail: readonly Layer[]): PlanOutputs | undefined {
    const values = outputs.map((id) => this.#values.get(id)!)
    const id = outputs[outputs.length - 1]
    const isLabel = this.options.output === 'label'
    const joined = values.length === 1 ? undefined : this.#joined(outputs, values)
    if (isLabel) this.#finishLabel(values[0], id)
    else {
      const value = joined ? { expression: joined.expression, factor: 1 } : values[0]
      const { linear, scale } = this.#lower(value, joined?.scale ?? this.numbers.outputScale(id), id)
      this.#steps.push({ id, linear, out: value.expression.shape, scale, activation: null })
    }
    const opened = outputs.map((id, i) => ({ id, shape: byId.get(id)!.out, shift: joined?.shifts[i] ?? 0 }))
    return isLabel ? saidOutputs(opened, [], outputs) : saidOutputs(opened, tail, this.arch.outputs)
  }

  /** All outputs as one value, each with the fraction bits that it could have alone. */
  #joined(outputs: readonly string[], values: readonly Value[]): JoinedOutputs {
    const [{ tensorScale }, { weightLimit }] = [this, this.numbers]
    const apart = outputs.map((id, i) => {
      const expression = lift(values[i])
      const scale = stepScale(expression, { wanted: this.numbers.outputScale(id), weightLimit, tensorScale, id })
      return { expression, scale }
    })
    return joinOutputs(apart, this.options.backend !== 'securenn')
  }

  /** Only which channel is largest goes out: 1 there, 0 elsewhere. */
  #finishLabel(value: Value, output: string): void {
    const atOnce = this.numbers.takesWins && meetsAtOnce(value.expression.shape)
    // Room for a difference and one unit more, unless only its sign is read.
    const room = { scale: this.numbers.scaleOf(output, atOnce ? 0 : 2), ...(atOnce && WINS) }
    const { expression: x } = this.#truncate(value, output, { kind: atOnce ? 'relu' : 'identity' }, room)
    const scale = this.tensorScale(this.#steps.length)
    if (!atOnce) requireRoom(output, this.numbers.inputBits, scale)
    const given = { scale, y: scale, exact: true, bits: countBits(x.shape) }
    const relu = (e: Expression, passed = 0) =>
      this.#truncate({ expression: e, factor: 1 }, output, reluBut(e.shape[0], passed), given).expression
    const found = (atOnce ? winnerOfWins : winner)(x, 2 ** -scale, relu)
    const { linear, scale: y } = this.#lower({ expression: found, factor: 2 ** scale }, scale, output)
    this.#steps.push({ id: output, linear, out: x.shape, scale: y, activation: null })
  }

  readonly tensorScale = (tensor: number): number =>
    tensor === 0 ? this.numbers.scaleOf('input') : this.#steps[tensor - 1].scale

  #lower(value: Value, wanted: number, id: string): Scales {
    const { tensorScale } = this
    const { weightLimit, spare } = this.numbers
    const setting = { wanted, spare, weightLimit, tensorScale, id }
    const expression = lift(value)
    let result = this.lowering(expression, setting)
    const coarse = result.roundings.filter(({ lost }) => lost > MOST_LOST).map(({ of }) => of)
    const finer = withAverages(expression, new Set(coarse), (sum, bits) => this.#average(sum, bits))
    if (finer !== expression) result = this.lowering(finer, setting)
    for (const { layer, lost } of result.roundings) this.#lost.set(layer, Math.max(lost, this.#lost.get(layer) ?? 0))
    this.#keep(result.quantized, value.expression.shape)
    return result
  }

  /** A sum over windows by 2^bits, as a tensor: it ends a step of its own. */
  #average(sum: Extract<Expression, { kind: 'pool' }>, bits: number): Expression {
    const known = this.#averages.get(sum)
    if (known) return known
    // An average is no larger than what it is of.
    const scale = this.numbers.hasRange(sum.layer!) ? this.numbers.scaleOf(sum.layer!) : scaleOf(sum.of, this)
    const value: Value = { expression: sum, factor: 2 ** -bits }
    const { expression } = this.#truncate(value, sum.layer!, { kind: 'identity' }, { scale })
    this.#averages.set(sum, expression)
    return expression
  }

  #keep({ weights, bias }: Quantized, [channels]: MapShape): void {
    const step = this.#steps.length
    for (const [operation, words] of weights) this.#weights.set(weightKey(step, operation), words)
    this.#bias.push(bias ?? new Float64Array(channels))
  }
}
