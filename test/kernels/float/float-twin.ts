// Float kernels as their definitions read, in double precision, with the size of what was summed: an f32 sum of n terms
// may be off by about n·2^-24 of the sum of their absolute values.
import { type ConvGeometry, outputSize } from '../../../src/kernels/geometry.js'

export interface Sums {
  values: Float64Array
  /** Sum of the absolute values of the terms, per output. */
  sizes: Float64Array
}

export function conv(g: ConvGeometry, x: ArrayLike<number>, w: ArrayLike<number>, bias: ArrayLike<number>): Sums {
  const [oh, ow] = outputSize(g)
  const [kh, kw] = g.kernel
  const perIn = g.cin / g.groups
  const perOut = g.cout / g.groups
  const values = new Float64Array(g.cout * oh * ow)
  const sizes = new Float64Array(values.length)
  for (let i = 0; i < values.length; i++) {
    const o = Math.floor(i / (oh * ow))
    const first = Math.floor(o / perOut) * perIn
    values[i] = bias[o]
    sizes[i] = Math.abs(bias[o])
    for (let t = 0; t < perIn * kh * kw; t++) {
      const c = first + Math.floor(t / (kh * kw))
      const y = (Math.floor(i / ow) % oh) * g.stride[0] + (Math.floor(t / kw) % kh) * g.dilation[0] - g.pad[0]
      const z = (i % ow) * g.stride[1] + (t % kw) * g.dilation[1] - g.pad[1]
      if (y < 0 || y >= g.h || z < 0 || z >= g.w) continue
      const product = w[o * perIn * kh * kw + t] * x[(c * g.h + y) * g.w + z]
      values[i] += product
      sizes[i] += Math.abs(product)
    }
  }
  return { values, sizes }
}

export const within = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high)

export interface Pool {
  c: number
  h: number
  w: number
  kernel: readonly [number, number]
  stride: readonly [number, number]
  pad: readonly [number, number, number, number]
  out: readonly [number, number]
}

/** The elements of the map in every window, and how many places of the padded map it covers. */
export function poolWindows(g: Pool, x: ArrayLike<number>): { elements: number[]; places: number }[] {
  const [top, left, bottom, right] = g.pad
  return Array.from({ length: g.c * g.out[0] * g.out[1] }, (_, i) => {
    const c = Math.floor(i / (g.out[0] * g.out[1]))
    const y0 = (Math.floor(i / g.out[1]) % g.out[0]) * g.stride[0] - top
    const x0 = (i % g.out[1]) * g.stride[1] - left
    const elements: number[] = []
    let places = 0
    for (let y = y0; y < y0 + g.kernel[0]; y++) {
      for (let z = x0; z < x0 + g.kernel[1]; z++) {
        if (y < g.h + bottom && z < g.w + right) places++
        if (y >= 0 && y < g.h && z >= 0 && z < g.w) elements.push(x[(c * g.h + y) * g.w + z])
      }
    }
    return { elements, places }
  })
}

/** Mean of every block in double precision decides for all of its elements. */
export function blockActivation(
  x: ArrayLike<number>,
  blocks: readonly (readonly [number, number])[],
  low: number,
  high: number,
  h: number,
  w: number,
): number[] {
  return Array.from({ length: x.length }, (_, i) => {
    const c = Math.floor(i / (h * w))
    const [bh, bw] = blocks[c]
    if (bw === 0) return 0
    if (bh === 0) return x[i]
    const top = Math.floor((Math.floor(i / w) % h) / bh) * bh
    const left = Math.floor((i % w) / bw) * bw
    let sum = 0
    let count = 0
    for (let y = top; y < Math.min(top + bh, h); y++) {
      for (let z = left; z < Math.min(left + bw, w); z++, count++) sum += x[(c * h + y) * w + z]
    }
    return sum < low * count ? low : sum > high * count ? high : x[i]
  })
}
