// Typed calls of the quadratic select (assembly/mcc/quadratic.ts). Words are u64, of which the lowest N = n + f bits count.
import { expectDisjoint, expectInteger, expectSameOrDisjoint, expectWords } from '../guard.js'
import { type Kernels, type Region, upload } from '../instance.js'
import type { Side } from '../mcc.js'

/** `copies` of each of `count` values; bits of what is indexed by copy lie copy after copy. */
export interface QuadraticShape {
  readonly count: number
  readonly copies: number
}

/** What a copy adds where its bit is set: sign · (y² + c1·y + c0). */
export interface QuadraticPiece {
  readonly sign: 1 | -1
  readonly c0: number
  readonly c1: number
}

/** Words of a value of its own, and of each of its copies. */
export const [OWN_WORDS, COPY_WORDS] = [4, 5]

export const quadraticWords = ({ count, copies }: QuadraticShape): number => count * (OWN_WORDS + COPY_WORDS * copies)

/** n', f, and N = n + f. */
export interface QuadraticBits {
  readonly bits: number
  readonly drop: number
  readonly width: number
}

function expectShape(call: string, { count, copies }: QuadraticShape, bits: number): void {
  expectInteger(call, 'count', count, 0, 2 ** 26)
  expectInteger(call, 'copies', copies, 1, 16)
  expectInteger(call, 'bits', bits, 2, 30)
}

const flagBytes = ({ count, copies }: QuadraticShape): number => Math.ceil((count * copies) / 8)

/**
 * The client's halves of a step's words become the corrections of what is dealt.
 * @param r u32 below 2^bits; `a`: a' as its stream gives it; `rho`: a bit per copy
 */
export function dealQuadratic(
  k: Kernels,
  shape: QuadraticShape,
  bits: number,
  { r, a, rho, words }: { r: Region; a: Region; rho: Region; words: Region },
): void {
  const call = 'dealQuadratic'
  expectShape(call, shape, bits)
  const { count, copies } = shape
  const bytes = quadraticWords(shape) * 8
  expectWords(call, 'words', words, bytes / 8, 8)
  for (const [name, region] of Object.entries({ r, a })) {
    expectWords(call, name, region, count, 4)
    expectDisjoint(call, words, bytes, region, count * 4)
  }
  expectWords(call, 'rho', rho, flagBytes(shape), 1)
  expectDisjoint(call, words, bytes, rho, flagBytes(shape))
  k.raw.mccDealQuadratic(r.ptr, a.ptr, count, copies, bits, rho.ptr, words.ptr)
}

/**
 * out = share of every value's sum, shifted by f, plus (server) or minus (client) `other`; u32, of which n bits count.
 * @param pieces one per copy; `from`: low bits of `known` that do not count
 * @param e opened values, u32 below 2^bits, as they were opened; `known`: m (client) or a' (server); `beta`: a bit per copy;
 *   `out` may be `other`
 */
export function quadratic(
  k: Kernels,
  side: Side,
  shape: QuadraticShape,
  pieces: readonly QuadraticPiece[],
  { bits, drop, width, from }: QuadraticBits & { readonly from: number },
  {
    e,
    known,
    words,
    beta,
    other,
    out,
  }: { e: Region; known: Region; words: Region; beta: Region; other: Region; out: Region },
): void {
  const call = 'quadratic'
  expectShape(call, shape, bits)
  expectInteger(call, 'drop', drop, 0, 31)
  expectInteger(call, 'from', from, 0, 31)
  expectInteger(call, 'width', width, drop + 1, 63)
  const { count, copies } = shape
  expectInteger(call, 'number of pieces', pieces.length, copies, copies)
  const bytes = quadraticWords(shape) * 8
  for (const [name, region] of Object.entries({ e, known })) {
    expectWords(call, name, region, count, 4)
    expectDisjoint(call, out, count * 4, region, count * 4)
  }
  expectWords(call, 'words', words, bytes / 8, 8)
  expectDisjoint(call, out, count * 4, words, bytes)
  expectWords(call, 'beta', beta, flagBytes(shape), 1)
  expectDisjoint(call, out, count * 4, beta, flagBytes(shape))
  expectWords(call, 'other', other, count, 4)
  expectWords(call, 'out', out, count, 4)
  expectSameOrDisjoint(call, out, other, count * 4)
  const table = upload(k.memory, BigInt64Array.from(pieces.flatMap(({ sign, c0, c1 }) => [sign, c0, c1].map(BigInt))))
  const [server, sign] = side === 'server' ? [1, 1] : [0, -1]
  const numbers = [count, copies, from, bits, width, drop] as const
  k.raw.mccQuadratic(e.ptr, known.ptr, words.ptr, beta.ptr, ...numbers, table.ptr, server, sign, other.ptr, out.ptr)
  table.release()
}
