// What each Keras layer becomes.
import { quote } from '../../../model/json/fields.js'
import type { Pad, Pair } from '../../../model/layers/layers.js'
import { formatShape } from '../../../model/shape.js'
import type { DraftTensor, Value } from '../../arch-draft.js'
import * as functions from '../../functions.js'
import type { TfWindow } from '../emit.js'
import type { KerasReader } from './reader.js'

export type KerasRead = (layer: KerasReader, x: Value) => Value | undefined

const conv2d: KerasRead = (l, x) => {
  const kernel = l.weight('kernel')
  const bias = l.flag('use_bias', true) ? l.weight('bias') : undefined
  const window = l.window(l.pair('strides', [1, 1]))
  if (!kernel) return undefined
  const [kh, kw, perGroup, filters] = kernel.shape
  l.declares({ filters, kernel_size: [kh, kw], groups: x.shape[0] / perGroup })
  return l.activated(l.conv(x, kernel, window, bias))
}

const depthwiseConv2d: KerasRead = (l, x) => {
  const kernel = l.weight('depthwise_kernel', 'kernel')
  const bias = l.flag('use_bias', true) ? l.weight('bias') : undefined
  const window = l.window(l.pair('strides', [1, 1]))
  if (!kernel) return undefined
  l.declares({ kernel_size: [kernel.shape[0], kernel.shape[1]], depth_multiplier: kernel.shape[3] })
  const isDilated = window.dilation.some((step) => step > 1)
  if (isDilated) {
    const maker = l.file.byTfjs ? 'TF.js (dilation_rate is not used)' : 'Keras (dilation_rate is used)'
    l.draft.notes.push(`${l.where}: as ${maker} computes it, which made the file; the two differ`)
  }
  const own: TfWindow = isDilated && l.file.byTfjs ? { ...window, dilation: [1, 1] } : window
  return l.activated(l.depthwise(x, kernel, own, bias))
}

const separableConv2d: KerasRead = (l, x) => {
  const depthwise = l.weight('depthwise_kernel')
  const pointwise = l.weight('pointwise_kernel')
  const bias = l.flag('use_bias', true) ? l.weight('bias') : undefined
  const window = l.window(l.pair('strides', [1, 1]))
  if (!depthwise || !pointwise) return undefined
  const [kh, kw, , times] = depthwise.shape
  l.declares({ filters: pointwise.shape[3], kernel_size: [kh, kw], depth_multiplier: times })
  const middle = l.depthwise(x, depthwise, window, undefined, '/depthwise')
  const whole: TfWindow = { stride: [1, 1], dilation: [1, 1], padding: 'valid' }
  return middle && l.activated(l.conv(middle, pointwise, whole, bias))
}

const dense: KerasRead = (l, x) => {
  const kernel = l.weight('kernel')
  const bias = l.flag('use_bias', true) ? l.weight('bias') : undefined
  if (!kernel) return undefined
  l.declares({ units: kernel.shape[1] })
  return l.activated(l.dense(x, kernel, bias))
}

const batchNormalization: KerasRead = (l, x) => {
  const axis = l.field('axis') ?? -1
  const gamma = l.flag('scale', true) ? l.weight('gamma') : undefined
  const beta = l.flag('center', true) ? l.weight('beta') : undefined
  const mean = l.weight('moving_mean')
  const variance = l.weight('moving_variance')
  if (!l.isChannels(axis, x)) return l.fault(`axis: expected the channels, got ${quote(axis)}`)
  return mean && variance && l.batchNorm(x, l.number('epsilon', 1e-3), { gamma, beta, mean, variance })
}

const relu: KerasRead = (l, x) => {
  const max = l.field('max_value')
  const slope = l.number('negative_slope', 0)
  if (l.number('threshold', 0) !== 0) return l.fault('expected threshold 0')
  if (max === undefined || max === null) return slope === 0 ? l.layer({ op: 'relu' }, [x]) : l.leakyRelu(x, slope)
  if (slope !== 0) return l.fault('expected negative_slope 0 where there is a max_value')
  if (typeof max !== 'number' || !(max > 0)) return l.fault(`max_value: expected a number > 0, got ${quote(max)}`)
  return l.layer({ op: 'clip', min: 0, max }, [x])
}

