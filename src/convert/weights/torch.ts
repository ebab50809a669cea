// Reads what torch.save wrote, without running any of it: the zip format (PyTorch 1.6 and later) and the legacy one.
// Formats: torch/serialization.py (_save, _legacy_save), torch/_utils.py (_rebuild_tensor_v2).
import { quote } from '../../model/json/fields.js'
import { summary } from '../../model/json/file.js'
import { refuseForeign, type UnpickleOptions } from '../pickle/machine.js'
import { NumpyArray } from '../pickle/numpy.js'
import { asStorage, LEGACY_MAGIC, type Storage, TORCH_GLOBALS, TorchTensor } from '../pickle/torch.js'
import { unpickle } from '../pickle/unpickle.js'
import { describeValue, type Pickled } from '../pickle/values.js'
import { Budget } from './budget.js'
import {
  ELEMENT_BYTES,
  type ElementType,
  gather,
  type StoredTensor,
  storedTensor,
  type TensorMap,
} from './stored-tensor.js'
import { looksLikeZip, readZip, type ZipArchive } from './zip.js'

/** How a file is named in messages, and which of its entries to take. */
export interface TorchOptions {
  /** The file's name, for messages. */
  readonly source?: string
  /** Read only what lies under this key of the saved dict, such as `state_dict`; parts of a path are joined by `.`. */
  readonly unwrap?: string
  /** Told what is left out of the file. */
  readonly onNote?: (note: string) => void
}

/**
 * Tensors of a `.pth`, `.th` or `.pt` file by name. Names of nested dicts and lists are joined by `.`, numbers and texts
 * are left out, views and strides are made row-major. F32 tensors are views of `file` where alignment allows, so leave
 * it unchanged. Objects of classes that hold no tensors, and entries of dicts whose keys are neither texts nor numbers, are
 * left out and told to `onNote`; nothing in the file is run.
 * @throws RingfenceError BAD_FILE; with the names of classes and functions where tensors depend on them or there are none
 */
export function readTorch(file: Uint8Array, { source = 'model.pth', unwrap, onNote }: TorchOptions = {}): TensorMap {
  const budget = new Budget(file.length, source)
  const foreign = new Set<string>()
  let oddEntries = 0
  const onLeftOut: OnLeftOut = ({ names, entries }) => {
    for (const name of names) foreign.add(name)
    oddEntries += entries
  }
  const { root, storages } = looksLikeZip(file)
    ? readZipped(file, budget, onLeftOut)
    : readLegacy(file, budget, onLeftOut)
  const inner = unwrap === undefined ? root : unwrapped(root, unwrap, budget)
  const found: [string, TorchTensor | NumpyArray][] = []
  collect(inner, '', found, budget)
  const tensors: TensorMap = new Map()
  const problems: string[] = []
  for (const [name, tensor] of found) {
    if (tensors.has(name)) problems.push(`tensor ${quote(name)}: the file has two of this name`)
    else
      tensors.set(name, tensor instanceof NumpyArray ? numpyTensor(tensor, budget) : resolve(tensor, storages, budget))
  }
  if (problems.length > 0) budget.fail(summary('the file', problems.length).replace(/:$/, ''), problems)
  if (tensors.size === 0 && foreign.size > 0) refuseForeign([...foreign], budget)
  const odd = oddEntries > 0 ? `entries of dicts whose keys are neither texts nor numbers: ${oddEntries}` : ''
  if (tensors.size === 0) budget.fail(`expected tensors, found none${odd && `; left out were ${odd}`}`)
  if (foreign.size > 0) onNote?.(`objects beside the tensors left out, never run: ${[...foreign].join(', ')}`)
  if (odd) onNote?.(`left out: ${odd}, tensors under them included`)
  return tensors
}

type OnLeftOut = NonNullable<UnpickleOptions['onLeftOut']>

interface Saved {
  readonly root: Pickled
  /** The bytes of a storage, checked to have the length it says; read once. */
  readonly storages: (storage: Storage) => Uint8Array
}

/** `<name>/data.pkl` beside `<name>/data/<key>`, one entry for each storage. */
function readZipped(file: Uint8Array, budget: Budget, onLeftOut: OnLeftOut): Saved {
  const zip = readZip(file, budget)
  const pickles = zip.names.filter((name) => /^[^/]+\/data\.pkl$/.test(name))
  if (pickles.length !== 1) budget.fail('expected a zip file written by torch.save, with one entry <name>/data.pkl')
  const folder = pickles[0].slice(0, -'data.pkl'.length)
  checkOrder(zip, `${folder}byteorder`, budget)
  const persistent = (id: Pickled) => asStorage(id, budget)
  const { value } = unpickle(zip.read(pickles[0]), { budget, globals: TORCH_GLOBALS, persistent, onLeftOut })
  const read = new Map<string, Uint8Array>()
  return {
    root: value,
    storages(storage) {
      const bytes = read.get(storage.key) ?? zip.read(`${folder}data/${storage.key}`)
      read.set(storage.key, bytes)
      return checkLength(bytes, storage, budget)
    },
  }
}

