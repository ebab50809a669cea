// Gradients of the float kernels other than convolution, and activations that keep their gates: one byte per element, all
// bits where it passed, none elsewhere. Elementwise calls may work in place, nothing else may.

import type { FloatKernels } from '../float/instance.js'
import type { Bounds, FloatPool, MapSize } from '../float/maps.js'
import { expectDisjoint, expectInteger, expectSameOrDisjoint, expectWords } from '../guard.js'
import type { Region } from '../memory.js'

const LIMIT = 2 ** 28

function expectGated(call: string, x: Region, out: Region, gates: Region, n: number): void {
  expectWords(call, 'x', x, n, 4)
  expectWords(call, 'out', out, n, 4)
  expectWords(call, 'gates', gates, n, 1)
  expectSameOrDisjoint(call, out, x, 4 * n)
  for (const region of [x, out]) expectDisjoint(call, gates, n, region, 4 * n)
}

/** As `clampF32`, with gates [n]. */
export function gatedClampF32(
  k: FloatKernels,
  x: Region,
  { low, high }: Bounds,
  out: Region,
  gates: Region,
  n: number,
): void {
  expectGated('gatedClampF32', x, out, gates, n)
  k.float.gatedClampF32(x.ptr, low, high, out.ptr, gates.ptr, n)
}

/** As `blockActivationF32`, with gates [c·h·w]. */
export function gatedBlocksF32(
  k: FloatKernels,
  x: Region,
  blocks: Region,
  { low, high }: Bounds,
  out: Region,
  gates: Region,
  { c, h, w }: MapSize,
): void {
  const call = 'gatedBlocksF32'
  for (const value of [c, h, w]) expectInteger(call, 'size', value, 1, LIMIT)
  expectGated(call, x, out, gates, c * h * w)
  expectDisjoint(call, out, 4 * c * h * w, x, 4 * c * h * w)
  expectWords(call, 'blocks', blocks, 2 * c, 4)
  expectDisjoint(call, out, 4 * c * h * w, blocks, 8 * c)
  expectDisjoint(call, gates, c * h * w, blocks, 8 * c)
  const sizes = blocks.i32()
  for (let i = 0; i < 2 * c; i++) expectInteger(call, 'block', sizes[i], 0, LIMIT)
  const scratch = k.memory.alloc(16 * w)
  k.float.gatedBlocksF32(x.ptr, blocks.ptr, low, high, out.ptr, gates.ptr, c, h, w, scratch.ptr)
  scratch.release()
}

/** As `maskActivationF32`, with gates [n]. */
export function gatedMaskF32(
  k: FloatKernels,
  x: Region,
  bits: Region,
  pass: boolean,
  { low, high }: Bounds,
  out: Region,
  gates: Region,
  n: number,
): void {
  expectGated('gatedMaskF32', x, out, gates, n)
  expectWords('gatedMaskF32', 'bits', bits, n, 1)
  expectDisjoint('gatedMaskF32', out, 4 * n, bits, n)
  expectDisjoint('gatedMaskF32', gates, n, bits, n)
  k.float.gatedMaskF32(x.ptr, bits.ptr, Number(pass), low, high, out.ptr, gates.ptr, n)
}

/** out[i] = x[i] where the gate is open, else 0. */
export function gateF32(k: FloatKernels, x: Region, gates: Region, out: Region, n: number): void {
  expectGated('gateF32', x, out, gates, n)
  k.float.gateF32(x.ptr, gates.ptr, out.ptr, n)
}

/** out[i] = a·cut(x[i]) + (1 - a)·x[i] with a = factors[i], where `cut` is `clampF32`. */
export function mixedClampF32(
  k: FloatKernels,
  x: Region,
  factors: Region,
  { low, high }: Bounds,
  out: Region,
  n: number,
): void {
  const call = 'mixedClampF32'
  for (const [name, region] of [['x', x] as const, ['factors', factors] as const, ['out', out] as const]) {
    expectWords(call, name, region, n, 4)
  }
  for (const region of [x, factors]) expectSameOrDisjoint(call, out, region, 4 * n)
  k.float.mixedClampF32(x.ptr, factors.ptr, low, high, out.ptr, n)
}

