// Evaluates a model's folder on a set of pictures: its variants, each under every choice of windows.
import { RingfenceError } from '../errors.js'
import type { Resize } from '../model/pictures/resize.js'
import { networkProfiles } from '../net/index.js'
import {
  type EvaluationRow,
  evaluateNetwork,
  type NetworkEvaluationOptions,
} from '../tune/evaluation/evaluate-network.js'
import { formatEvaluationPart, parseEvaluationPart, type VariantLogits } from '../tune/evaluation/part.js'
import { measurementKey } from '../tune/part.js'
import { type ImageSet, readImageSet } from './image-set.js'
import { type MeasuringOptions, poolOf, resumably } from './measuring.js'
import { inputNotesOf, loadModelDirectory, type ModelDirectory } from './model-directory.js'
import { calibrationOf, findModel } from './prepared-model.js'

/** Which model on which pictures, and as `evaluateNetwork`. */
export interface EvaluateModelOptions
  extends MeasuringOptions,
    Pick<NetworkEvaluationOptions, 'windows' | 'compile' | 'referenceInputs' | 'sample'> {
  /** A model's folder, or the name of a packaged model. */
  readonly model: string
  readonly variant?: string
  /** Every variant of the model. */
  readonly all?: boolean
  /** As `readImageSet` reads. */
  readonly images: string
  /** At most this many pictures, evenly spread. */
  readonly limit?: number
  /** Makes pictures of another size fit; without it they are refused. */
  readonly resize?: Resize
  /** Whether the pictures must have classes; without them only agreement is measured. Default true. */
  readonly labelled?: boolean
  /** Of predicted seconds; default `wan60`. */
  readonly network?: keyof typeof networkProfiles
  /** What the state of an interrupted run is named after; default `evaluation.json`. */
  readonly state?: string
}

/** A variant under one choice of windows. */
export interface VariantRow extends EvaluationRow {
  readonly variant: string
}

/** All rows, and what they are of. */
export interface ModelEvaluation {
  readonly network: string
  /** The pictures, in words. */
  readonly images: string
  readonly labelled: boolean
  /** What pictures are to the network, a sentence for each input that takes some. */
  readonly inputNotes: readonly string[]
  /** The name of the network of predicted seconds. */
  readonly profile: string
  readonly rows: readonly VariantRow[]
}

/**
 * How often a model is right on pictures, in plain float, in fixed point and privately, and what that costs.
 * @throws RingfenceError BAD_INPUT for a model or a set of pictures that is not there, or as `evaluateNetwork`; BAD_FILE
 *   for files that cannot be read, or a variant that was never calibrated; ABORTED by `signal`, when `state`.part has what
 *   was done and the same call goes on from there
 */
export async function evaluateModel(options: EvaluateModelOptions): Promise<ModelEvaluation> {
  const { variant, all = false, labelled = true, network = 'wan60', state = 'evaluation.json', onProgress } = options
  onProgress?.({ stage: 'reading', done: 0 })
  const folder = findModel(options.model)
  const first = await loadModelDirectory(folder, variant)
  const images = await readImageSet(options.images, first.arch, {
    limit: options.limit,
    resize: options.resize,
    labelled,
  })
  const variants = all ? first.variants : [first.variant]
  const rows = await resumably(state, options, async (left, part) => {
    const known = left === undefined ? new Map<string, VariantLogits>() : parseEvaluationPart(left, part.path)
    const rows: VariantRow[] = []
    for (const name of variants) {
      const model = name === first.variant ? first : await loadModelDirectory(folder, name)
      const own = knownOf(known, model, images, options, part.path)
      const evaluated = await evaluateNetwork({ ...model, calibration: calibrationOf(model) }, images.inputs, {
        ...{ ...options, ...poolOf(options), labels: images.labels, profile: networkProfiles[network], known: own },
        onProgress: (progress) => {
          onProgress?.({ ...progress, stage: `${name}, ${progress.stage}` })
          part.keep(() => formatEvaluationPart(known))
        },
      })
      rows.push(...evaluated.map((row) => ({ variant: name, ...row })))
    }
    return rows
  })
  const about = { network: first.arch.name, images: images.source, labelled: images.labels !== undefined }
  return { ...about, inputNotes: inputNotesOf(first), profile: network, rows }
}

/** The outputs of a variant that an earlier run left; a place for them where it left none. */
function knownOf(
  all: Map<string, VariantLogits>,
  { arch, weights, spec, calibration, variant }: ModelDirectory,
  { inputs }: ImageSet,
  options: EvaluateModelOptions,
  path: string,
): VariantLogits['known'] {
  const name = JSON.stringify([arch.name, spec && [...spec.layers], calibration, options.compile ?? {}])
  const key = measurementKey({ ...arch, name }, weights, inputs, [])
  const own = all.get(variant) ?? { key, known: new Map() }
  if (own.key !== key) {
    const text = `${path} was left by another evaluation; go on with that, or start anew with --force`
    throw new RingfenceError('BAD_INPUT', text)
  }
  all.set(variant, own)
  return own.known
}
