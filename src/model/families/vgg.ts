// VGG (Simonyan and Zisserman, 2015), with or without batch norm, in torchvision's names. The last map is flattened as it
// is, so the first linear layer has as many inputs as the input's size leaves.
import { pictureInput, readClasses, readPicture, readSizes, WIDTH } from './blocks.js'
import { type Family, LayerList } from './family.js'

/** Convolutions per stage; table 1 of the paper, columns A, B, D, E. */
const STAGES: Readonly<Record<number, readonly number[]>> = {
  11: [1, 1, 2, 2, 2],
  13: [2, 2, 2, 2, 2],
  16: [2, 2, 3, 3, 3],
  19: [2, 2, 4, 4, 4],
}
const WIDTHS = [64, 128, 256, 512, 512]

export const vgg: Family = (request) => {
  const { params } = request
  const depth = params.value('depth')
  const known = typeof depth === 'number' && Object.hasOwn(STAGES, depth)
  if (!known) params.fault('depth', `one of ${Object.keys(STAGES).join(', ')}`)
  const norm = params.boolean('batchNorm', true)
  const bias = params.boolean('convBias', true)
  const pool = params.oneOf('pool', ['max', 'avg'], 'max')
  const hidden = readSizes(params, 'hidden', WIDTH, 4, [4096, 4096])
  const shape = readPicture(request, [3, 32, 32])
  const classes = readClasses(request)
  const list = new LayerList()
  let id = 'x'
  let place = 0
  const next = () => `features.${place++}`
  for (const [stage, count] of STAGES[known ? depth : 11].entries()) {
    for (let i = 0; i < count; i++) {
      id = list.conv2d(next(), id, { cout: WIDTHS[stage], kernel: 3, pad: 1, bias })
      if (norm) id = list.batchNorm(next(), id)
      id = list.relu(next(), id)
    }
    id = pool === 'max' ? list.maxPool(next(), id, { kernel: 2 }) : list.avgPool(next(), id, { kernel: 2 })
  }
  const output = classifier(list, list.add('flatten', 'flatten', id), hidden, classes)
  return { inputs: pictureInput(shape), outputs: [output], layers: list.layers }
}

/** torchvision counts linear, ReLU and dropout; the CIFAR repositories have one linear layer "classifier". */
function classifier(list: LayerList, input: string, hidden: readonly number[], classes: number): string {
  if (hidden.length === 0) return list.linear('classifier', input, classes)
  let id = input
  for (const [i, width] of hidden.entries()) {
    id = list.relu(`classifier.${3 * i + 1}`, list.linear(`classifier.${3 * i}`, id, width))
  }
  return list.linear(`classifier.${3 * hidden.length}`, id, classes)
}
