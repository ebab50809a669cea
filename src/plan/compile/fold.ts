// Folds layers into linear expressions: what each layer does to a value that has not been truncated yet.
import { RingfenceError } from '../../errors.js'
import { blendsOf } from '../../model/layers/blends.js'
import type { Layer, LayerOf } from '../../model/layers/layers.js'
import { spreadLines, spreadMap, turnedWeights } from '../../model/layers/transposed.js'
import type { LayerTensors } from '../../model/weights.js'
import { asMap, type MapShape } from '../plan.js'
import {
  affineFilter,
  channelsFrom,
  type Expression,
  type Filter,
  foldAffine,
  isWeighted,
  place,
  reshape,
  type Value,
} from './expression.js'
import { constant, convolved, isFineBlend, mergedSum, scaleChannels } from './linear-algebra.js'
import { concat } from './max-pool.js'

/** Ends the current step at this value and returns the truncated tensor that takes its place. */
export type Cut = (value: Value, at: string) => Value

const plain = (expression: Expression): Value => ({ expression, factor: 1 })

/** An unweighted value, for an operation that needs one: ends the step when the value is weighted. */
function unweighted(value: Value, from: string, cut: Cut): Value {
  return isWeighted(value.expression) ? cut(value, from) : value
}

/** Rows and columns moved apart: each line is one of the map's, or zeros (-1). */
function spread(of: Expression, rows: readonly number[], columns: readonly number[]): Expression {
  const [c, h, w] = of.shape
  const room = place(of, [0, 0, 0], [c, h + 1, w + 1])
  const lines = (list: readonly number[], zeros: number) =>
    list.map((line) => [line < 0 ? zeros : line, line < 0 ? zeros : line, 0] as const)
  const shape: MapShape = [c, rows.length, columns.length]
  return { kind: 'resize', of: room, rows: lines(rows, h), columns: lines(columns, w), bits: 0, shape }
}

function convTranspose(
  layer: LayerOf<'convTranspose2d'>,
  input: Value,
  { weight, bias }: LayerTensors,
  cut: Cut,
): Value {
  const { expression, factor } = unweighted(input, layer.in[0], cut)
  const [cin, h, w] = expression.shape
  const map = spreadMap(layer)
  const of = spread(expression, spreadLines(map, 0, h), spreadLines(map, 1, w))
  const { cout, kernel, dilation, groups } = layer
  const geometry = { cin, h: map.size[0], w: map.size[1], cout, kernel, dilation, groups, stride: ONE, pad: NO_PAD }
  const turned = turnedWeights(weight!, layer)
  const weights = factor === 1 ? turned : turned.map((x) => x * factor)
  const filter = { layer: layer.id, geometry, weights, bias: bias ?? new Float32Array(cout) }
  return plain({ kind: 'conv', of, filter, shape: asMap(layer.out) })
}

const ONE = [1, 1] as const
const NO_PAD = [0, 0, 0, 0] as const

/** Every channel of a block goes to its own rows and columns of the larger map. */
function depthToSpace(layer: LayerOf<'depthToSpace'>, input: Value, cut: Cut): Value {
  const { expression, factor } = unweighted(input, layer.in[0], cut)
  const { block, order } = layer
  const shape = asMap(layer.out)
  const [c] = shape
  const [, h, w] = expression.shape
  const lines = (phase: number, count: number) =>
    Array.from({ length: count * block }, (_, i) => (i % block === phase ? Math.floor(i / block) : -1))
  const parts = Array.from({ length: block ** 2 }, (_, n): Expression => {
    const [down, right] = [Math.floor(n / block), n % block]
    const own = order === 'dcr' ? channelsFrom(expression, n * c, [c, h, w]) : everyChannel(expression, n, [c, h, w])
    return spread(own, lines(down, h), lines(right, w))
  })
  return { expression: parts.length === 1 ? parts[0] : { kind: 'add', of: parts, shape }, factor }
}

/** Channels `first`, `first` + step, …: rows of the map that has a row for each of them. */
function everyChannel(e: Expression, first: number, [c, h, w]: MapShape): Expression {
  const step = e.shape[0] / c
  const rows = reshape(e, [c, step, h * w])
  const shape: MapShape = [c, 1, h * w]
  return reshape({ kind: 'embed', of: rows, stride: ONE, from: [first, 0], at: [0, 0, 0], shape }, [c, h, w])
}

