// What people's exporters leave in a graph: transposes, reshapes, splits, shape arithmetic, bounds in pieces.
import { describe, expect, it } from 'vitest'
import { convertOnnx } from '../../../src/convert/onnx/onnx.js'
import { numbers } from '../run-converted.js'
import { type Attribute, encodeOnnx, type NodeOf, type TensorOf } from './encode.js'
import { at, convert, DIMS, expectValues, int, ints, map, node, refusal, run, scalar, X } from './small-graphs.js'

describe('order of axes', () => {
  it('a shuffle of channels: reshape, transpose, reshape', () => {
    const nodes = [
      node('Reshape', 'x to', 'a'),
      node('Transpose', 'a', 'b', { perm: [0, 2, 1, 3, 4] }),
      node('Reshape', 'b back', 'c'),
      node('MaxPool', 'c', 'y', { kernel_shape: [1, 1] }),
    ]
    const got = run(nodes, { to: ints(1, 2, 2, 3, 2), back: ints(1, 4, 3, 2) })
    expectValues(
      got,
      map(4, (c, y, x) => at([0, 2, 1, 3][c], y, x)),
    )
  })

  it('an image channels last, which a transpose brings to the front', () => {
    const nodes = [
      node('Sub', 'x means', 'a'),
      node('Transpose', 'a', 'b', { perm: [0, 3, 1, 2] }),
      node('Relu', 'b', 'c'),
      node('Transpose', 'c', 'd', { perm: [0, 2, 3, 1] }),
      node('Reshape', 'd flat', 'e'),
      node('MatMul', 'e w', 'y'),
    ]
    const [means, w] = [numbers(4, 8), numbers(48, 9)]
    const tensors = { means: { dims: [4], data: means }, flat: ints(1, 24), w: { dims: [24, 2], data: w } }
    const got = run(nodes, tensors, [1, 3, 2, 4])
    // The file counts channels fastest, and so do its inputs here.
    const relu = (c: number, y: number, x: number) => Math.max(X[(y * 2 + x) * 4 + c] - means[c], 0)
    const expected = [0, 1].map((o) => {
      let sum = 0
      for (let i = 0; i < 24; i++) sum += relu(i % 4, Math.floor(i / 8), Math.floor(i / 4) % 2) * w[i * 2 + o]
      return sum
    })
    expectValues(got, expected)
    expect(got.ops).toBe('batchNorm,relu,flatten,linear')
    expect(got.notes[0]).toMatch(/given as \[height,width,channels\], as in the file/)
  })

  it('an output comes in the order of the file', () => {
    const got = run([node('Relu', 'x', 'a'), node('Transpose', 'a', 'y', { perm: [0, 2, 3, 1] })])
    expectValues(
      got,
      X.map((_, i) => Math.max(at(i % 4, Math.floor(i / 8), Math.floor(i / 4) % 2), 0)),
    )
    expect([got.ops, got.notes]).toEqual(['relu,transpose', []])
  })

  it('an order that a pool meets becomes a layer that no private step computes', () => {
    const nodes = [
      node('Transpose', 'x', 'a', { perm: [0, 2, 1, 3] }),
      node('MaxPool', 'a', 'y', { kernel_shape: [1, 1] }),
    ]
    const got = run(nodes)
    expectValues(
      got,
      X.map((_, i) => at(Math.floor(i / 2) % 4, Math.floor(i / 8), i % 2)),
    )
    expect(got.ops).toBe('transpose,maxPool')
  })
})

describe('parts of a map', () => {
  it('chunks, put together the other way round', () => {
    const got = run([node('Split', 'x', 'a b', { axis: 1 }), node('Concat', 'b a', 'y', { axis: 1 })])
    expectValues(
      got,
      map(4, (c, y, x) => at((c + 2) % 4, y, x)),
    )
    expect(got.ops).toBe('shortcutA,shortcutA,concat')
  })

  it('split by sizes, sliced by channels', () => {
    const nodes = [node('Split', 'x sizes', 'a b', { axis: 1 }), node('Slice', 'b from to axes', 'y')]
    const got = run(nodes, { sizes: ints(1, 3), from: ints(-2, 1), to: ints(9, 3), axes: ints(1, 2) })
    expectValues(
      got,
      map(2, (c, y, x) => at(c + 2, y + 1, x), 2, 2),
    )
  })

  it('channels of zeros, concatenated', () => {
    const nodes = [node('ConstantOfShape', 'shape', 'zeros'), node('Concat', 'x zeros', 'y', { axis: 1 })]
    const got = run(nodes, { shape: ints(1, 2, 3, 2) })
    expectValues(
      got,
      map(6, (c, y, x) => (c < 4 ? at(c, y, x) : 0)),
    )
    expect(got.ops).toBe('shortcutA')
  })
})

