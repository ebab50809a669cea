// The last step's expression where a network has several outputs: they go out one after another, each at its own scale.
import type { MapShape } from '../plan.js'
import { elementCount } from '../plan.js'
import { type Expression, reshape } from './expression.js'
import { concat } from './max-pool.js'

/** One output before it has a place among the others. */
export interface OutputValue {
  /** Weighted on every path. */
  readonly expression: Expression
  /** Fraction bits that it could have if it went out alone. */
  readonly scale: number
}

/** Outputs in one vector, whose scale is the smallest of theirs. */
export interface JoinedOutputs {
  readonly expression: Expression
  readonly scale: number
  /** By how many bits each output's values are shifted up in it. */
  readonly shifts: readonly number[]
}

/** Outputs one after another; a power of two in an output's weights keeps the fraction bits that its range leaves room for. */
export function joinOutputs(values: readonly OutputValue[], keepsScales: boolean): JoinedOutputs {
  const scale = Math.min(...values.map((value) => value.scale))
  const shifts = values.map((value) => (keepsScales ? value.scale - scale : 0))
  const parts = values.map(({ expression }, i) => {
    const shape: MapShape = [elementCount(expression.shape), 1, 1]
    return reshape(multiplied(expression, 2 ** shifts[i]), shape)
  })
  return { expression: concat(parts, 1, 1), scale, shifts }
}

/** A weighted expression times a power of two. */
function multiplied(e: Expression, factor: number): Expression {
  if (factor === 1) return e
  const times = (values: Float32Array) => values.map((v) => v * factor)
  switch (e.kind) {
    case 'conv': {
      const { weights, bias } = e.filter
      return { ...e, filter: { ...e.filter, weights: times(weights), bias: times(bias) } }
    }
    case 'constant':
      return { ...e, values: times(e.values) }
    case 'lift':
      return { ...e, factor: typeof e.factor === 'number' ? e.factor * factor : e.factor.map((f) => f * factor) }
    case 'add':
      return { ...e, of: e.of.map((part) => multiplied(part, factor)) }
    case 'zero':
    case 'tensor':
      return e
    default:
      return { ...e, of: multiplied(e.of, factor) }
  }
}
