// 3×3 convolution mod 2^32 of stride 1 by tiles of 4×4 outputs with 64 products for 144: Karatsuba's trick on short filters,
// exact in every ring (Winograd's filters of this size divide by two, which no ring mod 2^n can). In one dimension, with
// X_j = (x_2j, x_2j+1, x_2j+2) and M = X1·(w0 + w2, w1): (y0, y1) = (X0 - X1)·(w0, w1) + M and (y2, y3) = M - (X1 - X2)·(w2, 0);
// and (a, b, c) by (v0, v1) is (a - b)·v0 + m and m - (b - c)·v1, where m = b·(v0 + v1). That makes eight products by six
// sums of weights, in this order: w0, w0 + w1, w0 + w2, w0 + w1 + w2, w1 twice, w2 twice. In two dimensions 64 products by
// 36 sums; those of one sum are columns of one matrix product over the input channels: a block of operands
// [channels, products of the sum, tiles] to a block of products [rows, products of the sum, tiles]. Needs SIMD.
import { put32 } from './depthwise3x3'
import { packColumnPanel, packRows, rowPanelBytes } from './panels'
import { COLUMNS, DEPTH, panel } from './tile'

/** How many of the eight products share the sum of product q. */
// @ts-ignore: decorator
@inline
function shared(q: i32): i32 { return q < 4 ? 1 : 2 }

/** Whether product q is the second of its sum. */
// @ts-ignore: decorator
@inline
function second(q: i32): i32 { return q & (shared(q) - 1) }

/** Sum i of the six. */
// @ts-ignore: decorator
@inline
function sum(i: i32, w0: u32, w1: u32, w2: u32): u32 {
  if (i >= 4) return i == 4 ? w1 : w2
  return w0 + (i & 1 ? w1 : 0) + (i & 2 ? w2 : 0)
}

// @ts-ignore: decorator
@inline
function across(w: usize, i: i32): u32 { return sum(i, load<u32>(w), load<u32>(w, 4), load<u32>(w, 8)) }

/** The eight differences of four columns: six rows `step` bytes apart, to eight `pitch` bytes apart. */
// @ts-ignore: decorator
@inline
function differences(x: usize, step: usize, to: usize, pitch: usize): void {
  const x2 = v128.load(x + step * 2), x3 = v128.load(x + step * 3), x4 = v128.load(x + step * 4)
  const d = i32x4.sub(v128.load(x + step), x3), e = i32x4.sub(x2, x4)
  v128.store(to, i32x4.sub(i32x4.sub(v128.load(x), x2), d))
  v128.store(to + pitch, d)
  v128.store(to + pitch * 2, i32x4.sub(x2, x3))
  v128.store(to + pitch * 3, x3)
  v128.store(to + pitch * 4, i32x4.sub(d, e))
  v128.store(to + pitch * 5, i32x4.sub(x3, x4))
  v128.store(to + pitch * 6, e)
  v128.store(to + pitch * 7, i32x4.sub(x3, v128.load(x + step * 5)))
}

function put(y: usize, v: v128, inside: i32, accumulate: bool): void { put32(y, v, inside, accumulate) }

/** The first words of a vector, at most four. */
// @ts-ignore: decorator
@inline
function some(to: usize, v: v128, inside: i32): void {
  if (inside >= 4) v128.store(to, v)
  else put(to, v, inside, false)
}

/**
 * The operands of the products (p, 0 … 7) of channel `c` for `count` tiles side by side. `x`: row p of the differences, 4
 * words a tile and 2, readable to a whole vector of tiles and 8 bytes.
 */
