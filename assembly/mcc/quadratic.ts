// The quadratic select (docs/protocol.md, "Quadratic selects"): Σ sign·b·(y² + c1·y + c0) over copies of an opened value, b a
// masked bit of each, in u64 words of which the lowest N = n + f bits count.
//
// The words of a step are ω, μ, S = A² and V = μA of every value, A being A_1, then for each copy, one after another, ρ, P =
// ρA, Q = ρμ, P2 = ρA² and Q2 = ρμA of every value.

/**
 * Corrections of a step's words, in place of the client's halves.
 * @param r below 2^bits; @param a a' as its stream gives it
 * @param rho a bit per value, copy after copy
 */
export function mccDealQuadratic(
  r: usize, a: usize, count: i32, copies: i32, bits: i32, rho: usize, words: usize,
): void {
  const low: u32 = (1 << bits) - 1
  const offset: i64 = (<i64>1) << (bits - 2)
  const field = <usize>count << 3
  for (let i = 0; i < count; i++) {
    const at = <usize>i << 2
    const mask = load<u32>(r + at)
    const mu = <i64>(mask >> (bits - 1))
    const addend = <i64>mask - offset
    const square = addend * addend
    const both = addend & -mu
    let to = words + (<usize>i << 3)
    correct(<i64>(mask < (load<u32>(a + at) & low)), to)
    correct(mu, to + field)
    correct(square, to + 2 * field)
    correct(both, to + 3 * field)
    to += 4 * field
    for (let j = 0; j < copies; j++) {
      const one = bitMask(rho, j * count + i)
      correct(one & 1, to)
      correct(addend & one, to + field)
      correct(mu & one, to + 2 * field)
      correct(square & one, to + 3 * field)
      correct(both & one, to + 4 * field)
      to += 5 * field
    }
  }
}

/** The value's other share takes the half's place. */
// @ts-ignore: decorator
@inline
function correct(value: i64, word: usize): void {
  store<u64>(word, <u64>value - load<u64>(word))
}

/** All ones where bit i is set. */
// @ts-ignore: decorator
@inline
function bitMask(bits: usize, i: i32): i64 {
  return -((<i64>load<u8>(bits + (i >> 3)) >> (i & 7)) & 1)
}

/**
 * Client: its share of every value's sum less the next mask, r·2^f and f fresh bits: N bits of a u64.
 * @param e opened values; @param m of which bits [from, from + bits) count
 * @param beta b ⊕ ρ, a bit per value, copy after copy
 * @param pieces sign, c0, c1 of every copy, i64
 * @param next r; @param fresh of which the lowest f bits count
 */
export function mccAnswerQuadratic(
  e: usize, m: usize, words: usize, beta: usize, count: i32, copies: i32, from: i32, bits: i32, width: i32, f: i32,
  pieces: usize, next: usize, fresh: usize, out: usize,
): void {
  const low: u32 = (1 << bits) - 1
  const dropped: u32 = (1 << f) - 1
  const unused = 64 - width
  for (let i = 0; i < count; i++) {
    const at = <usize>i << 2
    const known = <u64>((load<u32>(m + at) >> from) & low)
    const mask = (<u64>load<u32>(next + at) << f) + <u64>(load<u32>(fresh + at) & dropped)
    const z = shareOf(load<u32>(e + at), known, words, beta, i, count, copies, bits, pieces, 0) - mask
    store<u64>(out + (<usize>i << 3), (z << unused) >> unused)
  }
}

/**
 * Server: every value's sum, f bits shorter, less the next mask, from the client's reply.
 * @param a a', of which the lowest `bits` bits count; @param reply u64
 */
export function mccFinishQuadratic(
  e: usize, a: usize, words: usize, beta: usize, count: i32, copies: i32, bits: i32, width: i32, f: i32,
  pieces: usize, reply: usize, out: usize,
): void {
  const low: u32 = (1 << bits) - 1
  const offset = <u64>1 << (bits - 2)
  const centre = (<u64>1 << f) - 1
  const unused = 64 - width
  for (let i = 0; i < count; i++) {
    const at = <usize>i << 2
    const known = <u64>(load<u32>(a + at) & low) - offset
    const share = shareOf(load<u32>(e + at), known, words, beta, i, count, copies, bits, pieces, 1)
    const z = share + centre + load<u64>(reply + (<usize>i << 3))
    store<u32>(out + at, <u32>(((z << unused) >> unused) >> f))
  }
}

/** A party's share of value i's sum. @param known what it knows of A; @param one its share of a public 1 */
// @ts-ignore: decorator
@inline
function shareOf(
  e: u32, known: u64, words: usize, beta: usize, i: i32, count: i32, copies: i32, bits: i32, pieces: usize, one: u64,
): u64 {
  const field = <usize>count << 3
  const up = 32 - bits
  let word = words + (<usize>i << 3)
  const x = <u64>(<i64>(<i32>((e + (1 << (bits - 2))) << up) >> up))
  const lift = ~<u64>(<i64>x >> 63)
  const mu = load<u64>(word + field) & lift
  const a = known - ((load<u64>(word) + mu) << bits)
  const s = load<u64>(word + 2 * field) - ((load<u64>(word + 3 * field) & lift) << (bits + 1)) + (mu << (2 * bits))
  let z: u64 = 0
  word += 4 * field
  for (let j = 0; j < copies; j++) {
    const turned = <u64>bitMask(beta, j * count + i)
    const q = load<u64>(word + 2 * field) & lift
    const p = load<u64>(word + field) - (q << bits)
    const p2 = load<u64>(word + 3 * field) - ((load<u64>(word + 4 * field) & lift) << (bits + 1)) + (q << (2 * bits))
    const b = flipped(load<u64>(word), turned) + (one & turned)
    const bA = flipped(p, turned) + (a & turned)
    const bS = flipped(p2, turned) + (s & turned)
    const piece = pieces + <usize>(j * 24)
    const linear = x * b + bA
    const whole = x * (linear + bA) + bS + load<u64>(piece + 16) * linear + load<u64>(piece + 8) * b
    z += load<u64>(piece) * whole
    word += 5 * field
  }
  return z
}

/** x, or -x where `negative` is all ones. */
// @ts-ignore: decorator
@inline
function flipped(x: u64, negative: u64): u64 {
  return (x ^ negative) - negative
}
