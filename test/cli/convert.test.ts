// Files of other programs through `ringfence convert`, back through what reads a model.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { zipSync } from 'fflate'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { convert } from '../../src/cli/commands/convert.js'
import { RingfenceError } from '../../src/errors.js'
import { loadModelDirectory } from '../../src/files/model-directory.js'
import { writeWhole } from '../../src/files/whole-files.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { parseReluSpec } from '../../src/model/relu/spec.js'
import { readSafetensors, writeSafetensors } from '../../src/model/safetensors.js'
import { namedTensors } from '../../src/model/weights.js'
import { npy, pickle, storage, torchZip, tuple, view } from '../convert/encode.js'
import { encodeOnnx, type NodeOf } from '../convert/onnx/encode.js'
import { randomWeights } from '../fixtures/networks.js'
import { sharedFile } from '../fixtures/reference-files.js'
import { run } from './in-process.js'
import { ringfence } from './program.js'

let dir = ''
let back = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringfence-convert-'))
  back = process.cwd()
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const at = (...path: string[]) => join(dir, ...path)
function put(name: string, content: Uint8Array | object): string {
  writeFileSync(at(name), content instanceof Uint8Array ? content : JSON.stringify(content))
  return at(name)
}
const json = (path: string) => JSON.parse(readFileSync(path, 'utf8'))
async function failure(...args: string[]): Promise<RingfenceError> {
  const error = await run(convert, ...args).then(
    () => undefined,
    (e: unknown) => e,
  )
  expect(error).toBeInstanceOf(RingfenceError)
  return error as RingfenceError
}

const small = {
  format: 'arch/1',
  name: 'small',
  inputs: [{ name: 'x', shape: [2, 4, 4] }],
  outputs: ['fc'],
  layers: [
    { id: 'conv', op: 'conv2d', in: ['x'], cout: 2, kernel: [3, 3], pad: [1, 1, 1, 1] },
    { id: 'relu', op: 'relu', in: ['conv'] },
    { id: 'flat', op: 'flatten', in: ['relu'] },
    { id: 'fc', op: 'linear', in: ['flat'], cout: 3 },
  ],
}
const arch = parseArchitecture(small)
const tensors = namedTensors(arch, randomWeights(arch, 1))

/** The tensors of `small` as PyTorch saves them, inside a checkpoint. */
function checkpoint(extra: [string, unknown][] = []): Uint8Array {
  const entries = [...tensors]
  const storages = entries.map(([, { data }], i) => storage(`${i}`, 'Float', data))
  const steps = storage('n', 'Long', BigInt64Array.of(7n))
  const strides = (shape: readonly number[]) => shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1))
  const state = new Map<string, unknown>(
    entries.map(([name, { shape }], i) => [name, view({ of: storages[i], shape, strides: strides(shape) })]),
  )
  state.set('bn.num_batches_tracked', view({ of: steps, shape: [], strides: [] }))
  return torchZip(new Map<string, unknown>([['epoch', 3], ['state_dict', state], ...extra]), [...storages, steps])
}

