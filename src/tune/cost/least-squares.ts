// Linear models of measured times.

/**
 * Coefficients x >= 0 that make the relative errors of rows · x against `times` least in the square: a feature whose
 * coefficient would be negative is left out.
 * @param times positive, one per row
 */
export function leastSquares(rows: readonly (readonly number[])[], times: readonly number[]): number[] {
  const features = rows[0].map((_, i) => i)
  for (let used = features; ; ) {
    const found = solve(rows, times, used)
    const negative = used.filter((_, i) => found[i] < 0)
    if (negative.length === 0) return features.map((i) => (used.includes(i) ? found[used.indexOf(i)] : 0))
    const worst = used.reduce((a, b) => (found[used.indexOf(b)] < found[used.indexOf(a)] ? b : a))
    used = used.filter((i) => i !== worst)
  }
}

/** The normal equations of relative errors, by Gaussian elimination. */
function solve(rows: readonly (readonly number[])[], times: readonly number[], used: readonly number[]): number[] {
  // Every feature scaled by its largest value: multiplications outnumber calls by millions.
  const scale = used.map((i) => rows.reduce((most, row, r) => Math.max(most, row[i] / times[r]), 0))
  const a = rows.map((row, r) => used.map((i, j) => row[i] / times[r] / scale[j]))
  const m = used.map((_, i) => [
    ...used.map((_, j) => a.reduce((sum, row) => sum + row[i] * row[j], 0)),
    a.reduce((sum, row) => sum + row[i], 0),
  ])
  for (let i = 0; i < m.length; i++) {
    const pivot = m.slice(i).reduce((best, row, at) => (Math.abs(row[i]) > Math.abs(m[best][i]) ? i + at : best), i)
    ;[m[i], m[pivot]] = [m[pivot], m[i]]
    for (let r = 0; r < m.length; r++) {
      if (r === i) continue
      const factor = m[r][i] / m[i][i]
      for (let c = i; c <= m.length; c++) m[r][c] -= factor * m[i][c]
    }
  }
  return m.map((row, i) => row[m.length] / row[i] / scale[i])
}
