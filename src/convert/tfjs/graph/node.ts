// What the reader of one node of a TensorFlow graph sees. Attributes are protobuf's JSON: integers may be texts, texts
// are base64.
import { isObject, type Json, quote } from '../../../model/json/fields.js'
import type { Pad, Pair } from '../../../model/layers/layers.js'
import { formatShape, type Shape } from '../../../model/shape.js'
import type { ArchDraft, DraftTensor, Value } from '../../arch-draft.js'
import { TfEmitter, type TfWindow } from '../emit.js'
import { asFloats, type TfTensor } from '../weights.js'

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

/** How a value stands for a tensor of the file, where it is not as elsewhere: the batch in front, a map's pixels in place. */
export interface TfForm {
  /** The tensor has no axis for the batch of one, which was squeezed away or joined with another: its axes are the value's. */
  readonly isUnbatched?: boolean
  /** The tensor has the map's pixels apart, as SpaceToBatchND puts them: every n-th row and column in a batch of its own. */
  readonly blocks?: Blocks
  /** Around the tensor's map there are rows and columns that no maximum ever is; the value is without them. */
  readonly lowest?: Pad
}

export interface Blocks {
  readonly size: Pair
  /** Of the value itself, as long as nothing but padding has been done to it. */
  readonly padded?: { readonly x: Value; readonly pad: Pad }
}

/** A value of the network, and how it stands for the file's. */
export interface TfComputed extends TfForm {
  readonly value: Value
}

/** What a node computes: a value of the network, or elements known now. */
export type TfKnown = TfComputed | { readonly tensor: TfTensor }

/** @returns what the node computes, a list where it has several outputs, or undefined after its faults have been reported */
export type NodeRead = (node: NodeReader) => TfKnown | readonly (TfKnown | undefined)[] | undefined

export function madeOf(value: Value | undefined): TfKnown | undefined {
  return value && { value }
}

