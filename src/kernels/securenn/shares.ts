// Typed calls of the elementwise steps of SecureNN's ShareConvert and ComputeMSB. Words are u64, flags one byte per value;
// `bits` names the rings: even 2^bits, odd M = 2^bits - 1. An output of words may be an input of words, or lies apart from
// all operands; outputs lie apart from each other.
import { expectDisjoint, expectInteger, expectSameOrDisjoint, expectWords } from '../guard.js'
import type { Kernels } from '../instance.js'
import type { Region } from '../memory.js'

/** 0 is the client, 1 the server. */
export type Party = 0 | 1

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
  expectInteger('windowOf', 'drop', drop, 0, 63)
  expectInteger('windowOf', 'bits', bits, 1, 64)
  expectWords('windowOf', 'v', v, n, 8)
  expectWords('windowOf', 'out', out, n, 8)
  expectSameOrDisjoint('windowOf', out, v, n * 8)
  k.raw.snnWindow(v.ptr, n, drop, bits, offset, out.ptr)
}

/** sum = (a + b) mod 2^bits; wrap = its carry. */
export function addWrap(k: Kernels, a: Region, b: Region, n: number, bits: number, sum: Region, wrap: Region): void {
  expectInteger('addWrap', 'bits', bits, 1, 64)
  expectWords('addWrap', 'a', a, n, 8)
  expectWords('addWrap', 'b', b, n, 8)
  expectWords('addWrap', 'sum', sum, n, 8)
  expectWords('addWrap', 'wrap', wrap, n, 1)
  expectSameOrDisjoint('addWrap', sum, a, n * 8)
  expectSameOrDisjoint('addWrap', sum, b, n * 8)
  expectDisjoint('addWrap', wrap, n, a, n * 8)
  expectDisjoint('addWrap', wrap, n, b, n * 8)
  expectDisjoint('addWrap', wrap, n, sum, n * 8)
  k.raw.snnAddWrap(a.ptr, b.ptr, n, bits, sum.ptr, wrap.ptr)
}

/** x mod 2^bits, in place. */
export function reduceEven(k: Kernels, x: Region, n: number, bits: number): void {
  expectInteger('reduceEven', 'bits', bits, 1, 64)
  expectWords('reduceEven', 'x', x, n, 8)
  k.raw.snnReduceEven(x.ptr, n, bits)
}

/** x mod M, in place. */
export function reduceOdd(k: Kernels, x: Region, n: number, bits: number): void {
  expectInteger('reduceOdd', 'bits', bits, 2, 64)
  expectWords('reduceOdd', 'x', x, n, 8)
  k.raw.snnReduceOdd(x.ptr, n, bits)
}

/** out = value - share mod M. */
export function subOdd(k: Kernels, value: Region, share: Region, n: number, bits: number, out: Region): void {
  expectInteger('subOdd', 'bits', bits, 1, 64)
  expectWords('subOdd', 'value', value, n, 8)
  expectWords('subOdd', 'share', share, n, 8)
  expectWords('subOdd', 'out', out, n, 8)
  expectSameOrDisjoint('subOdd', out, value, n * 8)
  expectSameOrDisjoint('subOdd', out, share, n * 8)
  k.raw.snnSubOdd(value.ptr, share.ptr, n, bits, out.ptr)
}

/** out = a + b mod M. */
export function addOdd(k: Kernels, a: Region, b: Region, n: number, bits: number, out: Region): void {
  expectInteger('addOdd', 'bits', bits, 1, 64)
  expectWords('addOdd', 'a', a, n, 8)
  expectWords('addOdd', 'b', b, n, 8)
  expectWords('addOdd', 'out', out, n, 8)
  expectSameOrDisjoint('addOdd', out, a, n * 8)
  expectSameOrDisjoint('addOdd', out, b, n * 8)
  k.raw.snnAddOdd(a.ptr, b.ptr, n, bits, out.ptr)
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
  const bits = ring === 'z64' ? 64 : ring.odd
  expectInteger('shareFlag', 'bits', bits, 1, 64)
  expectWords('shareFlag', 'share', share, n, 8)
  expectWords('shareFlag', 'out', out, n, 8)
  expectWords('shareFlag', 'flag', flag, n, 1)
  expectSameOrDisjoint('shareFlag', out, share, n * 8)
  expectDisjoint('shareFlag', out, n * 8, flag, n)
  k.raw.snnShareFlag(flag.ptr, share.ptr, n, bits, Number(ring !== 'z64'), out.ptr)
}

/** flag = lowest bit of each word. */
export function lowBit(k: Kernels, x: Region, n: number, flag: Region): void {
  expectWords('lowBit', 'x', x, n, 8)
  expectWords('lowBit', 'flag', flag, n, 1)
  expectDisjoint('lowBit', flag, n, x, n * 8)
  k.raw.snnLowBit(x.ptr, n, flag.ptr)
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
  expectInteger('threshold', 'bits', bits, 1, 64)
  expectWords('threshold', 't', t, n, 8)
  expectWords('threshold', 'out', out, n, 8)
  expectWords('threshold', 'flip', flip, n, 1)
  expectWords('threshold', 'less', less, n, 1)
  expectWords('threshold', 'always', always, n, 1)
  expectSameOrDisjoint('threshold', out, t, n * 8)
  expectDisjoint('threshold', out, n * 8, flip, n)
  expectDisjoint('threshold', out, n * 8, less, n)
  expectDisjoint('threshold', out, n * 8, always, n)
  expectDisjoint('threshold', less, n, t, n * 8)
  expectDisjoint('threshold', always, n, t, n * 8)
  expectDisjoint('threshold', less, n, flip, n)
  expectDisjoint('threshold', less, n, always, n)
  expectDisjoint('threshold', always, n, flip, n)
  k.raw.snnThreshold(t.ptr, flip.ptr, n, bits, Number(wraps), out.ptr, less.ptr, always.ptr)
}

