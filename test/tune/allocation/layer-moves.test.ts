// Whole layers as identity and masks of single elements as moves of the planner: against every choice there is.
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parseArchitecture } from '../../../src/model/architecture.js'
import type { Pair } from '../../../src/model/layers/layers.js'
import { blockCount, dreluCount } from '../../../src/model/relu/layout.js'
import { parseReluSpec, type ReluSpec, resolveRelu } from '../../../src/model/relu/spec.js'
import { networkProfiles } from '../../../src/net/index.js'
import { COMPARISONS, type SpecCost } from '../../../src/tune/allocation/relu-moves.js'
import { planRelus } from '../../../src/tune/allocation/relu-plan.js'
import { predict } from '../../../src/tune/cost/predict.js'
import { shapePlan } from '../../../src/tune/cost/shape-plan.js'
import { predictedCosts } from '../../../src/tune/cost/spec-cost.js'
import { keptCounts, nestedLevels } from '../../../src/tune/distortion/nested-masks.js'
import {
  activationLayers,
  type DistortionTable,
  formatDistortionTable,
  type LayerDistortion,
  parseDistortionTable,
} from '../../../src/tune/distortion/table.js'
import { randomNumbers } from '../knapsack/oracles.js'

/** Three layers of two channels of 4 x 4. */
const tiny = parseArchitecture({
  ...{ format: 'arch/1', name: 'tiny', outputs: ['out'], inputs: [{ name: 'x', shape: [2, 4, 4] }] },
  layers: [
    ...[0, 1, 2].flatMap((i) => [
      { id: `conv${i}`, op: 'conv2d', in: [i === 0 ? 'x' : `relu${i - 1}`], cout: 2, kernel: [1, 1] },
      { id: `relu${i}`, op: 'relu', in: [`conv${i}`] },
    ]),
    { id: 'gap', op: 'globalAvgPool', in: ['relu2'] },
    { id: 'flat', op: 'flatten', in: ['gap'] },
    { id: 'out', op: 'linear', in: ['flat'], cout: 2 },
  ],
})
const BLOCKS: readonly Pair[] = [
  [1, 1],
  [2, 2],
  [0, 1],
]
const SHARES = [0.75, 0.3, 0]

/** Distortions that grow as comparisons become fewer; layers as a whole lose `part` of their channels' sum, or more. */
function someTable(random: () => number, part: number, masks: boolean): DistortionTable {
  const layers = activationLayers(tiny).map(({ id, out }): [string, LayerDistortion] => {
    const rising = () => {
      const [first, second] = [random(), random()]
      return [first, first + second]
    }
    const [one, other] = [rising(), rising()]
    const values = Float64Array.from([0, ...one, 0, ...other])
    const identity = part * (one[1] + other[1])
    const importance = Float64Array.from({ length: 32 }, random)
    const nested = {
      count: SHARES.length,
      levels: nestedLevels(importance, out, SHARES),
      values: Float64Array.from([one, other].flatMap(([few, all]) => [0.3 * random() * few, random() * all, all])),
    }
    return [id, { shape: out, blocks: BLOCKS, values, identity, ...(masks ? { masks: nested } : {}) }]
  })
  return { format: 'distortion/1', network: 'tiny', images: 1, layers: new Map(layers) }
}

/** Everything a layer can be: its cost and its distortion. */
function choicesOf(table: DistortionTable, id: string, costs: SpecCost): { cost: number; value: number }[] {
  const layer = tiny.byId.get(id)!
  const { values, masks, identity } = table.layers.get(id)!
  const pairs = (lists: { cost: number; value: number }[][]) =>
    lists[0].flatMap((a, i) =>
      lists[1].flatMap((b, j) => {
        const isIdentity = i === lists[0].length - 1 && j === lists[1].length - 1
        return isIdentity ? [] : [{ cost: costs.layer(layer) + a.cost + b.cost, value: a.value + b.value }]
      }),
    )
  const blocks = [0, 1].map((c) =>
    BLOCKS.map((block, j) => ({ cost: costs.channel(layer, block, c), value: values[3 * c + j] })),
  )
  const kept = masks && keptCounts(masks, layer.out)
  const masked = [0, 1].map((c) => [
    { cost: costs.channel(layer, [1, 1], c), value: 0 },
    ...(kept?.[c] ?? []).map((count, j) => ({
      cost: costs.masked!(layer, count, c),
      value: masks!.values[c * SHARES.length + j],
    })),
  ])
  const closed = { cost: costs.linearLayer?.(layer) ?? 0, value: identity! }
  return [closed, ...pairs(blocks), ...(masks ? pairs(masked) : [])]
}

