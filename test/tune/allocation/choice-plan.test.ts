// Searched choices files: against every choice of small Seesaw networks, counted and predicted as wholes.
import { describe, expect, test } from 'vitest'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { type Choices, parseChoices } from '../../../src/model/choices.js'
import { countNetwork } from '../../../src/model/count.js'
import type { Json } from '../../../src/model/json/fields.js'
import { networkProfiles } from '../../../src/net/index.js'
import { type ChoicePlan, type ChoicePlanOptions, planChoices } from '../../../src/tune/allocation/choice-plan.js'
import { type ChoiceTable, parseChoiceTable } from '../../../src/tune/allocation/choice-table.js'
import { predict } from '../../../src/tune/cost/predict.js'
import { shapePlan } from '../../../src/tune/cost/shape-plan.js'
import { onlineBytes } from '../../../src/tune/cost/spec-cost.js'
import { committedJson } from '../../fixtures/reference-files.js'
import { randomNumbers } from '../knapsack/oracles.js'

const tiny = committedJson('test/vectors/examples/seesaw-tiny-expanded.arch.json') as Json
const network = { profile: networkProfiles.wan60 }

/** Stages of sample layers over maps of 8x8. */
function seesaw(blockConfig: readonly number[]): Json {
  const inputs = [{ name: 'x', shape: [3, 8, 8] }]
  const params = { dataset: 'cifar', blockConfig, numClasses: 10, ops: ['skip_connect', 'conv_1x1'] }
  return { format: 'arch/1', name: 'small', family: 'seesaw', inputs, params }
}

const small = seesaw([2, 1, 1])
const keysOf = (count: number) => Array.from({ length: count }, (_, i) => `default_${i + 1}`)

/** Losing a ReLU hurts, one more than another; now and then having it does. */
function someTable(random: () => number, keys: readonly string[]): ChoiceTable {
  const choices = new Map(keys.map((key) => [key, random() < 0.1 ? [0, random()] : [5 * random(), 0.1 * random()]]))
  return { format: 'choice-distortion/1', choices }
}

type Unit = ChoicePlan['unit']

function costOf(file: Json, choices: Choices, unit: Unit): number {
  const { expect: _, ...open } = file
  const arch = parseArchitecture(open, 'arch.json', choices)
  if (unit === 'drelus') return countNetwork(arch).drelus
  const prediction = predict(shapePlan(arch), network)
  return unit === 'bytes' ? onlineBytes(prediction) : prediction.total.seconds.online
}

function every(keys: readonly string[]): Choices[] {
  return Array.from({ length: 2 ** keys.length }, (_, bits) =>
    Object.fromEntries(keys.map((key, k) => [key, (bits >> k) & 1])),
  )
}

const lossOf = ({ choices }: ChoiceTable, taken: Choices) =>
  Object.entries(taken).reduce((sum, [key, option]) => sum + choices.get(key)![option], 0)

describe.each([
  ['the tiny Seesaw', tiny, keysOf(2)],
  ['a Seesaw of four keys', small, keysOf(4)],
])('%s', (_, file, keys) => {
  test('comparisons: the best of all choices, counted exactly', async () => {
    const random = randomNumbers(21)
    const costs = every(keys).map((choices) => ({ choices, cost: costOf(file, choices, 'drelus') }))
    const least = Math.min(...costs.map(({ cost }) => cost))
    const most = Math.max(...costs.map(({ cost }) => cost))
    for (let i = 0; i < 40; i++) {
      const table = someTable(random, keys)
      const maxCost = Math.floor(least + (most - least) * 1.05 * random())
      const plan = await planChoices(file, table, { budget: { maxCost } })
      const allowed = costs.filter(({ cost }) => cost <= maxCost)
      expect(plan.distortion).toBeCloseTo(Math.min(...allowed.map(({ choices }) => lossOf(table, choices))), 12)
      expect(plan.distortion).toBeCloseTo(lossOf(table, plan.choices), 12)
      expect(plan.cost).toBe(costOf(file, plan.choices, 'drelus'))
      expect(plan.summedCost).toBe(plan.cost)
      expect(plan.cost).toBeLessThanOrEqual(maxCost)
      expect(plan.plainCost).toBe(most)
      expect(parseChoices(JSON.stringify(plan.choices))).toEqual(plan.choices)
    }
  })

  test.each(['bytes', 'seconds'] as const)(
    '%s: sums are close to the whole, and the whole is kept',
    async (objective) => {
      const random = randomNumbers(22)
      const costs = every(keys).map((choices) => ({ choices, cost: costOf(file, choices, objective) }))
      const least = Math.min(...costs.map(({ cost }) => cost))
      const most = Math.max(...costs.map(({ cost }) => cost))
      for (let i = 0; i < 3; i++) {
        const table = someTable(random, keys)
        const maxCost = least + (most - least) * (0.05 + random())
        const options: ChoicePlanOptions = { objective, network, budget: { maxCost } }
        const plan = await planChoices(file, table, options)
        const own = costOf(file, plan.choices, objective)
        expect(Math.abs(plan.cost - own)).toBeLessThan(1e-8 * own + 1e-9)
        expect(plan.cost).toBeLessThanOrEqual(plan.budget)
        expect(Math.abs(plan.summedCost - plan.cost)).toBeLessThan(0.01 * plan.cost)
        const allowed = costs.filter(({ cost }) => cost <= maxCost)
        const best = Math.min(...allowed.map(({ choices }) => lossOf(table, choices)))
        expect(plan.distortion).toBeGreaterThanOrEqual(best - 1e-12)
        expect(plan.bound).toBeLessThanOrEqual(plan.distortion)
        // As exact as the sums: choices that are better would cost within a hundredth of the budget.
        const nearly = costs.filter(({ cost }) => cost <= 0.99 * maxCost)
        if (nearly.length === 0) continue
        expect(plan.distortion).toBeLessThanOrEqual(Math.min(...nearly.map(({ choices }) => lossOf(table, choices))))
      }
    },
  )
})

