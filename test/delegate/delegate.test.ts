// Delegated inference among four parties in one process: right to the last bit, once only, and every failure typed.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { InferenceResult } from '../../src/party/client/client.js'
import { boundedInputBits } from '../../src/plan/plan.js'
import { difference, inputFor, tinyNetwork } from '../party/fixture.js'
import { DelegatedSite, delegatedNetwork } from './fixture.js'

const compiled = delegatedNetwork()

/** Null when a result equals the integer reference under the masks of the inference that was lent last. */
function wrong(site: DelegatedSite, input: Float32Array, result: InferenceResult): string | null {
  const last = site.lent[site.lent.length - 1]
  return difference(site.compiled, input, { ...result, inference: last.inference! }, site.seeds(last))
}

describe('a delegated plan', () => {
  test('bounds its input, and others do not', () => {
    expect(boundedInputBits(compiled.plan)).toBe(16)
    expect(boundedInputBits(tinyNetwork(1).plan)).toBeNull()
    expect(compiled.plan.steps.map(({ id }) => id)[0]).toBe('input')
  })
})

describe('four parties', () => {
  let site: DelegatedSite
  beforeAll(async () => {
    site = await DelegatedSite.create(compiled)
  })
  afterAll(async () => {
    await site.release()
    expect([site.server.memoryInUse, site.helper.memoryInUse]).toEqual([0, 0])
  })

  test('answer many owners at once, each with its own', async () => {
    const before = site.lent.length
    const owner = await site.owner()
    const alone = await Promise.all([1, 2].map((seed) => owner.run(inputFor(compiled, seed))))
    const owners = await Promise.all(Array.from({ length: 6 }, () => site.owner()))
    const results = await Promise.all(owners.map((each, i) => each.run(inputFor(compiled, 1 + (i % 2)))))
    await expect.poll(() => site.lent.length).toBe(before + 8)
    for (const [i, { logits }] of results.entries()) {
      // Two runs of one input differ in their rounding alone.
      const gap = Math.max(...logits.map((logit, at) => Math.abs(logit - alone[i % 2].logits[at])))
      expect(gap).toBeLessThan(0.05)
    }
    const used = site.lent.map(({ session, inference }) => `${session} ${inference}`)
    expect(new Set(used).size).toBe(used.length)
  })

  test('give the owner the integer reference, bit for bit', async () => {
    const owner = await site.owner()
    const before = site.lent.length
    for (let seed = 1; seed <= 3; seed++) {
      const input = inputFor(compiled, seed)
      const result = await owner.run(input)
      await expect.poll(() => site.lent.length).toBe(before + seed)
      expect(wrong(site, input, result)).toBeNull()
    }
    expect(site.errors).toEqual([])
  })
})
