// Maxima of three: declared costs are what they take, results are those of whole numbers to the bit, at the ends of the range too,
// and whole networks equal the reference however their windows lie.
import { describe, expect, it } from 'vitest'
import { FloatNetwork } from '../../../../src/float/network.js'
import { type Architecture, parseArchitecture } from '../../../../src/model/architecture.js'
import { calibrate } from '../../../../src/plan/calibrate.js'
import { checkPlan } from '../../../../src/plan/check.js'
import { chunksOf } from '../../../../src/plan/compile/chunks.js'
import { type Compiled, type CompileOptions, compile } from '../../../../src/plan/compile/compile.js'
import { elementCount, type MapShape, type MccPlan, type PoolWindows } from '../../../../src/plan/plan.js'
import { planLayout } from '../../../../src/protocol/layout.js'
import { planCost } from '../../../../src/protocol/mcc/cost.js'
import { encodeFixed } from '../../../../src/ring/codec.js'
import { runReference } from '../../../../src/testing.js'
import { randomWeights } from '../../../fixtures/networks.js'
import { sampleInput } from '../../../fixtures/workloads.js'
import { drawFrom, openedValue, perChannel, whole, windowErrs } from '../gadget-plan.js'
import { run } from '../metered-gadget.js'

interface Gadget {
  readonly ring: number
  readonly bits: number
  readonly lo: number
  readonly truncate: number
  readonly shape: MapShape
  readonly windows: PoolWindows
  readonly count: number
}

/** y = x + bias, maxima of its windows, and these as the network's output. */
function poolPlan({ ring, bits, lo, truncate, shape, windows, count }: Gadget, bias: Int32Array): Compiled<MccPlan> {
  const [c, h, w] = shape
  const out: MapShape = windows.axis === 0 ? [c, count, w] : [c, h, count]
  const activation = {
    ...{ truncate, bits, lo, chunks: chunksOf(bits - lo, Math.ceil((bits - lo) / 4))! },
    ...{ relu: { kind: 'relu' }, maxPool: windows },
  }
  const plan = checkPlan({
    ...{ format: 'plan/1', backend: 'mcc', network: 'gadget', ring, rounds: 12, labels: [] },
    input: { shape, scale: 0, bits: 20, preprocess: { scale: 1, mean: [0], std: [1] } },
    steps: [
      {
        ...{ id: 'y', out, scale: 0, activation },
        linear: [
          { op: 'tensor', tensor: 0, out: shape },
          { op: 'conv', of: 0, layer: 'y', geometry: perChannel(shape), scale: 0, out: shape },
        ],
      },
      {
        ...{ id: 'z', out, scale: 0, activation: null },
        linear: [
          { op: 'tensor', tensor: 1, out },
          { op: 'lift', of: 0, factor: 1, out },
        ],
      },
    ],
  }) as MccPlan
  const weights = new Map([['0.1', new Int32Array(c).fill(1)]])
  return { plan, model: { weights, bias: [bias, new Int32Array(elementCount(out))] } }
}

/** Which elements a window reads, worked out place by place. */
function reads({ shape: [, h, w], windows: { axis, stride, pad }, count }: Gadget): number[][] {
  const [rows, columns] = axis === 0 ? [count, w] : [h, count]
  const channels = (c: number) =>
    Array.from({ length: rows * columns }, (_, i) => {
      const [row, column] = [Math.floor(i / columns), i % columns]
      return [0, 1, 2].map((tap) => {
        const clamp = (at: number, size: number) => Math.min(size - 1, Math.max(0, at * stride - pad + tap))
        const [y, x] = axis === 0 ? [clamp(row, h), column] : [row, clamp(column, w)]
        return c * h * w + y * w + x
      })
    })
  return [channels(0), channels(1)].flat()
}

const PLANS: Gadget[] = [
  { ring: 32, bits: 16, lo: 0, truncate: 5, shape: [2, 3, 9], windows: { axis: 1, stride: 2, pad: 1 }, count: 5 },
  { ring: 32, bits: 16, lo: 0, truncate: 0, shape: [2, 7, 5], windows: { axis: 0, stride: 1, pad: 0 }, count: 5 },
  { ring: 24, bits: 12, lo: 0, truncate: 3, shape: [2, 5, 4], windows: { axis: 1, stride: 3, pad: 2 }, count: 2 },
  { ring: 32, bits: 16, lo: 3, truncate: 7, shape: [2, 4, 12], windows: { axis: 1, stride: 2, pad: 0 }, count: 6 },
  { ring: 28, bits: 22, lo: 0, truncate: 2, shape: [2, 1, 2], windows: { axis: 1, stride: 1, pad: 1 }, count: 2 },
]