describe('means', () => {
  it('mean(3).mean(2) into a matrix product', () => {
    const nodes = [
      node('ReduceMean', 'x', 'a', { axes: [3], keepdims: 0 }),
      node('ReduceMean', 'a', 'b', { axes: [2], keepdims: 0 }),
      node('MatMul', 'b w', 'y'),
    ]
    const w = numbers(12, 3)
    const got = run(nodes, { w: { dims: [4, 3], data: w } })
    const mean = [0, 1, 2, 3].map((c) => X.slice(c * 6, c * 6 + 6).reduce((a, b) => a + b, 0) / 6)
    expectValues(
      got,
      [0, 1, 2].map((o) => mean.reduce((sum, m, c) => sum + m * w[c * 3 + o], 0)),
    )
  })

  it('over rows and columns that are one axis', () => {
    const nodes = [node('Reshape', 'x to', 'a'), node('ReduceMean', 'a', 'y', { axes: [-1], keepdims: 0 })]
    expectValues(
      run(nodes, { to: ints(1, 4, 6) }),
      [0, 1, 2, 3].map((c) => X.slice(c * 6, c * 6 + 6).reduce((a, b) => a + b) / 6),
    )
  })
})

describe('bounds', () => {
  const cases: [string, NodeOf[], Record<string, TensorOf>, (v: number) => number, string][] = [
    [
      'ReLU6 as Max and Min',
      [node('Max', 'x zero', 'a'), node('Min', 'a six', 'y')],
      { zero: scalar(0), six: scalar(0.5) },
      (v) => Math.min(Math.max(v, 0), 0.5),
      'clip',
    ],
    [
      'a ReLU and Min',
      [node('Relu', 'x', 'a'), node('Min', 'six a', 'y')],
      { six: scalar(0.5) },
      (v) => Math.min(Math.max(v, 0), 0.5),
      'clip',
    ],
    [
      'Min and Max',
      [node('Min', 'x six', 'a'), node('Max', 'a low', 'y')],
      { six: scalar(0.5), low: scalar(-0.25) },
      (v) => Math.max(Math.min(v, 0.5), -0.25),
      'clip',
    ],
    [
      'from below',
      [node('Clip', 'x low', 'y')],
      { low: scalar(-0.25) },
      (v) => Math.max(v, -0.25),
      'batchNorm,relu,batchNorm',
    ],
    [
      'from above',
      [node('Min', 'x high', 'y')],
      { high: scalar(0.25) },
      (v) => Math.min(v, 0.25),
      'batchNorm,relu,batchNorm',
    ],
    [
      'a hard sigmoid',
      [node('HardSigmoid', 'x', 'y', { alpha: { float: 0.5 }, beta: { float: 0.25 } })],
      {},
      (v) => Math.min(Math.max(0.5 * v + 0.25, 0), 1),
      'batchNorm,clip',
    ],
    ['1 - x', [node('Sub', 'one x', 'y')], { one: scalar(1) }, (v) => 1 - v, 'batchNorm'],
    ['|x|', [node('Abs', 'x', 'y')], {}, Math.abs, 'leakyRelu'],
    ['x - relu(x)', [node('Relu', 'x', 'a'), node('Sub', 'x a', 'y')], {}, (v) => Math.min(v, 0), 'relu,batchNorm,add'],
  ]
  it.each(cases)('%s', (_, nodes, tensors, expected, ops) => {
    const got = run(nodes, tensors)
    expectValues(got, X.map(expected))
    expect(got.ops).toBe(ops)
  })

  it('a PReLU written out', () => {
    const nodes = [
      node('Relu', 'x', 'a'),
      node('Abs', 'x', 'b'),
      node('Sub', 'x b', 'c'),
      node('Mul', 'slopes c', 'd'),
      node('Mul', 'd half', 'e'),
      node('Add', 'a e', 'y'),
    ]
    const slopes = numbers(4, 6)
    const got = run(nodes, { slopes: { dims: [4, 1, 1], data: slopes }, half: scalar(0.5) })
    expectValues(
      got,
      map(4, (c, y, x) => (at(c, y, x) > 0 ? at(c, y, x) : slopes[c] * at(c, y, x))),
    )
  })

  it('padding of minus infinity joins the max pool behind it', () => {
    const nodes = [node('Pad', 'x pads fill', 'a'), node('MaxPool', 'a', 'y', { kernel_shape: [2, 2] })]
    const got = run(nodes, { pads: ints(0, 0, 1, 0, 0, 0, 0, 1), fill: scalar(Number.NEGATIVE_INFINITY) })
    const value = (c: number, y: number, x: number) => (y < 0 || x > 1 ? Number.NEGATIVE_INFINITY : at(c, y, x))
    const expected = map(4, (c, y, x) =>
      Math.max(...[-1, 0].flatMap((dy) => [0, 1].map((dx) => value(c, y + dy, x + dx)))),
    )
    expectValues(got, expected)
    expect(got.ops).toBe('maxPool')
  })

  it('padding of minus infinity is refused elsewhere', () => {
    const nodes = [node('Pad', 'x pads fill', 'a'), node('Relu', 'a', 'y')]
    const tensors = { pads: ints(0, 0, 1, 0, 0, 0, 0, 1), fill: scalar(Number.NEGATIVE_INFINITY) }
    expect(refusal(nodes, tensors).problems[0]).toMatch(/expected a finite number but before max pools/)
  })
})

