// `ringfence finetune`: weights for a ReLU spec, trained from those of the plain network.
import {
  type FinetunedModel,
  type FinetuneModelOptions,
  finetuneModel,
} from '../../../files/training/finetune-model.js'
import { finetuneRounds, type Round } from '../../../files/training/finetune-rounds.js'
import { DEFAULT_MASKS, DEFAULT_RECIPE, type MaskRecipe, type Recipe } from '../../../train/recipe.js'
import type { EpochRecord } from '../../../train/state.js'
import { type Command, CSV_FLAG, type Flags, RESIZE_FLAG } from '../../terminal/arguments.js'
import { modelNext } from '../../terminal/model-next.js'
import { printed, type Work } from '../../terminal/printed.js'
import { columnsOf, count, nextCommand, painter, quoted, tableLines, wrapped } from '../../terminal/terminal.js'

const D = DEFAULT_RECIPE

export const finetune: Command = {
  name: 'finetune',
  summary:
    'Train the weights for a ReLU spec, then calibrate and evaluate: what comparisons cost in accuracy comes back.',
  operands: 'MODEL',
  flags: {
    images: {
      type: 'string',
      valueHint: 'PATH',
      description: 'pictures with classes: a folder, or a CIFAR or MNIST file',
    },
    limit: { type: 'string', valueHint: 'N', description: 'only N of them, evenly spread' },
    ...RESIZE_FLAG,
    'relu-spec': { type: 'string', valueHint: 'FILE', description: "train for this spec (default: the variant's own)" },
    variant: { type: 'string', valueHint: 'NAME', description: "start from this variant's weights" },
    teacher: {
      type: 'string',
      valueHint: 'MODEL',
      description: 'distil the answers of this model of the same layers (default: of MODEL itself)',
    },
    test: { type: 'string', valueHint: 'PATH', description: 'evaluate on these pictures instead of those held out' },
    output: { type: 'string', alias: 'o', valueHint: 'DIR', description: 'also -o: the folder that is made' },
    epochs: { type: 'string', valueHint: 'N', description: `passes over the pictures (default ${D.epochs})` },
    rate: { type: 'string', valueHint: 'R', description: `highest learning rate (default ${D.rate})` },
    batch: { type: 'string', valueHint: 'N', description: `pictures of a step (default ${D.batch})` },
    shard: { type: 'string', valueHint: 'N', description: `of them, how many a thread takes (default ${D.shard})` },
    optimizer: { type: 'string', valueHint: 'NAME', description: 'sgd (default, with Nesterov momentum) or adam' },
    schedule: { type: 'string', valueHint: 'NAME', description: 'how the rate falls: cosine (default) or steps' },
    decay: { type: 'string', valueHint: 'D', description: `weight decay (default ${D.decay})` },
    smoothing: { type: 'string', valueHint: 'S', description: `of labels (default ${D.smoothing})` },
    distill: {
      type: 'string',
      valueHint: 'W',
      description: `weight of the plain network's answers (default ${D.distill}; 0 for none)`,
    },
    shift: { type: 'string', valueHint: 'N', description: `move pictures by up to N pixels (default ${D.shift})` },
    'no-flip': { type: 'boolean', description: 'never mirror a picture: digits, letters' },
    holdout: { type: 'string', valueHint: 'SHARE', description: `held out to choose by (default ${D.holdout})` },
    patience: { type: 'string', valueHint: 'N', description: 'stop after N epochs without a better share of those' },
    'learn-masks': {
      type: 'boolean',
      description: 'learn which ReLUs are kept, before the weights are trained for them',
    },
    budget: { type: 'string', valueHint: 'N', description: 'with it: comparisons of an inference that are left' },
    'mask-epochs': { type: 'string', valueHint: 'N', description: `with it: epochs to learn in (default ${D.epochs})` },
    'mask-rate': {
      type: 'string',
      valueHint: 'R',
      description: `with it: learning rate (default ${DEFAULT_MASKS.rate})`,
    },
    windows: {
      type: 'string',
      valueHint: 'N',
      description: 'train with the errors of comparisons that read N bits on average, as evaluate --windows N',
    },
    rounds: {
      type: 'string',
      valueHint: 'N',
      description: 'plan, train and plan again, N times, for ever fewer comparisons: DIR gets a variant per round',
    },
    ratio: { type: 'string', valueHint: 'R', description: 'with it: share of comparisons after the last: 0.06' },
    cull: { type: 'string', valueHint: 'WHAT', description: 'with it: drop whole layers or stages alone (DeepReDuce)' },
    seed: { type: 'string', valueHint: 'N', description: `of order and movements (default ${D.seed})` },
    threads: { type: 'string', valueHint: 'N', description: 'worker threads (default: one per core)' },
    force: { type: 'boolean', description: 'overwrite what is there, and start anew' },
    ...CSV_FLAG,
  },
  notes: [
    'The result depends on pictures, recipe and seed, not on the threads. Ctrl-C leaves DIR/weights.safetensors.part; the same command goes on from there to the same numbers.',
  ],
  async run(flags) {
    const { rounds, ratio, cull, ...options } = readOptions(flags)
    if (rounds !== undefined) {
      const work = (how: Work) => finetuneRounds({ ...options, ...how, rounds, ratio: ratio!, cull })
      await printed(
        flags,
        work,
        (report) => roundsText(report, options),
        (rounds) => ({ rounds }),
        roundRows,
      )
      return 0
    }
    const tuned = (how: Work) => finetuneModel({ ...options, ...how })
    await printed(flags, tuned, text, undefined, ({ history }) => history.map(epochRow))
    return 0
  },
}

