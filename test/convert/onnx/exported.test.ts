// What the exporters of torch.onnx make of everyday modules, in small: found by converting what they wrote of 180 idioms and
// of the networks of torchvision and timm. Expected values by onnx/docs/Operators.md.
import { describe, expect, it } from 'vitest'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { outlinePlan } from '../../../src/plan/compile/outline.js'
import { numbers, runConverted } from '../run-converted.js'
import type { NodeOf, TensorOf } from './encode.js'
import { at, convert, DIMS, expectValues, int, ints, map, node, refusal, run, scalar, X } from './small-graphs.js'

/** Refused by `compile` unless everything runs privately. */
const privately = (nodes: NodeOf[], tensors: Record<string, TensorOf>, dims = DIMS): number =>
  outlinePlan(parseArchitecture(JSON.stringify(convert(nodes, tensors, dims).arch))).waves

const FIRST = { first: { dims: [4, 4, 1, 1], data: numbers(16, 3) } }
const EDGE = { pads: [1, 1, 1, 1] }
const LAST = { last: { dims: [2, 4, 3, 3], data: numbers(72, 2) } }

/** Of two convolutions with a ReLU between them, and of one. */
const BETWEEN = [node('Conv', 'x first', 'c0'), node('Relu', 'c0', 'a'), node('Conv', 'a last', 'y', EDGE)]
const TWO = privately(BETWEEN, { ...FIRST, ...LAST })
const ONE = privately([node('Conv', 'x last', 'y', EDGE)], LAST)

describe('shuffled channels', () => {
  const shuffle = [
    node('Reshape', 'a groups', 'b'),
    node('Transpose', 'b', 'c', { perm: [0, 2, 1, 3, 4] }),
    node('Reshape', 'c back', 'd'),
  ]
  const sizes = { groups: ints(1, 2, 2, 3, 2), back: ints(1, 4, 3, 2) }
  /** Channel c of the shuffled map. */
  const from = [0, 2, 1, 3]

  it('are picked one by one where a slice or a split follows, as in ShuffleNetV2, and run privately', () => {
    const slices = { ...sizes, zero: ints(0), two: ints(2), three: ints(3), axis: ints(1) }
    const halves = [...shuffle, node('Slice', 'd two three axis', 'y')]
    expectValues(
      run([node('Identity', 'x', 'a'), ...halves], slices),
      map(1, (_, h, w) => at(from[2], h, w)),
    )
    const split = [
      node('Conv', 'x first', 'c0'),
      node('Relu', 'c0', 'a'),
      ...shuffle,
      node('Split', 'd', 'e f', { axis: 1 }),
      node('Concat', 'f e', 'g', { axis: 1 }),
      node('Conv', 'g last', 'y', EDGE),
    ]
    // One more: the order is a convolution of its own.
    expect(privately(split, { ...sizes, ...FIRST, ...LAST })).toBe(TWO + 1)
  })

  it('and stay whole where zeros come beside them', () => {
    const padded = [node('Identity', 'x', 'a'), ...shuffle, node('Pad', 'd pads', 'y')]
    const pads = ints(0, 1, 0, 0, 0, 0, 0, 0)
    const expected = map(5, (c, h, w) => (c === 0 ? 0 : at(from[c - 1], h, w)))
    expectValues(run(padded, { ...sizes, pads }), expected)
  })
})

