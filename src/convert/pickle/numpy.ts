// The names under which NumPy pickles arrays and scalars, with what they become: stored tensors and numbers.
// NumPy: numpy/_core/src/multiarray/methods.c (array_reduce, array_reduce_ex), descriptor.c (arraydescr_reduce).
import { elementCount, formatShape } from '../../model/shape.js'
import type { Budget } from '../weights/budget.js'
import {
  columnMajorStrides,
  ELEMENT_BYTES,
  type ElementType,
  elementNumbers,
  gather,
  isShape,
  type StoredTensor,
  storedTensor,
  swapBytes,
} from '../weights/stored-tensor.js'
import { describeValue, Global, type Pickled, PickleObject } from './values.js'

/** NumPy's type codes: kind and bytes per element. */
const CODES: Readonly<Record<string, ElementType>> = {
  b1: 'BOOL',
  i1: 'I8',
  i2: 'I16',
  i4: 'I32',
  i8: 'I64',
  u1: 'U8',
  u2: 'U16',
  u4: 'U32',
  u8: 'U64',
  f2: 'F16',
  f4: 'F32',
  f8: 'F64',
}

export interface NumpyType {
  readonly dtype: ElementType
  readonly bigEndian: boolean
}

/**
 * `<f4`, `|u1`, `>i8`, `f4`: byte order (none is the writer's, taken for little endian) and type code.
 * @throws RingfenceError BAD_FILE for any other type
 */
export function readNumpyType(text: Pickled, budget: Budget): NumpyType {
  const [, order, code] = (typeof text === 'string' && /^([<>=|]?)([a-z]\d+)$/.exec(text)) || []
  if (code !== undefined && Object.hasOwn(CODES, code)) return { dtype: CODES[code], bigEndian: order === '>' }
  const known = Object.keys(CODES).join(', ')
  return budget.fail(`expected an array of one of the types ${known}, got ${describeValue(text)}`)
}

/**
 * Elements of a NumPy array as a stored tensor.
 * @throws RingfenceError BAD_FILE when the bytes are not as many as the shape says
 */
export function numpyTensor(
  { dtype, bigEndian }: NumpyType,
  shape: Pickled,
  columnMajor: boolean,
  bytes: Uint8Array,
  budget: Budget,
): StoredTensor {
  if (!isShape(shape)) budget.fail(`expected the shape of an array, got ${describeValue(shape)}`)
  const width = ELEMENT_BYTES[dtype]
  const expected = elementCount(shape) * width
  if (bytes.length !== expected) {
    budget.fail(`expected ${expected} bytes for an array ${dtype} ${formatShape(shape)}, got ${bytes.length}`)
  }
  const little = bigEndian && width > 1 ? swapBytes(bytes, width, budget) : bytes
  if (!columnMajor) return storedTensor(dtype, shape, little, budget)
  const strides = columnMajorStrides(shape)
  return storedTensor(dtype, shape, gather(little, width, { shape, strides, offset: 0 }, budget), budget)
}

/** `numpy.dtype('i8')`, whose byte order comes as state. */
class NumpyDtype extends PickleObject {
  constructor(public type: NumpyType) {
    super()
  }

  override build(state: Pickled, budget: Budget): void {
    if (!Array.isArray(state) || typeof state[1] !== 'string' || !/^[<>=|]$/.test(state[1])) {
      budget.fail('expected the byte order of a numpy.dtype')
    }
    this.type = { dtype: this.type.dtype, bigEndian: state[1] === '>' }
  }
}

/** `numpy.ndarray`; its tensor is there once its state has been set. */
export class NumpyArray extends PickleObject {
  tensor: StoredTensor | undefined

  /** State: version, shape, dtype, whether in Fortran order, elements. */
  override build(state: Pickled, budget: Budget): void {
    if (!Array.isArray(state) || state.length !== 5) budget.fail('expected the five parts of a numpy.ndarray')
    const [, shape, dtype, columnMajor, elements] = state
    if (!(dtype instanceof NumpyDtype)) budget.fail('expected the numpy.dtype of an array')
    this.tensor = numpyTensor(dtype.type, shape, columnMajor === true, asBytes(elements, budget), budget)
  }
}

/** Bytes, or the text that Python 2 (and protocol 2) has in their place, one byte a character. */
function asBytes(value: Pickled, budget: Budget): Uint8Array {
  if (value instanceof Uint8Array) return value
  if (typeof value !== 'string') budget.fail('expected the elements of an array as bytes')
  budget.spend(value.length, 'the arrays of the pickle')
  const bytes = new Uint8Array(value.length)
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i)
    if (code > 255) budget.fail('expected bytes, got text with characters beyond Latin-1')
    bytes[i] = code
  }
  return bytes
}

function fromBuffer([elements, dtype, shape, order]: readonly Pickled[], budget: Budget): NumpyArray {
  if (!(dtype instanceof NumpyDtype)) budget.fail('expected the numpy.dtype of an array')
  const array = new NumpyArray()
  array.tensor = numpyTensor(dtype.type, shape, order === 'F', asBytes(elements, budget), budget)
  return array
}

function scalar([dtype, bytes]: readonly Pickled[], budget: Budget): number {
  if (!(dtype instanceof NumpyDtype)) budget.fail('expected the numpy.dtype of a number')
  return elementNumbers(numpyTensor(dtype.type, [], false, asBytes(bytes, budget), budget), budget)[0]
}

function encode([text, encoding]: readonly Pickled[], budget: Budget): Uint8Array {
  if (encoding !== 'latin1' && encoding !== 'latin-1') budget.fail('expected bytes written as Latin-1 text')
  return asBytes(text, budget)
}

function noBytes(args: readonly Pickled[], budget: Budget): Uint8Array {
  if (args.length > 0) budget.fail('expected bytes() without arguments')
  return new Uint8Array(0)
}

const reconstruct = () => new NumpyArray()
const makeDtype = ([code]: readonly Pickled[], budget: Budget) => new NumpyDtype(readNumpyType(code, budget))

/** NumPy 1 says `core` where NumPy 2 says `_core`. */
export const NUMPY_GLOBALS: readonly Global[] = [
  ...['numpy.core', 'numpy._core'].flatMap((core) => [
    new Global(`${core}.multiarray._reconstruct`, reconstruct),
    new Global(`${core}.multiarray.scalar`, scalar),
    new Global(`${core}.numeric._frombuffer`, fromBuffer),
  ]),
  new Global('numpy.ndarray'),
  new Global('numpy.dtype', makeDtype),
  new Global('_codecs.encode', encode),
  new Global('__builtin__.bytes', noBytes),
  new Global('builtins.bytes', noBytes),
]
