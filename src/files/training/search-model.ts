// Searches a supernet, trains what was found, and writes a folder that can be served.
import { join } from 'node:path'
import { RingfenceError } from '../../errors.js'
import { type Architecture, parseArchitecture } from '../../model/architecture.js'
import type { Choices } from '../../model/choices.js'
import { depthOf } from '../../model/families/seesaw/models.js'
import { readSeesawParams } from '../../model/families/seesaw/params.js'
import { Fields, isObject, type Json } from '../../model/json/fields.js'
import { reluSpecFile } from '../../model/relu/spec-file.js'
import { writeSafetensors } from '../../model/safetensors.js'
import { elementCount } from '../../model/shape.js'
import { namedTensors } from '../../model/weights.js'
import { networkProfiles } from '../../net/index.js'
import { finetune } from '../../train/finetune.js'
import type { Recipe } from '../../train/recipe.js'
import type { SearchCosts } from '../../train/search/objective.js'
import { type ChanceRecipe, type Found, searchNetwork } from '../../train/search/search.js'
import { countedCosts, freshWeights, inherited, keptBranches, predictedCosts } from '../../train/search/supernet.js'
import { calibrateNetwork } from '../../tune/calibration/calibrate-network.js'
import { readArchitectureFile } from '../architecture-file.js'
import { readImageSet } from '../image-set.js'
import { type MeasuringOptions, poolOf } from '../measuring.js'
import { requireWritable, writeWhole } from '../whole-files.js'

/** Which supernet, for what cost, on which pictures. */
export interface SearchModelOptions extends MeasuringOptions {
  /** An `arch/1` file with `choice` layers between identity and ReLU, as the family seesaw has, or without: all its ReLUs. */
  readonly model: string
  /** As `readImageSet` reads, with classes. */
  readonly images: string
  readonly limit?: number
  /** The folder that is made. */
  readonly output: string
  /** By what costs are told: predicted seconds on this network, or Seesaw's constants. Default `wan60`. */
  readonly costs?: keyof typeof networkProfiles | 'seesaw'
  readonly chances?: Partial<ChanceRecipe>
  /** Branches that every sample layer of a Seesaw network keeps; all without it. */
  readonly kept?: number
  /** Of the supernet's weights, and of those of what was found. */
  readonly recipe?: Partial<Recipe>
  readonly retrain?: Partial<Recipe>
}

/** What was found and trained; shares are from 0 to 1. */
export interface SearchedModel extends Pick<Found, 'cost' | 'reference' | 'history'> {
  readonly network: string
  readonly images: string
  readonly output: string
  readonly layers: readonly {
    readonly id: string
    readonly relus: number
    readonly chance: number
    readonly kept: boolean
  }[]
  /** Share of held-out pictures that is right after training anew; null without any. */
  readonly held: number | null
}

/** Pictures that the calibration is measured on. */
const CALIBRATED = 256

/**
 * Searches, takes the likeliest options, trains on, calibrates, and writes `output`/{arch.json, weights.safetensors,
 * calibration.json}, and relu-spec.json for a network without choices.
 * @throws RingfenceError BAD_INPUT for an output that is there, or as `searchNetwork` and `finetune`; BAD_FILE for files
 *   that cannot be read; ABORTED by `signal`: a search is not resumed
 */
