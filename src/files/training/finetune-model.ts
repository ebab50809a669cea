// Trains a model's folder for a ReLU spec, and writes a folder that can be served: weights, spec, calibration.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { RingfenceError } from '../../errors.js'
import type { Resize } from '../../model/pictures/resize.js'
import { parseReluSpec } from '../../model/relu/spec.js'
import { reluSpecFile } from '../../model/relu/spec-file.js'
import { writeSafetensors } from '../../model/safetensors.js'
import { namedTensors } from '../../model/weights.js'
import type { Calibration } from '../../plan/calibrate.js'
import { type Finetuned, finetune, firstState, type ShardNetwork, type TrainedNetwork } from '../../train/finetune.js'
import { splitOf } from '../../train/pictures.js'
import { type Recipe, recipeOf } from '../../train/recipe.js'
import { formatTrainingState, parseTrainingState, type TrainingState } from '../../train/state.js'
import { calibrateNetwork } from '../../tune/calibration/calibrate-network.js'
import { evaluate } from '../../tune/evaluation/evaluate.js'
import { evaluateNetwork } from '../../tune/evaluation/evaluate-network.js'
import { measurementKey } from '../../tune/part.js'
import { type ImageSet, readImageSet } from '../image-set.js'
import { type MeasuringOptions, poolOf, resumably } from '../measuring.js'
import { architectureOf, loadModelDirectory, type ModelDirectory, reluSpecOf } from '../model-directory.js'
import { findModel } from '../prepared-model.js'
import { existing, readWhole, requireWritable, writeWhole } from '../whole-files.js'

/** Which model, for which spec, on which pictures. */
export interface FinetuneModelOptions extends MeasuringOptions {
  /** A model's folder, or the name of a packaged model. */
  readonly model: string
  /** Whose weights training starts from. */
  readonly variant?: string
  /** Whose answers are distilled, with plain ReLUs where a variant has them; without it the model itself. */
  readonly teacher?: string
  /** A `relu-spec/1` file; the variant's own without it. */
  readonly reluSpec?: string
  /** As `readImageSet` reads, with classes. */
  readonly images: string
  /** At most this many of them, evenly spread. */
  readonly limit?: number
  /** Makes pictures of another size fit; without it they are refused. */
  readonly resize?: Resize
  /** Pictures to evaluate on afterwards, once; those held out without it. */
  readonly test?: string
  /** The folder that is made. */
  readonly output: string
  readonly recipe?: Partial<Recipe>
  /** Trains with the errors of comparisons that read so many bits on average, and calibrates for as many. */
  readonly windows?: number
  /** How many pictures the calibration is measured on (default 512), and the integer reference runs (default 100). */
  readonly calibrationPictures?: number
  readonly referencePictures?: number
}

/** What came out; shares are from 0 to 1. */
export interface FinetunedModel extends Omit<Finetuned, 'weights' | 'spec' | 'split'> {
  readonly network: string
  readonly variant: string
  /** The pictures, in words. */
  readonly images: string
  /** How many pictures were trained on, and held out. */
  readonly trained: number
  readonly heldOut: number
  readonly output: string
  /** What was evaluated on, in words; this and all below are null without pictures for it. */
  readonly evaluated: string | null
  /** Of one inference. */
  readonly comparisons: number | null
  /** Share that is right under the spec, before training and after it. */
  readonly before: number | null
  readonly after: number | null
  /** Of the integer reference of private runs, and how often it says what float says. */
  readonly reference: { readonly images: number; readonly correct: number; readonly agreeing: number } | null
}

/** Which calls on the way need pictures: this many of them. */
const CALIBRATED = 512
const REFERENCE = 100

/**
 * Fine-tunes, calibrates, evaluates, and writes `output`/{arch.json, weights.safetensors, relu-spec.json,
 * calibration.json}.
 * @throws RingfenceError BAD_INPUT for an output that is there, a model or a set of pictures that is not, or as
 *   `finetune`; BAD_FILE for files that cannot be read; ABORTED by `signal`, when `output`/weights.safetensors.part has
 *   the run's state and the same call goes on from there to the same numbers
 */
