// Wins, and labels that are found by them: declared costs are what they take, results are those of whole numbers to the bit, ties
// and the ends of the range among them.
import { describe, expect, it } from 'vitest'
import { type Architecture, parseArchitecture } from '../../../../src/model/architecture.js'
import type { Weights } from '../../../../src/model/weights.js'
import { calibrate } from '../../../../src/plan/calibrate.js'
import { checkPlan } from '../../../../src/plan/check.js'
import { type Compiled, type CompileOptions, compile } from '../../../../src/plan/compile/compile.js'
import { elementCount, type MapShape, type MccPlan } from '../../../../src/plan/plan.js'
import { planLayout } from '../../../../src/protocol/layout.js'
import { planCost } from '../../../../src/protocol/mcc/cost.js'
import { encodeFixed } from '../../../../src/ring/codec.js'
import { runReference } from '../../../../src/testing.js'
import { randomWeights } from '../../../fixtures/networks.js'
import { sampleInput } from '../../../fixtures/workloads.js'
import { drawFrom, openedValue, perChannel, whole } from '../gadget-plan.js'
import { run } from '../metered-gadget.js'

interface Gadget {
  readonly ring: number
  readonly bits: number
  readonly truncate: number
  readonly shape: MapShape
}

/** y = x + bias, its wins, and these as the network's output. */
function winsPlan({ ring, bits, truncate, shape }: Gadget, bias: Int32Array): Compiled<MccPlan> {
  const chunks = Array.from({ length: bits / 4 }, () => 4)
  const activation = { ...{ truncate, bits, lo: 0, chunks }, relu: { kind: 'relu' }, wins: true }
  const plan = checkPlan({
    ...{ format: 'plan/1', backend: 'mcc', network: 'gadget', ring, rounds: 12, labels: [] },
    input: { shape, scale: 0, bits: 20, preprocess: { scale: 1, mean: [0], std: [1] } },
    steps: [
      {
        ...{ id: 'y', out: shape, scale: 0, activation },
        linear: [
          { op: 'tensor', tensor: 0, out: shape },
          { op: 'conv', of: 0, layer: 'y', geometry: perChannel(shape), scale: 0, out: shape },
        ],
      },
      {
        ...{ id: 'z', out: shape, scale: 0, activation: null },
        linear: [
          { op: 'tensor', tensor: 1, out: shape },
          { op: 'lift', of: 0, factor: 1, out: shape },
        ],
      },
    ],
  }) as MccPlan
  const weights = new Map([['0.1', new Int32Array(shape[0]).fill(1)]])
  return { plan, model: { weights, bias: [bias, new Int32Array(elementCount(shape))] } }
}

