// `ringfence evaluate`: how often a network is right in plain float, in fixed point, and privately.
import { type EvaluateModelOptions, evaluateModel, type VariantRow } from '../../files/evaluate-model.js'
import { requireWritable, writeWhole } from '../../files/whole-files.js'
import { networkProfiles } from '../../net/index.js'
import { coarseNotes } from '../../plan/compile/rounding.js'
import type { PrivateScore, Score } from '../../tune/evaluation/evaluate.js'
import { type WindowChoice, windowName } from '../../tune/evaluation/evaluate-network.js'
import { circumstances } from '../report/circumstances.js'
import { type EvaluationColumn, type MadeEvaluation, paretoHtml, paretoSvg } from '../report/pareto-chart.js'
import { type Command, CSV_FLAG, type Flags, PLAN_FLAGS, planOptions, RESIZE_FLAG } from '../terminal/arguments.js'
import { modelNext } from '../terminal/model-next.js'
import { printed, type Work } from '../terminal/printed.js'
import { byteSize, columnsOf, count, duration, painter, tableLines, wrapped } from '../terminal/terminal.js'

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
    ...RESIZE_FLAG,
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
    ...CSV_FLAG,
    ...PLAN_FLAGS,
  },
  notes: ['Ctrl-C leaves FILE.part (evaluation.json.part); the same command goes on from there.'],
  async run(flags) {
    const options = readOptions(flags)
    const files = { svg: flags.text('svg'), html: flags.text('html'), output: flags.text('output') }
    await requireWritable(
      Object.values(files).filter((path) => path !== undefined),
      options.force,
    )
    const evaluated = async (how: Work) => {
      const report = { ...(await evaluateModel({ ...options, ...how })), circumstances: circumstances() }
      await writeFiles(report, files, options.force)
      return report
    }
    await printed(flags, evaluated, (report) => text(report, Object.values(files), options.model), jsonOf, rowsOf)
    return 0
  },
}

