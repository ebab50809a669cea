// Every way of leaving something out of a guard that its proof needs, by name, and where it is caught:
//
//   no traps, g = 0, one g for two sets, one a'' for two copies   enumerated.test.ts, "signs"; signs.test.ts
//   a fixed order                                                enumerated.test.ts, "signs"
//   the order of layers                                          here
//   set 1's pads in set 2                                        enumerated.test.ts, "signs"; views.checks.test.ts
//   set 1's keys in set 2                                        views.checks.test.ts
//   MACs mod 2^n, one α for two values                           enumerated.test.ts, "replies"
//   one M_ρ for a patch, r_next in every copy                    enumerated.test.ts, "replies"
//   no random bits above r                                       enumerated.test.ts, "replies"
//   no μ, no z, one z for two γ                                  enumerated.upload.test.ts; views.checks.test.ts
//   a'', tags or the input's mask reused                         views.guarded.test.ts
//   the output encrypted under the tag                           here
import { describe, expect, it } from 'vitest'
import { bestAcceptance, clientViews, ordersOf, type TinySets } from './tiny-guard.js'

describe('the order of layers', () => {
  /** Two layers of one comparison each, and a trap. */
  const sets: TinySets = { bits: 2, y: [1, 2], traps: 1, sets: 1 }
  const best = (orders: number[][][]) => {
    const views = orders.map((order) => clientViews(sets, order))
    const answers = Array.from({ length: 8 }, (_, h) => bestAcceptance(orders, views, 1, [h]))
    return Math.max(...answers)
  }

  it('sent whole, a wrong sign of the first layer passes as often as its place is guessed', () => {
    expect(best(ordersOf(sets))).toBe(1 / 3)
  })

  it('sent layer by layer it passes more often: what comes first is of the first layer, or a trap', () => {
    const layered = ordersOf(sets).filter(([order]) => order.indexOf(0) < order.indexOf(1))
    expect(best(layered)).toBe(2 / 3)
  })
})

describe('the output encrypted under the tag', () => {
  it('lets the client try off line all the tags that an error can leave, where a check on line takes one', () => {
    for (const [n, sigma] of [
      [3, 2],
      [4, 3],
      [5, 4],
    ]) {
      const word = 2 ** (n + sigma)
      // The best error there is: the top bit of what is computed with.
      const error = 2 ** (n - 1)
      const due = Array.from({ length: word }, (_, alpha) => (alpha * error) % word)
      const tags = new Map<number, number>()
      for (const tag of due) tags.set(tag, (tags.get(tag) ?? 0) + 1)
      // On line: one tag, and none is likelier than another.
      expect(new Set(tags.values())).toEqual(new Set([word / 2 ** (sigma + 1)]))
      // Off line: so few keys that one of them opens the output, whatever α is.
      expect(tags.size).toBe(2 ** (sigma + 1))
    }
  })
})
