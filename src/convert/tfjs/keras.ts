// What each Keras layer becomes.
import { isObject, quote } from '../../model/json/fields.js'
import type { Pad, Pair } from '../../model/layers/layers.js'
import { formatShape } from '../../model/shape.js'
import type { ArchDraft, DraftTensor, Value } from '../arch-draft.js'
import { TfEmitter, type TfWindow } from './emit.js'
import { fieldFault } from './keras-fields.js'
import type { KerasWeights } from './keras-weights.js'
import type { Layout } from './layout.js'
import type { KerasCall } from './topology.js'
import { asFloats } from './weights.js'

export class KerasReader extends TfEmitter {
  readonly #used = new Set<string>()

  constructor(
    draft: ArchDraft,
    readonly call: KerasCall,
    readonly inputs: readonly Value[],
    readonly weights: KerasWeights,
    readonly file: KerasFile,
  ) {
    super(draft, call.where, call.name, file.layout)
  }

  /** A field of the config; one that no reader asks for must be at its default. */
  field(name: string): unknown {
    this.#used.add(name)
    return this.call.config[name]
  }

  /** Reports every field that was neither used nor at its default. */
  checkFields(): void {
    for (const [name, value] of Object.entries(this.call.config)) {
      const expected = this.#used.has(name) ? undefined : fieldFault(this.call.className, name, value)
      if (expected) this.fault(`${name}: ${expected}`)
    }
  }

  /** Fields that say the sizes of weights as well. */
  declares(sizes: Readonly<Record<string, number | Pair>>): void {
    for (const [name, actual] of Object.entries(sizes)) {
      const value = this.field(name) ?? actual
      const given: unknown[] = Array.isArray(value) ? value : typeof actual === 'number' ? [value] : [value, value]
      const expected = [actual].flat()
      if (given.length === expected.length && given.every((size, i) => size === expected[i])) continue
      this.fault(`${name}: expected ${quote(actual)} as the weights have it, got ${quote(value)}`)
    }
  }

  /** The axis of the channels, as an index of the batched tensor or counted from its end. */
  isChannels(axis: unknown, x: Value): boolean {
    const given = Array.isArray(axis) && axis.length === 1 ? axis[0] : axis
    const rank = x.shape.length + 1
    const place = this.layout === 'channels_first' ? 1 : rank - 1
    return given === place || given === place - rank
  }

  /** Whether the layer takes its map's channels to be where the others have them. */
  ownFormat(): Layout {
    const given = this.field('data_format') ?? this.layout
    if (given === 'channels_first' || given === 'channels_last') return given
    this.fault(`data_format: expected channels_last or channels_first, got ${quote(given)}`)
    return this.layout
  }

  /** A layer that works on rows and columns; those of the others' data_format. */
  requireFormat(): void {
    const own = this.ownFormat()
    if (own === this.layout) return
    this.fault(`data_format: expected ${this.layout} as the network's other layers have it, got ${own}`)
  }

  /** A weight that `missingWeights` has looked for; undefined when there is none to read. */
  weight(...names: readonly string[]): DraftTensor | undefined {
    const [name] = names.flatMap((name) => this.weights.names(this.call.layer, name))
    const tensor = name === undefined ? undefined : this.weights.weights.tensor(name)
    return tensor && asFloats(tensor, this.where, this.draft)
  }

  flag(name: string, fallback: boolean): boolean {
    const value = this.field(name) ?? fallback
    if (typeof value === 'boolean') return value
    this.fault(`${name}: expected true or false, got ${quote(value)}`)
    return fallback
  }

  number(name: string, fallback: number): number {
    const value = this.field(name) ?? fallback
    if (typeof value === 'number' && Number.isFinite(value)) return value
    this.fault(`${name}: expected a number, got ${quote(value)}`)
    return fallback
  }

  /** Two integers >= 1, or one for both. */
  pair(name: string, fallback: Pair): Pair {
    const value = this.field(name) ?? fallback
    const list = typeof value === 'number' ? [value, value] : value
    const isSize = (x: unknown) => Number.isSafeInteger(x) && (x as number) >= 1 && (x as number) < 2 ** 24
    if (Array.isArray(list) && list.length === 2 && list.every(isSize)) return [list[0], list[1]]
    this.fault(`${name}: expected two integers >= 1, got ${quote(value)}`)
    return fallback
  }

