// The two ends of a plan, between real values and words: what every client computes, with WebAssembly or without. Layers behind
// the private part are in outputs.ts.

import { channelsFirst } from '../model/pictures/input.js'
import type { NamedOutputs } from '../model/tail/split.js'
import { decodeFixed, encodeFixed } from '../ring/codec.js'
import { elementCount, outputFraction, type Plan, type PlanOutputs } from './plan.js'

/** An input as ring words, channels first. @throws RingfenceError BAD_INPUT for values out of range */
export function inputWords(
  { input }: { readonly input: Pick<Plan['input'], 'shape' | 'layout' | 'scale' | 'bits'> },
  values: Float32Array,
): Int32Array {
  const ordered = input.layout === 'hwc' ? channelsFirst(values, input.shape) : values
  return encodeFixed(ordered, input.scale, input.bits)
}

/** Fraction bits of the words that the client opens. */
export const openedScale = (plan: Plan): number =>
  plan.backend === 'mcc' ? plan.steps[plan.steps.length - 1].scale : outputFraction(plan)

/** What the words of the last step are: one output, unless the plan says more. */
export function outputsOf({ outputs, steps }: Plan): PlanOutputs {
  if (outputs) return outputs
  const { id, out } = steps[steps.length - 1]
  const shape = out[1] * out[2] === 1 ? [out[0]] : out
  return { opened: [{ id, shape, shift: 0 }], tail: [], names: [id] }
}

/** Real values of what was opened, one output after another. @param scale fraction bits of an output without a shift */
export function openedValues(opened: PlanOutputs['opened'], scale: number, words: Int32Array): Float32Array {
  if (opened.every(({ shift }) => shift === 0)) return decodeFixed(words, scale)
  const values = new Float32Array(words.length)
  let at = 0
  for (const { shape, shift } of opened) {
    const end = at + elementCount(shape)
    values.set(decodeFixed(words.subarray(at, end), scale + shift), at)
    at = end
  }
  return values
}

/** The outputs by name, where nothing is left to compute of what was opened. */
export function namedOutputs(
  { opened, names }: Pick<PlanOutputs, 'opened' | 'names'>,
  values: Float32Array,
): NamedOutputs {
  let at = 0
  const known = new Map(
    opened.map(({ id, shape }) => [id, { shape, data: values.slice(at, (at += elementCount(shape))) }]),
  )
  return Object.fromEntries(names.map((name) => [name, known.get(name)!]))
}
