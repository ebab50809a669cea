// `npm run bench -- search`: a front of Seesaw networks on CIFAR-10 as published, a search for each share of the dearest
// network's cost. Narrow: the published networks begin with 32 channels. Ctrl-C, and the same command goes on where it was.
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command, Flags } from '../../src/cli/terminal/arguments.js'
import { interruptible } from '../../src/cli/terminal/interrupt.js'
import { stagesOn } from '../../src/cli/terminal/printed.js'
import { ProgressBar } from '../../src/cli/terminal/progress-bar.js'
import { evaluateModel, type VariantRow } from '../../src/files/evaluate-model.js'
import { type SearchModelOptions, searchModel } from '../../src/files/training/search-model.js'
import { REPOSITORY } from '../../test/fixtures/vectors.js'
import { cifar10Test, cifar10Train } from '../accuracy/cifar10.js'
import { megabytes, table } from '../report.js'

/** Whose answers are distilled. */
const TEACHER = fileURLToPath(new URL('models/resnet20-cifar10', REPOSITORY))
const FOLDER = fileURLToPath(new URL('node_modules/.cache/ringfence/search/', REPOSITORY))

/** What the front is of; a folder is named after all of it. */
export interface SearchScale {
  /** Channels of the stem. */
  readonly width: number
  readonly blocks: readonly number[]
  /** Training pictures; all without it. */
  readonly limit?: number
  readonly epochs: number
  readonly retrainEpochs: number
  /** Branches that a sample layer keeps. */
  readonly kept: number
  readonly costs: NonNullable<SearchModelOptions['costs']>
}

/** Two hours a point at most on two idle cores. */
const WHOLE: SearchScale = {
  ...{ width: 4, blocks: [2, 2, 2, 2], epochs: 8, retrainEpochs: 12, kept: 3, costs: 'seesaw' },
}
const QUICK: Partial<SearchScale> = { blocks: [1, 1], limit: 640, epochs: 1, retrainEpochs: 1 }
const PORTIONS = [1, 0.6, 0.3, 0.15]

export const SEARCH = {
  name: 'search',
  summary: 'A front of narrow Seesaw networks on CIFAR-10, resumed where it was.',
  flags: {
    quick: { type: 'boolean', description: 'a rough look' },
    width: { type: 'string', valueHint: 'N', description: `channels of the stem (default ${WHOLE.width})` },
    pictures: { type: 'string', valueHint: 'N', description: 'only N of the 50,000, evenly spread' },
    epochs: { type: 'string', valueHint: 'N', description: `of each search (default ${WHOLE.epochs})` },
    'retrain-epochs': {
      type: 'string',
      valueHint: 'N',
      description: `of what was found (default ${WHOLE.retrainEpochs})`,
    },
  },
} as const satisfies Pick<Command, 'name' | 'summary' | 'flags'>

/** A point of the front: what was wanted, what was found, and what it is and costs. */
export interface SearchRow extends Pick<VariantRow, 'drelus' | 'flights' | 'onlineBytes' | 'onlineSeconds'> {
  readonly portion: number
  /** Cost that was found by the dearest, in the unit of the search. */
  readonly found: number
  /** How many ReLUs behind sample layers stayed, of how many. */
  readonly left: number
  readonly of: number
  /** Shares of right answers: float, and the integer reference of private runs on its first pictures. */
  readonly float: number
  readonly reference: number
  readonly hours: number
}

/** What is trained on and judged by, and where results are kept. */
export interface SearchRun extends Pick<SearchModelOptions, 'threads' | 'signal' | 'onProgress'> {
  readonly train: string
  readonly test: string
  readonly folder: string
  readonly scale: SearchScale
  readonly portions: readonly number[]
  /** Test pictures; all without it. */
  readonly judged?: number
}

