// Typed calls of the quadratic select (assembly/mcc/quadratic.ts). Words are u64, of which the lowest N = n + f bits count.
import { expectDisjoint, expectInteger, expectWords } from '../guard.js'
import { type Kernels, type Region, upload } from '../instance.js'

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

/** What both parties' shares are made of. */
interface Shared {
  /** Opened values, u32 below 2^bits, as they were opened. */
  readonly e: Region
  readonly words: Region
  /** A bit per copy. */
  readonly beta: Region
  readonly out: Region
}

function expectShares(
  call: string,
  shape: QuadraticShape,
  pieces: readonly QuadraticPiece[],
  { bits, drop, width }: QuadraticBits,
  { e, words, beta, out }: Shared,
  outBytes: 4 | 8,
): void {
  expectShape(call, shape, bits)
  const { count, copies } = shape
  expectInteger(call, 'drop', drop, 0, 31)
  expectInteger(call, 'width', width, drop + 1, 63)
  expectInteger(call, 'number of pieces', pieces.length, copies, copies)
  const bytes = quadraticWords(shape) * 8
  expectWords(call, 'e', e, count, 4)
  expectWords(call, 'words', words, bytes / 8, 8)
  expectWords(call, 'beta', beta, flagBytes(shape), 1)
  expectWords(call, 'out', out, count, outBytes)
  expectDisjoint(call, out, count * outBytes, e, count * 4)
  expectDisjoint(call, out, count * outBytes, words, bytes)
  expectDisjoint(call, out, count * outBytes, beta, flagBytes(shape))
}

function tableOf(k: Kernels, pieces: readonly QuadraticPiece[]): Region {
  return upload(k.memory, BigInt64Array.from(pieces.flatMap(({ sign, c0, c1 }) => [sign, c0, c1].map(BigInt))))
}

/**
 * Client: out = its share of every value's sum less next·2^f and f fresh bits, N bits of a u64.
 * @param pieces one per copy
 * @param numbers `from`: low bits of `m` that do not count
 */
export function answerQuadratic(
  k: Kernels,
  shape: QuadraticShape,
  pieces: readonly QuadraticPiece[],
  numbers: QuadraticBits & { readonly from: number },
  { m, next, fresh, ...shared }: Shared & { m: Region; next: Region; fresh: Region },
): void {
  const call = 'answerQuadratic'
  const { bits, drop, width, from } = numbers
  expectShares(call, shape, pieces, numbers, shared, 8)
  expectInteger(call, 'from', from, 0, 31)
  const { e, words, beta, out } = shared
  const { count, copies } = shape
  for (const [name, region] of Object.entries({ m, next, fresh })) {
    expectWords(call, name, region, count, 4)
    expectDisjoint(call, out, count * 8, region, count * 4)
  }
  const table = tableOf(k, pieces)
  const regions = [e.ptr, m.ptr, words.ptr, beta.ptr] as const
  const each = [count, copies, from, bits, width, drop] as const
  k.raw.mccAnswerQuadratic(...regions, ...each, table.ptr, next.ptr, fresh.ptr, out.ptr)
  table.release()
}

/** Server: out = every value's sum, f bits shorter, less the next mask, u32 of which n bits count. `reply`: u64. */
export function finishQuadratic(
  k: Kernels,
  shape: QuadraticShape,
  pieces: readonly QuadraticPiece[],
  numbers: QuadraticBits,
  { a, reply, ...shared }: Shared & { a: Region; reply: Region },
): void {
  const call = 'finishQuadratic'
  const { bits, drop, width } = numbers
  expectShares(call, shape, pieces, numbers, shared, 4)
  const { e, words, beta, out } = shared
  const { count, copies } = shape
  expectWords(call, 'a', a, count, 4)
  expectDisjoint(call, out, count * 4, a, count * 4)
  expectWords(call, 'reply', reply, count, 8)
  expectDisjoint(call, out, count * 4, reply, count * 8)
  const table = tableOf(k, pieces)
  const regions = [e.ptr, a.ptr, words.ptr, beta.ptr] as const
  k.raw.mccFinishQuadratic(...regions, count, copies, bits, width, drop, table.ptr, reply.ptr, out.ptr)
  table.release()
}