  window(stride: Pair): TfWindow {
    const padding = this.field('padding') ?? 'valid'
    this.requireFormat()
    if (padding !== 'same' && padding !== 'valid') this.fault(`padding: expected same or valid, got ${quote(padding)}`)
    return { stride, dilation: this.pair('dilation_rate', [1, 1]), padding: padding === 'same' ? 'same' : 'valid' }
  }

  /** An `activation` field: a name, null, or in Keras 3 an object with the name in it. */
  activated(x: Value | undefined): Value | undefined {
    const kind = this.field('activation') ?? 'linear'
    return x && this.activation(activationName(kind), x, '/activation')
  }
}

/** What a layer is told about the file it stands in. */
export interface KerasFile {
  readonly layout: Layout
  /** Whether TF.js itself made the model; a converter's file comes from Keras. */
  readonly byTfjs: boolean
}

/** An activation is its name, or in newer files an object that holds it: {class_name: 'ReLU', config: {…}}. */
export function activationName(kind: unknown): string {
  if (typeof kind === 'string') return kind
  if (!isObject(kind)) return quote(kind)
  const { class_name: className, config } = kind
  if (className === 'function' && typeof config === 'string') return config
  const name = typeof className === 'string' ? ACTIVATION_CLASSES.get(className.replace(/^.*>/, '')) : undefined
  const changes =
    isObject(config) &&
    Object.entries(config).some(([field, value]) => field !== 'activation' && fieldFault('Activation', field, value))
  const inner = isObject(config) && typeof config.activation === 'string' ? config.activation : undefined
  return changes ? quote(kind) : (name ?? inner ?? quote(kind))
}

const ACTIVATION_CLASSES: ReadonlyMap<string, string> = new Map([
  ['ReLU', 'relu'],
  ['Linear', 'linear'],
  ['Softmax', 'softmax'],
  ['Sigmoid', 'sigmoid'],
])

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
  return l.activated(l.depthwise(x, kernel, window, bias))
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

const concatenate: KerasRead = (l, x) => {
  const axis = l.field('axis') ?? -1
  return l.isChannels(axis, x) ? l.concat(l.inputs) : l.fault(`axis: expected the channels, got ${quote(axis)}`)
}

const softmax: KerasRead = (l, x) => {
  const axis = l.field('axis') ?? -1
  return l.isChannels(axis, x) ? l.alongLast(x, 'softmax') : l.fault(`axis: expected the channels, got ${quote(axis)}`)
}

const rescaling: KerasRead = (l, x) => {
  const perChannel = (name: string, fallback: number): DraftTensor | undefined => {
    const given = l.field(name) ?? fallback
    const list: unknown[] = Array.isArray(given) ? given : [given]
    if ((list.length !== 1 && list.length !== x.shape[0]) || !list.every((v) => Number.isFinite(v))) {
      return l.fault(`${name}: expected a number, or one per channel of ${formatShape(x.shape)}, got ${quote(given)}`)
    }
    const data = l.draft.floats(x.shape[0]).map((_, c) => list[list.length === 1 ? 0 : c] as number)
    return { shape: [x.shape[0]], data, from: name }
  }
  const factor = perChannel('scale', 1)
  const offset = perChannel('offset', 0)
  const scaled = factor && offset && l.scale(x, factor, '/scale')
  if (!scaled || offset.data.every((v) => v === 0)) return scaled
  return l.bias(scaled, offset)
}

const same: KerasRead = (_, x) => x

export const KERAS_READERS: ReadonlyMap<string, KerasRead> = new Map(
  Object.entries({
    Activation: (l, x) => l.activated(x),
    ActivityRegularization: same,
    Add: add,
    AveragePooling2D: pool('avg'),
    BatchNormalization: batchNormalization,
    Concatenate: concatenate,
    Conv2D: conv2d,
    Conv2DTranspose: conv2dTranspose,
    Cropping2D: edges('cropping', -1),
    Dense: dense,
    DepthwiseConv2D: depthwiseConv2d,
    Dropout: same,
    Flatten: flatten,
    GaussianDropout: same,
    GaussianNoise: same,
    GlobalAveragePooling2D: globalPool('avg'),
    GlobalMaxPooling2D: globalPool('max'),
    Identity: same,
    LeakyReLU: leakyRelu,
    MaxPooling2D: pool('max'),
    Multiply: multiply,
    PReLU: prelu,
    ReLU: relu,
    Rescaling: rescaling,
    Reshape: reshape,
    SeparableConv2D: separableConv2d,
    Softmax: softmax,
    SpatialDropout2D: same,
    UpSampling2D: upSampling2d,
    ZeroPadding2D: edges('padding', 1),
  } satisfies Record<string, KerasRead>),
)
