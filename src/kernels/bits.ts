// Packing of n-bit words into a contiguous bit stream, and bit planes.
import { expectDisjoint, expectInteger, expectWords } from './guard.js'
import type { Kernels } from './instance.js'
import type { Region } from './memory.js'

/** Bytes that `count` words of `bits` bits take. */
export function packedBytes(count: number, bits: number): number {
  return Math.ceil((count * bits) / 8)
}

/** Bytes of the planes of `count` words: 512 per started block of 128. */
export function planeBytes(count: number): number {
  return Math.ceil(count / 128) * 512
}

function expectStream(call: string, count: number, bits: number): void {
  expectInteger(call, 'bits', bits, 1, 32)
  expectInteger(call, 'count', count, 0, 2 ** 30)
}

/** A word of 64 bits travels as it lies in memory. */
function copyWords(call: string, src: Region, count: number, dst: Region): void {
  expectInteger(call, 'count', count, 0, 2 ** 28)
  expectWords(call, 'src', src, count * 8, 1)
  expectWords(call, 'dst', dst, count * 8, 1)
  dst.u8().set(src.u8().subarray(0, count * 8))
}

/**
 * dst = little-endian bit stream of src[i] mod 2^bits, `packedBytes(count, bits)` bytes, the last one filled up with
 * zeros. `src`: u32 words, for 64 bits u64; `dst`: bytes, any alignment; dst may start where src starts, else they are
 * disjoint.
 */
export function pack(k: Kernels, src: Region, count: number, bits: number, dst: Region): void {
  if (bits === 64) {
    copyWords('pack', src, count, dst)
    return
  }
  expectStream('pack', count, bits)
  const bytes = packedBytes(count, bits)
  expectWords('pack', 'src', src, count, 4)
  expectWords('pack', 'dst', dst, bytes, 1)
  if (dst.ptr !== src.ptr) expectDisjoint('pack', dst, bytes, src, count * 4)
  k.raw.packBits(src.ptr, count, bits, dst.ptr)
}

/** The inverse of `pack`: `count` words below 2^bits. `src`: bytes, any alignment, disjoint from dst. */
export function unpack(k: Kernels, src: Region, count: number, bits: number, dst: Region): void {
  if (bits === 64) {
    copyWords('unpack', src, count, dst)
    return
  }
  expectStream('unpack', count, bits)
  const bytes = packedBytes(count, bits)
  expectWords('unpack', 'src', src, bytes, 1)
  expectWords('unpack', 'dst', dst, count, 4)
  expectDisjoint('unpack', dst, count * 4, src, bytes)
  k.raw.unpackBits(src.ptr, count, bits, dst.ptr)
}

const SCRATCH = 1280 // bytes; assembly/bits/planes.ts

function planes(call: 'toPlanes32' | 'fromPlanes32') {
  return (k: Kernels, src: Region, count: number, dst: Region): void => {
    expectInteger(call, 'count', count, 0, 2 ** 30)
    const words = call === 'toPlanes32' ? src : dst
    const other = call === 'toPlanes32' ? dst : src
    expectWords(call, 'words', words, count, 4)
    expectWords(call, 'planes', other, planeBytes(count) / 4, 4)
    expectDisjoint(call, other, planeBytes(count), words, count * 4)
    const scratch = k.memory.alloc(SCRATCH)
    k.raw[call](src.ptr, count, dst.ptr, scratch.ptr)
    scratch.release()
  }
}

/**
 * Bit planes in blocks of 128 words: block b of dst holds 32 planes of 16 bytes, bit w of plane p being bit p of word
 * 128 b + w. `planeBytes(count)` bytes are written; words beyond `count` are zero.
 */
export const toPlanes32 = planes('toPlanes32')
/** The inverse of `toPlanes32`. */
export const fromPlanes32 = planes('fromPlanes32')
