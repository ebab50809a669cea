// Where channels are, in whose order vectors meet, and whose bilinear a file means; and fields that nobody reads.
import { describe, expect, it } from 'vitest'
import { convertTfjs } from '../../../src/convert/tfjs/tfjs.js'
import { distance, numbers, runConverted } from '../run-converted.js'
import {
  type Attribute,
  encodeFunctional,
  encodeGraph,
  encodeSequential,
  functionalConfig,
  type TfjsFiles,
  type Weight,
} from './encode.js'
import { integers, layer, ops, refusal, weight } from './fixture.js'

const FIRST = { data_format: 'channels_first' }

/** Runs the converted network on [c,h,w] values. */
function run({ json, shards }: TfjsFiles, x: readonly number[]) {
  const converted = convertTfjs(json, shards)
  const [y] = runConverted(converted, Float32Array.from(x)).values()
  return { y: [...y], ops: ops(converted), notes: converted.notes }
}

/** y = x · kernel + bias, rows as `order` counts the elements of x. */
const dense = (x: readonly number[], kernel: Weight, order: (i: number) => number) =>
  Array.from({ length: kernel.shape[1] }, (_, o) =>
    x.reduce((sum, _, i) => sum + x[order(i)] * kernel.data[i * kernel.shape[1] + o], 0),
  )

const X = numbers(24, 12) // [2,3,4] channels first
const at = (c: number, y: number, z: number) => (c * 3 + y) * 4 + z
const hwc = (i: number) => at(i % 2, Math.floor(i / 8), Math.floor(i / 2) % 4)

