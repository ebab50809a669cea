// The random draws of the published protocol, by name: each has a stream of its own in the seed of the pair that shares
// it (or of the helper alone). Numbers below a bound are drawn by rejection, so they are exactly uniform.
import type { Kernels, Region } from '../../kernels/instance.js'
import { sampleBelow } from '../../kernels/securenn/digits.js'
import { reduceEven, reduceOdd } from '../../kernels/securenn/shares.js'
import { Purpose, type Streams } from '../../random/streams.js'

export const Draw = {
  // Client and server.
  r0: 0,
  r1: 1,
  flip1: 2,
  digits1: 3, // s_i of the first comparison
  zero1: 4,
  turn1: 5,
  flip2: 6,
  digits2: 7,
  zero2: 8,
  turn2: 9,
  // Helper with client (its halves), with server (A_1, B_1), or alone (x).
  delta: 16,
  bits1: 17,
  x: 18,
  bits2: 19,
  low: 20,
  eta: 21,
  answer: 22,
  xorA: 23,
  xorB: 24,
  xorC: 25,
  productA: 26,
  productB: 27,
  productC: 28,
} as const
export type DrawCode = (typeof Draw)[keyof typeof Draw]

/** Which call of the protocol a draw belongs to. */
export interface CallAddress {
  layer: number
  inference: number
}

const address = (at: CallAddress, tensor: DrawCode) => ({ purpose: Purpose.securenn, tensor, ...at })

/** u64 words, uniform in Z_2^64. The caller releases it. */
export const drawWords = (streams: Streams, at: CallAddress, draw: DrawCode, count: number): Region =>
  streams.take(address(at, draw), count * 8)

/** u64 words, uniform in Z_2^bits. */
export function drawEven(k: Kernels, streams: Streams, at: CallAddress, draw: DrawCode, count: number, bits: number) {
  const words = drawWords(streams, at, draw, count)
  reduceEven(k, words, count, bits)
  return words
}

/** u64 words, uniform in Z_(2^bits - 1). */
export function drawOdd(k: Kernels, streams: Streams, at: CallAddress, draw: DrawCode, count: number, bits: number) {
  const words = drawWords(streams, at, draw, count)
  reduceOdd(k, words, count, bits)
  return words
}

/** Bytes uniform in [least, least + range). */
export function drawBelow(
  k: Kernels,
  streams: Streams,
  at: CallAddress,
  draw: DrawCode,
  count: number,
  range: number,
  least = 0,
): Region {
  const out = k.memory.alloc(count + 16)
  const accepted = 256 - (256 % range)
  // Whole blocks, a little more than the mean number of bytes; another round is rare.
  const blocks = Math.ceil(((count * 256) / accepted + 4 * Math.sqrt(count) + 64) / 64)
  const bytes = k.memory.alloc(blocks * 64)
  let found = 0
  for (let round = 0; found < count; round++) {
    streams.fill(address(at, draw), bytes, round * blocks)
    found += sampleBelow(k, bytes, range, least, out.part(found, count + 16 - found), count - found)
  }
  bytes.release()
  return out
}
