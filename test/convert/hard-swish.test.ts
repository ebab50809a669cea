// Hard-swish, however a file writes it: its constants are told in the architecture, so that one private step computes it.
import { describe, expect, it } from 'vitest'
import type { ConvertedNetwork } from '../../src/convert/arch-draft.js'
import { nameHardSwishes } from '../../src/convert/hard-swish.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { outlinePlan } from '../../src/plan/compile/outline.js'
import type { NodeOf, TensorOf } from './onnx/encode.js'
import { convert, node, scalar } from './onnx/small-graphs.js'
import { distance, numbers, runConverted } from './run-converted.js'

const W: Record<string, TensorOf> = {
  w: { dims: [4, 4, 1, 1], data: numbers(16, 3) },
  v: { dims: [2, 4, 1, 1], data: numbers(8, 4) },
  ...{ three: scalar(3), six: scalar(6), zero: scalar(0), sixth: scalar(1 / 6), five: scalar(5) },
}
const between = (...nodes: NodeOf[]): NodeOf[] => [node('Conv', 'x w', 'c'), ...nodes, node('Conv', 's v', 'y')]
const six = { alpha: { float: 1 / 6 }, beta: { float: 0.5 } }

const FORMS: Readonly<Record<string, NodeOf[]>> = {
  HardSwish: [node('HardSwish', 'c', 's')],
  'x · HardSigmoid(x)': [node('HardSigmoid', 'c', 'g', six), node('Mul', 'c g', 's')],
  'x · Clip(x + 3, 0, 6) / 6': [
    node('Add', 'c three', 'a'),
    node('Clip', 'a zero six', 'g'),
    node('Mul', 'c g', 'm'),
    node('Div', 'm six', 's'),
  ],
  'x · (Clip(x + 3, 0, 6) · 1/6)': [
    node('Add', 'c three', 'a'),
    node('Clip', 'a zero six', 'g'),
    node('Mul', 'g sixth', 'h'),
    node('Mul', 'h c', 's'),
  ],
}

const steps = ({ arch }: ConvertedNetwork) => outlinePlan(parseArchitecture(arch)).steps.length

describe('a hard-swish of a file', () => {
  const input = Float32Array.from(numbers(24, 5), (x) => 4 * x)
  const results = Object.values(FORMS).map((nodes) => runConverted(convert(between(...nodes), W, undefined, 14), input))

  it.each(Object.entries(FORMS))('is one private step: %s', (_, nodes) => {
    const converted = convert(between(...nodes), W, undefined, 14)
    expect(steps(converted)).toBe(2)
    expect((converted.arch.layers as { op: string }[]).map(({ op }) => op)).toContain('affine')
  })

  it('is the same function in every form', () => {
    const [first, ...others] = results.map((outputs) => [...outputs.values()][0])
    for (const other of others) expect(distance(other, first)).toBeLessThan(1e-5)
  })

  it('keeps numbers among the weights that are no hard-swish: they may have been learned', () => {
    const nodes = [node('Add', 'c five', 'a'), node('Clip', 'a zero six', 'g'), node('Mul', 'c g', 's')]
    const converted = convert(between(...nodes), W)
    expect((converted.arch.layers as { op: string }[]).map(({ op }) => op)).not.toContain('affine')
    expect(steps(converted)).toBe(4)
  })

  it('has one number per layer, and nothing else', () => {
    const tensors = (weight: readonly number[]) => ({ weight: { data: Float32Array.from(weight) } })
    const shift = (bias: readonly number[]) => ({ ...tensors([1, 1]), bias: { data: Float32Array.from(bias) } })
    const made = (bias: readonly number[]) => {
      const layers = [
        { id: 'a', op: { op: 'batchNorm', eps: 0 } as const, in: ['x'], tensors: shift(bias) },
        { id: 'g', op: { op: 'clip', min: 0, max: 6 } as const, in: ['a'], tensors: {} },
        { id: 's', op: { op: 'multiply' } as const, in: ['x', 'g'], tensors: {} },
      ]
      nameHardSwishes(layers)
      return layers[0].op
    }
    expect(made([3, 3])).toEqual({ op: 'affine', factor: 1, offset: 3 })
    expect(made([3, 2.9])).toEqual({ op: 'batchNorm', eps: 0 })
  })
})
