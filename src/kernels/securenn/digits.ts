// Typed calls of the private-comparison kernels. Digits lie in blocks of up to 256 values, a plane of bytes per bit;
// `bits·count` bytes in all, whatever the count. No output overlaps an input.
import { expectDisjoint, expectInteger, expectWords } from '../guard.js'
import type { Kernels } from '../instance.js'
import type { Region } from '../memory.js'

const MOST_BITS = 64

function withScratch(k: Kernels, bytes: number, call: (scratch: number) => void): void {
  const scratch = k.memory.alloc(bytes)
  try {
    call(scratch.ptr)
  } finally {
    scratch.release()
  }
}

/**
 * Numbers uniform in [least, least + range), range <= 256, from random bytes by rejection; returns how many of `count`
 * were found. `out` needs room for 16 bytes more than that.
 */
export function sampleBelow(
  k: Kernels,
  bytes: Region,
  range: number,
  least: number,
  out: Region,
  count: number,
): number {
  const call = 'sampleBelow'
  expectInteger(call, 'range', range, 1, 256)
  expectInteger(call, 'least', least, 0, 256 - range)
  expectInteger(call, 'count', count, 0, 2 ** 30)
  expectInteger(call, 'number of bytes', bytes.byteLength, 0, 2 ** 31 - 1)
  expectWords(call, 'out', out, count + 16, 1)
  expectDisjoint(call, out, count + 16, bytes, bytes.byteLength)
  return k.raw.sampleBelow(bytes.ptr, bytes.byteLength, range, least, out.ptr, count)
}

/** Helper: out = (bits of x) - share mod 67. `x`: u64 words. */
export function shareBits(k: Kernels, x: Region, count: number, bits: number, share: Region, out: Region): void {
  const call = 'shareBits'
  const digits = count * bits
  expectInteger(call, 'bits', bits, 1, MOST_BITS)
  expectWords(call, 'x', x, count, 8)
  expectWords(call, 'share', share, digits, 1)
  expectWords(call, 'out', out, digits, 1)
  expectDisjoint(call, out, digits, x, count * 8)
  expectDisjoint(call, out, digits, share, digits)
  withScratch(k, 128, (scratch) => k.raw.snnShareBits(x.ptr, count, bits, share.ptr, out.ptr, scratch))
}

export interface CompareInput {
  /** Digit shares of the bits of x. */
  readonly x: Region
  /** u64 words t, known to both parties. */
  readonly t: Region
  /** Per value 1 to ask t > x, 0 to ask x > t. */
  readonly less: Region
  /** Per value 1 where the answer is yes whatever x is. */
  readonly always: Region
  /** Digits below 67 both parties know, for shares of 0. */
  readonly zero: Region
  /** Digits 1 … 66 both parties know. */
  readonly s: Region
}

/** Client (party 0) or server (party 1): its shares of s·c, fresh ones. */
export function compareDigits(
  k: Kernels,
  { x, t, less, always, zero, s }: CompareInput,
  count: number,
  bits: number,
  party: 0 | 1,
  out: Region,
): void {
  const call = 'compareDigits'
  const digits = count * bits
  expectInteger(call, 'bits', bits, 1, MOST_BITS)
  expectWords(call, 'x', x, digits, 1)
  expectWords(call, 't', t, count, 8)
  expectWords(call, 'less', less, count, 1)
  expectWords(call, 'always', always, count, 1)
  expectWords(call, 'zero', zero, digits, 1)
  expectWords(call, 's', s, digits, 1)
  expectWords(call, 'out', out, digits, 1)
  expectDisjoint(call, out, digits, x, digits)
  expectDisjoint(call, out, digits, t, count * 8)
  expectDisjoint(call, out, digits, less, count)
  expectDisjoint(call, out, digits, always, count)
  expectDisjoint(call, out, digits, zero, digits)
  expectDisjoint(call, out, digits, s, digits)
  withScratch(k, 128, (scratch) =>
    k.raw.snnCompare(
      ...([x.ptr, t.ptr, less.ptr, always.ptr, zero.ptr, s.ptr] as const),
      ...([count, bits, party, out.ptr, scratch] as const),
    ),
  )
}

/** Turns every value's digits by its amount: digit i becomes digit (i + amount) mod bits. In place. */
export function rotateDigits(k: Kernels, digits: Region, amounts: Region, count: number, bits: number): void {
  const call = 'rotateDigits'
  expectInteger(call, 'bits', bits, 1, MOST_BITS)
  expectWords(call, 'digits', digits, count * bits, 1)
  expectWords(call, 'amounts', amounts, count, 1)
  expectDisjoint(call, digits, count * bits, amounts, count)
  withScratch(k, 32 * bits, (scratch) => k.raw.snnRotate(digits.ptr, amounts.ptr, count, bits, scratch))
}

/** Helper: per value 1 where a sum of the two parties' digits is 0 mod 67. */
export function anyZero(k: Kernels, a: Region, b: Region, count: number, bits: number, out: Region): void {
  const call = 'anyZero'
  const digits = count * bits
  expectInteger(call, 'bits', bits, 1, MOST_BITS)
  expectWords(call, 'a', a, digits, 1)
  expectWords(call, 'b', b, digits, 1)
  expectWords(call, 'out', out, count, 1)
  expectDisjoint(call, out, count, a, digits)
  expectDisjoint(call, out, count, b, digits)
  k.raw.snnAnyZero(a.ptr, b.ptr, count, bits, out.ptr)
}
