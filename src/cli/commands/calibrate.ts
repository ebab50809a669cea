// `ringfence calibrate`: ranges of values on sample pictures, and which bits comparisons need to look at.
import { type CalibrateModelOptions, calibrateModel, type ModelCalibration } from '../../files/calibrate-model.js'
import type { Agreement } from '../../tune/calibration/agreement.js'
import { AGREEMENT, type CalibrationTarget } from '../../tune/calibration/calibrate-network.js'
import { type LayerWindow, QUIET } from '../../tune/calibration/windows.js'
import { QUEUE_FLAGS } from '../process/fleet/queue-flags.js'
import { type Command, type Flags, RESIZE_FLAG } from '../terminal/arguments.js'
import { printed, type Work } from '../terminal/printed.js'
import { columnsOf, count, nextCommand, painter, quoted, tableLines, wrapped } from '../terminal/terminal.js'

export const calibrate: Command = {
  name: 'calibrate',
  summary: 'Measure ranges on sample pictures; choose scales and the bits that comparisons look at.',
  operands: 'MODEL',
  flags: {
    images: { type: 'string', valueHint: 'PATH', description: 'pictures: a folder, or a CIFAR or MNIST binary file' },
    limit: { type: 'string', valueHint: 'N', description: 'only N of them, evenly spread' },
    ...RESIZE_FLAG,
    variant: { type: 'string', valueHint: 'NAME', description: "the model's variant" },
    agree: {
      type: 'string',
      valueHint: 'SHARE',
      description: `comparisons read as few bits as answer like float on this share of pictures (default ${AGREEMENT})`,
    },
    checked: {
      type: 'string',
      valueHint: 'N',
      description: 'with --agree: pictures that are compared with float (default 200)',
    },
    window: {
      type: 'string',
      valueHint: 'BITS',
      description: 'or this many bits on average, where they do the least harm',
    },
    noise: {
      type: 'string',
      valueHint: 'SHARE',
      description: `or as few as keep a layer's wrong signs below this share of its outputs, such as ${QUIET}`,
    },
    probes: {
      type: 'string',
      valueHint: 'N',
      description: 'with --window: pictures that tell how much each layer matters to the outputs (default 8)',
    },
    exact: { type: 'boolean', description: 'or all of them: no sign is ever wrong' },
    ring: { type: 'string', valueHint: 'BITS', description: 'bits of the ring, 24 to 32 (default 32)' },
    bits: { type: 'string', valueHint: 'BITS', description: 'bits of an opened value (default 16)' },
    margin: {
      type: 'string',
      valueHint: 'BITS',
      description: 'room above the largest value seen (default 1); pictures beyond it are answered wrongly',
    },
    'per-layer': { type: 'boolean', description: 'a factor per layer, so that its values fill the bits it has' },
    'per-channel': {
      type: 'boolean',
      description: 'a factor per channel, so that each fills its layer: a window of its own for every channel',
    },
    output: { type: 'string', alias: 'o', valueHint: 'FILE', description: 'also -o (default calibration.json)' },
    threads: { type: 'string', valueHint: 'N', description: 'worker threads (default: one per core)' },
    ...QUEUE_FLAGS,
    force: { type: 'boolean', description: 'overwrite what is there, and start anew' },
  },
  notes: [
    'A plan has one scale, a power of two, and one window per layer. Factors move into the weights before that and leave the network the function it was; --json has the ranges of single channels and their factors.',
    'With --queue machines that are given the same command share its work, and each writes the same file.',
    'Ctrl-C leaves FILE.part; the same command goes on from there.',
  ],
  async run(flags) {
    const options = readOptions(flags)
    const calibrated = async (how: Work) => reportOf(await calibrateModel({ ...options, ...how }), options)
    await printed(flags, calibrated, (report) => text(report, options))
    return 0
  },
}

function readOptions(flags: Flags): CalibrateModelOptions & { readonly ring: number; readonly bits: number } {
  const options = {
    model: flags.operand(),
    variant: flags.text('variant'),
    images: flags.required('images', 'a folder of pictures, or a CIFAR or MNIST binary file'),
    limit: flags.integer('limit', 1, 1e9),
    resize: flags.resize(),
    target: targetOf(flags),
    probes: flags.integer('probes', 0, 1e6),
    checked: flags.integer('checked', 1, 1e6),
    ring: flags.integer('ring', 24, 32) ?? 32,
    bits: flags.integer('bits', 4, 30) ?? 16,
    margin: flags.number('margin', 0, 16),
    per: flags.on('per-channel') ? ('channel' as const) : flags.on('per-layer') ? ('layer' as const) : undefined,
    output: flags.text('output'),
    threads: flags.integer('threads', 1, 256),
    queue: flags.text('queue'),
    queueCredentials: flags.text('queue-credentials'),
    force: flags.on('force'),
  }
  if (flags.on('per-channel') && flags.on('per-layer')) flags.fault('expected one of --per-layer and --per-channel')
  flags.check()
  return options
}

