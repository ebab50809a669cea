// Planned ReLU specs: the shipped ones are found again, and other objectives weigh what they say they weigh.
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import type { RingfenceError } from '../../../src/errors.js'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { countNetwork } from '../../../src/model/count.js'
import { blockCount, dreluCount } from '../../../src/model/relu/layout.js'
import { parseReluSpec, resolveRelu } from '../../../src/model/relu/spec.js'
import type { SpecCost } from '../../../src/tune/allocation/relu-moves.js'
import { planRelus } from '../../../src/tune/allocation/relu-plan.js'
import { type DistortionTable, parseDistortionTable } from '../../../src/tune/distortion/table.js'

const model = (name: string) =>
  readFileSync(new URL(`../../../models/resnet20-cifar10/${name}`, import.meta.url), 'utf8')
const vector = (name: string) => JSON.parse(readFileSync(new URL(`../../vectors/${name}`, import.meta.url), 'utf8'))
const resnet20 = parseArchitecture(model('arch.json'))
const table = parseDistortionTable(model('distortion.json'), resnet20)

/** What a table says of a whole spec. */
function distortionOf(
  measured: DistortionTable,
  blocksOf: (name: string, channel: number) => readonly number[],
): number {
  let sum = 0
  for (const [name, { blocks, values, shape }] of measured.layers) {
    for (let c = 0; c < shape[0]; c++) {
      const [bh, bw] = blocksOf(name, c)
      sum += values[c * blocks.length + blocks.findIndex(([h, w]) => h === bh && w === bw)]
    }
  }
  return sum
}

describe('comparisons', () => {
  test.each([
    ['25', 0.25],
    ['12', 0.12],
    ['06', 0.06],
  ])('the shipped spec at %s %% is found again', async (name, ratio) => {
    const plan = await planRelus(resnet20, table, { budget: { ratio } })
    const shipped = parseReluSpec(model(`relu-spec-${name}.json`), resnet20)
    expect(plan.cost).toBe(plan.spec.drelus)
    expect(plan.cost).toBe(shipped.drelus)
    expect(plan.plainCost).toBe(188_416)
    expect(plan.bound).toBe(plan.distortion)
    const blocks = (name: string, c: number) => {
      const relu = resolveRelu(shipped, resnet20.byId.get(name)!)
      return relu.kind === 'block' ? relu.blocks[c] : [relu.kind === 'identity' ? 0 : 1, 1]
    }
    // Channels with equal distortions may be chosen differently; the sum may not.
    expect(plan.distortion).toBeCloseTo(distortionOf(table, blocks), 9)
  })

  test('ResNet-8: the given solutions, by ratio and by number', async () => {
    const given = vector('resnet8-knapsack.json')
    const resnet8 = parseArchitecture(vector('examples/resnet8-cifar10.arch.json'))
    let at = 0
    const rows = given.layers.map(({ id, shape }: { id: string; shape: number[] }) => {
      return [id, given.distortion.slice(at, (at += shape[0]))]
    })
    const measured = parseDistortionTable(
      { network: resnet8.name, palette: given.candidates, layers: Object.fromEntries(rows) },
      resnet8,
    )
    for (const { ratio, budget, objective, cost } of given.solutions) {
      const plan = await planRelus(resnet8, measured, { budget: { ratio } })
      expect([plan.budget, plan.cost]).toEqual([budget, cost])
      expect(plan.distortion).toBeCloseTo(objective, 4)
      expect(await planRelus(resnet8, measured, { budget: { maxCost: budget } })).toEqual(plan)
    }
  })

  test('the published budgets are whole numbers of the published networks', () => {
    const { totalReLUs, budget6pct } = vector('knapsack.json').resnet50
    expect(Math.floor(totalReLUs * 0.06)).toBe(budget6pct)
  })

  test('with room for all ReLUs nothing is replaced; with none, all that can be', async () => {
    const all = await planRelus(resnet20, table, { budget: { ratio: 1 } })
    expect(all.distortion).toBe(0)
    const none = await planRelus(resnet20, table, { budget: { maxCost: 0 } })
    expect(none.spec.drelus).toBe(0)
    expect(Object.values(none.file.layers)).toEqual(Array(19).fill({ kind: 'identity' }))
    expect(none.layers.every(({ linear, drelus }) => linear && drelus === 0)).toBe(true)
  })

  test('what is planned counts as it says', async () => {
    const plan = await planRelus(resnet20, table, { budget: { ratio: 0.1 } })
    expect(countNetwork(resnet20, parseReluSpec(JSON.stringify(plan.file), resnet20)).drelus).toBe(plan.cost)
    expect(plan.layers.reduce((sum, { drelus }) => sum + drelus, 0)).toBe(plan.cost)
  })
})

