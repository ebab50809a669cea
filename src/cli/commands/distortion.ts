// `ringfence distortion`: how much the outputs change when one channel shares its comparisons.
import {
  type MeasureDistortionOptions,
  type MeasuredDistortion,
  measureDistortion,
} from '../../files/measure-distortion.js'
import type { Pair } from '../../model/layers/layers.js'
import { COMMON_BLOCKS, MASK_SHARES } from '../../tune/distortion/distortion.js'
import { type DistortionTable, isCandidate } from '../../tune/distortion/table.js'
import { QUEUE_FLAGS } from '../process/fleet/queue-flags.js'
import { type Command, type Flags, RESIZE_FLAG } from '../terminal/arguments.js'
import { printed, type Work } from '../terminal/printed.js'
import { span } from '../terminal/remaining.js'
import { columnsOf, count, nextCommand, painter, quoted, tableLines, wrapped } from '../terminal/terminal.js'

export const distortion: Command = {
  name: 'distortion',
  summary: 'Measure how much the outputs change when one channel uses a block: what `plan` weighs against comparisons.',
  operands: 'MODEL',
  flags: {
    images: { type: 'string', valueHint: 'PATH', description: 'pictures: a folder, or a CIFAR or MNIST binary file' },
    limit: { type: 'string', valueHint: 'N', description: 'only N of them, evenly spread (default 128)' },
    ...RESIZE_FLAG,
    variant: {
      type: 'string',
      valueHint: 'NAME',
      description: "the model's variant; by default the one of plain ReLUs",
    },
    restored: {
      type: 'boolean',
      description: 'also a variant that was trained for a ReLU spec, with plain ReLUs in its place: to plan again',
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
    ...QUEUE_FLAGS,
  },
  notes: [
    'MODEL is a folder with a network and its weights, or the name of a model that comes with ringfence.',
    'Which ReLUs a mask keeps is an estimate: those whose inputs are changed most. What it does to the outputs is measured.',
    'With --queue machines that are given the same command share its work, and each writes the whole table.',
    'Ctrl-C leaves FILE.part; the same command goes on from there. The result does not depend on the threads.',
  ],
  async run(flags) {
    const options = readOptions(flags)
    const measured = async (how: Work) => reportOf(await measureDistortion({ ...options, ...how }))
    await printed(flags, measured, (report) => text(report, options.model))
    return 0
  },
}

function readOptions(flags: Flags): MeasureDistortionOptions {
  const options = {
    model: flags.operand(),
    images: flags.required('images', 'a folder of pictures, or a CIFAR or MNIST binary file'),
    limit: flags.integer('limit', 1, 1e9),
    resize: flags.resize(),
    variant: flags.text('variant'),
    restored: flags.on('restored'),
    blocks: blocksOf(flags),
    masks: flags.on('masks') ? MASK_SHARES : [],
    output: flags.text('output'),
    threads: flags.integer('threads', 1, 256),
    force: flags.on('force'),
    queue: flags.text('queue'),
    queueCredentials: flags.text('queue-credentials'),
  }
  flags.check()
  return options
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

interface LayerReport {
  readonly name: string
  readonly channels: number
  /** Mean over the channels. */
  readonly largestBlock: number
  /** The whole layer as identity. */
  readonly identity: number | null
}

const reportOf = ({ table, ...rest }: MeasuredDistortion) => ({ ...rest, layers: layerReports(table) })

function layerReports({ layers }: DistortionTable): LayerReport[] {
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

function text(report: ReturnType<typeof reportOf>, model: string): string {
  const paint = painter(process.stdout)
  const { network, variant, images, rows, candidates, masks, resumed, seconds, threads, output, layers } = report
  const width = columnsOf(process.stdout)
  const right = { align: 'right' } as const
  const columns = [
    { head: 'layer', shrinks: 'middle' } as const,
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
    wrapped(`${paint('bold', network)}, ${variant}: mean squared change of the outputs over ${images}`, width),
    ...tableLines(columns, cells, paint, width),
    wrapped(
      `${count(masks > 0 ? rows / 2 : rows)} channels, ${candidates} candidates${nested}${before}; ${span(seconds * 1000)} on ${threads} threads`,
      width,
      '  ',
    ),
    `  ${paint('green', '→')} ${output}`,
    nextCommand(
      `plan ${quoted(model)} --distortion ${quoted(output)} --ratio 0.25`,
      'a quarter of the comparisons',
      paint,
    ),
    '',
  ].join('\n')
}
