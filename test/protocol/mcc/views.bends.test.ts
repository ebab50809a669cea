// Two ReLUs of one opened value: what each party sees says no more than what it sees of one. For every outcome of all
// coins over rings of two and three bits; then byte by byte at real widths, with variants that share what they must not.
import { describe, expect, it } from 'vitest'
import type { MccActivation } from '../../../src/plan/plan.js'
import { Purpose } from '../../../src/random/streams.js'
import { sharedByCopies } from '../../fixtures/faulty-streams.js'
import { all, low, type See as SeeOf, tells } from './blind.js'
import { addend, dealerCoins, openShare, selectWords, type Tiny, TinyChain } from './tiny.js'
import { expectBlindAtRealWidths, FEWER_RUNS, PLAIN, small } from './wide-views.js'

type See = SeeOf<number>

describe('two chains on one e, every outcome', () => {
  type Shared = 'nothing' | 'ρ' | 'dealer bits' | 'pads'

  for (const chunks of [[2, 1], [3]]) {
    const ring: Tiny = { n: 3, bits: 3, f: 0, lo: 0, chunks }
    const chain = new TinyChain(ring)
    const [t, more] = [chunks.length, dealerCoins(chunks.length)]
    /** The client: e once, and the rows of both copies, the second two units lower. Its own mask is known to it. */
    const client =
      (m: number, shared: Shared): See =>
      (y) =>
      (coins, view) => {
        const a = coins.take(3)
        const [e, r] = [openShare(low(y - m, 3), a, ring), addend(m, a, ring)]
        view.put(e, 3)
        const dealt = [0, 1].map(() => [coins.take(1), coins.take(more)] as const)
        for (const [j, moved] of [e, low(e - 2, 3)].entries()) {
          const rho = dealt[shared === 'ρ' ? 0 : j][0]
          const dealer = dealt[shared === 'dealer bits' ? 0 : j][1]
          view.put(chain.rows(chain.tables(r, rho, dealer), moved), t * t)
        }
      }
    const coins = 3 + 2 * (1 + more)
    it(`client, chunks [${chunks}]`, () => {
      for (const m of all(3)) expect(tells(all(3), coins, 3 + 2 * t * t, client(m, 'nothing'))).toBe(false)
      expect(tells(all(3), coins, 3 + 2 * t * t, client(5, 'ρ'))).toBe(true)
      if (t > 1) expect(tells(all(3), coins, 3 + 2 * t * t, client(5, 'dealer bits'))).toBe(true)
    })
  }

  /** The server: its share, the tables of both copies as they come, and either β. */
  const server =
    (chain: TinyChain, shared: Shared): See =>
    (y) =>
    (coins, view) => {
      const { ring } = chain
      const { n, bits } = ring
      const m = coins.take(n)
      const share = low(y - m, n)
      const [e, r] = [openShare(share, 1, ring), addend(m, 1, ring)]
      view.put(share, n)
      let [pads, rho] = [0, 0]
      for (const [j, moved] of [e, low(e - 1, bits)].entries()) {
        if (j === 0 || shared !== 'ρ') rho = coins.take(1)
        if (j === 0 || shared !== 'pads') pads = coins.take(chain.width)
        const tables = chain.tables(r, rho, coins.take(dealerCoins(ring.chunks.length)))
        view.put(tables ^ pads, chain.width).put(chain.walk(chain.rows(tables, moved)), 1)
      }
    }
  it('server', () => {
    const one = new TinyChain({ n: 3, bits: 2, f: 1, lo: 0, chunks: [2] })
    expect(tells(all(3), 13, 13, server(one, 'nothing'))).toBe(false)
    expect(tells(all(3), 12, 13, server(one, 'ρ'))).toBe(true)
    const two = new TinyChain({ n: 2, bits: 2, f: 0, lo: 0, chunks: [1, 1] })
    expect(tells(all(2), 18, 20, server(two, 'pads'))).toBe(true)
  })
})

describe('two selects on one e, every outcome', () => {
  const ring: Tiny = { n: 3, bits: 2, f: 0, lo: 0, chunks: [2] }
  /** What is dealt for every m and ρ. */
  const words = all(3).map((m) => all(1).map((rho) => selectWords(m, 1, rho, ring)))
  /**
   * The server's share, the words of both copies (the second one unit higher) and either β. The reply is left out: a word
   * that nothing else uses masks it, so it is uniform whatever the rest is. `views.select.test.ts` has it, and unmasked.
   */
  const server =
    (shared: 'ω and μ' | 'the half of P too'): See =>
    (y) =>
    (coins, view) => {
      const m = coins.take(3)
      const [omega, mu] = [coins.take(1), coins.take(1)]
      const share = low(y - m, 3)
      const e = openShare(share, 1, ring)
      view.put(share, 3)
      let p = 0
      for (const [j, moved] of [e, low(e + 1, 2)].entries()) {
        const rho = coins.take(1)
        if (j === 0 || shared === 'ω and μ') p = coins.take(3)
        const dealt = words[m][rho]
        const beta = rho ^ (low(moved + addend(m, 1, ring), 2) < 2 ? 1 : 0)
        view
          .put(dealt.rho - coins.take(3), 3)
          .put(dealt.p - p, 3)
          .put(dealt.q - coins.take(1), 1)
          .put(beta, 1)
        if (j === 0) view.put(dealt.omega - omega, 1).put(dealt.mu - mu, 1)
      }
    }
  it('server: ω and μ serve both copies', () => {
    expect(tells(all(3), 21, 21, server('ω and μ'))).toBe(false)
    expect(tells(all(3), 18, 21, server('the half of P too'))).toBe(true)
  })
})

// What two chains of a value have in common is part of a view.
const CLIP: MccActivation = { ...PLAIN, bends: { shifts: [0, -1536], sum: { signs: [1, -1], plus: 0 } } }
expectBlindAtRealWidths(
  small(CLIP),
  [
    ['one pad for both tables', { ch: sharedByCopies(Purpose.tablePad) }],
    ['one ρ for both chains', { own: sharedByCopies(Purpose.dealerRho) }],
    ['one half for the words of both selects', { ch: sharedByCopies(Purpose.selectHalf) }],
  ],
  FEWER_RUNS,
)
