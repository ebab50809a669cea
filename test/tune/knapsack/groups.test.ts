// Groups of channels in one of several modes, against every combination of their modes and against HiGHS.
import loadHighs from 'highs'
import { describe, expect, test } from 'vitest'
import { type ChannelGroup, solveGroupedKnapsack } from '../../../src/tune/knapsack/groups.js'
import { type Candidate, knapsackProblem } from '../../../src/tune/knapsack/knapsack.js'
import { bruteForce, type Channels, randomNumbers } from './oracles.js'

interface Grouped {
  channels: Channels
  groups: ChannelGroup[]
  budget: number
}

/**
 * Every group can be open, with candidates like blocks: 1, 1/2, 1/4 … of a cost, and linear at nearly the price of the
 * dearest. Most can be closed, and, with `masks`, some can be open in a second way, with finer candidates.
 */
function someGroups(random: () => number, count: number, mostChannels: number, real: boolean, masks = true): Grouped {
  const noise = () => (real ? random() : Math.floor(random() * 4))
  const channels: Candidate[][] = []
  const groups = Array.from({ length: count }, (_, g): ChannelGroup => {
    const size = 1 + Math.floor(random() * mostChannels)
    const cost = 4 + Math.floor(random() * 40)
    let shut = 0
    for (let c = 0; c < size; c++) {
      const identity = 3 + 5 * noise()
      shut += identity
      const blocks = [1, 2, 4].map((part, i) => ({ cost: Math.ceil(cost / part), value: i * noise() }))
      channels.push([...blocks, { cost: cost - 1, value: identity }])
    }
    const opening = Math.floor(random() * 60)
    const modes = [{ channels: size, cost: opening, value: 0 }]
    if (masks && g % 3 < 2) {
      for (let c = 0; c < size; c++) {
        channels.push([1, 0.75, 0.5, 0.1].map((part, i) => ({ cost: Math.ceil(cost * part), value: i * noise() })))
      }
      modes.push({ channels: size, cost: opening + Math.floor(random() * 4), value: 0 })
    }
    if (g % 4 !== 3) modes.push({ channels: 0, cost: Math.floor(random() * 3), value: shut })
    return modes
  })
  const dearest = channels.reduce((sum, list) => sum + list[0].cost, 0) / (masks ? 1.6 : 1)
  return { channels, groups, budget: Math.floor(dearest * (0.5 + 0.7 * random())) }
}

/** As many groups as a deep network has layers, with a budget that some of them must be closed for. */
function sixty(real: boolean): Grouped {
  const grouped = someGroups(randomNumbers(13), 60, 30, real)
  const dearest = grouped.channels.reduce((sum, list) => sum + list[0].cost, 0)
  return { ...grouped, budget: Math.floor(dearest * 0.3) }
}

function everyCombination({ channels, groups, budget }: Grouped): number {
  let best = Number.POSITIVE_INFINITY
  const visit = (g: number, first: number, open: Channels, cost: number, value: number): void => {
    if (cost > budget) return
    if (g === groups.length) {
      best = Math.min(best, value + bruteForce(open, budget - cost))
      return
    }
    let from = first
    const end = first + groups[g].reduce((sum, mode) => sum + mode.channels, 0)
    for (const mode of groups[g]) {
      const own = channels.slice(from, from + mode.channels)
      from += mode.channels
      visit(g + 1, end, [...open, ...own], cost + mode.cost, value + mode.value)
    }
  }
  visit(0, 0, [], 0, 0)
  return best
}

/** One binary per candidate and per mode; a candidate of a mode that is taken is taken in each of its channels. */
function linearProgram({ channels, groups, budget }: Grouped): string {
  const value: string[] = []
  const cost: string[] = []
  const rows: string[] = []
  const names: string[] = []
  const term = (list: string[], factor: number, name: string) => list.push(`+ ${factor} ${name}`)
  let at = 0
  for (const [g, modes] of groups.entries()) {
    const taken = modes.map((_, m) => `y${g}_${m}`)
    names.push(...taken)
    rows.push(` one${g}: ${taken.join(' + ')} = 1`)
    for (const [m, mode] of modes.entries()) {
      term(cost, mode.cost, taken[m])
      term(value, mode.value, taken[m])
      for (const end = at + mode.channels; at < end; at++) {
        const own = channels[at].map((_, j) => `x${at}_${j}`)
        names.push(...own)
        for (const [j, candidate] of channels[at].entries()) {
          term(cost, candidate.cost, own[j])
          term(value, candidate.value, own[j])
        }
        rows.push(` c${at}: ${own.join(' + ')} - ${taken[m]} = 0`)
      }
    }
  }
  const all = [` budget: ${cost.join(' ')} <= ${budget}`, ...rows]
  return `Minimize\n obj: ${value.join(' ')}\nSubject To\n${all.join('\n')}\nBinary\n ${names.join(' ')}\nEnd`
}

