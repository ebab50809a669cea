// Max pooling. A window is reduced along its width, then along its height: at once where it is three long and there are steps
// for that, else as ReLUs, max(a, b) = b + ReLU(a - b), and as a tree: a 3×3 window then takes 6 comparisons per output in 4
// levels instead of 8 in a row. Windows that reach past the edge read the edge again, which does not change their maximum.
import type { LayerOf } from '../../model/layers/layers.js'
import { TAPS } from '../max-pools.js'
import type { MapShape, Pair, PoolWindows } from '../plan.js'
import { channelsFrom, type Expression, isWeighted, place, type Value } from './expression.js'

/** Ends a step: the ReLU of `relu` channels, then the others unchanged. Returns the truncated tensor. */
export type Compare = (stacked: Expression, relu: number) => Expression

export interface Maxima {
  readonly compare: Compare
  /** Ends a step with the maxima of windows of three; absent where there are no such steps. */
  readonly ofThree?: ((map: Expression, windows: PoolWindows, out: MapShape) => Expression) | false
}

type Window = Pick<LayerOf<'maxPool'>, 'kernel' | 'stride' | 'pad'>

/** Whether a step can take all maxima along an axis. Windows farther apart would have elements opened that none of them reads. */
export const isOfThree = ({ kernel, stride, pad }: Window, axis: 0 | 1): boolean =>
  kernel[axis] === TAPS && stride[axis] <= TAPS && pad[axis] < TAPS

/** @param value not weighted */
export function maxPool(
  value: Value,
  { kernel, stride, pad }: Window,
  out: MapShape,
  { compare, ofThree }: Maxima,
): Value {
  let expression = value.expression
  for (const axis of [1, 0] as const) {
    if (ofThree && isOfThree({ kernel, stride, pad }, axis)) {
      const [c, h, w] = expression.shape
      const shape: MapShape = axis === 0 ? [c, out[1], w] : [c, h, out[2]]
      expression = ofThree(expression, { axis, stride: stride[axis], pad: pad[axis] }, shape)
      continue
    }
    const gather = { axis, size: out[axis + 1], stride: stride[axis], pad: pad[axis] }
    const views = Array.from({ length: kernel[axis] }, (_, tap) => view(expression, tap, gather))
    expression = largest(views, compare)
  }
  return { expression, factor: value.factor }
}

interface Gather {
  readonly axis: 0 | 1
  /** Windows along the axis. */
  readonly size: number
  readonly stride: number
  readonly pad: number
}

/** Element `tap` of every window along one axis, inside the map: pieces of the map side by side. */
function view(of: Expression, tap: number, { axis, size, stride, pad }: Gather): Expression {
  const [c, h, w] = of.shape
  const last = of.shape[axis + 1] - 1
  const shape: MapShape = axis === 0 ? [c, size, w] : [c, h, size]
  const at = (i: number) => Math.min(Math.max(i * stride - pad + tap, 0), last)
  const along = (near: number, other: number): Pair => (axis === 0 ? [near, other] : [other, near])
  const pieces: Expression[] = []
  for (let i = 0, end = 1; i < size; i = end, end = i + 1) {
    while (end < size && at(end) === at(end - 1) + stride) end++
    // A single element: its stride leads out of the map.
    const step = end - i > 1 ? stride : last + 1
    const from = { kind: 'embed', of, stride: along(step, 1), from: along(at(i), 0) } as const
    // An embed goes on to the edge of the map or of its own room: where neither is the piece's end, it is cut first.
    const ends = end === size || at(end - 1) + step > last
    if (ends) pieces.push({ ...from, at: [0, ...along(i, 0)], shape })
    else {
      const [ph, pw] = axis === 0 ? [end - i, w] : [h, end - i]
      pieces.push(place({ ...from, at: [0, 0, 0], shape: [c, ph, pw] }, [0, ...along(i, 0)], shape))
    }
  }
  return pieces.length === 1 ? pieces[0] : { kind: 'add', of: pieces, shape }
}

/** The largest of equally shaped values, position by position. */
function largest(values: readonly Expression[], compare: Compare): Expression {
  if (values.length === 1) return values[0]
  const pairs = Array.from({ length: values.length >> 1 }, (_, i) => [values[2 * i], values[2 * i + 1]] as const)
  const odd = values.length % 2 === 1 ? [values[values.length - 1]] : []
  const differences = pairs.map(
    ([a, b]): Expression => ({ kind: 'add', of: [a, { kind: 'negate', of: b, shape: b.shape }], shape: a.shape }),
  )
  const rest = [...pairs.map(([, b]) => b), ...odd]
  // What has met weights cannot be read again after this step: it passes through it beside the differences.
  const passed = rest.some(isWeighted) ? rest : []
  const [c, h, w] = values[0].shape
  const stacked = concat([...differences, ...passed], h, w)
  const tensor = compare(stacked, c * differences.length)
  const part = (i: number): Expression => (stacked.shape[0] === c ? tensor : channelsFrom(tensor, c * i, [c, h, w]))
  const known = (i: number): Expression => (passed.length > 0 ? part(differences.length + i) : rest[i])
  const maxima = pairs.map((_, i): Expression => ({ kind: 'add', of: [known(i), part(i)], shape: [c, h, w] }))
  return largest([...maxima, ...odd.map((_, i) => known(pairs.length + i))], compare)
}

/** Maps one after another along their channels; where a map is zero nothing is added. */
export function concat(parts: readonly Expression[], h: number, w: number): Expression {
  if (parts.length === 1) return parts[0]
  const channels = parts.reduce((sum, { shape }) => sum + shape[0], 0)
  const shape: MapShape = [channels, h, w]
  let at = 0
  const placed = parts.flatMap((part) => {
    const here = place(part, [at, 0, 0], shape)
    at += part.shape[0]
    return part.kind === 'zero' ? [] : [here]
  })
  return placed.length === 0 ? { kind: 'zero', shape } : { kind: 'add', of: placed, shape }
}
