// What the biases of a step add: per channel as long as every channel's are the same, and then what each element gets.
import { describe, expect, it } from 'vitest'
import { affineFilter, type Expression } from '../../../src/plan/compile/expression.js'
import { lower } from '../../../src/plan/compile/lower.js'
import { elementCount, type MapShape } from '../../../src/plan/plan.js'

const SHAPE: MapShape = [3, 4, 4]
const tensor = (shape: MapShape = SHAPE): Expression => ({ kind: 'tensor', tensor: 0, shape })
const biased = (bias: readonly number[], shape: MapShape = SHAPE): Expression => {
  const filter = affineFilter('c', shape, new Float32Array(shape[0]).fill(0.5), Float32Array.from(bias))
  return { kind: 'conv', of: tensor(shape), filter, shape }
}
const embed = (of: Expression, shape: MapShape, at: MapShape, stride = 1, from = 0): Expression => {
  return { kind: 'embed', of, stride: [stride, stride], from: [from, from], at, shape }
}
const add = (...of: Expression[]): Expression => ({ kind: 'add', of, shape: of[0].shape })

/** Element by element, from the definitions. */
function twin(e: Expression): number[] {
  const zeros = new Array<number>(elementCount(e.shape)).fill(0)
  const plane = e.shape[1] * e.shape[2]
  switch (e.kind) {
    case 'conv':
      return zeros.map((_, i) => e.filter.bias[Math.floor(i / plane)])
    case 'constant':
      return zeros.map((_, i) => e.values[Math.floor(i / plane)])
    case 'negate':
      return twin(e.of).map((b) => -b)
    case 'add':
      return e.of.map(twin).reduce((a, b) => a.map((x, i) => x + b[i]))
    case 'embed': {
      const inner = twin(e.of)
      const [channels, h, w] = e.of.shape
      for (let c = 0; c < channels; c++) {
        for (let i = 0; e.from[0] + i * e.stride[0] < h; i++) {
          for (let j = 0; e.from[1] + j * e.stride[1] < w; j++) {
            const [to, y, x] = [c + e.at[0], i + e.at[1], j + e.at[2]]
            if (to < 0 || to >= e.shape[0] || y >= e.shape[1] || x >= e.shape[2]) continue
            zeros[(to * e.shape[1] + y) * e.shape[2] + x] =
              inner[(c * h + e.from[0] + i * e.stride[0]) * w + e.from[1] + j * e.stride[1]]
          }
        }
      }
      return zeros
    }
    default:
      return zeros
  }
}

const SCALE = 8
function biasOf(e: Expression): { words: number[]; length: number } {
  const { quantized, scale } = lower(e, { wanted: SCALE, weightLimit: 2 ** 15 - 1, tensorScale: () => 4, id: 'c' })
  expect(scale).toBe(SCALE)
  const bias = quantized.bias ?? new Float64Array(e.shape[0])
  const each = elementCount(e.shape) / bias.length
  const words = Array.from({ length: elementCount(e.shape) }, (_, i) => bias[Math.floor(i / each)])
  return { words, length: bias.length }
}

const wide = biased([1, -2, 3, 4, 0.5, 6], [6, 4, 4])
const constant: Expression = { kind: 'constant', values: Float32Array.of(0.25, 0.5, -1), shape: SHAPE }
const cases: Record<string, readonly [e: Expression, words: number]> = {
  'a convolution': [biased([1, 2, -3]), 3],
  'a sum with a constant, less another': [
    add(biased([1, 2, -3]), constant, { kind: 'negate', of: biased([4, 5, 6]), shape: SHAPE }),
    3,
  ],
  'a concatenation': [
    add(embed(biased([1, 2, -3]), [6, 4, 4], [0, 0, 0]), embed(biased([4, 5, 6]), [6, 4, 4], [3, 0, 0])),
    6,
  ],
  'some of the channels': [embed(wide, SHAPE, [-2, 0, 0]), 3],
  'a smaller map inside': [embed(biased([1, 2, -3], [3, 2, 2]), SHAPE, [0, 1, 2]), 48],
  'every second line': [embed(biased([1, 2, -3], [3, 8, 8]), SHAPE, [0, 0, 0], 2, 1), 48],
  'a map cut off': [embed(biased([1, 2, -3]), SHAPE, [0, 1, 1]), 48],
  'a sum of both sorts': [add(biased([7, 8, 9]), embed(biased([1, 2, -3], [3, 2, 2]), SHAPE, [0, 1, 2])), 48],
  'a reshape': [{ kind: 'add', of: [biased([1, 2, -3])], shape: [48, 1, 1] }, 48],
}

describe('the bias of a step', () => {
  it.each(Object.entries(cases))('of %s', (_, [e, length]) => {
    const bias = biasOf(e)
    expect(bias.words).toEqual(twin(e).map((b) => Math.round(b * 2 ** SCALE)))
    expect(bias.length).toBe(length)
  })
})
