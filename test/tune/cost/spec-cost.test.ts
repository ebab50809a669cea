// Costs as sums over layers and channels, against predictions of whole specs.
import { describe, expect, it } from 'vitest'
import { parseArchitecture } from '../../../src/model/architecture.js'
import type { Pair } from '../../../src/model/layers/layers.js'
import { parseReluSpec } from '../../../src/model/relu/spec.js'
import { networkProfiles } from '../../../src/net/index.js'
import { predict } from '../../../src/tune/cost/predict.js'
import { shapePlan } from '../../../src/tune/cost/shape-plan.js'
import { onlineBytes, predictedCosts } from '../../../src/tune/cost/spec-cost.js'
import { activationLayers, type DistortionTable } from '../../../src/tune/distortion/table.js'
import { committedJson } from '../../fixtures/reference-files.js'

const arch = parseArchitecture(committedJson('models/mnist-cnn3/arch.json'))
const layers = activationLayers(arch)
const blocks: readonly Pair[] = [
  [1, 1],
  [1, 2],
  [2, 2],
  [4, 4],
  [0, 1],
  [1, 0],
]
/** Which candidates there are is all that costs need of a table. */
const table: DistortionTable = {
  format: 'distortion/1',
  network: arch.name,
  images: 1,
  layers: new Map(layers.map(({ id, out }) => [id, { shape: out, blocks, values: new Float64Array(0) }])),
}
const network = { profile: networkProfiles.wan60 }

/** A choice for every channel that no regularity hides anything in. */
const chosen = (seed: number) =>
  layers.map(({ out }) => Array.from({ length: out[0] }, (_, c) => blocks[(c * c + seed * c + seed) % blocks.length]))

describe.each(['mcc', 'securenn'] as const)('costs on %s', (backend) => {
  it.each(['bytes', 'seconds'] as const)('%s add up to what is predicted for a whole spec', async (unit) => {
    const cost = await predictedCosts(arch, table, { unit, network, compile: { backend } })
    for (const seed of [1, 2, 3]) {
      const choice = chosen(seed)
      const entries = layers.map(({ id }, l) => [id, { kind: 'block', blocks: choice[l] }])
      const spec = parseReluSpec({ format: 'relu-spec/1', layers: Object.fromEntries(entries) }, arch)
      const prediction = predict(shapePlan(arch, spec, { backend }), network)
      const expected = unit === 'bytes' ? onlineBytes(prediction) : prediction.total.seconds.online
      const sum = layers.reduce((total, layer, l) => {
        const channels = choice[l].reduce((all, block, c) => all + cost.channel(layer, block, c), 0)
        return total + cost.layer(layer) + channels
      }, cost.rest ?? 0)
      expect(Math.abs(sum - expected)).toBeLessThan((unit === 'bytes' ? 0.005 : 0.02) * expected)
    }
  })

  it('a layer that is identity throughout costs what is predicted for it', async () => {
    const cost = await predictedCosts(arch, table, { unit: 'bytes', network, compile: { backend } })
    for (const closed of layers) {
      const spec = parseReluSpec({ format: 'relu-spec/1', layers: { [closed.id]: { kind: 'identity' } } }, arch)
      const expected = onlineBytes(predict(shapePlan(arch, spec, { backend }), network))
      const sum = layers.reduce((total, layer) => {
        const open = cost.layer(layer) + layer.out[0] * cost.channel(layer, [1, 1], 0)
        return total + (layer === closed ? cost.linearLayer!(layer) : open)
      }, cost.rest ?? 0)
      expect(sum).toBeCloseTo(expected, 6)
    }
  })

  it('a plain network costs what is predicted for it', async () => {
    const cost = await predictedCosts(arch, table, { unit: 'bytes', network, compile: { backend } })
    const plain = onlineBytes(predict(shapePlan(arch, undefined, { backend }), network))
    const sum = layers.reduce(
      (total, layer) => total + cost.layer(layer) + layer.out[0] * cost.channel(layer, [1, 1], 0),
      cost.rest ?? 0,
    )
    expect(sum).toBeCloseTo(plain, 6)
  })
})

it('stops when it is told to', async () => {
  const signal = AbortSignal.abort()
  await expect(predictedCosts(arch, table, { unit: 'bytes', network, signal })).rejects.toMatchObject({
    code: 'ABORTED',
  })
})
