// What the reader of one node of a TensorFlow graph sees. Attributes are protobuf's JSON: integers may be texts, texts
// are base64.
import { isObject, type Json, quote } from '../../model/json/fields.js'
import type { Pair } from '../../model/layers/layers.js'
import { formatShape, type Shape } from '../../model/shape.js'
import type { ArchDraft, DraftTensor, Value } from '../arch-draft.js'
import { TfEmitter, type TfWindow } from './emit.js'
import { asFloats, type TfTensor } from './weights.js'

export interface GraphNode {
  readonly where: string
  readonly name: string
  readonly op: string
  /** Names of the nodes it reads; control inputs are left out. */
  readonly inputs: readonly string[]
  /** Which output of each it reads. */
  readonly ports: readonly number[]
  readonly attributes: Json
}

/** What a node computes: a value of the network, or elements known now. */
export type TfKnown = { readonly value: Value } | { readonly tensor: TfTensor }

/** @returns what the node computes, a list where it has several outputs, or undefined after its faults have been reported */
export type NodeRead = (node: NodeReader) => TfKnown | readonly (TfKnown | undefined)[] | undefined

export function madeOf(value: Value | undefined): TfKnown | undefined {
  return value && { value }
}

/** The nodes of a GraphDef. */
export function readGraphNodes(topology: unknown, report: (problem: string) => void): GraphNode[] {
  const list = isObject(topology) ? topology.node : undefined
  if (!Array.isArray(list)) {
    report(`modelTopology: node: expected a list of nodes, got ${quote(list)}`)
    return []
  }
  return list.flatMap((entry, i) => {
    const node = readNode(entry, `modelTopology: node[${i}]`)
    if (typeof node !== 'string') return [node]
    report(node)
    return []
  })
}

function readNode(entry: unknown, path: string): GraphNode | string {
  if (!isObject(entry) || typeof entry.name !== 'string' || typeof entry.op !== 'string') {
    return `${path}: expected a node with a name and an op, got ${quote(entry)}`
  }
  const { name, op, input = [], attr = {} } = entry
  const where = `${path} ${quote(name)} (${op})`
  if (!Array.isArray(input) || !input.every((source) => typeof source === 'string')) {
    return `${where}: input: expected a list of names, got ${quote(input)}`
  }
  const data: string[] = input.filter((source: string) => !source.startsWith('^'))
  if (!isObject(attr)) return `${where}: attr: expected an object, got ${quote(attr)}`
  return { where, name, op, inputs: data.map(nodeName), ports: data.map(portOf), attributes: attr }
}

/** The node of an output `name:0`. */
export function nodeName(output: string): string {
  return output.replace(/:\d{1,6}$/, '')
}

/** Which output of its node `name:1` is. */
export function portOf(output: string): number {
  return Number(/:(\d{1,6})$/.exec(output)?.[1] ?? 0)
}

/** Names of attributes that change nothing at inference, by op; of fused convolutions what their other kinds need. */
const NEUTRAL: readonly (readonly [ops: RegExp, names: ReadonlySet<string>])[] = [
  [/^(AddN|ConcatV2|Pack)$/, new Set(['N'])],
  [/Conv2D/i, new Set(['use_cudnn_on_gpu'])],
  [/^_?Fused/, new Set(['num_args', 'num_host_args', 'leakyrelu_alpha', 'epsilon', 'exponential_avg_factor'])],
  [/^MatMul$/, new Set(['grad_a', 'grad_b'])],
]

/** Whether an attribute that no reader asked for is a type, an annotation or at its default: none, zero, NHWC, HWIO. */
function isNeutral(op: string, name: string, value: unknown): boolean {
  if (name.startsWith('_') || !isObject(value)) return true
  if (NEUTRAL.some(([ops, names]) => ops.test(op) && names.has(name))) return true
  const [[kind, given]] = [...Object.entries(value), ['type', undefined]]
  if (kind === 'type' || kind === 'shape' || kind === 'tensor') return true
  if (kind === 'list') return !isObject(given) || isEmptyList(given)
  if (kind === 's') return ['', 'NHWC', 'HWIO', undefined].includes(decodeText(given))
  return Number(given) === 0
}

