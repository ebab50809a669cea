// What exporters write now and then: activations by their names, channels picked and turned about, broadcasting between
// values of unlike ranks, matrices at every pixel, pixel shuffles by hand. Expected values by onnx/docs/Operators.md.
import { describe, expect, it } from 'vitest'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { outlinePlan } from '../../../src/plan/compile/outline.js'
import { numbers, runConverted } from '../run-converted.js'
import type { NodeOf, TensorOf } from './encode.js'
import { at, convert, DIMS, expectValues, int, ints, map, node, refusal, run, scalar, X } from './small-graphs.js'

/** Round trips of the layers between two convolutions of 3x3. */
function roundTrips(nodes: NodeOf[], tensors: Record<string, TensorOf> = {}, out = 4, opset = 20): number {
  const ends = [
    node('Conv', 'x first', 'a', { pads: [1, 1, 1, 1] }),
    ...nodes,
    node('Conv', 'b last', 'y', { pads: [1, 1, 1, 1] }),
  ]
  const first = { dims: [4, 4, 3, 3], data: numbers(144, 1) }
  const last = { dims: [2, out, 3, 3], data: numbers(18 * out, 2) }
  const { arch } = convert(ends, { first, last, ...tensors }, [1, 4, 6, 4], opset)
  return outlinePlan(parseArchitecture(JSON.stringify(arch))).waves
}

/** Abramowitz and Stegun 7.1.26, to 1.5e-7. */
function erf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x))
  const poly = [1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592].reduce((sum, c) => sum * t + c, 0)
  return Math.sign(x) * (1 - poly * t * Math.exp(-x * x))
}
const tanhGelu = (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))
const negative = (x: number) => Math.exp(Math.min(x, 0)) - 1
const [ALPHA, GAMMA] = [1.6732632423543772, 1.0507009873554805]

describe('functions of one value', () => {
  it.each<[string, Record<string, { float: number } | string>, (x: number) => number]>([
    ['Elu', { alpha: { float: 0.75 } }, (x) => Math.max(x, 0) + 0.75 * negative(x)],
    ['Selu', {}, (x) => GAMMA * (Math.max(x, 0) + ALPHA * negative(x))],
    ['Celu', { alpha: { float: 0.5 } }, (x) => Math.max(x, 0) + 0.5 * negative(2 * x)],
    ['Gelu', {}, (x) => 0.5 * x * (1 + erf(x / Math.SQRT2))],
    ['Gelu', { approximate: 'tanh' }, tanhGelu],
    ['Mish', {}, (x) => x * Math.tanh(Math.log(1 + Math.exp(x)))],
    ['Swish', { alpha: { float: 1.5 } }, (x) => x / (1 + Math.exp(-1.5 * x))],
    ['Softsign', {}, (x) => x / (1 + Math.abs(x))],
  ])('%s %j, in one round trip', (op, attributes, f) => {
    expectValues(run([node(op, 'x', 'y', attributes)], {}, DIMS, 20), X.map(f))
    expect(roundTrips([node(op, 'a', 'b', attributes)])).toBe(roundTrips([node('Relu', 'a', 'b')]))
  })

  it('GELU as exporters write it out, which is one function as well', () => {
    const byErf = [
      node('Div', 'a root', 'c'),
      node('Erf', 'c', 'd'),
      node('Add', 'd one', 'e'),
      node('Mul', 'a e', 'f'),
      node('Mul', 'f half', 'b'),
    ]
    const numbersOf = { root: scalar(Math.SQRT2), one: scalar(1), half: scalar(0.5) }
    expect(roundTrips(byErf, numbersOf)).toBe(2)
    const byTanh = [
      node('Pow', 'a three', 'c'),
      node('Mul', 'c k', 'd'),
      node('Add', 'a d', 'e'),
      node('Mul', 'e r', 'f'),
      node('Tanh', 'f', 'g'),
      node('Add', 'g one', 'h'),
      node('Mul', 'a h', 'i'),
      node('Mul', 'i half', 'b'),
    ]
    const more = { ...numbersOf, three: scalar(3), k: scalar(0.044715), r: scalar(Math.sqrt(2 / Math.PI)) }
    expect(roundTrips(byTanh, more)).toBe(2)
    const alone = byTanh.map((each) => {
      const named = (name: string) => ({ a: 'x', b: 'y' })[name] ?? name
      return { ...each, in: each.in.map(named), out: named(each.out) }
    })
    expectValues(run(alone, more), X.map(tanhGelu))
  })

  it('a number that is learnt stays a secret: only those of the definition are public', () => {
    const ops = (x: number) => run([node('Mul', 'x k', 'y')], { k: scalar(x) }).ops
    expect(ops(1.25)).toBe('channelScale')
    expect(ops(1.702)).toBe('affine')
  })
})