describe('arithmetic on constants', () => {
  it('view(b, c·h·w) of a symbolic batch', () => {
    const sizes = ['b', 'c', 'h', 'w'].flatMap((name, i) => [node('Gather', `shape ${i}`, name)])
    const nodes = [
      node('Shape', 'x', 'shape'),
      ...sizes,
      node('Mul', 'c h', 'ch'),
      node('Mul', 'ch w', 'chw'),
      ...['b', 'chw'].map((name) => node('Unsqueeze', `${name} first`, `${name}1`)),
      node('Concat', 'b1 chw1', 'to', { axis: 0 }),
      node('Reshape', 'x to', 'y'),
    ]
    const places = Object.fromEntries([0, 1, 2, 3].map((i) => [String(i), int(i)]))
    expect(run(nodes, { ...places, first: ints(0) }, ['N', 4, 3, 2]).ops).toBe('flatten')
  })

  it('F.pad at operator set 11: pads made, turned round and cast', () => {
    const nodes = [
      node('ConstantOfShape', 'missing', 'zeros', { value: { tensor: ints(0) } }),
      node('Concat', 'given zeros', 'all', { axis: 0 }),
      node('Reshape', 'all pairs', 'b'),
      node('Slice', 'b from to axes steps', 'c'),
      node('Transpose', 'c', 'd', { perm: [1, 0] }),
      node('Reshape', 'd flat', 'e'),
      node('Cast', 'e', 'pads', { to: 7 }),
      node('Pad', 'x pads', 'y'),
    ]
    const tensors = {
      ...{ missing: ints(4), given: ints(1, 0, 0, 2), pairs: ints(-1, 2), flat: ints(-1) },
      ...{ from: ints(-1), to: ints(-9223372036854775000), axes: ints(0), steps: ints(-1) },
    }
    const got = run(nodes, tensors, DIMS, 11)
    expectValues(
      got,
      map(4, (c, y, x) => (y < 3 && x > 0 ? at(c, y, x - 1) : 0), 5, 3),
    )
  })

  it('Range, Where, Equal, Expand and float arithmetic fold into a weight', () => {
    const nodes = [
      node('Range', 'zero four one', 'r'),
      node('Equal', 'r two', 'is'),
      node('Where', 'is big small', 'w'),
      node('Sqrt', 'w', 'root'),
      node('Div', 'root half', 'factors'),
      node('Unsqueeze', 'factors axes', 'column'),
      node('Mul', 'x column', 'y'),
    ]
    const tensors = {
      ...{ zero: int(0), four: int(4), one: int(1), two: int(2), big: scalar(9), small: scalar(4), half: scalar(0.5) },
      axes: ints(1, 2),
    }
    expectValues(
      run(nodes, tensors),
      map(4, (c, y, x) => at(c, y, x) * (c === 2 ? 6 : 4)),
    )
  })

  it('sizes that would unfold without end are refused', () => {
    expect(
      refusal([node('ConstantOfShape', 'big', 'c'), node('Add', 'x c', 'y')], { big: ints(99999, 99999) }).message,
    ).toMatch(/its tensors would bring/)
  })
})

