// Nodes of a TF.js graph model that multiply by a constant matrix.
import { quote } from '../../../model/json/fields.js'
import { elementCount, formatShape } from '../../../model/shape.js'
import type { DraftTensor } from '../../arch-draft.js'
import { fused } from './fused.js'
import { madeOf, type NodeRead, type NodeReader } from './node.js'

/** A row, or rows whose batch is joined with another axis. */
export const matMul: NodeRead = (n) => {
  const given = n.floats(1)
  const x = n.value()
  const { bias, activate } = fused(n)
  if (n.flag('transpose_a')) return n.refuse('transpose_a: expected false')
  const turns = n.flag('transpose_b')
  if (!given || !x || n.failed) return undefined
  const form = n.form()
  const sizes = n.dims({ value: x, ...form })
  if (sizes.length !== 2) return n.fault(`expected a matrix, got ${formatShape(sizes)}`)
  const kernel = turns ? transposed(n, given) : given
  const made = kernel && n.dense(x, kernel, bias)
  const value = made && activate(made)
  return value && { value, ...form }
}

function transposed(n: NodeReader, { shape, data, from }: DraftTensor): DraftTensor | undefined {
  const [rows, columns] = shape
  if (shape.length !== 2) return n.fault(`tensor ${from}: expected a matrix, got ${formatShape(shape)}`)
  const out = n.draft.floats(data.length)
  for (let r = 0, i = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = data[i++]
  return { shape: [columns, rows], data: out, from }
}

/** Along the last axis, by one matrix for all. */
export const batchMatMul: NodeRead = (n) => {
  const [first, turns] = [n.flag('adj_x'), n.flag('adj_y')]
  if (first) return n.refuse('adj_x: expected false')
  if (!n.isConstant(1)) {
    return n.known(0) && n.known(1) && n.refuse('expected a constant matrix; no step multiplies two computed ones')
  }
  const given = n.floats(1)
  const x = n.value()
  if (!given || !x) return undefined
  const { shape } = given
  if (shape.length < 2 || shape.slice(0, -2).some((size) => size !== 1))
    return n.refuse(`tensor ${given.from}: expected one matrix, got ${formatShape(shape)}`)
  if (shape.length > n.dims({ value: x, ...n.form() }).length)
    return n.refuse(`tensor ${given.from}: expected no more axes than the value has, got ${formatShape(shape)}`)
  const matrix = { ...given, shape: shape.slice(-2) }
  const kernel = turns ? transposed(n, matrix) : matrix
  return kernel && madeOf(n.dense(x, kernel))
}

/** Of a value and a constant: the value's last axes times the constant's first ones, in their order. */
export const einsum: NodeRead = (n) => {
  const equation = n.text('equation', '').replaceAll(' ', '')
  if (n.count !== 2 || !n.isConstant(1))
    return n.refuse('expected a value and a constant; no step multiplies two computed ones')
  const kernel = n.floats(1)
  const x = n.value()
  if (!kernel || !x) return undefined
  const [, left = '', right = '', out = ''] = /^([a-zA-Z]+),([a-zA-Z]+)->([a-zA-Z]+)$/.exec(equation) ?? []
  const shared = [...right].filter((label) => left.includes(label)).join('')
  const [kept, made] = [left.slice(0, left.length - shared.length), right.slice(shared.length)]
  const dims = n.dims({ value: x, ...n.form() })
  const isProduct =
    shared !== '' && left === kept + shared && right === shared + made && out === kept + made && kept !== ''
  const fits = new Set(kept + shared + made).size === (kept + shared + made).length && left.length === dims.length
  if (!isProduct || !fits || kernel.shape.length !== right.length)
    return n.refuse(`equation: expected one as abc,cd->abd, got ${quote(equation)}`)
  const inner = elementCount(dims.slice(kept.length))
  const outer = kernel.shape.slice(shared.length)
  const folded = n.arranged(x, [...dims.slice(0, kept.length), inner])
  if (!folded || !('value' in folded)) return undefined
  const matrix = { ...kernel, shape: [elementCount(kernel.shape.slice(0, shared.length)), elementCount(outer)] }
  const product = n.dense(folded.value, matrix)
  return product && n.arranged(product, [...dims.slice(0, kept.length), ...outer])
}
