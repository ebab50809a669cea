// An activation fused into the kernel before it: bounds that results are cut to; -∞ and ∞ for none. NaN passes.

// @ts-ignore: decorator
@inline
export function within(x: f32, low: f32, high: f32): f32 {
  x = x < low ? low : x
  return high < x ? high : x
}

/** As `within`; pmax and pmin are one instruction each and make the same choices. */
// @ts-ignore: decorator
@inline
export function within4(v: v128, low: v128, high: v128): v128 {
  return f32x4.pmin(f32x4.pmax(v, low), high)
}
