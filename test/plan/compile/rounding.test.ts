// Weights behind large averages keep their size, on both back ends; what loses too much is named or refused.
import { describe, expect, it } from 'vitest'
import { FloatNetwork } from '../../../src/float/network.js'
import { type Architecture, parseArchitecture } from '../../../src/model/architecture.js'
import type { Weights } from '../../../src/model/weights.js'
import { localParties } from '../../../src/party/local/parties.js'
import { type Calibration, calibrate } from '../../../src/plan/calibrate.js'
import { type Compiled, compile } from '../../../src/plan/compile/compile.js'
import { coarseNotes, lostShare, MOST_LOST, rounded } from '../../../src/plan/compile/rounding.js'
import { type Backend, outputFraction } from '../../../src/plan/plan.js'
import { runReference } from '../../../src/plan/reference/reference.js'
import { decodeFixed, encodeFixed } from '../../../src/ring/codec.js'
import { randomWeights } from '../../fixtures/networks.js'

const BACKENDS: readonly Backend[] = ['mcc', 'securenn']

/** Features, an average over all of a map, and a head. */
function headBehindPool(side: number, layers: object[] = []): Architecture {
  return parseArchitecture({
    format: 'arch/1',
    name: 'head-behind-pool',
    inputs: [{ name: 'x', shape: [1, side, side] }],
    outputs: ['fc'],
    layers: [
      { id: 'conv', op: 'conv2d', in: ['x'], cout: 16, kernel: [3, 3], pad: [1, 1, 1, 1] },
      { id: 'relu', op: 'relu', in: ['conv'] },
      { id: 'pool', op: 'globalAvgPool', in: ['relu'] },
      ...layers,
      { id: 'flat', op: 'flatten', in: [layers.length > 0 ? 'cat' : 'pool'] },
      { id: 'fc', op: 'linear', in: ['flat'], cout: 10 },
    ],
  })
}

it('words are 16 bits wide where all fit, wherever the first is that does not', () => {
  const values = Array.from({ length: 5 }, (_, i) => (i - 2) * 1000.4)
  expect(rounded(values, 1).words).toEqual(Int16Array.of(-2001, -1000, 0, 1000, 2001))
  for (const at of values.keys()) {
    for (const wide of [32768, -32769, 2 ** 31 - 1]) {
      const some = values.map((value, i) => (i === at ? wide : value))
      expect(rounded(some, 1).words).toEqual(Int32Array.from(some, Math.round))
    }
  }
})

/** Pictures that differ in where they are bright and how finely they vary. */
const pictures = (side: number, count: number): Float32Array[] =>
  Array.from({ length: count }, (_, n) =>
    Float32Array.from({ length: side * side }, (_, i) => {
      const [y, x] = [Math.floor(i / side) / side, (i % side) / side]
      return Math.sin((3 + 5 * n) * x + n) * Math.cos((2 + 7 * n) * y) + 0.3 * Math.sin(40 * x * y * (n + 1))
    }),
  )

const calibrated = (
  arch: Architecture,
  weights: Weights,
  inputs: readonly Float32Array[],
  backend: Backend,
): Compiled => compile(arch, weights, calibrate(arch, weights, undefined, inputs), undefined, { backend })

function fixedLogits({ plan, model }: Compiled, input: Float32Array): number[] {
  const { output, overflows } = runReference(plan, model, encodeFixed(input, plan.input.scale, plan.input.bits))
  expect(overflows).toBe(0)
  const scale = plan.backend === 'mcc' ? plan.steps[plan.steps.length - 1].scale : outputFraction(plan)
  return [...decodeFixed(output, scale)]
}

/** The largest distance by the largest logit. */
function apart(found: ArrayLike<number>, expected: Float32Array): number {
  const most = Math.max(...expected.map(Math.abs))
  return Math.max(...expected.map((value, i) => Math.abs(value - found[i]))) / most
}

const zeros = ({ plan, model }: Compiled, layer: string): number => {
  const found = plan.steps.flatMap(({ linear }, step) =>
    linear.flatMap((op, i) => (op.op === 'conv' && op.layer === layer ? [model.weights.get(`${step}.${i}`)!] : [])),
  )
  expect(found).toHaveLength(1)
  return found[0].filter((word) => word === 0).length
}

