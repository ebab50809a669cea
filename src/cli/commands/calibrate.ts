// `ringfence calibrate`: ranges of values on sample pictures, and which bits comparisons need to look at.
import { availableParallelism } from 'node:os'
import { type ImageSet, readImageSet } from '../../files/image-set.js'
import { loadModelDirectory, type ModelDirectory } from '../../files/model-directory.js'
import { PartFile } from '../../files/part-file.js'
import { findModel } from '../../files/prepared-model.js'
import { requireNew, writeWhole } from '../../files/whole-files.js'
import type { Calibration } from '../../plan/calibrate.js'
import type { FactorsPer } from '../../tune/calibration/channel-factors.js'
import { calibrationOf, type Ranges } from '../../tune/calibration/ranges.js'
import { measureGains } from '../../tune/calibration/window-gains.js'
import { chooseWindows, type LayerWindow, QUIET, type WindowTarget } from '../../tune/calibration/windows.js'
import { startThreads } from '../../tune/workers/pool.node.js'
import { measuredRanges } from '../measured-ranges.js'
import type { Command, Flags } from '../terminal/arguments.js'
import { interruptible } from '../terminal/interrupt.js'
import { ProgressBar } from '../terminal/progress-bar.js'
import { Remaining } from '../terminal/remaining.js'
import { count, painter, tableLines } from '../terminal/terminal.js'

