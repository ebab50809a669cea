// Layout of private comparison: blocks of up to 256 values, in a block one plane of bytes per bit, lowest bit first.
// A block of 64 planes is 16 KiB and stays in the first-level cache, and no stride is a large power of two.

export const BLOCK: i32 = 256

/**
 * Bits of 16 u64 words to 8 planes of 16 bytes: byte k of word e becomes byte e of plane k.
 * @param out 128 bytes of scratch
 */
export function bytePlanes(words: usize, out: usize): void {
  if (ASC_FEATURE_SIMD) {
    for (let half = 0; half < 2; half++) {
      // Four vectors hold eight words; three rounds of interleaving bring equal bytes together.
      const a = v128.load(words), b = v128.load(words, 16), c = v128.load(words, 32), d = v128.load(words, 48)
      const ab = i8x16.shuffle(a, b, 0, 8, 16, 24, 1, 9, 17, 25, 2, 10, 18, 26, 3, 11, 19, 27)
      const AB = i8x16.shuffle(a, b, 4, 12, 20, 28, 5, 13, 21, 29, 6, 14, 22, 30, 7, 15, 23, 31)
      const cd = i8x16.shuffle(c, d, 0, 8, 16, 24, 1, 9, 17, 25, 2, 10, 18, 26, 3, 11, 19, 27)
      const CD = i8x16.shuffle(c, d, 4, 12, 20, 28, 5, 13, 21, 29, 6, 14, 22, 30, 7, 15, 23, 31)
      const p01 = v128.shuffle<u32>(ab, cd, 0, 4, 1, 5)
      const p23 = v128.shuffle<u32>(ab, cd, 2, 6, 3, 7)
      const p45 = v128.shuffle<u32>(AB, CD, 0, 4, 1, 5)
      const p67 = v128.shuffle<u32>(AB, CD, 2, 6, 3, 7)
      const at = out + <usize>(half << 3)
      v128.store64_lane(at, p01, 0)
      v128.store64_lane(at, p01, 1, 16)
      v128.store64_lane(at, p23, 0, 32)
      v128.store64_lane(at, p23, 1, 48)
      v128.store64_lane(at, p45, 0, 64)
      v128.store64_lane(at, p45, 1, 80)
      v128.store64_lane(at, p67, 0, 96)
      v128.store64_lane(at, p67, 1, 112)
      words += 64
    }
  }
}

/** All ones in every lane whose word has bit `i`; `planes` as `bytePlanes` wrote them. */
// @ts-ignore: decorator
@inline
export function bitMask(planes: usize, i: i32): v128 {
  const power: i32 = 1 << (i & 7)
  const bit = i8x16.splat(<i8>power)
  return i8x16.eq(v128.and(v128.load(planes + (<usize>(i >> 3) << 4)), bit), bit)
}

// @ts-ignore: decorator
@inline
export function bitOf(words: usize, e: i32, i: i32): i32 {
  return <i32>((load<u64>(words + (<usize>e << 3)) >> i) & 1)
}
