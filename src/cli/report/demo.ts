// What the demo prints: one line of JSON, or a report that fits the terminal.
import { basename, relative } from 'node:path'
import { coarseNotes } from '../../plan/compile/rounding.js'
import type { OwnerRun } from '../process/demo-facts.js'
import type { DemoImage, DemoOutcome } from '../process/demo-outcome.js'
import {
  columnsOf,
  duration,
  median,
  nextCommand,
  type Output,
  type Paint,
  painter,
  plural,
  shortened,
  tableLines,
  wrapped,
} from '../terminal/terminal.js'
import { layers, type OnlineTotals, onlineTotals, traffic } from './demo-traffic.js'

/** A class's name where the network names its classes, else its index. */
const className = ({ plan }: DemoOutcome, index: number): string | number => plan.labels[index] ?? index

/** A path as a user would type it here. */
const fromHere = (file: string): string => {
  const path = relative(process.cwd(), file)
  return path.startsWith('..') ? file : path
}

const sameClass = ({ run, plaintextPrediction }: DemoImage): boolean => run.prediction === plaintextPrediction
const sameBits = ({ judgement }: DemoImage): boolean => judgement.differing === 0
const worstError = ({ images }: DemoOutcome): number =>
  Math.max(...images.map((image) => image.judgement.maxLogitError))

/** What `demoReport` holds, for --help. */
export const JSON_NOTES = [
  '--json ends with one line {model, backend, images: [{file, label, prediction, plaintextPrediction}], agree, ' +
    'maxLogitError, online: {ms, flights, bytesUp, bytesDown, clientToHelper, helperToClient, serverToHelper, ' +
    'helperToServer}, offline: {ms, clientDown, clientUp, helperToServer}, plaintextMs}: medians per inference in ' +
    'milliseconds and bytes; bytesUp and bytesDown are client to server and back; agree: every class is the float ' +
    "network's, every bit the reference's. With --guard also cheat: {changed, code}. " +
    'With --delegate also delegate: true, owner: {roundTrips, bytesUp, bytesDown, ms}, and client means the delegate. On mcc ' +
    'the helper has no bytes on line, on securenn all bytes are on line.',
]

export function demoReport(outcome: DemoOutcome) {
  const { images, serverHelper } = outcome
  const middle = (of: (image: DemoImage) => number) => median(images.map(of))
  const online = (of: (totals: OnlineTotals) => number) => middle((image) => of(onlineTotals(outcome, image)))
  const rounded = (value: number, digits = 3) => Number(value.toFixed(digits))
  return {
    model: outcome.model,
    backend: outcome.plan.backend,
    images: images.map(({ file, label, run, plaintextPrediction }) => ({
      file: fromHere(file),
      label: label === undefined ? null : className(outcome, label),
      prediction: className(outcome, run.prediction),
      plaintextPrediction: className(outcome, plaintextPrediction),
    })),
    agree: images.every((image) => sameClass(image) && sameBits(image)),
    maxLogitError: rounded(worstError(outcome), 6),
    online: {
      ms: rounded(middle(({ run }) => run.onlineMs)),
      flights: online(({ flights }) => flights),
      bytesUp: online(({ up }) => up),
      bytesDown: online(({ down }) => down),
      clientToHelper: online(({ clientHelper }) => clientHelper.up),
      helperToClient: online(({ clientHelper }) => clientHelper.down),
      serverToHelper: serverHelper.online.up,
      helperToServer: serverHelper.online.down,
    },
    offline: {
      ms: rounded(middle(({ run }) => run.offlineMs)),
      clientDown: middle(({ run }) => run.offline.server.down + run.offline.helper.down),
      clientUp: middle(({ run }) => run.offline.server.up + run.offline.helper.up),
      helperToServer: serverHelper.offline.down,
    },
    plaintextMs: rounded(middle(({ plaintextMs }) => plaintextMs)),
    ...(outcome.cheat && { cheat: outcome.cheat }),
    ...(outcome.processes.owner && { delegate: true, owner: ownerReport(outcome) }),
  }
}

/** What one picture takes at its owner. */
function ownerReport({ images }: DemoOutcome) {
  const middle = (of: (run: OwnerRun) => number) => median(images.map(({ run }) => of(run.owner!)))
  const ms = Number(middle((run) => run.ms).toFixed(3))
  return { roundTrips: 1, bytesUp: middle(({ up }) => up), bytesDown: middle(({ down }) => down), ms }
}

export function demoText(outcome: DemoOutcome, out: Output): string {
  const paint = painter(out)
  const columns = columnsOf(out)
  const sections = [
    heading(outcome, paint, columns),
    pictures(outcome, paint, columns),
    layers(outcome, paint, columns),
    traffic(outcome, paint, columns),
    times(outcome, paint, columns),
    verdict(outcome, paint, columns),
    [nextCommand('helper', 'and serve and infer: the same on three machines', paint)],
  ]
  return `\n${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`
}

function heading(outcome: DemoOutcome, paint: Paint, width: number): string[] {
  const { model, variant, plan, network, processes } = outcome
  const shaped = network && [
    `over ${network.name} (${network.profile.rttMs} ms round trip): ` +
      (processes.owner ? 'owner ↔ server, owner ↔ delegate' : 'client ↔ server, client ↔ helper') +
      '; the others as they are',
  ]
  const { helper, server, client, owner } = processes
  const does = plan.backend === 'mcc' ? 'deals randomness' : 'helps on line'
  const rows = [
    ['helper', `${helper.pid}`, helper.url ?? '', `${does}; sees no secret`],
    ['server', `${server.pid}`, server.url ?? '', 'has the weights; sees no picture'],
    ...(owner
      ? [
          ['delegate', `${client.pid}`, client.url ?? '', 'plays the client; sees no picture, no answer'],
          ['owner', `${owner.pid}`, '', 'has the pictures; one request each'],
        ]
      : [['client', `${client.pid}`, '', 'has the pictures; sees no weight']]),
  ]
  const title = `${paint('bold', `${model}`)}, variant ${variant}, back end ${plan.backend}`
  const table = [
    { head: 'party' },
    { head: 'process', align: 'right' },
    { head: 'listens at' },
    { head: 'role', shrinks: 'end' },
  ] as const
  return [title, ...(shaped ?? []).map((line) => wrapped(line, width)), '', ...tableLines(table, rows, paint, width)]
}

