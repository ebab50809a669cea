// Vector steps shared by the ChaCha cores: rotations of 32-bit lanes, and the way from word order to block order.

// @ts-ignore: decorator
@inline
export function left16(v: v128): v128 {
  return i8x16.shuffle(v, v, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13)
}

// @ts-ignore: decorator
@inline
export function left8(v: v128): v128 {
  return i8x16.shuffle(v, v, 3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14)
}

// @ts-ignore: decorator
@inline
export function left12(v: v128): v128 {
  return v128.or(i32x4.shl(v, 12), i32x4.shr_u(v, 20))
}

// @ts-ignore: decorator
@inline
export function left7(v: v128): v128 {
  return v128.or(i32x4.shl(v, 7), i32x4.shr_u(v, 25))
}

/** Key word `i` in all four lanes. */
// @ts-ignore: decorator
@inline
export function word(key: usize, i: i32): v128 {
  return v128.load_splat<u32>(key + (i << 2))
}

/** Four vectors of one state word each, over four blocks, become 16 consecutive bytes in each block. */
// @ts-ignore: decorator
@inline
export function storeWords(out: usize, offset: usize, a: v128, b: v128, c: v128, d: v128): void {
  const ab0 = v128.shuffle<u32>(a, b, 0, 4, 1, 5)
  const ab1 = v128.shuffle<u32>(a, b, 2, 6, 3, 7)
  const cd0 = v128.shuffle<u32>(c, d, 0, 4, 1, 5)
  const cd1 = v128.shuffle<u32>(c, d, 2, 6, 3, 7)
  v128.store(out + offset, v128.shuffle<u64>(ab0, cd0, 0, 2))
  v128.store(out + offset + 64, v128.shuffle<u64>(ab0, cd0, 1, 3))
  v128.store(out + offset + 128, v128.shuffle<u64>(ab1, cd1, 0, 2))
  v128.store(out + offset + 192, v128.shuffle<u64>(ab1, cd1, 1, 3))
}
