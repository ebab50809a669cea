// What the demo prints: one line of JSON, or a report for a terminal of 100 columns.
import { basename, relative } from 'node:path'
import type { DemoImage, DemoOutcome } from './demo.js'
import { describeStep } from './step-words.js'
import {
  byteSize,
  columnsOf,
  count,
  duration,
  median,
  type Output,
  type Paint,
  painter,
  shortened,
  tableLines,
  wrapped,
} from './terminal.js'

/** A class's name where the network names its classes, else its index. */
const className = ({ plan }: DemoOutcome, index: number): string | number => plan.labels[index] ?? index

const totals = ({ run }: DemoImage) => {
  const sum = (of: 'flights' | 'up' | 'down') => run.steps.reduce((total, step) => total + step[of], 0)
  return { flights: sum('flights'), up: sum('up'), down: sum('down') }
}

/** A path as a user would type it here. */
const fromHere = (file: string): string => {
  const path = relative(process.cwd(), file)
  return path.startsWith('..') ? file : path
}

const sameClass = ({ run, plaintextPrediction }: DemoImage): boolean => run.prediction === plaintextPrediction
const sameBits = ({ judgement }: DemoImage): boolean => judgement.differing === 0
const worstError = ({ images }: DemoOutcome): number =>
  Math.max(...images.map((image) => image.judgement.maxLogitError))

/** One line; per-image medians, milliseconds and bytes. `agree`: every class is the float network's, every bit the reference's. */
export function demoJson(outcome: DemoOutcome): string {
  const { images, helperToServer } = outcome
  const middle = (of: (image: DemoImage) => number) => median(images.map(of))
  const rounded = (value: number, digits = 3) => Number(value.toFixed(digits))
  return JSON.stringify({
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
      flights: middle((image) => totals(image).flights),
      bytesUp: middle((image) => totals(image).up),
      bytesDown: middle((image) => totals(image).down),
    },
    offline: {
      ms: rounded(middle(({ run }) => run.offlineMs)),
      clientDown: middle(({ run }) => run.offline.server.down + run.offline.helper.down),
      clientUp: middle(({ run }) => run.offline.server.up + run.offline.helper.up),
      helperToServer,
    },
    plaintextMs: rounded(middle(({ plaintextMs }) => plaintextMs)),
  })
}

export function demoText(outcome: DemoOutcome, out: Output): string {
  const paint = painter(out)
  const columns = Math.min(100, columnsOf(out))
  const sections = [
    heading(outcome, paint),
    pictures(outcome, paint),
    layers(outcome, paint),
    traffic(outcome, paint),
    times(outcome, paint),
    verdict(outcome, paint, columns),
  ]
  return `\n${sections.map((lines) => lines.join('\n')).join('\n\n')}\n`
}

function heading(outcome: DemoOutcome, paint: Paint): string[] {
  const { model, variant, plan, network, processes } = outcome
  const over = network ? `, client ↔ server shaped as ${network.name} (${network.profile.rttMs} ms round trip)` : ''
  const { helper, server, client } = processes
  const rows = [
    ['helper', `${helper.pid}`, helper.url ?? '', 'deals randomness; sees no picture, no weight, no answer'],
    ['server', `${server.pid}`, server.url ?? '', 'holds the weights; sees no picture and no answer'],
    ['client', `${client.pid}`, '', 'holds the pictures, learns the answers; sees no weight'],
  ]
  const title = `${paint('bold', `${model}`)}, variant ${variant}, back end ${plan.backend}${over}`
  const table = [
    { head: 'party' },
    { head: 'process', align: 'right' },
    { head: 'listens at' },
    { head: 'role' },
  ] as const
  return [title, '', ...tableLines(table, rows, paint)]
}

function pictures(outcome: DemoOutcome, paint: Paint): string[] {
  const short = (index: number) => shortened(`${className(outcome, index)}`, 14)
  const rows = outcome.images.map((image) => {
    const { file, label, run, plaintextPrediction, judgement } = image
    const right = label === undefined || label === run.prediction
    return [
      shortened(basename(file), 22),
      label === undefined ? '-' : short(label),
      paint(right ? 'green' : 'yellow', short(run.prediction)),
      `${short(plaintextPrediction)} ${sameClass(image) ? paint('green', '✓') : paint('yellow', '≠')}`,
      sameBits(image) ? paint('green', 'equal') : paint('red', `${judgement.differing} differ`),
      judgement.maxLogitError.toFixed(4),
      run.offlineMs.toFixed(1),
      run.onlineMs.toFixed(1),
    ]
  })
  const right = { align: 'right' } as const
  const columns = [
    ...[{ head: 'picture' }, { head: 'label' }, { head: 'private' }, { head: 'plaintext' }, { head: 'bits' }],
    ...[
      { head: 'error', ...right },
      { head: 'off line, ms', ...right },
      { head: 'on line, ms', ...right },
    ],
  ]
  const legend = 'plaintext: the float network; bits: against the integer reference; error: of the logits'
  return [`${paint('bold', 'Pictures')} (${legend})`, ...tableLines(columns, rows, paint)]
}

