// The gradient of a depthwise convolution's weights: a dot product of the gradient's plane with the shifted image per tap.
// Four taps at a time share what is read of the gradient; every sum is four interleaved ones in both builds.
import { four } from '../ring/depthwise3x3'

/** Σ of dy·x over a plane, lane j % 4 for column j. `right`: bytes between columns of x. */
// @ts-ignore: decorator
@inline
function dot1(x: usize, next: usize, dy: usize, oh: i32, ow: i32, sw: i32): f32 {
  let s0: f32 = 0, s1: f32 = 0, s2: f32 = 0, s3: f32 = 0
  for (let i = 0; i < oh; i++, x += next) {
    let at = x
    for (let j = 0; j < ow; j++, dy += 4, at += <usize>sw << 2) {
      const product = load<f32>(dy) * load<f32>(at)
      const lane = j & 3
      if (lane == 0) s0 += product
      else if (lane == 1) s1 += product
      else if (lane == 2) s2 += product
      else s3 += product
    }
  }
  return s0 + s2 + (s1 + s3)
}

// @ts-ignore: decorator
@inline
function sum4(v: v128): f32 {
  const pair = f32x4.add(v, v128.shuffle<u32>(v, v, 2, 3, 0, 1))
  return f32x4.extract_lane(pair, 0) + f32x4.extract_lane(pair, 1)
}

/** `inside` < 4 words `step` apart, zeros behind them. */
// @ts-ignore: decorator
@inline
function some(at: usize, step: usize, inside: i32): v128 {
  let v = v128.load32_zero(at)
  if (inside > 1) v = v128.load32_lane(at + step, v, 1)
  if (inside > 2) v = v128.load32_lane(at + step * 2, v, 2)
  return v
}

// @ts-ignore: decorator
@inline
function dot4(
  sw: i32, x: usize, a: usize, b: usize, c: usize, d: usize, next: usize, dy: usize, oh: i32, ow: i32, to: usize, count: i32,
): void {
  let s = f32x4.splat(0), t = s, u = s, v = s
  const whole = ow & ~3, rest = ow - whole, step = <usize>sw << 2
  for (let i = 0; i < oh; i++, x += next) {
    let at = x
    for (let j = 0; j < whole; j += 4, dy += 16, at += step << 2) {
      const g = v128.load(dy)
      s = f32x4.add(s, f32x4.mul(g, four(at + a, sw)))
      t = f32x4.add(t, f32x4.mul(g, four(at + b, sw)))
      u = f32x4.add(u, f32x4.mul(g, four(at + c, sw)))
      v = f32x4.add(v, f32x4.mul(g, four(at + d, sw)))
    }
    if (rest > 0) {
      const g = some(dy, 4, rest)
      s = f32x4.add(s, f32x4.mul(g, some(at + a, step, rest)))
      t = f32x4.add(t, f32x4.mul(g, some(at + b, step, rest)))
      u = f32x4.add(u, f32x4.mul(g, some(at + c, step, rest)))
      v = f32x4.add(v, f32x4.mul(g, some(at + d, step, rest)))
      dy += <usize>rest << 2
    }
  }
  store<f32>(to, load<f32>(to) + sum4(s))
  if (count > 1) store<f32>(to, load<f32>(to, 4) + sum4(t), 4)
  if (count > 2) store<f32>(to, load<f32>(to, 8) + sum4(u), 8)
  if (count > 3) store<f32>(to, load<f32>(to, 12) + sum4(v), 12)
}

function dot4of1(
  x: usize, a: usize, b: usize, c: usize, d: usize, next: usize, dy: usize, oh: i32, ow: i32, to: usize, count: i32,
): void {
  dot4(1, x, a, b, c, d, next, dy, oh, ow, to, count)
}

function dot4of2(
  x: usize, a: usize, b: usize, c: usize, d: usize, next: usize, dy: usize, oh: i32, ow: i32, to: usize, count: i32,
): void {
  dot4(2, x, a, b, c, d, next, dy, oh, ow, to, count)
}

function dot4ofAny(
  sw: i32, x: usize, a: usize, b: usize, c: usize, d: usize, next: usize, dy: usize, oh: i32, ow: i32, to: usize, count: i32,
): void {
  dot4(sw, x, a, b, c, d, next, dy, oh, ow, to, count)
}

/**
 * dw[channels·multiplier, kh·kw] += the products of dy's planes with the padded image x [channels, rows, columns].
 * `taps`: u32 byte offsets of a channel's taps. `pitch`: bytes per row of x, `planeBytes`: per channel.
 */
export function depthwiseWeightGradF32(
  x: usize, dy: usize, taps: usize, count: i32, dw: usize, channels: i32, multiplier: i32, pitch: usize,
  planeBytes: usize, sh: i32, sw: i32, oh: i32, ow: i32,
): void {
  const next = pitch * <usize>sh, dyBytes = <usize>(oh * ow) << 2
  for (let c = 0; c < channels; c++, x += planeBytes) {
    for (let m = 0; m < multiplier; m++, dy += dyBytes) {
      for (let t = 0; t < count; t += 4) {
        const some = min(count - t, 4), at = taps + (<usize>t << 2), to = dw + (<usize>t << 2)
        if (!ASC_FEATURE_SIMD) {
          for (let i: usize = 0; i < <usize>some << 2; i += 4) {
            store<f32>(to + i, load<f32>(to + i) + dot1(x + load<u32>(at + i), next, dy, oh, ow, sw))
          }
        } else {
          const p = <usize>load<u32>(at), q = some > 1 ? <usize>load<u32>(at, 4) : p
          const r = some > 2 ? <usize>load<u32>(at, 8) : p, s = some > 3 ? <usize>load<u32>(at, 12) : p
          if (sw == 1) dot4of1(x, p, q, r, s, next, dy, oh, ow, to, some)
          else if (sw == 2) dot4of2(x, p, q, r, s, next, dy, oh, ow, to, some)
          else dot4ofAny(sw, x, p, q, r, s, next, dy, oh, ow, to, some)
        }
      }
      dw += <usize>count << 2
    }
  }
}
