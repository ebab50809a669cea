// Typed calls of the masked-carry-chain kernels. Values are u32 words (u64 where a comparison has more than 32 bits); DReLUs go in groups of 8, so every buffer that
// is indexed by DReLU holds a whole number of groups (`groupsOf`).
import type { Kernels } from './instance.js'
import type { Region } from './memory.js'

export const GROUP = 8

/** Groups of 8 that hold `count` DReLUs. */
export const groupsOf = (count: number): number => (count + GROUP - 1) >> 3

/** How a window of k bits is cut in chunks: widths of 1 to 8 bits, least significant first, none wider than the one before. */
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

/** A region must hold `bytes`: a kernel would write beyond it otherwise. */
function need(region: Region, bytes: number, name: string): number {
  if (region.byteLength < bytes) throw new RangeError(`${name}: ${bytes} bytes needed, ${region.byteLength} given`)
  return region.ptr
}

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
export const chainWordBytes = ({ bits }: Pick<Chain, 'bits'>): number => (bits > 32 ? 8 : 4)

function withShape<T>(k: Kernels, chain: Chain, call: (ptr: number, t: number) => T): T {
  const shape = k.memory.alloc(chain.chunks.length)
  shape.u8().set(chain.chunks)
  try {
    return call(shape.ptr, chain.chunks.length)
  } finally {
    shape.release()
  }
}

/** XORs the tables of `count` DReLUs into `tables`, which holds the pads. `r`: addends, whole groups. */
export function dealTables(
  k: Kernels,
  chain: Chain,
  count: number,
  { r, rho, bits, tables }: { r: Region; rho: Region; bits: Region; tables: Region },
): void {
  const groups = groupsOf(count)
  const deal = chain.bits > 32 ? k.raw.mccDeal64 : k.raw.mccDeal
  withShape(k, chain, (shape, t) =>
    deal(
      need(r, groups * GROUP * chainWordBytes(chain), 'r'),
      groups,
      chain.lo,
      shape,
      t,
      need(rho, groups, 'rho'),
      need(bits, dealerBytes(chain.chunks, count), 'bits'),
      need(tables, tableBytes(chain.chunks, count), 'tables'),
    ),
  )
}

/** Opens the entry at every chunk of e: of the tables (server) or of the pads (client). */
export function readRows(k: Kernels, chain: Chain, count: number, e: Region, tables: Region, rows: Region): void {
  const groups = groupsOf(count)
  const { bits, lo, add } = chain
  const from = need(e, groups * GROUP * chainWordBytes(chain), 'e')
  const at = need(tables, tableBytes(chain.chunks, count), 'tables')
  const to = need(rows, rowBytes(chain.chunks, count), 'rows')
  withShape(k, chain, (shape, t) => {
    if (bits > 32) k.raw.mccRead64(from, groups, BigInt(add), bits, lo, shape, t, at, to)
    else k.raw.mccRead(from, groups, add, bits, lo, shape, t, at, to)
  })
}

/** β = b ⊕ ρ, one bit per DReLU, from the received rows and the opened pads (which are overwritten). */
export function walkChain(k: Kernels, chunks: Chunks, count: number, rows: Region, opened: Region, beta: Region): void {
  const bytes = rowBytes(chunks, count)
  k.raw.mccWalk(
    need(rows, bytes, 'rows'),
    need(opened, bytes, 'opened'),
    groupsOf(count),
    chunks.length,
    need(beta, groupsOf(count), 'beta'),
  )
}

/** out = ((y >> f) - a) mod 2^bits. */
export function maskTruncated(k: Kernels, y: Region, a: Region, count: number, f: number, bits: number, out: Region) {
  const n = count * 4
  k.raw.mccMaskTruncated(need(y, n, 'y'), need(a, n, 'a'), count, f, bits, need(out, n, 'out'))
}

/** out = ((m >> f) + a) mod 2^bits. */
export function addTruncated(k: Kernels, m: Region, a: Region, count: number, f: number, bits: number, out: Region) {
  const n = count * 4
  k.raw.mccAddTruncated(need(m, n, 'm'), need(a, n, 'a'), count, f, bits, need(out, n, 'out'))
}

/** words[d] becomes ρ_d - words[d]. */
export function dealRho(k: Kernels, rho: Region, count: number, words: Region): void {
  k.raw.mccDealRho(need(rho, (count + 7) >> 3, 'rho'), count, need(words, count * 4, 'words'))
}