function layers({ plan, images }: DemoOutcome, paint: Paint): string[] {
  const [{ run }] = images
  const ms = (i: number) => median(images.map((image) => image.run.steps[i].ms))
  const rows = plan.steps.map((step, i) => {
    const { op, shape, comparisons } = describeStep(step)
    const { flights, up, down } = run.steps[i]
    const numbers = [comparisons, flights, up, down].map((value) => (value === 0 ? '-' : count(value)))
    return [shortened(step.id, 16), op, shape, ...numbers, ms(i).toFixed(2)]
  })
  const sums = totals(images[0])
  const comparisons = plan.steps.reduce((sum, step) => sum + describeStep(step).comparisons, 0)
  const all = [comparisons, sums.flights, sums.up, sums.down].map(count)
  const time = plan.steps.reduce((sum, _, i) => sum + ms(i), 0).toFixed(2)
  rows.push(['all layers', '', '', ...all, time].map((cell) => paint('bold', cell)))
  const right = { align: 'right' } as const
  const columns = [
    ...[{ head: 'layer' }, { head: 'op' }, { head: 'shape', ...right }, { head: 'signs', ...right }],
    ...[
      { head: 'flights', ...right },
      { head: 'up, B', ...right },
      { head: 'down, B', ...right },
      { head: 'ms', ...right },
    ],
  ]
  const title = paint('bold', 'On line, layer by layer')
  return [
    `${title} (one inference, as the client meters it; ms: median of ${plural(images.length, 'picture')})`,
    ...tableLines(columns, rows, paint),
  ]
}

function traffic({ images, setUp, helperToServer }: DemoOutcome, paint: Paint): string[] {
  const [{ run }] = images
  const { up, down } = totals(images[0])
  const { server, helper } = run.offline
  const client = setUp.client.bytes
  const size = (bytes: number) => (bytes === 0 ? '-' : byteSize(bytes))
  const row = (link: string, ...cells: number[]) => [link, ...cells.map(size)]
  const rows = [
    row('client → server', up, server.up, client.server.up),
    row('server → client', down, server.down, client.server.down),
    row('helper → server', 0, helperToServer, setUp.server.bytes.helper.down),
    row('server → helper', 0, 0, setUp.server.bytes.helper.up),
    row('client → helper', 0, helper.up, client.helper.up),
    row('helper → client', 0, helper.down, client.helper.down),
  ]
  const right = { align: 'right' } as const
  const columns = [
    { head: 'link' },
    { head: 'on line', ...right },
    { head: 'off line', ...right },
    { head: 'set-up, once', ...right },
  ]
  const title = `${paint('bold', 'Traffic')} (per inference; set-up once per session, server ↔ helper once per server)`
  return [title, ...tableLines(columns, rows, paint)]
}

function times({ images, setUp }: DemoOutcome, paint: Paint): string[] {
  const middle = (of: (image: DemoImage) => number) => duration(median(images.map(of)))
  const online = middle(({ run }) => run.onlineMs)
  const offline = middle(({ run }) => run.offlineMs)
  const plain = middle(({ plaintextMs }) => plaintextMs)
  const once = `set-up once: server ${duration(setUp.server.ms)}, client ${duration(setUp.client.ms)}`
  const privately = `on line ${paint('bold', online)}, off line ${offline}`
  return [
    `${paint('bold', 'Time')} (median per inference)`,
    `  private: ${privately} · float network in plain text: ${plain}`,
    `  ${once}`,
  ]
}

function verdict(outcome: DemoOutcome, paint: Paint, columns: number): string[] {
  const { images } = outcome
  const judgeNote =
    'The judge is the process that started the three. In the demo, and only there, client and server reveal their session ' +
    'seeds to it, so that it can rerun the plan in plain text with the same masks and compare every logit bit for bit.'
  return [paint('dim', wrapped(judgeNote, columns)), '', conclusion(outcome, images, paint)]
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

const plural = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`
