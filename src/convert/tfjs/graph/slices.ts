// Nodes of a TF.js graph model that take some elements along the axes of a value.
import { quote } from '../../../model/json/fields.js'
import { formatShape, type Shape } from '../../../model/shape.js'
import type { Value } from '../../arch-draft.js'
import { madeOf, type NodeRead, type NodeReader, type TfKnown } from './node.js'

/** `count` elements along an axis of the file's tensor, batch included. */
export interface Cut {
  readonly dim: number
  readonly from: number
  readonly step: number
  readonly count: number
}

export interface Sliced {
  readonly cuts: readonly Cut[]
  /** Sizes of the result. */
  readonly dims: Shape
}

/** StridedSlice: runs along axes as NumPy writes them; bits of its masks are of its own list, not of axes. */
export function cutsOf(n: NodeReader, given: Shape): Sliced | undefined {
  const [begin, end, steps] = [1, 2, 3].map((index) => n.integers(index))
  const [fromFirst, toLast, shrunk, added, skipped] = [
    ...['begin_mask', 'end_mask', 'shrink_axis_mask', 'new_axis_mask', 'ellipsis_mask'],
  ].map((name) => n.integer(name))
  if (!begin || !end || !steps) return undefined
  const count = begin.length
  if (count !== end.length || count !== steps.length || count > 16)
    return n.fault(`begin, end, strides: expected lists of one length, got ${quote(begin)} and ${quote(end)}`)
  const named = begin.filter((_, i) => !((added | skipped) & (1 << i))).length
  const cuts: Cut[] = []
  const dims: number[] = []
  let dim = 0
  const keep = (until: number) => {
    while (dim < Math.min(until, given.length)) dims.push(given[dim++])
  }
  for (const [i, first] of begin.entries()) {
    const bit = 1 << i
    if (skipped & bit) {
      keep(dim + given.length - named)
      continue
    }
    if (added & bit) {
      dims.push(1)
      continue
    }
    const [size, step] = [given[dim], steps[i]]
    if (size === undefined || step === 0)
      return n.fault(`begin, strides: expected runs of ${formatShape(given)}, got ${quote(begin)} by ${quote(steps)}`)
    const [low, high] = step > 0 ? [0, size] : [-1, size - 1]
    const place = (at: number) => Math.min(Math.max(at < 0 ? at + size : at, low), high)
    // One place is that of `begin`, whatever the masks say.
    const isOne = (shrunk & bit) !== 0
    const from = isOne ? (first < 0 ? first + size : first) : fromFirst & bit ? (step > 0 ? low : high) : place(first)
    const to = toLast & bit ? (step > 0 ? high : low) : place(end[i])
    const taken = isOne ? Number(from >= 0 && from < size) : Math.ceil((to - from) / step)
    if (taken < 1)
      return n.fault(`begin, end: expected a run of axis ${dim} of ${formatShape(given)}, got ${first} to ${end[i]}`)
    if (taken !== size || step !== 1) cuts.push({ dim, from, step: isOne ? 1 : step, count: taken })
    if (!isOne) dims.push(taken)
    dim++
  }
  keep(given.length)
  return { cuts, dims }
}

/** Slice: `size` elements of every axis from `begin` on; -1 takes the rest. */
export function cutsOfSlice(n: NodeReader, given: Shape): Sliced | undefined {
  const [begin, sizes] = [n.integers(1), n.integers(2)]
  if (!begin || !sizes) return undefined
  const dims = given.map((size, dim) => (sizes[dim] === -1 ? size - begin[dim] : sizes[dim]))
  const fits = given.every((size, dim) => begin[dim] >= 0 && dims[dim] >= 1 && begin[dim] + dims[dim] <= size)
  if (!fits || begin.length !== given.length || sizes.length !== given.length)
    return n.fault(`begin, size: expected a part of ${formatShape(given)}, got ${quote(begin)} and ${quote(sizes)}`)
  const cuts = dims.flatMap((count, dim) => (count === given[dim] ? [] : [{ dim, from: begin[dim], step: 1, count }]))
  return { cuts, dims }
}

const sliced =
  (read: (n: NodeReader, dims: Shape) => Sliced | undefined): NodeRead =>
  (n) => {
    const known = n.known()
    if (known && !('value' in known)) return n.fault('expected constants as begin, end and strides')
    const dims = known && n.dims(known)
    const made = dims && read(n, dims)
    if (!known || !made) return undefined
    const lead = known.isUnbatched ? 0 : 1
    let value: Value | undefined = known.value
    for (const [i, { dim, from, step, count }] of made.cuts.entries()) {
      const suffix = i === made.cuts.length - 1 ? '' : `/axis${dim}`
      if (dim < lead) return n.refuse(`expected the whole batch, got ${count} of it`)
      const own = dim - lead + 1
      if (step > 0) {
        // The last element of every step need not be whole.
        const to = Math.min(from + count * step, dims[dim])
        value = value && n.slice(value, own, from, to, step, suffix)
      } else
        value =
          value &&
          picked(
            n,
            value,
            own,
            Array.from({ length: count }, (_, k) => from + k * step),
            suffix,
          )
    }
    return value && n.arranged(value, made.dims)
  }

