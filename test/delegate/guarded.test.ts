// A delegate of a guarded plan is checked as any client: right to the last bit, and caught where it deviates. Its two words
// alone, which move the owner's input and answer, nobody vouches for.
import { afterEach, describe, expect, test } from 'vitest'
import type { Peer } from '../../src/net/index.js'
import { boundedInputBits, type MccPlan } from '../../src/plan/plan.js'
import { ID_BYTES, INFERENCE_BYTES } from '../../src/protocol/control.js'
import { Kind } from '../../src/protocol/kinds.js'
import { delegatedSizes } from '../../src/protocol/mcc/delegated.js'
import { encodeFixed } from '../../src/ring/codec.js'
import { localParties, runReference } from '../../src/testing.js'
import { difference, eventually, type Fault, failure, inputFor, kindOf, tinyNetwork, wire } from '../party/fixture.js'
import { DelegatedSite } from './fixture.js'

const compiled = tinyNetwork(1, 2, { delegated: true, guard: {} })
const plan = compiled.plan as MccPlan
const input = inputFor(compiled)
const HEADER_BYTES = 8

/** Flips a bit in every message of a kind that the delegate sends its server. `at`: which byte of it. */
const flipping =
  (kind: number, at = 0): Fault =>
  (message, _, from) => {
    if (from !== 'a' || kindOf(message) !== kind) return message
    const changed = message.slice()
    changed[HEADER_BYTES + at] ^= 1
    return changed
  }

describe('a plan that is guarded and delegated', () => {
  test('bounds its input by its first step, and opens it under no keys of its own', () => {
    expect(boundedInputBits(plan)).toBe(boundedInputBits(tinyNetwork(1, 2, { delegated: true }).plan))
    expect(plan.guard?.signs?.sets).toBeGreaterThan(0)
  })

  test('gives owners the integer reference, bit for bit', async () => {
    const site = await DelegatedSite.create(compiled)
    const owner = await site.owner()
    for (let seed = 1; seed <= 3; seed++) {
      const x = inputFor(compiled, seed)
      const result = await owner.run(x)
      await expect.poll(() => site.lent.length).toBe(seed)
      const lent = site.lent[seed - 1]
      expect(difference(compiled, x, { ...result, inference: lent.inference! }, site.seeds(lent))).toBeNull()
    }
    expect(site.errors).toEqual([])
    await site.release()
    expect([site.server.memoryInUse, site.helper.memoryInUse]).toEqual([0, 0])
  })

  test('is run by a direct client too', async () => {
    const parties = await localParties(compiled)
    const { raw, inference } = await parties.client.run(input)
    const words = encodeFixed(input, plan.input.scale, plan.input.bits)
    expect([...raw]).toEqual([...runReference(plan, compiled.model, words, parties.masks(inference)).output])
    await parties.release()
  })
})

describe('a delegate that deviates', () => {
  let site: DelegatedSite
  afterEach(() => site.release())

  /** Its messages to the server are changed. */
  async function deviate(fault: Fault, onCheat?: (peer: Peer) => void): Promise<void> {
    site = await DelegatedSite.create(compiled, { server: { onCheat } })
    await site.delegate.release()
    await site.startDelegate({
      server: () => {
        const { a, b } = wire(fault)
        void site.server.run(b)
        return a
      },
    })
  }

  test.each([
    ['δ', Kind.delta],
    ['a reply', Kind.reply],
    ['the proof', Kind.proof],
  ])('%s changed: the owner gets no answer, and the server knows whose it was', async (_, kind) => {
    let caught = 0
    await deviate(flipping(kind), () => caught++)
    const owner = await site.owner()
    expect(await failure(owner.run(input))).toMatchObject({ code: 'CHEATED', retryable: false })
    expect(await eventually(() => caught === 1)).toBe(true)
    // Server and delegate both say so.
    expect(await eventually(() => site.errors.filter(({ code }) => code === 'CHEATED').length >= 2)).toBe(true)
  })

  const { inputBytes } = delegatedSizes(plan)!
  const HEAD_BYTES = ID_BYTES + INFERENCE_BYTES

  test('on its words for the input: the answer is that of another input', async () => {
    await deviate(flipping(Kind.join, HEAD_BYTES))
    const { raw } = await (await site.owner()).run(input)
    expect(raw).toHaveLength(3)
    expect(site.errors).toEqual([])
  })

  test('on its words for the answer: that word is off by as much, unnoticed', async () => {
    await deviate(flipping(Kind.join, HEAD_BYTES + inputBytes))
    const x = inputFor(compiled, 2)
    const result = await (await site.owner()).run(x)
    await expect.poll(() => site.lent.length).toBe(1)
    const [lent] = site.lent
    const off = [-1, 1].map((by) => {
      const raw = result.raw.slice()
      raw[0] += by
      const logits = result.logits.slice()
      logits[0] = raw[0] * 2 ** -result.scale
      return difference(compiled, x, { ...result, raw, logits, inference: lent.inference! }, site.seeds(lent))
    })
    expect(off).toContain(null)
  })
})
