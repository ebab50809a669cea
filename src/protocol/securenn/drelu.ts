// DReLU of the published protocol: b = [v ≥ 0] as shares in Z_2^64, from shares of v in Z_2^64.
// ShareConvert (SecureNN, algorithm 4) moves the compared window from Z_L, L = 2^bits, to the odd ring Z_M, M = L - 1;
// there the MSB of y is the low bit of 2y (algorithm 5).
//
//   1  client, server → helper   a + r                                        8 B each
//   2  helper → server           δ, bits of a + r; x, its bits, its low bit   24 + 2·bits B
//   3  client, server → helper   digits of x' < r                             bits B each
//   4  helper → server           η'                                           8 B
//   5  client ↔ server           2y + x                                       8 B each
//   6  client, server → helper   digits of x > z                              bits B each
//   7  helper → server           β', C of a product                           16 B
//   8  client ↔ server           openings of γ·δ                              16 B each
//
// What goes from the helper to the client is pure randomness and comes from their seed. With the exact window, party 0
// adds L/2: the one value the odd ring cannot tell from another is then the largest, not -1.

import type { Region } from '../../kernels/instance.js'
import { shareBits } from '../../kernels/securenn/digits.js'
import {
  addOdd,
  addWrap,
  convertShare,
  lowBit,
  openXor,
  product,
  shareFlag,
  signShare,
  subOdd,
  windowOf,
} from '../../kernels/securenn/shares.js'
import { Kind } from '../kinds.js'
import { receiveRegions, sendRegions, total } from '../regions.js'
import type { Message } from '../transcript.js'
import { type CallAddress, Draw, drawBelow, drawEven, drawOdd, drawWords } from './draws.js'
import { dealTriple, drawTriple, pairwise, XOR } from './multiply.js'
import { exchange, exchanged, type HelperSide, type Side, toHelper, toServer } from './parties.js'
import { answerComparison, askComparison, digitBytes } from './private-compare.js'

/**
 * Which bits of a 64-bit value are compared. With l low and m high bits ignored the sign is right for
 * 2^(l+1) <= v < 2^(63-m+l) and for -2^(63-m+l) + 2^l <= v <= -2^(l+1): shares that drop low bits round down and may
 * lose a carry.
 */
export interface Window {
  /** High bits that are ignored (published name: COMPARISON_NUM_BITS_IGNORED). */
  readonly ignoredMsb: number
  /** Low bits that are ignored, at most as many (NUM_OF_LSB_TO_IGNORE). */
  readonly ignoredLsb: number
}

export const EXACT: Window = { ignoredMsb: 0, ignoredLsb: 0 }

export const comparedBits = ({ ignoredMsb }: Window): number => 64 - ignoredMsb
const isExact = ({ ignoredMsb, ignoredLsb }: Window): boolean => ignoredMsb === 0 && ignoredLsb === 0

/** Byte lengths of what each message carries, in its order. Words come first: digits may end anywhere. */
function dreluParts(count: number, bits: number) {
  const [words, digits] = [8 * count, digitBytes(count, bits)]
  return {
    masked: [words],
    converted: [words, words, words, digits, digits],
    wrap: [words],
    opened: [words],
    answer: [words, words],
    xor: [words, words],
  }
}

/** The eight flights, for `count` values. */
export function dreluMessages(window: Window, count: number): Message[] {
  const bits = comparedBits(window)
  const parts = dreluParts(count, bits)
  const digits = digitBytes(count, bits)
  return [
    ...toHelper('masked', total(parts.masked), 1),
    toServer('converted', total(parts.converted), 2),
    ...toHelper('digits1', digits, 3),
    toServer('wrap', total(parts.wrap), 4),
    ...exchanged('opened', total(parts.opened), 5),
    ...toHelper('digits2', digits, 6),
    toServer('answer', total(parts.answer), 7),
    ...exchanged('xor', total(parts.xor), 8),
  ]
}

/** Client and server: a share of b per value. `v`: u64 shares. The caller releases the result. */
export async function drelu(side: Side, v: Region, count: number, window: Window, at: CallAddress): Promise<Region> {
  const { k, party, common, helper } = side
  const bits = comparedBits(window)
  const bytes = count * 8
  const offset = isExact(window) && party === 0 ? 2n ** 63n : 0n
  const a = k.memory.alloc(bytes)
  windowOf(k, v, count, window.ignoredLsb, bits, offset, a)

  const r0 = drawEven(k, common, at, Draw.r0, count, bits)
  const r1 = drawEven(k, common, at, Draw.r1, count, bits)
  const [r, alpha] = [k.memory.alloc(bytes), k.memory.alloc(count)]
  addWrap(k, r0, r1, count, bits, r, alpha)
  const [masked, wrap] = [k.memory.alloc(bytes), k.memory.alloc(count)]
  addWrap(k, a, party === 0 ? r0 : r1, count, bits, masked, wrap)
  await sendRegions(helper, Kind.masked, at.layer, [masked], { signal: side.signal })

  const halves = await receiveHalves(side, count, bits, at)
  const flip1 = await askComparison(side, 'wrap', halves.bits1, r, count, bits, at)
  const parts = dreluParts(count, bits)
  const eta = await half(side, () => drawOdd(k, side.dealt, at, Draw.eta, count, bits), Kind.wrap, parts.wrap, at)
  const opening = k.memory.alloc(total(parts.opened))
  convertShare(k, { a, wrap, delta: halves.delta, eta, flip: flip1, alpha, x: halves.x }, count, bits, party, opening)
  const z = await exchange(side, Kind.opened, at.layer, opening)
  addOdd(k, opening, z, count, bits, z)

  const flip2 = await askComparison(side, 'msb', halves.bits2, z, count, bits, at)
  const triple = drawTriple(side, XOR, pairwise(count), at)
  const [answered, answer, c] = await receiveAnswer(side, count, parts.answer, at)
  const openings = k.memory.alloc(total(parts.xor))
  const low = halves.low
  openXor(k, { answer, flip: flip2, low, z }, { ...triple, c }, count, party, openings)
  const theirs = await exchange(side, Kind.xor, at.layer, openings)
  const gammaDelta = k.memory.alloc(bytes)
  product(k, openings, theirs, { ...triple, c }, count, party, gammaDelta)
  const out = k.memory.alloc(bytes)
  signShare(k, { gamma: answer, delta: low, gammaDelta }, count, !isExact(window), party, out)
  for (const region of [a, r0, r1, r, alpha, masked, wrap, flip1, eta, opening, z, flip2]) region.release(true)
  for (const region of [triple.a, triple.b, ...answered, openings, theirs, gammaDelta]) region.release(true)
  halves.release()
  return out
}

