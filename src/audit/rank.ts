// Whether reconstructions know anything of their pictures: each is compared with all pictures, and how well it fits its own
// is held against how well it would by chance.
import { Uniform } from '../gradient/uniform.js'

/** What an attack came to. */
export interface Verdict {
  /** Reconstructions that were compared. */
  readonly count: number
  /** Pictures each was compared with. */
  readonly pictures: number
  /** Reconstructions that fit no picture as well as their own; by chance `count` / `pictures`. */
  readonly hits: number
  /** Mean share of the other pictures that fit better than its own: 0 all right, 1/2 by chance. */
  readonly rank: number
  /**
   * How often pictures given out at random fit as well in the mean: a permutation test, one-sided, that ends early where
   * many do (Besag & Clifford 1991).
   */
  readonly p: number
  /** Mean PSNR to its own picture, and to all others, in dB; the peak is the range of the pictures' values. */
  readonly psnr: number
  readonly unrelated: number
}

type Values = ArrayLike<number>

/**
 * Fit is the correlation of what is not common to all reconstructions with what is not common to all pictures, so that the
 * mean picture, which everybody knows, is worth nothing.
 * @param reconstructions the i-th of picture i; as many as the pictures or fewer
 * @param permutations p is at least 1 / (permutations + 1)
 */
export function verdictOf(
  reconstructions: readonly Values[],
  pictures: readonly Values[],
  permutations: number,
): Verdict {
  const [count, all] = [reconstructions.length, pictures.length]
  const [own, others] = [centred(reconstructions), centred(pictures)]
  const fits = own.map((one) => others.map((other) => dot(one, other)))
  const better = fits.map((row, i) => row.filter((fit, j) => j !== i && fit >= row[i]).length)
  const peak = rangeOf(pictures)
  const psnr = (i: number, j: number) => decibels(reconstructions[i], pictures[j], peak)
  const related = mean(fits.map((_, i) => psnr(i, i)))
  const unrelated = mean(fits.flatMap((row, i) => row.flatMap((_, j) => (i === j ? [] : [psnr(i, j)]))))
  return {
    ...{ count, pictures: all, hits: better.filter((n) => n === 0).length, psnr: related, unrelated },
    rank: mean(better.map((n) => n / Math.max(all - 1, 1))),
    p: permutationP(fits, permutations),
  }
}

/** So many permutations that fit as well are enough to know p. */
const ENOUGH = 20

function permutationP(fits: readonly (readonly number[])[], permutations: number): number {
  const all = fits[0].length
  const reached = fits.reduce((sum, row, i) => sum + row[i], 0) - 1e-12
  const order = Uint32Array.from({ length: all }, (_, i) => i)
  const { next: random } = new Uniform(1)
  let asGood = 0
  for (let turn = 0; turn < permutations; turn++) {
    let sum = 0
    for (let i = 0; i < fits.length; i++) {
      const j = i + Math.floor(random() * (all - i))
      const taken = order[j]
      order[j] = order[i]
      order[i] = taken
      sum += fits[i][taken]
    }
    if (sum >= reached && ++asGood === ENOUGH) return ENOUGH / (turn + 1)
  }
  return (asGood + 1) / (permutations + 1)
}

/** Without their mean, each of length 1; one that is the mean is 0. */
function centred(list: readonly Values[]): Float64Array[] {
  const middle = meanOf(list)
  return list.map((one) => {
    const rest = middle.map((m, i) => one[i] - m)
    // A single reconstruction has nothing in common with others: what is taken off it is its own mean.
    const values = list.length > 1 ? rest : Float64Array.from(one, (v) => v - mean(Array.from(one)))
    const size = Math.sqrt(dot(values, values))
    return values.map((v) => (size > 0 ? v / size : 0))
  })
}

/** Element by element. */
export function meanOf(list: readonly Values[]): Float64Array {
  const sum = new Float64Array(list[0].length)
  for (const one of list) for (let i = 0; i < sum.length; i++) sum[i] += one[i]
  return sum.map((s) => s / list.length)
}

export function rangeOf(pictures: readonly Values[]): { readonly low: number; readonly high: number } {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  for (const picture of pictures) {
    for (let i = 0; i < picture.length; i++) {
      low = Math.min(low, picture[i])
      high = Math.max(high, picture[i])
    }
  }
  return { low, high }
}

/** Of a reconstruction within the pictures' range; 100 where they are equal but for a hundred-thousandth of it. */
function decibels(x: Values, y: Values, { low, high }: { low: number; high: number }): number {
  let sum = 0
  for (let i = 0; i < y.length; i++) sum += (Math.min(Math.max(x[i], low), high) - y[i]) ** 2
  return Math.min(-10 * Math.log10(sum / y.length / (high - low) ** 2), 100)
}

export function dot(x: Values, y: Values): number {
  let sum = 0
  for (let i = 0; i < x.length; i++) sum += x[i] * y[i]
  return sum
}

const mean = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0) / list.length
