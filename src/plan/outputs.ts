// What the client makes of the words that it opens: values of every output by name, and what is left to compute of them.
import { RingfenceError } from '../errors.js'
import { Fields } from '../model/json/fields.js'
import { ELEMENT_OPS } from '../model/layers/element-ops.js'
import type { Layer } from '../model/layers/layers.js'
import { readLayers } from '../model/layers/list.js'
import { channelsFirst } from '../model/pictures/input.js'
import { runTail } from '../model/tail/run.js'
import type { NamedOutputs } from '../model/tail/split.js'
import { decodeFixed, encodeFixed } from '../ring/codec.js'
import { elementCount, outputFraction, type Plan, type PlanOutputs } from './plan.js'

/** More layers behind the private part are taken for damage; what they hold is bounded, too. */
const MAX_TAIL = 1024
const MAX_TAIL_ELEMENTS = 2 ** 24

/** The client's input as ring words, channels first. @throws RingfenceError BAD_INPUT for values out of range */
export function inputWords({ input }: Pick<Plan, 'input'>, values: Float32Array): Int32Array {
  const ordered = input.layout === 'hwc' ? channelsFirst(values, input.shape) : values
  return encodeFixed(ordered, input.scale, input.bits)
}

export type { NamedOutput, NamedOutputs } from '../model/tail/split.js'

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

/** Real values of what was opened, one output after another. */
export function openedValues(plan: Plan, words: Int32Array): Float32Array {
  const scale = openedScale(plan)
  const { opened } = outputsOf(plan)
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

const tails = new WeakMap<Plan, readonly Layer[]>()

/** Every output by name, from what was opened. */
export function planOutputs(plan: Plan, values: Float32Array): NamedOutputs {
  const { opened, names } = outputsOf(plan)
  const tail = tails.get(plan) ?? readTail(outputsOf(plan), [])
  tails.set(plan, tail)
  return runTail(opened, tail, names, values)
}

/** The layers behind the private part; faults are added to `problems`. */
export function readTail({ opened, tail }: PlanOutputs, problems: string[]): readonly Layer[] {
  if (tail.length === 0) return []
  const fields = new Fields({ layers: tail }, 'outputs', problems)
  const preprocess = { scale: 1, mean: [], std: [] }
  const sources = opened.map(({ id, shape }) => ({ name: id, shape, preprocess }))
  return readLayers(ELEMENT_OPS, fields, sources, {}).layers
}

/** Problems with what a peer says of a plan's outputs, before anything is computed by it. */
export function outputProblems(plan: Plan): string[] {
  if (!plan.outputs) return []
  const { opened, tail, names } = plan.outputs
  const size = elementCount(plan.steps[plan.steps.length - 1].out)
  const count = opened.reduce((sum, { shape }) => sum + elementCount(shape), 0)
  if (count !== size) return [`outputs: ${count} elements of the ${size} that the last step gives`]
  if (tail.length > MAX_TAIL) return [`outputs: a tail of ${tail.length} layers, at most ${MAX_TAIL} are allowed`]
  const problems: string[] = []
  let layers: readonly Layer[] = []
  try {
    layers = readTail(plan.outputs, problems)
  } catch (cause) {
    if (!(cause instanceof RingfenceError)) throw cause
    problems.push(...cause.problems)
  }
  const ids = new Set([...opened, ...layers].map(({ id }) => id))
  if (ids.size !== opened.length + tail.length) problems.push('outputs: names that are there twice')
  const sizes = layers.flatMap(({ out, inShapes }) => [out, ...inShapes].map(elementCount))
  const elements = sizes.reduce((sum, size) => sum + size, count)
  if (elements > MAX_TAIL_ELEMENTS)
    problems.push(
      `outputs: a tail that reads and writes ${elements} elements, at most ${MAX_TAIL_ELEMENTS} are allowed`,
    )
  for (const name of names) if (!ids.has(name)) problems.push(`outputs: no value is called ${name}`)
  return problems
}