export const calibrate: Command = {
  name: 'calibrate',
  summary: 'Measure ranges on sample pictures; choose scales and the bits that comparisons look at.',
  operands: 'MODEL',
  flags: {
    images: { type: 'string', valueHint: 'PATH', description: 'pictures: a folder, or a CIFAR or MNIST binary file' },
    limit: { type: 'string', valueHint: 'N', description: 'only N of them, evenly spread' },
    variant: { type: 'string', valueHint: 'NAME', description: "the model's variant" },
    window: {
      type: 'string',
      valueHint: 'BITS',
      description: 'comparisons read this many bits on average, where they do the least harm',
    },
    noise: {
      type: 'string',
      valueHint: 'SHARE',
      description: `or as few as keep a layer's wrong signs below this share of its outputs (default ${QUIET})`,
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
    force: { type: 'boolean', description: 'overwrite what is there, and start anew' },
  },
  notes: [
    'A plan has one scale, a power of two, and one window per layer. Factors move into the weights before that and leave',
    'the network the function it was; --json has the ranges of single channels and their factors.',
    'Ctrl-C leaves FILE.part; the same command goes on from there.',
  ],
  async run(flags) {
    const order = readOrder(flags)
    const bar = new ProgressBar()
    try {
      const report = await interruptible((signal) => calibrateModel(order, signal, bar))
      bar.clear()
      process.stdout.write(flags.on('json') ? `${JSON.stringify(report)}\n` : text(report))
      return 0
    } finally {
      bar.clear()
    }
  },
}

interface Order {
  readonly model: string
  readonly variant: string | undefined
  readonly images: string
  readonly limit: number | undefined
  readonly target: WindowTarget
  readonly probes: number
  readonly ring: number
  readonly bits: number
  readonly margin: number
  readonly per: FactorsPer | undefined
  readonly output: string
  readonly threads: number
  readonly force: boolean
}

function readOrder(flags: Flags): Order {
  if (flags.operands.length !== 1) flags.fault('expected one MODEL')
  const order = {
    model: flags.operands[0],
    variant: flags.text('variant'),
    images: flags.required('images', 'a folder of pictures, or a CIFAR or MNIST binary file'),
    limit: flags.integer('limit', 1, 1e9),
    target: targetOf(flags),
    probes: flags.integer('probes', 0, 1e6) ?? 8,
    ring: flags.integer('ring', 24, 32) ?? 32,
    bits: flags.integer('bits', 4, 30) ?? 16,
    margin: numberOf(flags, 'margin', 0, 16) ?? 1,
    per: flags.on('per-channel') ? ('channel' as const) : flags.on('per-layer') ? ('layer' as const) : undefined,
    output: flags.text('output') ?? 'calibration.json',
    threads: flags.integer('threads', 1, 256) ?? availableParallelism(),
    force: flags.on('force'),
  }
  if (flags.on('per-channel') && flags.on('per-layer')) flags.fault('expected one of --per-layer and --per-channel')
  flags.check()
  return order
}

function targetOf(flags: Flags): WindowTarget {
  const meanBits = numberOf(flags, 'window', 2, 30)
  const noise = numberOf(flags, 'noise', 0, 1)
  const given = [meanBits !== undefined, noise !== undefined, flags.on('exact')].filter(Boolean).length
  if (given > 1) flags.fault('expected one of --window, --noise and --exact')
  if (flags.on('exact')) return 'exact'
  return meanBits === undefined ? { noise: noise ?? QUIET } : { meanBits }
}

function numberOf(flags: Flags, name: string, min: number, max: number): number | undefined {
  const given = flags.text(name)
  if (given === undefined) return undefined
  const value = Number(given)
  if (value >= min && value <= max) return value
  flags.fault(`--${name}: expected a number from ${min} to ${max}, got ${given}`)
  return undefined
}

interface LayerReport extends LayerWindow {
  /** Largest absolute input per channel, factors included. */
  readonly channels: readonly number[]
  /** What the channels were multiplied by: their windows are log2 of it lower than the layer's. */
  readonly factors: number | readonly number[]
}

interface CalibrateReport {
  readonly network: string
  readonly variant: string
  readonly images: string
  readonly output: string
  readonly ring: number
  readonly bits: number
  /** Mean over all comparisons. */
  readonly windowBits: number
  /** Expected per inference. */
  readonly wrongSigns: number
  /** Root mean square of the change of the outputs that wrong signs are expected to make; null where not probed. */
  readonly outputChange: number | null
  readonly layers: readonly LayerReport[]
  readonly warnings: readonly string[]
}

async function calibrateModel(order: Order, signal: AbortSignal, bar: ProgressBar): Promise<CalibrateReport> {
  const { output, force, ring, bits, margin, target } = order
  if (!force) await requireNew([output])
  bar.update(0, 'reading')
  const model = await loadModelDirectory(findModel(order.model), order.variant)
  const images = await readImageSet(order.images, model.arch, order)
  const part = new PartFile(output)
  const { plain, channels, ranges } = await measuredRanges(order, model, images, part, signal, bar)
  const measured: Calibration = { ...calibrationOf(ranges, images.source), ...(channels ? { channels } : {}) }
  const gains = await gainsOf(order, model, images, ranges, measured, signal, bar)
  bar.update(0, 'choosing windows')
  const { windows, layers } = await chooseWindows(model, ranges, measured, { ring, bits, margin, target, gains })
  const file: Calibration = { ...measured, ...(target === 'exact' && margin === 1 && bits === 16 ? {} : { windows }) }
  await writeWhole([{ path: output, bytes: new TextEncoder().encode(`${JSON.stringify(file, null, 1)}\n`) }], force)
  await part.remove()
  const comparisons = layers.reduce((sum, layer) => sum + layer.comparisons, 0)
  const perInference = (of: (layer: LayerWindow) => number) =>
    layers.reduce((sum, layer) => sum + of(layer) * layer.comparisons, 0)
  return {
    ...{ network: model.arch.name, variant: model.variant, images: images.source, output, ring, bits },
    windowBits: perInference((layer) => layer.bits - layer.lo) / comparisons,
    wrongSigns: perInference(({ predicted }) => predicted.probability),
    outputChange: gains ? Math.sqrt(layers.reduce((sum, { effect = 0 }) => sum + effect, 0)) : null,
    layers: layers.map((layer) => {
      const [own, factors] = [[...ranges.layers.get(layer.id)!.channelMax], channels?.[layer.id] ?? 1]
      return { ...layer, channels: own, factors }
    }),
    warnings: warningsOf(layers, plain.maxAbs, model.calibration, images),
  }
}

/** How much each layer matters, where that decides something. */
async function gainsOf(
  { target, probes, threads, ring, bits, margin }: Order,
  model: ModelDirectory,
  { inputs }: ImageSet,
  ranges: Ranges,
  measured: Calibration,
  signal: AbortSignal,
  bar: ProgressBar,
): Promise<ReadonlyMap<string, number> | undefined> {
  if (probes === 0 || target === 'exact' || 'noise' in target) return undefined
  const remaining = new Remaining()
  const onProgress = (done: number) => bar.update(done, 'probing layers', remaining.text(done))
  const numbers = { ring, bits, margin }
  const options = { ...numbers, startPool: startThreads(threads), signal, onProgress }
  return measureGains(model, inputs.slice(0, probes), ranges, measured, options)
}

/** Fewer pictures than this leave the tails of most ranges unseen. */
const FEW = 100

/** @param plain ranges without factors, as those before may be compared with */
function warningsOf(
  layers: readonly LayerWindow[],
  plain: Calibration['maxAbs'],
  before: Calibration | undefined,
  { inputs }: ImageSet,
): string[] {
  const warnings: string[] = []
  if (inputs.length < FEW) warnings.push(`${inputs.length} pictures are few: others may reach further than these`)
  for (const { id, margin } of layers) {
    if (margin < 1)
      warnings.push(`${id}: ${margin.toFixed(2)} bits of margin; a value that leaves it makes a wrong answer`)
  }
  if (!before || before.channels) return warnings
  for (const { id } of layers.filter(({ id }) => plain[id] > before.maxAbs[id])) {
    warnings.push(`${id}: ${plain[id].toFixed(3)} is more than the ${before.maxAbs[id]} the model was calibrated for`)
  }
  return warnings
}

function text(report: CalibrateReport): string {
  const paint = painter(process.stdout)
  const { network, variant, images, layers, windowBits, wrongSigns, outputChange, warnings, output, ring } = report
  const change = outputChange === null ? '' : `, which moves the outputs by ${outputChange.toPrecision(2)} (rms)`
  const right = { align: 'right' } as const
  const heads = ['largest', 'margin', 'scale', "n'", 'lo', 'bits', 'wrong signs', 'noise', 'per channel']
  const rows = layers.map((layer) => [
    ...[layer.id, layer.maxAbs.toFixed(3), layer.margin.toFixed(1), `2^-${layer.scale}`, `${layer.bits}`],
    ...[`${layer.lo}`, `${layer.bits - layer.lo}`, `${(100 * layer.predicted.probability).toFixed(3)} %`],
    ...[`${(100 * layer.predicted.noise).toFixed(2)} %`, `-${layer.channelBits.toFixed(1)}`],
  ])
  const comparisons = layers.reduce((sum, layer) => sum + layer.comparisons, 0)
  return [
    `${paint('bold', network)}, ${variant}: ranges over ${images}, ring of ${ring} bits`,
    ...tableLines([{ head: 'layer' }, ...heads.map((head) => ({ head, ...right }))], rows, paint),
    `  comparisons read ${windowBits.toFixed(2)} bits on average; ${count(Math.round(wrongSigns))} of ${count(comparisons)} signs are expected to be wrong per inference${change}`,
    ...factorLine(layers),
    '  margin in bits; noise of wrong signs by the size of the outputs; per channel: bits that an average one needs less',
    ...warnings.map((warning) => `  ${paint('yellow', 'warning')} ${warning}`),
    `  ${paint('green', '→')} ${output}`,
    '',
  ].join('\n')
}

/** How far the factors go, where there are some. */
function factorLine(layers: readonly LayerReport[]): string[] {
  const factors = layers.flatMap((layer) => layer.factors)
  if (factors.every((factor) => factor === 1)) return []
  const [least, most] = [Math.min(...factors), Math.max(...factors)].map((factor) => factor.toPrecision(3))
  const kind = layers.some((layer) => typeof layer.factors !== 'number') ? 'channels' : 'layers'
  return [`  ${kind} are multiplied by ${least} to ${most}, which their readers divide by; ranges are those after it`]
}
