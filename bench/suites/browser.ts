// `npm run bench -- browser`: the same client in Chromium and in Node, on the same machine and at the same server: how much
// work a private ResNet-20 inference is to each, how long the page's own thread is blocked meanwhile, and what a slow device far
// from the server waits for.
import { existsSync } from 'node:fs'
import { RingfenceError } from '../../src/errors.js'
import { findModel } from '../../src/files/prepared-model.js'
import { Client } from '../../src/party/client/client.js'
import { withDelegate } from '../delegate/parties.js'
import {
  type Blocked,
  type ClientPage,
  type ClientWork,
  openPage,
  type Parties,
  type Task,
} from '../processes/browser-page.js'
import { farAway } from '../processes/far.js'
import { withParties } from '../processes/parties.js'
import { median, milliseconds, table } from '../report.js'

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium'
const MODEL = 'resnet20-cifar10'
const network = () => ({ workload: { name: MODEL, options: {} }, folder: findModel(MODEL) }) as const
const TARGET = { ratio: 1.25, blockedMs: 16, slowMs: 400 }
/** Both engines compile for fifty inferences. */
const WARMUP = 50
/** A mid-range telephone, and its way to the server. */
const SLOW = { rate: 4, rttMs: 60 }

export interface BrowserReport {
  model: string
  browser: string
  node: string
  runs: number
  /** Medians per inference. */
  work: { node: ClientWork; browser: ClientWork; ratio: Ratio }
  /** The page's thread: delay of a timer during inferences and without any; its longest task during inferences. */
  blocked: { runs: number; during: Blocked; idle: Blocked; task: Task }
  /** On line, in the page's own thread with a quarter of the processor; the round trips alone take `floorMs`. */
  slow: {
    rate: number
    measuredRate: number
    rttMs: number
    onlineMs: number
    floorMs: number
    /** Where a delegate plays the client, and the page sends it one request. */
    delegatedMs: number
  }
  target: typeof TARGET
}

/** The browser's work by Node's. */
interface Ratio {
  readonly online: number
  readonly both: number
  /** Of the shortest on line. */
  readonly bestOnline: number
}

/** @throws RingfenceError HOST where there is no Chromium */
export async function benchBrowser({ json = false, quick = false } = {}): Promise<BrowserReport> {
  if (!existsSync(CHROMIUM)) {
    const what = `this bench drives Chromium, and there is none at ${CHROMIUM}`
    throw new RingfenceError('HOST', `${what}; install it, or name it in the environment variable CHROMIUM`)
  }
  const runs = quick ? 10 : 60
  const job = { ...network(), warmup: 0, runs: 0 }
  const report = await withParties(job, 0, ({ urls }) => compare(urls, runs, quick ? 10 : WARMUP))
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : `${text(report)}\n`)
  return report
}

async function compare(parties: Parties, runs: number, warmup: number): Promise<BrowserReport> {
  const client = await Client.create(parties)
  const page = await openPage(CHROMIUM, parties)
  try {
    const input = new Float32Array(client.plan.input.shape.reduce((size, extent) => size * extent)).fill(0.5)
    const rounds: { node: ClientWork; browser: ClientWork }[] = []
    // In turns, so that whatever else the machine does hits both alike.
    for (let i = 0; i < warmup + runs; i++)
      rounds.push({ node: await inNode(client, input), browser: await page.infer() })
    const counted = rounds.slice(warmup)
    const medians = (of: 'node' | 'browser'): ClientWork => {
      const middle = (key: keyof ClientWork) => median(counted.map((round) => round[of][key]))
      return { offline: middle('offline'), online: middle('online'), wall: middle('wall') }
    }
    const [node, browser] = [medians('node'), medians('browser')]
    const both = (browser.offline + browser.online) / (node.offline + node.online)
    const best = (of: 'node' | 'browser') => Math.min(...counted.map((round) => round[of].online))
    const ratio = { online: browser.online / node.online, both, bestOnline: best('browser') / best('node') }
    const blocked = { runs, ...(await page.blocked(runs)), task: await page.longestTask(runs) }
    const work = { node, browser, ratio }
    const slow = await slowly(
      page,
      parties,
      client.traffic.links.server.online.flights / rounds.length,
      Math.min(runs, 20),
    )
    return { model: MODEL, browser: page.version, node: process.version, runs, work, blocked, slow, target: TARGET }
  } finally {
    await page.close()
    await client.release()
  }
}

