// Published relu-specs: names, block sizes in all their spellings, and everything that does not fit told at once.
import { describe, expect, test } from 'vitest'
import { convertReluSpec } from '../../../src/convert/pickle/relu-spec.js'
import { RingfenceError } from '../../../src/errors.js'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { fromBase64 } from '../../../src/model/relu/mask-bits.js'
import { parseReluSpec } from '../../../src/model/relu/spec.js'
import vectors from '../../vectors/pickles.json' with { type: 'json' }
import { float, global, numpyArray, ORDERED_DICT, pickle, reduce, tuple } from '../encode.js'

const conv = (id: string, from: string) => ({
  id,
  op: 'conv2d',
  in: [from],
  cout: 4,
  kernel: [3, 3],
  stride: [1, 1],
  pad: [1, 1, 1, 1],
})
const relu = (id: string, from: string, more: object = {}) => ({ id, op: 'relu', in: [from], ...more })
const layers = [
  conv('conv1', 'x'),
  relu('relu', 'conv1'),
  conv('layer1.0.conv1', 'relu'),
  relu('layer1.0.relu_1', 'layer1.0.conv1'),
  conv('layer1.0.conv2', 'layer1.0.relu_1'),
  relu('act', 'layer1.0.conv2', { specName: 'layer1_0_2' }),
  relu('last', 'act'),
]
const arch = parseArchitecture({
  format: 'arch/1',
  name: 'small',
  inputs: [{ name: 'x', shape: [3, 8, 8] }],
  outputs: ['last'],
  layers,
})

describe('block sizes', () => {
  test.each(['2', '3', '4', '5'] as const)('NumPy arrays and lists as CPython wrote them, protocol %s', (protocol) => {
    const { json, spec, unnamed } = convertReluSpec(fromBase64(vectors.reluSpec[protocol]), arch)
    expect(spec.layers.get('relu')).toEqual({
      kind: 'block',
      blocks: [
        [1, 1],
        [0, 1],
        [2, 2],
        [1, 0],
      ],
    })
    expect(spec.layers.get('layer1.0.relu_1')).toEqual({
      kind: 'block',
      blocks: [
        [1, 1],
        [2, 3],
        [4, 4],
        [1, 1],
      ],
    })
    expect(spec.layers.get('act')).toEqual({
      kind: 'block',
      blocks: [
        [2, 1],
        [2, 2],
        [2, 1],
        [2, 1],
      ],
    })
    expect(spec.layers.get('last')).toEqual({ kind: 'relu' })
    expect(unnamed).toEqual(['last'])
    // 64 + 0 + 16 + 0; 64 + 4*3 + 4 + 64; 32 + 16 + 32 + 32; 4 * 64
    expect(spec.drelus).toBe(80 + 144 + 112 + 256)
    expect(json.expect).toEqual({ drelus: spec.drelus })
    expect(parseReluSpec(JSON.stringify(json), arch)).toEqual(spec)
  })

  test('indices into sizes, NumPy arrays within lists, floats that are whole, an OrderedDict', () => {
    const index = numpyArray('i8', [4], BigInt64Array.of(1n, 0n, 0n, 1n))
    const rows = [numpyArray('i4', [2], Int32Array.of(2, 2)), tuple(float(0), float(1))]
    const dict = reduce(ORDERED_DICT, tuple([tuple('stem', tuple(index, rows))]))
    const { spec } = convertReluSpec(pickle(dict), arch)
    expect(spec.layers.get('relu')).toEqual({
      kind: 'block',
      blocks: [
        [0, 1],
        [2, 2],
        [2, 2],
        [0, 1],
      ],
    })
  })

  test('a layer whose channels are all alike says so', () => {
    const four = (h: number, w: number) => Array.from({ length: 4 }, () => [h, w])
    const value = new Map([
      ['stem', four(0, 1)],
      ['layer1_0_1', four(1, 0)],
      ['act', four(1, 1)],
      ['last', four(4, 4)],
    ])
    const { json } = convertReluSpec(pickle(value, 4), arch)
    expect(json.layers).toEqual({
      relu: { kind: 'identity', shape: [4, 8, 8] },
      'layer1.0.relu_1': { kind: 'zero', shape: [4, 8, 8] },
      layer1_0_2: { kind: 'relu', shape: [4, 8, 8] },
      last: { kind: 'block', shape: [4, 8, 8], palette: [[4, 4]], index: [0, 0, 0, 0] },
    })
  })

  test('names the caller gives', () => {
    const value = new Map([
      [
        'decode_0',
        [
          [2, 2],
          [2, 2],
          [2, 2],
          [1, 1],
        ],
      ],
    ])
    expect(convertReluSpec(pickle(value), arch, { names: { decode_0: 'last' } }).unnamed).not.toContain('last')
    expect(() => convertReluSpec(pickle(value), arch)).toThrow(/"decode_0": expected a relu/)
  })
})

describe('what does not fit', () => {
  test('all at once: sizes of the wrong form', () => {
    const value = new Map<string, unknown>([
      ['stem', 'all'],
      ['layer1_0_1', [[1, 1, 1]]],
      ['act', [[1, 1], null]],
      ['last', tuple([0, 7], [[1, 1]])],
    ])
    expect(() => convertReluSpec(pickle(value), arch)).toThrow(/"stem"[\s\S]*"layer1_0_1"[\s\S]*"act"[\s\S]*"last"/)
  })

  test('all at once: too few channels, sizes that are none, layers that are none', () => {
    const value = new Map<string, unknown>([
      ['stem', [[1, 1]]],
      ['layer1_0_1', [[0, 0], [1, 1], [-1, 2], [1.5, 1].map(float)]],
      ['layer9_0_1', [[1, 1]]],
    ])
    expect(() => convertReluSpec(pickle(value), arch)).toThrow(/expected 4[\s\S]*\[0,0\][\s\S]*"layer9_0_1"/)
  })

  test('one array under so many names that reading it each time would never end', () => {
    const array = numpyArray('u1', [200_000, 2], new Uint8Array(400_000))
    const value = new Map<unknown, unknown>(Array.from({ length: 20_000 }, (_, i) => [i, array]))
    expect(() => convertReluSpec(pickle(value, 3), arch)).toThrow(/over \d+ bytes/)
  })

  test('two names for one layer, no dict, code, bytes after the end', () => {
    const blocks = [
      [1, 1],
      [1, 1],
      [1, 1],
      [1, 1],
    ]
    const twice = new Map([
      ['stem', blocks],
      ['relu', blocks],
    ])
    expect(() => convertReluSpec(pickle(twice), arch)).toThrow(/another entry/)
    expect(() => convertReluSpec(pickle([1]), arch)).toThrow(/expected a dict/)
    expect(() => convertReluSpec(pickle(reduce(global('os', 'system'), tuple('x'))), arch)).toThrow(/"os.system"/)
    expect(() => convertReluSpec(pickle(global('torch', 'FloatStorage')), arch)).toThrow(/"torch.FloatStorage"/)
    expect(() => convertReluSpec(Uint8Array.of(...pickle(twice), 0), arch)).toThrow(RingfenceError)
  })
})
