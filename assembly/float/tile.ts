// The innermost products in float: C[rows, columns] = start + A·B over one block of k, both operands packed as for the
// ring (see ../ring/tile): 4 rows, 8 columns. Every element is one sum in the order of k, whatever tile it falls into, so
// results do not depend on the build.
import { within, within4 } from './bounds'

/**
 * A full tile. `bias`: four words to start from, or 0 to start from what C holds. `pitch`: bytes between rows of C.
 * Results are cut to [low, high].
 */
// @ts-ignore: decorator
@inline
function tile(a: usize, b: usize, depth: i32, c: usize, pitch: usize, bias: usize, low: f32, high: f32): void {
  if (ASC_FEATURE_SIMD) tile4x8(a, b, depth, c, pitch, bias, low, high)
  else for (let j: usize = 0; j < 32; j += 8) columns(a, b + j, depth, c + j, pitch, bias, low, high)
}

function tile4x8(a: usize, b: usize, depth: i32, c: usize, pitch: usize, bias: usize, low: f32, high: f32): void {
  const d = c + pitch, e = d + pitch, f = e + pitch
  let c0: v128, c1: v128, d0: v128, d1: v128, e0: v128, e1: v128, f0: v128, f1: v128
  if (bias != 0) {
    c0 = c1 = v128.load_splat<u32>(bias)
    d0 = d1 = v128.load_splat<u32>(bias, 4)
    e0 = e1 = v128.load_splat<u32>(bias, 8)
    f0 = f1 = v128.load_splat<u32>(bias, 12)
  } else {
    c0 = v128.load(c); c1 = v128.load(c, 16)
    d0 = v128.load(d); d1 = v128.load(d, 16)
    e0 = v128.load(e); e1 = v128.load(e, 16)
    f0 = v128.load(f); f1 = v128.load(f, 16)
  }
  for (const end = a + (<usize>depth << 4); a < end; a += 16, b += 32) {
    const b0 = v128.load(b), b1 = v128.load(b, 16)
    const a0 = v128.load_splat<u32>(a)
    c0 = f32x4.add(c0, f32x4.mul(a0, b0)); c1 = f32x4.add(c1, f32x4.mul(a0, b1))
    const a1 = v128.load_splat<u32>(a, 4)
    d0 = f32x4.add(d0, f32x4.mul(a1, b0)); d1 = f32x4.add(d1, f32x4.mul(a1, b1))
    const a2 = v128.load_splat<u32>(a, 8)
    e0 = f32x4.add(e0, f32x4.mul(a2, b0)); e1 = f32x4.add(e1, f32x4.mul(a2, b1))
    const a3 = v128.load_splat<u32>(a, 12)
    f0 = f32x4.add(f0, f32x4.mul(a3, b0)); f1 = f32x4.add(f1, f32x4.mul(a3, b1))
  }
  const l = f32x4.splat(low), h = f32x4.splat(high)
  v128.store(c, within4(c0, l, h)); v128.store(c, within4(c1, l, h), 16)
  v128.store(d, within4(d0, l, h)); v128.store(d, within4(d1, l, h), 16)
  v128.store(e, within4(e0, l, h)); v128.store(e, within4(e1, l, h), 16)
  v128.store(f, within4(f0, l, h)); v128.store(f, within4(f1, l, h), 16)
}

