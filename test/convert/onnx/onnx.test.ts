import { describe, expect, it } from 'vitest'
import { convertOnnx } from '../../../src/convert/onnx/onnx.js'
import { RingfenceError } from '../../../src/errors.js'
import { distance, numbers, runConverted } from '../run-converted.js'
import { encodeOnnx, type GraphOf, type NodeOf, type TensorOf } from './encode.js'
import { evaluate } from './evaluate.js'

let seed = 1
const tensor = (dims: number[], as?: TensorOf['as']): TensorOf => ({
  dims,
  data: numbers(
    dims.reduce((a, b) => a * b, 1),
    seed++,
  ),
  as,
})
const positive = (n: number): TensorOf => ({ dims: [n], data: numbers(n, seed++).map((x) => Math.abs(x) + 0.5) })
const integers = (...data: number[]): TensorOf => ({ dims: [data.length], data, as: 'int64' })
const scalar = (x: number): TensorOf => ({ dims: [], data: [x] })

type Step = Omit<NodeOf, 'in' | 'out'> & { readonly tensors?: Readonly<Record<string, TensorOf>> }

/** A graph of one chain: every node reads the one before it, then its tensors. */
function chain(dims: (number | string)[], steps: Step[]) {
  const tensors: Record<string, TensorOf> = {}
  const nodes = steps.map(({ tensors: own = {}, ...node }, i): NodeOf => {
    for (const [name, t] of Object.entries(own)) if (t.data.length > 0) tensors[`${i}.${name}`] = t
    const names = Object.entries(own).map(([name, t]) => (t.data.length > 0 ? `${i}.${name}` : ''))
    return { ...node, in: [i === 0 ? 'image' : `v${i - 1}`, ...names], out: `v${i}`, name: node.name ?? `n${i}` }
  })
  return { inputs: { image: dims }, outputs: [`v${steps.length - 1}`], nodes, tensors }
}

/** Converts the graph, runs both and compares all outputs. */
function expectSame(graph: GraphOf, dims = Object.values(graph.inputs)[0] as number[]) {
  const sizes = dims.map((size) => (typeof size === 'number' ? size : 1))
  const input = {
    dims: sizes,
    data: numbers(
      sizes.reduce((a, b) => a * b, 1),
      99,
    ),
  }
  const converted = convertOnnx(encodeOnnx(graph))
  const expected = evaluate(graph, input)
  const got = [...runConverted(converted, Float32Array.from(input.data)).values()]
  expect(got.length).toBe(graph.outputs.length)
  for (const [i, name] of graph.outputs.entries()) {
    expect(distance(got[i], expected.get(name)!.data)).toBeLessThan(1e-5)
  }
  return converted
}

const ops = (converted: { arch: Record<string, unknown> }) =>
  (converted.arch.layers as { op: string }[]).map(({ op }) => op)

function problemsOf(graph: GraphOf): readonly string[] {
  try {
    convertOnnx(encodeOnnx(graph))
  } catch (error) {
    expect(error).toBeInstanceOf(RingfenceError)
    return (error as RingfenceError).problems
  }
  throw new Error('expected a refusal')
}

