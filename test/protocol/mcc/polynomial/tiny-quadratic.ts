// The quadratic select over rings of a few bits, as docs/protocol.md writes it: small enough to run for every value of every
// coin. `quadratic.enumerated.test.ts` and `views.quadratic.test.ts` hold it against the formula and against the kernels.
import { low } from '../blind.js'

/** n, n', dropped bits. */
export interface TinyQuadratic {
  readonly n: number
  readonly bits: number
  readonly f: number
}

/** What one copy adds where y + shift ≥ 0: sign · (y² + c1·y + c0). */
export interface TinyPiece {
  readonly shift: number
  readonly sign: 1 | -1
  readonly c0: number
  readonly c1: number
}

/** Where each word lies in the list of a value's own, and in that of one copy. */
export const [OMEGA, MU, S, V] = [0, 1, 2, 3]
export const [R, P, Q, P2, Q2] = [0, 1, 2, 3, 4]

/** Bits of a value's own words, then of a copy's: those that count times 2^n' or 2^(n'+1) have as many fewer. */
export function quadraticWidths({ n, bits, f }: TinyQuadratic): { own: number[]; copy: number[] } {
  const [whole, once, more] = [0, bits, bits + 1].map((less) => Math.max(0, n + f - less))
  return { own: [once, once, whole, more], copy: [whole, whole, once, whole, more] }
}

const signed = (x: number, bits: number): number => (x << (32 - bits)) >> (32 - bits)

/** The dealt values themselves; m and a below 2^n'. */
export function ownWords(m: number, a: number, bits: number): number[] {
  const r = low(m + a, bits)
  const a1 = r - (1 << (bits - 2))
  const mu = r >> (bits - 1)
  return [(m + a) >> bits, mu, a1 * a1, mu * a1]
}

export function copyWords(m: number, a: number, rho: number, bits: number): number[] {
  const [, mu, s, v] = ownWords(m, a, bits)
  return [rho, rho * (low(m + a, bits) - (1 << (bits - 2))), rho * mu, rho * s, rho * v]
}

/** b of a copy, as a chain over all bits tests it. */
export const tested = (e: number, m: number, a: number, shift: number, bits: number): number =>
  low(e + shift + m + a, bits) < 1 << (bits - 1) ? 1 : 0

/**
 * One party's share of the sum mod 2^(n + f), f bits not yet dropped.
 * @param known m (one = 0) or a' (one = 1); @param copies words of every copy
 * @param forgets a word that is left out, for the broken variants
 */
export function quadraticShare(
  e: number,
  beta: readonly number[],
  own: ArrayLike<number>,
  copies: readonly ArrayLike<number>[],
  known: number,
  one: 0 | 1,
  pieces: readonly TinyPiece[],
  { n, bits, f }: TinyQuadratic,
  forgets?: 'Q2' | 'V',
): number {
  const q = 1 << (bits - 2)
  const x = signed(low(e + q, bits), bits)
  const lift = x < 0 ? 0 : 1
  const a = known - one * q - ((own[OMEGA] + lift * own[MU]) << bits)
  const v = forgets === 'V' ? 0 : own[V]
  const s = own[S] - lift * ((v << (bits + 1)) - (own[MU] << (2 * bits)))
  let z = one * ((1 << f) - 1)
  pieces.forEach(({ sign, c0, c1 }, j) => {
    const words = copies[j]
    const q2 = forgets === 'Q2' ? 0 : words[Q2]
    const p = words[P] - lift * (words[Q] << bits)
    const p2 = words[P2] - lift * ((q2 << (bits + 1)) - (words[Q] << (2 * bits)))
    const [b, bA, bS] = beta[j] === 1 ? [one - words[R], a - p, s - p2] : [words[R], p, p2]
    z += sign * (x * x * b + 2 * x * bA + bS + c1 * (x * b + bA) + c0 * b)
  })
  return low(z, n + f)
}

/** Σ sign · [y + shift ≥ 0] · (y² + c1·y + c0). */
export const quadraticValue = (y: number, pieces: readonly TinyPiece[]): number =>
  pieces.reduce((sum, { shift, sign, c0, c1 }) => sum + (y + shift >= 0 ? sign * (y * y + c1 * y + c0) : 0), 0)

/** 6·hard-swish of a value whose 3 is `three`. */
export const hardSwish = (three: number): TinyPiece[] => [
  { shift: three, sign: 1, c0: 0, c1: three },
  { shift: -three, sign: -1, c0: 0, c1: -three },
]
