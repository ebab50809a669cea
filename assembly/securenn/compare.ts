// Private comparison over Z_67 (SecureNN, PETS 2019, algorithm 3): shares of the bits of x against a public t.
//   less:    some c_i is 0 iff t > x        greater: some c_i is 0 iff x > t
// Multiplied by random s_i, what is not 0 is uniform; turned by a random amount, the place of a 0 is uniform too, and
// there is never more than one: a rotation hides what a permutation would. Both parties' digits are blinded by shares of 0:
// the helper dealt the shares of x, and would read t out of the ratio of s·c_i of one party to that of the other.
import { add, mul, P, productScalar, reduceScalar, sub } from './mod67'
import { bitMask, bitOf, BLOCK, bytePlanes } from './planes'

/** Helper: out = (bits of x) - share mod 67. @param scratch 128 bytes */
export function snnShareBits(x: usize, n: i32, bits: i32, share: usize, out: usize, scratch: usize): void {
  for (let first = 0; first < n; first += BLOCK) {
    const width = min(BLOCK, n - first)
    let e = 0
    if (ASC_FEATURE_SIMD) {
      for (; e + 16 <= width; e += 16) {
        bytePlanes(x + (<usize>e << 3), scratch)
        for (let i = 0; i < bits; i++) {
          const at = <usize>(i * width + e)
          const bit = v128.and(bitMask(scratch, i), i8x16.splat(1))
          v128.store(out + at, sub(bit, v128.load(share + at)))
        }
      }
    }
    for (; e < width; e++) {
      for (let i = 0; i < bits; i++) {
        const at = <usize>(i * width + e)
        store<u8>(out + at, <u8>reduceScalar(bitOf(x, e, i) + P - <i32>load<u8>(share + at)))
      }
    }
    x += <usize>width << 3
    share += <usize>(width * bits)
    out += <usize>(width * bits)
  }
}

/**
 * Client (party 0) and server (party 1): shares of s·c, fresh ones, before they are turned.
 * @param x digit shares; @param t u64 words; @param less per value 1 for `t > x`, 0 for `x > t`
 * @param always per value 1 where the answer is yes whatever x is (t has no room for it): c_0 is made 0
 * @param zero random digits both parties know, one per digit: party 0 adds them, party 1 takes them off
 * @param s digits 1 … 66 both parties know
 */
export function snnCompare(
  x: usize, t: usize, less: usize, always: usize, zero: usize, s: usize, n: i32, bits: i32, party: i32, out: usize,
  scratch: usize,
): void {
  for (let first = 0; first < n; first += BLOCK) {
    const width = min(BLOCK, n - first)
    let e = 0
    if (ASC_FEATURE_SIMD) {
      for (; e + 16 <= width; e += 16) {
        bytePlanes(t + (<usize>e << 3), scratch)
        compareVector(x + e, less + e, always + e, zero + e, s + e, width, bits, party, out + e, scratch)
      }
    }
    for (; e < width; e++) compareScalar(x + e, t, e, less + e, always + e, zero + e, s + e, width, bits, party, out + e)
    const size = <usize>(width * bits)
    x += size
    s += size
    out += size
    t += <usize>width << 3
    less += width
    always += width
    zero += size
  }
}

function compareVector(
  x: usize, less: usize, always: usize, zero: usize, s: usize, width: i32, bits: i32, party: i32, out: usize, t: usize,
): void {
  const one = i8x16.splat(<i8>party)
  const isLess = i8x16.ne(v128.load(less), i8x16.splat(0))
  let above = i8x16.splat(0) // Σ of w_k over higher bits: how far x and t have differed
  let c = above
  let i = bits - 1
  let at = <usize>(i * width)
  // `do`: engines keep constant vectors in registers across it, not across `for`.
  do {
    const digit = v128.load(x + at)
    const bit = bitMask(t, i)
    const mine = v128.and(bit, one)
    const difference = sub(v128.bitselect(digit, mine, isLess), v128.bitselect(mine, digit, isLess))
    c = add(add(difference, one), above)
    v128.store(out + at, blinded(mul(c, v128.load(s + at)), v128.load(zero + at), party))
    above = add(above, v128.bitselect(sub(one, digit), digit, bit))
    at -= width
  } while (--i >= 0)
  c = v128.andnot(c, i8x16.ne(v128.load(always), i8x16.splat(0)))
  v128.store(out, blinded(mul(c, v128.load(s)), v128.load(zero), party))
}

// @ts-ignore: decorator
@inline
function blinded(digit: v128, zero: v128, party: i32): v128 {
  return party == 0 ? add(digit, zero) : sub(digit, zero)
}

