// Sums and maps of batch normalisation in training: statistics of a channel over all pictures of a batch, in double
// precision, in one order in both builds: four interleaved sums, and one of what is left of every plane.

/**
 * Per channel two f64 words in `sums`: Σa and Σa·b over pictures [pictures, channels, n]. With b = a they give mean and
 * variance, with the gradient and the input those of the backward pass.
 */
export function channelSumsF32(a: usize, b: usize, pictures: i32, channels: i32, n: i32, sums: usize): void {
  const plane = <usize>n << 2, picture = plane * <usize>channels, whole = <usize>(n & ~3) << 2
  for (let c = 0; c < channels; c++, a += plane, b += plane, sums += 16) {
    let restSum: f64 = 0, restDot: f64 = 0, sum: f64 = 0, dot: f64 = 0
    if (ASC_FEATURE_SIMD) {
      let s = f64x2.splat(0), t = s, u = s, v = s
      for (let p = 0, x = a, y = b; p < pictures; p++, x += picture, y += picture) {
        for (let i: usize = 0; i < whole; i += 16) {
          const f = v128.load(x + i), g = v128.load(y + i)
          const f0 = f64x2.promote_low_f32x4(f), f1 = f64x2.promote_low_f32x4(v128.shuffle<u64>(f, f, 1, 1))
          const g0 = f64x2.promote_low_f32x4(g), g1 = f64x2.promote_low_f32x4(v128.shuffle<u64>(g, g, 1, 1))
          s = f64x2.add(s, f0); t = f64x2.add(t, f1)
          u = f64x2.add(u, f64x2.mul(f0, g0)); v = f64x2.add(v, f64x2.mul(f1, g1))
        }
        for (let i = whole; i < plane; i += 4) {
          restSum += <f64>load<f32>(x + i)
          restDot += <f64>load<f32>(x + i) * <f64>load<f32>(y + i)
        }
      }
      sum = f64x2.extract_lane(s, 0) + f64x2.extract_lane(s, 1) + (f64x2.extract_lane(t, 0) + f64x2.extract_lane(t, 1))
      dot = f64x2.extract_lane(u, 0) + f64x2.extract_lane(u, 1) + (f64x2.extract_lane(v, 0) + f64x2.extract_lane(v, 1))
    } else {
      let s0: f64 = 0, s1: f64 = 0, s2: f64 = 0, s3: f64 = 0, d0: f64 = 0, d1: f64 = 0, d2: f64 = 0, d3: f64 = 0
      for (let p = 0, x = a, y = b; p < pictures; p++, x += picture, y += picture) {
        for (let i: usize = 0; i < whole; i += 16) {
          const f0 = <f64>load<f32>(x + i), f1 = <f64>load<f32>(x + i, 4)
          const f2 = <f64>load<f32>(x + i, 8), f3 = <f64>load<f32>(x + i, 12)
          s0 += f0; s1 += f1; s2 += f2; s3 += f3
          d0 += f0 * <f64>load<f32>(y + i); d1 += f1 * <f64>load<f32>(y + i, 4)
          d2 += f2 * <f64>load<f32>(y + i, 8); d3 += f3 * <f64>load<f32>(y + i, 12)
        }
        for (let i = whole; i < plane; i += 4) {
          restSum += <f64>load<f32>(x + i)
          restDot += <f64>load<f32>(x + i) * <f64>load<f32>(y + i)
        }
      }
      sum = s0 + s1 + (s2 + s3)
      dot = d0 + d1 + (d2 + d3)
    }
    store<f64>(sums, sum + restSum)
    store<f64>(sums, dot + restDot, 8)
  }
}

/** out[c, n] = x[c, n]·p[c] + y[c, n]·q[c] + r[c]; `out` may be x or y. */
export function affine2F32(x: usize, y: usize, p: usize, q: usize, r: usize, out: usize, channels: i32, n: i32): void {
  const plane = <usize>n << 2
  for (let c: usize = 0; c < <usize>channels << 2; c += 4) {
    const end = out + plane
    if (ASC_FEATURE_SIMD) {
      const pp = v128.load_splat<u32>(p + c), qq = v128.load_splat<u32>(q + c), rr = v128.load_splat<u32>(r + c)
      for (; out + 16 <= end; x += 16, y += 16, out += 16) {
        const sum = f32x4.add(f32x4.mul(v128.load(x), pp), f32x4.mul(v128.load(y), qq))
        v128.store(out, f32x4.add(sum, rr))
      }
    }
    for (; out < end; x += 4, y += 4, out += 4) {
      store<f32>(out, load<f32>(x) * load<f32>(p + c) + load<f32>(y) * load<f32>(q + c) + load<f32>(r + c))
    }
  }
}
