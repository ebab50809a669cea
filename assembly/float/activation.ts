// Activations whose comparisons are shared or left out. The plain activation cuts to [low, high]: [0, ∞] is a ReLU,
// [0, 6] a ReLU6.
import { clampF32 } from './elementwise'

/** A patch passes on every element while its mean lies within the bounds, else each becomes the bound it passed. */
// @ts-ignore: decorator
@inline
function patch(x: usize, out: usize, pitch: usize, rows: i32, columns: i32, low: f32, high: f32): void {
  let sum: f64 = 0
  const width = <usize>columns << 2, size = <f64>(rows * columns)
  for (let r = 0, at = x; r < rows; r++, at += pitch) {
    for (let j: usize = 0; j < width; j += 4) sum += <f64>load<f32>(at + j)
  }
  const below = sum < <f64>low * size, above = <f64>high * size < sum
  const bound = below ? low : high
  for (let r = 0; r < rows; r++, x += pitch, out += pitch) {
    for (let j: usize = 0; j < width; j += 4) store<f32>(out + j, below || above ? bound : load<f32>(x + j))
  }
}

/**
 * One activation per block of a channel. `blocks`: two i32 words per channel, height and width; [1, 1] one per element,
 * [0, 1] passes the channel on, [1, 0] makes it zero. Blocks at the edge are cut to the map. Not in place.
 */
export function blockActivationF32(
  x: usize, blocks: usize, low: f32, high: f32, out: usize, channels: i32, h: i32, w: i32,
): void {
  const pitch = <usize>w << 2, plane = pitch * <usize>h
  for (let c = 0; c < channels; c++, x += plane, out += plane, blocks += 8) {
    const bh = load<i32>(blocks), bw = load<i32>(blocks, 4)
    if (bw == 0) memory.fill(out, 0, plane)
    else if (bh == 0) memory.copy(out, x, plane)
    else if (bh == 1 && bw == 1) clampF32(x, low, high, out, h * w)
    else {
      for (let top = 0; top < h; top += bh) {
        for (let left = 0; left < w; left += bw) {
          const at = <usize>top * pitch + (<usize>left << 2)
          patch(x + at, out + at, pitch, min(bh, h - top), min(bw, w - left), low, high)
        }
      }
    }
  }
}

/** `bits`: one byte per element: 1 for an activation, 0 for the element itself (`pass`) or zero. */
export function maskActivationF32(x: usize, bits: usize, pass: bool, low: f32, high: f32, out: usize, n: i32): void {
  for (let i: usize = 0; i < <usize>n; i++, x += 4, out += 4) {
    const v = load<f32>(x)
    const cut = v < low ? low : high < v ? high : v
    store<f32>(out, load<u8>(bits + i) != 0 ? cut : pass ? v : 0)
  }
}
