// `npm run bench -- securenn`: 2^16 ReLUs of the published protocol at once, client, server and helper as three processes
// over WebSockets on loopback, at 64 and at 16 compared bits.
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { loadKernels, upload } from '../../src/kernels/instance.js'
import { type Channel, connect, Link, Meter, type MeterReport } from '../../src/net/index.js'
import { listen } from '../../src/net/websocket-server.node.js'
import type { SecurennPlan } from '../../src/plan/plan.js'
import { planLayout } from '../../src/protocol/layout.js'
import { securennCost } from '../../src/protocol/securenn/cost.js'
import { comparedBits, dealDrelu, drelu, dreluMessages, type Window } from '../../src/protocol/securenn/drelu.js'
import {
  dealTriple,
  multiply,
  PRODUCT,
  pairwise,
  productMessages,
  sendProduct,
} from '../../src/protocol/securenn/multiply.js'
import type { Side } from '../../src/protocol/securenn/parties.js'
import { totalBytes } from '../../src/protocol/transcript.js'
import { freshSeed } from '../../src/random/seed.js'
import { Streams } from '../../src/random/streams.js'
import { prepareWorkload, type Workload } from '../../test/fixtures/workloads.js'
import { answer } from '../processes/parties.js'
import { measureNetworks, networkText } from '../processes/securenn-networks.js'
import { median, table } from '../report.js'

const VALUES = 65_536
const WINDOWS: readonly { window: Window; target: number }[] = [
  { window: { ignoredMsb: 0, ignoredLsb: 0 }, target: 450_000 },
  { window: { ignoredMsb: 48, ignoredLsb: 0 }, target: 1_200_000 },
]

interface Job {
  role: 'helper' | 'server' | 'client'
  window: Window
  runs: number
  /** Seeds of the pairs this party belongs to; the helper's own is fresh. */
  seeds: { common?: number[]; ch?: number[]; sh?: number[] }
  helper?: string
  server?: string
}

export interface SecurennRow {
  bits: number
  values: number
  ms: number
  bestMs: number
  perSecond: number
  target: number
  /** All links together, per ReLU, frame headers left out. */
  bytesPerRelu: number
  declaredBytesPerRelu: number
}

const CALL_LAYER = 1
const tell = (message: unknown): void => void process.send!(message)
const linkOf = (name: string, channel: Channel, meter?: Meter) =>
  new Link(channel, { name, meter, deadlineMs: 60_000, maxFrame: 2 ** 28 })
const LARGE = { maxPayload: 2 ** 28, inboxLimit: 2 ** 29 }

/** Connections as they come; `next` waits for one that has not come yet. */
async function accepting(): Promise<{ url: string; next: () => Promise<Channel> }> {
  const waiting: ((channel: Channel) => void)[] = []
  const arrived: Channel[] = []
  const { url } = await listen({
    host: '127.0.0.1',
    port: 0,
    ...LARGE,
    onConnection: (channel) => {
      const taker = waiting.shift()
      if (taker) taker(channel)
      else arrived.push(channel)
    },
  })
  return {
    url,
    next: () => {
      const channel = arrived.shift()
      return channel ? Promise.resolve(channel) : new Promise((resolve) => waiting.push(resolve))
    },
  }
}

async function helper({ window, runs, seeds }: Job): Promise<void> {
  const door = await accepting()
  tell({ url: door.url })
  // The server connects before the client is started.
  const server = linkOf('server', await door.next())
  const client = linkOf('client', await door.next())
  const k = loadKernels()
  const streams = (seed: ArrayLike<number>) => new Streams(k, Uint8Array.from(seed), 12)
  const side = { k, ch: streams(seeds.ch!), sh: streams(seeds.sh!), own: streams(freshSeed()), client, server }
  for (let inference = 0; inference < runs; inference++) {
    const at = { layer: CALL_LAYER, inference }
    const c = dealTriple(side, PRODUCT, pairwise(VALUES), at)
    await dealDrelu(side, VALUES, window, at)
    await sendProduct(side, c, at)
  }
}

/** One side's share of the values: their sum is what is compared, and each share alone is noise. */
async function relus(side: Side, { window, runs }: Job, onRun: (ms: number) => void): Promise<void> {
  const { k, party, common } = side
  const mask = common.take({ purpose: 12, tensor: 255, layer: 0, inference: 0 }, VALUES * 8)
  const v =
    party === 0
      ? mask
      : upload(
          k.memory,
          mask.u64().map((m, i) => BigInt(i) - 32768n - m),
        )
  for (let inference = 0; inference < runs; inference++) {
    const at = { layer: CALL_LAYER, inference }
    const started = performance.now()
    const b = await drelu(side, v, VALUES, window, at)
    const z = await multiply(side, v, b, pairwise(VALUES), at)
    onRun(performance.now() - started)
    b.release()
    z.release()
  }
}

