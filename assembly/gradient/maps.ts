// Gradients of what moves and pools channel planes: each element of dy goes back to where it came from. Scalar in both
// builds: these are a small part of any step.

/** y[c, ph, pw] = 0 but for x[c, h, w], whose element (i, j) goes to (i·sh + top, j·sw + left) where that is inside. */
export function spreadF32(
  x: usize, c: i32, h: i32, w: i32, sh: i32, sw: i32, top: i32, left: i32, y: usize, ph: i32, pw: i32,
): void {
  const plane = <usize>(ph * pw) << 2
  for (let channel = 0; channel < c; channel++, y += plane) {
    memory.fill(y, 0, plane)
    for (let i = 0; i < h; i++, x += <usize>w << 2) {
      const row = i * sh + top
      if (row < 0 || row >= ph) continue
      const line = y + (<usize>(row * pw) << 2)
      if (sw == 1) {
        const first = max(-left, 0), last = min(w, pw - left)
        if (first < last) memory.copy(line + (<usize>(first + left) << 2), x + (<usize>first << 2), <usize>(last - first) << 2)
      } else {
        for (let j = 0; j < w; j++) {
          const column = j * sw + left
          if (column >= 0 && column < pw) store<u32>(line + (<usize>column << 2), load<u32>(x + (<usize>j << 2)))
        }
      }
    }
  }
}

/** dx[c, h, w] of `avgPoolF32`: every element of dy in equal parts over its window. */
export function avgPoolGradF32(
  dy: usize, c: i32, h: i32, w: i32, kh: i32, kw: i32, sh: i32, sw: i32, top: i32, left: i32, bottom: i32, right: i32,
  oh: i32, ow: i32, whole: bool, dx: usize,
): void {
  const plane = <usize>(h * w) << 2
  for (let channel = 0; channel < c; channel++, dx += plane) {
    memory.fill(dx, 0, plane)
    for (let i = 0; i < oh; i++) {
      const y0 = i * sh - top, y1 = min(y0 + kh, h + bottom)
      for (let j = 0; j < ow; j++, dy += 4) {
        const x0 = j * sw - left, x1 = min(x0 + kw, w + right)
        const row0 = max(y0, 0), row1 = min(y1, h), column0 = max(x0, 0), column1 = min(x1, w)
        const size = whole ? (y1 - y0) * (x1 - x0) : (row1 - row0) * (column1 - column0)
        const part = load<f32>(dy) / <f32>size
        for (let row = row0; row < row1; row++) {
          const line = dx + (<usize>(row * w) << 2)
          for (let column = column0; column < column1; column++) {
            const at = line + (<usize>column << 2)
            store<f32>(at, load<f32>(at) + part)
          }
        }
      }
    }
  }
}

/** dx[c, h, w] of `maxPoolF32`: every element of dy to the first largest of its window in x. */
export function maxPoolGradF32(
  x: usize, dy: usize, c: i32, h: i32, w: i32, kh: i32, kw: i32, sh: i32, sw: i32, top: i32, left: i32, oh: i32, ow: i32,
  dx: usize,
): void {
  const plane = <usize>(h * w) << 2
  for (let channel = 0; channel < c; channel++, x += plane, dx += plane) {
    memory.fill(dx, 0, plane)
    for (let i = 0; i < oh; i++) {
      const row0 = max(i * sh - top, 0), row1 = min(i * sh - top + kh, h)
      for (let j = 0; j < ow; j++, dy += 4) {
        const column0 = max(j * sw - left, 0), column1 = min(j * sw - left + kw, w)
        let most: f32 = -<f32>Infinity, place: usize = <usize>(row0 * w + column0) << 2
        for (let row = row0; row < row1; row++) {
          for (let column = column0; column < column1; column++) {
            const at = <usize>(row * w + column) << 2, v = load<f32>(x + at)
            if (v > most) {
              most = v
              place = at
            }
          }
        }
        store<f32>(dx + place, load<f32>(dx + place) + load<f32>(dy))
      }
    }
  }
}

/** dx[c, h, w] of `resizeF32`, with its tables: every element of dy to the four it was blended from. */
export function resizeGradF32(
  dy: usize, c: i32, h: i32, w: i32, rows: usize, columns: usize, oh: i32, ow: i32, dx: usize,
): void {
  const plane = <usize>(h * w) << 2
  for (let channel = 0; channel < c; channel++, dx += plane) {
    memory.fill(dx, 0, plane)
    for (let i = 0, row = rows; i < oh; i++, row += 12) {
      const above = dx + (<usize>(load<i32>(row) * w) << 2), below = dx + (<usize>(load<i32>(row, 4) * w) << 2)
      const v = load<f32>(row, 8), u: f32 = 1 - v
      for (let j = 0, column = columns; j < ow; j++, dy += 4, column += 12) {
        const left = <usize>load<i32>(column) << 2, right = <usize>load<i32>(column, 4) << 2
        const t = load<f32>(column, 8), s: f32 = 1 - t, g = load<f32>(dy)
        store<f32>(above + left, load<f32>(above + left) + u * s * g)
        store<f32>(above + right, load<f32>(above + right) + u * t * g)
        store<f32>(below + left, load<f32>(below + left) + v * s * g)
        store<f32>(below + right, load<f32>(below + right) + v * t * g)
      }
    }
  }
}
