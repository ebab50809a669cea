// Functions of one value by segment tables, from networks that have them: declared costs are what they take, results are the
// reference's to the bit, and close to the function.
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

/** A convolution, layers over its value `c`, and a linear layer. */
function network(layers: readonly LayerJson[], shape = [2, 4, 3]): Architecture {
  const last = layers[layers.length - 1].id
  return parseArchitecture({
    format: 'arch/1',
    name: 'curved',
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

const of = (op: string, from = 'c', id = op): LayerJson => ({ id, op, in: [from] })
const times = (id: string, ...factors: string[]): LayerJson => ({ id, op: 'multiply', in: factors })
const affine = (id: string, from: string, factor: number, offset = 0): LayerJson => {
  return { id, op: 'affine', in: [from], factor, offset }
}

const CURVES: Readonly<Record<string, readonly LayerJson[]>> = {
  sigmoid: [of('sigmoid')],
  tanh: [of('tanh')],
  softplus: [of('softplus')],
  SiLU: [of('sigmoid'), times('silu', 'c', 'sigmoid')],
  GELU: [affine('r', 'c', Math.SQRT1_2), of('erf', 'r'), affine('half', 'erf', 0.5, 0.5), times('gelu', 'half', 'c')],
  Mish: [of('softplus'), of('tanh', 'softplus'), times('mish', 'c', 'tanh')],
  'a sigmoid behind a ReLU that others read': [
    of('relu'),
    of('sigmoid', 'relu'),
    { id: 'sum', op: 'add', in: ['relu', 'sigmoid'] },
    { id: 'cat', op: 'concat', in: ['sum', 'relu'], axis: 0 },
  ],
  'a gate of one value for another': [
    of('sigmoid'),
    { id: 'd', op: 'conv2d', in: ['x'], cout: 4, kernel: [1, 1] },
    times('gated', 'd', 'sigmoid'),
  ],
  'a squeeze whose gate is a sigmoid': [
    { id: 'mean', op: 'globalAvgPool', in: ['c'] },
    { id: 'fc1', op: 'conv2d', in: ['mean'], cout: 4, kernel: [1, 1] },
    of('sigmoid', 'fc1'),
    times('gated', 'c', 'sigmoid'),
  ],
}

function made(arch: Architecture, options: CompileOptions<'mcc'> = {}) {
  const weights = randomWeights(arch, 5)
  const inputs = [1, 2, 3].map((seed) => sampleInput(arch, seed))
  const compiled = compile(arch, weights, calibrate(arch, weights, undefined, inputs), undefined, options)
  const { scale, bits } = compiled.plan.input
  const float = FloatNetwork.prepare(arch, weights)
  const exact = float.run(inputs)
  float.release()
  return { compiled, exact, words: inputs.map((input) => encodeFixed(input, scale, bits)) }
}

describe('a function of one value', () => {
  it.each(Object.entries(CURVES))('is what it costs, and the reference has its bits: %s', async (_, layers) => {
    const { compiled, words, exact } = made(network(layers))
    const { logits } = await run(compiled, words[0])
    const largest = Math.max(1, ...exact[0].map(Math.abs))
    logits.forEach((value, i) => {
      expect(Math.abs(value - exact[0][i])).toBeLessThan(0.01 * largest)
    })
  })

  it.each([{ ring: 24, bits: 12 }, { bits: 20 }, { rounds: 20 }, { lo: 3 }] as const)(
    'runs with other numbers: %o',
    async (options) => {
      const { compiled, words } = made(network(CURVES.SiLU), options)
      await run(compiled, words[1])
    },
  )

  it('takes one step and one round trip, of as many bytes as an opened value and a word', () => {
    const { compiled } = made(network(CURVES.GELU))
    const { steps } = planCost(planLayout(compiled.plan as MccPlan))
    const curve = steps.find(({ id }) => id === 'gelu')!
    const elements = 4 * 4 * 3
    expect(steps.length).toBe(2)
    expect(curve.flights).toBe(2)
    expect(curve.online).toEqual({ down: 2 * elements, up: 4 * elements })
    const { segments, drop, polynomials } = compiled.plan.steps[0].activation!.curve!
    const table = 2 ** segments * polynomials[0].length * (32 + drop)
    expect(curve.offline.helperToServer).toBe(4 * elements + (elements * table) / 8)
  })

  it('is walked in pieces, which end anywhere', async () => {
    const { compiled, words } = made(network(CURVES.tanh, [2, 20, 21]))
    await run(compiled, words[2])
  })

  it('is exact to the bit where values leave their range, and counted', async () => {
    const { compiled, words } = made(network(CURVES.SiLU), { margin: 0 })
    const { bits } = compiled.plan.input
    const far = words[0].map((word) => Math.max(1 - 2 ** (bits - 1), Math.min(2 ** (bits - 1) - 1, 40 * word)))
    const { reference } = await run(compiled, far)
    expect(reference.overflows).toBeGreaterThan(0)
  })

  it('is refused by name where there is no gadget for it', () => {
    const arch = network(CURVES.SiLU)
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
    expect(problems({ backend: 'securenn' })).toEqual(['UNSUPPORTED', 'layer "silu": multiply of a private value'])
    expect(problems({ guard: {} }).join('\n')).toMatch(/^UNSUPPORTED\nsilu: functions by segment tables have no guard/)
  })
})
