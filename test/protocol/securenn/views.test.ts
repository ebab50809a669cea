// What the helper sees of a private comparison: sums of digits. Where they are not 0 they are uniform, the place of a 0
// is uniform, and both whatever is compared. Undoing the rotation is the broken variant that has to be noticed.
import { describe, expect, it } from 'vitest'
import { Draw, drawBelow } from '../../../src/protocol/securenn/draws.js'
import { dealDrelu, drelu } from '../../../src/protocol/securenn/drelu.js'
import { shared, three } from './three.js'

const BITS = 16
const COUNT = 8192
const BLOCK = 256
const WINDOW = { ignoredMsb: 64 - BITS, ignoredLsb: 0 }
const at = { layer: 1, inference: 0 }
/** Beyond ten deviations chance is one in 10^8 here. */
const UNIFORM = 10
/** Order of the helper's messages: a + r from both, then digits from both, twice. */
const FIRST_DIGITS = COUNT * BITS

/** Sums of digits of the second comparison (x > z), value by value, and the amounts they were turned by. */
async function helperView(value: bigint): Promise<{ sums: number[][]; turns: Uint8Array }> {
  const parties = three()
  const [a, b] = shared(parties, new Array<bigint>(COUNT).fill(value))
  await Promise.all([
    drelu(parties.client, a, COUNT, WINDOW, at),
    drelu(parties.server, b, COUNT, WINDOW, at),
    dealDrelu(parties.helper, COUNT, WINDOW, at),
  ])
  const digits = parties.traffic.views.helper.filter((message) => message.byteLength === FIRST_DIGITS)
  expect(digits).toHaveLength(4)
  const { client } = parties
  const turns = drawBelow(client.k, client.common, at, Draw.turn2, COUNT, BITS).u8().slice(0, COUNT)
  const [mine, theirs] = digits.slice(2)
  const sums = Array.from({ length: COUNT }, (_, e) =>
    Array.from({ length: BITS }, (_, i) => {
      const place = Math.floor(e / BLOCK) * BLOCK * BITS + i * BLOCK + (e % BLOCK)
      return (mine[place] + theirs[place]) % 67
    }),
  )
  return { sums, turns }
}

/** Chi-square of counts against a uniform distribution, less its mean, in standard deviations. */
function deviation(counts: readonly number[]): number {
  const expected = counts.reduce((a, b) => a + b) / counts.length
  const chi = counts.reduce((sum, c) => sum + (c - expected) ** 2 / expected, 0)
  const freedom = counts.length - 1
  return (chi - freedom) / Math.sqrt(2 * freedom)
}

function histogram(values: readonly number[], size: number): number[] {
  const counts = new Array<number>(size).fill(0)
  for (const value of values) counts[value]++
  return counts
}

const zeroPlaces = (sums: number[][]): number[] => sums.map((row) => row.indexOf(0)).filter((place) => place >= 0)

describe('the helper’s view of a private comparison', () => {
  for (const value of [2n, -2n, 9000n, -20000n]) {
    it(`of ${value}: digits and places of zeros are uniform, a zero comes half of the time and never twice`, async () => {
      const { sums } = await helperView(value)
      const nonZero = sums.flat().filter((digit) => digit !== 0)
      expect(
        deviation(
          histogram(
            nonZero.map((digit) => digit - 1),
            66,
          ),
        ),
      ).toBeLessThan(UNIFORM)
      const places = zeroPlaces(sums)
      expect(deviation(histogram(places, BITS))).toBeLessThan(UNIFORM)
      expect(Math.abs(places.length - COUNT / 2)).toBeLessThan(6 * Math.sqrt(COUNT / 4))
      for (const row of sums) expect(row.filter((digit) => digit === 0).length).toBeLessThanOrEqual(1)
    })
  }

  it('without the rotation the place of the zero tells how far two numbers agree', async () => {
    const { sums, turns } = await helperView(9000n)
    const unturned = sums.map((row, e) => row.map((_, i) => row[(i + BITS - turns[e]) % BITS]))
    expect(deviation(histogram(zeroPlaces(unturned), BITS))).toBeGreaterThan(50)
  })

  it('one rotation for a whole batch would show, too', async () => {
    const { sums, turns } = await helperView(9000n)
    const alike = sums.map((row, e) => row.map((_, i) => row[(i + 2 * BITS - turns[e] + 5) % BITS]))
    expect(deviation(histogram(zeroPlaces(alike), BITS))).toBeGreaterThan(50)
  })
})

describe('what client and server are sent', () => {
  it('openings are uniform words, whatever is compared', async () => {
    for (const value of [2n, -20000n]) {
      const parties = three()
      const [a, b] = shared(parties, new Array<bigint>(COUNT).fill(value))
      await Promise.all([
        drelu(parties.client, a, COUNT, WINDOW, at),
        drelu(parties.server, b, COUNT, WINDOW, at),
        dealDrelu(parties.helper, COUNT, WINDOW, at),
      ])
      for (const name of ['client', 'server'] as const) {
        const openings = parties.traffic.views[name].filter((message) => message.byteLength === 16 * COUNT)
        expect(openings.length).toBeGreaterThan(0)
        for (const message of openings) expect(deviation(histogram([...message], 256))).toBeLessThan(UNIFORM)
      }
    }
  })
})
