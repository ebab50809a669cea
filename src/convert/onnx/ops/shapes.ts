// ONNX nodes that change how elements are arranged and compute nothing: reshapes, transposes, slices, pads.
import { quote } from '../../../model/json/fields.js'
import type { LayerOp, Pad } from '../../../model/layers/layers.js'
import { elementCount, formatShape, type Shape } from '../../../model/shape.js'
import type { OnnxNodeReader, OnnxRead, Seen } from '../node.js'
import {
  channelOrder,
  dimsOf,
  flattenedView,
  plainView,
  reshapedView,
  resizedView,
  sameView,
  transposedView,
  wholeAxis,
} from '../view.js'

/** The same elements under other sizes; a layer where a map becomes a vector in the order it lies in. */
function reshaped(n: OnnxNodeReader, { value, view }: Seen, dims: readonly number[]): Seen | undefined {
  const { batch } = n.scope
  const isFlat = value.flatOf && sameView(view, plainView(value.shape, batch))
  const map = isFlat ? value.flatOf! : value
  const made = reshapedView(isFlat ? plainView(map.shape, batch) : view, dims)
  if (!made) return otherwise(n, { value, view }, dims)
  const isVector =
    dims.length === 2 && sameView(flattenedView(made, map.shape), plainView([elementCount(map.shape)], batch))
  return isVector ? n.made(isFlat ? value : n.draft.flatten(n.where, n.name, map)) : { value: map, view: made }
}

/** Elements in the graph's order under sizes that cut through its axes. */
function otherwise(n: OnnxNodeReader, x: Seen, dims: readonly number[]): Seen | undefined {
  const settled = n.settled(x)
  if (!settled) return undefined
  const { batch } = n.scope
  const shape = dims.length > 1 && dims[0] === batch ? dims.slice(1) : dims
  if (elementCount(shape) !== elementCount(settled.value.shape)) {
    return n.fault(`shape: expected the batch of ${batch} first, got ${formatShape(dims)}`)
  }
  const value = n.shaped(settled.value, shape)
  const view = value && plainView(shape, batch)
  return value && { value, view: shape === dims ? view!.slice(1) : view! }
}

export const flatten: OnnxRead = (n) => {
  const x = n.seen()
  if (!x) return undefined
  const dims = dimsOf(x.view)
  const axis = n.axis('axis', 1, dims.length)
  return reshaped(n, x, [elementCount(dims.slice(0, axis)), elementCount(dims.slice(axis))])
}

export const reshape: OnnxRead = (n) => {
  const target = n.integerList('shape', 1)
  const x = n.seen()
  const allowZero = n.integer('allowzero', 0) !== 0
  if (!x || n.failed) return undefined
  if (!target) return n.fault('shape: expected a list of sizes, got none')
  const source = dimsOf(x.view)
  const dims = resolvedSizes(target, source, allowZero)
  return dims ? reshaped(n, x, dims) : n.fault(misfit(target, source, allowZero))
}

export function misfit(target: readonly number[], source: Shape, allowZero = false): string {
  const how = allowZero ? ' (allowzero: a 0 copies no size)' : ''
  return `shape: ${quote(target)}${how} does not fit the ${formatShape(source)} elements of its input`
}

/** Zeros copy a size, one -1 takes what is left. */
export function resolvedSizes(target: readonly number[], source: Shape, allowZero: boolean): number[] | undefined {
  const dims = target.map((size, i) => (size === 0 && !allowZero ? source[i] : size))
  const open = dims.indexOf(-1)
  const rest = dims.reduce((product, size, i) => (i === open ? product : product * size), 1)
  if (open >= 0) dims[open] = elementCount(source) / rest
  const fits = dims.every((size) => Number.isSafeInteger(size) && size >= 0) && dims.length <= 8
  return fits && elementCount(dims) === elementCount(source) ? dims : undefined
}

