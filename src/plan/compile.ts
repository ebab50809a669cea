// Architecture + ReLU spec + weights + ranges → a plan all parties can see and integer weights only the server sees.
import { RingfenceError, throwIfAny } from '../errors.js'
import type { Architecture } from '../model/architecture.js'
import { isActivation, type Layer } from '../model/layers.js'
import { type LayerRelu, type ReluSpec, resolveRelu } from '../model/relu-spec.js'
import { requireRunnable } from '../model/runnable.js'
import type { Weights } from '../model/weights.js'
import type { Calibration } from './calibrate.js'
import { chooseChunks, chunksOf, MAX_CHUNK } from './chunks.js'
import { type Expression, isWeighted, type Value } from './expression.js'
import { foldLayer } from './fold.js'
import { lower, type Quantized, type Scales } from './lower.js'
import { asMap, mapSize, type Plan, planRelu, type Step, stepLayout } from './plan.js'

export interface CompileOptions {
  /** n, 24 … 32. Default 32. */
  ring?: number
  /** n': bits of every opened value, at most n. Default 16. */
  bits?: number
  /** Low bits that comparisons ignore: one number, or per ReLU layer id. Default 0, which is exact. */
  lo?: number | Readonly<Record<string, number>>
  /** Chunks per comparison chain. Default: whatever costs least. */
  chunks?: number
  /** Bits between the largest value seen in calibration and the largest that is still right. Default 1. */
  margin?: number
  /** ChaCha rounds. Default 12. */
  rounds?: 12 | 20
}

export interface Compiled {
  readonly plan: Plan
  /** The server's secret: integer weights and biases, in step order. */
  readonly model: QuantizedModel
}

export interface QuantizedModel {
  /** By `step.operation`, as `weightKey` writes it: [cout, cin/groups, kh, kw], |w| < 2^15. */
  readonly weights: ReadonlyMap<string, Int32Array>
  /** Per step: what the biases add to y, one word per element. */
  readonly bias: readonly Int32Array[]
}

export const weightKey = (step: number, operation: number): string => `${step}.${operation}`

/** More fraction bits than this gain nothing: rounding of weights dominates. */
const MAX_SCALE = 12

/**
 * Compiles a network to run privately.
 * @throws RingfenceError UNSUPPORTED for ops or shapes that cannot run, BAD_INPUT for options or ranges that do not fit
 */
export function compile(
  arch: Architecture,
  weights: Weights,
  calibration: Calibration,
  spec?: ReluSpec,
  options: CompileOptions = {},
): Compiled {
  requireRunnable(arch)
  checkOptions(arch, options)
  return new Compiler(arch, weights, calibration, spec, options).run()
}

function checkOptions(arch: Architecture, options: CompileOptions): void {
  const { ring = 32, bits = 16, margin = 1, rounds = 12 } = options
  const problems: string[] = []
  if (!Number.isInteger(ring) || ring < 24 || ring > 32) problems.push(`ring: 24 to 32 bits, not ${ring}`)
  const room = Math.min(32, ring) - 2
  if (!Number.isInteger(bits) || bits < 4 || !(bits <= room))
    problems.push(`bits: 4 to ring - 2 = ${room}, not ${bits}`)
  if (!(margin >= 0 && margin < bits - 3)) problems.push(`margin: 0 to ${bits - 4} bits, not ${margin}`)
  if (rounds !== 12 && rounds !== 20) problems.push(`rounds: 12 or 20, not ${rounds}`)
  problems.push(...windowProblems(arch, bits, options))
  throwIfAny('BAD_INPUT', 'these options cannot make a plan', problems)
}

