// A network made ready for float32 runs: batch norms folded, weights packed, once for any number of inputs.
import { RingfenceError } from '../errors.js'
import { type FloatKernels, loadFloatKernels } from '../kernels/float/instance.js'
import type { Region } from '../kernels/instance.js'
import type { Architecture } from '../model/architecture.js'
import { channelsFirst, checkInput } from '../model/pictures/input.js'
import type { ReluSpec } from '../model/relu/spec.js'
import { tailOutputs } from '../model/tail/run.js'
import { bodyOf, type NamedOutputs } from '../model/tail/split.js'
import type { Weights } from '../model/weights.js'
import { lastUses, releaseUsed } from './liveness.js'
import { FloatPass, joined } from './pass.js'
import { requireFloat } from './runnable.js'
import { type Steps, stepsOf, type ValueIndex } from './steps.js'

/** What passes of a prepared network have to be able to do. */
export interface FloatOptions {
  /** Kinds of the activation layers; plain activations without it. */
  readonly spec?: ReluSpec
  /** Ids of layers whose values a pass must be able to give; others may be merged into the layers behind them. */
  readonly keep?: 'all' | Iterable<string>
  /** Keeps every activation replaceable, for `FloatPass.vary`. */
  readonly variable?: boolean
  /** @internal The kernels' instance whose memory is used; a fresh one without it. */
  readonly kernels?: FloatKernels
}

/**
 * A prepared network. It belongs to one kernels' instance and so to one thread; a worker prepares its own. The same input
 * gives the same bits in every call, batch and build of the kernels, as long as the options are the same.
 * @example
 * ```ts
 * import { findModel, loadModelDirectory } from 'ringfence/node'
 * import { FloatNetwork } from 'ringfence/plan'
 *
 * const { arch, weights, spec } = await loadModelDirectory(findModel('mnist-cnn3'))
 * const network = FloatNetwork.prepare(arch, weights, { spec })
 * const [logits] = network.run([new Float32Array(28 * 28)])
 * console.log(logits)
 * network.release()
 * ```
 */
export class FloatNetwork {
  readonly arch: Architecture
  readonly #kernels: FloatKernels
  readonly #steps: Steps
  readonly #lastUse: Int32Array
  readonly #outputs: readonly ValueIndex[]
  #released = false

  private constructor(kernels: FloatKernels, arch: Architecture, steps: Steps) {
    this.arch = arch
    this.#kernels = kernels
    this.#steps = steps
    this.#outputs = bodyOf(arch).outputs.map((id) => steps.values.get(id)!)
    this.#lastUse = lastUses(steps.steps, this.#outputs)
  }

  /**
   * Folds, packs and copies the weights.
   * @throws RingfenceError UNSUPPORTED naming all layers that cannot be run; BAD_INPUT for weights of another network or
   *   a spec that does not fit
   */
  static prepare(arch: Architecture, weights: Weights, options: FloatOptions = {}): FloatNetwork {
    requireFloat(arch, weights)
    const kernels = options.kernels ?? loadFloatKernels()
    const wanted = options.keep === 'all' ? undefined : new Set(options.keep)
    const steps = stepsOf(kernels, bodyOf(arch), weights, {
      spec: options.spec,
      keep: (id) => wanted === undefined || wanted.has(id),
      separate: options.variable === true,
    })
    return new FloatNetwork(kernels, arch, steps)
  }

  /**
   * What a private run opens, for every input: the output layer's values (logits), of several outputs one after another;
   * before what the client computes of them (a softmax at the end, say), which `outputs` does as well.
   * @param inputs after preprocessing, of the network input's shape and in its order: CHW, or HWC where it says so
   * @throws RingfenceError BAD_INPUT for a wrong length, NaN or infinity
   */
  run(inputs: readonly Float32Array[]): Float32Array[] {
    for (const input of inputs) this.#check(input)
    return inputs.map((input) => {
      const values = this.#forward(input, false)
      const logits = joined(this.#outputs.map((output) => values[output]!.f32()))
      for (const value of values) value?.release()
      return logits
    })
  }

  /**
   * Every output of one input, by name.
   * @throws RingfenceError as `run`
   */
  outputs(input: Float32Array): NamedOutputs {
    const [values] = this.run([input])
    return tailOutputs(this.arch, values)
  }

  /**
   * Runs one input and keeps every layer's value in memory until the pass is released.
   * @throws RingfenceError BAD_INPUT for a wrong length, NaN or infinity
   */
  start(input: Float32Array): FloatPass {
    this.#check(input)
    const values = this.#forward(input, true) as Region[]
    return new FloatPass(this.#kernels, this.#steps, this.#lastUse, this.#outputs, values)
  }

  /** Gives the memory back; passes are released by those who started them. */
  release(): void {
    if (this.#released) return
    this.#released = true
    for (const step of this.#steps.steps) step.release()
  }

  #check(input: Float32Array): void {
    if (this.#released) throw new RingfenceError('BAD_INPUT', 'this network has been released; prepare it again')
    checkInput(input, this.arch.inputs[0].shape)
  }

  #forward(input: Float32Array, keepAll: boolean): (Region | undefined)[] {
    const { memory } = this.#kernels
    const { steps } = this.#steps
    const values: (Region | undefined)[] = [memory.alloc(input.byteLength)]
    const { shape, layout } = this.arch.inputs[0]
    values[0]!.f32().set(layout === 'hwc' ? channelsFirst(input, shape) : input)
    try {
      steps.forEach((step, i) => {
        const out = memory.alloc(4 * step.elements)
        values[i + 1] = out
        step.run(
          step.inputs.map((value) => values[value]!),
          out,
        )
        if (!keepAll) releaseUsed(step, i, this.#lastUse, values)
      })
    } catch (error) {
      for (const value of values) value?.release()
      throw error
    }
    return values
  }
}
