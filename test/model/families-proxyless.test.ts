// ProxylessNAS from its published configuration: counts, names, and what a damaged configuration gets to hear.
import { describe, expect, test } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { countNetwork } from '../../src/model/count.js'
import { proxylessArchitecture } from '../../src/model/families/proxyless.js'
import type { Json } from '../../src/model/json/fields.js'
import { configOf, identity, type ProxylessRow } from '../fixtures/literature.js'
import { committedJson, sharedFile } from '../fixtures/reference-files.js'

const table = committedJson('test/vectors/proxylessnas.json') as ProxylessRow[]

const read = (config: unknown) => parseArchitecture(proxylessArchitecture(config as Json))

describe('six networks', () => {
  test('are in the table', () => expect(table).toHaveLength(6))

  test.each(table)('$name: ReLU6 per layer, blocks, parameters, multiplications', (net) => {
    const arch = read(configOf(net))
    expect(arch.inputs[0].shape).toEqual(net.input)
    const counts = countNetwork(arch)
    const perLayer = counts.layers.filter((layer) => layer.relus > 0)
    expect(counts).toMatchObject({ relus: net.relu6, params: net.params, macs: net.macs, maxPoolComparisons: 0 })
    expect(counts.clipComparisons).toBe(2 * net.relu6)
    expect(perLayer.map((layer) => layer.relus)).toEqual(net.reluPerLayer)
    expect(perLayer.every((layer) => layer.op === 'clip')).toBe(true)
    const out = (i: number) => arch.byId.get(`blocks.${i}.mobile_inverted_conv.point_linear.bn`)?.out
    expect(net.blocks.map((_, i) => out(i))).toEqual(net.blocks.map((block) => block.out))
    expect(net.blocks.map((_, i) => arch.byId.has(`blocks.${i}.add`))).toEqual(net.blocks.map(({ skip }) => skip))
  })
})

describe('the configuration as a file', () => {
  test('is known by its name and needs no format; an arch/1 file is none', () => {
    expect(proxylessArchitecture({ format: 'arch/1', name: 'ProxylessNASNets', blocks: [] })).toBeUndefined()
    expect(proxylessArchitecture({ name: 'ProxylessNASNets' })).toBeUndefined()
    expect(proxylessArchitecture({ name: 'other', blocks: [] })).toBeUndefined()
    expect(proxylessArchitecture(configOf(table[5]))).toMatchObject({ name: 'proxyless-r112', family: 'proxyless' })
  })

  const text = sharedFile('models/proxyless-w0.25-r112_imagenet.json')
  const why = text ? '' : ' (skipped: no ../shared)'
  test.skipIf(!text)(`a published one makes the layers of its explicit file${why}`, () => {
    const arch = read(JSON.parse(new TextDecoder().decode(text)))
    const explicit = parseArchitecture(committedJson('test/vectors/examples/proxyless-w0.25-r112.arch.json'))
    expect(arch.layers).toEqual(explicit.layers)
    expect(arch.weights).toEqual(explicit.weights)
    expect(arch.inputs).toEqual(explicit.inputs)
  })

  test('a zero block is its shortcut and keeps its place among the names', () => {
    const config = configOf(table[5])
    const zero = { name: 'MobileInvertedResidualBlock', mobile_inverted_conv: { name: 'ZeroLayer', stride: 1 } }
    config.blocks.splice(3, 0, { ...zero, shortcut: identity(8) } as never)
    const arch = read(config)
    expect(arch.byId.has('blocks.3.mobile_inverted_conv.depth_conv.conv')).toBe(false)
    const next = arch.byId.get('blocks.4.mobile_inverted_conv.inverted_bottleneck.conv')
    expect(next?.in).toEqual(['blocks.2.add'])
    expect(countNetwork(arch).params).toBe(table[5].params)
  })
})

test('fields of later versions are read where they change nothing, and named where they would', () => {
  const good = configOf(table[5])
  const neutral = { use_se: false, ws_eps: null, mid_channels: null }
  const withFields = (layer: Json, conv: Json): Json => ({
    ...good,
    bn: { ...good.bn, ws_eps: null },
    first_conv: { ...good.first_conv, ...layer },
    blocks: good.blocks.map((block) => {
      const isConv = block.mobile_inverted_conv.name === 'MBInvertedConvLayer'
      return { ...block, mobile_inverted_conv: { ...block.mobile_inverted_conv, ...(isConv ? conv : {}) } }
    }),
  })
  expect(read(withFields(neutral, { ...neutral, act_func: 'relu6' })).layers).toEqual(read(good).layers)
  const { problems } = thrownBy(() => read(withFields({ use_se: true }, { act_func: 'h_swish', ws_eps: 1e-5 })))
  expect(problems).toContainEqual(expect.stringMatching(/first_conv: use_se: expected false, got true/))
  expect(problems).toContainEqual(expect.stringMatching(/blocks\[0\].*act_func: expected "relu6", got "h_swish"/))
  expect(problems).toContainEqual(expect.stringMatching(/blocks\[0\].*ws_eps: expected null, got 0.00001/))
})

test('every fault of a configuration is reported at once', () => {
  const good = configOf(table[5])
  const wrong: Record<number, Json> = {
    0: { in_channels: 12 },
    1: { kernel_size: 4 },
    2: { expand_ratio: 1e9 },
    4: { se: true },
  }
  const blocks: Json[] = good.blocks.map((block, i) => ({
    ...block,
    mobile_inverted_conv: { ...block.mobile_inverted_conv, ...wrong[i] },
  }))
  blocks[3] = { ...blocks[3], mobile_inverted_conv: { name: 'ZeroLayer' }, shortcut: null }
  blocks[5] = { ...blocks[5], shortcut: identity(99) }
  blocks[6] = { ...blocks[6], mobile_inverted_conv: undefined }
  const config = {
    ...good,
    blocks,
    bn: { momentum: 0.1, eps: -1 },
    first_conv: { ...good.first_conv, act_func: 'h_swish', has_shuffle: true },
    classifier: { ...good.classifier, out_features: 'many' },
    resolution: 1e6,
    extra: 1,
  }
  const error = thrownBy(() => read(config))
  expect(error.code).toBe('BAD_FILE')
  const expected = [
    /bn: eps/,
    /first_conv: act_func/,
    /first_conv: has_shuffle: expected false, got true/,
    /blocks\[0\]: mobile_inverted_conv: in_channels: expected 8, which the layer before gives, got 12/,
    /blocks\[1\]: mobile_inverted_conv: kernel_size: expected an odd kernel, got 4/,
    /blocks\[2\]: mobile_inverted_conv: expand_ratio/,
    /blocks\[3\]: shortcut: expected an IdentityLayer beside a ZeroLayer/,
    /blocks\[4\]: mobile_inverted_conv: unknown field "se"/,
    /blocks\[5\]: shortcut: in_channels/,
    /blocks\[6\]: mobile_inverted_conv: expected an object, got nothing/,
    /classifier: out_features/,
    /resolution/,
    /unknown field "extra"/,
  ]
  for (const pattern of expected) expect(error.problems).toContainEqual(expect.stringMatching(pattern))
  expect(error.problems).toHaveLength(expected.length)
})

function thrownBy(run: () => unknown): RingfenceError {
  try {
    run()
  } catch (error) {
    if (error instanceof RingfenceError) return error
    throw error
  }
  throw new Error('expected an error, got none')
}