function readOptions(flags: Flags) {
  const options = {
    model: flags.operand(),
    variant: flags.text('variant'),
    reluSpec: flags.text('relu-spec'),
    images: flags.required('images', 'a folder of pictures with classes, or a CIFAR or MNIST binary file'),
    limit: flags.integer('limit', 1, 1e9),
    teacher: flags.text('teacher'),
    resize: flags.resize(),
    test: flags.text('test'),
    output: flags.required('output', 'the folder that is made'),
    recipe: readRecipe(flags),
    windows: flags.number('windows', 2, 16),
    threads: flags.integer('threads', 1, 256),
    force: flags.on('force'),
    rounds: flags.integer('rounds', 1, 1000),
    ratio: flags.number('ratio', 1e-6, 1),
    cull: flags.oneOf('cull', ['layers', 'stages']),
  }
  if (options.rounds === undefined) {
    for (const name of ['ratio', 'cull'])
      if (flags.text(name) !== undefined) flags.fault(`--${name}: goes with --rounds`)
  } else {
    if (options.ratio === undefined)
      flags.fault('--ratio is missing: the share of comparisons that --rounds goes down to')
    for (const name of ['relu-spec', 'budget']) {
      if (flags.text(name) !== undefined) flags.fault(`--${name}: expected none beside --rounds, which plans by itself`)
    }
  }
  flags.check()
  return options
}

function readRecipe(flags: Flags): Partial<Recipe> {
  const oneOf = <T extends string>(name: string, names: readonly T[]): T | undefined => {
    const value = flags.text(name)
    if (value === undefined || names.includes(value as T)) return value as T | undefined
    flags.fault(`--${name}: expected ${names.join(' or ')}, got ${value}`)
    return undefined
  }
  return {
    epochs: flags.integer('epochs', 1, 1e6),
    rate: flags.number('rate', 0, 1e3),
    batch: flags.integer('batch', 1, 65536),
    shard: flags.integer('shard', 1, 4096),
    optimizer: oneOf('optimizer', ['sgd', 'adam']),
    schedule: oneOf('schedule', ['cosine', 'steps']),
    decay: flags.number('decay', 0, 1),
    smoothing: flags.number('smoothing', 0, 0.999),
    distill: flags.number('distill', 0, 1e3),
    shift: flags.integer('shift', 0, 1024),
    flip: flags.on('no-flip') ? false : undefined,
    holdout: flags.number('holdout', 0, 0.9),
    patience: flags.integer('patience', 0, 1e6),
    seed: flags.integer('seed', 0, 2 ** 32 - 1),
    masks: readMasks(flags),
  }
}

