// HybReNet (Jha and Reagen, DeepReShape, 2023): ResNet for CIFAR with freely chosen growth of the width per stage.
import { BLOCKS, pictureInput, pooledClassifier, readClasses, readPicture, WIDTH } from './blocks.js'
import { type Family, LayerList } from './family.js'
import { projection, residualStages, residualStem } from './residual.js'

type Three = readonly [number, number, number]
type Four = readonly [number, number, number, number]

export const hybrenet: Family = (request) => {
  const { params } = request
  const width = params.integer('width', WIDTH, 16)
  const growth = params.integers<Three>('multipliers', 3, { min: 1, max: 64 })
  const blocks = params.integers<Four>('blocks', 4, BLOCKS, [2, 2, 2, 2])
  const stemRelu = params.boolean('stemRelu', true)
  const shape = readPicture(request, [3, 32, 32])
  const classes = readClasses(request)
  const widths = [width]
  for (const factor of growth) widths.push(widths[widths.length - 1] * factor)
  if (widths[3] > WIDTH.max) params.problem(`multipliers: expected a last width <= ${WIDTH.max}, got ${widths[3]}`)
  const list = new LayerList()
  const stem = residualStem(list, { kind: 'cifar', width, relu: stemRelu, pool: 'none', specNames: true })
  const { id } = residualStages(list, stem, width, {
    blocks,
    widths,
    bottleneck: false,
    strides: [1, 2, 2, 2],
    shortcut: projection(list, 'shortcut'),
    specNames: true,
  })
  const output = pooledClassifier(list, id, 'linear', classes)
  return { inputs: pictureInput(shape), outputs: [output], layers: list.layers }
}
