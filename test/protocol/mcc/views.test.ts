// What each party sees, for every outcome of all randomness it does not know, over rings of three to five bits: the
// distribution is the same for all secrets. Variants with one mask reused or left out are told apart.
import { describe, expect, it } from 'vitest'
import { loadKernels, upload } from '../../../src/kernels/instance.js'
import {
  addTruncated,
  dealerBytes,
  dealRho,
  dealSelect,
  dealTables,
  dealWrap,
  extend,
  maskTruncated,
  readRows,
  rowBytes,
  select,
  shareAddend,
  tableBytes,
  walkChain,
} from '../../../src/kernels/mcc.js'
import { all, corrections, expectBlind, expectTold, low, type See, title } from './blind.js'
import { drawFrom, whole } from './gadget-plan.js'
import {
  addend,
  dealerCoins,
  extendShare,
  FIELDS,
  openShare,
  selectShare,
  selectWords,
  type Tiny,
  TinyChain,
} from './tiny.js'

/** Chains over n' = 3, 4 and 5 bits, whole and with ignored bits. */
const RINGS: Tiny[] = [
  { n: 3, bits: 3, f: 0, lo: 0, chunks: [3] },
  { n: 4, bits: 3, f: 1, lo: 0, chunks: [2, 1] },
  { n: 3, bits: 3, f: 0, lo: 0, chunks: [1, 1, 1] },
  { n: 4, bits: 4, f: 0, lo: 0, chunks: [4] },
  { n: 4, bits: 4, f: 0, lo: 0, chunks: [2, 2] },
  { n: 5, bits: 4, f: 1, lo: 0, chunks: [2, 1, 1] },
  { n: 4, bits: 4, f: 0, lo: 2, chunks: [1, 1] },
  { n: 5, bits: 5, f: 0, lo: 0, chunks: [5] },
  { n: 5, bits: 5, f: 0, lo: 0, chunks: [3, 2] },
  { n: 5, bits: 5, f: 0, lo: 0, chunks: [2, 2, 1] },
  { n: 5, bits: 5, f: 0, lo: 2, chunks: [2, 1] },
]

