// Elements of ONNX tensors, decoded when a node asks for them.
import { BinaryReader } from '@bufbuild/protobuf/wire'
import { RingfenceError } from '../../errors.js'
import { type FloatFormat, toFloat32 } from '../../model/half-floats.js'
import { quote } from '../../model/json/fields.js'
import { elementCount, formatShape, type Shape } from '../../model/shape.js'
import type { ExternalData, OnnxTensorProto } from './proto.js'

/** TensorProto.DataType. */
const TYPE_NAMES = [
  'undefined', 'float', 'uint8', 'int8', 'uint16', 'int16', 'int32', 'int64', 'string', 'bool', 'float16', 'double',
  'uint32', 'uint64', 'complex64', 'complex128', 'bfloat16',
] // biome-ignore format: as the enum counts
export const FLOAT_TYPES: ReadonlySet<number> = new Set([1, 10, 11, 16])
export const BOOL = 9

/** Bytes of an element in raw_data, how its floats read, and the typed field that may hold it instead. */
interface ElementType {
  readonly bytes: number
  readonly format?: FloatFormat
  readonly field: number
}
const ELEMENT_TYPES: Readonly<Record<number, ElementType>> = {
  1: { bytes: 4, format: 'F32', field: 4 },
  10: { bytes: 2, format: 'F16', field: 5 },
  11: { bytes: 8, format: 'F64', field: 10 },
  16: { bytes: 2, format: 'BF16', field: 5 },
  3: { bytes: 1, field: 5 },
  6: { bytes: 4, field: 5 },
  7: { bytes: 8, field: 7 },
  9: { bytes: 1, field: 5 },
}
/** Integer tensors are shapes, axes and pads; longer ones are not read. */
export const MOST_INTEGERS = 4096

type Report = (problem: string) => void

/** Shape with its batch, as ONNX has it. */
export interface OnnxConstant {
  readonly name: string
  readonly shape: Shape
  /** Row-major elements; undefined for a type that is not a float. */
  readonly floats?: Float32Array
  readonly integers?: readonly number[]
  /** Of integers: whether they are truth values, 0 or 1. */
  readonly isBool?: boolean
}

export type ElementKind = 'float' | 'integer' | 'bool'

export const kindOf = ({ floats, isBool }: OnnxConstant): ElementKind =>
  floats ? 'float' : isBool ? 'bool' : 'integer'

/**
 * @param where path of the tensor, for messages
 * @param claim is told the elements that are about to be made
 * @param files those beside the model, by the locations that it gives
 * @returns undefined after reporting every fault
 */
export function decodeTensor(
  tensor: OnnxTensorProto,
  where: string,
  claim: (elements: number) => void,
  report: Report,
  files: ReadonlyMap<string, Uint8Array> = new Map(),
): OnnxConstant | undefined {
  const fault = (text: string) => {
    report(`${where}: ${text}`)
    return undefined
  }
  const { dims, name, external } = tensor
  const type = ELEMENT_TYPES[tensor.type]
  if (!type) {
    const expected = 'expected float, float16, bfloat16, double, int32 or int64 elements'
    return fault(`${expected}, got ${TYPE_NAMES[tensor.type] ?? `type ${quote(tensor.type)}`}`)
  }
  if (dims.length > 8 || dims.some((size) => !Number.isSafeInteger(size) || size < 0)) {
    return fault(`expected at most 8 sizes >= 0, got ${quote(dims)}`)
  }
  const count = elementCount(dims)
  if (!type.format && count > MOST_INTEGERS) return fault(`expected at most ${MOST_INTEGERS} integers, got ${count}`)
  const bytes = external
    ? externalBytes(external, files, count * type.bytes)
    : readable(() => rawBytes(tensor, type, count, claim))
  if (typeof bytes === 'string') return fault(bytes)
  if (bytes.byteLength !== count * type.bytes) {
    return fault(`expected ${count * type.bytes} bytes for ${formatShape(dims)}, got ${bytes.byteLength}`)
  }
  if (!type.format) return { name, shape: dims, integers: integersOf(bytes, type.bytes), isBool: tensor.type === BOOL }
  claim(count)
  return { name, shape: dims, floats: toFloat32(type.format, bytes) }
}

