// Bit planes: 128 words of 32 bits become 32 planes of 128 bits and back. Bit w of plane p is bit p of word w, both
// counted from the lowest; a block is 512 bytes on either side, so that the planes of one block stay in the first-level
// cache (a plane stride of a power of two over the whole tensor costs four times as much).

// @ts-ignore: decorator
@inline
const BLOCK: i32 = 128

// @ts-ignore: decorator
@inline
function low8(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
}

// @ts-ignore: decorator
@inline
function high8(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
}

/**
 * Half of a 16×16 byte transposition: vectors at `from` + t `far` + k `near` become those at `to` + k `row` + u `unit`.
 * Twice in a row is the whole; addresses and steps are in bytes.
 */
// @ts-ignore: decorator
@inline
function weave(from: usize, near: usize, far: usize, to: usize, row: usize, unit: usize): void {
  for (let k = 0; k < 4; k++, from += near, to += row) {
    const a = v128.load(from), b = v128.load(from + far), c = v128.load(from + far * 2), d = v128.load(from + far * 3)
    const ac0 = low8(a, c), ac1 = high8(a, c), bd0 = low8(b, d), bd1 = high8(b, d)
    v128.store(to, low8(ac0, bd0))
    v128.store(to + unit, high8(ac0, bd0))
    v128.store(to + unit * 2, low8(ac1, bd1))
    v128.store(to + unit * 3, high8(ac1, bd1))
  }
}

/** Every 8×8 bit matrix that lies across eight vectors is transposed: three rounds of swapped half, quarter, eighth. */
// @ts-ignore: decorator
@inline
function transposeBits(from: usize, to: usize): void {
  let a = v128.load(from), b = v128.load(from, 16), c = v128.load(from, 32), d = v128.load(from, 48)
  let e = v128.load(from, 64), f = v128.load(from, 80), g = v128.load(from, 96), h = v128.load(from, 112)
  let m = i8x16.splat(0x0f)
  let s = v128.and(v128.xor(i64x2.shr_u(a, 4), e), m), t = v128.and(v128.xor(i64x2.shr_u(b, 4), f), m)
  let u = v128.and(v128.xor(i64x2.shr_u(c, 4), g), m), v = v128.and(v128.xor(i64x2.shr_u(d, 4), h), m)
  e = v128.xor(e, s); f = v128.xor(f, t); g = v128.xor(g, u); h = v128.xor(h, v)
  a = v128.xor(a, i64x2.shl(s, 4)); b = v128.xor(b, i64x2.shl(t, 4))
  c = v128.xor(c, i64x2.shl(u, 4)); d = v128.xor(d, i64x2.shl(v, 4))
  m = i8x16.splat(0x33)
  s = v128.and(v128.xor(i64x2.shr_u(a, 2), c), m); t = v128.and(v128.xor(i64x2.shr_u(b, 2), d), m)
  u = v128.and(v128.xor(i64x2.shr_u(e, 2), g), m); v = v128.and(v128.xor(i64x2.shr_u(f, 2), h), m)
  c = v128.xor(c, s); d = v128.xor(d, t); g = v128.xor(g, u); h = v128.xor(h, v)
  a = v128.xor(a, i64x2.shl(s, 2)); b = v128.xor(b, i64x2.shl(t, 2))
  e = v128.xor(e, i64x2.shl(u, 2)); f = v128.xor(f, i64x2.shl(v, 2))
  m = i8x16.splat(0x55)
  s = v128.and(v128.xor(i64x2.shr_u(a, 1), b), m); t = v128.and(v128.xor(i64x2.shr_u(c, 1), d), m)
  u = v128.and(v128.xor(i64x2.shr_u(e, 1), f), m); v = v128.and(v128.xor(i64x2.shr_u(g, 1), h), m)
  v128.store(to, v128.xor(a, i64x2.shl(s, 1)))
  v128.store(to, v128.xor(b, s), 16)
  v128.store(to, v128.xor(c, i64x2.shl(t, 1)), 32)
  v128.store(to, v128.xor(d, t), 48)
  v128.store(to, v128.xor(e, i64x2.shl(u, 1)), 64)
  v128.store(to, v128.xor(f, u), 80)
  v128.store(to, v128.xor(g, i64x2.shl(v, 1)), 96)
  v128.store(to, v128.xor(h, v), 112)
}

