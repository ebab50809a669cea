// Segment tables: what each party sees says nothing of the value. For every outcome of all coins over rings of a few bits; then
// byte by byte at real widths, beside the entry that is read; and variants that share what they must not.
import { describe, it } from 'vitest'
import type { MccActivation } from '../../../../src/plan/plan.js'
import { Purpose } from '../../../../src/random/streams.js'
import { reusing } from '../../../fixtures/faulty-streams.js'
import { type TwinCurve, twinEntry } from '../../../kernels/polynomial/curve-twin.js'
import { all, expectBlind, expectTold, low, type See as SeeOf } from '../blind.js'
import { expectBlindAtRealWidths, small } from '../wide-views.js'

type See = SeeOf<number>

describe('every outcome', () => {
  const TINY: TwinCurve & { n: number; f: number } = {
    ...{ n: 2, bits: 3, segments: 1, f: 1 },
    polynomials: [
      [1n, 2n],
      [-2n, 1n],
    ],
  }
  type Broken = 'no next mask' | 'one pad for both entries'

  /** The server, given ŷ', which is uniform: the corrections of all words, and the reply. */
  const server =
    (held: number, broken?: Broken): See =>
    (y) => {
      const { n, f, bits } = TINY
      const a = 3
      const r = low(y - held + a, bits)
      const opened = low(held - a + 4, bits)
      const dealt = [0n, 1n].map((entry) => twinEntry(TINY, BigInt(r), entry).map(Number))
      return (coins, view) => {
        let halves: number[] = []
        let own: number[] = []
        dealt.forEach((words, entry) => {
          if (entry === 0 || broken !== 'one pad for both entries') halves = words.map(() => coins.take(n + f))
          words.forEach((word, degree) => {
            view.put(word - halves[degree], n + f)
          })
          if (entry === opened >> (bits - TINY.segments)) own = halves
        })
        const next = broken === 'no next mask' ? 0 : coins.take(n)
        view.put((low(own[0] + opened * own[1], n + f) >> f) - next, n)
      }
    }
  const width = 4 * (TINY.n + TINY.f) + TINY.n

  it.each([0, 2, 5])('server, holding %d', (held) => {
    expectBlind(all(3), width, width, server(held))
    expectTold(all(3), width - TINY.n, width, server(held, 'no next mask'))
    expectTold(all(3), width - 2 * (TINY.n + TINY.f), width, server(held, 'one pad for both entries'))
  })

  /** The client: two opened values, given their masks, which are its own. */
  const client =
    (one: boolean): SeeOf<readonly number[]> =>
    (values) =>
    (coins, view) => {
      const first = coins.take(3)
      view.put(values[0] - first, 3)
      view.put(values[1] - (one ? first : coins.take(3)), 3)
    }
  it('client', () => {
    const pairs = all(2).flatMap((x) => all(2).map((y) => [x, y]))
    expectBlind(pairs, 6, 6, client(false))
    expectTold(pairs, 3, 6, client(true))
  })
})

/** A parabola by segments that differ. */
const CURVE: MccActivation = {
  ...{ truncate: 10, bits: 16, lo: 0, chunks: [], relu: { kind: 'identity' } },
  curve: {
    ...{ segments: 3, drop: 12 },
    polynomials: Array.from({ length: 8 }, (_, i) => [2 ** 18 * (i - 4), 300 * i - 50, 7 - i]),
  },
}
expectBlindAtRealWidths(small(CURVE), [
  ['halves of tables that are used again', { ch: reusing(Purpose.curveHalf) }],
  ['masks of tensors that are used again', { ch: reusing(Purpose.inputMask) }],
  ['masks of linear results that are used again', { ch: reusing(Purpose.outputMask) }],
])
