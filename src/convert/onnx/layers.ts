// ONNX nodes that combine values with constants or with each other, element by element or as a matrix product.
import { quote } from '../../model/json/fields.js'
import { formatShape, type Shape, sameShape } from '../../model/shape.js'
import type { DraftTensor, Value } from '../arch-draft.js'
import { type Known, made, type OnnxNodeReader, type OnnxRead } from './node.js'
import { transposed } from './tensor.js'

/** Gemm: alpha · A · B + beta · C, A computed, B [n,cout] or with transB [cout,n] as PyTorch has it. */
export const gemm: OnnxRead = (n) => {
  const weight = matrix(n, 1, n.integer('transB', 0) !== 0, n.number('alpha', undefined, 1))
  const x = n.value()
  if (n.integer('transA', 0) !== 0) return n.fault('transA: expected 0, got 1')
  if (!weight || !x) return undefined
  const beta = n.number('beta', undefined, 1)
  const [cout] = weight.shape
  const bias = n.has(2) ? n.perChannel(2, [cout], (c) => beta * c) : undefined
  if (n.failed) return undefined
  const op = { op: 'linear', cout, bias: !!bias } as const
  return made(n.draft.layer(n.where, n.name, op, [x], bias ? { weight, bias } : { weight }))
}

/** MatMul of a computed vector and a constant matrix [n,cout]; the Add after it becomes its bias. */
export const matMul: OnnxRead = (n) => {
  const weight = matrix(n, 1, false, 1)
  const x = n.value()
  if (!weight || !x) return undefined
  return made(n.draft.layer(n.where, n.name, { op: 'linear', cout: weight.shape[0], bias: false }, [x], { weight }))
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

export const batchNormalization: OnnxRead = (n) => {
  const weight = n.floats(1)
  const bias = n.floats(2)
  const mean = n.floats(3)
  const variance = n.floats(4)
  const x = n.value()
  if (n.integer('training_mode', 0) !== 0) return n.fault('training_mode: expected 0; export the model for inference')
  if (!weight || !bias || !mean || !variance || !x) return undefined
  const tensors = { weight, bias, running_mean: mean, running_var: variance }
  const eps = n.number('epsilon', undefined, 1e-5)
  return made(n.draft.layer(n.where, n.name, { op: 'batchNorm', eps }, [x], tensors))
}

export const relu: OnnxRead = (n) => {
  const x = n.value()
  return x && made(n.draft.layer(n.where, n.name, { op: 'relu' }, [x]))
}

export const leakyRelu: OnnxRead = (n) => {
  const x = n.value()
  const slope = n.number('alpha', undefined, 0.01)
  return x && made(n.draft.layer(n.where, n.name, { op: 'leakyRelu', slope }, [x]))
}

/** PRelu of one slope, or one per channel. */
export const prelu: OnnxRead = (n) => {
  const x = n.value()
  const weight = x && n.perChannel(1, x.shape)
  return weight && made(n.draft.layer(n.where, n.name, { op: 'prelu' }, [x], { weight }))
}

/** From this size on a bound is no bound (exporters write the largest float for "none"). */
const NO_BOUND = 3e38

export const clip: OnnxRead = (n) => {
  const min = n.number('min', 1, Number.NEGATIVE_INFINITY)
  const max = n.number('max', 2, Number.POSITIVE_INFINITY)
  const x = n.value()
  if (!x || n.failed) return undefined
  if (min <= -NO_BOUND && max >= NO_BOUND) return { value: x }
  if (min === 0 && max >= NO_BOUND) return made(n.draft.layer(n.where, n.name, { op: 'relu' }, [x]))
  if (min < max && min > -NO_BOUND && max < NO_BOUND) {
    return made(n.draft.layer(n.where, n.name, { op: 'clip', min, max }, [x]))
  }
  return n.fault(`expected bounds min < max, or min 0 alone, got ${min} and ${max}`)
}

/** Add and Sum: of values, or of one value and one number per channel. */
export const add: OnnxRead = (n) => {
  const side = constantSide(n)
  if (side === undefined) return sum(n)
  const x = n.value(1 - side)
  if (!x) return undefined
  const bias = n.perChannel(side, x.shape)
  return bias && made(n.draft.bias(n.where, n.name, x, bias))
}

/** Sub of one number per channel. */
export const subtract: OnnxRead = (n) => {
  const x = n.value()
  if (!x) return undefined
  const bias = n.perChannel(1, x.shape, (b) => -b)
  return bias && made(n.draft.bias(n.where, n.name, x, bias))
}

export const multiply: OnnxRead = (n) => {
  const side = constantSide(n) ?? 1
  return scale(n, n.value(1 - side), side, (factor) => factor)
}

export const divide: OnnxRead = (n) => scale(n, n.value(), 1, (divisor) => 1 / divisor)

function scale(n: OnnxNodeReader, x: Value | undefined, side: number, change: (x: number) => number) {
  const weight = x && n.perChannel(side, x.shape, change)
  return weight && made(n.draft.layer(n.where, n.name, { op: 'channelScale' }, [x], { weight }))
}

/** Which of two inputs is a constant. */
function constantSide(n: OnnxNodeReader): number | undefined {
  if (n.node.inputs.length !== 2) return undefined
  const side = [0, 1].find((index) => {
    const known = n.scope.find(n.node.inputs[index])
    return known !== undefined && known !== 'broken' && 'constant' in known
  })
  return side
}

function sum(n: OnnxNodeReader): Known | undefined {
  const values = n.node.inputs.map((_, index) => n.value(index))
  if (n.failed || values.length === 0) return undefined
  const inputs = values as Value[]
  if (inputs.length === 1) return { value: inputs[0] }
  const full = inputs.reduce(
    (shape, value) => (volume(value.shape) > volume(shape) ? value.shape : shape),
    inputs[0].shape,
  )
  const spread = inputs.map((value, i) => broadcast(n, value, full, `${n.name}.${i}`))
  if (spread.some((value) => value === undefined)) return undefined
  return made(n.draft.layer(n.where, n.name, { op: 'add' }, spread as Value[]))
}

function volume(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1)
}

