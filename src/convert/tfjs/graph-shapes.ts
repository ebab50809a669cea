// Nodes of a TF.js graph model that arrange elements and compute nothing, and the arithmetic on sizes before them.
import { quote } from '../../model/json/fields.js'
import { formatShape } from '../../model/shape.js'
import type { Value } from '../arch-draft.js'
import { isTensor } from './graph-elements.js'
import { channelsLast, madeOf, type NodeRead, type NodeReader, type TfKnown } from './node.js'

export const reshape: NodeRead = (n) => {
  const target = n.integers(1)
  const known = n.inputs[0]
  if (!target || !known) return undefined
  if ('tensor' in known) return n.fault('expected a computed value, got a constant')
  if (target[0] !== -1 && target[0] !== n.batch) return n.fault(`shape: expected the batch first, got ${quote(target)}`)
  return madeOf(n.reshape(known.value, target.slice(1)))
}

export const squeeze: NodeRead = (n) => {
  const x = n.value()
  if (!x) return undefined
  const dims = channelsLast(n.batch, x)
  const given = n.integerList('squeeze_dims')
  const axes =
    given.length > 0 ? given.map((axis) => (axis < 0 ? axis + dims.length : axis)) : dims.map((_, i) => i).slice(1)
  const gone = new Set(axes.filter((axis) => given.length > 0 || dims[axis] === 1))
  if ([...gone].some((axis) => axis === 0 || dims[axis] !== 1))
    return n.fault(`squeeze_dims: expected axes of size 1, got ${quote(given)}`)
  return madeOf(
    n.reshape(
      x,
      dims.filter((_, axis) => axis > 0 && !gone.has(axis)),
    ),
  )
}

export const concat: NodeRead = (n) => {
  const last = n.inputs.length - 1
  const axis = n.scalar(Math.max(last, 0))
  const places = [...n.inputs.keys()].filter((index) => index < last)
  if (isTensor(n, 0))
    return list(
      n,
      places.map((index) => n.integers(index)),
    )
  const values = places.map((index) => n.value(index))
  if (n.failed || axis === undefined) return undefined
  if (values.length === 0) return n.fault('expected values and an axis, got one input')
  const inputs = values as Value[]
  const rank = inputs[0].shape.length
  if (axis === -1 || axis === rank) return madeOf(n.concat(inputs, rank === 2 ? 2 : undefined))
  if (axis < 1 || axis > rank) return n.fault(`axis: expected one behind the batch, got ${axis}`)
  return madeOf(n.concat(inputs, axis))
}

/** Integers of known lists one after another. */
function list(n: NodeReader, lists: readonly (readonly number[] | undefined)[]): TfKnown | undefined {
  if (lists.some((part) => part === undefined)) return undefined
  const integers = lists.flatMap((part) => part!)
  if (integers.length > 64) return n.fault(`expected a short list of sizes, got ${integers.length}`)
  return { tensor: { shape: [integers.length], integers, from: quote(n.name) } }
}

export const pack: NodeRead = (n) =>
  list(
    n,
    n.inputs.map((_, index) => n.integers(index)),
  )

/** Sums, products and the like of sizes, element by element; one number meets every one of a list. */
export function ofSizes(n: NodeReader, f: (a: number, b: number) => number): TfKnown | undefined {
  const [a, b] = [n.integers(0), n.integers(1)]
  if (!a || !b) return undefined
  const count = Math.max(a.length, b.length)
  if ((a.length !== count && a.length !== 1) || (b.length !== count && b.length !== 1) || count > 64) {
    return n.fault(`expected short lists of one length, got ${a.length} and ${b.length}`)
  }
  const pick = (list: readonly number[], i: number) => list[list.length === 1 ? 0 : i]
  const integers = Array.from({ length: count }, (_, i) => f(pick(a, i), pick(b, i)))
  const isOne = [0, 1].every((index) => n.tensor(index)?.shape.length === 0)
  return { tensor: { shape: isOne ? [] : [count], integers, from: quote(n.name) } }
}

