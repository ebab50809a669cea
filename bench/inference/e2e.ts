// `npm run bench -- e2e`: a whole private inference of ResNet18-CIFAR100 with random weights (557,056 ReLUs), three
// processes on loopback, bare and under an emulated network.
import type { Flags } from '../../src/cli/terminal/arguments.js'
import type { NetworkProfile } from '../../src/net/index.js'
import { networkProfiles } from '../../src/net/index.js'
import { type Measured, measure } from '../processes/parties.js'
import { median, megabytes, milliseconds, table } from '../report.js'
import { BASELINE_FLAGS, baseline } from './baseline.js'
import { PlainNetwork, type Ratio, type References } from './references.js'

export interface EndToEndReport {
  network: string
  guarded: boolean
  backend: 'mcc'
  relus: number
  online: {
    ms: number
    bestMs: number
    /** Of the first inferences of fresh processes, which are still compiled. */
    firstMs: number
    flights: number
    bytesUp: number
    bytesDown: number
    bytesPerRelu: number
  }
  offline: { ms: number; bestMs: number; clientUp: number; clientDown: number; helperToServer: number }
  setup: { clientDown: number; serverToHelper: number }
  networkProfile: ({ name: string } & NetworkProfile) | null
  /** The network in plain text, between the private inferences of this run. */
  references: References
  /** Medians by tfjs's median, and bests by its best. */
  ratio: Ratio
  best: Ratio
  /** Processor time of one inference. */
  cpuMs: { client: number; server: number; helper: number }
  startMs: Measured['startMs']
  peakMemoryMB: Measured['peakMemoryMB']
  runs: number
}

const RELUS = 557_056
/** V8 compiles for fifty inferences. The references are as warm. */
const WARMUP = 50
const FIRST = 10
const NETWORK = 'resnet18-cifar100'

export const E2E = {
  name: 'bench e2e',
  summary: 'A whole private ResNet-18 in three processes, bare and on an emulated network.',
  flags: {
    quick: { type: 'boolean', description: 'a rough look' },
    guard: { type: 'boolean', description: 'with a guard; the targets are those of the network without' },
    ...BASELINE_FLAGS,
  },
} as const

async function one(
  guarded: boolean,
  { warmup, runs }: { warmup: number; runs: number },
  profile?: keyof typeof networkProfiles,
): Promise<EndToEndReport> {
  const options = { ring: 32, bits: 16, lo: 0, ...(guarded && { guard: {} }) } as const
  const workload = { name: NETWORK, options } as const
  const plain = await PlainNetwork.of(workload)
  const measured = await measure({ workload, warmup, runs, profile }, () => plain.sample())
  const { online, offline, setup } = measured.bytes
  const { used } = measured
  const onlineMs = measured.runs.map((run) => run.onlineMs)
  const offlineMs = measured.runs.map((run) => run.offlineMs)
  return {
    network: NETWORK,
    guarded,
    backend: 'mcc',
    relus: RELUS,
    online: {
      ms: median(onlineMs),
      bestMs: Math.min(...onlineMs),
      firstMs: median(measured.warmups.slice(0, FIRST).map((run) => run.onlineMs)),
      flights: online.flights,
      bytesUp: online.up,
      bytesDown: online.down,
      bytesPerRelu: (online.up + online.down) / RELUS,
    },
    offline: { ms: median(offlineMs), bestMs: Math.min(...offlineMs), ...offline },
    setup: { clientDown: setup.clientDown, serverToHelper: setup.serverToHelper },
    networkProfile: profile ? { name: profile, ...networkProfiles[profile] } : null,
    references: plain.references,
    ...plain.ratios({ online: onlineMs, offline: offlineMs }),
    cpuMs: { client: used.client.cpuMs, server: used.server.cpuMs, helper: used.helper.cpuMs },
    startMs: measured.startMs,
    peakMemoryMB: measured.peakMemoryMB,
    runs,
  }
}

