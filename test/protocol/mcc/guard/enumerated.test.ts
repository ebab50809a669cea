// What a guard promises, for every outcome of every coin and every error of a client, over rings of a few bits: deviations
// pass exactly as often as predicted, honest clients always, and nobody's view depends on a secret. Variants with a piece
// left out are told apart.
import { describe, expect, it } from 'vitest'
import { distribution, sameDistribution } from '../tiny.js'
import {
  bestAcceptance,
  clientViews,
  combined,
  keysOf,
  ordersOf,
  partsOf,
  type TinyMac,
  type TinySets,
  type TinyTags,
  wordOf,
} from './tiny-guard.js'

const low = (x: number, bits: number): number => x & ((1 << bits) - 1)
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i)
const bitsOf = (x: number): number => x.toString(2).replaceAll('0', '').length

describe('replies', () => {
  const rings: TinyMac[] = [
    { n: 2, bits: 2, sigma: 1 },
    { n: 2, bits: 2, sigma: 2 },
    { n: 3, bits: 2, sigma: 1 },
  ]
  const named = (ring: TinyMac) => `n ${ring.n}, n' ${ring.bits}, σ ${ring.sigma}`

  /** How often errors (η_1, η_2, τ) on two replies and T are accepted, over all α; `shared`: one α for both. */
  function accepted({ n, sigma }: Pick<TinyMac, 'n' | 'sigma'>, shared = false) {
    const word = n + sigma
    const all = upTo(2 ** word)
    const counts = new Uint32Array(2 ** (3 * word))
    for (const eta1 of all) {
      for (const eta2 of all) {
        for (const one of all) {
          for (const two of shared ? [one] : all) {
            counts[(((eta1 << word) | eta2) << word) | low(one * eta1 + two * eta2, word)]++
          }
        }
      }
    }
    const total = 2 ** (shared ? word : 2 * word)
    return (eta1: number, eta2: number, tau: number) => counts[(((eta1 << word) | eta2) << word) | tau] / total
  }

  /** The best chance of an error that changes what the server computes with. */
  function bestForgery(ring: Pick<TinyMac, 'n' | 'sigma'>, shared = false): number {
    const chance = accepted(ring, shared)
    const all = upTo(2 ** (ring.n + ring.sigma))
    const harmful = all.flatMap((one) => all.map((two) => [one, two])).filter((eta) => eta.some((x) => low(x, ring.n)))
    return Math.max(...harmful.flatMap(([one, two]) => all.map((tau) => chance(one, two, tau))))
  }

  /** What is drawn of one value: halves, r̃, tags. */
  const drawn = (ring: TinyMac, take: (bits: number) => number, secret = { known: 0 }) => {
    const high = ring.n - ring.bits
    const word = wordOf(ring)
    const half = { rho: take(ring.n), p: take(ring.n), q: take(high), omega: take(high), mu: take(high), ...secret }
    const next = take(word)
    const [long, short] = [() => take(word), () => take(word - ring.bits)]
    const tags: TinyTags = { rho: long(), w0: long(), q: short(), w2: long(), muQ: short() }
    return { half, next, tags }
  }

  it('an error is accepted exactly as often as its lowest bit says: all errors, all α', () => {
    for (const ring of rings) {
      const word = wordOf(ring)
      const chance = accepted(ring)
      const all = upTo(2 ** word)
      const zeros = (x: number) => (x === 0 ? word : 31 - Math.clz32(x & -x))
      for (const eta1 of all) {
        for (const eta2 of all) {
          const valuation = Math.min(zeros(eta1), zeros(eta2))
          for (const tau of all) {
            const due = zeros(tau) >= valuation ? 2 ** (valuation - word) : 0
            if (chance(eta1, eta2, tau) !== due) expect.fail(`${named(ring)}: η ${eta1} ${eta2}, τ ${tau}`)
          }
        }
      }
      expect(bestForgery(ring)).toBe(2 ** -(ring.sigma + 1))
    }
  })

  it('without the σ bits the top bit of a reply passes half of the time; with one α for two, errors that cancel always', () => {
    for (const { n, sigma } of rings) {
      expect(bestForgery({ n, sigma: 0 })).toBe(1 / 2)
      expect(bestForgery({ n, sigma }, true)).toBe(1)
    }
  })

  it('the sums differ by α·η - τ and by nothing else, whatever the other coins: random ones, all e, β, α and errors', () => {
    let state = 1
    const take = (bits: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) | 0
      return bits === 0 ? 0 : state >>> (32 - bits)
    }
    for (const ring of rings) {
      const word = wordOf(ring)
      for (let round = 0; round < 40; round++) {
        const { half, next, tags } = drawn(ring, take, { known: take(ring.bits) })
        const parts = partsOf(half, ring)
        for (const e of upTo(2 ** ring.bits)) {
          for (const beta of [0, 1]) {
            const reply = combined(e, beta, parts, ring) - next
            const tag = combined(e, beta, tags, ring)
            for (const alpha of upTo(2 ** word)) {
              const due = combined(e, beta, keysOf(tags, parts, alpha, alpha * next, ring), ring)
              for (const eta of upTo(2 ** word)) {
                const off = low(alpha * (reply + eta) + due - tag, word)
                if (off !== low(alpha * eta, word)) expect.fail(`${named(ring)}: e ${e}, β ${beta}, α ${alpha}`)
              }
            }
          }
        }
      }
    }
  })

  /** The server's view of one value: R, its keys, its halves of ρ and ρA_0. It knows e, β and α. */
  function serverView(
    secret: { rho: number; rhoA: number; known: number },
    { e, beta, alpha }: { e: number; beta: number; alpha: number },
    nextBits = 3,
  ): Uint32Array {
    const ring: TinyMac = { n: 2, bits: 2, sigma: 1 }
    return distribution(15 + nextBits, 18, (coins, view) => {
      const half = { rho: coins.take(2), p: coins.take(2), q: 0, omega: 0, mu: 0, known: secret.known }
      const next = coins.take(nextBits)
      const [long, short] = [() => coins.take(3), () => coins.take(1)]
      const tags: TinyTags = { rho: long(), w0: long(), q: short(), w2: long(), muQ: short() }
      const parts = partsOf(half, ring)
      const reply = combined(e, beta, parts, ring) - next
      const keys = keysOf(tags, parts, alpha, alpha * next, ring)
      // T adds nothing: an honest one is what the server computes itself.
      if (low(alpha * reply + combined(e, beta, keys, ring) - combined(e, beta, tags, ring), 3) !== 0) {
        throw new Error('an honest client is refused')
      }
      view.put(reply, 3).put(keys.rho, 3).put(keys.w0, 3).put(keys.q, 1).put(keys.w2, 3).put(keys.muQ, 1)
      view.put(secret.rho - half.rho, 2).put(secret.rhoA - half.p, 2)
    })
  }

  const secrets = [
    { rho: 0, rhoA: 0, known: 0 },
    { rho: 1, rhoA: 3, known: 1 },
    { rho: 1, rhoA: 2, known: 3 },
  ]

  it("the server's view of replies, keys and T is uniform: all coins; honest clients are never refused", () => {
    for (const secret of secrets.slice(0, 2)) {
      for (const e of upTo(4)) {
        for (const beta of [0, 1]) {
          for (const alpha of secret.rho ? [3, 4] : [5]) {
            const counts = serverView(secret, { e, beta, alpha })
            if (counts.some((count) => count !== 1)) expect.fail(`e ${e}, β ${beta}, α ${alpha}`)
          }
        }
      }
    }
  })

  it('without random bits above r the reply shows more than r hides', () => {
    const [one, other] = [secrets[0], secrets[2]].map((secret) => serverView(secret, { e: 1, beta: 0, alpha: 5 }, 2))
    expect(sameDistribution(one, other)).toBe(false)
  })

  /** K_ρ of two values of a patch, and the server's half of its ρ. */
  const patchView = (rho: number, tagsPerValue: boolean) =>
    distribution(8, 8, (coins, view) => {
      const [half, one, two] = [coins.take(2), coins.take(3), coins.take(3)]
      view.put(one - 3 * half, 3).put((tagsPerValue ? two : one) - 6 * half, 3)
      view.put(rho - half, 2)
    })

  it('one M_ρ for the values of a patch tells the server ρ; one for each does not', () => {
    expect(sameDistribution(patchView(0, true), patchView(1, true))).toBe(true)
    expect(sameDistribution(patchView(0, false), patchView(1, false))).toBe(false)
  })

  /** How often honest clients pass where copies are summed, r̃ being counted in the keys of some. */
  function honestCopies(signs: readonly (1 | -1)[], counted: 'first' | 'every'): number {
    const ring: TinyMac = { n: 3, bits: 2, sigma: 2 }
    const word = wordOf(ring)
    let [passed, runs] = [0, 0]
    let state = 7
    const take = (bits: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) | 0
      return bits === 0 ? 0 : state >>> (32 - bits)
    }
    for (const alpha of upTo(2 ** word)) {
      for (const next of upTo(2 ** word)) {
        let [reply, due, tag] = [-next, 0, 0]
        for (const [copy, sign] of signs.entries()) {
          const { half, tags } = drawn(ring, take, { known: take(2) })
          const parts = partsOf(half, ring)
          const [e, beta] = [take(2), take(1)]
          reply += sign * combined(e, beta, parts, ring)
          const here = counted === 'every' || copy === 0
          due += combined(e, beta, keysOf(tags, parts, sign * alpha, here ? alpha * next : 0, ring), ring)
          tag += combined(e, beta, tags, ring)
        }
        runs++
        if (low(alpha * reply + due - tag, word) === 0) passed++
      }
    }
    return passed / runs
  }

  it('summed copies count r once; counted in every copy it refuses honest clients', () => {
    for (const signs of [[1], [1, -1], [-1, 1], [1, -1, 1]] as const) {
      expect(honestCopies(signs, 'first')).toBe(1)
      if (signs.length > 1) expect(honestCopies(signs, 'every')).toBeLessThan(1 / 2)
    }
  })

  it('a wrong sign with the reply that belongs to it passes: signs are what the second sets are for', () => {
    const ring = rings[2]
    const half = { rho: 5, p: 2, q: 1, omega: 0, mu: 1, known: 3 }
    const tags = { rho: 9, w0: 4, q: 2, w2: 11, muQ: 3 }
    const parts = partsOf(half, ring)
    for (const beta of [0, 1]) {
      const keys = keysOf(tags, parts, 7, 7 * 6, ring)
      const reply = combined(2, beta, parts, ring) - 6
      expect(low(7 * reply + combined(2, beta, keys, ring) - combined(2, beta, tags, ring), 4)).toBe(0)
    }
  })
})

