// What arranges elements.
import type { Graph, Idiom } from './graph.js'

const idiom = (name: string, build: Idiom['build']): Idiom => ({ name, build })
const INT = { T: { type: 'DT_INT32' } }
const FLOATS = { T: { type: 'DT_FLOAT' } }

const perms = [
  [0, 1, 2, 3],
  [0, 1, 3, 2],
  [0, 2, 1, 3],
  [0, 2, 3, 1],
  [0, 3, 1, 2],
  [0, 3, 2, 1],
  [1, 0, 2, 3],
  [3, 0, 1, 2],
]
const targets: readonly (readonly number[])[] = [
  [-1, 24],
  [1, 24],
  [1, -1],
  [-1, 12, 2],
  [-1, 3, 8],
  [-1, 2, 12],
  [-1, 4, 3, 2],
  [-1, 2, 3, 4],
  [-1, 6, 4, 1],
  [1, -1, 2],
  [1, 3, -1],
  [-1, 1, 24],
  [-1, 1, 1, 24],
  [-1, 3, 4, 2],
  [-1, 3, 2, 2, 2],
  [-1, 3, 4, 1, 2],
  [1, 2, 2, 3, 2, 1],
  [-1],
  [24],
  [-1, 2],
  [-1, 8],
  [3, 8],
  [12, 2],
  [2, 12],
  [3, 4, 2],
]

/** Sizes of a value, picked one by one. */
const pick = (g: Graph, shape: string, i: number) =>
  g.op('StridedSlice', [shape, g.ints(i), g.ints(i + 1), g.ints(1)], { shrink_axis_mask: { i: 1 } })

