// CryptoNAS's and DeepReShape's moves: what they make of a plain network is the published one, by its layers and its counts.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { FloatNetwork } from '../../src/float/network.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { countNetwork } from '../../src/model/count.js'
import type { Json } from '../../src/model/json/fields.js'
import {
  alignedGrowths,
  balancedWidths,
  expandArchitecture,
  grownWidths,
  pruneSkipRelus,
  shuffleRelus,
  stagesOf,
  withoutStem,
  withStageWidths,
} from '../../src/plan.js'
import { freshWeights } from '../../src/train.js'
import { REPOSITORY } from '../fixtures/vectors.js'
import { sampleInput } from '../fixtures/workloads.js'
import cryptonas from '../vectors/cryptonas.json' with { type: 'json' }
import networks from '../vectors/networks.json' with { type: 'json' }

const family = (name: string, params: Json, shape = [3, 32, 32]) =>
  expandArchitecture({ format: 'arch/1', name, family: 'resnet', params, inputs: [{ shape }] })
const cnet = ({ width, kernel: kernels, skips }: (typeof cryptonas)[number], classes: number) =>
  expandArchitecture({
    ...{ format: 'arch/1', name: 'cnet', family: 'cryptonas' },
    params: { width, kernels, skips, numClasses: classes },
  })
const countsOf = (json: Json) => {
  const { relus, macs, params } = countNetwork(parseArchitecture(json))
  return { relus, macs, params }
}
const layersOf = (json: Json) => json.layers as (Json & { id: string; op: string; in: string[] })[]

const RESNET18 = { depth: 18, stem: 'cifar', numClasses: 100 }