/** A map of 1x1 per channel grows to the full map; any other difference is left for the add to report. */
function broadcast(n: OnnxNodeReader, value: Value, full: Shape, name: string): Value | undefined {
  const { shape } = value
  if (sameShape(shape, full) || full.length !== 3 || !sameShape(shape, [full[0], 1, 1])) return value
  return n.draft.layer(n.where, name, { op: 'resize', size: [full[1], full[2]], mode: 'broadcast' }, [value])
}

export const concat: OnnxRead = (n) => {
  const values = n.node.inputs.map((_, index) => n.value(index))
  if (n.failed || values.length === 0) return undefined
  const inputs = values as Value[]
  const axis = n.integer('axis', 1)
  const rank = inputs[0].shape.length + 1
  if (axis !== 1 && axis !== 1 - rank) return n.fault(`axis: expected 1 (channels), got ${axis}`)
  return made(n.draft.layer(n.where, n.name, { op: 'concat' }, inputs))
}

/** Kept in the order of the classes, so at the end of the network it may be left out. */
export const softmax: OnnxRead = (n) => {
  const x = n.value()
  if (!x) return undefined
  const axis = n.integer('axis', n.scope.opset < 13 ? 1 : -1)
  if (!n.scope.endsAt(n.node.outputs[0])) return n.fault('expected it as the last node only, where it is left out')
  if (axis !== 1 && axis !== -x.shape.length) return n.fault(`axis: expected 1 (channels), got ${axis}`)
  n.draft.notes.push(`${n.where}: left out; the network's output is its input, the logits`)
  return { value: x }
}

/** Identity, Dropout at inference. */
export const same: OnnxRead = (n) => n.known(0)

/** A cast between floats changes nothing here. */
export const cast: OnnxRead = (n) => {
  const to = n.integer('to', 0)
  const known = n.known(0)
  if (!known) return undefined
  const isInteger = 'constant' in known && known.constant.integers !== undefined
  const fits = isInteger ? to === 6 || to === 7 : [1, 10, 11, 16].includes(to)
  return fits ? known : n.fault(`to: expected a cast between float types or between integer types, got ${quote(to)}`)
}