// @ts-ignore: decorator
@inline
function toOperands(x: usize, p: i32, c: i32, channels: i32, tiles: i32, u: usize, count: i32): void {
  const pair = <usize>tiles << 2, single = <usize>(channels * shared(p)) * pair
  const block = u + <usize>((p - second(p)) * channels) * (pair << 3)
  const channel = <usize>(c * shared(p) + second(p)) * pair
  let to = block + channel, twice = block + (single << 2) + (channel << 1)
  const last = single << 1
  for (let left = count; left > 0; left -= 4, x += 64, to += 16, twice += 16) {
    const r0 = v128.load(x), r1 = v128.load(x, 16), r2 = v128.load(x, 32), r3 = v128.load(x, 48)
    const a = v128.shuffle<u32>(r0, r1, 0, 4, 1, 5), b = v128.shuffle<u32>(r2, r3, 0, 4, 1, 5)
    const f = v128.shuffle<u32>(r0, r1, 2, 6, 3, 7), g = v128.shuffle<u32>(r2, r3, 2, 6, 3, 7)
    const x0 = v128.shuffle<u64>(a, b, 0, 2), x1 = v128.shuffle<u64>(a, b, 1, 3)
    const x2 = v128.shuffle<u64>(f, g, 0, 2), x3 = v128.shuffle<u64>(f, g, 1, 3)
    const x4 = v128.shuffle<u32>(x0, v128.load_splat<u32>(x, 64), 1, 2, 3, 4)
    const x5 = v128.shuffle<u32>(x1, v128.load_splat<u32>(x, 68), 1, 2, 3, 4)
    const d = i32x4.sub(x1, x3), e = i32x4.sub(x2, x4)
    some(to, i32x4.sub(i32x4.sub(x0, x2), d), left)
    some(to + single, d, left)
    some(to + single * 2, i32x4.sub(x2, x3), left)
    some(to + single * 3, x3, left)
    some(twice, i32x4.sub(d, e), left)
    some(twice + pair, i32x4.sub(x3, x4), left)
    some(twice + last, e, left)
    some(twice + last + pair, i32x4.sub(x3, x5), left)
  }
}

/**
 * Four outputs `pitch` bytes apart from eight products f0 … f7 of four tiles: f0 + f1 + f2 + f3, f1 - f4 + f3 - f5,
 * f2 + f3 - f6, f3 - f5 - f7. f0 … f3 lie `single` bytes apart, f4 and f5 `pair` bytes from `twice`, f6 and f7 from `last`.
 */
// @ts-ignore: decorator
@inline
function outputs(f: usize, single: usize, twice: usize, last: usize, pair: usize, to: usize, pitch: usize): void {
  const f1 = v128.load(f + single), f3 = v128.load(f + single * 3)
  const t = i32x4.add(v128.load(f + single * 2), f3), u = i32x4.sub(f3, v128.load(twice + pair))
  v128.store(to, i32x4.add(i32x4.add(v128.load(f), f1), t))
  v128.store(to + pitch, i32x4.add(i32x4.sub(f1, v128.load(twice)), u))
  v128.store(to + pitch * 2, i32x4.sub(t, v128.load(last)))
  v128.store(to + pitch * 3, i32x4.sub(u, v128.load(last + pair)))
}

/** Tiles side by side, from their products to `lines` rows of `width` words of y. `scratch`: 576 bytes. */
// @ts-ignore: decorator
@inline
function fromProducts(
  v: usize, c: i32, channels: i32, tiles: i32, y: usize, pitch: usize, lines: i32, width: i32, accumulate: bool,
  scratch: usize,
): void {
  const tile = <usize>tiles << 2, single = <usize>channels * (tile << 3), words = scratch + 512
  for (; width > 0; width -= 16, v += 16, y += 64) {
    for (let q = 0; q < 8; q++) {
      const block = <usize>((q - second(q)) * channels + c * shared(q)) * tile
      const from = v + block + <usize>second(q) * tile, twice = from + block + (single << 2)
      outputs(from, single, twice, twice + (single << 1), tile * <usize>shared(q), scratch + (<usize>q << 4), 128)
    }
    let to = y
    for (let from = scratch, end = scratch + (<usize>lines << 7); from < end; from += 128, to += pitch) {
      outputs(from, 16, from + 64, from + 96, 16, words, 16)
      const a = v128.load(words), b = v128.load(words, 16), d = v128.load(words, 32), e = v128.load(words, 48)
      const f = v128.shuffle<u32>(a, b, 0, 4, 1, 5), g = v128.shuffle<u32>(d, e, 0, 4, 1, 5)
      const h = v128.shuffle<u32>(a, b, 2, 6, 3, 7), i = v128.shuffle<u32>(d, e, 2, 6, 3, 7)
      put(to, v128.shuffle<u64>(f, g, 0, 2), width, accumulate)
      put(to + 16, v128.shuffle<u64>(f, g, 1, 3), width - 4, accumulate)
      put(to + 32, v128.shuffle<u64>(h, i, 0, 2), width - 8, accumulate)
      put(to + 48, v128.shuffle<u64>(h, i, 1, 3), width - 12, accumulate)
    }
  }
}

