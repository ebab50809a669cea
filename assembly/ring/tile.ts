// The innermost products: C[rows, columns] (+)= A·B over one block of k, both operands packed.
//   A panel: for each k, ROWS<T>() words of one column of A.
//   B panel: for each k, COLUMNS<T>() words of one row of B; u64 with SIMD: four low halves, then four high halves.
// 4×8 for u32: eight accumulators and two B vectors stay in registers. 2×4 for u64: see `tile64`.

// @ts-ignore: decorator
@inline
export function ROWS<T>(): i32 { return sizeof<T>() == 4 ? 4 : 2 }

// @ts-ignore: decorator
@inline
export function COLUMNS<T>(): i32 { return sizeof<T>() == 4 ? 8 : 4 }

/** Words of k per block: a B panel of 8 KiB and an A panel of 4 KiB stay in the first-level cache. */
// @ts-ignore: decorator
@inline
export const DEPTH: i32 = 256

/** A full tile. `pitch`: bytes between rows of C. */
// @ts-ignore: decorator
@inline
export function tile<T>(a: usize, b: usize, depth: i32, c: usize, pitch: usize, accumulate: bool): void {
  if (sizeof<T>() == 4) {
    if (ASC_FEATURE_SIMD) tile32(a, b, depth, c, pitch, accumulate)
    else for (let j: usize = 0; j < 8; j += 2) columns32(a, b + (j << 2), depth, c + (j << 2), pitch, accumulate)
  } else {
    if (ASC_FEATURE_SIMD) tile64(a, b, depth, c, pitch, accumulate)
    else rows64(a, b, depth, c, pitch, accumulate)
  }
}

// @ts-ignore: decorator
@inline
function put32(c: usize, low: v128, high: v128, accumulate: bool): void {
  if (accumulate) {
    v128.store(c, i32x4.add(v128.load(c), low))
    v128.store(c, i32x4.add(v128.load(c, 16), high), 16)
  } else {
    v128.store(c, low)
    v128.store(c, high, 16)
  }
}

function tile32(a: usize, b: usize, depth: i32, c: usize, pitch: usize, accumulate: bool): void {
  let c00 = i32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00
  const end = a + (<usize>depth << 4)
  while (a < end) {
    const b0 = v128.load(b), b1 = v128.load(b, 16)
    const a0 = v128.load_splat<u32>(a)
    c00 = i32x4.add(c00, i32x4.mul(a0, b0)); c01 = i32x4.add(c01, i32x4.mul(a0, b1))
    const a1 = v128.load_splat<u32>(a, 4)
    c10 = i32x4.add(c10, i32x4.mul(a1, b0)); c11 = i32x4.add(c11, i32x4.mul(a1, b1))
    const a2 = v128.load_splat<u32>(a, 8)
    c20 = i32x4.add(c20, i32x4.mul(a2, b0)); c21 = i32x4.add(c21, i32x4.mul(a2, b1))
    const a3 = v128.load_splat<u32>(a, 12)
    c30 = i32x4.add(c30, i32x4.mul(a3, b0)); c31 = i32x4.add(c31, i32x4.mul(a3, b1))
    a += 16
    b += 32
  }
  put32(c, c00, c01, accumulate)
  put32(c + pitch, c10, c11, accumulate)
  put32(c + (pitch << 1), c20, c21, accumulate)
  put32(c + pitch * 3, c30, c31, accumulate)
}

/** The left half of a tile, for the last columns of C: four loads of A for four products, but half the products. */
function half32(a: usize, b: usize, depth: i32, c: usize, pitch: usize, accumulate: bool): void {
  let c0 = i32x4.splat(0), c1 = c0, c2 = c0, c3 = c0
  for (const end = a + (<usize>depth << 4); a < end; a += 16, b += 32) {
    const v = v128.load(b)
    c0 = i32x4.add(c0, i32x4.mul(v128.load_splat<u32>(a), v))
    c1 = i32x4.add(c1, i32x4.mul(v128.load_splat<u32>(a, 4), v))
    c2 = i32x4.add(c2, i32x4.mul(v128.load_splat<u32>(a, 8), v))
    c3 = i32x4.add(c3, i32x4.mul(v128.load_splat<u32>(a, 12), v))
  }
  const d = c + pitch, e = d + pitch, f = e + pitch
  v128.store(c, accumulate ? i32x4.add(v128.load(c), c0) : c0)
  v128.store(d, accumulate ? i32x4.add(v128.load(d), c1) : c1)
  v128.store(e, accumulate ? i32x4.add(v128.load(e), c2) : c2)
  v128.store(f, accumulate ? i32x4.add(v128.load(f), c3) : c3)
}

/** Four rows, two columns without SIMD: eight accumulators are what the register file holds. */
function columns32(a: usize, b: usize, depth: i32, c: usize, pitch: usize, accumulate: bool): void {
  let c00: u32 = 0, c01: u32 = 0, c10: u32 = 0, c11: u32 = 0, c20: u32 = 0, c21: u32 = 0, c30: u32 = 0, c31: u32 = 0
  const end = a + (<usize>depth << 4)
  while (a < end) {
    const b0 = load<u32>(b), b1 = load<u32>(b, 4)
    const a0 = load<u32>(a), a1 = load<u32>(a, 4)
    c00 += a0 * b0; c01 += a0 * b1
    c10 += a1 * b0; c11 += a1 * b1
    const a2 = load<u32>(a, 8), a3 = load<u32>(a, 12)
    c20 += a2 * b0; c21 += a2 * b1
    c30 += a3 * b0; c31 += a3 * b1
    a += 16
    b += 32
  }
  putPair<u32>(c, c00, c01, accumulate)
  putPair<u32>(c + pitch, c10, c11, accumulate)
  putPair<u32>(c + (pitch << 1), c20, c21, accumulate)
  putPair<u32>(c + pitch * 3, c30, c31, accumulate)
}

