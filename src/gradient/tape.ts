// Reverse-mode differentiation of a network over a batch: a forward pass that keeps what the backward pass reads, and the
// way back, layer by layer.
import { RingfenceError, throwIfAny } from '../errors.js'
import { requireFloat } from '../float/runnable.js'
import { addF32 } from '../kernels/float/conv.js'
import { type FloatKernels, loadFloatKernels } from '../kernels/float/instance.js'
import type { Region } from '../kernels/instance.js'
import type { Architecture } from '../model/architecture.js'
import { quote } from '../model/json/fields.js'
import { effectiveOp, type Layer } from '../model/layers/layers.js'
import { channelsFirst, checkInput } from '../model/pictures/input.js'
import { type ReluSpec, resolveRelu } from '../model/relu/spec.js'
import { elementCount } from '../model/shape.js'
import { bodyOf } from '../model/tail/split.js'
import type { LayerTensors, Weights } from '../model/weights.js'
import type { Differentiable, Norm } from './differentiable.js'
import { differentiable, untrainable } from './operations.js'
import { Uniform } from './uniform.js'

/** How a network is differentiated. */
export interface TapeOptions {
  /** Kinds of the activation layers; plain activations without it. */
  readonly spec?: ReluSpec
  /** Default `batch`. */
  readonly norm?: Norm
  /** Also gives the gradients of the inputs. */
  readonly inputs?: boolean
  /** By activation, one per element: its mask is learned, and it is a·r(x) + (1 - a)·x, whatever `spec` says of it. */
  readonly factors?: ReadonlyMap<string, Float32Array>
  /**
   * By activation, 2^lo in the units of what is compared: its comparisons err as those of a private run with that window
   * do. Clips have two comparisons and are exact.
   */
  readonly windows?: ReadonlyMap<string, number>
  /** @internal The kernels' instance whose memory is used; a fresh one without it. */
  readonly kernels?: FloatKernels
}

/** Gradients of a batch. */
export interface Gradients {
  /** By layer id, of trained tensors alone. */
  readonly weights: ReadonlyMap<string, LayerTensors>
  /** By activation whose mask is learned. */
  readonly factors: ReadonlyMap<string, Float32Array>
  /** Per picture; empty unless the tape was made for them. */
  readonly inputs: readonly Float32Array[]
}

/** A value's number: 0 is the batch, i + 1 what step i computes. */
type ValueIndex = number

interface Step {
  readonly layer: Layer
  readonly operation: Differentiable
  readonly inputs: readonly ValueIndex[]
  /** Elements of one picture's value. */
  readonly elements: number
  /** Whether gradients of its inputs are of use to anybody. */
  readonly wanted: boolean
}

/**
 * A network made ready for training steps on one kernels' instance, and so in one thread.
 * @example
 * ```ts
 * import { findModel, loadModelDirectory } from 'ringfence/node'
 * import { lossOf, Tape } from 'ringfence/train'
 *
 * const { arch, weights, spec } = await loadModelDirectory(findModel('mnist-cnn3'))
 * const tape = Tape.prepare(arch, weights, { spec })
 * const [logits] = tape.forward([new Float32Array(28 * 28)])
 * const { loss, seed } = lossOf(logits, 7, { smoothing: 0, distill: 0, temperature: 1 })
 * const { weights: gradients } = tape.backward([seed])
 * console.log(loss, gradients.get('fc')?.weight)
 * tape.release()
 * ```
 */
export class Tape {
  readonly arch: Architecture
  readonly #k: FloatKernels
  readonly #steps: readonly Step[]
  readonly #output: ValueIndex
  readonly #wantsInputs: boolean
  /** Last step that reads a value in the forward pass, or later where a backward pass reads it. */
  readonly #lastUse: Int32Array
  #values: (Region | undefined)[] = []
  #pictures = 0
  readonly #errors: Uniform

  private constructor(
    arch: Architecture,
    k: FloatKernels,
    steps: readonly Step[],
    output: number,
    inputs: boolean,
    errors: Uniform,
  ) {
    this.arch = arch
    this.#errors = errors
    this.#k = k
    this.#steps = steps
    this.#output = output
    this.#wantsInputs = inputs
    this.#lastUse = new Int32Array(steps.length + 1)
    steps.forEach((step, i) => {
      for (const value of step.inputs) {
        const last = step.operation.keepsInputs ? steps.length : i
        this.#lastUse[value] = Math.max(this.#lastUse[value], last)
      }
    })
    this.#lastUse[output] = steps.length
  }

