// Maxima of three over rings of a few bits, as docs/protocol.md writes them: small enough to run for every value of every coin.
// `max-pool.enumerated.test.ts` and `views.max-pool.test.ts` hold it against the formula and against the kernels.
import { low } from '../blind.js'

/** n and n'. */
export interface TinyMaxPool {
  readonly n: number
  readonly bits: number
}

/** Where each word lies: of the values, of either ReLU, and of what the choice takes. */
export const WORDS = {
  ...{ omega0: 0, mu0: 1, omega1: 2, mu1: 3, omega2: 4, mu2: 5 },
  ...{ rho1: 6, p1: 7, q1: 8, rho2: 9, p2: 10, q2: 11 },
  ...{ rho: 12, chosenP1: 13, chosenQ1: 14, chosenP2: 15, chosenQ2: 16 },
  ...{ bothRho1: 17, bothP1: 18, bothQ1: 19, bothRho2: 20, bothP2: 21, bothQ2: 22 },
} as const
type Word = keyof typeof WORDS

/** Bits of every word: what counts times 2^n' has as many fewer. */
export const wordWidths = ({ n, bits }: TinyMaxPool): readonly number[] =>
  Object.keys(WORDS).map((word) => (/omega|mu|[qQ]\d/.test(word) ? Math.max(0, n - bits) : n))

const signed = (x: number, bits: number): number => (x << (32 - bits)) >> (32 - bits)

/** What an opened value is masked with, and what the parties know of that. */
export interface TinyMask {
  readonly m: number
  readonly a: number
}

/** The masks of y_0, y_1 - y_0, y_2 - y_0 and y_2 - y_1 from those of the three values. */
export function differences(values: readonly number[], bits: number): [number, number, number, number] {
  const [y0, y1, y2] = values
  return [low(y0, bits), low(y1 - y0, bits), low(y2 - y0, bits), low(y2 - y1, bits)]
}

/** The dealt values themselves. @param rho of the chains of y_1 - y_0, y_2 - y_0 and y_2 - y_1 */
export function dealtWords(masks: readonly TinyMask[], rho: readonly number[], bits: number): number[] {
  const [m, a] = [masks.map(({ m }) => m), masks.map(({ a }) => a)].map((each) => differences(each, bits))
  const r = m.map((each, i) => low(each + a[i], bits))
  const a0 = r.map((each) => signed(each, bits) - (1 << (bits - 2)))
  const mu = r.map((each) => each >> (bits - 1))
  const omega = m.map((each, i) => (each + a[i]) >> bits)
  const select = (i: number, bit: number) => [bit * a0[i], bit * mu[i]]
  const [one, two, chooses] = rho
  return [
    ...[0, 1, 2].flatMap((i) => [omega[i], mu[i]]),
    ...[one, ...select(1, one), two, ...select(2, two)],
    ...[chooses, ...select(1, chooses), ...select(2, chooses)],
    ...[chooses & one, ...select(1, chooses & one), chooses & two, ...select(2, chooses & two)],
  ]
}

/** b of the three chains, which test every bit. @param e of the three values */
export function testedSigns(e: readonly number[], masks: readonly TinyMask[], bits: number): number[] {
  const values = e.map((each, i) => each + masks[i].m + masks[i].a)
  return differences(values, bits)
    .slice(1)
    .map((each) => (each < 1 << (bits - 1) ? 1 : 0))
}

/**
 * One party's share of the maximum mod 2^n.
 * @param known m' (one = 0) or a' (one = 1) of the three values
 * @param forgets a word that is left out, for the broken variants
 */
export function maximumShare(
  e: readonly number[],
  beta: readonly number[],
  words: ArrayLike<number>,
  known: readonly number[],
  one: 0 | 1,
  { n, bits }: TinyMaxPool,
  forgets?: Word,
): number {
  const q = 1 << (bits - 2)
  const left = forgets === undefined ? -1 : WORDS[forgets]
  const of = (word: number) => (word === left ? 0 : words[word])
  const opened = differences(e, bits).map((each) => signed(low(each + q, bits), bits))
  const ours = differences(known, bits)
  const lift = (i: number) => (opened[i] < 0 ? 0 : 1)
  /** [A_j] of value i, whose ω and μ stand first. */
  const addend = (i: number) => ours[i] - one * q - ((of(2 * i) + lift(i) * of(2 * i + 1)) << bits)
  /** [ρ·d] of difference i, for any bit that there are words of: [ρμ] stands behind [ρA_0]. */
  const masked = (i: number, rho: number, p: number) =>
    opened[i] * of(rho) + of(p) + (1 - lift(i)) * (of(p + 1) << bits)
  const relus = [1, 2].map((i) => {
    const d = opened[i] * one + addend(i)
    const [rho, chosenP, bothRho] = i === 1 ? [6, 13, 17] : [9, 15, 20]
    const hidden = masked(i, rho, rho + 1)
    const chosen = masked(i, WORDS.rho, chosenP)
    const both = masked(i, bothRho, bothRho + 1)
    return beta[i - 1] === 1 ? { relu: d - hidden, times: chosen - both } : { relu: hidden, times: both }
  })
  const more = relus[1].relu - relus[0].relu
  const times = relus[1].times - relus[0].times
  const choice = beta[2] === 1 ? more - times : times
  return low(opened[0] * one + addend(0) + relus[0].relu + choice, n)
}
