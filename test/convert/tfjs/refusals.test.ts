import { describe, expect, it } from 'vitest'
import { convertTfjs } from '../../../src/convert/tfjs/tfjs.js'
import { encodeFunctional, encodeGraph, encodeSequential, functionalConfig } from './encode.js'
import { layer, refusal, weight } from './fixture.js'

describe('refusals', () => {
  const kernel = weight([3, 3, 2, 2])

  it('lists every class that cannot be converted', () => {
    const layers = [layer('Conv2D', 'a'), layer('LSTM', 'b'), layer('Lambda', 'c')]
    const error = refusal(encodeSequential([5, 5, 2], layers, {}))
    expect(error.code).toBe('UNSUPPORTED')
    expect(error.problems).toEqual(['modelTopology: layers[1] "b" (LSTM)', 'modelTopology: layers[2] "c" (Lambda)'])
    const graph = encodeGraph(
      [5, 5, 2],
      [
        { name: 'e', op: 'LRN', input: ['image'] },
        { name: 'f', op: 'Fill', input: ['e'] },
      ],
      {},
    )
    expect(refusal(graph).problems).toEqual(['modelTopology: node[1] "e" (LRN)', 'modelTopology: node[2] "f" (Fill)'])
  })

  it('lists missing and misshapen weights at once', () => {
    const layers = [
      layer('Conv2D', 'a'),
      layer('Conv2D', 'b', { strides: [0, 1], padding: 'full', use_bias: false }),
      layer('BatchNormalization', 'c', { scale: false }),
    ]
    const weights = { 'a/kernel': kernel, 'a/bias': weight([3]), 'b/kernel': weight([3, 3, 2]), 'c/beta': weight([2]) }
    expect(refusal(encodeSequential([5, 5, 2], layers, weights)).problems).toEqual([
      'modelTopology: layers[2] "c" (BatchNormalization): expected a weight "c/moving_mean", found none',
      'modelTopology: layers[2] "c" (BatchNormalization): expected a weight "c/moving_variance", found none',
      'modelTopology: layers[0] "a" (Conv2D): expected bias [2] (channels first), got [3] in "a/bias"',
    ])
  })

  it('lists missing shards, and sizes that do not fit', () => {
    const files = encodeSequential([5, 5, 2], [layer('Conv2D', 'a', { use_bias: false })], { 'a/kernel': kernel })
    const [[first], [second, bytes]] = [...files.shards]
    expect(refusal({ json: files.json, shards: new Map() }).problems).toEqual([
      `weightsManifest[0]: expected the shard "${first}" beside the model, found none`,
      `weightsManifest[0]: expected the shard "${second}" beside the model, found none`,
    ])
    const short = new Map(files.shards).set(second, bytes.subarray(1))
    expect(refusal({ json: files.json, shards: short }).problems).toEqual([
      `weightsManifest[0]: expected 144 bytes in ["${first}","${second}"], got 143`,
    ])
  })

  it('cycles are shown', () => {
    const nodes = [
      { name: 'a', op: 'AddV2', input: ['image', 'b'] },
      { name: 'b', op: 'Relu', input: ['a'] },
    ]
    expect(refusal(encodeGraph([5, 5, 2], nodes, {})).problems).toEqual([
      'modelTopology: expected no cycle, got "b" -> "a" -> "b"',
    ])
  })

  it('models within models without end are refused', () => {
    const deep =
      `{"class_name":"Sequential","config":{"layers":[`.repeat(200) +
      `{"class_name":"Flatten","config":{}}` +
      ']}}'.repeat(200)
    const json = new TextEncoder().encode(`{"modelTopology":${deep},"weightsManifest":[]}`)
    expect(refusal({ json, shards: new Map() }).message).toMatch(/nested deeper than 16/)
  })

  it('models that unfold to more calls than anybody writes are refused', () => {
    let config = functionalConfig([layer('InputLayer', 'in', { batch_shape: [null, 4] })], ['in'], ['in'])
    for (let depth = 0; depth < 8; depth++) {
      const calls = Array.from({ length: 10 }, () => ['in'])
      const body = { class_name: 'Functional', name: 'body', config: config.config, calls }
      config = functionalConfig([layer('InputLayer', 'in', { batch_shape: [null, 4] }), body], ['in'], ['body:9'])
    }
    expect(refusal(encodeFunctional(config, {})).message).toMatch(/more than 20000 calls/)
  })

  it('slopes that differ from pixel to pixel', () => {
    const files = encodeSequential([2, 2, 3], [layer('PReLU', 'p')], { 'p/alpha': weight([2, 2, 3]) })
    expect(refusal(files).problems).toEqual([
      expect.stringMatching(/layers\[0\] "p" \(PReLU\): tensor "p\/alpha": expected slopes \[1,1,3\].*got \[2,2,3\]/),
    ])
    const both = encodeSequential([2, 2, 3], [layer('ReLU', 'r', { negative_slope: 0.1, max_value: 6 })], {})
    expect(refusal(both).message).toContain('negative_slope 0 where there is a max_value')
  })

  it('activations that cannot be converted are listed with the classes', () => {
    const layers = [
      layer('Activation', 'a', { activation: 'celu' }),
      layer('GRU', 'b'),
      layer('Dense', 'c', { activation: 'hard_tanh' }),
    ]
    expect(refusal(encodeSequential([2, 2, 1], layers, {})).problems).toEqual([
      'modelTopology: layers[0] "a" (Activation): activation "celu"',
      'modelTopology: layers[1] "b" (GRU)',
      'modelTopology: layers[2] "c" (Dense): activation "hard_tanh"',
    ])
    const fused_ops = ['BiasAdd', 'Sin']
    const node = { name: 'f', op: '_FusedConv2D', input: ['image', 'k', 'k'], attr: { fused_ops } }
    expect(refusal(encodeGraph([5, 5, 2], [node], { k: kernel })).problems).toEqual([
      'modelTopology: node[2] "f" (_FusedConv2D): fused "Sin"',
    ])
  })

  it('notes weights that nothing uses, and outputs that change their order', () => {
    const files = encodeSequential([5, 5, 2], [layer('ReLU', 'a')], { 'old/kernel': kernel })
    expect(convertTfjs(files.json, files.shards).notes).toEqual([
      'weightsManifest: not used: "old/kernel"',
      'output "a": its elements are ordered channels first, not channels last',
    ])
  })

  const int32 = (...data: number[]) => ({ shape: [data.length], data, as: 'int32' }) as const
  const one = (data: number) => ({ shape: [], data: [data], as: 'int32' }) as const
  const factor = { name: 'times', op: 'Mul', input: ['image', 'made'] }
  const cast = { name: 'made', op: 'Cast', input: ['k'], attr: { DstT: { type: 'DT_FLOAT' } } }
  it.each([
    [
      'a map padded by -Infinity as output',
      [{ name: 'p', op: 'PadV2', input: ['image', 'edges', 'low'] }],
      { edges: { shape: [4, 2], data: [0, 0, 1, 1, 1, 1, 0, 0], as: 'int32' }, low: { shape: [], data: [-3.4e38] } },
      /MaxPool behind padding/,
    ],
    [
      'parts of no number',
      [{ name: 'k', op: 'Split', input: ['axis', 'image'], attr: { num_split: { i: -1 } } }],
      { axis: one(3) },
      /num_split: expected 1 to 4096, got -1/,
    ],
    [
      'a repetition of less than nothing',
      [{ name: 'k', op: 'Tile', input: ['list', 'n'] }, cast, factor],
      { list: int32(1), n: int32(-1) },
      /multiples: expected 1 to 4096/,
    ],
    [
      'a repetition of too many',
      [{ name: 'l', op: 'Tile', input: ['list', 'n'] }, { name: 'k', op: 'Size', input: ['l'] }, cast, factor],
      { list: int32(1), n: int32(5000) },
      /multiples: expected 1 to 4096/,
    ],
    [
      'a filling of nothing',
      [{ name: 'k', op: 'Fill', input: ['list'] }, cast, factor],
      { list: int32(2) },
      /expected 2 inputs or more, got 1/,
    ],
    ...(
      [
        ['FloorDiv', 7, 0],
        ['Pow', 3, -1],
        ['Mul', 70000, 70000],
      ] as const
    ).map(
      ([op, a, b]) =>
        [
          `integers that ${op} makes none of 32 bits`,
          [{ name: 'k', op, input: ['a', 'b'] }, cast, factor],
          { a: one(a), b: one(b) },
          /expected integers of 32 bits/,
        ] as const,
    ),
    [
      'an axis that is none',
      [{ name: 'k', op: 'ExpandDims', input: ['list', 'axis'] }, cast, factor],
      { list: int32(1), axis: one(-9) },
      /axis: expected a place/,
    ],
  ] as const)('names %s', (_, nodes, weights, what) => {
    const { problems, message } = refusal(encodeGraph([4, 4, 2], nodes, weights))
    expect([message, ...problems].join(' ')).toMatch(what)
  })
})
