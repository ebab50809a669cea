// Seesaw (tsinghua-ideal/Seesaw): stages of sample layers, each a softmax-weighted sum of parallel ops with a chosen
// ReLU behind it, and blocks that aggregate the stages' features. Layer ids are the names of the published state dicts.
import { keyFault } from '../choices.js'
import { type Fields, quote } from '../fields.js'
import { type Family, type FamilyRequest, LayerList } from './family.js'
import { modelsOfDepth, type SeesawModel, seesawModels } from './seesaw-models.js'
import { addBranch, sampleOps10, sampleOps27 } from './seesaw-ops.js'

const STEM_CHANNELS = 32
/** Deeper than any published one (50 sample layers in 4 stages), shallow enough to expand in no time. */
const MOST_STAGES = 8
const MOST_LAYERS = 512

interface SeesawParams {
  readonly dataset: 'cifar' | 'imagenet'
  /** Sample layers per stage. */
  readonly blockConfig: readonly number[]
  readonly ops: readonly string[]
  /** Names of the branches that a sample layer still has, per sample layer. */
  readonly kept: readonly ReadonlySet<string>[]
  readonly numClasses: number
}

/**
 * Params: `model` (a published name) or `dataset` with `blockConfig`; `ops` (names, or 27 or 10 for the published lists;
 * default 27); `kept` (per sample layer the names of the branches that are left, the others are zero; default all);
 * `numClasses` (default: as many as labels, else 100 for CIFAR and 1000 for ImageNet).
 * Choices: `default_1` … `default_n`, one per sample layer in the order of the stages, 0 identity and 1 ReLU.
 */
export const seesaw: Family = (request) => {
  const params = readParams(request)
  if (params.blockConfig.length > 0) checkChoices(params, request)
  if (request.params.failed) return { inputs: [], outputs: [], layers: [] }
  const layers = new LayerList()
  const features = [addStem(layers, params.dataset)]
  let key = 0
  params.blockConfig.forEach((count, stage) => {
    const width = STEM_CHANNELS * 2 ** (stage + 1)
    let x = addUpsample(layers, stage, features[stage], width)
    for (let j = 1; j <= count; j++)
      x = addSampleLayer(layers, `samples.${stage}.samplelayer${j}`, x, width, params, key++)
    const last = stage === params.blockConfig.length - 1
    features.push(last ? x : addAggregate(layers, stage, [...features, x], width))
  })
  const pooled = layers.add('globalAvgPool', 'gap', features[features.length - 1])
  layers.linear('classifier', layers.add('flatten', 'flatten', pooled), params.numClasses)
  const shape = request.inputShape ?? (params.dataset === 'cifar' ? [3, 32, 32] : [3, 224, 224])
  return { inputs: [{ name: 'x', shape }], outputs: ['classifier'], layers: layers.layers }
}

function addStem(layers: LayerList, dataset: SeesawParams['dataset']): string {
  const window = dataset === 'cifar' ? { kernel: 3, pad: 1 } : { kernel: 7, stride: 4, pad: 3 }
  const conv = layers.conv2d('features.conv0', 'x', { cout: STEM_CHANNELS, ...window })
  return layers.batchNorm('features.norm0', conv)
}

function addUpsample(layers: LayerList, stage: number, input: string, width: number): string {
  const id = `samples.${stage}.upsamplelayer`
  const conv = layers.conv2d(`${id}.0`, input, { cout: width, kernel: 1, bias: true })
  return layers.batchNorm(`${id}.1`, conv)
}

function addSampleLayer(
  layers: LayerList,
  id: string,
  input: string,
  width: number,
  { ops, kept }: SeesawParams,
  index: number,
): string {
  const branches = ops.map((op, k) =>
    addBranch(layers, `${id}.paths.${k}.0`, input, width, op, kept[index]?.has(op) ?? true),
  )
  const sum = layers.add('weightedSum', `${id}.sum`, branches, { coef: `${id}.alpha`, norm: 'softmax' })
  const of = [{ op: 'identity' }, { op: 'relu' }]
  return layers.add('choice', `${id}.nonlinear`, sum, { key: `default_${index + 1}`, of })
}

/** Stem, earlier aggregates and the stage itself, brought to one size: strides …, 4, 2, 1 and 1 for the stage. */
function addAggregate(layers: LayerList, stage: number, features: readonly string[], width: number): string {
  const id = `aggeregate.${stage}`
  const scaled = features.map((feature, m) => {
    const stride = 2 ** Math.max(0, features.length - 2 - m)
    const conv = layers.conv2d(`${id}.layers.${m}.0`, feature, { cout: width, kernel: 1, stride })
    return layers.batchNorm(`${id}.layers.${m}.1`, conv)
  })
  const sum = layers.add('weightedSum', `${id}.sum`, scaled, { coef: `${id}.alpha`, norm: 'softmax' })
  return layers.relu(`${id}.nonlinear.1`, layers.maxPool(`${id}.nonlinear.0`, sum, { kernel: 2 }))
}

function readParams({ params, labelCount }: FamilyRequest): SeesawParams {
  const { dataset, blockConfig } = params.has('model') ? readModel(params) : readConfig(params)
  const ops = readOps(params)
  const kept = readKept(params, ops, total(blockConfig))
  const numClasses = params.integer('numClasses', { min: 1 }, labelCount ?? (dataset === 'cifar' ? 100 : 1000))
  return { dataset, blockConfig, ops, kept, numClasses }
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
    total(list) <= MOST_LAYERS
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

/** Every key once, every value 0 or 1; wrong keys are answered with the model that they would fit. */
function checkChoices({ blockConfig, dataset }: SeesawParams, { choices, problem }: FamilyRequest): void {
  const count = total(blockConfig)
  const keys = Array.from({ length: count }, (_, i) => `default_${i + 1}`)
  const fault = keyFault(keys, choices)
  if (fault)
    problem(`choices: default_1 to default_${count}, one per sample layer: ${fault}${fitting(choices, dataset)}`)
  for (const [key, value] of Object.entries(choices)) {
    if (value !== 0 && value !== 1) problem(`choices[${quote(key)}]: expected 0 (identity) or 1 (ReLU), got ${value}`)
  }
}

function fitting(choices: FamilyRequest['choices'], dataset: SeesawParams['dataset']): string {
  const count = Object.keys(choices).length
  if (count === 0) return ''
  const models = modelsOfDepth(count, dataset)
  if (models.length === 0) {
    const depths = [...new Set(seesawModels.map(({ blockConfig }) => total(blockConfig)))].sort((a, b) => a - b)
    return `; no published model has ${count} keys, they have ${depths.join(', ')}`
  }
  const names = models.map(({ name, blockConfig }) => `${name} (block config ${blockConfig.join(',')})`)
  return `; ${count} keys fit ${names.join(' or ')}`
}

function total(blockConfig: readonly number[]): number {
  return blockConfig.reduce((sum, n) => sum + n, 0)
}
