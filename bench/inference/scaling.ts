// `npm run bench -- scaling`: how time, bytes, work and memory grow with a network's ReLUs, with the bits that are compared, and
// with the clients of a server; and what each network takes before the first inference.
import { writeFileSync } from 'node:fs'
import { type Chart, chartDocuments } from '../../src/cli/report/chart.js'
import { circumstances, circumstancesWords } from '../../src/cli/report/circumstances.js'
import { csv } from '../../src/cli/report/csv.js'
import { pageHtml } from '../../src/cli/report/page.js'
import type { Flags } from '../../src/cli/terminal/arguments.js'
import { columnsOf, wrapped } from '../../src/cli/terminal/terminal.js'
import { requireWritable } from '../../src/files/whole-files.js'
import { countNetwork } from '../../src/model/count.js'
import { type Workload, type WorkloadName, workloadNetwork } from '../../test/fixtures/workloads.js'
import { measureLoad } from '../processes/load.js'
import { type Measured, measure, type Work } from '../processes/parties.js'
import { deviation, flat, median, table } from '../report.js'

export interface ScalingRow {
  network: string
  pixels: number
  /** Compared bits. */
  k: number
  relus: number
  /** Inferences that were timed; times are their medians, spreads the median distances from those. */
  runs: number
  onlineMs: number
  onlineSpreadMs: number
  offlineMs: number
  offlineSpreadMs: number
  onlineBytes: number
  helperToServer: number
  client: Work
  server: Work
  helper: Work
  peakMemoryMB: Measured['peakMemoryMB']
  startMs: Measured['startMs']
}

export interface ClientsRow {
  clients: number
  perSecond: number
  cpuMs: number
}

export const SCALING = {
  name: 'bench scaling',
  summary: 'Time, bytes, work and memory against ReLUs, compared bits and clients.',
  flags: {
    quick: { type: 'boolean', description: 'a rough look, to 2 million ReLUs' },
    csv: { type: 'boolean', description: 'print rows as CSV instead of text' },
    html: { type: 'string', valueHint: 'FILE', description: 'charts and tables as a page' },
  },
} as const

const RESNET: WorkloadName = 'resnet18-cifar100'
const PIXELS = [8, 16, 32, 64, 96, 136]
const BITS = [16, 12, 8, 4]
const CLIENTS = [1, 2, 4, 8]
const NETWORKS: readonly WorkloadName[] = [
  'resnet20-cifar10',
  'vgg11-cifar10',
  'wrn16-2-cifar10',
  'mobilenetv2-cifar10',
  'resnet50-imagenet',
]
const RELUS_TARGET = { compile: 600, server: 500 }

export async function benchScaling(flags: Flags): Promise<{ scaling: ScalingRow[]; clients: ClientsRow[] }> {
  const [quick, html] = [flags.on('quick'), flags.text('html')]
  flags.check()
  if (html) await requireWritable([html], true)
  const rows: ScalingRow[] = []
  for (const pixels of quick ? PIXELS.slice(0, 4) : PIXELS) rows.push(await row(RESNET, pixels, 16, quick))
  for (const k of BITS.slice(1)) rows.push(await row(RESNET, 32, k, quick))
  for (const name of quick ? NETWORKS.slice(0, 1) : NETWORKS) rows.push(await row(name, undefined, 16, quick))
  const clients: ClientsRow[] = []
  for (const count of quick ? CLIENTS.slice(0, 2) : CLIENTS) clients.push(await clientsRow(count, quick ? 4 : 10))
  if (flags.on('json')) process.stdout.write(`${JSON.stringify({ scaling: rows, clients, ...circumstances() })}\n`)
  else if (flags.on('csv')) process.stdout.write(csv(rows.map((each) => flat({ ...each, ...circumstances() }))))
  else
    process.stdout.write(
      `${tables(rows, clients)
        .map(({ title, head, rows }) => `${wrapped(title, columnsOf(process.stdout))}\n\n${table(head, rows)}`)
        .join('\n\n')}\n`,
    )
  if (html) writeFileSync(html, page(rows, clients))
  return { scaling: rows, clients }
}

const workloadOf = (name: WorkloadName, k: number, pixels?: number): Workload => ({
  name,
  pixels,
  options: { ring: 32, bits: 16, lo: 16 - k },
})

async function row(name: WorkloadName, pixels: number | undefined, k: number, quick: boolean): Promise<ScalingRow> {
  const { arch } = workloadNetwork(name, pixels)
  const { relus } = countNetwork(arch)
  const runs = quick ? 3 : Math.max(3, Math.min(15, Math.round(8e6 / relus)))
  const measured = await measure({ workload: workloadOf(name, k, pixels), warmup: 2, runs })
  const { online, offline } = measured.bytes
  const [onlineMs, offlineMs] = [measured.runs.map((run) => run.onlineMs), measured.runs.map((run) => run.offlineMs)]
  return {
    network: name,
    pixels: arch.inputs[0].shape[1],
    k,
    relus,
    runs,
    onlineMs: median(onlineMs),
    onlineSpreadMs: deviation(onlineMs),
    offlineMs: median(offlineMs),
    offlineSpreadMs: deviation(offlineMs),
    onlineBytes: online.up + online.down,
    helperToServer: offline.helperToServer,
    ...measured.used,
    peakMemoryMB: measured.peakMemoryMB,
    startMs: measured.startMs,
  }
}

async function clientsRow(clients: number, seconds: number): Promise<ClientsRow> {
  const { perSecond, cpuMs } = await measureLoad({ workload: workloadOf(RESNET, 16), clients, inFlight: 1, seconds })
  return { clients, perSecond, cpuMs: cpuMs.client + cpuMs.server + cpuMs.helper }
}