/** 64 bytes a comparison, 4 an element that is switched or passed through beside ReLUs, 2,000 for a round trip. */
const bytes: SpecCost = {
  channel: ({ out }, block) => 64 * blockCount(block, out[1], out[2]) + 4 * out[1] * out[2],
  layer: () => 2_000,
  rest: 1_000,
}

describe('costs of layers', () => {
  const costOf = (file: { layers: object }) => {
    const spec = parseReluSpec({ format: 'relu-spec/1', layers: file.layers }, resnet20)
    return [...spec.layers].reduce((sum, [id, relu]) => {
      const { out } = resnet20.byId.get(id)!
      if (relu.kind === 'identity') return sum
      return sum + 64 * dreluCount(relu, out) + 4 * out[0] * out[1] * out[2] + 2_000
    }, 1_000)
  }

  test.each([0.5, 0.12, 0.05, 0.03])(
    'bytes at %d: layers become linear where that is the better bargain',
    async (ratio) => {
      const plan = await planRelus(resnet20, table, { objective: { kind: 'bytes', cost: bytes }, budget: { ratio } })
      expect(plan.plainCost).toBe(188_416 * 68 + 19 * 2_000 + 1_000)
      expect(plan.cost).toBe(costOf(plan.file))
      expect(plan.cost).toBeLessThanOrEqual(plan.budget)
      // The best spec by comparisons alone that happens to keep the budget is no better.
      for (const drelus of [0.5, 0.25, 0.12, 0.06, 0.04, 0.02, 0.01, 0]) {
        const other = await planRelus(resnet20, table, { budget: { ratio: drelus } })
        if (costOf(other.file) <= plan.budget) expect(plan.distortion).toBeLessThanOrEqual(other.distortion + 1e-9)
      }
      if (ratio < 0.1) expect(plan.layers.some(({ linear }) => linear)).toBe(true)
    },
  )

  test('seconds: a round trip per layer forces as many layers out as the budget has no time for', async () => {
    const cost: SpecCost = { channel: () => 0, layer: () => 0.06, rest: 0.06 }
    const plan = await planRelus(resnet20, table, { objective: { kind: 'seconds', cost }, budget: { maxCost: 0.6 } })
    expect(plan.cost).toBeCloseTo(0.6, 12)
    expect(plan.layers.filter(({ linear }) => !linear)).toHaveLength(9)
    // Only layers matter here: those kept are the nine whose loss as identity is the greatest.
    const loss = ({
      shape,
      blocks,
      values,
    }: {
      shape: readonly number[]
      blocks: readonly unknown[]
      values: Float64Array
    }) => Array.from({ length: shape[0] }, (_, c) => values[(c + 1) * blocks.length - 1]).reduce((a, b) => a + b)
    const order = [...table.layers].sort(([, a], [, b]) => loss(b) - loss(a)).map(([name]) => name)
    const kept = plan.layers.filter(({ linear }) => !linear).map(({ name }) => name)
    expect(kept.sort()).toEqual(order.slice(0, 9).sort())
  })

  test('what was measured for a layer as a whole counts instead of its channels', async () => {
    const cost: SpecCost = { channel: () => 0, layer: () => 1 }
    const layers = new Map(
      [...table.layers].map(([name, layer], l) => [name, { ...layer, identity: l === 4 ? 0 : 50 + l }]),
    )
    const plan = await planRelus(
      resnet20,
      { ...table, layers },
      { objective: { kind: 'seconds', cost }, budget: { maxCost: 18 } },
    )
    expect(plan.layers.map(({ linear }) => linear).indexOf(true)).toBe(4)
    expect(plan.distortion).toBe(0)
  })
})