function conv(layer: LayerOf<'conv2d' | 'linear'>, input: Value, tensors: LayerTensors, cut: Cut): Value {
  if (isWeighted(input.expression)) {
    const filter = convFilter(layer, input.expression.shape, tensors, 1)
    const { cin, h, w } = filter.geometry
    const joined = convolved(reshape(input.expression, [cin, h, w]), filter, asMap(layer.out))
    if (joined) return plain(joined)
  }
  const { expression, factor } = unweighted(input, layer.in[0], cut)
  const filter = convFilter(layer, expression.shape, tensors, factor)
  const { cin, h, w } = filter.geometry
  return plain({ kind: 'conv', of: reshape(expression, [cin, h, w]), filter, shape: asMap(layer.out) })
}

function convFilter(
  layer: LayerOf<'conv2d' | 'linear'>,
  shape: MapShape,
  tensors: LayerTensors,
  factor: number,
): Filter {
  const [cin, h, w] = layer.op === 'linear' ? asMap([shape.reduce((a, b) => a * b)]) : shape
  const rest =
    layer.op === 'linear'
      ? ({ kernel: [1, 1], stride: [1, 1], pad: [0, 0, 0, 0], dilation: [1, 1], groups: 1 } as const)
      : { kernel: layer.kernel, stride: layer.stride, pad: layer.pad, dilation: layer.dilation, groups: layer.groups }
  const weights = factor === 1 ? tensors.weight! : tensors.weight!.map((x) => x * factor)
  return {
    layer: layer.id,
    geometry: { cin, h, w, cout: layer.cout, ...rest },
    weights,
    bias: tensors.bias ?? new Float32Array(layer.cout),
  }
}

function affine(layer: Layer, input: Value, scale: Float32Array, shift: Float32Array, cut: Cut): Value {
  const { expression } = input
  if (expression.kind === 'conv') {
    return plain({ ...expression, filter: foldAffine(expression.filter, scale, shift) })
  }
  if (isWeighted(expression)) {
    const scaled = scaleChannels(expression, scale, layer.id)
    const { shape } = expression
    if (scaled) return plain(shift.every((s) => s === 0) ? scaled : sum([scaled, constant(shift, shape)], shape))
  }
  const value = unweighted(input, layer.in[0], cut)
  const filter = affineFilter(
    layer.id,
    value.expression.shape,
    scale.map((s) => s * value.factor),
    shift,
  )
  return plain({ kind: 'conv', of: value.expression, filter, shape: value.expression.shape })
}

function batchNorm(layer: LayerOf<'batchNorm'>, input: Value, tensors: LayerTensors, cut: Cut): Value {
  const scale = tensors.running_var!.map((v, c) => (tensors.weight?.[c] ?? 1) / Math.sqrt(v + layer.eps))
  const shift = scale.map((s, c) => (tensors.bias?.[c] ?? 0) - tensors.running_mean![c] * s)
  return affine(layer, input, scale, shift, cut)
}

/** Sums over windows; the division by the window's size waits in the value's factor. */
function average(layer: LayerOf<'avgPool' | 'globalAvgPool'>, input: Value, cut: Cut): Value {
  const value = unweighted(input, layer.in[0], cut)
  const [, h, w] = value.expression.shape
  const window =
    layer.op === 'globalAvgPool'
      ? { kernel: [h, w] as const, stride: [h, w] as const, pad: [0, 0, 0, 0] as const, countPad: true }
      : layer
  const shape = asMap(layer.out)
  const { kernel, stride, pad } = window
  const expression: Expression = { kind: 'pool', of: value.expression, layer: layer.id, kernel, stride, pad, shape }
  const divisors = windowSizes(window, [h, w], [shape[1], shape[2]])
  if (divisors.every((d) => d === divisors[0])) return { expression, factor: value.factor / divisors[0] }
  const factor = divisors.map((d) => value.factor / d)
  return plain({ kind: 'lift', of: expression, factor, shape })
}

