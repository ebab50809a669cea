// One function reads weights of every format, told apart by bytes; a network then finds its tensors in them.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { zipSync } from 'fflate'
import { afterEach, describe, expect, it } from 'vitest'
import { fitWeights } from '../../../src/convert/weights/fit.js'
import { readWeights } from '../../../src/convert/weights/read.js'
import { RingfenceError } from '../../../src/errors.js'
import { loadModelDirectory } from '../../../src/files/model-directory.js'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { type Tensor, writeSafetensors } from '../../../src/model/safetensors.js'
import { bindWeights, namedTensors } from '../../../src/model/weights.js'
import { randomWeights } from '../../fixtures/networks.js'
import { ascii, npy, pickle, storage, torchLegacy, torchZip, view } from '../encode.js'

const models = fileURLToPath(new URL('../../../models', import.meta.url))
const values = Float32Array.of(1, -2, 3, 0.5, 0, 7)
const of = storage('0', 'Float', values)
const state = new Map([['fc.weight', view({ of, shape: [2, 3], strides: [3, 1] })]])
const legacyState = new Map([['fc.weight', view({ of, shape: [2, 3], strides: [3, 1] }, true)]])
const entries = (tensors: ReadonlyMap<string, Tensor>) =>
  [...tensors].map(([name, { shape, data }]) => [name, [...shape], [...data!]])
const expected = [['fc.weight', [2, 3], [...values]]]

function failure(run: () => unknown): RingfenceError {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(RingfenceError)
    return error as RingfenceError
  }
  throw new Error('expected an error')
}

