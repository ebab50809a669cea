// Damaged graphs: every mutation of a valid file converts, or is refused with the package's own error, at once.
import { describe, expect, it } from 'vitest'
import { convertOnnx } from '../../src/convert/onnx/onnx.js'
import { convertTfjs } from '../../src/convert/tfjs/tfjs.js'
import { RingfenceError } from '../../src/errors.js'
import { processorMs } from '../fixtures/clock.js'
import { encodeOnnx, type NodeOf, type TensorOf } from './onnx/encode.js'
import { numbers } from './run-converted.js'
import { encodeFunctional, encodeGraph, functionalConfig, type GraphDefNode, type TfjsFiles } from './tfjs/encode.js'
import { layer, weight } from './tfjs/fixture.js'

const CASES = 2000
/** A hundred times what a file of this size takes, so that a busy machine does not fail the test. */
const LONGEST_MS = 3000

/** xorshift32: the same cases every time. */
function sequence(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

/** One to four damages: a byte changed, cut off, doubled, moved, or made the start of a huge length. */
function damaged(file: Uint8Array, random: (below: number) => number): Uint8Array {
  let bytes = file.slice()
  for (let count = 1 + random(4); count > 0 && bytes.length > 2; count--) {
    const at = random(bytes.length)
    const end = Math.min(at + 1 + random(16), bytes.length)
    const piece = bytes.slice(at, end)
    switch (random(6)) {
      case 0:
        bytes[at] = random(256)
        break
      case 1:
        bytes[at] ^= 1 << random(8)
        break
      case 2:
        bytes = bytes.slice(0, at)
        break
      case 3:
        bytes = Uint8Array.from([...bytes.subarray(0, end), ...piece, ...bytes.subarray(end)])
        break
      case 4:
        bytes = Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(end)])
        break
      default:
        bytes.set(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x07).subarray(0, bytes.length - at), at)
    }
  }
  return bytes
}

/** Values that a damaged JSON file may hold anywhere. */
const ODD: readonly unknown[] = [
  null, -1, 0, 1e9, 2 ** 53, 1e308, 0.5, '', 'image', '__proto__', [], [[]], {}, true, 'NaN', [1, 2, 3], [-1, -1, -1, -1],
] // biome-ignore format: a list of oddities

/** Replaces, removes or doubles values anywhere in a JSON tree. */
function damagedJson(value: unknown, random: (below: number) => number): unknown {
  const root = structuredClone(value)
  for (let count = 1 + random(3); count > 0; count--) {
    const places = containers(root)
    const holder = places[random(places.length)]
    const keys = Object.keys(holder)
    if (keys.length === 0) continue
    const key = keys[random(keys.length)]
    const kind = random(4)
    if (kind === 0) delete holder[key]
    else if (kind === 1) holder[key] = structuredClone(ODD[random(ODD.length)])
    else if (kind === 2) holder[key] = structuredClone(holder[keys[random(keys.length)]])
    else {
      const other = places[random(places.length)]
      const otherKeys = Object.keys(other)
      if (otherKeys.length > 0) holder[key] = structuredClone(other[otherKeys[random(otherKeys.length)]])
    }
  }
  return root
}

function containers(root: unknown): Record<string, unknown>[] {
  const found: Record<string, unknown>[] = []
  const open: unknown[] = [root]
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (typeof value !== 'object' || value === null) continue
    found.push(value as Record<string, unknown>)
    open.push(...Object.values(value).filter((inner) => inner !== undefined))
  }
  return found
}

/** Runs every case; returns how many converted and how many were refused. */
function outcomes(convert: (random: (below: number) => number) => unknown, seed: number) {
  const random = sequence(seed)
  const counts = { converted: 0, refused: 0 }
  for (let i = 0; i < CASES; i++) {
    const start = processorMs()
    try {
      convert(random)
      counts.converted++
    } catch (error) {
      if (!(error instanceof RingfenceError)) throw new Error(`case ${i} of seed ${seed}`, { cause: error })
      counts.refused++
    }
    expect(processorMs() - start, `case ${i} of seed ${seed}`).toBeLessThan(LONGEST_MS)
  }
  return counts
}