describe('values of unlike ranks', () => {
  // Sizes that differ, and those that do not: aligned at the wrong end, the latter would pass unnoticed.
  const squares = [1, 4, 4, 4]
  const x = numbers(64, 9)
  const pick = (c: number, i: number, j: number) => x[16 * c + 4 * i + j]
  const sum = (f: (k: number) => number) => [0, 1, 2, 3].reduce((total, k) => total + f(k), 0)
  const all = Array.from({ length: 64 }, (_, i) => [Math.floor(i / 16), Math.floor(i / 4) % 4, i % 4] as const)
  const runSquares = (nodes: NodeOf[]) => {
    const converted = convert(nodes, {}, squares, 11)
    return { y: [...runConverted(converted, Float32Array.from(x)).values()][0] }
  }

  it('a mean without its axes meets the last ones', () => {
    const channels = runSquares([node('ReduceMean', 'x', 'a', { axes: [2, 3], keepdims: 0 }), node('Mul', 'x a', 'y')])
    const mean = (c: number) => sum((i) => sum((j) => pick(c, i, j))) / 16
    expectValues(
      channels,
      all.map(([c, i, j]) => pick(c, i, j) * mean(j)),
    )
    const rows = runSquares([node('ReduceMean', 'x', 'a', { axes: [2], keepdims: 0 }), node('Mul', 'a x', 'y')])
    expectValues(
      rows,
      all.map(([c, i, j]) => (pick(c, i, j) * sum((k) => pick(i, k, j))) / 4),
    )
  })

  it('one number per channel times one per pixel is a map', () => {
    const outer = runSquares([
      node('ReduceMean', 'x', 'a', { axes: [2, 3], keepdims: 1 }),
      node('ReduceSum', 'x', 'b', { axes: [1], keepdims: 1 }),
      node('Mul', 'a b', 'c'),
      node('Transpose', 'c', 'y', { perm: [0, 2, 1, 3] }),
    ])
    expectValues(
      outer,
      all.map(([i, c, j]) => (sum((k) => sum((l) => pick(c, k, l))) / 16) * sum((k) => pick(k, i, j))),
    )
  })
})

