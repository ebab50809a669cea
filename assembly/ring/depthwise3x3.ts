// 3×3 depthwise filters without dilation, the common case: the nine weights stay in registers.

/** The first `inside` words of `v`, at most four, into y. */
// @ts-ignore: decorator
@inline
export function put32(y: usize, v: v128, inside: i32, accumulate: bool): void {
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

/** Four words `stride` words apart; touches no byte outside the span they cover. */
// @ts-ignore: decorator
@inline
export function four(at: usize, stride: i32): v128 {
  if (stride == 1) return v128.load(at)
  if (stride == 2) return v128.shuffle<u32>(v128.load(at), v128.load(at, 12), 0, 2, 5, 7)
  let v = v128.load32_zero(at)
  v = v128.load32_lane(at + (stride << 2), v, 1)
  v = v128.load32_lane(at + (stride << 3), v, 2)
  return v128.load32_lane(at + stride * 12, v, 3)
}


/**
 * Stride 1, `rows` divisible by 3 and `columns` by 4. Three output rows share their loads: 15 for 27 products, where one
 * row alone takes 9 for 9 and waits for the load units. `below`: bytes between rows of y.
 */
function blocks(
  x: usize, pitch: usize, w: usize, y: usize, below: usize, rows: i32, columns: i32, accumulate: bool,
): void {
  const w0 = v128.load_splat<u32>(w), w1 = v128.load_splat<u32>(w, 4), w2 = v128.load_splat<u32>(w, 8)
  const w3 = v128.load_splat<u32>(w, 12), w4 = v128.load_splat<u32>(w, 16), w5 = v128.load_splat<u32>(w, 20)
  const w6 = v128.load_splat<u32>(w, 24), w7 = v128.load_splat<u32>(w, 28), w8 = v128.load_splat<u32>(w, 32)
  for (; rows > 0; rows -= 3, x += pitch * 3, y += below * 3) {
    let a = x, b = a + pitch, c = b + pitch, d = c + pitch, e = d + pitch
    for (let to = y, j = columns; j > 0; j -= 4, a += 16, b += 16, c += 16, d += 16, e += 16, to += 16) {
      let s = w0, t = w0, u = w0, v = w0
      v = v128.load(a)
      s = i32x4.mul(w0, v)
      v = v128.load(a, 4)
      s = i32x4.add(s, i32x4.mul(w1, v))
      v = v128.load(a, 8)
      s = i32x4.add(s, i32x4.mul(w2, v))
      v = v128.load(b)
      s = i32x4.add(s, i32x4.mul(w3, v)); t = i32x4.mul(w0, v)
      v = v128.load(b, 4)
      s = i32x4.add(s, i32x4.mul(w4, v)); t = i32x4.add(t, i32x4.mul(w1, v))
      v = v128.load(b, 8)
      s = i32x4.add(s, i32x4.mul(w5, v)); t = i32x4.add(t, i32x4.mul(w2, v))
      v = v128.load(c)
      s = i32x4.add(s, i32x4.mul(w6, v)); t = i32x4.add(t, i32x4.mul(w3, v)); u = i32x4.mul(w0, v)
      v = v128.load(c, 4)
      s = i32x4.add(s, i32x4.mul(w7, v)); t = i32x4.add(t, i32x4.mul(w4, v)); u = i32x4.add(u, i32x4.mul(w1, v))
      v = v128.load(c, 8)
      s = i32x4.add(s, i32x4.mul(w8, v)); t = i32x4.add(t, i32x4.mul(w5, v)); u = i32x4.add(u, i32x4.mul(w2, v))
      v = v128.load(d)
      t = i32x4.add(t, i32x4.mul(w6, v)); u = i32x4.add(u, i32x4.mul(w3, v))
      v = v128.load(d, 4)
      t = i32x4.add(t, i32x4.mul(w7, v)); u = i32x4.add(u, i32x4.mul(w4, v))
      v = v128.load(d, 8)
      t = i32x4.add(t, i32x4.mul(w8, v)); u = i32x4.add(u, i32x4.mul(w5, v))
      v = v128.load(e)
      u = i32x4.add(u, i32x4.mul(w6, v))
      v = v128.load(e, 4)
      u = i32x4.add(u, i32x4.mul(w7, v))
      v = v128.load(e, 8)
      u = i32x4.add(u, i32x4.mul(w8, v))
      put32(to, s, 4, accumulate)
      put32(to + below, t, 4, accumulate)
      put32(to + below * 2, u, 4, accumulate)
    }
  }
}

/** Any stride and size, one output row at a time. */
// @ts-ignore: decorator
@inline
function rowByRow(
  stride: i32, x: usize, down: usize, pitch: usize, w: usize, y: usize, below: usize, rows: i32, columns: i32,
  accumulate: bool,
): void {
  const w0 = v128.load_splat<u32>(w), w1 = v128.load_splat<u32>(w, 4), w2 = v128.load_splat<u32>(w, 8)
  const w3 = v128.load_splat<u32>(w, 12), w4 = v128.load_splat<u32>(w, 16), w5 = v128.load_splat<u32>(w, 20)
  const w6 = v128.load_splat<u32>(w, 24), w7 = v128.load_splat<u32>(w, 28), w8 = v128.load_splat<u32>(w, 32)
  const right = <usize>stride << 4
  for (; rows > 0; rows--, x += down, y += below) {
    let a = x, b = x + pitch, c = b + pitch
    for (let to = y, j = columns; j > 0; j -= 4, a += right, b += right, c += right, to += 16) {
      let s = i32x4.mul(w0, four(a, stride))
      let t = i32x4.mul(w1, four(a + 4, stride))
      let u = i32x4.mul(w2, four(a + 8, stride))
      s = i32x4.add(s, i32x4.mul(w3, four(b, stride)))
      t = i32x4.add(t, i32x4.mul(w4, four(b + 4, stride)))
      u = i32x4.add(u, i32x4.mul(w5, four(b + 8, stride)))
      s = i32x4.add(s, i32x4.mul(w6, four(c, stride)))
      t = i32x4.add(t, i32x4.mul(w7, four(c + 4, stride)))
      u = i32x4.add(u, i32x4.mul(w8, four(c + 8, stride)))
      put32(to, i32x4.add(i32x4.add(s, t), u), j, accumulate)
    }
  }
}

function stride1(
  x: usize, down: usize, pitch: usize, w: usize, y: usize, below: usize, rows: i32, columns: i32, accumulate: bool,
): void {
  rowByRow(1, x, down, pitch, w, y, below, rows, columns, accumulate)
}

function stride2(
  x: usize, down: usize, pitch: usize, w: usize, y: usize, below: usize, rows: i32, columns: i32, accumulate: bool,
): void {
  rowByRow(2, x, down, pitch, w, y, below, rows, columns, accumulate)
}

/** One plane: y[oh, ow] (+)= x filtered by w[3, 3]; `sw` is 1 or 2. `pitch`: bytes per row of the padded image. */
export function filter3x3(
  x: usize, pitch: usize, w: usize, y: usize, oh: i32, ow: i32, sh: i32, sw: i32, accumulate: bool,
): void {
  const below = <usize>ow << 2, down = pitch * <usize>sh
  if (sw == 2) {
    stride2(x, down, pitch, w, y, below, oh, ow, accumulate)
    return
  }
  if (sh != 1) {
    stride1(x, down, pitch, w, y, below, oh, ow, accumulate)
    return
  }
  const rows = oh - oh % 3, columns = ow & ~3
  const right = <usize>columns << 2
  blocks(x, pitch, w, y, below, rows, columns, accumulate)
  if (columns < ow) stride1(x + right, pitch, pitch, w, y + right, below, rows, ow - columns, accumulate)
  stride1(x + pitch * <usize>rows, pitch, pitch, w, y + below * <usize>rows, below, oh - rows, ow, accumulate)
}
