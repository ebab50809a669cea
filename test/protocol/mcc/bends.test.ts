// Several ReLUs of one opened value: clips, leaky ReLUs and whatever else has more than one bend, plain, by blocks and by
// masks, on both back ends. Declared costs are what they take, results are the formulas' to the bit.
import { describe, expect, it } from 'vitest'
import { loadKernels } from '../../../src/kernels/instance.js'
import { fromBase64, toBase64 } from '../../../src/model/relu/mask-bits.js'
import type { Compiled } from '../../../src/plan/compile/compile.js'
import {
  type Bends,
  elementCount,
  type MapShape,
  type MccPlan,
  type Pair,
  type SecurennPlan,
  type StepRelu,
} from '../../../src/plan/plan.js'
import { planCost } from '../../../src/protocol/mcc/cost.js'
import { securennCost } from '../../../src/protocol/securenn/cost.js'
import { layOut } from '../../../src/protocol/step.js'
import { runReference, type SecurennMasks } from '../../../src/testing.js'
import { measured } from '../securenn/waves.js'
import { drawFrom, type ReluGadget, reluPlan, whole } from './gadget-plan.js'
import { input, runRelu } from './metered-gadget.js'

const shape: MapShape = [6, 5, 7]
const C = shape[0]

const clip = (low: number, high: number): Bends => ({
  shifts: [-low, -high],
  sum: { signs: [1, -1], plus: low },
})
/** Both copies come back: [ReLU(x); x]. */
const both: Bends = { shifts: [0, 0], sum: null }
/** Up, flat, down and flat again. */
const three: Bends = { shifts: [24, 0, -24], sum: { signs: [1, -1, -1], plus: 3 } }

const blocks = (...lists: (readonly Pair[])[]): StepRelu => ({ kind: 'block', blocks: lists.flat() })
const every = (block: Pair): Pair[] => new Array<Pair>(C).fill(block)
const mixed: Pair[] = [
  [1, 1],
  [0, 1],
  [1, 0],
  [2, 3],
  [5, 7],
  [9, 1],
]
/** Where a channel passes there is nothing to take off. */
const mixedBehind = mixed.map((block): Pair => (block[0] === 0 ? [1, 0] : block))

function mask(copies: number, off: 'identity' | 'zero', second: 'same' | 'none' = 'same'): StepRelu {
  const draw = drawFrom(copies)
  const size = elementCount(shape)
  const once = Uint8Array.from({ length: size }, () => whole(draw, 0, 1))
  const packed = new Uint8Array(Math.ceil((copies * size) / 8))
  for (let i = 0; i < copies * size; i++) {
    if (i < size || second === 'same') packed[i >> 3] |= once[i % size] << (i & 7)
  }
  return { kind: 'mask', off, bits: toBase64(packed) }
}

/** Two copies. Which elements of a copy pass: 0 none, 1 those that the mask leaves out, 2 the others. */
function maskPassing(second: 'same' | 'none', passing: readonly number[]): StepRelu {
  const { bits } = mask(2, 'zero') as { bits: string }
  const { bits: switched } = mask(2, 'zero', second) as { bits: string }
  const size = elementCount(shape)
  const on = fromBase64(bits)
  const passed = new Uint8Array(on.length)
  for (let i = 0; i < 2 * size; i++) {
    const how = passing[Math.floor(i / size)]
    if (how > 0 && ((on[i >> 3] >> (i & 7)) & 1) === how - 1) passed[i >> 3] |= 1 << (i & 7)
  }
  return { kind: 'mask', off: 'zero', bits: switched, passed: toBase64(passed) }
}