describe('the same tensor', () => {
  const files: [string, Uint8Array][] = [
    ['safetensors', writeSafetensors(new Map([['fc.weight', { shape: [2, 3], data: values }]]))],
    ['a legacy torch file', torchLegacy(legacyState, [of])],
    ['a zip torch file', torchZip(state, [of])],
    ['.npz', zipSync({ 'fc.weight.npy': npy('<f4', [2, 3], values) })],
  ]
  it.each(files)('of %s, whatever its name says', (_, file) => {
    expect(entries(readWeights(file, 'a.bin'))).toEqual(expected)
    // As Node reads small files: a slice of a pool, at any offset.
    const pool = Buffer.alloc(file.length + 64, 0xaa)
    for (const offset of [1, 4]) {
      pool.set(file, offset)
      expect(entries(readWeights(pool.subarray(offset, offset + file.length)))).toEqual(expected)
    }
  })

  it('of .npy has the name of the file', () => {
    expect(entries(readWeights(npy('<f4', [2, 3], values), 'dir/fc.weight.npy'))).toEqual(expected)
  })

  it.each([
    [
      'torch',
      torchZip(
        new Map<string, unknown>([
          ['epoch', 3],
          ['net', state],
        ]),
        [of],
      ),
    ],
    ['safetensors', writeSafetensors(new Map([['net.fc.weight', { shape: [2, 3], data: values }]]))],
  ])('in an entry of a checkpoint: %s', (_, file) => {
    expect(entries(readWeights(file, 'w', { unwrap: 'net' }))).toEqual(expected)
    expect(readWeights(file, 'w').has('net.fc.weight')).toBe(true)
    const error = failure(() => readWeights(file, 'w.x', { unwrap: 'ema' }))
    expect(error.code).toBe('BAD_FILE')
    expect(error.message).toMatch(/^w\.x: expected .*"ema".*"net/)
  })
})

describe('what is no file of weights', () => {
  const jsonOf = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
  const hdf5 = Uint8Array.from([0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0])
  const cases: [string, Uint8Array, RingfenceError['code'], RegExp][] = [
    ['Keras .h5', hdf5, 'UNSUPPORTED', /tensorflowjs_converter --input_format=keras a\/net\.h5 net-tfjs$/],
    ['Keras .keras', zipSync({ 'model.weights.h5': hdf5 }), 'UNSUPPORTED', /keras\.saving\.load_model/],
    ['TorchScript', zipSync({ 'm/data.pkl': hdf5, 'm/constants.pkl': hdf5 }), 'UNSUPPORTED', /torch\.jit\.load/],
    ['a pickle', pickle(new Map([['a', 1]])), 'UNSUPPORTED', /ReLU spec .*ringfence convert --arch/],
    [
      'TensorFlow.js',
      jsonOf({ modelTopology: {}, weightsManifest: [] }),
      'UNSUPPORTED',
      /ringfence convert a\/net\.h5/,
    ],
    ['JSON', jsonOf({ format: 'arch/1' }), 'UNSUPPORTED', /a JSON file/],
    ['another zip', zipSync({ 'a.txt': hdf5 }), 'UNSUPPORTED', /zip file/],
    ['text', Uint8Array.from(ascii('hello, world')), 'BAD_FILE', /known: PyTorch, safetensors, NumPy/],
    ['nothing', new Uint8Array(0), 'BAD_FILE', /not known/],
  ]
  it.each(cases)('%s is refused with what to do', (_, file, code, text) => {
    const error = failure(() => readWeights(file, 'a/net.h5'))
    expect(error).toMatchObject({ code })
    expect(error.message).toMatch(/^a\/net\.h5: expected weights, got /)
    expect(error.message).toMatch(text)
  })
})

/** One stage of two sample layers with three branches each. */
const supernet = {
  format: 'arch/1',
  name: 'super',
  family: 'seesaw',
  params: { dataset: 'cifar', blockConfig: [2], ops: ['skip_connect', 'conv_3x3', 'sep_conv_3x3'], numClasses: 4 },
  choices: { default_1: 0, default_2: 1 },
  inputs: [{ shape: [3, 8, 8] }],
}

describe('a network and its tensors', () => {
  const arch = parseArchitecture(supernet)
  const whole = namedTensors(arch, randomWeights(arch, 1)) as unknown as ReadonlyMap<string, Tensor>
  const pruned = new Map([...whole].filter(([name]) => !name.includes('samplelayer1.paths.2.')))

  it('a supernet that has every branch is what its file says', () => {
    const fitted = fitWeights(supernet, whole)
    expect(fitted.notes).toEqual([])
    expect(fitted.arch.layers).toEqual(arch.layers)
  })

  it('branches without tensors are zeros, whatever stands before the names', () => {
    const front = new Map([...pruned].map(([name, tensor]) => [`module.${name}`, tensor]))
    const file = { ...supernet, weights: { stripPrefix: 'module.' } }
    const { arch: smaller, weights, notes, json } = fitWeights(file, front)
    expect(notes).toEqual(['1 branch has no tensors: taken as pruned, so it is zero'])
    const zeros = smaller.layers.filter(({ op }) => op === 'zero')
    expect(zeros.map(({ id }) => id)).toEqual(['samples.0.samplelayer1.paths.2.0'])
    expect(weights.size).toBeLessThan(bindWeights(arch, whole).size)
    expect(parseArchitecture(json).layers).toEqual(smaller.layers)
  })

  it('a branch that lacks some of its tensors is not pruned but damaged', () => {
    const damaged = new Map(whole)
    damaged.delete('samples.0.samplelayer1.paths.2.0.1.weight')
    damaged.delete('classifier.bias')
    const { code, problems } = failure(() => fitWeights(supernet, damaged, { source: 'w.pth' }))
    expect(code).toBe('BAD_FILE')
    expect(problems).toHaveLength(2)
    expect(problems.join()).toMatch(/samplelayer1\.paths\.2\.0\.1.*classifier/)
  })

  it('a checkpoint is looked into where the network names its entry, and is read without one too', () => {
    const file = { ...supernet, weights: { unwrap: 'state_dict' } }
    const inside: [string, Tensor][] = [...whole].map(([name, tensor]) => [`state_dict.${name}`, tensor])
    const moment: [string, Tensor] = ['optimizer.momentum', { shape: [1], dtype: 'F32', data: Float32Array.of(1) }]
    expect(fitWeights(file, new Map([...inside, moment])).weights.size).toBe(fitWeights(file, whole).weights.size)
    expect(failure(() => fitWeights(file, new Map([...whole, moment]))).problems).toHaveLength(1)
  })
})

describe('model folders', () => {
  const folders: string[] = []
  afterEach(() => {
    for (const dir of folders.splice(0)) rmSync(dir, { recursive: true })
  })

  function folder(): string {
    const dir = mkdtempSync(join(tmpdir(), 'ringfence-weights-'))
    folders.push(dir)
    cpSync(join(models, 'mnist-cnn3', 'arch.json'), join(dir, 'arch.json'))
    return dir
  }

  const original = readFileSync(join(models, 'mnist-cnn3', 'weights.safetensors'))

  it('may hold their weights as .npz', async () => {
    const arrays = [...readWeights(original)].map(([name, { shape, data }]) => [
      `${name}.npy`,
      npy('<f4', shape, data!),
    ])
    const dir = folder()
    writeFileSync(join(dir, 'weights.npz'), zipSync(Object.fromEntries(arrays)))
    const { weights } = await loadModelDirectory(dir)
    expect(weights).toEqual((await loadModelDirectory(join(models, 'mnist-cnn3'))).weights)
  })

  it('or as a .pth file, but not twice', async () => {
    const tensors = [...readWeights(original)]
    const storages = tensors.map(([, { data }], i) => storage(`${i}`, 'Float', data!))
    const strides = (shape: readonly number[]) => shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1))
    const dict = tensors.map(([name, { shape }], i) => {
      return [name, view({ of: storages[i], shape, strides: strides(shape) })] as const
    })
    const dir = folder()
    writeFileSync(join(dir, 'weights.pth'), torchZip(new Map(dict), storages))
    expect((await loadModelDirectory(dir)).weights).toEqual(
      (await loadModelDirectory(join(models, 'mnist-cnn3'))).weights,
    )
    writeFileSync(join(dir, 'weights.npz'), original)
    await expect(loadModelDirectory(dir)).rejects.toMatchObject({
      code: 'BAD_FILE',
      message: expect.stringMatching(/one file of weights, found weights\.pth, weights\.npz/),
    })
  })
})
