// Convolution mod 2^32 or 2^64 of one CHW image as a product of packed weights with column panels that are cut straight
// out of the padded image: no im2col matrix exists at any time.
import { matvec } from './matvec'
import { packPixels, packRows, rowPanelBytes, unpackRows } from './panels'
import { COLUMNS, DEPTH, panel } from './tile'

/** One group: y[rows, n] (+)= W[rows, depth]·X, X[k, j] = word at x + taps[k] + pixels[j]. */
// @ts-ignore: decorator
@inline
function group<T>(
  x: usize, w: usize, taps: usize, pixels: usize, y: usize, rows: i32, depth: i32, n: i32, accumulate: bool,
  scratch: usize,
): void {
  const edge = scratch, columnPanel = scratch + 128
  const pitch = <usize>n * sizeof<T>()
  for (let k = 0; k < depth; k += DEPTH) {
    const part = min(depth - k, DEPTH)
    for (let j = 0; j < n; j += COLUMNS<T>()) {
      const columns = min(n - j, COLUMNS<T>())
      packPixels<T>(x, taps + (<usize>k << 2), part, pixels + (<usize>j << 2), columns, columnPanel)
      panel<T>(w, columnPanel, part, y + <usize>j * sizeof<T>(), pitch, rows, columns, accumulate || k > 0, edge)
    }
    w += rowPanelBytes<T>(rows, part)
  }
}

/** A single output pixel: gather its inputs once, then a matrix-vector product with unpacked weights. */
// @ts-ignore: decorator
@inline
function pixel<T>(
  x: usize, w: usize, taps: usize, y: usize, rows: i32, depth: i32, accumulate: bool, scratch: usize,
): void {
  for (let k: usize = 0; k < <usize>depth; k++) {
    store<T>(scratch + k * sizeof<T>(), load<T>(x + load<u32>(taps + (k << 2))))
  }
  matvec<T>(w, scratch, y, sizeof<T>(), rows, depth, accumulate)
}

// @ts-ignore: decorator
@inline
function conv<T>(
  x: usize, w: usize, taps: usize, pixels: usize, y: usize, groups: i32, rows: i32, depth: i32, n: i32,
  groupBytes: usize, accumulate: bool, scratch: usize,
): void {
  const weightBytes = n == 1 ? <usize>(rows * depth) * sizeof<T>() : rowPanelBytes<T>(rows, depth)
  for (let g = 0; g < groups; g++) {
    if (n == 1) pixel<T>(x, w, taps, y, rows, depth, accumulate, scratch)
    else group<T>(x, w, taps, pixels, y, rows, depth, n, accumulate, scratch)
    x += groupBytes
    w += weightBytes
    y += <usize>(rows * n) * sizeof<T>()
  }
}

/** Bytes of one group's packed weights, all blocks of k. */
export function packedWeightBytes32(rows: i32, depth: i32): usize { return rowPanelBytes<u32>(rows, depth) }
export function packedWeightBytes64(rows: i32, depth: i32): usize { return rowPanelBytes<u64>(rows, depth) }

/** W[rows, depth] of one group into the order `conv32` reads. */
export function packWeights32(w: usize, rows: i32, depth: i32, to: usize): void { packRows<u32>(w, rows, depth, to) }
export function packWeights64(w: usize, rows: i32, depth: i32, to: usize): void { packRows<u64>(w, rows, depth, to) }
export function unpackWeights32(w: usize, rows: i32, depth: i32, to: usize): void { unpackRows<u32>(w, rows, depth, to) }
export function unpackWeights64(w: usize, rows: i32, depth: i32, to: usize): void { unpackRows<u64>(w, rows, depth, to) }

/** Bytes of scratch for `conv32` and `conv64` when a group's inner dimension is `depth`. */
export function convScratch(depth: i32): usize { return 128 + max<usize>(DEPTH << 5, <usize>depth << 3) }

/**
 * rows = output channels per group, depth = input channels per group · kernel height · kernel width, n = output pixels;
 * groupBytes = bytes of one group's channels in the padded image x. With n = 1 the weights are row-major, not packed.
 */
export function conv32(
  x: usize, w: usize, taps: usize, pixels: usize, y: usize, groups: i32, rows: i32, depth: i32, n: i32,
  groupBytes: usize, accumulate: bool, scratch: usize,
): void {
  conv<u32>(x, w, taps, pixels, y, groups, rows, depth, n, groupBytes, accumulate, scratch)
}

export function conv64(
  x: usize, w: usize, taps: usize, pixels: usize, y: usize, groups: i32, rows: i32, depth: i32, n: i32,
  groupBytes: usize, accumulate: bool, scratch: usize,
): void {
  conv<u64>(x, w, taps, pixels, y, groups, rows, depth, n, groupBytes, accumulate, scratch)
}
