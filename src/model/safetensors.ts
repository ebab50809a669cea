// The safetensors format: eight bytes of header length, a JSON header, one block of tensor bytes. Every offset is
// checked before it is used: tensors must lie within the file, not overlap and leave no gap.
import { RingfenceError } from '../errors.js'
import { FLOAT_BYTES, type FloatFormat, toFloat32 } from './half-floats.js'
import { isObject, type Json, quote } from './json/fields.js'
import { summary } from './json/file.js'
import { elementCount, formatShape, type Shape } from './shape.js'

/** Float32 values in row-major order. */
export interface Tensor {
  readonly shape: Shape
  /** Element type in the file. */
  readonly dtype: string
  /** Row-major float32 elements; undefined when the file's type is not a float. */
  readonly data: Float32Array | undefined
}

/** A header longer than this is taken for damage. */
const LONGEST_HEADER = 2 ** 24
const BYTES: Readonly<Record<string, number>> = {
  ...FLOAT_BYTES,
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  U16: 2,
  I16: 2,
  U32: 4,
  I32: 4,
  U64: 8,
  I64: 8,
}

interface Entry {
  readonly name: string
  readonly dtype: string
  readonly shape: Shape
  readonly start: number
  readonly end: number
}

/**
 * Tensors of a safetensors file by name. F32 tensors are views of `file` where alignment allows, so leave it unchanged.
 * @throws RingfenceError BAD_FILE with every problem of the file
 */
export function readSafetensors(file: Uint8Array, source = 'weights.safetensors'): Map<string, Tensor> {
  const { header, dataStart } = readHeader(file, source)
  const problems: string[] = []
  const entries: Entry[] = []
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') continue
    const entry = readEntry(name, value, problems)
    if (entry) entries.push(entry)
  }
  if (problems.length === 0) checkCover(entries, file.byteLength - dataStart, problems)
  if (problems.length > 0) throw new RingfenceError('BAD_FILE', summary(source, problems.length), problems)
  return new Map(entries.map((entry) => [entry.name, toTensor(entry, file, dataStart)]))
}

function readHeader(file: Uint8Array, source: string): { header: Json; dataStart: number } {
  const bad = (text: string, cause?: unknown) => new RingfenceError('BAD_FILE', `${source}: ${text}`, [], { cause })
  if (file.byteLength < 8) throw bad(`expected a safetensors file of at least 8 bytes, got ${file.byteLength}`)
  const view = new DataView(file.buffer, file.byteOffset, 8)
  const length = view.getUint32(0, true) + view.getUint32(4, true) * 2 ** 32
  const most = Math.min(LONGEST_HEADER, file.byteLength - 8)
  if (length > most) throw bad(`expected a header of at most ${most} bytes, got a length of ${length}`)
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(file.subarray(8, 8 + length)))
  } catch (cause) {
    throw bad('the header is not JSON; is this a safetensors file?', cause)
  }
  if (!isObject(header)) throw bad(`expected a header that is an object, got ${quote(header)}`)
  return { header, dataStart: 8 + length }
}

function readEntry(name: string, value: unknown, problems: string[]): Entry | undefined {
  const fault = (text: string) => {
    problems.push(`tensor ${quote(name)}: ${text}`)
    return undefined
  }
  if (!isObject(value)) return fault(`expected an object, got ${quote(value)}`)
  const { dtype, shape, data_offsets: offsets } = value
  if (typeof dtype !== 'string' || !Object.hasOwn(BYTES, dtype)) {
    return fault(`dtype: expected one of ${Object.keys(BYTES).join(', ')}, got ${quote(dtype)}`)
  }
  if (!isSizes(shape)) return fault(`shape: expected integers >= 0, got ${quote(shape)}`)
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0] > offsets[1]) {
    return fault(`data_offsets: expected [start, end], got ${quote(offsets)}`)
  }
  const expected = elementCount(shape) * BYTES[dtype]
  if (offsets[1] - offsets[0] !== expected) {
    return fault(`expected ${expected} bytes for ${dtype} ${formatShape(shape)}, got ${offsets[1] - offsets[0]}`)
  }
  return { name, dtype, shape, start: offsets[0], end: offsets[1] }
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.length <= 16 && value.every((x) => Number.isSafeInteger(x) && x >= 0)
}

/** The tensors must cover the data exactly: no overlap, no gap, nothing after the last one. */
function checkCover(entries: readonly Entry[], size: number, problems: string[]): void {
  let at = 0
  for (const { name, start, end } of [...entries].sort((a, b) => a.start - b.start || a.end - b.end)) {
    if (end > size)
      problems.push(`tensor ${quote(name)}: ends at byte ${end} of ${size} bytes of data; the file is cut short`)
    else if (start < at) problems.push(`tensor ${quote(name)}: starts at byte ${start}, inside the tensor before it`)
    else if (start > at) problems.push(`tensor ${quote(name)}: starts at byte ${start}, a gap of ${start - at} bytes`)
    at = Math.max(at, end)
  }
  if (at < size) problems.push(`expected ${at} bytes of data, got ${size}`)
}

function toTensor({ dtype, shape, start, end }: Entry, file: Uint8Array, dataStart: number): Tensor {
  const bytes = file.subarray(dataStart + start, dataStart + end)
  const data = Object.hasOwn(FLOAT_BYTES, dtype) ? toFloat32(dtype as FloatFormat, bytes) : undefined
  return { shape, dtype, data }
}

/** A safetensors file of F32 tensors, in the order given; tensor data starts at a multiple of eight bytes. */
export function writeSafetensors(
  tensors: ReadonlyMap<string, { readonly shape: Shape; readonly data: Float32Array }>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const header: [string, unknown][] = Object.keys(metadata).length > 0 ? [['__metadata__', metadata]] : []
  let size = 0
  for (const [name, { shape, data }] of tensors) {
    if (elementCount(shape) !== data.length) {
      const got = `${data.length} elements for shape ${formatShape(shape)}`
      throw new RingfenceError(
        'BAD_INPUT',
        `tensor ${quote(name)}: expected ${elementCount(shape)} elements, got ${got}`,
      )
    }
    header.push([name, { dtype: 'F32', shape, data_offsets: [size, (size += data.byteLength)] }])
  }
  const json = JSON.stringify(Object.fromEntries(header))
  const text = new TextEncoder().encode(json)
  const dataStart = 8 + Math.ceil(text.length / 8) * 8
  const file = new Uint8Array(dataStart + size).fill(0x20, 8, dataStart)
  new DataView(file.buffer).setUint32(0, dataStart - 8, true)
  file.set(text, 8)
  let at = dataStart
  for (const { data } of tensors.values()) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at)
    at += data.byteLength
  }
  return file
}
