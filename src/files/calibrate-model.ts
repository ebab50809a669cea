// Calibrates a model's folder on a set of pictures, and writes its calibration.
import type { Calibration } from '../plan/calibrate.js'
import {
  type CalibrationOptions,
  calibrateNetwork,
  type NetworkCalibration,
} from '../tune/calibration/calibrate-network.js'
import { formatRangesPart, parseRangesPart, rangesKey } from '../tune/calibration/part.js'
import type { LayerWindow } from '../tune/calibration/windows.js'
import { type ImageSet, readImageSet } from './image-set.js'
import { type MeasuringOptions, poolOf, resumably } from './measuring.js'
import { loadModelDirectory } from './model-directory.js'
import { findModel } from './prepared-model.js'
import { requireWritable, writeJson } from './whole-files.js'

/** Which model on which pictures, and as `calibrateNetwork`. */
export interface CalibrateModelOptions
  extends MeasuringOptions,
    Pick<CalibrationOptions, 'target' | 'per' | 'probes' | 'checked' | 'ring' | 'bits' | 'margin'> {
  /** A model's folder, or the name of a packaged model. */
  readonly model: string
  readonly variant?: string
  /** As `readImageSet` reads; classes are not needed. */
  readonly images: string
  /** At most this many pictures, evenly spread. */
  readonly limit?: number
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
  const images = await readImageSet(options.images, model.arch, { limit: options.limit, labelled: false })
  const key = rangesKey(model, images.inputs, options)
  const calibrated = await resumably(
    output,
    options,
    (left, part) =>
      calibrateNetwork(model, images.inputs, {
        ...{ ...options, ...poolOf(options), source: images.source },
        resume: left === undefined ? undefined : parseRangesPart(left, model, key, part.path),
        onProgress: ({ measured, ...progress }) => {
          onProgress?.(progress)
          if (measured) part.keep(() => formatRangesPart(measured, key))
        },
      }),
    ({ calibration }) => writeJson(output, calibration, force),
  )
  const warnings = warningsOf(calibrated, model.calibration, images)
  const names = { network: model.arch.name, variant: model.variant, images: images.source, output }
  return { ...calibrated, ...names, warnings }
}

/** Fewer pictures than this leave the tails of most ranges unseen. */
const FEW = 100

function warningsOf(
  { layers, plain }: NetworkCalibration,
  before: Calibration | undefined,
  { inputs }: ImageSet,
): string[] {
  const warnings: string[] = []
  if (inputs.length < FEW) warnings.push(`${inputs.length} pictures are few: others may reach further than these`)
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
