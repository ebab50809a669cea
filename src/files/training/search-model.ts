// Searches a supernet, trains what was found, and writes a folder that can be served.
import { join } from 'node:path'
import { RingfenceError, throwIfAny } from '../../errors.js'
import { type Architecture, parseArchitecture } from '../../model/architecture.js'
import type { Choices } from '../../model/choices.js'
import { depthOf } from '../../model/families/seesaw/models.js'
import { readSeesawParams } from '../../model/families/seesaw/params.js'
import { Fields, isObject, type Json } from '../../model/json/fields.js'
import type { ReluSpec } from '../../model/relu/spec.js'
import { reluSpecFile } from '../../model/relu/spec-file.js'
import { writeSafetensors } from '../../model/safetensors.js'
import { elementCount, formatShape } from '../../model/shape.js'
import { bodyOf } from '../../model/tail/split.js'
import { namedTensors, type Weights } from '../../model/weights.js'
import { networkProfiles } from '../../net/index.js'
import { finetune, firstState } from '../../train/finetune.js'
import { type Recipe, recipeOf } from '../../train/recipe.js'
import type { SearchCosts } from '../../train/search/objective.js'
import type { ChanceRecipe } from '../../train/search/recipe.js'
import { type Found, searchNetwork } from '../../train/search/search.js'
import { firstSearchState, formatSearchState, parseSearchState, type SearchState } from '../../train/search/state.js'
import {
  chosenPaths,
  countedCosts,
  freshWeights,
  inherited,
  keptBranches,
  openSums,
  predictedCosts,
  SEESAW_COSTS,
  withoutRelus,
} from '../../train/search/supernet.js'
import { formatTrainingState, parseTrainingState, type TrainingState } from '../../train/state.js'
import { calibrateNetwork } from '../../tune/calibration/calibrate-network.js'
import { measurementKey } from '../../tune/part.js'
import { readArchitectureFile } from '../architecture-file.js'
import { readImageSet } from '../image-set.js'
import { type MeasuringOptions, poolOf } from '../measuring.js'
import { loadModelDirectory } from '../model-directory.js'
import { PartFile } from '../part-file.js'
import { findModel } from '../prepared-model.js'
import { makeFolder, requireWritable, writeWhole } from '../whole-files.js'

/** Which supernet, for what cost, on which pictures. */
export interface SearchModelOptions extends MeasuringOptions {
  /**
   * An `arch/1` file with `choice` layers between identity and ReLU, as the family seesaw has, or without: all its ReLUs. Of
   * weighted sums of norm `none` one input is chosen, too.
   */
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
  /** In how many rounds branches are left out, by equal factors, weights being trained after each. Default 1. */
  readonly pruneRounds?: number
  /** A model for the same pictures and classes whose answers are distilled into weights. */
  readonly teacher?: string
  /** Of the supernet's weights, and of those of what was found. */
  readonly recipe?: Partial<Recipe>
  readonly retrain?: Partial<Recipe>
}

/** What was found and trained; shares are from 0 to 1. */
export interface SearchedModel extends Pick<Found, 'cost' | 'reference' | 'history'> {
  readonly network: string
  readonly images: string
  readonly output: string
  /** What costs are in: seconds of a private inference, or the published constants' unit, which nobody states. */
  readonly unit: 'seconds' | 'published'
  readonly layers: readonly {
    readonly id: string
    readonly relus: number
    readonly chance: number
    readonly kept: boolean
  }[]
  /** Sums of which one input was chosen. */
  readonly paths: readonly { readonly id: string; readonly taken: string; readonly chance: number }[]
  /** Share of held-out pictures that is right after every round of training; null without any. */
  readonly rounds: readonly (number | null)[]
}

/** Pictures that the calibration is measured on. */
const CALIBRATED = 256

/**
 * Searches, takes the likeliest options, leaves branches out and trains on, round by round, calibrates, and writes
 * `output`/{arch.json, weights.safetensors, calibration.json}, and relu-spec.json for a network without choices.
 * @throws RingfenceError BAD_INPUT for an output that is there, a teacher of other pictures or classes, or as
 *   `searchNetwork` and `finetune`; BAD_FILE for files that cannot be read; ABORTED by `signal`, when the part files in
 *   `output` have its state and the same call goes on from there to the same numbers
 */
