// What linear maps become when they meet: convolutions behind convolutions, convolutions side by side, factors on sums.
// Every rule here is exact over real numbers, borders included; where none applies the caller ends a step.
import type { ConvGeometry } from '../../kernels/geometry.js'
import type { MapShape } from '../plan.js'
import { affineFilter, type Expression, type Filter, foldAffine, isLoaded, UNLOADED } from './expression.js'

type Conv = Extract<Expression, { kind: 'conv' }>

/** Multiplications that take about 2 ms of one core. */
const MORE_WORK = 4e7
/**
 * A composed convolution saves a round trip, a united one a pass over the map. For that it may take twice the
 * multiplications of the two it replaces, or a little more than both.
 */
const mostWork = (apart: number): number => Math.max(2 * apart, apart + MORE_WORK)

/** A blend of more bits than doubling a map takes: they would be lost to what multiplies it next. */
export const isFineBlend = (e: Expression): boolean => e.kind === 'resize' && e.bits > 2

const none = (values: ArrayLike<number>): boolean => Array.prototype.every.call(values, (n) => n === 0)

const work = ({ cout, cin, groups, kernel }: ConvGeometry, [, h, w]: MapShape): number =>
  cout * (cin / groups) * kernel[0] * kernel[1] * h * w

/** A weighted expression times a factor per channel; null where that is not one weighting per path. */
export function scaleChannels(e: Expression, scale: Float32Array, layer: string): Expression | null {
  switch (e.kind) {
    case 'conv':
      return { ...e, filter: foldAffine(e.filter, scale, new Float32Array(scale.length)) }
    case 'constant':
      return { ...e, values: e.values.map((v, c) => v * scale[c]) }
    case 'lift': {
      const { factor } = e
      if (isFineBlend(e.of)) return null
      if (typeof factor !== 'number') return scaleRegions(e, factor, scale, layer)
      const filter = affineFilter(
        layer,
        e.shape,
        scale.map((s) => s * factor),
        new Float32Array(scale.length),
      )
      return { kind: 'conv', of: e.of, filter, shape: e.shape }
    }
    case 'negate': {
      const of = scaleChannels(e.of, scale, layer)
      return of && { ...e, of }
    }
    case 'embed': {
      const inner = Float32Array.from({ length: e.of.shape[0] }, (_, c) => scale[c + e.at[0]] ?? 0)
      const of = scaleChannels(e.of, inner, layer)
      return of && { ...e, of }
    }
    case 'add': {
      if (e.of.some((part) => part.shape.some((n, i) => n !== e.shape[i]))) return null // a reshape
      const of = e.of.map((part) => scaleChannels(part, scale, layer))
      return of.every((part) => part !== null) ? { ...e, of } : null
    }
    case 'zero':
      return e
    default:
      return null
  }
}

/** A map with a public factor per position times secret ones per channel: region by region of equal factors. */
function scaleRegions(
  { of, shape }: Extract<Expression, { kind: 'lift' }>,
  factor: readonly number[],
  scale: Float32Array,
  layer: string,
): Expression {
  const [c, h, w] = shape
  const rows = runs(h, (i, j) =>
    Array.from({ length: w }, (_, x) => x).every((x) => factor[i * w + x] === factor[j * w + x]),
  )
  const columns = runs(w, (i, j) =>
    Array.from({ length: h }, (_, y) => y).every((y) => factor[y * w + i] === factor[y * w + j]),
  )
  const regions = rows.flatMap(([top, height]) =>
    columns.map(([left, width]): Expression => {
      const cut = {
        kind: 'embed',
        stride: [1, 1],
        from: [top, left],
        at: [0, 0, 0],
        shape: [c, height, width],
      } as const
      const by = scale.map((s) => s * factor[top * w + left])
      const filter = affineFilter(layer, cut.shape, by, new Float32Array(c))
      const conv: Expression = { kind: 'conv', of: { ...cut, of }, filter, shape: cut.shape }
      return { kind: 'embed', of: conv, stride: [1, 1], from: [0, 0], at: [0, top, left], shape }
    }),
  )
  return { kind: 'add', of: regions, shape }
}