/** What is wrong with the windows that were asked for and the number of chunks they are cut in. */
function windowProblems(arch: Architecture, bits: number, { lo = 0, chunks }: CompileOptions): string[] {
  const problems: string[] = []
  const windows = typeof lo === 'number' ? ([['lo', lo]] as const) : Object.entries(lo)
  for (const [name, low] of windows) {
    const layer = arch.byId.get(name)
    const what = typeof lo === 'number' ? name : `lo of ${name}`
    if (typeof lo !== 'number' && !(layer && isActivation(layer))) problems.push(`${what}: no relu has this id`)
    else if (!Number.isInteger(low) || low < 0 || low > bits - 1) {
      problems.push(`${what}: 0 to ${bits - 1} ignored bits of ${bits}, not ${low}`)
    } else if (chunks !== undefined && !chunksOf(bits - low, chunks)) {
      problems.push(`chunks: ${chunks} chunks of 1 to ${MAX_CHUNK} bits cannot cover ${bits - low} bits`)
    }
  }
  return problems
}

class Compiler {
  readonly #values = new Map<string, Value>()
  readonly #steps: Step[] = []
  readonly #weights = new Map<string, Int32Array>()
  readonly #bias: Int32Array[] = []
  /** What was cut already, so that a value read by several layers is opened once. */
  readonly #cuts = new Map<Expression, Value>()
  readonly #ring: number
  readonly #bits: number

  constructor(
    private readonly arch: Architecture,
    private readonly tensors: Weights,
    private readonly calibration: Calibration,
    private readonly spec: ReluSpec | undefined,
    private readonly options: CompileOptions,
  ) {
    this.#ring = options.ring ?? 32
    this.#bits = options.bits ?? 16
  }

