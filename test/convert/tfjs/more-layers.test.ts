// Activations of several layers, merges and arrangements that Keras and TF.js have beside the usual ones, and what the two
// compute unlike each other.
import { describe, expect, it } from 'vitest'
import { encodeFunctional, encodeGraph, encodeSequential, functionalConfig, type TfjsFiles } from './encode.js'
import * as tf from './evaluate.js'
import { expectSame, image, integers, layer, refusal, weight } from './fixture.js'

const x = image(7, 6, 4)
const mapped = (f: (v: number) => number, of: tf.Value = x): tf.Value => ({ shape: of.shape, data: of.data.map(f) })
const clipped = (v: number) => Math.min(Math.max(v, 0), 1)
const negative = (v: number) => Math.exp(Math.min(v, 0)) - 1
const [ALPHA, SCALE] = [1.6732632423543772, 1.0507009873554805]

/** The files with what they say of their maker. */
function madeBy(files: TfjsFiles, says: object, topology: object = {}): TfjsFiles {
  const json = JSON.parse(new TextDecoder().decode(files.json))
  const modelTopology = { ...json.modelTopology, ...topology }
  return { ...files, json: new TextEncoder().encode(JSON.stringify({ ...json, ...says, modelTopology })) }
}
const BY_TFJS = { generatedBy: 'TensorFlow.js tfjs-layers v4.22.0', convertedBy: null }

describe('activations', () => {
  const of = (activation: string) => encodeSequential([7, 6, 4], [layer('Activation', 'l', { activation })], {})

  it.each<[string, (v: number) => number]>([
    ['elu', (v) => Math.max(v, 0) + negative(v)],
    ['selu', (v) => SCALE * (Math.max(v, 0) + ALPHA * negative(v))],
    ['softsign', (v) => v / (1 + Math.abs(v))],
    ['mish', (v) => v * Math.tanh(Math.log(1 + Math.exp(v)))],
    ['gelu_new', (v) => 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)))],
    ['silu', (v) => v / (1 + Math.exp(-v))],
    ['hard_silu', (v) => v * clipped(v / 6 + 0.5)],
    ['hard_sigmoid', (v) => clipped(0.2 * v + 0.5)],
  ])('%s', (name, f) => {
    expectSame(of(name), x, mapped(f))
  })

  it('a hard sigmoid is that of the Keras that made the file', () => {
    const three = mapped((v) => clipped(v / 6 + 0.5))
    expectSame(madeBy(of('hard_sigmoid'), { generatedBy: 'keras v3.5.0' }), x, three)
    expectSame(madeBy(of('hard_sigmoid'), {}, { keras_version: '3.0.1' }), x, three)
    expectSame(
      madeBy(of('hard_sigmoid'), { generatedBy: 'keras v2.13.1' }),
      x,
      mapped((v) => clipped(0.2 * v + 0.5)),
    )
  })

  const kept = { name: 'act', trainable: true, dtype: { class_name: 'DTypePolicy', config: { name: 'float32' } } }
  it.each<[string, object, (v: number) => number]>([
    ['LeakyReLU', { ...kept, negative_slope: 0.1 }, (v) => Math.max(v, 0.1 * v)],
    ['LeakyReLU', { ...kept, alpha: 0.2 }, (v) => Math.max(v, 0.2 * v)],
    ['ReLU', { ...kept, max_value: 0.5, negative_slope: 0, threshold: 0 }, (v) => Math.min(Math.max(v, 0), 0.5)],
    ['ReLU', { ...kept, max_value: null, negative_slope: 0, threshold: 0 }, (v) => Math.max(v, 0)],
    ['ELU', { alpha: 0.5 }, (v) => Math.max(v, 0) + 0.5 * negative(v)],
    ['Custom>hard_swish', {}, (v) => v * clipped(v / 6 + 0.5)],
    ['function', 'hard_swish' as unknown as object, (v) => v * clipped(v / 6 + 0.5)],
  ])('a layer as the activation of another: %s %j', (class_name, config, f) => {
    const activation = { module: 'keras.layers', class_name, config, registered_name: null }
    expectSame(encodeSequential([7, 6, 4], [layer('Activation', 'l', { activation })], {}), x, mapped(f))
  })

  it('whose fields are not used is refused by them', () => {
    const activation = { class_name: 'LeakyReLU', config: { negative_slope: 0.1, threshold: 3 } }
    const files = encodeSequential([7, 6, 4], [layer('Activation', 'l', { activation })], {})
    expect(refusal(files).problems[0]).toMatch(/threshold/)
  })

  it('ELU with a slope, and fused to a convolution of a graph', () => {
    expectSame(
      encodeSequential([7, 6, 4], [layer('ELU', 'l', { alpha: 0.5 })], {}),
      x,
      mapped((v) => Math.max(v, 0) + 0.5 * negative(v)),
    )
    const [k, b] = [weight([3, 3, 4, 5]), weight([5])]
    const attr = { strides: [1, 1, 1, 1], padding: 'SAME', fused_ops: ['BiasAdd', 'Elu'] } as const
    const node = { name: 'y', op: '_FusedConv2D', input: ['image', 'k', 'b'], attr }
    const linear = tf.conv(x, k, { padding: 'same' }, b)
    expectSame(
      encodeGraph([7, 6, 4], [node], { k, b }),
      x,
      mapped((v) => Math.max(v, 0) + negative(v), linear),
    )
  })
})