describe('windows', () => {
  const cases: [string, Step][] = [
    ['plain', { op: 'Conv', tensors: { w: tensor([5, 4, 3, 3]), b: tensor([5]) } }],
    ['asymmetric pads', { op: 'Conv', attributes: { pads: [1, 0, 2, 3] }, tensors: { w: tensor([5, 4, 3, 2]) } }],
    [
      'groups, strides and dilations',
      {
        op: 'Conv',
        attributes: { group: 2, strides: [2, 1], dilations: [1, 2], kernel_shape: [3, 2] },
        tensors: { w: tensor([6, 2, 3, 2]), b: tensor([6]) },
      },
    ],
    ['depthwise', { op: 'Conv', attributes: { group: 4, pads: [1, 1, 1, 1] }, tensors: { w: tensor([4, 1, 3, 3]) } }],
    ...(['SAME_UPPER', 'SAME_LOWER', 'VALID'] as const).map((auto_pad): [string, Step] => [
      auto_pad,
      { op: 'Conv', attributes: { auto_pad, strides: [2, 2] }, tensors: { w: tensor([2, 4, 3, 4]) } },
    ]),
    ['max pool', { op: 'MaxPool', attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] } }],
    ['max pool in ceil mode', { op: 'MaxPool', attributes: { kernel_shape: [2, 2], strides: [2, 2], ceil_mode: 1 } }],
    ['average pool', { op: 'AveragePool', attributes: { kernel_shape: [3, 2], strides: [2, 1], pads: [1, 0, 1, 1] } }],
    [
      'average pool that counts its padding',
      {
        op: 'AveragePool',
        attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1], count_include_pad: 1 },
      },
    ],
    [
      'average pool in ceil mode',
      {
        op: 'AveragePool',
        attributes: { kernel_shape: [2, 3], strides: [2, 3], pads: [0, 1, 1, 0], ceil_mode: 1, count_include_pad: 1 },
      },
    ],
    ['global average pool', { op: 'GlobalAveragePool' }],
    ['global max pool', { op: 'GlobalMaxPool' }],
  ]
  it.each(cases)('%s', (_, step) => {
    expectSame(chain([1, 4, 7, 9], [step]))
  })
})

describe('matrix products', () => {
  const flat = { op: 'Flatten' }
  it.each([
    [
      'Gemm as PyTorch writes it',
      { op: 'Gemm', attributes: { transB: 1 }, tensors: { w: tensor([3, 12]), b: tensor([3]) } },
    ],
    [
      'Gemm with alpha and beta',
      {
        op: 'Gemm',
        attributes: { alpha: { float: 0.5 }, beta: { float: -2 } },
        tensors: { w: tensor([12, 3]), b: tensor([1, 3]) },
      },
    ],
    [
      'Gemm with alpha and transB',
      {
        op: 'Gemm',
        attributes: { alpha: { float: 0.5 }, transB: 1 },
        tensors: { w: tensor([3, 12]), b: scalar(0.5) },
      },
    ],
    ['MatMul', { op: 'MatMul', tensors: { w: tensor([12, 3]) } }],
  ])('%s', (_, step) => {
    expect(ops(expectSame(chain([1, 3, 2, 2], [flat, step])))).toEqual(['flatten', 'linear'])
  })

  it('MatMul and Add are one layer, as are Conv and Add', () => {
    const steps: Step[] = [
      { op: 'Conv', tensors: { w: tensor([3, 3, 1, 1]) } },
      { op: 'Add', tensors: { b: tensor([3, 1, 1]) } },
      flat,
      { op: 'MatMul', tensors: { w: tensor([12, 3]) } },
      { op: 'Add', tensors: { b: tensor([3]) } },
    ]
    const { arch } = expectSame(chain([1, 3, 2, 2], steps))
    const layers = arch.layers as { op: string; bias?: boolean }[]
    expect(layers.map(({ op, bias }) => [op, bias])).toEqual([
      ['conv2d', true],
      ['flatten', undefined],
      ['linear', true],
    ])
  })

  it('a convolution that others read keeps its own output', () => {
    const graph = chain(
      [1, 2, 3, 3],
      [
        { op: 'Conv', tensors: { w: tensor([2, 2, 1, 1]) } },
        { op: 'Add', tensors: { b: tensor([1, 2, 1, 1]) } },
      ],
    )
    graph.nodes.push({ op: 'Add', in: ['v0', 'v1'], out: 'both', name: 'both' })
    expect(ops(expectSame({ ...graph, outputs: ['both'] }))).toEqual(['conv2d', 'batchNorm', 'add'])
  })
})

