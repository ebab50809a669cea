// The names under which PyTorch pickles tensors, with what they become: layouts over storages.
import { quote } from '../../model/json/fields.js'
import type { Budget } from '../weights/budget.js'
import { type ElementType, extent, isShape, type Layout } from '../weights/stored-tensor.js'
import { NUMPY_GLOBALS } from './numpy.js'
import { Global, type Pickled, PickleObject } from './values.js'

/** torch/serialization.py, MAGIC_NUMBER. */
export const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn

const STORAGE_TYPES: Readonly<Record<string, ElementType>> = {
  Float: 'F32',
  Double: 'F64',
  Half: 'F16',
  BFloat16: 'BF16',
  Long: 'I64',
  Int: 'I32',
  Short: 'I16',
  Char: 'I8',
  Byte: 'U8',
  Bool: 'BOOL',
}

class StorageType extends Global {
  constructor(
    name: string,
    readonly dtype: ElementType,
  ) {
    super(name)
  }
}

/** A run of elements that tensors share; its bytes lie elsewhere in the file. */
export class Storage extends PickleObject {
  constructor(
    readonly key: string,
    readonly dtype: ElementType,
    /** Elements. */
    readonly count: number,
  ) {
    super()
  }
}

/** A view of a storage, checked to lie within it. */
export class TorchTensor extends PickleObject {
  constructor(
    readonly storage: Storage,
    readonly layout: Layout,
  ) {
    super()
  }
}

/**
 * The storage a persistent id names: ('storage', type, key, device, elements) and, in legacy files, a view.
 * @throws RingfenceError BAD_FILE
 */
export function asStorage(id: Pickled, budget: Budget): Storage {
  const [tag, type, key, , count, view] = Array.isArray(id) ? id : []
  if (tag === 'module') budget.fail('the file holds a whole model with its code; save model.state_dict() instead')
  if (tag !== 'storage' || !(type instanceof StorageType) || typeof key !== 'string' || !isCount(count)) {
    budget.fail('expected a reference to a storage of tensors')
  }
  if (view !== undefined && view !== null)
    budget.fail(`storage ${quote(key)}: views of storages are not supported; save again`)
  return new Storage(key, type.dtype, count)
}

function isCount(value: Pickled): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 48
}

/** _rebuild_tensor(storage, offset, size, stride), and more in _rebuild_tensor_v2 that inference does not need. */
function rebuildTensor([storage, offset, shape, strides]: readonly Pickled[], budget: Budget): TorchTensor {
  if (!(storage instanceof Storage)) budget.fail('expected the storage of a tensor')
  const sound = isShape(shape) && Array.isArray(strides) && strides.length === shape.length && strides.every(isCount)
  if (!sound || !isCount(offset)) {
    return budget.fail(`storage ${quote(storage.key)}: expected offset, size and stride of a tensor`)
  }
  const layout = { shape, strides, offset }
  const needed = extent(layout)
  if (needed > storage.count) {
    budget.fail(`storage ${quote(storage.key)}: a tensor needs ${needed} elements, it has ${storage.count}`)
  }
  return new TorchTensor(storage, layout)
}

function rebuildParameter([tensor]: readonly Pickled[], budget: Budget): TorchTensor {
  if (!(tensor instanceof TorchTensor)) budget.fail('expected the tensor of a parameter')
  return tensor
}

/** Without arguments, or (Python 2) with one list of pairs. */
function orderedDict([pairs = []]: readonly Pickled[], budget: Budget): Map<Pickled, Pickled> {
  const dict = new Map<Pickled, Pickled>()
  if (!Array.isArray(pairs)) budget.fail('expected the items of an OrderedDict')
  for (const pair of pairs) {
    if (!Array.isArray(pair) || pair.length !== 2 || (typeof pair[0] !== 'string' && typeof pair[0] !== 'number')) {
      budget.fail('expected key and value of every item of an OrderedDict')
    }
    dict.set(pair[0], pair[1])
  }
  return dict
}

function size([sizes]: readonly Pickled[], budget: Budget): Pickled {
  return isShape(sizes) ? sizes : budget.fail('expected the sizes of a torch.Size')
}

export const ORDERED_DICT = new Global('collections.OrderedDict', orderedDict)

/** Everything a file of torch.save may name. */
export const TORCH_GLOBALS: ReadonlyMap<string, Global> = new Map(
  [
    ...NUMPY_GLOBALS,
    ...Object.entries(STORAGE_TYPES).map(([name, dtype]) => new StorageType(`torch.${name}Storage`, dtype)),
    ORDERED_DICT,
    new Global('torch._utils._rebuild_tensor', rebuildTensor),
    new Global('torch._utils._rebuild_tensor_v2', rebuildTensor),
    new Global('torch._utils._rebuild_parameter', rebuildParameter),
    new Global('torch.Size', size),
  ].map((known) => [known.name, known]),
)
