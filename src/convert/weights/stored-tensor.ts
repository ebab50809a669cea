// Tensors as weight files store them: element types, strides and byte orders, made row-major and little endian.
import { FLOAT_BYTES, type FloatFormat, toFloat32 } from '../../model/half-floats.js'
import type { Tensor } from '../../model/safetensors.js'
import { elementCount, type Shape } from '../../model/shape.js'
import type { Budget } from './budget.js'

/** Bytes per element, under the names safetensors gives the types. */
export const ELEMENT_BYTES = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
} as const
export type ElementType = keyof typeof ELEMENT_BYTES

/** A tensor that also keeps its elements as stored; `bindWeights` and `writeSafetensors` see a plain `Tensor`. */
export interface StoredTensor extends Tensor {
  readonly dtype: ElementType
  /** Row-major elements of type `dtype`, little endian; may be a view of the file. */
  readonly bytes: Uint8Array
}
/** Tensors by name. */
export type TensorMap = Map<string, StoredTensor>

/** Where the elements of a tensor lie in a storage, counted in elements. */
export interface Layout {
  readonly shape: Shape
  readonly strides: readonly number[]
  readonly offset: number
}

const MOST_DIMENSIONS = 16

/** Whether a value from a file can be a shape: a list of at most 16 sizes whose product is exact. */
export function isShape(value: unknown): value is readonly number[] {
  if (!Array.isArray(value) || value.length > MOST_DIMENSIONS) return false
  return value.every((size) => Number.isSafeInteger(size) && size >= 0) && Number.isSafeInteger(elementCount(value))
}

/** A tensor over row-major little-endian elements. Floats are widened to float32, which `budget` pays for. */
export function storedTensor(dtype: ElementType, shape: Shape, stored: Uint8Array, budget: Budget): StoredTensor {
  // A plain Uint8Array, also where a subclass came in whose slice() shares memory instead of copying it.
  const bytes = new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength)
  if (!Object.hasOwn(FLOAT_BYTES, dtype)) return { shape, dtype, bytes, data: undefined }
  budget.spend(4 * elementCount(shape), `a tensor of ${elementCount(shape)} elements`)
  return { shape, dtype, bytes, data: toFloat32(dtype as FloatFormat, bytes) }
}

/** Every element as a number; integers beyond 2^53 are rounded. */
export function elementNumbers({ dtype, shape, bytes, data }: StoredTensor, budget: Budget): ArrayLike<number> {
  if (data) return data
  const count = elementCount(shape)
  budget.spend(8 * count, `a tensor of ${count} elements`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const out = new Float64Array(count)
  const read = INTEGERS[dtype]
  const width = ELEMENT_BYTES[dtype]
  if (read) for (let i = 0; i < count; i++) out[i] = read(view, i * width)
  return out
}

const INTEGERS: Readonly<Partial<Record<ElementType, (view: DataView, at: number) => number>>> = {
  BOOL: (view, at) => view.getUint8(at),
  U8: (view, at) => view.getUint8(at),
  I8: (view, at) => view.getInt8(at),
  U16: (view, at) => view.getUint16(at, true),
  I16: (view, at) => view.getInt16(at, true),
  U32: (view, at) => view.getUint32(at, true),
  I32: (view, at) => view.getInt32(at, true),
  U64: (view, at) => view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32,
  I64: (view, at) => view.getUint32(at, true) + view.getInt32(at + 4, true) * 2 ** 32,
}

/** Strides of a row-major (C order) tensor. */
export function rowMajorStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length)
  for (let i = shape.length - 1, step = 1; i >= 0; step *= shape[i--]) strides[i] = step
  return strides
}

/** Strides of a column-major (Fortran order) tensor. */
export function columnMajorStrides(shape: Shape): number[] {
  return rowMajorStrides([...shape].reverse()).reverse()
}

/** Number of elements a storage must have for the layout to lie within it. */
export function extent({ shape, strides, offset }: Layout): number {
  if (elementCount(shape) === 0) return 0
  return shape.reduce((last, size, i) => last + (size - 1) * strides[i], offset) + 1
}

/**
 * The elements of a layout in row-major order: a view of `storage` when they already lie so, a copy otherwise.
 * `extent(layout)` must have been checked against the storage.
 */
export function gather(storage: Uint8Array, width: number, layout: Layout, budget: Budget): Uint8Array {
  const { shape, strides, offset } = layout
  const count = elementCount(shape)
  const plain = rowMajorStrides(shape)
  if (count === 0) return storage.subarray(0, 0)
  if (shape.every((size, i) => size === 1 || strides[i] === plain[i])) {
    return storage.subarray(offset * width, (offset + count) * width)
  }
  budget.spend(count * width, `a tensor of ${count} elements`)
  const out = new Uint8Array(count * width)
  const index = new Array<number>(shape.length).fill(0)
  let from = offset * width
  for (let to = 0; to < out.length; to += width) {
    for (let b = 0; b < width; b++) out[to + b] = storage[from + b]
    // Step the odometer: the last dimension runs fastest.
    for (let d = shape.length - 1; d >= 0; d--) {
      from += strides[d] * width
      if (++index[d] < shape[d]) break
      from -= strides[d] * width * shape[d]
      index[d] = 0
    }
  }
  return out
}

/** A copy with the bytes of every element reversed. */
export function swapBytes(bytes: Uint8Array, width: number, budget: Budget): Uint8Array {
  budget.spend(bytes.length, `a big-endian tensor of ${bytes.length} bytes`)
  const out = new Uint8Array(bytes.length)
  for (let at = 0; at < bytes.length; at += width) {
    for (let b = 0; b < width; b++) out[at + b] = bytes[at + width - 1 - b]
  }
  return out
}