function checkOrder(zip: ZipArchive, name: string, budget: Budget): void {
  if (!zip.names.includes(name)) return
  const order = new TextDecoder().decode(zip.read(name).subarray(0, 16))
  if (order !== 'little') budget.fail(`expected tensors saved in little-endian order, got ${quote(order)}`)
}

/**
 * Five pickles (magic number, protocol, system, value, keys of the storages), then each storage in the order of its key:
 * eight bytes of length in elements, and the elements.
 */
function readLegacy(file: Uint8Array, budget: Budget, onLeftOut: OnLeftOut): Saved {
  const known = new Map<string, Storage>()
  const persistent = (id: Pickled) => {
    const storage = asStorage(id, budget)
    const before = known.get(storage.key)
    if (before && (before.dtype !== storage.dtype || before.count !== storage.count)) {
      budget.fail(`storage ${quote(storage.key)}: the file describes it in two ways`)
    }
    known.set(storage.key, storage)
    return storage
  }
  let start = 0
  const next = (): Pickled => {
    const { value, end } = unpickle(file, { budget, globals: TORCH_GLOBALS, persistent, start, onLeftOut })
    start = end
    return value
  }
  if (next() !== LEGACY_MAGIC) budget.fail('expected a file written by torch.save; this is another kind of pickle')
  const protocol = next()
  if (protocol !== 1001) budget.fail(`expected version 1001 of the legacy torch format, got ${describeValue(protocol)}`)
  const system = next()
  if (!(system instanceof Map) || system.get('little_endian') !== true) {
    budget.fail('expected tensors saved in little-endian order')
  }
  const root = next()
  const bytes = readStorages(file, next(), () => start, known, budget)
  return { root, storages: (storage) => checkLength(bytes.get(storage.key), storage, budget) }
}

function readStorages(
  file: Uint8Array,
  keys: Pickled,
  start: () => number,
  known: ReadonlyMap<string, Storage>,
  budget: Budget,
): Map<string, Uint8Array> {
  if (!Array.isArray(keys)) budget.fail('expected the list of storages')
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  const bytes = new Map<string, Uint8Array>()
  let at = start()
  for (const key of keys) {
    const storage = known.get(key)
    if (!storage || bytes.has(key)) budget.fail('the list of storages does not fit the tensors')
    if (at + 8 > file.length) budget.fail(`the file is cut short before storage ${quote(key)}`)
    const count = view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32
    const end = at + 8 + count * ELEMENT_BYTES[storage.dtype]
    if (count !== storage.count) {
      budget.fail(`storage ${quote(key)}: expected ${storage.count} elements, got a length of ${count}`)
    }
    if (end > file.length)
      budget.fail(`storage ${quote(key)}: it ends at byte ${end} of ${file.length}; the file is cut short`)
    bytes.set(key, file.subarray(at + 8, end))
    at = end
  }
  if (at !== file.length) budget.fail(`expected the end of the file at byte ${at}, got ${file.length} bytes`)
  return bytes
}

function checkLength(bytes: Uint8Array | undefined, { key, dtype, count }: Storage, budget: Budget): Uint8Array {
  const expected = count * ELEMENT_BYTES[dtype]
  if (bytes?.length === expected) return bytes
  return budget.fail(`storage ${quote(key)}: expected ${expected} bytes of ${dtype}, got ${bytes?.length ?? 'none'}`)
}

function resolve(tensor: TorchTensor, storages: Saved['storages'], budget: Budget): StoredTensor {
  const { storage, layout } = tensor
  const bytes = gather(storages(storage), ELEMENT_BYTES[storage.dtype], layout, budget)
  return storedTensor(storage.dtype as ElementType, layout.shape, bytes, budget)
}

function numpyTensor({ tensor }: NumpyArray, budget: Budget): StoredTensor {
  return tensor ?? budget.fail('the pickle has a numpy.ndarray without elements')
}

function unwrapped(root: Pickled, path: string, budget: Budget): Pickled {
  let value = root
  if (root instanceof Map && root.has(path)) return root.get(path)
  for (const key of path.split('.')) {
    if (!(value instanceof Map) || !value.has(key)) {
      const keys =
        value instanceof Map
          ? [...value.keys()]
              .slice(0, 12)
              .map((k) => quote(k))
              .join(', ')
          : 'no dict'
      budget.fail(`expected an entry ${quote(path)}, the file has ${keys}`)
    }
    value = value.get(key)
  }
  return value
}

function collect(value: Pickled, name: string, found: [string, TorchTensor | NumpyArray][], budget: Budget): void {
  if (value instanceof TorchTensor || value instanceof NumpyArray) {
    // One tensor may stand under many names, and a short pickle spell out long ones.
    budget.spend(256 + 2 * name.length, 'the names of the tensors')
    found.push([name, value])
  } else if (value instanceof Map || Array.isArray(value)) {
    for (const [key, inner] of value.entries()) collect(inner, name === '' ? `${key}` : `${name}.${key}`, found, budget)
  }
}