test('options that cost more together than apart are not taken for what they cost apart', async () => {
  const keys = keysOf(4)
  let tried = 0
  const all: Choices[] = [
    { default_1: 1 },
    { default_2: 1, default_3: 1 },
    { default_1: 1, default_2: 1, default_4: 1 },
  ]
  for (const wanted of all) {
    const choices: Choices = { ...Object.fromEntries(keys.map((key) => [key, 0])), ...wanted }
    const table = parseChoiceTable({
      choices: Object.fromEntries(keys.map((key) => [key, choices[key] ? [1, 0] : [0, 1]])),
    })
    const exact = costOf(small, choices, 'seconds')
    const free = await planChoices(small, table, { objective: 'seconds', network, budget: { maxCost: 2 * exact } })
    expect(free.choices).toEqual(choices)
    if (free.summedCost > free.cost - 1e-8) continue
    tried++
    const maxCost = (free.summedCost + free.cost) / 2
    const plan = await planChoices(small, table, { objective: 'seconds', network, budget: { maxCost } })
    expect(plan.cost).toBeLessThanOrEqual(plan.budget)
    expect(plan.distortion).toBeGreaterThan(plan.bound)
  }
  expect(tried).toBeGreaterThan(0)
})

test('a published network: its one ReLU is where its table says, at its published count', async () => {
  const file = committedJson('test/vectors/examples/seesaw-cifar50-36864.arch.json') as Json
  const distortions = Object.fromEntries(keysOf(16).map((key, k) => [key, [k + 1, 0]]))
  const table = parseChoiceTable({ network: 'seesaw-cifar50-36864', choices: distortions })
  const plan = await planChoices(file, table, { budget: { maxCost: 36_864 } })
  expect(plan.cost).toBe(36_864)
  expect(plan.choices).toEqual(file.choices)
  expect(plan.keys[15]).toEqual({ key: 'default_16', option: 1, op: 'relu' })
})

describe('refusals', () => {
  const problems = async (file: Json, table: unknown, options: ChoicePlanOptions = { budget: { ratio: 0.5 } }) => {
    const refused = await planChoices(file, parseChoiceTable(table), options).catch((error) => error)
    expect(refused.code).toBe('BAD_INPUT')
    return refused.problems
  }

  test('another network, keys that are missing or unknown, too many options: all at once', async () => {
    const choices = { default_1: [1, 2, 3], default_3: [1, 0] }
    expect(await problems(tiny, { network: 'other', choices })).toEqual([
      'the table is of network "other", not of "seesaw-tiny"',
      'choices: expected 2 keys, got 2 keys: missing "default_2"; unknown "default_3"',
      'choices["default_1"]: expected 2 distortions (identity, relu), got 3',
    ])
    const plain = committedJson('models/mnist-cnn3/arch.json') as Json
    expect((await problems(plain, { choices }))[0]).toMatch(/has no choices$/)
  })

  test('a budget below the cheapest, and by how much', async () => {
    const choices = { default_1: [1, 0], default_2: [1, 0] }
    expect(await problems(tiny, { choices }, { budget: { maxCost: 1000 } })).toEqual([
      'budget: the cheapest possible options cost 1024 drelus, 24 more than 1000',
    ])
  })

  test('a damaged table, with every problem', () => {
    const table = { network: 'x', choices: { a: [1, Number.NaN], b: 3, c: [-1] }, more: 1 }
    expect(() => parseChoiceTable(table)).toThrow(
      expect.objectContaining({
        code: 'BAD_FILE',
        problems: [
          'file: unknown field "more"',
          'choices["a"], option 1: expected a number >= 0, got null',
          'choices["b"]: expected a list of distortions, one per option, got 3',
          'choices["c"], option 0: expected a number >= 0, got -1',
        ],
      }),
    )
    expect(() => parseChoiceTable({ choices: {} })).toThrow(/choices: expected an object with a list/)
  })

  test('an abort', async () => {
    const table = someTable(randomNumbers(1), keysOf(4))
    const options = { budget: { ratio: 0.5 }, signal: AbortSignal.abort() }
    await expect(planChoices(small, table, options)).rejects.toMatchObject({ code: 'ABORTED' })
  })
})
