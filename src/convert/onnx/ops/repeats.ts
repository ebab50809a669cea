// ONNX nodes that repeat elements.
import { quote } from '../../../model/json/fields.js'
import { formatShape, type Shape, sameShape } from '../../../model/shape.js'
import type { OnnxNodeReader, OnnxRead, Seen } from '../node.js'
import { dimsOf, rankedView } from '../view.js'
import { broadcast } from './layers.js'

/** One pixel per channel becomes as many as there are to be; what broadcasts to its own sizes stays as it is. */
export const expand: OnnxRead = (n) => {
  const target = n.integerList('shape', 1)
  const x = n.seen()
  if (!x || !target) return undefined
  const own = { ...x, view: rankedView(x.view, target.length) }
  const dims = dimsOf(own.view)
  const wanted = dims.map((size, i) => {
    const other = target[i - dims.length + target.length] ?? 1
    return other === 1 ? size : other
  })
  return repeated(n, own, wanted)
}

export const tile: OnnxRead = (n) => {
  const times = n.integerList('repeats', 1)
  const x = n.seen()
  if (!x || !times) return undefined
  const dims = dimsOf(x.view)
  if (times.length !== dims.length) {
    return n.fault(`repeats: expected one per axis of ${formatShape(dims)}, got ${quote(times)}`)
  }
  return repeated(
    n,
    x,
    dims.map((size, i) => size * times[i]),
  )
}

function repeated(n: OnnxNodeReader, x: Seen, wanted: Shape): Seen | undefined {
  const dims = dimsOf(x.view)
  if (sameShape(dims, wanted)) return x
  // Products repeat it themselves; behind private layers it stays one number that the client computes.
  const readers = n.scope.readersOf(n.node.outputs[0])
  const isFactor = readers.length > 0 && readers.every((op) => op === 'Mul' || op === 'Div')
  if (isFactor && n.draft.isPlain(x.value)) return x
  const value = dims[0] === wanted[0] ? n.plain(x, n.node.inputs[0]) : undefined
  const full = wanted.slice(1)
  const fits = full.every((size) => size >= 1 && size < 2 ** 24)
  const made = value && fits ? broadcast(n, value, full, n.name) : undefined
  if (n.failed || (made && sameShape(made.shape, full))) return n.made(made)
  return n.refuse(
    `expected one channel or one pixel that is repeated, got ${formatShape(dims)} to ${formatShape(wanted)}`,
  )
}