describe('merges and arrangements', () => {
  const merged = (className: string, config: object = {}) => {
    const layers = [
      layer('InputLayer', 'in', { batch_input_shape: [null, 7, 6, 4] }),
      layer('ReLU', 'r', {}, [['in']]),
      layer(className, 'l', config, [['in', 'r']]),
    ]
    return encodeFunctional(functionalConfig(layers, ['in'], ['l']), {})
  }

  it('a mean, a difference, values one below the other', () => {
    expectSame(
      merged('Average'),
      x,
      mapped((v) => (v + Math.max(v, 0)) / 2),
    )
    expectSame(
      merged('Subtract'),
      x,
      mapped((v) => Math.min(v, 0)),
    )
    const below = { shape: [14, 6, 4], data: [...x.data, ...x.data.map((v) => Math.max(v, 0))] }
    expectSame(merged('Concatenate', { axis: 1 }), x, below)
    expectSame(merged('Concatenate', { axis: -3 }), x, below)
  })

  it('the larger and the smaller of values, of graphs as well', () => {
    expectSame(
      merged('Maximum'),
      x,
      mapped((v) => Math.max(v, 0)),
    )
    expectSame(
      merged('Minimum'),
      x,
      mapped((v) => v),
    )
    const nodes = (op: string) => [
      { name: 'n', op: 'Neg', input: ['image'] },
      { name: 'y', op, input: ['image', 'n'] },
    ]
    expectSame(encodeGraph([7, 6, 4], nodes('Maximum'), {}), x, mapped(Math.abs))
    expectSame(
      encodeGraph([7, 6, 4], nodes('Minimum'), {}),
      x,
      mapped((v) => -Math.abs(v)),
    )
  })

  it('of an axis counted from the end, TF.js joins along the last: refused', () => {
    expect(refusal(madeBy(merged('Concatenate', { axis: -3 }), BY_TFJS)).problems[0]).toMatch(
      /TF.js takes for the last/,
    )
  })

  it('a list of rows becomes a vector in the order of the file', () => {
    const w = weight([168, 3])
    const flat = { shape: [168], data: x.data }
    const layers = [
      layer('Reshape', 'rows', { target_shape: [42, 4] }),
      layer('Flatten', 'flat'),
      layer('Dense', 'out', { use_bias: false }),
    ]
    expectSame(encodeSequential([7, 6, 4], layers, { 'out/kernel': w }), x, tf.dense(flat, w))
  })

  it('channels first, a list of rows as well', () => {
    const w = weight([168, 3])
    const k = weight([1, 1, 4, 4])
    const first = { data_format: 'channels_first', use_bias: false }
    const layers = [
      layer('InputLayer', 'in', { batch_input_shape: [null, 4, 7, 6] }),
      layer('Conv2D', 'conv', first, [['in']]),
      layer('Reshape', 'rows', { target_shape: [4, 42] }, [['conv']]),
      layer('Flatten', 'flat', {}, [['rows']]),
      layer('Dense', 'out', { use_bias: false }, [['flat']]),
    ]
    const files = encodeFunctional(functionalConfig(layers, ['in'], ['out']), { 'conv/kernel': k, 'out/kernel': w })
    const made = tf.conv(x, k)
    const flat = { shape: [168], data: tf.channelsFirst(made) }
    expectSame(files, x, tf.dense(flat, w))
  })

  it('axes in another order', () => {
    const at = (y: number, z: number, c: number) => x.data[(y * 6 + z) * 4 + c]
    const data = Array.from({ length: 168 }, (_, i) => at(Math.floor(i / 6) % 7, i % 6, Math.floor(i / 42)))
    expectSame(encodeSequential([7, 6, 4], [layer('Permute', 'l', { dims: [3, 1, 2] })], {}), x, {
      shape: [4, 7, 6],
      data,
    })
    const files = encodeSequential([7, 6, 4], [layer('Permute', 'l', { dims: [3, 3, 2] })], {})
    expect(refusal(files).problems[0]).toMatch(/dims: expected the axes/)
  })

  it('a normalization by weights or by numbers of the file', () => {
    const [mean, variance] = [weight([4]), { shape: [4], data: [0.25, 1, 4, 0.5] }]
    const expected = {
      shape: x.shape,
      data: x.data.map((v, i) => (v - mean.data[i % 4]) / Math.sqrt(variance.data[i % 4])),
    }
    const weights = { 'l/mean': mean, 'l/variance': variance, 'l/count': integers(7) }
    expectSame(encodeSequential([7, 6, 4], [layer('Normalization', 'l', { axis: [-1] })], weights), x, expected)
    const numbers = layer('Normalization', 'l', { mean: [[mean.data]], variance: [[variance.data]] })
    expectSame(encodeSequential([7, 6, 4], [numbers], {}), x, expected)
    const without = encodeSequential([7, 6, 4], [layer('Normalization', 'l')], {})
    expect(refusal(without).problems[0]).toMatch(/mean: expected a weight or numbers/)
  })
})

