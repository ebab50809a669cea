// y = A·x: every word of A is read once, so this runs at the speed of the memory that A comes from.

// @ts-ignore: decorator
@inline
function put<T>(y: usize, value: T, accumulate: bool): void {
  store<T>(y, accumulate ? load<T>(y) + value : value)
}

// @ts-ignore: decorator
@inline
function sum32(v: v128): u32 {
  const pair = i32x4.add(v, v128.shuffle<u32>(v, v, 2, 3, 0, 1))
  return i32x4.extract_lane(pair, 0) + i32x4.extract_lane(pair, 1)
}

/** Four rows at once share each load of x. */
function fourRows32(a: usize, pitch: usize, x: usize, depth: i32, y: usize, step: usize, accumulate: bool): void {
  let s0 = i32x4.splat(0), s1 = s0, s2 = s0, s3 = s0
  let k = 0
  const b = a + pitch, c = b + pitch, d = c + pitch
  let at: usize = 0
  for (; k + 4 <= depth; k += 4, at += 16) {
    const v = v128.load(x + at)
    s0 = i32x4.add(s0, i32x4.mul(v, v128.load(a + at)))
    s1 = i32x4.add(s1, i32x4.mul(v, v128.load(b + at)))
    s2 = i32x4.add(s2, i32x4.mul(v, v128.load(c + at)))
    s3 = i32x4.add(s3, i32x4.mul(v, v128.load(d + at)))
  }
  let t0 = sum32(s0), t1 = sum32(s1), t2 = sum32(s2), t3 = sum32(s3)
  for (; k < depth; k++, at += 4) {
    const v = load<u32>(x + at)
    t0 += v * load<u32>(a + at); t1 += v * load<u32>(b + at)
    t2 += v * load<u32>(c + at); t3 += v * load<u32>(d + at)
  }
  put<u32>(y, t0, accumulate)
  put<u32>(y + step, t1, accumulate)
  put<u32>(y + step * 2, t2, accumulate)
  put<u32>(y + step * 3, t3, accumulate)
}

function oneRow<T>(a: usize, x: usize, depth: i32): T {
  let s: T = 0, t: T = 0
  const end = x + <usize>depth * sizeof<T>()
  for (; x + 2 * sizeof<T>() <= end; a += 2 * sizeof<T>(), x += 2 * sizeof<T>()) {
    s += load<T>(a) * load<T>(x)
    t += load<T>(a, sizeof<T>()) * load<T>(x, sizeof<T>())
  }
  if (x < end) s += load<T>(a) * load<T>(x)
  return s + t
}

/** y[i·step bytes] (+)= Σ A[i, k]·x[k]; A[rows, depth] without gaps. */
export function matvec<T>(a: usize, x: usize, y: usize, step: usize, rows: i32, depth: i32, accumulate: bool): void {
  const pitch = <usize>depth * sizeof<T>()
  let i = 0
  if (ASC_FEATURE_SIMD && sizeof<T>() == 4) {
    for (; i + 4 <= rows; i += 4, a += pitch * 4, y += step * 4) {
      fourRows32(a, pitch, x, depth, y, step, accumulate)
    }
  }
  for (; i < rows; i++, a += pitch, y += step) put<T>(y, oneRow<T>(a, x, depth), accumulate)
}
