// Z_67 on bytes: digits 0 … 66, sixteen to a vector.

export const P: i32 = 67

/** a mod 67 for a < 134: the wrapped difference is the smaller one exactly when it did not borrow. */
// @ts-ignore: decorator
@inline
export function reduce(a: v128): v128 {
  return i8x16.min_u(a, i8x16.sub(a, i8x16.splat(67)))
}

// @ts-ignore: decorator
@inline
export function add(a: v128, b: v128): v128 {
  return reduce(i8x16.add(a, b))
}

// @ts-ignore: decorator
@inline
export function sub(a: v128, b: v128): v128 {
  return reduce(i8x16.add(a, i8x16.sub(i8x16.splat(67), b)))
}

/** Product by multiply and shift: 489 / 2^15 is 1/67 closely enough that the rounded quotient is off by less than one. */
// @ts-ignore: decorator
@inline
export function mul(a: v128, b: v128): v128 {
  return i8x16.narrow_i16x8_u(remainder(i16x8.extmul_low_i8x16_u(a, b)), remainder(i16x8.extmul_high_i8x16_u(a, b)))
}

// @ts-ignore: decorator
@inline
function remainder(p: v128): v128 {
  const quotient = i16x8.q15mulr_sat_s(p, i16x8.splat(489))
  const r = i16x8.sub(p, i16x8.mul(quotient, i16x8.splat(67)))
  return i16x8.add(r, v128.and(i16x8.shr_s(r, 15), i16x8.splat(67)))
}

// @ts-ignore: decorator
@inline
export function reduceScalar(a: i32): i32 {
  return a >= P ? a - P : a
}

/** a mod 67 for a < 2^13: a division would take longer for some numbers than for others. */
// @ts-ignore: decorator
@inline
export function productScalar(a: i32): i32 {
  return a - ((a * 15651) >> 20) * P
}
