// Hard-swish and its like as one step, from networks that write them in every form: declared costs are what they take, results
// are the reference's to the bit, and close to the function.
import { describe, expect, it } from 'vitest'
import { FloatNetwork } from '../../../../src/float/network.js'
import { type Architecture, parseArchitecture } from '../../../../src/model/architecture.js'
import { calibrate } from '../../../../src/plan/calibrate.js'
import { checkPlan } from '../../../../src/plan/check.js'
import { type CompileOptions, compile } from '../../../../src/plan/compile/compile.js'
import type { MccPlan } from '../../../../src/plan/plan.js'
import { planLayout } from '../../../../src/protocol/layout.js'
import { planCost } from '../../../../src/protocol/mcc/cost.js'
import { encodeFixed } from '../../../../src/ring/codec.js'
import { randomWeights } from '../../../fixtures/networks.js'
import { sampleInput } from '../../../fixtures/workloads.js'
import { run } from '../metered-gadget.js'

type LayerJson = Readonly<Record<string, unknown>>

/** A convolution, layers over its value `c`, and a linear layer. */
function network(layers: readonly LayerJson[], shape = [2, 4, 3]): Architecture {
  const last = layers[layers.length - 1].id
  return parseArchitecture({
    format: 'arch/1',
    name: 'swished',
    inputs: [{ name: 'x', shape }],
    outputs: ['fc'],
    layers: [
      { id: 'c', op: 'conv2d', in: ['x'], cout: 4, kernel: [1, 1] },
      ...layers,
      { id: 'flat', op: 'flatten', in: [last] },
      { id: 'fc', op: 'linear', in: ['flat'], cout: 3 },
    ],
    weights: { layout: 'torch' },
  })
}

const times = (id: string, ...factors: string[]): LayerJson => ({ id, op: 'multiply', in: factors })
const affine = (id: string, from: string, factor: number, offset = 0): LayerJson => {
  return { id, op: 'affine', in: [from], factor, offset }
}
const clip = (id: string, from: string, min: number, max: number): LayerJson => ({
  id,
  op: 'clip',
  in: [from],
  min,
  max,
})
const hardSigmoid = (id: string, from: string): LayerJson[] => [
  affine(`${id}.a`, from, 0.1666666716337204, 0.5),
  clip(id, `${id}.a`, 0, 1),
]
const hardSwish = (id: string, from: string): LayerJson[] => [
  ...hardSigmoid(`${id}.g`, from),
  times(id, from, `${id}.g`),
]

const FORMS: Readonly<Record<string, readonly LayerJson[]>> = {
  'x·hardSigmoid(x)': hardSwish('y', 'c'),
  'x·(clip(x + 3, 0, 6)/6)': [
    affine('a', 'c', 1, 3),
    clip('b', 'a', 0, 6),
    affine('d', 'b', 1 / 6),
    times('y', 'd', 'c'),
  ],
  'x·clip(x + 3, 0, 6)/6': [
    affine('a', 'c', 1, 3),
    clip('b', 'a', 0, 6),
    times('m', 'c', 'b'),
    affine('y', 'm', 1 / 6),
  ],
  'a square of a ReLU': [{ id: 'r', op: 'relu', in: ['c'] }, times('y', 'r', 'r')],
  'another ramp': [affine('a', 'c', 2, 1), clip('b', 'a', 0, 5), times('y', 'b', 'c')],
}

const NETWORKS: Readonly<Record<string, readonly LayerJson[]>> = {
  ...FORMS,
  'two behind one another, of many readers': [
    ...hardSwish('one', 'c'),
    { id: 'd', op: 'conv2d', in: ['one'], cout: 4, kernel: [1, 1] },
    ...hardSwish('two', 'd'),
    { id: 'sum', op: 'add', in: ['one', 'two', 'd'] },
    { id: 'cat', op: 'concat', in: ['sum', 'one', 'two'], axis: 0 },
  ],
  'a squeeze of one': [
    ...hardSwish('one', 'c'),
    { id: 'mean', op: 'globalAvgPool', in: ['one'] },
    { id: 'fc1', op: 'conv2d', in: ['mean'], cout: 4, kernel: [1, 1] },
    ...hardSigmoid('gate', 'fc1'),
    times('gated', 'one', 'gate'),
  ],
  'a maximum of one': [
    ...hardSwish('one', 'c'),
    { id: 'pooled', op: 'maxPool', in: ['one'], kernel: [2, 2], stride: [1, 1], pad: [0, 0, 0, 0] },
  ],
  'of the input itself': [...hardSwish('one', 'x'), { id: 'd', op: 'conv2d', in: ['one'], cout: 4, kernel: [1, 1] }],
}

