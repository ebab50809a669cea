// Elementwise steps of ShareConvert and ComputeMSB (SecureNN, PETS 2019, algorithms 4 and 5) on shares of `bits`-bit
// values: even ring 2^bits, odd ring M = 2^bits - 1. Words are u64, flags one byte per value. docs/protocol.md names
// the symbols.

// @ts-ignore: decorator
@inline
function low(bits: i32): u64 {
  return bits == 64 ? -1 : (1 << <u64>bits) - 1
}

/** a + b mod M, for a, b < M. */
// @ts-ignore: decorator
@inline
function addOdd(a: u64, b: u64, m: u64): u64 {
  const sum = a + b
  return sum - (u64(sum < a || sum >= m) * m)
}

// @ts-ignore: decorator
@inline
function subOdd(a: u64, b: u64, m: u64): u64 {
  return a - b + u64(a < b) * m
}

/** 1 - x where `flip`, for one of two parties; the other takes -x. In Z_2^64. */
// @ts-ignore: decorator
@inline
function flipped(x: u64, flip: u64, party: i32): u64 {
  return select<u64>(u64(party == 0) - x, x, <bool>flip)
}

/** out = ((v >> drop) + offset) mod 2^bits: the window of a share that is compared. */
export function snnWindow(v: usize, n: i32, drop: i32, bits: i32, offset: u64, out: usize): void {
  const mask = low(bits)
  for (let i: usize = 0, end = <usize>n << 3; i < end; i += 8) {
    store<u64>(out + i, ((load<u64>(v + i) >> drop) + offset) & mask)
  }
}

/** sum = (a + b) mod 2^bits, wrap = 1 where that lost a carry. In place allowed. */
export function snnAddWrap(a: usize, b: usize, n: i32, bits: i32, sum: usize, wrap: usize): void {
  const mask = low(bits)
  for (let i = 0; i < n; i++) {
    const at = <usize>i << 3
    const x = load<u64>(a + at)
    const s = (x + load<u64>(b + at)) & mask
    store<u64>(sum + at, s)
    store<u8>(wrap + i, u8(s < x))
  }
}

/** x mod 2^bits, in place. */
export function snnReduceEven(x: usize, n: i32, bits: i32): void {
  const mask = low(bits)
  for (let i: usize = 0, end = <usize>n << 3; i < end; i += 8) store<u64>(x + i, load<u64>(x + i) & mask)
}

/**
 * x mod M, in place: of uniform words, residues within 2^((64 mod bits) - 64) of uniform. As 2^bits ≡ 1, high bits are
 * added to low ones: a division would take longer for some words than for others.
 */
export function snnReduceOdd(x: usize, n: i32, bits: i32): void {
  const m = low(bits)
  const final = bits & 63 // with 64 bits nothing lies above: adding x >> 0 and x & 0 changes nothing
  const kept = low(final)
  // Two folds bring windows of 16 bits and more to 2·bits; a fold by 0 changes nothing.
  const first = 64 > 2 * bits ? foldOf(64, bits) : 0
  let width = folded(64, first)
  const second = width > 2 * bits ? foldOf(width, bits) : 0
  width = folded(width, second)
  for (let i: usize = 0, end = <usize>n << 3; i < end; i += 8) {
    let v = load<u64>(x + i)
    v = (v >> first) + (v & low(first))
    v = (v >> second) + (v & low(second))
    for (let rest = width; rest > 2 * bits; ) {
      const shift = foldOf(rest, bits)
      v = (v >> shift) + (v & low(shift))
      rest = folded(rest, shift)
    }
    v = (v >> final) + (v & kept)
    v -= u64(v >= m) * m
    store<u64>(x + i, v - u64(v >= m) * m)
  }
}

/** Bits of a word of `width` bits after a fold. */
// @ts-ignore: decorator
@inline
function folded(width: i32, shift: i32): i32 {
  return shift == 0 ? width : max(width - shift, shift) + 1
}

/** A multiple of `bits`, at most about half of `width`: how far a word of `width` bits is folded next. */
// @ts-ignore: decorator
@inline
function foldOf(width: i32, bits: i32): i32 {
  let shift = bits
  while (shift << 2 <= width) shift <<= 1
  return shift
}

/** out = value - share mod M, for value < M. */
export function snnSubOdd(value: usize, share: usize, n: i32, bits: i32, out: usize): void {
  const m = low(bits)
  for (let i: usize = 0, end = <usize>n << 3; i < end; i += 8) {
    store<u64>(out + i, subOdd(load<u64>(value + i), load<u64>(share + i), m))
  }
}

/** out = a + b mod M. */
export function snnAddOdd(a: usize, b: usize, n: i32, bits: i32, out: usize): void {
  const m = low(bits)
  for (let i: usize = 0, end = <usize>n << 3; i < end; i += 8) {
    store<u64>(out + i, addOdd(load<u64>(a + i), load<u64>(b + i), m))
  }
}

