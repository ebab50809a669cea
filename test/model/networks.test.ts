import { describe, expect, it } from 'vitest'
import { parseArchitecture } from '../../src/model/architecture.js'
import { countNetwork } from '../../src/model/count.js'
import { readSafetensors, writeSafetensors } from '../../src/model/safetensors.js'
import { bindWeights, namedTensors } from '../../src/model/weights.js'
import { calibrate } from '../../src/plan/calibrate.js'
import { randomWeights, resnet18Cifar100 } from '../fixtures/networks.js'

const arch = parseArchitecture(resnet18Cifar100())

describe('ResNet-18 for CIFAR-100', () => {
  it('has the published counts', () => {
    const counts = countNetwork(arch)
    expect(counts).toMatchObject({ relus: 557_056, reluLayers: 17, params: 11_220_132, macs: 555_468_800 })
    const perLayer = counts.layers.map((layer) => layer.relus).filter((relus) => relus > 0)
    const stages = [65536, 65536, 65536, 65536, 65536, 32768, 32768, 32768, 32768, 16384, 16384, 16384, 16384]
    expect(perLayer).toEqual([...stages, 8192, 8192, 8192, 8192])
  })

  it('random weights are the same for the same seed, and keep values within 16', () => {
    const weights = randomWeights(arch, 1)
    expect(randomWeights(arch, 1).get('fc')!.bias).toEqual(weights.get('fc')!.bias)
    expect(randomWeights(arch, 2).get('conv1')).not.toEqual(weights.get('conv1'))
    const inputs = [1, 2].map((k) => Float32Array.from({ length: 3072 }, (_, i) => 2 * Math.sin(i * k * 1.7 + k)))
    const { maxAbs } = calibrate(arch, weights, undefined, inputs)
    for (const [id, value] of Object.entries(maxAbs)) {
      expect(value, id).toBeLessThan(16)
      expect(value, id).toBeGreaterThan(0.5)
    }
    const file = writeSafetensors(namedTensors(arch, weights))
    expect(bindWeights(arch, readSafetensors(file)).get('fc')!.bias).toEqual(weights.get('fc')!.bias)
  })
})
