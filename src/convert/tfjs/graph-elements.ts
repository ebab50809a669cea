// Nodes of a TF.js graph model that work on every element, or along an axis.
import { quote } from '../../model/json/fields.js'
import type { Value } from '../arch-draft.js'
import { channelsLast, madeOf, type NodeRead, type NodeReader, type TfKnown } from './node.js'

/** Sums or means over other axes, which no private step computes. */
export function summed(
  n: NodeReader,
  given: Value,
  dims: readonly number[],
  keepDims: boolean,
  isMean: boolean,
): TfKnown | undefined {
  const sizes = channelsLast(n.batch, given)
  let made = given.parts ? n.inFile(given) : given
  for (const dim of dims) {
    const axis = made && n.axisOf(made, dim)
    if (made && !(axis! >= 0 && axis! < made.shape.length))
      return n.fault(`axes: expected axes behind the batch, got ${dim}`)
    made = made && n.layer({ op: 'sum', axis: axis! }, [made], {}, `/sum${dim}`)
  }
  const count = dims.reduce((product, dim) => product * sizes[dim], 1)
  const mean = made && isMean ? n.layer({ op: 'affine', factor: 1 / count, offset: 0 }, [made]) : made
  if (!mean || keepDims) return madeOf(mean)
  const kept = sizes.filter((_, dim) => dim > 0 && !dims.includes(dim))
  return madeOf(n.reshape(mean, kept.length > 0 ? kept : [1]))
}

export const sum: NodeRead = (n) => {
  const axes = n.integers(1)
  const x = n.value()
  if (!axes || !x) return undefined
  const dims = axes.map((axis) => (axis < 0 ? axis + x.shape.length + 1 : axis))
  if (dims.some((dim) => dim < 1)) return n.fault(`axes: expected axes behind the batch, got ${quote(axes)}`)
  return summed(n, x, dims, n.flag('keep_dims'), false)
}

export const isTensor = (n: NodeReader, index: number) => {
  const known = n.inputs[index]
  return known !== undefined && 'tensor' in known
}

export const add: NodeRead = (n) => {
  const side = n.inputs.length === 2 ? [1, 0].find((index) => isTensor(n, index)) : undefined
  if (side !== undefined) return offset(n, 1 - side, side, (v) => v)
  const values = n.inputs.map((_, index) => n.value(index))
  return n.failed || values.length === 0 ? undefined : madeOf(n.add(values as Value[]))
}

/** Of a constant, from a constant, or of two values. */
export const subtract: NodeRead = (n) => {
  if (isTensor(n, 1)) return offset(n, 0, 1, (v) => -v)
  const x = n.value(1)
  const negative = x && n.negative(x)
  if (!negative) return undefined
  if (!isTensor(n, 0)) {
    const first = n.value(0)
    return first && madeOf(n.add([first, negative]))
  }
  const bias = n.perChannel(0, x)
  return bias && madeOf(n.bias(negative, bias))
}

export const negate: NodeRead = (n) => {
  const x = n.value()
  return x && madeOf(n.negative(x))
}

/** Maximum or Minimum of two values, or of a value and a number: max(x, a) is relu(x - a) + a, min(x, b) is b - relu(b - x). */
export function extreme(kind: 'max' | 'min'): NodeRead {
  return (n) => {
    const side = [0, 1].find((index) => isTensor(n, index))
    if (side === undefined) {
      const [a, b] = [n.value(0), n.value(1)]
      return a && b && madeOf(n.extreme(kind, a, b))
    }
    const bound = n.scalar(side)
    const x = n.value(1 - side)
    return x && bound !== undefined
      ? madeOf(n.bounded(x, kind === 'max' ? { low: bound } : { high: bound }))
      : undefined
  }
}

export function offset(
  n: NodeReader,
  of: number,
  constant: number,
  change: (v: number) => number,
): TfKnown | undefined {
  const x = n.value(of)
  const bias = x && n.perChannel(constant, x, change)
  return bias && madeOf(n.bias(x, bias))
}

