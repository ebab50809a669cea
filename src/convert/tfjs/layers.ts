// A TF.js layers model: the calls of its Keras layers in order.
import { RingfenceError } from '../../errors.js'
import { quote } from '../../model/json/fields.js'
import type { Shape } from '../../model/shape.js'
import type { ArchDraft, ConvertedNetwork, Value } from '../arch-draft.js'
import { computingOrder, cycleWords } from '../graph-order.js'
import { noSuchOutput } from '../outputs.js'
import { ACTIVATIONS, TfEmitter } from './emit.js'
import { activationLayer, activationName, type KerasFile, KerasReader } from './keras/reader.js'
import { KERAS_READERS } from './keras/readers.js'
import { fieldFault } from './keras-fields.js'
import { KerasWeights, missingWeights } from './keras-weights.js'
import type { Layout } from './layout.js'
import { inputShape, type KerasCall, type KerasTopology, readKerasTopology } from './topology.js'
import type { TfWeights } from './weights.js'

interface Options {
  readonly name?: string
  readonly inputShape?: Shape
  /** Whether TF.js itself made the model. */
  readonly byTfjs: boolean
  readonly isKeras3: boolean
  readonly outputs?: readonly string[]
}

/** Convolutions say where the channels are, and so do pools where there are none; else they are last. */
function layoutOf(calls: readonly KerasCall[]): Layout {
  const formats = (pattern: RegExp) =>
    new Set(calls.filter(({ className }) => pattern.test(className)).map(({ config }) => config.data_format))
  const decisive = [/Conv2D(Transpose)?$/, /Pooling2D$/].map(formats).find(({ size }) => size > 0)
  return decisive?.size === 1 && decisive.has('channels_first') ? 'channels_first' : 'channels_last'
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
  const { calls } = topology!
  const outputs = options.outputs ? chosenCalls(options.outputs, calls, draft) : topology!.outputs
  draft.throwIfAny()
  const { order, cycle } = computingOrder(
    calls.map(({ inputs }) => inputs),
    outputs,
  )
  if (cycle)
    draft.problems.push(`modelTopology: expected no cycle, got ${cycleWords(cycle.map((i) => quote(calls[i].name)))}`)
  draft.throwIfAny()
  requireKnownClasses(calls, order, draft)
  const { byTfjs, isKeras3 } = options
  const file = { layout: layoutOf(order.map((index) => calls[index])), byTfjs, isKeras3, readers: KERAS_READERS }
  const made = runCalls(topology!, order, new KerasWeights(weights), draft, options.inputShape, file)
  draft.noteUnused('weightsManifest', weights.unread)
  const named = outputs.flatMap((output): (readonly [string, Value])[] => {
    const { name } = calls[output]
    const value = made[output] && new TfEmitter(draft, '', '', file.layout).output(name, made[output])
    return value ? [[name, value]] : []
  })
  return draft.finish(options.name ?? 'keras', named)
}

/** The last call of each layer. */
function chosenCalls(names: readonly string[], calls: readonly KerasCall[], draft: ArchDraft): number[] {
  return names.flatMap((name) => {
    const found = calls.findLastIndex((call) => call.name === name)
    if (found >= 0) return [found]
    const known = calls.map((call) => call.name)
    draft.problems.push(noSuchOutput(name, known))
    return []
  })
}

function requireKnownClasses(calls: readonly KerasCall[], order: readonly number[], draft: ArchDraft): void {
  const problems = order.flatMap((index) => {
    const { className, config, where } = calls[index]
    const path = `modelTopology: ${where}`
    if (className !== 'InputLayer' && !KERAS_READERS.has(className)) return [path]
    const given = config.activation ?? 'linear'
    if (activationLayer(given)) return []
    const activation = activationName(given)
    const shown = typeof given === 'string' ? quote(given) : activation
    return ACTIVATIONS.has(activation) ? [] : [`${path}: activation ${shown}`]
  })
  if (problems.length === 0) return
  const text = `${draft.source}: ${problems.length === 1 ? 'a layer has' : `${problems.length} layers have`}`
  throw new RingfenceError('UNSUPPORTED', `${text} a class or activation that cannot be converted:`, [
    ...new Set(problems),
  ])
}