export async function searchModel(options: SearchModelOptions): Promise<SearchedModel> {
  const { output, force = false, onProgress, recipe, costs: unit = 'wan60', chances, kept, pruneRounds = 1 } = options
  const files = ['arch.json', 'weights.safetensors', 'relu-spec.json', 'calibration.json'].map((f) => join(output, f))
  await requireWritable(files, force)
  const file = await readArchitectureFile(options.model)
  const { expect: _, choices: __, ...json } = file.json
  const open = opened(json, file.path)
  const { arch } = open
  const sums = openSums(arch)
  requireSearchable(json, sums, options)
  const images = await readImageSet(options.images, arch, { limit: options.limit, labelled: true })
  const pictures = { inputs: images.inputs, labels: images.labels! }
  const teacher = await teacherOf(arch, options.teacher)
  const work = { ...poolOf(options), teacher, onProgress }
  const fresh = { arch, weights: freshWeights(arch, recipe?.seed ?? 1) }
  const costs = costsOf(arch, unit, sums)
  const of = JSON.stringify([json, recipe, chances, images.labels, unit, kept, pruneRounds, options.retrain])
  const taught = teacher ? measurementKey(teacher.arch, teacher.weights, [], []) : ''
  const key = measurementKey({ ...arch, name: of + taught }, fresh.weights, images.inputs, [])
  const parts: PartFile[] = []
  /** A phase's part is kept until all are done: what it came to is what the next one begins with. */
  const phase = async <T>(name: string, run: (left: string | undefined, part: PartFile) => Promise<T>): Promise<T> => {
    const part = new PartFile(join(output, name))
    parts.push(part)
    try {
      const result = await run(force ? undefined : await part.read(), part)
      await part.saved()
      return result
    } catch (error) {
      throw await part.left(error)
    }
  }
  await makeFolder(output)
  const found = await phase('search', (left, part) => {
    const like = firstSearchState(fresh, costs, recipe)
    const resume = left === undefined ? undefined : parseSearchState(left, like, key, part.path)
    const onState = (state: SearchState) => part.keep(() => formatSearchState(state, key))
    return searchNetwork(fresh, costs, pictures, { ...work, recipe, chances, resume, onState })
  })
  const rounds: (number | null)[] = []
  let [weights, names]: [Weights, Kept | undefined] = [found.weights, undefined]
  for (let round = 1; ; round++) {
    const made = madeOf(json, open, found, weights, branchesLeft(json, kept, round / pruneRounds), names)
    names = made.kept
    const network = { arch: parseArchitecture(made.json, file.path, made.choices), spec: made.spec }
    const start = { ...network, weights: inherited(network.arch, weights) }
    const trained = await phase(`round-${round}`, (left, part) => {
      const how = recipeOf({ ...options.retrain, distill: teacher ? (options.retrain?.distill ?? 1) : 0 })
      const like = firstState(start, how)
      const own = `${key} ${round}`
      const resume = left === undefined ? undefined : parseTrainingState(left, like, own, part.path)
      const onState = (state: TrainingState) => part.keep(() => formatTrainingState(state, own))
      return finetune(start, pictures, { ...work, recipe: how, resume, onState })
    })
    weights = trained.weights
    rounds.push(trained.held)
    if (round < pruneRounds) continue
    const after = { ...start, weights }
    const seen = trained.split.train.slice(0, CALIBRATED).map((i) => images.inputs[i])
    const { calibration } = await calibrateNetwork(after, seen, { ...work, source: images.source })
    const text = (value: unknown) => new TextEncoder().encode(`${JSON.stringify(value, null, 1)}\n`)
    const contents = [
      { path: files[0], bytes: text({ ...made.json, ...(made.choices && { choices: made.choices }) }) },
      { path: files[1], bytes: writeSafetensors(namedTensors(network.arch, weights)) },
      { path: files[3], bytes: text(calibration) },
      ...(network.spec ? [{ path: files[2], bytes: text(reluSpecFile(network.arch, network.spec.layers)) }] : []),
    ]
    await writeWhole(contents, force)
    break
  }
  for (const part of parts) await part.remove()
  const about = [...found.options].map(([id, option]) => {
    const chance = found.chances.get(id)!
    return { id, layer: arch.byId.get(id)!, option, chance }
  })
  const layers = about
    .filter(({ id }) => !sums.includes(id))
    .map(({ id, layer, option, chance }) => ({
      ...{ id, relus: elementCount(layer.out), chance: chance[1], kept: option === 1 },
    }))
  const paths = about
    .filter(({ id }) => sums.includes(id))
    .map(({ id, layer, option, chance }) => ({ id, taken: layer.in[option], chance: chance[option] }))
  const { cost, reference, history } = found
  const words = {
    network: arch.name,
    images: images.source,
    output,
    unit: unit === 'seesaw' ? 'published' : 'seconds',
  } as const
  return { ...words, layers, paths, cost, reference, history, rounds }
}

