// Convolutions, pools, norms, matrices, resizes.
import type { Graph, Idiom } from './graph.js'

const idiom = (name: string, build: Idiom['build']): Idiom => ({ name, build })
const stride = (h: number, w = h) => ({ strides: [1, h, w, 1] })
const dilated = (h: number, w = h) => ({ dilations: [1, h, w, 1] })
const SAME = { padding: 'SAME' }

const paddings = ['SAME', 'VALID'] as const
const convs = paddings.flatMap((padding) =>
  [
    ...[1, 2, 3, 4].flatMap((s) => [1, 2, 3, 5].map((k) => ({ s, k, d: 1 }))),
    ...[2, 3].map((d) => ({ s: 1, k: 3, d })),
  ].flatMap(({ s, k, d }) => [
    idiom(`Conv2D ${padding} kernel ${k} stride ${s} dilation ${d}`, (g) =>
      g.op('Conv2D', [g.image(11, 10, 3), g.w(k, k, 3, 4)], { padding, ...stride(s), ...dilated(d) }),
    ),
    idiom(`DepthwiseConv2dNative ${padding} kernel ${k} stride ${s} dilation ${d}`, (g) =>
      g.op('DepthwiseConv2dNative', [g.image(11, 10, 3), g.w(k, k, 3, 2)], { padding, ...stride(s), ...dilated(d) }),
    ),
  ]),
)

const pools = (['MaxPool', 'AvgPool'] as const).flatMap((op) =>
  paddings.flatMap((padding) =>
    [1, 2, 3].flatMap((s) =>
      [1, 2, 3, 5].map((k) =>
        idiom(`${op} ${padding} ${k} stride ${s}`, (g) =>
          g.op(op, [g.image(11, 10, 3)], { padding, ...stride(s), ksize: [1, k, k, 1] }),
        ),
      ),
    ),
  ),
)

/** Bias, then an activation, as grappler fuses them; an activation alone TF.js leaves out. */
const ACTIVATIONS = ['Relu', 'Relu6', 'Elu', 'Sigmoid', 'LeakyRelu', 'Prelu']
const fusedOps = [[], ['BiasAdd'], ...ACTIVATIONS.map((op) => ['BiasAdd', op]), ['Relu']]
const fusedArgs = (g: Graph, ops: readonly string[], channels: number) => [
  ...(ops.includes('BiasAdd') ? [g.w(channels)] : []),
  ...(ops.includes('Prelu') ? [g.w(1, 1, channels)] : []),
]
const fused = fusedOps.flatMap((ops) => {
  const attr = (rest: readonly string[]) => ({
    fused_ops: ops,
    num_args: { i: rest.length },
    TArgs: { types: rest.map(() => 'DT_FLOAT') },
    leakyrelu_alpha: { f: 0.3 },
    epsilon: { f: 0.01 },
  })
  const text = ops.join('+') || 'nothing'
  return [
    idiom(`_FusedConv2D of ${text}`, (g) => {
      const rest = fusedArgs(g, ops, 4)
      return g.op('_FusedConv2D', [g.image(6, 7, 3), g.w(3, 3, 3, 4), ...rest], {
        ...attr(rest),
        ...SAME,
        ...stride(2),
      })
    }),
    // TF.js does not hand the slope of its LeakyRelu on.
    ...(ops.includes('LeakyRelu') ? [] : ['FusedDepthwiseConv2dNative']).map((op) =>
      idiom(`${op} of ${text}`, (g) => {
        const rest = fusedArgs(g, ops, 6)
        return g.op(op, [g.image(6, 7, 3), g.w(3, 3, 3, 2), ...rest], { ...attr(rest), ...SAME })
      }),
    ),
    idiom(`_FusedMatMul of ${text}`, (g) => {
      const rest = fusedArgs(g, ops, 5)
      return g.op('_FusedMatMul', [g.image(6), g.w(6, 5), ...rest], attr(rest))
    }),
  ]
})

