// What goes out at the end: several outputs one after another, each at its own scale, and what the plan says of them.
import type { Architecture } from '../../model/architecture.js'
import type { Layer } from '../../model/layers/layers.js'
import { splitNetwork } from '../../model/tail/split.js'
import { asMap, elementCount, type MapShape, type PlanOutputs } from '../plan.js'
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

/** What cannot be kept of a network that gives the label alone. */
export function labelProblems(arch: Architecture): string[] {
  const { body, tail } = splitNetwork(arch)
  if (body.outputs.length > 1) {
    return [`output: a label is of one output, this network has ${body.outputs.length}: ${body.outputs.join(', ')}`]
  }
  const [classes] = asMap(body.byId.get(body.outputs[0])!.out)
  if (classes < 2) return ['output: a label takes two classes at least, this output has one']
  const changes = tail.filter(({ op }) => !KEEPS_ORDER.has(op)).map(({ id, op }) => `${id} (${op})`)
  return changes.length > 0 ? [`output: a label is of the private part; behind it stands ${changes.join(', ')}`] : []
}

/** The largest of a vector stays the largest. */
const KEEPS_ORDER: ReadonlySet<string> = new Set([
  ...['softmax', 'logSoftmax', 'sigmoid', 'tanh', 'exp', 'identity', 'flatten', 'reshape'],
])

/** A layer as a file has it, without what follows from the others. */
function layerJson({ inShapes: _, tensors: __, ...layer }: Layer): Readonly<Record<string, unknown>> {
  return layer
}

/** What a plan has to say of its outputs: of one without a tail, shape and name follow from the last step. */
export function saidOutputs(
  opened: PlanOutputs['opened'],
  tail: readonly Layer[],
  names: readonly string[],
): PlanOutputs | undefined {
  const [{ id, shape }] = opened
  const isPixel = shape.length === 3 && shape[1] * shape[2] === 1
  if (opened.length === 1 && tail.length === 0 && names[0] === id && !isPixel) return undefined
  return { opened, tail: tail.map(layerJson), names }
}