describe('elements that are picked or repeated', () => {
  it('channels by a list, one channel by its number, backwards by a slice', () => {
    const order = [2, 0, 0, 3]
    expectValues(
      run([node('Gather', 'x list', 'y', { axis: 1 })], { list: ints(...order) }),
      map(4, (c, i, j) => at(order[c], i, j)),
    )
    expectValues(
      run([node('Gather', 'x one', 'y', { axis: 1 })], { one: int(-2) }),
      map(1, (_, i, j) => at(2, i, j)),
    )
    const cut = { from: ints(3), to: ints(-99), axis: ints(1), step: ints(-1) }
    expectValues(
      run([node('Slice', 'x from to axis step', 'y')], cut),
      map(4, (c, i, j) => at(3 - c, i, j)),
    )
    expectValues(
      run([node('Slice', 'x from to axis step', 'y')], { ...cut, from: ints(1), to: ints(9), step: ints(2) }),
      map(2, (c, i, j) => at(1 + 2 * c, i, j)),
    )
    expect(roundTrips([node('Gather', 'a list', 'b', { axis: 1 })], { list: ints(3, 1, 0, 2) })).toBe(2)
    expect(refusal([node('Gather', 'x list', 'y', { axis: 2 })], { list: ints(0, 2) }).problems[0]).toMatch(
      /neighbours, or channels/,
    )
    expect(refusal([node('Gather', 'x list', 'y', { axis: 1 })], { list: ints(4) }).problems[0]).toMatch(/indices/)
  })

  it('pixels spread over a map; means and sums of several, constants among them; norms', () => {
    const spread = [node('GlobalAveragePool', 'x', 'a'), node('Expand', 'a to', 'b'), node('Mean', 'x b k', 'y')]
    const mean = (c: number) => X.slice(6 * c, 6 * c + 6).reduce((a, b) => a + b) / 6
    const k = { dims: [4, 1, 1], data: [1, 2, 3, 4] }
    const expected = map(4, (c, i, j) => (at(c, i, j) + mean(c) + c + 1) / 3)
    expectValues(run(spread, { to: ints(1, 4, 3, 2), k }), expected)
    const tiled = spread.map((each) => (each.op === 'Expand' ? { ...each, op: 'Tile' } : each))
    expectValues(run(tiled, { to: ints(1, 1, 3, 2), k }), expected)
    expect(refusal([node('Tile', 'x to', 'y')], { to: ints(1, 1, 2, 2) }).problems[0]).toMatch(
      /one channel or one pixel/,
    )
    const norm = (op: string) => run([node(op, 'x', 'y', { axes: [1], keepdims: 1 })], {}, DIMS, 11)
    const over = (f: (x: number) => number) => map(1, (_, i, j) => [0, 1, 2, 3].reduce((s, c) => s + f(at(c, i, j)), 0))
    expectValues(norm('ReduceL2'), over((v) => v * v).map(Math.sqrt))
    expectValues(norm('ReduceL1'), over(Math.abs))
    expectValues(
      norm('ReduceSumSquare'),
      over((v) => v * v),
    )
  })
})

describe('matrices', () => {
  it('at every pixel of a map with its channels last', () => {
    const w = { dims: [4, 3], data: numbers(12, 7) }
    const nodes = (from: string, to: string) => [
      node('Transpose', from, 't', { perm: [0, 2, 3, 1] }),
      node('MatMul', 't w', 'u'),
      node('Add', 'u k', 'v'),
      node('Transpose', 'v', to, { perm: [0, 3, 1, 2] }),
    ]
    const k = { dims: [3], data: [1, 2, 3] }
    expectValues(
      run(nodes('x', 'y'), { w, k }),
      map(3, (o, i, j) => [0, 1, 2, 3].reduce((sum, c) => sum + at(c, i, j) * w.data[3 * c + o], o + 1)),
    )
    expect(roundTrips(nodes('a', 'b'), { w, k }, 3)).toBe(2)
    expect(refusal([node('MatMul', 'x w', 'y')], { w: { dims: [2, 3], data: numbers(6, 7) } }).problems[0]).toMatch(
      /a map whose channels come last/,
    )
  })

  it('of a vector that has lost its batch', () => {
    const w = { dims: [4, 3], data: numbers(12, 7) }
    const nodes = [node('GlobalAveragePool', 'x', 'a'), node('Squeeze', 'a', 'b'), node('MatMul', 'b w', 'c')]
    const got = run([...nodes, node('Softmax', 'c', 'y', { axis: 0 })], { w })
    const mean = (c: number) => X.slice(6 * c, 6 * c + 6).reduce((a, b) => a + b) / 6
    const logits = [0, 1, 2].map((o) => [0, 1, 2, 3].reduce((sum, c) => sum + mean(c) * w.data[3 * c + o], 0))
    const all = logits.reduce((sum, v) => sum + Math.exp(v), 0)
    expectValues(
      got,
      logits.map((v) => Math.exp(v) / all),
    )
  })
})

