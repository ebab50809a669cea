import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { expandArchitecture, parseArchitecture } from '../../src/model/architecture.js'
import { countNetwork } from '../../src/model/count.js'
import { withKeptBranches } from '../../src/model/families/seesaw/pruned.js'
import { publishedSeesaw } from '../../src/model/families/seesaw/published.js'
import type { Json } from '../../src/model/json/fields.js'
import type { Layer } from '../../src/model/layers/layers.js'
import { parametersOf } from '../../src/model/parameters.js'
import type { Tensor } from '../../src/model/safetensors.js'
import { elementCount } from '../../src/model/shape.js'
import { bindWeights } from '../../src/model/weights.js'
import { processorMs } from '../fixtures/clock.js'

const read = (path: string) => JSON.parse(readFileSync(new URL(`../vectors/${path}`, import.meta.url), 'utf8'))
interface Model {
  model: string
  dataset: 'cifar' | 'imagenet'
  blockConfig: number[]
  layerKeys: number
  sampleLayerShapePerStage: number[][]
  sampleReLUPerLayer: number[]
  aggregateReLU: number[]
  maxReLUs: number
}
interface Row {
  printed: string
  model: string
  choices: string
  publishedRelus: number
  relus: number
  match: boolean
  isTypo: boolean
  reluLayers: [string, number][]
  maxPoolComparisons: number
  params27: number
  params10: number
  macs27: number
  macs10: number
}
interface Vectors {
  models: Model[]
  ops27: string[]
  ops10: string[]
  /** Step: op, then kernel, padding, dilation and groups as far as the op has them. */
  ops: Record<string, { steps: unknown[][]; suffixes: string[] }>
  architectures: Row[]
}
const vectors: Vectors = read('seesaw.json')
const tiny = read('examples/seesaw-tiny-expanded.arch.json')

const bitsOf = (bits: string) => Object.fromEntries([...bits].map((bit, i) => [`default_${i + 1}`, Number(bit)]))
const ones = (count: number) => bitsOf('1'.repeat(count))

function short(params: object, choices: object, rest: object = {}): Json {
  return { format: 'arch/1', name: 'net', family: 'seesaw', params, choices, ...rest }
}

/** One stage of one sample layer with the given ops, over maps of 8x8. */
function single(params: object, rest: object = {}): Json {
  const inputs = [{ name: 'x', shape: [3, 8, 8] }]
  return short({ dataset: 'cifar', blockConfig: [1], numClasses: 10, ...params }, ones(1), { inputs, ...rest })
}

function failure(run: () => unknown): RingfenceError {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(RingfenceError)
    return error as RingfenceError
  }
  throw new Error('expected an error')
}

describe('the named models', () => {
  it.each(vectors.models)('$model: shapes and the most ReLUs', (m) => {
    const arch = parseArchitecture(short({ model: m.model, ops: 10 }, ones(m.layerKeys)))
    const config = { dataset: m.dataset, blockConfig: m.blockConfig, ops: vectors.ops10 }
    expect(parseArchitecture(short(config, ones(m.layerKeys))).layers).toEqual(arch.layers)
    const counts = countNetwork(arch)
    expect(counts.relus).toBe(m.maxReLUs)
    const countOf = new Map(counts.layers.map((layer) => [layer.id, layer.relus]))
    m.blockConfig.forEach((count, stage) => {
      for (let j = 1; j <= count; j++) {
        const id = `samples.${stage}.samplelayer${j}`
        expect(arch.byId.get(`${id}.sum`)!.out).toEqual(m.sampleLayerShapePerStage[stage])
        expect(countOf.get(`${id}.nonlinear`)).toBe(m.sampleReLUPerLayer[stage])
      }
      expect(countOf.get(`aggeregate.${stage}.nonlinear.1`)).toBe(m.aggregateReLU[stage])
    })
    expect(arch.byId.get('classifier')!.out).toEqual([m.dataset === 'cifar' ? 100 : 1000])
  })
})