/** 32×32 bits at `a` in place (Warren, Hacker's Delight, §7-3, lowest bit first). */
function transposeScalar(a: usize): void {
  let m: u32 = 0x0000ffff
  for (let j = 16; j != 0; j >>= 1, m ^= m << j) {
    for (let k = 0; k < 32; k = (k + j + 1) & ~j) {
      const x = a + (<usize>k << 2), y = x + (<usize>j << 2)
      const t = (load<u32>(x) >> j ^ load<u32>(y)) & m
      store<u32>(y, load<u32>(y) ^ t)
      store<u32>(x, load<u32>(x) ^ t << j)
    }
  }
}

// @ts-ignore: decorator
@inline
function split(src: usize, dst: usize, scratch: usize): void {
  if (ASC_FEATURE_SIMD) {
    // Words with number mod 8 in 0-3 lie in even vectors, 4-7 in odd ones; byte q of word 8 j + i goes to byte j of
    // vector 8 q + i.
    weave(src, 32, 128, scratch, 64, 16)
    weave(scratch, 16, 64, dst, 16, 128)
    weave(src + 16, 32, 128, scratch, 64, 16)
    weave(scratch, 16, 64, dst + 64, 16, 128)
    for (let q: usize = 0; q < 512; q += 128) transposeBits(dst + q, dst + q)
  } else {
    for (let g: usize = 0; g < 4; g++) {
      memory.copy(scratch, src + (g << 7), 128)
      transposeScalar(scratch)
      for (let p: usize = 0; p < 32; p++) store<u32>(dst + (p << 4) + (g << 2), load<u32>(scratch + (p << 2)))
    }
  }
}

// @ts-ignore: decorator
@inline
function join(src: usize, dst: usize, scratch: usize): void {
  if (ASC_FEATURE_SIMD) {
    const bytes = scratch + 256
    for (let q: usize = 0; q < 512; q += 128) transposeBits(src + q, bytes + q)
    weave(bytes, 128, 16, scratch, 64, 16)
    weave(scratch, 16, 64, dst, 128, 32)
    weave(bytes + 64, 128, 16, scratch, 64, 16)
    weave(scratch, 16, 64, dst + 16, 128, 32)
  } else {
    for (let g: usize = 0; g < 4; g++) {
      for (let p: usize = 0; p < 32; p++) store<u32>(scratch + (p << 2), load<u32>(src + (p << 4) + (g << 2)))
      transposeScalar(scratch)
      memory.copy(dst + (g << 7), scratch, 128)
    }
  }
}

/** `count` words into ⌈count/128⌉ blocks of 512 bytes, absent words as zeros. `scratch`: 1280 bytes. */
export function toPlanes32(src: usize, count: i32, dst: usize, scratch: usize): void {
  for (; count >= BLOCK; count -= BLOCK, src += 512, dst += 512) split(src, dst, scratch)
  if (count == 0) return
  const rest = scratch + 768
  memory.fill(rest, 0, 512)
  memory.copy(rest, src, <usize>count << 2)
  split(rest, dst, scratch)
}

/** The inverse; dst is disjoint from src. `scratch`: 1280 bytes. */
export function fromPlanes32(src: usize, count: i32, dst: usize, scratch: usize): void {
  for (; count >= BLOCK; count -= BLOCK, src += 512, dst += 512) join(src, dst, scratch)
  if (count == 0) return
  const rest = scratch + 768
  join(src, rest, scratch)
  memory.copy(dst, rest, <usize>count << 2)
}
