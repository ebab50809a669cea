// ChaCha key streams (RFC 8439).
import { expectDisjoint, expectInteger, expectWords } from './guard.js'
import type { Kernels } from './instance.js'
import type { Region } from './memory.js'

/**
 * Fills `out` with ChaCha key stream in the layout of RFC 8439 §2.4, from the start of block `counter` on.
 *
 * @param key 32 bytes, any alignment
 * @param nonce 96 bits as three little-endian words
 * @param counter number of the first 64-byte block; the stream may not run past block 2^32 - 1, where it would repeat
 * @param rounds 20 as in the RFC, or 12
 * @param out any length, any alignment, apart from the key
 * @throws RangeError on a short key, a bad nonce word or counter, an output over the key, or a stream that would repeat
 */
export function fillStream(
  k: Kernels,
  key: Region,
  nonce: readonly [number, number, number],
  counter: number,
  rounds: 12 | 20,
  out: Region,
): void {
  expectWords('stream', 'key', key, 32, 1)
  expectDisjoint('stream', out, out.byteLength, key, 32)
  for (const word of nonce) expectInteger('stream', 'nonce word', word, 0, 0xffffffff)
  expectInteger('stream', 'counter', counter, 0, 0xffffffff)
  if (rounds !== 12 && rounds !== 20) throw new RangeError(`stream rounds: expected 12 or 20, got ${rounds}`)
  if (counter + Math.ceil(out.byteLength / 64) > 2 ** 32) {
    throw new RangeError(`stream of ${out.byteLength} bytes from block ${counter}: the block counter would wrap`)
  }
  k.raw.chachaStream(key.ptr, nonce[0], nonce[1], nonce[2], counter, rounds, out.ptr, out.byteLength)
}
