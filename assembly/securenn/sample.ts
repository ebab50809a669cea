// Exactly uniform small numbers out of random bytes, by rejection: what is rejected is random and independent of every
// secret, and both holders of a seed reject the same bytes.

/**
 * Writes numbers uniform in [least, least + range) until `count` are there or the bytes run out; returns how many.
 * One store per byte, kept or overwritten by the next: no branch on the random byte. `out` has room for count + 1.
 */
export function sampleBelow(bytes: usize, len: i32, range: i32, least: i32, out: usize, count: i32): i32 {
  const accept: u32 = 256 - (256 % range)
  const inverse: u32 = 65536 / range + 1 // exact quotient for bytes
  let n = 0
  for (let i = 0; i < len; i++) {
    const b: u32 = load<u8>(bytes + i)
    const q = (b * inverse) >> 16
    store<u8>(out + n, <u8>(b - q * range + least))
    n += i32(b < accept)
    if (n == count) return n
  }
  return n
}
