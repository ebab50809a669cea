// `npm run bench -- knapsack`: the exact knapsack at the sizes of published networks and beyond, on made-up distortions.

import { type ChannelGroup, solveGroupedKnapsack } from '../../src/tune/knapsack/groups.js'
import { type KnapsackProblem, solveKnapsack } from '../../src/tune/knapsack/knapsack.js'
import vectors from '../../test/vectors/knapsack.json' with { type: 'json' }
import { median, megabytes, table } from '../report.js'

export interface KnapsackRow {
  name: string
  channels: number
  candidates: number
  budget: number
  cost: number
  ms: number
  /** Of the whole process so far, the problem included. */
  peakRssBytes: number
  /** By how much the relaxation left the optimum open, relative to it. */
  gapBefore?: number
  /** What the search leaves of it. */
  gapAfter: number
  /** Channels, or nodes of the search over layers. */
  searched: number
  states?: number
}

type Shape = readonly number[]
type Problem = Omit<KnapsackProblem, 'budget'>

const { layers, candidateLists, budget6pct } = vectors.resnet50
const lists: Readonly<Record<string, number[][]>> = candidateLists

export async function benchKnapsack({ json = false, quick = false } = {}): Promise<KnapsackRow[]> {
  const runs = quick ? 1 : 5
  const imageNet = blockProblem(layers)
  const rows = [
    await measure('ResNet50-ImageNet, 6 %', imageNet, budget6pct, runs),
    await measure('ResNet50-ImageNet, 25 %', imageNet, 2_402_176, runs),
    await measure('the same, cost-like values', proportional(imageNet), budget6pct, runs),
  ]
  rows.push(await measureLayers('ResNet50-ImageNet, bytes of 49 layers', imageNet, 20_000_000, runs))
  const wide = Array(quick ? 40 : 391).fill({ shape: [256, 56, 56], candidates: '56x56' })
  rows.push(await measure(`${256 * wide.length} channels of 56x56`, blockProblem(wide), 100 * 256 * wide.length, runs))
  process.stdout.write(json ? `${JSON.stringify({ knapsack: rows })}\n` : `${text(rows)}\n`)
  return rows
}

/** A problem with the published candidate lists; distortions grow with the block, at a pace of each channel's own. */
function blockProblem(from: readonly { shape: Shape; candidates: string }[]): Problem {
  const random = randomNumbers(1)
  const offered = from.map(({ candidates }) => lists[candidates].filter(([, width]) => width > 0))
  const channels = from.reduce((sum, { shape }) => sum + shape[0], 0)
  const size = from.reduce((sum, { shape }, i) => sum + shape[0] * offered[i].length, 0)
  const problem = {
    start: new Int32Array(channels + 1),
    cost: new Float64Array(size),
    value: new Float64Array(size),
  }
  let at = 0
  let channel = 0
  for (const [l, { shape }] of from.entries()) {
    for (let c = 0; c < shape[0]; c++) {
      const weight = 10 ** (4 * random() - 6)
      for (const [height, width] of offered[l]) {
        const blocks = height === 0 ? 0 : Math.ceil(shape[1] / height) * Math.ceil(shape[2] / width)
        problem.cost[at] = blocks
        const area = height === 0 ? 256 : height * width
        problem.value[at++] = area === 1 ? 0 : weight * Math.log2(area) * (0.5 + random())
      }
      problem.start[++channel] = at
    }
  }
  return problem
}

/** The hardest kind: what a candidate loses is nearly what it saves. */
function proportional({ start, cost }: Problem): Problem {
  const random = randomNumbers(2)
  return { start, cost, value: cost.map((blocks) => 12_544 - blocks + random()) }
}

function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

async function measure(name: string, problem: Problem, budget: number, runs: number): Promise<KnapsackRow> {
  const { ms, result } = await timed(() => solveKnapsack({ ...problem, budget }), runs)
  const { value, bound, cost, figures } = result!
  const { searchedChannels: searched, states } = figures
  return { ...size(name, problem), budget, cost, ms, gapBefore: (value - bound) / value, gapAfter: 0, searched, states }
}

/** Eight bytes a comparison, half a byte an element of a layer that is not linear, 200 kB for its round trip. */
async function measureLayers(name: string, problem: Problem, budget: number, runs: number): Promise<KnapsackRow> {
  const { start, value } = problem
  const cost = problem.cost.map((blocks) => 8 * blocks)
  const groups: ChannelGroup[] = []
  let channel = 0
  for (const { shape } of layers) {
    let loss = 0
    for (const end = channel + shape[0]; channel < end; channel++) {
      for (let k = start[channel]; k < start[channel + 1]; k++) cost[k] += Math.ceil((shape[1] * shape[2]) / 2)
      loss += value[start[channel + 1] - 1]
    }
    groups.push([
      { channels: shape[0], cost: 200_000, value: 0 },
      { channels: 0, cost: 0, value: loss },
    ])
  }
  const { ms, result } = await timed(() => solveGroupedKnapsack({ start, cost, value, budget }, groups), runs)
  const gapAfter = (result.value - result.bound) / result.value
  return { ...size(name, problem), budget, cost: result.cost, ms, gapAfter, searched: result.nodes }
}

async function timed<T>(solve: () => Promise<T>, runs: number): Promise<{ ms: number; result: T }> {
  const times: number[] = []
  for (;;) {
    const since = performance.now()
    const result = await solve()
    times.push(performance.now() - since)
    if (times.length === runs) return { ms: median(times), result }
  }
}

function size(
  name: string,
  { start, cost }: Problem,
): Pick<KnapsackRow, 'name' | 'channels' | 'candidates' | 'peakRssBytes'> {
  const peakRssBytes = process.resourceUsage().maxRSS * 1024
  return { name, channels: start.length - 1, candidates: cost.length, peakRssBytes }
}

function text(rows: readonly KnapsackRow[]): string {
  const cells = rows.map((row) => [
    row.name,
    `${row.candidates}`,
    `${row.cost} of ${row.budget}`,
    `${(row.ms / 1000).toFixed(2)} s`,
    megabytes(row.peakRssBytes),
    row.gapBefore?.toExponential(1) ?? '',
    `${row.gapAfter}`,
    `${row.searched}`,
    `${row.states ?? ''}`,
  ])
  const head = ['problem', 'candidates', 'cost', 'time', 'peak', 'gap of bound', 'gap left', 'searched', 'states']
  const limits = 'ResNet50-ImageNet (22,720 channels): at most 10 s and 1 GB; every solution is a proven optimum'
  return `${limits}\n\n${table(head, cells)}`
}