describe('channels', () => {
  const published = networks.filter(({ name }) => name.startsWith('hrn-'))
  const growthOf = (name: string) => /^hrn-(\d+)x(\d+)x(\d+)x/.exec(name)!.slice(1).map(Number)

  it.each(published)('of ResNet-18 become those of $name', ({ name, relus, macs, params, reluPerLayer }) => {
    const made = withStageWidths(family('r', RESNET18), grownWidths(16, growthOf(name)))
    expect(countsOf(made)).toEqual({ relus, macs, params })
    const own = countNetwork(parseArchitecture(made)).layers.filter((layer) => layer.relus > 0)
    expect(own.map((layer) => layer.relus)).toEqual(reluPerLayer)
  })

  it('grow as published where ReLUs are to be in the order in which they matter: these four ways and no other', () => {
    const stages = withoutStem(parseArchitecture(family('r', RESNET18)))
    expect(stages.map(({ layers }) => layers)).toEqual([4, 4, 4, 4])
    const growths = alignedGrowths(stages, [2, 1, 3, 0])
    const aligned = published.map(({ name }) => growthOf(name)).filter(([first]) => first !== 2)
    expect(growths.map(String).sort()).toEqual(aligned.map(String).sort())
    expect(growths[0]).toEqual([5, 5, 3])
    for (const growth of growths) {
      const made = parseArchitecture(withStageWidths(family('r', RESNET18), grownWidths(16, growth)))
      const [one, two, three, four] = withoutStem(made).map(({ relus }) => relus)
      expect(three > two && two > four && four > one).toBe(true)
    }
  })

  it.each(cryptonas)('halved as usual and balanced again are those of $name', (row) => {
    const { relus, params, macs } = row
    const arch = cnet(row, row.name.startsWith('cifar100') ? 100 : 10)
    const usual = withStageWidths(arch, grownWidths(row.width, [2, 2]))
    expect(countsOf(usual).relus).toBe((relus / 3) * (1 + 1 / 2 + 1 / 4))
    const balanced = withStageWidths(usual, balancedWidths(stagesOf(parseArchitecture(usual))))
    expect(countsOf(balanced)).toEqual({ relus, macs, params })
    expect(balanced.layers).toEqual(arch.layers)
  })

  it('balanced, every layer of ResNet-18 has 65,536 ReLUs', () => {
    const resnet = family('r', RESNET18)
    const stages = stagesOf(parseArchitecture(resnet))
    const made = parseArchitecture(withStageWidths(resnet, balancedWidths(stages)))
    const relus = countNetwork(made).layers.flatMap((layer) => (layer.relus > 0 ? [layer.relus] : []))
    expect(relus).toEqual(Array(17).fill(65536))
    expect(stagesOf(made).map(({ channels }) => channels)).toEqual([64, 256, 1024, 4096])
  })

  it('follow depthwise convolutions, option A and the map without ReLUs, and leave the answer', () => {
    const short = (name: string, params: Json) => ({ format: 'arch/1', name: 'n', family: name, params })
    const twenty = withStageWidths(short('resnet-cifar', { depth: 20, numClasses: 10 }), [8, 16, 64])
    const paddings = layersOf(twenty).filter(({ op }) => op === 'shortcutA')
    expect(paddings.map(({ padChannels }) => padChannels)).toEqual([
      [4, 4],
      [24, 24],
    ])
    const mobile = expandArchitecture({ ...short('mobilenetv2', { numClasses: 7 }), inputs: [{ shape: [3, 64, 64] }] })
    const stages = stagesOf(parseArchitecture(mobile))
    const doubled = parseArchitecture(
      withStageWidths(
        mobile,
        stages.map(({ channels }) => 2 * channels),
      ),
    )
    expect(countNetwork(doubled).relus).toBe(2 * countNetwork(parseArchitecture(mobile)).relus)
    expect(doubled.byId.get(doubled.outputs[0])!.out).toEqual([7])
    // Deep stems pool before they are rectified in no network of the package: a convolution, a pool, a ReLU.
    const conv = (id: string, from: string, cout: number) => ({
      ...{ id, op: 'conv2d', in: [from], cout, kernel: [1, 1], stride: [1, 1], pad: [0, 0, 0, 0], bias: true },
    })
    const pooled = {
      ...{ format: 'arch/1', name: 'p', inputs: [{ name: 'x', shape: [1, 4, 4] }], outputs: ['map'] },
      layers: [
        conv('c', 'x', 4),
        { id: 'p', op: 'maxPool', in: ['c'], kernel: [2, 2], stride: [2, 2], pad: [0, 0, 0, 0] },
        { id: 'r', op: 'relu', in: ['p'] },
        conv('map', 'r', 3),
      ],
    }
    const wide = parseArchitecture(withStageWidths(pooled, [6]))
    expect(wide.layers.map(({ out: [channels] }) => channels)).toEqual([6, 6, 6, 3])
  })

  it('change in a file that states shapes and counts, too', () => {
    const stated = JSON.parse(readFileSync(new URL('models/mnist-cnn3/arch.json', REPOSITORY), 'utf8'))
    expect(stated.layers.every(({ out }: { out: unknown }) => Array.isArray(out))).toBe(true)
    const stages = stagesOf(parseArchitecture(stated))
    const made = parseArchitecture(withStageWidths(stated, balancedWidths(stages)))
    expect(stagesOf(made).map(({ channels, relus }) => [channels, relus])).toEqual([8, 32, 98].map((c) => [c, 1568]))
  })

  it('that do not fit are refused by name', () => {
    const twenty = { format: 'arch/1', name: 'r20', family: 'resnet-cifar', params: { depth: 20, numClasses: 10 } }
    expect(() => withStageWidths(twenty, [16, 32])).toThrow('3 widths, whole numbers from 1 on, for the maps 32×32')
    const mobile = { format: 'arch/1', name: 'm', family: 'mobilenetv2', params: { numClasses: 7 } }
    const widths = stagesOf(parseArchitecture(mobile)).map(({ channels }) => channels)
    expect(() => withStageWidths(mobile, [widths[0] + 1, ...widths.slice(1)])).toThrow('are no whole number')
    const stages = stagesOf(parseArchitecture(twenty))
    expect(() => alignedGrowths(stages, [0, 0, 1])).toThrow('the order of 3 stages, each once, got 1, 1, 2')
    expect(() => alignedGrowths(stages, [0, 1])).toThrow('the order of 3 stages')
    // A smaller map with more ReLUs than a larger one takes a growth over four, and the other way round under four.
    expect(alignedGrowths(stages, [2, 1, 0])).toHaveLength(1)
  })
})

/** Skips as they were before CryptoNAS: a ReLU of all that is concatenated, in front of the 1x1 convolution. */
function conventional(published: Json): Json {
  const layers = layersOf(published).flatMap((layer) => {
    const reads = layer.in[0]
    if (!/^layer\d+\.skip\.concat$/.test(reads)) return [layer]
    const id = layer.id.replace('conv', 'relu')
    return [
      { id, op: 'relu', in: [reads] },
      { ...layer, in: [id] },
    ]
  })
  return { ...published, layers }
}

