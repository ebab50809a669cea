// From a linear expression over real numbers to operations over ring words: one scale for the step's result, integer
// weights and factors, biases gathered into one constant.
import { RingfenceError } from '../../errors.js'
import { elementCount, type LinearOp, type MapShape } from '../plan.js'
import type { Expression, Filter } from './expression.js'
import { type FilterWords, lostShare, type Rounding, rounded } from './rounding.js'

export interface Quantized {
  /** By operation: [cout, cin/groups, kh, kw]. */
  readonly weights: ReadonlyMap<number, FilterWords>
  /** What the biases add to y: per channel, or per element where a channel's differ; null when there is none. */
  readonly bias: Float64Array | null
}

export interface Scales {
  readonly linear: readonly LinearOp[]
  /** Fraction bits of y. */
  readonly scale: number
  readonly quantized: Quantized
  /** Of every operation with weights or factors. */
  readonly roundings: readonly Rounding[]
}

interface Setting {
  /** Fraction bits y should have; fewer when weights would exceed their limit. */
  wanted: number
  /** More fraction bits that y may have where all weights and factors are small. Default 0. */
  spare?: number
  /** Largest absolute weight as an integer. */
  weightLimit: number
  tensorScale: (tensor: number) => number
  id: string
}

/**
 * @param expression weighted on every path
 * @throws RingfenceError UNSUPPORTED when no common scale exists
 */
export function lower(expression: Expression, setting: Setting): Scales {
  const scale = stepScale(expression, setting)
  const lowering = new Lowering(scale, setting)
  lowering.emit(expression)
  const constant = biasOf(expression)
  const bias = constant?.map((b) => Math.round(b * 2 ** scale)) ?? null
  const { operations: linear, weights, roundings } = lowering
  return { linear, scale, quantized: { weights, bias }, roundings }
}

/** Fraction bits of an unweighted expression. */
export function scaleOf(e: Expression, setting: Pick<Setting, 'tensorScale'>): number {
  switch (e.kind) {
    case 'tensor':
      return setting.tensorScale(e.tensor)
    case 'add':
      return Math.max(...e.of.map((part) => scaleOf(part, setting)))
    case 'zero':
    case 'constant':
      return 0
    default:
      return scaleOf(e.of, setting)
  }
}

function largestWeight({ weights }: Filter): number {
  let largest = 2 ** -20
  for (let i = 0; i < weights.length; i++) {
    const size = Math.abs(weights[i])
    if (size > largest) largest = size
  }
  return largest
}

/** Fraction bits that a public factor needs not to become zero; a blend's own bits can be fewer. */
function fractionBits({ of, factor }: Pick<Extract<Expression, { kind: 'lift' }>, 'of' | 'factor'>): number {
  if (typeof factor !== 'number') return fractionBits({ of, factor: Math.max(...factor) })
  return Math.max(0, Math.ceil(-Math.log2(of.kind === 'resize' ? factor * 4 ** of.bits : factor)))
}

/** Most fraction bits that the step's y can have. @throws RingfenceError UNSUPPORTED when no common scale exists */
export function stepScale(e: Expression, setting: Setting): number {
  // Bits that every weight and factor of the step would leave empty.
  let empty = setting.spare ?? 0
  let most = Number.POSITIVE_INFINITY
  let least = 0
  const visit = (part: Expression): void => {
    if (part.kind === 'conv') {
      const largest = largestWeight(part.filter)
      const scale = scaleOf(part.of, setting)
      most = Math.min(most, scale + Math.floor(Math.log2(setting.weightLimit / largest)))
      least = Math.max(least, scale)
      empty = Math.min(empty, Math.floor(-Math.log2(largest)))
    } else if (part.kind === 'lift') {
      const bits = fractionBits(part)
      least = Math.max(least, scaleOf(part.of, setting) + bits)
      empty = Math.min(empty, bits)
    } else if (part.kind === 'add') part.of.forEach(visit)
    else if ('of' in part) visit(part.of)
  }
  visit(e)
  const scale = Math.min(setting.wanted + Math.max(0, empty), most)
  if (scale < least) {
    throw new RingfenceError(
      'UNSUPPORTED',
      `${setting.id}: weights and ring leave ${scale} fraction bits, its inputs have ${least}; use a wider ring or fewer opened bits`,
    )
  }
  return scale
}

