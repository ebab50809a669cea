// Products of two private values in one round trip, from networks that have them: declared costs are what they take, and
// results are the reference's to the bit.
import { describe, expect, it } from 'vitest'
import { FloatNetwork } from '../../../../src/float/network.js'
import { type Architecture, parseArchitecture } from '../../../../src/model/architecture.js'
import { calibrate } from '../../../../src/plan/calibrate.js'
import { type CompileOptions, compile } from '../../../../src/plan/compile/compile.js'
import type { MccPlan } from '../../../../src/plan/plan.js'
import { planLayout } from '../../../../src/protocol/layout.js'
import { planCost } from '../../../../src/protocol/mcc/cost.js'
import { encodeFixed } from '../../../../src/ring/codec.js'
import { randomWeights } from '../../../fixtures/networks.js'
import { sampleInput } from '../../../fixtures/workloads.js'
import { run } from '../metered-gadget.js'

type LayerJson = Readonly<Record<string, unknown>>

function network(shape: readonly number[], layers: readonly LayerJson[]): Architecture {
  const outputs = [layers[layers.length - 1].id]
  const inputs = [{ name: 'x', shape }]
  return parseArchitecture({ format: 'arch/1', name: 'gated', inputs, outputs, layers, weights: { layout: 'torch' } })
}

const conv = (id: string, from: string, cout: number, kernel = 1): LayerJson => {
  const pad = Math.floor(kernel / 2)
  return { id, op: 'conv2d', in: [from], cout, kernel: [kernel, kernel], pad: [pad, pad, pad, pad] }
}
const end = (from: string): LayerJson[] => [
  { id: 'flat', op: 'flatten', in: [from] },
  { id: 'fc', op: 'linear', in: ['flat'], cout: 3 },
]

/** A squeeze and its excitation: a gate per channel, a hard sigmoid of two linear maps of the channels' means. */
const gate = (id: string, of: string, channels: number): LayerJson[] => [
  { id: `${id}.mean`, op: 'globalAvgPool', in: [of] },
  conv(`${id}.fc1`, `${id}.mean`, 2),
  { id: `${id}.relu`, op: 'relu', in: [`${id}.fc1`] },
  conv(`${id}.fc2`, `${id}.relu`, channels),
  { id: `${id}.sixth`, op: 'affine', in: [`${id}.fc2`], factor: 1 / 6, offset: 0.5 },
  { id: `${id}.hard`, op: 'clip', in: [`${id}.sixth`], min: 0, max: 1 },
  { id, op: 'multiply', in: [of, `${id}.hard`] },
]
const squeezeExcite = () =>
  network(
    [2, 6, 5],
    [conv('c1', 'x', 4, 3), { id: 'r1', op: 'relu', in: ['c1'] }, ...gate('se', 'r1', 4), ...end('se')],
  )

const NETWORKS: Readonly<Record<string, () => Architecture>> = {
  'a squeeze-excite block': squeezeExcite,
  'hard-swish, a value times what it is cut to': () =>
    network(
      [2, 4, 4],
      [
        conv('c1', 'x', 3),
        { id: 'sixth', op: 'affine', in: ['c1'], factor: 1 / 6, offset: 0.5 },
        { id: 'cut', op: 'clip', in: ['sixth'], min: 0, max: 1 },
        { id: 'swish', op: 'multiply', in: ['cut', 'c1'] },
        ...end('swish'),
      ],
    ),
  'a square of the input': () =>
    network([2, 3, 3], [{ id: 'square', op: 'multiply', in: ['x', 'x'] }, ...end('square')]),
  'a gate per pixel': () =>
    network([3, 4, 2], [conv('g', 'x', 1), { id: 'gated', op: 'multiply', in: ['g', 'x'] }, ...end('gated')]),
  'one gate for everything, and two gated halves in one wave': () =>
    network(
      [2, 4, 2],
      [
        conv('c1', 'x', 2),
        { id: 'r1', op: 'relu', in: ['c1'] },
        { id: 'mean', op: 'globalAvgPool', in: ['r1'] },
        conv('one', 'mean', 1),
        { id: 'a', op: 'multiply', in: ['r1', 'one'] },
        { id: 'b', op: 'multiply', in: ['r1', 'x'] },
        { id: 'sum', op: 'add', in: ['a', 'b'] },
        ...end('sum'),
      ],
    ),
  vectors: () =>
    network(
      [6],
      [
        { id: 'a', op: 'linear', in: ['x'], cout: 5 },
        { id: 'b', op: 'linear', in: ['x'], cout: 5 },
        { id: 'ab', op: 'multiply', in: ['a', 'b'] },
        { id: 'fc', op: 'linear', in: ['ab'], cout: 3 },
      ],
    ),
}

