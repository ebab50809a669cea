// What torch.save wrote, in both formats: element types, views, strides, nesting, and two published files.
import { describe, expect, test } from 'vitest'
import { readTorch } from '../../../src/convert/weights/torch.js'
import { RingfenceError } from '../../../src/errors.js'
import {
  global,
  ORDERED_DICT,
  pickle,
  reduce,
  storage,
  type TorchStorage,
  torchLegacy,
  torchZip,
  tuple,
  view,
} from '../encode.js'

const six = storage('0', 'Float', Float32Array.of(0, 1, 2, 3, 4, 5))
const counts = storage('1', 'Long', BigInt64Array.of(7n, -1n))

type Save = (value: (legacy: boolean) => unknown, storages: readonly TorchStorage[]) => Uint8Array
const FORMATS: readonly (readonly [string, Save])[] = [
  ['legacy', (value, storages) => torchLegacy(value(true), storages)],
  ['legacy, pickle protocol 4', (value, storages) => torchLegacy(value(true), storages, 4)],
  ['zip', (value, storages) => torchZip(value(false), storages)],
  ['deflated zip', (value, storages) => torchZip(value(false), storages, 6)],
]

function describeEach(body: (save: Save) => void): void {
  for (const [name, save] of FORMATS) describe(name, () => body(save))
}

describeEach((save) => {
  test('names, shapes and elements of a nested dict', () => {
    const value = (legacy: boolean) =>
      new Map<string, unknown>([
        ['epoch', 3],
        [
          'state_dict',
          new Map<string, unknown>([
            ['a.weight', view({ of: six, shape: [2, 3], strides: [3, 1], parameter: true }, legacy)],
            ['n', view({ of: counts, shape: [], strides: [], offset: 1 }, legacy)],
          ]),
        ],
        ['list', [view({ of: six, shape: [1], strides: [1], offset: 5 }, legacy)]],
      ])
    const tensors = readTorch(save(value, [six, counts]))
    expect([...tensors.keys()]).toEqual(['state_dict.a.weight', 'state_dict.n', 'list.0'])
    expect(tensors.get('state_dict.a.weight')).toMatchObject({ shape: [2, 3], dtype: 'F32' })
    expect([...tensors.get('state_dict.a.weight')!.data!]).toEqual([0, 1, 2, 3, 4, 5])
    expect(tensors.get('state_dict.n')).toMatchObject({ shape: [], dtype: 'I64', data: undefined })
    expect([...tensors.get('list.0')!.data!]).toEqual([5])
    const inner = readTorch(save(value, [six, counts]), { unwrap: 'state_dict' })
    expect([...inner.keys()]).toEqual(['a.weight', 'n'])
    expect(() => readTorch(save(value, [six, counts]), { unwrap: 'model' })).toThrow(/"state_dict"/)
  })

  test('strides and offsets: transposed, sliced, repeated', () => {
    const value = (legacy: boolean) =>
      new Map([
        ['t', view({ of: six, shape: [3, 2], strides: [1, 3] }, legacy)],
        ['s', view({ of: six, shape: [2, 2], strides: [3, 1], offset: 1 }, legacy)],
        ['r', view({ of: six, shape: [2, 3], strides: [0, 1] }, legacy)],
        ['one', view({ of: six, shape: [1, 2], strides: [99, 1], offset: 4 }, legacy)],
      ])
    const tensors = readTorch(save(value, [six]))
    const data = (name: string) => [...tensors.get(name)!.data!]
    expect(data('t')).toEqual([0, 3, 1, 4, 2, 5])
    expect(data('s')).toEqual([1, 2, 4, 5])
    expect(data('r')).toEqual([0, 1, 2, 0, 1, 2])
    expect(data('one')).toEqual([4, 5])
  })

  test('every element type', () => {
    const all = [
      storage('0', 'Float', Float32Array.of(1.5, -2)),
      storage('1', 'Double', Float64Array.of(1.5, -2)),
      storage('2', 'Half', Uint16Array.of(0x3e00, 0xc000)),
      storage('3', 'BFloat16', Uint16Array.of(0x3fc0, 0xc000)),
      storage('4', 'Long', BigInt64Array.of(1n, -2n)),
      storage('5', 'Int', Int32Array.of(1, -2)),
      storage('6', 'Short', Int16Array.of(1, -2)),
      storage('7', 'Char', Int8Array.of(1, -2)),
      storage('8', 'Byte', Uint8Array.of(1, 2)),
      storage('9', 'Bool', Uint8Array.of(1, 0)),
    ]
    const value = (legacy: boolean) =>
      new Map(all.map((of) => [of.type, view({ of, shape: [2], strides: [1] }, legacy)]))
    const tensors = readTorch(save(value, all))
    expect([...tensors.values()].map(({ dtype }) => dtype)).toEqual([
      'F32',
      'F64',
      'F16',
      'BF16',
      'I64',
      'I32',
      'I16',
      'I8',
      'U8',
      'BOOL',
    ])
    for (const type of ['Float', 'Double', 'Half', 'BFloat16']) {
      expect([...tensors.get(type)!.data!], type).toEqual([1.5, -2])
    }
    expect([...tensors.get('Char')!.bytes]).toEqual([1, 254])
  })

  test('a storage shorter than its tensors, and one that is cut short, are refused', () => {
    const beyond = (legacy: boolean) =>
      new Map([['t', view({ of: six, shape: [2, 3], strides: [3, 1], offset: 1 }, legacy)]])
    expect(() => readTorch(save(beyond, [six]))).toThrow(/needs 7 elements, it has 6/)
    const short = { ...six, count: 7 }
    const value = (legacy: boolean) => new Map([['t', view({ of: short, shape: [7], strides: [1] }, legacy)]])
    expect(() => readTorch(save(value, [short]))).toThrow(RingfenceError)
  })
})