  /**
   * Of the part whose values go out: what the client computes behind it (a softmax at the end) has no tape.
   * @throws RingfenceError UNSUPPORTED naming all layers that cannot be run; BAD_INPUT for weights of another network or
   *   a spec that does not fit
   */
  static prepare(network: Architecture, weights: Weights, options: TapeOptions = {}): Tape {
    requireFloat(network, weights)
    const arch = bodyOf(network)
    const problems = untrainable(arch.layers)
    if (arch.outputs.length !== 1) problems.push(`expected 1 output, got ${arch.outputs.length}`)
    throwIfAny('UNSUPPORTED', `network ${quote(arch.name)} cannot be trained:`, problems)
    const {
      spec,
      factors,
      windows,
      norm = 'batch',
      inputs: wantsInputs = false,
      kernels: k = loadFloatKernels(),
    } = options
    const errors = new Uniform()
    const values = new Map<string, ValueIndex>([[arch.inputs[0].name, 0]])
    const useful = [wantsInputs]
    const steps: Step[] = []
    try {
      for (const given of arch.layers) {
        const layer = { ...given, ...effectiveOp(given) } as Layer
        const inputs = layer.in.map((id) => values.get(id)!)
        if (layer.op === 'identity' || layer.op === 'flatten') {
          values.set(layer.id, inputs[0])
          continue
        }
        const own = factors?.get(layer.id)
        const relu = resolveRelu(spec, layer)
        const window = windows?.get(layer.id)
        const parts = { k, weights, norm, relu, factors: own, window, uniform: errors.next }
        const operation = differentiable(layer, parts)
        const wanted = inputs.some((value) => useful[value])
        useful.push(wanted || weights.has(layer.id) || own !== undefined)
        steps.push({ layer, operation, inputs, elements: elementCount(layer.out), wanted })
        values.set(layer.id, steps.length)
      }
    } catch (error) {
      for (const { operation } of steps) operation.release()
      throw error
    }
    return new Tape(arch, k, steps, values.get(arch.outputs[0])!, wantsInputs, errors)
  }

  /** Takes other weights of the same network, and other factors of the activations that have some. */
  load(weights: Weights, factors?: ReadonlyMap<string, Float32Array>): void {
    for (const { layer, operation } of this.#steps) {
      operation.load?.(weights)
      const own = factors?.get(layer.id)
      if (own) operation.loadFactors?.(own)
    }
  }

  /**
   * The output layer's values for every picture.
   * @param inputs CHW, preprocessed
   * @param seed of the comparisons' errors, where there are windows
   * @throws RingfenceError BAD_INPUT without inputs, or for one of a wrong length or with NaN or infinity
   */
  forward(inputs: readonly Float32Array[], seed = 1): Float32Array[] {
    this.#errors.begin(seed)
    const { shape } = this.arch.inputs[0]
    if (inputs.length === 0) throw new RingfenceError('BAD_INPUT', 'expected at least one picture, got none')
    for (const input of inputs) checkInput(input, shape)
    this.forget()
    this.#pictures = inputs.length
    const batch = this.#take(0, elementCount(shape))
    const words = batch.f32()
    const isLast = this.arch.inputs[0].layout === 'hwc'
    for (const [i, input] of inputs.entries()) {
      words.set(isLast ? channelsFirst(input, shape) : input, i * input.length)
    }
    this.#steps.forEach((step, i) => {
      const out = this.#take(i + 1, step.elements)
      step.operation.forward(this.#valuesOf(step), out, this.#pictures)
      for (const value of [...step.inputs, i + 1]) {
        if (this.#lastUse[value] <= i) this.#drop(value)
      }
    })
    return rows(this.#values[this.#output]!, this.#pictures)
  }

  /** Batch norms' statistics of the last forward pass, by layer id, under the names of their running tensors. */
  statistics(): Map<string, LayerTensors> {
    return new Map(
      this.#steps.flatMap(({ layer, operation }) =>
        operation.statistics ? [[layer.id, operation.statistics()] as const] : [],
      ),
    )
  }

