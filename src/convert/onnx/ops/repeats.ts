// ONNX nodes that repeat elements.
import { quote } from '../../../model/json/fields.js'
import { formatShape, type Shape, sameShape } from '../../../model/shape.js'
import type { OnnxNodeReader, OnnxRead, Seen } from '../node.js'
import type { OnnxNode } from '../proto.js'
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

/** Whether all that becomes of a node's output are products with, or quotients of, computed values of one shape. */
function isOnlyFactor(n: OnnxNodeReader, shape: Shape): boolean {
  const [output] = n.node.outputs
  const readers = n.scope.readersOf(output)
  const multiplies = ({ op, inputs }: OnnxNode): boolean => {
    if (op !== 'Mul' && op !== 'Div') return false
    // Undefined where both are this output, or the other is computed later.
    const other = n.scope.find(inputs[0] === output ? inputs[1] : inputs[0])
    return other !== undefined && other !== 'broken' && 'value' in other && sameShape(dimsOf(other.view), shape)
  }
  return readers.length > 0 && !n.scope.isOutput(output) && readers.every(multiplies)
}

function repeated(n: OnnxNodeReader, x: Seen, wanted: Shape): Seen | undefined {
  const dims = dimsOf(x.view)
  if (sameShape(dims, wanted)) return x
  // Products with full-sized values repeat it themselves; so it stays one number that the client computes.
  if (n.draft.isPlain(x.value) && isOnlyFactor(n, wanted)) return x
  const value = dims[0] === wanted[0] ? n.plain(x, n.node.inputs[0]) : undefined
  const full = wanted.slice(1)
  const fits = full.every((size) => size >= 1 && size < 2 ** 24)
  const made = value && fits ? broadcast(n, value, full, n.name) : undefined
  if (n.failed || (made && sameShape(made.shape, full))) return n.made(made)
  return n.refuse(
    `expected one channel or one pixel that is repeated, got ${formatShape(dims)} to ${formatShape(wanted)}`,
  )
}
