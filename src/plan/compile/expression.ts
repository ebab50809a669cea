// Linear expressions between two nonlinearities, before they have scales: what compile.ts folds layers into.
//
// A value is either unweighted (a masked tensor moved around or summed by public rules) or weighted (it went through
// secret weights, or was lifted to their scale). Weighted values cannot meet secret weights again without a truncation
// in between; compile.ts then ends a step.
import type { ConvGeometry } from '../../kernels/geometry.js'
import type { Blend, MapShape, Pair, Quad } from '../plan.js'

export interface Filter {
  /** Layer whose weights these are. */
  readonly layer: string
  readonly geometry: ConvGeometry
  /** [cout, cin/groups, kh, kw], batch norm and pooling factors folded in; empty when only shapes are of interest. */
  readonly weights: Float32Array
  /** Per output channel. */
  readonly bias: Float32Array
}

/** Weights that nobody has loaded: shapes fold without them. */
export const UNLOADED = new Float32Array(0)
export const isLoaded = ({ weights }: Pick<Filter, 'weights'>): boolean => weights.length > 0

export type Expression =
  | { kind: 'tensor'; tensor: number; shape: MapShape }
  | { kind: 'conv'; of: Expression; filter: Filter; shape: MapShape }
  /** Sums over windows; `layer` is the average that they are part of. */
  | { kind: 'pool'; of: Expression; layer?: string; kernel: Pair; stride: Pair; pad: Quad; shape: MapShape }
  | { kind: 'embed'; of: Expression; stride: Pair; from: Pair; at: MapShape; shape: MapShape }
  /** Times a public factor per position; brings an unweighted value to the step's scale. */
  | { kind: 'lift'; of: Expression; factor: number | readonly number[]; shape: MapShape }
  | { kind: 'negate'; of: Expression; shape: MapShape }
  /** One secret number per channel, everywhere the same. */
  | { kind: 'constant'; values: Float32Array; shape: MapShape }
  /** Blends of two lines along each axis by integer weights that sum to 2^bits. */
  | { kind: 'resize'; of: Expression; rows: readonly Blend[]; columns: readonly Blend[]; bits: number; shape: MapShape }
  | { kind: 'add'; of: readonly Expression[]; shape: MapShape }
  | { kind: 'zero'; shape: MapShape }

/** A value while layers are folded: `expression` times the public `factor` (what a sum over a window leaves over). */
export interface Value {
  readonly expression: Expression
  readonly factor: number
}

export function isWeighted(e: Expression): boolean {
  switch (e.kind) {
    case 'tensor':
    case 'zero':
      return false
    case 'conv':
    case 'constant':
    case 'lift':
      return true
    case 'add':
      return e.of.some(isWeighted)
    default:
      return isWeighted(e.of)
  }
}

/** The same values under another shape of equal size: a sum of one. */
export function reshape(e: Expression, shape: MapShape): Expression {
  if (e.shape.every((size, i) => size === shape[i])) return e
  return e.kind === 'tensor' || e.kind === 'zero' ? { ...e, shape } : { kind: 'add', of: [e], shape }
}

/** A map with its first element at `at` of a room of zeros; what lies outside the room is cut off. */
export const place = (of: Expression, at: MapShape, shape: MapShape): Expression => ({
  kind: 'embed',
  of,
  stride: [1, 1],
  from: [0, 0],
  at,
  shape,
})

/** The channels of a map from `channel` on. */
export const channelsFrom = (of: Expression, channel: number, shape: MapShape): Expression =>
  place(of, [-channel, 0, 0], shape)

/** Folds a per-channel affine map into a convolution. */
export function foldAffine(filter: Filter, scale: Float32Array, shift: Float32Array): Filter {
  const weights = filter.weights.slice()
  const perChannel = weights.length / scale.length
  for (let c = 0; c < scale.length; c++) {
    const by = scale[c]
    const own = weights.subarray(c * perChannel, (c + 1) * perChannel)
    for (let i = 0; i < own.length; i++) own[i] *= by
  }
  return {
    ...filter,
    weights,
    bias: filter.bias.map((b, c) => b * scale[c] + shift[c]),
  }
}

/** A per-channel affine map that has no convolution to fold into: a 1×1 depthwise one of its own. */
export function affineFilter(layer: string, [c, h, w]: MapShape, scale: Float32Array, shift: Float32Array): Filter {
  const geometry: ConvGeometry = {
    cin: c,
    h,
    w,
    cout: c,
    kernel: [1, 1],
    stride: [1, 1],
    pad: [0, 0, 0, 0],
    dilation: [1, 1],
    groups: c,
  }
  return { layer, geometry, weights: scale, bias: shift }
}

/** One public number at every place. */
export const everywhere = (value: number, shape: MapShape): Expression => {
  return { kind: 'constant', values: new Float32Array(shape[0]).fill(value), shape }
}