function compareScalar(
  x: usize, t: usize, e: i32, less: usize, always: usize, zero: usize, s: usize, width: i32, bits: i32, party: i32,
  out: usize,
): void {
  let above = 0
  for (let i = bits - 1; i >= 0; i--) {
    const at = <usize>(i * width)
    const digit = <i32>load<u8>(x + at)
    const bit = bitOf(t, e, i)
    const mine = bit & party
    const difference = reduceScalar(select<i32>(digit + P - mine, mine + P - digit, load<u8>(less) != 0))
    let c = reduceScalar(reduceScalar(difference + party) + above)
    if (i == 0) c = select<i32>(0, c, load<u8>(always) != 0)
    const known = <i32>load<u8>(zero + at)
    const blind = party == 0 ? known : P - known
    store<u8>(out + at, <u8>productScalar(c * <i32>load<u8>(s + at) + blind))
    above = reduceScalar(above + select<i32>(reduceScalar(party + P - digit), digit, bit != 0))
  }
}

/**
 * Turns every value's digits by its own amount: digit i of the result is digit (i + amount) mod bits. In place.
 * @param amounts one byte per value, below `bits`; @param scratch 32·bits bytes
 */
export function snnRotate(digits: usize, amounts: usize, n: i32, bits: i32, scratch: usize): void {
  for (let first = 0; first < n; first += BLOCK) {
    const width = min(BLOCK, n - first)
    let e = 0
    if (ASC_FEATURE_SIMD) {
      for (; e + 16 <= width; e += 16) rotateVector(digits + e, v128.load(amounts + e), width, bits, scratch)
    }
    for (; e < width; e++) rotateScalar(digits + e, <i32>load<u8>(amounts + e), width, bits, scratch)
    digits += <usize>(width * bits)
    amounts += width
  }
}

/** A barrel shifter: one pass per bit of the amount, every pass turns all lanes or leaves them by a mask. */
function rotateVector(digits: usize, amount: v128, width: i32, bits: i32, scratch: usize): void {
  let from = scratch
  let to = scratch + <usize>(bits << 4)
  for (let i = 0; i < bits; i++) v128.store(from + <usize>(i << 4), v128.load(digits + <usize>(i * width)))
  for (let step = 1; step < bits; step <<= 1) {
    const bit = i8x16.splat(<i8>step)
    const turn = i8x16.eq(v128.and(amount, bit), bit)
    turnBy(from, to, step, 0, bits - step, turn)
    turnBy(from, to, step - bits, bits - step, bits, turn)
    const swap = from
    from = to
    to = swap
  }
  for (let i = 0; i < bits; i++) v128.store(digits + <usize>(i * width), v128.load(from + <usize>(i << 4)))
}

/** to[i] = from[i + step] in the lanes of `turn`, from[i] in the others. */
// @ts-ignore: decorator
@inline
function turnBy(from: usize, to: usize, step: i32, first: i32, end: i32, turn: v128): void {
  let at = <usize>(first << 4)
  const last = <usize>(end << 4)
  const ahead = <usize>(<isize>step << 4)
  do {
    v128.store(to + at, v128.bitselect(v128.load(from + at + ahead), v128.load(from + at), turn))
    at += 16
  } while (at < last)
}

function rotateScalar(digits: usize, amount: i32, width: i32, bits: i32, scratch: usize): void {
  let from = scratch
  let to = scratch + <usize>bits
  for (let i = 0; i < bits; i++) store<u8>(from + i, load<u8>(digits + <usize>(i * width)))
  for (let bit = 0; 1 << bit < bits; bit++) {
    const turn = -((amount >> bit) & 1)
    for (let i = 0; i < bits; i++) {
      const ahead = i + (1 << bit)
      const digit = <i32>load<u8>(from + i)
      const turned = <i32>load<u8>(from + (ahead < bits ? ahead : ahead - bits))
      store<u8>(to + i, <u8>(digit ^ (turn & (digit ^ turned))))
    }
    const swap = from
    from = to
    to = swap
  }
  for (let i = 0; i < bits; i++) store<u8>(digits + <usize>(i * width), load<u8>(from + i))
}

/** Helper: per value 1 where some sum of the two parties' digits is 0 mod 67. */
export function snnAnyZero(a: usize, b: usize, n: i32, bits: i32, out: usize): void {
  for (let first = 0; first < n; first += BLOCK) {
    const width = min(BLOCK, n - first)
    let e = 0
    if (ASC_FEATURE_SIMD) {
      for (; e + 16 <= width; e += 16) {
        let found = i8x16.splat(0)
        for (let i = 0; i < bits; i++) {
          const at = <usize>(i * width + e)
          found = v128.or(found, i8x16.eq(add(v128.load(a + at), v128.load(b + at)), i8x16.splat(0)))
        }
        v128.store(out + e, v128.and(found, i8x16.splat(1)))
      }
    }
    for (; e < width; e++) {
      let found = 0
      for (let i = 0; i < bits; i++) {
        const at = <usize>(i * width + e)
        found |= i32(reduceScalar(<i32>load<u8>(a + at) + <i32>load<u8>(b + at)) == 0)
      }
      store<u8>(out + e, <u8>found)
    }
    a += <usize>(width * bits)
    b += <usize>(width * bits)
    out += width
  }
}