describe('graphs', () => {
  // Rows, columns and channels of one size: aligned at the wrong end, a mean would pass unnoticed.
  const square = image(4, 4, 4)
  const at = (y: number, z: number, c: number) => square.data[16 * y + 4 * z + c]
  const sum = (f: (i: number) => number) => [0, 1, 2, 3].reduce((total, i) => total + f(i), 0)
  it.each<[number, (a: number, b: number) => number]>([
    [1, (z, c) => sum((y) => at(y, z, c)) / 4],
    [2, (y, c) => sum((z) => at(y, z, c)) / 4],
    [3, (y, z) => sum((c) => at(y, z, c)) / 4],
  ])('a mean over axis %d without it meets the last axes of a map', (axis, mean) => {
    const nodes = [
      { name: 'm', op: 'Mean', input: ['image', 'axes'], attr: { keep_dims: false } },
      { name: 'y', op: 'Mul', input: ['image', 'm'] },
    ]
    const data = square.data.map((v, i) => v * mean(Math.floor(i / 4) % 4, i % 4))
    expectSame(encodeGraph([4, 4, 4], nodes, { axes: integers(axis) }), square, { shape: [4, 4, 4], data })
  })

  it('a slice by its beginning and sizes', () => {
    const node = { name: 'y', op: 'Slice', input: ['image', 'begin', 'size'] }
    const cut = (...size: number[]) =>
      encodeGraph([7, 6, 4], [node], { begin: integers(0, 1, 2, 1), size: integers(...size) })
    const data = Array.from({ length: 24 }, (_, i) => {
      return x.data[((1 + Math.floor(i / 8)) * 6 + 2 + (Math.floor(i / 2) % 4)) * 4 + 1 + (i % 2)]
    })
    expectSame(cut(-1, 3, -1, 2), x, { shape: [3, 4, 2], data })
    expect(refusal(cut(-1, 3, 5, 2)).problems[0]).toMatch(/begin, size: expected a part of/)
  })
})

it('a dilated depthwise convolution as the maker of the file computes it: TF.js does not dilate', () => {
  const k = weight([3, 3, 4, 1])
  const config = { dilation_rate: [2, 2], padding: 'same', use_bias: false }
  const files = encodeSequential([7, 6, 4], [layer('DepthwiseConv2D', 'l', config)], { 'l/depthwise_kernel': k })
  const dilated = expectSame(files, x, tf.depthwise(x, k, { dilation: [2, 2], padding: 'same' }))
  expect(dilated.notes.join()).toMatch(/as Keras/)
  const plain = expectSame(madeBy(files, BY_TFJS), x, tf.depthwise(x, k, { padding: 'same' }))
  expect(plain.notes.join()).toMatch(/as TF.js/)
})
