// The networks of the literature in their short form: every published or tabulated count, per layer where there is one.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { parseArchitecture } from '../../src/model/architecture.js'
import { countNetwork } from '../../src/model/count.js'
import type { Json } from '../../src/model/fields.js'
import { isActivation } from '../../src/model/layers.js'
import { parseReluSpec } from '../../src/model/relu-spec.js'

function vectors<T>(name: string): T[] {
  return JSON.parse(readFileSync(fileURLToPath(new URL(`../vectors/${name}.json`, import.meta.url)), 'utf8'))
}

function short(name: string, family: string, params: Json, shape?: readonly number[]) {
  const inputs = shape ? { inputs: [{ shape }] } : {}
  return parseArchitecture({ format: 'arch/1', name, family, params, ...inputs })
}

function summaryOf(arch: ReturnType<typeof parseArchitecture>) {
  const { relus, params, macs, maxPoolComparisons, reluLayers, layers } = countNetwork(arch)
  const reluPerLayer = layers.filter((layer) => layer.relus > 0).map((layer) => layer.relus)
  return { relus, params, macs, maxPoolComparisons, reluLayers, reluPerLayer }
}

interface Tabulated {
  name: string
  input: number[]
  classes: number
  relus: number
  publishedRelus: number | null
  params: number
  macs: number
  maxPoolComparisons: number
  reluLayers: number
  reluPerLayer: number[]
}

const CIFAR = { depth: 18, stem: 'cifar' }
const hrn = (...multipliers: number[]) => ['hybrenet', { width: 16, multipliers }] as const

/** Family and params of every network of the table; `numClasses` is the table's. */
const NETWORKS: Readonly<Record<string, readonly [string, Json]>> = {
  'resnet18-cifar': ['resnet', CIFAR],
  'resnet18-cifar-nostemrelu': ['resnet', { ...CIFAR, stemRelu: false }],
  'resnet18-64px': ['resnet', CIFAR],
  'resnet34-cifar': ['resnet', { ...CIFAR, depth: 34 }],
  'resnet9-cifar-snl': ['resnet', { block: 'basic', blocks: [1, 1, 1, 1], stem: 'cifar', stemRelu: false }],
  'wrn-22-8-cifar': ['wrn', { depth: 22, widen: 8 }],
  'wrn-22-8-cifar-nofinalrelu': ['wrn', { depth: 22, widen: 8, finalRelu: false }],
  'wrn-22-8-64px': ['wrn', { depth: 22, widen: 8 }],
  'wrn-16-8-cifar': ['wrn', { depth: 16, widen: 8 }],
  'resnet20-cifar10': ['resnet-cifar', { depth: 20 }],
  'resnet32-cifar10': ['resnet-cifar', { depth: 32 }],
  'resnet44-cifar10': ['resnet-cifar', { depth: 44 }],
  'resnet56-cifar10': ['resnet-cifar', { depth: 56, option: 'A' }],
  'resnet32-64px': ['resnet-cifar', { depth: 32 }],
  'vgg16-cifar': ['vgg', { depth: 16 }],
  'vgg16-cifar-1fc': ['vgg', { depth: 16, hidden: [] }],
  'vgg16-64px': ['vgg', { depth: 16 }],
  'resnet18-imagenet': ['resnet', { depth: 18 }],
  'resnet34-imagenet': ['resnet', { depth: 34 }],
  'resnet50-imagenet-maxpool': ['resnet', { depth: 50 }],
  'resnet50-imagenet-avgpool': ['resnet', { depth: 50, stemPool: 'avg' }],
  'mobilenetv2-imagenet': ['mobilenetv2', {}],
  deeplabv3_mobilenetv2_ade20k: ['deeplabv3', { backbone: 'mobilenetv2' }],
  deeplabv3_resnet50_voc: ['deeplabv3', { backbone: 'resnet50' }],
  'hrn-5x5x3x-m16': hrn(5, 5, 3),
  'hrn-5x7x2x-m16': hrn(5, 7, 2),
  'hrn-6x6x2x-m16': hrn(6, 6, 2),
  'hrn-7x5x2x-m16': hrn(7, 5, 2),
  'hrn-2x5x3x-m16': hrn(2, 5, 3),
}