export const multiply: NodeRead = (n) => {
  const side = isTensor(n, 1) ? 1 : 0
  if (isTensor(n, side)) return factor(n, 1 - side, side, (v) => v)
  const [a, b] = [n.value(0), n.value(1)]
  return a && b && madeOf(n.multiply(a, b))
}

export const divide: NodeRead = (n) => {
  if (isTensor(n, 1)) return factor(n, 0, 1, (v) => 1 / v)
  const divisor = n.value(1)
  const inverse = divisor && n.layer({ op: 'reciprocal' }, [divisor], {}, '/inverse')
  if (!inverse) return undefined
  if (isTensor(n, 0)) {
    const weight = n.perChannel(0, inverse)
    return weight && madeOf(n.scale(inverse, weight))
  }
  const x = n.value(0)
  return x && madeOf(n.multiply(x, inverse))
}

function factor(n: NodeReader, of: number, constant: number, change: (v: number) => number): TfKnown | undefined {
  const x = n.value(of)
  const weight = x && n.perChannel(constant, x, change)
  return weight && madeOf(n.scale(x, weight))
}

export function activation(kind: string): NodeRead {
  return (n) => {
    const x = n.value()
    return x && madeOf(n.activation(kind, x))
  }
}

export const leakyRelu: NodeRead = (n) => {
  const x = n.value()
  return x && madeOf(n.leakyRelu(x, n.number('alpha', 0.2)))
}

export const prelu: NodeRead = (n) => {
  const x = n.value()
  const slopes = n.floats(1)
  return x && slopes && madeOf(n.prelu(x, slopes))
}

export const clip: NodeRead = (n) => {
  const x = n.value()
  const [min, max] = [n.scalar(1), n.scalar(2)]
  return x && min !== undefined && max !== undefined ? madeOf(n.layer({ op: 'clip', min, max }, [x])) : undefined
}

export function pointwise(
  op: 'tanh' | 'exp' | 'log' | 'sqrt' | 'square' | 'softplus' | 'erf' | 'reciprocal',
): NodeRead {
  return (n) => {
    const x = n.value()
    return x && madeOf(n.layer({ op }, [x]))
  }
}

/** 1 / √x. */
export const rsqrt: NodeRead = (n) => {
  const x = n.value()
  const root = x && n.layer({ op: 'sqrt' }, [x], {}, '/root')
  return root && madeOf(n.layer({ op: 'reciprocal' }, [root]))
}

export const argMax: NodeRead = (n) => {
  const x = n.value()
  const given = n.scalar(1)
  if (!x || given === undefined) return undefined
  const dims = channelsLast(n.batch, x)
  const dim = given < 0 ? given + dims.length : given
  if (!(dim >= 1)) return n.fault(`dimension: expected one behind the batch, got ${given}`)
  const own = x.parts ? n.inFile(x) : x
  const made = own && n.layer({ op: 'argMax', axis: n.axisOf(own, dim) }, [own])
  const kept = dims.filter((_, axis) => axis > 0 && axis !== dim)
  return made && madeOf(n.reshape(made, kept.length > 0 ? kept : [1]))
}

export const same: NodeRead = (n) =>
  n.inputs[0] ?? (n.node.inputs.length === 0 ? n.fault('expected an input, got none') : undefined)

export const logSoftmax: NodeRead = (n) => {
  const x = n.value()
  return x && madeOf(n.alongLast(x, 'logSoftmax'))
}

export const softmax: NodeRead = (n) => {
  const x = n.value()
  return x && madeOf(n.alongLast(x, 'softmax'))
}

/** |x| is x where it is positive, -x elsewhere. */
export const absolute: NodeRead = (n) => {
  const x = n.value()
  return x && madeOf(n.leakyRelu(x, -1))
}