/** The way back: g [n] becomes the gradient of x, and sums[i] += the factor's. */
export function mixedClampGradF32(
  k: FloatKernels,
  x: Region,
  factors: Region,
  { low, high }: Bounds,
  g: Region,
  sums: Region,
  n: number,
): void {
  const call = 'mixedClampGradF32'
  for (const [name, region] of [['x', x] as const, ['factors', factors] as const]) {
    expectWords(call, name, region, n, 4)
    for (const written of [g, sums]) expectDisjoint(call, written, 4 * n, region, 4 * n)
  }
  expectWords(call, 'g', g, n, 4)
  expectWords(call, 'sums', sums, n, 4)
  expectDisjoint(call, g, 4 * n, sums, 4 * n)
  k.float.mixedClampGradF32(x.ptr, factors.ptr, low, high, g.ptr, sums.ptr, n)
}

/**
 * y[c, ph, pw] = 0 but for x[c, h, w], whose element (i, j) goes to (i·stride + top, j·stride + left) where that is
 * inside.
 */
export function spreadF32(
  k: FloatKernels,
  { c, h, w }: MapSize,
  x: Region,
  stride: readonly [number, number],
  [top, left]: readonly [number, number],
  [ph, pw]: readonly [number, number],
  y: Region,
): void {
  for (const value of [c, h, w, ph, pw, ...stride]) expectInteger('spreadF32', 'size', value, 1, LIMIT)
  for (const value of [top, left]) expectInteger('spreadF32', 'offset', value, -LIMIT, LIMIT)
  for (const axis of [0, 1] as const) {
    expectInteger('spreadF32', 'reach', ([h, w][axis] - 1) * stride[axis], 0, LIMIT)
  }
  expectWords('spreadF32', 'x', x, c * h * w, 4)
  expectWords('spreadF32', 'y', y, c * ph * pw, 4)
  expectDisjoint('spreadF32', y, 4 * c * ph * pw, x, 4 * c * h * w)
  k.float.spreadF32(x.ptr, c, h, w, ...stride, top, left, y.ptr, ph, pw)
}

function poolWords(call: string, g: FloatPool, dy: Region, dx: Region): number[] {
  const { c, h, w, kernel, stride, pad, out } = g
  for (const value of [c, h, w, ...kernel, ...stride, ...out]) expectInteger(call, 'size', value, 1, LIMIT)
  for (const value of pad) expectInteger(call, 'pad', value, 0, LIMIT)
  for (const axis of [0, 1] as const) {
    expectInteger(call, 'reach', (out[axis] - 1) * stride[axis] + kernel[axis], 1, [h, w][axis] + pad[axis] + LIMIT)
  }
  expectWords(call, 'dy', dy, c * out[0] * out[1], 4)
  expectWords(call, 'dx', dx, c * h * w, 4)
  expectDisjoint(call, dx, 4 * c * h * w, dy, 4 * c * out[0] * out[1])
  return [c, h, w, ...kernel, ...stride]
}

/** dx[c, h, w] of `avgPoolF32`. */
export function avgPoolGradF32(k: FloatKernels, g: FloatPool, dy: Region, countPad: boolean, dx: Region): void {
  const words = poolWords('avgPoolGradF32', g, dy, dx)
  k.float.avgPoolGradF32(dy.ptr, ...words, ...g.pad, ...g.out, Number(countPad), dx.ptr)
}