function made(arch: Architecture, options: CompileOptions<'mcc'> = {}) {
  const weights = randomWeights(arch, 5)
  // Beyond both bends.
  const inputs = [1, 2, 3].map((seed) => sampleInput(arch, seed).map((x) => 6 * x))
  const compiled = compile(arch, weights, calibrate(arch, weights, undefined, inputs), undefined, options)
  const { scale, bits } = compiled.plan.input
  const float = FloatNetwork.prepare(arch, weights)
  const exact = float.run(inputs)
  float.release()
  return { compiled, exact, words: inputs.map((input) => encodeFixed(input, scale, bits)) }
}

const selects = ({ steps }: MccPlan) => steps.filter(({ activation }) => activation?.quadratic)

describe('a quadratic select', () => {
  it.each(Object.entries(NETWORKS))('is what it costs, and the reference has its bits: %s', async (_, layers) => {
    const { compiled, words, exact } = made(network(layers))
    expect(selects(compiled.plan).length).toBeGreaterThan(0)
    const { logits } = await run(compiled, words[0])
    const largest = Math.max(1, ...exact[0].map(Math.abs))
    logits.forEach((value, i) => {
      expect(Math.abs(value - exact[0][i])).toBeLessThan(0.01 * largest)
    })
  })

  it.each(Object.entries(FORMS))('is one step, the network two: %s', (_, layers) => {
    const { compiled } = made(network(layers))
    expect(compiled.plan.steps.length).toBe(2)
    expect(checkPlan(compiled.plan)).toEqual(compiled.plan)
  })

  it.each([{ ring: 24, bits: 12 }, { bits: 20 }, { rounds: 20 }, { lo: 3 }, { chunks: 3 }] as const)(
    'runs with other numbers: %o',
    async (options) => {
      const { compiled, words } = made(network(FORMS['x·hardSigmoid(x)']), options)
      expect(selects(compiled.plan)[0].activation!.lo).toBe(0)
      await run(compiled, words[1])
    },
  )

  it('takes 12 bytes a value on line and one round trip', () => {
    const { compiled } = made(network(FORMS['x·hardSigmoid(x)']))
    const { steps } = planCost(planLayout(compiled.plan))
    const values = 4 * 4 * 3
    const { drop, polynomials } = selects(compiled.plan)[0].activation!.quadratic!
    expect(drop).toBeLessThanOrEqual(14)
    expect(polynomials[0]).toEqual([0, -polynomials[1][1]])
    expect(steps[0].flights).toBe(2)
    expect(steps[0].online.down).toBe((values * (16 + 2 * 16)) / 8)
    expect(steps[0].online.up).toBe((values * (32 + drop + 2)) / 8)
    const width = 32 + drop
    const words = 2 * (width - 16) + width + (width - 17) + 2 * (3 * width + (width - 16) + (width - 17))
    expect(steps[0].offline.helperToServer).toBe(values * (4 + 60) + (values * words) / 8)
  })

  it('is exact to the bit where values leave their range, and counted', async () => {
    const { compiled, words } = made(network(FORMS['x·hardSigmoid(x)']), { margin: 0 })
    const { bits } = compiled.plan.input
    const far = words[0].map((word) => Math.max(1 - 2 ** (bits - 1), Math.min(2 ** (bits - 1) - 1, 40 * word)))
    const { reference } = await run(compiled, far)
    expect(reference.overflows).toBeGreaterThan(0)
  })

  it('is a clip and a product where more bits are opened than its step takes', async () => {
    const { compiled, words } = made(network(FORMS['x·hardSigmoid(x)']), { bits: 24 })
    expect(selects(compiled.plan)).toEqual([])
    expect(compiled.plan.steps.length).toBe(4)
    await run(compiled, words[0])
  })

  it('is refused by name where products are: on securenn, and with a guard', () => {
    const arch = network(FORMS['x·hardSigmoid(x)'])
    const weights = randomWeights(arch, 5)
    const calibration = calibrate(arch, weights, undefined, [sampleInput(arch, 1)])
    expect(() => compile(arch, weights, calibration, undefined, { guard: {} })).toThrow(
      /this network cannot be guarded/,
    )
    expect(() => compile(arch, weights, calibration, undefined, { backend: 'securenn' })).toThrow(/use mcc/)
  })
})