  /**
   * Gradients of Σ over pictures ⟨`seeds`, outputs⟩ at the last forward pass, which is used up.
   * @param seeds gradient of the loss by the outputs, per picture
   */
  backward(seeds: readonly Float32Array[]): Gradients {
    const { memory } = this.#k
    const gradients: (Region | undefined)[] = []
    const weights = new Map<string, LayerTensors>()
    const byFactor = new Map<string, Float32Array>()
    gradients[this.#output] = memory.alloc(this.#values[this.#output]!.byteLength)
    for (const [i, seed] of seeds.entries()) gradients[this.#output]!.f32().set(seed, i * seed.length)
    for (let i = this.#steps.length - 1; i >= 0; i--) {
      const step = this.#steps[i]
      const g = gradients[i + 1]
      this.#drop(i + 1)
      if (!g) {
        step.operation.forget?.()
        continue
      }
      const x = step.operation.keepsInputs ? this.#valuesOf(step) : []
      const { inputs, tensors, factors } = step.operation.backward(g, x, this.#pictures, step.wanted)
      if (tensors && Object.keys(tensors).length > 0) weights.set(step.layer.id, tensors)
      if (factors) byFactor.set(step.layer.id, factors)
      this.#give(gradients, step.inputs, inputs, g)
    }
    const inputs = this.#wantsInputs && gradients[0] ? rows(gradients[0], this.#pictures) : []
    gradients[0]?.release()
    this.forget()
    return { weights, factors: byFactor, inputs }
  }

  /**
   * The first layer whose value for these pictures holds a NaN or an infinity; undefined when all are finite. Runs them
   * again, from the input on.
   */
  firstNonFinite(inputs: readonly Float32Array[]): string | undefined {
    this.forget()
    this.#pictures = inputs.length
    const batch = this.#take(0, inputs[0].length)
    for (const [i, input] of inputs.entries()) batch.f32().set(input, i * input.length)
    try {
      for (const [i, step] of this.#steps.entries()) {
        const out = this.#take(i + 1, step.elements)
        step.operation.forward(this.#valuesOf(step), out, this.#pictures)
        if (!out.f32().every(Number.isFinite)) return step.layer.id
      }
      return undefined
    } finally {
      this.forget()
    }
  }

  /** Bytes that the forward pass of one picture leaves for the backward pass. */
  keptBytes(): number {
    const gates = this.#steps.filter(({ operation }) => operation.forget).reduce((sum, step) => sum + step.elements, 0)
    const kept = (value: ValueIndex) => this.#lastUse[value] === this.#steps.length
    const input = kept(0) ? elementCount(this.arch.inputs[0].shape) : 0
    return this.#steps.reduce((sum, { elements }, i) => sum + (kept(i + 1) ? 4 * elements : 0), gates + 4 * input)
  }

  /** Gives back what a forward pass left. */
  forget(): void {
    for (const value of this.#values.keys()) this.#drop(value)
    for (const { operation } of this.#steps) operation.forget?.()
  }

  /** Gives all memory back. */
  release(): void {
    this.forget()
    for (const { operation } of this.#steps) operation.release()
  }

  #valuesOf(step: Step): Region[] {
    return step.inputs.map((value) => this.#values[value]!)
  }

  #take(value: ValueIndex, elements: number): Region {
    return (this.#values[value] = this.#k.memory.alloc(4 * elements * this.#pictures))
  }

  #drop(value: ValueIndex): void {
    this.#values[value]?.release()
    this.#values[value] = undefined
  }

  /** Adds what a step gave to the gradients of its inputs; regions pass into their hands. */
  #give(gradients: (Region | undefined)[], values: readonly ValueIndex[], given: readonly Region[], g: Region): void {
    const { memory } = this.#k
    if (!given.includes(g)) g.release()
    const own = given.map((region, i) => {
      if (given.indexOf(region) === i) return region
      const copy = memory.alloc(region.byteLength)
      copy.u8().set(region.u8())
      return copy
    })
    own.forEach((region, i) => {
      const before = gradients[values[i]]
      if (!before) gradients[values[i]] = region
      else {
        addF32(this.#k, before, region, before, region.byteLength / 4)
        region.release()
      }
    })
  }
}

function rows(region: Region, pictures: number): Float32Array[] {
  const size = region.byteLength / 4 / pictures
  const words = region.f32()
  return Array.from({ length: pictures }, (_, p) => words.slice(p * size, (p + 1) * size))
}
