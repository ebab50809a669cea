// Float pooling, padding and resizing of whole channel planes.

/** y[c, oh, ow] = mean of x[c, h, w] over windows cut to the map; `whole` divides by their size within the padded map. */
export function avgPoolF32(
  x: usize, c: i32, h: i32, w: i32, kh: i32, kw: i32, sh: i32, sw: i32, top: i32, left: i32, bottom: i32, right: i32,
  oh: i32, ow: i32, whole: bool, y: usize,
): void {
  for (let channel = 0; channel < c; channel++, x += <usize>(h * w) << 2) {
    for (let i = 0; i < oh; i++) {
      const y0 = i * sh - top, y1 = min(y0 + kh, h + bottom)
      for (let j = 0; j < ow; j++, y += 4) {
        const x0 = j * sw - left, x1 = min(x0 + kw, w + right)
        const row0 = max(y0, 0), row1 = min(y1, h), column0 = max(x0, 0), column1 = min(x1, w)
        let sum: f64 = 0
        for (let row = row0; row < row1; row++) {
          const line = x + (<usize>(row * w) << 2)
          for (let column = column0; column < column1; column++) sum += <f64>load<f32>(line + (<usize>column << 2))
        }
        const size = whole ? (y1 - y0) * (x1 - x0) : (row1 - row0) * (column1 - column0)
        store<f32>(y, <f32>(sum / <f64>size))
      }
    }
  }
}

/** y[c, oh, ow] = largest of x[c, h, w] in each window; what lies outside the map does not count. NaN passes. */
export function maxPoolF32(
  x: usize, c: i32, h: i32, w: i32, kh: i32, kw: i32, sh: i32, sw: i32, top: i32, left: i32, oh: i32, ow: i32, y: usize,
): void {
  for (let channel = 0; channel < c; channel++, x += <usize>(h * w) << 2) {
    for (let i = 0; i < oh; i++) {
      const row0 = max(i * sh - top, 0), row1 = min(i * sh - top + kh, h)
      for (let j = 0; j < ow; j++, y += 4) {
        const column0 = max(j * sw - left, 0), column1 = min(j * sw - left + kw, w)
        let most: f32 = -<f32>Infinity
        for (let row = row0; row < row1; row++) {
          const line = x + (<usize>(row * w) << 2)
          for (let column = column0; column < column1; column++) {
            const v = load<f32>(line + (<usize>column << 2))
            most = v > most || v != v ? v : most
          }
        }
        store<f32>(y, most)
      }
    }
  }
}

/** y[c, oh, ow]: x[c, h, w] at row `top`, column `left` (negative ones crop), `fill` elsewhere. */
export function padF32(x: usize, c: i32, h: i32, w: i32, top: i32, left: i32, fill: f32, oh: i32, ow: i32, y: usize): void {
  for (let channel = 0; channel < c; channel++, x += <usize>(h * w) << 2) {
    for (let i = 0; i < oh; i++) {
      const row = i - top
      for (let j = 0; j < ow; j++, y += 4) {
        const column = j - left
        const inside = row >= 0 && row < h && column >= 0 && column < w
        store<f32>(y, inside ? load<f32>(x + (<usize>(row * w + column) << 2)) : fill)
      }
    }
  }
}

/**
 * y[c, oh, ow]: every output row and column between two of x. `rows`, `columns`: 12 bytes per output line: the indices of
 * both lines of x (i32) and the weight of the second (f32).
 */
export function resizeF32(
  x: usize, c: i32, h: i32, w: i32, rows: usize, columns: usize, oh: i32, ow: i32, y: usize,
): void {
  for (let channel = 0; channel < c; channel++, x += <usize>(h * w) << 2) {
    for (let i = 0, row = rows; i < oh; i++, row += 12) {
      const above = x + (<usize>(load<i32>(row) * w) << 2), below = x + (<usize>(load<i32>(row, 4) * w) << 2)
      const v = load<f32>(row, 8), u: f32 = 1 - v
      for (let j = 0, column = columns; j < ow; j++, y += 4, column += 12) {
        const left = <usize>load<i32>(column) << 2, right = <usize>load<i32>(column, 4) << 2
        const t = load<f32>(column, 8), s: f32 = 1 - t
        const first = s * load<f32>(above + left) + t * load<f32>(above + right)
        const second = s * load<f32>(below + left) + t * load<f32>(below + right)
        store<f32>(y, u * first + v * second)
      }
    }
  }
}
