// A model as it was before any of its ReLUs were shared.
import { RingfenceError } from '../errors.js'
import { loadModelDirectory, type ModelDirectory } from './model-directory.js'
import { findModel } from './prepared-model.js'

/**
 * The variant without a ReLU spec: distortions are measured against plain ReLUs.
 * @param name a model's folder, or one that comes with the package
 * @throws RingfenceError BAD_INPUT for a variant that has a spec, or a model without a plain variant
 */
export async function loadPlainModel(name: string, variant: string | undefined): Promise<ModelDirectory> {
  const folder = findModel(name)
  const first = await loadModelDirectory(folder, variant)
  if (first.spec === undefined) return first
  if (variant === undefined) {
    for (const other of first.variants.slice(1)) {
      const model = await loadModelDirectory(folder, other)
      if (model.spec === undefined) return model
    }
  }
  const which = variant === undefined ? `every variant of ${name}` : `variant ${variant} of ${name}`
  throw new RingfenceError(
    'BAD_INPUT',
    `${which} has a ReLU spec; expected weights of plain ReLUs, against which changes are measured`,
  )
}
