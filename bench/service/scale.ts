// `npm run bench -- scale`: what more cores and machines give a helper, what the queue costs, what kills cost.
import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, loadavg } from 'node:os'
import { chartsDocument } from '../../src/cli/report/chart.js'
import { circumstances, circumstancesWords } from '../../src/cli/report/circumstances.js'
import type { Command, Flags } from '../../src/cli/terminal/arguments.js'
import { openNatsEngine } from '../../src/engine/nats.node.js'
import { findModel, prepareModel } from '../../src/files/prepared-model.js'
import { requireWritable } from '../../src/files/whole-files.js'
import { Client } from '../../src/index.js'
import { packedBytes } from '../../src/kernels/bits.js'
import type { DealtModel, ModelDealer } from '../../src/party/helper/dealing.js'
import { startDealers } from '../../src/party/helper/threads.node.js'
import type { Compiled } from '../../src/plan/compile/compile.js'
import type { MccPlan } from '../../src/plan/plan.js'
import { filterSlots } from '../../src/protocol/weights.js'
import { entropy, freshSeed } from '../../src/random/seed.js'
import { Broker, noBroker } from '../../test/engine/broker.js'
import { median, table } from '../report.js'
import { type Kills, kills } from './kills.js'
import { type Offline, offline } from './offline.js'
import { cpuOf, freePort, Party } from './service.js'

export const SCALE = {
  name: 'scale',
  summary: 'Helpers on several cores and machines: bundles over workers and dealers, the queue, kills.',
  flags: {
    quick: { type: 'boolean', description: 'a rough look' },
    seconds: {
      type: 'string',
      valueHint: 'N',
      range: [5, 3600],
      description: 'how long to kill (default 60; 15 quick)',
    },
    chart: { type: 'string', valueHint: 'FILE', description: 'also draws throughput over workers and dealers, as SVG' },
  },
} as const satisfies Pick<Command, 'name' | 'summary' | 'flags'>

/** How long a dealer may be silent. */
const ACK_WAIT_S = 15

export interface WorkersRow {
  readonly count: number
  readonly bundlesPerSecond: number
  /**
   * Of `serve --workers`, on a core for each: by the processor time of its processes for an inference, off line and on. Clients and
   * helper have the same cores here, so what is answered in a second says little.
   */
  readonly inferencesPerSecond: number
  readonly cpuMsPerBundle: number
}

export interface DealersRow {
  readonly count: number
  /** Of the time that dealing alone would take. */
  readonly shareOfIdeal: number
}

interface Figures {
  /** Nothing else has kept a core busy for the last minute. */
  readonly idle: boolean
  readonly workers: readonly WorkersRow[]
  readonly dealers: readonly DealersRow[]
  readonly engineCpuMsPerJob: number | null
  /** CPU of a server for an inference that is prepared: of the first that it ever takes, by those that follow. */
  readonly cold: { readonly ratio: number }
  readonly kills: Pick<Kills, 'jobs' | 'done' | 'mismatched' | 'usedTwice'> | null
}

/** What helpers and servers of so many workers did while clients had the same cores. */
interface Serving {
  readonly count: number
  readonly serverCpuMs: number
  readonly helperCpuMs: number
  readonly answeredPerSecond: number
}

/** What is said beside the last line. */
interface More {
  readonly serving: readonly Serving[]
  readonly offline: readonly Offline[]
  readonly kills: Kills | null
  /** Megabytes of the broker's memory with so many jobs. */
  readonly broker: { readonly jobs: number; readonly megabytes: number } | null
}

