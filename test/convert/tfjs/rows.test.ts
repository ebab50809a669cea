// Keras layers along the last axis of rows that are as many as their channels, and orders that two layers have to agree on.
import { expect, it } from 'vitest'
import { convertTfjs } from '../../../src/convert/tfjs/tfjs.js'
import { outcome } from '../run-converted.js'
import { encodeFunctional, encodeSequential, functionalConfig } from './encode.js'
import * as tf from './evaluate.js'
import { expectSame, image, layer, positive, weight } from './fixture.js'

const x = image(2, 2, 4)
const rows = layer('Reshape', 'rows', { target_shape: [4, 4] })
const asRows: tf.Value = { shape: [4, 4], data: x.data }

it('batch norm, dense layer, slopes, numbers per channel', () => {
  const [gamma, variance] = [positive(4), positive(4)]
  const [beta, mean, kernel, bias] = [weight([4]), weight([4]), weight([4, 4]), weight([4])]
  const norm = layer('BatchNormalization', 'bn', { epsilon: 0.01 })
  const named = { 'bn/gamma': gamma, 'bn/beta': beta, 'bn/moving_mean': mean, 'bn/moving_variance': variance }
  const normal = tf.batchNorm(asRows, 0.01, gamma, beta, mean, variance)
  expectSame(encodeSequential([2, 2, 4], [rows, norm], named), x, normal)
  const dense = { 'd/kernel': kernel, 'd/bias': bias }
  expectSame(
    encodeSequential([2, 2, 4], [rows, layer('Dense', 'd', { units: 4 })], dense),
    x,
    tf.dense(asRows, kernel, bias),
  )
  const slopes = layer('PReLU', 'p', { shared_axes: [1] })
  const alpha = { 'p/alpha': { ...weight([1, 4]) } }
  expectSame(encodeSequential([2, 2, 4], [rows, slopes], alpha), x, tf.leaky(asRows, alpha['p/alpha'].data))
  const scale = [0.5, 1, 2, 3]
  const rescaled = encodeSequential([2, 2, 4], [rows, layer('Rescaling', 'r', { scale, offset: scale })], {})
  expectSame(
    rescaled,
    x,
    tf.map(asRows, (v, c) => v * scale[c] + scale[c]),
  )
  const wide = encodeSequential(
    [2, 3, 4],
    [layer('Reshape', 'rows', { target_shape: [6, 4] }), layer('Rescaling', 'r', { scale })],
    {},
  )
  const given = image(2, 3, 4)
  expectSame(wide, given, { shape: [6, 4], data: given.data.map((v, i) => v * scale[i % 4]) })
})

it('a map flattened as another layout counts it is no map again', () => {
  const layers = [
    layer('Flatten', 'flat', { data_format: 'channels_first' }),
    layer('Reshape', 'back', { target_shape: [2, 3, 4] }),
  ]
  const given = image(2, 3, 4)
  // Flatten takes [height,width,channels] for [channels,height,width] and puts the first of these last.
  const data = Array.from({ length: 24 }, (_, i) => given.data[(i % 2) * 12 + Math.floor(i / 2)])
  expectSame(encodeSequential([2, 3, 4], layers, {}), given, { shape: [2, 3, 4], data })
})

it('one value under two names goes out twice', () => {
  const layers = [
    layer('InputLayer', 'image', { batch_input_shape: [null, 2, 2, 4] }),
    layer('ReLU', 'a', {}, [['image']]),
    layer('Dropout', 'b', { rate: 0.5 }, [['a']]),
  ]
  const files = encodeFunctional(functionalConfig(layers, ['image'], ['a', 'b']), {})
  const converted = expectSame(files, x, tf.relu(x), tf.relu(x))
  expect(converted.arch.outputs).toEqual(['a', 'b'])
  const once = outcome(() => convertTfjs(files.json, files.shards, { outputs: ['a', 'a'] }), Float32Array.from(x.data))
  expect(once.split(';').length).toBe(1)
})
