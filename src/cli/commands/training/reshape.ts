// `ringfence reshape`: the same kind of network with ReLUs elsewhere, before anything is trained.
import { readArchitectureFile } from '../../../files/architecture-file.js'
import { requireWritable, writeText } from '../../../files/whole-files.js'
import { type Architecture, parseArchitecture } from '../../../model/architecture.js'
import { countNetwork } from '../../../model/count.js'
import type { Json } from '../../../model/json/fields.js'
import { pruneSkipRelus, shuffleRelus } from '../../../model/reshape/shuffle.js'
import {
  alignedGrowths,
  balancedWidths,
  grownWidths,
  stagesOf,
  withoutStem,
  withStageWidths,
} from '../../../model/reshape/widths.js'
import type { Command, Flags } from '../../terminal/arguments.js'
import { printed } from '../../terminal/printed.js'
import { columnsOf, count, nextCommand, painter, quoted, tableLines, wrapped } from '../../terminal/terminal.js'

export const reshape: Command = {
  name: 'reshape',
  summary: 'Change where a network has its ReLUs, before it is trained: widths of stages, ReLUs of skips.',
  operands: 'ARCHITECTURE',
  flags: {
    output: { type: 'string', alias: 'o', valueHint: 'FILE', description: 'also -o: the arch/1 file that is made' },
    shuffle: {
      type: 'boolean',
      description: 'the same function with fewer ReLUs in front of concatenations (CryptoNAS)',
    },
    'prune-skips': { type: 'boolean', description: 'no ReLU in front of concatenations or behind them (CryptoNAS)' },
    balance: { type: 'boolean', description: 'as many ReLUs in a layer of every stage as of the first (CryptoNAS)' },
    growth: {
      type: 'string',
      valueHint: 'LIST',
      description: 'how much wider each stage is than the one before it: 5,5,3 (DeepReShape)',
    },
    align: {
      type: 'string',
      valueHint: 'LIST',
      description: 'the smallest growth with more ReLUs in stages that matter more, most first: 3,2,4,1 (DeepReShape)',
    },
    width: { type: 'string', valueHint: 'N', description: 'with one of these three: channels of the first stage' },
    force: { type: 'boolean', description: 'overwrite what is there' },
  },
  notes: [
    'Stages are the layers whose maps are of one size. A network of other widths has no weights yet: search trains it from nothing. After --shuffle its weights still fit.',
  ],
  async run(flags) {
    const { name, output, force, ...moves } = readOptions(flags)
    await requireWritable([output], force)
    await printed(
      flags,
      async () => {
        const { json, path } = await readArchitectureFile(name)
        const before = parseArchitecture(json, path)
        const { made, growths } = moved(json, before, moves)
        await writeText(output, `${JSON.stringify(made, null, 1)}\n`, force)
        return {
          network: before.name,
          output,
          growths,
          before: factsOf(before),
          after: factsOf(parseArchitecture(made)),
        }
      },
      text,
    )
    return 0
  },
}

interface Moves {
  readonly shuffle: boolean
  readonly prune: boolean
  readonly balance: boolean
  readonly growth: readonly number[] | undefined
  readonly align: readonly number[] | undefined
  readonly width: number | undefined
}

function readOptions(
  flags: Flags,
): Moves & { readonly name: string; readonly output: string; readonly force: boolean } {
  const options = {
    ...{ name: flags.operand(), output: flags.required('output', 'the file that is made') },
    ...{ shuffle: flags.on('shuffle'), prune: flags.on('prune-skips'), balance: flags.on('balance') },
    growth: listOf(flags, 'growth'),
    align: listOf(flags, 'align')?.map((stage) => stage - 1),
    width: flags.integer('width', 1, 65536),
    force: flags.on('force'),
  }
  const widths = [options.balance, options.growth !== undefined, options.align !== undefined].filter(Boolean).length
  if (widths > 1) flags.fault('expected one of --balance, --growth and --align')
  if (widths === 0 && options.width !== undefined) flags.fault('--width: goes with --balance, --growth or --align')
  if (widths === 0 && !options.shuffle && !options.prune)
    flags.fault('nothing would change: name --shuffle, --prune-skips, --balance, --growth or --align')
  flags.check()
  return options
}

function listOf(flags: Flags, name: string): readonly number[] | undefined {
  const text = flags.text(name)
  if (text === undefined) return undefined
  const list = text.split(',').map(Number)
  if (list.every((entry) => Number.isInteger(entry) && entry >= 1 && entry <= 64)) return list
  flags.fault(`--${name}: expected whole numbers from 1 to 64, as 5,5,3, got ${text}`)
  return undefined
}

/** Other widths first: what is shuffled then is what is written. */
function moved(json: Json, arch: Architecture, { shuffle, prune, balance, growth, align, width }: Moves) {
  const stages = stagesOf(arch)
  const first = width ?? stages[0]?.channels ?? 1
  const growths = align && alignedGrowths(withoutStem(arch), align)
  const grown = growths?.[0] ?? growth
  let made = json
  if (balance) made = withStageWidths(made, balancedWidths(stages, first))
  else if (grown) made = withStageWidths(made, grownWidths(first, grown))
  if (shuffle) made = shuffleRelus(made)
  if (prune) made = pruneSkipRelus(made)
  return { made, growths: growths ?? null }
}

function factsOf(arch: Architecture) {
  const { relus, macs, params } = countNetwork(arch)
  return { relus, macs, params, stages: stagesOf(arch) }
}

interface Report {
  readonly network: string
  readonly output: string
  /** Growths that align stages, of which the first was taken; null without --align. */
  readonly growths: readonly (readonly number[])[] | null
  readonly before: ReturnType<typeof factsOf>
  readonly after: ReturnType<typeof factsOf>
}

function text({ network, output, growths, before, after }: Report): string {
  const paint = painter(process.stdout)
  const width = columnsOf(process.stdout)
  const heads = ['map', 'layers', 'channels', 'now', 'ReLUs', 'now']
  const columns = heads.map((head) => ({ head, align: 'right' }) as const)
  const rows = before.stages.map(({ map, channels, relus }) => {
    const now = after.stages.find((stage) => stage.map.join() === map.join())
    return [
      ...[map.join('×'), `${now?.layers ?? 0}`, count(channels), count(now?.channels ?? 0)],
      ...[count(relus), count(now?.relus ?? 0)],
    ]
  })
  const both = (name: 'relus' | 'macs' | 'params') => `${count(before[name])} → ${count(after[name])}`
  const others = growths?.slice(1).map((growth) => growth.join(','))
  return [
    paint('bold', network),
    ...tableLines(columns, rows, paint, width),
    wrapped(`ReLUs ${both('relus')}; multiplications ${both('macs')}; parameters ${both('params')}`, width, '  '),
    ...(growths
      ? [wrapped(`growth ${growths[0].join(',')}; as aligned: ${others!.join('  ') || 'no other'}`, width, '  ')]
      : []),
    `  ${paint('green', '→')} ${output}`,
    nextCommand(`inspect ${quoted(output)}`, 'what it is made of', paint),
    '',
  ].join('\n')
}