const resizes = (['ResizeBilinear', 'ResizeNearestNeighbor'] as const).flatMap((op) =>
  [
    [10, 12],
    [20, 24],
    [5, 6],
    [7, 9],
    [15, 18],
    [3, 3],
    [1, 1],
    [13, 6],
    [9, 11],
    [2, 3],
    [4, 4],
  ].flatMap(([h, w]) =>
    [
      { align_corners: false, half_pixel_centers: false },
      { align_corners: true, half_pixel_centers: false },
      { align_corners: false, half_pixel_centers: true },
    ].map((attr) =>
      idiom(
        `${op} to ${h}x${w} ${attr.align_corners ? 'corners' : attr.half_pixel_centers ? 'half' : 'asymmetric'}`,
        (g) => g.op(op, [g.image(5, 6, 3), g.ints(h, w)], attr),
      ),
    ),
  ),
)

export const WINDOWS: readonly Idiom[] = [
  ...convs,
  ...pools,
  ...fused,
  ...resizes,
  idiom('Conv2D explicit padding', (g) =>
    g.op('Conv2D', [g.image(6, 6, 2), g.w(3, 3, 2, 3)], {
      padding: 'EXPLICIT',
      explicit_paddings: [0, 0, 1, 2, 0, 1, 0, 0],
    }),
  ),
  idiom('Conv2D explicit padding, stride 2', (g) =>
    g.op('Conv2D', [g.image(7, 7, 2), g.w(3, 3, 2, 3)], {
      padding: 'EXPLICIT',
      explicit_paddings: [0, 0, 1, 1, 1, 1, 0, 0],
      ...stride(2),
    }),
  ),
  idiom('Depthwise explicit padding', (g) =>
    g.op('DepthwiseConv2dNative', [g.image(6, 6, 2), g.w(3, 3, 2, 1)], {
      padding: 'EXPLICIT',
      explicit_paddings: [0, 0, 1, 2, 0, 1, 0, 0],
    }),
  ),
  idiom('Conv2D strides 1x2', (g) => g.op('Conv2D', [g.image(6, 9, 2), g.w(3, 2, 2, 3)], { ...stride(1, 2), ...SAME })),
  idiom('Depthwise strides 2x1', (g) =>
    g.op('DepthwiseConv2dNative', [g.image(6, 9, 2), g.w(3, 2, 2, 3)], { ...stride(2, 1), ...SAME }),
  ),
  idiom('Conv2D NCHW', (g) =>
    g.op('Conv2D', [g.image(3, 6, 6), g.w(3, 3, 3, 3)], { data_format: 'NCHW', strides: [1, 1, 1, 1] }),
  ),
  idiom('MaxPool NCHW', (g) => g.op('MaxPool', [g.image(6, 6, 6)], { data_format: 'NCHW', ksize: [1, 1, 2, 2] })),
  idiom('AvgPool NCHW', (g) => g.op('AvgPool', [g.image(6, 6, 6)], { data_format: 'NCHW', ksize: [1, 1, 2, 2] })),
  idiom('BiasAdd NCHW', (g) => g.op('BiasAdd', [g.image(6, 6, 6), g.w(6)], { data_format: 'NCHW' })),
  idiom('FusedBatchNormV3 NCHW', (g) =>
    g.op('FusedBatchNormV3', [g.image(6, 6, 6), g.p(6), g.w(6), g.w(6), g.p(6)], { data_format: 'NCHW' }),
  ),
  idiom('BiasAdd of a vector', (g) => g.op('BiasAdd', [g.image(6), g.w(6)])),
  idiom('BiasAdd of a flattened map', (g) =>
    g.op('BiasAdd', [g.op('Reshape', [g.image(2, 3, 4), g.ints(-1, 24)]), g.w(24)]),
  ),
  ...['FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3'].flatMap((op) => [
    idiom(op, (g) =>
      g.op(op, [g.image(4, 5, 3), g.p(3), g.w(3), g.w(3), g.p(3)], {
        T: { type: 'DT_FLOAT' },
        epsilon: { f: 0.01 },
        data_format: 'NHWC',
        is_training: false,
      }),
    ),
    idiom(`${op}, epsilon by default`, (g) =>
      g.op(op, [g.image(4, 5, 3), g.p(3), g.w(3), g.w(3), g.floats([3], 0.001, 0.002, 0.5)], {
        T: { type: 'DT_FLOAT' },
        data_format: 'NHWC',
        is_training: false,
      }),
    ),
  ]),
  idiom('FusedBatchNormV3 that trains', (g) =>
    g.op('FusedBatchNormV3', [g.image(4, 5, 3), g.p(3), g.w(3), g.w(3), g.p(3)], { is_training: true }),
  ),
  idiom('FusedBatchNormV3, is_training by default', (g) =>
    g.op('FusedBatchNormV3', [g.image(4, 5, 3), g.p(3), g.w(3), g.w(3), g.p(3)], { is_training: undefined as never }),
  ),
  idiom('batch norm in single ops', (g) => {
    const x = g.image(4, 5, 3)
    return g.op('AddV2', [g.op('Mul', [x, g.w(3)]), g.w(3)])
  }),
  idiom('batch norm of a vector in single ops', (g) => g.op('AddV2', [g.op('Mul', [g.image(7), g.w(7)]), g.w(7)])),
  ...[false, true].flatMap((transpose_b) => [
    idiom(`MatMul transpose_b ${transpose_b}`, (g) =>
      g.op('MatMul', [g.image(6), transpose_b ? g.w(5, 6) : g.w(6, 5)], { transpose_b }),
    ),
    idiom(`_FusedMatMul transpose_b ${transpose_b}`, (g) =>
      g.op('_FusedMatMul', [g.image(6), transpose_b ? g.w(5, 6) : g.w(6, 5), g.w(5)], { transpose_b }),
    ),
    idiom(`BatchMatMulV2 of a vector adj_y ${transpose_b}`, (g) =>
      g.op('BatchMatMulV2', [g.image(6), transpose_b ? g.w(5, 6) : g.w(6, 5)], { adj_y: transpose_b }),
    ),
    idiom(`BatchMatMulV2 of rows adj_y ${transpose_b}`, (g) =>
      g.op('BatchMatMulV2', [g.image(4, 6), transpose_b ? g.w(5, 6) : g.w(6, 5)], { adj_y: transpose_b }),
    ),
    idiom(`BatchMatMulV2 of a map adj_y ${transpose_b}`, (g) =>
      g.op('BatchMatMulV2', [g.image(2, 4, 6), transpose_b ? g.w(5, 6) : g.w(6, 5)], { adj_y: transpose_b }),
    ),
  ]),
  idiom('MatMul transpose_a', (g) => g.op('MatMul', [g.image(1), g.w(1, 5)], { transpose_a: true })),
  idiom('MatMul with the matrix first', (g) => g.op('MatMul', [g.w(1, 1), g.image(6)])),
  idiom('MatMul of two values', (g) =>
    g.op('MatMul', [
      g.op('Reshape', [g.image(3, 4), g.ints(3, 4)]),
      g.op('Reshape', [g.op('Relu', ['image']), g.ints(4, 3)]),
    ]),
  ),
  idiom('BatchMatMulV2 of two values', (g) => {
    const x = g.image(4, 6)
    return g.op('BatchMatMulV2', [x, g.op('Relu', [x])], { adj_y: true })
  }),
  idiom('MatMul after Reshape -1', (g) =>
    g.op('MatMul', [g.op('Reshape', [g.image(3, 4, 2), g.ints(-1, 24)]), g.w(24, 5)]),
  ),
  idiom('MatMul after Reshape 1', (g) =>
    g.op('MatMul', [g.op('Reshape', [g.image(3, 4, 2), g.ints(1, -1)]), g.w(24, 5)]),
  ),
  idiom('MatMul of every pixel (Tensordot)', (g) =>
    g.op('Reshape', [
      g.op('MatMul', [g.op('Reshape', [g.image(3, 4, 2), g.ints(-1, 2)]), g.w(2, 5)]),
      g.ints(-1, 3, 4, 5),
    ]),
  ),
  idiom('MatMul of every row (Tensordot)', (g) =>
    g.op('Reshape', [g.op('MatMul', [g.op('Reshape', [g.image(4, 6), g.ints(-1, 6)]), g.w(6, 5)]), g.ints(-1, 4, 5)]),
  ),
  idiom('Dense of rows with computed sizes (Tensordot of Keras)', (g) => {
    const x = g.image(4, 6)
    const shape = g.op('Shape', [x])
    const picked = g.op('GatherV2', [shape, g.ints(0, 1), g.int(0)], { Tparams: { type: 'DT_INT32' } })
    const rows = g.op('Prod', [picked, g.ints(0)], { T: { type: 'DT_INT32' } })
    const to = g.op('Pack', [rows, g.int(6)])
    const turned = g.op('Transpose', [x, g.ints(0, 1, 2)])
    const product = g.op('MatMul', [g.op('Reshape', [turned, to]), g.w(6, 5)])
    const out = g.op('ConcatV2', [picked, g.ints(5), g.int(0)], { T: { type: 'DT_INT32' } })
    return g.op('BiasAdd', [g.op('Reshape', [product, out]), g.w(5)])
  }),
  ...[1, 2, 3].flatMap((s) =>
    [1, 2, 3, 4].flatMap((k) =>
      paddings.map((padding) =>
        idiom(`Conv2DBackpropInput ${padding} kernel ${k} stride ${s}`, (g) => {
          const size = (n: number) => (padding === 'SAME' ? n * s : (n - 1) * s + Math.max(k, s))
          return g.op('Conv2DBackpropInput', [g.ints(1, size(4), size(5), 3), g.w(k, k, 3, 2), g.image(4, 5, 2)], {
            padding,
            ...stride(s),
          })
        }),
      ),
    ),
  ),
  idiom('Conv2DBackpropInput with odd size', (g) =>
    g.op('Conv2DBackpropInput', [g.ints(1, 7, 9, 3), g.w(3, 3, 3, 2), g.image(4, 5, 2)], { ...SAME, ...stride(2) }),
  ),
  idiom('Conv2DBackpropInput with its size computed (Conv2DTranspose of Keras)', (g) => {
    const x = g.image(4, 5, 2)
    const shape = g.op('Shape', [x])
    const batch = g.op('StridedSlice', [shape, g.ints(0), g.ints(1), g.ints(1)], { shrink_axis_mask: { i: 1 } })
    const size = g.op('Pack', [batch, g.int(8), g.int(10), g.int(3)])
    return g.op('Conv2DBackpropInput', [size, g.w(3, 3, 3, 2), x], { ...SAME, ...stride(2) })
  }),
  idiom('Conv2DBackpropInput with rows computed from the input', (g) => {
    const x = g.image(4, 5, 2)
    const shape = g.op('Shape', [x])
    const one = (i: number) =>
      g.op('StridedSlice', [shape, g.ints(i), g.ints(i + 1), g.ints(1)], { shrink_axis_mask: { i: 1 } })
    const twice = (i: number) => g.op('Mul', [one(i), g.int(2)], { T: { type: 'DT_INT32' } })
    const size = g.op('Pack', [one(0), twice(1), twice(2), g.int(3)])
    return g.op('Conv2DBackpropInput', [size, g.w(2, 2, 3, 2), x], stride(2))
  }),
  idiom('Conv1D of Keras', (g) => {
    const wide = g.op('ExpandDims', [g.image(9, 3), g.int(-3)])
    const made = g.op('Conv2D', [wide, g.w(1, 3, 3, 4)], SAME)
    return g.op('BiasAdd', [g.op('Squeeze', [made], { squeeze_dims: [-3] }), g.w(4)])
  }),
  idiom('Conv1D of Keras, ExpandDims at 1', (g) => {
    const wide = g.op('ExpandDims', [g.image(9, 3), g.int(1)])
    return g.op('Squeeze', [g.op('Conv2D', [wide, g.w(1, 3, 3, 4)], SAME)], { squeeze_dims: [1] })
  }),
  idiom('DepthwiseConv1D dilated', (g) => {
    const wide = g.op('ExpandDims', [g.image(9, 3), g.int(1)])
    return g.op('Squeeze', [g.op('DepthwiseConv2dNative', [wide, g.w(1, 3, 3, 1)], { ...SAME, ...dilated(1, 2) })], {
      squeeze_dims: [1],
    })
  }),
  idiom('MaxPooling1D of Keras', (g) =>
    g.op(
      'Squeeze',
      [g.op('MaxPool', [g.op('ExpandDims', [g.image(9, 3), g.int(2)])], { ksize: [1, 2, 1, 1], ...stride(2, 1) })],
      { squeeze_dims: [2] },
    ),
  ),
  ...[
    [2, 1],
    [2, 2],
    [3, 3],
    [4, 2],
  ].flatMap(([block, k3]) =>
    ['Conv2D', 'DepthwiseConv2dNative'].map((op) =>
      idiom(`${op} dilated by SpaceToBatchND ${block} VALID ${k3}`, (g) => {
        const x = g.op('SpaceToBatchND', [g.image(12, 12, 2), g.ints(block, block), g.pairs(0, 0, 0, 0)])
        const made = g.op(op, [x, g.w(3, 3, 2, 2)])
        return g.op('BatchToSpaceND', [made, g.ints(block, block), g.pairs(0, 0, 0, 0)])
      }),
    ),
  ),
  idiom('Conv2D dilated by SpaceToBatchND as SAME', (g) => {
    const x = g.op('SpaceToBatchND', [g.image(7, 8, 2), g.ints(2, 2), g.pairs(2, 3, 2, 2)])
    const made = g.op('Conv2D', [x, g.w(3, 3, 2, 3)])
    return g.op('Relu', [g.op('BiasAdd', [g.op('BatchToSpaceND', [made, g.ints(2, 2), g.pairs(0, 1, 0, 0)]), g.w(3)])])
  }),
  idiom('_FusedConv2D between SpaceToBatchND', (g) => {
    const x = g.op('SpaceToBatchND', [g.image(8, 8, 2), g.ints(2, 2), g.pairs(2, 2, 2, 2)])
    const made = g.op('_FusedConv2D', [x, g.w(3, 3, 2, 3), g.w(3)], { fused_ops: ['BiasAdd', 'Relu'] })
    return g.op('BatchToSpaceND', [made, g.ints(2, 2), g.pairs(0, 0, 0, 0)])
  }),
  idiom('SpaceToBatchND with rows alone', (g) => {
    const x = g.op('SpaceToBatchND', [g.image(8, 8, 2), g.ints(2, 1), g.pairs(2, 2, 0, 0)])
    const made = g.op('Conv2D', [x, g.w(3, 1, 2, 3)])
    return g.op('BatchToSpaceND', [made, g.ints(2, 1), g.pairs(0, 0, 0, 0)])
  }),
  idiom('Conv1D dilated by SpaceToBatchND of rows', (g) => {
    const x = g.op('SpaceToBatchND', [g.image(12, 3), g.ints(2), g.pairs(2, 2)])
    const wide = g.op('ExpandDims', [x, g.int(1)])
    const made = g.op('Squeeze', [g.op('Conv2D', [wide, g.w(1, 3, 3, 4)])], { squeeze_dims: [1] })
    return g.op('BatchToSpaceND', [made, g.ints(2), g.pairs(0, 0)])
  }),
  ...['REFLECT', 'SYMMETRIC'].map((mode) =>
    idiom(`MirrorPad ${mode}`, (g) => g.op('MirrorPad', [g.image(5, 6, 2), g.pairs(0, 0, 1, 2, 2, 1, 0, 0)], { mode })),
  ),
  idiom('Pad', (g) => g.op('Pad', [g.image(5, 6, 2), g.pairs(0, 0, 1, 2, 3, 0, 0, 0)])),
  idiom('Pad before Conv2D', (g) =>
    g.op('Conv2D', [g.op('Pad', [g.image(8, 8, 2), g.pairs(0, 0, 0, 1, 0, 1, 0, 0)]), g.w(3, 3, 2, 3)], stride(2)),
  ),
  idiom('PadV2 of -1 before MaxPool', (g) =>
    g.op('MaxPool', [g.op('PadV2', [g.image(8, 8, 2), g.pairs(0, 0, 1, 1, 1, 1, 0, 0), g.num(-9)])], {
      ksize: [1, 3, 3, 1],
      ...stride(2),
    }),
  ),
  idiom('PadV2 of channels by 2', (g) => g.op('PadV2', [g.image(4, 4, 2), g.pairs(0, 0, 0, 0, 0, 0, 1, 1), g.num(2)])),
  idiom('Pad of channels', (g) => g.op('Pad', [g.image(4, 4, 2), g.pairs(0, 0, 0, 0, 0, 0, 1, 2)])),
  idiom('Pad of a vector', (g) => g.op('Pad', [g.image(4), g.pairs(0, 0, 1, 2)])),
  idiom('Pad of rows', (g) => g.op('Pad', [g.image(4, 3), g.pairs(0, 0, 1, 2, 0, 0)])),
  idiom('Pad of the batch', (g) => g.op('Pad', [g.image(4, 4, 2), g.pairs(1, 0, 0, 0, 0, 0, 0, 0)])),
  ...[2, 3].map((block) =>
    idiom(`DepthToSpace ${block}`, (g) =>
      g.op('DepthToSpace', [g.image(3, 4, 2 * block * block)], { block_size: { i: block } }),
    ),
  ),
  idiom('LRN', (g) =>
    g.op('LRN', [g.image(3, 4, 8)], { depth_radius: { i: 2 }, bias: { f: 1 }, alpha: { f: 0.1 }, beta: { f: 0.5 } }),
  ),
  idiom('Dilation2D', (g) =>
    g.op('Dilation2D', [g.image(5, 5, 2), g.w(3, 3, 2)], {
      strides: [1, 1, 1, 1],
      rates: [1, 1, 1, 1],
      padding: 'SAME',
    }),
  ),
  idiom('MaxPoolWithArgmax', (g) =>
    g.op('MaxPoolWithArgmax', [g.image(6, 6, 2)], {
      ksize: [1, 2, 2, 1],
      ...stride(2),
      padding: 'VALID',
      include_batch_in_index: false,
    }),
  ),
  ...(['uint8', 'uint16', 'float16'] as const).map((as) =>
    idiom(`weights stored as ${as}`, (g) =>
      g.op('_FusedConv2D', [g.image(5, 5, 3), g.stored(as, 3, 3, 3, 4), g.stored(as, 4)], {
        fused_ops: ['BiasAdd', 'Relu'],
      }),
    ),
  ),
  idiom('AvgPool of strides beyond its window', (g) =>
    g.op('AvgPool', [g.image(9, 9, 2)], { ksize: [1, 2, 2, 1], ...stride(3), ...SAME }),
  ),
  idiom('CropAndResize', (g) =>
    g.op('CropAndResize', [g.image(6, 6, 2), g.floats([1, 4], 0, 0, 1, 1), g.ints(0), g.ints(4, 4)], {
      method: 'bilinear',
      extrapolation_value: { f: 0 },
    }),
  ),
  idiom('UpSampling2D of Keras with its size computed', (g) => {
    const x = g.image(4, 5, 2)
    const size = g.op('StridedSlice', [g.op('Shape', [x]), g.ints(1), g.ints(3), g.ints(1)])
    return g.op('ResizeNearestNeighbor', [x, g.op('Mul', [size, g.ints(2, 2)], { T: { type: 'DT_INT32' } })], {
      half_pixel_centers: true,
    })
  }),
]
