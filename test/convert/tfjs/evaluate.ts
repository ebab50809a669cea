// TensorFlow's operations as their definitions read, on channels-last maps [h,w,c] and vectors [n].
import type { Weight } from './encode.js'

export interface Value {
  readonly shape: readonly number[]
  readonly data: readonly number[]
}

interface Window {
  readonly strides?: readonly [number, number]
  readonly dilation?: readonly [number, number]
  readonly padding?: 'same' | 'valid'
}

const at = ({ shape: [, w, c], data }: Value, y: number, x: number, k: number) => data[(y * w + x) * c + k]

function build(shape: readonly number[], pixel: (y: number, x: number, k: number) => number): Value {
  const [h, w, c] = shape
  return {
    shape,
    data: Array.from({ length: h * w * c }, (_, i) => pixel(Math.floor(i / (w * c)), Math.floor(i / c) % w, i % c)),
  }
}

/** Output size and elements before the map along one axis. */
function extent(size: number, kernel: number, stride: number, dilation: number, padding: string): [number, number] {
  const reach = (kernel - 1) * dilation + 1
  if (padding === 'valid') return [Math.floor((size - reach) / stride) + 1, 0]
  const count = Math.ceil(size / stride)
  return [count, Math.floor(Math.max((count - 1) * stride + reach - size, 0) / 2)]
}

/** Places of the window's elements that lie in the map, with the tap they meet. */
function windows(
  x: Value,
  kernel: readonly number[],
  { strides = [1, 1], dilation = [1, 1], padding = 'valid' }: Window,
) {
  const [oh, top] = extent(x.shape[0], kernel[0], strides[0], dilation[0], padding)
  const [ow, left] = extent(x.shape[1], kernel[1], strides[1], dilation[1], padding)
  const seen = (oy: number, ox: number) => {
    const places: { y: number; z: number; ky: number; kx: number }[] = []
    for (let ky = 0; ky < kernel[0]; ky++) {
      for (let kx = 0; kx < kernel[1]; kx++) {
        const y = oy * strides[0] - top + ky * dilation[0]
        const z = ox * strides[1] - left + kx * dilation[1]
        if (y >= 0 && z >= 0 && y < x.shape[0] && z < x.shape[1]) places.push({ y, z, ky, kx })
      }
    }
    return places
  }
  return { oh, ow, seen }
}

/** kernel [kh,kw,cin/groups,cout]. */
export function conv(x: Value, kernel: Weight, window: Window = {}, bias?: Weight): Value {
  const [, kw, perGroup, cout] = kernel.shape
  const { oh, ow, seen } = windows(x, kernel.shape, window)
  const perOut = (cout * perGroup) / x.shape[2]
  return build([oh, ow, cout], (oy, ox, o) => {
    let sum = bias?.data[o] ?? 0
    for (const { y, z, ky, kx } of seen(oy, ox)) {
      for (let i = 0; i < perGroup; i++) {
        const from = Math.floor(o / perOut) * perGroup + i
        sum += at(x, y, z, from) * kernel.data[((ky * kw + kx) * perGroup + i) * cout + o]
      }
    }
    return sum
  })
}

/** kernel [kh,kw,cin,times]. */
export function depthwise(x: Value, kernel: Weight, window: Window = {}, bias?: Weight): Value {
  const [, kw, cin, times] = kernel.shape
  const { oh, ow, seen } = windows(x, kernel.shape, window)
  return build([oh, ow, cin * times], (oy, ox, o) =>
    seen(oy, ox).reduce((sum, { y, z, ky, kx }) => {
      return sum + at(x, y, z, Math.floor(o / times)) * kernel.data[(ky * kw + kx) * cin * times + o]
    }, bias?.data[o] ?? 0),
  )
}

/** kernel [n,cout]; along the last axis. */
export function dense(x: Value, kernel: Weight, bias?: Weight): Value {
  const [n, cout] = kernel.shape
  const rows = x.data.length / n
  const data = Array.from({ length: rows * cout }, (_, i) => {
    let sum = bias?.data[i % cout] ?? 0
    for (let j = 0; j < n; j++) sum += x.data[Math.floor(i / cout) * n + j] * kernel.data[j * cout + (i % cout)]
    return sum
  })
  return { shape: [...x.shape.slice(0, -1), cout], data }
}

