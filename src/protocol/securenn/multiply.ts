// Products of shared values by Beaver triples (in Z_2^64): the helper deals A, B, C = A·B; x - A and y - B are opened. One
// y can be the factor of many x: then it is opened once.
//
//   helper → server   C_1                    8 B per x          (A, B and the client's C come from seeds)
//   client ↔ server   x - A, y - B           16 B per x and per y
import { gather64, type IndexMap } from '../../kernels/index-maps.js'
import type { Region } from '../../kernels/instance.js'
import { add64, mul64, sub64 } from '../../kernels/ring.js'
import { product } from '../../kernels/securenn/shares.js'
import { Kind } from '../kinds.js'
import { receiveRegions, sendRegions, total } from '../regions.js'
import type { Message } from '../transcript.js'
import { type CallAddress, Draw, drawWords } from './draws.js'
import { exchange, exchanged, type HelperSide, type Side, toServer } from './parties.js'

/** Which draws a triple's shares are. */
export const XOR = { a: Draw.xorA, b: Draw.xorB, c: Draw.xorC } as const
export const PRODUCT = { a: Draw.productA, b: Draw.productB, c: Draw.productC } as const
type TripleDraws = typeof XOR | typeof PRODUCT

/** Which y belongs to which x. */
export interface Products {
  /** Numbers of x and of y. */
  readonly count: number
  readonly factors: number
  /** The y of each x; null when they pair up in order. */
  readonly factorOf: IndexMap | null
}

export const pairwise = (count: number): Products => ({ count, factors: count, factorOf: null })

/** Byte lengths of the openings of x and of y, and of a share of C. */
const productParts = ({ count, factors }: Pick<Products, 'count' | 'factors'>) => ({
  openings: [8 * count, 8 * factors],
  c: [8 * count],
})

/** One flight: C can come any time before it is needed. */
export function productMessages(products: Pick<Products, 'count' | 'factors'>): Message[] {
  const { openings, c } = productParts(products)
  return [...exchanged('product', total(openings), 1), toServer('productC', total(c), 1)]
}

/** Client and server: this party's A and B. The caller releases them. */
export function drawTriple({ dealt }: Side, draws: TripleDraws, { count, factors }: Products, at: CallAddress) {
  return { a: drawWords(dealt, at, draws.a, count), b: drawWords(dealt, at, draws.b, factors) }
}

/** Helper: the server's share of C. The caller releases it. */
export function dealTriple({ k, ch, sh }: HelperSide, draws: TripleDraws, products: Products, at: CallAddress): Region {
  const { count, factors, factorOf } = products
  const [a, a1] = [ch, sh].map((streams) => drawWords(streams, at, draws.a, count))
  const [b, b1] = [ch, sh].map((streams) => drawWords(streams, at, draws.b, factors))
  add64(k, a, a1, a, count)
  add64(k, b, b1, b, factors)
  const perValue = factorOf ? k.memory.alloc(count * 8) : b
  if (factorOf) gather64(k, b, factorOf, perValue)
  mul64(k, a, perValue, a, count)
  const c = drawWords(ch, at, draws.c, count)
  sub64(k, a, c, c, count)
  if (perValue !== b) perValue.release(true)
  for (const region of [a, a1, b, b1]) region.release(true)
  return c
}

/** Helper: sends what `dealTriple` dealt for the products of one call. */
export async function sendProduct({ server }: HelperSide, c: Region, at: CallAddress): Promise<void> {
  await sendRegions(server, Kind.productC, at.layer, [c])
  c.release(true)
}

/** Client and server: this party's C. The caller releases it. */
async function receiveC({ k, party, dealt, helper, signal }: Side, products: Products, at: CallAddress) {
  if (party === 0) return drawWords(dealt, at, PRODUCT.c, products.count)
  return (await receiveRegions(k, helper, Kind.productC, at.layer, productParts(products).c, { signal }))[0]
}

/** Client and server: shares of every x times its y. The caller releases the result. */
export async function multiply(side: Side, x: Region, y: Region, products: Products, at: CallAddress): Promise<Region> {
  const { k, party } = side
  const { count, factors } = products
  const { a, b } = drawTriple(side, PRODUCT, products, at)
  const [ofX, ofY] = productParts(products).openings
  const openings = k.memory.alloc(ofX + ofY)
  sub64(k, x, a, openings.part(0, ofX), count)
  sub64(k, y, b, openings.part(ofX, ofY), factors)
  const theirs = await exchange(side, Kind.product, at.layer, openings)
  const c = await receiveC(side, products, at)
  const out = k.memory.alloc(count * 8)
  const spread = [openings, theirs].map((opened) => perValue(side, opened, products, count))
  const factor = perValue(side, b, products, 0)
  product(k, spread[0], spread[1], { a, b: factor, c }, count, party, out)
  for (const region of new Set([a, b, c, openings, theirs, ...spread, factor])) region.release(true)
  return out
}

/** Words whose part from `from` on is one per y, with one per x in its place; the same region when they pair up. */
function perValue({ k }: Side, words: Region, { count, factors, factorOf }: Products, from: number): Region {
  if (!factorOf) return words
  const out = k.memory.alloc((from + count) * 8)
  out.u8().set(words.u8().subarray(0, from * 8))
  gather64(k, words.part(from * 8, factors * 8), factorOf, out.part(from * 8, count * 8))
  return out
}
