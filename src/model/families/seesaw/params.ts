// The parameters of a Seesaw network in the short form of `arch/1`.
import { type Fields, quote } from '../../json/fields.js'
import { depthOf, type SeesawModel, seesawModels } from './models.js'
import { sampleOps10, sampleOps27 } from './ops.js'

/** Deeper than any published one (50 sample layers in 4 stages), shallow enough to expand in no time. */
const MOST_STAGES = 8
const MOST_LAYERS = 512

export interface SeesawParams {
  readonly dataset: 'cifar' | 'imagenet'
  /** Channels of the stem; each stage has twice as many as what is before it. */
  readonly width: number
  /** Sample layers per stage. */
  readonly blockConfig: readonly number[]
  readonly ops: readonly string[]
  /** Names of the branches that a sample layer still has, per sample layer. */
  readonly kept: readonly ReadonlySet<string>[]
  readonly numClasses: number
}

/**
 * `width` (of the stem, a multiple of 4; published and default 32); `model` (a published name) or `dataset` with `blockConfig`; `ops` (names, or 27 or 10 for the published lists;
 * default 27); `kept` (per sample layer the names of the branches that are left, the others are zero; default all);
 * `numClasses` (default: as many as labels, else 100 for CIFAR and 1000 for ImageNet).
 */
export function readSeesawParams(params: Fields, labelCount: number | undefined): SeesawParams {
  const { dataset, blockConfig } = params.has('model') ? readModel(params) : readConfig(params)
  const width = params.integer('width', { min: 4, max: 256 }, 32)
  if (width % 4 !== 0) params.fault('width', 'a multiple of 4, as groups of 8 channels are convolved')
  const ops = readOps(params)
  const kept = readKept(params, ops, depthOf({ blockConfig }))
  const numClasses = params.integer('numClasses', { min: 1 }, labelCount ?? (dataset === 'cifar' ? 100 : 1000))
  return { dataset, width, blockConfig, ops, kept, numClasses }
}

type Config = Pick<SeesawModel, 'dataset' | 'blockConfig'>

function readModel(params: Fields): Config {
  for (const name of ['dataset', 'blockConfig']) {
    if (params.has(name)) params.problem(`${name}: expected none beside "model", which says it already`)
  }
  const name = params.value('model')
  const model = seesawModels.find((known) => known.name === name)
  if (!model) params.fault('model', `one of ${seesawModels.map((known) => known.name).join(', ')}`)
  return model ?? { dataset: 'cifar', blockConfig: [] }
}

function readConfig(params: Fields): Config {
  const dataset = params.oneOf('dataset', ['cifar', 'imagenet'])
  const list = params.value('blockConfig')
  const fits =
    Array.isArray(list) &&
    list.length >= 1 &&
    list.length <= MOST_STAGES &&
    list.every((n) => Number.isSafeInteger(n) && n >= 1) &&
    depthOf({ blockConfig: list }) <= MOST_LAYERS
  if (!fits) {
    params.fault(
      'blockConfig',
      `1 to ${MOST_STAGES} integers >= 1, sample layers per stage, at most ${MOST_LAYERS} in all`,
    )
  }
  return { dataset, blockConfig: fits ? list : [] }
}

function readOps(params: Fields): readonly string[] {
  const value = params.has('ops') ? params.value('ops') : 27
  if (value === 27) return sampleOps27
  if (value === 10) return sampleOps10
  const fits =
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((name) => sampleOps27.includes(name)) &&
    new Set(value).size === value.length
  if (fits) return value
  params.fault('ops', `27, 10 or a list of distinct names out of ${sampleOps27.join(', ')}`)
  return sampleOps27
}

function readKept(params: Fields, ops: readonly string[], layers: number): readonly ReadonlySet<string>[] {
  if (!params.has('kept')) return []
  const list = params.value('kept')
  if (!Array.isArray(list) || (layers > 0 && list.length !== layers)) {
    const got = Array.isArray(list) ? `${list.length} entries` : quote(list)
    params.problem(`kept: expected ${layers || 'a list of'} lists of op names, one per sample layer, got ${got}`)
    return []
  }
  return list.slice(0, MOST_LAYERS).map((names, i) => {
    if (Array.isArray(names) && names.every((name) => ops.includes(name))) return new Set<string>(names)
    params.problem(`kept[${i}]: expected a list of names of this network's ops, got ${quote(names)}`)
    return new Set<string>()
  })
}