  run(): Compiled {
    const { arch } = this
    if (arch.inputs.length !== 1 || arch.outputs.length !== 1) {
      throw new RingfenceError(
        'UNSUPPORTED',
        `${arch.name}: one input and one output can run, not ${arch.inputs.length} and ${arch.outputs.length}`,
      )
    }
    const [input] = arch.inputs
    this.#values.set(input.name, { expression: { kind: 'tensor', tensor: 0, shape: asMap(input.shape) }, factor: 1 })
    for (const layer of arch.layers) this.#values.set(layer.id, this.#value(layer))
    this.#finish(arch.outputs[0])
    const plan: Plan = {
      format: 'plan/1',
      backend: 'mcc',
      network: arch.name,
      ring: this.#ring,
      rounds: this.options.rounds ?? 12,
      input: { shape: input.shape, scale: this.#scaleOf('input'), bits: this.#bits, preprocess: input.preprocess },
      labels: arch.labels,
      steps: this.#steps,
    }
    return { plan, model: { weights: this.#weights, bias: this.#bias } }
  }

  #value(layer: Layer): Value {
    const inputs = layer.in.map((id) => this.#values.get(id)!)
    if (!isActivation(layer))
      return foldLayer(layer, inputs, this.tensors.get(layer.id) ?? {}, (v, at) => this.#cut(v, at))
    const relu = resolveRelu(this.spec, layer)
    if (relu.kind === 'identity') return inputs[0]
    if (relu.kind === 'zero' || inputs[0].expression.kind === 'zero') {
      return { expression: { kind: 'zero', shape: asMap(layer.out) }, factor: 1 }
    }
    return this.#truncate(inputs[0], layer.id, relu)
  }

  /** A linear value that has to lose its fraction bits before secret weights can meet it again. */
  #cut(value: Value, at: string): Value {
    const known = this.#cuts.get(value.expression)
    if (known) return known
    const cut = this.#truncate(value, at, { kind: 'identity' })
    this.#cuts.set(value.expression, cut)
    return cut
  }

  /** Fraction bits of a value whose range was calibrated under `id`. */
  #scaleOf(id: string): number {
    const range = this.calibration.maxAbs[id]
    if (!(range >= 0)) {
      throw new RingfenceError(
        'BAD_INPUT',
        `the calibration has no range for ${id}; calibrate this network with this relu-spec`,
      )
    }
    const margin = this.options.margin ?? 1
    return Math.min(MAX_SCALE, Math.floor(this.#bits - 2 - margin - Math.log2(range)))
  }

  #truncate(value: Value, id: string, relu: LayerRelu): Value {
    const shape = value.expression.shape
    const scale = this.#scaleOf(id)
    const lo = this.#lo(id, relu, scale)
    const chunks = relu.kind === 'identity' ? [] : chooseChunks(this.#bits - lo, this.options.chunks)
    const planned = planRelu(relu)
    const probe: Step = {
      id,
      linear: [],
      out: shape,
      scale,
      activation: { truncate: 0, bits: this.#bits, lo, chunks, relu: planned },
    }
    const widest = Math.max(0, ...stepLayout(probe)!.patchShift)
    const room = this.#ring - this.#bits - widest
    if (room < 1) {
      throw new RingfenceError(
        'BAD_INPUT',
        `${id}: opened values of ${this.#bits} bits and blocks of ${2 ** widest} elements do not fit a ring of ${this.#ring} bits`,
      )
    }
    // All the room goes to the weights' fraction bits: dropping more bits of y costs nothing.
    const wanted = scale + room
    const { linear, scale: yScale } = this.#lower(value, wanted, id)
    const truncate = yScale - scale
    if (truncate < 0) {
      throw new RingfenceError('BAD_INPUT', `${id}: weights are too large for ${scale} fraction bits; use a wider ring`)
    }
    // Truncate-reduce rounds down and loses a carry at random, (2^f - 1) / 2^f units on average (E3). The bias makes up
    // for it, so that the mean over all masks is y / 2^f.
    this.#bias[this.#steps.length] = this.#bias[this.#steps.length].map((b) => b + 2 ** truncate - 1)
    this.#steps.push({ ...probe, linear, activation: { ...probe.activation!, truncate } })
    const tensor = this.#steps.length
    return { expression: { kind: 'tensor', tensor, shape }, factor: 1 }
  }

  #lo(id: string, relu: LayerRelu, scale: number): number {
    const { lo } = this.options
    const given = typeof lo === 'object' ? lo[id] : lo
    const comparison = 'comparison' in relu ? relu.comparison : undefined
    // The published window counts ignored bits of a value with its own number of fraction bits.
    const published = Math.max(0, (comparison?.lsbIgnored ?? 0) + scale - (comparison?.fractionBits ?? scale))
    const low = given ?? published
    if (!Number.isInteger(low) || low < 0 || low > this.#bits - 1) {
      throw new RingfenceError(
        'BAD_INPUT',
        `${id}: ignoring ${low} low bits of ${this.#bits} leaves nothing to compare`,
      )
    }
    return low
  }

  #finish(output: string): void {
    const value = this.#values.get(output)!
    const range = this.calibration.maxAbs[output] ?? this.calibration.maxAbs.output
    if (!(range >= 0)) throw new RingfenceError('BAD_INPUT', `the calibration has no range for the output ${output}`)
    // y itself goes out: its sign bit, the margin and its whole part have to fit the ring.
    const wanted = Math.min(2 * MAX_SCALE, Math.floor(this.#ring - 2 - (this.options.margin ?? 1) - Math.log2(range)))
    const { linear, scale } = this.#lower(value, wanted, output)
    this.#steps.push({ id: output, linear, out: value.expression.shape, scale, activation: null })
  }

  #lower(value: Value, wanted: number, id: string): Scales {
    const tensorScale = (tensor: number) => (tensor === 0 ? this.#scaleOf('input') : this.#steps[tensor - 1].scale)
    const lifted: Expression = isWeighted(value.expression)
      ? value.expression
      : { kind: 'lift', of: value.expression, factor: value.factor, shape: value.expression.shape }
    const result = lower(lifted, { wanted, tensorScale, id })
    this.#keep(result.quantized, mapSize(value.expression.shape))
    return result
  }

  #keep({ weights, bias }: Quantized, size: number): void {
    const step = this.#steps.length
    for (const [operation, words] of weights) this.#weights.set(weightKey(step, operation), words)
    this.#bias.push(bias ?? new Int32Array(size))
  }
}
