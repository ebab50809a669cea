// Activations whose comparisons are shared or left out. The plain activation cuts to [low, high]: [0, ∞] is a ReLU,
// [0, 6] a ReLU6.
import { within, within4 } from './bounds'

/** Each column's sum over the rows of a band, in f64, from the top down. */
// @ts-ignore: decorator
@inline
function columnSums(x: usize, pitch: usize, rows: i32, w: i32, sums: usize): void {
  const width = <usize>w << 2
  let j: usize = 0
  if (ASC_FEATURE_SIMD) {
    for (; j + 16 <= width; j += 16, sums += 32) {
      let left = f64x2.splat(0), right = left
      for (let r = 0, at = x + j; r < rows; r++, at += pitch) {
        const v = v128.load(at)
        left = f64x2.add(left, f64x2.promote_low_f32x4(v))
        right = f64x2.add(right, f64x2.promote_low_f32x4(v128.shuffle<u64>(v, v, 1, 1)))
      }
      v128.store(sums, left)
      v128.store(sums, right, 16)
    }
  }
  for (; j < width; j += 4, sums += 8) {
    let sum: f64 = 0
    for (let r = 0, at = x + j; r < rows; r++, at += pitch) sum += <f64>load<f32>(at)
    store<f64>(sums, sum)
  }
}

/** What every column's block decides: all bits of `masks` where it passes, else what its elements become. */
// @ts-ignore: decorator
@inline
function decide(sums: usize, rows: i32, w: i32, bw: i32, low: f64, high: f64, masks: usize, others: usize): void {
  for (let left = 0; left < w; left += bw) {
    const columns = min(bw, w - left), size = <f64>(rows * columns)
    let sum = load<f64>(sums)
    for (let j = 1; j < columns; j++) sum += load<f64>(sums + (<usize>j << 3))
    const below = sum < low * size, above = high * size < sum
    const mask = i32(below || above) - 1, other = <f32>(below ? low : high)
    for (let j = 0; j < columns; j++, sums += 8, masks += 4, others += 4) {
      store<i32>(masks, mask)
      store<f32>(others, other)
    }
  }
}

/** A row's elements, or what they become; with `gates` one byte each: all bits where the element passed. */
// @ts-ignore: decorator
@inline
function switchRow(x: usize, masks: usize, others: usize, w: i32, out: usize, gates: usize): void {
  const end = out + (<usize>w << 2)
  if (ASC_FEATURE_SIMD) {
    for (; out + 16 <= end; x += 16, out += 16, masks += 16, others += 16) {
      const mask = v128.load(masks)
      v128.store(out, v128.bitselect(v128.load(x), v128.load(others), mask))
      if (gates != 0) {
        const halves = i16x8.narrow_i32x4_s(mask, mask)
        v128.store_lane<u32>(gates, i8x16.narrow_i16x8_s(halves, halves), 0)
        gates += 4
      }
    }
  }
  for (; out < end; x += 4, out += 4, masks += 4, others += 4) {
    const mask = load<i32>(masks)
    store<f32>(out, mask != 0 ? load<f32>(x) : load<f32>(others))
    if (gates != 0) store<u8>(gates++, <u8>mask)
  }
}

/** Cuts to [low, high]; gates as `switchRow`. */
// @ts-ignore: decorator
@inline
export function gatedClamp(x: usize, low: f32, high: f32, out: usize, gates: usize, n: i32): void {
  const end = out + (<usize>n << 2)
  if (ASC_FEATURE_SIMD) {
    const l = f32x4.splat(low), h = f32x4.splat(high)
    for (; out + 16 <= end; x += 16, out += 16) {
      const v = v128.load(x)
      v128.store(out, within4(v, l, h))
      if (gates != 0) {
        const cut = v128.or(f32x4.lt(v, l), f32x4.lt(h, v)), halves = i16x8.narrow_i32x4_s(cut, cut)
        v128.store_lane<u32>(gates, v128.not(i8x16.narrow_i16x8_s(halves, halves)), 0)
        gates += 4
      }
    }
  }
  for (; out < end; x += 4, out += 4) {
    const v = load<f32>(x)
    store<f32>(out, within(v, low, high))
    if (gates != 0) store<u8>(gates++, v < low || high < v ? 0 : 255)
  }
}

/** See `blockActivationF32`; `gates`: one byte per element, all bits where it passes and none elsewhere, or 0. */
// @ts-ignore: decorator
@inline
export function gatedBlocks(
  x: usize, blocks: usize, low: f32, high: f32, out: usize, gates: usize, channels: i32, h: i32, w: i32, scratch: usize,
): void {
  const pitch = <usize>w << 2, plane = pitch * <usize>h
  const masks = scratch + (pitch << 1), others = masks + pitch
  const step: usize = gates != 0 ? <usize>w : 0
  for (let c = 0; c < channels; c++, blocks += 8) {
    const bh = load<i32>(blocks), bw = load<i32>(blocks, 4)
    if (bw == 0 || bh == 0) {
      if (bw == 0) memory.fill(out, 0, plane)
      else memory.copy(out, x, plane)
      if (gates != 0) memory.fill(gates, bw == 0 ? 0 : 255, plane >> 2)
    } else if (bh == 1 && bw == 1) gatedClamp(x, low, high, out, gates, h * w)
    else {
      let from = x, to = out, gate = gates
      for (let top = 0; top < h; top += bh) {
        const rows = min(bh, h - top)
        columnSums(from, pitch, rows, w, scratch)
        decide(scratch, rows, w, bw, low, high, masks, others)
        for (let r = 0; r < rows; r++, from += pitch, to += pitch, gate += step) {
          switchRow(from, masks, others, w, to, gate)
        }
      }
    }
    x += plane
    out += plane
    gates += step * <usize>h
  }
}

/**
 * One activation per block of a channel: it passes on every element while its mean lies within the bounds, else each
 * becomes the bound that the mean passed. `blocks`: two i32 words per channel, height and width; [1, 1] one per element,
 * [0, 1] passes the channel on, [1, 0] makes it zero. Blocks at the edge are cut to the map. Not in place. `scratch`: 16
 * bytes per column. A block's sum is that of its columns' sums, from the left, in both builds.
 */
export function blockActivationF32(
  x: usize, blocks: usize, low: f32, high: f32, out: usize, channels: i32, h: i32, w: i32, scratch: usize,
): void {
  gatedBlocks(x, blocks, low, high, out, 0, channels, h, w, scratch)
}

/** `bits`: one byte per element: 1 for an activation, 0 for the element itself (`pass`) or zero. */
export function maskActivationF32(x: usize, bits: usize, pass: bool, low: f32, high: f32, out: usize, n: i32): void {
  for (let i: usize = 0; i < <usize>n; i++, x += 4, out += 4) {
    const v = load<f32>(x)
    const cut = v < low ? low : high < v ? high : v
    store<f32>(out, load<u8>(bits + i) != 0 ? cut : pass ? v : 0)
  }
}