/** A cast to float changes nothing here; sizes stay integers. */
export const cast: NodeRead = (n) => {
  const known = n.inputs[0]
  const to = n.type('DstT')
  if (!known) return undefined
  if ('tensor' in known ? known.tensor.integers && to !== 'DT_FLOAT' : to === 'DT_FLOAT') return known
  return n.fault(`DstT: expected a cast to float, got ${quote(to)}`)
}

/** Sizes of a value, for a reshape that keeps the batch. */
export const shape: NodeRead = (n) => {
  const x = n.value()
  return x && list(n, [channelsLast(n.batch, x)])
}

/** One element or a run of a list of sizes. */
export const stridedSlice: NodeRead = (n) => {
  const known = n.inputs[0]
  if (known && 'value' in known) return slicedValue(n, known.value)
  const [sizes, begin, end, step] = [0, 1, 2, 3].map((index) => n.integers(index))
  if (!sizes || !begin || !end || !step) return undefined
  if (begin.length !== 1 || end.length !== 1 || step[0] !== 1) return n.fault('expected a run of a list of sizes')
  const place = (i: number) => (i < 0 ? i + sizes.length : i)
  const first = n.integer('begin_mask') === 1 ? 0 : place(begin[0])
  if (n.integer('shrink_axis_mask') === 1) {
    const size = sizes[first]
    if (size === undefined) return n.fault(`begin: expected a place in ${quote(sizes)}, got ${begin[0]}`)
    return { tensor: { shape: [], integers: [size], from: quote(n.name) } }
  }
  return list(n, [sizes.slice(first, n.integer('end_mask') === 1 ? sizes.length : place(end[0]))])
}

/** Runs of elements along the axes of a value, as NumPy counts them. */
function slicedValue(n: NodeReader, x: Value): TfKnown | undefined {
  const [begin, end, step] = [1, 2, 3].map((index) => n.integers(index))
  if (!begin || !end || !step) return undefined
  const [beginMask, endMask, shrunk, newAxes, dots] = [
    ...['begin_mask', 'end_mask', 'shrink_axis_mask', 'new_axis_mask', 'ellipsis_mask'],
  ].map((name) => n.integer(name))
  const dims = channelsLast(n.batch, x)
  if (dots !== 0 || newAxes !== 0 || begin.length > dims.length || begin.length > 8) {
    return n.fault('ellipsis_mask, new_axis_mask: expected 0; no axis is added or skipped here')
  }
  let made: Value | undefined = x
  for (const [dim, first] of begin.entries()) {
    const [size, bit] = [dims[dim], 1 << dim]
    const place = (i: number) => Math.min(Math.max(i < 0 ? i + size : i, 0), size)
    const from = beginMask & bit ? 0 : place(first)
    const to = shrunk & bit ? from + 1 : endMask & bit ? size : place(end[dim])
    if (step[dim] < 1 || to <= from || to > size)
      return n.fault(`expected a run of axis ${dim} of ${formatShape(dims)}`)
    if (from === 0 && to === size && step[dim] === 1) continue
    made = made && n.slice(made, dim, from, to, step[dim], dim === begin.length - 1 ? '' : `/axis${dim}`)
  }
  if (!made || shrunk === 0) return madeOf(made)
  const kept = channelsLast(n.batch, made).filter((_, dim) => dim > 0 && !(shrunk & (1 << dim)))
  return madeOf(n.reshape(made, kept.length > 0 ? kept : [1]))
}

/** `size` elements of every axis from `begin` on; -1 takes the rest. */
export const slice: NodeRead = (n) => {
  const x = n.value()
  const [begin, sizes] = [n.integers(1), n.integers(2)]
  if (!x || !begin || !sizes) return undefined
  const dims = channelsLast(n.batch, x)
  const ends = dims.map((size, dim) => (sizes[dim] === -1 ? size : begin[dim] + sizes[dim]))
  const fits = dims.every((size, dim) => begin[dim] >= 0 && ends[dim] > begin[dim] && ends[dim] <= size)
  if (!fits || begin.length !== dims.length || begin[0] !== 0 || ends[0] !== dims[0]) {
    return n.fault(`begin, size: expected a part of ${formatShape(dims)}, got ${quote(begin)} and ${quote(sizes)}`)
  }
  let made: Value | undefined = x
  for (const [dim, from] of begin.entries()) {
    if (from === 0 && ends[dim] === dims[dim]) continue
    made = made && n.slice(made, dim, from, ends[dim], 1, `/axis${dim}`)
  }
  return madeOf(made)
}

