// Layers that have no kernel of their own, and transposed convolutions, against their definitions.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { runFloat } from '../../src/float/run.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { elementCount } from '../../src/model/shape.js'
import { randomWeights } from '../fixtures/networks.js'
import { drawFrom } from '../protocol/mcc/gadget-plan.js'

function ran(shape: readonly number[], ...layers: readonly Record<string, unknown>[]) {
  const named = layers.map((layer, i) => ({ id: `l${i}`, in: [i === 0 ? 'x' : `l${i - 1}`], ...layer }))
  const outputs = [named[named.length - 1].id]
  const inputs = [{ name: 'x', shape }]
  const arch = parseArchitecture({ format: 'arch/1', name: 'one', inputs, outputs, layers: named })
  const weights = randomWeights(arch, 3)
  const draw = drawFrom(9)
  const input = Float32Array.from({ length: elementCount(shape) }, () => 4 * draw() - 2)
  const { out } = arch.byId.get(outputs[0])!
  return { input, out, weights: weights.get('l0'), output: runFloat(arch, weights, undefined, input) }
}

const close = (found: ArrayLike<number>, wanted: ArrayLike<number>) => {
  expect(found.length).toBe(wanted.length)
  for (let i = 0; i < wanted.length; i++) expect(Math.abs(found[i] - wanted[i]), `element ${i}`).toBeLessThan(1e-4)
}

test('functions of single elements', () => {
  const functions: Record<string, (x: number) => number> = {
    sigmoid: (x) => 1 / (1 + Math.exp(-x)),
    tanh: (x) => Math.tanh(x),
    exp: (x) => Math.exp(x),
    square: (x) => x * x,
    softplus: (x) => Math.log(1 + Math.exp(x)),
    // Trapezes of the integral that defines it.
    erf: (x) => {
      const n = 4000
      let sum = 0
      for (let i = 0; i < n; i++) sum += Math.exp(-((((i + 0.5) * x) / n) ** 2))
      return (2 / Math.sqrt(Math.PI)) * sum * (x / n)
    },
  }
  for (const [op, f] of Object.entries(functions)) {
    const { input, output } = ran([2, 3, 3], { op })
    close(output, [...input].map(f))
  }
  for (const [op, f] of Object.entries({ log: Math.log, sqrt: Math.sqrt, reciprocal: (x: number) => 1 / x })) {
    const { input, output } = ran([5], { op: 'square' }, { op: 'affine', offset: 0.5 }, { op })
    close(
      output,
      [...input].map((x) => f(x * x + 0.5)),
    )
  }
})

test('softmax, its logarithm, sum and arg max along every axis', () => {
  for (const axis of [0, 1, 2]) {
    const shape = [3, 4, 2]
    const { input, output } = ran(shape, { op: 'softmax', axis })
    const logs = ran(shape, { op: 'logSoftmax', axis }).output
    const sums = ran(shape, { op: 'sum', axis })
    const largest = ran(shape, { op: 'argMax', axis })
    expect(sums.out).toEqual(shape.with(axis, 1))
    close(logs, output.map(Math.log))
    const at = (c: number, h: number, w: number) => input[(c * 4 + h) * 2 + w]
    let line = 0
    for (let a = 0; a < sums.out[0]; a++)
      for (let b = 0; b < sums.out[1]; b++)
        for (let c = 0; c < sums.out[2]; c++) {
          const values = Array.from({ length: shape[axis] }, (_, i) => {
            const place = [a, b, c].with(axis, i) as [number, number, number]
            return at(...place)
          })
          close([sums.output[line]], [values.reduce((x, y) => x + y)])
          expect(largest.output[line]).toBe(values.indexOf(Math.max(...values)))
          line++
        }
    close([sums.output.length], [line])
    close(ran(shape, { op: 'softmax', axis }, { op: 'sum', axis }).output, new Array(line).fill(1))
  }
})

test('slices, transposes, reshapes and concatenations move elements', () => {
  const { input, output, out } = ran([3, 4, 5], { op: 'slice', axis: 1, from: 1, to: 4, step: 2 })
  expect(out).toEqual([3, 2, 5])
  close(
    output,
    [0, 1, 2].flatMap((c) => [1, 3].flatMap((h) => [...input.subarray((c * 4 + h) * 5, (c * 4 + h + 1) * 5)])),
  )
  const moved = ran([3, 4, 5], { op: 'transpose', order: [2, 0, 1] }, { op: 'reshape', shape: [5, 12] })
  expect(moved.out).toEqual([5, 12])
  close(
    moved.output,
    Array.from({ length: 60 }, (_, i) => moved.input[(i % 12) * 5 + Math.floor(i / 12)]),
  )
  const joined = ran([2, 3], { op: 'concat', axis: 1, in: ['x', 'x'] })
  close(
    joined.output,
    [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5].map((i) => joined.input[i]),
  )
})

