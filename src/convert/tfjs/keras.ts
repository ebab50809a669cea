// What each Keras layer becomes.
import { type Json, quote } from '../../model/json/fields.js'
import type { Pad, Pair } from '../../model/layers/layers.js'
import { formatShape } from '../../model/shape.js'
import type { ArchDraft, DraftTensor, Value } from '../arch-draft.js'
import { TfEmitter, type TfWindow } from './emit.js'
import type { KerasCall } from './topology.js'
import { asFloats, type TfWeights } from './weights.js'

/** Finds a layer's weights whatever scopes an exporter put in front of their names. */
export class KerasWeights {
  readonly #bySuffix = new Map<string, string[]>()

  constructor(readonly weights: TfWeights) {
    for (const name of weights.names) {
      const suffix = name.split('/').slice(-2).join('/')
      const names = this.#bySuffix.get(suffix) ?? []
      names.push(name)
      this.#bySuffix.set(suffix, names)
    }
  }

  /** Full names that may be meant: the exact one alone where it is there. */
  names(layer: string, weight: string): readonly string[] {
    const exact = `${layer}/${weight}`
    if (this.weights.has(exact)) return [exact]
    const suffix = exact.split('/').slice(-2).join('/')
    return (this.#bySuffix.get(suffix) ?? []).filter((name) => name === exact || name.endsWith(`/${exact}`))
  }
}

/** The weights of each class, by their names in Keras 2 and 3, with the flag that turns them off. */
const WEIGHTS: Readonly<Record<string, readonly { readonly names: readonly string[]; readonly flag?: string }[]>> = {
  Conv2D: [{ names: ['kernel'] }, { names: ['bias'], flag: 'use_bias' }],
  DepthwiseConv2D: [{ names: ['depthwise_kernel', 'kernel'] }, { names: ['bias'], flag: 'use_bias' }],
  SeparableConv2D: [
    { names: ['depthwise_kernel'] },
    { names: ['pointwise_kernel'] },
    { names: ['bias'], flag: 'use_bias' },
  ],
  Dense: [{ names: ['kernel'] }, { names: ['bias'], flag: 'use_bias' }],
  PReLU: [{ names: ['alpha'] }],
  BatchNormalization: [
    { names: ['gamma'], flag: 'scale' },
    { names: ['beta'], flag: 'center' },
    { names: ['moving_mean'] },
    { names: ['moving_variance'] },
  ],
}

/** What the call lacks: weights of no name or of several. */
export function missingWeights(call: KerasCall, weights: KerasWeights): string[] {
  const wanted = Object.hasOwn(WEIGHTS, call.className) ? WEIGHTS[call.className] : []
  return wanted.flatMap(({ names, flag }) => {
    if (flag !== undefined && call.config[flag] === false) return []
    const found = names.flatMap((name) => weights.names(call.layer, name))
    const expected = `${call.where}: expected a weight ${quote(`${call.layer}/${names[0]}`)}`
    if (found.length === 1) return []
    return [found.length === 0 ? `${expected}, found none` : `${expected}, found ${found.map(quote).join(', ')}`]
  })
}

export class KerasReader extends TfEmitter {
  constructor(
    draft: ArchDraft,
    readonly call: KerasCall,
    readonly inputs: readonly Value[],
    readonly weights: KerasWeights,
    /** Whether the call is an output of the network that no other layer reads. */
    readonly isLast: boolean,
  ) {
    super(draft, call.where, call.name)
  }

  get config(): Json {
    return this.call.config
  }

  /** A weight that `missingWeights` has looked for; undefined when there is none to read. */
  weight(...names: readonly string[]): DraftTensor | undefined {
    const [name] = names.flatMap((name) => this.weights.names(this.call.layer, name))
    const tensor = name === undefined ? undefined : this.weights.weights.tensor(name)
    return tensor && asFloats(tensor, this.where, this.draft)
  }

  flag(name: string, fallback: boolean): boolean {
    const value = this.config[name] ?? fallback
    if (typeof value === 'boolean') return value
    this.fault(`${name}: expected true or false, got ${quote(value)}`)
    return fallback
  }