export async function searchModel(options: SearchModelOptions): Promise<SearchedModel> {
  const { output, force = false, onProgress, recipe, costs: unit = 'wan60' } = options
  const files = ['arch.json', 'weights.safetensors', 'relu-spec.json', 'calibration.json'].map((f) => join(output, f))
  await requireWritable(files, force)
  const file = await readArchitectureFile(options.model)
  const { expect: _, choices: __, ...json } = file.json
  const open = opened(json, file.path)
  const { arch } = open
  const images = await readImageSet(options.images, arch, { limit: options.limit, labelled: true })
  const pictures = { inputs: images.inputs, labels: images.labels! }
  const work = { ...poolOf(options), onProgress }
  const fresh = { arch, weights: freshWeights(arch, recipe?.seed ?? 1) }
  const found = await searchNetwork(fresh, costsOf(arch, unit), pictures, { ...work, recipe, chances: options.chances })
  const made = madeOf(json, open, found, options.kept)
  const network = { arch: parseArchitecture(made.json, file.path, made.choices), spec: made.spec(found) }
  const start = { ...network, weights: inherited(network.arch, found.weights) }
  const trained = await finetune(start, pictures, { ...work, recipe: { ...options.retrain, distill: 0 } })
  const after = { ...start, weights: trained.weights }
  const seen = trained.split.train.slice(0, CALIBRATED).map((i) => images.inputs[i])
  const { calibration } = await calibrateNetwork(after, seen, { ...work, source: images.source })
  const text = (value: unknown) => new TextEncoder().encode(`${JSON.stringify(value, null, 1)}\n`)
  const tensors = writeSafetensors(namedTensors(network.arch, trained.weights))
  const contents = [
    { path: files[0], bytes: text({ ...made.json, ...(made.choices && { choices: made.choices }) }) },
    { path: files[1], bytes: tensors },
    { path: files[3], bytes: text(calibration) },
    ...(network.spec ? [{ path: files[2], bytes: text(reluSpecFile(network.arch, network.spec.layers)) }] : []),
  ]
  await writeWhole(contents, force)
  const layers = [...found.options].map(([id, option]) => {
    const [, chance] = found.chances.get(id)!
    return { id, relus: elementCount(arch.byId.get(id)!.out), chance, kept: option === 1 }
  })
  const { cost, reference, history } = found
  const held = trained.held
  return { network: arch.name, images: images.source, output, layers, cost, reference, history, held }
}

function costsOf(arch: Architecture, unit: NonNullable<SearchModelOptions['costs']>): SearchCosts {
  return unit === 'seesaw' ? countedCosts(arch) : predictedCosts(arch, { profile: networkProfiles[unit] })
}

/** A network with the ReLU of every choice taken. */
interface Opened {
  readonly arch: Architecture
  /** The key of every choice, and the options that are identity and ReLU; nothing where there are no choices. */
  readonly keys: readonly {
    readonly key: string
    readonly layer: string
    readonly options: readonly [number, number]
  }[]
}

function opened(json: Json, path: string): Opened {
  // A short file expands only with all its choices made; an explicit one may leave them open.
  const first = seesawChoices(json)
  const arch = parseArchitecture(first ? json : { ...json, choices: {} }, path, first)
  const keys = arch.layers.flatMap((layer) => {
    if (layer.op !== 'choice') return []
    const option = (op: string) => layer.of.findIndex((one) => one.op === op)
    const options = [option('identity'), option('relu')] as const
    if (options.includes(-1) || layer.of.length !== 2) {
      throw new RingfenceError('BAD_INPUT', `${path}: layer ${layer.id}: expected a choice of identity and relu`)
    }
    return [{ key: layer.key, layer: layer.id, options }]
  })
  if (keys.length === 0) return { arch, keys }
  const relus = Object.fromEntries(keys.map(({ key, options }) => [key, options[1]]))
  return { arch: parseArchitecture(json, path, relus), keys }
}

function seesawChoices(json: Json): Choices | undefined {
  if (json.family !== 'seesaw' || !isObject(json.params)) return undefined
  const params = readSeesawParams(new Fields(json.params, 'params', []), undefined)
  return Object.fromEntries(Array.from({ length: depthOf(params) }, (_, i) => [`default_${i + 1}`, 1]))
}

/** What was found as a network's file: choices made and branches left out; or a ReLU spec where there are no choices. */
function madeOf(json: Json, { arch, keys }: Opened, found: Found, most: number | undefined) {
  if (keys.length === 0) return { json, choices: undefined, spec: ({ spec }: Found) => spec }
  const choices = Object.fromEntries(keys.map(({ key, layer, options }) => [key, options[found.options.get(layer)!]]))
  if (most === undefined || json.family !== 'seesaw' || !isObject(json.params)) {
    return { json, choices, spec: () => undefined }
  }
  const { ops } = readSeesawParams(new Fields(json.params, 'params', []), undefined)
  const kept = keptBranches(arch, found.weights, ops, most)
  return { json: { ...json, params: { ...json.params, kept } }, choices, spec: () => undefined }
}
