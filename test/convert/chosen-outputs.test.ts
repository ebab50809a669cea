// Outputs chosen by name, and what a refusal says where only the end of a network cannot be converted.
import { expect, test } from 'vitest'
import { convertOnnx } from '../../src/convert/onnx/onnx.js'
import { convertTfjs } from '../../src/convert/tfjs/tfjs.js'
import { RingfenceError } from '../../src/errors.js'
import { encodeOnnx } from './onnx/encode.js'
import { node } from './onnx/small-graphs.js'
import { distance, numbers, runConverted } from './run-converted.js'
import { encodeFunctional, encodeGraph, functionalConfig } from './tfjs/encode.js'
import { layer } from './tfjs/fixture.js'

const X = Float32Array.from(numbers(24, 3))
const relu = X.map((v) => Math.max(v, 0))

function problemsOf(convert: () => unknown): readonly string[] {
  try {
    convert()
  } catch (error) {
    expect(error).toBeInstanceOf(RingfenceError)
    return (error as RingfenceError).problems
  }
  throw new Error('expected a refusal')
}

const onnx = encodeOnnx({
  inputs: { x: [1, 2, 3, 4] },
  outputs: ['y', 'b'],
  nodes: [node('Relu', 'x', 'a'), node('Sigmoid', 'a', 'b'), node('NonMaxSuppression', 'b', 'y')],
})

test('an ONNX file up to its tensors, and to what stands before the nodes that cannot be converted', () => {
  const problems = problemsOf(() => convertOnnx(onnx))
  expect(problems[0]).toMatch(/NonMaxSuppression/)
  expect(problems.at(-1)).toMatch(/--outputs b$/)
  const [b] = runConverted(convertOnnx(onnx, { outputs: ['b'] }), X).values()
  expect(
    distance(
      b,
      relu.map((v) => 1 / (1 + Math.exp(-v))),
    ),
  ).toBeLessThan(1e-6)
  const both = runConverted(convertOnnx(onnx, { outputs: ['b', 'a'] }), X)
  expect([...both.keys()]).toEqual(['b', 'a'])
  expect(distance(both.get('a')!, relu)).toBe(0)
  expect(problemsOf(() => convertOnnx(onnx, { outputs: ['a', 'heads'] }))).toEqual([
    expect.stringMatching(/found nothing that is called "heads"; there are .*"a"/),
  ])
})

test('no such advice where weights stand behind', () => {
  const nodes = [node('Relu', 'x', 'a'), node('LSTM', 'a', 'b'), node('Conv', 'b w', 'y')]
  const w = { dims: [1, 2, 1, 1], data: [1, 1] }
  const file = encodeOnnx({ inputs: { x: [1, 2, 3, 4] }, outputs: ['y'], nodes, tensors: { w } })
  expect(problemsOf(() => convertOnnx(file))).toEqual([expect.stringMatching(/LSTM/)])
})

test('a TF.js graph and a layers model likewise', () => {
  const nodes = [
    { name: 'a', op: 'Relu', input: ['image'] },
    { name: 'parts', op: 'Split', input: ['axis', 'a'], attr: { num_split: { i: 2 } } },
    { name: 'y', op: 'TopKV2', input: ['parts:1', 'axis'] },
  ]
  const axis = { shape: [], data: [3], as: 'int32' } as const
  const files = encodeGraph([3, 4, 2], nodes, { axis })
  expect(problemsOf(() => convertTfjs(files.json, files.shards)).at(-1)).toMatch(/--outputs parts:1$/)
  const [second] = runConverted(convertTfjs(files.json, files.shards, { outputs: ['parts:1'] }), X).values()
  expect(distance(second, relu.slice(12))).toBe(0)

  const config = functionalConfig(
    [
      layer('InputLayer', 'image', { batch_input_shape: [null, 3, 4, 2] }),
      layer('ReLU', 'a', {}, [['image']]),
      layer('GRU', 'g', {}, [['a']]),
    ],
    ['image'],
    ['g'],
  )
  const keras = encodeFunctional(config, {})
  const [a] = runConverted(convertTfjs(keras.json, keras.shards, { outputs: ['a'] }), X).values()
  expect(distance(a, relu)).toBe(0)
  expect(problemsOf(() => convertTfjs(keras.json, keras.shards, { outputs: ['b'] }))[0]).toMatch(
    /called "b"; there are/,
  )
})

test('one value under two names of an ONNX file goes out twice', () => {
  const nodes = [node('Relu', 'x', 'a'), node('Identity', 'a', 'b'), node('Dropout', 'a', 'c')]
  const file = encodeOnnx({ inputs: { x: [1, 2, 3, 4] }, outputs: ['b', 'c'], nodes })
  const both = runConverted(convertOnnx(file), X)
  expect([...both.keys()]).toEqual(['b', 'c'])
  for (const values of both.values()) expect(distance(values, relu)).toBe(0)
})