function readMasks(flags: Flags): MaskRecipe | undefined {
  const budget = flags.integer('budget', 0, 2 ** 31)
  const epochs = flags.integer('mask-epochs', 1, 1e6) ?? flags.integer('epochs', 1, 1e6) ?? D.epochs
  const rate = flags.number('mask-rate', 0, 1) ?? DEFAULT_MASKS.rate
  if (flags.on('learn-masks')) {
    if (budget === undefined) flags.fault('--budget is missing: how many comparisons --learn-masks leaves')
    return { ...DEFAULT_MASKS, budget: budget ?? 0, epochs, rate }
  }
  for (const name of ['budget', 'mask-epochs', 'mask-rate']) {
    if (flags.text(name) !== undefined) flags.fault(`--${name}: goes with --learn-masks`)
  }
  return undefined
}

/** Shares are from 0 to 1. */
const epochRow = ({ epoch, loss, accuracy, held, left }: EpochRecord) => ({ epoch, loss, accuracy, held, left })
const roundRows = (report: readonly Round[]) =>
  report.map(({ name, comparisons, before, after, reference }) => ({
    ...{ name, comparisons, before, after },
    ...{ reference: reference?.images, correct: reference?.correct, agreeing: reference?.agreeing },
  }))

function roundsText(report: readonly Round[], { output, images }: FinetuneModelOptions): string {
  const paint = painter(process.stdout)
  const width = columnsOf(process.stdout)
  const heads = ['round', 'comparisons', 'right before', 'after', 'fixed point as float']
  const columns = heads.map((head, i) => ({ head, ...(i > 0 && ({ align: 'right' } as const)) }))
  const rows = report.map(({ name, comparisons, before, after, reference }) => {
    const same = reference === null ? '' : `${reference.agreeing}/${reference.images}`
    return [name, comparisons === null ? '' : count(comparisons), percent(before), percent(after), same]
  })
  return [
    wrapped(`${paint('bold', report[0].network)}: ${report[0].evaluated ?? 'nothing was held out'}`, width),
    ...tableLines(columns, rows, paint, width),
    `  ${paint('green', '→')} ${output}`,
    nextCommand(
      `evaluate ${quoted(output)} --all --images ${quoted(images)} --html front.html`,
      'the front as a page',
      paint,
    ),
    '',
  ].join('\n')
}

const percent = (share: number | null): string => (share === null ? '' : `${(100 * share).toFixed(2)} %`)

function text(report: FinetunedModel): string {
  const paint = painter(process.stdout)
  const width = columnsOf(process.stdout)
  const { network, variant, images, trained, heldOut, history, epoch, output, evaluated, reference } = report
  const right = { align: 'right' } as const
  const learned = history.some(({ left }) => left !== undefined)
  const heads = ['epoch', 'loss', 'right in training', 'of those held out', ...(learned ? ['ReLUs left'] : [])]
  const columns = heads.map((head) => ({ head, ...right }))
  const rows = history.map((record) => [
    ...[`${record.epoch}${record.epoch === epoch ? ' ←' : ''}`, record.loss.toFixed(4)],
    ...[percent(record.accuracy), percent(record.held)],
    ...(learned ? [record.left === undefined ? '' : count(Math.round(record.left))] : []),
  ])
  const about = `trained on ${count(trained)} of ${images}, ${count(heldOut)} held out`
  const figures =
    evaluated === null
      ? ['nothing was held out: how often it is right is not known']
      : [
          `${count(report.comparisons!)} comparisons; ${evaluated}: ${percent(report.before)} right before, ${percent(report.after)} after`,
          `in fixed point, as privately: ${reference!.correct} of ${reference!.images} right, ${reference!.agreeing} as in float`,
        ]
  return [
    wrapped(`${paint('bold', network)}, from ${variant}: ${about}`, width),
    ...tableLines(columns, rows, paint, width),
    ...figures.map((line) => wrapped(line, width, '  ')),
    `  ${paint('green', '→')} ${output}`,
    modelNext(output, paint),
    '',
  ].join('\n')
}