describe('largest and least', () => {
  const OTHER = { k: { dims: [1, 4, 1, 1], data: [1, -2, 0.5, -1] } }
  const other = (c: number, h: number, w: number) => OTHER.k.data[c] * at(c, h, w)

  it.each([
    ['Max', Math.max],
    ['Min', Math.min],
  ])('%s of two values and of three', (op, f) => {
    const two = [node('Mul', 'x k', 'a'), node(op, 'x a', 'y')]
    expectValues(
      run(two, OTHER),
      map(4, (c, h, w) => f(at(c, h, w), other(c, h, w))),
    )
    const three = [node('Mul', 'x k', 'a'), node('Neg', 'x', 'b'), node(op, 'x a b', 'y')]
    expectValues(
      run(three, OTHER),
      map(4, (c, h, w) => f(at(c, h, w), other(c, h, w), -at(c, h, w))),
    )
  })

  it('along the channels, in one round trip for each time their number halves', () => {
    const channels = (h: number, w: number) => [0, 1, 2, 3].map((c) => at(c, h, w))
    const most = [node('ReduceMax', 'x', 'y', { axes: [1], keepdims: 1 })]
    expectValues(
      run(most),
      map(1, (_, h, w) => Math.max(...channels(h, w))),
    )
    const three = { from: ints(0), to: ints(3), axis: ints(1) }
    const ofThree = [node('Slice', 'x from to axis', 'a'), node('ReduceMax', 'a', 'y', { axes: [1] })]
    expectValues(
      run(ofThree, three),
      map(1, (_, h, w) => Math.max(...channels(h, w).slice(0, 3))),
    )
    const attention = [
      node('Conv', 'x first', 'c0'),
      node('Relu', 'c0', 'a'),
      node('ReduceMax', 'a', 'b', { axes: [1] }),
      node('ReduceMean', 'a', 'c', { axes: [1] }),
      node('Concat', 'b c', 'd', { axis: 1 }),
      node('Conv', 'd gate', 'e'),
      node('Sigmoid', 'e', 'f'),
      node('Mul', 'a f', 'g'),
      node('Conv', 'g last', 'y', EDGE),
    ]
    const gate = { dims: [1, 2, 1, 1], data: [0.5, -1] }
    expect(privately(attention, { ...FIRST, ...LAST, gate })).toBeGreaterThan(TWO)
    const maximum = [node('Conv', 'x first', 'a'), node('ReduceMax', 'a', 'y', { axes: [1] })]
    expect(privately(maximum, FIRST)).toBe(ONE + 2)
  })

  it('least over rows and columns', () => {
    const expected = map(4, (c) => Math.min(...[0, 1, 2].flatMap((h) => [at(c, h, 0), at(c, h, 1)])), 1, 1)
    expectValues(run([node('ReduceMin', 'x', 'y', { axes: [2, 3] })]), expected)
  })
})

describe('broadcasting', () => {
  it('one channel to all, one element to all', () => {
    const centred = [node('ReduceMean', 'x', 'a', { axes: [1] }), node('Sub', 'x a', 'y')]
    const mean = (h: number, w: number) => [0, 1, 2, 3].reduce((sum, c) => sum + at(c, h, w), 0) / 4
    expectValues(
      run(centred),
      map(4, (c, h, w) => at(c, h, w) - mean(h, w)),
    )
    const last = [node('Flatten', 'x', 'a'), node('ReduceMean', 'a', 'b', { axes: [1] }), node('Sub', 'a b', 'y')]
    const all = X.reduce((sum, v) => sum + v, 0) / 24
    expectValues(
      run(last),
      X.map((v) => v - all),
    )
  })

  it('a grey picture becomes one of three channels', () => {
    const grey = X.slice(0, 6)
    const expected = [...grey, ...grey, ...grey]
    const tile = [node('Slice', 'x from to axis', 'a'), node('Tile', 'a times', 'y')]
    const slice = { from: ints(0), to: ints(1), axis: ints(1) }
    expectValues(run(tile, { ...slice, times: ints(1, 3, 1, 1) }), expected)
    const expand = [node('Slice', 'x from to axis', 'a'), node('Expand', 'a sizes', 'y')]
    expectValues(run(expand, { ...slice, sizes: ints(1, 3, 3, 2) }), expected)
  })

  it('an embedding divided by its length, which the client computes', () => {
    const nodes = [
      node('Conv', 'x whole', 'a'),
      node('Flatten', 'a', 'b'),
      node('ReduceL2', 'b', 'c', { axes: [1] }),
      node('Clip', 'c least', 'd'),
      node('Expand', 'd sizes', 'e'),
      node('Div', 'b e', 'y'),
    ]
    const whole = { dims: [5, 4, 3, 2], data: numbers(120, 8) }
    const tensors = { whole, least: scalar(1e-12), sizes: ints(1, 5) }
    const { y } = run(nodes, tensors)
    const dot = (o: number) => X.reduce((sum, v, i) => sum + v * whole.data[24 * o + i], 0)
    const length = Math.hypot(...[0, 1, 2, 3, 4].map(dot))
    expectValues(
      { y },
      [0, 1, 2, 3, 4].map((o) => dot(o) / length),
    )
    expect(privately(nodes, tensors)).toBe(ONE)
  })
})

