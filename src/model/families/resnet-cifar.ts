// The CIFAR ResNets of He et al. (2016, section 4.2): three stages of n basic blocks, depth 6n + 2, in the names of
// akamaster/pytorch_resnet_cifar10.
import { pictureInput, pooledClassifier, readClasses, readPicture, WIDTH } from './blocks.js'
import { type Family, LayerList } from './family.js'
import { projection, residualStages, residualStem, zeroPadding } from './residual.js'

type Three = readonly [number, number, number]

const DEEPEST = 1202
const WIDTHS: Three = [16, 32, 64]

export const resnetCifar: Family = (request) => {
  const { params } = request
  const depth = params.integer('depth', { min: 8, max: DEEPEST })
  if (params.has('depth') && (depth - 2) % 6 !== 0) params.fault('depth', '6n + 2, such as 20, 32, 44, 56 or 110')
  const option = params.oneOf('option', ['A', 'B'], 'A')
  const widths = params.integers<Three>('widths', 3, WIDTH, WIDTHS)
  if (option === 'A' && (widths[1] < widths[0] || widths[2] < widths[1])) {
    params.fault('widths', 'widths that do not shrink, option A only adds channels')
  }
  const stemRelu = params.boolean('stemRelu', true)
  const shape = readPicture(request, [3, 32, 32])
  const classes = readClasses(request)
  const list = new LayerList()
  const stem = residualStem(list, { kind: 'cifar', width: widths[0], relu: stemRelu, pool: 'none' })
  const n = Math.floor((depth - 2) / 6)
  const { id } = residualStages(list, stem, widths[0], {
    blocks: [n, n, n],
    widths,
    bottleneck: false,
    strides: [1, 2, 2],
    shortcut: option === 'A' ? zeroPadding(list) : projection(list, 'shortcut'),
  })
  const output = pooledClassifier(list, id, 'linear', classes)
  const weights = { layout: 'torch', stripPrefix: 'module.', unwrap: 'state_dict' }
  return { inputs: pictureInput(shape), outputs: [output], layers: list.layers, weights }
}