describe('the small twin is the gadget', () => {
  for (const ring of RINGS) {
    it(`kernels agree: ${title(ring)}`, () => {
      const { n, bits, f, lo, chunks } = ring
      const k = loadKernels()
      const draw = drawFrom(bits + chunks.length)
      const count = 64
      const words = (limit: number) => Uint32Array.from({ length: count }, () => whole(draw, 0, 2 ** limit - 1))
      const bytes = (length: number) => Uint8Array.from({ length }, () => whole(draw, 0, 255))
      const room = (words: number) => k.memory.alloc(words * 4)
      const bit = (data: Uint8Array, i: number) => (data[i >> 3] >> (i & 7)) & 1
      const [share, m, a] = [words(n), words(n), words(bits)]
      const [e, r] = [room(count), room(count)]
      maskTruncated(k, upload(k.memory, share), upload(k.memory, a), count, f, bits, e)
      addTruncated(k, upload(k.memory, m), upload(k.memory, a), count, f, bits, r)
      const t = chunks.length
      const [rho, coins, pads] = [bytes(8), bytes(dealerBytes(chunks, count)), bytes(tableBytes(chunks, count))]
      const chain = { bits, lo, chunks, add: lo > 0 ? 2 ** (lo - 1) : 0 }
      const tables = upload(k.memory, pads)
      const rhoBits = upload(k.memory, rho)
      dealTables(k, chain, count, { r, rho: rhoBits, bits: upload(k.memory, coins), tables })
      const rows = k.memory.alloc(rowBytes(chunks, count))
      const opened = k.memory.alloc(rowBytes(chunks, count))
      const beta = k.memory.alloc(8)
      readRows(k, chain, count, e, tables, rows)
      readRows(k, chain, count, e, upload(k.memory, pads), opened)
      const sent = rows.u8().map((byte, i) => byte ^ opened.u8()[i])
      walkChain(k, chunks, count, rows, opened, beta)

      const halves = FIELDS.map(() => words(32))
      const [rhoWords, p, q, omega, mu] = halves.map((half) => upload(k.memory, half))
      dealRho(k, rhoBits, count, rhoWords)
      dealSelect(k, count, bits, { r, rho: rhoBits, p, q })
      dealWrap(k, count, bits, { r, a: upload(k.memory, a), omega, mu })
      const a1 = room(count)
      shareAddend(k, 'server', count, 0, bits, { x: upload(k.memory, a), omega, out: a1 })
      const nothing = k.memory.allocZero(count * 4)
      const [z, passed] = [room(count), room(count)]
      select(k, 'server', count, bits, { e, beta, rho: rhoWords, p, q, a1, mu, other: nothing, out: z })
      extend(k, 'server', count, bits, { e, a1, mu, other: nothing, out: passed })

      const twin = new TinyChain(ring)
      for (let i = 0; i < count; i++) {
        const [ei, ri] = [openShare(share[i], a[i], ring), addend(m[i], a[i], ring)]
        expect([e.u32()[i], r.u32()[i]]).toEqual([ei, ri])
        const random = Array.from({ length: dealerCoins(t) }, (_, c) => coins[(i >> 3) * dealerCoins(t) + c])
        const packed = random.reduce((sum, byte, c) => sum | (((byte >> (i & 7)) & 1) << c), 0)
        const found = twin.rows(twin.tables(ri, bit(rho, i), packed), ei)
        const kernel = Array.from({ length: t * t }, (_, c) => (sent[(i >> 3) * t * t + c] >> (i & 7)) & 1)
        expect(kernel.reduce((sum, b, c) => sum | (b << c), 0)).toBe(found)
        expect(bit(beta.u8(), i)).toBe(twin.walk(found))
        const dealt = selectWords(m[i], a[i], bit(rho, i), ring)
        const shares = corrections(
          dealt,
          Object.fromEntries(FIELDS.map((field, w) => [field, halves[w][i]])) as never,
          ring,
        )
        expect(low(z.u32()[i], n)).toBe(selectShare(ei, bit(beta.u8(), i), shares, a[i], 1, ring))
        expect(low(passed.u32()[i], n)).toBe(extendShare(ei, shares, a[i], 1, ring))
      }
    })
  }
})

describe('helper', () => {
  it('F = W - B is the same for all weights', () => {
    expectBlind(
      all(3).flatMap((a) => all(3).map((b) => [a, b])),
      6,
      6,
      (w) => (coins, view) => {
        for (const x of w) view.put(x - coins.take(3), 3)
      },
    )
  })
})