const kinds: [string, Bends, StepRelu][] = [
  ['clip from 0', clip(0, 24), { kind: 'relu' }],
  ['clip from below 0', clip(-17, 9), { kind: 'relu' }],
  ['clip from above 0', clip(5, 21), { kind: 'relu' }],
  ['leaky ReLU', both, blocks(every([1, 1]), every([0, 1]))],
  ['three bends in one sum', three, { kind: 'relu' }],
  ['three ReLUs side by side', { ...three, sum: null }, { kind: 'relu' }],
  ['clip by equal blocks', clip(0, 24), blocks(every([2, 2]), every([2, 2]))],
  ['clip by mixed blocks', clip(-17, 9), blocks(mixed, mixedBehind)],
  [
    'leaky ReLU by blocks, some of them linear',
    both,
    blocks(
      mixed,
      mixedBehind.map(([h]) => [+(h === 9), 1]),
    ),
  ],
  ['unlike blocks on the copies of one value', clip(-3, 11), blocks(every([2, 2]), every([1, 2]))],
  ['blocks on one copy, single elements on the others', three, blocks(every([3, 4]), every([1, 1]), every([0, 1]))],
  ['clip with a mask', clip(-17, 9), mask(2, 'zero')],
  ['clip with a mask, passing where off', clip(-17, 9), maskPassing('same', [1, 0])],
  ['leaky ReLU with a mask, zero where off', both, maskPassing('none', [0, 2])],
  ['leaky ReLU with a mask', both, mask(2, 'identity', 'none')],
  ['all copies pass: no comparison', clip(-2, 7), { kind: 'identity' }],
  ['all copies are zero', clip(-2, 7), { kind: 'zero' }],
]

const costOf = ({ plan }: Compiled<MccPlan>) => {
  const planned = layOut(loadKernels(), plan)
  const { steps } = planCost(planned)
  planned.release()
  return steps
}

describe('on mcc', () => {
  for (const [ring, width, lo, t, truncate] of [
    [32, 16, 0, 4, 8],
    [32, 14, 3, 2, 11],
    [31, 12, 0, 3, 10],
    [28, 16, 8, 1, 5],
    [24, 8, 0, 2, 9],
  ]) {
    for (const [name, bends, relu] of kinds) {
      it(`${name}: ring ${ring}, bits ${lo} to ${width} in ${t} chunks`, async () => {
        const gadget: ReluGadget = { ring, bits: width, lo, chunks: t, truncate, shape, relu, bends }
        const { z, values } = await runRelu(gadget, ring * width + t)
        if (relu.kind !== 'relu' || lo > 0 || bends.shifts.length > 2) return
        // The function itself, for either way the lost carry may have gone.
        const bounded = (v: number) => Math.max(-bends.shifts[0], Math.min(-bends.shifts[1], v))
        const floors = values.map((y) => Math.floor(y / 2 ** truncate))
        floors.forEach((v, i) => {
          expect([bounded(v), bounded(v - 1)]).toContain(z[i])
        })
        // All three pieces were met.
        expect(new Set(floors.map((v) => Math.sign(v + bends.shifts[0]) + Math.sign(v + bends.shifts[1]))).size).toBe(5)
      })
    }
  }

  it('takes one round trip and, for a ReLU6 of 16 bits, 10.25 bytes; two ReLUs take 16.25', () => {
    const gadget = { ring: 32, bits: 16, lo: 0, chunks: 4, truncate: 8, shape: [4, 4, 4] as MapShape }
    const cost = (more: Pick<ReluGadget, 'relu' | 'bends'>, channels = 4) => {
      const of = { ...gadget, shape: [channels, 4, 4] as MapShape, ...more }
      return costOf(reluPlan(of, new Int32Array(elementCount(of.shape))))[0]
    }
    const relu = { kind: 'relu' } as const
    const [six, two, one] = [cost({ relu, bends: clip(0, 1536) }), cost({ relu }, 8), cost({ relu })]
    expect([six.flights, two.flights, one.flights]).toEqual([2, 2, 2])
    const perValue = ({ online }: typeof six) => [online.down / 64, online.up / 64]
    // e' once, two chains of 16 bits, two bits β, one word.
    expect(perValue(six)).toEqual([2 + 2 * 2, 4 + 2 / 8])
    expect(perValue(two)).toEqual([2 * (2 + 2), 2 * (4 + 1 / 8)])
    expect(perValue(one)).toEqual([2 + 2, 4 + 1 / 8])
    // The linear step computes one value, not two.
    expect(six.offline.clientUp / 64).toBe(4)
    expect(two.offline.clientUp / 64).toBe(8)
    expect([six.values, six.comparisons]).toEqual([64, 128])
  })

  it('opens a patch sum once for all copies that compare the same patch', () => {
    const gadget = {
      ring: 32,
      bits: 16,
      lo: 0,
      chunks: 4,
      truncate: 8,
      shape: [1, 4, 4] as MapShape,
      bends: clip(0, 9),
    }
    const down = (...of: Pair[]) => {
      const relu = blocks(of)
      return costOf(reluPlan({ ...gadget, relu }, new Int32Array(16)))[0].online.down
    }
    // 16 values, 4 patches, 8 chains.
    expect(down([2, 2], [2, 2])).toBe(2 * 16 + 2 * 4 + 2 * 8)
    expect(down([2, 2], [4, 1])).toBe(2 * 16 + 2 * 8 + 2 * 8)
  })
})

