// `ringfence distortion`: how much the outputs change when one channel shares its comparisons.
import { availableParallelism } from 'node:os'
import { readImageSet } from '../../files/image-set.js'
import { PartFile } from '../../files/part-file.js'
import { loadPlainModel } from '../../files/plain-model.js'
import { requireNew, writeWhole } from '../../files/whole-files.js'
import type { Pair } from '../../model/layers/layers.js'
import {
  COMMON_BLOCKS,
  type DistortionProgress,
  MASK_SHARES,
  distortion as measure,
} from '../../tune/distortion/distortion.js'
import { formatDistortionPart, measurementKey, parseDistortionPart } from '../../tune/distortion/part.js'
import { type DistortionTable, formatDistortionTable, isCandidate } from '../../tune/distortion/table.js'
import { startThreads } from '../../tune/workers/pool.node.js'
import type { Command, Flags } from '../terminal/arguments.js'
import { interruptible } from '../terminal/interrupt.js'
import { ProgressBar } from '../terminal/progress-bar.js'
import { Remaining, span } from '../terminal/remaining.js'
import { count, painter, tableLines } from '../terminal/terminal.js'

export const distortion: Command = {
  name: 'distortion',
  summary: 'Measure how much the outputs change when one channel uses a block: what `plan` weighs against comparisons.',
  operands: 'MODEL',
  flags: {
    images: { type: 'string', valueHint: 'PATH', description: 'pictures: a folder, or a CIFAR or MNIST binary file' },
    limit: { type: 'string', valueHint: 'N', description: 'only N of them, evenly spread (default 128)' },
    variant: {
      type: 'string',
      valueHint: 'NAME',
      description: "the model's variant; by default the one of plain ReLUs",
    },
    blocks: {
      type: 'string',
      valueHint: 'LIST',
      description: `candidates, as 1x1,2x2,identity,zero (default ${COMMON_BLOCKS.map(nameOf).join(',')})`,
    },
    masks: {
      type: 'boolean',
      description: `also masks per channel that keep ${MASK_SHARES.map((share) => 100 * share).join(', ')} % of its ReLUs`,
    },
    output: { type: 'string', alias: 'o', valueHint: 'FILE', description: 'also -o (default distortion.json)' },
    threads: { type: 'string', valueHint: 'N', description: 'worker threads (default: one per core)' },
    force: { type: 'boolean', description: 'overwrite what is there, and start anew' },
  },
  notes: [
    'MODEL is a folder with a network and its weights, or the name of a model that comes with ringfence.',
    'Which ReLUs a mask keeps is an estimate: those whose inputs are changed most. What it does to the outputs is measured.',
    'Ctrl-C leaves FILE.part; the same command goes on from there. The result does not depend on the threads.',
  ],
  async run(flags) {
    const order = readOrder(flags)
    const bar = new ProgressBar()
    try {
      const report = await interruptible((signal) => measureTable(order, signal, bar))
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
  readonly images: string
  readonly limit: number
  readonly variant: string | undefined
  readonly blocks: readonly Pair[]
  /** The part of its elements that each mask keeps; none without masks. */
  readonly masks: readonly number[]
  readonly output: string
  readonly threads: number
  readonly force: boolean
}

function readOrder(flags: Flags): Order {
  if (flags.operands.length !== 1) flags.fault('expected one MODEL')
  const order = {
    model: flags.operands[0],
    images: flags.required('images', 'a folder of pictures, or a CIFAR or MNIST binary file'),
    limit: flags.integer('limit', 1, 1e9) ?? 128,
    variant: flags.text('variant'),
    blocks: blocksOf(flags),
    masks: flags.on('masks') ? MASK_SHARES : [],
    output: flags.text('output') ?? 'distortion.json',
    threads: flags.integer('threads', 1, 256) ?? availableParallelism(),
    force: flags.on('force'),
  }
  flags.check()
  return order
}

const LINEAR: Readonly<Record<string, Pair>> = { identity: [0, 1], zero: [1, 0] }

function nameOf([height, width]: Pair): string {
  return height === 0 ? 'identity' : width === 0 ? 'zero' : `${height}x${width}`
}

function blocksOf(flags: Flags): readonly Pair[] {
  const list = flags.text('blocks')
  if (list === undefined) return COMMON_BLOCKS
  return list.split(',').map((name) => {
    const block = Object.hasOwn(LINEAR, name) ? LINEAR[name] : name.split('x').map(Number)
    if (isCandidate(block)) return block
    flags.fault(`--blocks: expected HEIGHTxWIDTH, identity or zero, got ${name}`)
    return [1, 1]
  })
}

interface DistortionReport {
  readonly network: string
  readonly variant: string
  readonly images: string
  readonly output: string
  readonly rows: number
  readonly candidates: number
  /** Nested masks of every channel. */
  readonly masks: number
  /** Rows that an earlier run left. */
  readonly resumed: number
  readonly seconds: number
  readonly threads: number
  readonly layers: readonly {
    readonly name: string
    readonly channels: number
    /** Mean over the channels. */
    readonly largestBlock: number
    /** The whole layer as identity. */
    readonly identity: number | null
  }[]
}

async function measureTable(order: Order, signal: AbortSignal, bar: ProgressBar): Promise<DistortionReport> {
  const { output, force, blocks, masks, threads } = order
  if (!force) await requireNew([output])
  bar.update(0, 'reading')
  const { arch, weights, variant } = await loadPlainModel(order.model, order.variant)
  const { inputs, source } = await readImageSet(order.images, arch, order)
  const key = measurementKey(arch, weights, inputs, blocks, masks)
  const part = new PartFile(output)
  const left = force ? undefined : await part.read()
  const resume = left === undefined ? undefined : parseDistortionPart(left, arch, key, part.path)
  const started = performance.now()
  const remaining = new Remaining()
  let resumed: number | undefined
  const onProgress = ({ done, measured, rows, layer, table }: DistortionProgress) => {
    resumed ??= measured - 1
    bar.update(done, 'measuring', [`${measured} of ${rows} rows, ${layer}`, remaining.text(done)].join('  '))
    part.keep(() => formatDistortionPart(table, key))
  }
  let table: DistortionTable
  try {
    const startPool = startThreads(threads)
    table = await measure(arch, weights, inputs, {
      blocks,
      masks,
      startPool,
      signal,
      onProgress,
      ...(resume ? { resume } : {}),
    })
  } catch (error) {
    throw await part.left(error)
  }
  await writeWhole([{ path: output, bytes: new TextEncoder().encode(formatDistortionTable(table)) }], force)
  await part.remove()
  const seconds = (performance.now() - started) / 1000
  const channels = [...table.layers.values()].reduce((sum, { values }) => sum + values.length / blocks.length, 0)
  const rows = masks.length > 0 ? 2 * channels : channels
  return {
    ...{ network: arch.name, variant, images: source, output, rows, candidates: blocks.length, masks: masks.length },
    ...{ resumed: resume ? Math.max(0, resumed ?? rows) : 0, seconds, threads, layers: layerReports(table) },
  }
}

function layerReports({ layers }: DistortionTable): DistortionReport['layers'] {
  return [...layers].map(([name, { blocks, values, identity }]) => {
    const channels = values.length / blocks.length
    const row = (c: number) => values.subarray(c * blocks.length, (c + 1) * blocks.length)
    const largest = Array.from({ length: channels }, (_, c) =>
      Math.max(...row(c).filter((value) => !Number.isNaN(value))),
    )
    const largestBlock = largest.reduce((sum, value) => sum + value, 0) / channels
    return { name, channels, largestBlock, identity: identity ?? null }
  })
}

function text(report: DistortionReport): string {
  const paint = painter(process.stdout)
  const { network, variant, images, rows, candidates, masks, resumed, seconds, threads, output, layers } = report
  const right = { align: 'right' } as const
  const columns = [
    { head: 'layer' },
    { head: 'channels', ...right },
    { head: 'worst candidate, mean', ...right },
    { head: 'identity throughout', ...right },
  ]
  const cells = layers.map(({ name, channels, largestBlock, identity }) => {
    return [name, count(channels), largestBlock.toExponential(2), identity?.toExponential(2) ?? '']
  })
  const before = resumed > 0 ? `, ${count(resumed)} ${masks > 0 ? 'rows' : 'of them'} by an earlier run` : ''
  const nested = masks > 0 ? ` and ${masks} masks` : ''
  return [
    `${paint('bold', network)}, ${variant}: mean squared change of the outputs over ${images}`,
    ...tableLines(columns, cells, paint),
    `  ${count(masks > 0 ? rows / 2 : rows)} channels, ${candidates} candidates${nested}${before}; ${span(seconds * 1000)} on ${threads} threads`,
    `  ${paint('green', '→')} ${output}`,
    '',
  ].join('\n')
}