describe('element by element', () => {
  const norm = { s: positive(3), b: tensor([3]), m: tensor([3]), v: positive(3) }
  it.each([
    ['batch norm', { op: 'BatchNormalization', attributes: { epsilon: { float: 0.01 } }, tensors: norm }, 'batchNorm'],
    ['relu', { op: 'Relu' }, 'relu'],
    ['leaky relu', { op: 'LeakyRelu', attributes: { alpha: { float: 0.25 } } }, 'leakyRelu'],
    ['leaky relu by default', { op: 'LeakyRelu' }, 'leakyRelu'],
    ['prelu', { op: 'PRelu', tensors: { slope: tensor([3, 1, 1]) } }, 'prelu'],
    ['prelu of one slope', { op: 'PRelu', tensors: { slope: tensor([1]) } }, 'prelu'],
    ['clip by attributes', { op: 'Clip', attributes: { min: { float: 0 }, max: { float: 0.5 } } }, 'clip'],
    ['clip by inputs', { op: 'Clip', tensors: { min: scalar(-0.25), max: scalar(0.5) } }, 'clip'],
    ['clip that is a relu', { op: 'Clip', tensors: { min: scalar(0) } }, 'relu'],
    ['factors', { op: 'Mul', tensors: { w: tensor([3, 1, 1]) } }, 'channelScale'],
    ['one divisor', { op: 'Div', tensors: { w: scalar(4) } }, 'channelScale'],
    ['one subtrahend', { op: 'Sub', tensors: { w: scalar(0.5) } }, 'batchNorm'],
    [
      'crop and step',
      {
        op: 'Slice',
        tensors: { starts: integers(1, 0), ends: integers(4, 99), axes: integers(2, 3), steps: integers(2, 3) },
      },
      'pad,subsample',
    ],
    [
      'rows and columns of a constant',
      {
        op: 'Pad',
        tensors: { pads: integers(0, 0, 1, 0, 0, 0, -1, 2), value: scalar(0.5) },
      },
      'pad',
    ],
    ['pads as attributes', { op: 'Pad', attributes: { pads: [0, 0, 1, 1, 0, 0, 1, 1] } }, 'pad'],
    ['channels of zeros', { op: 'Pad', tensors: { pads: integers(0, 2, 0, 0, 0, 1, 0, 0) } }, 'shortcutA'],
    ['nearest', { op: 'Resize', tensors: { roi: tensor([0]), scales: { dims: [4], data: [1, 1, 2, 3] } } }, 'resize'],
    [
      'linear',
      {
        op: 'Resize',
        attributes: { mode: 'linear' },
        tensors: { roi: tensor([0]), scales: { dims: [4], data: [1, 1, 2, 2] } },
      },
      'resize',
    ],
    ['identity', { op: 'Identity' }, 'identity'],
    ['dropout', { op: 'Dropout' }, 'identity'],
  ])('%s', (_, step, layers) => {
    expect(ops(expectSame(chain([1, 3, 5, 4], [step]))).join()).toBe(layers)
  })

  it('sums and concatenations of branches', () => {
    const nodes: NodeOf[] = [
      { op: 'Conv', in: ['image', 'w1'], out: 'a' },
      { op: 'Conv', in: ['image', 'w2'], out: 'b' },
      { op: 'Add', in: ['a', 'b'], out: 'ab' },
      { op: 'Sum', in: ['ab', 'image', 'a'], out: 'sum' },
      { op: 'Concat', in: ['sum', 'b'], out: 'joined', attributes: { axis: 1 } },
      { op: 'GlobalAveragePool', in: ['joined'], out: 'mean' },
      { op: 'Add', in: ['joined', 'mean'], out: 'end' },
    ]
    const tensors = { w1: tensor([2, 2, 1, 1]), w2: tensor([2, 2, 1, 1]) }
    expectSame({ inputs: { image: ['batch', 2, 3, 3] }, outputs: ['end', 'ab'], nodes, tensors }, [1, 2, 3, 3])
  })
})