it.each([
  [3, (x: number) => x ** 3],
  [4, (x: number) => x ** 4],
  [7, (x: number) => x ** 7],
  [-2, (x: number) => x ** -2],
  [-0.5, (x: number) => x ** -0.5],
  [1 / 3, Math.cbrt],
])('powers: %s', (exponent, f) => {
  const nodes = [node('Abs', 'x', 'a'), node('Add', 'a half', 'b'), node('Pow', 'b p', 'y')]
  const { y } = run(nodes, { half: scalar(0.5), p: scalar(exponent) })
  y.forEach((got, i) => {
    expect(Math.abs(got / f(Math.abs(X[i]) + 0.5) - 1)).toBeLessThan(1e-5)
  })
})

it('an exponent that may be learnt is refused: it would be public', () => {
  const { code, problems } = refusal([node('Pow', 'x p', 'y')], { p: scalar(2.87) })
  expect([code, problems[0]]).toEqual([
    'UNSUPPORTED',
    expect.stringMatching(/\(Pow\): expected a whole exponent from 1 to 8, that of a root, or .*, got 2\.86/),
  ])
})

it.each([0, 9, 10, -10, 100000, Infinity])('behind plain layers the exponent %s is refused', (exponent) => {
  const { code, problems } = refusal([node('Tanh', 'x', 'a'), node('Pow', 'a p', 'y')], { p: scalar(exponent) })
  expect([code, problems[0]]).toEqual([
    'UNSUPPORTED',
    expect.stringMatching(/\(Pow\): expected a whole exponent from 1 to 8/),
  ])
})

it('a fractional exponent is taken behind plain layers, where nothing is private', () => {
  const nodes = [node('Sigmoid', 'x', 'a'), node('Pow', 'a p', 'y')]
  const { y } = run(nodes, { p: scalar(2.5) })
  y.forEach((got, i) => {
    expect(Math.abs(got - (1 + Math.exp(-X[i])) ** -2.5)).toBeLessThan(1e-5)
  })
})