describe('the 13 published architectures', () => {
  it.each(vectors.architectures)('$printed, $publishedRelus ReLUs', (a) => {
    for (const ops of [27, 10]) {
      const arch = parseArchitecture(short({ model: a.model, ops }, bitsOf(a.choices)))
      const counts = countNetwork(arch)
      const { relus, maxPoolComparisons } = a
      const sizes = ops === 27 ? { params: a.params27, macs: a.macs27 } : { params: a.params10, macs: a.macs10 }
      expect(counts).toMatchObject({ relus, maxPoolComparisons, drelus: relus, clipComparisons: 0, ...sizes })
      expect(counts.layers.filter((l) => l.relus > 0).map((l) => [l.id, l.relus])).toEqual(a.reluLayers)
      const published = publishedSeesaw(arch)!
      expect(published).toMatchObject({ relus: a.publishedRelus, match: a.match })
      expect(published.note !== undefined).toBe(a.isTypo || !a.match)
    }
  })

  it('12 counts match; what is odd about two of them is said', () => {
    const published = vectors.architectures.map((a) =>
      publishedSeesaw(parseArchitecture(short({ model: a.model, ops: ['none'] }, bitsOf(a.choices)))),
    )
    expect(published.filter((p) => p?.match)).toHaveLength(12)
    const notes = published.flatMap((p) => p?.note ?? [])
    expect(notes).toEqual([
      'printed as cifarsupermodel16, which has 8 keys; its 16 keys and its count are those of cifarsupermodel50',
      'the published count leaves out the 28672 ReLUs of the aggregate blocks',
    ])
  })

  it('another choice, another input or another family was never published', () => {
    const changed = short({ model: 'cifarsupermodel50', ops: 10 }, bitsOf('0000000000000010'))
    expect(publishedSeesaw(parseArchitecture(changed))).toBeUndefined()
    const small = short({ model: 'cifarsupermodel50', ops: 10 }, bitsOf('0000000000000001'), {
      inputs: [{ shape: [3, 16, 16] }],
    })
    expect(publishedSeesaw(parseArchitecture(small))).toBeUndefined()
    expect(publishedSeesaw(parseArchitecture(read('examples/resnet20-cifar10.arch.json')))).toBeUndefined()
  })

  it('the example in the short form is one of them, and so is its expansion', () => {
    const file = read('examples/seesaw-cifar50-36864.arch.json')
    const arch = parseArchitecture(file)
    expect(arch.family).toBe('seesaw')
    expect(publishedSeesaw(arch)).toEqual({ relus: 36864, match: true })
    const again = parseArchitecture(JSON.stringify(expandArchitecture(file)))
    expect(again).toEqual(arch)
    expect(publishedSeesaw(again)).toEqual({ relus: 36864, match: true })
  })

  it('a supernet of 386 million parameters is counted without allocating them', () => {
    const file = short({ model: 'supermodel50' }, ones(16))
    parseArchitecture(file)
    const start = processorMs()
    expect(countNetwork(parseArchitecture(file)).params).toBe(386_657_601)
    expect(processorMs() - start).toBeLessThan(1000)
  })
})

describe('the sample operations', () => {
  const branch = (op: string) => {
    const { layers } = parseArchitecture(single({ ops: [op] }))
    return layers.filter(({ id }) => id.startsWith('samples.0.samplelayer1.paths.'))
  }

  const described = (layer: Layer) => {
    if (layer.op === 'conv2d') {
      expect(layer).toMatchObject({
        cout: 64,
        stride: [1, 1],
        bias: false,
        pad: [...layer.pad.slice(0, 2), ...layer.pad.slice(0, 2)],
      })
      return ['conv2d', layer.kernel, layer.pad.slice(0, 2), layer.dilation, layer.groups === 64 ? 'C' : layer.groups]
    }
    if (layer.op === 'avgPool') {
      expect(layer).toMatchObject({ stride: [1, 1], countPad: false, ceil: false })
      return ['avgPool', layer.kernel, layer.pad.slice(0, 2)]
    }
    return [layer.op]
  }

  it('are 27, and 10 in the older code', () => {
    const opsOf = (ops: number) => {
      const { layers } = parseArchitecture(single({ ops }))
      const sum = layers.find((layer) => layer.op === 'weightedSum')!
      return sum.in.length
    }
    expect([opsOf(27), opsOf(10)]).toEqual([27, 10])
    expect(expandArchitecture(single({}))).toEqual(expandArchitecture(single({ ops: vectors.ops27 })))
    expect(expandArchitecture(single({ ops: 10 }))).toEqual(expandArchitecture(single({ ops: vectors.ops10 })))
    expect(Object.keys(vectors.ops).sort()).toEqual([...vectors.ops27].sort())
  })

  it.each(Object.entries(vectors.ops))('%s', (op, { steps, suffixes }) => {
    const layers = branch(op)
    expect(layers.map(described)).toEqual(steps)
    const front = 'samples.0.samplelayer1.paths.0.0'
    const ids = suffixes.map((suffix) => (suffix ? `${front}.${suffix.slice(0, -1)}` : front))
    expect(layers.map(({ id }) => id)).toEqual(ids)
    for (const layer of layers) expect(layer.out).toEqual([64, 8, 8])
    const outside = 'samples.0.upsamplelayer.1'
    expect(layers.map((layer) => layer.in)).toEqual([outside, ...ids].slice(0, ids.length).map((id) => [id]))
  })
})