/** The slope is `alpha` in Keras 2. */
const leakyRelu: KerasRead = (l, x) => {
  return l.leakyRelu(x, l.number(l.field('alpha') === undefined ? 'negative_slope' : 'alpha', 0.3))
}

const elu: KerasRead = (l, x) => l.written(functions.elu(l.number('alpha', 1)), x)

const prelu: KerasRead = (l, x) => {
  const slopes = l.weight('alpha')
  const shared = l.field('shared_axes') ?? []
  if (!slopes) return undefined
  if (!Array.isArray(shared) || !shared.every((axis) => slopes.shape[Number(axis) - 1] === 1)) {
    return l.fault(`shared_axes: expected axes of size 1 of ${formatShape(slopes.shape)}, got ${quote(shared)}`)
  }
  return l.prelu(x, slopes)
}

function pool(kind: 'max' | 'avg'): KerasRead {
  return (l, x) => {
    const kernel = l.pair('pool_size', [2, 2])
    return l.pool(kind, x, kernel, l.window(l.pair('strides', kernel)))
  }
}

function globalPool(kind: 'max' | 'avg'): KerasRead {
  return (l, x) => {
    l.requireFormat()
    return l.globalPool(kind, x, l.flag('keepdims', false))
  }
}

/** Rows and columns before and after: a number, [vertical, horizontal] or [[top, bottom], [left, right]]. */
function edges(name: string, sign: 1 | -1): KerasRead {
  return (l, x) => {
    const given = l.field(name) ?? 1
    const axes = Array.isArray(given) ? given : [given, given]
    const pairs = axes.map((axis) => (Array.isArray(axis) ? axis : [axis, axis]))
    const flat = [pairs[0]?.[0], pairs[1]?.[0], pairs[0]?.[1], pairs[1]?.[1]]
    if (!flat.every((size) => Number.isSafeInteger(size) && size >= 0 && size < 2 ** 24)) {
      return l.fault(`${name}: expected two pairs of integers >= 0, got ${quote(given)}`)
    }
    const [first0, second0, first1, second1] = flat.map((size) => (size === 0 ? 0 : sign * size))
    const own = l.ownFormat()
    if (own === l.layout) return l.padMap(x, [first0, second0, first1, second1], 0)
    // The last two axes of a map whose channels are elsewhere than the layer thinks, or the first two.
    const [pad, channels]: [Pad, Pair] =
      own === 'channels_first'
        ? [
            [0, first0, 0, first1],
            [second0, second1],
          ]
        : [
            [second0, 0, second1, 0],
            [first0, first1],
          ]
    const wide = l.padChannels(x, channels)
    return wide && l.padMap(wide, pad, 0)
  }
}

/** Keras resizes bilinearly between half-pixel centres; TF.js, which makes such files too, between the lines' beginnings. */
const upSampling2d: KerasRead = (l, x) => {
  const [sh, sw] = l.pair('size', [2, 2])
  l.requireFormat()
  const interpolation = l.field('interpolation') ?? 'nearest'
  if (interpolation !== 'nearest' && interpolation !== 'bilinear') {
    return l.fault(`interpolation: expected nearest or bilinear, got ${quote(interpolation)}`)
  }
  const size: Pair = [x.shape[1] * sh, x.shape[2] * sw]
  if (interpolation === 'nearest') return l.resize(x, size, 'nearest')
  const [maker, mode] = l.file.byTfjs
    ? (['TF.js (asymmetric)', 'bilinear-asymmetric'] as const)
    : (['Keras (half-pixel centres)', 'bilinear'] as const)
  l.draft.notes.push(`${l.where}: bilinear as ${maker} computes it, which made the file; the two differ`)
  return l.resize(x, size, mode)
}