/** dx[c, h, w] of `maxPoolF32` on x: to the first of equal largest elements. Every window must hold an element of x. */
export function maxPoolGradF32(k: FloatKernels, g: FloatPool, x: Region, dy: Region, dx: Region): void {
  const words = poolWords('maxPoolGradF32', g, dy, dx)
  expectWords('maxPoolGradF32', 'x', x, g.c * g.h * g.w, 4)
  expectDisjoint('maxPoolGradF32', dx, 4 * g.c * g.h * g.w, x, 4 * g.c * g.h * g.w)
  for (const axis of [0, 1] as const) {
    const size = [g.h, g.w][axis]
    expectInteger('maxPoolGradF32', 'first window', g.kernel[axis] - g.pad[axis], 1, LIMIT)
    expectInteger('maxPoolGradF32', 'last window', (g.out[axis] - 1) * g.stride[axis] - g.pad[axis], -LIMIT, size - 1)
  }
  k.float.maxPoolGradF32(x.ptr, dy.ptr, ...words, g.pad[0], g.pad[1], ...g.out, dx.ptr)
}

/** dx[c, h, w] of `resizeF32`, with the tables of `blendTable`. */
export function resizeGradF32(
  k: FloatKernels,
  { c, h, w }: MapSize,
  dy: Region,
  rows: Region,
  columns: Region,
  [oh, ow]: readonly [number, number],
  dx: Region,
): void {
  for (const value of [c, h, w, oh, ow]) expectInteger('resizeGradF32', 'size', value, 1, LIMIT)
  expectWords('resizeGradF32', 'dy', dy, c * oh * ow, 4)
  expectWords('resizeGradF32', 'dx', dx, c * h * w, 4)
  expectDisjoint('resizeGradF32', dx, 4 * c * h * w, dy, 4 * c * oh * ow)
  for (const [table, lines, size] of [[rows, oh, h] as const, [columns, ow, w] as const]) {
    expectWords('resizeGradF32', 'blends', table, 3 * lines, 4)
    expectDisjoint('resizeGradF32', dx, 4 * c * h * w, table, 12 * lines)
    const words = table.i32()
    for (let i = 0; i < 3 * lines; i++) {
      if (i % 3 < 2) expectInteger('resizeGradF32', 'blend', words[i], 0, size - 1)
    }
  }
  k.float.resizeGradF32(dy.ptr, c, h, w, rows.ptr, columns.ptr, oh, ow, dx.ptr)
}

/** Σa and Σa·b of a channel. */
export interface ChannelSums {
  readonly sum: Float64Array
  readonly dot: Float64Array
}

/** Sums of a and of a·b [pictures, channels, n] per channel, in double precision. */
export function channelSumsF32(
  k: FloatKernels,
  a: Region,
  b: Region,
  pictures: number,
  channels: number,
  n: number,
): ChannelSums {
  for (const value of [pictures, channels, n]) expectInteger('channelSumsF32', 'size', value, 1, LIMIT)
  for (const region of [a, b]) expectWords('channelSumsF32', 'a, b', region, pictures * channels * n, 4)
  const sums = k.memory.alloc(16 * channels)
  k.float.channelSumsF32(a.ptr, b.ptr, pictures, channels, n, sums.ptr)
  const pairs = sums.f64()
  const pick = (offset: number) => Float64Array.from({ length: channels }, (_, c) => pairs[2 * c + offset])
  const both = { sum: pick(0), dot: pick(1) }
  sums.release()
  return both
}

/** out[c, n] = x[c, n]·p[c] + y[c, n]·q[c] + r[c]; `coefficients`: p, q and r, one after another. */
export function affine2F32(
  k: FloatKernels,
  x: Region,
  y: Region,
  coefficients: Region,
  out: Region,
  channels: number,
  n: number,
): void {
  for (const [name, region] of Object.entries({ x, y, out })) expectWords('affine2F32', name, region, channels * n, 4)
  expectWords('affine2F32', 'coefficients', coefficients, 3 * channels, 4)
  for (const region of [x, y]) expectSameOrDisjoint('affine2F32', out, region, 4 * channels * n)
  expectDisjoint('affine2F32', out, 4 * channels * n, coefficients, 12 * channels)
  const p = coefficients.ptr
  k.float.affine2F32(x.ptr, y.ptr, p, p + 4 * channels, p + 8 * channels, out.ptr, channels, n)
}
