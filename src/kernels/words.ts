// The ring kernels of one word size under common names, for code that walks a network in either ring.
import { conv32, conv64, type PackedWeights, packConvWeights32, packConvWeights64 } from './conv.js'
import type { ConvGeometry } from './geometry.js'
import type { Kernels, Region } from './instance.js'
import {
  type EmbedSource,
  type EmbedTarget,
  embed32,
  embed64,
  type PoolGeometry,
  poolSum32,
  poolSum64,
  type ResizeGeometry,
  resize32,
  resize64,
} from './planes.js'
import { add32, add64, mul32, mul64, scale32, scale64, sub32, sub64 } from './ring.js'

export interface WordRing {
  readonly bytes: 4 | 8
  readonly add: typeof add32
  readonly sub: typeof sub32
  readonly mul: typeof mul32
  scale(k: Kernels, x: Region, factor: number, out: Region, n: number): void
  poolSum(k: Kernels, g: PoolGeometry, x: Region, y: Region): void
  resize(k: Kernels, g: ResizeGeometry, x: Region, y: Region): void
  embed(k: Kernels, s: EmbedSource, x: Region, t: EmbedTarget, y: Region): void
  conv(k: Kernels, g: ConvGeometry, x: Region, w: PackedWeights, y: Region, accumulate?: boolean): void
  packWeights(k: Kernels, g: ConvGeometry, weights: Region): PackedWeights
  /** Writes safe integers as ring words. */
  write(values: ArrayLike<number>, out: Region): void
}

const ring32: WordRing = {
  bytes: 4,
  add: add32,
  sub: sub32,
  mul: mul32,
  scale: scale32,
  poolSum: poolSum32,
  resize: resize32,
  embed: embed32,
  conv: conv32,
  packWeights: packConvWeights32,
  write: (values, out) => out.i32().set(values),
}

const ring64: WordRing = {
  bytes: 8,
  add: add64,
  sub: sub64,
  mul: mul64,
  scale: (k, x, factor, out, n) => scale64(k, x, BigInt(factor), out, n),
  poolSum: poolSum64,
  resize: resize64,
  embed: embed64,
  conv: conv64,
  packWeights: packConvWeights64,
  write(values, out) {
    const halves = out.i32()
    for (let i = 0; i < values.length; i++) {
      halves[2 * i] = values[i] % 2 ** 32 // keeps the low 32 bits, of negative values too
      halves[2 * i + 1] = Math.floor(values[i] / 2 ** 32)
    }
  },
}

/** Kernels for a ring of `bits` bits: 32-bit words up to 32, else 64-bit words. */
export const wordRing = (bits: number): WordRing => (bits > 32 ? ring64 : ring32)

/** Safe integers as ring words. The caller releases them. */
export function uploadWords(k: Kernels, ring: WordRing, values: ArrayLike<number>): Region {
  const words = k.memory.alloc(values.length * ring.bytes)
  ring.write(values, words)
  return words
}