/** out = flag - share, mod M when `odd`, else mod 2^64: the second share of a bit. */
export function snnShareFlag(flag: usize, share: usize, n: i32, bits: i32, odd: i32, out: usize): void {
  const m = low(bits)
  for (let i = 0; i < n; i++) {
    const at = <usize>i << 3
    const f = <u64>load<u8>(flag + i)
    const s = load<u64>(share + at)
    store<u64>(out + at, odd ? subOdd(f, s, m) : f - s)
  }
}

/** flag = lowest bit of every word. */
export function snnLowBit(x: usize, n: i32, flag: usize): void {
  for (let i = 0; i < n; i++) store<u8>(flag + i, load<u8>(x + (<usize>i << 3)) & 1)
}

/**
 * What a comparison asks, blinded by `flip`. For `wraps` the question is x < t: asked as t > x, or flipped as
 * x > t - 1, which is true for t = 0. Otherwise it is x > t, or flipped t + 1 > x.
 */
export function snnThreshold(
  t: usize, flip: usize, n: i32, bits: i32, wraps: i32, out: usize, less: usize, always: usize,
): void {
  const mask = low(bits)
  for (let i = 0; i < n; i++) {
    const at = <usize>i << 3
    const x = load<u64>(t + at)
    const f = <u64>load<u8>(flip + i)
    store<u64>(out + at, (wraps ? x - f : x + f) & mask)
    store<u8>(less + i, <u8>(wraps ? f ^ 1 : f))
    store<u8>(always + i, u8(wraps && f == 1 && x == 0))
  }
}

/**
 * ShareConvert's end and ComputeMSB's opening: y = a - θ mod M with θ = β + δ - α - η, then z = 2y + x mod M.
 * @param wrap β of this party; @param delta, eta shares mod M; @param flip η''; @param alpha α, counted by party 0
 */
export function snnConvert(
  a: usize, wrap: usize, delta: usize, eta: usize, flip: usize, alpha: usize, x: usize, n: i32, bits: i32, party: i32,
  z: usize,
): void {
  const m = low(bits)
  for (let i = 0; i < n; i++) {
    const at = <usize>i << 3
    const value = load<u64>(a + at)
    const share = load<u64>(eta + at)
    // [η]: 1 - η' where flipped; only party 0 adds the 1.
    const turned = select<u64>(subOdd(u64(party == 0), share, m), share, <bool>load<u8>(flip + i))
    let theta = addOdd(<u64>load<u8>(wrap + i), load<u64>(delta + at), m)
    theta = subOdd(theta, turned, m)
    if (party == 0) theta = subOdd(theta, <u64>load<u8>(alpha + i), m)
    const y = subOdd(value - u64(value == m) * m, theta, m)
    store<u64>(z + at, addOdd(addOdd(y, y, m), load<u64>(x + at), m))
  }
}

/**
 * The two bits whose XOR is the MSB, and their openings under a product triple: γ = β' ⊕ flip, δ = low bit of x ⊕ low
 * bit of z. Overwrites `answer` by γ and `lowBit` by δ; opened: γ - A, then δ - B.
 */
export function snnOpenXor(
  answer: usize, flip: usize, lowBit: usize, z: usize, tripleA: usize, tripleB: usize, n: i32, party: i32, opened: usize,
): void {
  const second = opened + (<usize>n << 3)
  for (let i = 0; i < n; i++) {
    const at = <usize>i << 3
    const gamma = flipped(load<u64>(answer + at), <u64>load<u8>(flip + i), party)
    const delta = flipped(load<u64>(lowBit + at), load<u64>(z + at) & 1, party)
    store<u64>(answer + at, gamma)
    store<u64>(lowBit + at, delta)
    store<u64>(opened + at, gamma - load<u64>(tripleA + at))
    store<u64>(second + at, delta - load<u64>(tripleB + at))
  }
}

/** Share of x·y from both parties' openings: C + e·B + f·A + e·f, the last by party 0. In place of C allowed. */
export function snnProduct(
  mine: usize, theirs: usize, tripleA: usize, tripleB: usize, tripleC: usize, n: i32, party: i32, out: usize,
): void {
  const half = <usize>n << 3
  for (let i: usize = 0; i < half; i += 8) {
    const e = load<u64>(mine + i) + load<u64>(theirs + i)
    const f = load<u64>(mine + half + i) + load<u64>(theirs + half + i)
    const z = load<u64>(tripleC + i) + e * load<u64>(tripleB + i) + f * load<u64>(tripleA + i)
    store<u64>(out + i, party == 0 ? z + e * f : z)
  }
}

/** Share of the sign bit: γ + δ - 2·product is the MSB; `positive`: 1 - MSB. */
export function snnSign(gamma: usize, delta: usize, product: usize, n: i32, positive: i32, party: i32, out: usize): void {
  for (let i: usize = 0, end = <usize>n << 3; i < end; i += 8) {
    const msb = load<u64>(gamma + i) + load<u64>(delta + i) - 2 * load<u64>(product + i)
    store<u64>(out + i, positive ? u64(party == 0) - msb : msb)
  }
}
