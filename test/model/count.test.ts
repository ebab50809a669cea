import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { countNetwork } from '../../src/model/count.js'
import { parseReluSpec } from '../../src/model/relu/spec.js'

const inputs = [{ name: 'x', shape: [2, 4, 4] }]
const clip = { op: 'clip', min: 0, max: 6 }

function network(layers: object[], rest: object = {}) {
  const named = layers.map((layer, i) => ({ id: `l${i}`, in: [i === 0 ? 'x' : `l${i - 1}`], ...layer }))
  return { format: 'arch/1', name: 'net', inputs, outputs: [`l${layers.length - 1}`], layers: named, ...rest }
}

const specOf = (layers: object) => ({ format: 'relu-spec/1', layers })

describe('comparisons', () => {
  it('a clip has two bounds, and so two comparisons per element; a ReLU is no clip', () => {
    const counts = countNetwork(parseArchitecture(network([clip, { op: 'relu' }])))
    expect(counts).toMatchObject({ relus: 64, drelus: 64, clipComparisons: 64, maxPoolComparisons: 0, reluLayers: 2 })
    expect(counts.layers.map((layer) => layer.clipComparisons)).toEqual([64, 0])
  })

  it('a ReLU spec leaves a clip two comparisons per decision', () => {
    const arch = parseArchitecture(network([clip, clip, clip, { op: 'relu' }]))
    const blocks = [
      [2, 2],
      [4, 4],
    ]
    const spec = parseReluSpec(specOf({ l0: { kind: 'identity' }, l1: { kind: 'block', blocks } }), arch)
    const counts = countNetwork(arch, spec)
    expect(counts.layers.map((layer) => layer.drelus)).toEqual([0, 5, 32, 32])
    expect(counts.layers.map((layer) => layer.clipComparisons)).toEqual([0, 10, 64, 0])
    expect(counts).toMatchObject({ relus: 128, drelus: 69, clipComparisons: 74 })
  })

  it('a chosen clip or max pool counts as one', () => {
    const pool = { op: 'maxPool', kernel: [1, 1] }
    const of = [clip, { op: 'relu' }, { op: 'identity' }, pool]
    const layers = [0, 1, 2, 3].map((k) => ({ op: 'choice', key: `k${k}`, of }))
    const choices = { k0: 0, k1: 1, k2: 2, k3: 3 }
    const counts = countNetwork(parseArchitecture(network(layers, { choices })))
    expect(counts.layers.map((layer) => [layer.relus, layer.clipComparisons])).toEqual([
      [32, 64],
      [32, 0],
      [0, 0],
      [0, 0],
    ])
  })

  it('a file may expect them', () => {
    expect(parseArchitecture(network([clip], { expect: { clipComparisons: 64 } })).layers).toHaveLength(1)
    expect(() => parseArchitecture(network([clip], { expect: { clipComparisons: 32 } }))).toThrow(RingfenceError)
  })

  it('of ProxylessNAS are two per ReLU6 element', () => {
    const file = new URL('../vectors/examples/proxyless-w0.25-r112.arch.json', import.meta.url)
    const counts = countNetwork(parseArchitecture(readFileSync(file, 'utf8')))
    expect(counts.relus).toBeGreaterThan(100_000)
    expect(counts.clipComparisons).toBe(2 * counts.relus)
  })
})

describe('a Seesaw network under a ReLU spec', () => {
  const params = { model: 'cifarsupermodel26', ops: ['conv_3x3'] }
  const choices = { default_1: 1, default_2: 0, default_3: 1, default_4: 1 }
  const arch = parseArchitecture({ format: 'arch/1', name: 's', family: 'seesaw', params, choices })

  it('counts the decisions of chosen and of aggregate ReLUs', () => {
    const layers = {
      'samples.0.samplelayer1.nonlinear': { kind: 'block', blocks: Array(64).fill([4, 4]) },
      'aggeregate.0.nonlinear.1': { kind: 'zero' },
    }
    const counts = countNetwork(arch, parseReluSpec(specOf(layers), arch))
    expect(counts).toMatchObject({ relus: 65536 + 16384 + 2 * 32768, drelus: 4096 + 2 * 32768 })
  })

  it('has no ReLU to speak of where the identity was chosen', () => {
    const layers = { 'samples.0.samplelayer2.nonlinear': { kind: 'zero' } }
    expect(() => parseReluSpec(specOf(layers), arch)).toThrow('expected a relu of network "s", but this is a choice')
  })
})