describe('ReLUs of skips', () => {
  const small = cryptonas.filter(({ name }) => !name.endsWith('cnet3'))

  it.each(small)('of $name before CryptoNAS: shuffled it has fewer, pruned those of the published one', (row) => {
    const published = cnet(row, row.name.startsWith('cifar100') ? 100 : 10)
    const before = conventional(published)
    const { kernel, width, skips } = row
    const one = width * 1024
    const concatenated = skips.map((bits) => bits.reduce((a, b) => a + b, 0)).filter((bits) => bits > 0)
    expect(countsOf(before).relus).toBe(one * (kernel.length + concatenated.reduce((sum, bits) => sum + 1 + bits, 0)))
    const shuffled = shuffleRelus(before)
    // One of every stored tensor, whoever reads it, and one of every layer's own; of what is reduced, what is read.
    expect(countsOf(shuffled).relus).toBeLessThan(countsOf(before).relus)
    expect(countsOf(shuffled).relus).toBeGreaterThanOrEqual(one * (kernel.length + concatenated.length))
    const relus = layersOf(shuffled).filter(({ op }) => op === 'relu')
    expect(new Set(relus.map(({ in: [from] }) => from)).size).toBe(relus.length)
    const { macs, params } = countsOf(published)
    expect(countsOf(shuffled)).toMatchObject({ macs, params })
    const pruned = pruneSkipRelus(shuffled)
    expect(countsOf(pruned)).toEqual({ relus: row.relus, macs, params })
    expect(pruned.layers).toEqual(pruneSkipRelus(published).layers)
    expect(pruneSkipRelus(published).layers).toEqual(published.layers)
  })

  it('shuffled, it computes the same, bit for bit', () => {
    const skips = Array.from({ length: 6 }, (_, i) => Array(i).fill(1))
    const params = { width: 2, kernels: Array(6).fill(3), skips, numClasses: 3 }
    const net = expandArchitecture({
      ...{ format: 'arch/1', name: 'small', family: 'cryptonas', params, inputs: [{ shape: [1, 8, 8] }] },
    })
    const before = parseArchitecture(conventional(net))
    const after = parseArchitecture(shuffleRelus(conventional(net)))
    expect(countNetwork(after).relus).toBeLessThan(countNetwork(before).relus)
    const weights = freshWeights(before, 7)
    const inputs = [1, 2, 3].map((i) => sampleInput(before, i))
    const answers = FloatNetwork.prepare(before, weights).run(inputs)
    expect(FloatNetwork.prepare(after, weights).run(inputs)).toEqual(answers)
    // Without these it is another network, and the same one whether it was shuffled before.
    const pruned = [net, conventional(net), shuffleRelus(conventional(net))].map((json) =>
      FloatNetwork.prepare(parseArchitecture(pruneSkipRelus(json)), weights).run(inputs),
    )
    expect(pruned[0]).not.toEqual(answers)
    expect(pruned.slice(1)).toEqual([pruned[0], pruned[0]])
  })

  it('stay where nothing is shared, and where they are the answer', () => {
    const conv = (id: string, from: string) => ({
      ...{ id, op: 'conv2d', in: [from], cout: 2, kernel: [1, 1], stride: [1, 1], pad: [0, 0, 0, 0], bias: true },
    })
    const net = (outputs: string[], ...more: Json[]) => ({
      ...{ format: 'arch/1', name: 'n', inputs: [{ name: 'x', shape: [1, 2, 2] }], outputs },
      layers: [
        ...[conv('a', 'x'), conv('b', 'x'), { id: 'c', op: 'concat', in: ['a', 'b'] }],
        ...[{ id: 'r', op: 'relu', in: ['c'] }, conv('d', 'r'), ...more],
      ],
    })
    const alone = net(['d'])
    expect(shuffleRelus(alone)).toEqual(alone)
    const again = { id: 'e', op: 'relu', in: ['r'] }
    const ids = (json: Json) => layersOf(json).map(({ id }) => id)
    expect(ids(shuffleRelus(net(['d', 'e'], again)))).toContain('e')
    expect(ids(shuffleRelus(net(['f'], again, conv('f', 'e'))))).not.toContain('e')
  })
})
