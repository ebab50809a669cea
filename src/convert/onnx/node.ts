// What the reader of one ONNX node sees: its attributes, its inputs by what they are, and a place to report faults.
import { quote } from '../../model/json/fields.js'
import type { Pair } from '../../model/layers/layers.js'
import { formatShape, type Shape } from '../../model/shape.js'
import type { ArchDraft, DraftTensor, Value } from '../arch-draft.js'
import type { OnnxNode } from './proto.js'
import type { OnnxConstant } from './tensor.js'

/** What a name of the graph stands for: a computed value or elements known now. */
export type Known = { readonly value: Value } | { readonly constant: OnnxConstant }

/** What the names of the graph stand for so far. */
export interface OnnxScope {
  readonly opset: number
  /** Size of the batch dimension, for shapes that the graph computes; 1 when it is symbolic. */
  readonly batch: number
  /** `'broken'` after a fault that has been reported; undefined when nothing is known of the name. */
  find(name: string): Known | 'broken' | undefined
  /** Whether the name is an output of the graph that no node reads. */
  endsAt(name: string): boolean
}

/** @returns what the node computes, or undefined after its faults have been reported */
export type OnnxRead = (node: OnnxNodeReader) => Known | undefined

export function made(value: Value | undefined): Known | undefined {
  return value && { value }
}

export class OnnxNodeReader {
  failed = false

  constructor(
    readonly node: OnnxNode,
    /** Path in the file. */
    readonly where: string,
    readonly draft: ArchDraft,
    readonly scope: OnnxScope,
  ) {}

  /** Id of the layer that this node becomes. */
  get name(): string {
    return this.node.name || this.node.outputs[0] || this.node.op
  }

  fault(text: string): undefined {
    this.failed = true
    this.draft.problems.push(`${this.where}: ${text}`)
    return undefined
  }

  has(index: number): boolean {
    return (this.node.inputs[index] ?? '') !== ''
  }

  /** What input `index` is; undefined when it is left out or a fault before it has been reported. */
  known(index: number): Known | undefined {
    const name = this.node.inputs[index] ?? ''
    if (name === '') return undefined
    const known = this.scope.find(name)
    if (known === 'broken') {
      this.failed = true
      return undefined
    }
    return known ?? this.fault(`input ${quote(name)}: found no tensor and no node output of that name`)
  }

  /** A required input that is computed. */
  value(index = 0): Value | undefined {
    if (!this.has(index)) return this.fault(`expected an input ${index}, got none`)
    const known = this.known(index)
    if (known && 'constant' in known) {
      return this.fault(`input ${quote(this.node.inputs[index])}: expected a computed value, got a constant`)
    }
    return known?.value
  }

  /** A constant input; undefined when it is left out. */
  constant(index: number): OnnxConstant | undefined {
    const known = this.known(index)
    if (known && 'value' in known) {
      return this.fault(`input ${quote(this.node.inputs[index])}: expected a constant tensor, got a computed value`)
    }
    return known?.constant
  }

  /** A constant float input, as a tensor of PyTorch's layout if it has that already. */
  floats(index: number, required = true): DraftTensor | undefined {
    if (!this.has(index)) return required ? this.fault(`expected a tensor as input ${index}, got none`) : undefined
    const constant = this.constant(index)
    if (!constant) return undefined
    const from = quote(constant.name || this.node.inputs[index])
    if (!constant.floats) return this.fault(`tensor ${from}: expected floats, got integers`)
    return { shape: constant.shape, data: constant.floats, from }
  }

  /** Integers of attribute `name`, or else of input `index`; undefined when there are neither. */
  integerList(name: string, index?: number): readonly number[] | undefined {
    const attribute = this.node.attributes.get(name)
    if (attribute) return attribute.ints
    const constant = index === undefined ? undefined : this.constant(index)
    if (!constant) return undefined
    return constant.integers ?? this.fault(`${name}: expected integers, got floats ${formatShape(constant.shape)}`)
  }

  /** A number of attribute `name`, or else of input `index`. */
  number(name: string, index: number | undefined, fallback: number): number {
    const attribute = this.node.attributes.get(name)
    if (attribute) return attribute.float ?? fallback
    const constant = index === undefined ? undefined : this.constant(index)
    if (!constant) return fallback
    const elements = constant.floats ?? constant.integers ?? []
    if (elements.length === 1) return elements[0]
    this.fault(`${name}: expected one number, got ${formatShape(constant.shape)}`)
    return fallback
  }

  integer(name: string, fallback: number): number {
    return this.node.attributes.get(name)?.int ?? fallback
  }

  text(name: string, fallback: string): string {
    return this.node.attributes.get(name)?.text ?? fallback
  }

  /** Two sizes [vertical, horizontal]. */
  pair(name: string, fallback: Pair): Pair {
    const list = this.node.attributes.get(name)?.ints
    if (!list) return fallback
    if (list.length === 2 && list.every((x) => Number.isSafeInteger(x) && x >= 1 && x < 2 ** 31)) {
      return [list[0], list[1]]
    }
    this.fault(`${name}: expected two integers >= 1, got ${quote(list)}`)
    return fallback
  }

  /** One number per channel of a value, from a constant that broadcasts along every other axis. */
  perChannel(index: number, shape: Shape, change: (x: number) => number = (x) => x): DraftTensor | undefined {
    const constant = this.floats(index)
    if (!constant) return undefined
    const rank = shape.length + 1
    const aligned = [...Array<number>(Math.max(rank - constant.shape.length, 0)).fill(1), ...constant.shape]
    const fits =
      aligned.length === rank && aligned.every((size, axis) => size === 1 || (axis === 1 && size === shape[0]))
    if (!fits) {
      const expected = `one number, or one per channel of ${formatShape([this.scope.batch, ...shape])}`
      return this.fault(`tensor ${constant.from}: expected ${expected}, got ${formatShape(constant.shape)}`)
    }
    const data = this.draft.floats(shape[0])
    for (let c = 0; c < data.length; c++) data[c] = change(constant.data[constant.data.length === 1 ? 0 : c])
    return { shape: [shape[0]], data, from: constant.from }
  }
}