export async function benchScale(flags: Flags): Promise<void> {
  const quick = flags.on('quick')
  const seconds = flags.integer('seconds') ?? (quick ? 15 : 60)
  const chart = flags.text('chart')
  flags.check()
  if (chart) await requireWritable([chart], true)
  const idle = loadavg()[0] < 0.5
  const { compiled } = await prepareModel(findModel('resnet20-cifar10'), '25', {})
  const dealing = await overWorkers(compiled, quick)
  const counts = dealing.map(({ count }) => count)
  const serving = await servingOver(counts, quick)
  const workers = dealing.map((row, at) => {
    return { ...row, inferencesPerSecond: (1000 * row.count) / serving[at].serverCpuMs }
  })
  const resnet20 = await offline({ name: 'resnet20-cifar10', block: [2, 2], options: {} }, quick ? 10 : 30)
  const resnet18 = quick ? [] : [await offline({ name: 'resnet18-cifar100', options: {} }, 8)]
  const queue = noBroker ? undefined : await overDealers(quick)
  const more: More = {
    serving,
    offline: [resnet20, ...resnet18],
    kills: noBroker ? null : await kills(seconds),
    broker: noBroker ? null : await brokerMemory(quick ? 10_000 : 100_000),
  }
  const { jobs, done, mismatched, usedTwice } = more.kills ?? {}
  const figures = {
    ...{ idle, workers: workers.map(rowOf), dealers: queue?.rows ?? [] },
    engineCpuMsPerJob: queue?.cpuMsPerJob ?? null,
    cold: { ratio: resnet20.coldMs / resnet20.nextMs },
    kills: more.kills && { jobs, done, mismatched, usedTwice },
  } as Figures
  process.stdout.write(`${flags.on('json') ? JSON.stringify({ ...more, ...circumstances() }) : text(figures, more)}\n`)
  if (chart) writeFileSync(chart, drawn(figures))
  process.stdout.write(`${JSON.stringify(figures)}\n`)
}

const rowOf = ({ count, bundlesPerSecond, inferencesPerSecond, cpuMsPerBundle }: WorkersRow): WorkersRow => ({
  ...{ count, bundlesPerSecond, inferencesPerSecond, cpuMsPerBundle },
})

/** Bundles of ResNet-20 by one thread and by all, in turns, so that a slow phase of the machine hits both. */
async function overWorkers({ plan }: Compiled, quick: boolean): Promise<Omit<WorkersRow, 'inferencesPerSecond'>[]> {
  const model = randomModel(plan as MccPlan)
  const counts = [...new Set([1, 2, availableParallelism()])]
  const pools = await Promise.all(counts.map((count) => startDealers(count)))
  const dealers = await Promise.all(pools.map((pool) => pool.open(model)))
  const rates: number[][] = counts.map(() => [])
  const costs: number[][] = counts.map(() => [])
  for (const dealer of dealers) await dealt(dealer, 2 * dealer.width)
  for (let round = 0; round < (quick ? 2 : 5); round++) {
    for (const [at, dealer] of dealers.entries()) {
      const bundles = 24
      const [began, before] = [performance.now(), process.cpuUsage()]
      await dealt(dealer, bundles)
      const { user, system } = process.cpuUsage(before)
      rates[at].push((1000 * bundles) / (performance.now() - began))
      costs[at].push((user + system) / 1000 / bundles)
    }
  }
  for (const pool of pools) await pool.release()
  return counts.map((count, at) => ({
    ...{ count, bundlesPerSecond: median(rates[at]), cpuMsPerBundle: median(costs[at]) },
  }))
}

/** What is dealt costs the same whatever the weights. */
function randomModel(plan: MccPlan): DealtModel {
  return { plan, filters: filterSlots(plan).map(({ words }) => bytesOf(packedBytes(words, plan.ring))) }
}

/** The platform gives 64 KiB at a time. */
function bytesOf(count: number): Uint8Array {
  const bytes = new Uint8Array(count)
  for (let at = 0; at < count; at += 2 ** 16) bytes.set(entropy(Math.min(2 ** 16, count - at)), at)
  return bytes
}

async function dealt(dealer: ModelDealer, count: number): Promise<void> {
  let next = 0
  const lane = async () => {
    while (next < count) {
      const job = { inference: next++, ch: freshSeed(), sh: freshSeed(), own: freshSeed() }
      await (await dealer.begin(job)).send(() => undefined)
    }
  }
  await Promise.all(Array.from({ length: dealer.width }, lane))
}

/** Inferences of ResNet-20 by helpers and servers of so many workers, in turns. */
async function servingOver(counts: readonly number[], quick: boolean): Promise<Serving[]> {
  const found: Serving[][] = counts.map(() => [])
  for (let round = 0; round < (quick ? 1 : 3); round++) {
    for (const [at, count] of counts.entries()) found[at].push(await serve(count, quick ? 4 : 10))
  }
  return counts.map((count, at) => {
    const of = (key: keyof Serving) => median(found[at].map((each) => each[key]))
    const [serverCpuMs, helperCpuMs, answeredPerSecond] = [
      of('serverCpuMs'),
      of('helperCpuMs'),
      of('answeredPerSecond'),
    ]
    return { count, serverCpuMs, helperCpuMs, answeredPerSecond }
  })
}

