// `npm run bench -- accuracy`: the shipped ResNet-20 and its fine-tuned variants on the 10,000 test images of CIFAR-10
// against the accuracies their README states, how often comparisons of fewer bits say what plain float does, and the
// distortion table of ResNet-8 measured again.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { stagesOn } from '../../src/cli/terminal/printed.js'
import { ProgressBar } from '../../src/cli/terminal/progress-bar.js'
import { calibrateModel } from '../../src/files/calibrate-model.js'
import { type EvaluateModelOptions, evaluateModel } from '../../src/files/evaluate-model.js'
import { REPOSITORY } from '../../test/fixtures/vectors.js'
import { cifar10AsJpeg, cifar10Test, RECORD } from '../accuracy/cifar10.js'
import { checkDistortion, type DistortionCheck } from '../accuracy/published-distortion.js'
import { table } from '../report.js'

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
  /** What is scaled to fill the opened bits, and how many of them comparisons read on average. */
  per: 'layer' | 'channel'
  bits: number
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
/** By bits that comparisons read; the targets are of windows per layer. */
const TARGETS = { 8: 0.99, 7: 0.97 } as const
const PROJECT = fileURLToPath(REPOSITORY)

export async function benchAccuracy({ json = false, quick = false } = {}): Promise<void> {
  const say = (text: string) => json || process.stdout.write(`${text}\n\n`)
  const [published, jpeg] = [await cifar10Test(), await cifar10AsJpeg()]
  const table = await checkDistortion(jpeg)
  say(distortionText(table))
  const accuracies = await variants(published, jpeg, quick ? 500 : 10_000)
  say(accuracyText(accuracies))
  const agreements = await windows(published, quick)
  say(agreementText(agreements))
  if (json) process.stdout.write(`${JSON.stringify({ accuracies, agreements, distortion: table ?? null })}\n`)
}

async function variants(published: string, jpeg: string, limit: number): Promise<AccuracyRow[]> {
  const order = { all: true, windows: ['exact'] as const, referenceInputs: 1, limit }
  const lossless = await run({ ...order, images: published })
  const recoded = await run({ ...order, images: jpeg })
  const rows = recoded.map(({ variant, drelus, float: { correct, images } }, i) => {
    const [stated, jpeg, published] = [STATED[variant], correct! / images, lossless[i].float.correct! / images]
    return { variant, drelus, images, stated, jpeg, published, met: Math.abs(jpeg - stated) <= WITHIN }
  })
  return rows.sort((a, b) => b.drelus - a.drelus)
}

/** Calibrated on 500 images, judged on 1,000 others. */
async function windows(images: string, quick: boolean): Promise<AgreementRow[]> {
  const folder = await mkdtemp(join(tmpdir(), 'accuracy-'))
  const rows: AgreementRow[] = []
  try {
    const records = await readFile(images)
    const sample = join(folder, 'sample.bin')
    const judged = join(folder, 'judged.bin')
    await writeFile(sample, every(records, quick ? 200 : 20, 5))
    await writeFile(judged, every(records, quick ? 500 : 10, 0))
    for (const per of ['layer', 'channel'] as const) {
      for (const bits of [8, 7] as const) rows.push(await agreement(folder, sample, judged, per, bits))
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  return rows
}

async function agreement(
  folder: string,
  sample: string,
  judged: string,
  per: 'layer' | 'channel',
  bits: 8 | 7,
): Promise<AgreementRow> {
  const model = join(folder, 'model')
  await cp(join(PROJECT, 'models/resnet20-cifar10'), model, { recursive: true })
  const files = { model, images: sample, output: join(model, 'calibration.json'), force: true }
  await calibrateModel({ ...files, variant: 'plain', per, margin: 0.5, target: { meanBits: bits } })
  const [{ reference }] = await run({ model, variant: 'plain', images: judged, windows: ['calibrated'] })
  const { images, correct, agreeing } = reference
  const [target, share] = [TARGETS[bits], agreeing / images]
  return { per, bits, images, correct: correct! / images, agreeing: share, target, met: share >= target }
}

function every(records: Uint8Array, step: number, first: number): Uint8Array {
  const count = records.length / RECORD / step
  const chosen = new Uint8Array(count * RECORD)
  for (let i = 0; i < count; i++) {
    const at = (i * step + first) * RECORD
    chosen.set(records.subarray(at, at + RECORD), i * RECORD)
  }
  return chosen
}

async function run(options: Partial<EvaluateModelOptions> & { images: string }) {
  const bar = new ProgressBar()
  const state = `${options.images}.evaluation.json`
  try {
    const model = { model: 'resnet20-cifar10', windows: ['exact'] as const, state, force: true }
    return (await evaluateModel({ ...model, ...options, onProgress: stagesOn(bar) })).rows
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
  return `${title}; stated and measured are after JPEG (bench/accuracy/jpeg.ts)\n${table(head, body)}`
}

function agreementText(rows: readonly AgreementRow[]): string {
  const head = ['bits read', 'scaled per', 'images', 'reference right', 'as plain float', 'target', '']
  const body = rows.map(({ per, bits, images, correct, agreeing, target, met }) => {
    return [
      `${bits}`,
      per,
      images.toLocaleString('en'),
      percent(correct),
      percent(agreeing),
      `≥ ${target * 100} %`,
      verdict(met),
    ]
  })
  return `The plain variant as the integer reference of a private run, calibrated on 500 other images\n${table(head, body)}`
}

function distortionText(check: DistortionCheck | undefined): string {
  const title = 'The published distortion table of ResNet-8'
  if (!check) return `${title}: SKIPPED, its weights are not beside this checkout`
  const { values, within, most, typical, target } = check
  const figures = `median relative deviation ${typical.toExponential(1)}, largest ${most.toExponential(1)}`
  return `${title}: ${within} of ${values} values within ${target}; ${figures}`
}