describe.each(BACKENDS)('a head behind an average over 96×96 values, on %s', (backend) => {
  const side = 96
  const arch = headBehindPool(side)
  const weights = randomWeights(arch, 7)
  const inputs = pictures(side, 4)
  const compiled = calibrated(arch, weights, inputs, backend)
  const float = FloatNetwork.prepare(arch, weights).run(inputs)

  it('keeps its weights: the average ends a step of its own', () => {
    expect(compiled.coarse).toBeUndefined()
    expect(zeros(compiled, 'fc')).toBeLessThan(2)
    expect(compiled.plan.steps.map(({ id }) => id)).toEqual(['relu', 'pool', 'fc'])
  })

  it('answers as float does', () => {
    inputs.forEach((input, i) => {
      const found = fixedLogits(compiled, input)
      expect(apart(found, float[i])).toBeLessThan(0.01)
      expect(found.indexOf(Math.max(...found))).toBe(float[i].indexOf(Math.max(...float[i])))
    })
  })

  it('runs privately as the integer reference does', async () => {
    const { plan, model } = compiled
    const parties = await localParties(compiled, {})
    try {
      const result = await parties.client.run(inputs[1])
      const words = encodeFixed(inputs[1], plan.input.scale, plan.input.bits)
      expect([...result.raw]).toEqual([...runReference(plan, model, words, parties.masks(result.inference)).output])
    } finally {
      await parties.release()
    }
  })
})

describe.each(BACKENDS)('on %s', (backend) => {
  it('a small average costs no step', () => {
    const arch = headBehindPool(8)
    const compiled = calibrated(arch, randomWeights(arch, 7), pictures(8, 2), backend)
    expect(compiled.plan.steps.map(({ id }) => id)).toEqual(['relu', 'fc'])
  })

  it('averages that are joined keep the weights that read both', () => {
    const arch = headBehindPool(96, [
      { id: 'conv2', op: 'conv2d', in: ['relu'], cout: 8, kernel: [1, 1] },
      { id: 'relu2', op: 'relu', in: ['conv2'] },
      { id: 'pool2', op: 'globalAvgPool', in: ['relu2'] },
      { id: 'cat', op: 'concat', in: ['pool', 'pool2'] },
    ])
    const weights = randomWeights(arch, 3)
    const inputs = pictures(96, 2)
    const compiled = calibrated(arch, weights, inputs, backend)
    expect(compiled.coarse).toBeUndefined()
    const float = FloatNetwork.prepare(arch, weights).run(inputs)
    inputs.forEach((input, i) => {
      expect(apart(fixedLogits(compiled, input), float[i])).toBeLessThan(0.02)
    })
  })

  it('an older calibration, without the range of the average, is enough', () => {
    const arch = headBehindPool(96)
    const weights = randomWeights(arch, 7)
    const inputs = pictures(96, 2)
    const { maxAbs, ...rest } = calibrate(arch, weights, undefined, inputs)
    const { pool, ...older } = maxAbs
    expect(pool).toBeGreaterThan(0)
    const calibration: Calibration = { ...rest, maxAbs: older }
    const compiled = compile(arch, weights, calibration, undefined, { backend })
    const float = FloatNetwork.prepare(arch, weights).run(inputs)
    inputs.forEach((input, i) => {
      expect(apart(fixedLogits(compiled, input), float[i])).toBeLessThan(0.03)
    })
  })
})

describe('weights that lose too much', () => {
  const arch = parseArchitecture({
    format: 'arch/1',
    name: 'wide-output',
    inputs: [{ name: 'x', shape: [4, 1, 1] }],
    outputs: ['fc'],
    layers: [
      { id: 'conv', op: 'conv2d', in: ['x'], cout: 4, kernel: [1, 1] },
      { id: 'relu', op: 'relu', in: ['conv'] },
      { id: 'flat', op: 'flatten', in: ['relu'] },
      { id: 'fc', op: 'linear', in: ['flat'], cout: 2 },
    ],
  })
  const weights = randomWeights(arch, 5)
  /** As if the relu's values were this much larger than its inputs can make them. */
  const withRange = (relu: number): Calibration => ({
    format: 'calibration/1',
    source: 'test',
    maxAbs: { input: 2 ** -4, relu, fc: 1 },
  })

  it('are named, with their share', () => {
    const { coarse = [] } = compile(arch, weights, withRange(2 ** 10))
    expect(coarse.map(({ layer }) => layer)).toEqual(['conv'])
    expect(coarse[0].lost).toBeGreaterThan(MOST_LOST)
    expect(coarseNotes(coarse)).toEqual([
      expect.stringMatching(
        /^rounding to integers changes the weights of conv by [\d.]+ %: answers may differ from float's$/,
      ),
    ])
    const five = ['a', 'b', 'c', 'd', 'e'].map((layer) => ({ layer, lost: 0.5 }))
    expect(coarseNotes(five)[0]).toContain('a by 50 %, b by 50 %, c by 50 %, and 2 more layers')
    expect(coarseNotes(undefined)).toEqual([])
  })

  it('are counted by their squares', () => {
    expect(lostShare([1, -2, 3], 1)).toBe(0)
    expect(lostShare([0.25, 0.25], 1)).toBe(1)
    expect(lostShare([0.75, -0.75], 1)).toBeCloseTo(1 / 3)
    expect(lostShare([0, 0], 4)).toBe(0)
  })
})