describe('refusals', () => {
  const problems = async (...args: Parameters<typeof planRelus>): Promise<readonly string[]> => {
    const error = await planRelus(...args).catch((caught: RingfenceError) => caught)
    expect(error).toMatchObject({ code: 'BAD_INPUT' })
    return (error as RingfenceError).problems
  }

  test('a budget below the cheapest possible: by how much, and what costs most', async () => {
    const cost: SpecCost = { ...bytes, linearLayer: ({ id }) => (id === 'layer1.0.relu_1' ? 70 : 5), rest: 500 }
    expect(await problems(resnet20, table, { objective: { kind: 'bytes', cost }, budget: { maxCost: 600 } })).toEqual([
      'budget: the cheapest possible spec costs 660 bytes, 60 more than 600',
      'what no spec changes costs 500 of it',
      'the layer that costs the most at the least is layer1.0.relu_1, 70',
    ])
  })

  test('a table with holes or of another network, costs that are no numbers', async () => {
    const partial = parseDistortionTable({ network: resnet20.name, layers: {} }, resnet20, { partial: true })
    expect((await problems(resnet20, { ...partial, network: 'x' }, { budget: { ratio: 0.5 } })).slice(0, 2)).toEqual([
      'the table is of network x, not of resnet20-cifar10-own',
      'layer relu: not in the distortion table',
    ])
    const cost: SpecCost = { channel: () => Number.NaN, layer: () => -1 }
    const wrong = await problems(resnet20, table, { objective: { kind: 'seconds', cost }, budget: { maxCost: -1 } })
    expect(wrong[0]).toBe('layer relu: expected a cost that is a number >= 0 for the layer itself')
    expect(wrong[1]).toBe('layer relu: expected a cost that is a number >= 0 for channel 0 with block [1,1]')
  })
})

describe('culling', () => {
  // ResNet-20 has 7 activations of 16 x 32², 6 of 32 x 16² and 6 of 64 x 8².
  test('whole layers: none is in between, and no other choice within the budget has less', async () => {
    const plan = await planRelus(resnet20, table, { budget: { ratio: 0.5 }, cull: 'layers' })
    expect(plan.cost).toBeLessThanOrEqual(94_208)
    expect(new Set([...plan.spec.layers.values()].map(({ kind }) => kind))).toEqual(new Set(['identity', 'relu']))
    const layers = [...table.layers.values()].map(({ blocks, values, shape }) => {
      const identity = blocks.findIndex(([h]) => h === 0)
      const value = values.filter((_, i) => i % blocks.length === identity).reduce((a, b) => a + b)
      return { value, cost: shape.reduce((a, b) => a * b) }
    })
    let best = Number.POSITIVE_INFINITY
    for (let kept = 0; kept < 2 ** layers.length; kept++) {
      let [cost, value] = [0, 0]
      for (let l = 0; l < layers.length; l++) {
        if (kept & (1 << l)) cost += layers[l].cost
        else value += layers[l].value
      }
      if (cost <= 94_208 && value < best) best = value
    }
    expect(plan.distortion).toBeCloseTo(best, 9)
  })

  test('stages: all layers of a map size, or none', async () => {
    const { spec, cost } = await planRelus(resnet20, table, { budget: { ratio: 0.5 }, cull: 'stages' })
    const dropped = [...spec.layers].filter(([, { kind }]) => kind === 'identity')
    const off = dropped.map(([name]) => table.layers.get(name)!.shape[1])
    expect(new Set(off)).toEqual(new Set([32]))
    expect([off.length, cost]).toEqual([7, 6 * 8192 + 6 * 4096])
  })
})