function leastDistortion(table: DistortionTable, costs: SpecCost, budget: number): number {
  let reached = [{ cost: costs.rest ?? 0, value: 0 }]
  for (const { id } of activationLayers(tiny)) {
    const own = choicesOf(table, id, costs)
    reached = reached.flatMap((so) => own.map(({ cost, value }) => ({ cost: so.cost + cost, value: so.value + value })))
    reached = reached.filter(({ cost }) => cost <= budget + 1e-9)
  }
  return Math.min(...reached.map(({ value }) => value))
}

/** 60 for a round trip, less for what is switched, and linear channels hardly cheaper than ReLUs. */
const trips: SpecCost = {
  channel: ({ out }, block) => 4 + 0.5 * blockCount(block, out[1], out[2]),
  masked: (_, kept) => 4 + 0.5 * kept,
  layer: () => 60,
  rest: 7,
}

describe.each([
  ['comparisons', COMPARISONS],
  ['round trips', trips],
])('%s', (_, cost) => {
  const plainCost = 3 * (cost.layer(tiny.byId.get('relu0')!) + 2 * cost.channel(tiny.byId.get('relu0')!, [1, 1], 0))
  const objective = cost === COMPARISONS ? undefined : ({ kind: 'seconds', cost } as const)

  test.each([
    [false, 'blocks'],
    [true, 'blocks and masks'],
  ])('layers as identity, %s: as good as the best of all choices', async (masks) => {
    const random = randomNumbers(3)
    for (let i = 0; i < 60; i++) {
      const table = someTable(random, random(), masks)
      const budget = (cost.rest ?? 0) + plainCost * (0.02 + 0.9 * random())
      const plan = await planRelus(tiny, table, { objective, budget: { maxCost: budget } })
      expect(plan.distortion).toBeCloseTo(leastDistortion(table, cost, plan.budget), 9)
      expect(plan.bound).toBeCloseTo(plan.distortion, 9)
      expect(plan.cost).toBeLessThanOrEqual(budget)
      expect(plan.spec.drelus).toBe(plan.layers.reduce((sum, { drelus }) => sum + drelus, 0))
    }
  })

  test('layers that lose more as a whole than channel by channel: as good as the best of all choices', async () => {
    const random = randomNumbers(4)
    let identities = 0
    for (let i = 0; i < 120; i++) {
      const table = someTable(random, 1 + random() ** 3, i % 2 === 0)
      const budget = (cost.rest ?? 0) + plainCost * (0.02 + 0.5 * random())
      const plan = await planRelus(tiny, table, { objective, budget: { maxCost: budget } })
      expect(plan.distortion).toBeCloseTo(leastDistortion(table, cost, plan.budget), 9)
      expect(plan.bound).toBeCloseTo(plan.distortion, 9)
      // No layer became identity for the sum of its channels.
      const lost = plan.layers.filter(({ name }) => resolveRelu(plan.spec, tiny.byId.get(name)!).kind === 'identity')
      const least = lost.reduce((sum, { name }) => sum + table.layers.get(name)!.identity!, 0)
      expect(plan.distortion).toBeGreaterThanOrEqual(least - 1e-9)
      identities += lost.length
    }
    expect(identities).toBeGreaterThan(30)
  })
})

