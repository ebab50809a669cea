// Typed calls of the elementwise steps of SecureNN's ShareConvert and ComputeMSB. Words are u64, flags one byte per value;
// `bits` names the rings: even 2^bits, odd M = 2^bits - 1.
import type { Kernels } from '../instance.js'
import type { Region } from '../memory.js'

/** 0 is the client, 1 the server. */
export type Party = 0 | 1

/** Addresses of regions that must hold `count` words (or bytes) each. */
function words(count: number, regions: Record<string, Region>, bytes = 8): number[] {
  return Object.entries(regions).map(([name, region]) => {
    if (region.byteLength < count * bytes) {
      throw new RangeError(`${name}: ${count * bytes} bytes needed, ${region.byteLength} given`)
    }
    return region.ptr
  })
}
const flags = (count: number, regions: Record<string, Region>): number[] => words(count, regions, 1)

/** out = ((v >> drop) + offset) mod 2^bits. */
export function windowOf(
  k: Kernels,
  v: Region,
  n: number,
  drop: number,
  bits: number,
  offset: bigint,
  out: Region,
): void {
  const [pv, po] = words(n, { v, out })
  k.raw.snnWindow(pv, n, drop, bits, offset, po)
}

/** sum = (a + b) mod 2^bits; wrap = its carry. */
export function addWrap(k: Kernels, a: Region, b: Region, n: number, bits: number, sum: Region, wrap: Region): void {
  const [pa, pb, ps] = words(n, { a, b, sum })
  k.raw.snnAddWrap(pa, pb, n, bits, ps, flags(n, { wrap })[0])
}

/** x mod 2^bits, in place. */
export function reduceEven(k: Kernels, x: Region, n: number, bits: number): void {
  k.raw.snnReduceEven(words(n, { x })[0], n, bits)
}

/** x mod M, in place. */
export function reduceOdd(k: Kernels, x: Region, n: number, bits: number): void {
  k.raw.snnReduceOdd(words(n, { x })[0], n, bits)
}

/** out = value - share mod M. */
export function subOdd(k: Kernels, value: Region, share: Region, n: number, bits: number, out: Region): void {
  const [pv, ps, po] = words(n, { value, share, out })
  k.raw.snnSubOdd(pv, ps, n, bits, po)
}

/** out = a + b mod M. */
export function addOdd(k: Kernels, a: Region, b: Region, n: number, bits: number, out: Region): void {
  const [pa, pb, po] = words(n, { a, b, out })
  k.raw.snnAddOdd(pa, pb, n, bits, po)
}

/** out = flag - share, in the odd ring or in Z_2^64. */
export function shareFlag(
  k: Kernels,
  flag: Region,
  share: Region,
  n: number,
  ring: { odd: number } | 'z64',
  out: Region,
): void {
  const [ps, po] = words(n, { share, out })
  const odd = ring !== 'z64'
  k.raw.snnShareFlag(flags(n, { flag })[0], ps, n, odd ? ring.odd : 64, odd ? 1 : 0, po)
}

/** flag = lowest bit of each word. */
export function lowBit(k: Kernels, x: Region, n: number, flag: Region): void {
  k.raw.snnLowBit(words(n, { x })[0], n, flags(n, { flag })[0])
}

/** The blinded question of a private comparison: x < t (`wraps`) or x > t, the opposite where `flip`. */
export function threshold(
  k: Kernels,
  t: Region,
  flip: Region,
  n: number,
  bits: number,
  wraps: boolean,
  { out, less, always }: { out: Region; less: Region; always: Region },
): void {
  const [pt, po] = words(n, { t, out })
  const [pf, pl, pa] = flags(n, { flip, less, always })
  k.raw.snnThreshold(pt, pf, n, bits, wraps ? 1 : 0, po, pl, pa)
}

/** z = 2(a - θ) + x mod M, θ from the wraps. */
export function convertShare(
  k: Kernels,
  input: { a: Region; wrap: Region; delta: Region; eta: Region; flip: Region; alpha: Region; x: Region },
  n: number,
  bits: number,
  party: Party,
  z: Region,
): void {
  const { a, wrap, delta, eta, flip, alpha, x } = input
  const [pa, pd, pe, px, pz] = words(n, { a, delta, eta, x, z })
  const [pw, pf, pal] = flags(n, { wrap, flip, alpha })
  k.raw.snnConvert(pa, pw, pd, pe, pf, pal, px, n, bits, party, pz)
}

/** A product triple's shares, n words each. */
export interface Triple {
  readonly a: Region
  readonly b: Region
  readonly c: Region
}

/** Turns `answer` and `low` into shares of γ and δ and opens them under the triple: 2n words. */
export function openXor(
  k: Kernels,
  { answer, flip, low, z }: { answer: Region; flip: Region; low: Region; z: Region },
  { a, b }: Triple,
  n: number,
  party: Party,
  opened: Region,
): void {
  const [pan, plo, pz, pa, pb] = words(n, { answer, low, z, a, b })
  k.raw.snnOpenXor(pan, flags(n, { flip })[0], plo, pz, pa, pb, n, party, words(2 * n, { opened })[0])
}

/** This party's share of x·y from both openings. */
export function product(
  k: Kernels,
  mine: Region,
  theirs: Region,
  triple: Triple,
  n: number,
  party: Party,
  out: Region,
) {
  const [pm, pt] = words(2 * n, { mine, theirs })
  const [pa, pb, pc, po] = words(n, { a: triple.a, b: triple.b, c: triple.c, out })
  k.raw.snnProduct(pm, pt, pa, pb, pc, n, party, po)
}

/** Share of γ ⊕ δ, or of its complement. */
export function signShare(
  k: Kernels,
  { gamma, delta, gammaDelta }: { gamma: Region; delta: Region; gammaDelta: Region },
  n: number,
  complement: boolean,
  party: Party,
  out: Region,
): void {
  const [pg, pd, pp, po] = words(n, { gamma, delta, gammaDelta, out })
  k.raw.snnSign(pg, pd, pp, n, complement ? 1 : 0, party, po)
}

/** out = this party's share of y >> f, right to one unit. In place allowed. */
export function truncateShare(k: Kernels, y: Region, n: number, f: number, party: Party, out: Region): void {
  const [py, po] = words(n, { y, out })
  k.raw.snnTruncate(py, n, f, party, po)
}

/** out[i] = values[index[i]]; indices are public. */
export function gather64(k: Kernels, values: Region, index: Region, count: number, out: Region): void {
  k.raw.gather64(values.ptr, words(count, { index }, 4)[0], count, words(count, { out })[0])
}

/** out[index[i]] = values[i]. */
export function scatter64(k: Kernels, values: Region, index: Region, count: number, out: Region): void {
  k.raw.scatter64(words(count, { values })[0], words(count, { index }, 4)[0], count, out.ptr)
}

/** Sums over patches (CSR lists of elements), each shifted right by its own shift, at most `most`. */
export function patchSums64(
  k: Kernels,
  values: Region,
  patches: { count: number; start: Region; elements: Region; shifts: Region },
  most: number,
  out: Region,
): void {
  const { count, start, elements, shifts } = patches
  const [from] = words(count + 1, { start }, 4)
  const [by] = words(count, { shifts }, 1)
  k.raw.snnPatchSums(values.ptr, from, elements.ptr, by, most, count, words(count, { out })[0])
}
