// Functions of every element alone that formats have a name for, written as layers: back end `mcc` computes each in one
// round trip, however many layers it is. Their numbers are of their definitions, so they are public.
import type { LayerOp } from '../model/layers/layers.js'
import type { Value } from './arch-draft.js'

/** Adds a layer; `suffix` tells it from the others of its node, '' is the node's own. Undefined after reporting a fault. */
export type MakeLayer = (op: LayerOp, inputs: readonly Value[], suffix: string) => Value | undefined

/** Layers one behind another, called by what they are. */
class Chain {
  constructor(
    readonly make: MakeLayer,
    readonly made: Value | undefined,
  ) {}

  /** @param name of what is made, or none for what the node itself makes */
  to(op: LayerOp, name = ''): Chain {
    return new Chain(this.make, this.made && this.make(op, [this.made], name))
  }

  /** factor · x + offset. */
  line(factor: number, offset: number, name = ''): Chain {
    return this.to({ op: 'affine', factor, offset }, name)
  }

  with(op: 'add' | 'multiply', other: Chain, name = ''): Chain {
    const both = this.made && other.made ? [this.made, other.made] : undefined
    return new Chain(this.make, both && this.make({ op }, both, name))
  }
}

type Write = (x: Chain) => Chain

const written =
  (write: Write) =>
  (make: MakeLayer, x: Value): Value | undefined =>
    write(new Chain(make, x)).made

/** scale · (max(x, 0) + alpha · (exp(min(x, 0) / divisor) - 1)): ELU, with a scale SELU, with alpha as divisor CELU. */
export const elu = (alpha: number, { scale = 1, divisor = 1 } = {}) =>
  written((x) => {
    const positive = x.to({ op: 'relu' }, 'positive')
    const negative = x.with('add', positive.line(-1, 0, 'without'), 'negative')
    const inner = divisor === 1 ? negative : negative.line(1 / divisor, 0, 'inner')
    const rest = inner.to({ op: 'exp' }, 'exp').line(alpha * scale, -alpha * scale, 'rest')
    return (scale === 1 ? positive : positive.line(scale, 0, 'scaled')).with('add', rest)
  })

export const SELU = { alpha: 1.6732632423543772, scale: 1.0507009873554805 } as const

/** tanh(√(2 / π) · (x + 0.044715 x³)), the factor taken out: x · (1 + 0.044715 x²). */
const tanhOfCube: Write = (x) => {
  const root = Math.sqrt(2 / Math.PI)
  const factor = x.to({ op: 'square' }, 'square').line(0.044715 * root, root, 'factor')
  return x.with('multiply', factor, 'inner').to({ op: 'tanh' }, 'tanh')
}

/** x · Φ(x), Φ by the error function or by a hyperbolic tangent. */
export const gelu = (how: 'erf' | 'tanh') =>
  written((x) => {
    const inner = how === 'erf' ? x.line(Math.SQRT1_2, 0, 'inner').to({ op: 'erf' }, 'erf') : tanhOfCube(x)
    return x.with('multiply', inner.line(0.5, 0.5, 'gate'))
  })

export const mish = written((x) => x.with('multiply', x.to({ op: 'softplus' }, 'softplus').to({ op: 'tanh' }, 'tanh')))

/** x · sigmoid(alpha · x). */
export const swish = (alpha: number) =>
  written((x) => x.with('multiply', (alpha === 1 ? x : x.line(alpha, 0, 'inner')).to({ op: 'sigmoid' }, 'gate')))

export const expm1 = written((x) => x.to({ op: 'exp' }, 'exp').line(1, -1))
export const log1p = written((x) => x.line(1, 1, 'more').to({ op: 'log' }))

/** x / (1 + |x|). */
export const softsign = written((x) => {
  const divisor = x.to({ op: 'leakyRelu', slope: -1 }, 'absolute').line(1, 1, 'divisor')
  return x.with('multiply', divisor.to({ op: 'reciprocal' }, 'inverse'))
})

/** Powers with whole exponents up to this one are products. */
const MOST_FACTORS = 8
export const POWERS = `a whole exponent from 1 to ${MOST_FACTORS}, that of a root, or the negative of one of these`

/**
 * x to a constant power: a product, a root or exp(exponent · log x), which has no value for a negative x either. Roots are
 * functions by their definition; another fraction may be learnt, and would be public. Powers by whole numbers have values
 * where a logarithm has none.
 * @param isPlain whether x is behind a layer that no private step computes, where numbers are public
 * @returns undefined for an exponent that is none of POWERS
 */
export function power(exponent: number, isPlain: boolean) {
  const size = Math.abs(exponent)
  const isFactors = Number.isInteger(size) && size >= 1 && size <= MOST_FACTORS
  const isRoot = size < 1 && Math.abs(1 / size - Math.round(1 / size)) < 1e-5
  const isFraction = Number.isFinite(size) && !Number.isInteger(size)
  if (!isFactors && !isRoot && !(isFraction && isPlain)) return undefined
  return written((x) =>
    exponent > 0 ? positivePower(x, size, '') : positivePower(x, size, 'power').to({ op: 'reciprocal' }),
  )
}

function positivePower(x: Chain, exponent: number, name: string): Chain {
  if (exponent === 1) return x
  if (exponent === 2) return x.to({ op: 'square' }, name)
  if (exponent === 0.5) return x.to({ op: 'sqrt' }, name)
  const inner = (part: string) => (name ? `${name}.${part}` : part)
  if (!Number.isInteger(exponent))
    return x.to({ op: 'log' }, inner('log')).line(exponent, 0, inner('times')).to({ op: 'exp' }, name)
  const half = positivePower(x, Math.floor(exponent / 2), inner(`half${exponent}`))
  if (exponent % 2 === 0) return half.to({ op: 'square' }, name)
  return x.with('multiply', half.to({ op: 'square' }, inner(`even${exponent}`)), name)
}