describe('wins', () => {
  it.each([
    { ring: 32, bits: 16, truncate: 5, shape: [10, 1, 1] },
    { ring: 24, bits: 12, truncate: 0, shape: [7, 2, 3] },
    { ring: 32, bits: 16, truncate: 3, shape: [2, 3, 1] },
    { ring: 28, bits: 20, truncate: 1, shape: [17, 1, 1] },
  ] as Gadget[])('equal those of whole numbers: %o', async (gadget) => {
    const { ring, bits, truncate, shape } = gadget
    const draw = drawFrom(bits)
    // Values anywhere within their range: only signs of differences are read. Many are equal.
    const limit = 2 ** (bits - 2)
    const near = [limit - 1, 1 - limit, 0, 0, 1]
    const y = Array.from({ length: elementCount(shape) }, (_, i) => {
      const value = i % 3 ? near[whole(draw, 0, near.length - 1)] : whole(draw, 1 - limit, limit - 1)
      return value * 2 ** truncate + whole(draw, 0, 2 ** truncate - 1)
    })
    const x = Int32Array.from(y, () => whole(draw, -(2 ** 19) + 1, 2 ** 19 - 1))
    const compiled = winsPlan(
      gadget,
      Int32Array.from(y, (value, i) => value - x[i]),
    )
    const { raw, masks } = await run(compiled, x)
    const [m, a] = [masks.output(0), masks.opening(0)]
    const numbers = { ring, bits } as Parameters<typeof openedValue>[3]
    const v = y.map((value, i) => openedValue(BigInt(value), BigInt(m[i]), a[i], numbers, truncate).v)
    const [channels, h, w] = shape
    const plane = h * w
    const expected = v.map((mine, at) => {
      const [i, place] = [Math.floor(at / plane), at % plane]
      let wins = 0
      for (let j = 0; j < channels; j++) {
        const other = v[j * plane + place]
        const won = j !== i && (mine > other || (mine === other && i < j))
        // Who is half of an even number away is met twice.
        if (won) wins += 2 * Math.abs(i - j) === channels ? 2 : 1
      }
      return wins
    })
    expect([...raw]).toEqual(expected)
  })

  it('of ten channels take 50 comparisons and 179 bytes on line, two flights', () => {
    const { steps } = planCost(
      planLayout(winsPlan({ ring: 32, bits: 16, truncate: 0, shape: [10, 1, 1] }, new Int32Array(10)).plan),
    )
    expect(steps[0]).toMatchObject({ values: 10, comparisons: 50, flights: 2 })
    // Comparisons in groups of eight.
    expect(steps[0].online).toEqual({ down: 10 * 2 + 7 * 16, up: 7 + 10 * 4 })
    expect(steps[0].offline.helperToServer).toBe(10 * 4 + 7 * 8 * 32 + 50 * 4)
  })

  it('are refused from a peer where they do not fit', () => {
    const { plan } = winsPlan({ ring: 32, bits: 16, truncate: 0, shape: [4, 1, 1] }, new Int32Array(4))
    const changed = (more: object) => () => {
      const [first, ...rest] = plan.steps
      return checkPlan({ ...plan, steps: [{ ...first, activation: { ...first.activation, ...more } }, ...rest] })
    }
    expect(changed({ wins: false })).toThrow(/not a plan/)
    expect(changed({ lo: 4, chunks: [4, 4, 4] })).toThrow(/read all bits/)
    expect(changed({ relu: { kind: 'identity' } })).toThrow(/no other activation/)
    expect(changed({ maxPool: { axis: 1, stride: 1, pad: 0 } })).toThrow(/no other activation/)
    expect(() => winsPlan({ ring: 32, bits: 16, truncate: 0, shape: [1, 4, 1] }, new Int32Array(4))).toThrow(
      /two channels at least/,
    )
    expect(() =>
      winsPlan({ ring: 32, bits: 16, truncate: 0, shape: [2 ** 14, 1, 1] }, new Int32Array(2 ** 14)),
    ).toThrow(/comparisons of channels, at most/)
  })
})

function classifier(classes: number): Architecture {
  return parseArchitecture({
    format: 'arch/1',
    name: 'classes',
    inputs: [{ name: 'x', shape: [6] }],
    outputs: ['out'],
    layers: [
      { id: 'hidden', op: 'linear', in: ['x'], cout: 8 },
      { id: 'relu', op: 'relu', in: ['hidden'] },
      { id: 'out', op: 'linear', in: ['relu'], cout: classes },
    ],
    weights: { layout: 'torch' },
  })
}

function made(classes: number, options: CompileOptions<'mcc'> = {}) {
  const arch = classifier(classes)
  const weights = randomWeights(arch, 5)
  const inputs = [1, 2, 3].map((seed) => sampleInput(arch, seed))
  const calibration = calibrate(arch, weights, undefined, inputs)
  const compiled = compile(arch, weights, calibration, undefined, { output: 'label', ...options })
  const { scale, bits } = compiled.plan.input
  return { compiled, words: inputs.map((input) => encodeFixed(input, scale, bits)), arch, weights, calibration }
}

function projection(classes: number): Architecture {
  return parseArchitecture({
    ...{ format: 'arch/1', name: 'projection', inputs: [{ name: 'x', shape: [6] }], outputs: ['out'] },
    layers: [{ id: 'out', op: 'linear', in: ['x'], cout: classes }],
  })
}

/** The label is the first largest of what its first step opens, worked out from weights and biases. */
function expectFirstLargest(classes: number, options: CompileOptions<'mcc'>, given?: Weights): void {
  const arch = projection(classes)
  const weights = given ?? randomWeights(arch, classes)
  const inputs = [1, 2].map((seed) => sampleInput(arch, seed))
  const calibration = calibrate(arch, weights, undefined, inputs)
  const { plan, model } = compile(arch, weights, calibration, undefined, { output: 'label', ...options })
  const { truncate } = plan.steps[0].activation!
  const filters = [...model.weights].flatMap(([key, words]) => (key.startsWith('0.') ? [words] : []))
  expect(filters).toHaveLength(1)
  for (const input of inputs) {
    const x = encodeFixed(input, plan.input.scale, plan.input.bits)
    const opened = Array.from({ length: classes }, (_, c) => {
      const y = x.reduce((sum, word, i) => sum + word * filters[0][c * x.length + i], Number(model.bias[0][c]))
      return Math.floor(y / 2 ** truncate)
    })
    const expected = new Array<number>(classes).fill(0)
    expected[opened.indexOf(Math.max(...opened))] = 2 ** plan.steps[plan.steps.length - 1].scale
    const { output, overflows } = runReference(plan, model, x)
    expect([...output], `${classes} classes, ${options.bits} bits`).toEqual(expected)
    // Inputs of four bits are so coarse that logits can leave the calibrated range.
    const limit = 2 ** (plan.input.bits - 2)
    const beyond = opened.filter((value) => value >= limit || value < -limit)
    expect(overflows, `${classes} classes, ${options.bits} bits`).toBe(beyond.length)
    if (plan.input.bits > 4) expect(beyond).toEqual([])
  }
}

