// What every op of `arch/1` does in training; the mirror of float/operations.
import { fullGeometry, geometryOf } from '../float/operations.js'
import { quote } from '../model/json/fields.js'
import {
  type AffineMap,
  type AlongAxis,
  type ConvTranspose2d,
  type DepthToSpace,
  effectiveOp,
  type Layer,
  type LayerOf,
  type Op,
  type Pointwise,
  type Reshape,
  type Slice,
  type Transpose,
} from '../model/layers/layers.js'
import { activation, leaky } from './activations.js'
import type { Differentiable, Parts } from './differentiable.js'
import { add, averagePool, concat, globalAveragePool, maxPool, pad, resize, shrink, zero } from './maps.js'
import { batchNorm, channelScale, convolution, weightedSum } from './weighted.js'

/** Ops whose value is that of their input. */
export type Alias = 'identity' | 'flatten'
/** Ops that networks are converted with and not trained with yet. */
type Untrained = (
  | Pointwise
  | AlongAxis
  | Slice
  | Transpose
  | Reshape
  | AffineMap
  | ConvTranspose2d
  | DepthToSpace
)['op']
type Built = Exclude<Op, 'choice' | Alias | Untrained>

/** Problems with layers that have no gradient here. */
export function untrainable(layers: readonly Layer[]): string[] {
  return layers.flatMap((layer) => {
    const op = effectiveOp(layer)
    const isKnown = Object.hasOwn(BUILDERS, op.op) || op.op === 'identity' || op.op === 'flatten' || op.op === 'choice'
    if (isKnown && !(op.op === 'concat' && op.axis !== 0)) return []
    return [`layer ${quote(layer.id)}: ${op.op} cannot be trained through`]
  })
}

/** The operation of a layer, whose choice, if it is one, has been made; aliases have none. */
export function differentiable(layer: Layer, parts: Parts): Differentiable {
  const build = BUILDERS[layer.op as Built] as (layer: Layer, parts: Parts) => Differentiable
  return build(layer, parts)
}

const BUILDERS: { readonly [O in Built]: (layer: LayerOf<O>, parts: Parts) => Differentiable } = {
  conv2d: (layer, parts) => convolution(geometryOf(layer), layer, parts),
  linear: (layer, parts) => convolution(fullGeometry(layer.inShapes[0][0], layer.cout), layer, parts),
  batchNorm,
  channelScale,
  weightedSum,
  relu: activation,
  clip: activation,
  leakyRelu: (layer, parts) => leaky(layer, layer.slope, parts),
  prelu: (layer, parts) => leaky(layer, undefined, parts),
  add,
  concat,
  avgPool: averagePool,
  globalAvgPool: globalAveragePool,
  maxPool,
  resize,
  pad,
  subsample: (layer, parts) => shrink(layer, layer.stride, layer.offset, 0, parts),
  shortcutA: (layer, parts) => shrink(layer, layer.stride, [0, 0], layer.padChannels[0], parts),
  zero,
}
