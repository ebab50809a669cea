// Checks between typed calls and raw pointers: a wrong length here would be a silent read or write of another tensor.
import type { Region } from './memory.js'

/** The region holds at least `words` words of `bytes` bytes each and starts on a word boundary. */
export function expectWords(what: string, region: Region, words: number, bytes: 1 | 4 | 8): void {
  if (!Number.isSafeInteger(words) || words < 0) throw new RangeError(`${what}: ${words} is not a number of words`)
  if (region.byteLength < words * bytes) {
    throw new RangeError(`${what}: expected at least ${words * bytes} bytes, got ${region.byteLength}`)
  }
  if (region.ptr % bytes !== 0) throw new RangeError(`${what}: expected an address divisible by ${bytes}`)
}

/** No byte belongs to both. */
export function expectDisjoint(what: string, out: Region, outBytes: number, input: Region, inputBytes: number): void {
  if (outBytes === 0 || inputBytes === 0) return
  if (out.ptr < input.ptr + inputBytes && input.ptr < out.ptr + outBytes) {
    throw new RangeError(`${what}: the output overlaps an input; give it memory of its own`)
  }
}

/** The output is exactly the input (in place) or disjoint from it. */
export function expectSameOrDisjoint(what: string, out: Region, input: Region, bytes: number): void {
  if (out.ptr !== input.ptr) expectDisjoint(what, out, bytes, input, bytes)
}

export function expectInteger(what: string, value: number, low: number, high: number): void {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new RangeError(`${what}: expected an integer from ${low} to ${high}, got ${value}`)
  }
}