/** z = 2(a - θ) + x mod M, θ from the wraps. */
export function convertShare(
  k: Kernels,
  {
    a,
    wrap,
    delta,
    eta,
    flip,
    alpha,
    x,
  }: { a: Region; wrap: Region; delta: Region; eta: Region; flip: Region; alpha: Region; x: Region },
  n: number,
  bits: number,
  party: Party,
  z: Region,
): void {
  expectInteger('convertShare', 'bits', bits, 1, 64)
  expectWords('convertShare', 'a', a, n, 8)
  expectWords('convertShare', 'delta', delta, n, 8)
  expectWords('convertShare', 'eta', eta, n, 8)
  expectWords('convertShare', 'x', x, n, 8)
  expectWords('convertShare', 'z', z, n, 8)
  expectWords('convertShare', 'wrap', wrap, n, 1)
  expectWords('convertShare', 'flip', flip, n, 1)
  expectWords('convertShare', 'alpha', alpha, n, 1)
  expectSameOrDisjoint('convertShare', z, a, n * 8)
  expectSameOrDisjoint('convertShare', z, delta, n * 8)
  expectSameOrDisjoint('convertShare', z, eta, n * 8)
  expectSameOrDisjoint('convertShare', z, x, n * 8)
  expectDisjoint('convertShare', z, n * 8, wrap, n)
  expectDisjoint('convertShare', z, n * 8, flip, n)
  expectDisjoint('convertShare', z, n * 8, alpha, n)
  k.raw.snnConvert(
    ...([a.ptr, wrap.ptr, delta.ptr, eta.ptr, flip.ptr, alpha.ptr, x.ptr] as const),
    ...([n, bits, party, z.ptr] as const),
  )
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
  expectWords('openXor', 'answer', answer, n, 8)
  expectWords('openXor', 'low', low, n, 8)
  expectWords('openXor', 'z', z, n, 8)
  expectWords('openXor', 'a', a, n, 8)
  expectWords('openXor', 'b', b, n, 8)
  expectWords('openXor', 'opened', opened, 2 * n, 8)
  expectWords('openXor', 'flip', flip, n, 1)
  expectDisjoint('openXor', answer, n * 8, low, n * 8)
  expectDisjoint('openXor', answer, n * 8, z, n * 8)
  expectDisjoint('openXor', answer, n * 8, a, n * 8)
  expectDisjoint('openXor', answer, n * 8, b, n * 8)
  expectDisjoint('openXor', low, n * 8, z, n * 8)
  expectDisjoint('openXor', low, n * 8, a, n * 8)
  expectDisjoint('openXor', low, n * 8, b, n * 8)
  expectDisjoint('openXor', answer, n * 8, flip, n)
  expectDisjoint('openXor', low, n * 8, flip, n)
  expectDisjoint('openXor', opened, n * 16, answer, n * 8)
  expectDisjoint('openXor', opened, n * 16, low, n * 8)
  expectDisjoint('openXor', opened, n * 16, z, n * 8)
  expectDisjoint('openXor', opened, n * 16, a, n * 8)
  expectDisjoint('openXor', opened, n * 16, b, n * 8)
  expectDisjoint('openXor', opened, n * 16, flip, n)
  k.raw.snnOpenXor(
    ...([answer.ptr, flip.ptr, low.ptr, z.ptr, a.ptr, b.ptr] as const),
    ...([n, party, opened.ptr] as const),
  )
}

/** This party's share of x·y from both openings, 2n words each. */
export function product(
  k: Kernels,
  mine: Region,
  theirs: Region,
  { a, b, c }: Triple,
  n: number,
  party: Party,
  out: Region,
): void {
  expectWords('product', 'a', a, n, 8)
  expectWords('product', 'b', b, n, 8)
  expectWords('product', 'c', c, n, 8)
  expectWords('product', 'out', out, n, 8)
  expectWords('product', 'mine', mine, 2 * n, 8)
  expectWords('product', 'theirs', theirs, 2 * n, 8)
  expectSameOrDisjoint('product', out, a, n * 8)
  expectSameOrDisjoint('product', out, b, n * 8)
  expectSameOrDisjoint('product', out, c, n * 8)
  expectDisjoint('product', out, n * 8, mine, n * 16)
  expectDisjoint('product', out, n * 8, theirs, n * 16)
  k.raw.snnProduct(mine.ptr, theirs.ptr, a.ptr, b.ptr, c.ptr, n, party, out.ptr)
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
  expectWords('signShare', 'gamma', gamma, n, 8)
  expectWords('signShare', 'delta', delta, n, 8)
  expectWords('signShare', 'gammaDelta', gammaDelta, n, 8)
  expectWords('signShare', 'out', out, n, 8)
  expectSameOrDisjoint('signShare', out, gamma, n * 8)
  expectSameOrDisjoint('signShare', out, delta, n * 8)
  expectSameOrDisjoint('signShare', out, gammaDelta, n * 8)
  k.raw.snnSign(gamma.ptr, delta.ptr, gammaDelta.ptr, n, Number(complement), party, out.ptr)
}

/** out = this party's share of y >> f, right to one unit. */
export function truncateShare(k: Kernels, y: Region, n: number, f: number, party: Party, out: Region): void {
  expectInteger('truncateShare', 'f', f, 0, 63)
  expectWords('truncateShare', 'y', y, n, 8)
  expectWords('truncateShare', 'out', out, n, 8)
  expectSameOrDisjoint('truncateShare', out, y, n * 8)
  k.raw.snnTruncate(y.ptr, n, f, party, out.ptr)
}
