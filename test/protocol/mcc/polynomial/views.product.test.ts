// A product: what each party sees says nothing of the factors. For every outcome of all coins over rings of a few bits, one
// product and two under one right factor; then byte by byte at real widths; and variants that share what they must not.
import { describe, expect, it } from 'vitest'
import { loadKernels, upload } from '../../../../src/kernels/instance.js'
import { product } from '../../../../src/kernels/polynomial/product.js'
import { checkPlan } from '../../../../src/plan/check.js'
import type { Compiled } from '../../../../src/plan/compile/compile.js'
import type { MapShape, MccPlan } from '../../../../src/plan/plan.js'
import { Purpose } from '../../../../src/random/streams.js'
import { reusing } from '../../../fixtures/faulty-streams.js'
import { all, expectBlind, expectTold, low, type See as SeeOf } from '../blind.js'
import type { Coins, View } from '../tiny.js'
import { expectBlindAtRealWidths, network } from '../wide-views.js'
import { MU2, OMEGA2, P, productShare, productWords, type TinyProduct, wordWidths, X, Z } from './tiny-product.js'

/** The left factors, and the right one that they share. */
type Factors = readonly number[]
type See = SeeOf<Factors>

describe('every outcome', () => {
  it('the tiny product is that of the kernels', () => {
    const k = loadKernels()
    for (const ring of [
      { n: 3, bits: 2, f: 0 },
      { n: 4, bits: 2, f: 2 },
      { n: 5, bits: 3, f: 3 },
    ]) {
      const shape = { count: 1, broad: 1, plane: 1 }
      for (let seed = 0; seed < 64; seed++) {
        const draw = (bits: number, at: number) => low(Math.imul(seed + 1, 0x9e3779b1) >>> (3 * at), bits)
        const words = wordWidths(ring).map((bits, i) => draw(bits, i))
        const [e, known] = [0, 1].map((at) => [draw(ring.bits, at + 2), draw(ring.bits, at + 5)])
        const other = upload(k.memory, Uint32Array.of(0))
        const regions = {
          e: upload(k.memory, Uint32Array.from(e)),
          known: upload(k.memory, Uint32Array.from(known)),
          words: upload(k.memory, BigUint64Array.from(words, BigInt)),
        }
        for (const [side, one] of [
          ['client', 0],
          ['server', 1],
        ] as const) {
          const width = ring.n + ring.f
          const out = k.memory.alloc(4)
          product(k, side, shape, { bits: ring.bits, truncate: ring.f, width }, { ...regions, other, out })
          const share = productShare(e[0], e[1], words, known[0], known[1], one, ring) >> ring.f
          expect(low(out.u32()[0], ring.n)).toBe(low(share, ring.n))
          out.release()
        }
        for (const region of [other, ...Object.values(regions)]) region.release()
      }
    }
  })

  /** The client: both opened values; r it knows itself. */
  const client =
    (bits: number, one: boolean): See =>
    (factors) =>
    (coins, view) => {
      const first = coins.take(bits)
      const masks = [first, one ? first : coins.take(bits)]
      factors.forEach((value, i) => {
        view.put(value - masks[i], bits)
      })
    }
  it('client: opened values are uniform', () => {
    const pairs = all(2).flatMap((x) => all(2).map((g) => [x, g]))
    expectBlind(pairs, 4, 4, client(2, false))
    expectTold(pairs, 2, 4, client(2, true))
  })

  type Broken = 'no next mask' | 'P has the half of X' | 'one half of P for both'

  /**
   * The server, given what it holds of the tensors, which is uniform: the corrections of all words, and the replies.
   * @param held x̂ of the left factors, then of the right one
   */
  const server =
    (ring: TinyProduct, held: readonly number[], broken?: Broken): See =>
    (factors) => {
      const { n, bits, f } = ring
      const masks = factors.map((value, i) => low(value - held[i], bits))
      const right = factors.length - 1
      const a = factors.map((_, i) => low(i + 1, bits))
      const e = held.map((value, i) => low(value - a[i], bits))
      const widths = wordWidths(ring)
      const dealt = masks.slice(0, right).map((mask, i) => productWords(mask, masks[right], a[i], a[right], bits))
      const halves = new Int32Array(widths.length)
      return (coins: Coins, view: View) => {
        for (let word = OMEGA2; word <= MU2; word++) {
          halves[word] = coins.take(widths[word])
          view.put(dealt[0][word] - halves[word], widths[word])
        }
        for (let i = 0; i < right; i++) {
          const kept = broken === 'P has the half of X' || (broken === 'one half of P for both' && i > 0)
          for (let word = 0; word <= Z; word++) if (word !== P || !kept) halves[word] = coins.take(widths[word])
          if (broken === 'P has the half of X') halves[P] = halves[X]
          for (let word = 0; word <= Z; word++) view.put(dealt[i][word] - halves[word], widths[word])
          const next = broken === 'no next mask' ? 0 : coins.take(n)
          const share = productShare(e[i], e[right], halves, masks[i], masks[right], 0, ring)
          view.put((share >> f) - next, n)
        }
      }
    }
  /** Coins of so many products under one right factor, and as many bits of the view. */
  const width = (ring: TinyProduct, products: number): number => {
    const sum = (words: readonly number[]) => words.reduce((a, b) => a + b, 0)
    const widths = wordWidths(ring)
    return products * (sum(widths.slice(0, OMEGA2)) + ring.n) + sum(widths.slice(OMEGA2))
  }

  const SMALL: TinyProduct = { n: 3, bits: 2, f: 0 }
  it.each([SMALL, { n: 3, bits: 2, f: 1 }])('server: one product, %o', (ring) => {
    const secrets = [[0, 0], [1, 3], [2, 1], [3, 3]] // biome-ignore format: a list
    expectBlind(secrets, width(ring, 1), width(ring, 1), server(ring, [2, 1]))
    expectTold(secrets, width(ring, 1) - ring.n, width(ring, 1), server(ring, [2, 1], 'no next mask'))
    const reused = width(ring, 1) - wordWidths(ring)[P]
    expectTold(secrets, reused, width(ring, 1), server(ring, [2, 1], 'P has the half of X'))
  })

  it('server: two products with one right factor', () => {
    const secrets = [[0, 0, 0], [1, 3, 2]] // biome-ignore format: a list
    const ring: TinyProduct = { n: 2, bits: 2, f: 1 }
    const coins = width(ring, 2)
    expectBlind(secrets, coins, coins, server(ring, [2, 1, 3]))
    expectTold(secrets, coins - 3, coins, server(ring, [2, 1, 3], 'one half of P for both'))
  })
})