function made(arch: Architecture, options: CompileOptions<'mcc'> = {}) {
  const weights = randomWeights(arch, 5)
  const inputs = [1, 2, 3].map((seed) => sampleInput(arch, seed))
  const compiled = compile(arch, weights, calibrate(arch, weights, undefined, inputs), undefined, options)
  const { scale, bits } = compiled.plan.input
  const float = FloatNetwork.prepare(arch, weights)
  const exact = float.run(inputs)
  float.release()
  return { compiled, inputs, exact, words: inputs.map((input) => encodeFixed(input, scale, bits)) }
}

describe('a product', () => {
  it.each(Object.entries(NETWORKS))('is what it costs, and the reference has its bits: %s', async (_, arch) => {
    const { compiled, words, exact } = made(arch())
    const { logits } = await run(compiled, words[0])
    const largest = Math.max(...exact[0].map(Math.abs))
    logits.forEach((value, i) => {
      expect(Math.abs(value - exact[0][i])).toBeLessThan(0.01 * Math.max(1, largest))
    })
  })

  it.each([{ ring: 24, bits: 10 }, { bits: 12 }, { bits: 20 }, { rounds: 20 }] as const)(
    'runs with other numbers: %o',
    async (options) => {
      const { compiled, words } = made(squeezeExcite(), options)
      await run(compiled, words[1])
    },
  )

  it('is exact to the bit where factors leave their range, and counted', async () => {
    const { compiled, words } = made(NETWORKS['hard-swish, a value times what it is cut to']())
    const far = words[0].map((word) => Math.max(-32767, Math.min(32767, 5 * word)))
    const { reference } = await run(compiled, far)
    expect(reference.overflows).toBeGreaterThan(0)
  })

  it('takes one round trip, and of one gate per channel as many bytes as the gates have', () => {
    const { compiled } = made(squeezeExcite())
    const { steps } = planCost(planLayout(compiled.plan as MccPlan))
    const product = steps.find(({ id }) => id === 'se')!
    const [elements, channels] = [4 * 6 * 5, 4]
    expect(product.flights).toBe(2)
    expect(product.online).toEqual({ down: 2 * (elements + channels), up: 4 * elements })
    expect(product.offline.clientUp).toBe(0)
    expect(product.values).toBe(elements + channels)
    const { truncate } = compiled.plan.steps.find(({ id }) => id === 'se')!.product!
    const width = 32 + truncate
    const perElement = width + 4 * (width - 16) + Math.max(0, width - 32)
    const bits = elements * perElement + channels * 2 * (width - 16)
    expect(Math.abs(product.offline.helperToServer - bits / 8)).toBeLessThan(16)
  })

  it('is refused by name where there is no gadget for it', () => {
    const arch = squeezeExcite()
    const weights = randomWeights(arch, 5)
    const calibration = calibrate(arch, weights, undefined, [sampleInput(arch, 1)])
    const problems = (options: CompileOptions): readonly string[] => {
      try {
        compile(arch, weights, calibration, undefined, options)
      } catch (error) {
        const { code, problems } = error as { code: string; problems: readonly string[] }
        return [code, ...problems]
      }
      return []
    }
    expect(problems({ backend: 'securenn' })).toEqual(['UNSUPPORTED', 'layer "se": multiply of two private values'])
    expect(problems({ guard: {} }).join('\n')).toMatch(/^UNSUPPORTED\nse: products of two private values have no guard/)
  })
})