/** [start, length] of runs of lines that are alike. */
function runs(count: number, alike: (i: number, j: number) => boolean): [number, number][] {
  const found: [number, number][] = []
  for (let i = 0; i < count; i++) {
    const last = found[found.length - 1]
    if (last && alike(last[0], i)) last[1]++
    else found.push([i, 1])
  }
  return found
}

/** A convolution of a weighted expression as a weighted expression; null where no rule applies or it would cost too much. */
export function convolved(e: Expression, filter: Filter, shape: MapShape): Expression | null {
  const bare = { ...filter, bias: new Float32Array(filter.bias.length) }
  const linear = convolvedPart(e, bare, shape)
  if (!linear) return null
  return none(filter.bias) ? linear : { kind: 'add', of: [linear, constant(filter.bias, shape)], shape }
}

function convolvedPart(e: Expression, filter: Filter, shape: MapShape): Expression | null {
  switch (e.kind) {
    case 'conv':
      return compose(e, filter, shape)
    case 'negate': {
      const of = convolvedPart(e.of, filter, shape)
      return of && { kind: 'negate', of, shape }
    }
    case 'add': {
      if (e.of.some((part) => part.shape.some((n, i) => n !== e.shape[i]))) return null
      const of = e.of.map((part) => convolvedPart(part, filter, shape))
      return of.every((part) => part !== null) ? { kind: 'add', of, shape } : null
    }
    case 'lift':
      if (typeof e.factor !== 'number' || isFineBlend(e.of)) return null
      return { kind: 'conv', of: e.of, filter: scaled(filter, e.factor), shape }
    case 'constant':
      // Behind padding a constant is no constant any more.
      return none(filter.geometry.pad) ? constant(channelSums(filter, e.values), shape) : null
    default:
      return null
  }
}

const scaled = (filter: Filter, factor: number): Filter => ({
  ...filter,
  weights: filter.weights.map((w) => w * factor),
})

export const constant = (values: Float32Array, shape: MapShape): Expression => ({ kind: 'constant', values, shape })

/** Per output channel: the filter's response to a constant map. */
function channelSums({ geometry: g, weights }: Filter, values: Float32Array): Float32Array {
  if (!isLoaded({ weights })) return new Float32Array(g.cout).fill(1)
  const [perGroup, area] = [g.cin / g.groups, g.kernel[0] * g.kernel[1]]
  return Float32Array.from({ length: g.cout }, (_, c) => {
    const first = Math.floor((c * g.groups) / g.cout) * perGroup
    let sum = 0
    for (let i = 0; i < perGroup; i++) {
      for (let t = 0; t < area; t++) sum += weights[(c * perGroup + i) * area + t] * values[first + i]
    }
    return sum
  })
}

/**
 * The second convolution behind the first, as one. What the second reads outside the first's map is zero, and so must be
 * what the composed window computes there: along each axis either the second has a single tap and stays inside, or the
 * first has a single tap, which computes zero from the zeros outside; biases only where the second has no padding.
 */
function compose(first: Conv, second: Filter, shape: MapShape): Expression | null {
  const [a, b] = [first.filter.geometry, second.geometry]
  const unbiased = none(first.filter.bias)
  const exact = ([0, 1] as const).every(
    (i) => (b.kernel[i] === 1 && b.pad[i] + b.pad[i + 2] === 0) || (a.kernel[i] === 1 && a.stride[i] === 1),
  )
  if (!exact || !(unbiased || none(b.pad))) return null
  const geometry = composedGeometry(a, b)
  const apart = work(a, first.shape) + work(b, shape)
  if (work(geometry, shape) > mostWork(apart)) return null
  const weights = composedWeights(first.filter, second, geometry)
  const bias = unbiased ? new Float32Array(b.cout) : channelSums(second, first.filter.bias)
  const filter = { layer: `${first.filter.layer}+${second.layer}`, geometry, weights, bias }
  return { kind: 'conv', of: first.of, filter, shape }
}

