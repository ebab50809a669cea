// The check of a client's upload, for every outcome of every coin and every error over words of two bits: errors pass as
// often as predicted, and neither the server's nor the helper's view depends on a secret. Variants with a piece left out are
// told apart.
import { describe, expect, it } from 'vitest'
import { distribution, sameDistribution } from '../tiny.js'

const low = (x: number, bits: number): number => x & ((1 << bits) - 1)
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i)

describe('the upload', () => {
  /** ⟨γ, E⟩ of two words, γ one bit each. */
  const subset = (gamma: number, error: number) => low((gamma & 1) * (error & 3) + (gamma >> 1) * (error >> 2), 2)

  it('is what it should be for all coins, and off by the subset sum of what was changed', () => {
    for (const gamma of upTo(4)) {
      let wrong = 0
      distribution(16, 1, (coins) => {
        const [b0, b1, r, d0, d1] = upTo(5).map(() => coins.take(2))
        const [z, mu, error] = [coins.take(2), coins.take(2), coins.take(2)]
        const dot = (x: number, y: number) => (gamma & 1) * x + (gamma >> 1) * y
        const h = (dot(b0, b1) + z) * r + dot(d0, d1) + mu
        const off = dot(b0 * r + d0 + error, b1 * r + d1 + 3 * error) - (h - (z * r + mu))
        if (low(off, 2) !== subset(gamma, error | (low(3 * error, 2) << 2))) wrong++
      })
      expect(wrong).toBe(0)
    }
  })

  it.each([1, 2, 3])('with %i subsets an error passes exactly as its subset sums say, 2^-q at best', (vectors) => {
    const chance = (error: number, tau: number) => upTo(4).filter((gamma) => subset(gamma, error) === tau).length / 4
    let best = 0
    for (const error of upTo(16).slice(1)) {
      const counts = new Uint32Array(4 ** vectors)
      for (const gammas of upTo(4 ** vectors)) {
        counts[upTo(vectors).reduce((all, k) => all | (subset(low(gammas >> (2 * k), 2), error) << (2 * k)), 0)]++
      }
      counts.forEach((count, tau) => {
        const due = upTo(vectors).reduce((all, k) => all * chance(error, low(tau >> (2 * k), 2)), 1)
        if (count / 4 ** vectors !== due) expect.fail(`error ${error}, τ ${tau}`)
        best = Math.max(best, due)
      })
    }
    expect(best).toBe(2 ** -vectors)
  })

  /** x̂, δ, u, h and t, for a server that knows B, W, γ and z. */
  const serverView = (x: number, model: { b: number; w: number; gamma: number; z: number }, padded: boolean) =>
    distribution(8, 10, (coins, view) => {
      const { b, w, gamma, z } = model
      const [r, s, m] = [coins.take(2), coins.take(2), coins.take(2)]
      const mu = padded ? coins.take(2) : 0
      view
        .put(x - r, 2)
        .put(b * r + s - m, 2)
        .put((w - b) * r - s, 2)
      view.put((gamma * b + z) * r + gamma * (s - m) + mu, 2).put(z * r + mu, 2)
    })

  it("the server's view does not depend on x; without μ it does", () => {
    let told = 0
    for (const model of upTo(128).map((i) => ({ b: i & 3, w: (i >> 2) & 3, gamma: (i >> 4) & 1, z: i >> 5 }))) {
      for (const x of [1, 2, 3]) {
        expect(sameDistribution(serverView(x, model, true), serverView(0, model, true))).toBe(true)
        if (!sameDistribution(serverView(x, model, false), serverView(0, model, false))) told++
      }
    }
    expect(told).toBeGreaterThan(0)
  })

  /** F = W - B and λ' of two subsets, for a helper that knows them. */
  const helperView = (w: number, gammas: readonly [number, number], masks: 'own' | 'one' | 'none') =>
    distribution(6, 6, (coins, view) => {
      const [b, one, two] = [coins.take(2), coins.take(2), coins.take(2)]
      view.put(w - b, 2)
      view.put(gammas[0] * b + (masks === 'none' ? 0 : one), 2)
      view.put(gammas[1] * b + (masks === 'none' ? 0 : masks === 'one' ? one : two), 2)
    })

  it("the helper's view does not depend on W; without z, or with one z for two subsets, it does", () => {
    for (const gammas of [
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ] as const) {
      const differs = (masks: 'own' | 'one' | 'none') =>
        upTo(4).some((w) => !sameDistribution(helperView(w, gammas, masks), helperView(0, gammas, masks)))
      expect(differs('own')).toBe(false)
      expect(differs('none')).toBe(gammas[0] + gammas[1] > 0)
      expect(differs('one')).toBe(gammas[0] !== gammas[1])
    }
  })
})