/** x · W, times a gate per channel of another map of x. */
function gated(secret: number): Compiled<MccPlan> {
  const cut = { truncate: 10, bits: 16, lo: 0, chunks: [], relu: { kind: 'identity' as const } }
  const shape: MapShape = [4, 2, 1]
  const { plan, model } = network([[8, 1, 1], [8, 1, 1], [4, 1, 1], [2, 1, 1]], [cut, cut], 32, secret) // biome-ignore format: a list
  const [first, second, last] = plan.steps
  const product = {
    id: 'product',
    linear: [
      { op: 'tensor' as const, tensor: 2, out: [4, 1, 1] as const },
      { op: 'tensor' as const, tensor: 1, out: shape },
    ],
    out: shape,
    scale: 0,
    activation: null,
    product: { bits: 16, truncate: 12 },
  }
  const out: MapShape = [2, 1, 1]
  const conv = last.linear[1]
  const geometry = { ...('geometry' in conv ? conv.geometry : expect.fail('a convolution')), cin: 8 }
  const linear = [
    { op: 'tensor' as const, tensor: 3, out: shape },
    { ...conv, geometry },
  ]
  const given = checkPlan({ ...plan, steps: [first, second, product, { ...last, linear, out }] }) as MccPlan
  const weights = new Map([...model.weights].map(([key, words]) => [key === '2.1' ? '3.1' : key, words]))
  weights.set(
    '3.1',
    Int32Array.from({ length: 16 }, (_, i) => 37 * i - 290),
  )
  return { plan: given, model: { weights, bias: [model.bias[0], model.bias[1], new Int32Array(0), model.bias[2]] } }
}
expectBlindAtRealWidths(gated, [['masks of tensors that are used again', { ch: reusing(Purpose.inputMask) }]])
