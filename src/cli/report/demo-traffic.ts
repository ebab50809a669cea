// The demo's counts of bytes and flights: what each link carried, step by step and in all.

import { securennFlights } from '../../tune/inspection/securenn-flights.js'
import type { Bytes } from '../process/demo-facts.js'
import type { DemoImage, DemoOutcome } from '../process/demo-outcome.js'
import { byteSize, type Column, count, median, type Paint, plural, tableLines, wrapped } from '../terminal/terminal.js'
import { describeSteps } from './step-words.js'

/** On line, one inference. */
export interface OnlineTotals {
  readonly flights: number
  /** Client to server and back. */
  readonly up: number
  readonly down: number
  /** The helper's links, seen from client and server. */
  readonly clientHelper: Bytes
  readonly serverHelper: Bytes
}

/** Per step of one inference; measured, but for the flights of `securenn` (see `securennFlights`). */
function flightsOf({ plan }: DemoOutcome, { run }: DemoImage): readonly number[] {
  return plan.backend === 'mcc' ? run.steps.map(({ flights }) => flights) : securennFlights(plan)
}

export function onlineTotals(outcome: DemoOutcome, image: DemoImage): OnlineTotals {
  const { steps } = image.run
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
  return {
    flights: sum(flightsOf(outcome, image)),
    up: sum(steps.map(({ up }) => up)),
    down: sum(steps.map(({ down }) => down)),
    clientHelper: { up: sum(steps.map(({ helper }) => helper.up)), down: sum(steps.map(({ helper }) => helper.down)) },
    serverHelper: outcome.serverHelper.online,
  }
}

/** Columns of numbers, one row per step and their sum. */
interface StepColumn {
  readonly head: string
  readonly values: readonly number[]
  readonly show: (value: number) => string
}

export function layers(outcome: DemoOutcome, paint: Paint, width: number): string[] {
  const { plan, images } = outcome
  const [image] = images
  const words = describeSteps(plan)
  const dashed = (show: (value: number) => string) => (value: number) => (value === 0 ? '-' : show(value))
  const columns: StepColumn[] = [
    { head: 'signs', values: words.map(({ comparisons }) => comparisons), show: dashed(count) },
    { head: 'flights', values: flightsOf(outcome, image), show: dashed(count) },
    ...byteColumns(outcome, image, dashed),
    { head: 'ms', values: plan.steps.map((_, i) => median(images.map(({ run }) => run.steps[i].ms))), show: inMs },
  ]
  // All three links take more room than one: there is none left for shapes.
  const shaped = plan.backend === 'mcc'
  const rows = plan.steps.map((step, i) => [
    ...[step.id, words[i].op, ...(shaped ? [words[i].shape] : [])],
    ...columns.map(({ values, show }) => show(values[i])),
  ])
  const sums = columns.map(({ values, show }) => show(values.reduce((total, value) => total + value, 0)))
  rows.push(['all layers', '', ...(shaped ? [''] : []), ...sums].map((cell) => paint('bold', cell)))
  const heads: Column[] = [
    ...([
      { head: 'layer', shrinks: 'middle' },
      { head: 'op', shrinks: 'end' },
    ] as const),
    ...(shaped ? [{ head: 'shape', align: 'right', optional: true } as const] : []),
    ...columns.map(({ head }) => ({ head, align: 'right' }) as const),
  ]
  const metered = shaped ? 'as the client meters it' : 'helper: both of its links'
  const legend = `(one inference, ${metered}; ms: median of ${plural(images.length, 'picture')})`
  return [
    wrapped(`${paint('bold', 'On line, layer by layer')} ${legend}`, width),
    ...tableLines(heads, rows, paint, width),
  ]
}

const inMs = (ms: number): string => ms.toFixed(2)

function byteColumns(
  { plan, serverHelper }: DemoOutcome,
  { run: { steps } }: DemoImage,
  dashed: (show: (value: number) => string) => (value: number) => string,
): StepColumn[] {
  if (plan.backend === 'mcc') {
    return [
      { head: 'up, B', values: steps.map(({ up }) => up), show: dashed(count) },
      { head: 'down, B', values: steps.map(({ down }) => down), show: dashed(count) },
    ]
  }
  const both = ({ up, down }: Bytes) => up + down
  const withHelper = steps.map(({ helper }, i) => both(helper) + both(serverHelper.steps[i]))
  return [
    { head: 'client–server', values: steps.map(both), show: dashed(byteSize) },
    { head: 'helper', values: withHelper, show: dashed(byteSize) },
  ]
}

export function traffic(outcome: DemoOutcome, paint: Paint, width: number): string[] {
  const [image] = outcome.images
  const online = onlineTotals(outcome, image)
  const { server, helper } = image.run.offline
  const { setUp, serverHelper } = outcome
  const client = setUp.client.bytes
  const size = (bytes: number) => (bytes === 0 ? '-' : byteSize(bytes))
  // Nothing is ever off line on securenn.
  const phases = (during: number, before: number, once: number) =>
    (outcome.plan.backend === 'mcc' ? [during, before, once] : [during, once]).map(size)
  const owned = outcome.images.flatMap(({ run }) => (run.owner ? [run.owner] : []))
  const who = owned.length > 0 ? 'delegate' : 'client'
  const rows = [
    ...(owned.length > 0
      ? [
          ['owner → both', ...phases(median(owned.map(({ up }) => up)), 0, 0)],
          ['both → owner', ...phases(median(owned.map(({ down }) => down)), 0, 0)],
        ]
      : []),
    [`${who} → server`, ...phases(online.up, server.up, client.server.up)],
    [`server → ${who}`, ...phases(online.down, server.down, client.server.down)],
    ['helper → server', ...phases(serverHelper.online.down, serverHelper.offline.down, serverHelper.setUp.down)],
    ['server → helper', ...phases(serverHelper.online.up, serverHelper.offline.up, serverHelper.setUp.up)],
    [`${who} → helper`, ...phases(online.clientHelper.up, helper.up, client.helper.up)],
    [`helper → ${who}`, ...phases(online.clientHelper.down, helper.down, client.helper.down)],
  ]
  if (outcome.plan.backend === 'securenn') rows.push(allLinks(online, paint))
  const heads = ['on line', ...(outcome.plan.backend === 'mcc' ? ['off line'] : []), 'set-up, once']
  const columns = [{ head: 'link' }, ...heads.map((head) => ({ head, align: 'right' }) as const)]
  const title = `${paint('bold', 'Traffic')} (per inference; set-up once per session, server ↔ helper once per server)`
  return [wrapped(title, width), ...tableLines(columns, rows, paint, width)]
}

function allLinks({ up, down, clientHelper, serverHelper }: OnlineTotals, paint: Paint): string[] {
  const helped = clientHelper.up + clientHelper.down + serverHelper.up + serverHelper.down
  return ['all links', byteSize(up + down + helped), ''].map((cell) => paint('bold', cell))
}
