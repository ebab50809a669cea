// Typed calls of the segment tables (assembly/mcc/curve.ts). Words are u64, of which the lowest N = n + f bits count.
import { expectDisjoint, expectInteger, expectSameOrDisjoint, expectWords } from '../guard.js'
import { type Kernels, type Region, upload } from '../instance.js'
import type { Side } from '../mcc.js'

/** Tables of `count` values: 2^`segments` entries of a polynomial of degree 1 or 2. `bits`: n'. */
export interface CurveShape {
  readonly count: number
  readonly bits: number
  readonly segments: number
  readonly degree: number
}

/** Words of one value's table. */
export const curveWords = ({ segments, degree }: Pick<CurveShape, 'segments' | 'degree'>): number =>
  (degree + 1) * 2 ** segments

function expectShape(call: string, { count, bits, segments, degree }: CurveShape): void {
  expectInteger(call, 'count', count, 0, 2 ** 26)
  expectInteger(call, 'bits', bits, 4, 30)
  expectInteger(call, 'segments', segments, 1, Math.min(8, bits - 1))
  expectInteger(call, 'degree', degree, 1, 2)
}

/**
 * The client's halves of the tables become the corrections of what is dealt.
 * @param r u32 below 2^bits; `polynomials`: in y, constant first, one per segment of the lowest y on, i64
 */
export function dealCurve(
  k: Kernels,
  shape: CurveShape,
  { r, polynomials, tables }: { r: Region; polynomials: Region; tables: Region },
): void {
  const call = 'dealCurve'
  expectShape(call, shape)
  const { count, bits, segments, degree } = shape
  const words = curveWords(shape)
  expectWords(call, 'r', r, count, 4)
  expectWords(call, 'polynomials', polynomials, words, 8)
  expectWords(call, 'tables', tables, count * words, 8)
  expectDisjoint(call, tables, count * words * 8, r, count * 4)
  expectDisjoint(call, tables, count * words * 8, polynomials, words * 8)
  const scratch = k.memory.alloc(2 * words * 8)
  k.raw.mccDealCurve(r.ptr, count, bits, segments, degree + 1, polynomials.ptr, tables.ptr, scratch.ptr)
  scratch.release(true)
}

/**
 * out = share of every value's polynomial, shifted by f, plus (server) or minus (client) `other`; u32, of which n bits count.
 * @param e opened values, u32 below 2^bits; `width`: N; `out` may be `other`
 */
export function curve(
  k: Kernels,
  side: Side,
  shape: CurveShape,
  { width, drop }: { width: number; drop: number },
  { e, tables, other, out }: { e: Region; tables: Region; other: Region; out: Region },
): void {
  const call = 'curve'
  expectShape(call, shape)
  expectInteger(call, 'drop', drop, 0, 31)
  expectInteger(call, 'width', width, drop + 1, 63)
  const { count, bits, segments, degree } = shape
  const words = count * curveWords(shape)
  expectWords(call, 'e', e, count, 4)
  expectWords(call, 'tables', tables, words, 8)
  expectWords(call, 'other', other, count, 4)
  expectWords(call, 'out', out, count, 4)
  expectDisjoint(call, out, count * 4, e, count * 4)
  expectDisjoint(call, out, count * 4, tables, words * 8)
  expectSameOrDisjoint(call, out, other, count * 4)
  const [server, sign] = side === 'server' ? [1, 1] : [0, -1]
  const numbers = [count, bits, segments, degree + 1, width, drop, server, sign] as const
  k.raw.mccCurve(e.ptr, tables.ptr, ...numbers, other.ptr, out.ptr)
}

/**
 * Polynomials of the segments in y itself, from those in y less the middle of the two segments that each serves, constant
 * first. The caller releases the result.
 */
export function polynomialsOf(
  k: Kernels,
  { bits, segments }: Pick<CurveShape, 'bits' | 'segments'>,
  local: readonly (readonly number[])[],
): Region {
  const words = local.flatMap((coefficients, segment) => {
    const [q0, q1, q2 = 0n] = coefficients.map(BigInt)
    const middle = BigInt((segment + 1) * 2 ** (bits - segments) - 2 ** (bits - 1))
    const inY = [q0 - q1 * middle + q2 * middle * middle, q1 - 2n * q2 * middle, q2]
    return inY.slice(0, coefficients.length).map((word) => BigInt.asIntN(64, word))
  })
  return upload(k.memory, BigInt64Array.from(words))
}