export async function finetuneModel(options: FinetuneModelOptions): Promise<FinetunedModel> {
  const { output, force = false, onProgress } = options
  const recipe = recipeOf(options.recipe)
  const weightsPath = join(output, 'weights.safetensors')
  await requireFolder(output, force)
  onProgress?.({ stage: 'reading', done: 0 })
  const start = await readStart(options)
  const { images, teacher } = start
  const network = { ...start.network, windows: await windowsOf(start, recipe, options) }
  const pictures = { inputs: images.inputs, labels: images.labels! }
  const key = keyOf(start, recipe, network.windows)
  const tuning = { ...poolOf(options), recipe, teacher, onProgress }
  let report: FinetunedModel
  await resumably(
    weightsPath,
    options,
    async (left, part) => {
      const like = firstState(network, recipe)
      const resume = left === undefined ? undefined : parseTrainingState(left, like, key, part.path)
      const onState = (state: TrainingState) => part.keep(() => formatTrainingState(state, key))
      const tuned = await finetune(network, pictures, { ...tuning, resume, onState })
      const measured = await measure(start, tuned, network.windows, options)
      report = { ...reportOf(start, tuned, options), ...measured.figures }
      return filesOf(start, tuned, measured.calibration, output)
    },
    (files) => writeWhole(files, force),
  )
  return report!
}

/** What a run begins with. */
interface Start {
  readonly model: ModelDirectory
  readonly network: TrainedNetwork
  readonly images: ImageSet
  readonly test: ImageSet | undefined
  /** The plain network, whose answers are distilled. */
  readonly teacher: ShardNetwork
  readonly archFile: Uint8Array
  readonly specFile: Uint8Array | undefined
}

async function readStart({
  model: name,
  variant,
  reluSpec,
  images,
  limit,
  resize,
  test,
  teacher,
}: FinetuneModelOptions): Promise<Start> {
  const folder = findModel(name)
  const model = await loadModelDirectory(folder, variant)
  const own = await reluSpecOf(folder, variant)
  const specPath = reluSpec ?? (own && join(folder, own))
  const specFile = specPath === undefined ? undefined : await readWhole(specPath)
  const spec = specFile && parseReluSpec(new TextDecoder().decode(specFile), model.arch, specPath)
  return {
    ...{ model, network: { arch: model.arch, weights: model.weights, spec }, specFile },
    images: await readImageSet(images, model.arch, { limit, resize, labelled: true }),
    test: test === undefined ? undefined : await readImageSet(test, model.arch, { resize, labelled: true }),
    teacher: await namedTeacher(teacher, folder, model),
    archFile: await readWhole(join(folder, await architectureOf(folder))),
  }
}

/** @throws RingfenceError BAD_INPUT for a teacher of another network */
async function namedTeacher(name: string | undefined, folder: string, model: ModelDirectory): Promise<ShardNetwork> {
  if (name === undefined) return teacherOf(folder, model)
  const other = findModel(name)
  const teacher = await loadModelDirectory(other)
  const shapes = ({ arch }: ModelDirectory) => JSON.stringify(arch.layers)
  if (shapes(teacher) === shapes(model)) return teacherOf(other, teacher)
  throw new RingfenceError(
    'BAD_INPUT',
    `teacher ${name}: expected a model of the layers of ${model.arch.name}, got others`,
  )
}

/** The folder's first variant of plain ReLUs; without one the model's own weights with plain ReLUs. */
async function teacherOf(folder: string, model: ModelDirectory): Promise<ShardNetwork> {
  if (!model.spec) return { weights: model.weights, spec: undefined }
  for (const name of model.variants) {
    if (await reluSpecOf(folder, name)) continue
    return { weights: (await loadModelDirectory(folder, name)).weights, spec: undefined }
  }
  return { weights: model.weights, spec: undefined }
}

/** What the comparisons of the weights that training starts from are calibrated to read, in the values' units. */
async function windowsOf(
  { network, images }: Start,
  recipe: Recipe,
  { windows, calibrationPictures = CALIBRATED, ...options }: FinetuneModelOptions,
): Promise<TrainedNetwork['windows']> {
  if (windows === undefined) return undefined
  const { train } = splitOf(images.labels!, recipe)
  const { inputs } = some(images, train, calibrationPictures)
  const work = { ...poolOf(options), onProgress: options.onProgress }
  const { layers } = await calibrateNetwork(network, inputs, { ...work, target: { meanBits: windows } })
  return new Map(layers.filter(({ lo }) => lo > 0).map(({ id, lo, scale }) => [id, 2 ** (lo - scale)]))
}

