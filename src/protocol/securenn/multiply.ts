// Products of shared values by Beaver triples (in Z_2^64): the helper deals A, B, C = A·B; x - A and y - B are opened.
//
//   helper → server   C_1                    8 B     (A, B and the client's C come from seeds)
//   client ↔ server   x - A, y - B           16 B each
import type { Region } from '../../kernels/index.js'
import { add64, mul64, sub64 } from '../../kernels/ring.js'
import { openProduct, product } from '../../kernels/securenn-shares.js'
import { type CallAddress, Draw, drawWords } from './draws.js'
import { type HelperSide, Message, receiveRegions, type Side, sendRegions } from './parties.js'

/** Which draws a triple's shares are. */
export const XOR = { a: Draw.xorA, b: Draw.xorB, c: Draw.xorC } as const
export const PRODUCT = { a: Draw.productA, b: Draw.productB, c: Draw.productC } as const
type TripleDraws = typeof XOR | typeof PRODUCT

/** Bytes over all links for `count` products, and waves that wait for each other: C can come any time before. */
export function productCost(count: number): { bytes: number; flights: number } {
  return { bytes: 40 * count, flights: 1 }
}

/** Client and server: this party's A and B. The caller releases them. */
export function drawTriple({ dealt }: Side, draws: TripleDraws, count: number, at: CallAddress) {
  return { a: drawWords(dealt, at, draws.a, count), b: drawWords(dealt, at, draws.b, count) }
}

/** Helper: the server's share of C. The caller releases it. */
export function dealTriple({ k, ch, sh }: HelperSide, draws: TripleDraws, count: number, at: CallAddress): Region {
  const [a, a1] = [ch, sh].map((streams) => drawWords(streams, at, draws.a, count))
  const [b, b1] = [ch, sh].map((streams) => drawWords(streams, at, draws.b, count))
  add64(k, a, a1, a, count)
  add64(k, b, b1, b, count)
  mul64(k, a, b, a, count)
  const c = drawWords(ch, at, draws.c, count)
  sub64(k, a, c, c, count)
  for (const region of [a, a1, b, b1]) region.release(true)
  return c
}

/** Helper: deals for one product per value. */
export function dealProduct(helper: HelperSide, count: number, at: CallAddress): void {
  const c = dealTriple(helper, PRODUCT, count, at)
  sendRegions(helper.server, Message.productC, at.layer, [c])
  c.release(true)
}

/** Client and server: shares of x·y. The caller releases the result. */
export async function multiply(side: Side, x: Region, y: Region, count: number, at: CallAddress): Promise<Region> {
  const { k, party, peer, helper, dealt } = side
  const bytes = count * 8
  const { a, b } = drawTriple(side, PRODUCT, count, at)
  const c =
    party === 0
      ? drawWords(dealt, at, PRODUCT.c, count)
      : (await receiveRegions(k, helper, Message.productC, at.layer, [bytes]))[0]
  const openings = k.memory.alloc(2 * bytes)
  openProduct(k, x, y, { a, b, c }, count, openings)
  sendRegions(peer, Message.product, at.layer, [openings])
  const [theirs] = await receiveRegions(k, peer, Message.product, at.layer, [2 * bytes])
  const out = k.memory.alloc(bytes)
  product(k, openings, theirs, { a, b, c }, count, party, out)
  for (const region of [a, b, c, openings, theirs]) region.release(true)
  return out
}