type Kept = readonly (readonly string[])[]

/** @throws RingfenceError BAD_INPUT for flags that speak of what the network does not have */
function requireSearchable(
  json: Json,
  sums: readonly string[],
  { model, kept, pruneRounds }: SearchModelOptions,
): void {
  const problems: string[] = []
  const isSeesaw = json.family === 'seesaw'
  if (kept !== undefined && !isSeesaw)
    problems.push('kept: expected a network of the family seesaw, whose sample layers have branches')
  if (pruneRounds !== undefined && kept === undefined) problems.push('pruneRounds: goes with kept')
  if (sums.length > 0 && !Array.isArray(json.layers))
    problems.push('layers: expected them one by one where sums are to be chosen of')
  throwIfAny('BAD_INPUT', `${model} cannot be searched so:`, problems)
}

/** @throws RingfenceError BAD_INPUT for a model of other pictures or another number of classes */
async function teacherOf(arch: Architecture, name: string | undefined) {
  if (name === undefined) return undefined
  const { arch: own, weights, spec } = await loadModelDirectory(findModel(name))
  const ends = (of: Architecture) => {
    const body = bodyOf(of)
    return `pictures of ${formatShape(of.inputs[0].shape)} and ${elementCount(body.byId.get(body.outputs[0])!.out)} classes`
  }
  if (ends(own) === ends(arch)) return { arch: own, weights, spec }
  throw new RingfenceError('BAD_INPUT', `teacher ${name}: expected ${ends(arch)}, got ${ends(own)}`)
}

/** By equal factors from all to `kept`. */
function branchesLeft(json: Json, kept: number | undefined, share: number): number | undefined {
  if (kept === undefined) return undefined
  const all = seesawOps(json).length
  return kept >= all ? all : Math.round(all * (kept / all) ** share)
}

const seesawOps = (json: Json): readonly string[] =>
  readSeesawParams(new Fields(json.params as Json, 'params', []), undefined).ops

function costsOf(
  arch: Architecture,
  unit: NonNullable<SearchModelOptions['costs']>,
  sums: readonly string[],
): SearchCosts {
  if (unit === 'seesaw') return countedCosts(arch, SEESAW_COSTS, sums)
  return predictedCosts(arch, { profile: networkProfiles[unit] }, sums)
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
function madeOf(
  json: Json,
  { arch, keys }: Opened,
  found: Found,
  weights: Weights,
  most: number | undefined,
  left: Kept | undefined,
) {
  if (keys.length === 0) return { json: withPaths(json, arch, found.options), spec: specOf(arch, found) }
  const choices = Object.fromEntries(keys.map(({ key, layer, options }) => [key, options[found.options.get(layer)!]]))
  if (most === undefined) return { json: withPaths(json, arch, found.options), choices }
  const kept = keptBranches(arch, weights, seesawOps(json), most, left)
  return { json: { ...json, params: { ...(json.params as Json), kept } }, choices, kept }
}

/** The ReLUs that were left out, of those that the chosen paths still have. */
function specOf(arch: Architecture, { options, spec }: Found): ReluSpec {
  const { byId } = chosenPaths(arch, options)
  const off = [...spec.layers].filter(([id, { kind }]) => kind === 'identity' && byId.has(id)).map(([id]) => id)
  return withoutRelus(chosenPaths(arch, options), new Set(off))
}

/** The file with each sum the one input that was taken, without what only the others needed. */
function withPaths(json: Json, arch: Architecture, options: ReadonlyMap<string, number>): Json {
  if (!Array.isArray(json.layers)) return json
  const { byId } = chosenPaths(arch, options)
  const layers = (json.layers as { id: string; op: string; in: string[] }[]).flatMap((layer) => {
    if (!byId.has(layer.id)) return []
    const taken = layer.op === 'weightedSum' ? options.get(layer.id) : undefined
    return [taken === undefined ? layer : { id: layer.id, op: 'identity', in: [layer.in[taken]] }]
  })
  return { ...json, layers }
}
