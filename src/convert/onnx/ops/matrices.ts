// ONNX nodes that multiply by a constant matrix.
import { formatShape, sameShape } from '../../../model/shape.js'
import type { DraftTensor } from '../../arch-draft.js'
import type { OnnxNodeReader, OnnxRead, Seen } from '../node.js'
import { transposed } from '../tensor.js'
import { dimsOf, rankedView, resizedView, vectorOrder, wholeAxis } from '../view.js'
import { pixelwise } from './layers.js'

/** Gemm: alpha · A · B + beta · C, A computed, B [n,cout] or with transB [cout,n] as PyTorch has it. */
export const gemm: OnnxRead = (n) => {
  const weight = matrix(n, 1, n.integer('transB', 0) !== 0, n.number('alpha', undefined, 1))
  const beta = n.number('beta', undefined, 1)
  if (n.integer('transA', 0) !== 0) return n.refuse('transA: expected 0, got 1')
  return weight && product(n, weight, beta)
}

/** MatMul of a computed vector and a constant matrix [n,cout], or at every pixel; the Add after it becomes its bias. */
export const matMul: OnnxRead = (n) => {
  const weight = matrix(n, 1, false, 1)
  const seen = weight && n.seen()
  if (!seen) return undefined
  return seen.view.length > 2 ? atPixels(n, seen, weight) : product(n, weight)
}

/** A matrix over the channels of a map, which the graph has last. */
function atPixels(n: OnnxNodeReader, x: Seen, { shape, data, from }: DraftTensor): Seen | undefined {
  const [cout, cin] = shape
  if (x.value.shape.length !== 3 || wholeAxis(x.view, x.view.length - 1, x.value.shape) !== 0) {
    return n.refuse(
      `expected an input [batch,n], or a map whose channels come last, got ${formatShape(dimsOf(x.view))}`,
    )
  }
  const weight = { shape: [cout, cin, 1, 1], data, from }
  const made = n.draft.layer(n.where, n.name, pixelwise(cout), [x.value], { weight })
  return made && { value: made, view: resizedView(x.view, x.value.shape, made.shape) }
}

/** A vector times a matrix, whose columns are put in the order in which the vector's elements stand here. */
function product(n: OnnxNodeReader, given: DraftTensor, beta = 0): Seen | undefined {
  const seen = n.seen()
  if (!seen) return undefined
  // A vector without the batch is a matrix of one row.
  const isRow = seen.view.length === 1
  const matrix = isRow ? { ...seen, view: rankedView(seen.view, 2) } : seen
  if (matrix.view.length !== 2) return n.refuse(`expected an input [batch,n], got ${formatShape(dimsOf(seen.view))}`)
  const x = n.flat(matrix)
  if (!x) return undefined
  const [cout] = given.shape
  const bias = n.has(2) ? rowOf(n, 2, cout, beta) : undefined
  if (n.failed) return undefined
  const order = sameShape([given.shape[1]], x.value.shape) && vectorOrder(x.view, x.value.shape[0], n.scope.batch)
  const weight = order ? columnsInOrder(n, given, order) : given
  const op = { op: 'linear', cout, bias: !!bias } as const
  const made = n.made(n.draft.layer(n.where, n.name, op, [x.value], bias ? { weight, bias } : { weight }))
  return made && isRow ? { ...made, view: made.view.slice(1) } : made
}

/** Gemm's C: one number, or one per output. */
function rowOf(n: OnnxNodeReader, index: number, cout: number, factor: number): DraftTensor | undefined {
  const given = n.floats(index)
  if (!given) return undefined
  const { shape, data, from } = given
  if ((data.length !== 1 && data.length !== cout) || data.length !== (shape.at(-1) ?? 1)) {
    return n.fault(`tensor ${from}: expected one number, or one per output of ${cout}, got ${formatShape(shape)}`)
  }
  const row = n.draft.floats(cout)
  for (let c = 0; c < cout; c++) row[c] = factor * data[data.length === 1 ? 0 : c]
  return { shape: [cout], data: row, from }
}

function columnsInOrder(n: OnnxNodeReader, { shape, data, from }: DraftTensor, order: Int32Array): DraftTensor {
  const out = n.draft.floats(data.length)
  const [rows, columns] = shape
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[r * columns + c] = data[r * columns + order[c]]
  return { shape, data: out, from }
}

/** A constant matrix as PyTorch has it, [cout,n], times a factor. */
function matrix(n: OnnxNodeReader, index: number, isTorch: boolean, factor: number): DraftTensor | undefined {
  const given = n.floats(index)
  if (!given) return undefined
  if (given.shape.length !== 2) {
    return n.fault(`tensor ${given.from}: expected a matrix, got ${formatShape(given.shape)}`)
  }
  if (isTorch && factor === 1) return given
  const { data, shape, from } = given
  const out = n.draft.floats(data.length)
  if (isTorch) out.set(data)
  else transposed({ name: from, shape, floats: data }, [1, 0], out)
  if (factor !== 1) for (let i = 0; i < out.length; i++) out[i] *= factor
  return { shape: isTorch ? shape : [shape[1], shape[0]], data: out, from }
}
