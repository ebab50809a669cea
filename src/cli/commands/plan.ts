// `ringfence plan`: the ReLU spec of least distortion within a budget.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { RingfenceError } from '../../errors.js'
import { isModel, readArchitectureFile, readJson } from '../../files/architecture-file.js'
import { findModel } from '../../files/prepared-model.js'
import { requireNew, writeWhole } from '../../files/whole-files.js'
import { type Architecture, parseArchitecture } from '../../model/architecture.js'
import { countNetwork } from '../../model/count.js'
import { type LayerRelu, resolveRelu } from '../../model/relu/spec.js'
import { networkProfiles } from '../../net/index.js'
import type { CompileOptions } from '../../plan/compile/compile.js'
import { type Budget, type Objective, planRelus, type ReluPlan } from '../../tune/allocation/relu-plan.js'
import { predict } from '../../tune/cost/predict.js'
import { shapePlan } from '../../tune/cost/shape-plan.js'
import { onlineBytes, predictedCosts } from '../../tune/cost/spec-cost.js'
import {
  activationLayers,
  channelCount,
  type DistortionTable,
  parseDistortionTable,
  specNameOf,
} from '../../tune/distortion/table.js'
import { costWords, distortionWords } from '../report/plan-words.js'
import { type Command, type Flags, PLAN_FLAGS, planOptions } from '../terminal/arguments.js'
import { interruptible } from '../terminal/interrupt.js'
import { ProgressBar } from '../terminal/progress-bar.js'
import { byteSize, count, duration, painter, tableLines } from '../terminal/terminal.js'
import { choicesText, planChoicesFile } from './plan-choices.js'

const OBJECTIVES = ['drelus', 'bytes', 'seconds'] as const

export const plan: Command = {
  name: 'plan',
  summary:
    'Choose blocks, masks or identity for every layer: the least distortion within a budget, proven (an exact knapsack).',
  operands: 'MODEL',
  flags: {
    ratio: { type: 'string', valueHint: 'R', description: 'budget, as a share of the cost with all ReLUs: 0.06' },
    'max-cost': { type: 'string', valueHint: 'N', description: 'or as a number of comparisons, bytes or seconds' },
    objective: {
      type: 'string',
      valueHint: 'NAME',
      description: 'what the budget counts: drelus (default), or on-line bytes or seconds as predicted',
    },
    distortion: {
      type: 'string',
      valueHint: 'FILE',
      description: "the table that `ringfence distortion` measured (default distortion.json, the model's or here)",
    },
    'choices-table': {
      type: 'string',
      valueHint: 'FILE',
      description:
        'search the choices of the network instead, by the distortion of every option: writes a choices file',
    },
    zero: { type: 'boolean', description: 'offer zero channels too, where the table has them' },
    'blocks-only': { type: 'boolean', description: 'offer no masks of single ReLUs, even where the table has them' },
    output: {
      type: 'string',
      alias: 'o',
      valueHint: 'FILE',
      description: 'also -o (default relu-spec.json, choices.json)',
    },
    force: { type: 'boolean', description: 'overwrite what is there' },
    network: {
      type: 'string',
      valueHint: 'NAME',
      description: `network of the prediction: ${Object.keys(networkProfiles).join(', ')} (default wan60)`,
    },
    ...PLAN_FLAGS,
  },
  notes: [
    'MODEL is the folder or the architecture file of a network, or a model that comes with ringfence.',
    'A choices table is {"choices": {"default_1": [0.31, 0], …}}: per key the distortion of every option.',
    'Bytes and seconds of options are summed as differences; what is found is predicted as a whole, and kept to.',
  ],
  async run(flags) {
    const order = readOrder(flags)
    const bar = new ProgressBar()
    try {
      const print = <R>(report: R, text: (report: R) => string) => {
        bar.clear()
        process.stdout.write(flags.on('json') ? `${JSON.stringify(report)}\n` : text(report))
      }
      const { choicesTable } = order
      if (choicesTable === undefined) print(await interruptible((signal) => planModel(order, signal, bar)), text)
      else {
        const own = { ...order, table: choicesTable }
        print(await interruptible((signal) => planChoicesFile(own, signal, bar)), choicesText)
      }
      return 0
    } finally {
      bar.clear()
    }
  },
}

interface Order {
  readonly model: string
  readonly budget: Budget
  readonly objective: Objective['kind']
  readonly distortion: string | undefined
  readonly choicesTable: string | undefined
  readonly zeroChannels: boolean
  readonly masks: boolean
  readonly output: string
  readonly force: boolean
  readonly network: keyof typeof networkProfiles
  readonly compile: CompileOptions
}