/** What the layer takes for channels first or last decides the order; of a map that lies otherwise, a third one. */
const flatten: KerasRead = (l, x) => {
  const own = l.field('data_format') === undefined ? 'channels_last' : l.ownFormat()
  if (l.layout === 'channels_last') return l.flatten(x, '', own === 'channels_last' ? 'hwc' : 'wch')
  return l.flatten(x, '', own === 'channels_last' ? 'chw' : 'hwc')
}

const reshape: KerasRead = (l, x) => {
  const target = l.field('target_shape')
  const fits = Array.isArray(target) && target.length <= 8 && target.every((size) => Number.isSafeInteger(size))
  return fits ? l.reshape(x, target) : l.fault(`target_shape: expected a list of sizes, got ${quote(target)}`)
}

const add: KerasRead = (l) => l.add(l.inputs)

const multiply: KerasRead = (l, x) =>
  l.inputs.slice(1).reduce<Value | undefined>((product, y, i) => {
    return product && l.multiply(product, y, i === l.inputs.length - 2 ? '' : `/${i}`)
  }, x)

/** Rows and columns as TensorFlow counts them: `same` makes stride times as many. */
const conv2dTranspose: KerasRead = (l, x) => {
  const kernel = l.weight('kernel')
  const bias = l.flag('use_bias', true) ? l.weight('bias') : undefined
  const stride = l.pair('strides', [1, 1])
  const window = l.window(stride)
  const extra = l.field('output_padding') ?? null
  if (extra !== null) return l.fault(`output_padding: expected none, got ${quote(extra)}`)
  if (!kernel || x.shape.length !== 3) return kernel && l.fault(`expected a map, got ${formatShape(x.shape)}`)
  l.declares({ filters: kernel.shape[2], kernel_size: [kernel.shape[0], kernel.shape[1]] })
  const reach = [0, 1].map((axis) => (kernel.shape[axis] - 1) * window.dilation[axis] + 1)
  const size = ([0, 1] as const).map((axis) => {
    const more = window.padding === 'same' ? 0 : Math.max(reach[axis] - stride[axis], 0)
    return x.shape[axis + 1] * stride[axis] + more
  })
  return l.activated(l.convTranspose(x, kernel, window, [size[0], size[1]], bias))
}

/** The mean of all inputs. */
const average: KerasRead = (l) => {
  const sum = l.add(l.inputs)
  return sum && l.affine(sum, 1 / l.inputs.length, 0, '/mean')
}

const subtract: KerasRead = (l) => {
  if (l.inputs.length !== 2) return l.fault(`expected two inputs, got ${l.inputs.length}`)
  const negative = l.negative(l.inputs[1])
  return negative && l.add([l.inputs[0], negative])
}

const extreme =
  (kind: 'max' | 'min'): KerasRead =>
  (l, x) =>
    l.inputs.slice(1).reduce<Value | undefined>((most, y, i) => {
      return most && l.extreme(kind, most, y, i === l.inputs.length - 2 ? '' : `/${i}`)
    }, x)

/** Dimensions without the batch, counted from 1. */
const permute: KerasRead = (l, x) => {
  const dims = l.field('dims')
  const fits = Array.isArray(dims) && dims.length === x.shape.length && x.shape.every((_, i) => dims.includes(i + 1))
  return fits
    ? l.permuted(x, dims)
    : l.fault(`dims: expected the axes of ${formatShape(x.shape)} from 1 on, got ${quote(dims)}`)
}

const concatenate: KerasRead = (l, x) => {
  const axis = l.field('axis') ?? -1
  if (l.file.byTfjs && typeof axis === 'number' && axis < -1) {
    return l.fault(`axis: expected -1 or one counted from the front, got ${axis}, which TF.js takes for the last`)
  }
  if (l.isChannels(axis, x)) return l.concat(l.inputs)
  const rank = x.shape.length + 1
  const dim = Number.isInteger(axis) ? ((axis as number) + rank) % rank : 0
  return dim > 0 ? l.concat(l.inputs, dim) : l.fault(`axis: expected one behind the batch, got ${quote(axis)}`)
}