describe('shapes', () => {
  it('a reshape back to the map costs nothing, and means flatten where they drop axes', () => {
    const steps: Step[] = [
      { op: 'ReduceMean', attributes: { axes: [-1, -2], keepdims: 0 } },
      { op: 'Reshape', tensors: { to: integers(1, 4, 1, 1) } },
      { op: 'Conv', tensors: { w: tensor([3, 4, 1, 1]) } },
      { op: 'Squeeze', tensors: { axes: integers(3, 2) } },
      { op: 'Softmax' },
    ]
    const converted = expectSame(chain(['N', 4, 3, 3], steps), [1, 4, 3, 3])
    expect(ops(converted)).toEqual(['globalAvgPool', 'conv2d', 'flatten', 'softmax'])
    expect(converted.notes).toEqual([])
  })

  it('follows the arithmetic that exporters leave before a reshape', () => {
    const nodes: NodeOf[] = [
      { op: 'Shape', in: ['image'], out: 'shape' },
      {
        op: 'Constant',
        in: [],
        out: 'zero',
        attributes: { value: { tensor: { dims: [], data: [0], as: 'int64_data' } } },
      },
      { op: 'Gather', in: ['shape', 'zero'], out: 'batch' },
      { op: 'Unsqueeze', in: ['batch', 'axis'], out: 'batches' },
      { op: 'Concat', in: ['batches', 'rest'], out: 'target', attributes: { axis: 0 } },
      { op: 'Reshape', in: ['image', 'target'], out: 'flat' },
      { op: 'Transpose', in: ['w', ''].slice(0, 1), out: 'wT', attributes: { perm: [1, 0] } },
      { op: 'MatMul', in: ['flat', 'wT'], out: 'end' },
    ]
    const tensors = { axis: integers(0), rest: integers(-1), w: tensor([3, 8]) }
    const { arch, tensors: made } = convertOnnx(
      encodeOnnx({ inputs: { image: ['N', 2, 2, 2] }, outputs: ['end'], nodes, tensors }),
    )
    expect(ops({ arch })).toEqual(['flatten', 'linear'])
    expect([...made.values()][0].data).toEqual(Float32Array.from(tensors.w.data))
  })
})

describe('tensors', () => {
  it.each(['raw', 'float_data', 'float16', 'double_data'] as const)('stored as %s', (as) => {
    expectSame(chain([1, 2, 3, 3], [{ op: 'Conv', tensors: { w: tensor([2, 2, 2, 2], as) } }]))
  })

  it.each([0, 1, 2, 3])('in a Node Buffer, %i bytes off', (offset) => {
    const weight = tensor([3, 2, 2, 2])
    const file = encodeOnnx(chain([1, 2, 3, 3], [{ op: 'Conv', tensors: { w: weight } }]))
    const padded = Buffer.concat([Buffer.alloc(offset), file])
    const [made] = convertOnnx(padded.subarray(offset)).tensors.values()
    expect(made.data).toEqual(Float32Array.from(weight.data))
  })

  it('that nothing uses are noted', () => {
    const graph = chain([1, 2, 3, 3], [{ op: 'Relu' }])
    expect(convertOnnx(encodeOnnx({ ...graph, tensors: { old: tensor([2]) } })).notes).toEqual([
      'graph.initializer: not used: "old"',
    ])
  })

  it('in another file are refused by name', () => {
    const problems = problemsOf(chain([1, 2, 3, 3], [{ op: 'Conv', tensors: { w: tensor([2, 2, 2, 2], 'external') } }]))
    expect(problems).toEqual([
      'graph.initializer[0] "0.w": its elements are in the file "weights.bin" (external data), which is not beside the model; put it there, or export with external_data=False',
    ])
  })
})

