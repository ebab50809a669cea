// Ring arithmetic on u32 and u64 words (mod 2^32 and 2^64): elementwise, matrix products, plane sums and copies.
// Words are aligned to their own size. Elementwise calls may work in place; nothing else may overlap its inputs.
import { expectDisjoint, expectInteger, expectSameOrDisjoint, expectWords } from './guard.js'
import type { Kernels } from './instance.js'
import type { Region } from './memory.js'

function pairwise(name: 'add' | 'sub' | 'mul', bits: 32 | 64) {
  const call = `${name}${bits}` as const
  const bytes = bits === 32 ? 4 : 8
  return (k: Kernels, a: Region, b: Region, out: Region, n: number): void => {
    expectWords(call, 'a', a, n, bytes)
    expectWords(call, 'b', b, n, bytes)
    expectWords(call, 'out', out, n, bytes)
    expectSameOrDisjoint(call, out, a, n * bytes)
    expectSameOrDisjoint(call, out, b, n * bytes)
    k.raw[call](a.ptr, b.ptr, out.ptr, n)
  }
}

function expectMapped(call: string, x: Region, out: Region, n: number, bytes: 4 | 8): void {
  expectWords(call, 'x', x, n, bytes)
  expectWords(call, 'out', out, n, bytes)
  expectSameOrDisjoint(call, out, x, n * bytes)
}

function shift(name: 'shl' | 'shrLogical', bits: 32 | 64) {
  const call = `${name}${bits}` as const
  return (k: Kernels, x: Region, by: number, out: Region, n: number): void => {
    expectMapped(call, x, out, n, bits === 32 ? 4 : 8)
    expectInteger(call, 'distance', by, 0, bits - 1)
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
  expectInteger('scale32', 'factor', factor, -(2 ** 31), 2 ** 32 - 1)
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
  expectInteger('mask32', 'bits', bits, 0, 32)
  k.raw.and32(x.ptr, bits === 32 ? -1 : 2 ** bits - 1, out.ptr, n)
}

function matmul(bits: 32 | 64) {
  const call = `matmul${bits}` as const
  const scratchBytes = `matmulScratch${bits}` as const
  const bytes = bits === 32 ? 4 : 8
  return (k: Kernels, a: Region, b: Region, c: Region, m: number, kk: number, n: number): void => {
    for (const size of [m, kk, n]) expectInteger(call, 'size', size, 0, 2 ** 28)
    expectWords(call, 'a', a, m * kk, bytes)
    expectWords(call, 'b', b, kk * n, bytes)
    expectWords(call, 'c', c, m * n, bytes)
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
