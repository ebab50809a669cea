// Every field of every Keras layer that the reader knows, set to a value other than its default: it changes the result, or it
// is an error that names it, or it is listed here with the reason why it may do neither. By keras.io/api/layers (Keras 2, 3).
import { describe, expect, it } from 'vitest'
import { KERAS_READERS } from '../../../src/convert/tfjs/keras/readers.js'
import { convertTfjs } from '../../../src/convert/tfjs/tfjs.js'
import { isFelt, isRefusal, numbers, outcome } from '../run-converted.js'
import { encodeFunctional, functionalConfig, type Weight } from './encode.js'
import { Idle, layer, positive, training, weight } from './fixture.js'

const building = (value: unknown) => new Idle(value, 'says how the layer came to be')

const SIDE = 4
const FIRST: Weight = { ...positive(4), shape: [1, 1, 4, 1] }
const INPUT = Float32Array.from(numbers(SIDE ** 3, 12))

describe('fields of Keras layers', () => {
  interface Case {
    readonly config?: Readonly<Record<string, unknown>>
    readonly weights?: Readonly<Record<string, Weight>>
    readonly set: Readonly<Record<string, unknown>>
    /** How often the layer reads the input. */
    readonly inputs?: number
  }

  const window = { strides: [2, 1], padding: 'same', data_format: 'channels_first', dilation_rate: [2, 1] }
  const trained = {
    ...{ kernel_initializer: training('zeros'), bias_initializer: training('ones') },
    ...{ kernel_regularizer: training('l2'), bias_regularizer: training('l1'), activity_regularizer: training('l2') },
    ...{ kernel_constraint: training('max_norm'), bias_constraint: training('max_norm') },
  }
  const activated = { activation: 'relu', use_bias: false, ...trained }
  const bias = weight([4])
  const noise = { rate: training(0.9), seed: training(3), noise_shape: training([1, 1]) }
  const pool: Case = {
    config: { pool_size: [3, 3] },
    set: { pool_size: [3, 2], strides: [1, 1], padding: 'same', data_format: 'channels_first' },
  }
  const global: Case = { set: { keepdims: true, data_format: 'channels_first' } }
  const NONE: Case = { set: {} }

  const CASES: Readonly<Record<string, readonly Case[]>> = {
    Activation: [{ config: { activation: 'relu' }, set: { activation: 'tanh' } }],
    ActivityRegularization: [{ set: { l1: training(1), l2: training(1) } }],
    Add: [{ inputs: 2, set: {} }],
    AlphaDropout: [{ set: noise }],
    Average: [{ inputs: 2, set: {} }],
    AveragePooling2D: [pool],
    BatchNormalization: [
      {
        weights: { gamma: positive(4), beta: bias, moving_mean: weight([4]), moving_variance: positive(4) },
        set: {
          ...{ axis: 1, epsilon: 0.5, center: false, scale: false, momentum: training(0.5), fused: building(true) },
          ...{ renorm: true, renorm_clipping: { rmax: 1 }, renorm_momentum: training(0.5), virtual_batch_size: 2 },
          ...{ synchronized: building(true), adjustment: 'function', beta_initializer: training('ones') },
          ...{ moving_mean_initializer: training('ones'), gamma_constraint: training('max_norm') },
        },
      },
    ],
    Concatenate: [{ inputs: 2, set: { axis: 1 } }],
    Conv2D: [
      {
        weights: { kernel: weight([2, 2, 4, 4]), bias },
        set: {
          ...{ filters: 5, kernel_size: [3, 3], groups: 2, rank: 1, implementation: building(2), lora_rank: 4 },
          ...window,
          ...activated,
        },
      },
    ],
    Conv2DTranspose: [
      {
        weights: { kernel: weight([3, 3, 4, 4]), bias },
        set: { filters: 5, kernel_size: [2, 2], groups: 2, output_padding: [1, 1], ...window, ...activated },
      },
    ],
    Cropping2D: [
      {
        config: { cropping: 1 },
        set: {
          cropping: [
            [0, 1],
            [1, 1],
          ],
          data_format: 'channels_first',
        },
      },
    ],
    Dense: [
      {
        weights: { kernel: weight([4, 3]), bias: weight([3]) },
        set: { units: 4, input_dim: building(4), quantization_config: 'int8', lora_rank: 4, ...activated },
      },
    ],
    DepthwiseConv2D: [
      {
        weights: { depthwise_kernel: weight([2, 2, 4, 1]), bias },
        set: { kernel_size: [3, 3], depth_multiplier: 2, groups: 2, ...window, ...activated },
      },
    ],
    Dropout: [{ set: noise }],
    ELU: [{ set: { alpha: 0.5 } }],
    Flatten: [{ set: { data_format: 'channels_first' } }],
    GaussianDropout: [{ set: noise }],
    GaussianNoise: [{ set: { stddev: training(1), seed: training(1) } }],
    GlobalAveragePooling2D: [global],
    GlobalMaxPooling2D: [global],
    Identity: [NONE],
    LeakyReLU: [
      { set: { alpha: 0.5, negative_slope: 0.5 } },
      { config: { alpha: 0.5 }, set: { negative_slope: 0.25 } },
    ],
    MaxPooling2D: [pool],
    Maximum: [{ inputs: 2, set: {} }],
    Minimum: [{ inputs: 2, set: {} }],
    Multiply: [{ inputs: 2, set: {} }],
    Normalization: [
      {
        weights: { mean: weight([4]), variance: positive(4) },
        set: { axis: 1, invert: true, mean: [1, 2, 3, 4], variance: [1, 2, 3, 4] },
      },
    ],
    PReLU: [
      {
        weights: { alpha: weight([1, 1, 4]) },
        config: { shared_axes: [1, 2] },
        set: {
          shared_axes: [1, 3],
          ...{
            alpha_initializer: training('ones'),
            alpha_regularizer: training('l2'),
            alpha_constraint: training('l2'),
          },
        },
      },
    ],
    Permute: [{ config: { dims: [2, 1, 3] }, set: { dims: [3, 1, 2] } }],
    ReLU: [{ set: { max_value: 0.5, negative_slope: 0.5, threshold: 0.5 } }],
    Rescaling: [{ set: { scale: 2, offset: 1 } }],
    Reshape: [{ config: { target_shape: [64] }, set: { target_shape: [8, 8] } }],
    SeparableConv2D: [
      {
        weights: { depthwise_kernel: weight([2, 2, 4, 1]), pointwise_kernel: weight([1, 1, 4, 4]), bias },
        set: { filters: 5, kernel_size: [3, 3], depth_multiplier: 2, groups: 2, ...window, ...activated },
      },
    ],
    Softmax: [{ set: { axis: 1 } }],
    SpatialDropout2D: [{ set: { ...noise, data_format: training('channels_first') } }],
    Subtract: [{ inputs: 2, set: {} }],
    UpSampling2D: [{ set: { size: [1, 3], interpolation: 'bilinear', data_format: 'channels_first' } }],
    ZeroPadding2D: [
      {
        set: {
          padding: [
            [0, 1],
            [2, 0],
          ],
          data_format: 'channels_first',
        },
      },
    ],
  }

  function result(className: string, { config = {}, weights = {}, inputs = 1 }: Case, more: object = {}) {
    const layers = [
      layer('InputLayer', 'in', { batch_input_shape: [null, SIDE, SIDE, SIDE] }),
      // Says where the others have their channels.
      layer('DepthwiseConv2D', 'first', { data_format: 'channels_last', use_bias: false }, [['in']]),
      layer('ReLU', 'r', {}, [['first']]),
      layer(className, 'l', { ...config, ...more }, [['first', 'r'].slice(0, inputs)]),
    ]
    const named: Record<string, Weight> = { 'first/depthwise_kernel': FIRST }
    for (const [name, each] of Object.entries(weights)) named[`l/${name}`] = each
    const { json, shards } = encodeFunctional(functionalConfig(layers, ['in'], ['l']), named)
    return outcome(() => convertTfjs(json, shards), INPUT)
  }

  it('every class that is read is here', () => {
    expect(Object.keys(CASES)).toEqual([...KERAS_READERS.keys()].sort())
  })

  const EVERYWHERE = {
    ...{ trainable: training(false), batch_input_shape: building([null, 4]), input_dtype: building('float32') },
    ...{ autocast: building(true), build_config: building({ input_shape: [null, 4] }), dtype: 'int32', surprise: 1 },
  }
  const rows = Object.entries(CASES).flatMap(([name, cases]) =>
    cases.map((each, i) => [`${name}${i > 0 ? ` (${i + 1})` : ''}`, name, each] as const),
  )
  it.each(rows)('%s', (_, className, given) => {
    const base = result(className, given)
    expect(isRefusal(base) ? base : '').toBe('')
    const wrong = Object.entries({ ...EVERYWHERE, ...given.set }).filter(([field, set]) => {
      const got = result(className, given, { [field]: set instanceof Idle ? set.value : set })
      return set instanceof Idle ? got !== base : !isFelt(field, base, got)
    })
    expect(wrong.map(([field]) => field)).toEqual([])
  })

  it('InputLayer', () => {
    const of = (more: object) => {
      const config = { batch_input_shape: [null, SIDE, SIDE, SIDE], ...more }
      const layers = [layer('InputLayer', 'in', config), layer('ReLU', 'l', {}, [['in']])]
      const { json, shards } = encodeFunctional(functionalConfig(layers, ['in'], ['l']), {})
      return outcome(() => convertTfjs(json, shards), INPUT)
    }
    for (const field of ['sparse', 'ragged', 'surprise'])
      expect([field, isFelt(field, of({}), of({ [field]: true }))]).toEqual([field, true])
    expect(of({ dtype: 'int32', batch_size: null, optional: false })).toBe(of({}))
  })

  it('policies of data types', () => {
    const of = (class_name: string, name: string) =>
      result('Activation', { config: { activation: 'relu', dtype: { class_name, config: { name } } }, set: {} })
    expect(isRefusal(of('DTypePolicy', 'mixed_bfloat16'))).toBe(false)
    expect(of('QuantizedDTypePolicy', 'int8_from_float32')).toMatch(/dtype: expected floats/)
  })
})
