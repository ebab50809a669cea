import { describe, expect, it } from 'vitest'
import { encodeFunctional, encodeSequential, functionalConfig, type KerasLayer, type Weight } from './encode.js'
import * as tf from './evaluate.js'
import { expectSame, image, layer, ops, positive, weight } from './fixture.js'

describe('layers models', () => {
  const x = image(7, 6, 4)
  const same = { strides: [2, 2], padding: 'same' as const }

  it('a classifier: same padding, a flattened map into a dense layer, softmax', () => {
    const [k, b, w, c] = [weight([3, 3, 4, 5]), weight([5]), weight([60, 3]), weight([3])]
    const layers = [
      layer('Conv2D', 'conv', { filters: 5, kernel_size: [3, 3], ...same, activation: 'relu' }),
      layer('Dropout', 'drop', { rate: 0.5 }),
      layer('Flatten', 'flat'),
      layer('Dense', 'out', { units: 3, activation: 'softmax' }),
    ]
    const files = encodeSequential([7, 6, 4], layers, {
      'conv/kernel': k,
      'conv/bias': b,
      'out/kernel': w,
      'out/bias': c,
    })
    const hidden = tf.relu(tf.conv(x, k, { strides: [2, 2], padding: 'same' }, b))
    const converted = expectSame(files, x, tf.softmax(tf.dense(tf.flatten(hidden), w, c)))
    expect(ops(converted)).toBe('conv2d,relu,flatten,linear,softmax')
    expect(converted.notes).toEqual([])
  })

  const k = weight([3, 2, 4, 6])
  const grouped = weight([3, 3, 2, 6])
  const [d, p, b6, b8] = [weight([3, 3, 4, 2]), weight([1, 1, 8, 6]), weight([6]), weight([8])]
  const norm = { gamma: positive(4), beta: weight([4]), mean: weight([4]), variance: positive(4) }
  const window = { strides: [2, 1], padding: 'same' } as const
  it.each<[string, KerasLayer, Record<string, Weight>, tf.Value]>([
    [
      'valid and dilated',
      layer('Conv2D', 'l', { dilation_rate: [1, 2], use_bias: false }),
      { 'l/kernel': k },
      tf.conv(x, k, { dilation: [1, 2] }),
    ],
    [
      'groups',
      layer('Conv2D', 'l', { padding: 'same' }),
      { 'l/kernel': grouped, 'l/bias': b6 },
      tf.conv(x, grouped, { padding: 'same' }, b6),
    ],
    [
      'depthwise with two outputs per channel',
      layer('DepthwiseConv2D', 'l', window),
      { 'l/depthwise_kernel': d, 'l/bias': b8 },
      tf.depthwise(x, d, window, b8),
    ],
    [
      'separable',
      layer('SeparableConv2D', 'l', { padding: 'same', activation: 'relu' }),
      { 'l/depthwise_kernel': d, 'l/pointwise_kernel': p, 'l/bias': b6 },
      tf.relu(tf.conv(tf.depthwise(x, d, { padding: 'same' }), p, {}, b6)),
    ],
    [
      'dense at every pixel',
      layer('Dense', 'l', { use_bias: false }),
      { 'l/kernel': { ...p, shape: [4, 12] } },
      tf.dense(x, { ...p, shape: [4, 12] }),
    ],
    [
      'batch norm',
      layer('BatchNormalization', 'l', { axis: [3], epsilon: 0.01 }),
      { 'l/gamma': norm.gamma, 'l/beta': norm.beta, 'l/moving_mean': norm.mean, 'l/moving_variance': norm.variance },
      tf.batchNorm(x, 0.01, norm.gamma, norm.beta, norm.mean, norm.variance),
    ],
    [
      'batch norm without scale and centre',
      layer('BatchNormalization', 'l', { scale: false, center: false }),
      { 'l/moving_mean': norm.mean, 'l/moving_variance': norm.variance },
      tf.batchNorm(x, 1e-3, undefined, undefined, norm.mean, norm.variance),
    ],
    [
      'ReLU with a maximum',
      layer('ReLU', 'l', { max_value: 0.5 }),
      {},
      tf.map(x, (v) => Math.min(Math.max(v, 0), 0.5)),
    ],
    ['relu6', layer('Activation', 'l', { activation: 'relu6' }), {}, tf.relu6(x)],
    ['leaky_relu by name', layer('Activation', 'l', { activation: 'leaky_relu' }), {}, tf.leaky(x, [0.2])],
    ['LeakyReLU of Keras 2', layer('LeakyReLU', 'l', { alpha: 0.1 }), {}, tf.leaky(x, [0.1])],
    ['LeakyReLU of Keras 3', layer('LeakyReLU', 'l', { negative_slope: 0.25 }), {}, tf.leaky(x, [0.25])],
    ['LeakyReLU by default', layer('LeakyReLU', 'l'), {}, tf.leaky(x, [0.3])],
    ['ReLU with a slope', layer('ReLU', 'l', { negative_slope: 0.5 }), {}, tf.leaky(x, [0.5])],
    [
      'PReLU per channel',
      layer('PReLU', 'l', { shared_axes: [1, 2] }),
      { 'l/alpha': { ...norm.beta, shape: [1, 1, 4] } },
      tf.leaky(x, norm.beta.data),
    ],
    [
      'max pool',
      layer('MaxPooling2D', 'l', { pool_size: [3, 3], strides: [2, 2], padding: 'same' }),
      {},
      tf.pool('max', x, [3, 3], { strides: [2, 2], padding: 'same' }),
    ],
    [
      'average pool leaves its padding out',
      layer('AveragePooling2D', 'l', { pool_size: [3, 2], strides: [1, 2], padding: 'same' }),
      {},
      tf.pool('avg', x, [3, 2], { strides: [1, 2], padding: 'same' }),
    ],
    ['global average', layer('GlobalAveragePooling2D', 'l'), {}, tf.globalAverage(x)],
    ['global maximum', layer('GlobalMaxPooling2D', 'l', { keepdims: true }), {}, tf.pool('max', x, [7, 6], {})],
    [
      'zero padding',
      layer('ZeroPadding2D', 'l', {
        padding: [
          [0, 1],
          [2, 3],
        ],
      }),
      {},
      tf.pad(x, [0, 2, 1, 3]),
    ],
    ['cropping', layer('Cropping2D', 'l', { cropping: [1, 2] }), {}, tf.pad(x, [-1, -2, -1, -2])],
    ['nearest', layer('UpSampling2D', 'l', { size: [2, 2] }), {}, tf.nearest(x, 2)],
    ['bilinear', layer('UpSampling2D', 'l', { size: 2, interpolation: 'bilinear' }), {}, tf.bilinear(x, 2)],
    [
      'rescaling',
      layer('Rescaling', 'l', { scale: 0.5, offset: [1, 2, 3, 4] }),
      {},
      tf.map(x, (v, c) => v / 2 + c + 1),
    ],
  ])('%s', (_, one, weights, expected) => {
    expectSame(encodeSequential([7, 6, 4], [one], weights), x, expected)
  })

  it('branches, a shared layer and a nested model; vectors of flattened maps keep their order', () => {
    const inner = functionalConfig(
      [
        layer('InputLayer', 'in', { batch_input_shape: [null, 3, 2, 2] }),
        layer('Conv2D', 'conv', { use_bias: false }, [['in']]),
      ],
      ['in'],
      ['conv'],
    )
    const nested = { class_name: 'Functional', name: 'body', config: inner.config, calls: [['image'], ['more']] }
    const layers = [
      layer('InputLayer', 'image', { batch_input_shape: [null, 3, 2, 2] }),
      nested,
      layer('Add', 'more', {}, [['image', 'body']]),
      layer('Concatenate', 'maps', {}, [['more', 'body:1']]),
      layer('Flatten', 'flat', {}, [['maps'], ['image']]),
      layer('Concatenate', 'joined', { axis: -1 }, [['flat', 'flat:1']]),
      layer('BatchNormalization', 'norm', {}, [['joined']]),
      layer('Activation', 'relu', { activation: 'relu' }, [['norm']]),
      layer('Dense', 'out', { use_bias: false }, [['relu']]),
    ]
    const names = ['gamma', 'beta', 'moving_mean', 'moving_variance']
    const [g, b, m, v] = [positive(36), weight([36]), weight([36]), positive(36)]
    const [kernel, w] = [weight([1, 1, 2, 2]), weight([36, 3])]
    const weights = Object.fromEntries([g, b, m, v].map((tensor, i) => [`norm/${names[i]}`, tensor]))
    const all = { ...weights, 'body/conv/kernel': kernel, 'out/kernel': w }
    const input = image(3, 2, 2)
    const more = tf.add(input, tf.conv(input, kernel))
    const flat = tf.flatten(tf.concat(more, tf.conv(more, kernel)))
    const joined = tf.concat(flat, tf.flatten(input))
    const expected = tf.dense(tf.relu(tf.batchNorm(joined, 1e-3, g, b, m, v)), w)
    expectSame(encodeFunctional(functionalConfig(layers, ['image'], ['out']), all), input, expected)
  })

  it('Keras 3 writes its calls another way', () => {
    const tensor = (name: string) => ({ class_name: '__keras_tensor__', config: { keras_history: [name, 0, 0] } })
    const config = functionalConfig(
      [layer('InputLayer', 'in', { batch_shape: [null, 2, 2, 1] }), layer('Add', 'sum')],
      ['in'],
      ['sum'],
    )
    Object.assign(config.config.layers[1], { inbound_nodes: [{ args: [[tensor('in'), tensor('in')]], kwargs: {} }] })
    Object.assign(config.config, { input_layers: ['in', 0, 0], output_layers: ['sum', 0, 0] })
    const input = image(2, 2, 1)
    expectSame(encodeFunctional(config, {}), input, tf.add(input, input))
  })

  it.each(['uint8', 'uint16', 'float16'] as const)('weights stored as %s', (as) => {
    const kernel = weight([2, 2, 4, 3], as)
    expectSame(
      encodeSequential([7, 6, 4], [layer('Conv2D', 'l', { use_bias: false })], { 'l/kernel': kernel }),
      x,
      tf.conv(x, kernel),
    )
  })
})
