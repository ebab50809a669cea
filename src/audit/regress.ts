// What a linear map that was learned from recorded pairs makes of a view: ridge regression from views to pictures, in its
// dual form, so that long views cost one matrix of their inner products. A mask that was used twice is a constant to it.
import { dot, meanOf } from './rank.js'

/** Views of one kind, one per inference: n-bit words, or bytes of which every bit counts for itself. */
export type ViewData =
  | { readonly words: readonly Int32Array[]; readonly bits: number }
  | { readonly bytes: readonly Uint8Array[] }

/** Of the mean inner product of a view with itself. */
const RIDGE = 1e-2

/**
 * Pictures as the views of the first inferences have them, learned from the others.
 * @param pictures of all inferences but the first `count`, in their order
 * @returns one reconstruction for each of the first `count` views
 */
export function regressed(view: ViewData, pictures: readonly Float32Array[], count: number): Float32Array[] {
  const inner = 'words' in view ? wordProducts(view.words, view.bits, count) : bitProducts(view.bytes)
  const known = pictures.length
  const rows = Array.from({ length: known }, (_, i) => i + count)
  const centre = centring(inner, rows)
  const matrix = rows.map((i) => Float64Array.from(rows, (j) => centre(i, j)))
  const trace = matrix.reduce((sum, row, i) => sum + row[i], 0) / known
  matrix.forEach((row, i) => {
    row[i] += RIDGE * trace + 1e-12
  })
  cholesky(matrix)
  const middle = meanOf(pictures)
  return Array.from({ length: count }, (_, i) => {
    const weights = solved(
      matrix,
      Float64Array.from(rows, (j) => centre(i, j)),
    )
    const sum = middle.slice()
    pictures.forEach((picture, k) => {
      for (let e = 0; e < sum.length; e++) sum[e] += weights[k] * (picture[e] - middle[e])
    })
    return Float32Array.from(sum)
  })
}

/**
 * Words are taken less those of one of the inferences, in the ring, and as signed fractions of it: a mask that both have is
 * gone.
 */
function wordProducts(words: readonly Int32Array[], bits: number, reference: number): Float64Array[] {
  const up = 32 - bits
  const signed = words.map((view) =>
    Float64Array.from(view, (word, i) => (((word - words[reference][i]) << up) >> up) / 2 ** (bits - 1)),
  )
  return products(signed.length, (i, j) => dot(signed[i], signed[j]))
}

/** Bits are ±1: their inner product counts how many are equal, less those that are not. */
function bitProducts(bytes: readonly Uint8Array[]): Float64Array[] {
  const words = bytes.map((view) => {
    const whole = new Uint8Array(4 * Math.ceil(view.length / 4))
    whole.set(view)
    return new Uint32Array(whole.buffer)
  })
  return products(words.length, (i, j) => {
    let differ = 0
    for (let w = 0; w < words[i].length; w++) differ += ones(words[i][w] ^ words[j][w])
    return 1 - (2 * differ) / Math.max(8 * bytes[0].length, 1)
  })
}

function ones(word: number): number {
  let w = word - ((word >>> 1) & 0x55555555)
  w = (w & 0x33333333) + ((w >>> 2) & 0x33333333)
  return Math.imul((w + (w >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24
}

function products(count: number, product: (i: number, j: number) => number): Float64Array[] {
  const all = Array.from({ length: count }, () => new Float64Array(count))
  for (let i = 0; i < count; i++) for (let j = 0; j <= i; j++) all[i][j] = all[j][i] = product(i, j)
  return all
}

/** Inner products of views less the mean view of `rows`. */
function centring(inner: readonly Float64Array[], rows: readonly number[]): (i: number, j: number) => number {
  const means = inner.map((row) => rows.reduce((sum, j) => sum + row[j], 0) / rows.length)
  const whole = rows.reduce((sum, i) => sum + means[i], 0) / rows.length
  return (i, j) => inner[i][j] - means[i] - means[j] + whole
}

/** The lower triangle becomes L of L·Lᵀ. */
function cholesky(matrix: readonly Float64Array[]): void {
  matrix.forEach((row, i) => {
    for (let j = 0; j <= i; j++) {
      let sum = row[j]
      for (let k = 0; k < j; k++) sum -= row[k] * matrix[j][k]
      row[j] = i === j ? Math.sqrt(Math.max(sum, 1e-300)) : sum / matrix[j][j]
    }
  })
}

/** The right-hand side becomes the solution. */
function solved(lower: readonly Float64Array[], right: Float64Array): Float64Array {
  const n = lower.length
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) right[i] -= lower[i][k] * right[k]
    right[i] /= lower[i][i]
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) right[i] -= lower[k][i] * right[k]
    right[i] /= lower[i][i]
  }
  return right
}
