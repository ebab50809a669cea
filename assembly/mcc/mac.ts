// One-time MACs on what the client replies (docs/protocol.md, "Guarded replies"), over words of 64 bits of which N count.
// Plain loops: SIMD has no fast product of 64 bits.
//
// The client's share of a switched value is linear in what it was dealt, with public coefficients. With E, ẽ, j of the
// select, sgn = 1 - 2β and everything lifted to the integers,
//
//   R = sgn·ẽ·ρ + w_(2β+j) - r      w_0 = P, w_1 = w_0 + 2^n'·Q, w_2 = m' - 2^n'·(ω + μ) - P, w_3 = w_2 + 2^n'·(μ - Q)
//
// so that a tag of R is the same sum of tags M of ρ and w, and the key that checks it the same sum of keys K = M - α·(…).
//
// Tags are read as the bytes of a stream: one every `wide` or `narrow` bytes (⌈N/8⌉, and ⌈(N-n')/8⌉ for what counts times
// 2^n'), eight of which are loaded. What lies above the bits that count is the same at client and helper, and falls out.

/** E = (e + 2^(bits-2)) mod 2^bits read as signed number. */
// @ts-ignore: decorator
@inline
function centred(e: usize, bits: i32): i64 {
  const up = 32 - bits
  return <i64>(<i32>((load<u32>(e) + (1 << (bits - 2))) << up) >> up)
}

/** All ones where bit i is set. */
// @ts-ignore: decorator
@inline
function allOnes(flags: usize, i: i32): i64 {
  return -(<i64>((<u32>load<u8>(flags + (i >> 3)) >> (i & 7)) & 1))
}

/**
 * Keys of switched values from the tags M, u64 each.
 * @param alpha u64; @param next u64, the lifted mask of the result (zero in all copies of an element but the first);
 * @param rho, p, q, known, omega, mu u32: the client's halves and its m', each below its own modulus
 * @param mRho, m0, m2 tags, one every `wide` bytes; @param mQ, mMuQ one every `narrow` bytes
 */
export function mccMacKeys(
  count: i32, bits: i32, alpha: usize, rho: usize, p: usize, q: usize, known: usize, omega: usize, mu: usize, next: usize,
  wide: i32, narrow: i32, mRho: usize, m0: usize, mQ: usize, m2: usize, mMuQ: usize,
  kRho: usize, k0: usize, kQ: usize, k2: usize, kMuQ: usize,
): void {
  for (let i = 0; i < count; i++) {
    const at = <usize>i << 2
    const to = <usize>i << 3
    const w = <usize>i * wide
    const h = <usize>i * narrow
    const a = load<i64>(alpha + to)
    const r = load<i64>(next + to)
    const P = <i64>load<u32>(p + at)
    const Q = <i64>load<u32>(q + at)
    const M = <i64>load<u32>(mu + at)
    const w2 = <i64>load<u32>(known + at) - ((<i64>load<u32>(omega + at) + M) << bits) - P
    store<i64>(kRho + to, load<i64>(mRho + w) - a * <i64>load<u32>(rho + at))
    store<i64>(k0 + to, load<i64>(m0 + w) - a * (P - r))
    store<i64>(kQ + to, load<i64>(mQ + h) - a * Q)
    store<i64>(k2 + to, load<i64>(m2 + w) - a * (w2 - r))
    store<i64>(kMuQ + to, load<i64>(mMuQ + h) - a * (M - Q))
  }
}

/** Client: R of every switched value as a lifted word. `next` as in `mccMacKeys`; `out` may be `next`. */
export function mccLiftSelect(
  e: usize, count: i32, bits: i32, beta: usize, rho: usize, p: usize, q: usize, known: usize, omega: usize, mu: usize,
  next: usize, out: usize,
): void {
  for (let i = 0; i < count; i++) {
    const at = <usize>i << 2
    const to = <usize>i << 3
    const x = centred(e + at, bits)
    const j = x >> 63
    const b = allOnes(beta, i)
    const sgn = b | 1
    const M = (<i64>load<u32>(mu + at) << bits) & ~j
    const addend = <i64>load<u32>(known + at) - (<i64>load<u32>(omega + at) << bits) - M
    const product = <i64>load<u32>(p + at) + ((<i64>load<u32>(q + at) << bits) & j)
    const w = sgn * product + (b & addend)
    store<i64>(out + to, sgn * x * <i64>load<u32>(rho + at) + w - load<i64>(next + to))
  }
}

