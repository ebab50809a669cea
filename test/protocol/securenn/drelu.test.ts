import { describe, expect, it } from 'vitest'
import {
  comparedBits,
  dealDrelu,
  drelu,
  dreluMessages,
  EXACT,
  type Window,
} from '../../../src/protocol/securenn/drelu.js'
import {
  dealTriple,
  multiply,
  PRODUCT,
  pairwise,
  productMessages,
  sendProduct,
} from '../../../src/protocol/securenn/multiply.js'
import { after, flights, lastStage, totalBytes } from '../../../src/protocol/transcript.js'
import { opened, shared, three } from './three.js'

const at = { layer: 3, inference: 9 }

async function signs(values: readonly bigint[], window: Window) {
  const parties = three()
  const [a, b] = shared(parties, values)
  const count = values.length
  const [mine, theirs] = await Promise.all([
    drelu(parties.client, a, count, window, at),
    drelu(parties.server, b, count, window, at),
    dealDrelu(parties.helper, count, window, at),
  ])
  return { bits: opened(mine, theirs, count), parties }
}

const random64 = (count: number): bigint[] => [
  ...new BigInt64Array(crypto.getRandomValues(new Uint8Array(8 * count)).buffer),
]
const nonNegative = (v: bigint) => (v >= 0n ? 1n : 0n)

describe('DReLU of the published protocol', () => {
  it('exact: equals the sign of every value but 2^63 - 1, the one word the odd ring lacks', async () => {
    const edge = [0n, 1n, -1n, 2n, -2n, 2n ** 62n, -(2n ** 62n), 2n ** 63n - 2n, -(2n ** 63n), -(2n ** 63n) + 1n]
    const values = [...edge, ...random64(1000), ...random64(300).map((v) => v >> 45n)]
    const { bits } = await signs(values, EXACT)
    expect(bits).toEqual(values.map(nonNegative))
  })

  it.each([
    { ignoredMsb: 48, ignoredLsb: 0 },
    { ignoredMsb: 47, ignoredLsb: 5 },
    { ignoredMsb: 56, ignoredLsb: 8 },
    { ignoredMsb: 60, ignoredLsb: 10 },
    { ignoredMsb: 32, ignoredLsb: 32 },
    { ignoredMsb: 58, ignoredLsb: 0 },
  ])(
    'approximate, $ignoredMsb high and $ignoredLsb low bits ignored: right from 2^(lsb+1) up and from -2^(lsb+1) down to the window',
    async (window) => {
      const least = 2n ** BigInt(window.ignoredLsb + 1)
      const beyond = 2n ** BigInt(63 - window.ignoredMsb + window.ignoredLsb)
      const inside = random64(2000).map((v) => ((v < 0n ? -v : v) % (beyond - least)) + least)
      // Dropping low bits rounds down and may lose a carry: the lowest unit of the window has no room for that.
      const lowest = -(beyond - 2n ** BigInt(window.ignoredLsb))
      const below = inside.map((v) => (-v < lowest ? lowest : -v))
      const values = [least, beyond - 1n, -least, lowest, ...inside, ...below]
      const { bits } = await signs(values, window)
      expect(bits).toEqual(values.map(nonNegative))
    },
  )

  it.each([EXACT, { ignoredMsb: 48, ignoredLsb: 0 }, { ignoredMsb: 59, ignoredLsb: 3 }])(
    'costs 6·bits + 112 bytes a value and 8 flights: %o',
    async (window) => {
      for (const count of [1, 16, 300]) {
        const { parties } = await signs(random64(count), window)
        const declared = dreluMessages(window, count)
        expect(totalBytes(declared)).toBe(count * (6 * comparedBits(window) + 112))
        expect(parties.traffic.bytes).toBe(totalBytes(declared))
        expect(parties.traffic.flights).toBe(flights(declared))
      }
    },
  )

  it('with a product makes a ReLU: 6·bits + 152 bytes and at most 10 flights', async () => {
    const values = [...random64(300).map((v) => v >> 3n), 0n, -1n, 1n]
    const count = values.length
    const parties = three()
    const [a, b] = shared(parties, values)
    const run = async (side: typeof parties.client, v: typeof a) =>
      multiply(side, v, await drelu(side, v, count, EXACT, at), pairwise(count), at)
    const helper = async () => {
      await dealDrelu(parties.helper, count, EXACT, at)
      await sendProduct(parties.helper, dealTriple(parties.helper, PRODUCT, pairwise(count), at), at)
    }
    const [x, y] = await Promise.all([run(parties.client, a), run(parties.server, b), helper()])
    expect(opened(x, y, count)).toEqual(values.map((v) => (v > 0n ? v : 0n)))
    const signs = dreluMessages(EXACT, count)
    const declared = [...signs, ...after(lastStage(signs), productMessages(pairwise(count)))]
    expect(parties.traffic.bytes).toBe(totalBytes(declared))
    expect(parties.traffic.bytes).toBe(count * (6 * 64 + 152))
    expect(parties.traffic.flights).toBeLessThanOrEqual(10)
    expect(parties.traffic.flights).toBe(flights(declared))
  })

  it('releases all it allocates', async () => {
    const parties = three()
    const values = random64(40)
    const [a, b] = shared(parties, values)
    const before = [parties.client, parties.server, parties.helper].map(({ k }) => k.memory.inUse)
    const [x, y] = await Promise.all([
      drelu(parties.client, a, 40, EXACT, at),
      drelu(parties.server, b, 40, EXACT, at),
      dealDrelu(parties.helper, 40, EXACT, at),
    ])
    x.release()
    y.release()
    expect([parties.client, parties.server, parties.helper].map(({ k }) => k.memory.inUse)).toEqual(before)
  })
})
