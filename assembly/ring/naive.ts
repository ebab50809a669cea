// The triple loop a reader would write first: the yardstick of the benchmark, not used elsewhere.

/** C[m, n] = A[m, kk]·B[kk, n] mod 2^32, one word at a time. */
export function naiveMatmul32(a: usize, b: usize, c: usize, m: i32, kk: i32, n: i32): void {
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum: u32 = 0
      for (let k = 0; k < kk; k++) {
        sum += load<u32>(a + (<usize>(i * kk + k) << 2)) * load<u32>(b + (<usize>(k * n + j) << 2))
      }
      store<u32>(c + (<usize>(i * n + j) << 2), sum)
    }
  }
}
