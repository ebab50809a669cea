// From what a user names to a compiled network: a folder of theirs, or a model that comes with the package.
import { existsSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { RingfenceError } from '../errors.js'
import type { Calibration } from '../plan/calibrate.js'
import { type Compiled, type CompileOptions, compile } from '../plan/compile/compile.js'
import { loadModelDirectory, type ModelDirectory } from './model-directory.js'
import { existing } from './whole-files.js'

/** The package's models: beside dist/ in a package, two levels up in the sources. */
function modelsFolder(): string {
  const here = dirname(fileURLToPath(import.meta.url))
  const candidates = ['../models', '../../models'].map((path) => join(here, path))
  return candidates.find((path) => existsSync(path)) ?? candidates[0]
}

/** Names of the models that come with the package. */
export function packagedModels(): string[] {
  const folder = modelsFolder()
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, 'model.json')))
    .sort()
}

/**
 * @param name a model that comes with the package, or the path of a model's folder
 * @throws RingfenceError BAD_INPUT when it is neither; BAD_FILE where the system does not tell
 */
export function findModel(name: string): string {
  if (packagedModels().includes(name)) return join(modelsFolder(), name)
  if (existing(name)?.isDirectory()) return name
  const known = packagedModels().join(', ')
  throw new RingfenceError(
    'BAD_INPUT',
    `there is no model ${name}: expected the folder of a model, or one that comes with ringfence (${known})`,
  )
}

/** A model as it was read, and the network it was compiled to. */
export interface PreparedModel {
  readonly model: ModelDirectory
  readonly compiled: Compiled
}

/**
 * @throws RingfenceError as `loadModelDirectory` and `compile` do; BAD_FILE for a model whose ranges were never measured
 */
export async function prepareModel(
  folder: string,
  variant: string | undefined,
  options: CompileOptions = {},
): Promise<PreparedModel> {
  const model = await loadModelDirectory(folder, variant)
  const { arch, weights, spec } = model
  return { model, compiled: compile(arch, weights, calibrationOf(model), spec, options) }
}

/** @throws RingfenceError BAD_FILE for a model whose ranges were never measured, with how to do that */
export function calibrationOf({ name, variant, calibration }: ModelDirectory): Calibration {
  if (calibration) return calibration
  const what = `${name}, variant ${variant}, has no calibration.json`
  const how = 'ringfence calibrate, or calibrateModel() of ringfence/node, measures its ranges and writes one'
  throw new RingfenceError('BAD_FILE', `${what}; ${how}`)
}

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
