// `npm run bench -- float`: the plain engine on whole networks against TensorFlow.js on WASM, one thread each, interleaved.
import { FloatNetwork } from '../../src/float/network.js'
import { type Architecture, parseArchitecture } from '../../src/model/architecture.js'
import { countNetwork } from '../../src/model/count.js'
import { elementCount } from '../../src/model/shape.js'
import type { Weights } from '../../src/model/weights.js'
import { randomWeights, resnet18Cifar100 } from '../../test/fixtures/networks.js'
import { sampleInput } from '../../test/fixtures/workloads.js'
import { table } from '../report.js'
import { sampleAll, type Variant } from '../round-robin.js'
import { load } from '../tensorflow/matrix.js'
import { tensorflowNetwork } from '../tensorflow/network.js'

export interface FloatRow {
  readonly network: string
  readonly batch: number
  /** Median images per second. */
  readonly imagesPerSecond: number
  readonly tfjsImagesPerSecond: number
  readonly gmacPerSecond: number
  /** Own rate by that of tfjs, median by median of the same run. */
  readonly ratio: number
  /** Largest difference of the two engines' logits. */
  readonly difference: number
  readonly target: number
  readonly met: boolean
}

const TARGET = 0.5

interface Pair {
  readonly row: Pick<FloatRow, 'network' | 'batch' | 'difference'>
  readonly macs: number
  readonly own: Variant
  readonly peer: Variant
}

async function pairOf(arch: Architecture, weights: Weights, batch: number): Promise<Pair> {
  const inputs = Array.from({ length: batch }, (_, i) => sampleInput(arch, i + 1))
  const network = FloatNetwork.prepare(arch, weights)
  const size = elementCount(arch.inputs[0].shape)
  const all = new Float32Array(batch * size)
  inputs.forEach((input, i) => {
    all.set(input, i * size)
  })
  const peer = tensorflowNetwork(await load(), arch, weights, batch)
  const mine = network.run(inputs).flatMap((logits) => [...logits])
  const theirs = peer(all)
  const difference = mine.reduce((most, value, i) => Math.max(most, Math.abs(value - theirs[i])), 0)
  // Rates count 10^9 operations: an image as 10^9 makes images per second.
  const variant = (name: string, run: () => void): Variant => ({
    name: `${name} ${arch.name} ${batch}`,
    work: batch * 1e9,
    run,
  })
  return {
    row: { network: arch.name, batch, difference },
    macs: countNetwork(arch).macs,
    own: variant('ringfence', () => void network.run(inputs)),
    peer: variant('tfjs', () => void peer(all)),
  }
}

/** Images per second of both engines; prints a table, or with `json` one JSON document. */
export async function benchFloat(options: { json: boolean; quick: boolean }): Promise<{ float: FloatRow[] }> {
  const pairs: Pair[] = []
  for (const json of [resnet20(), resnet18Cifar100()]) {
    const arch = parseArchitecture(json)
    const weights = randomWeights(arch, 1)
    for (const batch of [1, 16]) pairs.push(await pairOf(arch, weights, batch))
  }
  const variants = pairs.flatMap(({ own, peer }) => [own, peer])
  const rates = options.quick ? sampleAll(variants, 5, 20) : sampleAll(variants, 25, 60)
  const float = pairs.map(({ row, macs, own, peer }): FloatRow => {
    const [images, tfjs] = [own, peer].map(({ name }) => rates.get(name)!.median)
    const ratio = images / tfjs
    const met = ratio >= TARGET
    return {
      ...row,
      imagesPerSecond: images,
      tfjsImagesPerSecond: tfjs,
      gmacPerSecond: (images * macs) / 1e9,
      ratio,
      target: TARGET,
      met,
    }
  })
  process.stdout.write(`${options.json ? JSON.stringify({ float }) : text(float)}\n`)
  return { float }
}

const resnet20 = () => ({
  format: 'arch/1',
  name: 'resnet20-cifar10',
  family: 'resnet-cifar',
  params: { depth: 20, option: 'B', numClasses: 10 },
})

function text(rows: readonly FloatRow[]): string {
  const head = ['network', 'batch', 'images/s', 'GMAC/s', 'tfjs images/s', 'ratio', 'target', 'met', 'difference']
  const body = rows.map((r) => [
    ...[r.network, String(r.batch), r.imagesPerSecond.toFixed(1), r.gmacPerSecond.toFixed(1)],
    ...[r.tfjsImagesPerSecond.toFixed(1), r.ratio.toFixed(2), r.target.toFixed(2), r.met ? 'yes' : 'NO'],
    r.difference.toExponential(1),
  ])
  return table(head, body)
}