test('a layer that loses little as a whole is found where its channels, one by one, are never worth it', async () => {
  const table = someTable(randomNumbers(5), 1, false)
  const layers = new Map(table.layers)
  // Together its channels undo each other's change.
  layers.set('relu1', { ...layers.get('relu1')!, values: Float64Array.from([0, 5, 9, 0, 5, 9]), identity: 0.01 })
  const budget = { ratio: 0.7 }
  const plan = await planRelus(tiny, { ...table, layers }, { budget })
  expect(plan.file.layers).toEqual({
    relu0: { kind: 'relu' },
    relu1: { kind: 'identity' },
    relu2: { kind: 'relu' },
  })
  expect([plan.cost, plan.distortion, plan.bound]).toEqual([64, 0.01, 0.01])
  const sums = new Map([...layers].map(([name, { identity: _, ...rest }]) => [name, rest]))
  const byChannels = await planRelus(tiny, { ...table, layers: sums }, { budget })
  expect(byChannels.layers.some(({ linear }) => linear)).toBe(false)
  expect(byChannels.distortion).toBeGreaterThan(0.1)
})

test('a mask is written as a spec can say it, and never together with blocks in one layer', async () => {
  const random = randomNumbers(6)
  const kinds = new Set<string>()
  for (let i = 0; i < 30; i++) {
    const table = someTable(random, 1, true)
    const budget = { ratio: 0.05 + 0.9 * random() }
    const plan = await planRelus(tiny, table, { budget })
    const read = parseReluSpec(JSON.stringify(plan.file), tiny)
    expect(read.drelus).toBe(plan.cost)
    for (const [id, relu] of read.layers) {
      kinds.add(relu.kind)
      if (relu.kind !== 'mask') continue
      const { masks } = table.layers.get(id)!
      const kept = keptCounts(masks!, [2, 4, 4])
      for (const c of [0, 1]) {
        const bits = relu.bits.subarray(16 * c, 16 * c + 16)
        const count = bits.reduce((sum, bit) => sum + bit, 0)
        expect([16, ...kept[c]]).toContain(count)
        // The elements kept are the ones that the smaller masks keep too, and no others.
        const level = count === 16 ? -1 : kept[c].indexOf(count)
        expect([...bits]).toEqual([...masks!.levels.subarray(16 * c, 16 * c + 16)].map((l) => Number(l > level)))
      }
      expect(dreluCount(relu, [2, 4, 4])).toBe(plan.layers.find(({ name }) => name === id)!.drelus)
    }
    const without = await planRelus(tiny, table, { budget, masks: false })
    expect(plan.distortion).toBeLessThanOrEqual(without.distortion + 1e-12)
    expect([...without.spec.layers.values()].map(({ kind }) => kind)).not.toContain('mask')
  }
  expect([...kinds]).toEqual(expect.arrayContaining(['mask', 'block', 'relu']))
})

test('masks are ranked by importance, the first of equal elements kept longer', () => {
  const levels = nestedLevels(Float64Array.from([1, 5, 5, 0, 0, 0, 0, 9]), [2, 2, 2], [0.75, 0.5, 0])
  expect([...levels]).toEqual([1, 2, 2, 0, 2, 1, 0, 2])
  expect(keptCounts({ count: 3, levels }, [2, 2, 2])).toEqual([
    [3, 2, 0],
    [3, 2, 0],
  ])
})