  number(name: string, fallback: number): number {
    const value = this.config[name] ?? fallback
    if (typeof value === 'number' && Number.isFinite(value)) return value
    this.fault(`${name}: expected a number, got ${quote(value)}`)
    return fallback
  }

  /** Two integers >= 1, or one for both. */
  pair(name: string, fallback: Pair): Pair {
    const value = this.config[name] ?? fallback
    const list = typeof value === 'number' ? [value, value] : value
    const isSize = (x: unknown) => Number.isSafeInteger(x) && (x as number) >= 1 && (x as number) < 2 ** 24
    if (Array.isArray(list) && list.length === 2 && list.every(isSize)) return [list[0], list[1]]
    this.fault(`${name}: expected two integers >= 1, got ${quote(value)}`)
    return fallback
  }

  window(stride: Pair): TfWindow {
    const { padding = 'valid' } = this.config
    if (padding !== 'same' && padding !== 'valid') this.fault(`padding: expected same or valid, got ${quote(padding)}`)
    return { stride, dilation: this.pair('dilation_rate', [1, 1]), padding: padding === 'same' ? 'same' : 'valid' }
  }

  /** An `activation` field: a name, null, or in Keras 3 an object with the name in it. */
  activated(x: Value | undefined): Value | undefined {
    const kind = this.config.activation ?? 'linear'
    return x && this.activation(typeof kind === 'string' ? kind : quote(kind), x, this.isLast, '/activation')
  }
}

export type KerasRead = (layer: KerasReader, x: Value) => Value | undefined

const conv2d: KerasRead = (l, x) => {
  const kernel = l.weight('kernel')
  const bias = l.flag('use_bias', true) ? l.weight('bias') : undefined
  const window = l.window(l.pair('strides', [1, 1]))
  return kernel && l.activated(l.conv(x, kernel, window, bias))
}

const depthwiseConv2d: KerasRead = (l, x) => {
  const kernel = l.weight('depthwise_kernel', 'kernel')
  const bias = l.flag('use_bias', true) ? l.weight('bias') : undefined
  const window = l.window(l.pair('strides', [1, 1]))
  return kernel && l.activated(l.depthwise(x, kernel, window, bias))
}

const separableConv2d: KerasRead = (l, x) => {
  const depthwise = l.weight('depthwise_kernel')
  const pointwise = l.weight('pointwise_kernel')
  const bias = l.flag('use_bias', true) ? l.weight('bias') : undefined
  const window = l.window(l.pair('strides', [1, 1]))
  if (!depthwise || !pointwise) return undefined
  const middle = l.depthwise(x, depthwise, window, undefined, '/depthwise')
  const whole: TfWindow = { stride: [1, 1], dilation: [1, 1], padding: 'valid' }
  return middle && l.activated(l.conv(middle, pointwise, whole, bias))
}

const dense: KerasRead = (l, x) => {
  const kernel = l.weight('kernel')
  const bias = l.flag('use_bias', true) ? l.weight('bias') : undefined
  return kernel && l.activated(l.dense(x, kernel, bias))
}

const batchNormalization: KerasRead = (l, x) => {
  const { axis = -1 } = l.config
  const last = Array.isArray(axis) && axis.length === 1 ? axis[0] : axis
  const gamma = l.flag('scale', true) ? l.weight('gamma') : undefined
  const beta = l.flag('center', true) ? l.weight('beta') : undefined
  const mean = l.weight('moving_mean')
  const variance = l.weight('moving_variance')
  if (last !== -1 && last !== x.shape.length) return l.fault(`axis: expected the last, got ${quote(axis)}`)
  return mean && variance && l.batchNorm(x, l.number('epsilon', 1e-3), { gamma, beta, mean, variance })
}

const relu: KerasRead = (l, x) => {
  const { max_value: max } = l.config
  const slope = l.number('negative_slope', 0)
  if (l.number('threshold', 0) !== 0) return l.fault('expected threshold 0')
  if (max === undefined || max === null) return slope === 0 ? l.layer({ op: 'relu' }, [x]) : l.leakyRelu(x, slope)
  if (slope !== 0) return l.fault('expected negative_slope 0 where there is a max_value')
  if (typeof max !== 'number' || !(max > 0)) return l.fault(`max_value: expected a number > 0, got ${quote(max)}`)
  return l.layer({ op: 'clip', min: 0, max }, [x])
}

/** The slope is `alpha` in Keras 2. */
const leakyRelu: KerasRead = (l, x) => {
  return l.leakyRelu(x, l.number(l.config.alpha === undefined ? 'negative_slope' : 'alpha', 0.3))
}

const prelu: KerasRead = (l, x) => {
  const slopes = l.weight('alpha')
  return slopes && l.prelu(x, slopes)
}

function pool(kind: 'max' | 'avg'): KerasRead {
  return (l, x) => {
    const kernel = l.pair('pool_size', [2, 2])
    return l.pool(kind, x, kernel, l.window(l.pair('strides', kernel)))
  }
}

function globalPool(kind: 'max' | 'avg'): KerasRead {
  return (l, x) => l.globalPool(kind, x, l.flag('keepdims', false))
}

/** Rows and columns before and after: a number, [vertical, horizontal] or [[top, bottom], [left, right]]. */
function edges(name: string, sign: 1 | -1): KerasRead {
  return (l, x) => {
    const given = l.config[name] ?? 1
    const axes = Array.isArray(given) ? given : [given, given]
    const [rows, columns] = axes.map((axis) => (Array.isArray(axis) ? axis : [axis, axis]))
    const flat = [rows?.[0], columns?.[0], rows?.[1], columns?.[1]]
    if (!flat.every((size) => Number.isSafeInteger(size) && size >= 0 && size < 2 ** 24)) {
      return l.fault(`${name}: expected two pairs of integers >= 0, got ${quote(given)}`)
    }
    return l.padMap(x, flat.map((size) => (size === 0 ? 0 : sign * size)) as unknown as Pad, 0)
  }
}

/** Keras resizes bilinearly with half-pixel centres, as `arch/1` does. */
const upSampling2d: KerasRead = (l, x) => {
  const [sh, sw] = l.pair('size', [2, 2])
  const { interpolation = 'nearest' } = l.config
  if (interpolation !== 'nearest' && interpolation !== 'bilinear') {
    return l.fault(`interpolation: expected nearest or bilinear, got ${quote(interpolation)}`)
  }
  return l.resize(x, [x.shape[1] * sh, x.shape[2] * sw], interpolation)
}

const reshape: KerasRead = (l, x) => {
  const { target_shape: target } = l.config
  const fits = Array.isArray(target) && target.length <= 8 && target.every((size) => Number.isSafeInteger(size))
  return fits ? l.reshape(x, target) : l.fault(`target_shape: expected a list of sizes, got ${quote(target)}`)
}

const add: KerasRead = (l) => l.add(l.inputs)

const concatenate: KerasRead = (l, x) => {
  const { axis = -1 } = l.config
  if (axis !== -1 && axis !== x.shape.length) return l.fault(`axis: expected the last, got ${quote(axis)}`)
  return l.concat(l.inputs)
}

const rescaling: KerasRead = (l, x) => {
  const perChannel = (name: string, fallback: number): DraftTensor | undefined => {
    const given = l.config[name] ?? fallback
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
    Cropping2D: edges('cropping', -1),
    Dense: dense,
    DepthwiseConv2D: depthwiseConv2d,
    Dropout: same,
    Flatten: (l, x) => l.flatten(x),
    GaussianDropout: same,
    GaussianNoise: same,
    GlobalAveragePooling2D: globalPool('avg'),
    GlobalMaxPooling2D: globalPool('max'),
    Identity: same,
    LeakyReLU: leakyRelu,
    MaxPooling2D: pool('max'),
    PReLU: prelu,
    ReLU: relu,
    Rescaling: rescaling,
    Reshape: reshape,
    SeparableConv2D: separableConv2d,
    Softmax: (l, x) => l.softmax(x, l.isLast),
    SpatialDropout2D: same,
    UpSampling2D: upSampling2d,
    ZeroPadding2D: edges('padding', 1),
  } satisfies Record<string, KerasRead>),
)