/** How many elements each window is divided by: those inside the map, or inside the padded map with `countPad`. */
function windowSizes(
  { kernel, stride, pad, countPad }: Pick<LayerOf<'avgPool'>, 'kernel' | 'stride' | 'pad' | 'countPad'>,
  size: readonly [number, number],
  out: readonly [number, number],
): number[] {
  const along = (axis: 0 | 1, i: number) => {
    const from = i * stride[axis] - pad[axis]
    const [low, high] = countPad ? [-pad[axis], size[axis] + pad[axis + 2]] : [0, size[axis]]
    return Math.min(from + kernel[axis], high) - Math.max(from, low)
  }
  const sizes: number[] = []
  for (let i = 0; i < out[0]; i++) for (let j = 0; j < out[1]; j++) sizes.push(along(0, i) * along(1, j))
  return sizes
}

/** The value brought to its step's scale: lifted unless it met weights. */
export function lift({ expression, factor }: Value): Expression {
  return isWeighted(expression) ? expression : { kind: 'lift', of: expression, factor, shape: expression.shape }
}

function add(values: readonly Value[]): Value {
  const { shape } = values[0].expression
  const nonzero = values.filter((v) => v.expression.kind !== 'zero')
  if (nonzero.length === 0) return plain({ kind: 'zero', shape })
  if (nonzero.length === 1) return nonzero[0]
  const alike = nonzero.every((v) => v.factor === nonzero[0].factor && !isWeighted(v.expression))
  if (alike)
    return { expression: { kind: 'add', of: nonzero.map((v) => v.expression), shape }, factor: nonzero[0].factor }
  return plain(mergedSum(nonzero.map(lift), shape))
}

const sum = (of: readonly Expression[], shape: MapShape): Expression => ({ kind: 'add', of, shape })

/** Maps one after another along their channels. */
function concatenate(values: readonly Value[], [c, h, w]: MapShape): Value {
  const [first, ...others] = values.filter((v) => v.expression.kind !== 'zero')
  const alike =
    !isWeighted(first.expression) && others.every((v) => v.factor === first.factor && !isWeighted(v.expression))
  const parts = values.map((v) => (alike || v.expression.kind === 'zero' ? v.expression : lift(v)))
  return { expression: reshape(concat(parts, h, w), [c, h, w]), factor: alike ? first.factor : 1 }
}

/** Σ of secret coefficients times the inputs. */
function weightedSum(layer: LayerOf<'weightedSum'>, inputs: readonly Value[], tensors: LayerTensors, cut: Cut): Value {
  const coefficients = layer.norm === 'softmax' ? softmax(tensors.coef!) : tensors.coef!
  const terms = inputs.flatMap((input, i) => {
    if (input.expression.kind === 'zero') return []
    const scale = new Float32Array(input.expression.shape[0]).fill(coefficients[i])
    const term = { ...layer, in: [layer.in[i]] }
    return [affine(term, input, scale, new Float32Array(scale.length), cut)]
  })
  return terms.length === 0 ? plain({ kind: 'zero', shape: asMap(layer.out) }) : add(terms)
}

function softmax(logits: Float32Array): Float32Array {
  const most = Math.max(...logits)
  const powers = logits.map((x) => Math.exp(x - most))
  const total = powers.reduce((a, b) => a + b)
  return powers.map((x) => x / total)
}

/** Weights of a bilinear blend have this many bits at most: enough for every power of two up to 64. */
const BLEND_BITS = 7

function resize(layer: LayerOf<'resize'>, input: Value, cut: Cut): Value {
  const [, h, w] = input.expression.shape
  const shape = asMap(layer.out)
  const lines = [blendsOf(layer.mode, h, shape[1]), blendsOf(layer.mode, w, shape[2])]
  if (lines.some((line) => line === undefined)) {
    throw new RingfenceError('UNSUPPORTED', `${layer.id}: only an axis of one line can be broadcast`)
  }
  const bits = blendBits(lines.flatMap((line) => line!.map(({ weight }) => weight)))
  const [rows, columns] = lines.map((line) =>
    line!.map(({ first, second, weight }) => [first, second, Math.round(weight * 2 ** bits)] as const),
  )
  const expression = (of: Expression): Expression => ({ kind: 'resize', of, rows, columns, bits, shape })
  const fine = isFineBlend(expression(input.expression))
  const value = fine && input.factor !== 1 ? cut(input, layer.in[0]) : unweighted(input, layer.in[0], cut)
  const blended = { expression: expression(value.expression), factor: value.factor / 4 ** bits }
  return fine ? plain(lift(blended)) : blended
}

