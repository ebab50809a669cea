// The networks of the literature in their short form: every published or tabulated count, per layer where there is one.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { parseArchitecture } from '../../src/model/architecture.js'
import { countNetwork } from '../../src/model/count.js'
import type { Json } from '../../src/model/json/fields.js'
import { isActivation } from '../../src/model/layers/layers.js'
import { parseReluSpec } from '../../src/model/relu/spec.js'
import { cnetClasses, literature, NETWORKS, SECURE_INFERENCE } from '../fixtures/literature.js'

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

test('the literature is 59 networks, each by a name of its own', () => {
  const names = literature().map(({ name }) => name)
  expect([names.length, new Set(names).size]).toEqual([59, 59])
})

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

  test('six networks', () => expect(table).toHaveLength(6))

  test.each(table)('$name: ReLUs, parameters, multiplications', ({ name, width, kernel, skips, ...counts }) => {
    const params = { width, kernels: kernel, skips, numClasses: cnetClasses(name) }
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
    const numClasses = cnetClasses(name)
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
  test('five networks', () => expect(table.map(({ name }) => name)).toEqual(Object.keys(SECURE_INFERENCE)))

  test.each(table)('$name: every layer by its published name, in order', ({ name, input, ...published }) => {
    const arch = short(name, ...SECURE_INFERENCE[name], input)
    const layers = arch.layers.filter(isActivation)
    expect(layers.map((l) => [l.specName, l.out, l.out[0] * l.out[1] * l.out[2]])).toEqual(published.layers)
    expect(countNetwork(arch).relus).toBe(published.relus)
    expect(layers.reduce((sum, layer) => sum + layer.out[0], 0)).toBe(published.channels)
  })

  test.each(table)('$name: comparisons left by one block size everywhere', ({ name, input, ...published }) => {
    const arch = short(name, ...SECURE_INFERENCE[name], input)
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
