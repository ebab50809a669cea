// What a client makes of the words that it opened.
import { openedValues, outputsOf, planOutputs } from '../../plan/outputs.js'
import type { Plan } from '../../plan/plan.js'
import type { InferenceResult } from './client-options.js'

export type Answer = Pick<InferenceResult, 'logits' | 'outputs' | 'prediction' | 'label' | 'classMap'>

/** @param raw words of the last step */
export function answerOf(plan: Plan, raw: Int32Array): Answer {
  const logits = openedValues(plan, raw)
  const outputs = planOutputs(plan, logits)
  const { opened } = outputsOf(plan)
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
  const names = others.length === 0 || plan.labels.length === first.data.length ? plan.labels : []
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