/** The fewest bits that hold all weights exactly, or `BLEND_BITS`. */
function blendBits(weights: readonly number[]): number {
  let bits = 0
  while (bits < BLEND_BITS && weights.some((weight) => !Number.isInteger(weight * 2 ** bits))) bits++
  return bits
}

function embed(
  value: Value,
  out: MapShape,
  stride: readonly [number, number],
  from: readonly [number, number],
  at: MapShape,
): Value {
  if (value.expression.kind === 'zero') return plain({ kind: 'zero', shape: out })
  return { ...value, expression: { kind: 'embed', of: value.expression, stride, from, at, shape: out } }
}

/**
 * The value of one linear layer.
 * @param inputs values of the layer's inputs
 * @param tensors the layer's weights
 */
export function foldLayer(layer: Layer, inputs: readonly Value[], tensors: LayerTensors, cut: Cut): Value {
  const [input] = inputs
  const out = asMap(layer.out)
  const needsData = !['add', 'zero', 'concat', 'weightedSum'].includes(layer.op)
  if (
    needsData &&
    input.expression.kind === 'zero' &&
    !['conv2d', 'convTranspose2d', 'linear', 'batchNorm', 'affine'].includes(layer.op)
  ) {
    return plain({ kind: 'zero', shape: out })
  }
  switch (layer.op) {
    case 'conv2d':
    case 'linear':
      return conv(layer, input, tensors, cut)
    case 'convTranspose2d':
      return convTranspose(layer, input, tensors, cut)
    case 'depthToSpace':
      return depthToSpace(layer, input, cut)
    case 'affine': {
      const [channels] = asMap(layer.inShapes[0])
      const of = (value: number) => new Float32Array(channels).fill(value)
      return affine(layer, input, of(layer.factor), of(layer.offset), cut)
    }
    case 'batchNorm':
      return batchNorm(layer, input, tensors, cut)
    case 'channelScale':
      return affine(layer, input, tensors.weight!, new Float32Array(tensors.weight!.length), cut)
    case 'avgPool':
    case 'globalAvgPool':
      return average(layer, input, cut)
    case 'add':
      return add(inputs)
    case 'concat':
      return inputs.every(({ expression }) => expression.kind === 'zero')
        ? plain({ kind: 'zero', shape: out })
        : concatenate(inputs, out)
    case 'weightedSum':
      return weightedSum(layer, inputs, tensors, cut)
    case 'resize':
      return resize(layer, input, cut)
    case 'identity':
      return input
    case 'zero':
      return plain({ kind: 'zero', shape: out })
    case 'slice': {
      const { axis, from, step } = layer
      const along = (value: number, other: number) =>
        [1, 2].map((a) => (a === axis ? value : other)) as [number, number]
      return embed(input, out, along(step, 1), along(from, 0), [axis === 0 ? -from : 0, 0, 0])
    }
    case 'flatten':
    case 'reshape':
      return { ...input, expression: reshape(input.expression, out) }
    case 'subsample':
      return embed(input, out, layer.stride, layer.offset, [0, 0, 0])
    case 'shortcutA':
      return embed(input, out, layer.stride, [0, 0], [layer.padChannels[0], 0, 0])
    case 'pad': {
      if (layer.fill !== 0)
        throw new RingfenceError('UNSUPPORTED', `${layer.id}: pad with ${layer.fill}; only 0 can run privately`)
      const [top, left] = layer.pad
      return embed(
        input,
        out,
        [1, 1],
        [Math.max(0, -top), Math.max(0, -left)],
        [0, Math.max(0, top), Math.max(0, left)],
      )
    }
    default:
      throw new RingfenceError('UNSUPPORTED', `${layer.id}: op ${layer.op} cannot run privately in this version`)
  }
}