function readOrder(flags: Flags): Order {
  if (flags.operands.length !== 1) flags.fault('expected one MODEL')
  const choicesTable = flags.text('choices-table')
  const order = {
    model: flags.operands[0],
    choicesTable,
    budget: budgetOf(flags),
    objective: flags.oneOf('objective', OBJECTIVES) ?? 'drelus',
    distortion: flags.text('distortion'),
    zeroChannels: flags.on('zero'),
    masks: !flags.on('blocks-only'),
    output: flags.text('output') ?? (choicesTable === undefined ? 'relu-spec.json' : 'choices.json'),
    force: flags.on('force'),
    network: flags.oneOf('network', Object.keys(networkProfiles) as (keyof typeof networkProfiles)[]) ?? 'wan60',
    compile: planOptions(flags),
  }
  if (choicesTable !== undefined) {
    const others = [
      order.distortion === undefined ? [] : ['--distortion'],
      order.zeroChannels ? ['--zero'] : [],
      order.masks ? [] : ['--blocks-only'],
    ].flat()
    for (const other of others) flags.fault(`${other}: speaks of a ReLU spec, expected none beside --choices-table`)
  }
  flags.check()
  return order
}

function budgetOf(flags: Flags): Budget {
  const [ratio, maxCost] = [flags.text('ratio'), flags.text('max-cost')]
  if ((ratio === undefined) === (maxCost === undefined)) {
    flags.fault('expected a budget, either --ratio, as in --ratio 0.06, or --max-cost')
  }
  const value = Number(ratio ?? maxCost)
  if (ratio !== undefined && !(value > 0 && value <= 1)) {
    flags.fault(`--ratio: expected a number above 0 and up to 1, got ${ratio}`)
  }
  if (maxCost !== undefined && !(Number.isFinite(value) && value >= 0)) {
    flags.fault(`--max-cost: expected a number >= 0, got ${maxCost}`)
  }
  return ratio === undefined ? { maxCost: value } : { ratio: value }
}

interface Prediction {
  readonly drelus: number
  readonly onlineBytes: number
  readonly onlineSeconds: number
  readonly flights: number
}

interface PlanReport {
  readonly network: string
  readonly output: string
  readonly table: string
  readonly objective: Objective['kind']
  readonly budget: number
  readonly cost: number
  readonly plainCost: number
  readonly distortion: number
  /** No choice within the budget has less. */
  readonly bound: number
  readonly layers: readonly {
    readonly name: string
    readonly relus: number
    readonly drelus: number
    readonly linear: boolean
    /** Channels by block, or by the share of their ReLUs that a mask keeps. */
    readonly blocks: Readonly<Record<string, number>>
  }[]
  readonly predicted: { readonly profile: string; readonly plain: Prediction; readonly planned: Prediction } | null
}

async function planModel(order: Order, signal: AbortSignal, bar: ProgressBar): Promise<PlanReport> {
  const { model, output, force, budget, network, zeroChannels, masks } = order
  if (!force) await requireNew([output])
  const file = await readArchitectureFile(model)
  const arch = parseArchitecture(file.json, file.path)
  const tableFile = await readJson(tablePath(order))
  const table = parseDistortionTable(tableFile.json, arch, { source: tableFile.path })
  const objective = await objectiveOf(arch, table, order, signal, bar)
  bar.update(0, 'solving')
  const solved = await planRelus(arch, table, { objective, budget, zeroChannels, masks, signal })
  const bytes = new TextEncoder().encode(`${JSON.stringify(solved.file, null, 1)}\n`)
  await writeWhole([{ path: output, bytes }], force)
  bar.update(0, 'predicting')
  const of = (spec?: ReluPlan['spec']) => predicted(arch, spec, order)
  return {
    ...{ network: arch.name, output, table: tableFile.path, objective: solved.unit },
    ...{ budget: solved.budget, cost: solved.cost, plainCost: solved.plainCost },
    ...{ distortion: solved.distortion, bound: solved.bound, layers: layerReports(arch, solved) },
    predicted: withoutRunning(() => ({ profile: network, plain: of(), planned: of(solved.spec) })),
  }
}

/** The model's own table unless another one is named. */
function tablePath({ model, distortion }: Order): string {
  if (distortion !== undefined) return distortion
  const own = isModel(model) ? join(findModel(model), 'distortion.json') : undefined
  const found = [own, 'distortion.json'].find((path) => path !== undefined && existsSync(path))
  if (found !== undefined) return found
  throw new RingfenceError(
    'BAD_INPUT',
    `there is no distortion.json of ${model}; measure one with ringfence distortion, and name it with --distortion`,
  )
}

