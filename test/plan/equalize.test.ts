// Factors per channel: the network stays the function it was, and what would change it is refused.
import { describe, expect, it } from 'vitest'
import { FloatNetwork } from '../../src/float/network.js'
import { type Architecture, parseArchitecture } from '../../src/model/architecture.js'
import { isActivation } from '../../src/model/layers/layers.js'
import { decodeImage } from '../../src/model/pictures/decode.js'
import { pictureToInput } from '../../src/model/pictures/input.js'
import type { ReluSpec } from '../../src/model/relu/spec.js'
import { readSafetensors } from '../../src/model/safetensors.js'
import { asMap } from '../../src/model/shape.js'
import { bindWeights, type Weights } from '../../src/model/weights.js'
import { type Calibration, calibrate, parseCalibration } from '../../src/plan/calibrate.js'
import { compile } from '../../src/plan/compile/compile.js'
import { ChannelTies } from '../../src/plan/equalize/channel-ties.js'
import { equalize } from '../../src/plan/equalize/equalize.js'
import { channelFactors } from '../../src/tune/calibration/channel-factors.js'
import { calibrationOf, measureRanges } from '../../src/tune/calibration/ranges.js'
import { evaluate } from '../../src/tune/evaluation/evaluate.js'
import { randomWeights } from '../fixtures/networks.js'
import { committed, committedJson } from '../fixtures/reference-files.js'
import { sampleInput } from '../fixtures/workloads.js'
import { growNetwork } from '../protocol/networks/zoo.js'

const example = (name: string) => parseArchitecture(committedJson(`test/vectors/examples/${name}.arch.json`))
const family = (family: string, params: object, size: number) =>
  parseArchitecture({ format: 'arch/1', name: family, family, params, inputs: [{ shape: [3, size, size] }] })
const relus = (arch: Architecture) => arch.layers.filter(isActivation)

/** Another factor for every class of channels, from 1/16 to 16. */
function anyFactors(arch: Architecture): Record<string, number[]> {
  const ties = new ChannelTies(arch)
  const factor = (at: number) => (ties.isFixed(at) ? 1 : 2 ** (((at * 7) % 33) / 4 - 4))
  return Object.fromEntries(
    relus(arch).map(({ id, out }) => {
      return [id, Array.from({ length: asMap(out)[0] }, (_, c) => factor(ties.classOf(id, c)))]
    }),
  )
}

/** Largest difference of the outputs, by the largest output. */
function apart(arch: Architecture, a: Weights, b: Weights, spec?: ReluSpec, input = sampleInput(arch, 1)): number {
  const [one] = FloatNetwork.prepare(arch, a, { spec }).run([input])
  const [two] = FloatNetwork.prepare(arch, b, { spec }).run([input])
  const most = one.reduce((size, value) => Math.max(size, Math.abs(value)), 0)
  return one.reduce((far, value, i) => Math.max(far, Math.abs(value - two[i])), 0) / (most || 1)
}

