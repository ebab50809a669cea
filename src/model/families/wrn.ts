// Wide ResNet (Zagoruyko and Komodakis, 2016) for CIFAR: pre-activation blocks, depth 6n + 4, in the names of
// xternalz/WideResNet-pytorch, which SNL kept.
import { pictureInput, pooledClassifier, readClasses, readPicture } from './blocks.js'
import { type Family, LayerList } from './family.js'

export const wrn: Family = (request) => {
  const { params } = request
  const depth = params.integer('depth', { min: 10, max: 1204 })
  if (params.has('depth') && (depth - 4) % 6 !== 0) params.fault('depth', '6n + 4, such as 16, 22, 28 or 40')
  const widen = params.integer('widen', { min: 1, max: 256 })
  const finalRelu = params.boolean('finalRelu', true)
  const shape = readPicture(request, [3, 32, 32])
  const classes = readClasses(request)
  const n = Math.floor((depth - 4) / 6)
  const list = new LayerList()
  let id = list.conv2d('conv1', 'x', { cout: 16, kernel: 3, pad: 1 })
  let channels = 16
  for (const [stage, base] of [16, 32, 64].entries()) {
    for (let b = 0; b < n; b++) {
      const stride = b === 0 && stage > 0 ? 2 : 1
      id = wideBlock(list, `block${stage + 1}.layer.${b}`, id, channels, base * widen, stride)
      channels = base * widen
    }
  }
  id = list.batchNorm('bn1', id)
  if (finalRelu) id = list.relu('relu', id)
  const output = pooledClassifier(list, id, 'fc', classes)
  return { inputs: pictureInput(shape), outputs: [output], layers: list.layers }
}

/** Where the width changes, which is wherever there is a stride, the shortcut too reads the activated input. */
function wideBlock(list: LayerList, id: string, input: string, cin: number, cout: number, stride: number): string {
  const active = list.relu(`${id}.relu1`, list.batchNorm(`${id}.bn1`, input))
  const conv1 = list.conv2d(`${id}.conv1`, active, { cout, kernel: 3, stride, pad: 1 })
  const middle = list.relu(`${id}.relu2`, list.batchNorm(`${id}.bn2`, conv1))
  const conv2 = list.conv2d(`${id}.conv2`, middle, { cout, kernel: 3, pad: 1 })
  const shortcut = cin === cout ? input : list.conv2d(`${id}.convShortcut`, active, { cout, kernel: 1, stride })
  return list.add('add', `${id}.add`, [shortcut, conv2])
}
