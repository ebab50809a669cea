// Moving and summing whole channel planes: pooling sums, and one copy with offset and step that serves zero padding,
// subsampling and parameter-free shortcuts.

// @ts-ignore: decorator
@inline
function rowSum<T>(at: usize, n: i32): T {
  const end = at + <usize>n * sizeof<T>()
  let sum: T = 0
  if (ASC_FEATURE_SIMD && sizeof<T>() == 4) {
    if (n >= 8) {
      let lanes = i32x4.splat(0)
      for (; at + 16 <= end; at += 16) lanes = i32x4.add(lanes, v128.load(at))
      const pair = i32x4.add(lanes, v128.shuffle<u32>(lanes, lanes, 2, 3, 0, 1))
      sum = <T>(i32x4.extract_lane(pair, 0) + i32x4.extract_lane(pair, 1))
    }
  }
  for (; at < end; at += sizeof<T>()) sum += load<T>(at)
  return sum
}

/** y[c, oh, ow] = Σ of x[c, h, w] over kh×kw windows; what lies outside the image counts as zero. */
// @ts-ignore: decorator
@inline
function poolSum<T>(
  x: usize, c: i32, h: i32, w: i32, kh: i32, kw: i32, sh: i32, sw: i32, top: i32, left: i32, oh: i32, ow: i32, y: usize,
): void {
  for (let channel = 0; channel < c; channel++, x += <usize>(h * w) * sizeof<T>()) {
    for (let i = 0; i < oh; i++) {
      const row0 = max(i * sh - top, 0), row1 = min(i * sh - top + kh, h)
      for (let j = 0; j < ow; j++, y += sizeof<T>()) {
        const left0 = max(j * sw - left, 0), n = min(j * sw - left + kw, w) - left0
        let sum: T = 0
        if (n > 0) {
          for (let row = row0; row < row1; row++) sum += rowSum<T>(x + <usize>(row * w + left0) * sizeof<T>(), n)
        }
        store<T>(y, sum)
      }
    }
  }
}

export function poolSum32(
  x: usize, c: i32, h: i32, w: i32, kh: i32, kw: i32, sh: i32, sw: i32, top: i32, left: i32, oh: i32, ow: i32, y: usize,
): void {
  poolSum<u32>(x, c, h, w, kh, kw, sh, sw, top, left, oh, ow, y)
}

export function poolSum64(
  x: usize, c: i32, h: i32, w: i32, kh: i32, kw: i32, sh: i32, sw: i32, top: i32, left: i32, oh: i32, ow: i32, y: usize,
): void {
  poolSum<u64>(x, c, h, w, kh, kw, sh, sw, top, left, oh, ow, y)
}

/**
 * y[c, oh, ow]: every line a blend of two, by tables of (first, second, weight) per line; weights of 2^bits. Sums keep the
 * factor 2^(2·bits).
 */
// @ts-ignore: decorator
@inline
function resize<T>(
  x: usize, c: i32, h: i32, w: i32, rows: usize, columns: usize, bits: i32, oh: i32, ow: i32, y: usize,
): void {
  const one: T = <T>1 << <T>bits
  for (let channel = 0; channel < c; channel++, x += <usize>(h * w) * sizeof<T>()) {
    for (let i: usize = 0; i < <usize>oh; i++) {
      const row = rows + i * 12
      const upper = x + <usize>(load<u32>(row) * w) * sizeof<T>(), lower = x + <usize>(load<u32>(row, 4) * w) * sizeof<T>()
      const down = <T>load<u32>(row, 8)
      for (let j: usize = 0; j < <usize>ow; j++, y += sizeof<T>()) {
        const column = columns + j * 12
        const left = <usize>load<u32>(column) * sizeof<T>(), right = <usize>load<u32>(column, 4) * sizeof<T>()
        const across = <T>load<u32>(column, 8)
        const above = load<T>(upper + left) * (one - across) + load<T>(upper + right) * across
        const below = load<T>(lower + left) * (one - across) + load<T>(lower + right) * across
        store<T>(y, above * (one - down) + below * down)
      }
    }
  }
}

export function resize32(
  x: usize, c: i32, h: i32, w: i32, rows: usize, columns: usize, bits: i32, oh: i32, ow: i32, y: usize,
): void {
  resize<u32>(x, c, h, w, rows, columns, bits, oh, ow, y)
}

