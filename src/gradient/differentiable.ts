// What every op has to be able to do for training: forward over the pictures of a batch, and backward.
import type { FloatKernels } from '../kernels/float/instance.js'
import type { Region } from '../kernels/instance.js'
import type { LayerRelu } from '../model/relu/spec.js'
import type { LayerTensors, Weights } from '../model/weights.js'

/** What batch norms normalise by: the batch's own statistics, or the running ones, which are constants then. */
export type Norm = 'batch' | 'running'

/** What an operation is made of besides its layer. */
export interface Parts {
  readonly k: FloatKernels
  readonly weights: Weights
  readonly norm: Norm
  /** Kind of an activation layer. */
  readonly relu: LayerRelu
  /** Of an activation whose mask is learned, per element: how much of it is the activation, the rest being its input. */
  readonly factors?: Float32Array
  /** Of an activation whose comparisons read a window of the value alone: how wide it is, 2^lo in the value's units. */
  readonly window?: number
  /** Uniform numbers from 0 to 1, of the forward pass under way. */
  readonly uniform: () => number
}

/** What a backward pass through an operation gives. */
export interface Backward {
  /** Gradients by input; regions of the caller from now on, and `g` itself may be among them, more than once. */
  readonly inputs: readonly Region[]
  /** Gradients of the layer's trained tensors. */
  readonly tensors?: LayerTensors
  /** Gradient of the activation's factors. */
  readonly factors?: Float32Array
}

/** An operation on values [pictures, …]; what a forward pass leaves is used up by the backward pass after it. */
export interface Differentiable {
  /** Whether `backward` reads the inputs' values. */
  readonly keepsInputs: boolean
  /** Takes other weights. */
  load?(weights: Weights): void
  /** Takes other factors. */
  loadFactors?(factors: Float32Array): void
  /** Writes all of `out`. */
  forward(x: readonly Region[], out: Region, pictures: number): void
  /**
   * @param g gradient of the output, which may be overwritten
   * @param x values of the inputs where they are kept, else nothing
   * @param wanted whether gradients of the inputs are wanted; without, none may be given
   */
  backward(g: Region, x: readonly Region[], pictures: number, wanted: boolean): Backward
  /** Of the last forward pass, under the names of running statistics: mean, and variance with m - 1. */
  statistics?(): LayerTensors
  /** Gives back what a forward pass left without a backward pass. */
  forget?(): void
  release(): void
}

/** Every picture's part of values in a row. */
export function eachPicture(pictures: number, values: readonly Region[], use: (parts: Region[]) => void): void {
  for (let p = 0; p < pictures; p++) {
    use(
      values.map((region) => {
        const size = region.byteLength / pictures
        return region.part(p * size, size)
      }),
    )
  }
}
