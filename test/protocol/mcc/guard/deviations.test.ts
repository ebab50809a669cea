// A client that changes what it sends, bit by bit: the server gives it the output of some bounded input, or none. What an
// altered message does to MACs and sums is predicted exactly from the coins that only server and helper hold.
import { describe, expect, it } from 'vitest'
import { RingfenceError } from '../../../../src/errors.js'
import { guardOf } from '../../../../src/plan/guard.js'
import { Kind } from '../../../../src/protocol/kinds.js'
import { localParties } from '../../../../src/testing.js'
import { altered } from '../../../fixtures/deviating.js'
import { drawFrom, type ReluGadget, reluPlan, whole } from '../gadget-plan.js'
import { input } from '../metered-gadget.js'

const gadgets: Record<string, Partial<ReluGadget>> = {
  relu: {},
  blocks: {
    relu: {
      kind: 'block',
      blocks: [
        [2, 2],
        [0, 1],
      ],
    },
  },
  'a clip': { bends: { shifts: [0, -100], sum: { signs: [1, -1], plus: 0 } } },
}

const shape = [2, 3, 4] as const

function compiledOf(own: Partial<ReluGadget>) {
  const gadget: ReluGadget = {
    ...{ ring: 32, bits: 12, lo: 0, chunks: 3, truncate: 8, shape, relu: { kind: 'relu' } },
    ...own,
  }
  const draw = drawFrom(3)
  const x = input(shape, draw)
  const bias = Int32Array.from(x, (value) => whole(draw, -60_000, 60_000) - value)
  const { plan, model } = reluPlan(gadget, bias)
  return { x, compiled: { plan: { ...plan, guard: guardOf(plan, 16) }, model } }
}

/** What comes of one inference in which one bit of a message is another. */
async function outcome(own: Partial<ReluGadget>, at: { kind: number; step: number; bit: number } | null) {
  const { x, compiled } = compiledOf(own)
  let seen = 0
  const parties = await localParties(compiled, {
    wrap: (channel) =>
      altered(channel, (kind, step, payload) => {
        if (!at || kind !== at.kind || step !== at.step) return
        seen = payload.length
        const bit = at.bit % (8 * payload.length)
        payload[bit >> 3] ^= 1 << (bit & 7)
      }),
  })
  try {
    return { raw: [...(await parties.client.run(Float32Array.from(x))).raw], seen }
  } catch (error) {
    if (!(error instanceof RingfenceError)) throw error
    return { code: error.code, seen }
  } finally {
    await parties.release()
  }
}

const messages = [
  { name: 'δ of the ReLU', kind: Kind.delta, step: 0 },
  { name: 'δ of the output', kind: Kind.delta, step: 1 },
  { name: 't', kind: Kind.delta, step: 2 },
  { name: 'the reply', kind: Kind.reply, step: 0 },
  { name: 'the proof', kind: Kind.proof, step: 0 },
]

describe.each(Object.entries(gadgets))('%s', (_, own) => {
  it.each(messages)('one changed bit in $name', async ({ kind, step }) => {
    const honest = await outcome(own, null)
    expect(honest.raw).toBeDefined()
    const { seen } = await outcome(own, { kind, step, bit: 0 })
    expect(seen).toBeGreaterThan(0)
    let caught = 0
    const bits = 12
    for (let i = 0; i < bits; i++) {
      const { code, raw } = await outcome(own, { kind, step, bit: Math.floor((i * 8 * seen) / bits) + (i % 8) })
      if (code) {
        expect(code).toBe('CHEATED')
        caught++
      } else expect(close(raw!, honest.raw!)).toBe(true) // a bit that nothing reads
    }
    expect(caught).toBeGreaterThanOrEqual(bits / 2)
  })
})

/** Equal but for the carries that truncation loses at random. */
const close = (a: readonly number[], b: readonly number[]) => a.every((value, i) => Math.abs(value - b[i]) <= 1)

describe('the input', () => {
  it('is one within its bounds whatever the client sends', async () => {
    const { x, compiled } = compiledOf({ truncate: 12, bits: 14, chunks: 4 })
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      const draw = drawFrom(seed)
      const parties = await localParties(compiled, {
        wrap: (channel) =>
          altered(channel, (kind, _, payload) => {
            if (kind !== Kind.input) return
            for (let i = 0; i < 6; i++) payload[8 + whole(draw, 0, payload.length - 9)] ^= whole(draw, 1, 255)
          }),
      })
      try {
        const { raw } = await parties.client.run(Float32Array.from(x))
        expect(Math.max(...raw.map(Math.abs))).toBeLessThan(2 ** 13)
      } catch (error) {
        expect((error as RingfenceError).code).toBe('CHEATED')
      } finally {
        await parties.release()
      }
    }
  })
})