export const SHAPES: readonly Idiom[] = [
  ...perms.map((order) =>
    idiom(`Transpose [${order}]`, (g) => g.op('Transpose', [g.image(3, 4, 2), g.ints(...order)])),
  ),
  ...perms.map((order) =>
    idiom(`Transpose [${order}] before Relu and back`, (g) => {
      const back = order.map((_, i) => order.indexOf(i))
      return g.op('Transpose', [
        g.op('Relu', [g.op('Transpose', [g.image(3, 4, 2), g.ints(...order)])]),
        g.ints(...back),
      ])
    }),
  ),
  ...perms.map((order) =>
    idiom(`Transpose [${order}] before a dense layer`, (g) => {
      const flat = g.op('Reshape', [g.op('Transpose', [g.image(3, 4, 2), g.ints(...order)]), g.ints(-1, 24)])
      return g.op('MatMul', [flat, g.w(24, 5)])
    }),
  ),
  idiom('Transpose of rows', (g) => g.op('Transpose', [g.image(3, 4), g.ints(0, 2, 1)])),
  idiom('Transpose of a vector', (g) => g.op('Transpose', [g.image(3), g.ints(0, 1)])),
  ...targets.map((shape) =>
    idiom(`Reshape of a map to [${shape}]`, (g) => g.op('Reshape', [g.image(3, 4, 2), g.ints(...shape)])),
  ),
  ...targets.map((shape) =>
    idiom(`Reshape of a vector to [${shape}]`, (g) => g.op('Reshape', [g.image(24), g.ints(...shape)])),
  ),
  ...targets.map((shape) =>
    idiom(`Reshape of rows to [${shape}]`, (g) => g.op('Reshape', [g.image(6, 4), g.ints(...shape)])),
  ),
  idiom('Reshape of a vector to a map, then Conv2D', (g) =>
    g.op('Conv2D', [g.op('Reshape', [g.image(24), g.ints(-1, 3, 4, 2)]), g.w(2, 2, 2, 3)]),
  ),
  idiom('Reshape of a dense layer to a map, then Conv2D', (g) =>
    g.op('Conv2D', [g.op('Reshape', [g.op('MatMul', [g.image(5), g.w(5, 24)]), g.ints(-1, 3, 4, 2)]), g.w(2, 2, 2, 3)]),
  ),
  idiom('Reshape to one pixel each', (g) =>
    g.op('Reshape', [g.op('Reshape', [g.image(3, 4, 2), g.ints(-1, 12, 2)]), g.ints(-1, 3, 4, 2)]),
  ),
  idiom('channel shuffle', (g) => {
    const parts = g.op('Reshape', [g.image(3, 4, 6), g.ints(-1, 3, 4, 2, 3)])
    return g.op('Reshape', [g.op('Transpose', [parts, g.ints(0, 1, 2, 4, 3)]), g.ints(-1, 3, 4, 6)])
  }),
  idiom('channel shuffle, then Conv2D', (g) => {
    const parts = g.op('Reshape', [g.image(3, 4, 6), g.ints(-1, 3, 4, 2, 3)])
    const made = g.op('Reshape', [g.op('Transpose', [parts, g.ints(0, 1, 2, 4, 3)]), g.ints(-1, 3, 4, 6)])
    return g.op('Conv2D', [made, g.w(2, 2, 6, 3)])
  }),
  idiom('space to depth in single ops', (g) => {
    const parts = g.op('Reshape', [g.image(4, 6, 2), g.ints(-1, 2, 2, 3, 2, 2)])
    return g.op('Reshape', [g.op('Transpose', [parts, g.ints(0, 1, 3, 2, 4, 5)]), g.ints(-1, 2, 3, 8)])
  }),
  idiom('patches of a vision transformer', (g) =>
    g.op('Reshape', [g.op('Conv2D', [g.image(8, 8, 3), g.w(4, 4, 3, 6)], { strides: [1, 4, 4, 1] }), g.ints(-1, 4, 6)]),
  ),
  idiom('NCHW input turned to NHWC', (g) =>
    g.op('Conv2D', [g.op('Transpose', [g.image(3, 5, 6), g.ints(0, 2, 3, 1)]), g.w(3, 3, 3, 4)]),
  ),
  idiom('NCHW input and output', (g) =>
    g.op('Transpose', [
      g.op('Conv2D', [g.op('Transpose', [g.image(3, 5, 6), g.ints(0, 2, 3, 1)]), g.w(3, 3, 3, 4)]),
      g.ints(0, 3, 1, 2),
    ]),
  ),
  idiom('Squeeze of all', (g) => g.op('Squeeze', [g.image(1, 4, 1)])),
  idiom('Squeeze of [1]', (g) => g.op('Squeeze', [g.image(1, 4, 1)], { squeeze_dims: [1] })),
  idiom('Squeeze of [-1]', (g) => g.op('Squeeze', [g.image(1, 4, 1)], { squeeze_dims: [-1] })),
  idiom('Squeeze of [1,2] behind a mean', (g) =>
    g.op('Squeeze', [g.op('Mean', [g.image(3, 4, 6), g.ints(1, 2)], { keep_dims: true })], { squeeze_dims: [1, 2] }),
  ),
  idiom('Squeeze of the batch', (g) => g.op('Squeeze', [g.image(1, 4, 3)], { squeeze_dims: [0] })),
  idiom('Squeeze of all of one pixel', (g) => g.op('Squeeze', [g.image(1, 1, 6)])),
  idiom('Squeeze of a vector of one', (g) => g.op('Squeeze', [g.image(1)], { squeeze_dims: [1] })),
  idiom('Flatten of Keras with sizes computed', (g) => {
    const x = g.image(3, 4, 2)
    return g.op('Reshape', [x, g.op('Pack', [pick(g, g.op('Shape', [x]), 0), g.int(-1)])])
  }),
  idiom('Reshape of Keras with sizes computed', (g) => {
    const x = g.image(3, 4, 2)
    return g.op('Reshape', [x, g.op('Pack', [pick(g, g.op('Shape', [x]), 0), g.int(12), g.int(2)])])
  }),
  idiom('Reshape with a product of sizes', (g) => {
    const x = g.image(3, 4, 2)
    const shape = g.op('Shape', [x])
    const pixels = g.op('Mul', [pick(g, shape, 1), pick(g, shape, 2)], INT)
    return g.op('Reshape', [x, g.op('Pack', [pick(g, shape, 0), pixels, g.int(2)])])
  }),
  idiom('Reshape with Prod of sizes', (g) => {
    const x = g.image(3, 4, 2)
    const tail = g.op('StridedSlice', [g.op('Shape', [x]), g.ints(1), g.ints(0), g.ints(1)], { end_mask: { i: 1 } })
    return g.op('Reshape', [
      x,
      g.op('Pack', [g.int(-1), g.op('Prod', [tail, g.ints(0)], { ...INT, keep_dims: false })]),
    ])
  }),
  idiom('Reshape with FloorDiv of sizes', (g) => {
    const x = g.image(4, 4, 2)
    const half = g.op('FloorDiv', [pick(g, g.op('Shape', [x]), 1), g.int(2)], INT)
    return g.op('Reshape', [x, g.op('Pack', [g.int(-1), half, g.int(16)])])
  }),
  idiom('Reshape with sizes concatenated', (g) => {
    const x = g.image(3, 4, 2)
    const front = g.op('StridedSlice', [g.op('Shape', [x]), g.ints(0), g.ints(2), g.ints(1)], { begin_mask: { i: 1 } })
    return g.op('Reshape', [x, g.op('ConcatV2', [front, g.ints(8), g.int(0)], INT)])
  }),
  idiom('Reshape with sizes of steps of -1', (g) => {
    const x = g.image(3, 4, 2)
    const back = g.op('StridedSlice', [g.op('Shape', [x]), g.ints(-1), g.ints(0), g.ints(-1)], { end_mask: { i: 0 } })
    return g.op('Reshape', [x, g.op('ConcatV2', [g.ints(-1), back, g.int(0)], INT)])
  }),
  idiom('Reshape with the last size', (g) => {
    const x = g.image(3, 4, 2)
    const last = g.op('StridedSlice', [g.op('Shape', [x]), g.ints(-1), g.ints(0), g.ints(1)], {
      end_mask: { i: 1 },
      shrink_axis_mask: { i: 1 },
    })
    return g.op('Reshape', [x, g.op('Pack', [g.int(-1), g.int(12), last])])
  }),
  idiom('Reshape with sizes cast', (g) => {
    const x = g.image(3, 4, 2)
    const half = g.op(
      'Cast',
      [g.op('RealDiv', [g.op('Cast', [pick(g, g.op('Shape', [x]), 2)], { SrcT: { type: 'DT_INT32' } }), g.num(2)])],
      { DstT: { type: 'DT_INT32' } },
    )
    return g.op('Reshape', [x, g.op('Pack', [g.int(-1), half, g.int(12)])])
  }),
  idiom('ResizeBilinear with sizes cast', (g) => {
    const x = g.image(3, 4, 2)
    const size = g.op('StridedSlice', [g.op('Shape', [x]), g.ints(1), g.ints(3), g.ints(1)])
    const twice = g.op('Cast', [g.op('Mul', [g.op('Cast', [size], { SrcT: { type: 'DT_INT32' } }), g.num(2)])], {
      DstT: { type: 'DT_INT32' },
    })
    return g.op('ResizeBilinear', [x, twice], { half_pixel_centers: true })
  }),
  idiom('class token of a vision transformer', (g) => {
    const x = g.image(4, 6)
    const token = g.op(
      'BroadcastTo',
      [g.w(1, 1, 6), g.op('Pack', [pick(g, g.op('Shape', [x]), 0), g.int(1), g.int(6)])],
      { ...FLOATS, Tidx: { type: 'DT_INT32' } },
    )
    return g.op('ConcatV2', [token, x, g.int(1)])
  }),
  idiom('Fill beside a value', (g) => {
    const x = g.image(3, 4, 2)
    return g.op('ConcatV2', [x, g.op('Fill', [g.ints(1, 3, 4, 1), g.num(0.5)], FLOATS), g.int(3)])
  }),
  idiom('ZerosLike beside a value', (g) => {
    const x = g.image(3, 4, 2)
    return g.op('ConcatV2', [x, g.op('ZerosLike', [x]), g.int(3)])
  }),
  idiom('BroadcastTo of a pixel', (g) =>
    g.op('BroadcastTo', [g.image(1, 1, 2), g.ints(1, 3, 4, 2)], { ...FLOATS, Tidx: { type: 'DT_INT32' } }),
  ),
  idiom('Tile of a pixel', (g) => g.op('Tile', [g.image(1, 1, 2), g.ints(1, 3, 4, 1)])),
  idiom('Tile of one channel to three', (g) => g.op('Tile', [g.image(3, 4, 1), g.ints(1, 1, 1, 3)])),
  idiom('RGB to BGR by ReverseV2', (g) =>
    g.op('Conv2D', [g.op('ReverseV2', [g.image(4, 4, 3), g.ints(-1)]), g.w(2, 2, 3, 2)]),
  ),
  idiom('RGB to BGR by Split and ConcatV2', (g) => {
    const made = g.op('Split', [g.int(3), g.image(4, 4, 3)], { num_split: { i: 3 } })
    return g.op('ConcatV2', [`${made}:2`, `${made}:1`, made, g.int(3)])
  }),
  idiom('horizontal flip', (g) => g.op('ReverseV2', [g.image(4, 5, 3), g.ints(2)])),
  idiom('ConcatV2 of one', (g) => g.op('ConcatV2', [g.image(3, 4, 2), g.int(3)])),
  idiom('ConcatV2 of flattened maps', (g) => {
    const x = g.image(2, 3, 4)
    const flat = g.op('Reshape', [x, g.ints(-1, 24)])
    const made = g.op('ConcatV2', [flat, g.op('Mean', [x, g.ints(1, 2)]), g.int(1)])
    return g.op('MatMul', [made, g.w(28, 3)])
  }),
  idiom('ConcatV2 of flattened maps without a dense layer', (g) => {
    const x = g.image(2, 3, 4)
    return g.op('ConcatV2', [g.op('Reshape', [x, g.ints(-1, 24)]), g.op('Mean', [x, g.ints(1, 2)]), g.int(-1)])
  }),
  idiom('Slice of a flattened map', (g) =>
    g.op(
      'StridedSlice',
      [g.op('Reshape', [g.image(2, 3, 4), g.ints(-1, 24)]), g.ints(0, 3), g.ints(0, 9), g.ints(1, 1)],
      { ...FLOATS, begin_mask: { i: 1 }, end_mask: { i: 1 } },
    ),
  ),
  idiom('boxes of an SSD', (g) => {
    const x = g.image(4, 4, 6)
    const a = g.op('Reshape', [g.op('Conv2D', [x, g.w(1, 1, 6, 8)]), g.ints(-1, 32, 4)])
    const b = g.op('Reshape', [g.op('Conv2D', [x, g.w(2, 2, 6, 8)], { strides: [1, 2, 2, 1] }), g.ints(-1, 8, 4)])
    return g.op('ConcatV2', [a, b, g.int(1)])
  }),
  idiom('a self-attention head', (g) => {
    const x = g.image(4, 6)
    const [q, k, v] = [0, 1, 2].map(() => g.op('BatchMatMulV2', [x, g.w(6, 6)]))
    const scores = g.op('Softmax', [g.op('Mul', [g.op('BatchMatMulV2', [q, k], { adj_y: true }), g.num(0.4)])])
    return g.op('BatchMatMulV2', [scores, v])
  }),
  idiom('Einsum of rows and a matrix', (g) =>
    g.op('Einsum', [g.image(4, 6), g.w(6, 5)], { equation: 'abc,cd->abd', N: { i: 2 } }),
  ),
  idiom('an output that is an input', (g) => g.image(3, 4, 2)),
  idiom('several outputs', (g) => {
    const x = g.image(3, 4, 2)
    return [g.op('Relu', [x]), g.op('Mean', [x, g.ints(1, 2)]), g.op('Abs', [x])]
  }),
  idiom('one value under two outputs', (g) => {
    const x = g.op('Relu', [g.image(3, 4, 2)])
    return [g.op('Identity', [x]), g.op('Identity', [x])]
  }),
  idiom('TopKV2', (g) => {
    const made = g.op('TopKV2', [g.image(6), g.int(3)], { sorted: true })
    return [made, `${made}:1`]
  }),
  idiom('OneHot of an arg max', (g) =>
    g.op(
      'OneHot',
      [g.op('ArgMax', [g.image(6), g.int(1)], { output_type: { type: 'DT_INT32' } }), g.int(6), g.num(1), g.num(0)],
      { ...FLOATS, TI: { type: 'DT_INT32' }, axis: { i: -1 } },
    ),
  ),
  idiom('GatherNd of pixels', (g) =>
    g.op('GatherNd', [g.image(4, 4, 3), g.ints(0, 1, 2)], {
      Tparams: { type: 'DT_FLOAT' },
      Tindices: { type: 'DT_INT32' },
    }),
  ),
  idiom('Rank and Range as axes', (g) => {
    const x = g.image(3, 4, 2)
    return g.op('Mean', [
      x,
      g.op('Range', [g.int(1), g.op('Sub', [g.op('Rank', [x]), g.int(1)], INT), g.int(1)], {
        Tidx: { type: 'DT_INT32' },
      }),
    ])
  }),
  idiom('Size of a value', (g) => {
    const x = g.image(3, 4, 2)
    return g.op('Reshape', [
      x,
      g.op('Pack', [g.int(-1), g.op('Size', [x], { ...FLOATS, out_type: { type: 'DT_INT32' } })]),
    ])
  }),
  idiom('Dropout left in', (g) => g.op('Mul', [g.image(3, 4, 2), g.num(1)])),
  idiom('PlaceholderWithDefault', (g) =>
    g.op('PlaceholderWithDefault', [g.image(3, 4, 2)], { dtype: { type: 'DT_FLOAT' } }),
  ),
  idiom('FakeQuantWithMinMaxVars', (g) =>
    g.op('FakeQuantWithMinMaxVars', [g.image(3, 4, 2), g.num(-1), g.num(1)], {
      num_bits: { i: 8 },
      narrow_range: false,
    }),
  ),
  idiom('SpaceToBatchND alone', (g) => g.op('SpaceToBatchND', [g.image(4, 4, 2), g.ints(2, 2), g.pairs(0, 0, 0, 0)])),
  idiom('MatrixBandPart', (g) => g.op('MatrixBandPart', [g.image(4, 4), g.int(-1), g.int(0)], FLOATS)),
]