describe('pixel shuffles by reshapes and a transpose', () => {
  // PixelShuffle, TensorFlow's depth_to_space, PixelUnshuffle and space_to_depth of a map of 4x6x4.
  it.each([
    ['shuffle', [1, 1, 2, 2, 6, 4], [0, 1, 4, 2, 5, 3], [1, 1, 12, 8], 1],
    ['shuffle of whole channels', [1, 2, 2, 1, 6, 4], [0, 3, 4, 1, 5, 2], [1, 1, 12, 8], 1],
    ['unshuffle', [1, 4, 3, 2, 2, 2], [0, 1, 3, 5, 2, 4], [1, 16, 3, 2], 16],
    ['unshuffle of whole channels', [1, 4, 3, 2, 2, 2], [0, 3, 5, 1, 2, 4], [1, 16, 3, 2], 16],
  ])('%s', (_, cut, perm, to, channels) => {
    const nodes = (from: string, out: string) => [
      node('Reshape', `${from} cut`, 'c'),
      node('Transpose', 'c', 'd', { perm }),
      node('Reshape', 'd to', out),
    ]
    const sizes = { cut: ints(...cut), to: ints(...to) }
    // A sum of every channel's own number tells every order from every other.
    const k = { dims: [1, channels, 1, 1], data: numbers(channels, 3) }
    const x = numbers(96, 8)
    const converted = convert([...nodes('x', 'b'), node('Conv', 'b k', 'y')], { ...sizes, k }, [1, 4, 6, 4])
    const steps = cut.map((_, i) => cut.slice(i + 1).reduce((a, b) => a * b, 1))
    const moved: number[] = []
    const order = perm.map((axis) => [cut[axis], steps[axis]] as const)
    const walk = (axis: number, from: number) => {
      if (axis === order.length) moved.push(x[from])
      else for (let i = 0; i < order[axis][0]; i++) walk(axis + 1, from + i * order[axis][1])
    }
    walk(0, 0)
    const pixels = 96 / channels
    const expected = Array.from({ length: pixels }, (_, p) =>
      k.data.reduce((sum, weight, c) => sum + weight * moved[c * pixels + p], 0),
    )
    expectValues({ y: [...runConverted(converted, Float32Array.from(x)).values()][0] }, expected)
    expect(roundTrips(nodes('a', 'b'), sizes, channels)).toBeLessThanOrEqual(3)
  })

  it('SpaceToDepth', () => {
    const edge = { edge: ints(0, 0, 1, 0, 0, 0, 0, 0) }
    const nodes = [node('Pad', 'x edge', 'a'), node('SpaceToDepth', 'a', 'y', { blocksize: 2 })]
    const inside = (c: number, i: number, j: number) => (i === 0 ? 0 : at(c, i - 1, j))
    expectValues(
      run(nodes, edge),
      map(16, (o, i) => inside(o % 4, 2 * i + Math.floor(o / 8), Math.floor(o / 4) % 2), 2, 1),
    )
  })
})

it('a transposed convolution of a given size has its odd row at the front, but for SAME_UPPER', () => {
  const w = { dims: [4, 1, 3, 3], data: numbers(36, 4) }
  const size = [6, 4]
  const convolved = (before: number) =>
    Array.from({ length: 24 }, (_, p) => {
      const [row, column] = [Math.floor(p / 4) + before, (p % 4) + before]
      let sum = 0
      for (let c = 0; c < 4; c++)
        for (let i = 0; i < 3; i++)
          for (let j = 0; j < 2; j++) {
            const [u, v] = [row - 2 * i, column - 2 * j]
            if (u >= 0 && u < 3 && v >= 0 && v < 3) sum += at(c, i, j) * w.data[9 * c + 3 * u + v]
          }
      return sum
    })
  const got = (more: Record<string, string>) =>
    run([node('ConvTranspose', 'x w', 'y', { strides: [2, 2], output_shape: size, ...more })], { w })
  expectValues(got({}), convolved(1))
  expectValues(got({ auto_pad: 'SAME_LOWER' }), convolved(1))
  expectValues(got({ auto_pad: 'SAME_UPPER' }), convolved(0))
})