async function slowly(
  page: ClientPage,
  parties: Parties,
  flights: number,
  runs: number,
): Promise<BrowserReport['slow']> {
  const { rate, rttMs } = SLOW
  const far = await farAway(parties.server, rttMs)
  try {
    const { online, rate: measuredRate } = await page.slow({ ...parties, server: far.url }, rate, runs)
    const delegatedMs = await delegated(page, runs)
    return { rate, measuredRate, rttMs, onlineMs: median(online), floorMs: (flights * rttMs) / 2, delegatedMs }
  } finally {
    far.close()
  }
}

function delegated(page: ClientPage, runs: number): Promise<number> {
  return withDelegate(network(), { connections: 1, high: 2 }, async ({ server, delegate, delegateKey }) => {
    const { rate, rttMs } = SLOW
    const far = await Promise.all([server, delegate].map(({ url }) => farAway(url, rttMs)))
    try {
      const [toServer, toDelegate] = far.map(({ url }) => url)
      const owner = { server: toServer, delegate: toDelegate, delegateKey: [...delegateKey] }
      return median((await page.slow(owner, rate, runs)).online)
    } finally {
      for (const { close } of far) close()
    }
  })
}

async function inNode(client: Client, input: Float32Array): Promise<ClientWork> {
  const work = (phase: 'offline' | 'online') => {
    const { milliseconds: all, waiting } = client.traffic
    return all[phase].total - waiting[phase].total
  }
  const [offline, online, started] = [work('offline'), work('online'), performance.now()]
  await client.prepare()
  await client.run(input)
  return { wall: performance.now() - started, offline: work('offline') - offline, online: work('online') - online }
}

function text({ model, browser, node, runs, work, blocked, slow, target }: BrowserReport): string {
  const line = (name: string, of: (one: ClientWork) => number, wanted = '') => {
    const [a, b] = [of(work.node), of(work.browser)]
    return [name, milliseconds(a), milliseconds(b), (b / a).toFixed(2), wanted]
  }
  const rows = [
    line('off line, work', ({ offline }) => offline),
    line('on line, work', ({ online }) => online, `≤ ${target.ratio}`),
    ['on line, work, bests', '', '', work.ratio.bestOnline.toFixed(2), ''],
    line('both, work', ({ offline, online }) => offline + online),
    line('prepared and run, waiting included', ({ wall }) => wall),
  ]
  const { during, idle, task } = blocked
  const threads = [
    ['a timer fired late by, during inferences', milliseconds(during.longest), `≤ ${target.blockedMs} ms`],
    ['the same without any inference', milliseconds(idle.longest), ''],
    ['a task took, during inferences', milliseconds(task.wall), `≤ ${target.blockedMs} ms`],
    ['a task had the processor for', milliseconds(task.processor), ''],
  ]
  return [
    `The client's share of one ${model} inference (median of ${runs}, in turns; the page's client works in a worker)`,
    table(['', `Node ${node.slice(1)}`, `Chromium ${browser}`, 'ratio', 'target'], rows),
    '',
    `How long the page's own thread was blocked, at the longest (${blocked.runs} inferences each)`,
    table(['', 'longest', 'target'], threads),
    '',
    `On line with 1/${slow.rate} of the processor (measured 1/${slow.measuredRate.toFixed(1)}), ${slow.rttMs} ms away, in the page's own thread`,
    table(
      ['on line, median', 'time', 'target'],
      [
        ['one request to a delegate', milliseconds(slow.delegatedMs), `≤ ${target.slowMs} ms`],
        ['without a delegate', milliseconds(slow.onlineMs), ''],
        ['  round trips alone', milliseconds(slow.floorMs), ''],
        ['  beyond them', milliseconds(slow.onlineMs - slow.floorMs), ''],
      ],
    ),
  ].join('\n')
}
