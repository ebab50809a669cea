// `ringfence plan`: the ReLU spec of least distortion within a budget.

import { planModelChoices } from '../../files/plans/plan-choices.js'
import { type ForecastCosts, type PlannedModel, planModel } from '../../files/plans/plan-model.js'
import { networkProfiles } from '../../net/index.js'
import type { Budget } from '../../tune/allocation/relu-plan.js'
import { choicesText } from '../report/choices.js'
import { costWords, distortionWords } from '../report/plan-words.js'
import { type Command, type Flags, PLAN_FLAGS, planOptions } from '../terminal/arguments.js'
import { printed } from '../terminal/printed.js'
import {
  byteSize,
  columnsOf,
  count,
  duration,
  nextCommand,
  painter,
  quoted,
  tableLines,
  wrapped,
} from '../terminal/terminal.js'

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
    cull: {
      type: 'string',
      valueHint: 'WHAT',
      description: 'keep or drop whole layers or stages (maps of one size) alone',
    },
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
    const { choicesTable, distortion, zeroChannels, masks, cull, ...options } = readOptions(flags)
    const { model } = options
    if (choicesTable === undefined) {
      const own = { ...options, distortion, zeroChannels, masks, cull }
      await printed(
        flags,
        (how) => planModel({ ...own, ...how }),
        (report) => text(report, model),
      )
    } else {
      const own = { ...options, table: choicesTable }
      await printed(
        flags,
        (how) => planModelChoices({ ...own, ...how }),
        (report) => choicesText(report, model),
      )
    }
    return 0
  },
}

function readOptions(flags: Flags) {
  const choicesTable = flags.text('choices-table')
  const options = {
    model: flags.operand(),
    choicesTable,
    budget: budgetOf(flags),
    objective: flags.oneOf('objective', OBJECTIVES),
    distortion: flags.text('distortion'),
    zeroChannels: flags.on('zero'),
    masks: !flags.on('blocks-only'),
    cull: flags.oneOf('cull', ['layers', 'stages']),
    output: flags.text('output'),
    force: flags.on('force'),
    network: flags.oneOf('network', Object.keys(networkProfiles) as (keyof typeof networkProfiles)[]),
    compile: planOptions(flags),
  }
  if (choicesTable !== undefined) {
    const why = 'speaks of a ReLU spec, expected none beside --choices-table'
    flags.refuse(['distortion', 'zero', 'blocks-only', 'cull'], why)
  }
  flags.check()
  return options
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

function text(report: PlannedModel, model: string): string {
  const paint = painter(process.stdout)
  const width = columnsOf(process.stdout)
  const { layers, cost, budget, plainCost, objective, distortion, bound, predicted: forecast, output } = report
  const right = { align: 'right' } as const
  const columns = [
    { head: 'layer', shrinks: 'middle' } as const,
    { head: 'ReLUs', ...right },
    { head: 'kept', ...right },
    { head: '%', ...right },
  ]
  const rows = layers.map(({ name, relus, drelus, blocks }) => {
    const kinds = Object.entries(blocks).sort(([, a], [, b]) => b - a)
    const most = kinds.slice(0, 5).map(([block, channels]) => `${channels} × ${block}`)
    const words = [...most, ...(kinds.length > 5 ? ['…'] : [])].join(', ')
    return [name, count(relus), count(drelus), share(drelus, relus), words]
  })
  const unit = (value: number) => costWords(objective, value)
  return [
    wrapped(
      `${paint('bold', report.network)}: ${unit(cost)}, at most ${unit(budget)} allowed; ${share(cost, plainCost)} % of ${unit(plainCost)}`,
      width,
    ),
    ...tableLines([...columns, { head: 'channels', shrinks: 'end' }], rows, paint, width),
    wrapped(distortionWords(distortion, bound), width, '  '),
    ...(forecast ? forecastLines(forecast).map((line) => wrapped(line, width, '  ')) : []),
    `  ${paint('green', '→')} ${output}`,
    nextCommand(`cost ${quoted(model)} --relu-spec ${quoted(output)}`, 'bytes and seconds of an inference', paint),
    '',
  ].join('\n')
}

const share = (part: number, whole: number): string => (whole === 0 ? '' : ((100 * part) / whole).toFixed(1))

function forecastLines({ profile, plain, planned }: NonNullable<PlannedModel['predicted']>): string[] {
  const line = (name: string, p: ForecastCosts) =>
    `predicted ${name}: ${count(p.drelus)} comparisons, ${byteSize(p.onlineBytes)} and ${duration(1000 * p.onlineSeconds)} on line (${profile}), ${p.flights} flights`
  return [line('with all ReLUs', plain), line('as planned', planned)]
}
