// Seesaw (tsinghua-ideal/Seesaw): stages of sample layers, each a softmax-weighted sum of parallel ops with a chosen
// ReLU behind it, and blocks that aggregate the stages' features. Layer ids are the names of the published state dicts.
import { keyFault } from '../../choices.js'
import { quote } from '../../json/fields.js'
import { type Family, type FamilyRequest, LayerList } from '../family.js'
import { depthOf, modelsOfDepth, seesawModels } from './models.js'
import { addBranch } from './ops.js'
import { readSeesawParams, type SeesawParams } from './params.js'

/**
 * Params as `readSeesawParams` has them. Choices: `default_1` … `default_n`, one per sample layer in the order of the
 * stages, 0 for identity and 1 for ReLU; all of them must be made. Pruned branches are `zero` layers and keep their
 * place in the softmax: its weights are not redistributed.
 */
export const seesaw: Family = (request) => {
  const params = readSeesawParams(request.params, request.labelCount)
  if (params.blockConfig.length > 0) checkChoices(params, request)
  if (request.params.failed) return { inputs: [], outputs: [], layers: [] }
  const layers = new LayerList()
  const features = [addStem(layers, params)]
  let key = 0
  params.blockConfig.forEach((count, stage) => {
    const width = params.width * 2 ** (stage + 1)
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

function addStem(layers: LayerList, { dataset, width }: SeesawParams): string {
  const window = dataset === 'cifar' ? { kernel: 3, pad: 1 } : { kernel: 7, stride: 4, pad: 3 }
  const conv = layers.conv2d('features.conv0', 'x', { cout: width, ...window })
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

/** Every key once, every value 0 or 1; wrong keys are answered with the model that they would fit. */
function checkChoices({ blockConfig, dataset }: SeesawParams, { choices, problem }: FamilyRequest): void {
  const count = depthOf({ blockConfig })
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
    const depths = [...new Set(seesawModels.map(depthOf))].sort((a, b) => a - b)
    return `; no published model has ${count} keys, they have ${depths.join(', ')}`
  }
  const names = models.map(({ name, blockConfig }) => `${name} (block config ${blockConfig.join(',')})`)
  return `; ${count} keys fit ${names.join(' or ')}`
}
