// What `cost` shows: every step, totals, seconds on several networks, and what papers' formulas say.
import type { NetworkProfile } from '../../net/index.js'
import type { CostPrediction, OfflineBytes, OnlineBytes, StepPrediction } from '../../tune/cost/predict.js'
import type { PublishedCosts } from '../../tune/cost/published.js'
import {
  byteSize,
  type Column,
  columnsOf,
  count,
  duration,
  type Output,
  type Paint,
  painter,
  tableLines,
  wrapped,
} from '../terminal/terminal.js'

export interface ProfileSeconds {
  readonly name: string
  readonly profile: NetworkProfile
  readonly online: number
  readonly offline: number
}

export interface CostReport extends Omit<CostPrediction, 'steps'> {
  readonly steps: readonly (StepPrediction & { readonly op: string })[]
  /** The network that was asked for first. */
  readonly profiles: readonly ProfileSeconds[]
  readonly helperNetwork: string
  readonly machine: string
  /** Of a guarded plan: how often a deviation passes at best, and what it adds to the same plan without it. */
  readonly guard: {
    readonly epsilonLog2: number
    /** Bytes. */
    readonly online: number
    readonly dealt: number
    /** On the first of the profiles. */
    readonly seconds: { readonly online: number; readonly offline: number }
  } | null
  readonly published: PublishedCosts
}

const right = (head: string): Column => ({ head, align: 'right' })
const seconds = (value: number): string => duration(1000 * value)
const dashed = (value: number): string => (value === 0 ? '-' : count(value))

export function costText(report: CostReport, out: Output): string {
  const paint = painter(out)
  const columns = columnsOf(out)
  const [{ name }] = report.profiles
  const relus = `${count(report.total.comparisons)} comparisons`
  return [
    wrapped(
      `${paint('bold', report.network)}, back end ${report.backend}, ${relus}, ${report.total.flights} flights`,
      columns,
    ),
    '',
    `${paint('bold', 'Step by step')} (bytes of one inference; ms on ${name})`,
    ...stepLines(report, paint, columns),
    '',
    ...linkLines(report, paint, columns),
    '',
    paint('bold', 'Seconds'),
    ...networkLines(report, paint, columns),
    ...guardLines(report, columns),
    '',
    ...roleLines(report, paint, columns),
    '',
    `${paint('bold', 'What published formulas say')} of this network and relu-spec`,
    ...publishedLines(report, paint, columns),
    '',
  ].join('\n')
}

function guardLines({ guard }: CostReport, columns: number): string[] {
  if (!guard) return []
  const { online, offline } = guard.seconds
  const adds = `${byteSize(guard.online)} and ${seconds(online)} on line, ${byteSize(guard.dealt)} and ${seconds(offline)} off line`
  const odds = `a deviation passes with 2^${guard.epsilonLog2.toFixed(1)} at best`
  return [wrapped(`  guarded: ${odds}; it adds ${adds}.`, columns, '  ')]
}

interface Numbers {
  readonly online: OnlineBytes
  readonly offline: OfflineBytes
}

type Bytes = readonly (readonly [head: string, of: (n: Numbers) => number])[]

/** Columns of the table of steps. */
const COLUMNS: Readonly<Record<CostPrediction['backend'], Bytes>> = {
  mcc: [
    ['up', ({ online }) => online.up],
    ['down', ({ online }) => online.down],
    ['δ up', ({ offline }) => offline.clientUp],
    ['dealt', ({ offline }) => offline.helperToServer],
  ],
  securenn: [
    ['up', ({ online }) => online.up],
    ['down', ({ online }) => online.down],
    ['helper', ({ online }) => online.clientHelper + online.serverHelper + online.helperServer],
  ],
}

/** Every link that a back end uses. */
const LINKS: Readonly<Record<CostPrediction['backend'], Bytes>> = {
  mcc: [
    ['client → server', ({ online }) => online.up],
    ['server → client', ({ online }) => online.down],
    ['client → server, off line', ({ offline }) => offline.clientUp],
    ['helper → server, off line', ({ offline }) => offline.helperToServer],
  ],
  securenn: [
    ['client → server', ({ online }) => online.up],
    ['server → client', ({ online }) => online.down],
    ['client → helper', ({ online }) => online.clientHelper],
    ['server → helper', ({ online }) => online.serverHelper],
    ['helper → server', ({ online }) => online.helperServer],
  ],
}

const size = (bytes: number): string => (bytes === 0 ? '-' : byteSize(bytes))

