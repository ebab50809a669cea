// ONNX nodes that no private step computes: they convert all the same, run in float and, at the end, at the client.
import { describe, expect, it } from 'vitest'
import { numbers } from '../run-converted.js'
import { at, DIMS, expectValues, ints, node, run, scalar, X } from './small-graphs.js'

describe('what no private step computes', () => {
  const sigmoid = (v: number) => 1 / (1 + Math.exp(-v))
  it('is a layer all the same: gates, hard-swish, powers, functions', () => {
    const hardSwish = (v: number) => v * Math.min(Math.max(v / 6 + 0.5, 0), 1)
    expectValues(run([node('HardSwish', 'x', 'y')], {}, DIMS, 14), X.map(hardSwish))
    expectValues(
      run([node('Sigmoid', 'x', 'a'), node('Mul', 'x a', 'y')]),
      X.map((v) => v * sigmoid(v)),
    )
    expectValues(
      run([node('Pow', 'x two', 'y')], { two: scalar(2) }),
      X.map((v) => v * v),
    )
    const rooted = [
      node('Pow', 'x two', 'a'),
      node('Add', 'a one', 'b'),
      node('Sqrt', 'b', 'c'),
      node('Div', 'x c', 'y'),
    ]
    const numbersOf = { one: scalar(1), two: scalar(2) }
    expectValues(
      run(rooted, numbersOf),
      X.map((v) => v / Math.sqrt(v * v + 1)),
    )
    for (const [op, f] of Object.entries({ Tanh: Math.tanh, Exp: Math.exp, Sigmoid: sigmoid })) {
      expectValues(run([node(op, 'x', 'y')]), X.map(f))
    }
  })

  it('a product with one number per channel, as squeeze-and-excite makes it of a vector', () => {
    const nodes = [
      node('GlobalAveragePool', 'x', 'a'),
      node('Flatten', 'a', 'b'),
      node('Gemm', 'b w', 'c', { transB: 1 }),
      node('Reshape', 'c to', 'd'),
      node('Mul', 'x d', 'y'),
    ]
    const w = numbers(16, 4)
    const mean = (c: number) => X.slice(6 * c, 6 * c + 6).reduce((a, b) => a + b) / 6
    const factor = (c: number) => [0, 1, 2, 3].reduce((sum, i) => sum + w[4 * c + i] * mean(i), 0)
    const got = run(nodes, { w: { dims: [4, 4], data: w }, to: ints(1, 4, 1, 1) })
    expectValues(
      got,
      X.map((v, i) => v * factor(Math.floor(i / 6))),
    )
  })

  it('numbers behind it are public, so that the client can compute with them', () => {
    const nodes = [
      node('Sigmoid', 'x', 'a'),
      node('Mul', 'a two', 'b'),
      node('Sub', 'b one', 'c'),
      node('Clip', 'c  half', 'y'),
    ]
    const got = run(nodes, { one: scalar(1), two: scalar(2), half: scalar(0.5) })
    expectValues(
      got,
      X.map((v) => Math.min(2 * sigmoid(v) - 1, 0.5)),
    )
    expect(got.ops).toBe('sigmoid,affine,affine,clip')
  })

  it('anchors: maps with their channels last cut into rows, joined along them, sums and largest elements', () => {
    const nodes = [
      node('Transpose', 'x', 'a', { perm: [0, 2, 3, 1] }),
      node('Reshape', 'a rows', 'b'),
      node('Concat', 'b b', 'c', { axis: 1 }),
      node('Slice', 'c from to axes', 'd'),
      node('Softmax', 'd', 'e', { axis: -1 }),
      node('ArgMax', 'e', 'y', { axis: 2, keepdims: 0 }),
    ]
    const got = run(nodes, { rows: ints(1, 12, 2), from: ints(6), to: ints(18), axes: ints(1) })
    const last = X.map((_, i) => at(i % 4, Math.floor(i / 8), Math.floor(i / 4) % 2))
    const twice = [...last, ...last].slice(12, 36)
    expectValues(
      got,
      Array.from({ length: 12 }, (_, i) => (twice[2 * i + 1] > twice[2 * i] ? 1 : 0)),
    )
  })

  it('transposed convolutions and depth to space', () => {
    const w = numbers(4 * 2 * 3 * 2, 3)
    const nodes = [
      node('ConvTranspose', 'x w', 'a', { strides: [2, 3], pads: [1, 0, 0, 1], output_padding: [1, 0], group: 2 }),
      node('DepthToSpace', 'a', 'y', { blocksize: 2, mode: 'CRD' }),
    ]
    const got = run(nodes, { w: { dims: [4, 2, 3, 2], data: w } })
    const [h, v] = [2 * 2 + 3 + 1 - 1, 1 * 3 + 2 - 1]
    const full = new Array(4 * h * v).fill(0)
    for (let c = 0; c < 4; c++)
      for (let y = 0; y < 3; y++)
        for (let x = 0; x < 2; x++)
          for (let o = 0; o < 2; o++)
            for (let t = 0; t < 6; t++) {
              const [row, column] = [2 * y + Math.floor(t / 2) - 1, 3 * x + (t % 2)]
              if (row < 0 || column >= v) continue
              full[((c > 1 ? 2 : 0) + o) * h * v + row * v + column] += at(c, y, x) * w[(c * 2 + o) * 6 + t]
            }
    const pixels = Array.from({ length: 4 * h * v }, (_, i) => {
      const [row, column] = [Math.floor(i / (2 * v)), i % (2 * v)]
      return full[((row % 2) * 2 + (column % 2)) * h * v + (row >> 1) * v + (column >> 1)]
    })
    expectValues(got, pixels)
  })
})
