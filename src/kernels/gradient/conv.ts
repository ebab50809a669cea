// Both gradients of a convolution: that of its input is a convolution with the kernels turned around, that of its weights
// a product of the gradient with the image. Results do not depend on the build.
import { RingfenceError } from '../../errors.js'
import { type ConvLayout, layoutOf, writeTables } from '../conv.js'
import { convF32, type FloatConv, packConvF32, repackConvF32 } from '../float/conv.js'
import type { FloatKernels } from '../float/instance.js'
import { type ConvGeometry, geometryProblems, outputSize } from '../geometry.js'
import { expectDisjoint, expectInstance, expectWords } from '../guard.js'
import type { KernelExports, Region } from '../instance.js'
import { embed32 } from '../planes.js'

/** What the gradients of one convolution need; made by `prepareConvGradient`. */
export interface ConvGradient {
  readonly geometry: ConvGeometry
  /** @internal The instance whose memory holds `tables`. */
  readonly raw: KernelExports
  /** @internal Offsets of taps and pixels in the padded image. */
  readonly tables: Region
  /** @internal */ readonly layout: ConvLayout
  /** @internal The convolution that leads from the spread gradient to the input's. */
  readonly back: FloatConv
  release(): void
}

/**
 * @param weights [cout, cin/groups, kh, kw], as `packConvF32` takes them
 * @throws RingfenceError BAD_INPUT with every problem of the geometry
 */
export function prepareConvGradient(k: FloatKernels, g: ConvGeometry, weights: Float32Array): ConvGradient {
  const problems = geometryProblems(g)
  if (problems.length > 0) throw new RingfenceError('BAD_INPUT', 'not a convolution', problems)
  const layout = layoutOf(g)
  const back = packConvF32(k, turnedGeometry(g), turned(g, weights))
  const tables = k.memory.alloc(4 * (layout.depth + layout.n + 8))
  writeTables(tables.u32(), g, layout, 4)
  const release = () => {
    tables.release()
    back.release()
  }
  return { geometry: g, raw: k.raw, tables, layout, back, release }
}

/** Other weights for the same convolution. */
export function reloadConvGradient(k: FloatKernels, conv: ConvGradient, weights: Float32Array): void {
  repackConvF32(k, conv.back, turned(conv.geometry, weights))
}

/** Input: the gradient spread out to where each output's window lies; output: the image, exactly. */
function turnedGeometry(g: ConvGeometry): ConvGeometry {
  const [h, w] = [g.h + g.dilation[0] * (g.kernel[0] - 1), g.w + g.dilation[1] * (g.kernel[1] - 1)]
  return { ...g, cin: g.cout, cout: g.cin, h, w, stride: [1, 1], pad: [0, 0, 0, 0] }
}

/** Every kernel turned by half a circle; within each group, inputs and outputs change places. */
function turned(g: ConvGeometry, weights: Float32Array): Float32Array {
  const taps = g.kernel[0] * g.kernel[1]
  const [inputs, outputs] = [g.cin / g.groups, g.cout / g.groups]
  const out = new Float32Array(weights.length)
  for (let o = 0, from = 0; o < g.cout; o++) {
    const group = Math.floor(o / outputs)
    for (let c = 0; c < inputs; c++, from += taps) {
      const to = ((group * inputs + c) * outputs + (o % outputs)) * taps + taps - 1
      for (let t = 0; t < taps; t++) out[to - t] = weights[from + t]
    }
  }
  return out
}

/** dx[cin, h, w] from dy[cout, oh, ow]. */
export function inputGradF32(k: FloatKernels, conv: ConvGradient, dy: Region, dx: Region): void {
  const { geometry: g, layout: l, back } = conv
  const [oh, ow] = outputSize(g)
  expectInstance('inputGradF32', 'weights', conv.raw, k)
  expectWords('inputGradF32', 'dy', dy, g.cout * l.n, 4)
  expectWords('inputGradF32', 'dx', dx, g.cin * g.h * g.w, 4)
  expectDisjoint('inputGradF32', dx, 4 * g.cin * g.h * g.w, dy, 4 * g.cout * l.n)
  const { h, w } = back.geometry
  const [top, left] = [g.dilation[0] * (g.kernel[0] - 1) - g.pad[0], g.dilation[1] * (g.kernel[1] - 1) - g.pad[1]]
  const spread = k.memory.alloc(4 * g.cout * h * w)
  k.float.spreadF32(dy.ptr, g.cout, oh, ow, ...g.stride, top, left, spread.ptr, h, w)
  convF32(k, back, spread, dx)
  spread.release()
}

/** dw[cout, cin/groups, kh, kw] += what the picture x[cin, h, w] with the gradient dy[cout, oh, ow] gives. */
export function weightGradF32(k: FloatKernels, conv: ConvGradient, x: Region, dy: Region, dw: Region): void {
  const { geometry: g, layout: l, tables } = conv
  const [oh, ow] = outputSize(g)
  expectInstance('weightGradF32', 'weights', conv.raw, k)
  expectWords('weightGradF32', 'x', x, g.cin * g.h * g.w, 4)
  expectWords('weightGradF32', 'dy', dy, g.cout * l.n, 4)
  expectWords('weightGradF32', 'dw', dw, g.cout * l.depth, 4)
  for (const [operand, words] of [[x, g.cin * g.h * g.w] as const, [dy, g.cout * l.n] as const]) {
    expectDisjoint('weightGradF32', dw, 4 * g.cout * l.depth, operand, 4 * words)
  }
  const image = g.pad.some((edge) => edge > 0) ? padded(k, g, l, x) : x
  const plane = 4 * l.ph * l.pw
  if (l.depthwise) {
    const { stride, groups } = g
    k.float.depthwiseWeightGradF32(
      ...([image.ptr, dy.ptr, tables.ptr, l.depth, dw.ptr, groups, l.rows, 4 * l.pw, plane] as const),
      ...([...stride, oh, ow] as const),
    )
  } else {
    const scratch = k.memory.alloc(k.float.weightGradScratch(l.rows))
    k.float.weightGradF32(
      ...([image.ptr, dy.ptr, tables.ptr, tables.ptr + l.pixels, dw.ptr, g.groups, l.rows, l.depth, l.n] as const),
      ...([(g.cin / g.groups) * plane, scratch.ptr] as const),
    )
    scratch.release()
  }
  if (image !== x) image.release()
}

function padded(k: FloatKernels, g: ConvGeometry, l: ConvLayout, x: Region): Region {
  const image = k.memory.alloc(4 * g.cin * l.ph * l.pw)
  const from = { c: g.cin, h: g.h, w: g.w, stride: [1, 1], offset: [0, 0] } as const
  embed32(k, from, x, { channels: g.cin, h: l.ph, w: l.pw, channelOffset: 0, top: g.pad[0], left: g.pad[1] }, image)
  return image
}
