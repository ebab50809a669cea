// The whole quadratic select in rings of a few bits, for every value and every mask: never wrong but by the coin of its
// truncation, which is the one that docs/protocol.md names.
import { describe, expect, it } from 'vitest'
import { all, low } from '../blind.js'
import {
  copyWords,
  hardSwish,
  ownWords,
  quadraticShare,
  quadraticValue,
  quadraticWidths,
  type TinyPiece,
  type TinyQuadratic,
  tested,
} from './tiny-quadratic.js'

interface Variant {
  readonly forgets?: 'Q2' | 'V'
  /** The shares lose their bits in the ring of n bits. */
  readonly inRing?: boolean
}

/** How often the two parties' results are not the value's, over all values, masks and dealer's bits. */
function wrong(ring: TinyQuadratic, pieces: readonly TinyPiece[], { forgets, inRing }: Variant = {}) {
  const { n, bits, f } = ring
  const { own, copy } = quadraticWidths(ring)
  const limit = 1 << (bits - 2)
  let state = 1
  /** Halves are any: what is right for one of them is right for all, as shares are linear in them. */
  const draw = (width: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return low(state >>> 7, width)
  }
  const half = (dealt: readonly number[], widths: readonly number[]) => {
    const client = widths.map(draw)
    return [client, dealt.map((word, i) => low(word - client[i], widths[i]))] as const
  }
  let cases = 0
  let bad = 0
  for (let y = -limit; y < limit; y++)
    for (const m of all(bits))
      for (const a of all(bits))
        for (const rho of all(pieces.length)) {
          const e = low(y - m - a, bits)
          const owned = half(ownWords(m, a, bits), own)
          const dealt = pieces.map((_, j) => half(copyWords(m, a, (rho >> j) & 1, bits), copy))
          const beta = pieces.map(({ shift }, j) => tested(e, m, a, shift, bits) ^ ((rho >> j) & 1))
          const [zc, zs] = ([0, 1] as const).map((one) => {
            const copies = dealt.map((halves) => halves[one])
            const share = quadraticShare(e, beta, owned[one], copies, one === 0 ? m : a, one, pieces, ring, forgets)
            return inRing ? low(share, n) : share
          })
          const z = quadraticValue(y, pieces) + (1 << f) - 1
          const mask = draw(n + f)
          const coin = low(z, f) < low(mask, f) ? 1 : 0
          const held = low(zs + low(zc - mask, n + f), n + f) >> f
          cases++
          if (low(held + (mask >> f), n) !== low((z >> f) - coin, n)) bad++
        }
  return { cases, bad }
}

describe('every value, mask and dealer bit', () => {
  it.each([
    [{ n: 7, bits: 4, f: 2 }, hardSwish(1)],
    [{ n: 9, bits: 5, f: 3 }, hardSwish(3)],
    [{ n: 5, bits: 5, f: 4 }, hardSwish(3)],
    [{ n: 9, bits: 5, f: 0 }, [{ shift: 0, sign: 1, c0: 0, c1: 0 }]],
    [
      { n: 10, bits: 4, f: 2 },
      [
        { shift: 2, sign: 1, c0: 2, c1: 3 },
        { shift: 0, sign: -1, c0: -1, c1: 2 },
        { shift: -2, sign: 1, c0: 5, c1: -1 },
      ],
    ],
  ] as [TinyQuadratic, TinyPiece[]][])('none is wrong: %o', (ring, pieces) => {
    const { cases, bad } = wrong(ring, pieces)
    expect(cases).toBe(2 ** (3 * ring.bits - 1 + pieces.length))
    expect(bad).toBe(0)
  })

  it.each([{ forgets: 'Q2' }, { forgets: 'V' }, { inRing: true }] as const)(
    'the broken variant is caught: %o',
    (how) => {
      expect(wrong({ n: 7, bits: 4, f: 2 }, hardSwish(1), how).bad).toBeGreaterThan(0)
    },
  )
})