/** Four words per value become corrections of [ρA_0], [ρA_1], [(1-ρ)A_0], [(1-ρ)A_1]; `rho`: one bit per value. */
export function dealSelect(k: Kernels, r: Region, count: number, bits: number, rho: Region, words: Region): void {
  k.raw.mccDealSelect(
    need(r, count * 4, 'r'),
    count,
    bits,
    need(rho, (count + 7) >> 3, 'rho'),
    need(words, count * 16, 'words'),
  )
}

/** Two words per value become corrections of [A_0], [A_1]. */
export function dealExtend(k: Kernels, r: Region, count: number, bits: number, words: Region): void {
  k.raw.mccDealExtend(need(r, count * 4, 'r'), count, bits, need(words, count * 8, 'words'))
}

/** Which side of the select: the server adds the public 1 and what came; the client takes its next mask off. */
export type Side = 'client' | 'server'

/** out = share of b·y' of every value, plus (server) or minus (client) `other`. `beta`, `rho`: per value. */
export function select(
  k: Kernels,
  side: Side,
  count: number,
  bits: number,
  {
    e,
    beta,
    rho,
    words,
    other,
    out,
  }: { e: Region; beta: Region; rho: Region; words: Region; other: Region; out: Region },
): void {
  const n = count * 4
  k.raw.mccSelect(
    need(e, n, 'e'),
    count,
    bits,
    need(beta, (count + 7) >> 3, 'beta'),
    need(rho, n, 'rho'),
    need(words, n * 4, 'words'),
    side === 'server' ? 1 : 0,
    side === 'server' ? 1 : -1,
    need(other, n, 'other'),
    need(out, n, 'out'),
  )
}

/** The same for values without a comparison: out = share of y', plus or minus `other`. */
export function extend(
  k: Kernels,
  side: Side,
  count: number,
  bits: number,
  { e, words, other, out }: { e: Region; words: Region; other: Region; out: Region },
): void {
  const n = count * 4
  k.raw.mccExtend(
    need(e, n, 'e'),
    count,
    bits,
    need(words, n * 2, 'words'),
    side === 'server' ? 1 : 0,
    side === 'server' ? 1 : -1,
    need(other, n, 'other'),
    need(out, n, 'out'),
  )
}

/** out[i] = values[index[i]]; indices are public. */
export function gather(k: Kernels, values: Region, index: Region, count: number, out: Region): void {
  k.raw.gather32(values.ptr, need(index, count * 4, 'index'), count, need(out, count * 4, 'out'))
}

/** out[index[i]] = values[i]. */
export function scatter(k: Kernels, values: Region, index: Region, count: number, out: Region): void {
  k.raw.scatter32(need(values, count * 4, 'values'), need(index, count * 4, 'index'), count, out.ptr)
}

/** Bit i of out is bit index[i] of `bits`. */
export function gatherBits(k: Kernels, bits: Region, index: Region, count: number, out: Region): void {
  k.raw.gatherBits(bits.ptr, need(index, count * 4, 'index'), count, need(out, (count + 7) >> 3, 'out'))
}

/** Sums over patches (CSR lists of elements), each shifted right by `shift` plus its own shift. */
export function patchSums(
  k: Kernels,
  values: Region,
  patches: { count: number; start: Region; elements: Region; shifts: Region },
  shift: number,
  out: Region,
): void {
  const { count, start, elements, shifts } = patches
  k.raw.patchSums(
    values.ptr,
    need(start, count * 4 + 4, 'start'),
    elements.ptr,
    need(shifts, count, 'shifts'),
    shift,
    count,
    need(out, count * 4, 'out'),
  )
}

/** u64 words to their low and high u32 halves. */
export function split64(k: Kernels, words: Region, count: number, low: Region, high: Region): void {
  const n = count * 4
  k.raw.split64(need(words, 2 * n, 'words'), count, need(low, n, 'low'), need(high, n, 'high'))
}

/** The inverse of `split64`. */
export function join64(k: Kernels, low: Region, high: Region, count: number, words: Region): void {
  const n = count * 4
  k.raw.join64(need(low, n, 'low'), need(high, n, 'high'), count, need(words, 2 * n, 'words'))
}
