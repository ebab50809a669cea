// C[m, n] = A[m, kk]·B[kk, n] mod 2^32 or 2^64, row-major: blocks of k, row panels packed once per block, column panels
// packed one at a time.
import { matvec } from './matvec'
import { packColumnPanel, packRowPanels, rowPanelBytes } from './panels'
import { COLUMNS, DEPTH, panel } from './tile'

/** Rows whose panels are packed at once: 512 KiB for u32, half of a usual second-level cache. */
// @ts-ignore: decorator
@inline
const HEIGHT: i32 = 512

// @ts-ignore: decorator
@inline
function scratchBytes<T>(m: i32, kk: i32): usize {
  const depth = min(kk, DEPTH)
  const columnPanel = <usize>(DEPTH * COLUMNS<T>()) * sizeof<T>()
  return 128 + max(columnPanel, <usize>kk * sizeof<T>()) + rowPanelBytes<T>(min(m, HEIGHT), depth)
}

// @ts-ignore: decorator
@inline
function matmul<T>(a: usize, b: usize, c: usize, m: i32, kk: i32, n: i32, scratch: usize): void {
  if (n == 1) {
    matvec<T>(a, b, c, sizeof<T>(), m, kk, false)
    return
  }
  if (kk == 0) {
    memory.fill(c, 0, <usize>m * n * sizeof<T>())
    return
  }
  const edge = scratch, columnPanel = scratch + 128
  const rowPanels = columnPanel + <usize>(DEPTH * COLUMNS<T>()) * sizeof<T>()
  const pitchA = <usize>kk * sizeof<T>(), pitchB = <usize>n * sizeof<T>()
  for (let i = 0; i < m; i += HEIGHT) {
    const rows = min(m - i, HEIGHT)
    for (let k = 0; k < kk; k += DEPTH) {
      const depth = min(kk - k, DEPTH)
      packRowPanels<T>(a + <usize>i * pitchA + <usize>k * sizeof<T>(), pitchA, rows, depth, rowPanels)
      for (let j = 0; j < n; j += COLUMNS<T>()) {
        const columns = min(n - j, COLUMNS<T>())
        const right = <usize>j * sizeof<T>()
        packColumnPanel<T>(b + <usize>k * pitchB + right, pitchB, depth, columns, columnPanel)
        panel<T>(rowPanels, columnPanel, depth, c + <usize>i * pitchB + right, pitchB, rows, columns, k > 0, edge)
      }
    }
  }
}

/** Bytes of scratch that `matmul32` wants; 16-byte aligned for speed. */
export function matmulScratch32(m: i32, kk: i32): usize { return scratchBytes<u32>(m, kk) }
export function matmulScratch64(m: i32, kk: i32): usize { return scratchBytes<u64>(m, kk) }

/** C is disjoint from A, B and scratch. */
export function matmul32(a: usize, b: usize, c: usize, m: i32, kk: i32, n: i32, scratch: usize): void {
  matmul<u32>(a, b, c, m, kk, n, scratch)
}

export function matmul64(a: usize, b: usize, c: usize, m: i32, kk: i32, n: i32, scratch: usize): void {
  matmul<u64>(a, b, c, m, kk, n, scratch)
}
