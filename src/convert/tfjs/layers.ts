// A TF.js layers model: the calls of its Keras layers in order.
import { RingfenceError } from '../../errors.js'
import { quote } from '../../model/json/fields.js'
import type { Shape } from '../../model/shape.js'
import type { ArchDraft, ConvertedNetwork, Value } from '../arch-draft.js'
import { computingOrder, cycleWords } from '../graph-order.js'
import { ACTIVATIONS, TfEmitter } from './emit.js'
import { KERAS_READERS, KerasReader, KerasWeights, missingWeights } from './keras.js'
import { inputShape, type KerasCall, type KerasTopology, readKerasTopology } from './topology.js'
import type { TfWeights } from './weights.js'

interface Options {
  readonly name?: string
  readonly inputShape?: Shape
}

/** @throws RingfenceError as `convertTfjs` */
export function convertLayersModel(
  modelTopology: unknown,
  weights: TfWeights,
  draft: ArchDraft,
  options: Options,
): ConvertedNetwork {
  const topology = readKerasTopology(modelTopology, (problem) => draft.problems.push(problem))
  draft.throwIfAny()
  const { calls, outputs } = topology!
  const { order, cycle } = computingOrder(
    calls.map(({ inputs }) => inputs),
    outputs,
  )
  if (cycle)
    draft.problems.push(`modelTopology: expected no cycle, got ${cycleWords(cycle.map((i) => quote(calls[i].name)))}`)
  draft.throwIfAny()
  requireKnownClasses(calls, order, draft)
  const made = runCalls(topology!, order, new KerasWeights(weights), draft, options.inputShape)
  draft.noteUnused('weightsManifest', weights.unread)
  const named = outputs
    .map((output) => [calls[output].name, made[output]] as const)
    .filter((entry): entry is readonly [string, Value] => entry[1] !== undefined)
  for (const [name, value] of named) new TfEmitter(draft, '', '').noteOrder(name, value)
  return draft.finish(options.name ?? 'keras', named)
}

function requireKnownClasses(calls: readonly KerasCall[], order: readonly number[], draft: ArchDraft): void {
  const problems = order.flatMap((index) => {
    const { className, config, where } = calls[index]
    const path = `modelTopology: ${where}`
    if (className !== 'InputLayer' && !KERAS_READERS.has(className)) return [path]
    const activation = config.activation ?? 'linear'
    return typeof activation === 'string' && ACTIVATIONS.has(activation)
      ? []
      : [`${path}: activation ${quote(activation)}`]
  })
  if (problems.length === 0) return
  const text = `${draft.source}: ${problems.length === 1 ? 'a layer has' : `${problems.length} layers have`}`
  throw new RingfenceError('UNSUPPORTED', `${text} a class or activation that cannot be converted:`, [
    ...new Set(problems),
  ])
}

/** The value of every call; undefined after a fault that has been reported. */
function runCalls(
  { calls, outputs }: KerasTopology,
  order: readonly number[],
  weights: KerasWeights,
  draft: ArchDraft,
  shape: Shape | undefined,
): (Value | undefined)[] {
  const made: (Value | undefined)[] = Array(calls.length)
  const readers = new Map<number, number>()
  for (const index of order) for (const input of calls[index].inputs) readers.set(input, (readers.get(input) ?? 0) + 1)
  const ends = new Set(outputs.filter((output) => !readers.has(output)))
  const lacking = new Set<number>()
  for (const index of order) {
    const missing = missingWeights({ ...calls[index], where: `modelTopology: ${calls[index].where}` }, weights)
    if (missing.length > 0) lacking.add(index)
    draft.problems.push(...missing)
  }
  for (const index of order) {
    const call = calls[index]
    const where = `modelTopology: ${call.where}`
    if (call.className === 'InputLayer') {
      made[index] = readInput({ ...call, where }, draft, shape)
      continue
    }
    const inputs = call.inputs.map((input) => made[input])
    if (inputs.length === 0) draft.problems.push(`${where}: expected an input, got none`)
    if (inputs.length === 0 || inputs.some((value) => value === undefined)) continue
    if (lacking.has(index)) continue
    const reader = new KerasReader(draft, { ...call, where }, inputs as Value[], weights, ends.has(index))
    const before = draft.problems.length
    const value = KERAS_READERS.get(call.className)!(reader, inputs[0]!)
    made[index] = draft.problems.length === before ? value : undefined
  }
  return made
}

function readInput(call: KerasCall, draft: ArchDraft, given: Shape | undefined): Value | undefined {
  const shape = inputShape(call.config)
  const sizes = Array.isArray(shape) ? shape.slice(1) : undefined
  const declared = sizes?.length === 3 ? [sizes[2], sizes[0], sizes[1]] : sizes
  const channelsFirst = given ?? declared
  const isSize = (size: unknown) => Number.isSafeInteger(size) && (size as number) >= 1 && (size as number) < 2 ** 28
  if ((channelsFirst?.length === 1 || channelsFirst?.length === 3) && channelsFirst.every(isSize)) {
    return draft.input(call.name, channelsFirst)
  }
  const expected = "expected [batch,height,width,channels] or [batch,n] of known sizes; give the input's shape"
  draft.problems.push(`${call.where}: ${expected}, got ${quote(shape)}`)
  return undefined
}