describe('arithmetic on constants', () => {
  const times = (nodes: NodeOf[], tensors: Record<string, TensorOf>) =>
    run([...nodes, node('Mul', 'x k', 'y')], tensors)

  it('the padding that timm computes: Clip, Ceil, and a cast to truth values', () => {
    const nodes = [node('Clip', 'p zero', 'a'), node('Cast', 'a', 'b', { to: 7 }), node('Pad', 'x b', 'y')]
    const pads = { p: { dims: [8], data: [0, 0, -3, 1, 0, 0, -1, 0] }, zero: scalar(0) }
    expectValues(
      run(nodes, pads),
      map(4, (c, h, w) => (w === 0 ? 0 : at(c, h, w - 1)), 3, 3),
    )
    const truth = [node('Cast', 'f', 'a', { to: 9 }), node('Where', 'a one two', 'k')]
    const f = { dims: [1, 4, 1, 1], data: [0.5, 0, -0.25, 3] }
    const expected = map(4, (c, h, w) => at(c, h, w) * [1, 2, 1, 1][c])
    expectValues(times(truth, { f, one: scalar(1), two: scalar(2) }), expected)
  })

  it.each<[string, Record<string, number | number[]>, number[]]>([
    ['ReduceL2', { axes: [1] }, [5, 13, 10, 1]],
    ['ReduceL1', { axes: [1] }, [7, 17, 14, 1]],
    ['ReduceMax', { axes: [-1] }, [4, 5, 8, 1]],
    ['ReduceMean', { axes: [1] }, [0.5, -3.5, 7, 0.5]],
    ['ReduceSum', { axes: [1] }, [1, -7, 14, 1]],
  ])('%s', (op, attributes, expected) => {
    const g = { dims: [4, 2], data: [-3, 4, 5, -12, 6, 8, 0, 1] }
    const nodes = [node(op, 'g', 'a', attributes), node('Reshape', 'a sizes', 'k')]
    expectValues(
      times(nodes, { g, sizes: ints(1, 4, 1, 1) }),
      map(4, (c, h, w) => at(c, h, w) * (expected[c] ?? Number.NaN)),
    )
  })

  it.each<[string, string, Record<string, number | number[]>, number[]]>([
    ['ReduceMean', 'g', { axes: [1] }, [1, -1, 3, 2]],
    ['ReduceL2', 'g', { axes: [1] }, [2, 2, 5, 3]],
    ['Pow', 'two g', {}, [2, 4, 0, 0, 8, 16, 2, 8]],
    ['Pow', 'two half', {}, [1]],
    ['Div', 'g two', {}, [0, 1, 0, -1, 1, 2, 0, 1]],
  ])('%s of integers are integers', (op, inputs, attributes, expected) => {
    const g = { dims: [4, 2], data: [1, 2, -1, -2, 3, 4, 1, 3], as: 'int64' } as const
    const nodes = [node(op, inputs, 'a', attributes), node('CastLike', 'a one', 'k'), node('Mul', 'k one', 'l')]
    const tensors = { g, two: int(2), half: scalar(0.5), one: scalar(1), sizes: ints(1, expected.length, 1, 1) }
    const x = Float32Array.from(numbers(expected.length, 3))
    const product = [node('Reshape', 'l sizes', 'w'), node('Mul', 'x w', 'y')]
    const made = convert([...nodes, ...product], tensors, [1, expected.length, 1, 1])
    expectValues(
      { y: [...runConverted(made, x).values()][0] },
      expected.map((v, i) => v * x[i]),
    )
  })

  it.each(['Cast', 'CastLike'])('%s to truth values makes 1 of all but 0', (op) => {
    const like = [node('Equal', 'g g', 'b0'), node('Reshape', 'b0 flat', 'b1'), node('Slice', 'b1 from to', 'bools')]
    const cast = op === 'Cast' ? [node('Cast', 'g', 'a', { to: 9 })] : [...like, node('CastLike', 'g bools', 'a')]
    const nodes = [...cast, node('CastLike', 'a g', 'k0'), node('Reshape', 'k0 sizes', 'k')]
    const g = { dims: [4], data: [0.5, 0, -3, 1] }
    const tensors = { g, flat: ints(-1), from: ints(0), to: ints(1), sizes: ints(1, 4, 1, 1) }
    expectValues(
      times(nodes, tensors),
      map(4, (c, h, w) => (c === 1 ? 0 : at(c, h, w))),
    )
  })

  it('weights that a batch norm standardises, as in NFNets', () => {
    const w = { dims: [1, 4, 2], data: [1, 3, -2, 2, 0, 8, 5, 5] }
    const four = (value: number): TensorOf => ({ dims: [4], data: [value, value, value, value] })
    const tensors = { w, two: four(2), one: four(1), zero: four(0), sizes: ints(1, 8, 1, 1) }
    const nodes = [
      node('BatchNormalization', 'w two one zero one', 'a', { training_mode: 1, epsilon: { float: 0 } }),
      node('Slice', 'a from to axis', 'b'),
      node('Reshape', 'b back', 'k'),
    ]
    const sizes = { from: ints(1), to: ints(2), axis: ints(2), back: ints(1, 4, 1, 1) }
    const eps = [{ ...nodes[0], attributes: { training_mode: 1, epsilon: { float: 1e-5 } } }, ...nodes.slice(1)]
    const standard = [3, 3, 3, 1]
    const got = times(eps, { ...tensors, ...sizes })
    got.y.forEach((v, i) => {
      expect(Math.abs(v - standard[Math.floor(i / 6)] * X[i])).toBeLessThan(1e-4)
    })
  })
})

