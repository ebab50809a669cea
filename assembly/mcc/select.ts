// From a masked bit to a value: truncate-reduce, the dealer's correction words, select and ring extension.

/** out = ((x >> f) + a) mod 2^bits, or - a. In place allowed. */
// @ts-ignore: decorator
@inline
function truncate(x: usize, a: usize, count: i32, f: i32, bits: i32, subtract: bool, out: usize): void {
  const low: u32 = bits == 32 ? -1 : (1 << bits) - 1
  let at: usize = 0
  const end = <usize>count << 2
  if (ASC_FEATURE_SIMD) {
    const mask = i32x4.splat(<i32>low)
    for (; at + 16 <= end; at += 16) {
      const v = i32x4.shr_u(v128.load(x + at), f)
      const b = v128.load(a + at)
      v128.store(out + at, v128.and(subtract ? i32x4.sub(v, b) : i32x4.add(v, b), mask))
    }
  }
  for (; at < end; at += 4) {
    const v = load<u32>(x + at) >> f
    const b = load<u32>(a + at)
    store<u32>(out + at, (subtract ? v - b : v + b) & low)
  }
}

/** out = ((y >> f) - a) mod 2^bits: the server's side of truncate-reduce, masked for the opening. In place allowed. */
export function mccMaskTruncated(y: usize, a: usize, count: i32, f: i32, bits: i32, out: usize): void {
  truncate(y, a, count, f, bits, true, out)
}

/** out = ((m >> f) + a) mod 2^bits: what the dealer knows of the opened value. In place allowed. */
export function mccAddTruncated(m: usize, a: usize, count: i32, f: i32, bits: i32, out: usize): void {
  truncate(m, a, count, f, bits, false, out)
}

/** Lane mask of bits `from` … `from` + 3 of a byte. */
// @ts-ignore: decorator
@inline
function quarter(byte: u32, from: i32): v128 {
  return i32x4.ne(v128.and(i32x4.splat(<i32>(byte >> from)), i32x4(1, 2, 4, 8)), i32x4.splat(0))
}

// @ts-ignore: decorator
@inline
function bitMask(bits: usize, i: i32): u32 {
  return -((<u32>load<u8>(bits + (i >> 3)) >> (i & 7)) & 1)
}

/** words[d] = ρ_d - words[d]: the correction of an additive share whose other half is in place. */
export function mccDealRho(rho: usize, count: i32, words: usize): void {
  for (let i = 0; i < count; i++) {
    const at = words + (<usize>i << 2)
    store<u32>(at, (bitMask(rho, i) & 1) - load<u32>(at))
  }
}

/**
 * Corrections of [ρA_0], [ρA_1], [(1-ρ)A_0], [(1-ρ)A_1], four words per value, in place of the client's halves.
 * A_0 and A_1 are r read as signed and as unsigned `bits`-bit integer, less the 2^(bits-2) of the offset form.
 */
export function mccDealSelect(r: usize, count: i32, bits: i32, rho: usize, words: usize): void {
  const offset = 1 << (bits - 2)
  const up = 32 - bits
  for (let i = 0; i < count; i++) {
    const u = load<u32>(r + (<usize>i << 2))
    const s = ((<i32>u << up) >> up) - offset
    const a = <i32>u - offset
    const one = bitMask(rho, i)
    const at = words + (<usize>i << 4)
    if (ASC_FEATURE_SIMD) {
      const both = i32x4(s, a, s, a)
      const which = i64x2(<i64><i32>one, <i64><i32>~one)
      v128.store(at, i32x4.sub(v128.and(both, which), v128.load(at)))
    } else {
      store<u32>(at, (<u32>s & one) - load<u32>(at))
      store<u32>(at, (<u32>a & one) - load<u32>(at, 4), 4)
      store<u32>(at, (<u32>s & ~one) - load<u32>(at, 8), 8)
      store<u32>(at, (<u32>a & ~one) - load<u32>(at, 12), 12)
    }
  }
}

/** Corrections of [A_0], [A_1], two words per value, for values that pass without a comparison. */
export function mccDealExtend(r: usize, count: i32, bits: i32, words: usize): void {
  const offset = 1 << (bits - 2)
  const up = 32 - bits
  for (let i = 0; i < count; i++) {
    const u = load<u32>(r + (<usize>i << 2))
    const at = words + (<usize>i << 3)
    store<u32>(at, <u32>(((<i32>u << up) >> up) - offset) - load<u32>(at))
    store<u32>(at, (u - <u32>offset) - load<u32>(at, 4), 4)
  }
}

