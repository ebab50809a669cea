// The bounded input of a guarded inference whose first step does not bound it: the client opens x under a mask of its own, in as few bits as an input has, and
// moves it to the ring as a value that passes is moved, under the same MAC. Whatever it sends, |x| stays within 3/4 of the
// window, one and a half times the largest input there is.
//
//   off line   helper → server   keys
//   on line    client → server   e = x - r_in mod 2^k, R = A_j - r_0 lifted to N bits
//              server            x̂_0 = ẽ + R
import { pack, packedBytes, unpack } from '../../../kernels/bits.js'
import { type Kernels, type Region, upload } from '../../../kernels/instance.js'
import { LONG, liftPassed, macDot, macPassed, macPassedKeys, tagBytes } from '../../../kernels/mac.js'
import { extend } from '../../../kernels/mcc.js'
import { mask32, shrLogical32, sub32 } from '../../../kernels/ring.js'
import { Purpose, type Streams } from '../../../random/streams.js'
import { type InputWindow, tagWidths, type WindowedTerms } from './terms.js'
import { halvesOf, longBytes, packLong, unpackLong } from './words.js'

/** The tensor that the input is, among those whose masks and tags are addressed by number. */
const INPUT = 0

const tagsOf = (ch: Streams, { input: { size, bits }, word }: WindowedTerms, inference: number) => {
  const at = { purpose: Purpose.replyTag, layer: INPUT, inference } as const
  const bytes = tagWidths(bits, word)
  const draw = (tensor: number, each: number) => ch.take({ ...at, tensor }, tagBytes(size, each))
  return { tags: { w0: draw(0, bytes.wide), mu: draw(1, bytes.narrow) }, bytes }
}

/** The input's opening, and the word that moves it to the ring. */
export const windowedInputBytes = ({ input: { size, bits }, word }: WindowedTerms): number =>
  packedBytes(size, bits) + longBytes(size, word)

const factors = (sh: Streams, { size }: InputWindow, inference: number): Region =>
  sh.take({ purpose: Purpose.replyAlpha, layer: INPUT, inference }, size * 8)

/** Client and helper: r_in mod 2^k, its top bit, and the ω that nobody has to correct. */
function windowMask(k: Kernels, { size, bits }: InputWindow, ch: Streams, inference: number) {
  const known = ch.take({ purpose: Purpose.inputWindow, layer: INPUT, inference }, size * 4)
  mask32(k, known, bits, known, size)
  const mu = k.memory.alloc(size * 4)
  shrLogical32(k, known, bits - 1, mu, size)
  return { known, mu, omega: k.memory.allocZero(size * 4) }
}

/** Helper: the keys of the input as they travel. @param next r̃_0, u64 */
export function dealInputKeys(
  k: Kernels,
  { ch, sh }: { ch: Streams; sh: Streams },
  next: Region,
  inference: number,
  terms: WindowedTerms,
  message: Region,
): void {
  const { word, input } = terms
  const { size, bits } = input
  const mask = windowMask(k, input, ch, inference)
  const { tags, bytes } = tagsOf(ch, terms, inference)
  const alpha = factors(sh, input, inference)
  const keys = { w0: k.memory.alloc(size * 8), mu: k.memory.alloc(size * 8) }
  macPassedKeys(k, size, bits, { alpha, next, ...mask }, tags, bytes, keys)
  const first = longBytes(size, word)
  packLong(k, keys.w0, size, word, message.part(0, first))
  packLong(k, keys.mu, size, word - bits, message.part(first, longBytes(size, word - bits)))
  for (const each of [mask, tags, keys, { alpha }]) for (const region of Object.values(each)) region.release(true)
}

/**
 * Client: the input as it goes to the server; adds its tag to `sum`. The caller releases the result.
 * @param x signed fixed-point words, |x| < 2^(k-2)
 * @param next r̃_0, u64
 */
export function openInput(
  k: Kernels,
  x: Int32Array,
  next: Region,
  ch: Streams,
  inference: number,
  terms: WindowedTerms,
  sum: Region,
): Region {
  const { word, input } = terms
  const { size, bits } = input
  const mask = windowMask(k, input, ch, inference)
  const e = upload(k.memory, x)
  sub32(k, e, mask.known, e, size)
  mask32(k, e, bits, e, size)
  const { tags, bytes } = tagsOf(ch, terms, inference)
  macPassed(k, size, bits, e, tags, bytes, 1, sum)
  const replies = k.memory.alloc(size * 8)
  liftPassed(k, size, bits, { e, next, ...mask, out: replies })
  const message = k.memory.alloc(windowedInputBytes(terms))
  const opened = packedBytes(size, bits)
  pack(k, e, size, bits, message.part(0, opened))
  packLong(k, replies, size, word, message.part(opened, longBytes(size, word)))
  for (const region of [...Object.values(mask), ...Object.values(tags), e, replies]) region.release(true)
  return message
}

/** Server: x̂_0, one word per element; adds to `sum` what its tag has to be. The caller releases the result. */
export function takeBoundedInput(
  k: Kernels,
  payload: Uint8Array,
  keys: Region,
  sh: Streams,
  inference: number,
  { word, input }: WindowedTerms,
  sum: Region,
): Region {
  const { size, bits } = input
  const message = upload(k.memory, payload)
  const opened = packedBytes(size, bits)
  const e = k.memory.alloc(size * 4)
  unpack(k, message.part(0, opened), size, bits, e)
  const replies = unpackLong(k, message.part(opened, longBytes(size, word)), size, word)
  const first = longBytes(size, word)
  const tags = {
    w0: unpackLong(k, keys.part(0, first), size, word),
    mu: unpackLong(k, keys.part(first, longBytes(size, word - bits)), size, word - bits),
  }
  macPassed(k, size, bits, e, tags, LONG, 1, sum)
  const alpha = factors(sh, input, inference)
  macDot(k, size, alpha, replies, sum)
  const [other, high] = halvesOf(k, replies, size)
  const offset = k.memory.alloc(size * 4)
  offset.i32().fill(-(2 ** (bits - 2)))
  const mu = k.memory.allocZero(size * 4)
  extend(k, 'server', size, bits, { e, a1: offset, mu, other, out: other })
  for (const region of [message, e, replies, tags.w0, tags.mu, alpha, high, offset, mu]) region.release()
  return other
}
