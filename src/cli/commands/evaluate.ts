// `ringfence evaluate`: how often a network is right in plain float, in fixed point, and privately.
import { availableParallelism } from 'node:os'
import { requireNew, writeWhole } from '../../files/whole-files.js'
import { networkProfiles } from '../../net/index.js'
import type { PrivateScore, Score } from '../../tune/evaluation/evaluate.js'
import {
  type EvaluateOrder,
  type EvaluateReport,
  type EvaluationRow,
  evaluateModel,
  type WindowChoice,
  windowName,
} from '../evaluation.js'
import { type ParetoPanel, type ParetoPoint, paretoHtml, paretoSvg } from '../report/pareto-chart.js'
import { type Command, type Flags, PLAN_FLAGS, planOptions } from '../terminal/arguments.js'
import { interruptible } from '../terminal/interrupt.js'
import { ProgressBar } from '../terminal/progress-bar.js'
import { byteSize, count, duration, painter, tableLines } from '../terminal/terminal.js'

export const evaluate: Command = {
  name: 'evaluate',
  summary: 'Accuracy on labelled pictures: in plain float, as the integer reference, and privately on a sample.',
  operands: 'MODEL',
  flags: {
    images: {
      type: 'string',
      valueHint: 'PATH',
      description: 'pictures: a folder with one subfolder per class or a labels.json, or a CIFAR or MNIST binary file',
    },
    limit: { type: 'string', valueHint: 'N', description: 'only N of them, evenly spread' },
    unlabelled: { type: 'boolean', description: 'without classes: only the agreement with plain float' },
    variant: { type: 'string', valueHint: 'NAME', description: "the model's variant" },
    all: { type: 'boolean', description: 'every variant of the model' },
    windows: {
      type: 'string',
      valueHint: 'LIST',
      description: 'mcc: bits that comparisons read on average, or exact: exact,8,7 (default: as calibrated)',
    },
    reference: { type: 'string', valueHint: 'N', description: 'pictures for the integer reference (default: all)' },
    sample: {
      type: 'string',
      valueHint: 'N',
      description: 'pictures to classify privately, in this process (default 0)',
    },
    svg: { type: 'string', valueHint: 'FILE', description: 'chart: accuracy by comparisons, bytes and seconds' },
    html: { type: 'string', valueHint: 'FILE', description: 'the chart as a page, with its figures' },
    output: { type: 'string', alias: 'o', valueHint: 'FILE', description: 'also -o: the report as JSON' },
    network: {
      type: 'string',
      valueHint: 'NAME',
      description: `network of predicted seconds: ${Object.keys(networkProfiles).join(', ')} (default wan60)`,
    },
    threads: { type: 'string', valueHint: 'N', description: 'worker threads (default: one per core)' },
    force: { type: 'boolean', description: 'overwrite what is there, and start anew' },
    ...PLAN_FLAGS,
  },
  notes: ['Ctrl-C leaves FILE.part (evaluation.json.part); the same command goes on from there.'],
  async run(flags) {
    const order = readOrder(flags)
    const files = { svg: flags.text('svg'), html: flags.text('html'), output: flags.text('output') }
    const bar = new ProgressBar()
    try {
      if (!order.force) await requireNew(Object.values(files).filter((path) => path !== undefined))
      const report = await interruptible((signal) => evaluateModel(order, signal, bar))
      bar.clear()
      await writeFiles(report, files, order.force)
      process.stdout.write(
        flags.on('json') ? `${JSON.stringify(jsonOf(report))}\n` : text(report, Object.values(files)),
      )
      return 0
    } finally {
      bar.clear()
    }
  },
}

function readOrder(flags: Flags): EvaluateOrder {
  if (flags.operands.length !== 1) flags.fault('expected one MODEL')
  const windows = windowsOf(flags)
  const order = {
    model: flags.operands[0],
    variant: flags.text('variant'),
    all: flags.on('all'),
    images: flags.required('images', 'a folder of pictures, or a CIFAR or MNIST binary file'),
    limit: flags.integer('limit', 1, 1e9),
    unlabelled: flags.on('unlabelled'),
    windows,
    reference: flags.integer('reference', 1, 1e9),
    sample: flags.integer('sample', 1, 1e6) ?? 0,
    compile: planOptions(flags),
    network: flags.oneOf('network', Object.keys(networkProfiles) as (keyof typeof networkProfiles)[]) ?? 'wan60',
    threads: flags.integer('threads', 1, 256) ?? availableParallelism(),
    state: flags.text('output') ?? 'evaluation.json',
    force: flags.on('force'),
  }
  if (order.all && order.variant !== undefined) flags.fault('expected --all or --variant, not both')
  if (order.compile.backend === 'securenn' && windows.some((choice) => choice !== 'calibrated')) {
    flags.fault('--windows is for the back end mcc; securenn has --ignored-msb and --ignored-lsb')
  }
  flags.check()
  return order
}