/** Of everything that the trained weights depend on. */
function keyOf(
  { network: { arch, weights, spec }, teacher, images }: Start,
  recipe: Recipe,
  windows: TrainedNetwork['windows'],
): string {
  const layers = [...(spec?.layers ?? [])].map(([id, relu]) => [id, 'bits' in relu ? [...relu.bits] : relu])
  const teaching = measurementKey(arch, teacher.weights, [], [])
  const name = JSON.stringify([arch.name, layers, recipe, teaching, images.labels, ...(windows ? [[...windows]] : [])])
  return measurementKey({ ...arch, name }, weights, images.inputs, [])
}

/** Calibrates on pictures that were trained on, and evaluates on those that were not. */
async function measure(
  { network, images, test }: Start,
  { weights, spec, split }: Finetuned,
  windows: TrainedNetwork['windows'],
  options: FinetuneModelOptions,
) {
  const work = { ...poolOf(options), onProgress: options.onProgress }
  const after = { ...network, weights, spec }
  const seen = some(images, split.train, options.calibrationPictures ?? CALIBRATED)
  const source = `${seen.inputs.length} of ${images.source}`
  // Those that were trained with: others would err where nothing was learned.
  const target = windows && { widths: windows }
  const { calibration } = await calibrateNetwork(after, seen.inputs, { ...work, source, target })
  const judged = test ?? some(images, split.held)
  if (judged.inputs.length === 0) return { calibration, figures: NOTHING_MEASURED }
  const referenceInputs = Math.min(options.referencePictures ?? REFERENCE, judged.inputs.length)
  const evaluating = { ...work, labels: judged.labels }
  const [row] = await evaluateNetwork({ ...after, calibration }, judged.inputs, { ...evaluating, referenceInputs })
  const before = { ...network, spec }
  const { float } = await evaluate(before, judged.inputs, { ...poolOf(options), labels: judged.labels })
  const { images: count, correct, agreeing } = row.reference
  const figures: Figures = {
    ...{ evaluated: judged.source, comparisons: row.drelus, before: float.correct! / float.images },
    ...{ after: row.float.correct! / row.float.images, reference: { images: count, correct: correct!, agreeing } },
  }
  return { calibration, figures }
}

type Figures = Pick<FinetunedModel, 'evaluated' | 'comparisons' | 'before' | 'after' | 'reference'>
const NOTHING_MEASURED: Figures = { evaluated: null, comparisons: null, before: null, after: null, reference: null }

/** At most `count` of the pictures of these numbers, evenly spread. */
function some(
  { inputs, labels, names, source }: ImageSet,
  numbers: readonly number[],
  count = numbers.length,
): ImageSet {
  const size = Math.min(count, numbers.length)
  const chosen = Array.from({ length: size }, (_, i) => numbers[Math.floor((i * numbers.length) / size)])
  return {
    source: `${size} held out of ${source}`,
    inputs: chosen.map((i) => inputs[i]),
    labels: labels && chosen.map((i) => labels[i]),
    names: chosen.map((i) => names[i]),
  }
}

function reportOf({ model, images }: Start, tuned: Finetuned, { output }: FinetuneModelOptions) {
  const { weights: _, spec: __, split, ...rest } = tuned
  const names = { network: model.arch.name, variant: model.variant, images: images.source, output }
  return { ...rest, ...names, trained: split.train.length, heldOut: split.held.length }
}

function filesOf(
  { network: { arch }, archFile, specFile }: Start,
  { weights, spec, recipe }: Finetuned,
  calibration: Calibration,
  output: string,
) {
  const json = (value: unknown) => new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`)
  const relus = recipe.masks && spec ? json(reluSpecFile(arch, spec.layers)) : specFile
  return [
    { path: join(output, 'arch.json'), bytes: archFile },
    { path: join(output, 'weights.safetensors'), bytes: writeSafetensors(namedTensors(arch, weights)) },
    { path: join(output, 'calibration.json'), bytes: json(calibration) },
    ...(relus ? [{ path: join(output, 'relu-spec.json'), bytes: relus }] : []),
  ]
}

/** A folder of its own: beside a model.json the new files would not be read. */
async function requireFolder(output: string, force: boolean): Promise<void> {
  if (existing(output)?.isDirectory() === false) {
    throw new RingfenceError('BAD_INPUT', `${output}: expected a folder, found a file`)
  }
  if (existsSync(join(output, 'model.json'))) {
    const why = 'its model.json would be read instead of the new files'
    throw new RingfenceError('BAD_INPUT', `${output}: ${why}; name another folder as output`)
  }
  const files = ['arch.json', 'weights.safetensors', 'relu-spec.json', 'calibration.json']
  await requireWritable(
    files.map((name) => join(output, name)),
    force,
  )
}
