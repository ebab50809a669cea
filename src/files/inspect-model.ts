// Inspects a network by its files: an architecture or a model's folder, with choices, a ReLU spec and weights to check.
import { resolve } from 'node:path'
import { detectFormat } from '../convert/detect.js'
import { convertReluSpec } from '../convert/pickle/relu-spec.js'
import { fitWeights } from '../convert/weights/fit.js'
import { readWeights } from '../convert/weights/read.js'
import { RingfenceError } from '../errors.js'
import { type Architecture, parseArchitecture } from '../model/architecture.js'
import type { Choices } from '../model/choices.js'
import { parseReluSpec, type ReluSpec } from '../model/relu/spec.js'
import type { Backend } from '../plan/plan.js'
import { type Inspection, inspectNetwork } from '../tune/inspection/inspect-network.js'
import type { OnStage } from '../tune/progress.js'
import { isModel, type JsonFile, readArchitectureFile, readChoices } from './architecture-file.js'
import { Faults } from './faults.js'
import { loadModelDirectory } from './model-directory.js'
import { findModel } from './prepared-model.js'
import { readWhole } from './whole-files.js'

/** Which network, by its files. */
export interface InspectModelOptions {
  /** An architecture's file, a model's folder, or the name of a packaged model. */
  readonly name: string
  /** Of a model. */
  readonly variant?: string
  /** The file of its choices. */
  readonly choices?: string
  /** A `relu-spec/1` file, or a pickle, instead of the model's own. */
  readonly reluSpec?: string
  /** A file of weights that must fit; branches that it lacks are zeros. */
  readonly weights?: string
  /** Default `mcc`. */
  readonly backend?: Backend
  readonly signal?: AbortSignal
  readonly onProgress?: OnStage
}

/** The counts, and of what. */
export interface InspectedModel {
  readonly arch: Architecture
  readonly inspection: Inspection
}

/**
 * Reads a network's files and counts it, as `inspectNetwork`.
 * @throws RingfenceError BAD_FILE or BAD_INPUT with what is wrong in any of the files; ABORTED by `signal`
 */
export async function inspectModel(options: InspectModelOptions): Promise<InspectedModel> {
  const { name, choices: choicesFile, weights, reluSpec, variant, backend } = options
  if (variant !== undefined && !isModel(name)) {
    throw new RingfenceError('BAD_INPUT', `variant ${variant}: expected a model, got ${name}, which is a file`)
  }
  const isWhole = isModel(name) && weights === undefined && choicesFile === undefined
  const faults = new Faults(`inspecting ${name}`)
  const model = isWhole ? await loadModelDirectory(resolve(findModel(name)), variant) : undefined
  const file = model ? undefined : await faults.guard(() => readArchitectureFile(name))
  const choices = choicesFile === undefined ? undefined : await faults.guard(() => readChoices(choicesFile))
  const skipped = choicesFile !== undefined && choices === undefined
  const parsed =
    file && !skipped ? await faults.guard(async () => parseArchitecture(file.json, file.path, choices)) : undefined
  const fitted = weights === undefined ? undefined : await faults.guard(() => fitFile(weights, file, choices, options))
  const arch = fitted?.arch ?? model?.arch ?? parsed
  const spec =
    reluSpec !== undefined && arch ? await faults.guard(() => readSpec(reluSpec, arch)) : (model?.spec ?? undefined)
  faults.throwIfAny()
  // Of the model's own ReLU spec; the windows of another are of other ranges.
  const calibration = reluSpec === undefined ? model?.calibration : undefined
  const inspection = inspectNetwork(arch!, { spec, backend, calibration })
  return { arch: arch!, inspection: { ...inspection, notes: [...(fitted?.notes ?? []), ...inspection.notes] } }
}

/** Weights larger than this take a second or so to read. */
const SLOW_BYTES = 2 ** 26

/** Undefined when there is no network to fit the weights to; they have been read all the same. */
async function fitFile(
  path: string,
  file: JsonFile | undefined,
  choices: Choices | undefined,
  { signal, onProgress }: InspectModelOptions,
): Promise<{ readonly arch: Architecture; readonly notes: readonly string[] } | undefined> {
  const show = (done: number) => {
    if (signal?.aborted) throw new RingfenceError('ABORTED', 'the inspection was aborted by the caller')
    onProgress?.({ stage: 'reading weights', done })
  }
  const bytes = await readWhole(path, show, SLOW_BYTES)
  const tensors = readWeights(bytes, path)
  if (!file) return undefined
  const fitted = fitWeights(file.json, tensors, { archSource: file.path, source: path, choices })
  return { arch: fitted.arch, notes: [`${path}: every tensor is there`, ...fitted.notes] }
}

async function readSpec(path: string, arch: Architecture): Promise<ReluSpec> {
  const bytes = await readWhole(path)
  if (detectFormat(bytes) === 'pickle') return convertReluSpec(bytes, arch, { source: path }).spec
  return parseReluSpec(new TextDecoder().decode(bytes), arch, path)
}
