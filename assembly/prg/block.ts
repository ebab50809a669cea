// One ChaCha block (RFC 8439 §2.3) of which the first `len` <= 64 bytes are written: the end of a stream, and every
// block of the scalar build.
import { left12, left16, left7, left8 } from './lanes'

/** The first `n` < 16 bytes of `v`. */
function storePart(out: usize, v: v128, n: i32): void {
  if (n & 8) {
    v128.store64_lane(out, v, 0)
    v = i8x16.shuffle(v, v, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7)
    out += 8
  }
  let rest = i64x2.extract_lane(v, 0)
  for (let i = 0; i < (n & 7); i++, rest >>= 8) store<u8>(out + i, <u8>rest)
}

// @ts-ignore: decorator
@inline
function storeRow(out: usize, v: v128, len: i32): void {
  if (len >= 16) v128.store(out, v)
  else if (len > 0) storePart(out, v, len)
}

/** One vector per row of the 4×4 state; a diagonal round is a column round between two lane rotations. */
function blockSimd(key: usize, n0: u32, n1: u32, n2: u32, counter: u32, rounds: i32, out: usize, len: i32): void {
  const constants = i32x4(0x61707865, 0x3320646e, 0x79622d32, 0x6b206574)
  const last = i32x4.replace_lane(
    i32x4.replace_lane(i32x4.replace_lane(i32x4.splat(counter), 1, n0), 2, n1), 3, n2)
  let a = constants
  let b = v128.load(key)
  let c = v128.load(key, 16)
  let d = last
  for (let round = 0; round < rounds; round++) {
    a = i32x4.add(a, b); d = left16(v128.xor(d, a))
    c = i32x4.add(c, d); b = left12(v128.xor(b, c))
    a = i32x4.add(a, b); d = left8(v128.xor(d, a))
    c = i32x4.add(c, d); b = left7(v128.xor(b, c))
    c = v128.shuffle<u32>(c, c, 2, 3, 0, 1)
    if (round & 1) {
      b = v128.shuffle<u32>(b, b, 3, 0, 1, 2)
      d = v128.shuffle<u32>(d, d, 1, 2, 3, 0)
    } else {
      b = v128.shuffle<u32>(b, b, 1, 2, 3, 0)
      d = v128.shuffle<u32>(d, d, 3, 0, 1, 2)
    }
  }
  storeRow(out, i32x4.add(a, constants), len)
  storeRow(out + 16, i32x4.add(b, v128.load(key)), len - 16)
  storeRow(out + 32, i32x4.add(c, v128.load(key, 16)), len - 32)
  storeRow(out + 48, i32x4.add(d, last), len - 48)
}

// @ts-ignore: decorator
@inline
function storeWord(out: usize, index: i32, value: u32, len: i32): void {
  const at = index << 2
  if (at + 4 <= len) store<u32>(out + at, value)
  else for (let i = at; i < len; i++, value >>= 8) store<u8>(out + i, <u8>value)
}