export function pool(kind: 'max' | 'avg', x: Value, size: readonly [number, number], window: Window): Value {
  const { oh, ow, seen } = windows(x, size, window)
  return build([oh, ow, x.shape[2]], (oy, ox, k) => {
    const values = seen(oy, ox).map(({ y, z }) => at(x, y, z, k))
    return kind === 'max' ? Math.max(...values) : values.reduce((a, b) => a + b, 0) / values.length
  })
}

export function globalAverage(x: Value): Value {
  const { data } = pool('avg', x, [x.shape[0], x.shape[1]], {})
  return { shape: [x.shape[2]], data }
}

export function batchNorm(
  x: Value,
  eps: number,
  gamma?: Weight,
  beta?: Weight,
  mean?: Weight,
  variance?: Weight,
): Value {
  const c = x.shape[x.shape.length - 1]
  const data = x.data.map((v, i) => {
    const k = i % c
    const normal = (v - (mean?.data[k] ?? 0)) / Math.sqrt((variance?.data[k] ?? 1) + eps)
    return normal * (gamma?.data[k] ?? 1) + (beta?.data[k] ?? 0)
  })
  return { shape: x.shape, data }
}

export const map = (x: Value, change: (v: number, channel: number) => number): Value => ({
  shape: x.shape,
  data: x.data.map((v, i) => change(v, i % x.shape[x.shape.length - 1])),
})
export const relu = (x: Value): Value => map(x, (v) => Math.max(v, 0))
/** One slope in all, or one per channel of the last axis. */
export const leaky = (x: Value, slopes: readonly number[]): Value =>
  map(x, (v, c) => (v < 0 ? v * slopes[slopes.length === 1 ? 0 : c] : v))
export const relu6 = (x: Value): Value => map(x, (v) => Math.min(Math.max(v, 0), 6))
export const flatten = (x: Value): Value => ({ shape: [x.data.length], data: x.data })
export const add = (a: Value, b: Value): Value => ({ shape: a.shape, data: a.data.map((v, i) => v + b.data[i]) })

export function concat(a: Value, b: Value): Value {
  if (a.shape.length === 1) return { shape: [a.shape[0] + b.shape[0]], data: [...a.data, ...b.data] }
  const [h, w, c] = a.shape
  return build([h, w, c + b.shape[2]], (y, x, k) => (k < c ? at(a, y, x, k) : at(b, y, x, k - c)))
}

/** Rows and columns of `fill`; negative ones crop. */
export function pad(x: Value, [top, left, bottom, right]: readonly number[], fill = 0): Value {
  const [h, w, c] = x.shape
  return build([h + top + bottom, w + left + right, c], (y, z, k) => {
    const inside = y >= top && z >= left && y < top + h && z < left + w
    return inside ? at(x, y - top, z - left, k) : fill
  })
}

export function nearest(x: Value, times: number): Value {
  const [h, w, c] = x.shape
  return build([h * times, w * times, c], (y, z, k) => at(x, Math.floor(y / times), Math.floor(z / times), k))
}

/** Half-pixel centres. */
export function bilinear(x: Value, times: number): Value {
  const [h, w, c] = x.shape
  const place = (i: number, size: number) => Math.min(Math.max((i + 0.5) / times - 0.5, 0), size - 1)
  return build([h * times, w * times, c], (y, z, k) => {
    const [fy, fz] = [place(y, h), place(z, w)]
    const row = (r: number) => {
      const [a, b] = [at(x, r, Math.floor(fz), k), at(x, r, Math.min(Math.floor(fz) + 1, w - 1), k)]
      return a + (b - a) * (fz % 1)
    }
    return row(Math.floor(fy)) + (row(Math.min(Math.floor(fy) + 1, h - 1)) - row(Math.floor(fy))) * (fy % 1)
  })
}

/** The elements channels first, as a converted network has them. */
export function channelsFirst({ shape, data }: Value): number[] {
  if (shape.length !== 3) return [...data]
  const [h, w, c] = shape
  return Array.from({ length: h * w * c }, (_, i) => data[(i % (h * w)) * c + Math.floor(i / (h * w))])
}

/** Of a vector. */
export function softmax({ shape, data }: Value): Value {
  const powers = data.map(Math.exp)
  const sum = powers.reduce((a, b) => a + b)
  return { shape, data: powers.map((power) => power / sum) }
}