describe('the default exporter', () => {
  it('picks channels with GatherND between transposes', () => {
    const nodes = [
      node('Transpose', 'x', 'a', { perm: [1, 0, 2, 3] }),
      node('GatherND', 'a picks', 'b', { batch_dims: 0 }),
      node('Transpose', 'b', 'y', { perm: [1, 0, 2, 3] }),
    ]
    const picks = { dims: [3, 1], data: [2, 1, 0], as: 'int64' } as const
    expectValues(
      run(nodes, { picks }),
      map(3, (c, h, w) => at(2 - c, h, w)),
    )
    const pairs = { dims: [3, 2], data: [2, 0, 1, 0, 0, 0], as: 'int64' } as const
    const { code, problems } = refusal(nodes, { picks: pairs })
    expect([code, problems[0]]).toEqual(['UNSUPPORTED', expect.stringContaining('list of places')])
  })

  it('guards softplus by a comparison that changes nothing', () => {
    const softplus = (v: number) => Math.log1p(Math.exp(v))
    const plain = [node('Softplus', 'x', 'a'), node('Greater', 'x most', 'b'), node('Where', 'b x a', 'y')]
    expectValues(run(plain, { most: scalar(20) }), X.map(softplus))
    const sharp = [
      node('Mul', 'x beta', 's'),
      node('Softplus', 's', 'a'),
      node('Div', 'a beta', 'd'),
      node('Greater', 's most', 'b'),
      node('Where', 'b x d', 'y'),
    ]
    expectValues(
      run(sharp, { most: scalar(20), beta: scalar(2) }),
      X.map((v) => softplus(2 * v) / 2),
    )
    // Lower ones change it, as does another value in its place.
    expect(refusal(plain, { most: scalar(1) }).problems.join()).toMatch(/\(Greater\).*\(Where\)/)
    const other = [...plain.slice(0, 2), node('Neg', 'x', 'n'), node('Where', 'b n a', 'y')]
    expect(refusal(other, { most: scalar(20) }).code).toBe('UNSUPPORTED')
  })

  it('casts a number to the type of a value', () => {
    const nodes = [node('CastLike', 'two x', 'a'), node('CastLike', 'x two', 'b'), node('Mul', 'b a', 'y')]
    const { code } = refusal(nodes, { two: int(2) })
    expect(code).toBe('UNSUPPORTED')
    const floats = [node('CastLike', 'two x', 'a'), node('CastLike', 'x one', 'b'), node('Mul', 'b a', 'y')]
    expectValues(
      run(floats, { two: int(2), one: scalar(1) }),
      X.map((v) => 2 * v),
    )
  })
})

it('a batch norm without running statistics says so, whoever exported it', () => {
  const ones = { one: { dims: [4], data: [1, 1, 1, 1] } }
  const computed = [
    node('ReduceMean', 'x', 'm', { axes: [0, 2, 3], keepdims: 0 }),
    node('BatchNormalization', 'x one one m m', 'y'),
  ]
  const { code, problems } = refusal(computed, ones)
  expect(code).toBe('UNSUPPORTED')
  expect(problems.join()).toMatch(/track_running_stats=False/)
})