describe('29 networks', () => {
  const table = vectors<Tabulated>('networks')

  test('all of the table are here', () => {
    expect(Object.keys(NETWORKS).sort()).toEqual(table.map(({ name }) => name).sort())
    expect(table).toHaveLength(29)
  })

  test.each(table)('$name: ReLUs per layer, parameters, multiplications, max-pool comparisons', (row) => {
    const [family, params] = NETWORKS[row.name]
    const arch = short(row.name, family, { ...params, numClasses: row.classes }, row.input)
    const { name, input, classes, publishedRelus, ...counts } = row
    expect(summaryOf(arch)).toEqual(Object.fromEntries(Object.entries(counts).filter(([key]) => key !== 'definition')))
    if (publishedRelus !== null) expect(counts.relus).toBe(publishedRelus)
    expect(arch.inputs[0].shape).toEqual(input)
  })
})

describe('CryptoNAS', () => {
  interface Cnet {
    name: string
    width: number
    kernel: number[]
    skips: number[][]
    relus: number
    params: number
    macs: number
    publishedRelus: string
  }
  const table = vectors<Cnet>('cryptonas')
  const classes = (name: string) => Number(/^cifar(\d+)_/.exec(name)?.[1])

  test('six networks', () => expect(table).toHaveLength(6))

  test.each(table)('$name: ReLUs, parameters, multiplications', ({ name, width, kernel, skips, ...counts }) => {
    const params = { width, kernels: kernel, skips, numClasses: classes(name) }
    const arch = short(name, 'cryptonas', params)
    const { relus, params: count, macs } = summaryOf(arch)
    expect({ relus, params: count, macs }).toEqual({ relus: counts.relus, params: counts.params, macs: counts.macs })
    expect(relus).toBe(kernel.length * width * 1024)
    expect(`${Math.floor(relus / 1000)}K`).toBe(counts.publishedRelus)
    const perLayer = summaryOf(arch).reluPerLayer
    expect(perLayer).toEqual(kernel.map(() => width * 1024))
  })

  test.each(table)('$name: the published arc text makes the same layers', ({ name, width, kernel, skips }) => {
    const arc = kernel.map((k, i) => [k === 3 ? 0 : 2, ...skips[i]].join(' ')).join('\n')
    const numClasses = classes(name)
    const fromArc = short(name, 'cryptonas', { width, arc, numClasses })
    expect(fromArc.layers).toEqual(short(name, 'cryptonas', { width, kernels: kernel, skips, numClasses }).layers)
  })
})

describe('secure_inference', () => {
  interface Published {
    name: string
    input: number[]
    relus: number
    channels: number
    layers: [string, number[], number][]
    uniformBlockDReLUs: Record<string, number>
  }
  const table = vectors<Published>('secure-inference')
  const params: Readonly<Record<string, readonly [string, Json]>> = {
    resnet50_imagenet: ['resnet', { depth: 50, stemPool: 'avg', numClasses: 1000 }],
    resnet18_cifar100: ['resnet', { depth: 18, stem: 'cifar', numClasses: 100 }],
    // The table has only its layers; this is a network that has them.
    resnet18_cifar100_lightweight: [
      'resnet',
      { depth: 18, stem: 'cifar', stemStride: 2, widths: [32, 64, 128, 256], numClasses: 100 },
    ],
    deeplabv3_mobilenetv2_ade20k: ['deeplabv3', { backbone: 'mobilenetv2', numClasses: 150 }],
    deeplabv3_resnet50_voc: ['deeplabv3', { backbone: 'resnet50', numClasses: 21 }],
  }

  test('five networks', () => expect(table.map(({ name }) => name)).toEqual(Object.keys(params)))

  test.each(table)('$name: every layer by its published name, in order', ({ name, input, ...published }) => {
    const arch = short(name, ...params[name], input)
    const layers = arch.layers.filter(isActivation)
    expect(layers.map((l) => [l.specName, l.out, l.out[0] * l.out[1] * l.out[2]])).toEqual(published.layers)
    expect(countNetwork(arch).relus).toBe(published.relus)
    expect(layers.reduce((sum, layer) => sum + layer.out[0], 0)).toBe(published.channels)
  })

  test.each(table)('$name: comparisons left by one block size everywhere', ({ name, input, ...published }) => {
    const arch = short(name, ...params[name], input)
    for (const [size, drelus] of Object.entries(published.uniformBlockDReLUs)) {
      const block = size.split('x').map(Number)
      const layers = Object.fromEntries(
        published.layers.map(([layer, shape]) => [
          layer,
          { kind: 'block', palette: [block], index: Array<number>(shape[0]).fill(0) },
        ]),
      )
      expect([size, parseReluSpec({ format: 'relu-spec/1', layers }, arch).drelus]).toEqual([size, drelus])
    }
  })
})
