// Nodes of a TF.js graph model that make one number of all along some axes.
import { quote } from '../../../model/json/fields.js'
import type { LayerOp, Pair } from '../../../model/layers/layers.js'
import type { Value } from '../../arch-draft.js'
import { pixelwise } from '../combine.js'
import type { NodeRead, NodeReader } from './node.js'

type Kind = 'max' | 'mean' | 'min' | 'sum'

export function reduce(kind: Kind): NodeRead {
  return (n) => {
    const axes = n.integers(1)
    const x = n.value()
    const keepDims = n.flag('keep_dims')
    if (!axes || !x) return undefined
    const dims = n.dims({ value: x })
    const places = new Set(axes.map((axis) => (axis < 0 ? axis + dims.length : axis)))
    if ([...places].some((dim) => !(dim >= 1 && dim < dims.length)))
      return n.refuse(`axes: expected axes behind the batch, got ${quote(axes)}`)
    const gone = [...places].sort().filter((dim) => dims[dim] > 1)
    const made = gone.length === 0 ? x : reduced(n, x, kind, gone)
    const kept = dims.map((size, dim) => (places.has(dim) ? 1 : size))
    return made && n.arranged(made, keepDims ? kept : dims.filter((_, dim) => !places.has(dim)))
  }
}

/** @param dims axes of the file's tensor, batch included, in order. @returns a value with sizes of 1 there, or without */
function reduced(n: NodeReader, x: Value, kind: Kind, dims: readonly number[]): Value | undefined {
  if (kind === 'min') {
    const negative = n.negative(x)
    const most = negative && reduced(n, negative, 'max', dims)
    return most && n.negative(most, '/least')
  }
  const rank = x.shape.length
  if (rank === 1) return kind === 'max' ? mostAlongFirst(n, x) : ofVector(n, x, dims, kind)
  if (rank > 3 && kind === 'max') return n.refuse(`axes: expected those of a vector, rows or a map, got ${quote(dims)}`)
  if (rank > 3 || (rank === 2 && !x.rowsOf && kind !== 'max')) return summed(n, x, dims, kind === 'mean')
  const map = rank === 3 ? x : (x.rowsOf ?? n.fromFile(x, [x.shape[0], 1, x.shape[1]]))
  if (!map) return undefined
  const [channels, ...side] = map.shape
  const isAcross = dims.includes(rank)
  const down: Pair = rank === 3 ? [dims.includes(1) ? side[0] : 1, dims.includes(2) ? side[1] : 1] : [side[0], side[1]]
  const isAlong = rank === 3 ? down[0] * down[1] > 1 : dims.includes(1)
  // Equal weights run privately, but the client has none for what it computes; windows it has.
  if ((kind === 'sum' || (kind === 'mean' && isAcross)) && n.isPlain(map)) return summed(n, x, dims, kind === 'mean')
  const isLast = !isAcross && kind !== 'sum'
  const pooled = isAlong ? n.layer(poolOf(kind, down, [side[0], side[1]]), [map], {}, isLast ? '' : '/pool') : map
  if (!pooled || isLast) return pooled
  if (kind === 'max') return mostAlongFirst(n, pooled)
  const count = kind === 'sum' && isAlong ? down[0] * down[1] : 1
  if (!isAcross) return n.affine(pooled, count, 0)
  const equal = n.draft.constant(channels, kind === 'mean' ? 1 / channels : count, 'equal weights')
  return n.layer(pixelwise(1), [pooled], { weight: { ...equal, shape: [1, channels, 1, 1] } })
}

/** The same weight for every element, in whatever order they are. */
function ofVector(n: NodeReader, x: Value, dims: readonly number[], kind: 'mean' | 'sum'): Value | undefined {
  if (n.isPlain(x)) return summed(n, x, dims, kind === 'mean')
  const [count] = x.shape
  const equal = n.draft.constant(count, kind === 'mean' ? 1 / count : 1, 'equal weights')
  return n.layer({ op: 'linear', cout: 1, bias: false }, [x], { weight: { ...equal, shape: [1, count] } })
}

function poolOf(kind: Kind, kernel: Pair, [h, w]: Pair): LayerOp {
  const fields = { kernel, stride: kernel, pad: [0, 0, 0, 0], ceil: false } as const
  if (kind === 'max') return { op: 'maxPool', ...fields, stride: kernel[0] === h && kernel[1] === w ? [1, 1] : kernel }
  if (kernel[0] === h && kernel[1] === w) return { op: 'globalAvgPool' }
  return { op: 'avgPool', ...fields, countPad: true }
}

/** Along the first axis here: of two halves, which share the middle one of an odd number, then of the halves of that. */
function mostAlongFirst(n: NodeReader, given: Value): Value | undefined {
  let x: Value | undefined = { id: given.id, shape: given.shape }
  const part = (from: number, to: number, suffix: string) =>
    x && n.draft.layer(n.where, n.name + suffix, { op: 'slice', axis: 0, from, to, step: 1 }, [x])
  for (let size = given.shape[0]; x && size > 1; size = Math.ceil(size / 2)) {
    const half = Math.ceil(size / 2)
    const suffix = half === 1 ? '' : `/${half}`
    const [first, second] = [part(0, half, `${suffix}/first`), part(size - half, size, `${suffix}/second`)]
    x = first && second && n.extreme('max', first, second, suffix)
  }
  return x
}

/** Sums or means over any axes, which no private step computes. */
function summed(n: NodeReader, given: Value, dims: readonly number[], isMean: boolean): Value | undefined {
  const sizes = n.dims({ value: given })
  let made = given.parts ? n.inFile(given) : given
  for (const dim of dims) made = made && n.layer({ op: 'sum', axis: n.axisOf(made, dim) }, [made], {}, `/sum${dim}`)
  const count = dims.reduce((product, dim) => product * sizes[dim], 1)
  return made && isMean ? n.layer({ op: 'affine', factor: 1 / count, offset: 0 }, [made]) : made
}

function placeOfMost(n: NodeReader, x: Value | undefined): ReturnType<NodeRead> {
  const given = n.scalar(1)
  if (!x || given === undefined) return undefined
  const dims = n.dims({ value: x })
  const dim = given < 0 ? given + dims.length : given
  if (!(dim >= 1 && dim < dims.length)) return n.refuse(`dimension: expected one behind the batch, got ${given}`)
  const own = x.parts ? n.inFile(x) : x
  const made = own && n.layer({ op: 'argMax', axis: n.axisOf(own, dim) }, [own])
  return (
    made &&
    n.arranged(
      made,
      dims.filter((_, axis) => axis !== dim),
    )
  )
}

export const argMax: NodeRead = (n) => placeOfMost(n, n.value())

export const argMin: NodeRead = (n) => {
  const x = n.value()
  return placeOfMost(n, x && n.negative(x))
}
