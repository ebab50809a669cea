// Groups of channels with a cost of their own, against every combination of open and closed groups and against HiGHS.
import loadHighs from 'highs'
import { describe, expect, test } from 'vitest'
import { type Candidate, knapsackProblem } from '../../src/planner/knapsack.js'
import { type ChannelGroup, solveGroupedKnapsack } from '../../src/planner/knapsack-groups.js'
import { bruteForce, type Channels, randomNumbers } from './oracles.js'

interface Grouped {
  channels: Channels
  groups: ChannelGroup[]
  budget: number
}

/** Candidates like blocks: 1, 1/2, 1/4 … of a cost, and linear at nearly the price of the dearest. */
function someGroups(random: () => number, count: number, mostChannels: number, real: boolean): Grouped {
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
    const closed = { cost: Math.floor(random() * 3), value: shut }
    return { channels: size, opening: Math.floor(random() * 60), ...(g % 4 === 3 ? {} : { closed }) }
  })
  const dearest = channels.reduce((sum, list) => sum + list[0].cost, 0)
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
    if (g === groups.length) {
      best = Math.min(best, value + bruteForce(open, budget - cost))
      return
    }
    const { channels: size, opening, closed } = groups[g]
    visit(g + 1, first + size, [...open, ...channels.slice(first, first + size)], cost + opening, value)
    if (closed) visit(g + 1, first + size, open, cost + closed.cost, value + closed.value)
  }
  visit(0, 0, [], 0, 0)
  return best
}

/** One binary per candidate and per group; a candidate of an open group is taken in each of its channels. */
function linearProgram({ channels, groups, budget }: Grouped): string {
  const value: string[] = []
  const cost: string[] = []
  const rows: string[] = []
  const names: string[] = []
  const term = (list: string[], factor: number, name: string) =>
    list.push(`${factor < 0 ? '-' : '+'} ${Math.abs(factor)} ${name}`)
  let at = 0
  let fixed = 0
  for (const [g, { channels: size, opening, closed }] of groups.entries()) {
    names.push(`y${g}`)
    term(cost, opening - (closed?.cost ?? 0), `y${g}`)
    term(value, -(closed?.value ?? 0), `y${g}`)
    fixed += closed?.cost ?? 0
    if (!closed) rows.push(` open${g}: y${g} = 1`)
    for (let i = at; i < at + size; i++) {
      const own = channels[i].map((_, j) => `x${i}_${j}`)
      names.push(...own)
      for (const [j, candidate] of channels[i].entries()) {
        term(cost, candidate.cost, own[j])
        term(value, candidate.value, own[j])
      }
      rows.push(` c${i}: ${own.join(' + ')} - y${g} = 0`)
    }
    at += size
  }
  const all = [` budget: ${cost.join(' ')} <= ${budget - fixed}`, ...rows]
  return `Minimize\n obj: ${value.join(' ')}\nSubject To\n${all.join('\n')}\nBinary\n ${names.join(' ')}\nEnd`
}

async function solve({ channels, groups, budget }: Grouped) {
  const solution = await solveGroupedKnapsack(knapsackProblem(channels, budget), groups)
  let [cost, value, channel] = [0, 0, 0]
  for (const [g, { channels: size, opening, closed }] of groups.entries()) {
    cost += solution.open[g] ? opening : closed!.cost
    value += solution.open[g] ? 0 : closed!.value
    for (const end = channel + size; channel < end; channel++) {
      const taken = solution.choice[channel]
      expect(taken >= 0).toBe(solution.open[g])
      cost += solution.open[g] ? channels[channel][taken].cost : 0
      value += solution.open[g] ? channels[channel][taken].value : 0
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
      const shut = grouped.groups.reduce((sum, { closed }) => sum + (closed?.value ?? 0), 0)
      expect(Math.abs(solution.value - shut - ObjectiveValue)).toBeLessThan(1e-5 * Math.max(1, shut))
    }
  })

  test('sixty groups are decided by few nodes', async () => {
    const solution = await solve(sixty(real))
    expect(solution.open).toContain(false)
    expect(solution.open).toContain(true)
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
    { channels: 1, opening: 10 },
    { channels: 1, opening: 10, closed: { cost: 2, value: 1 } },
  ]
  await expect(solveGroupedKnapsack(knapsackProblem(channels, 14), groups)).rejects.toMatchObject({
    problems: ['budget: the cheapest possible choice costs 15, 1 more than 14'],
  })
})