describe('server', () => {
  /** x̂, then u and δ of two outputs. One tensor feeds both, as a residual connection does. */
  const linear =
    (w: readonly number[], b: readonly number[], n: number): See<number> =>
    (x) =>
    (coins, view) => {
      const r = coins.take(n)
      view.put(x - r, n)
      w.forEach((weight, i) => {
        const [s, m] = [coins.take(n), coins.take(n)]
        view.put((weight - b[i]) * r - s, n)
        view.put(b[i] * r + s - m, n)
      })
    }
  for (const n of [3, 4]) {
    it(`linear step with its input, n = ${n}`, () => {
      for (const w of [
        [0, 0],
        [1, 3],
        [-2, 5],
        [4, -1],
      ]) {
        if (n === 3 || w[0] < 0) expectBlind(all(n), 5 * n, 5 * n, linear(w, [3, 6], n))
      }
    })
  }

  for (const ring of RINGS.filter(({ chunks, bits }) => bits === 3 && chunks.length < 3)) {
    it(`comparison with all pads: ${title(ring)}`, () => {
      const chain = new TinyChain(ring)
      const { n, chunks } = ring
      const more = dealerCoins(chunks.length)
      const a = 5
      expectBlind(all(n), n + 1 + more + chain.width, n + chain.width + 1, (y) => (coins, view) => {
        const [m, rho, dealer, pads] = [coins.take(n), coins.take(1), coins.take(more), coins.take(chain.width)]
        const share = low(y - m, n)
        const e = openShare(share, a, ring)
        const padded = chain.tables(addend(m, a, ring), rho, dealer) ^ pads
        view.put(share, n).put(padded, chain.width)
        view.put(chain.walk(chain.rows(padded, e) ^ chain.rows(pads, e)), 1)
      })
    })
  }

  for (const ring of RINGS) {
    it(`comparison: ${title(ring)}`, () => {
      const chain = new TinyChain(ring)
      const { n, chunks } = ring
      const more = dealerCoins(chunks.length)
      // Pads: each bit moves its own bit of the message and nothing else, so the tables are uniform whatever they hold.
      const draw = drawFrom(n)
      for (let i = 0; i < 200; i++) {
        const [r, rho, dealer] = [whole(draw, 0, 2 ** ring.bits - 1), whole(draw, 0, 1), whole(draw, 0, 2 ** more - 1)]
        const [e, base] = [whole(draw, 0, 2 ** ring.bits - 1), whole(draw, 0, 2 ** chain.width - 1)]
        const plain = chain.tables(r, rho, dealer)
        const beta = (pads: number) => chain.walk(chain.rows(plain ^ pads, e) ^ chain.rows(pads, e))
        for (let p = 0; p < chain.width; p++) expect(beta(base ^ (1 << p))).toBe(beta(base))
      }
      // Without the tables: the share, the word of [ρ], β.
      expectBlind(all(n), 2 * n + 1 + more, 2 * n + 1, (y) => (coins, view) => {
        const [m, rho, dealer, half] = [coins.take(n), coins.take(1), coins.take(more), coins.take(n)]
        const share = low(y - m, n)
        const plain = chain.tables(addend(m, 3, ring), rho, dealer)
        view.put(share, n).put(rho - half, n)
        view.put(chain.walk(chain.rows(plain, openShare(share, 3, ring))), 1)
      })
    })
  }

  it('block ReLU: two shares, the table of their sum, the word of [ρ], β', () => {
    const [n, values, sums] = [
      3,
      { n: 3, bits: 2, f: 0, lo: 0, chunks: [2] },
      { n: 3, bits: 2, f: 1, lo: 0, chunks: [2] },
    ]
    const chain = new TinyChain(values)
    const secrets = all(n).flatMap((y1) => all(n).map((y2) => [y1, y2]))
    expectBlind(secrets, 2 * n + 1 + 4 + n, 2 * n + 4 + n + 1, ([y1, y2]) => (coins, view) => {
      const [m1, m2, rho, pads] = [coins.take(n), coins.take(n), coins.take(1), coins.take(4)]
      const [share1, share2] = [low(y1 - m1, n), low(y2 - m2, n)]
      const e = openShare(low(share1 + share2, n), 2, sums)
      const padded = chain.tables(addend(low(m1 + m2, n), 2, sums), rho, 0) ^ pads
      view
        .put(share1, n)
        .put(share2, n)
        .put(padded, 4)
        .put(rho - coins.take(n), n)
      view.put(chain.walk(chain.rows(padded, e) ^ chain.rows(pads, e)), 1)
    })
  })
})