describe('channels first', () => {
  const k = weight([24, 3])
  const w = { 'd/kernel': k }
  const none = { use_bias: false }

  it('of a transposed convolution alone decides for the network', () => {
    const config = { kernel_size: [2, 2], filters: 3, strides: [2, 2], use_bias: false, data_format: 'channels_first' }
    const files = encodeSequential([4, 3, 2], [layer('Conv2DTranspose', 'l', config)], {
      'l/kernel': weight([2, 2, 3, 4]),
    })
    const { arch, notes } = convertTfjs(files.json, files.shards)
    expect((arch.layers as { op: string }[]).map(({ op }) => op)).toEqual(['convTranspose2d'])
    expect([(arch.inputs as { shape: number[] }[])[0].shape, notes]).toEqual([[4, 3, 2], []])
  })

  it('throughout: maps are as they come, and so are flattened ones', () => {
    const pools = [
      layer('MaxPooling2D', 'p', { pool_size: 1, ...FIRST }),
      layer('Flatten', 'f'),
      layer('Dense', 'd', none),
    ]
    const got = run(encodeSequential([2, 3, 4], pools, w), X)
    expect(
      distance(
        got.y,
        dense(X, k, (i) => i),
      ),
    ).toBeLessThan(1e-5)
  })

  it('a Flatten that says so too counts channels last, as TF.js turns its map', () => {
    const pools = [
      layer('MaxPooling2D', 'p', { pool_size: 1, ...FIRST }),
      layer('Flatten', 'f', FIRST),
      layer('Dense', 'd', none),
    ]
    expect(distance(run(encodeSequential([2, 3, 4], pools, w), X).y, dense(X, k, hwc))).toBeLessThan(1e-5)
  })

  it('a Flatten alone takes rows for channels: columns, channels, rows', () => {
    const layers = [
      layer('MaxPooling2D', 'p', { pool_size: 1 }),
      layer('Flatten', 'f', FIRST),
      layer('Dense', 'd', none),
    ]
    const got = run(encodeSequential([3, 4, 2], layers, w), X)
    const wch = (i: number) => at(Math.floor(i / 3) % 2, i % 3, Math.floor(i / 6))
    expect(distance(got.y, dense(X, k, wch))).toBeLessThan(1e-5)
  })

  it('padding of a map whose channels come last goes around columns and channels', () => {
    const pad = layer('ZeroPadding2D', 'z', {
      padding: [
        [1, 0],
        [0, 1],
      ],
      ...FIRST,
    })
    const got = run(encodeSequential([3, 4, 2], [layer('MaxPooling2D', 'p', { pool_size: 1 }), pad], {}), X)
    const expected: number[] = []
    for (const c of [0, 1, 2]) {
      for (let y = 0; y < 3; y++) for (let z = -1; z < 4; z++) expected.push(c > 1 || z < 0 ? 0 : X[at(c, y, z)])
    }
    expect(distance(got.y, expected)).toBeLessThan(1e-5)
  })

  it.each<[string, object, (rows: readonly number[][]) => number]>([
    ['MaxPooling2D', { pool_size: 2 }, (rows) => Math.max(...rows.flat())],
    ['AveragePooling2D', { pool_size: 2 }, (rows) => rows.flat().reduce((a, b) => a + b) / 4],
  ])('%s among layers that have channels last works on columns and channels', (className, config, of) => {
    const layers = [layer('MaxPooling2D', 'p', { pool_size: 1 }), layer(className, 'l', { ...FIRST, ...config })]
    const got = run(encodeSequential([3, 4, 2], layers, {}), X)
    const square = (y: number, z: number) => [0, 1].map((c) => [X[at(c, y, z)], X[at(c, y, z + 1)]])
    expect(
      distance(
        got.y,
        [0, 1, 2].flatMap((y) => [0, 2].map((z) => of(square(y, z)))),
      ),
    ).toBeLessThan(1e-5)
  })

  it('UpSampling2D and a convolution likewise', () => {
    const k = weight([1, 1, 3, 2])
    const layers = [
      layer('Conv2D', 'p', { use_bias: false, data_format: 'channels_last' }),
      layer('UpSampling2D', 'u', { size: [1, 2], ...FIRST }),
      layer('Conv2D', 'c', { use_bias: false, ...FIRST }),
    ]
    const got = run(
      encodeSequential([3, 4, 2], layers, {
        'c/kernel': k,
        'p/kernel': { ...weight([1, 1, 2, 2]), data: [1, 0, 0, 1] },
      }),
      X,
    )
    // Channels twice, then rows mixed: [rows,columns,channels] as the file counts them, channels first here.
    const mixed = (o: number, z: number, c: number) =>
      [0, 1, 2].reduce((sum, y) => sum + k.data[y * 2 + o] * X[at(c >> 1, y, z)], 0)
    const expected = [0, 1, 2, 3].flatMap((c) => [0, 1].flatMap((o) => [0, 1, 2, 3].map((z) => mixed(o, z, c))))
    expect(distance(got.y, expected)).toBeLessThan(1e-5)
  })
})

it('a flattened map and a dense vector are added element by element as TensorFlow counts them', () => {
  const k = weight([2, 24])
  const layers = [
    layer('InputLayer', 'image', { batch_input_shape: [null, 3, 4, 2] }),
    layer('GlobalAveragePooling2D', 'g', {}, [['image']]),
    layer('Dense', 'd', { use_bias: false }, [['g']]),
    layer('Flatten', 'f', {}, [['image']]),
    layer('Add', 'a', {}, [['d', 'f']]),
  ]
  const got = run(encodeFunctional(functionalConfig(layers, ['image'], ['a']), { 'd/kernel': k }), X)
  const mean = [0, 1].map((c) => X.slice(c * 12, c * 12 + 12).reduce((a, b) => a + b) / 12)
  const expected = Array.from({ length: 24 }, (_, i) => X[hwc(i)] + mean[0] * k.data[i] + mean[1] * k.data[24 + i])
  expect(distance(got.y, expected)).toBeLessThan(1e-5)
})