/**
 * One party's share of z = b·y', moved to the next layer's mask: out = other ± share.
 * ẽ is E = (e + 2^(bits-2)) mod 2^bits read signed, j its sign; β = 0 gives ẽ·[ρ] + [ρA_j], β = 1 gives
 * ẽ·(1 - [ρ]) + [(1-ρ)A_j].
 * @param one 1 for the server, which adds the public 1, else 0
 * @param sign 1: out = other + share (server: what the client sent); -1: out = share - other (client: its next mask)
 */
export function mccSelect(
  e: usize, count: i32, bits: i32, beta: usize, rho: usize, words: usize, one: i32, sign: i32, other: usize, out: usize,
): void {
  const offset = 1 << (bits - 2)
  const up = 32 - bits
  let i = 0
  if (ASC_FEATURE_SIMD) {
    const add = i32x4.splat(offset)
    const ones = i32x4.splat(one)
    const minus = i32x4.splat(sign < 0 ? -1 : 0)
    for (; i + 4 <= count; i += 4) {
      const at = <usize>i << 2
      const signed = i32x4.shr_s(i32x4.shl(i32x4.add(v128.load(e + at), add), up), up)
      const negative = i32x4.shr_s(signed, 31)
      const b = quarter(load<u8>(beta + (i >> 3)), i & 4)
      const share = v128.load(rho + at)
      const factor = i32x4.add(i32x4.sub(v128.xor(share, b), b), v128.and(ones, b))
      const table = words + (<usize>i << 4)
      const word = pick(table, negative, b)
      const z = i32x4.add(i32x4.mul(signed, factor), word)
      const o = v128.load(other + at)
      v128.store(out + at, i32x4.add(z, i32x4.sub(v128.xor(o, minus), minus)))
    }
  }
  for (; i < count; i++) {
    const at = <usize>i << 2
    const signed = <i32>((load<u32>(e + at) + offset) << up) >> up
    const b = bitMask(beta, i)
    const share = load<u32>(rho + at)
    const factor = (share ^ b) - b + (<u32>one & b)
    const j = <usize>((b & 2) | (<u32>signed >> 31))
    const z = <u32>signed * factor + load<u32>(words + (<usize>i << 4) + (j << 2))
    store<u32>(out + at, z + load<u32>(other + at) * sign)
  }
}

/** Of four words per value the one at 2β + j: a 4×4 transposition, then two selections by public masks. */
// @ts-ignore: decorator
@inline
function pick(table: usize, j: v128, beta: v128): v128 {
  const a = v128.load(table)
  const b = v128.load(table, 16)
  const c = v128.load(table, 32)
  const d = v128.load(table, 48)
  const ab01 = v128.shuffle<i32>(a, b, 0, 4, 1, 5)
  const cd01 = v128.shuffle<i32>(c, d, 0, 4, 1, 5)
  const ab23 = v128.shuffle<i32>(a, b, 2, 6, 3, 7)
  const cd23 = v128.shuffle<i32>(c, d, 2, 6, 3, 7)
  const p0 = v128.shuffle<i32>(ab01, cd01, 0, 1, 4, 5)
  const p1 = v128.shuffle<i32>(ab01, cd01, 2, 3, 6, 7)
  const q0 = v128.shuffle<i32>(ab23, cd23, 0, 1, 4, 5)
  const q1 = v128.shuffle<i32>(ab23, cd23, 2, 3, 6, 7)
  return v128.bitselect(v128.bitselect(q1, q0, j), v128.bitselect(p1, p0, j), beta)
}

/** The same for a value that passes: ẽ + [A_j], two words per value. */
export function mccExtend(
  e: usize, count: i32, bits: i32, words: usize, one: i32, sign: i32, other: usize, out: usize,
): void {
  const offset = 1 << (bits - 2)
  const up = 32 - bits
  for (let i = 0; i < count; i++) {
    const at = <usize>i << 2
    const signed = <i32>((load<u32>(e + at) + offset) << up) >> up
    const j = <usize>(<u32>signed >> 31)
    const z = <u32>(signed * one) + load<u32>(words + (<usize>i << 3) + (j << 2))
    store<u32>(out + at, z + load<u32>(other + at) * sign)
  }
}
