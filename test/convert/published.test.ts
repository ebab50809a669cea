// Published weight files, read here and run in float32, against the logits PyTorch gave for them.
import { expect, test } from 'vitest'
import { readTorch } from '../../src/convert/weights/torch.js'
import { runFloat } from '../../src/float/run.js'
import { type Architecture, parseArchitecture } from '../../src/model/architecture.js'
import { pictureToInput } from '../../src/model/pictures/input.js'
import { elementCount } from '../../src/model/shape.js'
import { bindWeights } from '../../src/model/weights.js'
import { cifarPictures } from '../fixtures/pictures.js'
import { sharedFile } from '../fixtures/reference-files.js'

const resnet = sharedFile('models/resnet20-12fca82f.th')
const proxyless = sharedFile('models/proxyless-w0.25-r112_imagenet.pth')
const tables = sharedFile('tables/reference_outputs.json')
const cifar = sharedFile('images/cifar10-test-first20.bin')
const skips = (...files: unknown[]) =>
  files.every(Boolean) ? '' : ' (SKIPPED: the files are not beside this checkout)'
const json = (bytes: Uint8Array) => JSON.parse(new TextDecoder().decode(bytes))
const example = (name: string): Architecture =>
  parseArchitecture(json(sharedFile(`tables/examples/${name}.arch.json`)!))

test.skipIf(!resnet || !tables || !cifar)(`resnet20-12fca82f.th${skips(resnet, tables, cifar)}`, () => {
  const tensors = readTorch(resnet!)
  expect(tensors.size).toBe(97)
  expect(readTorch(resnet!, { unwrap: 'state_dict' }).has('module.conv1.weight')).toBe(true)
  const arch = example('resnet20-cifar10')
  const weights = bindWeights(arch, tensors)
  cifarPictures(cifar!).forEach(({ picture }, i) => {
    const logits = runFloat(arch, weights, undefined, pictureToInput(picture, arch.inputs[0]))
    const expected: number[] = json(tables!).resnet20.rows[i].logits
    expect(Math.max(...expected.map((x, k) => Math.abs(x - logits[k])))).toBeLessThan(1e-3)
  })
})

test.skipIf(!proxyless)(`proxyless-w0.25-r112_imagenet.pth${skips(proxyless)}`, () => {
  const tensors = readTorch(proxyless!, { unwrap: 'state_dict' })
  expect(tensors.size).toBe(368)
  // Read from the file by hand: the first storage in it, and the tensor that uses it.
  expect(tensors.get('first_conv.conv.weight')).toMatchObject({ shape: [8, 3, 3, 3], dtype: 'F32' })
  expect(tensors.get('first_conv.bn.num_batches_tracked')).toMatchObject({ shape: [], dtype: 'I64' })
  const weights = bindWeights(example('proxyless-w0.25-r112'), readTorch(proxyless!))
  let parameters = 0
  for (const bound of weights.values()) for (const data of Object.values(bound)) parameters += data.length
  const floats = [...tensors.values()].filter(({ dtype }) => dtype === 'F32')
  expect(parameters).toBe(floats.reduce((sum, { shape }) => sum + elementCount(shape), 0))
})
