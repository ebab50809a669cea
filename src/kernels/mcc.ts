// Typed calls of the masked-carry-chain kernels. Values are u32 words (u64 where a comparison has more than 32 bits);
// DReLUs go in groups of 8, so every buffer that is indexed by DReLU holds a whole number of groups (`groupsOf`).
// Elementwise calls may work in place; no other output may overlap an input or another output.
import { expectDisjoint, expectInteger, expectSameOrDisjoint, expectWords } from './guard.js'
import type { Kernels } from './instance.js'
import type { Region } from './memory.js'

export const GROUP = 8

/** Groups of 8 that hold `count` DReLUs. */
export const groupsOf = (count: number): number => (count + GROUP - 1) >> 3

/** How a window of k bits is cut in chunks: widths of 1 to 8 bits, least significant first. */
export type Chunks = readonly number[]

/** Bits of all table entries of one DReLU: t per entry of stage 0, 2(t-j) per entry of stage j. */
export function tableBits(chunks: Chunks): number {
  const t = chunks.length
  return chunks.reduce((sum, c, j) => sum + (j === 0 ? t : 2 * (t - j)) * 2 ** c, 0)
}

/** Bytes of the tables of `count` DReLUs: whole u16 words per DReLU, whole groups. */
export const tableBytes = (chunks: Chunks, count: number): number =>
  Math.ceil(tableBits(chunks) / 16) * 16 * groupsOf(count)

/** Bytes of the opened rows: t² bits per DReLU, whole groups. */
export const rowBytes = (chunks: Chunks, count: number): number => chunks.length ** 2 * groupsOf(count)

/** Bytes of the dealer's random bits besides ρ: t² - 1 bits per DReLU, whole groups. */
export const dealerBytes = (chunks: Chunks, count: number): number => (chunks.length ** 2 - 1) * groupsOf(count)

/** The chain of one comparison: which bits of the opened value it reads, and how. */
export interface Chain {
  /** Bits of the opened value e and of r. */
  readonly bits: number
  /** The window is [lo, bits). */
  readonly lo: number
  readonly chunks: Chunks
  /** Added to e before its chunks are read: 2^(lo-1) centres the errors of an ignored-bits window on zero. */
  readonly add: number
}

/** Bytes of an opened value or addend of a comparison: u32 words, u64 beyond 32 bits. */
export const chainWordBytes = ({ bits }: Pick<Chain, 'bits'>): 4 | 8 => (bits > 32 ? 8 : 4)

function withShape<T>(k: Kernels, chain: Chain, call: (ptr: number, t: number) => T): T {
  const shape = k.memory.alloc(chain.chunks.length)
  shape.u8().set(chain.chunks)
  try {
    return call(shape.ptr, chain.chunks.length)
  } finally {
    shape.release()
  }
}

function expectChain(call: string, { bits, lo, chunks }: Chain): void {
  expectInteger(call, 'bits', bits, 1, 64)
  expectInteger(call, 'lo', lo, 0, bits)
  expectInteger(call, 'number of chunks', chunks.length, 1, 64)
  for (const width of chunks) expectInteger(call, 'chunk width', width, 1, 8)
}

/** XORs the tables of `count` DReLUs into `tables`, which holds the pads. `r`: addends, whole groups. */
export function dealTables(
  k: Kernels,
  chain: Chain,
  count: number,
  { r, rho, bits, tables }: { r: Region; rho: Region; bits: Region; tables: Region },
): void {
  const call = 'dealTables'
  expectChain(call, chain)
  const groups = groupsOf(count)
  const wordBytes = chainWordBytes(chain)
  const [random, table] = [dealerBytes(chain.chunks, count), tableBytes(chain.chunks, count)]
  expectWords(call, 'r', r, groups * GROUP, wordBytes)
  expectWords(call, 'rho', rho, groups, 1)
  expectWords(call, 'bits', bits, random, 1)
  expectWords(call, 'tables', tables, table, 1)
  expectDisjoint(call, tables, table, r, groups * GROUP * wordBytes)
  expectDisjoint(call, tables, table, rho, groups)
  expectDisjoint(call, tables, table, bits, random)
  const deal = wordBytes === 8 ? k.raw.mccDeal64 : k.raw.mccDeal
  withShape(k, chain, (shape, t) => deal(r.ptr, groups, chain.lo, shape, t, rho.ptr, bits.ptr, tables.ptr))
}