function targetOf(flags: Flags): CalibrationTarget {
  const agreement = flags.number('agree', 0.01, 1)
  const meanBits = flags.number('window', 2, 30)
  const noise = flags.number('noise', 0, 1)
  const given = [agreement, meanBits, noise].filter((value) => value !== undefined).length
  if (given + Number(flags.on('exact')) > 1) flags.fault('expected one of --agree, --window, --noise and --exact')
  if (flags.on('exact')) return 'exact'
  if (meanBits !== undefined) return { meanBits }
  return noise === undefined ? { agreement: agreement ?? AGREEMENT } : { noise }
}

interface LayerReport extends LayerWindow {
  /** Largest absolute input per channel, factors included. */
  readonly channels: readonly number[]
  /** What the channels were multiplied by: their windows are log2 of it lower than the layer's. */
  readonly factors: number | readonly number[]
}

/** Without what was measured, but for what windows and factors were chosen by. */
function reportOf(
  { calibration, ranges, layers, plain: _, comparisons: __, ...rest }: ModelCalibration,
  { ring, bits }: { readonly ring: number; readonly bits: number },
) {
  const reports = layers.map((layer): LayerReport => {
    const channels = [...ranges.layers.get(layer.id)!.channelMax]
    return { ...layer, channels, factors: calibration.channels?.[layer.id] ?? 1 }
  })
  return { ...rest, ring, bits, layers: reports }
}

function text(report: ReturnType<typeof reportOf>, { model, images: path }: CalibrateModelOptions): string {
  const paint = painter(process.stdout)
  const columns = columnsOf(process.stdout)
  const { network, variant, images, layers, windowBits, wrongSigns, outputChange, agreement, inputNotes } = report
  const { warnings, output, ring } = report
  const change = outputChange === null ? '' : `, which moves the outputs by ${outputChange.toPrecision(2)} (rms)`
  const right = { align: 'right' } as const
  const heads = [
    ...[{ head: 'largest' }, { head: 'margin' }, { head: 'scale', optional: true }, { head: "n'" }, { head: 'lo' }],
    ...[{ head: 'bits' }, { head: 'wrong signs' }, { head: 'noise' }, { head: 'per channel', optional: true }],
  ]
  const rows = layers.map((layer) => [
    ...[layer.id, layer.maxAbs.toFixed(3), layer.margin.toFixed(1), `2^-${layer.scale}`, `${layer.bits}`],
    ...[`${layer.lo}`, `${layer.bits - layer.lo}`, `${(100 * layer.predicted.probability).toFixed(3)} %`],
    ...[`${(100 * layer.predicted.noise).toFixed(2)} %`, `-${layer.channelBits.toFixed(1)}`],
  ])
  const comparisons = layers.reduce((sum, layer) => sum + layer.comparisons, 0)
  const wrong = `${count(Math.round(wrongSigns))} of ${count(comparisons)} signs are expected to be wrong`
  const lines = [
    ...inputNotes,
    ...agreementLine(agreement),
    `comparisons read ${windowBits.toFixed(2)} bits on average; ${wrong} per inference${change}`,
    ...factorLine(layers),
    'margin in bits; noise of wrong signs by the size of the outputs; per channel: bits that an average one needs less',
    ...warnings.map((warning) => `${paint('yellow', 'warning')} ${warning}`),
  ]
  const evaluated = `evaluate ${quoted(model)} --images ${quoted(path)}`
  const there = output === 'calibration.json' ? `copy ${output} into the model's folder, then: ` : ''
  return [
    wrapped(`${paint('bold', network)}, ${variant}: ranges over ${images}, ring of ${ring} bits`, columns),
    ...tableLines(
      [{ head: 'layer', shrinks: 'middle' }, ...heads.map((head) => ({ ...head, ...right }))],
      rows,
      paint,
      columns,
    ),
    ...lines.map((line) => wrapped(line, columns, '  ')),
    `  ${paint('green', '→')} ${output}`,
    nextCommand(evaluated, `${there}how often it is right`, paint),
    '',
  ].join('\n')
}

/** Every error of a private run counts: wrong signs, and rounding. */
function agreementLine(agreement: Agreement | null): string[] {
  if (!agreement) return []
  const { agreeing, pictures } = agreement
  const share = `${((100 * agreeing) / pictures).toFixed(1)} %`
  return [`answers as float does on ${agreeing} of ${pictures} pictures, ${share}: rounding and wrong signs counted`]
}

/** How far the factors go, where there are some. */
function factorLine(layers: readonly LayerReport[]): string[] {
  const factors = layers.flatMap((layer) => layer.factors)
  if (factors.every((factor) => factor === 1)) return []
  const [least, most] = [Math.min(...factors), Math.max(...factors)].map((factor) => factor.toPrecision(3))
  const kind = layers.some((layer) => typeof layer.factors !== 'number') ? 'channels' : 'layers'
  return [`${kind} are multiplied by ${least} to ${most}, which their readers divide by; ranges are those after it`]
}
