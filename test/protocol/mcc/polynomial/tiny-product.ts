// The product of two opened values over rings of a few bits, as docs/protocol.md writes it: small enough to run for every
// value of every coin. `views.product.test.ts` holds it against the kernels.
import { low } from '../blind.js'

/** n, n' of both factors, dropped bits. */
export interface TinyProduct {
  readonly n: number
  readonly bits: number
  readonly f: number
}

/** Where each word of a product lies in a list of all: of the left factor and of both, then of the right one alone. */
export const [OMEGA, MU, P, X, Y, Z, OMEGA2, MU2] = [0, 1, 2, 3, 4, 5, 6, 7]

/** Bits of every word: those that count times 2^n' or 2^2n' have as many fewer. */
export function wordWidths({ n, bits, f }: TinyProduct): number[] {
  const [whole, once, twice] = [0, bits, 2 * bits].map((less) => Math.max(0, n + f - less))
  return [once, once, whole, once, once, twice, once, once]
}

const signed = (x: number, bits: number): number => (x << (32 - bits)) >> (32 - bits)

/** The dealt values themselves; masks and a' below 2^n'. */
export function productWords(m1: number, m2: number, a1: number, a2: number, bits: number): number[] {
  const [r1, r2] = [low(m1 + a1, bits), low(m2 + a2, bits)]
  const offset = 1 << (bits - 2)
  const [d1, d2] = [r1 - offset, r2 - offset]
  const [mu, mu2] = [r1 >> (bits - 1), r2 >> (bits - 1)]
  return [(m1 + a1) >> bits, mu, d1 * d2, mu * d2, mu2 * d1, mu * mu2, (m2 + a2) >> bits, mu2]
}

/** One party's share of the product mod 2^(n + f), f bits not yet dropped. `known`: m (one = 0) or a' (one = 1). */
export function productShare(
  e1: number,
  e2: number,
  words: ArrayLike<number>,
  known1: number,
  known2: number,
  one: 0 | 1,
  { n, bits, f }: TinyProduct,
): number {
  const offset = 1 << (bits - 2)
  const v1 = signed(low(e1 + offset, bits), bits)
  const v2 = signed(low(e2 + offset, bits), bits)
  const lift1 = v1 < 0 ? 0 : 1
  const lift2 = v2 < 0 ? 0 : 1
  const a1 = known1 - one * offset - ((words[OMEGA] + lift1 * words[MU]) << bits)
  const a2 = known2 - one * offset - ((words[OMEGA2] + lift2 * words[MU2]) << bits)
  const once = (lift1 * words[X] + lift2 * words[Y]) << bits
  const aa = words[P] - once + ((lift1 * lift2 * words[Z]) << (2 * bits))
  return low(v1 * a2 + v2 * a1 + aa + one * (v1 * v2 + (1 << f) - 1), n + f)
}