// @ts-ignore: decorator
@inline
function putPair<T>(c: usize, x: T, y: T, accumulate: bool): void {
  store<T>(c, accumulate ? load<T>(c) + x : x)
  store<T>(c, accumulate ? load<T>(c, sizeof<T>()) + y : y, sizeof<T>())
}

/** Sum of low products + sum of cross products · 2^32, four columns of one row. */
// @ts-ignore: decorator
@inline
function put64(c: usize, left: v128, right: v128, cross: v128, accumulate: bool): void {
  left = i64x2.add(left, i64x2.shl(i64x2.extend_low_i32x4_u(cross), 32))
  right = i64x2.add(right, i64x2.shl(i64x2.extend_high_i32x4_u(cross), 32))
  if (accumulate) {
    left = i64x2.add(left, v128.load(c))
    right = i64x2.add(right, v128.load(c, 16))
  }
  v128.store(c, left)
  v128.store(c, right, 16)
}

/**
 * x·y mod 2^64 = lo·lo + 2^32 (lo·hi + hi·lo): i64x2.mul would be eight instructions in V8; extmul for lo·lo and
 * i32x4.mul for both cross terms, summed apart and shifted once at the end, are fewer. Three accumulators per four
 * columns, so a larger tile than 2×4 spills.
 */
function tile64(a: usize, b: usize, depth: i32, c: usize, pitch: usize, accumulate: bool): void {
  let left0 = i64x2.splat(0), right0 = left0, cross0 = left0, left1 = left0, right1 = left0, cross1 = left0
  const end = a + (<usize>depth << 4)
  while (a < end) {
    const low = v128.load(b), high = v128.load(b, 16)
    const l0 = v128.load_splat<u32>(a), h0 = v128.load_splat<u32>(a, 4)
    left0 = i64x2.add(left0, i64x2.extmul_low_i32x4_u(l0, low))
    right0 = i64x2.add(right0, i64x2.extmul_high_i32x4_u(l0, low))
    cross0 = i32x4.add(cross0, i32x4.add(i32x4.mul(l0, high), i32x4.mul(h0, low)))
    const l1 = v128.load_splat<u32>(a, 8), h1 = v128.load_splat<u32>(a, 12)
    left1 = i64x2.add(left1, i64x2.extmul_low_i32x4_u(l1, low))
    right1 = i64x2.add(right1, i64x2.extmul_high_i32x4_u(l1, low))
    cross1 = i32x4.add(cross1, i32x4.add(i32x4.mul(l1, high), i32x4.mul(h1, low)))
    a += 16
    b += 32
  }
  put64(c, left0, right0, cross0, accumulate)
  put64(c + pitch, left1, right1, cross1, accumulate)
}

function rows64(a: usize, b: usize, depth: i32, c: usize, pitch: usize, accumulate: bool): void {
  let c00: u64 = 0, c01: u64 = 0, c02: u64 = 0, c03: u64 = 0, c10: u64 = 0, c11: u64 = 0, c12: u64 = 0, c13: u64 = 0
  const end = a + (<usize>depth << 4)
  while (a < end) {
    const b0 = load<u64>(b), b1 = load<u64>(b, 8), b2 = load<u64>(b, 16), b3 = load<u64>(b, 24)
    const a0 = load<u64>(a), a1 = load<u64>(a, 8)
    c00 += a0 * b0; c01 += a0 * b1; c02 += a0 * b2; c03 += a0 * b3
    c10 += a1 * b0; c11 += a1 * b1; c12 += a1 * b2; c13 += a1 * b3
    a += 16
    b += 32
  }
  putPair<u64>(c, c00, c01, accumulate)
  putPair<u64>(c + 16, c02, c03, accumulate)
  putPair<u64>(c + pitch, c10, c11, accumulate)
  putPair<u64>(c + pitch + 16, c12, c13, accumulate)
}

/**
 * All rows of one column panel. `a`: panels one after another; `edge`: room for one tile (128 B), where tiles that
 * stick out of C are computed in full before the part inside is taken.
 */
export function panel<T>(
  a: usize, b: usize, depth: i32, c: usize, pitch: usize, rows: i32, columns: i32, accumulate: bool, edge: usize,
): void {
  const step = <usize>(depth * ROWS<T>()) * sizeof<T>()
  const edgePitch = <usize>COLUMNS<T>() * sizeof<T>()
  for (let i = 0; i < rows; i += ROWS<T>(), a += step, c += pitch * ROWS<T>()) {
    const inside = min(rows - i, ROWS<T>())
    if (ASC_FEATURE_SIMD && sizeof<T>() == 4 && columns <= 4) {
      if (inside == 4 && columns == 4) {
        half32(a, b, depth, c, pitch, accumulate)
        continue
      }
      half32(a, b, depth, edge, edgePitch, false)
    } else if (inside == ROWS<T>() && columns == COLUMNS<T>()) {
      tile<T>(a, b, depth, c, pitch, accumulate)
      continue
    } else tile<T>(a, b, depth, edge, edgePitch, false)
    for (let r = 0; r < inside; r++) {
      for (let j: usize = 0; j < <usize>columns * sizeof<T>(); j += sizeof<T>()) {
        const at = c + <usize>r * pitch + j
        const value = load<T>(edge + <usize>r * edgePitch + j)
        store<T>(at, accumulate ? load<T>(at) + value : value)
      }
    }
  }
}