/** The 36 matrix products. `scratch` as that of `conv32`. */
// @ts-ignore: decorator
@inline
function products(w: usize, u: usize, v: usize, rows: i32, channels: i32, tiles: i32, scratch: usize): void {
  for (let p = 0; p < 8; p += shared(p)) {
    for (let q = 0; q < 8; q += shared(q)) {
      const n = shared(p) * shared(q) * tiles
      const pitch = <usize>n << 2
      for (let k = 0; k < channels; k += DEPTH) {
        const part = min(channels - k, DEPTH)
        for (let j = 0; j < n; j += COLUMNS<u32>()) {
          const columns = min(n - j, COLUMNS<u32>()), at = <usize>j << 2
          packColumnPanel<u32>(u + at, pitch, part, columns, scratch + 128)
          panel<u32>(w, scratch + 128, part, v + at, pitch, rows, columns, k > 0, scratch)
        }
        w += rowPanelBytes<u32>(rows, part)
        u += pitch * <usize>part
      }
      v += pitch * <usize>rows
    }
  }
}

/**
 * Sum `which` of the 36 of W[rows, channels, 3, 3], as a matrix in row panels, to its place in the order that `conv3x3` reads.
 * V8 runs code that it has optimised from the next call on, so a call for each is quicker than one for all. `scratch`:
 * rows · channels words.
 */
export function pack3x3Weights(w: usize, rows: i32, channels: i32, which: i32, to: usize, scratch: usize): void {
  const p = which / 6, q = which % 6, end = scratch + (<usize>(rows * channels) << 2)
  for (let at = scratch, from = w; at < end; at += 4, from += 36) {
    store<u32>(at, sum(p, across(from, q), across(from + 12, q), across(from + 24, q)))
  }
  packRows<u32>(scratch, rows, channels, to + <usize>which * rowPanelBytes<u32>(rows, channels))
}

/**
 * y[rows, oh, ow] (+)= W·x, `band` rows of tiles at a time. x: the image in its padding, [channels, 4·⌈oh/4⌉ + 2,
 * 4·⌈ow/4⌉ + 2] and 8 bytes that may be read. `scratch`: 128 B and 8 KiB as for `conv32`, 128·⌈ow/4⌉ + 768 bytes for a
 * row of differences, 256·(channels + rows) bytes for each tile of a band, and 16.
 */
export function conv3x3(
  x: usize, w: usize, y: usize, channels: i32, rows: i32, oh: i32, ow: i32, band: i32, accumulate: bool, scratch: usize,
): void {
  if (!ASC_FEATURE_SIMD) return
  const high = (oh + 3) >> 2, wide = (ow + 3) >> 2
  const step = <usize>(wide * 4 + 2) << 2, plane = step * <usize>(high * 4 + 2), pitch = <usize>ow << 2
  const down = scratch + 128 + (DEPTH << 5), row = (<usize>wide << 4) + 96, u = down + (row << 3)
  for (let top = 0; top < high; top += band) {
    const deep = min(band, high - top), tiles = deep * wide, v = u + (<usize>(channels * tiles) << 8)
    for (let c = 0; c < channels; c++) {
      for (let i = 0; i < deep; i++) {
        const from = x + <usize>c * plane + <usize>(top + i) * (step << 2)
        for (let j: usize = 0; j < step; j += 16) differences(from + j, step, down + j, row)
        const to = u + (<usize>(i * wide) << 2)
        for (let p = 0; p < 8; p++) toOperands(down + <usize>p * row, p, c, channels, tiles, to, wide)
      }
    }
    products(w, u, v, rows, channels, tiles, scratch)
    for (let c = 0; c < rows; c++) {
      for (let i = 0; i < deep; i++) {
        const line = (top + i) << 2, to = y + <usize>(c * oh + line) * pitch
        const from = v + (<usize>(i * wide) << 2)
        fromProducts(from, c, rows, tiles, to, pitch, min(4, oh - line), ow, accumulate, down)
      }
    }
  }
}
