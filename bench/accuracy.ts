// `npm run bench -- accuracy`: the shipped ResNet-20 and its fine-tuned variants on the 10,000 test images of CIFAR-10
// against the accuracies their README states, how often comparisons of fewer bits say what plain float does, and the
// distortion table of ResNet-8 measured again.
import { availableParallelism } from 'node:os'
import { type EvaluateOrder, evaluateModel, type WindowChoice, windowName } from '../src/cli/evaluation.js'
import { ProgressBar } from '../src/cli/progress-bar.js'
import { cifar10AsJpeg, cifar10Test } from './cifar10.js'
import { checkDistortion, type DistortionCheck } from './published-distortion.js'
import { table } from './report.js'

export interface AccuracyRow {
  variant: string
  drelus: number
  images: number
  /** Shares, in plain float: as its README states of 10,000, on images that went through JPEG, and as published. */
  stated: number
  jpeg: number
  published: number
  met: boolean
}

export interface AgreementRow {
  windows: WindowChoice
  images: number
  /** Shares of the images: the integer reference is right, and says what float does. */
  correct: number
  agreeing: number
  target: number
  met: boolean
}

/** models/resnet20-cifar10/README.md, on images that went through JPEG. */
const STATED: Readonly<Record<string, number>> = { plain: 0.8685, '25': 0.863, '12': 0.8478, '06': 0.8219 }
const WITHIN = 0.003
const TARGETS: readonly (readonly [WindowChoice, number])[] = [
  ['exact', 1],
  [8, 0.99],
  [7, 0.97],
]
/** Every tenth. */
const AGREEMENT_IMAGES = 1000

export async function benchAccuracy({ json = false, quick = false } = {}): Promise<void> {
  const [published, jpeg] = [await cifar10Test(), await cifar10AsJpeg()]
  const limit = quick ? 500 : 10_000
  const accuracies = await variants(published, jpeg, limit)
  const agreements = await windows(published, quick ? 20 : AGREEMENT_IMAGES)
  const table = await checkDistortion(jpeg)
  const parts = [accuracyText(accuracies), agreementText(agreements), distortionText(table)]
  process.stdout.write(
    json ? `${JSON.stringify({ accuracies, agreements, distortion: table ?? null })}\n` : `${parts.join('\n\n')}\n`,
  )
}

async function variants(published: string, jpeg: string, limit: number): Promise<AccuracyRow[]> {
  const order = { all: true, windows: ['exact'] as const, reference: 1, limit }
  const lossless = await run({ ...order, images: published })
  const recoded = await run({ ...order, images: jpeg })
  const rows = recoded.map(({ variant, drelus, float: { correct, images } }, i) => {
    const [stated, jpeg, published] = [STATED[variant], correct! / images, lossless[i].float.correct! / images]
    return { variant, drelus, images, stated, jpeg, published, met: Math.abs(jpeg - stated) <= WITHIN }
  })
  return rows.sort((a, b) => b.drelus - a.drelus)
}

async function windows(images: string, limit: number): Promise<AgreementRow[]> {
  const rows = await run({ variant: 'plain', images, limit, windows: TARGETS.map(([choice]) => choice) })
  return rows.map(({ windows, reference: { correct, agreeing, images } }, i) => {
    const target = TARGETS[i][1]
    return {
      ...{ windows, images, correct: correct! / images, agreeing: agreeing / images, target },
      met: agreeing >= target * images,
    }
  })
}

async function run(order: Partial<EvaluateOrder> & { images: string }) {
  const bar = new ProgressBar()
  const rest: Omit<EvaluateOrder, 'images'> = {
    ...{ model: 'resnet20-cifar10', variant: undefined, all: false, limit: undefined, unlabelled: false },
    ...{ windows: ['exact'], reference: undefined, sample: 0, compile: {}, network: 'wan60' },
    ...{ threads: availableParallelism(), state: `${order.images}.evaluation.json`, force: true },
  }
  try {
    return (await evaluateModel({ ...rest, ...order }, new AbortController().signal, bar)).rows
  } finally {
    bar.clear()
  }
}

const percent = (share: number): string => `${(share * 100).toFixed(2)} %`
const verdict = (met: boolean): string => (met ? 'met' : 'not met')

function accuracyText(rows: readonly AccuracyRow[]): string {
  const head = ['variant', 'comparisons', 'stated', 'measured', 'difference', 'within 0.3 points', 'published images']
  const body = rows.map(({ variant, drelus, stated, jpeg, met, published }) => {
    const points = (jpeg - stated) * 100
    const difference = `${points < 0 ? '−' : '+'}${Math.abs(points).toFixed(2)}`
    return [
      variant,
      drelus.toLocaleString('en'),
      percent(stated),
      percent(jpeg),
      difference,
      verdict(met),
      percent(published),
    ]
  })
  const title = `ResNet-20 in plain float on ${rows[0].images.toLocaleString('en')} images`
  return `${title}; stated and measured are after JPEG (bench/jpeg.ts)\n${table(head, body)}`
}

function agreementText(rows: readonly AgreementRow[]): string {
  const head = ['comparisons of', 'images', 'reference right', 'as plain float', 'target', '']
  const body = rows.map(({ windows, images, correct, agreeing, target, met }) => {
    return [
      windowName(windows),
      images.toLocaleString('en'),
      percent(correct),
      percent(agreeing),
      `≥ ${target * 100} %`,
      verdict(met),
    ]
  })
  return `The plain variant as the integer reference of a private run, on published images\n${table(head, body)}`
}

function distortionText(check: DistortionCheck | undefined): string {
  const title = 'The published distortion table of ResNet-8'
  if (!check) return `${title}: SKIPPED, its weights are not beside this checkout`
  const { values, within, most, typical, target } = check
  const figures = `median relative deviation ${typical.toExponential(1)}, largest ${most.toExponential(1)}`
  return `${title}: ${within} of ${values} values within ${target}; ${figures}`
}
