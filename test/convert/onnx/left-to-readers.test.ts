// What nodes leave to those that read them, repeating and padding, and what they must not.
import { describe, expect, it } from 'vitest'
import { convertOnnx } from '../../../src/convert/onnx/onnx.js'
import { runConverted } from '../run-converted.js'
import { encodeOnnx, type NodeOf } from './encode.js'
import { at, DIMS, expectValues, ints, map, node, run, scalar, X } from './small-graphs.js'

describe('what is repeated behind plain layers', () => {
  const mean = (c: number) => X.slice(6 * c, 6 * c + 6).reduce((a, b) => a + b) / 6
  const gate = (c: number) => 1 / (1 + Math.exp(-mean(c)))
  const gates = [node('GlobalAveragePool', 'x', 'a'), node('Sigmoid', 'a', 'b')]
  const sizes = { to: ints(1, 4, 3, 2), times: ints(1, 1, 3, 2), two: scalar(2) }
  const factors = { dims: [1, 4, 1, 1], data: [1, 2, 3, 4] }

  describe.each([node('Expand', 'b to', 'e'), node('Tile', 'b times', 'e')])('by $op', (repeat) => {
    const onwards = (...nodes: NodeOf[]) => run([...gates, repeat, ...nodes], { ...sizes, factors })

    it('keeps its sizes where a constant multiplies or divides it', () => {
      const full = (f: (c: number) => number) => map(4, f)
      expectValues(
        onwards(node('Mul', 'e two', 'y')),
        full((c) => 2 * gate(c)),
      )
      expectValues(
        onwards(node('Mul', 'factors e', 'y')),
        full((c) => (c + 1) * gate(c)),
      )
      expectValues(
        onwards(node('Div', 'e two', 'y')),
        full((c) => gate(c) / 2),
      )
      expectValues(
        onwards(node('Div', 'two e', 'y')),
        full((c) => 2 / gate(c)),
      )
    })

    it('keeps them for a sum behind the product', () => {
      const sum = node('ReduceSum', 'd axes', 'y', { keepdims: 0 })
      const { y } = run([...gates, repeat, node('Mul', 'e two', 'd'), sum], { ...sizes, axes: ints(2, 3) })
      expectValues(
        { y },
        [0, 1, 2, 3].map((c) => 12 * gate(c)),
      )
    })

    it('keeps them where it meets itself or its likes', () => {
      expectValues(
        onwards(node('Mul', 'e e', 'y')),
        map(4, (c) => gate(c) ** 2),
      )
      expectValues(
        onwards(node('Mul', 'e b', 'y')),
        map(4, (c) => gate(c) ** 2),
      )
      const again = { ...repeat, out: 'f' }
      expectValues(
        onwards(again, node('Mul', 'e f', 'y')),
        map(4, (c) => gate(c) ** 2),
      )
    })

    it('keeps them as an output of the network that a product reads too', () => {
      const nodes = [...gates, repeat, node('Mul', 'x e', 'y')]
      const file = encodeOnnx({ inputs: { x: DIMS }, outputs: ['e', 'y'], nodes, tensors: sizes, opset: 13 })
      const [e, y] = runConverted(convertOnnx(file), Float32Array.from(X)).values()
      expectValues({ y: e }, map(4, gate))
      expectValues(
        { y },
        map(4, (c, h, w) => at(c, h, w) * gate(c)),
      )
    })

    it('is left to a product with a value of full size', () => {
      const made = onwards(node('Mul', 'x e', 'y'))
      expectValues(
        made,
        map(4, (c, h, w) => at(c, h, w) * gate(c)),
      )
      expect(made.ops).toBe('globalAvgPool,sigmoid,multiply')
    })
  })
})

it('padding by -Infinity that is an output too is refused', () => {
  const pad = node('Pad', 'x pads low', 'a')
  const nodes = [pad, node('MaxPool', 'a', 'y', { kernel_shape: [2, 2] })]
  const tensors = { pads: ints(0, 0, 1, 1, 0, 0, 1, 1), low: scalar(-Infinity) }
  const file = (outputs: string[]) => encodeOnnx({ inputs: { x: DIMS }, outputs, nodes, tensors, opset: 13 })
  expect(() => convertOnnx(file(['y']))).not.toThrow()
  expect(() => convertOnnx(file(['a', 'y']))).toThrow(/but before max pools/)
})