describe('weights', () => {
  it('of PyTorch become safetensors of the same values; what is no float is named', async () => {
    const report = JSON.parse(
      await run(convert, '--json', put('w.pth', checkpoint()), '--unwrap', 'state_dict', '-o', at('w.safetensors')),
    )
    const size = readFileSync(at('w.safetensors')).length
    expect(report).toMatchObject({ format: 'torch', outputs: [{ kind: 'safetensors', bytes: size }] })
    expect(report.counts).toEqual({ tensors: 4, elements: 38 + 99 })
    expect(report.notes).toEqual(['left out, for its elements are no floats: "bn.num_batches_tracked" (I64)'])
    const written = readSafetensors(readFileSync(at('w.safetensors')))
    for (const [name, { shape, data }] of tensors) expect(written.get(name)).toMatchObject({ shape, data })
  })

  it('and with an architecture and a folder, a model', async () => {
    const input = put('w.pth', checkpoint())
    const file = put('a.json', { ...small, weights: { unwrap: 'state_dict' } })
    const printed = await run(convert, input, '--arch', file, '-o', `${at('model')}/`)
    expect(printed).toMatch(/w\.pth \(torch\): 4 tensors, 137 elements\n {2}→ .*arch\.json.*\n {2}→ .*weights\.safe/)
    expect(printed).toContain('every tensor of "small" is there')
    expect(readdirSync(at('model')).sort()).toEqual(['arch.json', 'weights.safetensors'])
    const { weights } = await loadModelDirectory(at('model'))
    expect(weights.get('fc')!.weight).toEqual(tensors.get('fc.weight')!.data)
  })

  it('of NumPy, one array or many', async () => {
    const { shape, data } = tensors.get('fc.bias')!
    await run(convert, put('fc.bias.npy', npy('<f4', shape, data)), '-o', at('one.safetensors'))
    expect(readSafetensors(readFileSync(at('one.safetensors'))).get('fc.bias')).toMatchObject({ shape, data })
    const arrays = [...tensors].map(([name, tensor]) => [`${name}.npy`, npy('<f4', tensor.shape, tensor.data)])
    const npz = put('w.npz', zipSync(Object.fromEntries(arrays)))
    await run(convert, npz, '--arch', put('a.json', small), '-o', at('all.safetensors'))
    expect([...readSafetensors(readFileSync(at('all.safetensors'))).keys()].sort()).toEqual([...tensors.keys()].sort())
  })

  it('halves are widened, and said to be', async () => {
    const halves = Uint16Array.of(0x3c00, 0xc000)
    const printed = await run(convert, put('h.npy', npy('<f2', [2], halves)), '-o', at('h.safetensors'))
    expect(printed).toContain('elements of F16 are now float32')
    expect([...readSafetensors(readFileSync(at('h.safetensors'))).get('h')!.data!]).toEqual([1, -2])
  })

  it('every tensor that does not fit is named, with the path of the file', async () => {
    const wrong = new Map([...tensors].filter(([name]) => name !== 'conv.bias'))
    wrong.set('fc.bias', { shape: [4], data: new Float32Array(4) })
    wrong.set('extra', { shape: [1], data: new Float32Array(1) })
    const input = put('w.safetensors', writeSafetensors(wrong))
    const error = await failure(input, '--arch', put('a.json', small), '-o', at('out.safetensors'))
    expect(error.code).toBe('BAD_FILE')
    expect(error.message).toContain(`${input} has 3 problems`)
    expect(error.problems.join()).toMatch(/conv\.bias.*found none.*fc\.bias.*got \[4\].*extra/)
    expect(existsSync(at('out.safetensors'))).toBe(false)
  })
})

describe('a pruned Seesaw supernet', () => {
  const params = { dataset: 'cifar', blockConfig: [1], ops: ['skip_connect', 'conv_3x3', 'conv_1x1'], numClasses: 2 }
  const short = { format: 'arch/1', name: 'net', family: 'seesaw', params, inputs: [{ shape: [3, 4, 4] }] }

  it('becomes a model whose absent branches are zeros', async () => {
    const whole = parseArchitecture({ ...short, choices: { default_1: 1 } })
    const there = [...namedTensors(whole, randomWeights(whole, 1))].filter(([name]) => !name.includes('paths.1.'))
    const printed = await run(
      convert,
      put('w.safetensors', writeSafetensors(new Map(there))),
      ...['--arch', put('a.json', short), '-o', `${at('net')}/`],
      ...['--choices', put('choices.txt', new TextEncoder().encode("{'default_1': 1}"))],
    )
    expect(printed).toContain('1 branch has no tensors: taken as pruned, so it is zero')
    const { arch } = await loadModelDirectory(at('net'))
    expect(arch.byId.get('samples.0.samplelayer1.paths.1.0')).toMatchObject({ op: 'zero' })
    expect(arch.byId.get('samples.0.samplelayer1.nonlinear')).toMatchObject({ op: 'choice', chosen: 1 })
  })
})

describe('a ReLU spec', () => {
  const blocks = new Map([['relu', [tuple(2, 2), tuple(0, 1)]]])

  it('needs its network, and fits it', async () => {
    const input = put('spec.pickle', pickle(blocks))
    expect(await failure(input)).toMatchObject({ code: 'BAD_INPUT', message: expect.stringContaining('--arch') })
    const args = ['--arch', put('a.json', small), '-o', at('relu-spec.json')]
    expect(JSON.parse(await run(convert, '--json', input, ...args)).counts).toEqual({ drelus: 4 })
    expect(parseReluSpec(json(at('relu-spec.json')), arch).drelus).toBe(4)
  })

  it('that names code is refused and nothing is run', async () => {
    const evil = Uint8Array.from([...'\x80\x02cos\nsystem\n(U\x04trueetR.'].map((c) => c.charCodeAt(0)))
    const error = await failure(put('spec.pickle', evil), '--arch', put('a.json', small), '-o', at('x.json'))
    expect(error.message).toMatch(/names code, which is never run/)
  })
})

