// y = bias + A·x in float. Each row is four interleaved partial sums in both builds, so both give the same bits.
import { within } from './bounds'

// @ts-ignore: decorator
@inline
function sum4(v: v128): f32 {
  const pair = f32x4.add(v, v128.shuffle<u32>(v, v, 2, 3, 0, 1))
  return f32x4.extract_lane(pair, 0) + f32x4.extract_lane(pair, 1)
}

// @ts-ignore: decorator
@inline
function dot(a: usize, x: usize, depth: i32): f32 {
  const end = x + (<usize>depth << 2), whole = x + (<usize>(depth & ~3) << 2)
  let sum: f32
  if (ASC_FEATURE_SIMD) {
    let s = f32x4.splat(0)
    for (; x < whole; a += 16, x += 16) s = f32x4.add(s, f32x4.mul(v128.load(x), v128.load(a)))
    sum = sum4(s)
  } else {
    let s: f32 = 0, t: f32 = 0, u: f32 = 0, v: f32 = 0
    for (; x < whole; a += 16, x += 16) {
      s += load<f32>(x) * load<f32>(a); t += load<f32>(x, 4) * load<f32>(a, 4)
      u += load<f32>(x, 8) * load<f32>(a, 8); v += load<f32>(x, 12) * load<f32>(a, 12)
    }
    sum = s + u + (t + v)
  }
  for (; x < end; a += 4, x += 4) sum += load<f32>(x) * load<f32>(a)
  return sum
}

/** Four rows at once share each load of x; sums are those of `dot`. */
function fourRows(a: usize, pitch: usize, x: usize, depth: i32, sums: usize): void {
  const b = a + pitch, c = b + pitch, d = c + pitch
  const whole = <usize>(depth & ~3) << 2
  let s = f32x4.splat(0), t = s, u = s, v = s
  let at: usize = 0
  for (; at < whole; at += 16) {
    const w = v128.load(x + at)
    s = f32x4.add(s, f32x4.mul(w, v128.load(a + at)))
    t = f32x4.add(t, f32x4.mul(w, v128.load(b + at)))
    u = f32x4.add(u, f32x4.mul(w, v128.load(c + at)))
    v = f32x4.add(v, f32x4.mul(w, v128.load(d + at)))
  }
  let s0 = sum4(s), t0 = sum4(t), u0 = sum4(u), v0 = sum4(v)
  for (; at < <usize>depth << 2; at += 4) {
    const w = load<f32>(x + at)
    s0 += w * load<f32>(a + at); t0 += w * load<f32>(b + at)
    u0 += w * load<f32>(c + at); v0 += w * load<f32>(d + at)
  }
  store<f32>(sums, s0); store<f32>(sums, t0, 4); store<f32>(sums, u0, 8); store<f32>(sums, v0, 12)
}

// @ts-ignore: decorator
@inline
function put(y: usize, sum: f32, bias: usize, low: f32, high: f32): void {
  store<f32>(y, within((bias != 0 ? load<f32>(bias) : load<f32>(y)) + sum, low, high))
}

/**
 * y[i] = bias[i] + Σ A[i, k]·x[k] over `depth` words, cut to [low, high]; without bias (0) added to what y holds.
 * `pitch`: bytes between rows of A; `sums`: 16 bytes.
 */
export function matvec(
  a: usize, pitch: usize, x: usize, y: usize, rows: i32, depth: i32, bias: usize, low: f32, high: f32, sums: usize,
): void {
  const step: usize = bias != 0 ? 4 : 0
  let i = 0
  if (ASC_FEATURE_SIMD) {
    for (; i + 4 <= rows; i += 4, a += pitch << 2) {
      fourRows(a, pitch, x, depth, sums)
      for (let r: usize = 0; r < 16; r += 4, y += 4, bias += step) put(y, load<f32>(sums + r), bias, low, high)
    }
  }
  for (; i < rows; i++, a += pitch, y += 4, bias += step) put(y, dot(a, x, depth), bias, low, high)
}
