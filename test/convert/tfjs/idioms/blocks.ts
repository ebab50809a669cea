// Blocks of networks in single ops, as Keras and TensorFlow leave them.
import type { Idiom } from './graph.js'

const idiom = (name: string, build: Idiom['build']): Idiom => ({ name, build })

export const BLOCKS: readonly Idiom[] = [
  idiom('layer normalisation of Keras', (g) => {
    const x = g.image(3, 4, 6)
    const mean = g.op('Mean', [x, g.ints(3)], { keep_dims: true })
    const variance = g.op('Mean', [g.op('SquaredDifference', [x, g.op('StopGradient', [mean])]), g.ints(3)], {
      keep_dims: true,
    })
    const root = g.op('Rsqrt', [g.op('AddV2', [variance, g.num(0.001)])])
    const factor = g.op('Mul', [root, g.w(6)])
    const shift = g.op('Sub', [g.w(6), g.op('Mul', [mean, factor])])
    return g.op('AddV2', [g.op('Mul', [x, factor]), shift])
  }),
  idiom('layer normalisation of rows', (g) => {
    const x = g.image(4, 6)
    const mean = g.op('Mean', [x, g.ints(2)], { keep_dims: true })
    const variance = g.op('Mean', [g.op('SquaredDifference', [x, mean]), g.ints(2)], { keep_dims: true })
    const factor = g.op('Mul', [g.op('Rsqrt', [g.op('AddV2', [variance, g.num(0.001)])]), g.w(6)])
    return g.op('AddV2', [g.op('Mul', [x, factor]), g.op('Sub', [g.w(6), g.op('Mul', [mean, factor])])])
  }),
  idiom('instance normalisation', (g) => {
    const x = g.image(3, 4, 6)
    const mean = g.op('Mean', [x, g.ints(1, 2)], { keep_dims: true })
    const variance = g.op('Mean', [g.op('SquaredDifference', [x, mean]), g.ints(1, 2)], { keep_dims: true })
    return g.op('Mul', [g.op('Sub', [x, mean]), g.op('Rsqrt', [g.op('AddV2', [variance, g.num(0.001)])])])
  }),
  idiom('l2 normalisation of a vector', (g) => {
    const x = g.image(6)
    const sum = g.op('Sum', [g.op('Square', [x]), g.ints(1)], { keep_dims: true })
    return g.op('Mul', [x, g.op('Rsqrt', [g.op('Maximum', [sum, g.num(1e-12)])])])
  }),
  idiom('l2 normalisation along channels', (g) => {
    const x = g.image(3, 4, 6)
    const sum = g.op('Sum', [g.op('Square', [x]), g.ints(-1)], { keep_dims: true })
    return g.op('Mul', [x, g.op('Rsqrt', [g.op('Maximum', [sum, g.num(1e-12)])])])
  }),
  idiom('EuclideanNorm', (g) => g.op('EuclideanNorm', [g.image(3, 4, 2), g.ints(3)], { keep_dims: true })),
  idiom('squeeze and excitation by Reshape', (g) => {
    const x = g.image(4, 4, 6)
    const small = g.op('Reshape', [g.op('Mean', [x, g.ints(1, 2)]), g.ints(-1, 1, 1, 6)])
    const inner = g.op('_FusedConv2D', [small, g.w(1, 1, 6, 2), g.w(2)], { fused_ops: ['BiasAdd', 'Relu'] })
    return g.op('Mul', [x, g.op('Sigmoid', [g.op('_FusedConv2D', [inner, g.w(1, 1, 2, 6), g.w(6)])])])
  }),
  idiom('squeeze and excitation by dense layers', (g) => {
    const x = g.image(4, 4, 6)
    const inner = g.op('_FusedMatMul', [g.op('Mean', [x, g.ints(1, 2)]), g.w(6, 2), g.w(2)], {
      fused_ops: ['BiasAdd', 'Relu'],
    })
    const gate = g.op('Sigmoid', [g.op('BiasAdd', [g.op('MatMul', [inner, g.w(2, 6)]), g.w(6)])])
    return g.op('Mul', [x, g.op('Reshape', [gate, g.ints(-1, 1, 1, 6)])])
  }),
  idiom('attention by maxima and means of channels (CBAM)', (g) => {
    const x = g.image(6, 6, 4)
    const both = g.op('ConcatV2', [
      g.op('Mean', [x, g.ints(3)], { keep_dims: true }),
      g.op('Max', [x, g.ints(3)], { keep_dims: true }),
      g.int(3),
    ])
    return g.op('Mul', [x, g.op('Sigmoid', [g.op('Conv2D', [both, g.w(3, 3, 2, 1)], { padding: 'SAME' })])])
  }),
  idiom('Rescaling of Keras', (g) => g.op('AddV2', [g.op('Mul', [g.image(4, 4, 3), g.num(1 / 127.5)]), g.num(-1)])),
  idiom('Normalization of Keras', (g) =>
    g.op('RealDiv', [g.op('Sub', [g.image(4, 4, 3), g.w(1, 1, 1, 3)]), g.p(1, 1, 1, 3)]),
  ),
  idiom('a constant that two ops compute', (g) =>
    g.op('Mul', [g.image(4, 4, 3), g.op('Rsqrt', [g.op('AddV2', [g.p(3), g.num(0.001)])])]),
  ),
  idiom('batch norm that is not folded', (g) => {
    const x = g.image(4, 4, 3)
    const factor = g.op('Mul', [g.op('Rsqrt', [g.op('AddV2', [g.p(3), g.num(0.001)])]), g.p(3)])
    return g.op('AddV2', [g.op('Mul', [x, factor]), g.op('Sub', [g.w(3), g.op('Mul', [g.w(3), factor])])])
  }),
  idiom('a kernel that is computed', (g) => g.op('Conv2D', [g.image(5, 5, 2), g.op('Mul', [g.w(3, 3, 2, 3), g.p(3)])])),
  idiom('a matrix that is transposed', (g) =>
    g.op('MatMul', [g.image(5), g.op('Transpose', [g.w(4, 5), g.ints(1, 0)])]),
  ),
  idiom('a kernel behind Identity', (g) => g.op('Conv2D', [g.image(5, 5, 2), g.op('Identity', [g.w(3, 3, 2, 3)])])),
  ...['AddV2', 'Sub', 'Mul', 'RealDiv', 'BiasAdd', 'Prelu', 'Maximum'].map((op) =>
    idiom(`${op} of rows as many as columns, made of a map, and a number per column`, (g) =>
      g.op(op, [g.op('Reshape', [g.image(2, 2, 4), g.ints(-1, 4, 4)]), g.p(4)]),
    ),
  ),
  ...['AddV2', 'Mul', 'BiasAdd', 'Prelu'].map((op) =>
    idiom(`${op} of rows as many as columns, of a vector, and a number per column`, (g) =>
      g.op(op, [g.op('Reshape', [g.image(16), g.ints(-1, 4, 4)]), g.p(4)]),
    ),
  ),
  ...['Mean', 'Sum', 'Max'].map((op) =>
    idiom(`${op} over 1 behind a Squeeze that takes the batch along`, (g) =>
      g.op(op, [g.op('Squeeze', [g.image(1, 3, 3)]), g.ints(1)]),
    ),
  ),
  idiom('Softmax of a picture without its batch', (g) => {
    const first = { T: { type: 'DT_FLOAT' }, shrink_axis_mask: { i: 1 } }
    return g.op('Softmax', [g.op('StridedSlice', [g.image(3, 3, 4), g.ints(0), g.ints(1), g.ints(1)], first)])
  }),
  idiom('ArgMax over 1 of a picture without its batch', (g) => {
    const first = { T: { type: 'DT_FLOAT' }, shrink_axis_mask: { i: 1 } }
    const x = g.op('StridedSlice', [g.image(3, 3, 3), g.ints(0), g.ints(1), g.ints(1)], first)
    return g.op('ArgMax', [x, g.int(1)])
  }),
  idiom('a flattened map and its mean', (g) => {
    const flat = g.op('Reshape', [g.image(2, 3, 2), g.ints(-1, 12)])
    return g.op('Mul', [g.op('Mean', [flat, g.ints(1)], { keep_dims: true }), flat])
  }),
  idiom('a flattened map as the channels of another', (g) => {
    const x = g.image(2, 2, 8)
    const small = g.op('Mean', [g.op('Reshape', [x, g.ints(-1, 2, 2, 2, 4)]), g.ints(3)])
    const flat = g.op('Reshape', [small, g.ints(-1, 16)])
    return g.op('Mul', [g.op('ConcatV2', [x, g.op('Relu', [x]), g.int(3)]), flat])
  }),
  idiom('IdentityN of two that go on', (g) => {
    const x = g.image(3, 4, 2)
    const both = g.op('IdentityN', [g.op('Relu', [x]), x], { T: { types: ['DT_FLOAT', 'DT_FLOAT'] } })
    return g.op('Sub', [both, `${both}:1`])
  }),
  idiom('PadV2 of the lowest number before MaxPool', (g) => {
    const x = g.op('PadV2', [g.image(8, 8, 2), g.pairs(0, 0, 1, 1, 1, 1, 0, 0), g.num(Number.NEGATIVE_INFINITY)])
    return g.op('MaxPool', [x], { ksize: [1, 3, 3, 1], strides: [1, 2, 2, 1] })
  }),
  idiom('PadV2 of the lowest number before Relu', (g) => {
    const x = g.op('PadV2', [g.image(8, 8, 2), g.pairs(0, 0, 1, 1, 1, 1, 0, 0), g.num(Number.NEGATIVE_INFINITY)])
    return g.op('Relu', [x])
  }),
]
