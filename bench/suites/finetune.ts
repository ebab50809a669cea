// `npm run bench -- finetune`: the packaged ResNet-20 for 25, 12 and 6 % of its comparisons, each trained from the one before,
// on CIFAR-10 as published, for as many epochs as its mark takes. Ctrl-C, and the same command goes on where it was, to the same
// weights.
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { interruptible } from '../../src/cli/terminal/interrupt.js'
import { stagesOn } from '../../src/cli/terminal/printed.js'
import { ProgressBar } from '../../src/cli/terminal/progress-bar.js'
import { type FinetunedModel, finetuneModel } from '../../src/files/training/finetune-model.js'
import type { Recipe } from '../../src/train/recipe.js'
import { REPOSITORY } from '../../test/fixtures/vectors.js'
import { cifar10Test, cifar10Train } from '../accuracy/cifar10.js'
import { table } from '../report.js'

const MODEL = fileURLToPath(new URL('models/resnet20-cifar10', REPOSITORY))
const FOLDER = fileURLToPath(new URL('node_modules/.cache/ringfence/finetune/', REPOSITORY))

/** A budget, what its committed weights reach after JPEG, what is to be reached here, and in how many epochs. */
const BUDGETS = [
  { name: '25', committed: 0.863, target: 0.86, epochs: 2 },
  { name: '12', committed: 0.8478, target: 0.845, epochs: 1 },
  { name: '06', committed: 0.8219, target: 0.815, epochs: 2 },
] as const

/** What is trained on and judged by, and where results are kept. */
export interface FinetuneRun {
  readonly train: string
  readonly test: string
  readonly folder: string
  readonly recipe: Partial<Recipe>
  readonly limit?: number
  readonly signal?: AbortSignal
  readonly onProgress?: Parameters<typeof finetuneModel>[0]['onProgress']
}

export interface FinetuneRow extends Pick<FinetunedModel, 'comparisons' | 'before' | 'after'> {
  readonly budget: string
  readonly committed: number
  readonly target: number
  readonly hours: number
}

/** Each budget from the weights of the one before it, the first from the plain ones; what is done already stays. */
export async function finetuneChain({ train, test, folder, recipe, ...how }: FinetuneRun): Promise<FinetuneRow[]> {
  await mkdir(folder, { recursive: true })
  const rows: FinetuneRow[] = []
  let from: string | undefined
  for (const { name, committed, target, epochs } of BUDGETS) {
    const output = join(folder, name)
    const report = join(folder, `${name}.json`)
    if (!existsSync(report)) {
      const started = performance.now()
      const start = from === undefined ? { model: MODEL, variant: 'plain' } : { model: from, teacher: MODEL }
      const reluSpec = join(MODEL, `relu-spec-${name}.json`)
      const { comparisons, before, after } = await finetuneModel({
        ...{ ...start, ...how, reluSpec, images: train, test, output, recipe: { epochs, ...recipe } },
      })
      const hours = (performance.now() - started) / 3.6e6
      const row: FinetuneRow = { budget: name, comparisons, before, after, committed, target, hours }
      await writeFile(report, `${JSON.stringify(row, null, 1)}\n`)
    }
    rows.push(JSON.parse(await readFile(report, 'utf8')) as FinetuneRow)
    from = output
  }
  return rows
}

/** @param quick a few hundred pictures: that the chain works, no figure */
export async function benchFinetune({ json, quick }: { json: boolean; quick: boolean }): Promise<void> {
  const bar = new ProgressBar()
  const recipe = { ...(quick && { epochs: 1 }), seed: 1 }
  const folder = join(FOLDER, quick ? 'quick' : 'whole')
  const rows = await interruptible(async (signal) => {
    const [train, test] = [await cifar10Train(), await cifar10Test()]
    return finetuneChain({
      train,
      test,
      folder,
      recipe,
      signal,
      onProgress: stagesOn(bar),
      ...(quick && { limit: 640 }),
    })
  })
  bar.clear()
  const percent = (share: number | null) => (share === null ? '-' : `${(100 * share).toFixed(2)} %`)
  const cells = rows.map(({ budget, comparisons, before, after, target, committed, hours }) => [
    ...[`${Number(budget)} %`, `${comparisons}`, percent(before), percent(after), percent(target), percent(committed)],
    hours.toFixed(1),
  ])
  const heads = ['budget', 'comparisons', 'before', 'after', 'target', 'committed, JPEG', 'hours']
  process.stdout.write(json ? `${JSON.stringify(rows)}\n` : table(heads, cells))
}
