// Depthwise convolution in float: each channel is padded into scratch that stays in the first-level cache and filtered
// there, four rows of four columns at a time: four independent sums hide the latency of an addition. Every output is one
// sum in the order of the taps, in both builds.
import { four } from '../ring/depthwise3x3'
import { within, within4 } from './bounds'

/** A channel's rows into the image inside the zeros. `pitch`: bytes per padded row. */
// @ts-ignore: decorator
@inline
function copyRows(x: usize, h: i32, w: i32, to: usize, pitch: usize): void {
  for (let i = 0; i < h; i++, to += pitch) {
    const next = x + (<usize>w << 2)
    let at = to
    if (ASC_FEATURE_SIMD) {
      for (; x + 16 <= next; x += 16, at += 16) v128.store(at, v128.load(x))
    }
    for (; x < next; x += 4, at += 4) store<f32>(at, load<f32>(x))
  }
}

// @ts-ignore: decorator
@inline
function put(y: usize, v: v128, inside: i32, low: v128, high: v128): void {
  v = within4(v, low, high)
  if (inside >= 4) {
    v128.store(y, v)
    return
  }
  for (let j = 0; j < inside; j++, y += 4) {
    store<f32>(y, f32x4.extract_lane(v, 0))
    v = v128.shuffle<u32>(v, v, 1, 2, 3, 0)
  }
}

/** `rows` output rows, four at a time while they last; `next`: bytes of input between output rows. */
// @ts-ignore: decorator
@inline
function plane4(
  sw: i32, x: usize, next: usize, w: usize, y: usize, rows: i32, ow: i32, kh: i32, kw: i32, down: usize, right: usize,
  bias: f32, low: f32, high: f32,
): void {
  const l = f32x4.splat(low), h = f32x4.splat(high), b = f32x4.splat(bias)
  const below = <usize>ow << 2
  while (rows > 0) {
    // Rows past the last repeat the first: their sums are thrown away.
    const one: usize = rows > 1 ? next : 0, two: usize = rows > 2 ? next * 2 : 0, three: usize = rows > 3 ? next * 3 : 0
    let from = x, to = y
    for (let j = ow; j > 0; j -= 4, to += 16, from += <usize>sw << 4) {
      let s = b, t = b, u = b, v = b
      let weight = w, row = from
      for (let r = 0; r < kh; r++, row += down) {
        let at = row
        for (let c = 0; c < kw; c++, at += right, weight += 4) {
          const k = v128.load_splat<u32>(weight)
          s = f32x4.add(s, f32x4.mul(k, four(at, sw)))
          t = f32x4.add(t, f32x4.mul(k, four(at + one, sw)))
          u = f32x4.add(u, f32x4.mul(k, four(at + two, sw)))
          v = f32x4.add(v, f32x4.mul(k, four(at + three, sw)))
        }
      }
      put(to, s, j, l, h)
      if (rows > 1) put(to + below, t, j, l, h)
      if (rows > 2) put(to + below * 2, u, j, l, h)
      if (rows > 3) put(to + below * 3, v, j, l, h)
    }
    x += next << 2
    y += below << 2
    rows -= 4
  }
}

function stride1(
  x: usize, next: usize, w: usize, y: usize, rows: i32, ow: i32, kh: i32, kw: i32, down: usize, right: usize, bias: f32,
  low: f32, high: f32,
): void {
  plane4(1, x, next, w, y, rows, ow, kh, kw, down, right, bias, low, high)
}

function stride2(
  x: usize, next: usize, w: usize, y: usize, rows: i32, ow: i32, kh: i32, kw: i32, down: usize, right: usize, bias: f32,
  low: f32, high: f32,
): void {
  plane4(2, x, next, w, y, rows, ow, kh, kw, down, right, bias, low, high)
}

function anyStride(
  sw: i32, x: usize, next: usize, w: usize, y: usize, rows: i32, ow: i32, kh: i32, kw: i32, down: usize, right: usize,
  bias: f32, low: f32, high: f32,
): void {
  plane4(sw, x, next, w, y, rows, ow, kh, kw, down, right, bias, low, high)
}

function planeScalar(
  sw: i32, x: usize, next: usize, w: usize, y: usize, rows: i32, ow: i32, kh: i32, kw: i32, down: usize, right: usize,
  bias: f32, low: f32, high: f32,
): void {
  for (; rows > 0; rows--, x += next) {
    for (let j = 0, from = x; j < ow; j++, y += 4, from += <usize>sw << 2) {
      let sum = bias, weight = w, row = from
      for (let r = 0; r < kh; r++, row += down) {
        let at = row
        for (let c = 0; c < kw; c++, at += right, weight += 4) sum += load<f32>(weight) * load<f32>(at)
      }
      store<f32>(y, within(sum, low, high))
    }
  }
}

/**
 * y = bias + x filtered by w, cut to [low, high]; `shape` and `scratch` as for `depthwise32`, one word of bias per output
 * channel.
 */
export function depthwiseF32(x: usize, w: usize, bias: usize, y: usize, shape: usize, low: f32, high: f32, scratch: usize): void {
  const c = load<i32>(shape), h = load<i32>(shape, 4), width = load<i32>(shape, 8), multiplier = load<i32>(shape, 12)
  const kh = load<i32>(shape, 16), kw = load<i32>(shape, 20), sh = load<i32>(shape, 24), sw = load<i32>(shape, 28)
  const top = load<i32>(shape, 32), left = load<i32>(shape, 36)
  const bottom = load<i32>(shape, 40), right = load<i32>(shape, 44)
  const oh = load<i32>(shape, 56), ow = load<i32>(shape, 60)
  const pitch = <usize>(left + width + right) << 2
  const next = pitch * <usize>sh, down = pitch * <usize>load<i32>(shape, 48), across = <usize>load<i32>(shape, 52) << 2
  const inside = scratch + pitch * <usize>top + (<usize>left << 2)
  memory.fill(scratch, 0, pitch * <usize>(top + h + bottom))
  for (let i = 0; i < c; i++, x += <usize>(h * width) << 2) {
    copyRows(x, h, width, inside, pitch)
    for (let m = 0; m < multiplier; m++, bias += 4) {
      const b = load<f32>(bias)
      if (!ASC_FEATURE_SIMD) planeScalar(sw, scratch, next, w, y, oh, ow, kh, kw, down, across, b, low, high)
      else if (sw == 1) stride1(scratch, next, w, y, oh, ow, kh, kw, down, across, b, low, high)
      else if (sw == 2) stride2(scratch, next, w, y, oh, ow, kh, kw, down, across, b, low, high)
      else anyStride(sw, scratch, next, w, y, oh, ow, kh, kw, down, across, b, low, high)
      w += <usize>(kh * kw) << 2
      y += <usize>(oh * ow) << 2
    }
  }
}