function blockScalar(key: usize, n0: u32, n1: u32, n2: u32, counter: u32, rounds: i32, out: usize, len: i32): void {
  let x0: u32 = 0x61707865, x1: u32 = 0x3320646e, x2: u32 = 0x79622d32, x3: u32 = 0x6b206574
  let x4 = load<u32>(key), x5 = load<u32>(key, 4), x6 = load<u32>(key, 8), x7 = load<u32>(key, 12)
  let x8 = load<u32>(key, 16), x9 = load<u32>(key, 20), x10 = load<u32>(key, 24), x11 = load<u32>(key, 28)
  let x12 = counter, x13 = n0, x14 = n1, x15 = n2
  for (let round = 0; round < rounds; round += 2) {
    x0 += x4; x12 = rotl<u32>(x12 ^ x0, 16)
    x8 += x12; x4 = rotl<u32>(x4 ^ x8, 12)
    x0 += x4; x12 = rotl<u32>(x12 ^ x0, 8)
    x8 += x12; x4 = rotl<u32>(x4 ^ x8, 7)
    x1 += x5; x13 = rotl<u32>(x13 ^ x1, 16)
    x9 += x13; x5 = rotl<u32>(x5 ^ x9, 12)
    x1 += x5; x13 = rotl<u32>(x13 ^ x1, 8)
    x9 += x13; x5 = rotl<u32>(x5 ^ x9, 7)
    x2 += x6; x14 = rotl<u32>(x14 ^ x2, 16)
    x10 += x14; x6 = rotl<u32>(x6 ^ x10, 12)
    x2 += x6; x14 = rotl<u32>(x14 ^ x2, 8)
    x10 += x14; x6 = rotl<u32>(x6 ^ x10, 7)
    x3 += x7; x15 = rotl<u32>(x15 ^ x3, 16)
    x11 += x15; x7 = rotl<u32>(x7 ^ x11, 12)
    x3 += x7; x15 = rotl<u32>(x15 ^ x3, 8)
    x11 += x15; x7 = rotl<u32>(x7 ^ x11, 7)
    x0 += x5; x15 = rotl<u32>(x15 ^ x0, 16)
    x10 += x15; x5 = rotl<u32>(x5 ^ x10, 12)
    x0 += x5; x15 = rotl<u32>(x15 ^ x0, 8)
    x10 += x15; x5 = rotl<u32>(x5 ^ x10, 7)
    x1 += x6; x12 = rotl<u32>(x12 ^ x1, 16)
    x11 += x12; x6 = rotl<u32>(x6 ^ x11, 12)
    x1 += x6; x12 = rotl<u32>(x12 ^ x1, 8)
    x11 += x12; x6 = rotl<u32>(x6 ^ x11, 7)
    x2 += x7; x13 = rotl<u32>(x13 ^ x2, 16)
    x8 += x13; x7 = rotl<u32>(x7 ^ x8, 12)
    x2 += x7; x13 = rotl<u32>(x13 ^ x2, 8)
    x8 += x13; x7 = rotl<u32>(x7 ^ x8, 7)
    x3 += x4; x14 = rotl<u32>(x14 ^ x3, 16)
    x9 += x14; x4 = rotl<u32>(x4 ^ x9, 12)
    x3 += x4; x14 = rotl<u32>(x14 ^ x3, 8)
    x9 += x14; x4 = rotl<u32>(x4 ^ x9, 7)
  }
  storeWord(out, 0, x0 + 0x61707865, len)
  storeWord(out, 1, x1 + 0x3320646e, len)
  storeWord(out, 2, x2 + 0x79622d32, len)
  storeWord(out, 3, x3 + 0x6b206574, len)
  storeWord(out, 4, x4 + load<u32>(key, 0), len)
  storeWord(out, 5, x5 + load<u32>(key, 4), len)
  storeWord(out, 6, x6 + load<u32>(key, 8), len)
  storeWord(out, 7, x7 + load<u32>(key, 12), len)
  storeWord(out, 8, x8 + load<u32>(key, 16), len)
  storeWord(out, 9, x9 + load<u32>(key, 20), len)
  storeWord(out, 10, x10 + load<u32>(key, 24), len)
  storeWord(out, 11, x11 + load<u32>(key, 28), len)
  storeWord(out, 12, x12 + counter, len)
  storeWord(out, 13, x13 + n0, len)
  storeWord(out, 14, x14 + n1, len)
  storeWord(out, 15, x15 + n2, len)
}

/** The first `len` <= 64 bytes of block `counter`. */
// @ts-ignore: decorator
@inline
export function block(key: usize, n0: u32, n1: u32, n2: u32, counter: u32, rounds: i32, out: usize, len: i32): void {
  if (ASC_FEATURE_SIMD) blockSimd(key, n0, n1, n2, counter, rounds, out, len)
  else blockScalar(key, n0, n1, n2, counter, rounds, out, len)
}
