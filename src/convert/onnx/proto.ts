// The fields of an ONNX ModelProto that inference needs (onnx.proto, IR version 3 and later). Messages within messages
// are read in place from views of the file; graphs inside attributes are skipped, so nothing here recurses.
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import { RingfenceError } from '../../errors.js'
import { quote } from '../../model/json/fields.js'

export interface OnnxModel {
  readonly name: string
  /** Version of the default operator set. */
  readonly opset: number
  readonly nodes: readonly OnnxNode[]
  readonly initializers: readonly OnnxTensorProto[]
  readonly sparseInitializers: number
  readonly inputs: readonly OnnxValueInfo[]
  readonly outputs: readonly OnnxValueInfo[]
}

export interface OnnxNode {
  readonly name: string
  readonly op: string
  readonly domain: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes: ReadonlyMap<string, OnnxAttribute>
}

export interface OnnxAttribute {
  readonly float?: number
  readonly int?: number
  readonly text?: string
  readonly tensor?: OnnxTensorProto
  readonly floats: readonly number[]
  readonly ints: readonly number[]
}

/** A tensor as it lies in the file; `decodeTensor` reads it. */
export interface OnnxTensorProto {
  readonly name: string
  readonly dims: readonly number[]
  /** TensorProto.DataType. */
  readonly type: number
  /** Undefined when the elements are in typed fields. */
  readonly raw: Uint8Array | undefined
  /** Wire bytes of float_data (4), int32_data (5), int64_data (7), double_data (10), in pieces. */
  readonly typed: ReadonlyMap<number, readonly Uint8Array[]>
  /** Where the elements are when they are in another file. */
  readonly external: ExternalData | undefined
}

/** A run of bytes of a file beside the model. */
export interface ExternalData {
  /** Path relative to the model. */
  readonly location: string
  readonly offset: number
  /** Undefined for as many bytes as the tensor takes. */
  readonly length: number | undefined
}

export interface OnnxValueInfo {
  readonly name: string
  /** TensorProto.DataType; 0 when not given. */
  readonly type: number
  /** Undefined when no shape is given; a text is the name of a symbolic dimension. */
  readonly dims: readonly (number | string)[] | undefined
}

/** More entries than this in one list are taken for damage: an entry costs far more memory than bytes. */
const MOST_ENTRIES = 2 ** 16

/** @throws RingfenceError BAD_FILE with the place in the file */
export function readOnnxModel(file: Uint8Array, source: string): OnnxModel {
  const place = ['model']
  try {
    return new ProtoReader(place).model(file)
  } catch (cause) {
    if (cause instanceof RingfenceError) throw cause
    const text = `${source}: expected an ONNX model, but ${place.join('.')} is damaged: ${(cause as Error).message}`
    throw new RingfenceError('BAD_FILE', text, [], { cause })
  }
}

type OnField = (reader: BinaryReader, wire: WireType) => void

class ProtoReader {
  constructor(readonly place: string[]) {}

