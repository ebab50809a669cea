// How the ops of a file are read: what tells the many ops of a network from the few behind its private part.
import type { Fields } from '../json/fields.js'
import { elementCount, formatShape, type Shape } from '../shape.js'
import type { LayerOp, Op } from './layers.js'

export type Reader = (fields: Fields, choices: Readonly<Record<string, unknown>>) => LayerOp
export type Readers = Readonly<Partial<Record<Op, Reader>>>
export type Report = (problem: string) => void

/** The ops that a file may have. */
export interface Grammar {
  readonly readers: Readers
  /** The output shape, or undefined after reporting why there is none. */
  readonly outputShape: (op: LayerOp, inputs: readonly Shape[], report: Report) => Shape | undefined
  /** What is wrong with the references of layers that stand in this order; `sources` are there beforehand. */
  readonly referenceProblems: (nodes: readonly Node[], sources: ReadonlySet<string>) => string[]
}

/** A layer as far as references go. */
export interface Node {
  readonly id: string
  readonly in: readonly string[]
}

/** Reads the op of a layer and the fields that belong to it; undefined when the op itself is unknown. */
export function readLayerOp(
  readers: Readers,
  fields: Fields,
  choices: Readonly<Record<string, unknown>>,
): LayerOp | undefined {
  const name = fields.value('op')
  if (typeof name !== 'string' || !Object.hasOwn(readers, name)) {
    fields.fault('op', `one of ${Object.keys(readers).join(', ')}`)
    return undefined
  }
  return readers[name as Op]!(fields, choices)
}

const MANY = Number.POSITIVE_INFINITY
/** Inputs an op takes: exactly one unless it is listed here. */
const INPUTS: Partial<Record<Op, readonly [fewest: number, most: number]>> = {
  ...{ add: [2, MANY], weightedSum: [1, MANY], concat: [1, MANY], choice: [1, MANY] },
  multiply: [2, 2],
}

/** How many inputs the op takes, as [fewest, most]. */
export const inputCount = (op: Op): readonly [number, number] => INPUTS[op] ?? [1, 1]

/** Tensors with more elements than this are taken for a mistake in the file. */
const MOST_ELEMENTS = 2 ** 28

/** A shape, or undefined after reporting that it is empty or too large. */
export function bounded(shape: Shape | undefined, inputs: readonly Shape[], report: Report): Shape | undefined {
  if (shape === undefined) return undefined
  if (shape.some((size) => size < 1)) {
    report(`out: the output would be empty (${formatShape(shape)}) for an input of ${formatShape(inputs[0])}`)
    return undefined
  }
  if (elementCount(shape) > MOST_ELEMENTS) {
    report(`out: ${formatShape(shape)} has more than ${MOST_ELEMENTS} elements`)
    return undefined
  }
  return shape
}
