// The leakage audit on a model's folder and a set of pictures.
import { type Audit, type AuditOptions, auditNetwork } from '../../audit/audit.js'
import { readImageSet } from '../image-set.js'
import { loadModelDirectory } from '../model-directory.js'
import { calibrationOf, findModel } from '../prepared-model.js'

/** Which model on which pictures, and as `auditNetwork`. */
export interface AuditModelOptions extends Omit<AuditOptions, 'party'> {
  /** A model's folder, or the name of a packaged model. */
  readonly model: string
  readonly variant?: string
  /** As `readImageSet` reads; classes are not looked at. */
  readonly images: string
  /** Pictures beside those attacked, of whose inferences regression learns: default 200, or as many as there are. */
  readonly recorded?: number
}

/** The audit, and what it was of. */
export interface AuditedModel extends Audit {
  readonly network: string
  readonly variant: string
  /** The pictures, in words. */
  readonly images: string
  /** CHW. */
  readonly shape: readonly number[]
}

/**
 * Attacks private inferences of a model, all parties in this process; never on pictures that are anybody's secret.
 * @throws RingfenceError BAD_INPUT for a model or a set of pictures that is not there, or too few pictures; BAD_FILE for
 *   files that cannot be read, or a variant that was never calibrated; as `auditNetwork`
 */
export async function auditModel(options: AuditModelOptions): Promise<AuditedModel> {
  const { model: name, variant, images: path, pictures = 50, recorded = 200, onProgress } = options
  onProgress?.({ stage: 'reading', done: 0 })
  const model = await loadModelDirectory(findModel(name), variant)
  const { arch } = model
  const images = await readImageSet(path, arch, { limit: pictures + recorded, labelled: false })
  const audit = await auditNetwork({ ...model, calibration: calibrationOf(model) }, images.inputs, options)
  return { ...audit, network: arch.name, variant: model.variant, images: images.source, shape: arch.inputs[0].shape }
}