describe('the layers', () => {
  it('are those of the expanded example, one by one', () => {
    const ops = ['skip_connect', 'conv_3x3', 'sep_conv_3x3', 'dil_conv_3x3', 'conv_3x1_1x3', 'avg_pool_3x3']
    const params = { dataset: 'cifar', blockConfig: [1, 1], numClasses: 10, ops }
    const file = short(params, tiny.choices, { name: tiny.name, inputs: tiny.inputs, expect: tiny.expect })
    const { layers, family, ...rest } = expandArchitecture(file)
    expect(layers).toEqual(tiny.layers.map(({ out, ...layer }: Json) => layer))
    expect({ layers: tiny.layers, ...rest }).toEqual(tiny)
    expect(family).toBe('seesaw')
    expect(parseArchitecture(file)).toEqual({ ...parseArchitecture(tiny), family })
  })

  it('find their tensors under the names of a state dict', () => {
    const file = single({ blockConfig: [1, 1], ops: ['van_conv_3x3', 'conv_1x1', 'skip_connect'] })
    const arch = parseArchitecture({ ...file, choices: ones(2) })
    const bn = (name: string) => ['weight', 'bias', 'running_mean', 'running_var'].map((t) => `${name}.${t}`)
    const stage = (i: number) => [
      `samples.${i}.upsamplelayer.0.weight`,
      `samples.${i}.upsamplelayer.0.bias`,
      ...bn(`samples.${i}.upsamplelayer.1`),
      ...[0, 2].flatMap((k) => [
        `samples.${i}.samplelayer1.paths.0.0.net.${k}.weight`,
        ...bn(`samples.${i}.samplelayer1.paths.0.0.net.${k + 1}`),
      ]),
      `samples.${i}.samplelayer1.paths.1.0.0.weight`,
      ...bn(`samples.${i}.samplelayer1.paths.1.0.1`),
      `samples.${i}.samplelayer1.alpha`,
    ]
    const names = [
      'features.conv0.weight',
      ...bn('features.norm0'),
      ...stage(0),
      ...[0, 1].flatMap((m) => [`aggeregate.0.layers.${m}.0.weight`, ...bn(`aggeregate.0.layers.${m}.1`)]),
      'aggeregate.0.alpha',
      ...stage(1),
      'classifier.weight',
      'classifier.bias',
    ]
    const shapes = arch.layers.flatMap((layer) => parametersOf(layer).map(({ shape }) => shape))
    expect(shapes).toHaveLength(names.length)
    const tensors = new Map(
      names.map((name, i): [string, Tensor] => {
        const data = new Float32Array(elementCount(shapes[i])).fill(1)
        return [name, { dtype: 'F32', shape: shapes[i], data } as Tensor]
      }),
    )
    const weights = bindWeights(arch, tensors)
    expect(weights.get('samples.0.samplelayer1.sum')!.coef).toHaveLength(3)
    expect(weights.get('aggeregate.0.sum')!.coef).toHaveLength(2)
  })
})

describe('a pruned supernet', () => {
  const ops = ['none', 'skip_connect', 'conv_3x3', 'sep_conv_5x5', 'van_conv_3x3']

  it('keeps the places of its zero branches in the softmax', () => {
    const arch = parseArchitecture(single({ ops, kept: [['skip_connect', 'sep_conv_5x5']] }))
    const sum = arch.byId.get('samples.0.samplelayer1.sum')!
    expect(sum.in.map((id) => arch.byId.get(id)!.op)).toEqual(['zero', 'identity', 'zero', 'batchNorm', 'zero'])
    expect(sum.in[2]).toBe('samples.0.samplelayer1.paths.2.0')
    expect(parametersOf(sum)[0].shape).toEqual([5])
  })

  it('is told from the tensors that a checkpoint has', () => {
    const file = single({ ops, blockConfig: [1, 2] })
    const names = [
      'module.samples.0.samplelayer1.paths.2.0.0.weight',
      'samples.1.samplelayer1.paths.4.0.net.2.weight',
      'samples.1.samplelayer2.paths.3.0.5.running_var',
      'samples.1.samplelayer20.paths.2.0.0.weight',
      'samples.1.samplelayer2.alpha',
    ]
    const free = ['none', 'skip_connect']
    const kept = [
      [...free, 'conv_3x3'],
      [...free, 'van_conv_3x3'],
      [...free, 'sep_conv_5x5'],
    ]
    expect(withKeptBranches(file, names).params).toEqual({ ...(file.params as Json), kept })
    const dropped = { ...(file.params as Json), kept: [[], ['van_conv_3x3'], ['skip_connect']] }
    const again = withKeptBranches({ ...file, params: dropped }, names).params as Json
    expect(again.kept).toEqual([[], ['van_conv_3x3'], ['skip_connect']])
  })

  it('a faulty list is reported with its place', () => {
    const list = failure(() => parseArchitecture(single({ ops, kept: [['conv_3x3'], []] })))
    expect(list.problems).toEqual(['params: kept: expected 1 lists of op names, one per sample layer, got 2 entries'])
    const name = failure(() => parseArchitecture(single({ ops, kept: [['conv_7x7']] })))
    expect(name.problems[0]).toMatch(/^params: kept\[0\]: .*conv_7x7/)
    const file = single({ ops: ['nothing'] })
    expect(withKeptBranches(file, [])).toBe(file)
  })
})
