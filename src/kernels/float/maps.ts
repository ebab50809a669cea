// Float32 kernels other than convolution, on CHW maps. An activation is a pair of bounds, low <= high, that results are cut
// to: [0, ∞] is a ReLU, [0, 6] a ReLU6; a NaN stays one. Elementwise calls may work in place, nothing else may.
import { expectDisjoint, expectInteger, expectSameOrDisjoint, expectWords } from '../guard.js'
import type { Region } from '../memory.js'
import type { FloatKernels } from './instance.js'

export interface Bounds {
  readonly low: number
  readonly high: number
}
/** No activation. */
export const UNBOUNDED: Bounds = { low: Number.NEGATIVE_INFINITY, high: Number.POSITIVE_INFINITY }

/** Channels, height and width of a map; a vector is one row of one channel or n channels of one element. */
export interface MapSize {
  readonly c: number
  readonly h: number
  readonly w: number
}

const LIMIT = 2 ** 28

function expectMapped(call: string, x: Region, out: Region, n: number): void {
  expectWords(call, 'x', x, n, 4)
  expectWords(call, 'out', out, n, 4)
  expectSameOrDisjoint(call, out, x, 4 * n)
}

function expectMaps(call: string, x: Region, { c, h, w }: MapSize, y: Region, oh: number, ow: number): void {
  for (const [name, value] of Object.entries({ c, h, w, oh, ow })) expectInteger(call, name, value, 1, LIMIT)
  expectWords(call, 'x', x, c * h * w, 4)
  expectWords(call, 'y', y, c * oh * ow, 4)
  expectDisjoint(call, y, 4 * c * oh * ow, x, 4 * c * h * w)
}

/** out[i] = x[i] cut to `bounds`. */
export function clampF32(k: FloatKernels, x: Region, bounds: Bounds, out: Region, n: number): void {
  expectMapped('clampF32', x, out, n)
  k.float.clampF32(x.ptr, bounds.low, bounds.high, out.ptr, n)
}

/** out[i] = a[i] + b[i], cut to `bounds`. */
export function addF32(
  k: FloatKernels,
  a: Region,
  b: Region,
  out: Region,
  n: number,
  bounds: Bounds = UNBOUNDED,
): void {
  expectMapped('addF32', a, out, n)
  expectMapped('addF32', b, out, n)
  k.float.addF32(a.ptr, b.ptr, bounds.low, bounds.high, out.ptr, n)
}

/** out[i] = a[i] - b[i]. */
export function subF32(k: FloatKernels, a: Region, b: Region, out: Region, n: number): void {
  expectMapped('subF32', a, out, n)
  expectMapped('subF32', b, out, n)
  k.float.subF32(a.ptr, b.ptr, out.ptr, n)
}

/** out[i] += x[i]·factor. */
export function addScaledF32(k: FloatKernels, x: Region, factor: number, out: Region, n: number): void {
  expectMapped('addScaledF32', x, out, n)
  k.float.addScaledF32(x.ptr, factor, out.ptr, n)
}

/** out[c, n] = x[c, n]·factors[c] + shifts[c], cut to `bounds`. */
export function affineF32(
  k: FloatKernels,
  x: Region,
  factors: Region,
  shifts: Region,
  out: Region,
  channels: number,
  n: number,
  bounds: Bounds = UNBOUNDED,
): void {
  expectMapped('affineF32', x, out, channels * n)
  expectWords('affineF32', 'factors', factors, channels, 4)
  expectWords('affineF32', 'shifts', shifts, channels, 4)
  for (const perChannel of [factors, shifts])
    expectDisjoint('affineF32', out, 4 * channels * n, perChannel, 4 * channels)
  k.float.affineF32(x.ptr, factors.ptr, shifts.ptr, bounds.low, bounds.high, out.ptr, channels, n)
}

/**
 * One activation per block of a channel: a block passes on every element while its mean lies within the bounds, else each
 * element becomes the bound that the mean passed. Blocks at the edge are cut to the map.
 * @param blocks two i32 words per channel, height and width; [0, 1] passes the channel on, [1, 0] makes it zero
 */
export function blockActivationF32(
  k: FloatKernels,
  x: Region,
  blocks: Region,
  bounds: Bounds,
  out: Region,
  size: MapSize,
): void {
  expectMaps('blockActivationF32', x, size, out, size.h, size.w)
  const { c, h, w } = size
  expectWords('blockActivationF32', 'blocks', blocks, 2 * c, 4)
  expectDisjoint('blockActivationF32', out, 4 * c * h * w, blocks, 8 * c)
  const sizes = blocks.i32()
  for (let i = 0; i < 2 * c; i++) expectInteger('blockActivationF32', 'block', sizes[i], 0, LIMIT)
  const scratch = k.memory.alloc(16 * w)
  k.float.blockActivationF32(x.ptr, blocks.ptr, bounds.low, bounds.high, out.ptr, c, h, w, scratch.ptr)
  scratch.release()
}

