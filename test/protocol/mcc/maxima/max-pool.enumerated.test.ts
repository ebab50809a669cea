// Maxima of three in rings of a few bits, for every three values and masks: never wrong, and wrong without any of the words.
import { describe, expect, it } from 'vitest'
import { all, low } from '../blind.js'
import { drawFrom, whole } from '../gadget-plan.js'
import { dealtWords, maximumShare, type TinyMaxPool, testedSigns, WORDS, wordWidths } from './tiny-max-pool.js'

type Forgets = keyof typeof WORDS

/** Whether the parties' shares add up to the maximum. Halves are any: shares are linear in them. */
function isRight(ring: TinyMaxPool, y: number[], m: number[], a: number[], rho: number[], forgets?: Forgets): boolean {
  const { n, bits } = ring
  const masks = m.map((each, i) => ({ m: each, a: a[i] }))
  const e = y.map((each, i) => low(each - m[i] - a[i], bits))
  const beta = testedSigns(e, masks, bits).map((b, i) => b ^ rho[i])
  const widths = widthsOf(ring)
  const client = widths.map((width) => low(draws(), width))
  const server = dealtWords(masks, rho, bits).map((word, i) => low(word - client[i], widths[i]))
  const zc = maximumShare(e, beta, client, m, 0, ring, forgets)
  const zs = maximumShare(e, beta, server, a, 1, ring, forgets)
  return low(zc + zs, n) === low(Math.max(...y), n)
}

const known = new Map<TinyMaxPool, readonly number[]>()
function widthsOf(ring: TinyMaxPool): readonly number[] {
  if (!known.has(ring)) known.set(ring, wordWidths(ring))
  return known.get(ring)!
}

const draw = drawFrom(1)
const draws = () => whole(draw, 0, 2 ** 30)

/** Values whose differences stay in range. */
function inRange(bits: number): number[][] {
  const limit = 1 << (bits - 3)
  const values = Array.from({ length: 2 * limit }, (_, i) => i - limit)
  return values.flatMap((y0) => values.flatMap((y1) => values.map((y2) => [y0, y1, y2])))
}

const bitsOf = (x: number) => [x & 1, (x >> 1) & 1, (x >> 2) & 1]

describe('maxima of three', () => {
  it("of every value and mask but one, which is drawn, n' = 3: none is wrong", () => {
    const ring = { n: 5, bits: 3 }
    let wrong = 0
    for (const y of inRange(3))
      for (const m of all(9))
        for (const a of all(6)) {
          const ms = [m & 7, (m >> 3) & 7, m >> 6]
          if (!isRight(ring, y, ms, [a & 7, a >> 3, draws() & 7], bitsOf(draws()))) wrong++
        }
    expect(wrong).toBe(0)
  })

  it.each([
    { n: 6, bits: 4 },
    { n: 4, bits: 4 },
    { n: 9, bits: 5 },
  ])('of every value and 64 masks each: %o', (ring) => {
    const masks = () => [0, 1, 2].map(() => low(draws(), ring.bits))
    for (const y of inRange(ring.bits))
      for (let i = 0; i < 64; i++) expect(isRight(ring, y, masks(), masks(), bitsOf(i))).toBe(true)
  })

  it.each(Object.keys(WORDS) as Forgets[])('is wrong without the words %s', (forgets) => {
    const ring = { n: 7, bits: 4 }
    const masks = () => [0, 1, 2].map(() => low(draws(), ring.bits))
    const tries = inRange(4).flatMap((y) => all(6).map((i) => isRight(ring, y, masks(), masks(), bitsOf(i), forgets)))
    expect(tries).toContain(false)
  })
})
