// Maxima of three: what each party sees says nothing of the values. For every outcome of all coins over rings of a few bits; then
// byte by byte at real widths; and variants that share what they must not.
import { describe, it } from 'vitest'
import { Purpose } from '../../../../src/random/streams.js'
import { oneForBothSets, reusing, sharedByLists } from '../../../fixtures/faulty-streams.js'
import { all, expectBlind, expectTold, low, type See as SeeOf } from '../blind.js'
import { expectBlindAtRealWidths, network, PLAIN } from '../wide-views.js'
import { dealtWords, maximumShare, type TinyMaxPool, testedSigns, WORDS, wordWidths } from './tiny-max-pool.js'

type See = SeeOf<readonly number[]>

describe('every outcome', () => {
  const bits = 2
  const VALUES = [
    [0, 0, 0],
    [0, 1, 0],
    [1, 0, 1],
    [-1, -1, 0],
  ]

  type Shares = 'one mask for two values' | 'one ρ for two chains' | 'one half for two words' | 'no next mask'

  /** What the client is shown: e of all three, β of the three chains (their other bits are views.test.ts's). */
  const client =
    (broken?: Shares): See =>
    (y) =>
    (coins, view) => {
      const a = [coins.take(bits), coins.take(bits), coins.take(bits)]
      if (broken === 'one mask for two values') a[1] = a[0]
      const rho = [coins.take(1), coins.take(1), coins.take(1)]
      if (broken === 'one ρ for two chains') rho[2] = rho[0]
      const masks = a.map((each) => ({ m: 3, a: each }))
      const e = y.map((each, i) => low(each - 3 - a[i], bits))
      for (const each of e) view.put(each, bits)
      for (const [i, b] of testedSigns(e, masks, bits).entries()) view.put(b ^ rho[i], 1)
    }

  it('client: three openings and three chains on what they differ by', () => {
    const coins = 3 * bits + 3
    expectBlind(VALUES, coins, coins, client())
    expectTold(VALUES, coins, coins, client('one mask for two values'))
    expectTold(VALUES, coins, coins, client('one ρ for two chains'))
  })

  /** The server, given its shares of the values, which are uniform: corrections of all words, β, the reply. */
  const server =
    (ring: TinyMaxPool, held: readonly number[], broken?: Shares): See =>
    (y) => {
      const a = [1, 2, 0]
      const m = y.map((each, i) => low(each - held[i], bits))
      const masks = m.map((each, i) => ({ m: each, a: a[i] }))
      const e = held.map((each, i) => low(each - a[i], bits))
      const signs = testedSigns(e, masks, bits)
      const widths = wordWidths(ring)
      const dealt = all(3).map((rho) => dealtWords(masks, [rho & 1, (rho >> 1) & 1, rho >> 2], bits))
      const halves = new Int32Array(widths.length)
      const beta = [0, 0, 0]
      return (coins, view) => {
        let rho = coins.take(3)
        if (broken === 'one ρ for two chains') rho = (rho & 3) | ((rho & 1) << 2)
        for (let word = 0; word < widths.length; word++) {
          const again = broken === 'one half for two words' && word === WORDS.bothRho1
          halves[word] = again ? halves[WORDS.rho1] : coins.take(widths[word])
          view.put(dealt[rho][word] - halves[word], widths[word])
        }
        for (let i = 0; i < 3; i++) {
          beta[i] = signs[i] ^ ((rho >> i) & 1)
          view.put(beta[i], 1)
        }
        const next = broken === 'no next mask' ? 0 : coins.take(ring.n)
        view.put(maximumShare(e, beta, halves, m, 0, ring) - next, ring.n)
      }
    }

  it('server: all words, all β and the reply together', () => {
    // Words of a bit: what they are of does not fit, and is hidden all the same.
    const ring: TinyMaxPool = { n: 1, bits }
    const coins = wordWidths(ring).reduce((a, b) => a + b) + 3 + ring.n
    for (const held of [
      [0, 0, 0],
      [3, 1, 2],
    ])
      expectBlind(VALUES, coins, coins, server(ring, held))
    const held = [2, 0, 3]
    expectTold(VALUES, coins, coins, server(ring, held, 'one ρ for two chains'))
    expectTold(VALUES, coins, coins, server(ring, held, 'one half for two words'))
    expectTold(VALUES, coins, coins, server(ring, held, 'no next mask'))
  })
})

/** Sixteen channels as a row: sixteen windows, of which neighbours share two values. */
const pooled = (secret: number) => {
  const maxima = { ...PLAIN, maxPool: { axis: 1, stride: 1, pad: 1 } } as const
  return network([[8, 1, 1], [16, 1, 1], [2, 1, 1]], [maxima], 32, secret, { 0: [1, 1, 16] }) // biome-ignore format: a list
}
expectBlindAtRealWidths(pooled, [
  ['masks of tensors that are used again', { ch: reusing(Purpose.inputMask) }],
  ['pads that two chains of a window share', { ch: sharedByLists(Purpose.tablePad) }],
  ['one ρ for two chains of a window', { own: sharedByLists(Purpose.dealerRho) }],
  ['one half for the words of both selects', { ch: oneForBothSets(Purpose.selectHalf) }],
])