/** Opens the entry at every chunk of e: of the tables (server) or of the pads (client). */
export function readRows(k: Kernels, chain: Chain, count: number, e: Region, tables: Region, rows: Region): void {
  const call = 'readRows'
  expectChain(call, chain)
  const { bits, lo, add } = chain
  const groups = groupsOf(count)
  const wordBytes = chainWordBytes(chain)
  const [row, table] = [rowBytes(chain.chunks, count), tableBytes(chain.chunks, count)]
  expectWords(call, 'e', e, groups * GROUP, wordBytes)
  expectWords(call, 'tables', tables, table, 1)
  expectWords(call, 'rows', rows, row, 1)
  expectDisjoint(call, rows, row, e, groups * GROUP * wordBytes)
  expectDisjoint(call, rows, row, tables, table)
  withShape(k, chain, (shape, t) => {
    if (wordBytes === 8) k.raw.mccRead64(e.ptr, groups, BigInt(add), bits, lo, shape, t, tables.ptr, rows.ptr)
    else k.raw.mccRead(e.ptr, groups, add, bits, lo, shape, t, tables.ptr, rows.ptr)
  })
}

/** β = b ⊕ ρ, one bit per DReLU, from the received rows and the opened pads (which are overwritten). */
export function walkChain(k: Kernels, chunks: Chunks, count: number, rows: Region, opened: Region, beta: Region): void {
  const call = 'walkChain'
  const bytes = rowBytes(chunks, count)
  const groups = groupsOf(count)
  expectWords(call, 'rows', rows, bytes, 1)
  expectWords(call, 'opened', opened, bytes, 1)
  expectWords(call, 'beta', beta, groups, 1)
  expectDisjoint(call, opened, bytes, rows, bytes)
  expectDisjoint(call, beta, groups, rows, bytes)
  expectDisjoint(call, beta, groups, opened, bytes)
  k.raw.mccWalk(rows.ptr, opened.ptr, groups, chunks.length, beta.ptr)
}

function truncated(name: 'mask' | 'add') {
  const call = `${name}Truncated` as const
  const kernel = name === 'mask' ? 'mccMaskTruncated' : 'mccAddTruncated'
  return (k: Kernels, x: Region, a: Region, count: number, f: number, bits: number, out: Region): void => {
    expectWords(call, 'x', x, count, 4)
    expectWords(call, 'a', a, count, 4)
    expectWords(call, 'out', out, count, 4)
    expectSameOrDisjoint(call, out, x, count * 4)
    expectSameOrDisjoint(call, out, a, count * 4)
    expectInteger(call, 'f', f, 0, 31)
    expectInteger(call, 'bits', bits, 1, 32)
    k.raw[kernel](x.ptr, a.ptr, count, f, bits, out.ptr)
  }
}

/** out = ((x >> f) - a) mod 2^bits. `out` may be `x` or `a`. */
export const maskTruncated = truncated('mask')
/** out = ((x >> f) + a) mod 2^bits. `out` may be `x` or `a`. */
export const addTruncated = truncated('add')

/** words[d] becomes ρ_d - words[d]. */
export function dealRho(k: Kernels, rho: Region, count: number, words: Region): void {
  const flags = groupsOf(count)
  expectWords('dealRho', 'rho', rho, flags, 1)
  expectWords('dealRho', 'words', words, count, 4)
  expectDisjoint('dealRho', words, count * 4, rho, flags)
  k.raw.mccDealRho(rho.ptr, count, words.ptr)
}

/** Elementwise outputs of a call lie where one of its inputs of the same words does, or apart from it. */
function expectEach(call: string, count: number, words: Readonly<Record<string, Region>>, out: Region): void {
  for (const [name, region] of Object.entries(words)) {
    expectWords(call, name, region, count, 4)
    expectSameOrDisjoint(call, out, region, count * 4)
  }
}

/**
 * The client's halves `omega` and `mu` of every opened value become the corrections of [ω] and [μ]: ω = [m' + a' ≥
 * 2^bits], μ the top bit of r. `r`: below 2^bits; `a`: a' as its stream gives it.
 */
export function dealWrap(
  k: Kernels,
  count: number,
  bits: number,
  { r, a, omega, mu }: { r: Region; a: Region; omega: Region; mu: Region },
): void {
  expectInteger('dealWrap', 'bits', bits, 2, 32)
  for (const [name, region] of Object.entries({ r, a, omega, mu })) expectWords('dealWrap', name, region, count, 4)
  for (const input of [r, a, mu]) expectDisjoint('dealWrap', omega, count * 4, input, count * 4)
  for (const input of [r, a]) expectDisjoint('dealWrap', mu, count * 4, input, count * 4)
  k.raw.mccDealWrap(r.ptr, a.ptr, count, bits, omega.ptr, mu.ptr)
}

