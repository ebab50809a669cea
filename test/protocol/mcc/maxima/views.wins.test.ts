// Wins of channels: what each party sees says nothing of the values. For every outcome of all coins over rings of a few bits; then
// byte by byte at real widths; and variants that share what they must not.
import { describe, it } from 'vitest'
import { Purpose } from '../../../../src/random/streams.js'
import { reusing, sharedByCopies } from '../../../fixtures/faulty-streams.js'
import { expectBlind, expectTold, low, type See as SeeOf } from '../blind.js'
import { expectBlindAtRealWidths, PLAIN, small } from '../wide-views.js'

type See = SeeOf<readonly number[]>

describe('every outcome, of three channels', () => {
  const bits = 2
  const VALUES = [
    [0, 0, 0],
    [0, 1, 0],
    [1, 0, 1],
    [-1, -1, 0],
  ]
  /** Who meets, and whether the second is a lower channel, which wins ties. */
  const MEETINGS = [
    [0, 1, 0],
    [1, 2, 0],
    [2, 0, 1],
  ] as const
  type Shares = 'one mask for two values' | 'one ρ for two chains' | 'halves of 0' | 'no next mask'

  const signs = (y: readonly number[]): number[] =>
    MEETINGS.map(([i, j, tie]) => (low(y[i] - y[j] - tie, bits) < 1 << (bits - 1) ? 1 : 0))

  /** e of all three, β of the chains (their other bits are views.test.ts's). */
  const client =
    (broken?: Shares): See =>
    (y) =>
    (coins, view) => {
      const a = [coins.take(bits), coins.take(bits), coins.take(bits)]
      if (broken === 'one mask for two values') a[1] = a[0]
      const rho = [coins.take(1), coins.take(1), coins.take(1)]
      if (broken === 'one ρ for two chains') rho[2] = rho[0]
      y.forEach((each, i) => void view.put(each - 3 - a[i], bits))
      signs(y).forEach((b, i) => void view.put(b ^ rho[i], 1))
    }

  it('client: three openings and the chains of all that meet', () => {
    const coins = 3 * bits + 3
    expectBlind(VALUES, coins, coins, client())
    expectTold(VALUES, coins, coins, client('one mask for two values'))
    expectTold(VALUES, coins, coins, client('one ρ for two chains'))
  })

  const n = 2

  /** Corrections of [ρ], β, and three replies. */
  const server =
    (broken?: Shares): See =>
    (y) => {
      const b = signs(y)
      return (coins, view) => {
        const rho = [coins.take(1), coins.take(1), coins.take(1)]
        if (broken === 'one ρ for two chains') rho[2] = rho[0]
        const halves = rho.map(() => (broken === 'halves of 0' ? 0 : coins.take(n)))
        rho.forEach((each, i) => void view.put(each - halves[i], n))
        const beta = b.map((each, i) => each ^ rho[i])
        beta.forEach((each) => void view.put(each, 1))
        // The client's share of b: its half, or what is left of none.
        const shares = halves.map((half, i) => (beta[i] === 1 ? -half : half))
        const wins = [0, 0, 0]
        MEETINGS.forEach(([i, j], at) => {
          wins[i] += shares[at]
          wins[j] -= shares[at]
        })
        for (const z of wins) view.put(z - (broken === 'no next mask' ? 0 : coins.take(n)), n)
      }
    }

  it('server: all words, all β and all replies together', () => {
    const coins = 3 + 3 * n + 3 * n
    expectBlind(VALUES, coins, coins, server())
    expectTold(VALUES, coins, coins, server('one ρ for two chains'))
    expectTold(VALUES, coins, coins, server('halves of 0'))
    expectTold(VALUES, coins, coins, server('no next mask'))
  })
})

expectBlindAtRealWidths(small({ ...PLAIN, wins: true }), [
  ['masks of tensors that are used again', { ch: reusing(Purpose.inputMask) }],
  ['pads that chains share', { ch: sharedByCopies(Purpose.tablePad) }],
  ['one ρ for two chains', { own: sharedByCopies(Purpose.dealerRho) }],
])
