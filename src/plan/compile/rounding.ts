// How much of a layer's weights is lost when they become integers, and what is done about it where an average over a large
// window left them too little: the sum ends a step of its own, and the weights keep their size.
import type { Expression } from './expression.js'

/**
 * The most that rounding may change a layer's weights, root mean square, as a share of their own. Layers of usual networks
 * stay below a third of it; what goes beyond is said.
 */
export const MOST_LOST = 1 / 32

/** What rounding did to a layer. */
export interface LayerRounding {
  /** Layers whose weights these are. */
  readonly layer: string
  /** Root mean square of the change by that of the weights: 0 for nothing, 1 for all of them. */
  readonly lost: number
}

/** An operation whose factors became integers. */
export interface Rounding extends LayerRounding {
  readonly of: Expression & { kind: 'conv' | 'lift' }
}

/**
 * Layers that lose more than `MOST_LOST`, the worst first.
 * @param lost by layer
 */
export function coarseLayers(lost: ReadonlyMap<string, number>): LayerRounding[] {
  const layers = [...lost].map(([layer, share]): LayerRounding => ({ layer, lost: share }))
  return layers.filter((layer) => layer.lost > MOST_LOST).sort((a, b) => b.lost - a.lost)
}

/** What `coarse` of a compiled network says, for people; nothing where no layer is coarse. */
export function coarseNotes(coarse: readonly LayerRounding[] = []): string[] {
  if (coarse.length === 0) return []
  const named = coarse.slice(0, 3).map(({ layer, lost }) => `${layer} by ${(100 * lost).toPrecision(2)} %`)
  const others = coarse.length > named.length ? `, and ${coarse.length - named.length} more layers` : ''
  return [`rounding to integers changes the weights of ${named.join(', ')}${others}: answers may differ from float's`]
}

type Pool = Extract<Expression, { kind: 'pool' }>

/** The share that is lost when `values` become multiples of 1 / `unit`. */
export const lostShare = (values: ArrayLike<number>, unit: number): number => rounded(values, unit).lost

/** Integer weights of one filter, no wider than they have to be: those of a large network lie beside a server's kernels. */
export type FilterWords = Int16Array | Int32Array

/** The same integers, as `FilterWords` are. */
export const narrowed = (words: Int32Array): FilterWords =>
  words.every((word) => word === (word << 16) >> 16) ? new Int16Array(words) : words

/** `values` as multiples of 1 / `unit`, and the share of them that is lost. */
export function rounded(values: ArrayLike<number>, unit: number): { words: FilterWords; lost: number } {
  let words: FilterWords = new Int16Array(values.length)
  let lost = 0
  let all = 0
  for (let i = 0; i < words.length; i++) {
    const exact = values[i] * unit
    const whole = Math.floor(exact + 0.5)
    words[i] = whole
    if (words[i] !== whole && words instanceof Int16Array) {
      words = Int32Array.from(words)
      words[i] = whole
    }
    lost += (exact - whole) * (exact - whole)
    all += exact * exact
  }
  return { words, lost: all === 0 ? 0 : Math.sqrt(lost / all) }
}

/** A layer's sum over windows as a tensor: the sum by 2^bits, at most as large as the largest value summed. */
export type Average = (sum: Pool, bits: number) => Expression

/**
 * An expression in which each of the `coarse` operations reads averages instead of sums. They are 2^bits times smaller, and
 * its factors as much larger.
 * @returns the expression itself where no coarse operation reads sums alone
 */
export function withAverages(e: Expression, coarse: ReadonlySet<Expression>, average: Average): Expression {
  const done = new Map<Expression, Expression>()
  const visit = (part: Expression): Expression => {
    const known = done.get(part) ?? rebuilt(part)
    done.set(part, known)
    return known
  }
  const rebuilt = (part: Expression): Expression => {
    if (part.kind === 'add') {
      const of = part.of.map(visit)
      return of.every((own, i) => own === part.of[i]) ? part : { ...part, of }
    }
    if (!('of' in part)) return part
    const bits = coarse.has(part) ? windowBits(part.of) : undefined
    if (bits === undefined) {
      const of = visit(part.of)
      return of === part.of ? part : { ...part, of }
    }
    const of = averagesIn(part.of, (sum) => average(sum, bits))
    const larger = (factor: number) => factor * 2 ** bits
    if (part.kind === 'conv') {
      return { ...part, of, filter: { ...part.filter, weights: part.filter.weights.map(larger) } }
    }
    if (part.kind !== 'lift') throw new RangeError(`${part.kind} has no factors`)
    return { ...part, of, factor: typeof part.factor === 'number' ? larger(part.factor) : part.factor.map(larger) }
  }
  return visit(e)
}

/** ⌈log2⌉ of the window that every value of an expression is a sum over; undefined where there is none or not only one. */
function windowBits(e: Expression): number | undefined {
  if (e.kind === 'pool') return e.layer === undefined ? undefined : Math.ceil(Math.log2(gain(e)))
  if (e.kind !== 'add') return 'of' in e && e.kind !== 'resize' ? windowBits(e.of) : undefined
  const all = e.of.map(windowBits)
  return all.every((bits) => bits === all[0]) ? all[0] : undefined
}

/** How many values a sum adds up at most. */
function gain(e: Expression): number {
  if (e.kind === 'pool') return e.kernel[0] * e.kernel[1] * gain(e.of)
  if (e.kind === 'add') return e.of.reduce((total, part) => total + gain(part), 0)
  return 'of' in e ? gain(e.of) : 1
}

function averagesIn(e: Expression, average: (sum: Pool) => Expression): Expression {
  if (e.kind === 'pool') return average(e)
  if (e.kind === 'add') return { ...e, of: e.of.map((part) => averagesIn(part, average)) }
  return 'of' in e ? ({ ...e, of: averagesIn(e.of, average) } as Expression) : e
}