function composedGeometry(a: ConvGeometry, b: ConvGeometry): ConvGeometry {
  const along = (i: 0 | 1) => {
    // On each axis at least one of the two has a single tap.
    const [wide] = a.kernel[i] > 1 ? [a] : [b]
    return { kernel: wide.kernel[i], dilation: wide.dilation[i], stride: a.stride[i] * b.stride[i] }
  }
  const [v, h] = [along(0), along(1)]
  const pad = a.pad.map((p, i) => p + a.stride[i % 2] * b.pad[i]) as [number, number, number, number]
  // Grouped only where both have the same groups of the same channels.
  const groups = a.groups === b.groups && a.cout / a.groups === b.cin / b.groups ? a.groups : 1
  return {
    ...{ cin: a.cin, h: a.h, w: a.w, cout: b.cout, groups, pad },
    ...{ kernel: [v.kernel, h.kernel], dilation: [v.dilation, h.dilation], stride: [v.stride, h.stride] },
  }
}

function composedWeights(first: Filter, second: Filter, g: ConvGeometry): Float32Array {
  if (!isLoaded(first) || !isLoaded(second)) return UNLOADED
  const [a, b] = [first.geometry, second.geometry]
  const [aIn, bIn, gIn] = [a.cin / a.groups, b.cin / b.groups, g.cin / g.groups]
  const [block, size] = [aIn * area(a), gIn * area(g)]
  // Where the weights of one of the first's channels go, counted from the tap they meet.
  const places = Int32Array.from({ length: block }, (_, n) => {
    const tap = n % area(a)
    return Math.floor(n / area(a)) * area(g) + Math.floor(tap / a.kernel[1]) * g.kernel[1] + (tap % a.kernel[1])
  })
  const weights = new Float32Array(g.cout * size)
  const sums = new Float64Array(size)
  for (let out = 0; out < b.cout; out++) {
    const middle = Math.floor((out * b.groups) / b.cout) * bIn
    const from = Math.floor((out * g.groups) / g.cout) * gIn
    sums.fill(0)
    for (let m = 0; m < bIn; m++) {
      const input = Math.floor(((middle + m) * a.groups) / a.cout) * aIn
      const row = (middle + m) * block
      eachTap(b, (y, x) => {
        const to = (input - from) * area(g) + y * g.kernel[1] + x
        const weight = second.weights[((out * bIn + m) * b.kernel[0] + y) * b.kernel[1] + x]
        for (let n = 0; n < block; n++) sums[to + places[n]] += weight * first.weights[row + n]
      })
    }
    weights.set(sums, out * size)
  }
  return weights
}

const area = ({ kernel }: ConvGeometry): number => kernel[0] * kernel[1]

function eachTap({ kernel }: ConvGeometry, visit: (y: number, x: number) => void): void {
  for (let y = 0; y < kernel[0]; y++) for (let x = 0; x < kernel[1]; x++) visit(y, x)
}

/**
 * A sum with fewer parts: convolutions of the same map with the same strides become one over a window that holds theirs,
 * and plain copies of the map (skips) join it.
 */
export function mergedSum(parts: readonly Expression[], shape: MapShape): Expression {
  const flat = parts.flatMap((part) => (part.kind === 'add' && sameShapes(part) ? part.of : [part]))
  const merged: Expression[] = []
  const takeIn = (guest: Conv): boolean =>
    merged.some((host, i) => {
      const union = host.kind === 'conv' ? united(host, guest) : null
      if (union) merged[i] = union
      return union !== null
    })
  // Widest first: it takes in the others.
  const convs = flat.filter((part): part is Conv => part.kind === 'conv').sort((x, y) => reach(y) - reach(x))
  for (const conv of convs) if (!takeIn(conv)) merged.push(conv)
  for (const part of flat) {
    if (part.kind === 'conv') continue
    const skip = asConv(part)
    if (!skip || !takeIn(skip)) merged.push(part)
  }
  return merged.length === 1 ? merged[0] : { kind: 'add', of: merged, shape }
}

const sameShapes = (e: Extract<Expression, { kind: 'add' }>): boolean =>
  e.of.every((part) => part.shape.every((n, i) => n === e.shape[i]))