const softmax: KerasRead = (l, x) => {
  const axis = l.field('axis') ?? -1
  return l.isChannels(axis, x) ? l.alongLast(x, 'softmax') : l.fault(`axis: expected the channels, got ${quote(axis)}`)
}

const rescaling: KerasRead = (l, x) => {
  const channels = l.channelsOf(x)
  const perChannel = (name: string, fallback: number): DraftTensor | undefined => {
    const given = l.field(name) ?? fallback
    const list: unknown[] = Array.isArray(given) ? given : [given]
    if ((list.length !== 1 && list.length !== channels) || !list.every((v) => Number.isFinite(v))) {
      return l.fault(`${name}: expected a number, or one per channel of ${formatShape(x.shape)}, got ${quote(given)}`)
    }
    const data = l.draft.floats(channels).map((_, c) => list[list.length === 1 ? 0 : c] as number)
    return { shape: [channels], data, from: name }
  }
  const factor = perChannel('scale', 1)
  const offset = perChannel('offset', 0)
  const scaled = factor && offset && l.scale(x, factor, '/scale')
  if (!scaled || offset.data.every((v) => v === 0)) return scaled
  return l.bias(scaled, offset)
}

/** (x - mean) / √variance: of the training data, as weights or as numbers of the file. */
const normalization: KerasRead = (l, x) => {
  const channels = l.channelsOf(x)
  const axis = l.field('axis') ?? -1
  if (!l.isChannels(axis, x)) return l.fault(`axis: expected the channels, got ${quote(axis)}`)
  if (l.flag('invert', false)) return l.fault('invert: expected false')
  const of = (name: string): DraftTensor | undefined => {
    const given = l.field(name) ?? null
    const list = [given].flat(4)
    const tensor = given === null ? l.weight(name) : { shape: [list.length], data: Float32Array.from(list), from: name }
    if (!tensor) return l.fault(`${name}: expected a weight or numbers, found none`)
    const { data, from } = tensor
    if (data.length !== channels || !data.every(Number.isFinite))
      return l.fault(`tensor ${from}: expected one number per channel of ${formatShape(x.shape)}, got ${data.length}`)
    return { shape: [data.length], data, from }
  }
  const [mean, variance] = [of('mean'), of('variance')]
  // Keras divides by no less than this.
  const least = 1e-14
  const bounded = variance && { ...variance, data: variance.data.map((v) => Math.max(v, least)) }
  return mean && bounded && l.batchNorm(x, 0, { mean, variance: bounded })
}

const same: KerasRead = (_, x) => x

export const KERAS_READERS: ReadonlyMap<string, KerasRead> = new Map(
  Object.entries({
    Activation: (l, x) => l.activated(x),
    ActivityRegularization: same,
    Add: add,
    AlphaDropout: same,
    Average: average,
    AveragePooling2D: pool('avg'),
    BatchNormalization: batchNormalization,
    Concatenate: concatenate,
    Conv2D: conv2d,
    Conv2DTranspose: conv2dTranspose,
    Cropping2D: edges('cropping', -1),
    Dense: dense,
    DepthwiseConv2D: depthwiseConv2d,
    Dropout: same,
    ELU: elu,
    Flatten: flatten,
    GaussianDropout: same,
    GaussianNoise: same,
    GlobalAveragePooling2D: globalPool('avg'),
    GlobalMaxPooling2D: globalPool('max'),
    Identity: same,
    LeakyReLU: leakyRelu,
    MaxPooling2D: pool('max'),
    Maximum: extreme('max'),
    Minimum: extreme('min'),
    Multiply: multiply,
    Normalization: normalization,
    PReLU: prelu,
    Permute: permute,
    ReLU: relu,
    Rescaling: rescaling,
    Reshape: reshape,
    SeparableConv2D: separableConv2d,
    Softmax: softmax,
    SpatialDropout2D: same,
    Subtract: subtract,
    UpSampling2D: upSampling2d,
    ZeroPadding2D: edges('padding', 1),
  } satisfies Record<string, KerasRead>),
)
