// What the server sees of the words that turn a bit into a value, for every outcome of all coins; which halves must not be
// shared or left out; and that both shares add up exactly.
import { describe, expect, it } from 'vitest'
import { all, corrections, drawn, expectBlind, low, type See, tells, title } from './blind.js'
import { drawFrom, whole } from './gadget-plan.js'
import {
  addend,
  Coins,
  extendShare,
  FIELDS,
  openShare,
  type SelectWords,
  selectShare,
  selectWords,
  type Tiny,
  wordWidth,
} from './tiny.js'

const signed = (x: number, bits: number) => (x << (32 - bits)) >> (32 - bits)

describe('select', () => {
  type Fault = 'ω and μ under one half' | "Q's half from P's" | "ρ's half 0" | 'no r_next'

  /** Share, five correction words, β, the reply; the coins that a fault leaves out stay unused. */
  const select14 =
    (ring: Tiny, fault?: Fault): See<number> =>
    (y) =>
    (coins, view) => {
      const { n } = ring
      const [m, rho] = [coins.take(n), coins.take(1)]
      const halves = drawn(coins, ring)
      if (fault === 'ω and μ under one half') halves.mu = halves.omega
      if (fault === "Q's half from P's") halves.q = low(halves.p, wordWidth('q', ring))
      if (fault === "ρ's half 0") halves.rho = 0
      const next = fault === 'no r_next' ? 0 : coins.take(n)
      const share = low(y - m, n)
      const e = openShare(share, 1, ring)
      const beta = rho ^ (signed(e + addend(m, 1, ring), ring.bits) >= 0 ? 1 : 0)
      view.put(share, n)
      const words = corrections(selectWords(m, 1, rho, ring), halves, ring)
      for (const field of FIELDS) view.put(words[field], wordWidth(field, ring))
      const known = low(m >> ring.f, ring.bits)
      view.put(beta, 1).put(selectShare(e, beta, halves, known, 0, ring) - next, n)
    }
  const selects: Tiny[] = [
    { n: 3, bits: 2, f: 1, lo: 0, chunks: [2] },
    { n: 3, bits: 2, f: 0, lo: 0, chunks: [2] },
    { n: 4, bits: 3, f: 1, lo: 0, chunks: [3] },
  ]
  const coinsOf = (ring: Tiny) => 2 * ring.n + 1 + FIELDS.reduce((sum, field) => sum + wordWidth(field, ring), 0)

  for (const ring of selects) {
    it(`select: share, five correction words, β, the reply: ${title(ring)}`, () => {
      const secrets = ring.n === 3 ? all(3) : [3, 14]
      expectBlind(secrets, coinsOf(ring), coinsOf(ring), select14(ring))
    })
  }

  for (const fault of ['ω and μ under one half', "Q's half from P's", "ρ's half 0", 'no r_next'] as const) {
    it(`select, broken: ${fault}`, () => {
      const told = selects
        .slice(0, 2)
        .some((ring) => tells(all(3), coinsOf(ring), coinsOf(ring), select14(ring, fault)))
      expect(told, 'the broken variant went unnoticed').toBe(true)
    })
  }

  it('select, exact: both shares add up to b·y', () => {
    for (const ring of [
      ...selects,
      { n: 6, bits: 6, f: 0, lo: 0, chunks: [6] },
      { n: 7, bits: 4, f: 2, lo: 0, chunks: [4] },
    ]) {
      const { n, bits, f } = ring
      const draw = drawFrom(n)
      for (const m of all(n)) {
        for (const a of all(bits)) {
          for (let y = -(2 ** (bits - 2)); y < 2 ** (bits - 2); y++) {
            const [known, rho, b] = [low(m >> f, bits), whole(draw, 0, 1), whole(draw, 0, 1)]
            const e = low(y - known - a, bits)
            const halves = drawn(new Coins().set(whole(draw, 0, 2 ** 31 - 1)), ring)
            const words = corrections(selectWords(m, a, rho, ring), halves, ring)
            const shares = ([one, mine, sums]: [0 | 1, number, SelectWords]) => [
              selectShare(e, b ^ rho, sums, mine, one, ring),
              extendShare(e, sums, mine, one, ring),
            ]
            const [client, server] = [shares([0, known, halves]), shares([1, a, words])]
            const right = low(client[0] + server[0] - b * y, n) === 0 && low(client[1] + server[1] - y, n) === 0
            if (!right) expect.fail(`m = ${m}, a' = ${a}, y = ${y}, b = ${b}, ρ = ${rho} in ${title(ring)}`)
          }
        }
      }
    }
  })

  it('identity channel: share, the words of r, the reply', () => {
    const ring: Tiny = { n: 5, bits: 3, f: 1, lo: 0, chunks: [3] }
    const { n } = ring
    expectBlind(all(n), 2 * n + 4, 2 * n + 4, (y) => (coins, view) => {
      const [m, next] = [coins.take(n), coins.take(n)]
      const halves = { rho: 0, p: 0, q: 0, omega: coins.take(2), mu: coins.take(2) }
      const share = low(y - m, n)
      const words = corrections(selectWords(m, 7, 0, ring), halves, ring)
      view.put(share, n).put(words.omega, 2).put(words.mu, 2)
      view.put(extendShare(openShare(share, 7, ring), halves, low(m >> 1, 3), 0, ring) - next, n)
    })
  })
})