export function resize64(
  x: usize, c: i32, h: i32, w: i32, rows: usize, columns: usize, bits: i32, oh: i32, ow: i32, y: usize,
): void {
  resize<u64>(x, c, h, w, rows, columns, bits, oh, ow, y)
}

// @ts-ignore: decorator
@inline
function zero<T>(to: usize, words: i32): void {
  if (words >= 32) {
    memory.fill(to, 0, <usize>words * sizeof<T>())
    return
  }
  for (const end = to + <usize>words * sizeof<T>(); to < end; to += sizeof<T>()) store<T>(to, 0)
}

// @ts-ignore: decorator
@inline
function copyRow<T>(from: usize, step: i32, to: usize, words: i32): void {
  const end = to + <usize>words * sizeof<T>()
  if (ASC_FEATURE_SIMD) {
    if (step == 1) {
      for (; to + 16 <= end; to += 16, from += 16) v128.store(to, v128.load(from))
    } else if (sizeof<T>() == 4 && step == 2) {
      for (; to + 16 <= end; to += 16, from += 32) {
        v128.store(to, v128.shuffle<u32>(v128.load(from), v128.load(from, 12), 0, 2, 5, 7))
      }
    }
  }
  for (; to < end; to += sizeof<T>(), from += <usize>step * sizeof<T>()) store<T>(to, load<T>(from))
}

/** First i >= 0 with both a + i·s >= 0 and b + i >= 0. */
// @ts-ignore: decorator
@inline
function first(a: i32, s: i32, b: i32): i32 {
  return max(max(a < 0 ? (s - 1 - a) / s : 0, -b), 0)
}

/** First i beyond the image: a + i·s >= limit or b + i >= room. */
// @ts-ignore: decorator
@inline
function last(a: i32, s: i32, limit: i32, b: i32, room: i32): i32 {
  return min(limit > a ? (limit - a + s - 1) / s : 0, room - b)
}

/**
 * y[channels, yh, yw], every word written: y[at + ch, top + i, left + j] = x[ch, a0 + i·s0, a1 + j·s1] for all
 * ch, i, j >= 0 inside both, zero elsewhere.
 */
// @ts-ignore: decorator
@inline
function embed<T>(
  x: usize, c: i32, h: i32, w: i32, s0: i32, s1: i32, a0: i32, a1: i32, y: usize, channels: i32, yh: i32, yw: i32,
  at: i32, top: i32, left: i32,
): void {
  const i0 = first(a0, s0, top), i1 = last(a0, s0, h, top, yh)
  const j0 = first(a1, s1, left), j1 = last(a1, s1, w, left, yw)
  const n = j1 - j0
  const plane = <usize>(yh * yw) * sizeof<T>()
  for (let channel = 0; channel < channels; channel++, y += plane) {
    const source = channel - at
    if (source < 0 || source >= c || n <= 0 || i1 <= i0) {
      memory.fill(y, 0, plane)
      continue
    }
    zero<T>(y, (top + i0) * yw)
    for (let i = i0; i < i1; i++) {
      const row = y + <usize>((top + i) * yw) * sizeof<T>()
      zero<T>(row, left + j0)
      const from = x + <usize>((source * h + a0 + i * s0) * w + a1 + j0 * s1) * sizeof<T>()
      copyRow<T>(from, s1, row + <usize>(left + j0) * sizeof<T>(), n)
      zero<T>(row + <usize>(left + j1) * sizeof<T>(), yw - left - j1)
    }
    zero<T>(y + <usize>((top + i1) * yw) * sizeof<T>(), (yh - top - i1) * yw)
  }
}

export function embed32(
  x: usize, c: i32, h: i32, w: i32, s0: i32, s1: i32, a0: i32, a1: i32, y: usize, channels: i32, yh: i32, yw: i32,
  at: i32, top: i32, left: i32,
): void {
  embed<u32>(x, c, h, w, s0, s1, a0, a1, y, channels, yh, yw, at, top, left)
}

export function embed64(
  x: usize, c: i32, h: i32, w: i32, s0: i32, s1: i32, a0: i32, a1: i32, y: usize, channels: i32, yh: i32, yw: i32,
  at: i32, top: i32, left: i32,
): void {
  embed<u64>(x, c, h, w, s0, s1, a0, a1, y, channels, yh, yw, at, top, left)
}
