// The exact knapsack against given solutions, brute force, the textbook's table and a mixed-integer solver.
import { readFileSync } from 'node:fs'
import loadHighs from 'highs'
import { describe, expect, test } from 'vitest'
import { RingfenceError } from '../../../src/errors.js'
import { type KnapsackOptions, knapsackProblem, solveKnapsack } from '../../../src/tune/knapsack/knapsack.js'
import { bruteForce, type Channels, costTable, linearProgram, randomNumbers, someBudget } from './oracles.js'

const vector = (name: string) => JSON.parse(readFileSync(new URL(`../../vectors/${name}`, import.meta.url), 'utf8'))

async function solve(channels: Channels, budget: number, options: KnapsackOptions = {}) {
  const solution = (await solveKnapsack(knapsackProblem(channels, budget), options))!
  const taken = [...solution.choice].map((j, i) => channels[i][j])
  expect(solution.cost).toBe(taken.reduce((sum, { cost }) => sum + cost, 0))
  expect(solution.value).toBe(taken.reduce((sum, { value }) => sum + value, 0))
  expect(solution.cost).toBeLessThanOrEqual(budget)
  expect(solution.bound).toBeLessThanOrEqual(solution.value)
  return solution
}

describe('given solutions', () => {
  interface Vector {
    cost: number[][]
    value: number[][]
    budget: number
    bestValue: number
    bestCost: number
    bestChoice: number[]
  }
  test.each(vector('knapsack.json').vectors as Vector[])('brute-forced, budget $budget', async (given) => {
    const channels = given.cost.map((costs, i) => costs.map((cost, j) => ({ cost, value: given.value[i][j] })))
    const solution = await solve(channels, given.budget)
    expect(solution.value).toBeCloseTo(given.bestValue, 9)
    expect([...solution.choice]).toEqual(given.bestChoice)
    // Read at the best value: most budgets are not used up.
    expect(solution.cost).toBe(given.bestCost)
  })

  const resnet8 = vector('resnet8-knapsack.json')
  const areas = resnet8.layers.flatMap(({ shape: [c, h, w] }: { shape: number[] }) => Array(c).fill([h, w]))
  const channels: Channels = resnet8.distortion.map((row: number[], i: number) =>
    row.map((value, j) => {
      const [bh, bw] = resnet8.candidates[j]
      return { value, cost: bh === 0 ? 0 : Math.ceil(areas[i][0] / bh) * Math.ceil(areas[i][1] / bw) }
    }),
  )
  interface Solution {
    ratio: number
    budget: number
    cost: number
    objective: number
    choice: number[]
  }
  test.each(resnet8.solutions as Solution[])('ResNet-8 at $ratio', async ({ budget, cost, objective, choice }) => {
    for (const historyStates of [undefined, 3]) {
      const solution = await solve(channels, budget, { historyStates })
      expect([...solution.choice]).toEqual(choice)
      expect(solution.cost).toBe(cost)
      expect(solution.value).toBeCloseTo(objective, 4)
    }
  })
})

/** Costs and values in the way of tables: small integers, real numbers, nearly proportional, all alike. */
const KINDS = {
  integers: (random: () => number) => ({ cost: Math.floor(random() * 12), value: Math.floor(random() * 9) - 2 }),
  reals: (random: () => number) => ({ cost: Math.floor(random() * 40), value: random() * 10 ** (random() * 9 - 6) }),
  proportional: (random: () => number) => {
    const cost = Math.floor(random() * 60)
    return { cost, value: 70 - cost + Math.floor(random() * 3) }
  },
  'even costs': (random: () => number) => {
    const cost = 2 * Math.floor(random() * 30)
    return { cost, value: 60 - cost }
  },
}
type Kind = keyof typeof KINDS

function someChannels(kind: Kind, random: () => number, most: number, candidates: number): Channels {
  return Array.from({ length: 1 + Math.floor(random() * most) }, () =>
    Array.from({ length: 1 + Math.floor(random() * candidates) }, () => KINDS[kind](random)),
  )
}

describe.each(Object.keys(KINDS) as Kind[])('random problems, %s', (kind) => {
  const digits = kind === 'reals' ? 9 : 12

  test('equal brute force', async () => {
    const random = randomNumbers(1)
    for (let i = 0; i < 1500; i++) {
      const channels = someChannels(kind, random, 6, 5)
      const budget = someBudget(channels, random())
      const best = bruteForce(channels, budget)
      expect((await solve(channels, budget, { historyStates: i % 3 })).value).toBeCloseTo(best, digits)
    }
  })

  test('equal the table over the cost axis, with the whole history and with next to none', async () => {
    const random = randomNumbers(2)
    for (let i = 0; i < 60; i++) {
      const channels = someChannels(kind, random, 60, 8)
      const budget = someBudget(channels, random())
      const best = costTable(channels, budget)
      const whole = await solve(channels, budget)
      expect(whole.value).toBeCloseTo(best, digits)
      expect((await solve(channels, budget, { historyStates: 40 })).value).toBe(whole.value)
    }
  })

  test('equal HiGHS', async () => {
    const highs = await loadHighs()
    const random = randomNumbers(3)
    for (let i = 0; i < 12; i++) {
      const channels = someChannels(kind, random, 25, 6)
      const budget = someBudget(channels, random())
      const { Status, ObjectiveValue } = highs.solve(linearProgram(channels, budget), { mip_rel_gap: 0 })
      expect(Status).toBe('Optimal')
      const { value } = await solve(channels, budget)
      // HiGHS holds to tolerances of its own, by which it may also overdraw the budget.
      expect(Math.abs(value - ObjectiveValue)).toBeLessThan(1e-5 * Math.max(1, Math.abs(value)))
    }
  })

  test('the same problem has the same choice', async () => {
    const random = randomNumbers(4)
    const channels = someChannels(kind, random, 80, 8)
    const budget = someBudget(channels, 0.4)
    const [a, b] = [await solve(channels, budget), await solve(channels, budget, { onProgress: () => {} })]
    expect(a).toEqual(b)
  })
})

