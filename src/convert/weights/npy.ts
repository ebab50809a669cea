// NumPy's own files: `.npy`, one array, and `.npz`, a zip of them. Format: numpy/lib/format.py, versions 1 to 3.
import { quote } from '../../model/json/fields.js'
import { numpyTensor, readNumpyType } from '../pickle/numpy.js'
import { Budget } from './budget.js'
import type { StoredTensor, TensorMap } from './stored-tensor.js'
import { readZip } from './zip.js'

/** How a file is named in messages. */
export interface NumpyOptions {
  /** The file's name, for messages. */
  readonly source?: string
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]
const LONGEST_HEADER = 2 ** 16

/** Whether the bytes start as a `.npy` file does. */
export function looksLikeNpy(file: Uint8Array): boolean {
  return MAGIC.every((byte, i) => file[i] === byte)
}

/**
 * The array of a `.npy` file, row-major and little endian whatever order the file has.
 * @throws RingfenceError BAD_FILE, also for arrays of Python objects and of records
 */
export function readNpy(file: Uint8Array, { source = 'array.npy' }: NumpyOptions = {}): StoredTensor {
  return readArray(file, new Budget(file.length, source))
}

/**
 * The arrays of a `.npz` file by name, `.npy` taken off.
 * @throws RingfenceError BAD_FILE listing every entry that is no array
 */
export function readNpz(file: Uint8Array, { source = 'arrays.npz' }: NumpyOptions = {}): TensorMap {
  const budget = new Budget(file.length, source)
  const zip = readZip(file, budget)
  const others = zip.names.filter((name) => !name.endsWith('.npy'))
  if (others.length > 0) {
    const problems = others.slice(0, 20).map((name) => `entry ${quote(name)}: expected a name that ends in .npy`)
    budget.fail('not every entry of the zip file is an array', problems)
  }
  const tensors: TensorMap = new Map()
  for (const name of zip.names)
    tensors.set(name.slice(0, -4), readArray(zip.read(name, { verify: true }), budget, name))
  return tensors
}

function readArray(file: Uint8Array, budget: Budget, entry?: string): StoredTensor {
  const where = entry === undefined ? '' : `entry ${quote(entry)}: `
  const fail = (text: string): never => budget.fail(`${where}${text}`)
  if (!looksLikeNpy(file)) fail('expected an array, which starts with the bytes \\x93NUMPY')
  const version = file[6]
  if (!(version >= 1 && version <= 3)) fail(`expected version 1, 2 or 3 of the npy format, got ${version}`)
  const start = version === 1 ? 10 : 12
  if (file.length < start) fail('the header is cut short')
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true)
  const most = Math.min(LONGEST_HEADER, file.length - start)
  if (length > most) fail(`expected a header of at most ${most} bytes, got a length of ${length}`)
  const header = readHeader(new TextDecoder().decode(file.subarray(start, start + length)))
  if (!header) fail("expected a header with 'descr', 'fortran_order' and 'shape' and a plain type")
  const { descr, columnMajor, shape } = header!
  return numpyTensor(readNumpyType(descr, budget), shape, columnMajor, file.subarray(start + length), budget)
}

interface Header {
  readonly descr: string
  readonly columnMajor: boolean
  readonly shape: readonly number[]
}

const FIELD = /\s*'(\w+)'\s*:\s*('[^']*'|True|False|\([\dL, ]*\))\s*(?:,|(?=\}))/y

/** The header is a Python dict; these three fields are all it may hold. */
function readHeader(text: string): Header | undefined {
  const fields = new Map<string, string>()
  if (text[0] !== '{') return undefined
  FIELD.lastIndex = 1
  let end = 1
  for (let match = FIELD.exec(text); match; match = FIELD.exec(text)) {
    fields.set(match[1], match[2])
    end = FIELD.lastIndex
  }
  const [descr, order, shape] = ['descr', 'fortran_order', 'shape'].map((name) => fields.get(name))
  if (!/^\s*\}\s*$/.test(text.slice(end)) || fields.size !== 3) return undefined
  if (!descr?.startsWith("'") || !shape?.startsWith('(') || (order !== 'True' && order !== 'False')) return undefined
  return { descr: descr.slice(1, -1), columnMajor: order === 'True', shape: (shape.match(/\d+/g) ?? []).map(Number) }
}