function windowsOf(flags: Flags): readonly WindowChoice[] {
  const list = flags.text('windows')
  if (list === undefined) return ['calibrated']
  return list.split(',').map((name) => {
    if (name === 'exact' || name === 'calibrated') return name
    const bits = Number(name)
    if (!(bits >= 2 && bits <= 30)) flags.fault(`--windows: expected exact, calibrated or 2 to 30 bits, got ${name}`)
    return bits
  })
}

/** Without the outputs of every picture. */
function jsonOf({ rows, ...report }: EvaluateReport): unknown {
  const short = ({ images, correct, predictions }: Score) => ({ images, correct: correct ?? null, predictions })
  const compared = (score: PrivateScore) => {
    const { agreeing, overflows, maxError } = score
    return { ...short(score), agreeing, overflows, maxError }
  }
  return {
    ...report,
    rows: rows.map((row) => ({
      ...row,
      float: short(row.float),
      reference: compared(row.reference),
      sample: row.sample && compared(row.sample),
    })),
  }
}

interface Files {
  readonly svg: string | undefined
  readonly html: string | undefined
  readonly output: string | undefined
}

async function writeFiles(report: EvaluateReport, { svg, html, output }: Files, force: boolean): Promise<void> {
  const title = `${report.network} on ${report.images}`
  const chart = paretoSvg(title, yTitle(report), panels(report))
  const page = () => paretoHtml(title, chart, [HEADS, ...report.rows.map((row) => cellsOf(row))])
  const contents: [string | undefined, () => string][] = [
    [svg, () => chart],
    [html, page],
    [output, () => `${JSON.stringify(jsonOf(report), null, 1)}\n`],
  ]
  const wanted = contents.flatMap(([path, make]) =>
    path === undefined ? [] : [{ path, bytes: new TextEncoder().encode(make()) }],
  )
  if (wanted.length > 0) await writeWhole(wanted, force)
}

/** Accuracy where there are classes, else agreement with the plainest of what was evaluated: its own float network. */
const yTitle = ({ labelled }: EvaluateReport) =>
  labelled ? 'correct, integer reference' : 'agreement of the integer reference with float'

function panels({ rows, labelled, profile }: EvaluateReport): ParetoPanel[] {
  const points = (x: (row: EvaluationRow) => number): ParetoPoint[] =>
    rows.map((row) => {
      const { correct, agreeing, images } = row.reference
      const y = (labelled ? correct! : agreeing) / images
      return { series: windowName(row.windows), name: `${row.variant}, ${windowName(row.windows)}`, x: x(row), y }
    })
  return [
    { title: 'by comparisons', points: points(({ drelus }) => drelus), format: count },
    { title: 'by bytes on line', points: points((row) => row.onlineBytes), format: byteSize },
    {
      title: `by seconds on line, predicted (${profile})`,
      points: points((row) => row.onlineSeconds),
      format: (seconds) => duration(1000 * seconds),
    },
  ]
}

const HEADS = [
  'variant',
  'windows',
  'comparisons',
  'on line',
  'predicted',
  'float',
  'reference',
  'agree',
  'private',
  'overflows',
]

function cellsOf({
  variant,
  windows,
  drelus,
  onlineBytes,
  onlineSeconds,
  float,
  reference,
  sample,
}: EvaluationRow): string[] {
  const right = ({ correct, images }: Score) => (correct === undefined ? `of ${images}` : share(correct, images))
  const agree = ({ agreeing, images }: PrivateScore) => share(agreeing, images)
  return [
    ...[variant, windowName(windows), count(drelus), byteSize(onlineBytes), duration(1000 * onlineSeconds)],
    ...[right(float), right(reference), agree(reference)],
    sample ? `${right(sample)}, ${agree(sample)} agree` : '',
    count(reference.overflows),
  ]
}

const share = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(2)} % of ${count(whole)}`

function text(report: EvaluateReport, files: readonly (string | undefined)[]): string {
  const paint = painter(process.stdout)
  const columns = HEADS.map((head, i) => (i < 2 ? { head } : { head, align: 'right' as const }))
  return [
    `${paint('bold', report.network)} on ${report.images}; seconds for ${report.profile}`,
    ...tableLines(columns, report.rows.map(cellsOf), paint),
    '  float and reference: correct answers; agree: as plain float; overflows: values that left their calibrated range',
    ...files.flatMap((file) => (file === undefined ? [] : [`  ${paint('green', '→')} ${file}`])),
    '',
  ].join('\n')
}
