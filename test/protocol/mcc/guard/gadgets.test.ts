// Guarded gadgets and small networks between three parties: the result is the unguarded one, declared costs are measured
// to the byte, and an honest client is never refused.
import { describe, expect, it } from 'vitest'
import type { Compiled } from '../../../../src/plan/compile/compile.js'
import { guardOf } from '../../../../src/plan/guard.js'
import type { MccPlan, StepRelu } from '../../../../src/plan/plan.js'
import { drawFrom, type ReluGadget, reluPlan, whole } from '../gadget-plan.js'
import { input, run } from '../metered-gadget.js'

const guarded = ({ plan, model }: Compiled<MccPlan>, sigma = 16): Compiled<MccPlan> => {
  return { plan: { ...plan, guard: guardOf(plan, sigma) }, model }
}

const bits = (count: number, seed: number): string => {
  const draw = drawFrom(seed)
  return btoa(String.fromCharCode(...Array.from({ length: Math.ceil(count / 8) }, () => whole(draw, 0, 255))))
}

const shape = [3, 5, 6] as const
const elements = 90
const mask: StepRelu = { kind: 'mask', off: 'zero', bits: bits(elements, 1), passed: bits(elements, 2) }
const clip = { shifts: [0, -100], sum: { signs: [1, -1] as (1 | -1)[], plus: 0 } }
const cases: Record<string, Partial<ReluGadget>> = {
  relu: {},
  'a ring of 24 bits': { ring: 24, bits: 10, truncate: 5, chunks: 3 },
  'n = 28': { ring: 28, bits: 12 },
  blocks: {
    relu: {
      kind: 'block',
      blocks: [
        [2, 3],
        [0, 1],
        [3, 1],
      ],
    },
  },
  'blocks and zeros': {
    relu: {
      kind: 'block',
      blocks: [
        [1, 0],
        [5, 6],
        [1, 1],
      ],
    },
  },
  'a mask': { relu: mask },
  'a mask that passes': { relu: { kind: 'mask', off: 'identity', bits: bits(elements, 3) } },
  identity: { relu: { kind: 'identity' }, chunks: [] },
  zero: { relu: { kind: 'zero' }, chunks: [] },
  'a clip': { bends: clip },
  'a clip under a mask': {
    bends: clip,
    relu: { kind: 'mask', off: 'zero', bits: bits(2 * elements, 4), passed: bits(2 * elements, 5) },
  },
  'a leaky ReLU': {
    bends: { shifts: [0, 0], sum: null },
    relu: {
      kind: 'block',
      blocks: [
        [1, 1],
        [2, 2],
        [1, 1],
        [0, 1],
        [0, 1],
        [0, 1],
      ],
    },
  },
}

describe('a guarded gadget gives what the reference gives, at its declared cost', () => {
  for (const [name, own] of Object.entries(cases)) {
    it(name, async () => {
      const gadget: ReluGadget = {
        ...{ ring: 32, bits: 16, lo: 0, chunks: 4, truncate: 8, shape, relu: { kind: 'relu' } },
        ...own,
      }
      const draw = drawFrom(7)
      const x = input(shape, draw)
      const limit = 2 ** (gadget.bits - 3 + gadget.truncate)
      const bias = Int32Array.from(x, (value) => whole(draw, -limit, limit) - value)
      await run(guarded(reluPlan(gadget, bias)), x)
    })
  }

  it('σ of 8 and of 31', async () => {
    for (const sigma of [8, 31]) {
      const gadget: ReluGadget = { ring: 32, bits: 16, lo: 0, chunks: 4, truncate: 8, shape, relu: { kind: 'relu' } }
      const draw = drawFrom(sigma)
      const x = input(shape, draw)
      const compiled = guarded(
        reluPlan(
          gadget,
          Int32Array.from(x, (value) => whole(draw, -9999, 9999) - value),
        ),
        sigma,
      )
      await run(compiled, x)
      expect(compiled.plan.guard!.sigma).toBe(sigma)
    }
  })
})
