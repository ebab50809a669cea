// What a back end decides while a network is compiled: how many bits values have and what follows a linear step.
import type { QuadraticSum } from '../../model/piecewise.js'
import type { LayerRelu } from '../../model/relu/spec.js'
import type { RealFunction } from '../curves/segments.js'
import type { Activation, Bends, Curve, MapShape, PoolWindows, Product, Quadratic, StepRelu } from '../plan.js'

/** What a step computes of its opened values in place of ReLUs, and the fraction bits of its results. */
export interface Computed {
  readonly how:
    | { readonly curve: Curve }
    | { readonly quadratic: Quadratic }
    | { readonly maxPool: PoolWindows }
    | { readonly wins: true }
  readonly scale: number
}

export interface FunctionNumbers {
  /** Fraction bits that the value should have. */
  readonly scale: number
  /** What follows from those that it has. @throws RingfenceError UNSUPPORTED */
  computed(scale: number): Computed
}

export interface QuadraticNumbers extends FunctionNumbers {
  bends(scale: number): Bends
  /** The function is as many times what the step computes. */
  readonly factor: number
}

/** What a step is to be where it does not follow from the calibration of its layer. */
export interface Given {
  /** Fraction bits of the result, and of y. */
  readonly scale?: number
  readonly y?: number
  readonly bends?: (scale: number) => Bends
  /** Comparisons of all bits, whatever window the options name. */
  readonly exact?: boolean
  /** Opened bits of exact comparisons at least. */
  readonly bits?: number
  readonly computed?: FunctionNumbers['computed']
  /** Of the result. Default that of y. */
  readonly out?: MapShape
}

export interface Numbers<A extends Activation = Activation> {
  /** n */
  readonly ring: number
  /** Bits of an input word. */
  readonly inputBits: number
  /** Largest absolute weight as an integer. */
  readonly weightLimit: number
  /** Fraction bits that y may have beyond what is asked for, where all weights are small. Default 0. */
  readonly spare?: number
  /**
   * Fraction bits of a truncated value that was calibrated under `id`.
   * @param offset by how much it may exceed what was calibrated
   * @param growth bits by which all of it may be larger
   * @throws RingfenceError BAD_INPUT when the calibration has no such range or the ring cannot hold it
   */
  scaleOf(id: string, growth?: number, offset?: number): number
  /** Whether values were calibrated under `id`. */
  hasRange(id: string): boolean
  /** Fraction bits of values up to 2^growth times larger than those of `scale`. */
  grown(scale: number, growth: number): number
  /** Most fraction bits y may have if its result is to have `scale`. */
  roomFor(id: string, scale: number, relu: StepRelu, shape: MapShape): number
  /** What follows y, once its own fraction bits are known. */
  activation(id: string, scale: number, yScale: number, spec: LayerRelu, relu: StepRelu): A
  /**
   * How the product `id` of two values is truncated, which has `scale` fraction bits before; absent where there are no
   * products.
   * @throws RingfenceError UNSUPPORTED when it does not fit
   */
  product?(id: string, scale: number): Product
  /**
   * How the step of a function of one value looks it up; absent where there are no such steps.
   * @param of key of the value's range
   */
  curve?(id: string, of: string, f: RealFunction): FunctionNumbers
  /** The same of a quadratic sum; absent where products and comparisons compute those. */
  quadratic?(id: string, of: string, sum: QuadraticSum): QuadraticNumbers
  /** Whether there is such a step for it. */
  takesQuadratic?(id: string, of: string): boolean
  /** Whether there are steps for maxima of three; comparisons of two compute those otherwise. */
  readonly takesMaxPool?: boolean
  /** Whether there are steps for wins of all channels; several of comparisons compute those otherwise. */
  readonly takesWins?: boolean
  /** What the biases of a step add so that dropping `truncate` bits keeps the mean. */
  rounding(truncate: number): number
  /** Fraction bits of the output's y. */
  outputScale(id: string): number
  /** Integers as ring words. */
  words(values: Float64Array): Int32Array | BigInt64Array
}