test('products broadcast sizes of 1', () => {
  const pooled = { op: 'globalAvgPool' }
  const { input, output } = ran([2, 2, 3], pooled, { op: 'multiply', in: ['x', 'l0'] })
  const mean = (c: number) => input.subarray(c * 6, c * 6 + 6).reduce((a, b) => a + b) / 6
  close(
    output,
    input.map((x, i) => x * mean(Math.floor(i / 6))),
  )
})

describe('depth to space', () => {
  test.each(['dcr', 'crd'])('counts channels as %s', (order) => {
    const { input, output } = ran([12, 2, 3], { op: 'depthToSpace', block: 2, order })
    const wanted = new Float32Array(72)
    for (let c = 0; c < 3; c++)
      for (let y = 0; y < 4; y++)
        for (let x = 0; x < 6; x++) {
          const phase = (y % 2) * 2 + (x % 2)
          const channel = order === 'dcr' ? phase * 3 + c : c * 4 + phase
          wanted[(c * 4 + y) * 6 + x] = input[(channel * 2 + (y >> 1)) * 3 + (x >> 1)]
        }
    close(output, wanted)
  })
})

test('a transposed convolution adds every input element times its kernel', () => {
  const size = (most: number) => fc.tuple(fc.integer({ min: 1, max: most }), fc.integer({ min: 1, max: most }))
  const edge = fc.integer({ min: 0, max: 1 })
  const given = fc.record({
    ...{ map: size(4), kernel: size(4), stride: size(3), dilation: size(2), pad: fc.tuple(edge, edge, edge, edge) },
    ...{ groups: fc.integer({ min: 1, max: 3 }), each: size(2), bias: fc.boolean(), outputPad: fc.tuple(edge, edge) },
  })
  fc.assert(
    fc.property(given, ({ map, kernel, stride, dilation, pad, groups, each, bias, outputPad }) => {
      const [inEach, outEach] = each
      const cout = outEach * groups
      const full = ([0, 1] as const).map((i) => (map[i] - 1) * stride[i] + (kernel[i] - 1) * dilation[i] + 1)
      const fits = full.every((n, i) => n + outputPad[i] - pad[i] - pad[i + 2] >= 1)
      fc.pre(fits && outputPad.every((n, i) => n < Math.max(stride[i], dilation[i])))
      const fields = { cout, kernel, stride, dilation, pad, groups, bias, outputPad }
      const shape = [inEach * groups, ...map]
      const { input, output, out, weights } = ran(shape, { op: 'convTranspose2d', ...fields })
      const [, oh, ow] = out
      const wanted = Float64Array.from(output, (_, i) => (bias ? weights!.bias![Math.floor(i / (oh * ow))] : 0))
      for (let c = 0; c < shape[0]; c++)
        for (let y = 0; y < map[0]; y++)
          for (let x = 0; x < map[1]; x++)
            for (let o = 0; o < outEach; o++)
              for (let ky = 0; ky < kernel[0]; ky++)
                for (let kx = 0; kx < kernel[1]; kx++) {
                  const [v, h] = [y * stride[0] + ky * dilation[0] - pad[0], x * stride[1] + kx * dilation[1] - pad[1]]
                  if (v < 0 || h < 0 || v >= oh || h >= ow) continue
                  const channel = Math.floor(c / inEach) * outEach + o
                  const weight = weights!.weight![((c * outEach + o) * kernel[0] + ky) * kernel[1] + kx]
                  wanted[(channel * oh + v) * ow + h] += weight * input[(c * map[0] + y) * map[1] + x]
                }
      close(output, wanted)
    }),
    { numRuns: 80, seed: 5 },
  )
})

test('an input whose channels come last is the same picture', () => {
  const layers = [{ id: 'c', op: 'conv2d', in: ['x'], cout: 2, kernel: [3, 3] }]
  const arch = (input: object) =>
    parseArchitecture({
      format: 'arch/1',
      name: 'o',
      inputs: [{ name: 'x', shape: [3, 4, 5], ...input }],
      outputs: ['c'],
      layers,
    })
  const weights = randomWeights(arch({}), 1)
  const first = Float32Array.from({ length: 60 }, (_, i) => Math.sin(i))
  const last = first.map((_, i) => first[(i % 3) * 20 + Math.floor(i / 3)])
  close(runFloat(arch({ layout: 'hwc' }), weights, undefined, last), runFloat(arch({}), weights, undefined, first))
})
