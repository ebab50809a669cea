// Packing: from matrices and images to the panels that `tile` reads in order.
import { COLUMNS, DEPTH, ROWS } from './tile'

/** One row of a B panel from COLUMNS<T>() consecutive words. */
// @ts-ignore: decorator
@inline
function putRow<T>(to: usize, left: v128, right: v128): void {
  if (sizeof<T>() == 4) {
    v128.store(to, left)
    v128.store(to, right, 16)
  } else {
    v128.store(to, v128.shuffle<u32>(left, right, 0, 2, 4, 6))
    v128.store(to, v128.shuffle<u32>(left, right, 1, 3, 5, 7), 16)
  }
}

/** Word `j` of one row of a B panel. */
// @ts-ignore: decorator
@inline
function putWord<T>(to: usize, j: usize, value: T): void {
  if (ASC_FEATURE_SIMD && sizeof<T>() == 8) {
    store<u32>(to + (j << 2), <u32>value)
    store<u32>(to + (j << 2), <u32>(<u64>value >> 32), 16)
  } else store<T>(to + j * sizeof<T>(), value)
}

/** A[rows, depth] (`pitch` bytes per row) into row panels; rows beyond the last become zero. */
export function packRowPanels<T>(a: usize, pitch: usize, rows: i32, depth: i32, to: usize): void {
  for (let i = 0; i < rows; i += ROWS<T>(), a += pitch * ROWS<T>()) {
    const inside = min(rows - i, ROWS<T>())
    let k = 0
    if (ASC_FEATURE_SIMD && sizeof<T>() == 4 && inside == 4) {
      for (let from = a; k + 4 <= depth; k += 4, from += 16, to += 64) {
        const r0 = v128.load(from), r1 = v128.load(from + pitch)
        const r2 = v128.load(from + (pitch << 1)), r3 = v128.load(from + pitch * 3)
        const p0 = v128.shuffle<u32>(r0, r1, 0, 4, 1, 5), p1 = v128.shuffle<u32>(r0, r1, 2, 6, 3, 7)
        const q0 = v128.shuffle<u32>(r2, r3, 0, 4, 1, 5), q1 = v128.shuffle<u32>(r2, r3, 2, 6, 3, 7)
        v128.store(to, v128.shuffle<u64>(p0, q0, 0, 2))
        v128.store(to, v128.shuffle<u64>(p0, q0, 1, 3), 16)
        v128.store(to, v128.shuffle<u64>(p1, q1, 0, 2), 32)
        v128.store(to, v128.shuffle<u64>(p1, q1, 1, 3), 48)
      }
    }
    for (; k < depth; k++) {
      for (let r = 0; r < ROWS<T>(); r++, to += sizeof<T>()) {
        store<T>(to, r < inside ? load<T>(a + <usize>r * pitch + <usize>k * sizeof<T>()) : 0)
      }
    }
  }
}

/** Bytes of the panels of A[rows, depth]. */
// @ts-ignore: decorator
@inline
export function rowPanelBytes<T>(rows: i32, depth: i32): usize {
  return <usize>(rows + ROWS<T>() - 1) / ROWS<T>() * ROWS<T>() * <usize>depth * sizeof<T>()
}

/** A whole constant A[rows, depth], block of k by block of k. */
export function packRows<T>(a: usize, rows: i32, depth: i32, to: usize): void {
  const pitch = <usize>depth * sizeof<T>()
  for (let k = 0; k < depth; k += DEPTH) {
    const part = min(depth - k, DEPTH)
    packRowPanels<T>(a + <usize>k * sizeof<T>(), pitch, rows, part, to)
    to += rowPanelBytes<T>(rows, part)
  }
}

/** A[rows, depth] out of what `packRows` made of it. */
export function unpackRows<T>(from: usize, rows: i32, depth: i32, to: usize): void {
  const pitch = <usize>depth * sizeof<T>()
  for (let k = 0; k < depth; k += DEPTH) {
    const end = min(depth, k + DEPTH)
    for (let i = 0; i < rows; i += ROWS<T>()) {
      const inside = min(rows - i, ROWS<T>())
      for (let j = k; j < end; j++, from += <usize>ROWS<T>() * sizeof<T>()) {
        for (let r = 0; r < inside; r++) {
          store<T>(to + <usize>(i + r) * pitch + <usize>j * sizeof<T>(), load<T>(from + <usize>r * sizeof<T>()))
        }
      }
    }
  }
}

