// Typed calls of the product kernels (assembly/mcc/product.ts). Words are u64, of which the lowest N = n + f bits count.
import { expectDisjoint, expectInteger, expectSameOrDisjoint, expectWords } from '../guard.js'
import type { Kernels, Region } from '../instance.js'
import type { Side } from '../mcc.js'

/** Which factors meet: element i of `count` left ones the right one (i / plane) mod broad. */
export interface ProductShape {
  readonly count: number
  readonly broad: number
  readonly plane: number
}

/** Words of a step: six per element, two per right factor. */
export const productWords = ({ count, broad }: ProductShape): number => 6 * count + 2 * broad

/** n' of both factors, f, and N = n + f. */
export interface ProductBits {
  readonly bits: number
  readonly truncate: number
  readonly width: number
}

function expectShape(call: string, { count, broad, plane }: ProductShape, bits: number): void {
  expectInteger(call, 'count', count, 0, 2 ** 26)
  expectInteger(call, 'broad', broad, 1, 2 ** 26)
  expectInteger(call, 'plane', plane, 1, 2 ** 26)
  expectInteger(call, 'bits', bits, 2, 30)
}

/**
 * The client's halves of a step's words become the corrections of what is dealt. `r` and `a`: u32, left factors, then right
 * ones; r below 2^bits, a as its stream gives it.
 */
export function dealProduct(
  k: Kernels,
  shape: ProductShape,
  bits: number,
  { r, a, words }: { r: Region; a: Region; words: Region },
): void {
  const call = 'dealProduct'
  expectShape(call, shape, bits)
  const { count, broad, plane } = shape
  expectWords(call, 'words', words, productWords(shape), 8)
  for (const [name, region] of Object.entries({ r, a })) {
    expectWords(call, name, region, count + broad, 4)
    expectDisjoint(call, words, productWords(shape) * 8, region, (count + broad) * 4)
  }
  k.raw.mccDealProduct(r.ptr, a.ptr, count, broad, plane, bits, words.ptr)
}

/**
 * out = share of every product, shifted by f, plus (server) or minus (client) `other`; u32, of which n bits count.
 * @param e opened values, u32 below 2^bits, left factors, then right ones; `known`: in the same order m (client) or a'
 *   (server); `out` may be `other`
 */
export function product(
  k: Kernels,
  side: Side,
  shape: ProductShape,
  { bits, truncate, width }: ProductBits,
  { e, known, words, other, out }: { e: Region; known: Region; words: Region; other: Region; out: Region },
): void {
  const call = 'product'
  expectShape(call, shape, bits)
  expectInteger(call, 'truncate', truncate, 0, 31)
  expectInteger(call, 'width', width, truncate + 1, 63)
  const { count, broad, plane } = shape
  for (const [name, region] of Object.entries({ e, known })) {
    expectWords(call, name, region, count + broad, 4)
    expectDisjoint(call, out, count * 4, region, (count + broad) * 4)
  }
  expectWords(call, 'words', words, productWords(shape), 8)
  expectDisjoint(call, out, count * 4, words, productWords(shape) * 8)
  expectWords(call, 'other', other, count, 4)
  expectWords(call, 'out', out, count, 4)
  expectSameOrDisjoint(call, out, other, count * 4)
  const [server, sign] = side === 'server' ? [1, 1] : [0, -1]
  const factors = [e.ptr, known.ptr, words.ptr, count, broad, plane] as const
  k.raw.mccProduct(...factors, bits, width, truncate, server, sign, other.ptr, out.ptr)
}
