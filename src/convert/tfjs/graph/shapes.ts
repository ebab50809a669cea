// Nodes of a TF.js graph model that arrange elements and compute nothing.
import { quote } from '../../../model/json/fields.js'
import { elementCount, formatShape } from '../../../model/shape.js'
import type { Value } from '../../arch-draft.js'
import { filled, integers, resolved } from './constants.js'
import { madeOf, type NodeRead, type NodeReader, type TfComputed, type TfKnown } from './node.js'

/** A computed input, whose batch may not stand in front. */
function given(n: NodeReader, index = 0): TfComputed | undefined {
  const value = n.value(index)
  return value && { value, ...n.form() }
}

export const reshape: NodeRead = (n) => {
  const target = n.integers(1)
  const x = given(n)
  if (!target || !x) return undefined
  const dims = n.dims(x)
  const to = resolved(target, elementCount(dims))
  return to
    ? n.arranged(x.value, to)
    : n.fault(`shape: expected one of the ${elementCount(dims)} elements of ${formatShape(dims)}, got ${quote(target)}`)
}

export const squeeze: NodeRead = (n) => {
  const x = given(n)
  if (!x) return undefined
  const dims = n.dims(x)
  const axes = n.integerList('squeeze_dims').map((axis) => (axis < 0 ? axis + dims.length : axis))
  if (axes.some((axis) => dims[axis] !== 1))
    return n.fault(`squeeze_dims: expected axes of size 1 of ${formatShape(dims)}, got ${quote(axes)}`)
  return n.arranged(
    x.value,
    dims.filter((size, axis) => (axes.length > 0 ? !axes.includes(axis) : size !== 1)),
  )
}

/** One more axis of size 1. */
export const expandDims: NodeRead = (n) => {
  const x = given(n)
  const axis = n.scalar(1)
  if (!x || axis === undefined) return undefined
  const dims = n.dims(x)
  const at = axis < 0 ? axis + dims.length + 1 : axis
  if (!(at >= 0 && at <= dims.length)) return n.fault(`dim: expected one of ${formatShape(dims)}, got ${axis}`)
  return n.arranged(x.value, [...dims.slice(0, at), 1, ...dims.slice(at)])
}

/** Where an axis is, counted from the front, behind the batch. */
function axisOf(n: NodeReader, axis: number | undefined, rank: number): number | undefined {
  if (axis === undefined) return undefined
  const dim = axis < 0 ? axis + rank : axis
  return dim >= 1 && dim < rank ? dim : n.refuse(`axis: expected one behind the batch, got ${axis}`)
}

function joined(n: NodeReader, inputs: readonly Value[], dim: number): TfKnown | undefined {
  const rank = inputs[0].shape.length
  if (inputs.length === 1) return madeOf(inputs[0])
  return madeOf(n.concat(inputs, rank === 1 || (rank === 3 && dim === 3) ? undefined : dim))
}

export const concat: NodeRead = (n) => {
  const last = n.count - 1
  const axis = n.scalar(Math.max(last, 0))
  const values = Array.from({ length: Math.max(last, 0) }, (_, index) => n.value(index))
  if (n.failed || axis === undefined) return undefined
  if (values.length === 0) return n.fault('expected values and an axis, got one input')
  const inputs = values as Value[]
  const dim = axisOf(n, axis, inputs[0].shape.length + 1)
  return dim === undefined ? undefined : joined(n, inputs, dim)
}

/** Values along a new axis. */
export const pack: NodeRead = (n) => {
  const values = Array.from({ length: n.count }, (_, index) => n.value(index))
  const axis = n.integer('axis')
  if (n.failed || values.length === 0) return undefined
  const dim = axisOf(n, axis, values[0]!.shape.length + 2)
  if (dim === undefined) return undefined
  const grown = (values as Value[]).map((x) => {
    const [, ...dims] = n.dims({ value: x })
    return n.reshape(x, [...dims.slice(0, dim - 1), 1, ...dims.slice(dim - 1)])
  })
  return grown.some((x) => !x) ? undefined : joined(n, grown as Value[], dim)
}