/** The value of every call; undefined after a fault that has been reported. */
function runCalls(
  { calls }: KerasTopology,
  order: readonly number[],
  weights: KerasWeights,
  draft: ArchDraft,
  shape: Shape | undefined,
  file: KerasFile,
): (Value | undefined)[] {
  const made: (Value | undefined)[] = Array(calls.length)
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
      made[index] = readInput({ ...call, where }, draft, shape, file.layout)
      for (const [name, value] of Object.entries(call.config)) {
        const expected = fieldFault(call.className, name, value)
        if (expected) draft.problems.push(`${where}: ${name}: ${expected}`)
      }
      continue
    }
    const inputs = call.inputs.map((input) => made[input])
    if (inputs.length === 0) draft.problems.push(`${where}: expected an input, got none`)
    if (inputs.length === 0 || inputs.some((value) => value === undefined)) continue
    if (lacking.has(index)) continue
    const before = draft.problems.length
    const value = readCall({ ...call, where }, inputs as Value[], weights, draft, file)
    made[index] = draft.problems.length === before ? value : undefined
  }
  return made
}

/** Classes that work along rows and columns, and take a map's channels to be where their own data_format says. */
const BY_FORMAT = /^(Conv2D(Transpose)?|DepthwiseConv2D|SeparableConv2D|UpSampling2D|(Global)?(Max|Average)Pooling2D)$/

/** A layer whose data_format is not the network's works on the map as it lies: its axes are others. */
function readCall(
  call: KerasCall,
  given: readonly Value[],
  weights: KerasWeights,
  draft: ArchDraft,
  file: KerasFile,
): Value | undefined {
  const { data_format: own } = call.config
  const isOther =
    BY_FORMAT.test(call.className) && (own === 'channels_first' || own === 'channels_last') && own !== file.layout
  const orders = [[1, 2, 0], [2, 0, 1]] as const // biome-ignore format: there and back
  const [there, back] = file.layout === 'channels_last' ? orders : [orders[1], orders[0]]
  const turn = (x: Value | undefined, order: readonly number[], suffix: string) =>
    x && draft.layer(call.where, `${call.name}/${suffix}`, { op: 'transpose', order }, [x])
  const inputs = isOther ? given.map((x) => turn(x, there, 'as')) : given
  if (inputs.some((x) => x === undefined)) return undefined
  const reader = new KerasReader(draft, call, inputs as Value[], weights, isOther ? { ...file, layout: own } : file)
  const before = draft.problems.length
  const value = KERAS_READERS.get(call.className)!(reader, inputs[0]!)
  if (draft.problems.length === before) reader.checkFields()
  return isOther && value?.shape.length === 3 ? turn(value, back, 'back') : value
}

function readInput(call: KerasCall, draft: ArchDraft, given: Shape | undefined, layout: Layout): Value | undefined {
  const shape = inputShape(call.config)
  const sizes = Array.isArray(shape) ? shape.slice(1) : undefined
  const declared = sizes?.length === 3 && layout === 'channels_last' ? [sizes[2], sizes[0], sizes[1]] : sizes
  const channelsFirst = given ?? declared
  const isSize = (size: unknown) => Number.isSafeInteger(size) && (size as number) >= 1 && (size as number) < 2 ** 28
  if ((channelsFirst?.length === 1 || channelsFirst?.length === 3) && channelsFirst.every(isSize)) {
    return draft.input(call.name, channelsFirst)
  }
  const map = layout === 'channels_last' ? 'height,width,channels' : 'channels,height,width'
  const expected = `expected [batch,${map}] or [batch,n] of known sizes; give the input's shape`
  draft.problems.push(`${call.where}: ${expected}, got ${quote(shape)}`)
  return undefined
}