describe('equalized weights', () => {
  const networks: [string, () => Architecture, boolean][] = [
    ['ResNet-20', () => example('resnet20-cifar10'), true],
    ['ResNet-8', () => example('resnet8-cifar10'), true],
    // Nothing but ReLU6, which keep the factor 1.
    ['MobileNetV2', () => family('mobilenetv2', { widthMultiplier: 0.35, numClasses: 10 }, 64), false],
    ['ProxylessNAS', () => example('proxyless-w0.25-r112'), false],
    ['Seesaw', () => example('seesaw-tiny-expanded'), true],
    [
      'DeepLabV3',
      () =>
        family('deeplabv3', { backbone: 'mobilenetv2', numClasses: 5, widthMultiplier: 0.25, headChannels: 32 }, 64),
      true,
    ],
  ]
  it.each(networks)('%s computes what it did', (_, load, moves) => {
    const arch = load()
    const weights = randomWeights(arch, 1)
    const factors = anyFactors(arch)
    const equal = equalize(arch, weights, factors)
    expect(
      Object.values(factors)
        .flat()
        .some((f) => f !== 1),
    ).toBe(moves)
    expect([...equal].some(([id, tensors]) => tensors !== weights.get(id))).toBe(moves)
    expect(apart(arch, weights, equal)).toBeLessThan(1e-4)
  })

  it('the shipped weights compute what they did, and activations grow by their factors', () => {
    const arch = parseArchitecture(committedJson('models/resnet20-cifar10/arch.json'))
    const weights = bindWeights(arch, readSafetensors(committed('models/resnet20-cifar10/weights.safetensors')))
    const factors = anyFactors(arch)
    const equal = equalize(arch, weights, factors)
    expect(apart(arch, weights, equal)).toBeLessThan(1e-4)
    const input = sampleInput(arch, 3)
    const passes = [weights, equal].map((own) => FloatNetwork.prepare(arch, own, { keep: 'all' }).start(input))
    for (const { id, out } of relus(arch)) {
      const [before, after] = passes.map((pass) => pass.view(id))
      const plane = before.length / out[0]
      const most = before.reduce((size, value) => Math.max(size, value), 0)
      const far = before.reduce((worst, value, i) => {
        return Math.max(worst, Math.abs(after[i] / factors[id][Math.floor(i / plane)] - value))
      }, 0)
      expect(far).toBeLessThan(1e-4 * most)
    }
  })

  it('random networks of every op, under random specs, compute what they did', () => {
    let moved = 0
    for (let seed = 1; seed <= 60; seed++) {
      const { arch, weights, spec, input } = growNetwork(seed, 14, { all: true })
      const factors = anyFactors(arch)
      const equal = equalize(arch, weights, factors)
      if (
        Object.values(factors)
          .flat()
          .some((f) => f !== 1)
      )
        moved++
      // A block's sum of both signs may be a rounding error, and then its sign another.
      const plain: ReluSpec = { ...spec, layers: new Map([...spec.layers].filter(([, relu]) => relu.kind !== 'block')) }
      expect(apart(arch, weights, equal, plain, input()), `seed ${seed}`).toBeLessThan(1e-4)
    }
    expect(moved).toBeGreaterThan(20)
  })
})

describe('channel factors', () => {
  const arch = example('resnet20-cifar10')
  const weights = randomWeights(arch, 2)
  const inputs = [1, 2, 3].map((seed) => sampleInput(arch, seed))
  const measured = (own: Weights) => measureRanges({ arch, weights: own, spec: undefined }, inputs)
  const listed = (factors: number | readonly number[], channels: number) =>
    typeof factors === 'number' ? Array<number>(channels).fill(factors) : factors

  it.each(['layer', 'channel'] as const)(
    'per %s fill a range in one of the layers joined, and none beyond',
    async (per) => {
      const before = await measured(weights)
      const factors = channelFactors(arch, before, { per, limit: 2 ** 10 })
      const after = await measured(equalize(arch, weights, factors))
      const ties = new ChannelTies(arch)
      if (per === 'layer') for (const { id, out } of relus(arch)) ties.joinChannels(id, out[0])
      const filled = new Map<number, number>()
      for (const [id, { channelMax }] of before.layers) {
        const target = 2 ** Math.ceil(Math.log2(Math.max(...channelMax)))
        const own = after.layers.get(id)!.channelMax
        expect(Math.max(...own)).toBeLessThanOrEqual(target)
        own.forEach((most, c) => {
          const at = ties.classOf(id, c)
          filled.set(at, Math.max(filled.get(at) ?? 0, most / target))
        })
      }
      for (const share of filled.values()) expect(share).toBeGreaterThan(0.998)
      const unlike = Object.values(factors).filter((own) => typeof own !== 'number').length
      expect(unlike).toBe(per === 'channel' ? 19 : 0)
    },
  )

  it('with a margin of half a bit leave half a bit', async () => {
    const before = await measured(weights)
    const factors = channelFactors(arch, before, { per: 'channel', margin: 0.5 })
    const equal = equalize(arch, weights, factors)
    const { maxAbs } = await measured(equal)
    const own = { format: 'calibration/1' as const, source: 'x', maxAbs }
    const { plan } = compile(arch, equal, own, undefined, { margin: 0.5 })
    const room = plan.steps
      .filter(({ activation }) => activation)
      .map(({ id, scale }) => 14 - scale - Math.log2(maxAbs[id]))
    expect(Math.min(...room)).toBeGreaterThanOrEqual(0.5)
    expect(room.filter((left) => left < 0.503).length).toBeGreaterThan(9)
  })

  it('stay below their limit, and leave channels alone that were never seen to move', () => {
    const channelMax = Float32Array.from([4, 1, 1 / 64, 0, ...Array(12).fill(8)])
    const sample = { channelMax, counts: new Float64Array(), energy: new Float64Array(), output: 1 }
    const factors = channelFactors(arch, { layers: new Map([['layer1.0.relu_1', sample]]) }, { per: 'channel' })
    const list = listed(factors['layer1.0.relu_1'], 16)
    expect([...list].slice(0, 5).map((factor) => Math.round(factor * 50) / 50)).toEqual([2, 8, 16, 1, 1])
  })

  it('make compile equalise, and fewer signs wrong in the same windows', async () => {
    const digits = parseArchitecture(committedJson('models/mnist-cnn3/arch.json'))
    const tensors = readSafetensors(committed('models/mnist-cnn3/weights.safetensors'))
    const setup = { arch: digits, weights: bindWeights(digits, tensors), spec: undefined }
    const pictures = Array.from({ length: 4 }, (_, digit) => {
      return pictureToInput(decodeImage(committed(`models/samples/digit-${digit}.png`)), digits.inputs[0])
    })
    const before = await measureRanges(setup, pictures)
    const channels = channelFactors(digits, before, { per: 'channel' })
    const after = await measureRanges({ ...setup, weights: equalize(digits, setup.weights, channels) }, pictures)
    const [plain, equal] = [calibrationOf(before, 'x'), { ...calibrationOf(after, 'x'), channels }]
    const far = async (calibration: Calibration, lo: number) => {
      const compiled = compile(digits, setup.weights, calibration, undefined, { lo })
      return (await evaluate(setup, pictures, { compiled })).reference!.maxError
    }
    expect(await far(equal, 0)).toBeLessThan(0.01)
    expect(await far(equal, 9)).toBeLessThan(0.75 * (await far(plain, 9)))
    // The ranges are those of the equalised network only.
    expect(await far(calibrationOf(after, 'x'), 9)).not.toBe(await far(equal, 9))
  })
})