/** One report per network: loopback, then 60 ms and 100 Mbit/s. */
export async function benchEndToEnd(flags: Flags): Promise<EndToEndReport[]> {
  const [quick, guarded] = [flags.on('quick'), flags.on('guard')]
  const files = { compare: flags.text('compare'), save: flags.text('save') }
  flags.check()
  const loopback = await one(guarded, quick ? { warmup: 1, runs: 3 } : { warmup: WARMUP, runs: 25 })
  const wan = await one(guarded, { warmup: 1, runs: quick ? 1 : 3 }, 'wan60')
  const reports = [loopback, wan]
  process.stdout.write(flags.on('json') ? `${JSON.stringify({ ...loopback, shaped: wan })}\n` : `${text(reports)}\n`)
  const { network, ratio, online, offline, setup } = loopback
  const { flights, bytesUp, bytesDown } = online
  const { ms: _off, bestMs: _offBest, ...offlineBytes } = offline
  baseline(
    { network, guarded, ratio: { ...ratio }, online: { flights, bytesUp, bytesDown }, offline: offlineBytes, setup },
    files,
  )
  return reports
}

function text(reports: readonly EndToEndReport[]): string {
  const row = (name: string, target: string, cell: (report: EndToEndReport) => string) => [
    name,
    ...reports.map(cell),
    target,
  ]
  const rows = [
    row('on line, median', 'shaped ≤ 2200 ms', (r) => milliseconds(r.online.ms)),
    row('on line, best', '', (r) => milliseconds(r.online.bestMs)),
    row('on line, first inferences', '', (r) => milliseconds(r.online.firstMs)),
    row('off line, median', '', (r) => milliseconds(r.offline.ms)),
    row('off line, best', '', (r) => milliseconds(r.offline.bestMs)),
    row('in plain text: tfjs, one thread', '', (r) => milliseconds(r.references.tfjsMs)),
    row('in plain text: own float engine', '', (r) => milliseconds(r.references.floatMs)),
    row('on line by tfjs, medians', '≤ 1.3', (r) => r.ratio.online.toFixed(2)),
    row('on line by tfjs, bests', '', (r) => r.best.online.toFixed(2)),
    row('off line by tfjs, medians', '≤ 2.0', (r) => r.ratio.offline.toFixed(2)),
    row('off line by tfjs, bests', '', (r) => r.best.offline.toFixed(2)),
    row('processor, all three', '≤ 240 ms', ({ cpuMs: c }) => milliseconds(c.client + c.server + c.helper)),
    row('processor: client, server, helper', '', ({ cpuMs: c }) =>
      [c.client, c.server, c.helper].map((ms) => ms.toFixed(0)).join(', '),
    ),
    row('flights', '36', (r) => `${r.online.flights}`),
    row('on line, client up', '', (r) => megabytes(r.online.bytesUp)),
    row('on line, client down', '', (r) => megabytes(r.online.bytesDown)),
    row('on line, both', '≤ 4.60 MB', (r) => megabytes(r.online.bytesUp + r.online.bytesDown)),
    row('on line, per ReLU', '≤ 8.3 B', (r) => `${r.online.bytesPerRelu.toFixed(2)} B`),
    row('off line, client down', '≤ 64 B', (r) => `${r.offline.clientDown} B`),
    row('off line, client up', '', (r) => megabytes(r.offline.clientUp)),
    row('off line, helper to server', '≤ 40 MB', (r) => megabytes(r.offline.helperToServer)),
    row('set-up once, client down', 'plan + 32 B seed', (r) => `${r.setup.clientDown} B`),
    row('set-up once, server to helper', '', (r) => megabytes(r.setup.serverToHelper)),
    row('once: compile, server start, client start', '≤ 600, 500 ms', ({ startMs: s }) =>
      [s.compile, s.server, s.client].map((ms) => ms.toFixed(0)).join(', '),
    ),
    row('peak memory, client', '≤ 400 MB', (r) => `${r.peakMemoryMB.client} MB`),
    row('peak memory, server', '', (r) => `${r.peakMemoryMB.server} MB`),
    row('peak memory, helper', '', (r) => `${r.peakMemoryMB.helper} MB`),
  ]
  const name = (r: EndToEndReport) =>
    r.networkProfile ? `${r.networkProfile.rttMs} ms, ${r.networkProfile.upBitsPerSecond / 1e6} Mbit/s` : 'loopback'
  const kind = reports[0].guarded ? 'guarded, ' : ''
  const title = `ResNet18-CIFAR100, ${kind}random weights, ${RELUS.toLocaleString('en')} ReLUs, n = 32, n' = 16, k = 16; three processes`
  return `${title}\n\n${table(['per inference', ...reports.map(name), 'target'], rows)}`
}
