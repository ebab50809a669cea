// Ring arithmetic on u32 and u64 words (mod 2^32 and 2^64): elementwise, matrix products, plane sums and copies.
// Words are aligned to their own size. Elementwise calls may work in place; nothing else may overlap its inputs.
import { expectDisjoint, expectInteger, expectSameOrDisjoint, expectWords } from './guard.js'
import type { Kernels } from './instance.js'
import type { Region } from './memory.js'

type Pairwise = (a: number, b: number, out: number, n: number) => void
type Each = (x: number, by: number, out: number, n: number) => void
type Product = (a: number, b: number, c: number, m: number, kk: number, n: number, scratch: number) => void
type Embed = (
  x: number,
  c: number,
  h: number,
  w: number,
  s0: number,
  s1: number,
  a0: number,
  a1: number,
  y: number,
  channels: number,
  yh: number,
  yw: number,
  at: number,
  top: number,
  left: number,
) => void
type Resize = (
  x: number,
  c: number,
  h: number,
  w: number,
  rows: number,
  columns: number,
  bits: number,
  oh: number,
  ow: number,
  y: number,
) => void
type PoolSum = (
  x: number,
  c: number,
  h: number,
  w: number,
  kh: number,
  kw: number,
  sh: number,
  sw: number,
  top: number,
  left: number,
  oh: number,
  ow: number,
  y: number,
) => void
type Conv = (
  x: number,
  w: number,
  taps: number,
  pixels: number,
  y: number,
  groups: number,
  rows: number,
  depth: number,
  n: number,
  groupBytes: number,
  accumulate: number,
  scratch: number,
) => void
type Depthwise = (x: number, w: number, y: number, shape: number, accumulate: number, scratch: number) => void

export interface RingExports {
  add32: Pairwise
  sub32: Pairwise
  mul32: Pairwise
  scale32: Each
  shl32: Each
  shrLogical32: Each
  and32: Each
  add64: Pairwise
  sub64: Pairwise
  mul64: Pairwise
  scale64(x: number, low: number, high: number, out: number, n: number): void
  shl64: Each
  shrLogical64: Each
  matmulScratch32(m: number, kk: number): number
  matmulScratch64(m: number, kk: number): number
  matmul32: Product
  matmul64: Product
  naiveMatmul32(a: number, b: number, c: number, m: number, kk: number, n: number): void
  packedWeightBytes32(rows: number, depth: number): number
  packedWeightBytes64(rows: number, depth: number): number
  packWeights32(w: number, rows: number, depth: number, to: number): void
  packWeights64(w: number, rows: number, depth: number, to: number): void
  convScratch(depth: number): number
  conv32: Conv
  conv64: Conv
  depthwise32: Depthwise
  depthwise64: Depthwise
  poolSum32: PoolSum
  poolSum64: PoolSum
  resize32: Resize
  resize64: Resize
  embed32: Embed
  embed64: Embed
}

function pairwise(name: 'add' | 'sub' | 'mul', bits: 32 | 64) {
  const call = `${name}${bits}` as const
  const bytes = bits === 32 ? 4 : 8
  return (k: Kernels, a: Region, b: Region, out: Region, n: number): void => {
    expectWords(`${call} a`, a, n, bytes)
    expectWords(`${call} b`, b, n, bytes)
    expectWords(`${call} out`, out, n, bytes)
    expectSameOrDisjoint(call, out, a, n * bytes)
    expectSameOrDisjoint(call, out, b, n * bytes)
    k.raw[call](a.ptr, b.ptr, out.ptr, n)
  }
}

function expectMapped(call: string, x: Region, out: Region, n: number, bytes: 4 | 8): void {
  expectWords(`${call} x`, x, n, bytes)
  expectWords(`${call} out`, out, n, bytes)
  expectSameOrDisjoint(call, out, x, n * bytes)
}

function shift(name: 'shl' | 'shrLogical', bits: 32 | 64) {
  const call = `${name}${bits}` as const
  return (k: Kernels, x: Region, by: number, out: Region, n: number): void => {
    expectMapped(call, x, out, n, bits === 32 ? 4 : 8)
    expectInteger(`${call} distance`, by, 0, bits - 1)
    k.raw[call](x.ptr, by, out.ptr, n)
  }
}

