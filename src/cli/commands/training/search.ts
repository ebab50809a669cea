// `ringfence search`: which ReLUs a network needs, found while it is trained.
import { type SearchedModel, type SearchModelOptions, searchModel } from '../../../files/training/search-model.js'
import { networkProfiles } from '../../../net/index.js'
import { DEFAULT_RECIPE } from '../../../train/recipe.js'
import { DEFAULT_CHANCES } from '../../../train/search/recipe.js'
import { type Command, CSV_FLAG, type Flags } from '../../terminal/arguments.js'
import { modelNext } from '../../terminal/model-next.js'
import { printed } from '../../terminal/printed.js'
import { columnsOf, count, duration, painter, tableLines, wrapped } from '../../terminal/terminal.js'

const UNITS = [...Object.keys(networkProfiles), 'seesaw'] as (keyof typeof networkProfiles | 'seesaw')[]

export const search: Command = {
  name: 'search',
  summary: 'Search which ReLUs a network keeps for a share of its cost, while it is trained from nothing (Seesaw).',
  operands: 'ARCHITECTURE',
  flags: {
    images: { type: 'string', valueHint: 'PATH', description: 'pictures with classes' },
    limit: { type: 'string', valueHint: 'N', description: 'only N of them, evenly spread' },
    output: { type: 'string', alias: 'o', valueHint: 'DIR', description: 'also -o: the folder that is made' },
    portion: {
      type: 'string',
      valueHint: 'R',
      description: `wanted cost, as a share of that with all ReLUs (default ${DEFAULT_CHANCES.portion})`,
    },
    costs: {
      type: 'string',
      valueHint: 'NAME',
      description: `seconds predicted on ${UNITS.slice(0, -1).join(', ')} (default wan60), or seesaw: the published constants`,
    },
    kept: { type: 'string', valueHint: 'N', description: 'branches that a sample layer of a Seesaw network keeps' },
    'prune-rounds': {
      type: 'string',
      valueHint: 'N',
      description: 'with it: leave them out in so many rounds, training after each (default 1)',
    },
    teacher: {
      type: 'string',
      valueHint: 'MODEL',
      description: 'distil the answers of this model for the same pictures and classes into weights',
    },
    epochs: {
      type: 'string',
      valueHint: 'N',
      description: `of the search, each over half of the pictures (default ${DEFAULT_RECIPE.epochs})`,
    },
    'retrain-epochs': {
      type: 'string',
      valueHint: 'N',
      description: `of what was found, in each round (default ${DEFAULT_RECIPE.epochs})`,
    },
    rate: {
      type: 'string',
      valueHint: 'R',
      description: `highest learning rate of weights (default ${DEFAULT_RECIPE.rate})`,
    },
    'chance-rate': {
      type: 'string',
      valueHint: 'R',
      description: `learning rate of chances (default ${DEFAULT_CHANCES.rate})`,
    },
    weight: {
      type: 'string',
      valueHint: 'L',
      description: `of the cost in the loss (default ${DEFAULT_CHANCES.total})`,
    },
    batch: { type: 'string', valueHint: 'N', description: `pictures of a step (default ${DEFAULT_RECIPE.batch})` },
    shift: {
      type: 'string',
      valueHint: 'N',
      description: `move pictures by up to N pixels (default ${DEFAULT_RECIPE.shift})`,
    },
    'no-flip': { type: 'boolean', description: 'never mirror a picture: digits, letters' },
    seed: {
      type: 'string',
      valueHint: 'N',
      description: `of weights, order and sampled paths (default ${DEFAULT_RECIPE.seed})`,
    },
    threads: { type: 'string', valueHint: 'N', description: 'worker threads (default: one per core)' },
    force: { type: 'boolean', description: 'overwrite what is there' },
    ...CSV_FLAG,
  },
  notes: [
    'The result depends on pictures, numbers and seed, not on the threads. Ctrl-C leaves part files in DIR; the same command goes on from there to the same numbers. Of sums without a norm one input is chosen, too (ProxylessNAS).',
  ],
  async run(flags) {
    const options = readOptions(flags)
    await printed(flags, (how) => searchModel({ ...options, ...how }), text, undefined, rowsOf)
    return 0
  },
}

function readOptions(flags: Flags): SearchModelOptions {
  const chances = {
    portion: flags.number('portion', 1e-6, 1) ?? DEFAULT_CHANCES.portion,
    rate: flags.number('chance-rate', 0, 10) ?? DEFAULT_CHANCES.rate,
    total: flags.number('weight', 0, 1e6) ?? DEFAULT_CHANCES.total,
  }
  const shared = {
    batch: flags.integer('batch', 1, 65536),
    shift: flags.integer('shift', 0, 1024),
    rate: flags.number('rate', 0, 1e3),
    flip: flags.on('no-flip') ? false : undefined,
    seed: flags.integer('seed', 0, 2 ** 32 - 1),
  }
  const options = {
    model: flags.operand(),
    images: flags.required('images', 'a folder of pictures with classes, or a CIFAR or MNIST binary file'),
    limit: flags.integer('limit', 4, 1e9),
    output: flags.required('output', 'the folder that is made'),
    costs: flags.oneOf('costs', UNITS),
    kept: flags.integer('kept', 1, 27),
    pruneRounds: flags.integer('prune-rounds', 1, 27),
    teacher: flags.text('teacher'),
    chances,
    recipe: { ...shared, epochs: flags.integer('epochs', 1, 1e6) },
    retrain: { ...shared, epochs: flags.integer('retrain-epochs', 1, 1e6) },
    threads: flags.integer('threads', 1, 256),
    force: flags.on('force'),
  }
  flags.check()
  return options
}

/** A row per choice. */
const rowsOf = ({ layers, paths }: SearchedModel) => [
  ...layers.map(({ id, relus, chance, kept }) => ({ layer: id, relus, chance, taken: kept ? 'relu' : 'identity' })),
  ...paths.map(({ id, taken, chance }) => ({ layer: id, relus: null, chance, taken })),
]

function text(report: SearchedModel): string {
  const paint = painter(process.stdout)
  const width = columnsOf(process.stdout)
  const { network, images, layers, paths, cost, reference, rounds, output } = report
  const right = { align: 'right' } as const
  const columns = [
    { head: 'layer', shrinks: 'middle' } as const,
    ...['ReLUs', 'chance', 'kept'].map((head) => ({ head, ...right })),
  ]
  const rows = [
    ...layers.map(({ id, relus, chance, kept }) => [id, count(relus), chance.toFixed(3), kept ? 'yes' : 'no']),
    ...paths.map(({ id, taken, chance }) => [id, '', chance.toFixed(3), taken]),
  ]
  const price = (value: number) =>
    report.unit === 'seconds' ? duration(1000 * value) : `${value.toPrecision(4)} of the published unit`
  const shares = rounds.map((held) => (held === null ? 'nothing was held out' : `${(100 * held).toFixed(2)} %`))
  const answers = `of those held out are right after ${rounds.length > 1 ? 'each round' : 'training'}: ${shares.join(', ')}`
  return [
    wrapped(`${paint('bold', network)} on ${images}`, width),
    ...tableLines(columns, rows, paint, width),
    wrapped(`an inference takes ${price(cost.total)}, wanted ${price(reference)}; ${answers}`, width, '  '),
    `  ${paint('green', '→')} ${output}`,
    modelNext(output, paint),
    '',
  ].join('\n')
}
