// Exactly uniform small numbers out of random bytes, by rejection: what is rejected is random and independent of every
// secret, and both holders of a seed reject the same bytes.

/** For each set of 8 accepted bytes the swizzle that moves them to the front; filled once, at instantiation. */
const COMPACT = memory.data(2048)
if (ASC_FEATURE_SIMD) {
  for (let mask = 0; mask < 256; mask++) {
    let n = 0
    for (let i = 0; i < 8; i++) {
      if ((mask >> i) & 1) store<u8>(COMPACT + <usize>(mask << 3) + n++, <u8>i)
    }
  }
}

/**
 * Writes numbers uniform in [least, least + range) until `count` are there or the bytes run out; returns how many.
 * No branch on a random byte: every number is stored, and the next one overwrites it if its byte was rejected.
 * `out` has room for count + 16.
 */
export function sampleBelow(bytes: usize, len: i32, range: i32, least: i32, out: usize, count: i32): i32 {
  const accept = 256 - (256 % range)
  let n = 0
  let i = 0
  if (ASC_FEATURE_SIMD) {
    if (range >= 32) {
      const step = i8x16.splat(<i8>range)
      const add = i8x16.splat(<i8>least)
      const last = i8x16.splat(<i8>(accept - 1))
      const times = 255 / range
      for (; i + 16 <= len && n < count; i += 16) {
        const b = v128.load(bytes + i)
        const accepted = i8x16.bitmask(i8x16.le_u(b, last))
        // The wrapped difference is the smaller one exactly when it did not borrow.
        let x = b
        for (let t = 0; t < times; t++) x = i8x16.min_u(x, i8x16.sub(x, step))
        x = i8x16.add(x, add)
        n = compact(x, accepted & 255, out, n)
        n = compact(v128.shuffle<u64>(x, x, 1, 1), accepted >> 8, out, n)
      }
    }
  }
  const inverse = 65536 / range + 1 // exact quotient for bytes
  for (; i < len && n < count; i++) {
    const b = <i32>load<u8>(bytes + i)
    store<u8>(out + n, <u8>(b - ((b * inverse) >> 16) * range + least))
    n += i32(b < accept)
  }
  return min(n, count)
}

// @ts-ignore: decorator
@inline
function compact(x: v128, accepted: i32, out: usize, n: i32): i32 {
  const order = v128.load64_zero(COMPACT + <usize>(accepted << 3))
  v128.store64_lane(out + n, i8x16.swizzle(x, order), 0)
  return n + popcnt<i32>(accepted)
}
