// What JPEG makes of a small picture, without the bytes between: quality 75, colours at half the resolution. Pixel for
// pixel what libjpeg 7 and later (Independent JPEG Group) write and libjpeg-turbo reads: the integer transforms are those
// of jfdctint.c and jidctint.c (Loeffler, Ligtenberg and Moschytz 1989); version 7 halves colours within the 16×16
// transform, and reading spreads them by triangles.

type Map8 = readonly number[]

/** ITU-T T.81, annex K, at quality 75: half of every entry, rounded up. */
const half = (table: Map8): Map8 => table.map((entry) => Math.floor((entry * 50 + 50) / 100))
const LUMA = half([
  ...[16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56],
  ...[14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92],
  ...[49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99],
])
const CHROMA = half([
  ...[17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99],
  ...[47, 66, 99, 99, 99, 99, 99, 99, ...Array<number>(32).fill(99)],
])

const fixed = (bits: number) => (x: number) => Math.floor(x * 2 ** bits + 0.5)
const c = fixed(13)
const descale = (x: number, bits: number): number => (x + 2 ** (bits - 1)) >> bits

/** Eight samples to eight frequencies. */
function forward8(d: number[], shift: number): number[] {
  const [s0, s1, s2, s3] = [d[0] + d[7], d[1] + d[6], d[2] + d[5], d[3] + d[4]]
  const [t4, t5, t6, t7] = [d[3] - d[4], d[2] - d[5], d[1] - d[6], d[0] - d[7]]
  const [t10, t11, t12, t13] = [s0 + s3, s1 + s2, s1 - s2, s0 - s3]
  const z1 = (t12 + t13) * c(0.5411961)
  const [o1, o3, o5, o7] = odd(t4, t5, t6, t7)
  const whole = (x: number) => descale(x * 2 ** 13, shift)
  return [
    ...[whole(t10 + t11), descale(o1, shift), descale(z1 + t13 * c(0.765366865), shift), descale(o3, shift)],
    ...[whole(t10 - t11), descale(o5, shift), descale(z1 - t12 * c(1.847759065), shift), descale(o7, shift)],
  ]
}

/** The odd half of both directions: a rotation network that is its own mirror image. */
function odd(a: number, b: number, d: number, e: number): readonly [number, number, number, number] {
  const z5 = (a + d + b + e) * c(1.175875602)
  const [z1, z2] = [-(a + e) * c(0.899976223), -(b + d) * c(2.562915447)]
  const [z3, z4] = [z5 - (a + d) * c(1.96157056), z5 - (b + e) * c(0.390180644)]
  return [
    ...[e * c(1.50132111) + z1 + z4, d * c(3.072711026) + z2 + z3],
    ...[b * c(2.053119869) + z2 + z4, a * c(0.298631336) + z1 + z3],
  ] as unknown as readonly [number, number, number, number]
}

/** Sixteen samples to their eight lowest frequencies. */
function forward16(d: number[], shift: number): number[] {
  const s = (i: number) => d[i] + d[15 - i]
  const m = Array.from({ length: 8 }, (_, i) => d[i] - d[15 - i])
  const [t10, t11, t12, t13] = [s(0) + s(7), s(1) + s(6), s(2) + s(5), s(3) + s(4)]
  const [t14, t15, t16, t17] = [s(0) - s(7), s(1) - s(6), s(2) - s(5), s(3) - s(4)]
  const x = (t17 - t15) * c(0.275899379) + (t14 - t16) * c(1.387039845)
  const a11 = (m[0] + m[1]) * c(1.353318001) + (m[6] - m[7]) * c(0.410524528)
  const a12 = (m[0] + m[2]) * c(1.247225013) + (m[5] + m[7]) * c(0.666655658)
  const a13 = (m[0] + m[3]) * c(1.093201867) + (m[4] - m[7]) * c(0.897167586)
  const a14 = (m[1] + m[2]) * c(0.138617169) + (m[6] - m[5]) * c(1.407403738)
  const a15 = -(m[1] + m[3]) * c(0.666655658) - (m[4] + m[6]) * c(1.247225013)
  const a16 = -(m[2] + m[3]) * c(1.353318001) + (m[5] - m[4]) * c(0.410524528)
  const o1 = a11 + a12 + a13 - m[0] * c(2.286341144) + m[7] * c(0.779653625)
  const o3 = a11 + a14 + a15 + m[1] * c(0.071888074) - m[6] * c(1.663905119)
  const o5 = a12 + a14 + a16 - m[2] * c(1.125726048) + m[5] * c(1.227391138)
  const o7 = a13 + a15 + a16 + m[3] * c(1.065388962) + m[4] * c(2.167985692)
  const even4 = (t10 - t13) * c(1.306562965) + (t11 - t12) * c(0.5411961)
  const even2 = x + t15 * c(1.451774982) + t16 * c(2.172734804)
  const even6 = x - t14 * c(0.211164243) - t17 * c(1.061594338)
  return [(t10 + t11 + t12 + t13) * 2 ** 13, o1, even2, o3, even4, o5, even6, o7].map((v) => descale(v, shift))
}

