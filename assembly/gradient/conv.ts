// The gradient of a convolution's weights as a packed product: [rows, taps] += dY[rows, pixels]·im2col(x)[taps, pixels]ᵀ.
// The sum over pixels is the inner dimension, so that every weight is one sum in the order of the pixels, in both builds.
import { packRowPanels, rowPanelBytes } from '../ring/panels'
import { four } from '../ring/depthwise3x3'
import { DEPTH } from '../ring/tile'
import { panel } from '../float/tile'

/** Words between four pixels in a row, 1 or 2; else 0. `pixels`: u32 byte offsets. */
// @ts-ignore: decorator
@inline
function stepOf(pixels: usize): i32 {
  const p = load<u32>(pixels), d = load<u32>(pixels, 4) - p
  if (load<u32>(pixels, 8) - p != d * 2 || load<u32>(pixels, 12) - p != d * 3) return 0
  return d == 4 ? 1 : d == 8 ? 2 : 0
}

/** Four pixels of `taps` ≤ 4 taps as four rows of a column panel. */
// @ts-ignore: decorator
@inline
function transpose(x: usize, taps: usize, count: i32, step: i32, to: usize): void {
  const zero = i32x4.splat(0)
  const a = four(x + load<u32>(taps), step)
  const b = count > 1 ? four(x + load<u32>(taps, 4), step) : zero
  const c = count > 2 ? four(x + load<u32>(taps, 8), step) : zero
  const d = count > 3 ? four(x + load<u32>(taps, 12), step) : zero
  const p0 = v128.shuffle<u32>(a, b, 0, 4, 1, 5), p1 = v128.shuffle<u32>(a, b, 2, 6, 3, 7)
  const q0 = v128.shuffle<u32>(c, d, 0, 4, 1, 5), q1 = v128.shuffle<u32>(c, d, 2, 6, 3, 7)
  v128.store(to, v128.shuffle<u64>(p0, q0, 0, 2))
  v128.store(to, v128.shuffle<u64>(p0, q0, 1, 3), 32)
  v128.store(to, v128.shuffle<u64>(p1, q1, 0, 2), 64)
  v128.store(to, v128.shuffle<u64>(p1, q1, 1, 3), 96)
}

/** `count` ≤ 8 taps of `pixels` pixels as a column panel: row p holds the words x + taps[t] + table[p]; zeros fill it up. */
function packTaps(x: usize, taps: usize, count: i32, table: usize, pixels: i32, to: usize): void {
  let p = 0
  while (p < pixels) {
    const step = ASC_FEATURE_SIMD && p + 4 <= pixels ? stepOf(table) : 0
    if (step != 0) {
      const at = x + load<u32>(table)
      if (step == 1) {
        transpose(at, taps, count, 1, to)
        if (count > 4) transpose(at, taps + 16, count - 4, 1, to + 16)
      } else {
        transpose(at, taps, count, 2, to)
        if (count > 4) transpose(at, taps + 16, count - 4, 2, to + 16)
      }
      p += 4
      table += 16
      to += 128
    } else {
      const at = x + load<u32>(table)
      for (let t = 0; t < 8; t++) {
        store<u32>(to + (<usize>t << 2), t < count ? load<u32>(at + load<u32>(taps + (<usize>t << 2))) : 0)
      }
      p++
      table += 4
      to += 32
    }
  }
}

/** Bytes that `weightGradF32` needs beside its operands. */
export function weightGradScratch(rows: i32): usize {
  return 128 + <usize>DEPTH * 32 + rowPanelBytes<u32>(rows, DEPTH)
}

/**
 * dw[groups·rows, depth] += dY[groups·rows, n]·im2col(x)ᵀ, x being the padded image; `taps`, `pixels` and `groupBytes` as
 * for `convF32`.
 */
export function weightGradF32(
  x: usize, dy: usize, taps: usize, pixels: usize, dw: usize, groups: i32, rows: i32, depth: i32, n: i32,
  groupBytes: usize, scratch: usize,
): void {
  const columnPanel = scratch + 128, rowPanels = columnPanel + <usize>DEPTH * 32
  const pitch = <usize>depth << 2, dyPitch = <usize>n << 2
  for (let g = 0; g < groups; g++, x += groupBytes) {
    for (let p = 0; p < n; p += DEPTH) {
      const part = min(n - p, DEPTH)
      packRowPanels<u32>(dy + (<usize>p << 2), dyPitch, rows, part, rowPanels)
      for (let t = 0; t < depth; t += 8) {
        const columns = min(depth - t, 8)
        packTaps(x, taps + (<usize>t << 2), columns, pixels + (<usize>p << 2), part, columnPanel)
        panel(
          rowPanels, <usize>part << 4, columnPanel, part, dw + (<usize>t << 2), pitch, rows, columns, 0,
          -<f32>Infinity, <f32>Infinity, scratch,
        )
      }
    }
    dy += dyPitch * <usize>rows
    dw += pitch * <usize>rows
  }
}
