// ChaCha key stream in the layout of RFC 8439 §2.4: 256-bit key, 32-bit block counter, 96-bit nonce as three
// little-endian words; 20 rounds as in the RFC, or 12.
import { block } from './block'
import { eightBlocks } from './eight'

/** Writes `len` bytes of key stream from the start of block `counter` on. `key`: 32 bytes. No alignment needed. */
export function chachaStream(
  key: usize, n0: u32, n1: u32, n2: u32, counter: u32, rounds: i32, out: usize, len: usize,
): void {
  if (ASC_FEATURE_SIMD) {
    while (len >= 512) {
      eightBlocks(key, n0, n1, n2, counter, rounds, out)
      counter += 8
      out += 512
      len -= 512
    }
  }
  while (len > 0) {
    const part = min<usize>(len, 64)
    block(key, n0, n1, n2, counter++, rounds, out, <i32>part)
    out += part
    len -= part
  }
}