/** sum += sign · Σ (sgn·ẽ·M_ρ + M_(2β+j)): the client's tag from tags, the server's expectation from keys. */
export function mccMacSelect(
  e: usize, count: i32, bits: i32, beta: usize, wide: i32, narrow: i32,
  mRho: usize, m0: usize, mQ: usize, m2: usize, mMuQ: usize, sign: i32, sum: usize,
): void {
  let total: i64 = 0
  for (let i = 0; i < count; i++) {
    const w = <usize>i * wide
    const h = <usize>i * narrow
    const x = centred(e + (<usize>i << 2), bits)
    const b = allOnes(beta, i)
    const word = (load<i64>(m0 + w) & ~b) | (load<i64>(m2 + w) & b)
    const high = (load<i64>(mQ + h) & ~b) | (load<i64>(mMuQ + h) & b)
    total += (b | 1) * x * load<i64>(mRho + w) + word + ((high << bits) & (x >> 63))
  }
  store<i64>(sum, load<i64>(sum) + <i64>sign * total)
}

/** Keys of passed values: of w_0 = m' - 2^n'·(ω + μ) less the mask, and of the μ that w_1 = w_0 + 2^n'·μ adds. */
export function mccMacPassedKeys(
  count: i32, bits: i32, alpha: usize, known: usize, omega: usize, mu: usize, next: usize, wide: i32, narrow: i32,
  m0: usize, mMu: usize, k0: usize, kMu: usize,
): void {
  for (let i = 0; i < count; i++) {
    const at = <usize>i << 2
    const to = <usize>i << 3
    const a = load<i64>(alpha + to)
    const M = <i64>load<u32>(mu + at)
    const w0 = <i64>load<u32>(known + at) - ((<i64>load<u32>(omega + at) + M) << bits)
    store<i64>(k0 + to, load<i64>(m0 + <usize>i * wide) - a * (w0 - load<i64>(next + to)))
    store<i64>(kMu + to, load<i64>(mMu + <usize>i * narrow) - a * M)
  }
}

/** Client: R of every passed value. `out` may be `next`. */
export function mccLiftPassed(
  e: usize, count: i32, bits: i32, known: usize, omega: usize, mu: usize, next: usize, out: usize,
): void {
  for (let i = 0; i < count; i++) {
    const at = <usize>i << 2
    const to = <usize>i << 3
    const j = centred(e + at, bits) >> 63
    const M = (<i64>load<u32>(mu + at) << bits) & ~j
    const addend = <i64>load<u32>(known + at) - (<i64>load<u32>(omega + at) << bits) - M
    store<i64>(out + to, addend - load<i64>(next + to))
  }
}

/** sum += sign · Σ M_j. */
export function mccMacPassed(
  e: usize, count: i32, bits: i32, wide: i32, narrow: i32, m0: usize, mMu: usize, sign: i32, sum: usize,
): void {
  let total: i64 = 0
  for (let i = 0; i < count; i++) {
    const j = centred(e + (<usize>i << 2), bits) >> 63
    total += load<i64>(m0 + <usize>i * wide) + ((load<i64>(mMu + <usize>i * narrow) << bits) & j)
  }
  store<i64>(sum, load<i64>(sum) + <i64>sign * total)
}

/** sum += Σ alpha·words, u64. */
export function mccMacDot(alpha: usize, words: usize, count: i32, sum: usize): void {
  let total: i64 = 0
  for (let i = 0; i < count; i++) {
    const to = <usize>i << 3
    total += load<i64>(alpha + to) * load<i64>(words + to)
  }
  store<i64>(sum, load<i64>(sum) + total)
}
