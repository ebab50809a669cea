// Every attribute of every op of a TF.js graph that the reader knows, set to a value other than its default: it changes the
// result, or it is an error that names it, or it is listed here with the reason why it may do neither. By
// tensorflow.org/api_docs and the ops of tfjs-converter.
import { describe, expect, it } from 'vitest'
import { NODE_READERS } from '../../../src/convert/tfjs/graph/ops.js'
import { convertTfjs } from '../../../src/convert/tfjs/tfjs.js'
import { isFelt, isRefusal, numbers, outcome } from '../run-converted.js'
import { type Attribute, encodeGraph, type GraphDefNode, type Weight } from './encode.js'
import { Idle, positive, training, weight } from './fixture.js'

const SIDE = 4
const INPUT = Float32Array.from(numbers(SIDE ** 3, 12))

describe('attributes of graph ops', () => {
  interface Case {
    readonly inputs?: readonly string[]
    readonly weights?: Readonly<Record<string, Weight>>
    readonly attr?: Readonly<Record<string, Attribute>>
    readonly set: Readonly<Record<string, unknown>>
    readonly before?: readonly GraphDefNode[]
    readonly behind?: readonly GraphDefNode[]
    /** The name and port that the graph gives. */
    readonly output?: string
  }
  const integers = (...data: number[]): Weight => ({ shape: [data.length], data, as: 'int32' })
  const whole = (x: number): Weight => ({ shape: [], data: [x], as: 'int32' })
  const counted = (value: number) => new Idle({ i: value }, 'how many inputs there are')
  const OF_ONE: Case = { set: {} }
  const OF_TWO: Case = { inputs: ['image', 'relu'], set: {} }
  const OF_NUMBER: Case = { inputs: ['image', 'k'], weights: { k: { shape: [], data: [2] } }, set: {} }
  const WINDOW = {
    ...{ strides: [1, 2, 2, 1], padding: 'SAME', data_format: 'NCHW', dilations: [1, 2, 2, 1] },
    explicit_paddings: [0, 0, 1, 1, 1, 1, 0, 0],
  }
  const cudnn = new Idle(false, 'which library computes it')
  const fusion = {
    ...{ num_args: counted(2), num_host_args: counted(1), leakyrelu_alpha: new Idle({ f: 0.7 }, 'of LeakyRelu') },
    epsilon: new Idle({ f: 0.7 }, 'of FusedBatchNorm, which is refused'),
  }
  const kernel = { w: weight([2, 2, 4, 4]), b: weight([4]) }
  const conv: Case = {
    inputs: ['image', 'w'],
    weights: { w: kernel.w },
    attr: { strides: [1, 1, 1, 1], padding: 'VALID' },
    set: { ...WINDOW, use_cudnn_on_gpu: cudnn },
  }
  const { dilations: _, ...SLID } = WINDOW
  const pool: Case = {
    attr: { ksize: [1, 2, 2, 1], strides: [1, 1, 1, 1], padding: 'VALID' },
    set: { ...SLID, ksize: [1, 3, 3, 1] },
  }
  const reduce: Case = { inputs: ['image', 'axes'], weights: { axes: integers(1, 2) }, set: { keep_dims: true } }
  const resize: Case = {
    inputs: ['image', 'size'],
    weights: { size: integers(8, 8) },
    set: { align_corners: true, half_pixel_centers: true },
  }
  const norm: Case = {
    inputs: ['image', 'g', 'b', 'm', 'v'],
    weights: { g: positive(4), b: weight([4]), m: weight([4]), v: positive(4) },
    attr: { is_training: false },
    set: {
      ...{ epsilon: { f: 0.5 }, data_format: 'NCHW', is_training: true },
      exponential_avg_factor: training({ f: 0.5 }),
    },
  }
  const fusedConv: Case = {
    ...conv,
    inputs: ['image', 'w', 'b'],
    weights: kernel,
    attr: { ...conv.attr, fused_ops: ['BiasAdd'] },
    set: { ...conv.set, ...fusion, fused_ops: ['BiasAdd', 'Relu'], filter_format: 'OIHW' },
  }
  const leaky = { fused_ops: ['BiasAdd', 'LeakyRelu'], leakyrelu_alpha: { f: 0.1 } }
  const fusedLeaky: Case = { ...fusedConv, attr: { ...conv.attr, ...leaky }, set: { leakyrelu_alpha: { f: 0.5 } } }
  const flat = [
    { name: 'sizes', op: 'Pack', input: ['minus', 'all'], attr: { N: { i: 2 } } },
    { name: 'flat', op: 'Reshape', input: ['image', 'sizes'] },
  ]
  const sizes = { minus: whole(-1), all: whole(SIDE ** 3) }
  const matrix: Case = {
    before: flat,
    inputs: ['flat', 'w', 'b'],
    weights: { ...sizes, w: weight([64, 64]), b: weight([64]) },
    set: { transpose_a: true, transpose_b: true },
  }
  const sliced: Case = {
    inputs: ['image', 'from', 'to', 'step'],
    weights: { from: integers(0, 1, 1, 1), to: integers(1, 3, 2, 3), step: integers(1, 1, 1, 1) },
    set: Object.fromEntries(
      ['begin_mask', 'end_mask', 'shrink_axis_mask', 'new_axis_mask', 'ellipsis_mask'].map((name) => [name, { i: 4 }]),
    ),
  }

  const apart = { block: integers(2, 2), edges: { shape: [2, 2], data: [0, 0, 0, 0], as: 'int32' } as const }
  const product: Case = {
    inputs: ['image', 'w'],
    weights: { w: weight([4, 4]) },
    set: { adj_x: true, adj_y: true, grad_x: training(true), grad_y: training(true) },
  }
  const older: Case = { ...norm, attr: { epsilon: { f: 0.25 }, is_training: false } }

  const CASES: Readonly<Record<string, readonly Case[]>> = {
    Abs: [OF_ONE],
    Add: [OF_TWO],
    AddN: [{ ...OF_TWO, set: { N: counted(2) } }],
    AddV2: [OF_TWO],
    ArgMax: [
      {
        inputs: ['image', 'axis'],
        weights: { axis: whole(3) },
        set: { output_type: new Idle({ type: 'DT_INT32' }, 'indices are exact in every type') },
      },
    ],
    ArgMin: [{ inputs: ['image', 'axis'], weights: { axis: whole(3) }, set: {} }],
    AvgPool: [pool],
    BatchMatMul: [product],
    BatchMatMulV2: [product],
    BatchToSpaceND: [
      {
        before: [{ name: 'apart', op: 'SpaceToBatchND', input: ['image', 'block', 'edges'] }],
        inputs: ['apart', 'block', 'edges'],
        weights: apart,
        set: {},
      },
    ],
    BiasAdd: [{ inputs: ['image', 'b'], weights: { b: weight([4]) }, set: { data_format: 'NCHW' } }],
    BroadcastTo: [{ inputs: ['image', 'to'], weights: { to: integers(1, 4, 4, 4) }, set: {} }],
    Cast: [{ attr: { DstT: { type: 'DT_FLOAT' } }, set: { DstT: { type: 'DT_INT32' }, Truncate: true } }],
    ClipByValue: [
      {
        inputs: ['image', 'lo', 'hi'],
        weights: { lo: { shape: [], data: [0] }, hi: { shape: [], data: [1] } },
        set: {},
      },
    ],
    ConcatV2: [{ inputs: ['image', 'relu', 'axis'], weights: { axis: whole(3) }, set: { N: counted(2) } }],
    Conv2D: [conv],
    Conv2DBackpropInput: [
      { ...conv, inputs: ['size', 'w', 'image'], weights: { w: kernel.w, size: integers(1, 5, 5, 4) } },
    ],
    DepthToSpace: [{ attr: { block_size: { i: 2 } }, set: { block_size: { i: 1 }, data_format: 'NCHW' } }],
    DepthwiseConv2dNative: [conv],
    Div: [OF_NUMBER],
    DivNoNan: [OF_NUMBER],
    Einsum: [
      {
        inputs: ['image', 'w'],
        weights: { w: weight([4, 4]) },
        attr: { equation: 'abcd,de->abce' },
        set: { equation: 'abcd,ed->abce', N: counted(2) },
      },
    ],
    Elu: [OF_ONE],
    EnsureShape: [OF_ONE],
    Erf: [OF_ONE],
    Exp: [OF_ONE],
    Expm1: [OF_ONE],
    ExpandDims: [{ inputs: ['image', 'axis'], weights: { axis: whole(3) }, set: {} }],
    FusedBatchNorm: [older],
    FusedBatchNormV2: [older],
    FusedBatchNormV3: [norm],
    FusedDepthwiseConv2dNative: [{ ...fusedConv, weights: { w: weight([2, 2, 4, 1]), b: kernel.b } }],
    GatherV2: [
      {
        inputs: ['image', 'places', 'axis'],
        weights: { places: integers(2, 0), axis: whole(3) },
        set: { batch_dims: { i: 1 } },
      },
    ],
    Identity: [OF_ONE],
    IdentityN: [OF_ONE],
    LeakyRelu: [{ set: { alpha: { f: 0.5 } } }],
    Log: [OF_ONE],
    Log1p: [OF_ONE],
    MatMul: [
      {
        ...matrix,
        inputs: ['flat', 'w'],
        set: { ...matrix.set, grad_a: training(true), grad_b: training(true) },
      },
    ],
    Max: [reduce],
    MaxPool: [pool],
    Maximum: [OF_NUMBER],
    Mean: [reduce],
    Min: [reduce],
    Minimum: [OF_NUMBER],
    MirrorPad: [
      {
        inputs: ['image', 'p'],
        weights: { p: { shape: [4, 2], data: [0, 0, 1, 1, 1, 1, 0, 0], as: 'int32' } },
        attr: { mode: 'REFLECT' },
        set: { mode: 'SYMMETRIC' },
      },
    ],
    Mul: [OF_TWO],
    Neg: [OF_ONE],
    Pack: [
      {
        inputs: ['minus', 'all'],
        weights: sizes,
        behind: [{ name: 'end', op: 'Reshape', input: ['op', 'image'].reverse() }],
        output: 'end',
        set: { axis: { i: 1 }, N: counted(2) },
      },
    ],
    Pad: [
      {
        inputs: ['image', 'p'],
        weights: { p: { shape: [4, 2], data: [0, 0, 1, 1, 1, 1, 0, 0], as: 'int32' } },
        set: {},
      },
    ],
    PadV2: [
      {
        inputs: ['image', 'p', 'v'],
        weights: { p: { shape: [4, 2], data: [0, 0, 1, 1, 1, 1, 0, 0], as: 'int32' }, v: { shape: [], data: [2] } },
        set: {},
      },
    ],
    PlaceholderWithDefault: [OF_ONE],
    Pow: [OF_NUMBER],
    Prelu: [{ inputs: ['image', 'a'], weights: { a: weight([1, 1, 4]) }, set: {} }],
    Rank: [
      {
        behind: [{ name: 'end', op: 'ExpandDims', input: ['image', 'op'] }],
        output: 'end',
        set: {},
      },
    ],
    RealDiv: [OF_NUMBER],
    Reciprocal: [OF_ONE],
    Relu: [OF_ONE],
    Relu6: [OF_ONE],
    Reshape: [{ inputs: ['image', 'to'], weights: { to: integers(-1, 64) }, set: {} }],
    ResizeBilinear: [resize],
    ResizeNearestNeighbor: [{ ...resize, weights: { size: integers(3, 7) } }],
    ReverseV2: [{ inputs: ['image', 'axis'], weights: { axis: integers(3) }, set: {} }],
    Rsqrt: [OF_ONE],
    Shape: [
      {
        behind: [{ name: 'end', op: 'Reshape', input: ['image', 'op'] }],
        output: 'end',
        set: { out_type: new Idle({ type: 'DT_INT64' }, 'sizes are exact in every type') },
      },
    ],
    LogSoftmax: [OF_ONE],
    Selu: [OF_ONE],
    Sigmoid: [OF_ONE],
    Size: [
      {
        weights: sizes,
        behind: [
          { name: 'to', op: 'Pack', input: ['minus', 'op'], attr: { N: { i: 2 } } },
          { name: 'end', op: 'Reshape', input: ['image', 'to'] },
        ],
        output: 'end',
        set: { out_type: new Idle({ type: 'DT_INT64' }, 'sizes are exact in every type') },
      },
    ],
    Slice: [
      {
        inputs: ['image', 'begin', 'size'],
        weights: { begin: integers(0, 0, 1, 0), size: integers(1, 2, -1, 2) },
        set: {},
      },
    ],
    Snapshot: [OF_ONE],
    Softmax: [OF_ONE],
    Softplus: [OF_ONE],
    SpaceToBatchND: [
      {
        inputs: ['image', 'block', 'edges'],
        weights: apart,
        behind: [{ name: 'end', op: 'BatchToSpaceND', input: ['op', 'block', 'edges'] }],
        output: 'end',
        set: {},
      },
    ],
    Split: [
      {
        inputs: ['axis', 'image'],
        weights: { axis: whole(3) },
        attr: { num_split: { i: 2 } },
        set: { num_split: { i: 4 } },
      },
    ],
    SplitV: [
      {
        inputs: ['image', 'parts', 'axis'],
        weights: { parts: integers(1, 3), axis: whole(3) },
        attr: { num_split: { i: 2 } },
        set: { num_split: { i: 3 } },
      },
    ],
    Sqrt: [OF_ONE],
    Square: [OF_ONE],
    SquaredDifference: [OF_TWO],
    Squeeze: [
      {
        before: [{ name: 'mean', op: 'Mean', input: ['image', 'axes'], attr: { keep_dims: true } }],
        inputs: ['mean'],
        weights: { axes: integers(1, 2) },
        set: { squeeze_dims: [1] },
      },
    ],
    StopGradient: [OF_ONE],
    StridedSlice: [sliced],
    Sub: [OF_TWO],
    Sum: [reduce],
    Tanh: [OF_ONE],
    Tile: [{ inputs: ['image', 'times'], weights: { times: integers(1, 1, 1, 2) }, set: {} }],
    Transpose: [{ inputs: ['image', 'order'], weights: { order: integers(0, 2, 1, 3) }, set: {} }],
    Unpack: [{ attr: { axis: { i: 1 }, num: { i: 4 } }, set: { axis: { i: 2 }, num: { i: 3 } } }],
    _FusedConv2D: [fusedConv, fusedLeaky],
    _FusedMatMul: [
      {
        ...matrix,
        attr: { fused_ops: ['BiasAdd'] },
        set: { ...matrix.set, ...fusion, fused_ops: ['BiasAdd', 'Relu'] },
      },
      { ...matrix, attr: leaky, set: { leakyrelu_alpha: { f: 0.5 } } },
    ],
  }

  function result(op: string, given: Case, more: Readonly<Record<string, unknown>> = {}) {
    const attr = { ...given.attr, ...more } as Record<string, Attribute>
    const nodes = [
      { name: 'relu', op: 'Relu', input: ['image'] },
      ...(given.before ?? []),
      { name: 'op', op, input: given.inputs ?? ['image'], attr },
      ...(given.behind ?? []),
    ]
    const files = encodeGraph([SIDE, SIDE, SIDE], nodes, given.weights ?? {}, [given.output ?? 'op'])
    return outcome(() => convertTfjs(files.json, files.shards), INPUT)
  }

  it('every op that is read is here', () => {
    expect(Object.keys(CASES).sort()).toEqual([...NODE_READERS.keys()].sort())
  })

  const EVERYWHERE = {
    T: new Idle({ type: 'DT_FLOAT' }, 'the type of its elements'),
    _class: new Idle('loc:@x', 'an annotation'),
    surprise: true,
  }
  const rows = Object.entries(CASES).flatMap(([name, cases]) =>
    cases.map((each, i) => [`${name}${i > 0 ? ` (${i + 1})` : ''}`, name, each] as const),
  )
  it.each(rows)('%s', (_, op, given) => {
    const base = result(op, given)
    expect(isRefusal(base) ? base : '').toBe('')
    const wrong = Object.entries({ ...EVERYWHERE, ...given.set }).filter(([name, set]) => {
      const got = result(op, given, { [name]: set instanceof Idle ? set.value : set })
      return set instanceof Idle ? got !== base : !isFelt(name, base, got)
    })
    expect(wrong.map(([name]) => name)).toEqual([])
  })

  it('no epsilon, where TF.js takes another than TensorFlow', () => {
    expect(result('FusedBatchNorm', norm)).toMatch(/\(FusedBatchNorm\): epsilon: expected a number, got null/)
  })

  it('one input too many', () => {
    expect(result('Relu', { inputs: ['image', 'image'], set: {} })).toMatch(
      /\(Relu\): input 1 "image": an input that is not known/,
    )
  })

  it('one of another kind', () => {
    expect(result('LeakyRelu', { set: {} }, { alpha: { i: 1 } })).toMatch(/\(LeakyRelu\): alpha: expected a float, got/)
  })
})