/** out[i] = a[i] + b[i] mod 2^32, n words. `out` may be `a` or `b`. */
export const add32 = pairwise('add', 32)
/** out[i] = a[i] - b[i] mod 2^32. */
export const sub32 = pairwise('sub', 32)
/** out[i] = a[i]·b[i] mod 2^32. */
export const mul32 = pairwise('mul', 32)
/** out[i] = a[i] + b[i] mod 2^64. */
export const add64 = pairwise('add', 64)
/** out[i] = a[i] - b[i] mod 2^64. */
export const sub64 = pairwise('sub', 64)
/** out[i] = a[i]·b[i] mod 2^64. */
export const mul64 = pairwise('mul', 64)
/** out[i] = x[i]·2^by mod 2^32, by from 0 to 31. */
export const shl32 = shift('shl', 32)
/** out[i] = ⌊x[i] / 2^by⌋, x[i] taken as unsigned. */
export const shrLogical32 = shift('shrLogical', 32)
/** out[i] = x[i]·2^by mod 2^64, by from 0 to 63. */
export const shl64 = shift('shl', 64)
/** out[i] = ⌊x[i] / 2^by⌋, x[i] taken as unsigned. */
export const shrLogical64 = shift('shrLogical', 64)

/** out[i] = x[i]·factor mod 2^32; `factor` is any integer from -2^31 to 2^32 - 1. */
export function scale32(k: Kernels, x: Region, factor: number, out: Region, n: number): void {
  expectMapped('scale32', x, out, n, 4)
  expectInteger('scale32 factor', factor, -(2 ** 31), 2 ** 32 - 1)
  k.raw.scale32(x.ptr, factor | 0, out.ptr, n)
}

/** out[i] = x[i]·factor mod 2^64; any `factor`, reduced. */
export function scale64(k: Kernels, x: Region, factor: bigint, out: Region, n: number): void {
  expectMapped('scale64', x, out, n, 8)
  const low = Number(BigInt.asIntN(32, factor))
  k.raw.scale64(x.ptr, low, Number(BigInt.asIntN(32, factor >> 32n)), out.ptr, n)
}

/** out[i] = x[i] mod 2^bits, bits from 0 to 32. */
export function mask32(k: Kernels, x: Region, bits: number, out: Region, n: number): void {
  expectMapped('mask32', x, out, n, 4)
  expectInteger('mask32 bits', bits, 0, 32)
  k.raw.and32(x.ptr, bits === 32 ? -1 : 2 ** bits - 1, out.ptr, n)
}

function matmul(bits: 32 | 64) {
  const call = `matmul${bits}` as const
  const scratchBytes = `matmulScratch${bits}` as const
  const bytes = bits === 32 ? 4 : 8
  return (k: Kernels, a: Region, b: Region, c: Region, m: number, kk: number, n: number): void => {
    for (const size of [m, kk, n]) expectInteger(`${call} size`, size, 0, 2 ** 28)
    expectWords(`${call} a`, a, m * kk, bytes)
    expectWords(`${call} b`, b, kk * n, bytes)
    expectWords(`${call} c`, c, m * n, bytes)
    expectDisjoint(call, c, m * n * bytes, a, m * kk * bytes)
    expectDisjoint(call, c, m * n * bytes, b, kk * n * bytes)
    const scratch = k.memory.alloc(k.raw[scratchBytes](m, kk))
    try {
      k.raw[call](a.ptr, b.ptr, c.ptr, m, kk, n, scratch.ptr)
    } finally {
      scratch.release()
    }
  }
}

/** C[m, n] = A[m, kk]·B[kk, n] mod 2^32, u32 row-major. C overlaps neither input. */
export const matmul32 = matmul(32)
/** C[m, n] = A[m, kk]·B[kk, n] mod 2^64, u64 row-major. C overlaps neither input. */
export const matmul64 = matmul(64)

export {
  type EmbedSource,
  type EmbedTarget,
  embed32,
  embed64,
  type PoolGeometry,
  poolSize,
  poolSum32,
  poolSum64,
  type ResizeGeometry,
  resize32,
  resize64,
} from './planes.js'