async function serve(workers: number, seconds: number): Promise<Serving> {
  const [atHelper, atServer] = [await freePort(), await freePort()]
  const [helper, server] = [atHelper, atServer].map((port) => `ws://127.0.0.1:${port}`)
  const several = ['--workers', `${workers}`]
  const model = ['--model', 'resnet20-cifar10', '--no-guard', '--helper', helper]
  const parties = [
    new Party('helper', ['helper', '--listen', `${atHelper}`, ...several]),
    new Party('server', ['serve', ...model, '--listen', `${atServer}`, ...several]),
  ]
  let [done, over] = [0, false]
  try {
    for (const party of parties) await party.start()
    // As many as keep every process busy; connections go to processes in turn.
    const clients = await Promise.all(Array.from({ length: 4 }, () => Client.create({ server, helper })))
    const asking = clients.map(async (client) => {
      const input = new Float32Array(client.plan.input.shape.reduce((all, each) => all * each))
      for (; !over; done++) await client.run(input)
      await client.release()
    })
    while (done < 60 * workers) await pause(100) // until each of its processes is warm
    const [before, began] = [done, performance.now()]
    const used = parties.map(({ cpuMs }) => cpuMs)
    await pause(1000 * seconds)
    const answered = done - before
    const answeredPerSecond = (1000 * answered) / (performance.now() - began)
    const [helperCpuMs, serverCpuMs] = parties.map(({ cpuMs }, at) => (cpuMs - used[at]) / answered)
    over = true
    await Promise.all(asking)
    return { count: workers, serverCpuMs, helperCpuMs, answeredPerSecond }
  } finally {
    for (const party of parties) await party.kill()
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Memory of a broker that holds so many jobs. */
async function brokerMemory(jobs: number): Promise<More['broker']> {
  const broker = await Broker.start()
  try {
    const engine = await openNatsEngine(broker.url, { name: 'many', limit: 2 * jobs })
    for (let n = 0; n < jobs; n += 200) {
      await Promise.all(Array.from({ length: 200 }, (_, i) => engine.jobs.put(bytesOf(220), `job-${n + i}`)))
    }
    const { waiting } = await engine.jobs.depth()
    const megabytes = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${broker.pid}/status`, 'utf8'))![1]) / 1024
    await engine.close()
    return { jobs: waiting, megabytes }
  } finally {
    await broker.end()
  }
}

/** Dealers that take a second for a job and no processor, on a real broker, each with a connection of its own. */
async function overDealers(quick: boolean) {
  const broker = await Broker.start()
  const rows: DealersRow[] = []
  let cpuMsPerJob = 0
  const [each, dealMs] = [quick ? 4 : 10, 1000]
  try {
    for (const count of [1, 10, 100]) {
      const options = { name: `dealers${count}`, leaseMs: 15_000 }
      const front = await openNatsEngine(broker.url, options)
      const jobs = each * count
      for (let n = 0; n < jobs; n++) await front.jobs.put(bytesOf(220), `job-${n}`)
      const engines = await Promise.all(
        Array.from({ length: count }, () => openNatsEngine(broker.url, { ...options, create: false })),
      )
      const end = new AbortController()
      let done = 0
      const before = process.cpuUsage()
      const brokerBefore = cpuOf(broker.pid)
      const began = performance.now()
      const work = async (engine: (typeof engines)[number]) => {
        for await (const lease of engine.jobs.take(AbortSignal.any([end.signal]))) {
          await new Promise((resolve) => setTimeout(resolve, dealMs))
          await lease.done()
          if (++done === jobs) end.abort()
        }
      }
      await Promise.all(engines.map(work))
      const wall = performance.now() - began
      const { user, system } = process.cpuUsage(before)
      cpuMsPerJob = ((user + system) / 1000 + cpuOf(broker.pid) - brokerBefore) / jobs
      rows.push({ count, shareOfIdeal: (each * dealMs) / wall })
      for (const engine of [...engines, front]) await engine.close()
    }
  } finally {
    await broker.end()
  }
  return { rows, cpuMsPerJob }
}

function text({ idle, workers, dealers, engineCpuMsPerJob, cold }: Figures, more: More): string {
  const perWorker = workers.map((row) => [
    `${row.count}`,
    row.bundlesPerSecond.toFixed(1),
    (row.bundlesPerSecond / workers[0].bundlesPerSecond).toFixed(2),
    row.cpuMsPerBundle.toFixed(1),
    (row.cpuMsPerBundle / workers[0].cpuMsPerBundle).toFixed(2),
    row.inferencesPerSecond.toFixed(1),
  ])
  const { offline, serving, kills, broker } = more
  const perServing = serving.map(({ count, serverCpuMs, helperCpuMs, answeredPerSecond }) => [
    `${count}`,
    serverCpuMs.toFixed(1),
    (serverCpuMs / serving[0].serverCpuMs).toFixed(2),
    ...[helperCpuMs, answeredPerSecond].map((value) => value.toFixed(1)),
  ])
  const perModel = offline.map(({ model, dealingMs, serverMs, coldMs, nextMs, least }) => [
    model,
    ...[dealingMs, least.dealingMs, serverMs, least.serverMs, coldMs, nextMs].map((ms) => ms.toFixed(1)),
  ])
  const lines = [
    `ResNet-20 dealt by threads${idle ? '' : '; the machine is not idle, so only CPU says something'}:`,
    table(['workers', 'bundles/s', 'of one', 'CPU ms each', 'of one', 'inferences/s'], perWorker),
    'inferences/s: of `serve --workers` with a core for each worker, by the CPU it takes:',
    table(['workers', 'server, CPU ms each', 'of one', 'helper, CPU ms each', 'answered/s on these cores'], perServing),
    'CPU ms of an inference that is prepared, by processes over WebSockets; of warm rounds the median and the quietest:',
    table(['', 'dealing', 'least', 'server', 'least', 'its first', 'its next'], perModel),
    `a server's first ${cold.ratio.toFixed(1)} times those that follow at once (target 2)`,
  ]
  if (engineCpuMsPerJob === null || !kills || !broker)
    return [...lines, `no queue was measured${noBroker}`].join('\n\n')
  const perDealer = dealers.map(({ count, shareOfIdeal }) => [`${count}`, `${(100 * shareOfIdeal).toFixed(0)} %`])
  const { jobs, done, mismatched, usedTwice, killed, p95Ms } = kills
  return [
    ...lines,
    'Simulated dealers of a second a job, on one broker:',
    table(['dealers', 'of ideal'], perDealer),
    `the queue takes ${engineCpuMsPerJob.toFixed(2)} CPU ms a job with 100 dealers, both ends together (target 1)`,
    `${killed} dealers and the broker killed: ${done} of ${jobs} inferences done, ${mismatched} wrong, ${usedTwice} refused as used; ` +
      `95 % prepared within ${(p95Ms / 1000).toFixed(1)} s (target ${ACK_WAIT_S}, and two deals)`,
    `a broker with ${broker.jobs} jobs holds ${broker.megabytes.toFixed(0)} MB (target 100)`,
  ].join('\n\n')
}

function drawn({ workers, dealers }: Figures): string {
  const whole = (value: number) => `${Math.round(value)}`
  const line = (title: string, xTitle: string, yTitle: string, points: { x: number; y: number }[]) => ({
    ...{ title, xTitle, yTitle, formatX: whole, formatY: whole, yScale: 'logarithmic' as const },
    ...{ series: [{ name: title, points, color: 0 }], xTicks: points.map(({ x }) => x) },
  })
  const over = (of: 'bundlesPerSecond' | 'inferencesPerSecond') => workers.map((row) => ({ x: row.count, y: row[of] }))
  const charts = [
    line('ResNet-20, dealt by threads', 'workers', 'bundles/s', over('bundlesPerSecond')),
    line('ResNet-20, by servers, a core for each', 'workers', 'inferences/s', over('inferencesPerSecond')),
    line(
      'on one queue, by dealers that take a second for each',
      'dealers',
      'bundles/s',
      dealers.map(({ count, shareOfIdeal }) => ({ x: count, y: count * shareOfIdeal })),
    ),
  ]
  return chartsDocument(
    'Throughput over workers and dealers',
    charts.filter(({ series }) => series[0].points.length > 0),
    [circumstancesWords(circumstances())],
  )
}