const isEmptyList = (list: Json): boolean =>
  Object.entries(list).every(
    ([kind, items]) => kind === 'type' || kind === 'shape' || !Array.isArray(items) || items.length === 0,
  )

const KINDS = {
  ...{ b: 'a flag', f: 'a float', i: 'an integer', s: 'a text', list: 'a list', type: 'a type', shape: 'a shape' },
} as const

export class NodeReader extends TfEmitter {
  failed = false
  readonly #used = new Set<string>()

  constructor(
    draft: ArchDraft,
    readonly node: GraphNode,
    /** What each input is; undefined after a fault that has been reported. */
    readonly inputs: readonly (TfKnown | undefined)[],
    /** Size of the batch dimension, for shapes that the graph computes; 1 when it is open. */
    readonly batch: number,
  ) {
    super(draft, node.where, node.name)
  }

  /** Reports every attribute that was neither used nor at its default. */
  checkAttributes(): void {
    for (const [name, value] of Object.entries(this.node.attributes)) {
      if (!this.#used.has(name) && !isNeutral(this.node.op, name, value)) {
        this.fault(`${name}: an attribute that is not known here, got ${quote(value)}`)
      }
    }
  }

  override fault(text: string): undefined {
    this.failed = true
    return super.fault(text)
  }

  #known(index: number, expected: string): TfKnown | undefined {
    if (index >= this.inputs.length) return this.fault(`expected ${expected} ${index}, got none`)
    if (this.inputs[index] === undefined) this.failed = true
    return this.inputs[index]
  }

  value(index = 0): Value | undefined {
    const known = this.#known(index, 'an input')
    if (known && 'value' in known) return known.value
    return known && this.fault(`input ${quote(this.node.inputs[index])}: expected a computed value, got a constant`)
  }

  tensor(index: number): TfTensor | undefined {
    const known = this.#known(index, 'a constant as input')
    if (known && 'tensor' in known) return known.tensor
    return known && this.fault(`input ${quote(this.node.inputs[index])}: expected a constant, got a computed value`)
  }

  floats(index: number): DraftTensor | undefined {
    const tensor = this.tensor(index)
    return tensor && asFloats(tensor, this.where, this.draft)
  }

  integers(index: number): readonly number[] | undefined {
    const tensor = this.tensor(index)
    if (!tensor || tensor.integers) return tensor?.integers
    return this.fault(`tensor ${tensor.from}: expected integers, got floats`)
  }

  /** A single number. */
  scalar(index: number): number | undefined {
    const tensor = this.tensor(index)
    const list = tensor?.floats ?? tensor?.integers
    if (list?.length === 1) return list[0]
    return tensor && this.fault(`tensor ${tensor.from}: expected one number, got ${formatShape(tensor.shape)}`)
  }

  /** One number per channel of a value, from a constant that broadcasts along every other axis. */
  perChannel(index: number, x: Value, change: (v: number) => number = (v) => v): DraftTensor | undefined {
    const given = this.floats(index)
    if (!given) return undefined
    const [channels] = x.shape
    const { shape, data, from } = given
    const fits = shape.length <= x.shape.length + 1 && shape.slice(0, -1).every((size) => size === 1)
    if (!fits || (data.length !== 1 && data.length !== channels)) {
      return this.fault(
        `tensor ${from}: expected one number, or one per channel of ${channels}, got ${formatShape(shape)}`,
      )
    }
    const out = this.draft.floats(channels)
    for (let c = 0; c < channels; c++) out[c] = change(data[data.length === 1 ? 0 : c])
    return { shape: [channels], data: out, from }
  }

  /** An attribute of one kind, by AttrValue's names. */
  #attribute(name: string, kind: keyof typeof KINDS): unknown {
    this.#used.add(name)
    const value = Object.hasOwn(this.node.attributes, name) ? this.node.attributes[name] : undefined
    if (!isObject(value)) return undefined
    if (value[kind] === undefined && Object.keys(value).length > 0)
      this.fault(`${name}: expected ${KINDS[kind]}, got ${quote(value)}`)
    return value[kind]
  }

  flag(name: string): boolean {
    return this.#attribute(name, 'b') === true
  }

  number(name: string, fallback: number): number {
    const value = this.#attribute(name, 'f') ?? fallback
    if (Number.isFinite(value)) return value as number
    this.fault(`${name}: expected a number, got ${quote(value)}`)
    return fallback
  }

  integer(name: string): number {
    return Number(this.#attribute(name, 'i') ?? 0)
  }

  integerList(name: string): number[] {
    const list = this.#attribute(name, 'list')
    return isObject(list) && Array.isArray(list.i) ? list.i.map(Number) : []
  }

  /** A data type by its name in TensorFlow, such as DT_FLOAT; numbers are those of its enumeration. */
  type(name: string): string {
    const type = this.#attribute(name, 'type')
    return type === 1 ? 'DT_FLOAT' : String(type)
  }

  text(name: string, fallback: string): string {
    const given = this.#attribute(name, 's')
    const text = decodeText(given)
    if (given !== undefined && text === undefined) this.fault(`${name}: expected a short text, got ${quote(given)}`)
    return text ?? fallback
  }

  texts(name: string): string[] {
    const list = this.#attribute(name, 'list')
    return isObject(list) && Array.isArray(list.s) ? list.s.map((text) => decodeText(text) ?? '') : []
  }

  /** The height and width of a list of four, whose batch and channels must be 1. */
  spatial(name: string): Pair {
    const list = this.integerList(name)
    if (list.length === 0) return [1, 1]
    const fits = list.length === 4 && list.every((size) => Number.isSafeInteger(size) && size >= 1 && size < 2 ** 24)
    if (fits && list[0] === 1 && list[3] === 1) return [list[1], list[2]]
    this.fault(`${name}: expected [1,height,width,1], got ${quote(list)}`)
    return [1, 1]
  }

  window(): TfWindow | undefined {
    if (this.text('data_format', 'NHWC') !== 'NHWC') return this.fault('data_format: expected NHWC (channels last)')
    const stride = this.spatial('strides')
    const dilation = this.spatial('dilations')
    const padding = this.text('padding', 'VALID')
    if (padding === 'SAME' || padding === 'VALID') {
      return { stride, dilation, padding: padding === 'SAME' ? 'same' : 'valid' }
    }
    const edges = this.integerList('explicit_paddings')
    const fits = edges.length === 8 && edges.every((size) => size >= 0 && size < 2 ** 24)
    if (padding !== 'EXPLICIT' || !fits)
      return this.fault(`padding: expected SAME, VALID or EXPLICIT, got ${quote(padding)}`)
    return { stride, dilation, padding: [edges[2], edges[4], edges[3], edges[5]] }
  }

  /** Sizes with the batch, channels last; open ones are -1. */
  shapeAttribute(): readonly number[] | undefined {
    return readDims(this.#attribute('shape', 'shape'))
  }
}

/** A TensorShapeProto. */
export function readDims(shape: unknown): readonly number[] | undefined {
  if (!isObject(shape) || !Array.isArray(shape.dim)) return undefined
  return shape.dim.map((dim) => (isObject(dim) ? Number(dim.size ?? 0) : Number.NaN))
}

/** Base64, or a list of bytes. */
function decodeText(value: unknown): string | undefined {
  if (Array.isArray(value)) return value.length <= 64 ? String.fromCharCode(...value.map(Number)) : undefined
  if (typeof value !== 'string' || value.length > 64) return undefined
  try {
    return atob(value)
  } catch {
    return undefined
  }
}

/** The shape with its batch and channels last, as the graph sees it. */
export function channelsLast(batch: number, { shape }: Value): Shape {
  return shape.length === 3 ? [batch, shape[1], shape[2], shape[0]] : [batch, ...shape]
}