async function solve({ channels, groups, budget }: Grouped) {
  const solution = await solveGroupedKnapsack(knapsackProblem(channels, budget), groups)
  let [cost, value, channel] = [0, 0, 0]
  for (const [g, modes] of groups.entries()) {
    for (const [m, mode] of modes.entries()) {
      const isTaken = solution.mode[g] === m
      if (isTaken) [cost, value] = [cost + mode.cost, value + mode.value]
      for (const end = channel + mode.channels; channel < end; channel++) {
        const j = solution.choice[channel]
        expect(j >= 0).toBe(isTaken)
        if (isTaken) [cost, value] = [cost + channels[channel][j].cost, value + channels[channel][j].value]
      }
    }
  }
  expect(solution.cost).toBe(cost)
  expect(solution.value).toBeCloseTo(value, 10)
  expect(cost).toBeLessThanOrEqual(budget)
  expect(solution.bound).toBe(solution.value)
  return solution
}

/** Undefined where nothing fits. */
async function solveOrRefuse(grouped: Grouped) {
  return await solve(grouped).catch((error) => {
    expect(error).toMatchObject({ code: 'BAD_INPUT' })
    return undefined
  })
}

describe.each([true, false])('groups, real values: %s', (real) => {
  test('equal every combination', async () => {
    const random = randomNumbers(11)
    let refused = 0
    for (let i = 0; i < 300; i++) {
      const grouped = someGroups(random, 1 + Math.floor(random() * 4), 2, real)
      const best = everyCombination(grouped)
      const solution = await solveOrRefuse(grouped)
      if (!solution) refused++
      else expect(solution.value).toBeCloseTo(best, 9)
      expect(solution === undefined).toBe(best === Number.POSITIVE_INFINITY)
    }
    expect(refused).toBeLessThan(60)
  })

  test('equal HiGHS', async () => {
    const highs = await loadHighs()
    const random = randomNumbers(12)
    for (let i = 0; i < 25; i++) {
      const grouped = someGroups(random, 6, 6, real)
      const { Status, ObjectiveValue } = highs.solve(linearProgram(grouped), { mip_rel_gap: 0 })
      const solution = await solveOrRefuse(grouped)
      expect(solution !== undefined).toBe(Status === 'Optimal')
      if (!solution) continue
      expect(Math.abs(solution.value - ObjectiveValue)).toBeLessThan(1e-5 * Math.max(1, ObjectiveValue))
    }
  })

  test('sixty groups are decided by few nodes', async () => {
    const grouped = sixty(real)
    const solution = await solve(grouped)
    const closed = solution.mode.filter((m, g) => grouped.groups[g][m].channels === 0)
    expect(closed.length).toBeGreaterThan(0)
    expect(solution.mode.length).toBeGreaterThan(closed.length)
    expect(solution.nodes).toBeLessThan(3000)
  })
})

test('a search cut short says how far it may be from the best', async () => {
  const { channels, groups, budget } = sixty(true)
  const problem = knapsackProblem(channels, budget)
  const best = await solveGroupedKnapsack(problem, groups)
  const short = await solveGroupedKnapsack(problem, groups, { maxNodes: 1 })
  expect(short.nodes).toBeLessThan(best.nodes)
  expect(short.value).toBeGreaterThanOrEqual(best.value)
  expect(short.bound).toBeLessThanOrEqual(best.value)
  expect(short.bound).toBeLessThan(short.value)
})

test('a budget that no combination keeps is refused with what is missing', async () => {
  const channels = [[{ cost: 3, value: 0 }], [{ cost: 5, value: 0 }]]
  const groups = [
    [{ channels: 1, cost: 10, value: 0 }],
    [
      { channels: 1, cost: 10, value: 0 },
      { channels: 0, cost: 2, value: 1 },
    ],
  ]
  await expect(solveGroupedKnapsack(knapsackProblem(channels, 14), groups)).rejects.toMatchObject({
    problems: ['budget: the cheapest possible choice costs 15, 1 more than 14'],
  })
})

test('of many channels that are alike, the one that keeps what is barred apart is found or bounded', async () => {
  const random = randomNumbers(41)
  const channels: Candidate[][] = []
  const groups = Array.from({ length: 5 }, (): ChannelGroup => {
    let sum = 0
    for (let c = 0; c < 80; c++) {
      const value = 1e-3 * random()
      sum += value
      channels.push([
        { cost: 64, value: 0 },
        { cost: 3, value: value / 2 },
        { cost: 0, value },
      ])
    }
    return [
      { channels: 80, cost: 0, value: 0, barred: new Array(80).fill(2) },
      { channels: 0, cost: 0, value: 9 * sum },
    ]
  })
  for (const budget of [15, 16, 40, 500]) {
    const solution = await solveGroupedKnapsack(knapsackProblem(channels, budget), groups)
    expect(solution.mode).toEqual([0, 0, 0, 0, 0])
    for (let g = 0; g < 5; g++)
      expect([...solution.choice.subarray(80 * g, 80 * g + 80)].some((j) => j !== 2)).toBe(true)
    expect(solution.cost).toBeLessThanOrEqual(budget)
    expect(solution.bound).toBeLessThanOrEqual(solution.value)
    expect(solution.value - solution.bound).toBeLessThan(0.02 * solution.value)
    const free = groups.map(([open]) => [{ channels: open.channels, cost: 0, value: 0 }])
    const { value } = await solveGroupedKnapsack(knapsackProblem(channels, budget), free)
    expect(solution.bound).toBeGreaterThanOrEqual(value - 1e-9)
  }
  // With nothing left to spend, what is barred is had for the price of the other mode.
  const none = await solveGroupedKnapsack(knapsackProblem(channels, 0), groups)
  expect(none.mode).toEqual([1, 1, 1, 1, 1])
})