export const stridedSlice = sliced(cutsOf)
export const slice = sliced(cutsOfSlice)

/** More pieces than this are another thing than a flip or a choice of channels. */
const MOST_PIECES = 256

/** Elements at places along an axis of the file's tensor, batch included. */
export function picked(
  n: NodeReader,
  given: Value,
  dim: number,
  picks: readonly number[],
  suffix = '',
): Value | undefined {
  const x = given.parts ? n.inFile(given, suffix) : given
  if (!x) return undefined
  const [from] = picks
  if (picks.every((place, i) => place === from + i)) return n.slice(x, dim, from, from + picks.length, 1, suffix)
  if (n.axisOf(x, dim) === 0 && x.shape.length !== 2)
    return n.draft.reordered(n.where, n.name + suffix, x, Int32Array.from(picks))
  if (picks.length > MOST_PIECES) return n.refuse(`expected at most ${MOST_PIECES} places, got ${picks.length}`)
  const parts = picks.map((place, i) => n.slice(x, dim, place, place + 1, 1, `${suffix}/${i}`))
  return parts.some((part) => !part) ? undefined : n.concat(parts as Value[], dim)
}

/** Places of a constant list along an axis. */
export const gather: NodeRead = (n) => {
  const x = n.value()
  const index = n.tensor(1)
  const given = n.scalar(2)
  const batchDims = n.integer('batch_dims')
  if (batchDims !== 0) return n.refuse(`batch_dims: expected 0, got ${batchDims}`)
  if (!x || !index || given === undefined) return undefined
  const dims = n.dims({ value: x })
  const dim = given < 0 ? given + dims.length : given
  if (!(dim >= 1 && dim < dims.length)) return n.refuse(`axis: expected one behind the batch, got ${given}`)
  const picks = index.integers
  if (!picks?.every((place) => place >= 0 && place < dims[dim]) || picks.length === 0 || index.shape.length > 1)
    return n.fault(`indices: expected a place, or a list of some, of axis ${dim} of ${formatShape(dims)}`)
  const made = picked(n, x, dim, picks)
  const kept = [...dims.slice(0, dim), ...(index.shape.length === 0 ? [] : [picks.length]), ...dims.slice(dim + 1)]
  return made && n.arranged(made, kept)
}

export const reverse: NodeRead = (n) => {
  const axes = n.integers(1)
  const x = n.value()
  if (!axes || !x) return undefined
  const dims = n.dims({ value: x })
  const places = axes.map((axis) => (axis < 0 ? axis + dims.length : axis))
  if (!places.every((dim) => dim >= 1 && dim < dims.length))
    return n.refuse(`axis: expected axes behind the batch, got ${quote(axes)}`)
  return madeOf(
    places.reduce<Value | undefined>((made, dim, i) => {
      const backwards = Array.from({ length: dims[dim] }, (_, k) => dims[dim] - 1 - k)
      return made && picked(n, made, dim, backwards, i === places.length - 1 ? '' : `/axis${dim}`)
    }, x),
  )
}

/** Parts of a value along one axis, of equal sizes or (SplitV) of those given. */
export function split(isSized: boolean): NodeRead {
  return (n) => {
    const x = n.value(isSized ? 0 : 1)
    const given = n.scalar(isSized ? 2 : 0)
    const count = n.integer('num_split')
    if (!x || given === undefined) return undefined
    if (!(Number.isSafeInteger(count) && count >= 1 && count <= 4096))
      return n.fault(`num_split: expected 1 to 4096, got ${quote(count)}`)
    const dims = n.dims({ value: x })
    const dim = given < 0 ? given + dims.length : given
    const own = isSized ? n.integers(1) : undefined
    if (own && own.length !== count) return n.fault(`num_split: expected ${own.length} as its sizes, got ${count}`)
    const rest = own && dims[dim] - own.reduce((sum, size) => (size === -1 ? sum : sum + size), 0)
    const sizes = isSized
      ? own?.map((size) => (size === -1 ? rest! : size))
      : Array<number>(count).fill(dims[dim] / count)
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
  const known = n.known()
  const given = n.integer('axis')
  const count = n.integer('num')
  if (!known || !('value' in known)) return undefined
  const dims = n.dims(known)
  const dim = given < 0 ? given + dims.length : given
  const lead = known.isUnbatched ? 0 : 1
  if (!(dim >= 0 && dim < dims.length)) return n.fault(`axis: expected one of ${formatShape(dims)}, got ${given}`)
  if (count !== dims[dim]) return n.fault(`num: expected ${dims[dim]} as axis ${dim} has it, got ${count}`)
  if (count > 4096) return n.refuse(`num: expected at most 4096, got ${count}`)
  if (dim < lead && count > 1) return n.refuse(`axis: expected one behind the batch, got ${given}`)
  const kept = dims.filter((_, axis) => axis !== dim)
  return Array.from({ length: count }, (_, i): TfKnown | undefined => {
    const part = dim < lead ? known.value : n.slice(known.value, dim - lead + 1, i, i + 1, 1, `/${i}`)
    return part && n.arranged(part, kept)
  })
}
