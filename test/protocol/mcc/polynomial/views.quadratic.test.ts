// A quadratic select: what each party sees says nothing of the value. For every outcome of all coins over rings of a few bits,
// of one copy and of two; then byte by byte at real widths; and variants that share what they must not.
import { describe, it } from 'vitest'
import type { MccActivation } from '../../../../src/plan/plan.js'
import { Purpose } from '../../../../src/random/streams.js'
import { reusing, sharedByCopies } from '../../../fixtures/faulty-streams.js'
import { all, expectBlind, expectTold, low, type See as SeeOf } from '../blind.js'
import type { Coins, View } from '../tiny.js'
import { expectBlindAtRealWidths, PLAIN, small } from '../wide-views.js'
import {
  copyWords,
  OMEGA,
  ownWords,
  P,
  P2,
  Q2,
  quadraticShare,
  quadraticWidths,
  R,
  type TinyPiece,
  type TinyQuadratic,
  tested,
  V,
} from './tiny-quadratic.js'

type See = SeeOf<number>

describe('every outcome', () => {
  type Broken = 'no next mask' | 'no fresh bits' | "P2 has P's half" | "ρ's half is 0" | 'one ρ for both'

  /** The server, given its share of y, which is uniform: corrections of all words, β of all copies, the reply. */
  const server =
    (ring: TinyQuadratic, pieces: readonly TinyPiece[], held: number, broken?: Broken): See =>
    (y) => {
      const { n, bits, f } = ring
      const [m, a] = [low(y - held, bits), 1]
      const e = low(held - a, bits)
      const { own, copy } = quadraticWidths(ring)
      const owned = ownWords(m, a, bits)
      const dealt = [0, 1].map((rho) => copyWords(m, a, rho, bits))
      const signs = pieces.map(({ shift }) => tested(e, m, a, shift, bits))
      const halves = new Int32Array(own.length)
      const copies = pieces.map(() => new Int32Array(copy.length))
      return (coins: Coins, view: View) => {
        for (let word = OMEGA; word <= V; word++) {
          halves[word] = coins.take(own[word])
          view.put(owned[word] - halves[word], own[word])
        }
        const rhos = coins.take(broken === 'one ρ for both' ? 1 : pieces.length)
        const beta = signs.map((b, j) => b ^ ((broken === 'one ρ for both' ? rhos : rhos >> j) & 1))
        for (let j = 0; j < pieces.length; j++) {
          const words = copies[j]
          for (let word = R; word <= Q2; word++) {
            const kept = (broken === "P2 has P's half" && word === P2) || (broken === "ρ's half is 0" && word === R)
            words[word] = kept ? (word === R ? 0 : words[P]) : coins.take(copy[word])
            view.put(dealt[beta[j] ^ signs[j]][word] - words[word], copy[word])
          }
          view.put(beta[j], 1)
        }
        const fresh = broken === 'no fresh bits' || broken === 'no next mask' ? 0 : coins.take(f)
        const next = broken === 'no next mask' ? 0 : coins.take(n)
        view.put(quadraticShare(e, beta, halves, copies, m, 0, pieces, ring) - (next << f) - fresh, n + f)
      }
    }

  const width = (ring: TinyQuadratic, copies: number): number => {
    const sum = (words: readonly number[]) => words.reduce((a, b) => a + b, 0)
    const { own, copy } = quadraticWidths(ring)
    return sum(own) + copies * (sum(copy) + 1) + ring.n + ring.f
  }

  it('client: an opened value is uniform, however many copies there are', () => {
    // What a copy's chain shows is a chain's, given e' and r (views.bends.test.ts); words and halves are its own.
    expectBlind(all(3), 3, 3, (y) => (coins, view) => void view.put(y - 3 - coins.take(3), 3))
    expectTold(all(3), 2, 3, (y) => (coins, view) => void view.put(y - 3 - coins.take(2), 3))
  })

  const ONE: TinyPiece[] = [{ shift: 1, sign: 1, c0: 1, c1: 1 }]
  /** Whose signs are equal for some values and not for others. */
  const TWO: TinyPiece[] = [...ONE, { shift: 0, sign: -1, c0: 0, c1: 1 }]
  const values = [-1, 0, 1, -2] // what is out of range is wrong, and hidden all the same

  it('server: one copy', () => {
    const ring: TinyQuadratic = { n: 2, bits: 2, f: 1 }
    const coins = width(ring, 1)
    const { copy } = quadraticWidths(ring)
    const see = (broken?: Broken) => server(ring, ONE, 2, broken)
    expectBlind(values, coins, coins, see())
    expectTold(values, coins - ring.n - ring.f, coins, see('no next mask'))
    expectTold(values, coins - ring.f, coins, see('no fresh bits'))
    expectTold(values, coins - copy[P2], coins, see("P2 has P's half"))
    expectTold(values, coins - copy[R], coins, see("ρ's half is 0"))
  })

  it('server: two copies', () => {
    const ring: TinyQuadratic = { n: 2, bits: 2, f: 0 }
    const coins = width(ring, 2)
    expectBlind(values, coins, coins, server(ring, TWO, 3))
    expectTold(values, coins - 1, coins, server(ring, TWO, 3, 'one ρ for both'))
  })
})

const SELECT: MccActivation = {
  ...PLAIN,
  bends: { shifts: [6144, -6144], sum: { signs: [1, -1], plus: 0 } },
  quadratic: {
    drop: 14,
    polynomials: [
      [0, 6144],
      [0, -6144],
    ],
  },
}
expectBlindAtRealWidths(small(SELECT), [
  ['masks of tensors that are used again', { ch: reusing(Purpose.inputMask) }],
  ['pads that two copies share', { ch: sharedByCopies(Purpose.tablePad) }],
  ['one ρ for both copies', { own: sharedByCopies(Purpose.dealerRho) }],
])