const winning = ({ steps }: MccPlan) => steps.filter(({ activation }) => activation?.wins)

describe('a label', () => {
  it.each([
    [2, {}],
    [10, {}],
    [11, { ring: 24, bits: 12 }],
    [128, {}],
    [100, { bits: 7 }],
    [128, { bits: 8 }],
    [10, { lo: 3, chunks: 3 }],
    [10, { delegated: true }],
  ] as [number, CompileOptions<'mcc'>][])(
    'of %i classes is one of them, in two steps: %o',
    async (classes, options) => {
      const { compiled, words } = made(classes, options)
      expect(winning(compiled.plan)).toHaveLength(1)
      expect(compiled.plan.steps).toHaveLength(4 + (options.delegated ? 1 : 0))
      for (const word of words) {
        const { logits } = await run(compiled, word)
        expect([...logits].sort()).toEqual([...new Array<number>(classes - 1).fill(0), 1])
      }
    },
  )

  it('is that of the logits', () => {
    for (const classes of [3, 10, 100]) {
      const { compiled, words, arch, weights, calibration } = made(classes)
      const logits = compile(arch, weights, calibration)
      for (const word of words) {
        const { output } = runReference(logits.plan, logits.model, word)
        const hot = runReference(compiled.plan, compiled.model, word).output
        expect(hot.indexOf(1)).toBe(output.indexOf(Math.max(...output)))
      }
    }
  })

  // Four bits leave no room for the margin of others.
  const numbers = Array.from({ length: 13 }, (_, i) => [i + 4, i === 0 ? 0.5 : 1] as const)

  it.each(numbers)('of 2 to 128 classes is the first largest of %i opened bits', (bits, margin) => {
    for (let classes = 2; classes <= 128; classes++) expectFirstLargest(classes, { bits, margin })
  })

  it.each(numbers)('is so, or refused by name, where there are no wins: %i opened bits', (bits, margin) => {
    const found = [2, 3, 5, 6, 9, 10, 17, 33, 34, 40, 45, 46, 65, 66, 100, 128].filter((classes) => {
      try {
        expectFirstLargest(classes, { bits, margin, guard: {} })
        return true
      } catch (error) {
        const name = /^out: a label needs differences of its values, .*; use (\d+) bits or more/
        const enough = Number(name.exec((error as Error).message)?.[1])
        if (Number.isNaN(enough)) throw error
        expectFirstLargest(classes, { bits: enough, margin, guard: {} })
        return false
      }
    })
    if (bits > 8) expect(found).toHaveLength(16)
  })

  it.each([{}, { guard: {} }])('of values that are all the same is the first: %o', (options) => {
    for (const bits of [7, 8, 9, 16])
      for (const classes of [2, 33, 100, 128]) {
        const arch = projection(classes)
        const weights = randomWeights(arch, 5)
        for (const words of Object.values(weights.get('out')!)) words.fill(2 ** -4)
        expectFirstLargest(classes, { bits, ...options }, weights)
      }
  })

  it('is found in more steps where many meet, with a guard and on securenn', () => {
    expect(winning(made(129).compiled.plan)).toEqual([])
    expect(winning(made(10, { guard: {} }).compiled.plan)).toEqual([])
    const { arch, weights, calibration, compiled } = made(10)
    const published = compile(arch, weights, calibration, undefined, { output: 'label', backend: 'securenn' })
    expect(published.plan.steps).toHaveLength(compiled.plan.steps.length + 1)
    const { guard } = made(10, { guard: {} }).compiled.plan
    expect(() => checkPlan({ ...compiled.plan, guard })).toThrow(/wins of all channels have no guard yet/)
  })
})