/** δ, bits of a + r, x, bits of x, low bit of x: the client draws its halves, the server is sent them. */
async function receiveHalves({ k, party, dealt, helper, signal }: Side, count: number, bits: number, at: CallAddress) {
  if (party === 0) {
    const delta = drawOdd(k, dealt, at, Draw.delta, count, bits)
    const bits1 = drawBelow(k, dealt, at, Draw.bits1, count * bits, 67)
    const x = drawOdd(k, dealt, at, Draw.x, count, bits)
    const bits2 = drawBelow(k, dealt, at, Draw.bits2, count * bits, 67)
    const low = drawWords(dealt, at, Draw.low, count)
    return {
      delta,
      bits1,
      x,
      bits2,
      low,
      release: () => [delta, bits1, x, bits2, low].forEach((r) => void r.release(true)),
    }
  }
  const { converted } = dreluParts(count, bits)
  const [whole, delta, x, low, bits1, bits2] = await receiveRegions(k, helper, Kind.converted, at.layer, converted, {
    signal,
  })
  return { delta, bits1, x, bits2, low, release: () => whole.release() }
}

/** A half that the client draws and the server receives. */
async function half(
  { k, party, helper, signal }: Side,
  draw: () => Region,
  kind: number,
  lengths: readonly number[],
  at: CallAddress,
) {
  if (party === 0) return draw()
  return (await receiveRegions(k, helper, kind, at.layer, lengths, { signal }))[0]
}

/** Shares of β' and of C; first what has to be released. */
async function receiveAnswer(
  { k, party, dealt, helper, signal }: Side,
  count: number,
  lengths: readonly number[],
  at: CallAddress,
): Promise<[Region[], Region, Region]> {
  if (party === 0) {
    const answer = drawWords(dealt, at, Draw.answer, count)
    const c = drawWords(dealt, at, Draw.xorC, count)
    return [[answer, c], answer, c]
  }
  const [whole, answer, c] = await receiveRegions(k, helper, Kind.answer, at.layer, lengths, { signal })
  return [[whole], answer, c]
}

/** Helper: its part of one DReLU. */
export async function dealDrelu(helper: HelperSide, count: number, window: Window, at: CallAddress): Promise<void> {
  const { k, client, server } = helper
  const bits = comparedBits(window)
  const { masked } = dreluParts(count, bits)
  const [mine] = await receiveRegions(k, client, Kind.masked, at.layer, masked)
  const [theirs] = await receiveRegions(k, server, Kind.masked, at.layer, masked)
  const delta = k.memory.alloc(count)
  addWrap(k, mine, theirs, count, bits, mine, delta)
  await sendHalves(helper, mine, delta, count, bits, at)

  const wrapped = await answerComparison(helper, 'wrap', count, bits, at)
  const eta = drawOdd(k, helper.ch, at, Draw.eta, count, bits)
  shareFlag(k, wrapped, eta, count, { odd: bits }, eta)
  await sendRegions(server, Kind.wrap, at.layer, [eta])

  const above = await answerComparison(helper, 'msb', count, bits, at)
  const answer = drawWords(helper.ch, at, Draw.answer, count)
  shareFlag(k, above, answer, count, 'z64', answer)
  const c = dealTriple(helper, XOR, pairwise(count), at)
  await sendRegions(server, Kind.answer, at.layer, [answer, c])
  for (const region of [mine, theirs, delta, wrapped, eta, above, answer, c]) region.release(true)
}

/** The server's halves of flight 2. */
async function sendHalves(
  { k, ch, own, server }: HelperSide,
  sum: Region,
  wrap: Region,
  count: number,
  bits: number,
  at: CallAddress,
) {
  const delta = drawOdd(k, ch, at, Draw.delta, count, bits)
  shareFlag(k, wrap, delta, count, { odd: bits }, delta)
  const bits1 = k.memory.alloc(count * bits)
  const client1 = drawBelow(k, ch, at, Draw.bits1, count * bits, 67)
  shareBits(k, sum, count, bits, client1, bits1)
  const x = drawOdd(k, own, at, Draw.x, count, bits)
  const bits2 = k.memory.alloc(count * bits)
  const client2 = drawBelow(k, ch, at, Draw.bits2, count * bits, 67)
  shareBits(k, x, count, bits, client2, bits2)
  const parity = k.memory.alloc(count)
  lowBit(k, x, count, parity)
  const low = drawWords(ch, at, Draw.low, count)
  shareFlag(k, parity, low, count, 'z64', low)
  const share = drawOdd(k, ch, at, Draw.x, count, bits)
  subOdd(k, x, share, count, bits, share)
  await sendRegions(server, Kind.converted, at.layer, [delta, share, low, bits1, bits2])
  for (const region of [delta, bits1, client1, x, bits2, client2, parity, low, share]) region.release(true)
}
