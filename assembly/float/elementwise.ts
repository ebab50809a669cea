// Elementwise float kernels: one pass each. `out` may be an input (in place) or disjoint from both; n counts words.
import { within, within4 } from './bounds'

/** out[i] = x[i] cut to [low, high] */
export function clampF32(x: usize, low: f32, high: f32, out: usize, n: i32): void {
  const end = out + (<usize>n << 2)
  if (ASC_FEATURE_SIMD) {
    const l = f32x4.splat(low), h = f32x4.splat(high)
    for (; out + 16 <= end; x += 16, out += 16) v128.store(out, within4(v128.load(x), l, h))
  }
  for (; out < end; x += 4, out += 4) store<f32>(out, within(load<f32>(x), low, high))
}

/** out[i] = a[i] + b[i], cut to [low, high] */
export function addF32(a: usize, b: usize, low: f32, high: f32, out: usize, n: i32): void {
  const end = out + (<usize>n << 2)
  if (ASC_FEATURE_SIMD) {
    const l = f32x4.splat(low), h = f32x4.splat(high)
    for (; out + 16 <= end; a += 16, b += 16, out += 16) {
      v128.store(out, within4(f32x4.add(v128.load(a), v128.load(b)), l, h))
    }
  }
  for (; out < end; a += 4, b += 4, out += 4) store<f32>(out, within(load<f32>(a) + load<f32>(b), low, high))
}

/** out[i] = a[i] - b[i] */
export function subF32(a: usize, b: usize, out: usize, n: i32): void {
  const end = out + (<usize>n << 2)
  if (ASC_FEATURE_SIMD) {
    for (; out + 16 <= end; a += 16, b += 16, out += 16) v128.store(out, f32x4.sub(v128.load(a), v128.load(b)))
  }
  for (; out < end; a += 4, b += 4, out += 4) store<f32>(out, load<f32>(a) - load<f32>(b))
}

/** out[i] += x[i]·factor */
export function addScaledF32(x: usize, factor: f32, out: usize, n: i32): void {
  const end = out + (<usize>n << 2)
  if (ASC_FEATURE_SIMD) {
    const f = f32x4.splat(factor)
    for (; out + 16 <= end; x += 16, out += 16) {
      v128.store(out, f32x4.add(v128.load(out), f32x4.mul(v128.load(x), f)))
    }
  }
  for (; out < end; x += 4, out += 4) store<f32>(out, load<f32>(out) + load<f32>(x) * factor)
}

// @ts-ignore: decorator
@inline
function affineRow(x: usize, factor: f32, shift: f32, low: f32, high: f32, out: usize, n: i32): void {
  const end = out + (<usize>n << 2)
  if (ASC_FEATURE_SIMD) {
    const f = f32x4.splat(factor), s = f32x4.splat(shift), l = f32x4.splat(low), h = f32x4.splat(high)
    for (; out + 16 <= end; x += 16, out += 16) {
      v128.store(out, within4(f32x4.add(f32x4.mul(v128.load(x), f), s), l, h))
    }
  }
  for (; out < end; x += 4, out += 4) store<f32>(out, within(load<f32>(x) * factor + shift, low, high))
}

/** out[c, n] = x[c, n]·factors[c] + shifts[c], cut to [low, high] */
export function affineF32(
  x: usize, factors: usize, shifts: usize, low: f32, high: f32, out: usize, channels: i32, n: i32,
): void {
  const plane = <usize>n << 2
  for (let c = 0; c < channels; c++, x += plane, out += plane, factors += 4, shifts += 4) {
    affineRow(x, load<f32>(factors), load<f32>(shifts), low, high, out, n)
  }
}
