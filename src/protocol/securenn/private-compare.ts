// Private comparison (SecureNN, PETS 2019, algorithm 3): client and server hold digit shares of the bits of the helper's
// x and both know t; the helper learns a bit that is blinded by a random flip.
//
//   client, server → helper   s_i·c_i, turned by a random amount    bits·count bytes each
//
// What they send are fresh shares. Those that follow from the shares of x would not do: the helper dealt them, so it knows
// c_i of either party but for the bits of t, and the ratio of two s_i·c_i is free of s_i.

import type { Region } from '../../kernels/instance.js'
import { anyZero, compareDigits, rotateDigits } from '../../kernels/securenn/digits.js'
import { threshold } from '../../kernels/securenn/shares.js'
import { Kind } from '../kinds.js'
import { receiveRegions, sendRegions } from '../regions.js'
import type { CallAddress } from './draws.js'
import { Draw, drawBelow } from './draws.js'
import type { HelperSide, Side } from './parties.js'

const ROUNDS = {
  wrap: { flip: Draw.flip1, digits: Draw.digits1, zero: Draw.zero1, turn: Draw.turn1, kind: Kind.digits1 },
  msb: { flip: Draw.flip2, digits: Draw.digits2, zero: Draw.zero2, turn: Draw.turn2, kind: Kind.digits2 },
} as const

/** Bytes of the digits of `count` values: one each. */
export const digitBytes = (count: number, bits: number): number => count * bits

/**
 * Client and server: asks x < t (`wrap`) or x > t (`msb`). Returns the flips, one byte per value; the caller releases
 * them.
 */
export async function askComparison(
  { k, party, common, helper, signal }: Side,
  round: keyof typeof ROUNDS,
  x: Region,
  t: Region,
  count: number,
  bits: number,
  at: CallAddress,
): Promise<Region> {
  const draws = ROUNDS[round]
  const flip = drawBelow(k, common, at, draws.flip, count, 2)
  const s = drawBelow(k, common, at, draws.digits, count * bits, 66, 1)
  const zero = drawBelow(k, common, at, draws.zero, count * bits, 67)
  const turn = drawBelow(k, common, at, draws.turn, count, bits)
  const asked = { out: k.memory.alloc(count * 8), less: k.memory.alloc(count), always: k.memory.alloc(count) }
  threshold(k, t, flip, count, bits, round === 'wrap', asked)
  const digits = k.memory.alloc(digitBytes(count, bits))
  compareDigits(k, { x, t: asked.out, less: asked.less, always: asked.always, zero, s }, count, bits, party, digits)
  rotateDigits(k, digits, turn, count, bits)
  for (const region of [s, zero, turn, asked.out, asked.less, asked.always]) region.release(true)
  await sendRegions(helper, draws.kind, at.layer, [digits], { signal })
  digits.release()
  return flip
}

/** Helper: the blinded answers, one byte per value. The caller releases them. */
export async function answerComparison(
  { k, client, server }: HelperSide,
  round: keyof typeof ROUNDS,
  count: number,
  bits: number,
  at: CallAddress,
): Promise<Region> {
  const { kind } = ROUNDS[round]
  const lengths = [digitBytes(count, bits)]
  const [a] = await receiveRegions(k, client, kind, at.layer, lengths)
  const [b] = await receiveRegions(k, server, kind, at.layer, lengths)
  const out = k.memory.alloc(count)
  anyZero(k, a, b, count, bits, out)
  a.release()
  b.release()
  return out
}