describe('edges', () => {
  const channel = (...pairs: [number, number][]) => pairs.map(([cost, value]) => ({ cost, value }))

  test('no channels, one candidate, a budget of exactly the cheapest and the dearest choice', async () => {
    expect((await solve([], 0)).value).toBe(0)
    expect((await solve([channel([7, 1.5])], 7)).value).toBe(1.5)
    const channels = [channel([4, 0], [1, 3]), channel([9, 0], [2, 1])]
    expect([...(await solve(channels, 3)).choice]).toEqual([1, 1])
    expect([...(await solve(channels, 13)).choice]).toEqual([0, 0])
    expect([...(await solve(channels, 1e9)).choice]).toEqual([0, 0])
  })

  test('of candidates of one cost and value the first is taken, and a dearer one of the same value never', async () => {
    expect([...(await solve([channel([5, 1], [3, 1], [3, 1]), channel([2, 2], [2, 1])], 9)).choice]).toEqual([1, 1])
  })

  test('a value far beyond all others does not blur them', async () => {
    const channels = [channel([0, 1e300], [3, 0]), channel([0, 3e-9], [5, 1e-9]), channel([0, 2e-9], [5, 1e-10])]
    const { choice, value } = await solve(channels, 8)
    expect([...choice]).toEqual([1, 1, 0])
    expect(value).toBeCloseTo(3e-9, 15)
  })

  test('costs whose common divisor does not divide the budget are no harder', async () => {
    const channels = Array.from({ length: 2000 }, () => channel([0, 64], [32, 32], [64, 0]))
    const solution = await solve(channels, 64_031)
    expect(solution.cost).toBe(64_000)
    expect(solution.figures.states).toBeLessThan(10)
  })

  test('only what is below a given value is found', async () => {
    const random = randomNumbers(6)
    for (let i = 0; i < 300; i++) {
      const channels = someChannels('integers', random, 5, 5)
      const budget = someBudget(channels, random())
      const best = bruteForce(channels, budget)
      const problem = knapsackProblem(channels, budget)
      expect(await solveKnapsack(problem, { below: best })).toBeUndefined()
      expect((await solveKnapsack(problem, { below: best + 0.5 }))?.value).toBe(best)
    }
  })
})

describe('refusals', () => {
  const problems = async (channels: Channels, budget: number): Promise<readonly string[]> => {
    const error = await solveKnapsack(knapsackProblem(channels, budget)).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(RingfenceError)
    expect((error as RingfenceError).code).toBe('BAD_INPUT')
    return (error as RingfenceError).problems
  }

  test('name every channel at fault at once', async () => {
    const channels = [[], [{ cost: -1, value: 0 }], [{ cost: 0.5, value: Number.NaN }]]
    expect(await problems(channels, Number.NaN)).toEqual([
      'channel 0: expected at least one candidate, got none',
      'channel 1, candidate 0: expected a cost that is an integer >= 0, got -1',
      'channel 2, candidate 0: expected a cost that is an integer >= 0, got 0.5',
      'channel 2, candidate 0: expected a finite value, got NaN',
      'budget: expected a number >= 0, got NaN',
    ])
  })

  test('say what the cheapest choice costs, and by how much the budget misses it', async () => {
    expect(await problems([[{ cost: 5, value: 0 }], [{ cost: 7, value: 0 }]], 9)).toEqual([
      'budget: the cheapest possible choice costs 12, 3 more than 9',
    ])
  })

  test('an abort ends a long search soon, which had told its progress', async () => {
    const random = randomNumbers(7)
    // Values that hardly depend on which candidate: nothing prunes the partial choices.
    const channels = Array.from({ length: 3000 }, () =>
      Array.from({ length: 6 }, () => {
        const cost = Math.floor(random() * 1e6) * 2 + 1
        return { cost, value: 2e6 - cost }
      }),
    )
    const controller = new AbortController()
    let told = 0
    const onProgress = () => {
      if (++told === 2) controller.abort()
    }
    const budget = someBudget(channels, 0.5)
    const search = solveKnapsack(knapsackProblem(channels, budget), { signal: controller.signal, onProgress })
    await expect(search).rejects.toMatchObject({ code: 'ABORTED' })
    expect(told).toBe(2)
  })
})
