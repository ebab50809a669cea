// The plain-text convolutions mod 2^32 and mod 2^64 against the sum as it stands, with BigInts.
import { describe, expect, it } from 'vitest'
import { type ConvOp, int32, int64 } from '../../src/plan/reference/linear.js'

const geometries = [
  { cin: 4, h: 5, w: 7, cout: 6, kernel: [3, 3], stride: [1, 1], pad: [1, 1, 1, 1], dilation: [1, 1], groups: 2 },
  { cin: 3, h: 6, w: 5, cout: 2, kernel: [1, 1], stride: [1, 1], pad: [0, 0, 0, 0], dilation: [1, 1], groups: 1 },
  { cin: 2, h: 8, w: 6, cout: 4, kernel: [3, 2], stride: [2, 3], pad: [1, 0, 2, 3], dilation: [2, 1], groups: 1 },
  // Taps that never meet the map.
  { cin: 2, h: 3, w: 3, cout: 2, kernel: [3, 3], stride: [1, 1], pad: [6, 6, 6, 6], dilation: [6, 6], groups: 2 },
] as const
const outputs = [
  [6, 5, 7],
  [2, 6, 5],
  [4, 4, 3],
  [2, 3, 3],
] as const

/** Words of all 64 bits. */
const words = (count: number, seed: bigint): bigint[] =>
  Array.from({ length: count }, (_, i) => BigInt.asIntN(64, (BigInt(i) + seed) * 0x9e3779b97f4a7c15n ** 3n))

function sums({ geometry: g, out: [c, oh, ow] }: ConvOp, x: bigint[], w: bigint[]): bigint[] {
  const perGroup = g.cin / g.groups
  return Array.from({ length: c * oh * ow }, (_, n) => {
    const [o, i, j] = [Math.floor(n / (oh * ow)), Math.floor(n / ow) % oh, n % ow]
    let sum = 0n
    for (let t = 0; t < perGroup * g.kernel[0] * g.kernel[1]; t++) {
      const ky = Math.floor(t / g.kernel[1]) % g.kernel[0]
      const y = i * g.stride[0] - g.pad[0] + ky * g.dilation[0]
      const z = j * g.stride[1] - g.pad[1] + (t % g.kernel[1]) * g.dilation[1]
      const ci = Math.floor((o * g.groups) / c) * perGroup + Math.floor(t / (g.kernel[0] * g.kernel[1]))
      const inside = y >= 0 && y < g.h && z >= 0 && z < g.w
      if (inside) sum += x[(ci * g.h + y) * g.w + z] * w[o * perGroup * g.kernel[0] * g.kernel[1] + t]
    }
    return sum
  })
}

describe.each(geometries.map((geometry, i) => ({ geometry, out: outputs[i] })))('$geometry', ({ geometry, out }) => {
  const op = { op: 'conv', of: 0, layer: 'c', geometry, scale: 0, out } as ConvOp
  const { cin, h, w, cout, kernel, groups } = geometry
  const x = words(cin * h * w, 3n)
  const weights = words((cout * cin * kernel[0] * kernel[1]) / groups, 77n)

  it('64 bits', () => {
    const found = int64.zeros(out[0] * out[1] * out[2])
    int64.convolve(op, BigInt64Array.from(x), BigInt64Array.from(weights), found)
    expect([...found]).toEqual(sums(op, x, weights).map((sum) => BigInt.asIntN(64, sum)))
  })

  it('32 bits', () => {
    const found = int32.zeros(out[0] * out[1] * out[2])
    const low = (of: bigint[]) => Int32Array.from(of, (word) => Number(BigInt.asIntN(32, word)))
    int32.convolve(op, low(x), low(weights), found)
    expect([...found]).toEqual(sums(op, x, weights).map((sum) => Number(BigInt.asIntN(32, sum))))
  })
})