const tensor = (dims: number[], as?: TensorOf['as']): TensorOf => ({
  dims,
  data: numbers(
    dims.reduce((a, b) => a * b, 1),
    5,
  ),
  as,
})

/** A file with most of the ops. */
function smallOnnx(): Uint8Array {
  const nodes: NodeOf[] = [
    { op: 'Conv', in: ['image', 'w', 'b'], out: 'a', name: 'conv', attributes: { pads: [1, 1, 1, 1], group: 1 } },
    { op: 'BatchNormalization', in: ['a', 'b', 'b', 'b', 'v'], out: 'n', attributes: { epsilon: { float: 0.1 } } },
    { op: 'Clip', in: ['n', 'zero', 'six'], out: 'c' },
    { op: 'MaxPool', in: ['c'], out: 'p', attributes: { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 } },
    { op: 'Resize', in: ['p', '', 'scales'], out: 'r', attributes: { mode: 'nearest' } },
    { op: 'Pad', in: ['r', 'pads'], out: 'wide' },
    { op: 'Slice', in: ['wide', 'one', 'far', 'two'], out: 'cut' },
    { op: 'Concat', in: ['cut', 'cut'], out: 'cat', attributes: { axis: 1 } },
    { op: 'Shape', in: ['cat'], out: 'shape' },
    { op: 'Gather', in: ['shape', 'first'], out: 'batch' },
    { op: 'Unsqueeze', in: ['batch', 'first'], out: 'batches' },
    { op: 'Concat', in: ['batches', 'rest'], out: 'target', attributes: { axis: 0 } },
    { op: 'Reshape', in: ['cat', 'target'], out: 'flat' },
    { op: 'Gemm', in: ['flat', 'g'], out: 'logits', attributes: { transB: 0, alpha: { float: 2 } } },
    { op: 'Softmax', in: ['logits'], out: 'end' },
  ]
  const integers = (...data: number[]): TensorOf => ({ dims: [data.length], data, as: 'int64' })
  const tensors: Record<string, TensorOf> = {
    w: tensor([2, 2, 3, 3]),
    b: tensor([2], 'float16'),
    v: { dims: [2], data: [1, 2], as: 'double_data' },
    zero: { dims: [], data: [0] },
    six: { dims: [], data: [6], as: 'float_data' },
    scales: { dims: [4], data: [1, 1, 2, 2] },
    pads: integers(0, 0, 1, 0, 0, 0, 0, 1),
    one: integers(1),
    two: integers(2),
    far: { dims: [1], data: [100], as: 'int64_data' },
    first: { dims: [], data: [0], as: 'int64' },
    rest: integers(-1),
    g: tensor([80, 3]),
  }
  return encodeOnnx({ inputs: { image: ['N', 2, 4, 4] }, outputs: ['end'], nodes, tensors })
}

function smallKeras(): TfjsFiles {
  const layers = [
    layer('InputLayer', 'image', { batch_input_shape: [null, 4, 4, 2] }),
    layer('Conv2D', 'conv', { padding: 'same', strides: [1, 1], activation: 'relu' }, [['image']]),
    layer('DepthwiseConv2D', 'dw', { use_bias: false, dilation_rate: [1, 1] }, [['conv']]),
    layer('BatchNormalization', 'bn', { epsilon: 0.1 }, [['dw']]),
    layer('ReLU', 'relu', { max_value: 6 }, [['bn'], ['dw']]),
    layer('Concatenate', 'cat', { axis: -1 }, [['relu', 'relu:1']]),
    layer(
      'ZeroPadding2D',
      'pad',
      {
        padding: [
          [1, 0],
          [0, 1],
        ],
      },
      [['cat']],
    ),
    layer('UpSampling2D', 'up', { size: [2, 2] }, [['pad']]),
    layer('AveragePooling2D', 'avg', { pool_size: [2, 2], padding: 'valid' }, [['up']]),
    layer('Flatten', 'flat', {}, [['avg']]),
    layer('Dense', 'out', { activation: 'softmax' }, [['flat']]),
  ]
  const names = ['gamma', 'beta', 'moving_mean', 'moving_variance']
  return encodeFunctional(functionalConfig(layers, ['image'], ['out']), {
    'conv/kernel': weight([3, 3, 2, 2]),
    'conv/bias': weight([2]),
    'dw/depthwise_kernel': weight([3, 3, 2, 1], 'uint8'),
    ...Object.fromEntries(names.map((name) => [`bn/${name}`, { shape: [2], data: [1, 1] }])),
    'out/kernel': weight([36, 3], 'float16'),
    'out/bias': weight([3]),
  })
}