class Lowering {
  readonly operations: LinearOp[] = []
  readonly weights = new Map<number, FilterWords>()
  readonly roundings: Rounding[] = []
  readonly #emitted = new Map<Expression, number>()

  constructor(
    private readonly scale: number,
    private readonly setting: Setting,
  ) {}

  emit(e: Expression): number {
    const known = this.#emitted.get(e)
    if (known !== undefined) return known
    const index = this.operations.push(this.#operation(e)) - 1
    if (e.kind === 'conv') {
      const unit = 2 ** (this.scale - scaleOf(e.of, this.setting))
      const { words, lost } = rounded(e.filter.weights, unit)
      this.weights.set(index, words)
      this.roundings.push({ layer: e.filter.layer, of: e, lost })
    }
    this.#emitted.set(e, index)
    return index
  }

  #operation(e: Expression): LinearOp {
    const out = e.shape
    switch (e.kind) {
      case 'tensor':
        return { op: 'tensor', tensor: e.tensor, out }
      case 'zero':
        return { op: 'zero', out }
      case 'conv': {
        const scale = this.scale - scaleOf(e.of, this.setting)
        return { op: 'conv', of: this.emit(e.of), layer: e.filter.layer, geometry: e.filter.geometry, scale, out }
      }
      case 'lift': {
        const given = this.scale - scaleOf(e.of, this.setting)
        const bits = e.of.kind === 'resize' ? e.of.bits : 0
        const spare = Math.max(0, bits - Math.floor(given / 2))
        const up = 2 ** given * 4 ** spare
        const of = this.emit(e.of.kind === 'resize' ? coarser(e.of, spare) : e.of)
        const factors = typeof e.factor === 'number' ? [e.factor] : e.factor
        this.roundings.push({ layer: this.setting.id, of: e, lost: lostShare(factors, up) })
        const factor =
          typeof e.factor === 'number' ? Math.round(e.factor * up) : e.factor.map((f) => Math.round(f * up))
        return { op: 'lift', of, factor, out }
      }
      case 'negate':
        return { op: 'scale', of: this.emit(e.of), factor: -1, out }
      case 'pool':
        return { op: 'poolSum', of: this.emit(e.of), kernel: e.kernel, stride: e.stride, pad: e.pad, out }
      case 'constant':
        return { op: 'zero', out }
      case 'resize': {
        const { rows, columns, bits } = e
        return { op: 'resize', of: this.emit(e.of), rows, columns, bits, out }
      }
      case 'embed':
        return { op: 'embed', of: this.emit(e.of), stride: e.stride, from: e.from, at: e.at, out }
      case 'add':
        return { op: 'add', of: this.#aligned(e.of), out }
    }
  }

  /** Unweighted summands get the finest scale among them; weighted ones have the step's already. */
  #aligned(parts: readonly Expression[]): number[] {
    const scales = parts.map((part) => unweightedScale(part, this.setting))
    const finest = Math.max(...scales)
    return parts.map((part, i) => {
      const of = this.emit(part)
      if (scales[i] === finest) return of
      return this.operations.push({ op: 'scale', of, factor: 2 ** (finest - scales[i]), out: part.shape }) - 1
    })
  }
}

type Resize = Extract<Expression, { kind: 'resize' }>

/** A resize whose blends have fewer bits. */
function coarser(e: Resize, by: number): Resize {
  if (by === 0) return e
  const round = (blends: Resize['rows']) =>
    blends.map(([first, second, weight]) => [first, second, Math.round(weight / 2 ** by)] as const)
  return { ...e, rows: round(e.rows), columns: round(e.columns), bits: e.bits - by }
}

