// Calibrates a model's folder on a set of pictures, and writes its calibration.
import type { NetworkInput } from '../model/architecture.js'
import type { Resize } from '../model/pictures/resize.js'
import { INPUT_RANGE } from '../plan/calibrate.js'
import { compile } from '../plan/compile/compile.js'
import { coarseNotes } from '../plan/compile/rounding.js'
import {
  AGREEMENT,
  type CalibrationOptions,
  calibrateNetwork,
  type NetworkCalibration,
} from '../tune/calibration/calibrate-network.js'
import { formatRangesPart, parseRangesPart, rangesKey } from '../tune/calibration/part.js'
import type { Ranges } from '../tune/calibration/ranges.js'
import type { LayerWindow } from '../tune/calibration/windows.js'
import { type ImageSet, readImageSet } from './image-set.js'
import { type MeasuringOptions, poolOf, queueOf, resumably, type Shared } from './measuring.js'
import { inputNotesOf, loadModelDirectory, type ModelDirectory } from './model-directory.js'
import { findModel } from './prepared-model.js'
import { requireWritable, writeJson } from './whole-files.js'

/** Which model on which pictures, and as `calibrateNetwork`. */
export interface CalibrateModelOptions
  extends MeasuringOptions,
    Shared,
    Pick<CalibrationOptions, 'target' | 'per' | 'probes' | 'checked' | 'ring' | 'bits' | 'margin'> {
  /** A model's folder, or the name of a packaged model. */
  readonly model: string
  readonly variant?: string
  /** As `readImageSet` reads; classes are not needed. */
  readonly images: string
  /** At most this many pictures, evenly spread. */
  readonly limit?: number
  /** Makes pictures of another size fit; without it they are refused. */
  readonly resize?: Resize
  /** Default `calibration.json`. */
  readonly output?: string
}

/** What was measured and chosen, and what to look out for. */
export interface ModelCalibration extends NetworkCalibration {
  readonly network: string
  readonly variant: string
  /** The pictures, in words. */
  readonly images: string
  readonly output: string
  /** What pictures are to the network, a sentence for each input that takes some. */
  readonly inputNotes: readonly string[]
  /** In sentences. */
  readonly warnings: readonly string[]
}

/**
 * Measures a model for `mcc` on pictures, chooses its scales and windows, and writes a `calibration/1` file.
 * @throws RingfenceError BAD_INPUT for an output that is there, a model or a set of pictures that is not, or as
 *   `calibrateNetwork`; BAD_FILE for files that cannot be read; ABORTED by `signal`, when `output`.part has what was
 *   measured and the same call goes on from there
 */
export async function calibrateModel(options: CalibrateModelOptions): Promise<ModelCalibration> {
  const { output = 'calibration.json', force = false, onProgress } = options
  await requireWritable([output], force)
  onProgress?.({ stage: 'reading', done: 0 })
  const model = await loadModelDirectory(findModel(options.model), options.variant)
  const images = await readImageSet(options.images, model.arch, {
    limit: options.limit,
    resize: options.resize,
    labelled: false,
  })
  const key = rangesKey(model, images.inputs, options)
  const queue = await queueOf(options, key)
  const calibrated = await resumably(
    output,
    options,
    (left, part) =>
      calibrateNetwork(model, images.inputs, {
        ...{ ...options, ...poolOf(options, queue), source: images.source },
        resume: left === undefined ? undefined : parseRangesPart(left, model, key, part.path),
        onProgress: ({ measured, ...progress }) => {
          onProgress?.(progress)
          if (measured) part.keep(() => formatRangesPart(measured, key))
        },
      }),
    ({ calibration }) => writeJson(output, calibration, force),
  ).finally(() => queue?.close())
  const { coarse } = compile(model.arch, model.weights, calibrated.calibration, model.spec, { ring: options.ring })
  const warnings = [...coarseNotes(coarse), ...warningsOf(calibrated, model, images)]
  const names = { network: model.arch.name, variant: model.variant, images: images.source, output }
  return { ...calibrated, ...names, inputNotes: inputNotesOf(model), warnings }
}

/** How many times as far the furthest picture reaches as all the others. */
const reach = ({ maxAbs, nextAbs }: Ranges, id: string): number => (nextAbs[id] > 0 ? maxAbs[id] / nextAbs[id] : 1)

/** The largest absolute value that a level from 0 to 255 becomes. */
function largestLevel({ preprocess: { scale, mean, std } }: NetworkInput): number | undefined {
  const ends = mean.flatMap((m, c) => [0, 255].map((level) => Math.abs((level * scale - m) / std[c])))
  return ends.length > 0 ? Math.max(...ends) : undefined
}

/** Fewer pictures than this leave the tails of most ranges unseen. */
const FEW = 100

/** From so many pictures on it says something that one of them reaches further than all the others. */
const SOME = 10
/** So many times as far is unusual. */
const ALONE = 1.5
/** Pictures that reach a smaller share of what pictures can are dark, or flat. */
const DARK = 0.75

function warningsOf(
  { layers, plain, agreement }: NetworkCalibration,
  { arch, calibration: before }: Pick<ModelDirectory, 'arch' | 'calibration'>,
  { inputs }: ImageSet,
): string[] {
  const warnings: string[] = []
  if (inputs.length < FEW) warnings.push(`${inputs.length} pictures are few: others may reach further than these`)
  if (agreement && agreement.agreeing < AGREEMENT * agreement.pictures) {
    warnings.push(
      'no windows and factors agree with float more often; more opened bits (--bits) may, or a wider margin',
    )
  }
  const alone = inputs.length < SOME ? [] : Object.keys(plain.maxAbs).filter((id) => reach(plain, id) > ALONE)
  if (alone.length > 0) {
    const furthest = alone.reduce((a, b) => (reach(plain, a) > reach(plain, b) ? a : b))
    const times = `${reach(plain, furthest).toFixed(1)} times as far as all others`
    const others = alone.length > 1 ? ` and ${alone.length - 1} more` : ''
    warnings.push(`${furthest}${others}: one picture alone reaches ${times}; look at it, or add pictures like it`)
  }
  const most = largestLevel(arch.inputs[0])
  if (most !== undefined && plain.maxAbs[INPUT_RANGE] < DARK * most) {
    const [seen, full] = [plain.maxAbs[INPUT_RANGE], most].map((value) => Number(value.toPrecision(3)))
    warnings.push(
      `dark or flat pictures: their values reach ${seen} of ${full}, and brighter ones may leave every range`,
    )
  }
  for (const { id, margin } of layers) {
    if (margin < 1)
      warnings.push(`${id}: ${margin.toFixed(2)} bits of margin; a value that leaves it makes a wrong answer`)
  }
  if (!before || before.channels) return warnings
  const further = ({ id }: LayerWindow) => plain.maxAbs[id] > before.maxAbs[id]
  for (const { id } of layers.filter(further)) {
    const known = before.maxAbs[id]
    warnings.push(`${id}: ${plain.maxAbs[id].toFixed(3)} is more than the ${known} the model was calibrated for`)
  }
  return warnings
}
