import { describe, expect, it } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { readSafetensors, type Tensor, writeSafetensors } from '../../src/model/safetensors.js'
import { bindWeights, namedTensors } from '../../src/model/weights.js'

function arch(weights: object = {}, tensors: object = {}) {
  return parseArchitecture({
    format: 'arch/1',
    name: 'small',
    inputs: [{ name: 'x', shape: [4, 2, 2] }],
    outputs: ['s'],
    layers: [
      { id: 'c', op: 'conv2d', in: ['x'], cout: 2, kernel: [1, 3], pad: [0, 1, 0, 1], groups: 2, bias: true, tensors },
      { id: 'n', op: 'batchNorm', in: ['c'] },
      { id: 's', op: 'channelScale', in: ['n'] },
    ],
    weights,
  })
}

const SHAPES: Record<string, number[]> = {
  'c.weight': [2, 2, 1, 3],
  'c.bias': [2],
  'n.weight': [2],
  'n.bias': [2],
  'n.running_mean': [2],
  'n.running_var': [2],
  's.weight': [2],
}

function tensors(rename: (name: string) => string = (name) => name): Map<string, Tensor> {
  return new Map(
    Object.entries(SHAPES).map(([name, shape]) => [
      rename(name),
      { shape, dtype: 'F32', data: new Float32Array(shape.reduce((a, b) => a * b)).fill(1) },
    ]),
  )
}

function failure(run: () => unknown): RingfenceError {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(RingfenceError)
    return error as RingfenceError
  }
  throw new Error('expected an error')
}

describe('binding', () => {
  it('finds every tensor by layer id, and ignores num_batches_tracked', () => {
    const file = tensors().set('n.num_batches_tracked', { shape: [], dtype: 'I64', data: undefined })
    const weights = bindWeights(arch(), file)
    expect([...weights.keys()]).toEqual(['c', 'n', 's'])
    expect(Object.keys(weights.get('n')!)).toEqual(['weight', 'bias', 'running_mean', 'running_var'])
    expect(weights.get('c')!.weight).toBe(file.get('c.weight')!.data)
  })

  it.each([
    ['stripPrefix', arch({ stripPrefix: 'module.' }), (n: string) => `module.${n}`],
    ['unwrap', arch({ unwrap: 'state_dict' }), (n: string) => `state_dict.${n}`],
    ['both', arch({ unwrap: 'net', stripPrefix: 'm.' }), (n: string) => `net.m.${n}`],
    ['map of a layer', arch({ map: { n: 'features.1' } }), (n: string) => n.replace(/^n\./, 'features.1.')],
    ['map of a tensor', arch({ map: { 's.weight': 'gain' } }), (n: string) => (n === 's.weight' ? 'gain' : n)],
    ['override of a layer', arch({}, { bias: 'b0' }), (n: string) => (n === 'c.bias' ? 'b0' : n)],
  ])('honours %s', (_, network, rename) => {
    const weights = bindWeights(network, tensors(rename))
    expect(weights.get('c')!.bias).toHaveLength(2)
    const named = namedTensors(network, weights)
    expect(bindWeights(network, readSafetensors(writeSafetensors(named)))).toEqual(weights)
  })

  it('lists everything that is wrong in one error', () => {
    const file = tensors()
    file.delete('c.bias')
    file.set('c.weight', { ...file.get('c.weight')!, shape: [2, 2, 3, 1] })
    file.get('n.weight')!.data![1] = Number.NaN
    file.get('n.running_var')!.data![1] = -1
    file.set('s.weight', { shape: [2], dtype: 'I32', data: undefined })
    file.set('extra.weight', { shape: [1], dtype: 'F32', data: new Float32Array(1) })
    const { code, problems } = failure(() => bindWeights(arch(), file))
    expect(code).toBe('BAD_FILE')
    expect(problems).toEqual([
      'layer "c" (conv2d): expected weight [2,2,1,3] as tensor "c.weight", got [2,2,3,1]',
      'layer "c" (conv2d): expected bias [2] as tensor "c.bias", found none',
      'layer "n" (batchNorm): expected weight [2] as tensor "n.weight", got 1 of 2 values that are not finite',
      'layer "n" (batchNorm): expected running_var [2] as tensor "n.running_var", got a negative variance',
      'layer "s" (channelScale): expected weight [2] as tensor "s.weight", got elements of type I32; expected F32, F64, F16 or BF16',
      'tensor "extra.weight" [1]: no layer of network "small" uses it',
    ])
  })

  it('refuses another layout', () => {
    expect(failure(() => bindWeights(arch({ layout: 'keras' }), tensors())).code).toBe('UNSUPPORTED')
  })

  it('refuses two names that become one', () => {
    const file = tensors().set('m.c.bias', tensors().get('c.bias')!)
    expect(failure(() => bindWeights(arch({ stripPrefix: 'm.' }), file)).problems[0]).toContain('"c.bias" too')
  })
})