describe('whole networks', () => {
  const conv = tensors.get('conv.weight')!
  const nodes: NodeOf[] = [
    { op: 'Conv', in: ['x', 'w'], out: 'y', attributes: { pads: [1, 1, 1, 1], kernel_shape: [3, 3] } },
    { op: 'Relu', in: ['y'], out: 'z' },
  ]

  it('of ONNX become a folder, with the input shape given where the file leaves it open', async () => {
    const w = { dims: conv.shape, data: [...conv.data] }
    const graph = { nodes, tensors: { w }, inputs: { x: ['n', 2, 'h', 'w'] }, outputs: ['z'] }
    const input = put('net.onnx', encodeOnnx(graph))
    const error = await failure(input, '-o', at('net'))
    expect(error.message).toMatch(/give the input's shape/)
    await run(convert, input, '-o', at('net'), '--input-shape', '2,4,4')
    const { arch, weights } = await loadModelDirectory(at('net'))
    expect(arch.inputs[0].shape).toEqual([2, 4, 4])
    expect(weights.get(arch.layers[0].id)!.weight).toEqual(conv.data)
  })

  it('of TensorFlow.js find their shards beside them, and nowhere else', async () => {
    const data = Float32Array.of(1, 2, 3, 4, 5, 6)
    const layers = [
      { class_name: 'InputLayer', config: { name: 'x', batch_input_shape: [null, 3] } },
      { class_name: 'Dense', config: { name: 'd', units: 2, use_bias: false } },
    ]
    const model = (path: string) => ({
      format: 'layers-model',
      modelTopology: { model_config: { class_name: 'Sequential', config: { layers } } },
      weightsManifest: [{ paths: [path], weights: [{ name: 'd/kernel', shape: [3, 2], dtype: 'float32' }] }],
    })
    mkdirSync(at('tf'))
    writeFileSync(at('tf', 'shard.bin'), new Uint8Array(data.buffer))
    const input = put('tf/model.json', model('shard.bin'))
    await run(convert, input, '-o', at('net'))
    const { weights } = await loadModelDirectory(at('net'))
    expect([...weights.get('d')!.weight!]).toEqual([1, 3, 5, 2, 4, 6])
    expect((await failure(put('tf/model.json', model('gone.bin')), '-o', at('b'))).message).toContain('"gone.bin"')
    writeFileSync(at('shard.bin'), new Uint8Array(data.buffer))
    for (const path of ['../shard.bin', 'a/../../shard.bin', at('shard.bin')]) {
      const error = await failure(put('tf/model.json', model(path)), '-o', at('c'))
      expect(error.message).toContain('expected a file beside the model')
    }
    // Its model.json would be taken for a manifest of ringfence.
    put('tf/model.json', model('shard.bin'))
    expect((await failure(input, '-o', `${at('tf')}/`)).message).toContain('another folder')
  })

  it('a published ProxylessNAS configuration is written out layer by layer', async () => {
    const block = {
      name: 'MobileInvertedResidualBlock',
      mobile_inverted_conv: {
        ...{ name: 'MBInvertedConvLayer', in_channels: 8, out_channels: 8, kernel_size: 3, stride: 1 },
        expand_ratio: 1,
      },
      shortcut: null,
    }
    const layer = { name: 'ConvLayer', kernel_size: 3, stride: 2, out_channels: 8, act_func: 'relu6' }
    const config = {
      name: 'ProxylessNASNets',
      bn: { momentum: 0.1, eps: 0.001 },
      resolution: 32,
      first_conv: { ...layer, in_channels: 3 },
      blocks: [block],
      feature_mix_layer: { ...layer, kernel_size: 1, stride: 1, in_channels: 8 },
      classifier: { name: 'LinearLayer', in_features: 8, out_features: 10 },
    }
    await run(convert, put('net.config', config), '-o', at('arch.json'))
    const { family, layers, byId } = parseArchitecture(json(at('arch.json')))
    expect(family).toBe('proxyless')
    expect(byId.get('first_conv.conv')).toMatchObject({ cout: 8, stride: [2, 2] })
    expect(layers).toEqual(parseArchitecture(config).layers)
  })
})

describe('what is written', () => {
  const weights = () => put('w.safetensors', writeSafetensors(tensors))

  it('is never written over without --force', async () => {
    const input = weights()
    const out = put('out.safetensors', Uint8Array.of(1))
    expect(await failure(input, '-o', out)).toMatchObject({
      code: 'BAD_INPUT',
      message: expect.stringContaining('out.safetensors: there already; --force overwrites'),
    })
    expect([...readFileSync(out)]).toEqual([1])
    await run(convert, input, '-o', out, '--force')
    expect(readSafetensors(readFileSync(out)).size).toBe(4)
  })

  it('is there whole or not at all, and nothing else is left behind', async () => {
    // The second file cannot take its place, so the first must not have been written over either.
    mkdirSync(at('b'))
    const files = [
      { path: at('a'), bytes: Uint8Array.of(1) },
      { path: at('b', 'c', 'd'), bytes: Uint8Array.of(2) },
    ]
    writeFileSync(at('b', 'c'), '')
    await expect(writeWhole(files, false)).rejects.toMatchObject({ code: 'BAD_INPUT' })
    expect(readdirSync(dir)).toEqual(['b'])
    // A file that appeared while others were written is not lost.
    writeFileSync(at('a'), 'mine')
    await expect(writeWhole(files.slice(0, 1), false)).rejects.toMatchObject({
      message: expect.stringContaining('--force'),
    })
    expect(readFileSync(at('a'), 'utf8')).toBe('mine')
    expect(readdirSync(dir).sort()).toEqual(['a', 'b'])
  })

  it('goes into the current folder under the name of the input where no place is given', async () => {
    const input = put('w.npy', npy('<f4', [2], Float32Array.of(1, 2)))
    mkdirSync(at('here'))
    process.chdir(at('here'))
    try {
      await run(convert, input)
    } finally {
      process.chdir(back)
    }
    expect(readdirSync(at('here'))).toEqual(['w.safetensors'])
  })
})

describe('refusals', () => {
  const hdf5 = Uint8Array.from([0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a])

  it('Keras .h5 comes with the line that converts it', async () => {
    const error = await failure(put('net.h5', hdf5))
    expect(error.code).toBe('UNSUPPORTED')
    expect(error.message).toMatch(/tensorflowjs_converter --input_format=keras \S+net\.h5 net-tfjs$/)
  })

  it('a target that the file cannot become', async () => {
    const input = put('w.npy', npy('<f4', [1], Float32Array.of(1)))
    expect((await failure(input, '--to', 'relu-spec')).message).toContain(
      '--to: expected safetensors or arch, got relu-spec',
    )
    expect((await failure(input, '--to', 'arch')).message).toContain('--arch: expected the network')
    expect((await failure(input, '--to', 'onnx')).message).toMatch(/--to: expected one of safetensors, relu-spec, arch/)
  })

  it('everything that is wrong with the files and the flags, at once', async () => {
    const files = await failure(at('a.pth'), '--arch', at('b.json'), '--choices', at('c.json'))
    expect(files.problems.join('\n')).toMatch(/a\.pth: there is no such file\n.*b\.json.*\n.*c\.json: there is no/)
    const flags = await failure('--to', 'x', '--input-shape', '3x3')
    expect(flags.problems).toHaveLength(3)
  })

  it('with exit status 1 and one block of text, by the program itself', async () => {
    const { status, stderr, stdout } = await ringfence('convert', put('net.h5', hdf5))
    expect(stderr).toMatch(/^error UNSUPPORTED\n/)
    expect([status, stdout]).toEqual([1, ''])
  })
})

const resnet = sharedFile('models/resnet20-12fca82f.th')
const table = sharedFile('tables/examples/resnet20-cifar10.arch.json')
const skips = resnet && table ? '' : ' (SKIPPED: the files are not beside this checkout)'
it.skipIf(!resnet || !table)(`the published ResNet-20 becomes a model${skips}`, async () => {
  await run(convert, put('r.th', resnet!), '--arch', put('a.json', table!), '-o', `${at('resnet')}/`)
  const { weights } = await loadModelDirectory(at('resnet'))
  expect([...weights.values()].flatMap((layer) => Object.values(layer)).reduce((n, data) => n + data.length, 0)).toBe(
    271_098,
  )
})