describe('maxima of three', () => {
  it.each(PLANS)('equal those of whole numbers: %o', async (gadget) => {
    const { ring, bits, lo, truncate, shape } = gadget
    const draw = drawFrom(bits + lo)
    // Differences stay below 2^(bits-2); many are none, or next to none.
    const limit = 2 ** (bits - 3)
    const near = [limit - 1, 1 - limit, 0, 1, -1, 2 ** lo]
    const y = Array.from({ length: elementCount(shape) }, (_, i) => {
      const value = i % 2 ? near[whole(draw, 0, near.length - 1)] : whole(draw, 1 - limit, limit - 1)
      return value * 2 ** truncate + whole(draw, 0, 2 ** truncate - 1)
    })
    const x = Int32Array.from(y, () => whole(draw, -(2 ** 19) + 1, 2 ** 19 - 1))
    const compiled = poolPlan(
      gadget,
      Int32Array.from(y, (value, i) => value - x[i]),
    )
    const { raw, masks, reference } = await run(compiled, x)
    expect(reference.overflows).toBe(0)
    const [m, a] = [masks.output(0), masks.opening(0)]
    const numbers = { ring, bits } as Parameters<typeof openedValue>[3]
    const opened = y.map((value, i) => openedValue(BigInt(value), BigInt(m[i]), a[i], numbers, truncate))
    const add = lo > 0 ? 2 ** (lo - 1) : 0
    const low = (value: number) => value & (2 ** bits - 1)
    const atLeast = (i: number, j: number): boolean => {
      const [one, other] = [opened[i], opened[j]]
      const difference = { e: low(one.e - other.e), r: low(one.r - other.r), v: one.v - other.v, carry: 0 }
      return difference.v >= 0 !== windowErrs(difference, bits, lo, add)
    }
    const expected = reads(gadget).map(([i, j, k]) => {
      if (lo === 0) return Math.max(opened[i].v, opened[j].v, opened[k].v)
      const better = atLeast(k, j) ? k : j
      return atLeast(better, i) ? opened[better].v : opened[i].v
    })
    expect([...raw]).toEqual(expected)
  })

  it('take 14.4 bytes on line per window of a row by two', () => {
    const gadget: Gadget = { ...PLANS[0], shape: [2, 4, 32], windows: { axis: 1, stride: 2, pad: 0 }, count: 16 }
    const { steps } = planCost(planLayout(poolPlan(gadget, new Int32Array(256)).plan))
    const windows = 128
    expect(steps[0]).toMatchObject({ values: 256, comparisons: 3 * windows, flights: 2 })
    expect(steps[0].online.down).toBe((windows * (2 * 16 + 3 * 16)) / 8)
    expect(steps[0].online.up).toBe((windows * (3 + 32)) / 8)
    // u; tables of 30 bytes; [ρ], P, Q of two ReLUs, ω and μ of three values; [ρ_p], and four more pairs of P and Q, two of [ρ].
    const words = 3 * 32 + 2 * (32 + 16) + 3 * 32 + 4 * (32 + 16) + 2 * 32
    expect(steps[0].offline.helperToServer).toBe(windows * (2 * 4 + 3 * 30 + words / 8))
    expect(words / 8).toBe(68)
  })
})

interface Window {
  readonly kernel: readonly [number, number]
  readonly stride: readonly [number, number]
  readonly pad: readonly [number, number, number, number]
  readonly ceil?: boolean
}

function network(window: Window, relu: boolean): Architecture {
  return parseArchitecture({
    format: 'arch/1',
    name: 'pooled',
    inputs: [{ name: 'x', shape: [2, 9, 8] }],
    outputs: ['fc'],
    layers: [
      { id: 'c', op: 'conv2d', in: ['x'], cout: 3, kernel: [1, 1] },
      ...(relu ? [{ id: 'r', op: 'relu', in: ['c'] }] : []),
      { id: 'p', op: 'maxPool', in: [relu ? 'r' : 'c'], ...window },
      { id: 'again', op: 'maxPool', in: ['p'], kernel: [3, 3], stride: [1, 1], pad: [1, 1, 1, 1] },
      { id: 'flat', op: 'flatten', in: ['again'] },
      { id: 'fc', op: 'linear', in: ['flat'], cout: 3 },
    ],
    weights: { layout: 'torch' },
  })
}

function made(arch: Architecture, options: CompileOptions<'mcc'> = {}) {
  const weights = randomWeights(arch, 5)
  const inputs = [1, 2].map((seed) => sampleInput(arch, seed))
  const calibration = calibrate(arch, weights, undefined, inputs)
  const compiled = compile(arch, weights, calibration, undefined, options)
  const { scale, bits } = compiled.plan.input
  const float = FloatNetwork.prepare(arch, weights)
  const exact = float.run(inputs)
  float.release()
  return { compiled, exact, words: inputs.map((input) => encodeFixed(input, scale, bits)), weights, calibration }
}

const pools = ({ steps }: MccPlan) => steps.filter(({ activation }) => activation?.maxPool)
const THREE: Window = { kernel: [3, 3], stride: [2, 2], pad: [1, 1, 1, 1] }