/** Without what it says of the value itself. */
export const formOf = ({ isUnbatched, blocks, lowest }: TfForm): TfForm => ({
  ...(isUnbatched && { isUnbatched }),
  ...(blocks && { blocks: { size: blocks.size } }),
  ...(lowest && { lowest }),
})

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
  [/^(AddN|ConcatV2|Einsum|Pack)$/, new Set(['N'])],
  [/Conv2D/i, new Set(['use_cudnn_on_gpu'])],
  [/^_?Fused/, new Set(['num_args', 'num_host_args', 'leakyrelu_alpha', 'epsilon', 'exponential_avg_factor'])],
  [/^(Batch)?MatMul/, new Set(['grad_a', 'grad_b', 'grad_x', 'grad_y'])],
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
  /** Places of inputs that the node's reader has looked at. */
  readonly #read = new Set<number>()

  constructor(
    draft: ArchDraft,
    readonly node: GraphNode,
    /** What each input is; undefined after a fault that has been reported. */
    private readonly inputs: readonly (TfKnown | undefined)[],
    /** Size of the batch dimension, for shapes that the graph computes; 1 when it is open. */
    readonly batch: number,
  ) {
    super(draft, node.where, node.name)
  }

  /** Reports every attribute that was neither used nor at its default, and every input that was not used. */
  checkUsed(): void {
    for (const [index, name] of this.node.inputs.entries()) {
      if (!this.#read.has(index)) this.fault(`input ${index} ${quote(name)}: an input that is not known here`)
    }
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

  /** Reports something that the file says well and no network here can compute. */
  refuse(text: string): undefined {
    this.draft.code = 'UNSUPPORTED'
    return this.fault(text)
  }

  /** How many inputs there are. */
  get count(): number {
    return this.inputs.length
  }

  known(index = 0, expected = 'an input'): TfKnown | undefined {
    if (index >= this.inputs.length) return this.fault(`expected ${expected} ${index}, got none`)
    this.#read.add(index)
    if (this.inputs[index] === undefined) this.failed = true
    return this.inputs[index]
  }

  /** Whether an input is known now. */
  isConstant(index: number): boolean {
    const known = this.inputs[index]
    return known !== undefined && 'tensor' in known
  }

  /** The form that all values have which the node reads; undefined where they differ. */
  form(): TfForm | undefined {
    const [first = {}, ...others] = this.inputs.flatMap((known) => (known && 'value' in known ? [known as TfForm] : []))
    const text = ({ isUnbatched = false, blocks, lowest }: TfForm) =>
      JSON.stringify([isUnbatched, blocks?.size, lowest])
    return others.every((other) => text(other) === text(first)) ? formOf(first) : undefined
  }

  value(index = 0): Value | undefined {
    const known = this.known(index)
    if (known && 'value' in known) return known.value
    return known && this.fault(`input ${quote(this.node.inputs[index])}: expected a computed value, got a constant`)
  }

  tensor(index: number): TfTensor | undefined {
    const known = this.known(index, 'a constant as input')
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

  /** The sizes that the file gives a value, its batch in front. */
  dims(known: TfComputed): readonly number[] {
    const [, ...dims] = channelsLast(this.batch, known.value)
    return known.isUnbatched ? dims : [this.batch, ...dims]
  }

  /**
   * A value and a constant that broadcasts to it.
   * @param index of the constant
   * @param of of the value
   */
  withConstant(
    index: number,
    of: number,
    change: (v: number) => number,
    use: (x: Value, numbers: DraftTensor) => Value | undefined,
  ): Value | undefined {
    const x = this.value(of)
    const given = this.floats(index)
    if (!x || !given) return undefined
    const { shape, data, from } = given
    const sizes = this.dims({ value: x, ...this.form() })
    if (shape.length > sizes.length) {
      const expected = `expected at most ${sizes.length} axes as the value has`
      return this.refuse(`tensor ${from}: ${expected}, got ${formatShape(shape)}`)
    }
    const changed = this.draft.floats(data.length)
    for (let i = 0; i < data.length; i++) changed[i] = change(data[i])
    return this.combined(x, channelsLast(this.batch, x).slice(1), { shape, data: changed, from }, use)
  }

  /** A value whose elements lie as the file's tensor of these sizes, whose batch may be gone or joined with another axis. */
  arranged(x: Value, dims: readonly number[]): TfKnown | undefined {
    const isBatched = dims.length > 1 && dims[0] === this.batch
    if (!isBatched && this.batch !== 1)
      return this.refuse(`expected the batch of ${this.batch} as the first axis, got ${formatShape(dims)}`)
    const own = isBatched ? dims.slice(1) : dims
    const made = this.reshape(x, own.length > 0 ? own : [1])
    return made && { value: made, ...(isBatched ? {} : { isUnbatched: true }) }
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

  flag(name: string, fallback = false): boolean {
    return (this.#attribute(name, 'b') ?? fallback) === true
  }

  /** @param fallback none where a file has to say the number */
  number(name: string, fallback?: number): number {
    const value = this.#attribute(name, 'f') ?? fallback
    if (Number.isFinite(value)) return value as number
    this.fault(`${name}: expected a number, got ${quote(value ?? null)}`)
    return fallback ?? 0
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

  /** The blocks of its input, which SpaceToBatchND has taken apart. */
  blocks(): Blocks | undefined {
    const [known] = this.inputs
    return known && 'value' in known ? known.blocks : undefined
  }

  /** Whether channels come last, as they do on every back end of TF.js. */
  isChannelsLast(): boolean {
    const format = this.text('data_format', 'NHWC')
    if (format !== 'NHWC') this.refuse(`data_format: expected NHWC (channels last), got ${quote(format)}`)
    return format === 'NHWC'
  }

  window(): TfWindow | undefined {
    if (!this.isChannelsLast()) return undefined
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
