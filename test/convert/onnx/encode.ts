// Writes ONNX files for the tests, straight from onnx.proto's field numbers.
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire'

export type Attribute =
  | number
  | string
  | readonly number[]
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | { readonly tensor: TensorOf }
  /** An AttributeType alone, as writers of proto3 leave it of a zero. */
  | { readonly type: number }

export interface NodeOf {
  readonly op: string
  readonly in: readonly string[]
  readonly out: string
  /** Outputs behind the first. */
  readonly more?: readonly string[]
  readonly name?: string
  readonly domain?: string
  readonly attributes?: Readonly<Record<string, Attribute>>
}

export interface TensorOf {
  readonly dims: readonly number[]
  readonly data: readonly number[]
  /** How the elements are stored; raw float32 by default. */
  /** external_data's entries. */
  readonly external?: Readonly<Record<string, string>>
  readonly as?: 'raw' | 'float_data' | 'int64' | 'int64_data' | 'float16' | 'double_data' | 'external' | 'uint8'
}

/** Where the elements of a tensor stored as 'external' are, by default. */
const BESIDE = { location: 'weights.bin' }

export interface GraphOf {
  readonly inputs: Readonly<Record<string, readonly (number | string)[]>>
  readonly outputs: readonly string[]
  readonly nodes: readonly NodeOf[]
  readonly tensors?: Readonly<Record<string, TensorOf>>
  readonly opset?: number
}

/** A ModelProto. */
export function encodeOnnx({ inputs, outputs, nodes, tensors = {}, opset = 17 }: GraphOf): Uint8Array {
  const graph = new BinaryWriter()
  for (const node of nodes) message(graph, 1, encodeNode(node))
  text(graph, 2, 'test graph')
  for (const [name, tensor] of Object.entries(tensors)) message(graph, 5, encodeTensor(name, tensor))
  for (const [name, dims] of Object.entries(inputs)) message(graph, 11, encodeValueInfo(name, dims))
  for (const name of outputs) message(graph, 12, encodeValueInfo(name, undefined))
  const set = new BinaryWriter()
  text(set, 1, '')
  varint(set, 2, opset)
  const model = new BinaryWriter()
  varint(model, 1, 8)
  text(model, 2, 'a producer that is skipped')
  message(model, 7, graph.finish())
  message(model, 8, set.finish())
  return model.finish()
}

function encodeNode({ op, in: inputs, out, more = [], name = '', domain, attributes = {} }: NodeOf): Uint8Array {
  const writer = new BinaryWriter()
  for (const input of inputs) text(writer, 1, input)
  for (const output of [out, ...more]) text(writer, 2, output)
  text(writer, 3, name)
  text(writer, 4, op)
  for (const [key, attribute] of Object.entries(attributes)) message(writer, 5, encodeAttribute(key, attribute))
  if (domain) text(writer, 7, domain)
  return writer.finish()
}

function encodeAttribute(name: string, value: Attribute): Uint8Array {
  const writer = new BinaryWriter()
  text(writer, 1, name)
  if (typeof value === 'number') varint(writer, 3, value)
  else if (typeof value === 'string') text(writer, 4, value)
  else if (!('length' in value)) {
    if ('float' in value) writer.tag(2, WireType.Bit32).float(value.float)
    else if ('type' in value) varint(writer, 20, value.type)
    else if ('floats' in value) for (const x of value.floats) writer.tag(7, WireType.Bit32).float(x)
    else message(writer, 5, encodeTensor('', value.tensor))
  } else if (name === 'scales') for (const x of value) writer.tag(7, WireType.Bit32).float(x)
  else for (const x of value) varint(writer, 8, x) // unpacked, as proto2 writes it
  return writer.finish()
}

function encodeTensor(name: string, { dims, data, as = 'raw', external = BESIDE }: TensorOf): Uint8Array {
  const types = { raw: 1, float_data: 1, external: 1, int64: 7, int64_data: 7, float16: 10, double_data: 11, uint8: 2 }
  const writer = new BinaryWriter()
  for (const size of dims) varint(writer, 1, size)
  varint(writer, 2, types[as])
  text(writer, 8, name)
  if (as === 'raw') message(writer, 9, new Uint8Array(Float32Array.from(data).buffer))
  else if (as === 'uint8') message(writer, 9, Uint8Array.from(data))
  else if (as === 'int64') message(writer, 9, new Uint8Array(BigInt64Array.from(data.map(BigInt)).buffer))
  else if (as === 'external') {
    for (const [key, value] of Object.entries(external)) {
      const entry = new BinaryWriter()
      text(entry, 1, key)
      text(entry, 2, value)
      message(writer, 13, entry.finish())
    }
    varint(writer, 14, 1)
  } else {
    const packed = new BinaryWriter()
    for (const x of data) {
      if (as === 'float_data') packed.float(x)
      else if (as === 'double_data') packed.double(x)
      else if (as === 'float16') packed.int32(halfBits(x))
      else packed.int64(x)
    }
    message(writer, { float_data: 4, float16: 5, int64_data: 7, double_data: 10 }[as], packed.finish())
  }
  return writer.finish()
}

/** Bits of a binary16, exact for the small multiples of 1/8 that tests use. */
export function halfBits(x: number): number {
  if (x === 0) return 0
  const exponent = Math.floor(Math.log2(Math.abs(x)))
  return (x < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | ((Math.abs(x) / 2 ** exponent - 1) * 1024)
}

function encodeValueInfo(name: string, dims: readonly (number | string)[] | undefined): Uint8Array {
  const writer = new BinaryWriter()
  text(writer, 1, name)
  if (!dims) return writer.finish()
  const shape = new BinaryWriter()
  for (const size of dims) {
    const dim = new BinaryWriter()
    if (typeof size === 'number') varint(dim, 1, size)
    else text(dim, 2, size)
    message(shape, 1, dim.finish())
  }
  const tensor = new BinaryWriter()
  varint(tensor, 1, 1)
  message(tensor, 2, shape.finish())
  message(writer, 2, message(new BinaryWriter(), 1, tensor.finish()).finish())
  return writer.finish()
}

function message(writer: BinaryWriter, field: number, bytes: Uint8Array): BinaryWriter {
  return writer.tag(field, WireType.LengthDelimited).bytes(bytes)
}

function text(writer: BinaryWriter, field: number, value: string): void {
  writer.tag(field, WireType.LengthDelimited).string(value)
}

function varint(writer: BinaryWriter, field: number, value: number): void {
  writer.tag(field, WireType.Varint).int64(value)
}