async function objectiveOf(
  arch: Architecture,
  table: DistortionTable,
  { objective, network, compile }: Order,
  signal: AbortSignal,
  bar: ProgressBar,
): Promise<Objective> {
  if (objective === 'drelus') return { kind: objective }
  const cost = await predictedCosts(arch, table, {
    unit: objective,
    network: { profile: networkProfiles[network] },
    compile,
    signal,
    onProgress: (done, layer) => bar.update(done, 'predicting what each candidate costs', layer),
  })
  return { kind: objective, cost }
}

function predicted(arch: Architecture, spec: ReluPlan['spec'] | undefined, order: Order): Prediction {
  const prediction = predict(shapePlan(arch, spec, order.compile), { profile: networkProfiles[order.network] })
  const { flights, seconds } = prediction.total
  const { drelus } = countNetwork(arch, spec)
  return { drelus, onlineBytes: onlineBytes(prediction), onlineSeconds: seconds.online, flights }
}

/** Networks can be planned that this version cannot run. */
function withoutRunning<T>(predict: () => T): T | null {
  try {
    return predict()
  } catch (error) {
    if (error instanceof RingfenceError) return null
    throw error
  }
}

function layerReports(arch: Architecture, { layers, spec }: ReluPlan): PlanReport['layers'] {
  const relus = new Map(countNetwork(arch).layers.map((layer) => [layer.id, layer.relus]))
  const byName = new Map(activationLayers(arch).map((layer) => [specNameOf(layer), layer]))
  return layers.map(({ name, drelus, linear }) => {
    const layer = byName.get(name)!
    const relu = resolveRelu(spec, layer)
    const blocks: Record<string, number> = {}
    for (const each of channelKinds(relu, channelCount(layer.out))) blocks[each] = (blocks[each] ?? 0) + 1
    return { name, relus: relus.get(layer.id)!, drelus, linear, blocks }
  })
}

/** Per channel its block, `relu` or `identity`, or how much of it a mask keeps. */
function channelKinds(relu: LayerRelu, channels: number): readonly string[] {
  if (relu.kind === 'block') return relu.blocks.map(([h, w]) => blockName(h, w))
  if (relu.kind !== 'mask') return new Array<string>(channels).fill(relu.kind)
  const plane = relu.bits.length / channels
  return Array.from({ length: channels }, (_, c) => {
    const kept = relu.bits.subarray(c * plane, (c + 1) * plane).reduce((sum, bit) => sum + bit, 0)
    return kept === 0 ? 'identity' : `${Math.round((100 * kept) / plane)} %`
  })
}

const blockName = (h: number, w: number): string => (h === 0 ? 'identity' : w === 0 ? 'zero' : `${h}x${w}`)

function text(report: PlanReport): string {
  const paint = painter(process.stdout)
  const { layers, cost, budget, plainCost, objective, distortion, bound, predicted: forecast, output } = report
  const right = { align: 'right' } as const
  const columns = [{ head: 'layer' }, { head: 'ReLUs', ...right }, { head: 'kept', ...right }, { head: '%', ...right }]
  const rows = layers.map(({ name, relus, drelus, blocks }) => {
    const kinds = Object.entries(blocks).sort(([, a], [, b]) => b - a)
    const most = kinds.slice(0, 5).map(([block, channels]) => `${channels} × ${block}`)
    const words = [...most, ...(kinds.length > 5 ? ['…'] : [])].join(', ')
    return [name, count(relus), count(drelus), share(drelus, relus), words]
  })
  const unit = (value: number) => costWords(objective, value)
  return [
    `${paint('bold', report.network)}: ${unit(cost)} of ${unit(budget)} allowed, ${share(cost, plainCost)} % of ${unit(plainCost)}`,
    ...tableLines([...columns, { head: 'channels' }], rows, paint),
    `  ${distortionWords(distortion, bound)}`,
    ...(forecast ? forecastLines(forecast) : []),
    `  ${paint('green', '→')} ${output}`,
    '',
  ].join('\n')
}

const share = (part: number, whole: number): string => (whole === 0 ? '' : ((100 * part) / whole).toFixed(1))

function forecastLines({ profile, plain, planned }: NonNullable<PlanReport['predicted']>): string[] {
  const line = (name: string, p: Prediction) =>
    `  predicted ${name}: ${count(p.drelus)} comparisons, ${byteSize(p.onlineBytes)} and ${duration(1000 * p.onlineSeconds)} on line (${profile}), ${p.flights} flights`
  return [line('with all ReLUs', plain), line('as planned', planned)]
}
