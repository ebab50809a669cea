// Float convolution of one CHW image, laid out like the ring's (../ring/conv): packed weights times column panels cut out
// of the padded image. Weight panels, tap and pixel tables and packing are those of `conv32`; words are only moved there.
import { packPixels, rowPanelBytes } from '../ring/panels'
import { DEPTH } from '../ring/tile'
import { matvec } from './matvec'
import { panel } from './tile'

// @ts-ignore: decorator
@lazy const NONE: f32 = <f32>Infinity

/** One group over the taps first ≤ k < last; see `convF32`. */
// @ts-ignore: decorator
@inline
function group(
  x: usize, w: usize, taps: usize, pixels: usize, y: usize, rows: i32, depth: i32, n: i32, first: i32, last: i32,
  bias: usize, low: f32, high: f32, scratch: usize,
): void {
  const edge = scratch, columnPanel = scratch + 128
  const pitch = <usize>n << 2
  for (let k = 0; k < last; k += DEPTH) {
    const part = min(depth - k, DEPTH)
    const from = max(first, k), to = min(last, k + part)
    if (from < to) {
      const end = to == last
      const start = from == first ? bias : 0
      const a = w + (<usize>(from - k) << 4), step = <usize>part << 4
      for (let j = 0; j < n; j += 8) {
        const columns = min(n - j, 8)
        packPixels<u32>(x, taps + (<usize>from << 2), to - from, pixels + (<usize>j << 2), columns, columnPanel)
        panel(
          a, step, columnPanel, to - from, y + (<usize>j << 2), pitch, rows, columns, start, end ? low : -NONE,
          end ? high : NONE, edge,
        )
      }
    }
    w += rowPanelBytes<u32>(rows, part)
  }
}

/** A single output pixel: gather its inputs once, then a matrix-vector product with unpacked weights. */
// @ts-ignore: decorator
@inline
function pixel(
  x: usize, w: usize, taps: usize, y: usize, rows: i32, depth: i32, first: i32, last: i32, bias: usize, low: f32,
  high: f32, scratch: usize,
): void {
  const gathered = scratch + 128
  for (let k = <usize>first, i: usize = 0; k < <usize>last; k++, i += 4) {
    store<u32>(gathered + i, load<u32>(x + load<u32>(taps + (k << 2))))
  }
  matvec(w + (<usize>first << 2), <usize>depth << 2, gathered, y, rows, last - first, bias, low, high, scratch)
}

/**
 * y[groups·rows, n] = bias + W·X, cut to [low, high]; sizes, tables and `groupBytes` as for `conv32`, scratch of
 * `convScratch(depth)` bytes. Only the taps first ≤ k < last of each group take part. `bias`: one word per output
 * channel, readable three words further, or 0 to add to what y holds.
 */
export function convF32(
  x: usize, w: usize, taps: usize, pixels: usize, y: usize, groups: i32, rows: i32, depth: i32, n: i32,
  groupBytes: usize, first: i32, last: i32, bias: usize, low: f32, high: f32, scratch: usize,
): void {
  const weightBytes = n == 1 ? <usize>(rows * depth) << 2 : rowPanelBytes<u32>(rows, depth)
  const biasBytes: usize = bias != 0 ? <usize>rows << 2 : 0
  for (let g = 0; g < groups; g++, bias += biasBytes) {
    if (n == 1) pixel(x, w, taps, y, rows, depth, first, last, bias, low, high, scratch)
    else group(x, w, taps, pixels, y, rows, depth, n, first, last, bias, low, high, scratch)
    x += groupBytes
    w += weightBytes
    y += <usize>(rows * n) << 2
  }
}
