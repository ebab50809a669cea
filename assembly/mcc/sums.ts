// Sums that check a client's δ (docs/protocol.md, "The upload"): a dot product of ring words, and sums over random subsets.

/** Σ a[i]·b[i] mod 2^32. */
export function mccDot32(a: usize, b: usize, count: i32): u32 {
  let total: u32 = 0
  const end = a + (<usize>count << 2)
  if (ASC_FEATURE_SIMD) {
    let s0 = i32x4.splat(0)
    let s1 = s0
    for (; a + 32 <= end; a += 32, b += 32) {
      s0 = i32x4.add(s0, i32x4.mul(v128.load(a), v128.load(b)))
      s1 = i32x4.add(s1, i32x4.mul(v128.load(a, 16), v128.load(b, 16)))
    }
    total = lanes(i32x4.add(s0, s1))
  }
  for (; a < end; a += 4, b += 4) total += load<u32>(a) * load<u32>(b)
  return total
}

/** Words that stay in the first-level cache while every subset is summed. */
// @ts-ignore: decorator
@lazy const BLOCK: i32 = 1024

/** sums[k] += Σ words[i] over the i whose flags have bit k, for k < vectors. */
export function mccSubsetSums(flags: usize, words: usize, count: i32, vectors: i32, sums: usize): void {
  for (let from = 0; from < count; from += BLOCK) {
    const at = <usize>from << 2
    const n = min(BLOCK, count - from)
    for (let k = 0; k < vectors; k++) {
      const to = sums + (<usize>k << 2)
      store<u32>(to, load<u32>(to) + subset(flags + at, words + at, n, 31 - k))
    }
  }
}

/** Σ words[i] over the i whose flags have the bit that `up` shifts to the top. */
// @ts-ignore: decorator
@inline
function subset(flags: usize, words: usize, count: i32, up: i32): u32 {
  let total: u32 = 0
  const end = flags + (<usize>count << 2)
  if (ASC_FEATURE_SIMD) {
    let s0 = i32x4.splat(0)
    let s1 = s0
    for (; flags + 32 <= end; flags += 32, words += 32) {
      s0 = i32x4.add(s0, v128.and(v128.load(words), chosen(v128.load(flags), up)))
      s1 = i32x4.add(s1, v128.and(v128.load(words, 16), chosen(v128.load(flags, 16), up)))
    }
    total = lanes(i32x4.add(s0, s1))
  }
  for (; flags < end; flags += 4, words += 4) total += load<u32>(words) & <u32>(load<i32>(flags) << up >> 31)
  return total
}

// @ts-ignore: decorator
@inline
function chosen(flags: v128, up: i32): v128 {
  return i32x4.shr_s(i32x4.shl(flags, up), 31)
}

// @ts-ignore: decorator
@inline
function lanes(sums: v128): u32 {
  return (
    i32x4.extract_lane(sums, 0) + i32x4.extract_lane(sums, 1) + i32x4.extract_lane(sums, 2) + i32x4.extract_lane(sums, 3)
  )
}
