// Typed calls of the private-comparison kernels. Digits lie in blocks of up to 256 values, a plane of bytes per bit;
// `bits·count` bytes in all, whatever the count.
import type { Kernels } from '../instance.js'
import type { Region } from '../memory.js'

function need(region: Region, bytes: number, name: string): number {
  if (region.byteLength < bytes) throw new RangeError(`${name}: ${bytes} bytes needed, ${region.byteLength} given`)
  return region.ptr
}

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
  return k.raw.sampleBelow(bytes.ptr, bytes.byteLength, range, least, need(out, count + 16, 'out'), count)
}

/** Helper: out = (bits of x) - share mod 67. `x`: u64 words. */
export function shareBits(k: Kernels, x: Region, count: number, bits: number, share: Region, out: Region): void {
  const digits = count * bits
  need(out, digits, 'out')
  withScratch(k, 128, (scratch) =>
    k.raw.snnShareBits(need(x, count * 8, 'x'), count, bits, need(share, digits, 'share'), out.ptr, scratch),
  )
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
  const digits = count * bits
  withScratch(k, 128, (scratch) =>
    k.raw.snnCompare(
      need(x, digits, 'x'),
      need(t, count * 8, 't'),
      need(less, count, 'less'),
      need(always, count, 'always'),
      need(zero, digits, 'zero'),
      need(s, digits, 's'),
      count,
      bits,
      party,
      need(out, digits, 'out'),
      scratch,
    ),
  )
}

/** Turns every value's digits by its amount: digit i becomes digit (i + amount) mod bits. In place. */
export function rotateDigits(k: Kernels, digits: Region, amounts: Region, count: number, bits: number): void {
  withScratch(k, 32 * bits, (scratch) =>
    k.raw.snnRotate(need(digits, count * bits, 'digits'), need(amounts, count, 'amounts'), count, bits, scratch),
  )
}

/** Helper: per value 1 where a sum of the two parties' digits is 0 mod 67. */
export function anyZero(k: Kernels, a: Region, b: Region, count: number, bits: number, out: Region): void {
  const digits = count * bits
  k.raw.snnAnyZero(need(a, digits, 'a'), need(b, digits, 'b'), count, bits, need(out, count, 'out'))
}
