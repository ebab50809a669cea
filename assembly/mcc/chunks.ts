// What every comparison kernel shares: how a window of k bits is cut in chunks and how tables lie in memory.
//
// DReLUs go in groups of 8, one u16 lane each. A chunk of c bits has 2^c table entries; the table is kept by columns:
// one column per bit of an entry, and bit x of a column belongs to chunk value x. A column of c >= 4 bits fills
// 2^(c-4) words of a lane, smaller ones share a word; plans have only widths at which no column crosses a word.
//
// `shape` points at t bytes c_0 … c_(t-1), least significant chunk first. Names follow docs/protocol.md.

/** DReLUs that share one vector. */
export const GROUP: i32 = 8

// @ts-ignore: decorator
@inline
export function width(shape: usize, stage: i32): i32 {
  return <i32>load<u8>(shape + stage)
}

/** Bits of one entry of stage j: masked carry and next key, twice (for either carry in) after stage 0. */
// @ts-ignore: decorator
@inline
export function entryBits(t: i32, j: i32): i32 {
  return j == 0 ? t : 2 * (t - j)
}

/** u16 words of one DReLU's tables, padded to whole words. */
export function tableWords(shape: usize, t: i32): i32 {
  let bits = 0
  for (let j = 0; j < t; j++) bits += entryBits(t, j) << width(shape, j)
  return (bits + 15) >> 4
}

/** Lane l all ones where bit l of `bits` is set. */
// @ts-ignore: decorator
@inline
export function lanes(bits: u32): v128 {
  return i16x8.ne(v128.and(i16x8.splat(<i16>bits), i16x8(1, 2, 4, 8, 16, 32, 64, 128)), i16x8.splat(0))
}

/** 2^x per lane for 0 <= x < 16, and 0 for x = 16: one byte look-up serves both halves of the lane. */
// @ts-ignore: decorator
@inline
export function powers(x: v128): v128 {
  const bytes = i8x16.sub(v128.or(x, i16x8.shl(x, 8)), i16x8.splat(0x0800))
  return i8x16.swizzle(i8x16(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0), bytes)
}

/** Chunk of 8 words of T (u32 or u64): (((value + add) & mask) >> shift) & (2^c - 1), as u16 lanes. */
// @ts-ignore: decorator
@inline
export function chunk<T>(values: usize, add: T, mask: T, shift: i32, size: i32): v128 {
  if (sizeof<T>() == 4) {
    const low = i32x4.splat(size - 1)
    const a = chunk32(values, <i32>add, <i32>mask, shift)
    const b = chunk32(values + 16, <i32>add, <i32>mask, shift)
    return i16x8.narrow_i32x4_u(v128.and(a, low), v128.and(b, low))
  }
  const low = i32x4.splat(size - 1)
  const a = v128.and(chunk64(values, <i64>add, <i64>mask, shift), low)
  const b = v128.and(chunk64(values + 32, <i64>add, <i64>mask, shift), low)
  return i16x8.narrow_i32x4_u(a, b)
}

// @ts-ignore: decorator
@inline
function chunk32(values: usize, add: i32, mask: i32, shift: i32): v128 {
  return i32x4.shr_u(v128.and(i32x4.add(v128.load(values), i32x4.splat(add)), i32x4.splat(mask)), shift)
}

/** Four u64 words, shifted, their low halves side by side: a chunk has at most 8 bits. */
// @ts-ignore: decorator
@inline
function chunk64(values: usize, add: i64, mask: i64, shift: i32): v128 {
  const a = v128.and(i64x2.add(v128.load(values), i64x2.splat(add)), i64x2.splat(mask))
  const b = v128.and(i64x2.add(v128.load(values, 16), i64x2.splat(add)), i64x2.splat(mask))
  return v128.shuffle<i32>(i64x2.shr_u(a, shift), i64x2.shr_u(b, shift), 0, 2, 4, 6)
}

/** Chunk of one word. */
// @ts-ignore: decorator
@inline
export function chunkScalar<T>(value: usize, add: T, mask: T, shift: i32, size: i32): i32 {
  return <i32>((((load<T>(value) + add) & mask) >> <T>shift) & <T>(size - 1))
}