/** B[depth, columns] (`pitch` bytes per row) into one column panel; columns beyond the last become zero. */
export function packColumnPanel<T>(b: usize, pitch: usize, depth: i32, columns: i32, to: usize): void {
  for (let k = 0; k < depth; k++, b += pitch, to += COLUMNS<T>() * sizeof<T>()) {
    if (ASC_FEATURE_SIMD && columns == COLUMNS<T>()) putRow<T>(to, v128.load(b), v128.load(b, 16))
    else {
      for (let j: usize = 0; j < <usize>COLUMNS<T>(); j++) {
        putWord<T>(to, j, j < <usize>columns ? load<T>(b + j * sizeof<T>()) : 0)
      }
    }
  }
}

/** Byte offsets of four pixels: 1 when consecutive, 2 when every other word of a row (u32 only), else 0. */
// @ts-ignore: decorator
@inline
function stepOf<T>(pixels: usize): i32 {
  const d = load<u32>(pixels, 4) - load<u32>(pixels)
  if (load<u32>(pixels, 8) - load<u32>(pixels, 4) != d || load<u32>(pixels, 12) - load<u32>(pixels, 8) != d) return 0
  return d == sizeof<T>() ? 1 : sizeof<T>() == 4 && d == 8 ? 2 : 0
}

/** Four u32 at `step` words from each other; touches no byte outside the span they cover. */
// @ts-ignore: decorator
@inline
function four(at: usize, step: i32): v128 {
  if (step == 1) return v128.load(at)
  return v128.shuffle<u32>(v128.load(at), v128.load(at, 12), 0, 2, 5, 7)
}

function packPixels32(x: usize, taps: usize, depth: i32, pixels: usize, to: usize): bool {
  const leftStep = stepOf<u32>(pixels), rightStep = stepOf<u32>(pixels + 16)
  if (leftStep != rightStep || leftStep == 0) return false
  const left = x + load<u32>(pixels), right = x + load<u32>(pixels, 16)
  const end = taps + (<usize>depth << 2)
  if (leftStep == 1) {
    for (; taps < end; taps += 4, to += 32) {
      const tap = load<u32>(taps)
      v128.store(to, v128.load(left + tap))
      v128.store(to, v128.load(right + tap), 16)
    }
  } else {
    for (; taps < end; taps += 4, to += 32) {
      const tap = load<u32>(taps)
      v128.store(to, four(left + tap, 2))
      v128.store(to, four(right + tap, 2), 16)
    }
  }
  return true
}

function packPixels64(x: usize, taps: usize, depth: i32, pixels: usize, to: usize): bool {
  if (stepOf<u64>(pixels) != 1) return false
  x += load<u32>(pixels)
  const end = taps + (<usize>depth << 2)
  for (; taps < end; taps += 4, to += 32) {
    const at = x + load<u32>(taps)
    putRow<u64>(to, v128.load(at), v128.load(at, 16))
  }
  return true
}

/**
 * The column panel of an implicit im2col matrix, straight from the (padded) image: row k, column j is the word at
 * x + taps[k] + pixels[j]. `taps`, `pixels`: u32 byte offsets.
 */
export function packPixels<T>(x: usize, taps: usize, depth: i32, pixels: usize, columns: i32, to: usize): void {
  if (ASC_FEATURE_SIMD && columns == COLUMNS<T>()) {
    if (sizeof<T>() == 4) {
      if (packPixels32(x, taps, depth, pixels, to)) return
    } else if (packPixels64(x, taps, depth, pixels, to)) return
  }
  for (let j: usize = 0; j < <usize>COLUMNS<T>(); j++) {
    let at = to
    if (j < <usize>columns) {
      const pixel = x + load<u32>(pixels + (j << 2))
      for (let k: usize = 0; k < <usize>depth; k++, at += COLUMNS<T>() * sizeof<T>()) {
        putWord<T>(at, j, load<T>(pixel + load<u32>(taps + (k << 2))))
      }
    } else {
      for (let k: usize = 0; k < <usize>depth; k++, at += COLUMNS<T>() * sizeof<T>()) putWord<T>(at, j, 0)
    }
  }
}
