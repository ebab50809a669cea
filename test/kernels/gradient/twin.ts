// Gradients as their definitions read, in double precision: each element of the gradient walks back to where the forward
// definition took it from. `sizes` are sums of absolute terms, as in the twins of the forward kernels.
import { type ConvGeometry, outputSize } from '../../../src/kernels/geometry.js'
import type { Pool, Sums } from '../float/float-twin.js'

const sums = (length: number): Sums => ({ values: new Float64Array(length), sizes: new Float64Array(length) })

function add({ values, sizes }: Sums, at: number, term: number): void {
  values[at] += term
  sizes[at] += Math.abs(term)
}

/** Of input and weights of a convolution. */
export function convGradients(
  g: ConvGeometry,
  x: ArrayLike<number>,
  w: ArrayLike<number>,
  dy: ArrayLike<number>,
): { dx: Sums; dw: Sums } {
  const [oh, ow] = outputSize(g)
  const [kh, kw] = g.kernel
  const perIn = g.cin / g.groups
  const dx = sums(g.cin * g.h * g.w)
  const dw = sums(g.cout * perIn * kh * kw)
  for (let i = 0; i < g.cout * oh * ow; i++) {
    const o = Math.floor(i / (oh * ow))
    const first = Math.floor(o / (g.cout / g.groups)) * perIn
    for (let t = 0; t < perIn * kh * kw; t++) {
      const c = first + Math.floor(t / (kh * kw))
      const y = (Math.floor(i / ow) % oh) * g.stride[0] + (Math.floor(t / kw) % kh) * g.dilation[0] - g.pad[0]
      const z = (i % ow) * g.stride[1] + (t % kw) * g.dilation[1] - g.pad[1]
      if (y < 0 || y >= g.h || z < 0 || z >= g.w) continue
      const [from, weight] = [(c * g.h + y) * g.w + z, o * perIn * kh * kw + t]
      add(dx, from, dy[i] * w[weight])
      add(dw, weight, dy[i] * x[from])
    }
  }
  return { dx, dw }
}

/** Of an average pool, or with x of a maximum pool. */
export function poolGradient(g: Pool, dy: ArrayLike<number>, countPad: boolean, x?: ArrayLike<number>): Sums {
  const [top, left, bottom, right] = g.pad
  const dx = sums(g.c * g.h * g.w)
  for (let i = 0; i < g.c * g.out[0] * g.out[1]; i++) {
    const c = Math.floor(i / (g.out[0] * g.out[1]))
    const y0 = (Math.floor(i / g.out[1]) % g.out[0]) * g.stride[0] - top
    const z0 = (i % g.out[1]) * g.stride[1] - left
    const inside: number[] = []
    let places = 0
    for (let y = y0; y < y0 + g.kernel[0]; y++) {
      for (let z = z0; z < z0 + g.kernel[1]; z++) {
        if (y < g.h + bottom && z < g.w + right) places++
        if (y >= 0 && y < g.h && z >= 0 && z < g.w) inside.push((c * g.h + y) * g.w + z)
      }
    }
    if (x)
      add(
        dx,
        inside.reduce((best, at) => (x[at] > x[best] ? at : best), inside[0]),
        dy[i],
      )
    else for (const at of inside) add(dx, at, dy[i] / (countPad ? places : inside.length))
  }
  return dx
}

/** Which elements an activation passes: those of blocks whose mean lies within the bounds. */
export function openGates(
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
    if (bw === 0 || bh === 0) return bw === 0 ? 0 : 255
    const [y0, x0] = [Math.floor((Math.floor(i / w) % h) / bh) * bh, Math.floor((i % w) / bw) * bw]
    let sum = 0
    let size = 0
    for (let y = y0; y < Math.min(y0 + bh, h); y++) {
      for (let z = x0; z < Math.min(x0 + bw, w); z++, size++) sum += x[(c * h + y) * w + z]
    }
    return sum < low * size || sum > high * size ? 0 : 255
  })
}
