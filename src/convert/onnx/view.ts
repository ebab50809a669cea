// How a graph's tensor lies over the value that computes it: transposes and reshapes move axes about and compute nothing,
// so they are kept as a view until a node needs the elements in an order of its own.
import { type Shape, sameShape } from '../../model/shape.js'

/** Part of an axis of the value: index ⌊i / step⌋ mod size, where i counts along the axis. */
export interface Atom {
  /** 0, 1, 2 of the value's shape; -1 is the batch. */
  readonly axis: number
  readonly size: number
  readonly step: number
}

/** For every dimension of the graph's tensor, batch included, the parts it counts through, slowest first. */
export type View = readonly (readonly Atom[])[]

const BATCH = -1

/** The batch, then the value's own axes. */
export function plainView(shape: Shape, batch: number): View {
  const whole = (axis: number, size: number) => (size === 1 ? [] : [{ axis, size, step: 1 }])
  return [whole(BATCH, batch), ...shape.map((size, axis) => whole(axis, size))]
}

/** Sizes of the graph's tensor. */
export function dimsOf(view: View): number[] {
  return view.map((atoms) => atoms.reduce((product, { size }) => product * size, 1))
}

export function sameView(a: View, b: View): boolean {
  const same = (x: readonly Atom[], y: readonly Atom[]) =>
    x.length === y.length &&
    x.every(({ axis, size, step }, i) => axis === y[i].axis && size === y[i].size && step === y[i].step)
  return a.length === b.length && a.every((atoms, i) => same(atoms, b[i]))
}

/** What is combined element by element has as many dimensions: sizes of 1 come in front of the shorter ones. */
export function sameRank<T extends { readonly view: View }>(all: readonly T[]): T[] {
  const rank = Math.max(...all.map(({ view }) => view.length))
  return all.map((each) => ({ ...each, view: rankedView(each.view, rank) }))
}

export function rankedView(view: View, rank: number): View {
  return [...Array<readonly Atom[]>(Math.max(rank - view.length, 0)).fill([]), ...view]
}

export function transposedView(view: View, order: readonly number[]): View {
  return order.map((axis) => view[axis])
}

/** The view under other sizes; undefined where a size would cut through an axis at no multiple of its parts. */
export function reshapedView(view: View, dims: readonly number[]): View | undefined {
  const rest = view.flat().reverse()
  const out: Atom[][] = []
  for (const dim of dims) {
    const atoms: Atom[] = []
    let open = dim
    while (open > 1) {
      const next = rest.pop()
      if (!next) return undefined
      if (open % next.size === 0) {
        atoms.push(next)
        open /= next.size
      } else if (next.size % open === 0) {
        const inner = next.size / open
        atoms.push({ ...next, size: open, step: next.step * inner })
        rest.push({ ...next, size: inner })
        open = 1
      } else return undefined
    }
    out.push(joined(atoms))
  }
  return rest.length === 0 ? out : undefined
}

/** Neighbouring parts of one axis that count on without a gap become one. */
function joined(atoms: readonly Atom[]): Atom[] {
  const out: Atom[] = []
  for (const atom of atoms) {
    const last = out.at(-1)
    if (last && last.axis === atom.axis && last.step === atom.size * atom.step) {
      out[out.length - 1] = { ...atom, size: last.size * atom.size }
    } else out.push(atom)
  }
  return out
}

/** The axis of the value that dimension `dim` is, whole and in order; undefined where it is none, or of size 1. */
export function wholeAxis(view: View, dim: number, shape: Shape): number | undefined {
  const [atom, ...others] = view[dim]
  return atom && others.length === 0 && atom.axis !== BATCH && atom.size === shape[atom.axis] ? atom.axis : undefined
}

/** The same dimensions over a value of another shape: those of whole axes, and those of size 1 that grew, get its sizes. */
export function resizedView(view: View, before: Shape, after: Shape): View {
  const grown = after.flatMap((size, axis) => (before[axis] === 1 && size > 1 ? [axis] : []))
  const whole = (axis: number) => (after[axis] === 1 ? [] : [{ axis, size: after[axis], step: 1 }])
  return view.map((atoms, dim) => {
    const axis = wholeAxis(view, dim, before)
    if (axis !== undefined) return whole(axis)
    const own = view.length === 4 && grown.includes(dim - 1)
    return own && atoms.length === 0 ? whole(dim - 1) : atoms
  })
}