function pictures(outcome: DemoOutcome, paint: Paint, width: number): string[] {
  const dealt = outcome.plan.backend === 'mcc'
  const short = (index: number) => shortened(`${className(outcome, index)}`, 14)
  const rows = outcome.images.map((image) => {
    const { file, label, run, plaintextPrediction, judgement } = image
    const right = label === undefined || label === run.prediction
    return [
      basename(file),
      label === undefined ? '-' : short(label),
      paint(right ? 'green' : 'yellow', short(run.prediction)),
      `${short(plaintextPrediction)} ${sameClass(image) ? paint('green', '✓') : paint('yellow', '≠')}`,
      sameBits(image) ? paint('green', 'equal') : paint('red', `${judgement.differing} differ`),
      judgement.maxLogitError.toFixed(4),
      ...(dealt ? [run.offlineMs.toFixed(1)] : []),
      run.onlineMs.toFixed(1),
    ]
  })
  const right = { align: 'right' } as const
  const columns = [
    ...[
      { head: 'picture', shrinks: 'middle' } as const,
      { head: 'label' },
      { head: 'private' },
      { head: 'plaintext' },
      { head: 'bits' },
    ],
    ...[
      { head: 'error', ...right, optional: true },
      ...(dealt ? [{ head: 'off, ms', ...right }] : []),
      { head: 'on, ms', ...right },
    ],
  ]
  const legend =
    'plaintext: the float network; bits: against the integer reference; error: of the logits; on and off line'
  return [wrapped(`${paint('bold', 'Pictures')} (${legend})`, width), ...tableLines(columns, rows, paint, width)]
}

function times({ plan, images, setUp }: DemoOutcome, paint: Paint, width: number): string[] {
  const middle = (of: (image: DemoImage) => number) => duration(median(images.map(of)))
  const online = middle(({ run }) => run.onlineMs)
  const offline = middle(({ run }) => run.offlineMs)
  const plain = middle(({ plaintextMs }) => plaintextMs)
  const once = `set-up once: server ${duration(setUp.server.ms)}, client ${duration(setUp.client.ms)}`
  const before = plan.backend === 'mcc' ? `off line ${offline}` : 'nothing off line'
  const asked = images.flatMap(({ run }) => (run.owner ? [run.owner.ms] : []))
  const owner = asked.length > 0 ? `owner ${paint('bold', duration(median(asked)))}, of that ` : ''
  const privately = `${owner}on line ${paint('bold', online)}, ${before}`
  return [
    `${paint('bold', 'Time')} (median per inference)`,
    wrapped(`private: ${privately} · float network in plain text: ${plain}`, width, '  '),
    `  ${once}`,
  ]
}

function verdict(outcome: DemoOutcome, paint: Paint, columns: number): string[] {
  const { images } = outcome
  const judgeNote =
    'The judge is the process that started the three. In the demo, and only there, client and server reveal their session ' +
    'seeds to it, so that it can rerun the plan in plain text with the same masks and compare every logit bit for bit.'
  const cheat = outcome.cheat ? [wrapped(caught(outcome, outcome.cheat, paint), columns)] : []
  const coarse = coarseNotes(outcome.coarse).map((note) => wrapped(`${paint('yellow', 'warning')} ${note}`, columns))
  const said = wrapped(conclusion(outcome, images, paint), columns)
  return [paint('dim', wrapped(judgeNote, columns)), '', said, ...coarse, ...cheat]
}

function caught({ images }: DemoOutcome, cheat: NonNullable<DemoOutcome['cheat']>, paint: Paint): string {
  const { changed, code } = cheat
  const delegated = images[0].run.owner !== undefined
  const what = delegated
    ? `of a delegate that changed ${changed}, its owner`
    : `a second client, which changed ${changed},`
  if (code === 'CHEATED') return `${paint(['green', 'bold'], '✓ CAUGHT')}: ${what} got no output: ${code}`
  return `${paint(['red', 'bold'], '✗ NOT CAUGHT')}: ${what} ended with ${code}`
}

function conclusion(outcome: DemoOutcome, images: readonly DemoImage[], paint: Paint): string {
  const logits = images.reduce((sum, { judgement }) => sum + judgement.logits, 0)
  const differing = images.reduce((sum, { judgement }) => sum + judgement.differing, 0)
  if (differing > 0) {
    return paint(
      ['red', 'bold'],
      `✗ DIFFERENT: ${differing} of ${logits} logits are not those of the integer reference.`,
    )
  }
  const same = `${images.filter(sameClass).length}/${images.length}`
  const overflows = images.reduce((sum, { judgement }) => sum + judgement.overflows, 0)
  const range = overflows === 0 ? 'no overflow' : paint('yellow', plural(overflows, 'overflow'))
  const mark = paint(['green', 'bold'], '✓ EQUAL')
  const error = worstError(outcome).toFixed(4)
  return `${mark}: all ${logits} logits bit for bit, ${range}; class as in plaintext ${same}; logit error ≤ ${error}`
}