describe('client', () => {
  for (const ring of RINGS) {
    it(`comparison, whatever its own mask is: ${title(ring)}`, () => {
      const chain = new TinyChain(ring)
      const { n, bits, chunks } = ring
      const t = chunks.length
      const more = dealerCoins(t)
      for (const m of [0, 2 ** n - 1, 5]) {
        expectBlind(all(n), bits + 1 + more, bits + t * t, (y) => (coins, view) => {
          const [a, rho, dealer] = [coins.take(bits), coins.take(1), coins.take(more)]
          const e = openShare(low(y - m, n), a, ring)
          view.put(e, bits).put(chain.rows(chain.tables(addend(m, a, ring), rho, dealer), e), t * t)
        })
      }
    })
  }

  it('block ReLU: both values, their sum and its row', () => {
    const [n, values, sums] = [
      3,
      { n: 3, bits: 2, f: 0, lo: 0, chunks: [2] },
      { n: 3, bits: 2, f: 1, lo: 0, chunks: [2] },
    ]
    const chain = new TinyChain(values)
    const secrets = all(n).flatMap((y1) => all(n).map((y2) => [y1, y2]))
    for (const [m1, m2] of [
      [0, 0],
      [3, 6],
      [7, 5],
    ]) {
      expectBlind(secrets, 7, 7, ([y1, y2]) => (coins, view) => {
        const [a1, a2, a3, rho] = [coins.take(2), coins.take(2), coins.take(2), coins.take(1)]
        const [share1, share2] = [low(y1 - m1, n), low(y2 - m2, n)]
        view.put(openShare(share1, a1, values), 2).put(openShare(share2, a2, values), 2)
        const e = openShare(low(share1 + share2, n), a3, sums)
        view.put(e, 2).put(chain.rows(chain.tables(addend(low(m1 + m2, n), a3, sums), rho, 0), e), 1)
      })
    }
  })

  it('output: weights that give the same result give the same message', () => {
    const n = 4
    for (const x of [1, 3, 7]) {
      for (const m of all(n)) {
        const seen = new Map<number, number>()
        for (const w of all(n)) {
          for (const bias of all(n)) {
            const y = low(w * x + bias, n)
            const message = low(y - m, n)
            expect(seen.get(y) ?? message).toBe(message)
            seen.set(y, message)
          }
        }
      }
    }
  })
})

describe('broken variants are told apart', () => {
  it('one r for two inputs', () => {
    const secrets = [
      [0, 0],
      [1, 6],
    ]
    const see =
      (reused: boolean): See<number[]> =>
      ([x1, x2]) =>
      (coins, view) => {
        const r = coins.take(3)
        view.put(x1 - r, 3).put(x2 - (reused ? r : coins.take(3)), 3)
      }
    expectBlind(secrets, 6, 6, see(false))
    expectTold(secrets, 6, 6, see(true))
  })

  it('one pad for two tables', () => {
    const ring: Tiny = { n: 3, bits: 2, f: 1, lo: 0, chunks: [2] }
    const chain = new TinyChain(ring)
    const secrets = [
      [0, 0],
      [0, 4],
      [2, 6],
      [7, 3],
    ]
    const see =
      (reused: boolean): See<number[]> =>
      (secret) =>
      (coins, view) => {
        const pads = coins.take(4)
        for (const [i, y] of secret.entries()) {
          const [m, rho] = [coins.take(3), coins.take(1)]
          const own = i === 0 || reused ? pads : coins.take(4)
          view.put(y - m, 3).put(chain.tables(addend(m, 1, ring), rho, 0) ^ own, 4)
        }
      }
    expectBlind(secrets, 16, 14, see(false))
    expectTold(secrets, 16, 14, see(true))
  })

  for (const chunks of [
    [2, 1],
    [1, 1, 1],
  ]) {
    it(`no carry masks s, chunks [${chunks}]`, () => {
      const ring: Tiny = { n: 3, bits: 3, f: 0, lo: 0, chunks }
      const chain = new TinyChain(ring)
      const t = chunks.length
      const more = dealerCoins(t)
      const see =
        (masked: boolean): See<number> =>
        (y) =>
        (coins, view) => {
          const [a, rho, dealer] = [coins.take(3), coins.take(1), coins.take(more)]
          const e = openShare(y, a, ring)
          const used = masked ? dealer : dealer & (-1 << (t - 1)) // s comes first
          view.put(e, 3).put(chain.rows(chain.tables(addend(0, a, ring), rho, used), e), t * t)
        }
      expectBlind(all(3), 4 + more, 3 + t * t, see(true))
      expectTold(all(3), 4 + more, 3 + t * t, see(false))
    })
  }
})
