// From a masked bit to a value: truncate-reduce, the dealer's correction words, select and ring extension.
//
// Names follow docs/protocol.md, 5.2: A_1 = r - 2^(n'-2) and A_0 = A_1 - 2^n'·μ are r read as unsigned and as signed
// number, less the offset; ω is the carry that m' + a' drops on the way to r.

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
 * Corrections of [ω] and [μ] of every opened value, in place of the client's halves: r = m' + a' - 2^bits·ω, so that
 * ω = [r < a'], and μ is the top bit of r.
 * @param r below 2^bits; @param a a' as the stream gives it, of which the low `bits` bits count
 */
export function mccDealWrap(r: usize, a: usize, count: i32, bits: i32, omega: usize, mu: usize): void {
  const low: u32 = bits == 32 ? -1 : (1 << bits) - 1
  let at: usize = 0
  const end = <usize>count << 2
  if (ASC_FEATURE_SIMD) {
    const mask = i32x4.splat(<i32>low)
    for (; at + 16 <= end; at += 16) {
      const u = v128.load(r + at)
      const carried = i32x4.lt_u(u, v128.and(v128.load(a + at), mask)) // -1 where ω = 1
      v128.store(omega + at, i32x4.neg(i32x4.add(carried, v128.load(omega + at))))
      v128.store(mu + at, i32x4.sub(i32x4.shr_u(u, bits - 1), v128.load(mu + at)))
    }
  }
  for (; at < end; at += 4) {
    const u = load<u32>(r + at)
    store<u32>(omega + at, <u32>(u < (load<u32>(a + at) & low)) - load<u32>(omega + at))
    store<u32>(mu + at, (u >> (bits - 1)) - load<u32>(mu + at))
  }
}

/** Corrections of P = ρA_0 and Q = ρμ of every switched value, in place of the client's halves. `rho`: a bit per value. */
export function mccDealSelect(r: usize, count: i32, bits: i32, rho: usize, p: usize, q: usize): void {
  const offset = 1 << (bits - 2)
  const up = 32 - bits
  let i = 0
  if (ASC_FEATURE_SIMD) {
    const less = i32x4.splat(offset)
    for (; i + 4 <= count; i += 4) {
      const at = <usize>i << 2
      const one = quarter(load<u8>(rho + (i >> 3)), i & 4)
      const u = v128.load(r + at)
      const signed = i32x4.sub(i32x4.shr_s(i32x4.shl(u, up), up), less)
      v128.store(p + at, i32x4.sub(v128.and(signed, one), v128.load(p + at)))
      v128.store(q + at, i32x4.sub(v128.and(i32x4.shr_u(u, bits - 1), one), v128.load(q + at)))
    }
  }
  for (; i < count; i++) {
    const at = <usize>i << 2
    const one = bitMask(rho, i)
    const u = load<u32>(r + at)
    const signed = ((<i32>u << up) >> up) - offset
    store<u32>(p + at, (<u32>signed & one) - load<u32>(p + at))
    store<u32>(q + at, ((u >> (bits - 1)) & one) - load<u32>(q + at))
  }
}

/**
 * One party's share of A_1 = m' + a' - 2^bits·ω - 2^(bits-2), from the summand of r it knows and its share of ω.
 * The offset is the server's to take off.
 * @param x m or a', of which bits [f, f + bits) count; @param out may be x
 */
export function mccShareAddend(x: usize, count: i32, f: i32, bits: i32, offset: i32, omega: usize, out: usize): void {
  const low: u32 = bits == 32 ? -1 : (1 << bits) - 1
  const half = bits - 1 // a shift by 32 would be one by 0
  let at: usize = 0
  const end = <usize>count << 2
  if (ASC_FEATURE_SIMD) {
    const mask = i32x4.splat(<i32>low)
    const less = i32x4.splat(offset)
    for (; at + 16 <= end; at += 16) {
      const known = i32x4.sub(v128.and(i32x4.shr_u(v128.load(x + at), f), mask), less)
      v128.store(out + at, i32x4.sub(known, i32x4.shl(i32x4.shl(v128.load(omega + at), half), 1)))
    }
  }
  for (; at < end; at += 4) {
    const known = ((load<u32>(x + at) >> f) & low) - <u32>offset
    store<u32>(out + at, known - ((load<u32>(omega + at) << half) << 1))
  }
}

/**
 * One party's share of z = b·y', moved to the next layer's mask: out = other ± share.
 * ẽ is E = (e + 2^(bits-2)) mod 2^bits read signed, j its top bit; [A_j] = a1 - (1 - j)·2^bits·μ and
 * [ρA_j] = p + j·2^bits·q. β = 0 gives ẽ·[ρ] + [ρA_j], β = 1 gives ẽ·(1 - [ρ]) + [A_j] - [ρA_j].
 * @param one 1 for the server, which adds the public 1, else 0
 * @param sign 1: out = other + share (server: what the client sent); -1: out = share - other (client: its next mask)
 */
export function mccSelect(
  e: usize, count: i32, bits: i32, beta: usize, rho: usize, p: usize, q: usize, a1: usize, mu: usize,
  one: i32, sign: i32, other: usize, out: usize,
): void {
  const offset = 1 << (bits - 2)
  const up = 32 - bits
  const half = bits - 1
  let i = 0
  if (ASC_FEATURE_SIMD) {
    const add = i32x4.splat(offset)
    const ones = i32x4.splat(one)
    const minus = i32x4.splat(sign < 0 ? -1 : 0)
    for (; i + 4 <= count; i += 4) {
      const at = <usize>i << 2
      const signed = i32x4.shr_s(i32x4.shl(i32x4.add(v128.load(e + at), add), up), up)
      const j = i32x4.shr_s(signed, 31)
      const b = quarter(load<u8>(beta + (i >> 3)), i & 4)
      const factor = i32x4.add(flipped(v128.load(rho + at), b), v128.and(ones, b))
      const high = i32x4.shl(i32x4.shl(v128.load(q + at), half), 1)
      const product = i32x4.add(v128.load(p + at), v128.and(high, j))
      const lift = i32x4.shl(i32x4.shl(v128.load(mu + at), half), 1)
      const addend = i32x4.sub(v128.load(a1 + at), v128.andnot(lift, j))
      const word = i32x4.add(flipped(product, b), v128.and(addend, b))
      const z = i32x4.add(i32x4.mul(signed, factor), word)
      v128.store(out + at, i32x4.add(z, flipped(v128.load(other + at), minus)))
    }
  }
  for (; i < count; i++) {
    const at = <usize>i << 2
    const signed = <i32>((load<u32>(e + at) + offset) << up) >> up
    const j = <u32>(signed >> 31)
    const b = bitMask(beta, i)
    const factor = (load<u32>(rho + at) ^ b) - b + (<u32>one & b)
    const product = load<u32>(p + at) + (((load<u32>(q + at) << half) << 1) & j)
    const addend = load<u32>(a1 + at) - (((load<u32>(mu + at) << half) << 1) & ~j)
    const z = <u32>signed * factor + ((product ^ b) - b) + (addend & b)
    store<u32>(out + at, z + load<u32>(other + at) * sign)
  }
}

/** x, or -x where `negative` is all ones. */
// @ts-ignore: decorator
@inline
function flipped(x: v128, negative: v128): v128 {
  return i32x4.sub(v128.xor(x, negative), negative)
}

/** The same for a value that passes: ẽ + [A_j]. */
export function mccExtend(
  e: usize, count: i32, bits: i32, a1: usize, mu: usize, one: i32, sign: i32, other: usize, out: usize,
): void {
  const offset = 1 << (bits - 2)
  const up = 32 - bits
  const half = bits - 1
  let at: usize = 0
  const end = <usize>count << 2
  if (ASC_FEATURE_SIMD) {
    const add = i32x4.splat(offset)
    const ones = i32x4.splat(-one)
    const minus = i32x4.splat(sign < 0 ? -1 : 0)
    for (; at + 16 <= end; at += 16) {
      const signed = i32x4.shr_s(i32x4.shl(i32x4.add(v128.load(e + at), add), up), up)
      const lift = i32x4.shl(i32x4.shl(v128.load(mu + at), half), 1)
      const addend = i32x4.sub(v128.load(a1 + at), v128.andnot(lift, i32x4.shr_s(signed, 31)))
      const z = i32x4.add(v128.and(signed, ones), addend)
      v128.store(out + at, i32x4.add(z, flipped(v128.load(other + at), minus)))
    }
  }
  for (; at < end; at += 4) {
    const signed = <i32>((load<u32>(e + at) + offset) << up) >> up
    const addend = load<u32>(a1 + at) - (((load<u32>(mu + at) << half) << 1) & <u32>~(signed >> 31))
    store<u32>(out + at, <u32>(signed * one) + addend + load<u32>(other + at) * sign)
  }
}
