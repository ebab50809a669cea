// Published weights against PyTorch's logits, and networks whose ops nothing else here uses together.
import { describe, expect, it } from 'vitest'
import { readTorch } from '../../src/convert/weights/torch.js'
import { FloatNetwork } from '../../src/float/network.js'
import { type Architecture, parseArchitecture } from '../../src/model/architecture.js'
import { bindWeights } from '../../src/model/weights.js'
import { randomWeights } from '../fixtures/networks.js'
import { committedJson, readRecords, sharedFile } from '../fixtures/reference-files.js'
import { sampleInput } from '../fixtures/workloads.js'

const tables = sharedFile('tables/reference_outputs.json')
const example = (name: string) => parseArchitecture(committedJson(`test/vectors/examples/${name}.arch.json`))
const far = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i])))

function published(name: string, file: string, pictures: string, head: number) {
  const [weights, images] = [sharedFile(`models/${file}`), sharedFile(`images/${pictures}`)]
  const there = weights && images && tables
  const logits = () => {
    const arch = example(name)
    const network = FloatNetwork.prepare(arch, bindWeights(arch, readTorch(weights!)))
    return network.run(readRecords(images!, head, arch))
  }
  const title = there ? file : `${file} (SKIPPED: the files are not beside this checkout)`
  return { it: it.skipIf(!there), title, logits, table: () => JSON.parse(new TextDecoder().decode(tables)) }
}

describe('published networks give the reference logits of 20 pictures', () => {
  const resnet = published('resnet20-cifar10', 'resnet20-12fca82f.th', 'cifar10-test-first20.bin', 1)
  resnet.it(resnet.title, () => {
    const { rows } = resnet.table().resnet20
    resnet.logits().forEach((logits, i) => {
      expect(far(logits, rows[i].logits)).toBeLessThan(1e-4)
    })
  })

  const name = 'proxyless-w0.25-r112'
  const proxyless = published(name, `${name}_imagenet.pth`, 'imagenet20-112.bin', 2)
  proxyless.it(proxyless.title, () => {
    const { rows } = proxyless.table()[name]
    proxyless.logits().forEach((logits, i) => {
      const { top5, top5Logits, first8Logits, sum } = rows[i]
      const order = [...logits.keys()].sort((a, b) => logits[b] - logits[a])
      expect(order.slice(0, 5)).toEqual(top5)
      expect(
        far(
          top5Logits,
          Array.from(top5 as number[], (c) => logits[c]),
        ),
      ).toBeLessThan(1e-4)
      expect(far(first8Logits, logits)).toBeLessThan(1e-4)
      expect(Math.abs(logits.reduce((a, b) => a + b) - sum)).toBeLessThan(5e-3)
    })
  })
})

describe('networks of random weights', () => {
  const deeplab = {
    format: 'arch/1',
    name: 'deeplab',
    family: 'deeplabv3',
    params: { backbone: 'mobilenetv2', numClasses: 5 },
    inputs: [{ shape: [3, 64, 64] }],
  }
  const all: [string, () => Architecture][] = [
    ['seesaw: branches, softmax sums, aggregates', () => example('seesaw-tiny-expanded')],
    ['deeplabv3: dilations, image pool, concat, bilinear resize', () => parseArchitecture(deeplab)],
  ]
  it.each(all)('%s', (_, load) => {
    const arch = load()
    const weights = randomWeights(arch, 1)
    const input = sampleInput(arch, 1)
    const [merged] = FloatNetwork.prepare(arch, weights).run([input])
    const [apart] = FloatNetwork.prepare(arch, weights, { keep: 'all' }).run([input])
    const most = Math.max(...merged.map(Math.abs))
    expect(most).toBeGreaterThan(0)
    expect(far(merged, apart)).toBeLessThan(1e-4 * most)
  })
})
