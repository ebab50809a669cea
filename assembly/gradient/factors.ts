// Activations that a factor per element mixes with their input, y = a·cut(x) + (1 - a)·x, for masks that are learned; and
// the way back, which gives the factors' gradients too.

/** out[i] = x[i] where it lies within the bounds, else factors[i]·bound + (1 - factors[i])·x[i]. */
export function mixedClampF32(x: usize, factors: usize, low: f32, high: f32, out: usize, n: i32): void {
  const end = out + (<usize>n << 2)
  if (ASC_FEATURE_SIMD) {
    const lows = f32x4.splat(low), highs = f32x4.splat(high), one = f32x4.splat(1)
    for (; out + 16 <= end; x += 16, factors += 16, out += 16) {
      const v = v128.load(x), a = v128.load(factors)
      const below = f32x4.lt(v, lows), above = f32x4.lt(highs, v)
      const bound = v128.bitselect(lows, highs, below)
      const mixed = f32x4.add(f32x4.mul(a, bound), f32x4.mul(f32x4.sub(one, a), v))
      v128.store(out, v128.bitselect(mixed, v, v128.or(below, above)))
    }
  }
  for (; out < end; x += 4, factors += 4, out += 4) {
    const v = load<f32>(x), a = load<f32>(factors)
    const below = v < low, above = high < v
    const rest: f32 = 1 - a
    store<f32>(out, below || above ? a * (below ? low : high) + rest * v : v)
  }
}

/** sums[i] += g[i]·(cut(x[i]) - x[i]), then g[i] ·= 1 - factors[i] where x[i] was cut. */
export function mixedClampGradF32(
  x: usize, factors: usize, low: f32, high: f32, g: usize, sums: usize, n: i32,
): void {
  const end = g + (<usize>n << 2)
  if (ASC_FEATURE_SIMD) {
    const lows = f32x4.splat(low), highs = f32x4.splat(high), one = f32x4.splat(1)
    for (; g + 16 <= end; x += 16, factors += 16, g += 16, sums += 16) {
      const v = v128.load(x), d = v128.load(g), a = v128.load(factors)
      const below = f32x4.lt(v, lows), above = f32x4.lt(highs, v), cut = v128.or(below, above)
      const off = f32x4.sub(v128.bitselect(lows, highs, below), v)
      v128.store(sums, f32x4.add(v128.load(sums), v128.and(f32x4.mul(d, off), cut)))
      v128.store(g, v128.bitselect(f32x4.mul(f32x4.sub(one, a), d), d, cut))
    }
  }
  for (; g < end; x += 4, factors += 4, g += 4, sums += 4) {
    const v = load<f32>(x), d = load<f32>(g), a = load<f32>(factors)
    const below = v < low
    if (!below && !(high < v)) continue
    const off: f32 = (below ? low : high) - v, rest: f32 = 1 - a
    store<f32>(sums, load<f32>(sums) + d * off)
    store<f32>(g, rest * d)
  }
}