/** Squeeze of axes of size 1; without axes, of every one, but of a batch that is no 1. */
export const squeeze: OnnxRead = (n) => {
  const axes = n.integerList('axes', 1)
  const x = n.seen()
  if (!x || n.failed) return undefined
  const dims = dimsOf(x.view)
  const kept = squeezed(dims, axes, n.scope.isBatchKnown ? 0 : 1)
  return kept ? reshaped(n, x, kept) : n.fault(`axes: expected axes of size 1, got ${quote(axes)}`)
}

/** @param first axes before it stay where no axes are given */
export function squeezed(dims: Shape, axes: readonly number[] | undefined, first: number): number[] | undefined {
  const gone = new Set(axes?.map((axis) => (axis < 0 ? axis + dims.length : axis)))
  const kept = dims.filter((size, axis) => (axes ? !gone.has(axis) : size !== 1 || axis < first))
  return elementCount(kept) === elementCount(dims) ? kept : undefined
}

export const unsqueeze: OnnxRead = (n) => {
  const axes = n.integerList('axes', 1)
  const x = n.seen()
  if (!x || n.failed) return undefined
  const dims = axes && unsqueezed(dimsOf(x.view), axes)
  return dims ? reshaped(n, x, dims) : n.fault(`axes: expected a short list of axes, got ${quote(axes)}`)
}

export function unsqueezed(before: Shape, axes: readonly number[]): number[] | undefined {
  if (axes.length > 8) return undefined
  const dims = [...before]
  const rank = dims.length + axes.length
  for (const axis of axes.map((a) => (a < 0 ? a + rank : a)).sort((a, b) => a - b)) dims.splice(axis, 0, 1)
  return dims
}

/** Another order of axes is only another view. */
export const transpose: OnnxRead = (n) => {
  const x = n.seen()
  if (!x) return undefined
  const order = axisOrder(n, dimsOf(x.view))
  return order && { value: x.value, view: transposedView(x.view, order) }
}

export function axisOrder(n: OnnxNodeReader, dims: Shape): readonly number[] | undefined {
  const order = n.integerList('perm') ?? dims.map((_, i) => dims.length - 1 - i)
  if (order.length === dims.length && dims.every((_, axis) => order.includes(axis))) return order
  return n.fault(`perm: expected the axes of ${formatShape(dims)}, got ${quote(order)}`)
}

/** What stays of one dimension: elements from `from` to `to`, every step-th; beyond its ends there is a fill. */
interface Span {
  readonly dim: number
  readonly from: number
  readonly to: number
  readonly step: number
}

/** Crops, pads and steps along channels, rows and columns: one layer for each kind. */
export function spanned(n: OnnxNodeReader, x: Seen, spans: readonly Span[], fill = 0, suffix = ''): Seen | undefined {
  const { value, view } = x
  const dims = dimsOf(view)
  const [before, after, stride] = [
    [0, 0, 0],
    [0, 0, 0],
    [1, 1, 1],
  ]
  for (const { dim, from, to, step } of spans) {
    if (from === 0 && to === dims[dim] && step === 1) continue
    const axis = wholeAxis(view, dim, value.shape) ?? (dims[dim] === 1 ? singleAxis(x, dim) : undefined)
    if (axis === undefined || value.shape.length !== 3) {
      return ofShuffled(n, x, spans, fill, suffix) ?? sliced(n, x, spans, suffix)
    }
    before[axis] = -from || 0
    after[axis] = to - dims[dim] || 0
    stride[axis] = step
  }
  if (stride[0] !== 1) return n.refuse(`steps: expected 1 along channels, got ${stride[0]}`)
  let made: Seen | undefined = x
  const apply = (op: LayerOp, own: string) => {
    made = made && n.resized(made, op, suffix + own)
  }
  if (before[0] !== 0 || after[0] !== 0) {
    if (fill !== 0) return n.refuse(`expected channels of zeros, got channels of ${fill}`)
    apply({ op: 'shortcutA', stride: [1, 1], padChannels: [before[0], after[0]] }, '.channels')
  }
  const pad: Pad = [before[1], before[2], after[1], after[2]]
  if (pad.some((size) => size !== 0)) {
    if (!Number.isFinite(fill)) return n.refuse(`value: expected a finite number, got ${fill}`)
    apply({ op: 'pad', pad, fill }, '')
  }
  if (stride[1] * stride[2] > 1) apply({ op: 'subsample', stride: [stride[1], stride[2]], offset: [0, 0] }, '.step')
  return made
}

