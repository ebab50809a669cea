// The published protocol as a back end of the comparison bench: bytes and flights to the byte, wrong signs against
// docs/protocol.md, and the time of a batch by the messages it waits for.
import { describe, expect, test } from 'vitest'
import { ROLES, type Role, type Variant } from '../../bench/compare/backend.js'
import { playInThread } from '../../bench/compare/host.js'
import { onlineCost, secondsUnder } from '../../bench/compare/network.js'
import { metered } from '../../bench/compare/parties.js'
import { securenn, wrongSignProbability } from '../../bench/compare/securenn/backend.js'
import type { SharedResults } from '../../bench/compare/securenn/local.js'
import { countFlights } from '../../bench/compare/waves.js'
import { HEADER_BYTES } from '../../src/net/index.js'
import type { Message } from '../../src/protocol/transcript.js'

function variantsOf(bits: number, ignored?: number): readonly Variant[] {
  const found = securenn.variants(bits, ignored)
  return 'unsupported' in found ? [] : found
}

describe('declared cost', () => {
  test.each([2, 16, 64])('of %i bits is what docs/protocol.md says, and the headers of its frames', (bits) => {
    const [comparison, relu] = variantsOf(bits).map((variant) => securenn.cost(variant, 1000).online)
    const [signs, product] = [1000 * (6 * bits + 112), 1000 * 40]
    const bytes = ({ up, down, helper }: typeof comparison) => up + down + helper
    expect(bytes(comparison)).toBe(signs + 13 * HEADER_BYTES)
    expect(bytes(relu)).toBe(signs + product + 16 * HEADER_BYTES)
    expect([comparison.flights, relu.flights]).toEqual([8, 9])
  })

  test('long messages travel in frames of 4 MiB', () => {
    const headers = (elements: number) => securenn.cost(variantsOf(64)[0], elements).online.helper / HEADER_BYTES
    // 448 bytes a value go over the helper's links; 152 of them in one message, which needs a second frame here.
    expect(headers(27_594) - (27_594 * 448) / HEADER_BYTES).toBe(9)
    expect(headers(27_595) - (27_595 * 448) / HEADER_BYTES).toBe(10)
  })

  test.each([2, 7, 16, 64])(
    'is what three meters and the clock show, %i bits, odd number of elements',
    async (bits) => {
      for (const variant of variantsOf(bits)) {
        const job = { variant, elements: 1003, warmup: 1, runs: 2 }
        const flights = await countFlights(securenn, variant)
        expect(metered(await playInThread([securenn], job), job, flights)).toEqual(securenn.cost(variant, 1003))
      }
    },
  )
})

describe('wrong signs', () => {
  /** By the definition: both shares drop `lo` of `bits` low bits, and the largest of the odd ring's numbers is 0. */
  function overShares(v: number, bits: number, lo: number): number {
    const [size, unit, ring] = [2 ** bits, 2 ** lo, 2 ** (bits - lo)]
    let wrong = 0
    for (let share = 0; share < size; share++) {
      const other = (v - share + 2 * size) % size
      const sum = (Math.floor(share / unit) + Math.floor(other / unit)) % ring
      if ((sum < ring / 2 || sum === ring - 1) !== v >= 0) wrong++
    }
    return wrong / size
  }

  test.each([0, 1, 2, 4])('predicted = counted over all shares of 7 bits, %i ignored', (lo) => {
    for (let v = -32; v < 32; v++) {
      expect(wrongSignProbability(v, { bits: 7 - lo, opened: 7 }), `v ${v}`).toBe(overShares(v, 7, lo))
    }
  })

  test.each([
    [2, undefined],
    [4, undefined],
    [8, undefined],
    [16, undefined],
    [24, undefined],
    [64, undefined],
    [10, 20],
    [4, 60],
  ])('measured = predicted within 5 standard deviations, %i bits, %s ignored', async (bits, ignored) => {
    const [variant] = variantsOf(bits, ignored)
    const values = securenn.uniform(variant, 20_000)
    const signs = (await securenn.local(variant, values)).signs()
    const wrong = [...values].filter((v, i) => v >= 0 !== (signs[i] === 1)).length
    const expected = securenn.predictedWrong(variant, values) * values.length
    expect(Math.abs(wrong - expected)).toBeLessThanOrEqual(5 * Math.sqrt(expected))
  })

  test('a whole ReLU gives the value where its sign says so, else zero; every party can play alone again', async () => {
    const [, relu] = variantsOf(8)
    const values = securenn.uniform(relu, 3001) as Int32Array
    const work = (await securenn.local(relu, values)) as SharedResults
    const signs = work.signs()
    expect([...work.results()!].map(Number)).toEqual([...values].map((v, i) => (signs[i] ? v : 0)))
    for (const play of [work.client, work.server, work.helper]) for (let i = 0; i < 3; i++) await play()
    work.release()
  })
})

describe('the network', () => {
  const profile = { rttMs: 10, upBitsPerSecond: 8000, downBitsPerSecond: 80_000 }
  const message = (stage: number, from: Role, to: Role, bytes: number): Message => ({
    ...{ kind: 'opening', stage, from, to, bytes: bytes - HEADER_BYTES },
  })

  test('a message takes the work, its bytes at the rate of its line, and half a round trip', () => {
    const seconds = (from: Role, to: Role, bytes: number) =>
      secondsUnder(profile, [message(1, from, to, bytes)], { [from]: [70, 50], [to]: [20, 30] })
    expect(seconds('client', 'server', 1000)).toBeCloseTo(0.07 + 1 + 0.005 + 0.03)
    expect(seconds('helper', 'client', 1000)).toBeCloseTo(0.07 + 0.1 + 0.005 + 0.03)
    expect(seconds('helper', 'server', 125e6)).toBeCloseTo(0.07 + 1 + 0.005 + 0.03)
  })

  test('messages wait for those ahead on their line and for what their sender receives before, not for others', () => {
    const early = message(1, 'client', 'helper', 1000)
    const behind = message(3, 'client', 'helper', 500)
    const beside = message(1, 'client', 'server', 1000)
    const answer = message(4, 'helper', 'client', 1000)
    const seconds = (messages: readonly Message[], work = {}) => secondsUnder(profile, messages, work)
    expect(seconds([early, behind, beside])).toBeCloseTo(1.5 + 0.005)
    expect(seconds([early, behind, answer])).toBeCloseTo(1.5 + 0.1 + 0.01)
    // What the client does while its line is busy costs nothing; what the helper does before it answers does.
    expect(seconds([early, behind, answer], { client: [0, 900] })).toBeCloseTo(1.5 + 0.1 + 0.01)
    expect(seconds([early, behind, answer], { helper: [0, 0, 900] })).toBeCloseTo(1.5 + 0.9 + 0.1 + 0.01)
    expect(onlineCost([early, behind, beside, answer])).toEqual({ up: 1000, down: 0, helper: 2500, flights: 2 })
  })

  test('every party’s work is measured before each of its messages and after its last', async () => {
    const [, relu] = variantsOf(8)
    const messages = securenn.messages(relu, 500)
    const local = await securenn.local(relu, securenn.uniform(relu, 500))
    const work = (await local.work!())!
    for (const role of ROLES) {
      expect(work[role]).toHaveLength(messages.filter(({ from, to }) => from === role || to === role).length + 1)
      expect(Math.min(...work[role]!)).toBeGreaterThanOrEqual(0)
      expect(work[role]!.reduce((sum, ms) => sum + ms)).toBeGreaterThan(0)
    }
  })
})