async function side(job: Job, party: 0 | 1, peer: Link, helperLink: Link, onRun: (ms: number) => void): Promise<void> {
  const k = loadKernels()
  const dealt = party === 0 ? job.seeds.ch! : job.seeds.sh!
  const streams = (seed: number[]) => new Streams(k, Uint8Array.from(seed), 12)
  const own = { k, party, common: streams(job.seeds.common!), dealt: streams(dealt), peer, helper: helperLink }
  await relus(own, job, onRun)
}

const payload = (report: MeterReport): number =>
  Object.values(report.links).reduce(
    (sum, { online }) =>
      sum + online.bytesSent + online.bytesReceived - 8 * (online.messagesSent + online.messagesReceived),
    0,
  )

async function server(job: Job): Promise<void> {
  const meter = new Meter()
  const helperLink = linkOf('helper', await connect(job.helper!, LARGE), meter)
  const door = await accepting()
  tell({ url: door.url })
  await side(job, 1, linkOf('client', await door.next()), helperLink, () => undefined)
  tell({ payload: payload(meter.report()) / job.runs })
}

async function client(job: Job): Promise<void> {
  const meter = new Meter()
  const helperLink = linkOf('helper', await connect(job.helper!, LARGE), meter)
  const peer = linkOf('server', await connect(job.server!, LARGE), meter)
  const times: number[] = []
  await side(job, 0, peer, helperLink, (ms) => times.push(ms))
  tell({ times, payload: payload(meter.report()) / job.runs })
}

/** In a child: plays the role it is told. */
export function playSecurenn(): void {
  process.once('message', (job: Job) => {
    const play = { helper, server, client }[job.role]
    play(job).catch((error: unknown) => {
      process.stderr.write(`${job.role}: ${error instanceof Error ? error.stack : error}\n`)
      process.exit(1)
    })
  })
  process.once('disconnect', () => process.exit(0))
}

async function measure(window: Window, target: number, warmup: number, runs: number): Promise<SecurennRow> {
  const children: ChildProcess[] = []
  const seed = () => [...freshSeed()]
  const seeds = { common: seed(), ch: seed(), sh: seed() }
  const start = (job: Omit<Job, 'window' | 'runs'>): ChildProcess => {
    const child = fork(fileURLToPath(import.meta.url), ['--securenn'], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    children.push(child)
    child.send({ ...job, window, runs: warmup + runs })
    return child
  }
  try {
    const helperAt = await answer<{ url: string }>(start({ role: 'helper', seeds: { ch: seeds.ch, sh: seeds.sh } }))
    const serverSeeds = { common: seeds.common, sh: seeds.sh }
    const serverParty = start({ role: 'server', seeds: serverSeeds, helper: helperAt.url })
    const serverAt = await answer<{ url: string }>(serverParty)
    const served = answer<{ payload: number }>(serverParty)
    const clientSeeds = { common: seeds.common, ch: seeds.ch }
    const measured = await answer<{ times: number[]; payload: number }>(
      start({ role: 'client', seeds: clientSeeds, helper: helperAt.url, server: serverAt.url }),
    )
    const times = measured.times.slice(warmup)
    const bits = comparedBits(window)
    const declared = totalBytes([...dreluMessages(window, VALUES), ...productMessages(pairwise(VALUES))]) / VALUES
    return {
      bits,
      values: VALUES,
      ms: median(times),
      bestMs: Math.min(...times),
      perSecond: VALUES / (median(times) / 1000),
      target,
      // The client meters its two links, the server the one between server and helper.
      bytesPerRelu: (measured.payload + (await served).payload) / VALUES,
      declaredBytesPerRelu: declared,
    }
  } finally {
    for (const child of children) child.kill()
  }
}

function declaredRounds(workload: Workload): number {
  return securennCost(planLayout(prepareWorkload(workload).compiled.plan as SecurennPlan)).flights
}

export async function benchSecurenn({ json = false, quick = false } = {}): Promise<SecurennRow[]> {
  const rows: SecurennRow[] = []
  for (const { window, target } of WINDOWS) {
    rows.push(await measure(window, target, quick ? 2 : 4, quick ? 3 : 15))
  }
  const networks = await measureNetworks(quick, declaredRounds)
  const report = () => `${text(rows)}\n\n${networkText(networks)}`
  process.stdout.write(json ? `${JSON.stringify({ securenn: rows, networks })}\n` : `${report()}\n`)
  return rows
}

function text(rows: readonly SecurennRow[]): string {
  const cells = rows.map((r) => [
    `${r.bits}`,
    `${r.ms.toFixed(1)} ms`,
    `${r.bestMs.toFixed(1)} ms`,
    `${(r.perSecond / 1e3).toFixed(0)} k/s`,
    `≥ ${r.target / 1e3} k/s`,
    `${r.bytesPerRelu.toFixed(0)} B`,
    `${r.declaredBytesPerRelu} B`,
  ])
  const head = ['compared bits', 'median', 'best', 'ReLUs', 'target', 'all links, per ReLU', 'declared']
  return `securenn, 65,536 ReLUs at once, three processes on loopback\n\n${table(head, cells)}`
}
