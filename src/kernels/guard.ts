// The one guard between typed calls and raw pointers: lengths, alignment, overlap, small numbers. A wrong one here would be
// a silent read or write of another tensor. A call names itself and its operand apart: no text is made unless it throws.
import type { KernelExports } from './abi.js'
import type { Kernels } from './instance.js'
import type { Region } from './memory.js'

/** The region holds at least `words` words of `bytes` bytes each and starts on a word boundary. */
export function expectWords(call: string, name: string, region: Region, words: number, bytes: 1 | 4 | 8): void {
  if (!Number.isSafeInteger(words) || words < 0) {
    throw new RangeError(`${call} ${name}: expected a number of words of at least 0, got ${words}`)
  }
  if (region.byteLength < words * bytes) {
    throw new RangeError(`${call} ${name}: expected at least ${words * bytes} bytes, got ${region.byteLength}`)
  }
  if (region.ptr % bytes !== 0) throw new RangeError(`${call} ${name}: expected an address divisible by ${bytes}`)
}

/** No byte belongs to both. */
export function expectDisjoint(call: string, out: Region, outBytes: number, input: Region, inputBytes: number): void {
  if (outBytes === 0 || inputBytes === 0) return
  if (out.ptr < input.ptr + inputBytes && input.ptr < out.ptr + outBytes) {
    throw new RangeError(`${call}: the output overlaps an input; give it memory of its own`)
  }
}

/** The output is exactly the input, of as many bytes (in place), or disjoint from it. */
export function expectSameOrDisjoint(call: string, out: Region, input: Region, bytes: number): void {
  if (out.ptr !== input.ptr) expectDisjoint(call, out, bytes, input, bytes)
}

export function expectInteger(call: string, name: string, value: number, low: number, high: number): void {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new RangeError(`${call} ${name}: expected an integer from ${low} to ${high}, got ${value}`)
  }
}

/** What was made once and is used often, weights or a map, lies in the memory of these kernels. */
export function expectInstance(call: string, name: string, maker: KernelExports, k: Kernels): void {
  if (maker !== k.raw)
    throw new RangeError(`${call}: the ${name} lie in another instance's memory; make them in this one`)
}
