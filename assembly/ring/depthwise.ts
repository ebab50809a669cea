// Depthwise convolution: one input channel per output channel, so there is no matrix product to make; each channel is
// padded into scratch that stays in the first-level cache and filtered there, four output columns at a time.

// @ts-ignore: decorator
@inline
function zero<T>(to: usize, end: usize): void {
  for (; to < end; to += sizeof<T>()) store<T>(to, 0)
}

/** One channel with `top`, `left`, `bottom` and `right` zeros around it. */
// @ts-ignore: decorator
@inline
function padChannel<T>(x: usize, h: i32, w: i32, to: usize, top: i32, left: i32, bottom: i32, right: i32): void {
  const pitch = <usize>(left + w + right) * sizeof<T>()
  memory.fill(to, 0, pitch * <usize>top)
  to += pitch * <usize>top
  const bytes = <usize>w * sizeof<T>()
  for (let i = 0; i < h; i++, x += bytes) {
    const start = to + <usize>left * sizeof<T>(), end = start + bytes
    zero<T>(to, start)
    let from = x
    to = start
    if (ASC_FEATURE_SIMD) {
      for (; to + 16 <= end; to += 16, from += 16) v128.store(to, v128.load(from))
    }
    for (; to < end; to += sizeof<T>(), from += sizeof<T>()) store<T>(to, load<T>(from))
    to = end + <usize>right * sizeof<T>()
    zero<T>(end, to)
  }
  memory.fill(to, 0, pitch * <usize>bottom)
}

// @ts-ignore: decorator
@inline
function put32(y: usize, v: v128, inside: i32, accumulate: bool): void {
  if (inside >= 4) {
    v128.store(y, accumulate ? i32x4.add(v, v128.load(y)) : v)
    return
  }
  for (let j = 0; j < inside; j++, y += 4) {
    const value = i32x4.extract_lane(v, 0)
    store<u32>(y, accumulate ? load<u32>(y) + value : value)
    v = v128.shuffle<u32>(v, v, 1, 2, 3, 0)
  }
}

// @ts-ignore: decorator
@inline
function four(at: usize, stride: i32): v128 {
  if (stride == 1) return v128.load(at)
  if (stride == 2) return v128.shuffle<u32>(v128.load(at), v128.load(at, 12), 0, 2, 5, 7)
  let v = v128.load32_zero(at)
  v = v128.load32_lane(at + (stride << 2), v, 1)
  v = v128.load32_lane(at + (stride << 3), v, 2)
  return v128.load32_lane(at + stride * 12, v, 3)
}

/** 3×3, stride 1, no dilation: the nine weights stay in registers. */
function plane3x3(x: usize, pitch: usize, w: usize, y: usize, oh: i32, ow: i32, accumulate: bool): void {
  const w0 = v128.load_splat<u32>(w), w1 = v128.load_splat<u32>(w, 4), w2 = v128.load_splat<u32>(w, 8)
  const w3 = v128.load_splat<u32>(w, 12), w4 = v128.load_splat<u32>(w, 16), w5 = v128.load_splat<u32>(w, 20)
  const w6 = v128.load_splat<u32>(w, 24), w7 = v128.load_splat<u32>(w, 28), w8 = v128.load_splat<u32>(w, 32)
  for (let i = 0; i < oh; i++, x += pitch) {
    let a = x, b = x + pitch, c = b + pitch
    for (let j = ow; j > 0; j -= 4, a += 16, b += 16, c += 16) {
      let s = i32x4.mul(w0, v128.load(a))
      let t = i32x4.mul(w1, v128.load(a, 4))
      let u = i32x4.mul(w2, v128.load(a, 8))
      s = i32x4.add(s, i32x4.mul(w3, v128.load(b)))
      t = i32x4.add(t, i32x4.mul(w4, v128.load(b, 4)))
      u = i32x4.add(u, i32x4.mul(w5, v128.load(b, 8)))
      s = i32x4.add(s, i32x4.mul(w6, v128.load(c)))
      t = i32x4.add(t, i32x4.mul(w7, v128.load(c, 4)))
      u = i32x4.add(u, i32x4.mul(w8, v128.load(c, 8)))
      put32(y, i32x4.add(i32x4.add(s, t), u), j, accumulate)
      y += <usize>min(j, 4) << 2
    }
  }
}

/** Any kernel size, stride and dilation, u32 lanes. */
function plane32(
  x: usize, pitch: usize, w: usize, y: usize, oh: i32, ow: i32, kh: i32, kw: i32, sh: i32, sw: i32, dh: i32, dw: i32,
  accumulate: bool,
): void {
  for (let i = 0; i < oh; i++, x += pitch * sh) {
    for (let j = 0; j < ow; j += 4) {
      let sum = i32x4.splat(0), weight = w
      let row = x + (<usize>(j * sw) << 2)
      for (let r = 0; r < kh; r++, row += pitch * dh) {
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
  const small = kh == 3 && kw == 3 && (sh | sw | dh | dw) == 1
  for (let i = 0; i < c; i++, x += <usize>(h * width) * sizeof<T>()) {
    padChannel<T>(x, h, width, scratch, top, left, bottom, right)
    for (let m = 0; m < multiplier; m++) {
      if (ASC_FEATURE_SIMD && sizeof<T>() == 4) {
        if (small) plane3x3(scratch, pitch, w, y, oh, ow, accumulate)
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