/** Channels in another order than the value's are picked one by one; undefined where the value is no such map. */
function ofShuffled(
  n: OnnxNodeReader,
  { value, view }: Seen,
  spans: readonly Span[],
  fill: number,
  suffix: string,
): Seen | undefined {
  const order = value.shape.length === 3 ? channelOrder(view, value.shape, n.scope.batch) : undefined
  if (!order) return undefined
  const along = spans.find(({ dim }) => dim === 1)
  const isWithin = along && along.from >= 0 && along.to <= order.length
  const picks = isWithin ? order.slice(along.from, along.to).filter((_, i) => i % along.step === 0) : order
  const made = n.made(n.draft.reordered(n.where, `${n.name}${suffix}.order`, value, picks))
  const others = isWithin ? spans.filter((span) => span !== along) : spans
  return made && spanned(n, made, others, fill, suffix)
}

/** Slices of anything else: one layer for each. */
function sliced(n: OnnxNodeReader, x: Seen, spans: readonly Span[], suffix: string): Seen | undefined {
  const dims = dimsOf(x.view)
  let made: Seen | undefined = x
  for (const { dim, from, to, step } of spans) {
    if (from === 0 && to === dims[dim] && step === 1) continue
    if (from < 0 || to > dims[dim]) {
      return n.refuse(`expected channels, rows or columns of a map, got axis ${dim} of ${formatShape(dims)}`)
    }
    made = made && n.along(made, dim, (axis) => ({ op: 'slice', axis, from, to, step }), suffix)
  }
  return made
}

/** Which axis of size 1 a dimension is: its own place's where that fits, else the only one. */
function singleAxis({ value: { shape }, view }: Seen, dim: number): number | undefined {
  if (view.length === 4 && shape[dim - 1] === 1) return dim - 1
  const singles = shape.flatMap((size, axis) => (size === 1 ? [axis] : []))
  return singles.length === 1 ? singles[0] : undefined
}

export interface Side {
  readonly dim: number
  readonly before: number
  readonly after: number
}

/** More elements before and after some dimensions, fewer where a count is negative. */
export function padded(n: OnnxNodeReader, x: Seen, sides: readonly Side[], fill: number): Seen | undefined {
  const dims = dimsOf(x.view)
  const spans = sides.map(({ dim, before, after }) => ({ dim, from: -before || 0, to: dims[dim] + after, step: 1 }))
  return spanned(n, x, spans, fill)
}

export interface Cut {
  readonly axis: number
  readonly start: number
  readonly end: number
  readonly step: number
}

/** What a Slice takes, from its inputs or, in old files, its attributes. */
export function cutsOf(n: OnnxNodeReader, rank: number): readonly Cut[] | undefined {
  const starts = n.integerList('starts', 1)
  const ends = n.integerList('ends', 2)
  const axes = n.integerList('axes', 3) ?? starts?.map((_, i) => i)
  const steps = n.integerList('steps', 4) ?? starts?.map(() => 1)
  if (n.failed) return undefined
  const lists = [starts, ends, axes, steps]
  if (!starts || !ends || !axes || !steps || lists.some((list) => list?.length !== starts.length || list.length > 8)) {
    return n.fault('expected starts, ends, axes and steps of one length')
  }
  if (steps.some((step) => !(step !== 0 && Math.abs(step) < 2 ** 24))) {
    return n.fault(`steps: expected integers other than 0, got ${quote(steps)}`)
  }
  const place = (axis: number) => (axis < 0 ? axis + rank : axis)
  return starts.map((start, i) => ({ axis: place(axes[i]), start, end: ends[i], step: steps[i] }))
}