/** A value some times over, along each axis. */
function repeated(n: NodeReader, x: Value, times: readonly number[]): TfKnown | undefined {
  const dims = n.dims({ value: x })
  if (!times.every((count) => count >= 1 && count <= 4096) || times[0] !== 1)
    return n.refuse(`expected the batch once, and at most 4096 times the others, got ${quote(times)}`)
  const isPixel = x.shape.length === 3 && x.shape[1] === 1 && x.shape[2] === 1 && times[1] * times[2] > 1
  const map = isPixel ? n.layer({ op: 'resize', size: [times[1], times[2]], mode: 'broadcast' }, [x], {}, '/map') : x
  const rest = isPixel ? times.map((count, dim) => (dim === 3 ? count : 1)) : times
  return rest.reduce<TfKnown | undefined>((made, count, dim) => {
    if (!made || !('value' in made) || count === 1) return made
    const rows = made.value
    if (n.dims({ value: rows }).length !== dims.length) return made
    return joined(n, Array<Value>(count).fill(rows), dim)
  }, madeOf(map))
}

export const tile: NodeRead = (n) => {
  const times = n.integers(1)
  const x = n.value()
  if (!times || !x) return undefined
  const dims = n.dims({ value: x })
  if (times.length === dims.length) return repeated(n, x, times)
  return n.fault(`multiples: expected one per axis of ${formatShape(dims)}, got ${quote(times)}`)
}

export const broadcastTo: NodeRead = (n) => {
  const target = n.integers(1)
  const x = n.value()
  if (!target || !x) return undefined
  const dims = n.dims({ value: x })
  const fits = target.length === dims.length && dims.every((size, dim) => size === 1 || size === target[dim])
  if (!fits) return n.refuse(`shape: expected one to which ${formatShape(dims)} grows, got ${quote(target)}`)
  return repeated(
    n,
    x,
    target.map((size, dim) => size / dims[dim]),
  )
}

/** Everything as it comes; of several inputs, as many outputs. */
export const same: NodeRead = (n) => {
  if (n.count === 0) return n.fault('expected an input, got none')
  const made = Array.from({ length: n.count }, (_, index) => n.known(index))
  return made.length === 1 ? made[0] : made
}

export const ensured: NodeRead = (n) => {
  const x = given(n)
  const shape = n.shapeAttribute()
  if (!x) return undefined
  const dims = n.dims(x)
  const fits = !shape || (shape.length === dims.length && shape.every((size, dim) => size < 0 || size === dims[dim]))
  return fits ? x : n.fault(`shape: expected ${formatShape(dims)}, got ${quote(shape)}`)
}

/** Of a value: a cast between floats changes nothing here. */
export const cast: NodeRead = (n) => {
  const x = n.value()
  const to = n.type('DstT')
  if (to !== 'DT_FLOAT') return n.refuse(`DstT: expected a cast to DT_FLOAT, got ${quote(to)}`)
  return madeOf(x)
}

/** Sizes of a value, for a reshape that keeps the batch. */
export const shape: NodeRead = (n) => {
  const x = given(n)
  return x && integers(n, n.dims(x))
}

export const rank: NodeRead = (n) => {
  const x = given(n)
  return x && filled(n, [], false, () => n.dims(x).length)
}

export const size: NodeRead = (n) => {
  const x = given(n)
  return x && filled(n, [], false, () => elementCount(n.dims(x)))
}

export const transpose: NodeRead = (n) => {
  const order = n.integers(1)
  const x = n.value()
  if (!order || !x) return undefined
  const dims = n.dims({ value: x })
  const own = order.slice(1).map((axis) => axis - 1)
  const fits = order.length === dims.length && own.every((axis, i) => axis >= 0 && own.indexOf(axis) === i)
  if (!fits || order[0] !== 0)
    return n.refuse(`perm: expected the batch first, then the axes of ${formatShape(dims)}, got ${quote(order)}`)
  if (own.every((axis, i) => axis === i)) return madeOf(x)
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
