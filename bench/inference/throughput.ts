// `npm run bench -- throughput`: clients that classify one input after another, each with so many in flight, everything
// counted: dealing, uploads, inferences, in all three parties. First without latency, then with: what of the first is left.
import type { Flags } from '../../src/cli/terminal/arguments.js'
import type { NetworkProfile } from '../../src/net/index.js'
import { type Load, measureLoad } from '../processes/load.js'
import { table } from '../report.js'

export interface ThroughputRow {
  network: string
  clients: number
  inFlight: number
  rttMs: number
  perSecond: number
  /** Of the throughput without latency, with as many in flight as gave the most. */
  kept: number | null
  cpuMs: Load['cpuMs']
  peakMemoryMB: Load['peakMemoryMB']
  /** Inferences of the client that had the most done, by those of the one with the fewest. */
  fairness: number
}

const NETWORK = 'resnet18-cifar100'

export const THROUGHPUT = {
  name: 'bench throughput',
  summary: 'Many inferences in flight: how many a second, with latency and without, and what one costs.',
  flags: {
    quick: { type: 'boolean', description: 'a rough look' },
    clients: { type: 'string', valueHint: 'N', description: 'nothing but N clients', range: [1, 64] },
    'in-flight': {
      type: 'string',
      valueHint: 'N',
      description: 'inferences in flight of each; default 16',
      range: [1, 256],
    },
    rtt: {
      type: 'string',
      valueHint: 'MS',
      description: 'round trip between client and server, and client and helper',
      range: [0, 10_000],
    },
    seconds: { type: 'string', valueHint: 'S', description: 'how long each is measured', range: [1, 3600] },
  },
} as const

interface Case {
  clients: number
  inFlight: number
  rttMs: number
  target?: number
}

const CASES: readonly Case[] = [
  { clients: 1, inFlight: 1, rttMs: 0 },
  { clients: 1, inFlight: 4, rttMs: 0 },
  { clients: 1, inFlight: 16, rttMs: 0 },
  { clients: 4, inFlight: 4, rttMs: 0 },
  { clients: 1, inFlight: 1, rttMs: 80 },
  { clients: 1, inFlight: 16, rttMs: 80, target: 0.8 },
  { clients: 1, inFlight: 64, rttMs: 480, target: 0.7 },
]

export async function benchThroughput(flags: Flags): Promise<ThroughputRow[]> {
  const [clients, inFlight, rttMs] = [flags.integer('clients'), flags.integer('in-flight'), flags.integer('rtt')]
  const seconds = flags.integer('seconds') ?? (flags.on('quick') ? 5 : 20)
  flags.check()
  const chosen = clients !== undefined || inFlight !== undefined || rttMs !== undefined
  const cases: readonly Case[] = chosen
    ? [{ clients: clients ?? 1, inFlight: inFlight ?? 16, rttMs: rttMs ?? 0 }]
    : CASES
  const rows: ThroughputRow[] = []
  for (const { target, ...one } of cases) {
    const profile: NetworkProfile = { rttMs: one.rttMs, upBitsPerSecond: 1e12, downBitsPerSecond: 1e12 }
    const workload = { name: NETWORK, options: { ring: 32, bits: 16, lo: 0 } } as const
    const load = await measureLoad({ workload, ...one, seconds, ...(one.rttMs > 0 && { profile }) })
    const most = Math.max(...rows.filter((row) => row.rttMs === 0).map(({ perSecond }) => perSecond))
    const { perSecond, cpuMs, peakMemoryMB, done } = load
    const kept = one.rttMs > 0 && most > 0 ? perSecond / most : null
    const fairness = Math.max(...done) / Math.min(...done)
    rows.push({ network: NETWORK, ...one, perSecond, kept, cpuMs, peakMemoryMB, fairness })
  }
  const targets = cases.map(({ target }) => target)
  process.stdout.write(flags.on('json') ? `${JSON.stringify({ throughput: rows })}\n` : `${text(rows, targets)}\n`)
  return rows
}

function text(rows: readonly ThroughputRow[], targets: readonly (number | undefined)[]): string {
  const head = ['clients', 'in flight', 'round trip', 'inferences/s', 'of most at 0 ms', 'target']
  const costs = ['processor c / s / h, ms', 'all', 'peak memory c / s / h, MB', 'most / fewest done']
  const cells = rows.map(({ clients, inFlight, rttMs, perSecond, kept, cpuMs: c, peakMemoryMB: m, fairness }, i) => [
    ...[
      `${clients}`,
      `${inFlight}`,
      `${rttMs} ms`,
      perSecond.toFixed(2),
      kept === null ? '' : `${(100 * kept).toFixed(0)} %`,
    ],
    targets[i] ? `≥ ${100 * targets[i]} %` : '',
    [c.client, c.server, c.helper].map((ms) => ms.toFixed(0)).join(' / '),
    (c.client + c.server + c.helper).toFixed(0),
    [m.client, m.server, m.helper].join(' / '),
    fairness.toFixed(2),
  ])
  return `${NETWORK}, dealing and uploads included\n\n${table([...head, ...costs], cells)}`
}
