// ONNX nodes that repeat elements.
import { quote } from '../../../model/json/fields.js'
import { formatShape, type Shape, sameShape } from '../../../model/shape.js'
import type { OnnxNodeReader, OnnxRead, Seen } from '../node.js'
import { dimsOf, rankedView } from '../view.js'

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
  const [batch, channels, height, width] = wanted
  const isPixel = dims.length === 4 && sameShape(dims, [batch, channels, 1, 1])
  if (!isPixel || wanted.some((size) => !(size >= 1 && size < 2 ** 24))) {
    return n.fault(
      `expected one pixel per channel that is repeated, got ${formatShape(dims)} to ${formatShape(wanted)}`,
    )
  }
  const value = n.plain(x, n.node.inputs[0])
  const made =
    value && n.draft.layer(n.where, n.name, { op: 'resize', size: [height, width], mode: 'broadcast' }, [value])
  return n.made(made)
}
