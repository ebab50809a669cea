// Graphs of a few nodes over one small map `x`, whose output is `y`.
import { expect } from 'vitest'
import { convertOnnx } from '../../../src/convert/onnx/onnx.js'
import { RingfenceError } from '../../../src/errors.js'
import { distance, numbers, runConverted } from '../run-converted.js'
import { type Attribute, encodeOnnx, type NodeOf, type TensorOf } from './encode.js'

export const DIMS = [1, 4, 3, 2]
export const X = numbers(24, 5)
export const at = (c: number, y: number, x: number) => X[(c * 3 + y) * 2 + x]
export const map = (channels: number, value: (c: number, y: number, x: number) => number, h = 3, w = 2) =>
  Array.from({ length: channels * h * w }, (_, i) => value(Math.floor(i / (h * w)), Math.floor(i / w) % h, i % w))

/** Names between spaces. */
export const node = (op: string, inputs: string, out: string, attributes: Record<string, Attribute> = {}): NodeOf => {
  const [first, ...more] = out.split(' ')
  return { op, in: inputs === '' ? [] : inputs.split(' '), out: first, more, attributes }
}
export const ints = (...data: number[]): TensorOf => ({ dims: [data.length], data, as: 'int64' })
export const int = (x: number): TensorOf => ({ dims: [], data: [x], as: 'int64' })
export const scalar = (x: number): TensorOf => ({ dims: [], data: [x] })

export function convert(
  nodes: NodeOf[],
  tensors: Record<string, TensorOf> = {},
  dims: (number | string)[] = DIMS,
  opset = 13,
) {
  return convertOnnx(encodeOnnx({ inputs: { x: dims }, outputs: ['y'], nodes, tensors, opset }))
}

export function run(
  nodes: NodeOf[],
  tensors: Record<string, TensorOf> = {},
  dims?: (number | string)[],
  opset?: number,
) {
  const converted = convert(nodes, tensors, dims, opset)
  const [y] = runConverted(converted, Float32Array.from(X)).values()
  return { y, ops: (converted.arch.layers as { op: string }[]).map(({ op }) => op).join(), notes: converted.notes }
}

export function expectValues(got: { y: Float32Array }, expected: readonly number[]): void {
  expect(distance(got.y, expected)).toBeLessThan(1e-5)
}

export function refusal(nodes: NodeOf[], tensors: Record<string, TensorOf> = {}, opset = 13): RingfenceError {
  try {
    convert(nodes, tensors, DIMS, opset)
  } catch (error) {
    expect(error).toBeInstanceOf(RingfenceError)
    return error as RingfenceError
  }
  throw new Error('expected a refusal')
}