/** A search per portion; what is done already stays. */
export async function searchFront(run: SearchRun): Promise<SearchRow[]> {
  const { train, test, folder, scale, portions, judged, ...how } = run
  await mkdir(folder, { recursive: true })
  const { width, blocks, limit, epochs, retrainEpochs, kept, costs } = scale
  const model = join(folder, 'arch.json')
  await writeFile(model, `${JSON.stringify(supernet(width, blocks), null, 1)}\n`)
  const shared = { batch: 64, shard: 16, rate: 0.03 }
  const rows: SearchRow[] = []
  for (const portion of portions) {
    const output = join(folder, String(portion))
    const found = await once(`${output}.search.json`, async () => {
      const started = performance.now()
      const { cost, reference, layers } = await searchModel({
        ...{ ...how, model, images: train, limit, output, costs, kept, teacher: TEACHER },
        ...{
          chances: { portion, rate: 0.03 },
          recipe: { ...shared, epochs },
          retrain: { ...shared, epochs: retrainEpochs },
        },
      })
      const hours = (performance.now() - started) / 3.6e6
      const left = layers.filter(({ kept }) => kept).length
      return { portion, found: (portion * cost.total) / reference, left, of: layers.length, hours }
    })
    const judgement = await once(`${output}.evaluation.json`, async () => {
      const { rows } = await evaluateModel({
        ...{ ...how, model: output, images: test, limit: judged, referenceInputs: 100 },
        state: `${output}.evaluation.json`,
      })
      const [{ drelus, flights, onlineBytes, onlineSeconds, float, reference }] = rows
      const shares = { float: float.correct! / float.images, reference: reference.correct! / reference.images }
      return { drelus, flights, onlineBytes, onlineSeconds, ...shares }
    })
    rows.push({ ...found, ...judgement })
  }
  return rows
}

/** What the file has, made if there is none. */
async function once<T>(path: string, make: () => Promise<T>): Promise<T> {
  if (!existsSync(path)) await writeFile(path, `${JSON.stringify(await make(), null, 1)}\n`)
  return JSON.parse(await readFile(path, 'utf8')) as T
}

/** As cifarsupermodel16 with the ten operators of the published code's shorter list. */
function supernet(width: number, blockConfig: readonly number[]) {
  const preprocess = { scale: 1 / 255, mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.2435, 0.2616] }
  return {
    ...{ format: 'arch/1', name: `seesaw-${width}`, family: 'seesaw', labels: LABELS },
    params: { dataset: 'cifar', width, blockConfig, ops: 10, numClasses: LABELS.length },
    inputs: [{ name: 'x', shape: [3, 32, 32], preprocess }],
  }
}

const LABELS = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck']

export async function benchSearch(flags: Flags): Promise<void> {
  const quick = flags.on('quick')
  const given = {
    width: flags.integer('width', 4, 256),
    limit: flags.integer('pictures', 64, 50_000),
    epochs: flags.integer('epochs', 1, 1000),
    retrainEpochs: flags.integer('retrain-epochs', 1, 1000),
  }
  flags.check()
  const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  const scale: SearchScale = { ...WHOLE, ...(quick && QUICK), ...set }
  const { width, blocks, limit = 'all', epochs, retrainEpochs } = scale
  const folder = join(FOLDER, [width, blocks.join(''), limit, epochs, retrainEpochs].join('-'))
  const bar = new ProgressBar()
  const rows = await interruptible(async (signal) =>
    searchFront({
      ...{ train: await cifar10Train(), test: await cifar10Test(), folder, scale, portions: PORTIONS },
      ...{ signal, onProgress: stagesOn(bar), ...(quick && { judged: 200 }) },
    }),
  )
  bar.clear()
  const percent = (share: number) => `${(100 * share).toFixed(2)} %`
  const cells = rows.map((row) => [
    ...[String(row.portion), row.found.toFixed(2), `${row.left} of ${row.of}`, `${row.drelus}`, `${row.flights}`],
    ...[megabytes(row.onlineBytes), `${row.onlineSeconds.toFixed(2)} s`, percent(row.float), percent(row.reference)],
    row.hours.toFixed(2),
  ])
  const heads = [
    'portion',
    'found',
    'ReLUs kept',
    'comparisons',
    'flights',
    'on line',
    'wan60',
    'float',
    'fixed',
    'hours',
  ]
  process.stdout.write(flags.on('json') ? `${JSON.stringify(rows)}\n` : `${table(heads, cells)}\n`)
}