function stepLines({ backend, steps, total }: CostReport, paint: Paint, width: number): string[] {
  const links = COLUMNS[backend]
  const rows = steps.map((step) => [
    ...[step.id, step.op, dashed(step.comparisons), `${step.flights}`],
    ...links.map(([, of]) => size(of(step))),
    (1000 * step.seconds).toFixed(1),
  ])
  const flights = total.flights - steps.reduce((sum, step) => sum + step.flights, 0)
  const rest = links.map(([, of]) => of(total) - steps.reduce((sum, step) => sum + of(step), 0))
  rows.push(['input, headers', '', '', `${flights}`, ...rest.map(size), ''])
  const all = ['all', '', count(total.comparisons), `${total.flights}`, ...links.map(([, of]) => size(of(total)))]
  rows.push([...all, (1000 * total.seconds.online).toFixed(1)].map((cell) => paint('bold', cell)))
  // What an inference's δ adds is in the table of links.
  const heads = ['signs', 'flights', ...links.map(([head]) => head), 'ms'].map((head) => ({
    ...right(head),
    optional: head === 'δ up',
  }))
  return tableLines(
    [{ head: 'step', shrinks: 'middle' }, { head: 'op', shrinks: 'end', optional: true }, ...heads],
    rows,
    paint,
    width,
  )
}

/** To the byte, as the meters show them. */
function linkLines({ backend, total }: CostReport, paint: Paint, width: number): string[] {
  const rows = LINKS[backend].map(([link, of]) => [link, count(of(total))])
  const lines = tableLines([{ head: 'link' }, right('bytes, frames included')], rows, paint, width)
  if (backend === 'securenn') return lines
  return [...lines, `  a prepared inference takes ${byteSize(total.material.serverBytes)} of the server's memory`]
}

function networkLines(
  { profiles, helperNetwork, machine, backend }: CostReport,
  paint: Paint,
  width: number,
): string[] {
  const rows = profiles.map(({ name, profile, online, offline }, i) => [
    i === 0 ? paint('bold', name) : name,
    `${profile.rttMs} ms, ${profile.upBitsPerSecond / 1e6}/${profile.downBitsPerSecond / 1e6} Mbit/s`,
    i === 0 ? paint('bold', seconds(online)) : seconds(online),
    ...(backend === 'mcc' ? [seconds(offline)] : []),
  ])
  const heads = [right('on line'), ...(backend === 'mcc' ? [right('off line')] : [])]
  return [
    ...tableLines([{ head: "client's links" }, { head: '' }, ...heads], rows, paint, width),
    wrapped(`server and helper: ${helperNetwork}; machine: ${machine}`, width, '  '),
  ]
}

function roleLines({ total, backend }: CostReport, paint: Paint, width: number): string[] {
  const { perRole } = total.seconds
  const rows = (['client', 'server', 'helper'] as const).map((role) => [
    role,
    seconds(perRole[role].online),
    ...(backend === 'mcc' ? [seconds(perRole[role].offline)] : []),
    byteSize(total.memory[role]),
  ])
  const heads = [right('on line'), ...(backend === 'mcc' ? [right('off line')] : []), right('memory, at most')]
  return tableLines([{ head: 'computing' }, ...heads], rows, paint, width)
}

function publishedLines({ published, total, backend }: CostReport, paint: Paint, width: number): string[] {
  const { secureNN, knapsack, seesaw } = published
  const { online, offline } = total
  const here = Object.values(online).reduce((sum, bytes) => sum + bytes, 0)
  const dealt = Object.values(offline).reduce((sum, bytes) => sum + bytes, 0)
  const before = dealt > 0 ? `${byteSize(dealt)} more off line` : 'all on line'
  const rows = [
    [paint('bold', `ringfence, ${backend}`), byteSize(here), `${total.flights} flights`, before],
    ...[secureNN, knapsack].map(({ source, bytes, bytesPerRelu, rounds }) => [
      ...[source, byteSize(bytes), rounds === null ? '-' : `${rounds} rounds`, `${bytesPerRelu} B a ReLU`],
    ]),
  ]
  const relative = `off line ${seesaw.offline.toFixed(1)}, on line ${seesaw.online.toFixed(1)}, unit ${seesaw.unit}`
  return [
    ...tableLines([{ head: 'source' }, right('on-line bytes'), right('waves'), { head: '' }], rows, paint, width),
    ...[secureNN, knapsack].map(({ source, note }) => paint('dim', wrapped(`${source}: ${note}`, width, '  '))),
    wrapped(`${seesaw.source}: ${relative}`, width, '  '),
    paint('dim', wrapped(`${seesaw.source}: ${seesaw.note}`, width, '  ')),
  ]
}