/** The left half of a tile, for the last columns of C. */
function half(a: usize, b: usize, depth: i32, c: usize, pitch: usize, bias: usize, low: f32, high: f32): void {
  const d = c + pitch, e = d + pitch, f = e + pitch
  let s = bias != 0 ? v128.load_splat<u32>(bias) : v128.load(c)
  let t = bias != 0 ? v128.load_splat<u32>(bias, 4) : v128.load(d)
  let u = bias != 0 ? v128.load_splat<u32>(bias, 8) : v128.load(e)
  let v = bias != 0 ? v128.load_splat<u32>(bias, 12) : v128.load(f)
  for (const end = a + (<usize>depth << 4); a < end; a += 16, b += 32) {
    const x = v128.load(b)
    s = f32x4.add(s, f32x4.mul(v128.load_splat<u32>(a), x))
    t = f32x4.add(t, f32x4.mul(v128.load_splat<u32>(a, 4), x))
    u = f32x4.add(u, f32x4.mul(v128.load_splat<u32>(a, 8), x))
    v = f32x4.add(v, f32x4.mul(v128.load_splat<u32>(a, 12), x))
  }
  const l = f32x4.splat(low), h = f32x4.splat(high)
  v128.store(c, within4(s, l, h))
  v128.store(d, within4(t, l, h))
  v128.store(e, within4(u, l, h))
  v128.store(f, within4(v, l, h))
}

/** Four rows, two columns without SIMD. */
function columns(a: usize, b: usize, depth: i32, c: usize, pitch: usize, bias: usize, low: f32, high: f32): void {
  const d = c + pitch, e = d + pitch, f = e + pitch
  const first = bias != 0
  let c0 = load<f32>(first ? bias : c), c1 = first ? c0 : load<f32>(c, 4)
  let d0 = load<f32>(first ? bias + 4 : d), d1 = first ? d0 : load<f32>(d, 4)
  let e0 = load<f32>(first ? bias + 8 : e), e1 = first ? e0 : load<f32>(e, 4)
  let f0 = load<f32>(first ? bias + 12 : f), f1 = first ? f0 : load<f32>(f, 4)
  for (const end = a + (<usize>depth << 4); a < end; a += 16, b += 32) {
    const b0 = load<f32>(b), b1 = load<f32>(b, 4)
    const a0 = load<f32>(a), a1 = load<f32>(a, 4), a2 = load<f32>(a, 8), a3 = load<f32>(a, 12)
    c0 += a0 * b0; c1 += a0 * b1
    d0 += a1 * b0; d1 += a1 * b1
    e0 += a2 * b0; e1 += a2 * b1
    f0 += a3 * b0; f1 += a3 * b1
  }
  store<f32>(c, within(c0, low, high)); store<f32>(c, within(c1, low, high), 4)
  store<f32>(d, within(d0, low, high)); store<f32>(d, within(d1, low, high), 4)
  store<f32>(e, within(e0, low, high)); store<f32>(e, within(e1, low, high), 4)
  store<f32>(f, within(f0, low, high)); store<f32>(f, within(f1, low, high), 4)
}

// @ts-ignore: decorator
@inline
function move(from: usize, fromPitch: usize, to: usize, toPitch: usize, rows: i32, columns: i32): void {
  for (let r = 0; r < rows; r++, from += fromPitch, to += toPitch) {
    for (let j: usize = 0; j < <usize>columns << 2; j += 4) store<f32>(to + j, load<f32>(from + j))
  }
}

/**
 * All rows of one column panel. `a`: row panels `step` bytes apart; `bias`: one word per row, readable up to a multiple
 * of four rows, or 0 to start from C; `edge`: 128 bytes, where tiles that stick out of C are computed.
 */
export function panel(
  a: usize, step: usize, b: usize, depth: i32, c: usize, pitch: usize, rows: i32, columns: i32, bias: usize, low: f32,
  high: f32, edge: usize,
): void {
  for (let i = 0; i < rows; i += 4, a += step, c += pitch << 2) {
    const inside = min(rows - i, 4)
    const narrow = ASC_FEATURE_SIMD && columns <= 4
    const whole = inside == 4 && columns == (narrow ? 4 : 8)
    const to = whole ? c : edge, toPitch: usize = whole ? pitch : 32
    if (!whole && bias == 0) move(c, pitch, edge, 32, inside, columns)
    if (narrow) half(a, b, depth, to, toPitch, bias, low, high)
    else tile(a, b, depth, to, toPitch, bias, low, high)
    if (!whole) move(edge, 32, c, pitch, inside, columns)
    if (bias != 0) bias += 16
  }
}