/** Where a cut begins and ends; backwards it may end at -1, before the first element. */
export function spanOf({ start, end, step }: Cut, size: number): readonly [number, number] {
  const [least, most] = step > 0 ? [0, size] : [-1, size - 1]
  const place = (x: number) => Math.min(Math.max(x < 0 ? x + size : x, least), most)
  return [place(start), place(end)]
}

export const slice: OnnxRead = (n) => {
  const x = n.seen()
  const cuts = x && cutsOf(n, x.view.length)
  if (!cuts) return undefined
  const dims = dimsOf(x.view)
  const wrong = cuts.find(({ axis }) => dims[axis] === undefined)
  if (wrong) return n.fault(`axes: expected axes of ${formatShape(dims)}, got ${wrong.axis}`)
  let made: Seen | undefined = x
  const spans: Span[] = []
  for (const cut of cuts) {
    const { axis, step } = cut
    const [from, to] = spanOf(cut, dims[axis])
    // Channels backwards, or some of them: blue before red.
    const isPicked = step < 0 || (step > 1 && wholeAxis(x.view, axis, x.value.shape) === 0)
    if (!isPicked) spans.push({ dim: axis, from, to, step })
    else {
      const count = Math.max(0, Math.ceil((to - from) / step))
      const picks = Array.from({ length: count }, (_, i) => from + i * step)
      made = made && picked(n, made, axis, picks, `.${axis}`)
    }
  }
  return made && spanned(n, made, spans)
}

/** Channels in another order, some of them or some of them twice. */
function picked(n: OnnxNodeReader, x: Seen, dim: number, picks: readonly number[], suffix = ''): Seen | undefined {
  if (picks.length === 0 || wholeAxis(x.view, dim, x.value.shape) !== 0) {
    const got = `${picks.length} of axis ${dim} of ${formatShape(dimsOf(x.view))}`
    return n.refuse(`expected neighbours, or channels of a map, got ${got}`)
  }
  const made = n.draft.reordered(n.where, n.name + suffix, x.value, Int32Array.from(picks))
  return made && { value: made, view: resizedView(x.view, x.value.shape, made.shape) }
}

/** Gather of elements known now: neighbours are a slice. */
export const gather: OnnxRead = (n) => {
  const index = n.constant(1)
  const x = n.seen()
  if (!x || !index) return undefined
  const dims = dimsOf(x.view)
  const axis = n.axis('axis', 0, dims.length)
  const picks = index.integers?.map((place) => (place < 0 ? place + dims[axis] : place))
  const fits = picks?.every((place) => place >= 0 && place < dims[axis])
  if (!picks || !fits || index.shape.length > 1) {
    return n.fault(`indices: expected a place of axis ${axis} of ${formatShape(dims)}, or a list of some`)
  }
  const made = gathered(n, x, axis, picks)
  if (!made || index.shape.length === 1) return made
  return reshaped(
    n,
    made,
    dims.filter((_, dim) => dim !== axis),
  )
}

function gathered(n: OnnxNodeReader, x: Seen, dim: number, picks: readonly number[]): Seen | undefined {
  const [from] = picks
  const isRun = picks.every((place, i) => place === from + i)
  return isRun ? spanned(n, x, [{ dim, from, to: from + picks.length, step: 1 }]) : picked(n, x, dim, picks)
}

/** Gather along the first axis, where every index is a list of one place. */
export const gatherNd: OnnxRead = (n) => {
  const index = n.constant(1)
  const x = n.seen()
  const batchDims = n.integer('batch_dims', 0)
  if (batchDims !== 0) return n.refuse(`batch_dims: expected 0, got ${batchDims}`)
  if (!x || !index) return undefined
  const [size] = dimsOf(x.view)
  const picks = index.integers?.map((place) => (place < 0 ? place + size : place))
  const fits = picks?.every((place) => place >= 0 && place < size)
  if (!picks || !fits || index.shape.length !== 2 || index.shape[1] !== 1) {
    return n.refuse(`indices: expected a list of places along the first axis, got ${formatShape(index.shape)}`)
  }
  return gathered(n, x, 0, picks)
}

