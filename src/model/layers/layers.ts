// What a layer is, one interface per op of `arch/1`, every default filled in and every shape computed.
import type { Shape } from '../shape.js'

/** Height first: [vertical, horizontal]. */
export type Pair = readonly [number, number]
/** [top, left, bottom, right]. */
export type Pad = readonly [number, number, number, number]

/** What every layer has. */
export interface LayerBase {
  readonly id: string
  /** Ids of the layers or network inputs this layer reads. */
  readonly in: readonly string[]
  readonly inShapes: readonly Shape[]
  readonly out: Shape
  /** The name under which a `relu-spec/1` file knows this layer, when it is not the id. */
  readonly specName?: string
  /** Names in the weight file, per tensor of the layer (`weight`, `bias`, …), when they are not `<id>.<tensor>`. */
  readonly tensors: Readonly<Record<string, string>>
}

/** Convolution; weights [cout, cin / groups, kh, kw], `pad` top, left, bottom, right. */
export interface Conv2d {
  readonly op: 'conv2d'
  readonly cout: number
  readonly kernel: Pair
  readonly stride: Pair
  readonly pad: Pad
  readonly dilation: Pair
  readonly groups: number
  readonly bias: boolean
}
/**
 * Transposed convolution, as PyTorch's ConvTranspose2d; weights [cin, cout / groups, kh, kw]. `pad` (top, left, bottom,
 * right) is cut off the full result, `outputPad` adds rows and columns at its end.
 */
export interface ConvTranspose2d {
  readonly op: 'convTranspose2d'
  readonly cout: number
  readonly kernel: Pair
  readonly stride: Pair
  readonly pad: Pad
  readonly outputPad: Pair
  readonly dilation: Pair
  readonly groups: number
  readonly bias: boolean
}
/** Blocks of channels become blocks of pixels; `crd` counts as PyTorch's PixelShuffle, `dcr` as TensorFlow and ONNX's default. */
export interface DepthToSpace {
  readonly op: 'depthToSpace'
  readonly block: number
  readonly order: 'dcr' | 'crd'
}
/** A matrix of weights [cout, inputs] times a vector. */
export interface Linear {
  readonly op: 'linear'
  readonly cout: number
  readonly bias: boolean
}
/** Batch normalisation with the statistics of training, per channel. */
export interface BatchNorm {
  readonly op: 'batchNorm'
  readonly eps: number
}
/** Every channel times its own secret factor. */
export interface ChannelScale {
  readonly op: 'channelScale'
}
/** Average over windows. */
export interface AvgPool {
  readonly op: 'avgPool'
  readonly kernel: Pair
  readonly stride: Pair
  readonly pad: Pad
  /** Keep a last window that starts inside the input or its leading padding but reaches past the trailing edge. */
  readonly ceil: boolean
  /** Divide by the window's size within the padded map, not by the number of real elements in it. */
  readonly countPad: boolean
}
/** Maximum over windows. */
export interface MaxPool {
  readonly op: 'maxPool'
  readonly kernel: Pair
  readonly stride: Pair
  readonly pad: Pad
  readonly ceil: boolean
}
/** min(max(x, `min`), `max`): ReLU6 is from 0 to 6. */
export interface Clip {
  readonly op: 'clip'
  readonly min: number
  readonly max: number
}
/** x where it is positive, `slope` times x elsewhere. */
export interface LeakyRelu {
  readonly op: 'leakyRelu'
  /** Factor of negative values. */
  readonly slope: number
}
/** A sum of inputs times learnt coefficients. */
export interface WeightedSum {
  readonly op: 'weightedSum'
  /** Full name of the tensor that holds one coefficient per input. */
  readonly coef: string
  readonly norm: 'softmax' | 'none'
}
/** A map of another size. */
export interface Resize {
  readonly op: 'resize'
  readonly size: Pair
  readonly mode: 'broadcast' | 'nearest' | 'bilinear' | 'bilinear-asymmetric' | 'bilinear-align-corners'
}
/** Every stride-th row and column, from `offset` on. */
export interface Subsample {
  readonly op: 'subsample'
  readonly stride: Pair
  readonly offset: Pair
}
/**
 * ResNet's option A: every stride-th row and column, then zero channels before ([0]) and after ([1]) the data; a negative
 * entry crops channels.
 */