  /** Calls the field's reader for every field listed, skips the others. */
  #message(bytes: Uint8Array, path: string, fields: Readonly<Record<number, OnField>>): void {
    this.place.push(path)
    const reader = new BinaryReader(bytes)
    while (reader.pos < reader.len) {
      const [field, wire] = reader.tag()
      const read = fields[field]
      if (read) read(reader, wire)
      else reader.skip(wire, field)
      if (reader.pos > reader.len) throw new RangeError('a field ends after its message')
    }
    this.place.pop()
  }

  model(file: Uint8Array): OnnxModel {
    let graph: OnnxModel | undefined
    let opset = 0
    this.#message(file, 'file', {
      7: (r, w) => (graph = this.#graph(bytesOf(r, w))),
      8: (r, w) => {
        const set = this.#opset(bytesOf(r, w))
        if (set.domain === '' || set.domain === 'ai.onnx') opset = set.version
      },
    })
    if (!graph) throw new RangeError('it holds no graph')
    return { ...graph, opset }
  }

  #opset(bytes: Uint8Array): { domain: string; version: number } {
    let domain = ''
    let version = 0
    this.#message(bytes, 'opset_import', {
      1: (r, w) => (domain = textOf(r, w)),
      2: (r, w) => (version = integerOf(r, w)),
    })
    return { domain, version }
  }

  #graph(bytes: Uint8Array): OnnxModel {
    const nodes: OnnxNode[] = []
    const initializers: OnnxTensorProto[] = []
    const inputs: OnnxValueInfo[] = []
    const outputs: OnnxValueInfo[] = []
    let name = ''
    let sparseInitializers = 0
    this.#message(bytes, 'graph', {
      1: (r, w) => append(nodes, this.#node(bytesOf(r, w), nodes.length)),
      2: (r, w) => (name = textOf(r, w)),
      5: (r, w) => append(initializers, this.#tensor(bytesOf(r, w), `initializer[${initializers.length}]`)),
      11: (r, w) => append(inputs, this.#valueInfo(bytesOf(r, w), `input[${inputs.length}]`)),
      12: (r, w) => append(outputs, this.#valueInfo(bytesOf(r, w), `output[${outputs.length}]`)),
      15: (r, w) => {
        bytesOf(r, w)
        sparseInitializers++
      },
    })
    return { name, opset: 0, nodes, initializers, sparseInitializers, inputs, outputs }
  }

  #node(bytes: Uint8Array, index: number): OnnxNode {
    const inputs: string[] = []
    const outputs: string[] = []
    const attributes = new Map<string, OnnxAttribute>()
    let name = ''
    let op = ''
    let domain = ''
    this.#message(bytes, `node[${index}]`, {
      1: (r, w) => append(inputs, textOf(r, w)),
      2: (r, w) => append(outputs, textOf(r, w)),
      3: (r, w) => (name = textOf(r, w)),
      4: (r, w) => (op = textOf(r, w)),
      5: (r, w) => {
        const [key, attribute] = this.#attribute(bytesOf(r, w), attributes.size)
        attributes.set(key, attribute)
      },
      7: (r, w) => (domain = textOf(r, w)),
    })
    return { name, op, domain, inputs, outputs, attributes }
  }

  #attribute(bytes: Uint8Array, index: number): readonly [string, OnnxAttribute] {
    const floats: number[] = []
    const ints: number[] = []
    let name = ''
    let type = 0
    let single: Partial<OnnxAttribute> = {}
    this.#message(bytes, `attribute[${index}]`, {
      1: (r, w) => (name = textOf(r, w)),
      2: (r, w) => (single = { ...single, float: floatOf(r, w) }),
      3: (r, w) => (single = { ...single, int: integerOf(r, w) }),
      4: (r, w) => (single = { ...single, text: textOf(r, w) }),
      5: (r, w) => (single = { ...single, tensor: this.#tensor(bytesOf(r, w), 't') }),
      7: (r, w) => list(r, w, WireType.Bit32, floats, floatOf),
      8: (r, w) => list(r, w, WireType.Varint, ints, integerOf),
      20: (r, w) => (type = integerOf(r, w)),
    })
    return [name, { ...zeroOf(type), ...single, floats, ints }]
  }

  #tensor(bytes: Uint8Array, path: string): OnnxTensorProto {
    const dims: number[] = []
    const typed = new Map<number, Uint8Array[]>()
    let name = ''
    let type = 0
    let raw: Uint8Array | undefined
    const entries = new Map<string, string>()
    let isExternal = false
    const piece = (field: number) => (r: BinaryReader, w: WireType) => {
      const pieces = typed.get(field) ?? []
      append(pieces, w === WireType.LengthDelimited ? r.bytes() : r.skip(w, field))
      typed.set(field, pieces)
    }
    this.#message(bytes, path, {
      1: (r, w) => list(r, w, WireType.Varint, dims, integerOf),
      2: (r, w) => (type = integerOf(r, w)),
      4: piece(4),
      5: piece(5),
      7: piece(7),
      8: (r, w) => (name = textOf(r, w)),
      9: (r, w) => (raw = bytesOf(r, w)),
      10: piece(10),
      13: (r, w) => {
        const [key, value] = this.#entry(bytesOf(r, w))
        if (EXTERNAL_KEYS.has(key)) entries.set(key, value)
        isExternal = true
      },
      14: (r, w) => (isExternal = integerOf(r, w) === 1 || isExternal),
    })
    return { name, dims, type, raw, typed, external: isExternal ? externalData(entries) : undefined }
  }

  /** StringStringEntryProto. */
  #entry(bytes: Uint8Array): readonly [string, string] {
    let key = ''
    let value = ''
    this.#message(bytes, 'external_data', {
      1: (r, w) => (key = textOf(r, w)),
      2: (r, w) => (value = textOf(r, w)),
    })
    return [key, value]
  }

  #valueInfo(bytes: Uint8Array, path: string): OnnxValueInfo {
    let name = ''
    let type = 0
    let dims: (number | string)[] | undefined
    const shape = (bytes: Uint8Array) => {
      const list: (number | string)[] = []
      this.#message(bytes, 'shape', { 1: (r, w) => append(list, this.#dimension(bytesOf(r, w))) })
      dims = list
    }
    const tensorType = (bytes: Uint8Array) =>
      this.#message(bytes, 'tensor_type', {
        1: (r, w) => (type = integerOf(r, w)),
        2: (r, w) => shape(bytesOf(r, w)),
      })
    this.#message(bytes, path, {
      1: (r, w) => (name = textOf(r, w)),
      2: (r, w) => this.#message(bytesOf(r, w), 'type', { 1: (r, w) => tensorType(bytesOf(r, w)) }),
    })
    return { name, type, dims }
  }

  #dimension(bytes: Uint8Array): number | string {
    let size: number | string = '?'
    this.#message(bytes, 'dim', {
      1: (r, w) => (size = integerOf(r, w)),
      2: (r, w) => (size = textOf(r, w)),
    })
    return size
  }
}