describe('tables with masks', () => {
  const table = someTable(randomNumbers(7), 1, true)

  test('are read as they were written, finished or not', () => {
    expect(parseDistortionTable(formatDistortionTable(table), tiny)).toEqual(table)
    const layers = new Map(table.layers)
    const masks = layers.get('relu1')!.masks!
    layers.set('relu1', { ...layers.get('relu1')!, masks: { ...masks, values: masks.values.with(4, Number.NaN) } })
    const text = formatDistortionTable({ ...table, layers })
    expect(parseDistortionTable(text, tiny, { partial: true })).toEqual({ ...table, layers })
    expect(() => parseDistortionTable(text, tiny)).toThrow(
      expect.objectContaining({
        code: 'BAD_FILE',
        problems: ['layer "relu1": masks: channel 1, mask 1: expected a number >= 0, got null'],
      }),
    )
  })

  test('that are damaged are refused with every problem', () => {
    const file = JSON.parse(formatDistortionTable(table))
    file.masks.relu0.levels = 'AAAA'
    file.masks.relu1.count = 2
    file.masks.relu1.levels = btoa('\x03'.repeat(32))
    file.masks.relu2.values[1] = [1, -1, 2]
    file.masks.relu9 = {}
    expect(() => parseDistortionTable(file, tiny)).toThrow(
      expect.objectContaining({
        problems: [
          'layer "relu9": network "tiny" has no activation of this name',
          'layer "relu0": masks: levels: expected 32 bytes, one per element, got 3',
          'layer "relu1": masks: levels: expected at most 2, one per mask, got 3',
          expect.stringMatching(/^layer "relu1": masks: channel 0: expected 2 numbers, one per mask, got \[0\./),
          expect.stringMatching(/^layer "relu1": masks: channel 1: expected 2 numbers, one per mask, got \[0\./),
          'layer "relu2": masks: channel 1, mask 1: expected a number >= 0, got -1',
        ],
      }),
    )
  })

  test('that are not finished make no plan', async () => {
    const layers = new Map(table.layers)
    const masks = layers.get('relu2')!.masks!
    layers.set('relu2', { ...layers.get('relu2')!, masks: { ...masks, values: masks.values.with(0, Number.NaN) } })
    await expect(planRelus(tiny, { ...table, layers }, { budget: { ratio: 0.5 } })).rejects.toMatchObject({
      code: 'BAD_INPUT',
      problems: ['layer relu2: its distortions are not measured to the end'],
    })
  })
})

describe('the shipped ResNet-20 over 60 ms', () => {
  const model = (name: string) =>
    readFileSync(new URL(`../../../models/resnet20-cifar10/${name}`, import.meta.url), 'utf8')
  const arch = parseArchitecture(model('arch.json'))
  const table = parseDistortionTable(model('distortion.json'), arch)
  const network = { profile: networkProfiles.wan60 }

  test("securenn: a layer's round trips are saved by the whole layer, not by linear channels of many", async () => {
    const compile = { backend: 'securenn' } as const
    const cost = await predictedCosts(arch, table, { unit: 'seconds', network, compile })
    const seconds = (spec?: ReluSpec) => predict(shapePlan(arch, spec, compile), network).total.seconds.online
    const plain = seconds()
    // As many round trips as eighteen of the nineteen layers take with the fewest comparisons in each channel.
    const least = activationLayers(arch).map(
      (layer) => cost.layer(layer) + layer.out[0] * cost.channel(layer, [8, 8], 0),
    )
    const maxCost = cost.rest! + least.reduce((sum, one) => sum + one, 0) - Math.min(...least) / 2
    const plan = await planRelus(arch, table, { objective: { kind: 'seconds', cost }, budget: { maxCost } })
    const lost = plan.layers.filter(({ linear }) => linear)
    expect(lost.length).toBeGreaterThan(0)
    expect(plan.bound).toBeCloseTo(plan.distortion, 9)
    expect(Math.abs(seconds(plan.spec) - plan.cost)).toBeLessThan(0.02 * plan.cost)
    // Every second channel of such a layer as identity saves a third of what the layer does, and no round trip.
    const saved = (relu: object) => {
      return plain - seconds(parseReluSpec({ format: 'relu-spec/1', layers: { [lost[0].name]: relu } }, arch))
    }
    const blocks = Array.from({ length: arch.byId.get(lost[0].name)!.out[0] }, (_, c) => [c % 2, 1])
    expect(saved({ kind: 'block', blocks })).toBeLessThan(0.4 * saved({ kind: 'identity' }))
  })

  test('mcc: a truncation keeps the round trip of a layer without comparisons', () => {
    const spec = parseReluSpec({ format: 'relu-spec/1', layers: { 'layer1.0.relu_1': { kind: 'identity' } } }, arch)
    const flights = (own?: ReluSpec) => predict(shapePlan(arch, own), network).total.flights
    expect(flights(spec)).toBe(flights())
  })
})