/** The client's halves `p` and `q` of every switched value become the corrections of [ρA_0] and [ρμ]; `rho`: one bit per value. */
export function dealSelect(
  k: Kernels,
  count: number,
  bits: number,
  { r, rho, p, q }: { r: Region; rho: Region; p: Region; q: Region },
): void {
  const flags = groupsOf(count)
  expectInteger('dealSelect', 'bits', bits, 2, 32)
  for (const [name, region] of Object.entries({ r, p, q })) expectWords('dealSelect', name, region, count, 4)
  expectWords('dealSelect', 'rho', rho, flags, 1)
  expectDisjoint('dealSelect', p, count * 4, q, count * 4)
  for (const out of [p, q]) {
    expectDisjoint('dealSelect', out, count * 4, r, count * 4)
    expectDisjoint('dealSelect', out, count * 4, rho, flags)
  }
  k.raw.mccDealSelect(r.ptr, count, bits, rho.ptr, p.ptr, q.ptr)
}

/** Which side of the select: the server adds the public 1 and what came; the client takes its next mask off. */
export type Side = 'client' | 'server'
const SIGNS = { client: [0, -1], server: [1, 1] } as const

/**
 * out = share of A_1 = r - 2^(bits-2), as a number mod 2^32, of every opened value: what a side knows of r less its share
 * of 2^bits·ω. `x`: m, of which the client drops f bits, or a' (f = 0). `out` may be `x` or `omega`.
 */
export function shareAddend(
  k: Kernels,
  side: Side,
  count: number,
  f: number,
  bits: number,
  { x, omega, out }: { x: Region; omega: Region; out: Region },
): void {
  expectInteger('shareAddend', 'bits', bits, 2, 32)
  expectInteger('shareAddend', 'f', f, 0, 31)
  expectWords('shareAddend', 'out', out, count, 4)
  expectEach('shareAddend', count, { x, omega }, out)
  const offset = side === 'server' ? 2 ** (bits - 2) : 0
  k.raw.mccShareAddend(x.ptr, count, f, bits, offset, omega.ptr, out.ptr)
}

/** Shares of [A_1] and [μ], one word per value. */
export interface Addend {
  a1: Region
  mu: Region
}

/**
 * out = share of b·y' of every value, plus (server) or minus (client) `other`. `beta`: one bit per value; the others one
 * word. `out` may be any of these.
 */
export function select(
  k: Kernels,
  side: Side,
  count: number,
  bits: number,
  {
    e,
    beta,
    rho,
    p,
    q,
    a1,
    mu,
    other,
    out,
  }: Addend & { e: Region; beta: Region; rho: Region; p: Region; q: Region; other: Region; out: Region },
): void {
  const flags = groupsOf(count)
  expectInteger('select', 'bits', bits, 2, 32)
  expectWords('select', 'beta', beta, flags, 1)
  expectWords('select', 'out', out, count, 4)
  expectEach('select', count, { e, rho, p, q, a1, mu, other }, out)
  expectDisjoint('select', out, count * 4, beta, flags)
  const [one, sign] = SIGNS[side]
  k.raw.mccSelect(e.ptr, count, bits, beta.ptr, rho.ptr, p.ptr, q.ptr, a1.ptr, mu.ptr, one, sign, other.ptr, out.ptr)
}

/** The same for values without a comparison: out = share of y', plus or minus `other`. `out` may be any of these. */
export function extend(
  k: Kernels,
  side: Side,
  count: number,
  bits: number,
  { e, a1, mu, other, out }: Addend & { e: Region; other: Region; out: Region },
): void {
  expectInteger('extend', 'bits', bits, 2, 32)
  expectWords('extend', 'out', out, count, 4)
  expectEach('extend', count, { e, a1, mu, other }, out)
  const [one, sign] = SIGNS[side]
  k.raw.mccExtend(e.ptr, count, bits, a1.ptr, mu.ptr, one, sign, other.ptr, out.ptr)
}

/** u64 words to their low and high u32 halves. */
export function split64(k: Kernels, words: Region, count: number, low: Region, high: Region): void {
  expectHalves('split64', words, count, low, high)
  expectDisjoint('split64', low, count * 4, high, count * 4)
  k.raw.split64(words.ptr, count, low.ptr, high.ptr)
}

/** The inverse of `split64`. */
export function join64(k: Kernels, low: Region, high: Region, count: number, words: Region): void {
  expectHalves('join64', words, count, low, high)
  k.raw.join64(low.ptr, high.ptr, count, words.ptr)
}

function expectHalves(call: string, words: Region, count: number, low: Region, high: Region): void {
  expectWords(call, 'words', words, count, 8)
  expectWords(call, 'low', low, count, 4)
  expectWords(call, 'high', high, count, 4)
  expectDisjoint(call, words, count * 8, low, count * 4)
  expectDisjoint(call, words, count * 8, high, count * 4)
}