describe('a network with max pools', () => {
  it.each([
    [THREE, true, 4],
    [THREE, false, 4],
    [{ ...THREE, ceil: true }, true, 4],
    [{ kernel: [3, 2], stride: [1, 2], pad: [0, 0, 0, 0] }, true, 3],
    [{ kernel: [1, 3], stride: [1, 3], pad: [0, 1, 0, 1] }, false, 3],
    [{ kernel: [3, 3], stride: [4, 3], pad: [0, 0, 0, 0] }, true, 3],
    [{ kernel: [2, 5], stride: [2, 1], pad: [0, 0, 0, 0] }, true, 2],
  ] as [Window, boolean, number][])('is the reference to the bit: %o', async (window, relu, atOnce) => {
    const { compiled, words, exact } = made(network(window, relu))
    expect(pools(compiled.plan)).toHaveLength(atOnce)
    const { logits } = await run(compiled, words[0])
    const largest = Math.max(1, ...exact[0].map(Math.abs))
    for (const [i, value] of logits.entries()) expect(Math.abs(value - exact[0][i])).toBeLessThan(0.01 * largest)
  })

  it.each([
    { ring: 24, bits: 12 },
    { bits: 20 },
    { rounds: 20 },
    { lo: 3 },
    { chunks: 3 },
    { output: 'label' },
    { delegated: true },
  ] as const)('runs with other numbers: %o', async (options) => {
    const { compiled, words } = made(network(THREE, true), options)
    expect(pools(compiled.plan)).toHaveLength(4)
    await run(compiled, words[1])
  })

  it('counts differences that leave their range', () => {
    const { compiled, words } = made(network(THREE, true), { margin: 0 })
    const { bits } = compiled.plan.input
    const far = words[0].map((word) => Math.max(1 - 2 ** (bits - 1), Math.min(2 ** (bits - 1) - 1, 8 * word)))
    const overflows = (input: Int32Array) => runReference(compiled.plan, compiled.model, input).overflows
    expect(overflows(words[0])).toBe(0)
    expect(overflows(far)).toBeGreaterThan(0)
    // Between equal values there are no differences, but what they are added to is lifted.
    const [gadget] = PLANS
    const flat = poolPlan({ ...gadget, truncate: 0 }, new Int32Array(54))
    const limit = 2 ** (gadget.bits - 2)
    const counted = (value: number) => runReference(flat.plan, flat.model, new Int32Array(54).fill(value)).overflows
    // Once for each of 2·3·5 windows.
    expect([30384, limit, limit - 1, -limit, -limit - 1].map(counted)).toEqual([30, 30, 0, 0, 30])
  })

  it('has pairs where bytes are spared, with a guard and on securenn', () => {
    const arch = network(THREE, true)
    expect(pools(made(arch, { pools: 'bytes' }).compiled.plan)).toEqual([])
    expect(pools(made(arch, { guard: {} }).compiled.plan)).toEqual([])
    expect(made(arch, { guard: {} }).compiled.plan.steps.length).toBe(
      made(arch, { pools: 'bytes' }).compiled.plan.steps.length,
    )
    const { weights, calibration } = made(arch)
    const published = compile(arch, weights, calibration, undefined, { backend: 'securenn' })
    expect(published.plan.steps.length).toBe(made(arch, { pools: 'bytes' }).compiled.plan.steps.length)
  })

  it('is refused by name where there is no such step', () => {
    const arch = network(THREE, true)
    const { weights, calibration, compiled } = made(arch)
    const refused = (options: object) => () => compile(arch, weights, calibration, undefined, options)
    expect(refused({ guard: {}, pools: 'trips' })).toThrow(/pools: maxima of three values have no guard yet/)
    expect(refused({ pools: 'some' })).toThrow(/pools: trips or bytes, not some/)
    expect(refused({ backend: 'securenn', pools: 'trips' })).toThrow(/pools: an option of back end mcc/)
    const { guard } = made(arch, { guard: {} }).compiled.plan
    expect(() => checkPlan({ ...compiled.plan, guard })).toThrow(/maxima of three values have no guard yet/)
  })

  it('is refused from a peer where windows, shape or activation do not fit', () => {
    const { plan } = made(network(THREE, true)).compiled
    const changed = (of: (step: MccPlan['steps'][number]) => object) => {
      const at = plan.steps.findIndex(({ activation }) => activation?.maxPool)
      return () =>
        checkPlan({ ...plan, steps: plan.steps.map((step, i) => (i === at ? { ...step, ...of(step) } : step)) })
    }
    const pool = (more: object) => changed(({ activation }) => ({ activation: { ...activation, ...more } }))
    expect(pool({ maxPool: { axis: 2, stride: 1, pad: 0 } })).toThrow(/PLAN_MISMATCH|not a plan/)
    expect(pool({ maxPool: { axis: 1, stride: 3, pad: 0 } })).toThrow(/last window starts at/)
    expect(pool({ maxPool: { axis: 0, stride: 2, pad: 1 } })).toThrow(/along one axis have no shape/)
    expect(pool({ relu: { kind: 'identity' } })).toThrow(/no other activation/)
    expect(pool({ bends: { shifts: [1], sum: { signs: [1], plus: 0 } } })).toThrow(/no other activation/)
    expect(changed(({ out: [c, h, w] }) => ({ out: [c, h, w + 9] }))).toThrow(/last window starts at/)
    expect(changed(({ out: [c, h, w] }) => ({ out: [c + 1, h, w] }))).toThrow(/have no shape/)
  })
})