/** How much of a dimension each output of a Split gets; undefined after reporting why that is not to be had. */
export function splitSizes(n: OnnxNodeReader, dims: Shape): { axis: number; sizes: readonly number[] } | undefined {
  const given = n.integerList('split', 1)
  const count = n.integer('num_outputs', n.node.outputs.length)
  if (count !== n.node.outputs.length) {
    return n.fault(`num_outputs: expected ${n.node.outputs.length} as the node has them, got ${count}`)
  }
  if (n.failed) return undefined
  const axis = n.axis('axis', 0, dims.length)
  const size = dims[axis] ?? 0
  const even = Math.ceil(size / count)
  const sizes = given ?? Array.from({ length: count }, (_, i) => Math.min(even, size - i * even))
  const fits = sizes.length === n.node.outputs.length && sizes.every((s) => s >= 1)
  if (fits && sizes.reduce((a, b) => a + b, 0) === size) return { axis, sizes }
  return n.fault(`split: expected ${n.node.outputs.length} sizes that sum to ${size}, got ${quote(sizes)}`)
}

/** Parts of a value along one dimension, one per output. */
export const split: OnnxRead = (n) => {
  const x = n.seen()
  const all = x && splitSizes(n, dimsOf(x.view))
  if (!x || !all) return undefined
  const { axis } = all
  let at = 0
  const parts = all.sizes.map((part, i) => {
    const from = at
    at += part
    return spanned(n, x, [{ dim: axis, from, to: at, step: 1 }], 0, `.${i}`)
  })
  return n.failed ? undefined : (parts as Seen[])
}

/** Pad: rows and columns of a constant, or channels of zeros. */
export const pad: OnnxRead = (n) => {
  const pads = n.integerList('pads', 1) ?? n.integerList('paddings')
  const fill = n.number('value', 2, 0)
  const mode = n.text('mode', 'constant')
  const given = n.seen()
  if (!given || n.failed) return undefined
  const axes = n.integerList('axes', 3) ?? given.view.map((_, i) => i)
  if (mode !== 'constant') return n.refuse(`mode: expected constant, got ${quote(mode)}`)
  if (pads?.length !== 2 * axes.length || pads.some((size) => !(Math.abs(size) < 2 ** 24))) {
    return n.fault(`pads: expected two sizes per axis of ${formatShape(dimsOf(given.view))}, got ${quote(pads)}`)
  }
  const sides = axes.map((axis, i) => ({
    dim: axis < 0 ? axis + given.view.length : axis,
    before: pads[i],
    after: pads[i + axes.length],
  }))
  if (fill <= -3e38) return lowest(n, given, sides)
  return padded(n, given, sides, fill)
}

/** Padding that no maximum ever is: the max pools behind it take it over. */
function lowest(n: OnnxNodeReader, x: Seen, sides: readonly Side[]): Seen | undefined {
  const [output] = n.node.outputs
  if (n.scope.readersOf(output).some(({ op }) => op !== 'MaxPool') || n.scope.isOutput(output)) {
    return n.refuse('value: expected a finite number but before max pools, got -Infinity')
  }
  const all = Array<number>(8).fill(0)
  for (const { dim, before, after } of sides) [all[dim], all[dim + 4]] = [before, after]
  const [b, c, top, left, b2, c2, bottom, right] = all
  if ([b, c, b2, c2].some((size) => size !== 0) || [top, left, bottom, right].some((size) => size < 0)) {
    return n.refuse('pads: expected rows and columns of -Infinity only')
  }
  n.scope.maxPoolPads.set(output, [top, left, bottom, right])
  return x
}