export interface ShortcutA {
  readonly op: 'shortcutA'
  readonly stride: Pair
  readonly padChannels: Pair
}
/** Rows and columns of `fill` around every channel; a negative entry crops. */
export interface PadMap {
  readonly op: 'pad'
  readonly pad: Pad
  readonly fill: number
}
/** One of several ops over the same inputs, picked by the file's `choices[key]`. */
export interface Choice {
  readonly op: 'choice'
  readonly key: string
  readonly of: readonly LayerOp[]
  readonly chosen: number | undefined
}
/** factor · x + offset, public numbers. */
export interface AffineMap {
  readonly op: 'affine'
  readonly factor: number
  readonly offset: number
}
/** Values one after another along an axis, 0 the channels. */
export interface Concat {
  readonly op: 'concat'
  readonly axis: number
}
/** Along an axis; `argMax` and `sum` leave a size of 1 there. */
export type AlongAxis = OnlyOp<'softmax' | 'logSoftmax' | 'argMax' | 'sum'> & { readonly axis: number }
/** Elements `from` … `to` - 1 of an axis, every `step`-th. */
export interface Slice {
  readonly op: 'slice'
  readonly axis: number
  readonly from: number
  readonly to: number
  readonly step: number
}
/** Axis i of the result is axis `order`[i] of the input. */
export interface Transpose {
  readonly op: 'transpose'
  readonly order: readonly number[]
}
/** The same elements, in their order, under another shape. */
export interface Reshape {
  readonly op: 'reshape'
  readonly shape: Shape
}
type OnlyOp<O extends string> = O extends string ? { readonly op: O } : never
/** Ops without fields of their own. */
export type Plain = OnlyOp<'relu' | 'prelu' | 'identity' | 'zero' | 'add' | 'flatten' | 'globalAvgPool'>
/** Of every element alone: the function that its name says. `multiply` is of two inputs, sizes of 1 broadcast. */
export type Pointwise = OnlyOp<
  'sigmoid' | 'tanh' | 'exp' | 'log' | 'sqrt' | 'square' | 'reciprocal' | 'softplus' | 'erf' | 'multiply'
>

/** The fields of a layer that belong to its op. */
export type LayerOp =
  | Conv2d
  | ConvTranspose2d
  | DepthToSpace
  | Linear
  | BatchNorm
  | ChannelScale
  | AvgPool
  | MaxPool
  | Clip
  | LeakyRelu
  | WeightedSum
  | Resize
  | Subsample
  | ShortcutA
  | PadMap
  | Choice
  | AffineMap
  | Concat
  | AlongAxis
  | Slice
  | Transpose
  | Reshape
  | Plain
  | Pointwise

export type Op = LayerOp['op']
/** A layer of a network. */
export type Layer = LayerBase & LayerOp
/** A layer of one given op, e.g. `LayerOf<'conv2d'>`. */
export type LayerOf<O extends Op> = LayerBase & Extract<LayerOp, { op: O }>

/** Every op but a choice that nobody has made. */
export function isRunnable(layer: Layer): boolean {
  return effectiveOp(layer).op !== 'choice'
}

/** The op that is run: a choice stands for its chosen option. */
export function effectiveOp(op: LayerOp): LayerOp {
  return op.op === 'choice' && op.chosen !== undefined ? op.of[op.chosen] : op
}

/** Whether a ReLU spec may speak of this layer. */
export function isActivation(layer: Layer): boolean {
  const { op } = effectiveOp(layer)
  return op === 'relu' || op === 'clip' || op === 'leakyRelu' || op === 'prelu'
}
