// Factors per channel: the network stays the function it was, and what would change it is refused.
import { describe, expect, it } from 'vitest'
import { randomWeights } from '../../bench/networks.js'
import { sampleInput } from '../../bench/workloads.js'
import { FloatNetwork } from '../../src/float/network.js'
import { type Architecture, parseArchitecture } from '../../src/model/architecture.js'
import { isActivation } from '../../src/model/layers.js'
import type { ReluSpec } from '../../src/model/relu-spec.js'
import { readSafetensors } from '../../src/model/safetensors.js'
import { asMap } from '../../src/model/shape.js'
import { bindWeights, type Weights } from '../../src/model/weights.js'
import { calibrate, parseCalibration } from '../../src/plan/calibrate.js'
import { ChannelTies } from '../../src/plan/channel-ties.js'
import { type ChannelFactors, equalize, fillingFactors } from '../../src/plan/equalize.js'
import { committed, committedJson } from '../model/reference-files.js'
import { growNetwork } from '../protocol/zoo.js'

const example = (name: string) => parseArchitecture(committedJson(`test/vectors/examples/${name}.arch.json`))
const family = (family: string, params: object, size: number) =>
  parseArchitecture({ format: 'arch/1', name: family, family, params, inputs: [{ shape: [3, size, size] }] })
const relus = (arch: Architecture) => arch.layers.filter(isActivation)

/** Another factor for every class of channels, from 1/16 to 16. */
function anyFactors(arch: Architecture): ChannelFactors {
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

describe('filling factors', () => {
  const arch = example('resnet20-cifar10')
  const weights = randomWeights(arch, 2)
  const inputs = [1, 2, 3].map((seed) => sampleInput(arch, seed))

  function channelMax(own: Weights): Map<string, Float32Array> {
    const most = new Map(relus(arch).map(({ id, out }) => [id, new Float32Array(out[0])]))
    const network = FloatNetwork.prepare(arch, own, { keep: 'all' })
    for (const input of inputs) {
      const pass = network.start(input)
      for (const layer of relus(arch)) {
        const values = pass.view(layer.in[0])
        const list = most.get(layer.id)!
        values.forEach((value, i) => {
          const c = Math.floor((i * list.length) / values.length)
          list[c] = Math.max(list[c], Math.abs(value))
        })
      }
      pass.release()
    }
    return most
  }

  it('bring every channel to the target in one of the layers it is joined with, and none beyond', () => {
    const before = channelMax(weights)
    const targets = [...before].map(([id, most]) => [id, { most, target: 2 * Math.max(...most) }] as const)
    const factors = fillingFactors(arch, new Map(targets), 2 ** 10)
    const after = channelMax(equalize(arch, weights, factors))
    const ties = new ChannelTies(arch)
    const filled = new Map<number, number>()
    for (const [id, { target }] of targets) {
      after.get(id)!.forEach((most, c) => {
        expect(most / target).toBeLessThan(1.001)
        const at = ties.classOf(id, c)
        filled.set(at, Math.max(filled.get(at) ?? 0, most / target))
      })
    }
    for (const share of filled.values()) expect(share).toBeGreaterThan(0.999)
  })

  it('stay below their limit, and leave channels alone that were never seen to move', () => {
    const ranges = new Map([['layer1.0.relu_1', { most: [4, 1, 1 / 64, 0, ...Array(12).fill(8)], target: 8 }]])
    const factors = fillingFactors(arch, ranges, 16)
    expect(factors['layer1.0.relu_1'].slice(0, 5)).toEqual([2, 8, 16, 1, 1])
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
