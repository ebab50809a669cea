// ONNX nodes that bound their input from one side or both, alone or one behind another.
import type { LayerOp } from '../../../model/layers/layers.js'
import type { OnnxNodeReader, OnnxRead, Seen } from '../node.js'
import { sum } from './layers.js'

/** From this size on a bound is no bound (exporters write the largest float for "none"). */
const NO_BOUND = 3e38
/** No float32 is larger. */
const LARGEST = 3.4028234663852886e38

export const relu: OnnxRead = (n) => bounded(n, n.seen(), 0, Number.POSITIVE_INFINITY)

export const clip: OnnxRead = (n) => {
  const low = n.number('min', 1, Number.NEGATIVE_INFINITY)
  const high = n.number('max', 2, Number.POSITIVE_INFINITY)
  return bounded(n, n.seen(), low, high)
}

/** Max or Min of a value and one number, or of values: max(a, b) is a + relu(b - a), min(a, b) is a - relu(a - b). */
export function extreme(kind: 'max' | 'min'): OnnxRead {
  return (n) => {
    const side = n.constantSide()
    if (side === undefined) return extremeOf(n, kind)
    const bound = n.oneNumber(side)
    if (bound === undefined) return undefined
    return kind === 'max'
      ? bounded(n, n.seen(1 - side), bound, Number.POSITIVE_INFINITY)
      : bounded(n, n.seen(1 - side), Number.NEGATIVE_INFINITY, bound)
  }
}

function extremeOf(n: OnnxNodeReader, kind: 'max' | 'min'): Seen | undefined {
  const seen = n.node.inputs.map((_, index) => n.seen(index))
  if (n.failed || seen.length === 0) return undefined
  return seen
    .slice(1)
    .reduce<Seen | undefined>(
      (a, b, i) => a && extremeOfTwo(n, kind, a, b!, i === seen.length - 2 ? '' : `.${i + 1}`),
      seen[0],
    )
}

export function extremeOfTwo(
  n: OnnxNodeReader,
  kind: 'max' | 'min',
  a: Seen,
  b: Seen,
  suffix: string,
): Seen | undefined {
  const [more, less] = kind === 'max' ? [b, a] : [a, b]
  const minus = n.affine(less, -1, 0, `${suffix}.minus`)
  const difference = minus && sum(n, [more, minus], `${suffix}.difference`)
  const cut = difference && n.kept(difference, { op: 'relu' }, {}, `${suffix}.relu`)
  const change = cut && (kind === 'max' ? cut : n.affine(cut, -1, 0, `${suffix}.change`))
  return change && sum(n, [a, change], suffix)
}

/** max(0, min(1, alpha · x + beta)). */
export const hardSigmoid: OnnxRead = (n) => {
  const [alpha, beta] = [n.number('alpha', undefined, 0.2), n.number('beta', undefined, 0.5)]
  const x = n.seen()
  return x && bounded(n, n.affine(x, alpha, beta, '.affine'), 0, 1)
}

/** x · max(0, min(1, x / 6 + 1 / 2)). */
export const hardSwishGate = (n: OnnxNodeReader, x: Seen): Seen | undefined =>
  bounded(n, n.affine(x, 1 / 6, 0.5, '.affine'), 0, 1)

export function bounded(n: OnnxNodeReader, given: Seen | undefined, low: number, high: number): Seen | undefined {
  if (!given || n.failed) return undefined
  if (low <= -NO_BOUND && high >= NO_BOUND) return given
  const before = n.scope.bounds.get(given.value.id)
  const within = (bound: number) => Math.min(Math.max(bound, low), high)
  const all = before && low < high ? { x: before.x, low: within(before.low), high: within(before.high) } : undefined
  const { x, ...range } = all ?? { x: given, low, high }
  if (!(range.low < range.high)) return n.fault(`expected bounds min < max, got ${range.low} and ${range.high}`)
  if (n.draft.isPlain(x.value)) return n.kept(x, clipOf(range))
  const made = between(
    n,
    x,
    range.low > -NO_BOUND ? range.low : undefined,
    range.high < NO_BOUND ? range.high : undefined,
  )
  if (made) n.scope.bounds.set(made.value.id, { x, ...range })
  return made
}

/** Both bounds at once, where nothing is compared privately. */
function clipOf({ low, high }: { readonly low: number; readonly high: number }): LayerOp {
  if (low === 0 && high >= NO_BOUND) return { op: 'relu' }
  return { op: 'clip', min: Math.max(low, -LARGEST), max: Math.min(high, LARGEST) }
}

/** One comparison where there is one bound: max(x, a) is relu(x - a) + a, min(x, b) is b - relu(b - x). */
function between(n: OnnxNodeReader, x: Seen, low: number | undefined, high: number | undefined): Seen | undefined {
  if (low !== undefined && high !== undefined) return n.kept(x, { op: 'clip', min: low, max: high })
  if (low === 0) return n.kept(x, { op: 'relu' })
  const [factor, bound] = low === undefined ? [-1, high!] : [1, low]
  const shifted = n.affine(x, factor, -factor * bound, '.shift')
  const cut = shifted && n.kept(shifted, { op: 'relu' }, {}, '.relu')
  return cut && n.affine(cut, factor, bound)
}
