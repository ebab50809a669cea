// What masks cost in bytes and seconds as a sum over channels, against predictions of whole specs with masks.
import { describe, expect, it } from 'vitest'
import { parseArchitecture } from '../../../src/model/architecture.js'
import type { Pair } from '../../../src/model/layers/layers.js'
import type { LayerRelu, ReluSpec } from '../../../src/model/relu/spec.js'
import { networkProfiles } from '../../../src/net/index.js'
import { planRelus } from '../../../src/tune/allocation/relu-plan.js'
import { predict } from '../../../src/tune/cost/predict.js'
import { shapePlan } from '../../../src/tune/cost/shape-plan.js'
import { onlineBytes, predictedCosts } from '../../../src/tune/cost/spec-cost.js'
import { keptCounts, maskOf, nestedLevels } from '../../../src/tune/distortion/nested-masks.js'
import { activationLayers, type DistortionTable } from '../../../src/tune/distortion/table.js'
import { committedJson } from '../../fixtures/reference-files.js'
import { randomNumbers } from '../knapsack/oracles.js'

const arch = parseArchitecture(committedJson('models/mnist-cnn3/arch.json'))
const layers = activationLayers(arch)
const blocks: readonly Pair[] = [
  [1, 1],
  [2, 2],
  [0, 1],
]
const SHARES = [0.75, 0.4, 0.1, 0]
const random = randomNumbers(31)
const table: DistortionTable = {
  ...{ format: 'distortion/1', network: arch.name, images: 1 },
  layers: new Map(
    layers.map(({ id, out }) => {
      const importance = Float64Array.from({ length: out.reduce((a, b) => a * b, 1) }, random)
      const rising = (count: number) =>
        Float64Array.from({ length: out[0] * count }, (_, i) => (i % count === 0 ? 0 : (i % count) + random()))
      const values = Float64Array.from(rising(SHARES.length), (value) => value / 2 + 0.01)
      const masks = { count: SHARES.length, levels: nestedLevels(importance, out, SHARES), values }
      return [id, { shape: out, blocks, values: rising(3), masks }]
    }),
  ),
}
const network = { profile: networkProfiles.wan60 }

describe.each(['mcc', 'securenn'] as const)('masks on %s', (backend) => {
  it.each([
    ['bytes', 0.005],
    ['seconds', 0.02],
  ] as const)('%s add up to what is predicted for a whole spec', async (unit, tolerance) => {
    const cost = await predictedCosts(arch, table, { unit, network, compile: { backend } })
    const predicted = (own: ReadonlyMap<string, LayerRelu>) => {
      const spec: ReluSpec = { format: 'relu-spec/1', drelus: 0, layers: own }
      const prediction = predict(shapePlan(arch, spec, { backend }), network)
      return unit === 'bytes' ? onlineBytes(prediction) : prediction.total.seconds.online
    }
    for (const seed of [1, 2, 3]) {
      let sum = cost.rest ?? 0
      const own = layers.map(({ id, out }): [string, LayerRelu] => {
        const { masks } = table.layers.get(id)!
        const choice = Array.from({ length: out[0] }, (_, c) => ((c * c + seed * c + seed) % (SHARES.length + 1)) - 1)
        const kept = keptCounts(masks!, out)
        const plane = masks!.levels.length / out[0]
        const layer = arch.byId.get(id)!
        sum += cost.layer(layer)
        for (const [c, j] of choice.entries()) sum += cost.masked!(layer, j < 0 ? plane : kept[c][j], c)
        return [id, { kind: 'mask', bits: maskOf(masks!, out, choice), off: 'identity' }]
      })
      const expected = predicted(new Map(own))
      expect(Math.abs(sum - expected)).toBeLessThan(tolerance * expected)
    }
    const objective = { kind: unit, cost } as const
    const { plainCost } = await planRelus(arch, table, { objective, budget: { ratio: 1 } })
    const budget = { maxCost: ((cost.rest ?? 0) + plainCost) / 2 }
    const plan = await planRelus(arch, table, { objective, budget })
    expect(Math.abs(plan.cost - predicted(plan.spec.layers))).toBeLessThan(tolerance * plan.cost)
    const without = await planRelus(arch, table, { objective, budget, masks: false })
    expect(plan.distortion).toBeLessThanOrEqual(without.distortion + 1e-9)
    if (unit === 'bytes') expect([...plan.spec.layers.values()].map(({ kind }) => kind)).toContain('mask')
  })
})