describe('channel factors in a calibration file', () => {
  const arch = example('resnet20-cifar10')
  const weights = randomWeights(arch, 2)
  const file = calibrate(arch, weights, undefined, [sampleInput(arch, 1)])

  it('are read back', () => {
    const channels = anyFactors(arch)
    expect(parseCalibration(JSON.stringify({ ...file, channels }), arch)).toEqual({ ...file, channels })
  })

  it('are checked, all problems at once', () => {
    const good = anyFactors(arch)
    const [stem, first, second] = relus(arch).map(({ id }) => id)
    const channels = {
      [stem]: good[stem].map((f) => f * 2),
      [first]: good[first].slice(1),
      [second]: good[second],
      nobody: [1],
      'layer1.1.relu_1': good['layer1.1.relu_1'].with(3, -1),
    }
    let problems: readonly string[] = []
    try {
      parseCalibration({ ...file, channels }, arch)
    } catch (error) {
      problems = (error as { problems: readonly string[] }).problems
    }
    expect(problems).toHaveLength(4)
    expect(problems[0]).toContain(`channels: "${first}": expected 16 factors, one per channel, got 15`)
    expect(problems[1]).toContain(`which it is joined with, got`)
    expect(problems[1]).toContain('15 more of its channels')
    expect(problems[2]).toContain('"nobody": no activation layer has this id')
    expect(problems[3]).toContain('"layer1.1.relu_1": channel 3: expected a factor from 2^-20 to 2^20, got -1')
    expect(() => equalize(arch, weights, channels)).toThrow(expect.objectContaining({ code: 'BAD_INPUT' }))
  })

  it('cannot move what has to stay', () => {
    const mobile = family('mobilenetv2', { widthMultiplier: 0.35, numClasses: 10 }, 32)
    const [{ id, out }] = relus(mobile)
    const channels = { [id]: Array(out[0]).fill(2) }
    expect(() => equalize(mobile, randomWeights(mobile, 1), channels)).toThrow(/expected 1, which inputs, outputs/)
  })
})
