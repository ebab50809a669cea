// ONNX nodes that are functions of every element alone, by onnx/docs/Operators.md.
import { quote } from '../../../model/json/fields.js'
import type { Value } from '../../arch-draft.js'
import * as functions from '../../functions.js'
import type { OnnxNodeReader, OnnxRead } from '../node.js'

type Write = (make: functions.MakeLayer, x: Value) => Value | undefined

const read =
  (choose: (n: OnnxNodeReader) => Write | undefined): OnnxRead =>
  (n) => {
    const x = n.seen()
    const write = choose(n)
    if (!x || !write || n.failed) return undefined
    const named = (suffix: string) => n.name + (suffix && `.${suffix}`)
    return n.keptAs(
      x,
      write((op, inputs, suffix) => n.draft.layer(n.where, named(suffix), op, inputs), x.value),
    )
  }

export const elu = read((n) => functions.elu(n.number('alpha', undefined, 1)))
export const selu = read((n) => {
  const { alpha, scale } = functions.SELU
  return functions.elu(n.number('alpha', undefined, alpha), { scale: n.number('gamma', undefined, scale) })
})
export const celu = read((n) => {
  const alpha = n.number('alpha', undefined, 1)
  return alpha === 0
    ? n.fault('alpha: expected a number other than 0, got 0')
    : functions.elu(alpha, { divisor: alpha })
})
export const gelu = read((n) => {
  const how = n.text('approximate', 'none')
  if (how !== 'none' && how !== 'tanh') return n.fault(`approximate: expected none or tanh, got ${quote(how)}`)
  return functions.gelu(how === 'none' ? 'erf' : 'tanh')
})
export const mish = read(() => functions.mish)
export const swish = read((n) => functions.swish(n.number('alpha', undefined, 1)))
export const softsign = read(() => functions.softsign)

/** x to a constant power. */
export const power = read((n) => {
  const x = n.seen()
  const exponent = n.oneNumber(1)
  if (!x || exponent === undefined) return undefined
  const write = functions.power(exponent, n.draft.isPlain(x.value))
  return write ?? n.refuse(`expected ${functions.POWERS}, got ${exponent}`)
})
