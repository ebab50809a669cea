import { describe, expect, it } from 'vitest'
import { encodeGraph, type GraphDefNode, type Weight } from './encode.js'
import * as tf from './evaluate.js'
import { expectSame, image, integers, ops, positive, weight } from './fixture.js'

describe('graph models', () => {
  const x = image(7, 6, 4)
  const [k, d, p, b5, b8, w] = [
    weight([3, 3, 4, 5]),
    weight([3, 3, 4, 2]),
    weight([1, 1, 4, 5]),
    weight([5]),
    weight([8]),
    weight([60, 3]),
  ]
  const blank = { shape: [7, 6, 1], data: Array<number>(42).fill(0) }
  const norm = [positive(4), weight([4]), weight([4]), positive(4)]
  const two = [1, 2, 2, 1]
  const node = (op: string, input: string[], attr: GraphDefNode['attr'] = {}): GraphDefNode => ({
    name: 'n',
    op,
    input,
    attr,
  })

  it.each<[string, GraphDefNode, Record<string, Weight>, tf.Value]>([
    [
      'Conv2D',
      node('Conv2D', ['image', 'k'], { strides: two, padding: 'SAME', data_format: 'NHWC' }),
      { k },
      tf.conv(x, k, { strides: [2, 2], padding: 'same' }),
    ],
    [
      'Conv2D, explicit padding',
      node('Conv2D', ['image', 'k'], { padding: 'EXPLICIT', explicit_paddings: [0, 0, 1, 0, 2, 1, 0, 0] }),
      { k },
      tf.conv(tf.pad(x, [1, 2, 0, 1]), k),
    ],
    [
      '_FusedConv2D',
      node('_FusedConv2D', ['image', 'k', 'b'], { padding: 'VALID', fused_ops: ['BiasAdd', 'Relu6'] }),
      { k, b: b5 },
      tf.relu6(tf.conv(x, k, {}, b5)),
    ],
    [
      'DepthwiseConv2dNative',
      node('DepthwiseConv2dNative', ['image', 'k'], { dilations: two }),
      { k: d },
      tf.depthwise(x, d, { dilation: [2, 2] }),
    ],
    [
      'FusedDepthwiseConv2dNative',
      node('FusedDepthwiseConv2dNative', ['image', 'k', 'b'], { padding: 'SAME', fused_ops: ['BiasAdd', 'Relu'] }),
      { k: d, b: b8 },
      tf.relu(tf.depthwise(x, d, { padding: 'same' }, b8)),
    ],
    [
      'FusedBatchNormV3',
      node('FusedBatchNormV3', ['image', 'g', 'b', 'm', 'v'], { epsilon: { f: 0.01 }, is_training: false }),
      { g: norm[0], b: norm[1], m: norm[2], v: norm[3] },
      tf.batchNorm(x, 0.01, ...norm),
    ],
    ['Mul and a scalar', node('Mul', ['c', 'image']), { c: { shape: [], data: [0.5] } }, tf.map(x, (v) => v / 2)],
    ['RealDiv per channel', node('RealDiv', ['image', 'c']), { c: norm[0] }, tf.map(x, (v, c) => v / norm[0].data[c])],
    ['Sub', node('Sub', ['image', 'c']), { c: norm[1] }, tf.map(x, (v, c) => v - norm[1].data[c])],
    [
      'MaxPool',
      node('MaxPool', ['image'], { ksize: [1, 3, 3, 1], strides: two, padding: 'SAME' }),
      {},
      tf.pool('max', x, [3, 3], { strides: [2, 2], padding: 'same' }),
    ],
    [
      'AvgPool',
      node('AvgPool', ['image'], { ksize: [1, 3, 3, 1], strides: two, padding: 'SAME' }),
      {},
      tf.pool('avg', x, [3, 3], { strides: [2, 2], padding: 'same' }),
    ],
    ['LeakyRelu', node('LeakyRelu', ['image'], { alpha: { f: 0.125 } }), {}, tf.leaky(x, [0.125])],
    ['LeakyRelu by default', node('LeakyRelu', ['image']), {}, tf.leaky(x, [0.2])],
    ['Prelu', node('Prelu', ['image', 's']), { s: norm[1] }, tf.leaky(x, norm[1].data)],
    [
      'fused LeakyRelu',
      node('_FusedConv2D', ['image', 'k', 'b'], { fused_ops: ['BiasAdd', 'LeakyRelu'], leakyrelu_alpha: { f: 0.5 } }),
      { k, b: b5 },
      tf.leaky(tf.conv(x, k, {}, b5), [0.5]),
    ],
    [
      'fused Prelu',
      node('FusedDepthwiseConv2dNative', ['image', 'k', 'b', 's'], { fused_ops: ['BiasAdd', 'Prelu'] }),
      { k: d, b: b8, s: { ...b8, shape: [1, 1, 8] } },
      tf.leaky(tf.depthwise(x, d, {}, b8), b8.data),
    ],
    ['Mean', node('Mean', ['image', 'axes']), { axes: integers(1, 2) }, tf.globalAverage(x)],
    [
      'ClipByValue',
      node('ClipByValue', ['image', 'a', 'b']),
      { a: { shape: [], data: [-0.5] }, b: { shape: [], data: [0.25] } },
      tf.map(x, (v) => Math.min(Math.max(v, -0.5), 0.25)),
    ],
    [
      'Pad',
      node('PadV2', ['image', 'p', 'fill']),
      { p: { shape: [4, 2], data: [0, 0, 1, 3, 0, 2, 0, 0], as: 'int32' }, fill: { shape: [], data: [0.5] } },
      tf.pad(x, [1, 0, 3, 2], 0.5),
    ],
    [
      'Pad of channels',
      node('Pad', ['image', 'p']),
      { p: { shape: [4, 2], data: [0, 0, 0, 0, 0, 0, 1, 1], as: 'int32' } },
      tf.concat(tf.concat(blank, x), blank),
    ],
    [
      'ResizeNearestNeighbor',
      node('ResizeNearestNeighbor', ['image', 's'], { half_pixel_centers: true }),
      { s: integers(14, 12) },
      tf.nearest(x, 2),
    ],
    [
      'ResizeBilinear',
      node('ResizeBilinear', ['image', 's'], { half_pixel_centers: true }),
      { s: integers(14, 12) },
      tf.bilinear(x, 2),
    ],
    [
      'ConcatV2',
      node('ConcatV2', ['image', 'image', 'axis']),
      { axis: { shape: [], data: [3], as: 'int32' } },
      tf.concat(x, x),
    ],
    ['AddN', node('AddN', ['image', 'image', '^image']), {}, tf.add(x, x)],
  ])('%s', (_, one, weights, expected) => {
    expectSame(encodeGraph([7, 6, 4], [one], weights), x, expected)
  })

  it('a classifier with the reshape arithmetic of exporters, in any order of nodes', () => {
    const c3 = weight([3])
    const nodes: GraphDefNode[] = [
      { name: 'out', op: 'Identity', input: ['softmax'] },
      { name: 'softmax', op: 'Softmax', input: ['dense'] },
      { name: 'dense', op: 'BiasAdd', input: ['product', 'c'] },
      { name: 'product', op: 'MatMul', input: ['flat', 'w'], attr: { transpose_b: false } },
      { name: 'flat', op: 'Reshape', input: ['relu', 'target'] },
      { name: 'target', op: 'Pack', input: ['batch', 'rest'] },
      {
        name: 'batch',
        op: 'StridedSlice',
        input: ['sizes', 'zero', 'one', 'one'],
        attr: { shrink_axis_mask: { i: 1 } },
      },
      { name: 'sizes', op: 'Shape', input: ['relu'] },
      { name: 'relu', op: 'Relu', input: ['conv:0'] },
      { name: 'conv', op: 'Conv2D', input: ['image', 'k'], attr: { strides: two, padding: 'SAME' } },
    ]
    const weights = {
      k,
      w,
      c: c3,
      zero: integers(0),
      one: integers(1),
      rest: { shape: [], data: [-1], as: 'int32' } as const,
    }
    const hidden = tf.relu(tf.conv(x, k, { strides: [2, 2], padding: 'same' }))
    const converted = expectSame(
      encodeGraph([7, 6, 4], nodes, weights, ['out']),
      x,
      tf.softmax(tf.dense(tf.flatten(hidden), w, c3)),
    )
    expect(ops(converted)).toBe('conv2d,relu,flatten,linear,softmax')
  })

  it('a squeezed map of one pixel, a matrix the other way round, and two outputs', () => {
    const nodes: GraphDefNode[] = [
      { name: 'mean', op: 'Mean', input: ['image', 'axes'], attr: { keep_dims: true } },
      { name: 'logits', op: 'Conv2D', input: ['mean', 'p'] },
      { name: 'scores', op: 'Squeeze', input: ['logits'], attr: { squeeze_dims: [1, 2] } },
      {
        name: 'last',
        op: '_FusedMatMul',
        input: ['scores', 'w', 'b'],
        attr: { transpose_b: true, fused_ops: ['BiasAdd', 'Relu'] },
      },
    ]
    const wide = weight([8, 5])
    const turned = {
      shape: [5, 8],
      data: Array.from({ length: 40 }, (_, i) => wide.data[(i % 8) * 5 + Math.floor(i / 8)]),
    }
    const scores = tf.conv({ ...tf.globalAverage(x), shape: [1, 1, 4] }, p)
    const files = encodeGraph([7, 6, 4], nodes, { axes: integers(1, 2), p, w: wide, b: b8 }, ['last', 'scores'])
    expectSame(files, x, tf.relu(tf.dense(tf.flatten(scores), turned, b8)), tf.flatten(scores))
  })
})
