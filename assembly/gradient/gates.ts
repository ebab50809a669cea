// Activations that keep which elements they passed, one byte each, all bits or none, and what a gradient makes of that.
import { gatedBlocks, gatedClamp } from '../float/activation'

/** As `clampF32`, with gates. */
export function gatedClampF32(x: usize, low: f32, high: f32, out: usize, gates: usize, n: i32): void {
  gatedClamp(x, low, high, out, gates, n)
}

/** As `blockActivationF32`, with gates. */
export function gatedBlocksF32(
  x: usize, blocks: usize, low: f32, high: f32, out: usize, gates: usize, channels: i32, h: i32, w: i32, scratch: usize,
): void {
  gatedBlocks(x, blocks, low, high, out, gates, channels, h, w, scratch)
}

/** As `maskActivationF32`, with gates. */
export function gatedMaskF32(
  x: usize, bits: usize, pass: bool, low: f32, high: f32, out: usize, gates: usize, n: i32,
): void {
  for (let i: usize = 0; i < <usize>n; i++, x += 4, out += 4) {
    const v = load<f32>(x)
    const below = v < low, above = high < v
    const cut = below ? low : above ? high : v
    const compared = load<u8>(bits + i) != 0
    store<f32>(out, compared ? cut : pass ? v : 0)
    store<u8>(gates + i, (compared ? !below && !above : pass) ? 255 : 0)
  }
}

/** out[i] = x[i] where the gate is open, else 0. */
export function gateF32(x: usize, gates: usize, out: usize, n: i32): void {
  const end = out + (<usize>n << 2)
  if (ASC_FEATURE_SIMD) {
    for (; out + 64 <= end; x += 64, out += 64, gates += 16) {
      const all = v128.load(gates)
      const left = i16x8.extend_low_i8x16_s(all), right = i16x8.extend_high_i8x16_s(all)
      v128.store(out, v128.and(v128.load(x), i32x4.extend_low_i16x8_s(left)))
      v128.store(out, v128.and(v128.load(x, 16), i32x4.extend_high_i16x8_s(left)), 16)
      v128.store(out, v128.and(v128.load(x, 32), i32x4.extend_low_i16x8_s(right)), 32)
      v128.store(out, v128.and(v128.load(x, 48), i32x4.extend_high_i16x8_s(right)), 48)
    }
  }
  for (; out < end; x += 4, out += 4, gates++) store<u32>(out, load<u8>(gates) != 0 ? load<u32>(x) : 0)
}
