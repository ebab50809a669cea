// What a client makes of the words that it opened.
import { namedOutputs, openedValues } from '../../plan/ends.js'
import type { PlanOutputs } from '../../plan/plan.js'
import type { InferenceResult } from './client-options.js'

export type Answer = Pick<InferenceResult, 'logits' | 'outputs' | 'prediction' | 'label' | 'classMap'>

/** What a client has to know of what it opened. */
export interface OpenedEnd extends Pick<PlanOutputs, 'opened' | 'names'> {
  /** Fraction bits. */
  readonly scale: number
  readonly labels: readonly string[]
}

/**
 * @param raw words of the last step
 * @param outputsFrom what is left to compute of their values; nothing by default
 */
export function answerOf(
  end: OpenedEnd,
  raw: Int32Array,
  outputsFrom: (values: Float32Array) => Answer['outputs'] = (values) => namedOutputs(end, values),
): Answer {
  const { opened, labels } = end
  const logits = openedValues(opened, end.scale, raw)
  const outputs = outputsFrom(logits)
  const [{ shape }] = opened
  // The integers, as two values that differ by less than a float can tell have an order all the same.
  const classes =
    opened.length === 1
      ? raw
      : logits.subarray(
          0,
          shape.reduce((count, size) => count * size, 1),
        )
  const prediction = largest(classes)
  const [first, ...others] = Object.values(outputs)
  const map = others.length === 0 && opened.length === 1 ? classMap(opened[0].shape, logits) : undefined
  const names = others.length === 0 || labels.length === first.data.length ? labels : []
  return { logits, outputs, prediction, label: map ? undefined : names[prediction], ...(map && { classMap: map }) }
}

function largest(values: ArrayLike<number>): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i
  return best
}

/** The largest channel at every pixel of a map that has some of both. */
function classMap(shape: readonly number[], values: Float32Array): Uint16Array | undefined {
  const [channels, h = 1, w = 1] = shape
  if (shape.length !== 3 || channels < 2 || h * w < 2) return undefined
  const plane = h * w
  const map = new Uint16Array(plane)
  for (let i = 0; i < plane; i++) {
    for (let c = 1; c < channels; c++) if (values[c * plane + i] > values[map[i] * plane + i]) map[i] = c
  }
  return map
}