/** The same step on the other back end. */
function onSecurenn(gadget: ReluGadget, y: readonly number[], x: Int32Array, ignoredMsb: number, ignoredLsb: number) {
  const { plan, model } = reluPlan(gadget, new Int32Array(elementCount(gadget.shape)))
  const { truncate, relu, bends } = gadget
  const [first, last] = plan.steps
  const activation = { truncate, ignoredMsb, ignoredLsb, relu, ...(bends && { bends }) }
  const steps = [{ ...first, activation }, last]
  const bias = [BigInt64Array.from(y, (v, i) => BigInt(v - x[i])), new BigInt64Array(elementCount(last.out))]
  const compiled = { plan: { ...plan, backend: 'securenn', ring: 64, steps }, model: { ...model, bias } }
  return compiled as unknown as Compiled<SecurennPlan>
}

describe('on securenn', () => {
  for (const [ignoredMsb, ignoredLsb] of [
    [0, 0],
    [40, 3],
  ]) {
    for (const [name, bends, relu] of kinds) {
      it(`${name}: ${ignoredMsb} high and ${ignoredLsb} low bits ignored`, async () => {
        const gadget: ReluGadget = { ring: 32, bits: 16, lo: 0, chunks: 4, truncate: 6, shape, relu, bends }
        const draw = drawFrom(ignoredMsb + name.length)
        const x = input(shape, draw)
        const y = Array.from(x, (_, i) => whole(draw, -64, 64) * (i % 2 === 0 ? 64 : 9000) + whole(draw, 0, 63))
        const compiled = onSecurenn(gadget, y, x, ignoredMsb, ignoredLsb)
        const found = await measured(compiled, Float32Array.from(x))
        const planned = layOut(loadKernels(), compiled.plan)
        const { total, flights } = securennCost(planned)
        const { results } = planned.steps[0].relu!
        planned.release()
        expect([found.bytes, found.flights]).toEqual([total, flights])
        const reference = runReference(compiled.plan, compiled.model, x, found.masks as SecurennMasks)
        expect([...found.result.raw]).toEqual([...reference.output])
        // One word per element comes back where copies are summed.
        if (bends.sum && relu.kind === 'relu') expect(results).toBe(elementCount(shape))
        if (relu.kind !== 'relu' || ignoredMsb > 0 || bends.shifts.length > 2) return
        const bounded = (v: number) => Math.max(-bends.shifts[0], Math.min(-bends.shifts[1], v))
        y.forEach((value, i) => {
          const v = Math.floor(value / 64)
          expect([bounded(v), bounded(v + 1)]).toContain(found.result.raw[i])
        })
      })
    }
  }
})