describe('the input', () => {
  it('stays within three quarters of the window whatever is opened; every input of an honest client is itself', () => {
    for (const bits of [3, 4, 5]) {
      const signed = (x: number) => (x << (32 - bits)) >> (32 - bits)
      const taken = (e: number, r: number) => {
        const centred = signed(e + 2 ** (bits - 2))
        const mu = r >> (bits - 1)
        return centred + r - 2 ** (bits - 2) - (centred < 0 ? 0 : mu << bits)
      }
      for (const r of upTo(2 ** bits)) {
        for (const e of upTo(2 ** bits)) expect(Math.abs(taken(e, r))).toBeLessThanOrEqual(0.75 * 2 ** bits)
        for (let x = -(2 ** (bits - 2)) + 1; x < 2 ** (bits - 2); x++) expect(taken(low(x - r, bits), r)).toBe(x)
      }
    }
  })
})

describe('signs', () => {
  const choose = (n: number, k: number): number => (k === 0 ? 1 : (choose(n - 1, k - 1) * n) / k)

  /** The client's views under every order; they must not depend on y' or the order where `same` is asked. */
  function viewsOf(sets: TinySets) {
    const orders = ordersOf(sets)
    const views = orders.map((order) => clientViews(sets, order))
    for (const view of views) expect(view.at(-1)).toBe(0) // nobody honest is refused
    return { orders, views }
  }

  /** The best chance over all errors in β that are not none, all answers and all views. */
  function best(sets: TinySets): number {
    const { orders, views } = viewsOf(sets)
    const count = sets.y.length + sets.traps
    const answers = upTo(2 ** (count * sets.sets)).map((h) =>
      upTo(sets.sets).map((set) => low(h >> (set * count), count)),
    )
    const wrong = upTo(2 ** sets.y.length).slice(1)
    return Math.max(...wrong.flatMap((f) => answers.map((h) => bestAcceptance(orders, views, f, h))))
  }

  const pair: TinySets = { bits: 2, y: [1, 2], traps: 1, sets: 1 }
  const single: TinySets = { bits: 1, y: [0], traps: 1, sets: 2 }
  const copies: TinySets = { ...pair, y: [1, 2], copy: true }

  it.each([
    ['two comparisons, one trap', pair, upTo(6).map((x) => [x & 3, (3 * x) & 3])],
    ['two copies of a value', copies, upTo(4).map((x) => [x, (x + 1) & 3])],
    ['one comparison, two sets', single, [[0], [1]]],
  ])("the client's view is the same for all y' and orders, whatever it did before: %s", (_, sets, values) => {
    const reference = clientViews({ ...sets, y: values[0] }, ordersOf(sets)[0])
    for (const y of values) {
      for (const view of viewsOf({ ...sets, y }).views) expect(sameDistribution(view, reference)).toBe(true)
    }
  })

  it('every error is accepted exactly as often as its places are guessed, whatever view it is based on', () => {
    for (const sets of [pair, copies]) {
      const { orders, views } = viewsOf(sets)
      for (const f of upTo(4)) {
        for (const h of upTo(8)) {
          const due = bitsOf(f) === bitsOf(h) ? 1 / choose(3, bitsOf(f)) : 0
          expect(bestAcceptance(orders, views, f, [h])).toBe(due)
        }
      }
    }
    expect(best(single)).toBe(1 / 4)
  })

  it.each<[string, number, TinySets]>([
    ['no traps', 1 / 3, { ...pair, traps: 0 }],
    ['no g', 1 / 3, { ...pair, broken: 'no g' }],
    ["one a'' for two copies", 1 / 3, { ...copies, broken: "one a''" }],
    ['one g for two sets', 1 / 4, { ...single, broken: 'one g' }],
  ])('%s: caught, a wrong sign passes more often than it may', (_, bound, sets) => {
    expect(best(sets)).toBeGreaterThan(bound)
  })

  it('in a fixed order every wrong sign passes', () => {
    const [order] = ordersOf(pair)
    const views = [clientViews(pair, order)]
    expect(bestAcceptance([order], views, 1, [1 << order[0].indexOf(0)])).toBe(1)
  })

  /** What the server sees of one comparison in both sets, for given a', a'' and g: ŷ', tables and answers. */
  const serverView = (y: number, masks: { a: number; second: number; g: number }, pads: 'own' | 'shared') =>
    distribution(11, 12, (coins, view) => {
      const [m, rho, one, own] = [coins.take(2), coins.take(1), coins.take(4), coins.take(4)]
      const two = pads === 'own' ? own : one
      const table = (r: number, bit: number, pad: number) =>
        upTo(4).reduce((all, e) => all | (((1 - (low(e + r, 2) >> 1)) ^ bit ^ ((pad >> e) & 1)) << e), 0)
      const { a, second, g } = masks
      view
        .put(y - m, 2)
        .put(table(m + a, rho, one), 4)
        .put(table(m + second, rho ^ g, two), 4)
      const b = 1 - (y >> 1)
      view.put(b ^ rho, 1).put(b ^ rho ^ g, 1)
    })

  it("the server's view does not depend on y'; under set 1's pads it does", () => {
    let told = 0
    for (const second of upTo(4)) {
      for (const g of [0, 1]) {
        const masks = { a: 1, second, g }
        const [own, shared] = (['own', 'shared'] as const).map((pads) => serverView(0, masks, pads))
        for (const y of [1, 2, 3]) {
          expect(sameDistribution(serverView(y, masks, 'own'), own)).toBe(true)
          if (!sameDistribution(serverView(y, masks, 'shared'), shared)) told++
        }
      }
    }
    expect(told).toBeGreaterThan(0)
  })
})
