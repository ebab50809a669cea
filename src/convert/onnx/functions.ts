// ONNX nodes that are functions of every element alone and have a name of their own, written as layers: back end `mcc`
// computes each in one round trip, however many layers it is. By onnx/docs/Operators.md.
import type { LayerOp } from '../../model/layers/layers.js'
import { product2 } from './layers.js'
import type { OnnxNodeReader, OnnxRead, Seen } from './node.js'

/** Layers one behind another, called by what they are. */
class Chain {
  constructor(
    readonly n: OnnxNodeReader,
    readonly made: Seen | undefined,
  ) {}

  /** @param name what is made, or none for what the node itself makes */
  to(op: LayerOp, name = ''): Chain {
    return new Chain(this.n, this.made && this.n.kept(this.made, op, {}, name && `.${name}`))
  }

  /** factor · x + offset, of numbers that the operator's definition has: they are public. */
  line(factor: number, offset: number, name = ''): Chain {
    return this.to({ op: 'affine', factor, offset }, name)
  }

  times(other: Chain, name = ''): Chain {
    const both = this.made && other.made
    return new Chain(this.n, both && product2(this.n, this.made!, other.made!, name && `.${name}`))
  }

  plus(other: Chain, name = ''): Chain {
    if (!this.made || !other.made) return new Chain(this.n, undefined)
    const values = [this.made.value, other.made.value]
    const sum = this.n.draft.layer(this.n.where, this.n.name + (name && `.${name}`), { op: 'add' }, values)
    return new Chain(this.n, this.n.keptAs(this.made, sum))
  }
}

const written =
  (write: (x: Chain, n: OnnxNodeReader) => Chain): OnnxRead =>
  (n) =>
    write(new Chain(n, n.seen()), n).made

/** scale · (max(x, 0) + alpha · (exp(min(x, 0) / divisor) - 1)). */
function exponential(x: Chain, alpha: number, divisor = 1, scale = 1): Chain {
  const positive = x.to({ op: 'relu' }, 'positive')
  const negative = x.plus(positive.line(-1, 0, 'without'), 'negative')
  const inner = divisor === 1 ? negative : negative.line(1 / divisor, 0, 'inner')
  const rest = inner.to({ op: 'exp' }, 'exp').line(alpha * scale, -alpha * scale, 'rest')
  return (scale === 1 ? positive : positive.line(scale, 0, 'scaled')).plus(rest)
}

export const elu = written((x, n) => exponential(x, n.number('alpha', undefined, 1)))
export const selu = written((x, n) => {
  const alpha = n.number('alpha', undefined, 1.6732632423543772)
  return exponential(x, alpha, 1, n.number('gamma', undefined, 1.0507009873554805))
})
export const celu = written((x, n) => {
  const alpha = n.number('alpha', undefined, 1)
  return alpha === 0
    ? new Chain(n, n.fault('alpha: expected a number other than 0, got 0'))
    : exponential(x, alpha, alpha)
})

/** x · Φ(x), Φ by the error function or by a hyperbolic tangent. */
export const gelu = written((x, n) => {
  const how = n.text('approximate', 'none')
  if (how !== 'none' && how !== 'tanh') return new Chain(n, n.fault(`approximate: expected none or tanh, got ${how}`))
  const inner = how === 'none' ? x.line(Math.SQRT1_2, 0, 'inner').to({ op: 'erf' }, 'erf') : tanhOfCube(x)
  return x.times(inner.line(0.5, 0.5, 'gate'))
})

/** tanh(√(2 / π) · (x + 0.044715 x³)), the factor taken out: x · (1 + 0.044715 x²). */
function tanhOfCube(x: Chain): Chain {
  const root = Math.sqrt(2 / Math.PI)
  const factor = x.to({ op: 'square' }, 'square').line(0.044715 * root, root, 'factor')
  return x.times(factor, 'inner').to({ op: 'tanh' }, 'tanh')
}

export const mish = written((x) => x.times(x.to({ op: 'softplus' }, 'softplus').to({ op: 'tanh' }, 'tanh')))

/** x · sigmoid(alpha · x). */
export const swish = written((x, n) => {
  const alpha = n.number('alpha', undefined, 1)
  return x.times((alpha === 1 ? x : x.line(alpha, 0, 'inner')).to({ op: 'sigmoid' }, 'gate'))
})

/** x / (1 + |x|). */
export const softsign = written((x) =>
  x.times(x.to({ op: 'leakyRelu', slope: -1 }, 'absolute').line(1, 1, 'divisor').to({ op: 'reciprocal' }, 'inverse')),
)