function readOptions(flags: Flags): EvaluateModelOptions & { readonly force: boolean } {
  const windows = windowsOf(flags)
  const options = {
    model: flags.operand(),
    variant: flags.text('variant'),
    all: flags.on('all'),
    images: flags.required('images', 'a folder of pictures, or a CIFAR or MNIST binary file'),
    limit: flags.integer('limit', 1, 1e9),
    resize: flags.resize(),
    labelled: !flags.on('unlabelled'),
    windows,
    referenceInputs: flags.integer('reference', 1, 1e9),
    sample: flags.integer('sample', 1, 1e6),
    compile: planOptions(flags),
    network: flags.oneOf('network', Object.keys(networkProfiles) as (keyof typeof networkProfiles)[]),
    threads: flags.integer('threads', 1, 256),
    state: flags.text('output'),
    force: flags.on('force'),
  }
  if (options.all && options.variant !== undefined) flags.fault('expected --all or --variant, not both')
  if (options.compile.backend === 'securenn') {
    flags.refuse(['windows'], 'for the back end mcc; securenn has --ignored-msb and --ignored-lsb')
  }
  flags.check()
  return options
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
function jsonOf({ rows, circumstances, ...report }: MadeEvaluation): unknown {
  const short = ({ images, correct, predictions }: Score) => ({ images, correct: correct ?? null, predictions })
  const compared = (score: PrivateScore) => {
    const { agreeing, overflows, maxError } = score
    return { ...short(score), agreeing, overflows, maxError }
  }
  return {
    ...report,
    ...circumstances,
    rows: rows.map((row) => ({
      ...row,
      float: short(row.float),
      reference: compared(row.reference),
      sample: row.sample && compared(row.sample),
    })),
  }
}

const rowsOf = ({ rows, profile }: MadeEvaluation) =>
  rows.map(({ variant, windows, drelus, flights, onlineBytes, onlineSeconds, float, reference }) => ({
    ...{ variant, windows, drelus, flights, onlineBytes, onlineSeconds, network: profile },
    ...{ floatImages: float.images, floatCorrect: float.correct, images: reference.images, correct: reference.correct },
    ...{ agreeing: reference.agreeing, overflows: reference.overflows },
  }))

interface Files {
  readonly svg: string | undefined
  readonly html: string | undefined
  readonly output: string | undefined
}

async function writeFiles(report: MadeEvaluation, { svg, html, output }: Files, force: boolean): Promise<void> {
  const contents: [string | undefined, () => string][] = [
    [svg, () => paretoSvg(report)],
    [html, () => paretoHtml(report, COLUMNS)],
    [output, () => `${JSON.stringify(jsonOf(report), null, 1)}\n`],
  ]
  const wanted = contents.flatMap(([path, make]) =>
    path === undefined ? [] : [{ path, bytes: new TextEncoder().encode(make()) }],
  )
  if (wanted.length > 0) await writeWhole(wanted, force)
}

/** The page has room for all of it, a terminal leaves out what is optional. */
const COLUMNS: readonly EvaluationColumn[] = [
  { head: 'variant', shrinks: 'middle', cell: ({ variant }) => variant },
  { head: 'windows', cell: ({ windows }) => (windows === 'calibrated' ? 'calibrated' : windowName(windows)) },
  ...(
    [
      { head: 'signs', cell: ({ drelus }) => count(drelus) },
      { head: 'flights', optional: true, cell: ({ flights }) => count(flights) },
      { head: 'on line', cell: (row) => byteSize(row.onlineBytes) },
      { head: 'time', cell: (row) => duration(1000 * row.onlineSeconds) },
      { head: 'float', cell: ({ float }) => rightOf(float) },
      { head: 'fixed', cell: ({ reference }) => rightOf(reference) },
      { head: 'agree', cell: ({ reference }) => agreement(reference) },
      { head: 'overflows', optional: true, cell: ({ reference }) => count(reference.overflows) },
    ] as const satisfies readonly { head: string; optional?: boolean; cell: (row: VariantRow) => string }[]
  ).map((column) => ({ ...column, align: 'right' as const })),
]

const share = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(2)} %`
const rightOf = ({ correct, images }: Score): string => (correct === undefined ? '-' : share(correct, images))
const agreement = ({ agreeing, images }: PrivateScore): string => share(agreeing, images)

const cellsOf = (row: VariantRow): string[] => COLUMNS.map(({ cell }) => cell(row))

function text(report: MadeEvaluation, files: readonly (string | undefined)[], model: string): string {
  const paint = painter(process.stdout)
  const columns = columnsOf(process.stdout)
  const { rows } = report
  const [{ float, reference }] = rows
  const counts = `float on ${count(float.images)} pictures, fixed point on ${count(reference.images)}`
  const overflows = rows.reduce((sum, row) => sum + row.reference.overflows, 0)
  const lines = [
    ...report.inputNotes,
    `${counts}: the share of right answers; agree: fixed point answers as float does`,
    `${count(overflows)} values left their calibrated range; signs, bytes and predicted time are of one inference`,
    ...rows.flatMap(({ variant, coarse }) =>
      coarseNotes(coarse).map((note) => `${paint('yellow', 'warning')} ${variant}: ${note}`),
    ),
    ...rows.flatMap(({ variant, windows, sample }) => {
      if (!sample) return []
      const right = sample.correct === undefined ? '' : `${sample.correct} of ${sample.images} right, `
      return [`privately, ${variant}, ${windowName(windows)}: ${right}${sample.agreeing} of ${sample.images} agree`]
    }),
  ]
  return [
    wrapped(`${paint('bold', report.network)} on ${report.images}; time for ${report.profile}`, columns),
    ...tableLines(COLUMNS, rows.map(cellsOf), paint, columns),
    ...lines.map((line) => wrapped(line, columns, '  ')),
    ...files.flatMap((file) => (file === undefined ? [] : [`  ${paint('green', '→')} ${file}`])),
    modelNext(model, paint),
    '',
  ].join('\n')
}
