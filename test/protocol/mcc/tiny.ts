// The gadgets over rings of a few bits, one value at a time, as docs/protocol.md writes them: small enough to run for
// every value of every coin. `views.test.ts` holds them against the kernels.
import { dealerBits, tablePosition, twinTables } from '../../kernels/mcc-twin.js'

export interface Tiny {
  /** n, n', dropped bits, ignored bits. */
  n: number
  bits: number
  f: number
  lo: number
  chunks: readonly number[]
}

/** A fixed outcome of all coins, read a few bits at a time. */
export class Coins {
  #rest = 0

  set(outcome: number): this {
    this.#rest = outcome
    return this
  }

  take(bits: number): number {
    const value = this.#rest & ((1 << bits) - 1)
    this.#rest >>>= bits
    return value
  }
}

/** What a party sees, as one number. */
export class View {
  key = 0
  #width = 0

  clear(): this {
    this.key = 0
    this.#width = 0
    return this
  }

  put(value: number, bits: number): this {
    this.key |= (value & ((1 << bits) - 1)) << this.#width
    this.#width += bits
    return this
  }
}

/** How often each view occurs over every outcome of `coins` coins. */
export function distribution(coins: number, width: number, see: (coins: Coins, view: View) => void): Uint32Array {
  const counts = new Uint32Array(2 ** width)
  const source = new Coins()
  const view = new View()
  for (let outcome = 0; outcome < 2 ** coins; outcome++) {
    see(source.set(outcome), view.clear())
    counts[view.key]++
  }
  return counts
}

export const sameDistribution = (a: Uint32Array, b: Uint32Array): boolean =>
  Buffer.compare(new Uint8Array(a.buffer), new Uint8Array(b.buffer)) === 0

const low = (x: number, bits: number): number => x & ((1 << bits) - 1)
const signed = (x: number, bits: number): number => (x << (32 - bits)) >> (32 - bits)

/** The server's truncate-reduce and opening; the helper's addend. */
export const openShare = (share: number, a: number, { f, bits }: Tiny): number => low((share >> f) - a, bits)
export const addend = (m: number, a: number, { f, bits }: Tiny): number => low((m >> f) + a, bits)

/** The carry masks s and keys K of a chain of t chunks. */
export const dealerCoins = (t: number): number => t * t - 1

/** Bits of all tables of a chain. */
export function tableWidth(chunks: readonly number[]): number {
  const t = chunks.length
  return chunks.reduce((sum, c, j) => sum + (j === 0 ? t : 2 * (t - j)) * 2 ** c, 0)
}

/** The chain of one shape: tables and rows as words of up to 32 bits, in the order of the kernels. */
export class TinyChain {
  readonly width: number
  readonly #tables = new Map<number, number>()
  readonly #columns: { at: number; shift: number; low: number; chunk: number }[] = []

  constructor(readonly ring: Tiny) {
    const { chunks, lo } = ring
    const t = chunks.length
    this.width = tableWidth(chunks)
    let shift = lo
    chunks.forEach((chunk, stage) => {
      for (let column = 0; column < (stage === 0 ? t : 2 * (t - stage)); column++) {
        this.#columns.push({ at: tablePosition(chunks, stage, column, 0), shift, low: 2 ** chunk - 1, chunk })
      }
      shift += chunk
    })
  }

  /** The dealer's tables without pads. `coins`: s_0 …, then the keys. */
  tables(r: number, rho: number, coins: number): number {
    const id = (coins << 6) | (r << 1) | rho
    let packed = this.#tables.get(id)
    if (packed === undefined) {
      const { chunks, lo } = this.ring
      const t = chunks.length
      const bits = Array.from({ length: dealerCoins(t) }, (_, i) => (coins >> i) & 1)
      packed = 0
      for (const [j, stage] of twinTables(r, lo, chunks, dealerBits(rho, bits, t)).entries()) {
        for (const [e, entry] of stage.entries()) {
          for (const [column, bit] of entry.entries()) packed |= bit << tablePosition(chunks, j, column, e)
        }
      }
      this.#tables.set(id, packed)
    }
    return packed
  }

  /** The entries at every chunk of e, t² bits. */
  rows(tables: number, e: number): number {
    const { lo, bits } = this.ring
    const moved = low(e + (lo > 0 ? 1 << (lo - 1) : 0), bits)
    let rows = 0
    for (let i = 0; i < this.#columns.length; i++) {
      const column = this.#columns[i]
      rows |= ((tables >>> (column.at + ((moved >> column.shift) & column.low))) & 1) << i
    }
    return rows
  }

  /** β from unpadded rows. */
  walk(rows: number): number {
    const t = this.ring.chunks.length
    let state = rows & ((1 << t) - 1) // u, then the key K_1^u
    let at = t
    for (let j = 1; j < t; j++) {
      const length = t - j
      const row = rows >>> (at + ((state & 1) === 1 ? length : 0))
      state = (row ^ (state >>> 1)) & ((1 << length) - 1)
      at += 2 * length
    }
    return state & 1
  }
}

/** What is dealt of one value, or one party's shares of it: [ρ], [ρA_0], [ρμ], [ω], [μ]. */
export interface SelectWords {
  rho: number
  p: number
  q: number
  omega: number
  mu: number
}

export const FIELDS = ['rho', 'p', 'q', 'omega', 'mu'] as const

/** Bits of a word: those that count times 2^n' have n - n'. */
export const wordWidth = (field: keyof SelectWords, { n, bits }: Tiny): number =>
  field === 'rho' || field === 'p' ? n : n - bits

/** The dealt values themselves. `m`: the mask of y, `a`: below 2^n'. */
export function selectWords(m: number, a: number, rho: number, ring: Tiny): SelectWords {
  const { bits, f } = ring
  const known = low(m >> f, bits)
  const r = low(known + a, bits)
  const a0 = signed(r, bits) - (1 << (bits - 2))
  const mu = r >> (bits - 1)
  return { rho, p: rho * a0, q: rho * mu, omega: (known + a) >> bits, mu }
}

/** One party's share of A_j, from the summand of r it knows; the server takes the offset off. */
function addendShare(j: number, { omega, mu }: SelectWords, known: number, one: 0 | 1, { bits }: Tiny): number {
  return known - one * (1 << (bits - 2)) - ((omega + (1 - j) * mu) << bits)
}

/** One party's share of b·y'. `known`: m' at the client (one = 0), a' at the server (one = 1). */
export function selectShare(
  e: number,
  beta: number,
  words: SelectWords,
  known: number,
  one: 0 | 1,
  ring: Tiny,
): number {
  const { bits, n } = ring
  const x = signed(low(e + (1 << (bits - 2)), bits), bits)
  const j = x < 0 ? 1 : 0
  const product = words.p + j * (words.q << bits)
  if (beta === 0) return low(x * words.rho + product, n)
  return low(x * (one - words.rho) + addendShare(j, words, known, one, ring) - product, n)
}

/** One party's share of y' without a comparison. */
export function extendShare(e: number, words: SelectWords, known: number, one: 0 | 1, ring: Tiny): number {
  const { bits, n } = ring
  const x = signed(low(e + (1 << (bits - 2)), bits), bits)
  return low(x * one + addendShare(x < 0 ? 1 : 0, words, known, one, ring), n)
}