/** Parts of a value along one axis, of equal sizes or (SplitV) of those given. */
export function split(isSized: boolean): NodeRead {
  return (n) => {
    const x = n.value(isSized ? 0 : 1)
    const given = n.scalar(isSized ? 2 : 0)
    const count = n.integer('num_split')
    if (!x || given === undefined) return undefined
    const dims = channelsLast(n.batch, x)
    const dim = given < 0 ? given + dims.length : given
    const own = isSized ? n.integers(1) : undefined
    if (own && own.length !== count) return n.fault(`num_split: expected ${own.length} as its sizes, got ${count}`)
    const sizes = isSized ? own : Array<number>(Math.min(count, 4096)).fill(dims[dim] / count)
    if (!sizes || !(dim >= 1) || sizes.reduce((a, b) => a + b, 0) !== dims[dim] || !sizes.every((s) => s >= 1)) {
      return n.failed
        ? undefined
        : n.fault(`expected parts of an axis of ${formatShape(dims)}, got ${quote(sizes)} of ${given}`)
    }
    let at = 0
    return sizes.map((size, i) => {
      at += size
      return madeOf(n.slice(x, dim, at - size, at, 1, `/${i}`))
    })
  }
}

/** Slices of one element, whose axis goes. */
export const unpack: NodeRead = (n) => {
  const x = n.value()
  const given = n.integer('axis')
  const count = n.integer('num')
  if (!x) return undefined
  const dims = channelsLast(n.batch, x)
  const dim = given < 0 ? given + dims.length : given
  if (!(dim >= 1 && dim < dims.length)) return n.fault(`axis: expected one behind the batch, got ${given}`)
  if (count !== dims[dim]) return n.fault(`num: expected ${dims[dim]} as axis ${dim} has it, got ${count}`)
  const kept = dims.filter((_, axis) => axis > 0 && axis !== dim)
  return Array.from({ length: dims[dim] }, (_, i) => {
    const part = n.slice(x, dim, i, i + 1, 1, `/${i}`)
    return madeOf(part && n.reshape(part, kept.length > 0 ? kept : [1]))
  })
}

/** One more axis of size 1. */
export const expandDims: NodeRead = (n) => {
  const x = n.value()
  const given = n.scalar(1)
  if (!x || given === undefined) return undefined
  const dims = channelsLast(n.batch, x)
  const dim = given < 0 ? given + dims.length + 1 : given
  if (!(dim >= 1 && dim <= dims.length)) return n.fault(`dim: expected one behind the batch, got ${given}`)
  return madeOf(n.reshape(x, [...dims.slice(1, dim), 1, ...dims.slice(dim)]))
}

export const transpose: NodeRead = (n) => {
  const order = n.integers(1)
  const x = n.value()
  if (!order || !x) return undefined
  const rank = x.shape.length + 1
  const own = order.slice(1).map((axis) => axis - 1)
  if (order.length !== rank || order[0] !== 0 || !own.every((axis, i) => axis >= 0 && own.indexOf(axis) === i)) {
    return n.fault(
      `perm: expected the batch first, then the axes of ${formatShape(channelsLast(n.batch, x))}, got ${quote(order)}`,
    )
  }
  const dims = channelsLast(n.batch, x)
  const inFile = n.inFile(x, '/from')
  const moved = inFile && n.layer({ op: 'transpose', order: own }, [inFile])
  return madeOf(
    n.fromFile(
      moved,
      order.slice(1).map((axis) => dims[axis]),
      '/to',
    ),
  )
}