/** Eight frequencies to eight samples. */
function backward8(f: number[], shift: number): number[] {
  const z1 = (f[2] + f[6]) * c(0.5411961)
  const [t2, t3] = [z1 - f[6] * c(1.847759065), z1 + f[2] * c(0.765366865)]
  const [t0, t1] = [(f[0] + f[4]) * 2 ** 13, (f[0] - f[4]) * 2 ** 13]
  const even = [t0 + t3, t1 + t2, t1 - t2, t0 - t3]
  const odds = odd(f[7], f[5], f[3], f[1])
  return Array.from({ length: 8 }, (_, i) => descale(i < 4 ? even[i] + odds[i] : even[7 - i] - odds[7 - i], shift))
}

/** One transform along rows, then along columns, or the other way round. */
function twice(
  block: number[][],
  transform: (values: number[], shift: number) => number[],
  shifts: readonly [number, number],
): number[][] {
  const turned = transpose(block.map((values) => transform(values, shifts[0])))
  return transpose(turned.map((values) => transform(values, shifts[1])))
}

const transpose = (rows: number[][]): number[][] => rows[0].map((_, i) => rows.map((row) => row[i]))
const clamp = (x: number): number => Math.min(255, Math.max(0, x))

/** A plane as its quantised 8×8 blocks give it back; of samples twice as dense with `size` 16. */
function throughBlocks(plane: number[][], size: 8 | 16, table: Map8): number[][] {
  const back = plane.slice(0, (plane.length * 8) / size).map((): number[] => [])
  for (let y = 0; y < plane.length; y += size) {
    for (let x = 0; x < plane.length; x += size) {
      const samples = plane.slice(y, y + size).map((row) => row.slice(x, x + size).map((value) => value - 128))
      const frequencies = size === 8 ? twice(samples, forward8, [11, 15]) : twice(samples, forward16, [11, 17])
      // The transforms leave a factor of 8.
      const kept = frequencies.map((row, v) =>
        row.map((value, u) => {
          const step = table[8 * v + u]
          return Math.sign(value) * Math.floor((Math.abs(value) + 4 * step) / (8 * step)) * step
        }),
      )
      const columnsFirst = transpose(twice(transpose(kept), backward8, [11, 18]))
      columnsFirst.forEach((row, i) => {
        for (const value of row) back[(y * 8) / size + i].push(clamp(value + 128))
      })
    }
  }
  return back
}

/** Twice as dense both ways: each new sample is 3/4 of the near and 1/4 of the far one, along each axis. */
function spread(plane: number[][]): number[][] {
  const last = plane.length - 1
  return Array.from({ length: 2 * plane.length }, (_, y) => {
    const far = plane[Math.min(last, Math.max(0, (y >> 1) + (y % 2 === 0 ? -1 : 1)))]
    const sums = plane[y >> 1].map((value, x) => 3 * value + far[x])
    return Array.from({ length: 2 * sums.length }, (_, x) => {
      const next = sums[Math.min(last, Math.max(0, (x >> 1) + (x % 2 === 0 ? -1 : 1)))]
      return (3 * sums[x >> 1] + next + (x % 2 === 0 ? 8 : 7)) >> 4
    })
  })
}

/**
 * @param planes red, green and blue, `side`×`side` each; replaced
 * @param side a multiple of 16
 */
export function throughJpeg(planes: Uint8Array, side: number): void {
  const f = fixed(16)
  const n = side * side
  const plane = (of: (r: number, g: number, b: number) => number) =>
    Array.from({ length: side }, (_, y) =>
      Array.from({ length: side }, (_, x) => {
        const i = y * side + x
        return of(planes[i], planes[n + i], planes[2 * n + i]) >> 16
      }),
    )
  const centre = 128 * 65536 + 32767
  const luma = plane((r, g, b) => f(0.299) * r + f(0.587) * g + f(0.114) * b + 32768)
  const blue = plane((r, g, b) => -f(0.168735892) * r - f(0.331264108) * g + f(0.5) * b + centre)
  const red = plane((r, g, b) => f(0.5) * r - f(0.418687589) * g - f(0.081312411) * b + centre)
  const y = throughBlocks(luma, 8, LUMA)
  const [cb, cr] = [blue, red].map((of) => spread(throughBlocks(of, 16, CHROMA)))
  for (let i = 0; i < n; i++) {
    const [row, column] = [Math.floor(i / side), i % side]
    const [u, v] = [cb[row][column] - 128, cr[row][column] - 128]
    const at = y[row][column]
    planes[i] = clamp(at + ((f(1.402) * v + 32768) >> 16))
    planes[n + i] = clamp(at + ((-f(0.34414) * u - f(0.71414) * v + 32768) >> 16))
    planes[2 * n + i] = clamp(at + ((f(1.772) * u + 32768) >> 16))
  }
}