/** Writers of proto3 leave out a number that is zero and a text that is empty: its AttributeType alone is there. */
function zeroOf(type: number): Partial<OnnxAttribute> {
  if (type === 1) return { float: 0 }
  if (type === 2) return { int: 0 }
  return type === 3 ? { text: '' } : {}
}

const EXTERNAL_KEYS: ReadonlySet<string> = new Set(['location', 'offset', 'length'])

function externalData(entries: ReadonlyMap<string, string>): ExternalData {
  const number = (key: string) => {
    const text = entries.get(key)
    if (text === undefined) return undefined
    if (!/^\d{1,15}$/.test(text))
      throw new RangeError(`external_data: expected ${key} to be a number, got ${quote(text)}`)
    return Number(text)
  }
  return { location: entries.get('location') ?? '', offset: number('offset') ?? 0, length: number('length') }
}

/** Locations of the files that hold tensors of the model; none when the file is damaged, which converting it tells. */
export function externalLocations(file: Uint8Array): readonly string[] {
  try {
    const { initializers, nodes } = readOnnxModel(file, 'model')
    const inNodes = nodes.flatMap(({ attributes }) => [...attributes.values()].flatMap(({ tensor }) => tensor ?? []))
    return [...new Set([...initializers, ...inNodes].flatMap(({ external }) => external?.location ?? []))]
  } catch {
    return []
  }
}

function append<T>(entries: T[], entry: T): void {
  if (entries.length >= MOST_ENTRIES) throw new RangeError(`more than ${MOST_ENTRIES} entries in a list`)
  entries.push(entry)
}

/** A repeated number, packed or not. */
function list(
  reader: BinaryReader,
  wire: WireType,
  single: WireType,
  entries: number[],
  read: (reader: BinaryReader, wire: WireType) => number,
): void {
  if (wire !== WireType.LengthDelimited) {
    append(entries, read(reader, wire))
    return
  }
  const packed = new BinaryReader(reader.bytes())
  while (packed.pos < packed.len) append(entries, read(packed, single))
}

function bytesOf(reader: BinaryReader, wire: WireType): Uint8Array {
  expectWire(wire, WireType.LengthDelimited)
  return reader.bytes()
}

function textOf(reader: BinaryReader, wire: WireType): string {
  expectWire(wire, WireType.LengthDelimited)
  return reader.string()
}

/** A varint; beyond 2^53 only its rough size is kept. */
function integerOf(reader: BinaryReader, wire: WireType): number {
  expectWire(wire, WireType.Varint)
  return Number(reader.int64())
}

function floatOf(reader: BinaryReader, wire: WireType): number {
  expectWire(wire, WireType.Bit32)
  return reader.float()
}

function expectWire(wire: WireType, expected: WireType): void {
  if (wire !== expected) throw new RangeError(`expected wire type ${expected}, got ${wire}`)
}

/** Path of a node in messages. */
export function nodePath(index: number, { name, op }: OnnxNode): string {
  return `graph.node[${index}]${name === '' ? '' : ` ${quote(name)}`} (${op || 'no op_type'})`
}