/** The scale of an unweighted expression, or -1 for a weighted one: summands are all of one sort. */
function unweightedScale(e: Expression, setting: Setting): number {
  if (e.kind === 'conv' || e.kind === 'lift' || e.kind === 'constant') return -1
  if (e.kind === 'add') return Math.max(...e.of.map((part) => unweightedScale(part, setting)))
  if (e.kind === 'tensor' || e.kind === 'zero') return scaleOf(e, setting)
  return unweightedScale(e.of, setting)
}

/** What y is when every tensor is zero: one number per channel where each channel's are all the same, else one per element. */
function biasOf(e: Expression): Float64Array | null {
  switch (e.kind) {
    case 'constant':
      return Float64Array.from(e.values)
    case 'conv':
      return Float64Array.from(e.filter.bias)
    case 'add':
      return sumOfBiases(e)
    case 'negate':
      return biasOf(e.of)?.map((b) => -b) ?? null
    case 'embed': {
      const inner = biasOf(e.of)
      return inner && embeddedBias(inner, e)
    }
    default:
      return null
  }
}

function sumOfBiases({ of, shape }: Extract<Expression, { kind: 'add' }>): Float64Array | null {
  const parts = of.flatMap((part) => {
    const bias = biasOf(part)
    // A sum of one part can be a reshape.
    return bias ? [part.shape.every((n, i) => n === shape[i]) ? bias : perElement(bias, part.shape)] : []
  })
  if (parts.length === 0) return null
  const alike = parts.every(({ length }) => length === parts[0].length)
  return (alike ? parts : parts.map((part) => perElement(part, shape))).reduce((a, b) => a.map((x, i) => x + b[i]))
}

function embeddedBias(inner: Float64Array, e: Extract<Expression, { kind: 'embed' }>): Float64Array {
  const { of, stride, from, at, shape } = e
  const [c, h, w] = of.shape
  const whole = h === shape[1] && w === shape[2] && stride.every((n) => n === 1)
  if (whole && inner.length === c && [...from, at[1], at[2]].every((n) => n === 0)) {
    const out = new Float64Array(shape[0])
    embed(inner, [c, 1, 1], out, { ...e, shape: [shape[0], 1, 1] })
    return out
  }
  const out = new Float64Array(elementCount(shape))
  embed(perElement(inner, of.shape), of.shape, out, e)
  return out
}

/** A bias with one number per element of the map. */
function perElement(bias: Float64Array, shape: MapShape): Float64Array {
  const size = elementCount(shape)
  if (bias.length === size) return bias
  const out = new Float64Array(size)
  const plane = shape[1] * shape[2]
  for (let c = 0; c < shape[0]; c++) out.fill(bias[c], c * plane, (c + 1) * plane)
  return out
}

/** Copies what `embed` moves: every stride-th element from `from` on, to [channel, top, left] `at`; channels before 0 are left out. */
export function embed<E>(
  x: { readonly [index: number]: E },
  [channels, h, w]: readonly [number, number, number],
  out: { [index: number]: E },
  op: Pick<Extract<LinearOp, { op: 'embed' }>, 'stride' | 'from' | 'at'> & { shape: readonly [number, number, number] },
): void {
  const [c0, top, left] = op.at
  const [outC, outH, outW] = op.shape
  for (let c = Math.max(0, -c0); c < channels && c + c0 < outC; c++) {
    for (let i = 0, y = op.from[0]; y < h && i + top < outH; i++, y += op.stride[0]) {
      for (let j = 0, z = op.from[1]; z < w && j + left < outW; j++, z += op.stride[1]) {
        out[((c + c0) * outH + i + top) * outW + j + left] = x[(c * h + y) * w + z]
      }
    }
  }
}

/** Turns an expression into operations and integer weights; another one than `lower` may only look at it. */
export type Lower = typeof lower