/** Most axes that a layer of `arch/1` moves. */
const MOST_AXES = 6

/** How a value gets the graph's order and sizes. */
export interface SettlingSteps {
  /** The value's axes cut into their parts, then in which order these come, then the graph's sizes without the batch. */
  readonly refined: Shape
  readonly order: readonly number[]
  readonly shape: Shape
  /** Of the settled value. */
  readonly view: View
}

/** Undefined where the batch does not come first, or there are too many axes. */
export function settlingSteps(view: View, shape: Shape, batch: number): SettlingSteps | undefined {
  const dims = dimsOf(view)
  const isBatched = dims.length > 1 && dims[0] === batch && view[0].every(({ axis }) => axis === BATCH)
  const own = isBatched ? view.slice(1) : view
  const atoms = own.flat()
  if (atoms.some(({ axis }) => axis === BATCH)) return undefined
  const parts = shape.flatMap((_, axis) => atoms.filter((atom) => atom.axis === axis).sort((a, b) => b.step - a.step))
  const target = isBatched ? dims.slice(1) : dims
  const refined = parts.map(({ size }) => size)
  const order = atoms.map((atom) => parts.indexOf(atom))
  if (target.length > MOST_AXES || parts.length > MOST_AXES) return undefined
  const plain = target.map((size, axis) => (size === 1 ? [] : [{ axis, size, step: 1 }]))
  return { refined, order, shape: target.length > 0 ? target : [1], view: isBatched ? [view[0], ...plain] : plain }
}

/** The view over the flattened value, whose only axis counts through all of its elements. */
export function flattenedView(view: View, shape: Shape): View {
  const steps = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1))
  const flat = (atom: Atom) => (atom.axis === BATCH ? atom : { ...atom, axis: 0, step: atom.step * steps[atom.axis] })
  return view.map((atoms) => joined(atoms.map(flat)))
}

/**
 * For every index along the value's first axis, where it stands in a tensor that broadcasts to the view; undefined where
 * that tensor changes along another axis or does not broadcast.
 * @param dims of the tensor
 */
export function placesAlongChannels(view: View, dims: readonly number[], channels: number): Int32Array | undefined {
  const sizes = dimsOf(view)
  const aligned = view.map((_, i) => dims[i - view.length + dims.length] ?? 1)
  if (!aligned.every((size, i) => size === 1 || (size === sizes[i] && view[i].every(({ axis }) => axis === 0)))) {
    return undefined
  }
  const terms: { readonly step: number; readonly size: number; readonly stride: number }[] = []
  let stride = 1
  for (let i = view.length - 1; i >= 0; i--) {
    if (aligned[i] === 1) continue
    for (const { size, step } of [...view[i]].reverse()) {
      terms.push({ step, size, stride })
      stride *= size
    }
  }
  return Int32Array.from({ length: channels }, (_, c) =>
    terms.reduce((place, { step, size, stride }) => place + (Math.floor(c / step) % size) * stride, 0),
  )
}

/** Where each element of a vector stands in the graph's tensor [batch,n]; undefined when both orders are one. */
export function vectorOrder(view: View, count: number, batch: number): Int32Array | undefined {
  return sameView(view, plainView([count], batch)) ? undefined : placesAlongChannels(view.slice(1), [count], count)
}

/**
 * Of a map seen as [batch,channels,height,width]: for every channel of the graph, the value's. Undefined when the view
 * is no such map; null when the orders are one.
 */
export function channelOrder(view: View, shape: Shape, batch: number): Int32Array | null | undefined {
  const plain = plainView(shape, batch)
  if (sameView(view, plain)) return null
  if (view.length !== 4 || !sameView([view[0], [], ...view.slice(2)], [plain[0], [], ...plain.slice(2)]))
    return undefined
  const places = placesAlongChannels([view[1]], [shape[0]], shape[0])
  if (!places || !sameShape(dimsOf(view).slice(1), shape)) return undefined
  const order = new Int32Array(shape[0])
  for (let c = 0; c < order.length; c++) order[places[c]] = c
  return order
}
