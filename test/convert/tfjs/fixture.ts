// What the TF.js tests share: small tensors, a comparison with TensorFlow's definitions, the problems of a refusal.
import { expect } from 'vitest'
import { convertTfjs } from '../../../src/convert/tfjs/tfjs.js'
import { RingfenceError } from '../../../src/errors.js'
import { distance, numbers, runConverted } from '../run-converted.js'
import type { KerasLayer, TfjsFiles, Weight } from './encode.js'
import * as tf from './evaluate.js'

let seed = 1
export const weight = (shape: number[], as?: Weight['as']): Weight => ({
  shape,
  data: numbers(
    shape.reduce((a, b) => a * b, 1),
    seed++,
  ),
  as,
})
export const positive = (n: number): Weight => ({ shape: [n], data: numbers(n, seed++).map((x) => Math.abs(x) + 0.5) })
export const integers = (...data: number[]): Weight => ({ shape: [data.length], data, as: 'int32' })
export const image = (...shape: number[]): tf.Value => ({
  shape,
  data: numbers(
    shape.reduce((a, b) => a * b, 1),
    77,
  ),
})
export const layer = (class_name: string, name: string, config: object = {}, calls?: string[][]): KerasLayer => ({
  class_name,
  name,
  config: config as Record<string, unknown>,
  calls,
})

/** Converts the files, runs the network and compares it with what TensorFlow would compute. */
export function expectSame({ json, shards }: TfjsFiles, input: tf.Value, ...expected: tf.Value[]) {
  const converted = convertTfjs(json, shards)
  const got = [...runConverted(converted, Float32Array.from(tf.channelsFirst(input))).values()]
  expect(got.length).toBe(expected.length)
  for (const [i, value] of expected.entries()) expect(distance(got[i], tf.channelsFirst(value))).toBeLessThan(1e-5)
  return converted
}

export const ops = ({ arch }: { arch: Record<string, unknown> }) =>
  (arch.layers as { op: string }[]).map(({ op }) => op).join()

export function refusal({ json, shards }: TfjsFiles): RingfenceError {
  try {
    convertTfjs(json, shards)
  } catch (error) {
    expect(error).toBeInstanceOf(RingfenceError)
    return error as RingfenceError
  }
  throw new Error('expected a refusal')
}

/** A value that inference does not depend on. */
export class Idle {
  constructor(
    readonly value: unknown,
    readonly because: string,
  ) {}
}
export const training = (value: unknown) => new Idle(value, 'of training alone')
