// One small valid file of each format, and the reader that takes it. A new converter adds its line here.
import { zipSync } from 'fflate'
import { detectFormat } from '../../src/convert/detect.js'
import { convertReluSpec } from '../../src/convert/pickle/relu-spec.js'
import { readNpy, readNpz } from '../../src/convert/weights/npy.js'
import { ELEMENT_BYTES, type ElementType } from '../../src/convert/weights/stored-tensor.js'
import { readTorch } from '../../src/convert/weights/torch.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { readSafetensors, type Tensor, writeSafetensors } from '../../src/model/safetensors.js'
import { elementCount } from '../../src/model/shape.js'
import { npy, numpyArray, ORDERED_DICT, pickle, reduce, storage, torchLegacy, torchZip, tuple, view } from './encode.js'

export interface FuzzFormat {
  readonly name: string
  /** A file that `read` takes. */
  readonly file: Uint8Array
  /** Reads a file to the end; throws a RingfenceError or nothing. */
  readonly read: (file: Uint8Array) => unknown
}

const weights = storage(
  '94',
  'Float',
  Float32Array.from({ length: 12 }, (_, i) => i - 6),
)
const halves = storage('95', 'Half', Uint16Array.of(0x3c00, 0xc000, 0))
const count = storage('96', 'Long', BigInt64Array.of(5n))
const storages = [weights, halves, count]

function stateDict(legacy: boolean): unknown {
  const items = new Map<string, unknown>([
    ['conv.weight', view({ of: weights, shape: [2, 1, 2, 3], strides: [1, 12, 6, 2] }, legacy)],
    ['conv.bias', view({ of: halves, shape: [3], strides: [1], parameter: true }, legacy)],
    ['fc.weight', view({ of: weights, shape: [3, 4], strides: [4, 1] }, legacy)],
    ['bn.num_batches_tracked', view({ of: count, shape: [], strides: [] }, legacy)],
  ])
  return new Map<string, unknown>([
    ['epoch', 12],
    ['args', [tuple('resnet', 20, null, true), new Map([['lr', 300]]), reduce(ORDERED_DICT, tuple())]],
    ['state_dict', items],
  ])
}

const arch = parseArchitecture({
  format: 'arch/1',
  name: 'small',
  inputs: [{ name: 'x', shape: [4, 8, 8] }],
  outputs: ['layer1.0.relu_1'],
  layers: [
    { id: 'relu', op: 'relu', in: ['x'] },
    { id: 'layer1.0.relu_1', op: 'relu', in: ['relu'] },
  ],
})
const sizes = numpyArray('i8', [4, 2], BigInt64Array.of(1n, 1n, 0n, 1n, 2n, 2n, 1n, 0n), 'numpy._core')
const reluSpec = new Map<string, unknown>([
  ['stem', sizes],
  ['layer1_0_1', [[1, 1], [2, 3], tuple(4, 4), [0, 1]]],
])

const matrix = npy('<f4', [2, 3], Float32Array.of(1, 2, 3, 4, 5, 6))
const columns = npy('>i2', [3, 2], Int16Array.of(1, 2, 3, 4, 5, 6), { columnMajor: true, version: 2 })
const plain = new Map<string, Parameters<typeof writeSafetensors>[0] extends ReadonlyMap<string, infer T> ? T : never>([
  ['conv.weight', { shape: [2, 1, 3, 1], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
  ['conv.bias', { shape: [2], data: Float32Array.of(7, 8) }],
])

const spec = (file: Uint8Array) => convertReluSpec(file, arch)
const torch = (file: Uint8Array) => sound(readTorch(file, { unwrap: 'state_dict' }))

export const FORMATS: readonly FuzzFormat[] = [
  { name: 'relu-spec pickle, protocol 2', file: pickle(reluSpec, 2), read: spec },
  { name: 'relu-spec pickle, protocol 4', file: pickle(reluSpec, 4), read: spec },
  { name: 'torch, legacy', file: torchLegacy(stateDict(true), storages), read: torch },
  { name: 'torch, zip', file: torchZip(stateDict(false), storages), read: torch },
  { name: 'torch, zip deflated', file: torchZip(stateDict(false), storages, 6), read: torch },
  { name: 'npy', file: matrix, read: (bytes) => sound(new Map([['', readNpy(bytes)]])) },
  {
    name: 'npy, version 2, Fortran order, big endian',
    file: columns,
    read: (bytes) => sound(new Map([['', readNpy(bytes)]])),
  },
  { name: 'npz', file: zipSync({ 'a.npy': matrix, 'b.npy': columns }), read: (bytes) => sound(readNpz(bytes)) },
  {
    name: 'safetensors',
    file: writeSafetensors(plain, { by: 'test' }),
    read: (bytes) => sound(readSafetensors(bytes)),
  },
  { name: 'detection', file: torchZip(stateDict(false), storages), read: expectKnown },
]

/** What is read must be what it says: as many elements and bytes as the shape has. */
export function sound(tensors: ReadonlyMap<string, Tensor & { readonly bytes?: Uint8Array }>): void {
  for (const [name, { shape, dtype, data, bytes }] of tensors) {
    const count = elementCount(shape)
    const width = ELEMENT_BYTES[dtype as ElementType]
    if (data && data.length !== count) throw new Error(`${name}: ${data.length} elements for shape ${shape}`)
    if (bytes && bytes.length !== count * width) throw new Error(`${name}: ${bytes.length} bytes for shape ${shape}`)
  }
}

/** Detection never throws; what it does not know counts as refused. */
function expectKnown(file: Uint8Array): void {
  if (detectFormat(file) !== 'torch') throw Object.assign(new Error('not known'), { name: 'RingfenceError' })
}
