// Whole channel planes, CHW: pooling sums, and one copy with offset and step.

import { outputSize } from './geometry.js'
import { expectDisjoint, expectInteger, expectWords } from './guard.js'
import type { Kernels } from './instance.js'
import type { Region } from './memory.js'

export interface PoolGeometry {
  c: number
  h: number
  w: number
  kernel: readonly [number, number]
  stride: readonly [number, number]
  /** Zeros around the image: top, left, bottom, right. */
  pad: readonly [number, number, number, number]
  /** Output height and width; without it ⌊(size + pads - kernel) / stride⌋ + 1. */
  out?: readonly [number, number]
}

/** Output height and width of a pooling step. */
export function poolSize(g: PoolGeometry): [oh: number, ow: number] {
  return g.out ? [g.out[0], g.out[1]] : outputSize(g)
}

const LIMIT = 2 ** 28

function expectSizes(call: string, sizes: Record<string, number>, low: number): void {
  for (const name in sizes) expectInteger(call, name, sizes[name], low, LIMIT)
}

function poolSum(bits: 32 | 64) {
  const call = `poolSum${bits}` as const
  const bytes = bits === 32 ? 4 : 8
  return (k: Kernels, g: PoolGeometry, x: Region, y: Region): void => {
    const [kh, kw] = g.kernel
    const [sh, sw] = g.stride
    const [oh, ow] = poolSize(g)
    expectSizes(call, { c: g.c, h: g.h, w: g.w, kh, kw, sh, sw }, 1)
    expectSizes(call, { top: g.pad[0], left: g.pad[1], oh, ow }, 0)
    // Kernels compute positions in i32: where one wrapped, they would read beside the image.
    expectSizes(call, { 'reach down': (oh - 1) * sh + kh, 'reach right': (ow - 1) * sw + kw }, -LIMIT)
    expectWords(call, 'x', x, g.c * g.h * g.w, bytes)
    expectWords(call, 'y', y, g.c * oh * ow, bytes)
    expectDisjoint(call, y, g.c * oh * ow * bytes, x, g.c * g.h * g.w * bytes)
    k.raw[call](x.ptr, g.c, g.h, g.w, kh, kw, sh, sw, g.pad[0], g.pad[1], oh, ow, y.ptr)
  }
}

/**
 * y[c, oh, ow] = Σ over each window of x[c, h, w] mod 2^32; what lies outside the image counts as zero.
 *
 * @throws RangeError on a wrong size, or when y overlaps x
 */
export const poolSum32 = poolSum(32)
/** As `poolSum32`, mod 2^64. */
export const poolSum64 = poolSum(64)

/** First line, second line, integer weight of the second; the first's is 2^bits less that. */
export type LineBlend = readonly [first: number, second: number, weight: number]

export interface ResizeGeometry {
  c: number
  h: number
  w: number
  /** One per output row and column. */
  rows: readonly LineBlend[]
  columns: readonly LineBlend[]
  bits: number
}

function resize(bits: 32 | 64) {
  const call = `resize${bits}` as const
  const bytes = bits === 32 ? 4 : 8
  return (k: Kernels, g: ResizeGeometry, x: Region, y: Region): void => {
    const [oh, ow] = [g.rows.length, g.columns.length]
    expectSizes(call, { c: g.c, h: g.h, w: g.w, oh, ow }, 1)
    expectInteger(call, 'bits', g.bits, 0, 15)
    for (const [lines, size] of [[g.rows, g.h] as const, [g.columns, g.w] as const]) {
      for (const [first, second, weight] of lines) {
        expectInteger(call, 'line', Math.max(first, second), 0, size - 1)
        expectInteger(call, 'line', Math.min(first, second), 0, size - 1)
        expectInteger(call, 'weight', weight, 0, 2 ** g.bits)
      }
    }
    expectWords(call, 'x', x, g.c * g.h * g.w, bytes)
    expectWords(call, 'y', y, g.c * oh * ow, bytes)
    expectDisjoint(call, y, g.c * oh * ow * bytes, x, g.c * g.h * g.w * bytes)
    const tables = k.memory.alloc(12 * (oh + ow))
    tables.u32().set([...g.rows, ...g.columns].flat())
    k.raw[call](x.ptr, g.c, g.h, g.w, tables.ptr, tables.ptr + 12 * oh, g.bits, oh, ow, y.ptr)
    tables.release()
  }
}

/**
 * y[c, rows, columns]: every line a blend of two of x[c, h, w], times 2^(2·bits), mod 2^32.
 *
 * @throws RangeError on a wrong size, line or weight, or when y overlaps x
 */
export const resize32 = resize(32)
/** As `resize32`, mod 2^64. */
export const resize64 = resize(64)

export interface EmbedSource {
  c: number
  h: number
  w: number
  stride: readonly [number, number]
  /** Row and column of the first word taken; negative values skip output words instead. */
  offset: readonly [number, number]
}

export interface EmbedTarget {
  channels: number
  h: number
  w: number
  /** Output channel, row and column where the source begins; negative values crop the source. */
  channelOffset: number
  top: number
  left: number
}

function embed(bits: 32 | 64) {
  const call = `embed${bits}` as const
  const bytes = bits === 32 ? 4 : 8
  return (k: Kernels, s: EmbedSource, x: Region, t: EmbedTarget, y: Region): void => {
    const [s0, s1] = s.stride
    const [a0, a1] = s.offset
    expectSizes(call, { c: s.c, h: s.h, w: s.w, s0, s1, channels: t.channels, 'output h': t.h, 'output w': t.w }, 1)
    expectSizes(call, { a0, a1, channelOffset: t.channelOffset, top: t.top, left: t.left }, -LIMIT)
    expectWords(call, 'x', x, s.c * s.h * s.w, bytes)
    expectWords(call, 'y', y, t.channels * t.h * t.w, bytes)
    expectDisjoint(call, y, t.channels * t.h * t.w * bytes, x, s.c * s.h * s.w * bytes)
    const { channels, h, w, channelOffset, top, left } = t
    k.raw[call](x.ptr, s.c, s.h, s.w, s0, s1, a0, a1, y.ptr, channels, h, w, channelOffset, top, left)
  }
}

/**
 * Writes all of y[channels, h, w]: y[channelOffset + ch, top + i, left + j] = x[ch, offset0 + i·s0, offset1 + j·s1] for
 * all ch, i, j >= 0 inside both, zero elsewhere. One kernel for zero padding (stride 1, offset 0), subsampling
 * (channelOffset, top and left 0) and the parameter-free shortcut of ResNets (stride 2, channels around).
 *
 * @throws RangeError on a wrong size, or when y overlaps x
 */
export const embed32 = embed(32)
/** As `embed32`, for u64 words. */
export const embed64 = embed(64)