/** Elements of bit 1 are cut to `bounds`; those of bit 0 stay (`pass`) or become zero. `bits`: one byte per element. */
export function maskActivationF32(
  k: FloatKernels,
  x: Region,
  bits: Region,
  pass: boolean,
  bounds: Bounds,
  out: Region,
  n: number,
): void {
  expectMapped('maskActivationF32', x, out, n)
  expectWords('maskActivationF32', 'bits', bits, n, 1)
  expectDisjoint('maskActivationF32', out, 4 * n, bits, n)
  k.float.maskActivationF32(x.ptr, bits.ptr, Number(pass), bounds.low, bounds.high, out.ptr, n)
}

export interface FloatPool extends MapSize {
  readonly kernel: readonly [number, number]
  readonly stride: readonly [number, number]
  /** Top, left, bottom, right. */
  readonly pad: readonly [number, number, number, number]
  /** Output height and width. */
  readonly out: readonly [number, number]
}

function poolWords(call: string, g: FloatPool, x: Region, y: Region): number[] {
  expectMaps(call, x, g, y, ...g.out)
  for (const value of [...g.kernel, ...g.stride]) expectInteger(call, 'kernel, stride', value, 1, LIMIT)
  for (const value of g.pad) expectInteger(call, 'pad', value, 0, LIMIT)
  // FloatKernels compute positions in i32: where one wrapped, they would read beside the map.
  for (const axis of [0, 1] as const) {
    expectInteger(call, 'reach', (g.out[axis] - 1) * g.stride[axis] + g.kernel[axis], 1, LIMIT)
  }
  return [x.ptr, g.c, g.h, g.w, ...g.kernel, ...g.stride]
}

/**
 * y[c, oh, ow] = means of x[c, h, w] over windows cut to the map, which must each hold an element of it.
 * @param countPad divide by the window's size within the padded map, not by the number of elements in it
 */
export function avgPoolF32(k: FloatKernels, g: FloatPool, x: Region, countPad: boolean, y: Region): void {
  k.float.avgPoolF32(...poolWords('avgPoolF32', g, x, y), ...g.pad, ...g.out, Number(countPad), y.ptr)
}

/** y[c, oh, ow] = largest element of x[c, h, w] in each window; what lies outside the map does not count. */
export function maxPoolF32(k: FloatKernels, g: FloatPool, x: Region, y: Region): void {
  k.float.maxPoolF32(...poolWords('maxPoolF32', g, x, y), g.pad[0], g.pad[1], ...g.out, y.ptr)
}

/** y[c, oh, ow] = `fill` but for x, whose first row and column go to `top` and `left`; negative ones crop. */
export function padF32(
  k: FloatKernels,
  size: MapSize,
  x: Region,
  [top, left]: readonly [number, number],
  fill: number,
  [oh, ow]: readonly [number, number],
  y: Region,
): void {
  expectMaps('padF32', x, size, y, oh, ow)
  for (const value of [top, left]) expectInteger('padF32', 'offset', value, -LIMIT, LIMIT)
  k.float.padF32(x.ptr, size.c, size.h, size.w, top, left, fill, oh, ow, y.ptr)
}

/** One output row (or column) between two of the input: (1 - weight)·x[first] + weight·x[second]. */
export interface Blend {
  readonly first: number
  readonly second: number
  readonly weight: number
}

/** The form in which `resizeF32` reads the blends of one axis. */
export function blendTable(k: FloatKernels, blends: readonly Blend[]): Region {
  const table = k.memory.alloc(12 * blends.length)
  const words = table.i32()
  const floats = table.f32()
  blends.forEach(({ first, second, weight }, i) => {
    words[3 * i] = first
    words[3 * i + 1] = second
    floats[3 * i + 2] = weight
  })
  return table
}

/** y[c, oh, ow]: every row blended from two rows of x, every column from two columns. Tables are `blendTable`'s. */
export function resizeF32(
  k: FloatKernels,
  size: MapSize,
  x: Region,
  rows: Region,
  columns: Region,
  [oh, ow]: readonly [number, number],
  y: Region,
): void {
  expectMaps('resizeF32', x, size, y, oh, ow)
  expectBlends('rows', rows, oh, size.h)
  expectBlends('columns', columns, ow, size.w)
  for (const [table, lines] of [[rows, oh] as const, [columns, ow] as const]) {
    expectDisjoint('resizeF32', y, 4 * size.c * oh * ow, table, 12 * lines)
  }
  k.float.resizeF32(x.ptr, size.c, size.h, size.w, rows.ptr, columns.ptr, oh, ow, y.ptr)
}

function expectBlends(name: string, table: Region, count: number, size: number): void {
  expectWords('resizeF32', name, table, 3 * count, 4)
  const words = table.i32()
  for (let i = 0; i < 3 * count; i += 3) {
    expectInteger('resizeF32', name, words[i], 0, size - 1)
    expectInteger('resizeF32', name, words[i + 1], 0, size - 1)
  }
}