/** Words of a window; dense before grouped. */
const reach = ({ filter: { geometry: g } }: Conv): number => (g.kernel[0] * g.kernel[1] * 1024) / g.groups

/** A lifted copy of a map as a 1×1 depthwise convolution of it. */
function asConv(e: Expression): Conv | null {
  if (e.kind !== 'lift' || typeof e.factor !== 'number') return null
  const [c] = e.shape
  const filter = affineFilter('skip', e.shape, new Float32Array(c).fill(e.factor), new Float32Array(c))
  return { kind: 'conv', of: e.of, filter, shape: e.shape }
}

/** The sum of two convolutions as one; null where it cannot be one or would cost too much. */
function united(host: Conv, guest: Conv): Conv | null {
  const [a, b] = [host.filter.geometry, guest.filter.geometry]
  if (host.of !== guest.of || a.stride.some((s, i) => s !== b.stride[i])) return null
  const geometry = commonGeometry(a, b, host.shape)
  const apart = work(a, host.shape) + work(b, guest.shape)
  if (work(geometry, host.shape) > mostWork(apart)) return null
  const weights = unitedWeights([host.filter, guest.filter], geometry)
  const bias = host.filter.bias.map((value, c) => value + guest.filter.bias[c])
  return { ...host, filter: { layer: `${host.filter.layer}|${guest.filter.layer}`, geometry, weights, bias } }
}

function unitedWeights(filters: readonly Filter[], g: ConvGeometry): Float32Array {
  if (!filters.every(isLoaded)) return UNLOADED
  const weights = new Float32Array(((g.cout * g.cin) / g.groups) * area(g))
  for (const filter of filters) spread(filter, g, weights)
  return weights
}

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))

/** The smallest window on one grid that has a tap wherever one of the two has, over groups that hold theirs. */
function commonGeometry(a: ConvGeometry, b: ConvGeometry, [, ...size]: MapShape): ConvGeometry {
  const along = (i: 0 | 1) => {
    const before = Math.max(a.pad[i], b.pad[i])
    const end = (g: ConvGeometry) => g.dilation[i] * (g.kernel[i] - 1) - g.pad[i]
    const last = Math.max(end(a), end(b))
    const steps = [a, b].flatMap((g) => [g.kernel[i] > 1 ? g.dilation[i] : 0, before - g.pad[i]])
    const dilation = steps.reduce(gcd) || 1
    const after = Math.max(0, (size[i] - 1) * a.stride[i] + last + 1 - [a.h, a.w][i])
    return { before, after, dilation, kernel: (last + before) / dilation + 1 }
  }
  const [v, h] = [along(0), along(1)]
  return {
    ...{ cin: a.cin, h: a.h, w: a.w, cout: a.cout, stride: a.stride, groups: gcd(a.groups, b.groups) },
    ...{ kernel: [v.kernel, h.kernel], dilation: [v.dilation, h.dilation] },
    pad: [v.before, h.before, v.after, h.after],
  }
}

/** Adds a filter's weights where the wider geometry `g` has the same taps of the same channels. */
function spread({ geometry, weights }: Filter, g: ConvGeometry, to: Float32Array): void {
  const [from, gIn] = [geometry.cin / geometry.groups, g.cin / g.groups]
  const place = (axis: 0 | 1, tap: number) =>
    (tap * geometry.dilation[axis] - geometry.pad[axis] + g.pad[axis]) / g.dilation[axis]
  for (let out = 0; out < g.cout; out++) {
    // Channels of the filter's group, counted from the first of the wider one's.
    const shift = Math.floor((out * geometry.groups) / g.cout) * from - Math.floor((out * g.groups) / g.cout) * gIn
    for (let i = 0; i < from; i++) {
      eachTap(geometry, (y, x) => {
        const tap = place(0, y) * g.kernel[1] + place(1, x)
        to[(out * gIn + shift + i) * area(g) + tap] +=
          weights[((out * from + i) * geometry.kernel[0] + y) * geometry.kernel[1] + x]
      })
    }
  }
}