function smallGraph(): TfjsFiles {
  const nodes: GraphDefNode[] = [
    {
      name: 'conv',
      op: '_FusedConv2D',
      input: ['image', 'k', 'b'],
      attr: { padding: 'SAME', fused_ops: ['BiasAdd', 'Relu6'] },
    },
    { name: 'pad', op: 'Pad', input: ['conv', 'p'] },
    {
      name: 'pool',
      op: 'MaxPool',
      input: ['pad'],
      attr: { ksize: [1, 2, 2, 1], strides: [1, 2, 2, 1], padding: 'SAME' },
    },
    { name: 'up', op: 'ResizeNearestNeighbor', input: ['pool', 'size'], attr: { half_pixel_centers: true } },
    { name: 'cat', op: 'ConcatV2', input: ['up', 'up', 'axis'] },
    { name: 'sizes', op: 'Shape', input: ['cat'] },
    { name: 'batch', op: 'StridedSlice', input: ['sizes', 'from', 'to', 'to'], attr: { shrink_axis_mask: { i: 1 } } },
    { name: 'target', op: 'Pack', input: ['batch', 'rest'] },
    { name: 'flat', op: 'Reshape', input: ['cat', 'target'] },
    { name: 'dense', op: 'MatMul', input: ['flat', 'w'] },
    { name: 'out', op: 'Softmax', input: ['dense'] },
  ]
  return encodeGraph([4, 4, 2], nodes, {
    k: weight([3, 3, 2, 2], 'uint16'),
    b: weight([2]),
    p: { shape: [4, 2], data: [0, 0, 1, 1, 1, 1, 0, 0], as: 'int32' },
    size: { shape: [2], data: [6, 6], as: 'int32' },
    axis: { shape: [], data: [3], as: 'int32' },
    from: { shape: [1], data: [0], as: 'int32' },
    to: { shape: [1], data: [1], as: 'int32' },
    rest: { shape: [], data: [-1], as: 'int32' },
    w: weight([144, 3]),
  })
}

describe(`${3 * CASES} damaged files`, () => {
  it('ONNX', () => {
    const file = smallOnnx()
    expect(convertOnnx(file).tensors.size).toBe(7)
    const { converted, refused } = outcomes((random) => convertOnnx(damaged(file, random)), 11)
    expect(Math.min(converted, refused)).toBeGreaterThan(CASES / 20)
  })

  it.each([
    ['layers model', smallKeras, 12],
    ['graph model', smallGraph, 13],
  ])('TF.js %s', (_, make, seed) => {
    const { json, shards } = make()
    expect(convertTfjs(json, shards).tensors.size).toBeGreaterThan(2)
    const model = JSON.parse(new TextDecoder().decode(json))
    const { converted, refused } = outcomes((random) => {
      const bytes =
        random(4) === 0 ? damaged(json, random) : new TextEncoder().encode(JSON.stringify(damagedJson(model, random)))
      const files = new Map(
        [...shards].map(([path, shard]) => [path, random(20) === 0 ? damaged(shard, random) : shard]),
      )
      convertTfjs(bytes, files)
    }, seed)
    expect(Math.min(converted, refused)).toBeGreaterThan(CASES / 20)
  })
})