describe('refusals', () => {
  it('lists every op that cannot be converted, and only those that the outputs need', () => {
    const graph = chain([1, 2, 3, 3], [{ op: 'LSTM' }, { op: 'Relu' }, { op: 'Attention', domain: 'com.example' }])
    graph.nodes.push({ op: 'GRU', in: ['image'], out: 'unused' })
    expect(problemsOf(graph)).toEqual([
      'graph.node[0] "n0" (LSTM)',
      'graph.node[2] "n2" (Attention) of operator set "com.example"',
    ])
  })

  it('lists every fault of tensors and attributes at once', () => {
    const problems = problemsOf(
      chain(
        [1, 2, 5, 5],
        [
          { op: 'Conv', tensors: { w: tensor([3, 4, 3, 3]) } },
          { op: 'Conv', tensors: { w: { ...tensor([3, 3]), dims: [3, 3, 1, 9] } } },
          { op: 'BatchNormalization', tensors: { s: tensor([3]) } },
          { op: 'MaxPool' },
        ],
      ),
    )
    expect(problems).toEqual([
      'graph.node[0] "n0" (Conv): tensor "0.w": expected [cout,2/group,kh,kw] with group 1, got [3,4,3,3]',
      'graph.initializer[1] "1.w": expected 324 bytes for [3,3,1,9], got 36',
      ...[2, 3, 4].map((i) => `graph.node[2] "n2" (BatchNormalization): expected a tensor as input ${i}, got none`),
      'graph.node[2] "n2" (BatchNormalization): it has no running statistics (track_running_stats=False); inference needs some, so train with them',
      'graph.node[3] "n3" (MaxPool): kernel_shape: expected two integers, got none',
    ])
  })

  it('names what is missing: a tensor, a producer, an output', () => {
    const nodes: NodeOf[] = [
      { op: 'Conv', in: ['image', 'lost'], out: 'a', name: 'first' },
      { op: 'Relu', in: ['nowhere'], out: 'b', name: 'second' },
    ]
    expect(problemsOf({ inputs: { image: [1, 2, 3, 3] }, outputs: ['a', 'b', 'c'], nodes })).toEqual([
      'graph.node[0] "first" (Conv): input "lost": found no tensor and no node output of that name',
      'graph.node[1] "second" (Relu): input "nowhere": found no tensor and no node output of that name',
      'graph.output[2] "c": expected a computed value, got a name that no node makes',
    ])
  })

  it('a cycle is shown', () => {
    const nodes: NodeOf[] = [
      { op: 'Add', in: ['image', 'b'], out: 'a', name: 'first' },
      { op: 'Relu', in: ['a'], out: 'b', name: 'second' },
    ]
    expect(problemsOf({ inputs: { image: [1, 2, 3, 3] }, outputs: ['b'], nodes })).toEqual([
      'graph: expected no cycle, got "second" -> "first" -> "second"',
    ])
  })

  it('an open input size asks for the shape, which may be given', () => {
    const graph = chain(['N', 2, 'H', 'W'], [{ op: 'Relu' }])
    expect(problemsOf(graph)[0]).toMatch(/give the input's shape/)
    expect(convertOnnx(encodeOnnx(graph), { inputShape: [2, 4, 4] }).arch.inputs).toEqual([
      { name: 'image', shape: [2, 4, 4] },
    ])
  })

  it('tensors that unfold without end are refused with bounded memory', () => {
    const nodes = Array.from({ length: 2000 }, (_, i): NodeOf => ({ op: 'Transpose', in: ['w'], out: `t${i}` }))
    nodes.push({ op: 'Sum', in: nodes.map(({ out }) => out), out: 'end' })
    const graph = { inputs: { image: [1, 2] }, outputs: ['end'], nodes, tensors: { w: tensor([200, 200]) } }
    expect(() => convertOnnx(encodeOnnx(graph))).toThrow(/its tensors would bring/)
  })

  it('lengths beyond the file are refused where they stand', () => {
    const file = encodeOnnx(chain([1, 2, 3, 3], [{ op: 'Relu' }]))
    expect(() => convertOnnx(file.subarray(0, file.length - 9))).toThrow(/expected an ONNX model, but model.*damaged/)
    expect(() => convertOnnx(Uint8Array.of(0x3a, 0xff, 0xff, 0xff, 0xff, 0x07, 0))).toThrow(/premature EOF/)
    expect(() => convertOnnx(new Uint8Array())).toThrow(/holds no graph/)
  })
})