/** A tensor's part of the file beside the model, or what is wrong. */
function externalBytes(
  { location, offset, length }: ExternalData,
  files: ReadonlyMap<string, Uint8Array>,
  size: number,
): Uint8Array | string {
  const file = files.get(location)
  if (!file) {
    const what = `its elements are in the file ${quote(location)} (external data), which is not beside the model`
    return `${what}; put it there, or export with external_data=False`
  }
  const end = offset + (length ?? size)
  if (end <= file.byteLength) return file.subarray(offset, end)
  return `its elements end at byte ${end} of ${quote(location)}, which has ${file.byteLength}`
}

/** What reading gives, or what the wire reader says of damaged varints. */
function readable(read: () => Uint8Array | string): Uint8Array | string {
  try {
    return read()
  } catch (cause) {
    if (cause instanceof RingfenceError) throw cause
    return `its elements are damaged: ${(cause as Error).message}`
  }
}

/** The elements as raw_data would hold them, or what is wrong. */
function rawBytes(
  { raw, typed }: OnnxTensorProto,
  { bytes, field, format }: ElementType,
  count: number,
  claim: (elements: number) => void,
): Uint8Array | string {
  if (raw) return raw
  const pieces = typed.get(field) ?? []
  const data = pieces.length === 1 ? pieces[0] : joined(pieces, claim)
  if (field === 4 || field === 10) return data
  if (count > data.byteLength) return `expected ${count} elements, got ${data.byteLength} bytes of them`
  return unpackVarints(data, count, format ? 2 : bytes, claim)
}

function joined(pieces: readonly Uint8Array[], claim: (elements: number) => void): Uint8Array {
  const size = pieces.reduce((sum, piece) => sum + piece.byteLength, 0)
  claim(Math.ceil(size / 4))
  const all = new Uint8Array(size)
  let at = 0
  for (const piece of pieces) {
    all.set(piece, at)
    at += piece.byteLength
  }
  return all
}

/** Varints to little-endian integers of `width` bytes; half floats stand in int32_data as their bits. */
function unpackVarints(
  data: Uint8Array,
  count: number,
  width: number,
  claim: (elements: number) => void,
): Uint8Array | string {
  claim(Math.ceil((count * width) / 4))
  const out = new DataView(new ArrayBuffer(count * width))
  const reader = new BinaryReader(data)
  let i = 0
  for (; reader.pos < reader.len; i++) {
    if (i >= count) return `expected ${count} elements, got more`
    if (width === 8) out.setBigInt64(8 * i, BigInt(reader.int64()), true)
    else if (width === 2) out.setUint16(2 * i, reader.uint32(), true)
    else if (width === 1) out.setInt8(i, reader.int32())
    else out.setInt32(4 * i, reader.int32(), true)
  }
  return i === count ? new Uint8Array(out.buffer) : `expected ${count} elements, got ${i}`
}

/** Integers beyond 2^53 lose their last digits, which no size or axis has. */
function integersOf(bytes: Uint8Array, width: number): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: bytes.byteLength / width }, (_, i) => {
    if (width === 1) return view.getInt8(i)
    return width === 4
      ? view.getInt32(4 * i, true)
      : view.getUint32(8 * i, true) + view.getInt32(8 * i + 4, true) * 2 ** 32
  })
}

/** The constant with its axes in another order. */
export function transposed<T extends Float32Array | number[]>(
  constant: OnnxConstant,
  order: readonly number[],
  out: T,
): { readonly name: string; readonly shape: Shape; readonly elements: T } {
  const shape = order.map((axis) => constant.shape[axis])
  const elements: ArrayLike<number> = constant.floats ?? constant.integers!
  const strides = constant.shape.map((_, axis) => elementCount(constant.shape.slice(axis + 1)))
  const steps = order.map((axis) => strides[axis])
  const at = shape.map(() => 0)
  for (let i = 0, from = 0; i < out.length; i++) {
    out[i] = elements[from]
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += steps[axis]
      if (++at[axis] < shape[axis]) break
      from -= steps[axis] * shape[axis]
      at[axis] = 0
    }
  }
  return { name: constant.name, shape, elements: out }
}