interface Table {
  readonly title: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

const bySize = (rows: readonly ScalingRow[]) => rows.filter(({ network, k }) => network === RESNET && k === 16)
const named = ({ network, pixels, k }: ScalingRow): string => `${network}, ${pixels}×${pixels}, k = ${k}`

function tables(rows: readonly ScalingRow[], clients: readonly ClientsRow[]): Table[] {
  const ns = (ms: number, { relus }: ScalingRow) => ((1e6 * ms) / relus).toFixed(0)
  const bytes = (count: number, { relus }: ScalingRow) => (count / relus).toFixed(2)
  const share = (part: number, whole: number) => `${((100 * part) / whole).toFixed(0)} %`
  const parties = ['client', 'server', 'helper'] as const
  const work = (r: ScalingRow, { cpuMs, systemMs, gcMs, pageFaults }: Work) => [
    ...[cpuMs, systemMs, gcMs].map((ms) => ns(ms, r)),
    ((1000 * pageFaults) / r.relus).toFixed(1),
  ]
  return [
    {
      title: 'Milliseconds of an inference, medians; ±: half of the runs lie within',
      head: ['network', 'ReLUs', 'runs', 'on line', '±', 'off line', '±'],
      rows: rows.map((r) => [
        ...[named(r), r.relus.toLocaleString('en'), `${r.runs}`],
        ...[r.onlineMs.toFixed(1), share(r.onlineSpreadMs, r.onlineMs)],
        ...[r.offlineMs.toFixed(1), share(r.offlineSpreadMs, r.offlineMs)],
      ]),
    },
    {
      title: 'Per ReLU, on and off line; dealt: helper → server',
      head: ['network', 'on, ns', 'off, ns', 'on, B', 'dealt, B'],
      rows: rows.map((r) => [
        ...[named(r), ns(r.onlineMs, r), ns(r.offlineMs, r)],
        ...[bytes(r.onlineBytes, r), bytes(r.helperToServer, r)],
      ]),
    },
    {
      title:
        'Processor time per ReLU, on line and off: ns, of these in the kernel and collecting garbage; page faults per 1,000 ReLUs',
      head: ['network and party', 'ns', 'kernel', 'garbage', 'page faults'],
      rows: bySize(rows).flatMap((r) => parties.map((party) => [`${named(r)}: ${party}`, ...work(r, r[party])])),
    },
    {
      title: `Once, in ms: compiling, starting server and client (targets for ResNet-18: ${RELUS_TARGET.compile} and ${RELUS_TARGET.server}); peak memory of client, server, helper`,
      head: ['network', 'compile', 'server', 'client', 'c, MB', 's, MB', 'h, MB'],
      rows: rows.map((r) => [
        named(r),
        ...[r.startMs.compile, r.startMs.server, r.startMs.client].map((ms) => ms.toFixed(0)),
        ...[r.peakMemoryMB.client, r.peakMemoryMB.server, r.peakMemoryMB.helper].map(String),
      ]),
    },
    {
      title: `${RESNET}, 32×32: clients that classify one input after another, dealing included`,
      head: ['clients', 'inferences/s', 'processor ms each'],
      rows: clients.map(({ clients, perSecond, cpuMs }) => [`${clients}`, perSecond.toFixed(2), cpuMs.toFixed(0)]),
    },
  ]
}

function page(rows: readonly ScalingRow[], clients: readonly ClientsRow[]): string {
  const title = 'How private inference scales'
  const notes = [circumstancesWords(circumstances())]
  return pageHtml({
    title,
    charts: chartDocuments(charts(rows)),
    tables: tables(rows, clients).map((each) => ({ ...each, words: 1 })),
    notes,
  })
}

function charts(rows: readonly ScalingRow[]): Chart[] {
  const compact = (value: number): string =>
    value >= 1e9
      ? `${Number((value / 1e9).toPrecision(3))}G`
      : value >= 1e6
        ? `${Number((value / 1e6).toPrecision(3))}M`
        : value >= 1000
          ? `${Number((value / 1000).toPrecision(3))}k`
          : `${Number(value.toPrecision(3))}`
  const sizes = bySize(rows)
  const series = (name: string, color: number, of: (row: ScalingRow) => number) => ({
    name,
    color,
    points: sizes.map((row) => ({ x: row.relus, y: of(row), name: `${named(row)}: ${compact(of(row))}` })),
  })
  const shared = { xTitle: 'ReLUs', formatX: compact, formatY: compact, yScale: 'logarithmic' } as const
  const perRelu = (of: (row: ScalingRow) => number) => (row: ScalingRow) => (1e6 * of(row)) / row.relus
  return [
    {
      ...shared,
      title: 'Time of one inference',
      yTitle: 'milliseconds',
      series: [series('on line', 0, (r) => r.onlineMs), series('off line', 1, (r) => r.offlineMs)],
    },
    {
      ...shared,
      title: 'Bytes of one inference',
      yTitle: 'bytes',
      series: [series('on line', 0, (r) => r.onlineBytes), series('helper → server', 1, (r) => r.helperToServer)],
    },
    {
      ...shared,
      title: 'Processor time per ReLU, and what of it the kernel takes (broken)',
      yTitle: 'nanoseconds',
      series: (['client', 'server', 'helper'] as const).flatMap((role, i) => [
        series(
          role,
          i + 1,
          perRelu((r) => r[role].cpuMs),
        ),
        {
          ...series(
            `${role}, kernel`,
            i + 1,
            perRelu((r) => r[role].systemMs),
          ),
          dashed: true,
        },
      ]),
    },
    {
      ...shared,
      title: 'Peak memory',
      yTitle: 'MB',
      series: (['client', 'server', 'helper'] as const).map((role, i) =>
        series(role, i + 1, (r) => r.peakMemoryMB[role]),
      ),
    },
  ]
}
