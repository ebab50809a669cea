// Depthwise convolution: one input channel per output channel, so there is no matrix product to make; each channel is
// padded into scratch that stays in the first-level cache and filtered there, four output columns at a time.
import { filter3x3, four, put32 } from './depthwise3x3'

/** One channel's rows into the image inside the zeros. `to`: where its first word goes; `pitch`: bytes per padded row. */
// @ts-ignore: decorator
@inline
function copyChannel<T>(x: usize, h: i32, w: i32, to: usize, pitch: usize): void {
  const bytes = <usize>w * sizeof<T>()
  for (let i = 0; i < h; i++, to += pitch) {
    const next = x + bytes
    let at = to
    if (ASC_FEATURE_SIMD) {
      for (; x + 16 <= next; x += 16, at += 16) v128.store(at, v128.load(x))
    }
    for (; x < next; x += sizeof<T>(), at += sizeof<T>()) store<T>(at, load<T>(x))
  }
}

/** Any kernel size, stride and dilation, u32 lanes. */
function plane32(
  x: usize, pitch: usize, w: usize, y: usize, oh: i32, ow: i32, kh: i32, kw: i32, sh: i32, sw: i32, dh: i32, dw: i32,
  accumulate: bool,
): void {
  for (let i = 0; i < oh; i++, x += pitch * <usize>sh) {
    for (let j = 0; j < ow; j += 4) {
      let sum = i32x4.splat(0), weight = w
      let row = x + (<usize>(j * sw) << 2)
      for (let r = 0; r < kh; r++, row += pitch * <usize>dh) {
        let at = row
        for (let s = 0; s < kw; s++, at += <usize>dw << 2, weight += 4) {
          sum = i32x4.add(sum, i32x4.mul(v128.load_splat<u32>(weight), four(at, sw)))
        }
      }
      put32(y, sum, ow - j, accumulate)
      y += <usize>min(ow - j, 4) << 2
    }
  }
}

function planeScalar<T>(
  x: usize, pitch: usize, w: usize, y: usize, oh: i32, ow: i32, kh: i32, kw: i32, sh: i32, sw: i32, dh: i32, dw: i32,
  accumulate: bool,
): void {
  for (let i = 0; i < oh; i++, x += pitch * sh) {
    for (let j = 0; j < ow; j++, y += sizeof<T>()) {
      let sum: T = 0, weight = w
      let row = x + <usize>(j * sw) * sizeof<T>()
      for (let r = 0; r < kh; r++, row += pitch * dh) {
        let at = row
        for (let s = 0; s < kw; s++, at += <usize>dw * sizeof<T>(), weight += sizeof<T>()) {
          sum += load<T>(weight) * load<T>(at)
        }
      }
      store<T>(y, accumulate ? load<T>(y) + sum : sum)
    }
  }
}

/**
 * `shape`: 16 i32 words: channels in, h, w, output channels per input channel, kh, kw, sh, sw, top, left, bottom, right,
 * dh, dw, oh, ow. `scratch`: one padded channel and 16·sw + 16 bytes, since the last vector of a row may overhang the image.
 */
// @ts-ignore: decorator
@inline
function depthwise<T>(x: usize, w: usize, y: usize, shape: usize, accumulate: bool, scratch: usize): void {
  const c = load<i32>(shape), h = load<i32>(shape, 4), width = load<i32>(shape, 8), multiplier = load<i32>(shape, 12)
  const kh = load<i32>(shape, 16), kw = load<i32>(shape, 20), sh = load<i32>(shape, 24), sw = load<i32>(shape, 28)
  const top = load<i32>(shape, 32), left = load<i32>(shape, 36)
  const bottom = load<i32>(shape, 40), right = load<i32>(shape, 44)
  const dh = load<i32>(shape, 48), dw = load<i32>(shape, 52), oh = load<i32>(shape, 56), ow = load<i32>(shape, 60)
  const pitch = <usize>(left + width + right) * sizeof<T>()
  const small = kh == 3 && kw == 3 && sw <= 2 && (dh | dw) == 1
  const inside = scratch + pitch * <usize>top + <usize>left * sizeof<T>()
  memory.fill(scratch, 0, pitch * <usize>(top + h + bottom)) // once: every channel has its zeros in the same places
  for (let i = 0; i < c; i++, x += <usize>(h * width) * sizeof<T>()) {
    copyChannel<T>(x, h, width, inside, pitch)
    for (let m = 0; m < multiplier; m++) {
      if (ASC_FEATURE_SIMD && sizeof<T>() == 4) {
        if (small) filter3x3(scratch, pitch, w, y, oh, ow, sh, sw, accumulate)
        else plane32(scratch, pitch, w, y, oh, ow, kh, kw, sh, sw, dh, dw, accumulate)
      } else planeScalar<T>(scratch, pitch, w, y, oh, ow, kh, kw, sh, sw, dh, dw, accumulate)
      w += <usize>(kh * kw) * sizeof<T>()
      y += <usize>(oh * ow) * sizeof<T>()
    }
  }
}

export function depthwise32(x: usize, w: usize, y: usize, shape: usize, accumulate: bool, scratch: usize): void {
  depthwise<u32>(x, w, y, shape, accumulate, scratch)
}

export function depthwise64(x: usize, w: usize, y: usize, shape: usize, accumulate: bool, scratch: usize): void {
  depthwise<u64>(x, w, y, shape, accumulate, scratch)
}