describe('bilinear', () => {
  const line = [0, 4]
  const sampled = (files: TfjsFiles) => run(files, line).y.slice(0, 4)
  const files = encodeSequential(
    [1, 2, 1],
    [layer('UpSampling2D', 'u', { size: [1, 2], interpolation: 'bilinear' })],
    {},
  )
  const by = (generatedBy: string, convertedBy: string | null): TfjsFiles => {
    const json = JSON.parse(new TextDecoder().decode(files.json))
    return { ...files, json: new TextEncoder().encode(JSON.stringify({ ...json, generatedBy, convertedBy })) }
  }

  it('of TF.js itself measures from the beginnings of rows, of Keras between centres; a note says which', () => {
    const own = by('TensorFlow.js tfjs-layers v4.22.0', null)
    expect(sampled(own)).toEqual([0, 2, 4, 4])
    expect(run(own, line).notes[0]).toMatch(/bilinear as TF\.js/)
    expect(sampled(by('keras v2.4.0', 'TensorFlow.js Converter v3.6.0'))).toEqual([0, 1, 3, 4])
  })
})

describe('what nobody reads', () => {
  it.each<[string, object]>([
    ['MaxPooling2D', { unheard_of: 2 }],
    ['Softmax', { axis: 1 }],
    ['ReLU', { threshold: 0.5 }],
    ['Dropout', { unheard_of: 'x' }],
    ['BatchNormalization', { renorm: true }],
  ])('%s of %j is refused by the name of the field', (name, config) => {
    const norm = {
      'l/gamma': weight([2]),
      'l/beta': weight([2]),
      'l/moving_mean': weight([2]),
      'l/moving_variance': weight([2]),
    }
    const { problems } = refusal(encodeSequential([4, 4, 2], [layer(name, 'l', config)], norm))
    expect(problems.join()).toContain(Object.keys(config)[0])
  })

  it('what training leaves in a config is no error, nor are activations written as objects', () => {
    const config = {
      ...{ use_bias: false, kernel_initializer: { class_name: 'Zeros' }, kernel_regularizer: null, trainable: true },
      ...{
        dtype: { class_name: 'DTypePolicy' },
        build_config: {},
        activation: { class_name: 'ReLU', config: { name: 'r' } },
      },
    }
    expect(
      run(encodeSequential([3, 4, 2], [layer('Conv2D', 'c', config)], { 'c/kernel': weight([1, 1, 2, 2]) }), X).ops,
    ).toBe('conv2d,relu')
  })

  it('an attribute of a graph node is refused by its name; types, zeros and annotations are not', () => {
    const files = (attr: Readonly<Record<string, Attribute>>) =>
      encodeGraph([3, 4, 2], [{ name: 'r', op: 'Relu', input: ['image'], attr }], {})
    expect(refusal(files({ unheard_of: { i: 3 } })).problems[0]).toMatch(
      /unheard_of: an attribute that is not known here/,
    )
    expect(() => run(files({ _class: 'loc:@x', flag: false, list: [], zero: { i: 0 }, empty: '' }), X)).not.toThrow()
  })
})

it('a sigmoid stays; |x| is a leaky ReLU', () => {
  const nodes = [
    { name: 'abs', op: 'Abs', input: ['image'] },
    { name: 'mean', op: 'Mean', input: ['abs', 'axes'], attr: { keep_dims: true } },
    { name: 's', op: 'Sigmoid', input: ['mean'] },
    { name: 'r', op: 'Reshape', input: ['s', 'to'] },
  ]
  const constants = { axes: integers(1, 2), to: integers(-1, 2) }
  const got = run(encodeGraph([3, 4, 2], nodes, constants), X)
  const mean = (c: number) => X.slice(c * 12, c * 12 + 12).reduce((sum, v) => sum + Math.abs(v), 0) / 12
  expect(
    distance(
      got.y,
      [mean(0), mean(1)].map((v) => 1 / (1 + Math.exp(-v))),
    ),
  ).toBeLessThan(1e-5)
})
