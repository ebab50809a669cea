// Nodes of a TF.js graph model that work on every element, or along the last axis.

import type { DraftTensor, Value } from '../../arch-draft.js'
import * as functions from '../../functions.js'
import { madeOf, type NodeRead, type NodeReader, type TfKnown } from './node.js'

const same = (v: number) => v

/** Of values and constants; constants are added one after another. */
export const add: NodeRead = (n) => {
  const places = Array.from({ length: n.count }, (_, index) => index)
  const constants = places.filter((index) => n.isConstant(index))
  const [first] = places.filter((index) => !constants.includes(index))
  if (first === undefined) return n.fault('expected a computed value, got constants')
  if (constants.length === 1 && n.count === 2)
    return madeOf(n.withConstant(constants[0], first, same, (x, bias) => n.bias(x, bias)))
  const values = places.filter((index) => !constants.includes(index)).map((index) => n.value(index))
  if (constants.length > 0) return n.refuse('expected values, or one value and one constant')
  return n.failed ? undefined : madeOf(n.add(values as Value[]))
}

/** One number per element of the last axis. */
export const biasAdd: NodeRead = (n) => {
  if (!n.isChannelsLast()) return undefined
  return madeOf(n.withConstant(1, 0, same, (x, bias) => n.bias(x, bias)))
}

function difference(n: NodeReader, suffix = ''): Value | undefined {
  const [a, b] = [n.value(0), n.value(1)]
  const negative = b && n.negative(b)
  return a && negative && n.add([a, negative], suffix)
}

/** Of a constant, from a constant, or of two values. */
export const subtract: NodeRead = (n) => {
  if (n.isConstant(1))
    return madeOf(
      n.withConstant(
        1,
        0,
        (v) => -v,
        (x, bias) => n.bias(x, bias),
      ),
    )
  if (!n.isConstant(0)) return madeOf(difference(n))
  return madeOf(
    n.withConstant(0, 1, same, (x, bias) => {
      const negative = n.negative(x)
      return negative && n.bias(negative, bias)
    }),
  )
}

export const squaredDifference: NodeRead = (n) => {
  const side = [1, 0].find((index) => n.isConstant(index))
  const minus = (x: Value, bias: DraftTensor) => n.bias(x, bias)
  const made = side === undefined ? difference(n, '/difference') : n.withConstant(side, 1 - side, (v) => -v, minus)
  return made && madeOf(n.layer({ op: 'square' }, [made]))
}

export const negate: NodeRead = (n) => {
  const x = n.value()
  return x && madeOf(n.negative(x))
}

/** Maximum or Minimum of two values, or of a value and constants: max(x, a) is relu(x - a) + a, min(x, b) is b - relu(b - x). */
export function extreme(kind: 'max' | 'min'): NodeRead {
  return (n) => {
    const side = [0, 1].find((index) => n.isConstant(index))
    if (side === undefined) {
      const [a, b] = [n.value(0), n.value(1)]
      return a && b && madeOf(n.extreme(kind, a, b))
    }
    return madeOf(n.withConstant(side, 1 - side, same, (x, bounds) => bounded(n, kind, x, bounds)))
  }
}

function bounded(n: NodeReader, kind: 'max' | 'min', x: Value, bounds: DraftTensor): Value | undefined {
  const [bound] = bounds.data
  if (bounds.data.every((v) => v === bound)) return n.bounded(x, kind === 'max' ? { low: bound } : { high: bound })
  const data = n.draft.floats(bounds.data.length)
  for (let i = 0; i < data.length; i++) data[i] = -bounds.data[i]
  const shifted = n.bias(x, { ...bounds, data })
  const beyond = kind === 'max' || !shifted ? shifted : n.negative(shifted)
  const cut = beyond && n.layer({ op: 'relu' }, [beyond], {}, '/relu')
  const within = cut && (kind === 'max' ? cut : n.negative(cut, '/within'))
  return within && n.bias(within, bounds)
}

export const multiply: NodeRead = (n) => {
  const side = n.isConstant(1) ? 1 : 0
  if (n.isConstant(side)) return scaled(n, side, same)
  const [a, b] = [n.value(0), n.value(1)]
  return a && b && madeOf(n.multiply(a, b))
}

function scaled(n: NodeReader, constant: 0 | 1, change: (v: number) => number): TfKnown | undefined {
  return madeOf(n.withConstant(constant, 1 - constant, change, (x, weight) => n.scale(x, weight)))
}

export const divide: NodeRead = (n) => {
  if (n.isConstant(1)) return scaled(n, 1, (v) => 1 / v)
  const inverse = (x: Value) => n.layer({ op: 'reciprocal' }, [x], {}, '/inverse')
  if (n.isConstant(0)) {
    return madeOf(
      n.withConstant(0, 1, same, (x, weight) => {
        const made = inverse(x)
        return made && n.scale(made, weight)
      }),
    )
  }
  const [x, divisor] = [n.value(0), n.value(1)]
  const made = x && divisor && inverse(divisor)
  return made && madeOf(n.multiply(x, made))
}

/** Nothing where the divisor is 0, which has to be known. */
export const divideOrZero: NodeRead = (n) => {
  if (n.isConstant(1)) return scaled(n, 1, (v) => (v === 0 ? 0 : 1 / v))
  return n.refuse('expected a constant divisor; whether a computed one is 0 no step finds')
}

/** A constant power: a product, a root or exp(exponent · log x). */
export const power: NodeRead = (n) => {
  if (n.isConstant(0)) return n.refuse('expected a computed base, got a constant')
  const exponent = n.scalar(1)
  if (exponent === undefined) return undefined
  const x = n.value()
  if (!x) return undefined
  if (n.tensor(1)!.shape.length > n.dims({ value: x, ...n.form() }).length)
    return n.refuse(`expected an exponent of no more axes than the value has, got ${exponent} of more`)
  const write = functions.power(exponent, n.isPlain(x))
  if (!write) return n.refuse(`expected ${functions.POWERS}, got ${exponent}`)
  return madeOf(n.written(write, x))
}

const written =
  (write: typeof functions.expm1): NodeRead =>
  (n) => {
    const x = n.value()
    return x && madeOf(n.written(write, x))
  }
export const expm1 = written(functions.expm1)
export const log1p = written(functions.log1p)

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

export const prelu: NodeRead = (n) => madeOf(n.withConstant(1, 0, same, (x, slopes) => n.prelu(x, slopes)))

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