test('storages that claim gigabytes are refused before anything is allocated', () => {
  for (const count of [7, 2 ** 29, 2 ** 47, 2 ** 53]) {
    const claim = { ...six, count }
    const value = (legacy: boolean) => new Map([['t', view({ of: claim, shape: [count], strides: [1] }, legacy)]])
    expect(() => readTorch(torchLegacy(value(true), [claim])), `${count}`).toThrow(RingfenceError)
    expect(() => readTorch(torchZip(value(false), [claim])), `${count}`).toThrow(RingfenceError)
  }
  // One element, repeated two thousand million times by a stride of zero.
  const repeated = new Map([['t', view({ of: six, shape: [2 ** 31], strides: [0] })]])
  expect(() => readTorch(torchZip(repeated, [six]))).toThrow(/over \d+ bytes/)
})

test('a state dict of an OrderedDict with metadata', () => {
  const dict = reduce(ORDERED_DICT, tuple(), new Map([['_metadata', reduce(ORDERED_DICT, tuple())]]))
  const items = new Map([['w', view({ of: six, shape: [6], strides: [1] })]])
  const file = torchZip([dict, items], [six])
  expect([...readTorch(file).keys()]).toEqual(['1.w'])
})

test('a long name spelled out again and again is refused', () => {
  const inner = new Map([['n'.repeat(1_000_000), view({ of: counts, shape: [2], strides: [1] })]])
  const file = torchZip(
    Array.from({ length: 5000 }, () => inner),
    [counts],
  )
  expect(() => readTorch(file)).toThrow(/names of the tensors/)
})

test('other files are told apart from torch files', () => {
  expect(() => readTorch(pickle(new Map([['a', 1]])))).toThrow(/another kind of pickle/)
  expect(() => readTorch(new Uint8Array(0))).toThrow(RingfenceError)
  expect(() => readTorch(torchZip(new Map(), []))).toThrow(/expected tensors, found none/)
})

test('code in a file is refused by name, all names at once', () => {
  const value = new Map<string, unknown>([
    ['a', reduce(global('posix', 'system'), tuple('echo'))],
    ['b', reduce(global('mymodel.net', 'Net'), tuple(), new Map())],
  ])
  const refused = () => readTorch(torchZip(value, []))
  expect(refused).toThrow(/"posix.system"/)
  expect(refused).toThrow(/"mymodel.net.Net"/)
})

test('what no tensor depends on is left out and named: objects, complex numbers, keys that are no texts', () => {
  const complex = storage('9', 'ComplexFloat', Float32Array.of(1, 2, 3, 4))
  const value = new Map<unknown, unknown>([
    ['model', new Map([['w', view({ of: six, shape: [6], strides: [1] })]])],
    ['args', reduce(global('argparse', 'Namespace'), tuple(), new Map([['lr', 0.1]]))],
    ['device', reduce(global('torch', 'device'), tuple('cpu'))],
    ['spectrum', view({ of: complex, shape: [2], strides: [1] })],
    [
      'history',
      new Map<unknown, unknown>([
        [tuple('a', 1), 2],
        [null, view({ of: six, shape: [6], strides: [1] })],
      ]),
    ],
  ])
  const notes: string[] = []
  const tensors = readTorch(torchZip(value, [six, complex]), { onNote: (note) => notes.push(note) })
  expect([...tensors.keys()]).toEqual(['model.w'])
  expect(notes).toEqual([
    'objects beside the tensors left out, never run: argparse.Namespace, torch.device, torch.ComplexFloatStorage',
    'left out: entries of dicts whose keys are neither texts nor numbers: 2, tensors under them included',
  ])
})

test('a file whose tensors all stand under keys that are no texts says so', () => {
  const value = new Map([[tuple('a', 1), view({ of: six, shape: [6], strides: [1] })]])
  expect(() => readTorch(torchZip(value, [six]))).toThrow(
    /expected tensors, found none; left out were entries of dicts whose keys are neither texts nor numbers: 1/,
  )
})