describe('refused by name', () => {
  it('attention: nobody has the weights of its products', () => {
    const attention = [
      node('Flatten', 'x', 'a'),
      node('Gemm', 'a w', 'q', { transB: 1 }),
      node('MatMul', 'a q', 'b'),
      node('MatMul', 'b w', 'y'),
    ]
    const error = refusal(attention, { w: { dims: [4, 24], data: numbers(96, 4) } }, 12)
    expect(error.code).toBe('UNSUPPORTED')
    expect(error.problems).toEqual([expect.stringMatching(/node\[2\].*\(MatMul\) of two computed values$/)])
  })

  it('batch norm in training mode, of any operator set', () => {
    const norm = node('BatchNormalization', 'x one one one one', 'y mean var saved1 saved2')
    const error = refusal([norm], { one: { dims: [4], data: [1, 1, 1, 1] } }, 12)
    expect(error.code).toBe('UNSUPPORTED')
    expect(error.problems[0]).toMatch(/training mode/)
  })
})

describe('attributes', () => {
  const w = { dims: [4, 4, 1, 1], data: numbers(16, 4) }
  const half = { dims: [4], data: [1, 1, 0.5, 0.5] }
  /** Per op: a node, and every attribute of its operator sets with a value that changes what it computes. */
  const changing: [string, string, Record<string, Attribute>][] = [
    ['Conv', 'x w', { unheard_of: 1 }],
    ['Resize', 'x  half', { antialias: 1 }],
    ['Resize', 'x  half', { exclude_outside: 1 }],
    ['Resize', 'x  half', { mode: 'cubic' }],
    ['Resize', 'x  half', { coordinate_transformation_mode: 'tf_crop_and_resize' }],
    ['Resize', 'x   sizes', { keep_aspect_ratio_policy: 'not_larger' }],
    ['MaxPool', 'x', { kernel_shape: [1, 1], dilations: [2, 2] }],
    ['AveragePool', 'x', { kernel_shape: [1, 1], dilations: [2, 2] }],
    ['BatchNormalization', 'x one one one one', { spatial: 0 }],
    ['Relu', 'x', { alpha: { float: 0.5 } }],
    ['GlobalAveragePool', 'x', { axes: [2] }],
    ['Gemm', 'x w', { transA: 1 }],
    ['Add', 'x one', { axis: 1, broadcast: 1 }],
  ]
  it.each(changing)('%s of %s with %j is refused by the name of the attribute', (op, inputs, attributes) => {
    const tensors = { w, half, sizes: ints(1, 4, 1, 2), one: { dims: [4], data: [1, 1, 1, 1] } }
    const { problems } = refusal([{ ...node(op, '', 'y', attributes), in: inputs.split(' ') }], tensors)
    const said = Object.keys(attributes).some((name) => problems.some((text) => text.includes(`${name}: `)))
    expect(said || problems.some((text) => text.includes(Object.values(attributes)[0] as string))).toBe(true)
  })

  const neutral: [string, string, Record<string, Attribute>][] = [
    ['BatchNormalization', 'x one one one one', { momentum: { float: 0.1 }, spatial: 1 }],
    ['Dropout', 'x', { ratio: { float: 0.9 }, seed: 3 }],
    ['MaxPool', 'x', { kernel_shape: [1, 1], storage_order: 1, dilations: [1, 1] }],
    ['Resize', 'x  twice', { cubic_coeff_a: { float: -0.75 }, antialias: 1, extrapolation_value: { float: 1 } }],
    ['Conv', 'x w', { auto_pad: 'VALID', pads: [0, 0, 0, 0], group: 1 }],
  ]
  it.each(neutral)('%s of %s with %j changes nothing', (op, inputs, attributes) => {
    const tensors = { w, twice: { dims: [4], data: [1, 1, 2, 2] }, one: { dims: [4], data: [1, 1, 1, 1] } }
    expect(() => convert([{ ...node(op, '', 'y', attributes), in: inputs.split(' ') }], tensors)).not.toThrow()
  })
})

describe('tensors beside the model', () => {
  const tensors: Record<string, TensorOf> = {
    w: {
      dims: [2, 4, 1, 1],
      data: [],
      as: 'external',
      external: { location: 'm.onnx.data', offset: '8', length: '32' },
    },
  }
  const file = encodeOnnx({ inputs: { x: DIMS }, outputs: ['y'], nodes: [node('Conv', 'x w', 'y')], tensors })
  const data = Float32Array.from([9, 9, ...numbers(8, 2)])

  it('are read where the model says', () => {
    const externalData = new Map([['m.onnx.data', new Uint8Array(data.buffer)]])
    const [made] = convertOnnx(file, { externalData }).tensors.values()
    expect(made.data).toEqual(data.slice(2))
  })

  it('that end beyond their file are refused', () => {
    const externalData = new Map([['m.onnx.data', new Uint8Array(data.buffer, 0, 20)]])
    expect(() => convertOnnx(file, { externalData })).toThrow(/end at byte 40 of "m.onnx.data", which has 20/)
  })
})
