// Ranges of a network's values, measured on sample inputs; the plan chooses scales and widths from them.
import { RingfenceError } from '../errors.js'
import { FloatNetwork } from '../float/network.js'
import type { Architecture } from '../model/architecture.js'
import { curvesOf } from '../model/curves.js'
import { Fields, quote } from '../model/json/fields.js'
import { parseObject, summary } from '../model/json/file.js'
import { effectiveOp, isActivation, type Layer } from '../model/layers/layers.js'
import { type ReluSpec, resolveRelu } from '../model/relu/spec.js'
import { bodyOf } from '../model/tail/split.js'
import type { Weights } from '../model/weights.js'
import { type ChannelFactors, factorProblems } from './equalize/equalize.js'

/** A `calibration/1` file. */
export interface Calibration {
  readonly format: 'calibration/1'
  /** On what the ranges were measured, in words. */
  readonly source: string
  /**
   * Largest absolute values, by layer id: of every activation layer's input (and of its output, where a slope or a bound
   * can make that larger), of the output layer's values, of `input`, and of the values of layers where a step may end
   * without an activation (`cutPoints`, and averages).
   */
  readonly maxAbs: Readonly<Record<string, number>>
  /**
   * Factors per channel that `compile` equalises the weights with; ranges and windows then are those of the equalised
   * network. Without it the weights are used as they are.
   */
  readonly channels?: ChannelFactors
  /** Which bits comparisons on `mcc` look at, unless the options of `compile` say otherwise; all of them without it. */
  readonly windows?: Windows
}

/** Windows [lo, bits) of the comparisons of each layer, chosen for opened values of `bits` bits and that margin. */
export interface Windows {
  readonly bits: number
  readonly margin: number
  /** By id of the activation layer; 0 for those that are not named. */
  readonly lo: Readonly<Record<string, number>>
}

/** The key of the network input's range. */
export const INPUT_RANGE = 'input'

/** Under which the value of a layer, or the input's, was calibrated. */
export const rangeKey = (arch: Architecture, id: string): string => (arch.byId.has(id) ? id : INPUT_RANGE)

/**
 * Runs the float network over `inputs` (CHW, preprocessed) and keeps the largest absolute values.
 * @param source what the inputs are, in words, for the file
 * @throws RingfenceError BAD_INPUT without inputs or for one that does not fit
 */
export function calibrate(
  arch: Architecture,
  weights: Weights,
  spec: ReluSpec | undefined,
  inputs: Iterable<Float32Array>,
  source = 'sample inputs',
): Calibration {
  const sources = rangeSources(arch, spec)
  const maxAbs = new Map<string, number>(sources.map(([id]) => [id, 0]))
  const network = FloatNetwork.prepare(arch, weights, { spec, keep: sources.map(([, value]) => value) })
  let count = 0
  try {
    for (const input of inputs) {
      const pass = network.start(input)
      for (const [id, value] of sources) maxAbs.set(id, Math.max(maxAbs.get(id)!, largest(pass.view(value))))
      pass.release()
      count++
    }
  } finally {
    network.release()
  }
  if (count === 0) throw new RingfenceError('BAD_INPUT', 'calibration: expected at least one sample input, got none')
  return { format: 'calibration/1', source, maxAbs: Object.fromEntries(maxAbs) }
}

/** Every key, and the layer or input whose values it ranges over; a key may stand there more than once. */
export function rangeSources(network: Architecture, spec: ReluSpec | undefined): [id: string, value: string][] {
  const arch = bodyOf(network)
  const activations = arch.layers.filter(isActivation).map((layer): [string, string] => [layer.id, layer.in[0]])
  const taken = new Set(activations.map(([id]) => id))
  const steep = arch.layers.filter((layer) => ['leakyRelu', 'prelu', 'clip'].includes(effectiveOp(layer).op))
  // An average over a large window may end a step, so that the weights behind it keep their size.
  const products = arch.layers.filter(isProduct).map(({ id }) => id)
  const averages = arch.layers.filter((layer) => AVERAGES.has(effectiveOp(layer).op)).map(({ id }) => id)
  const cuts = new Set([...cutPoints(arch, spec), ...products, ...averages].filter((id) => !taken.has(id)))
  return [
    [INPUT_RANGE, arch.inputs[0].name],
    ...activations,
    // What is read behind a bend can be larger than what came to it.
    ...steep.map(({ id }): [string, string] => [id, id]),
    ...[...cuts].map((id): [string, string] => [id, id]),
    ...arch.outputs.map((id): [string, string] => [id, id]),
  ]
}

/**
 * Reads a `calibration/1` file for a network.
 * @throws RingfenceError BAD_FILE with every missing, unknown or impossible range
 */
export function parseCalibration(json: unknown, arch: Architecture, source = 'calibration.json'): Calibration {
  const root = parseObject(json, source)
  const problems: string[] = []
  const fields = new Fields(root, 'file', problems)
  const format = fields.oneOf('format', ['calibration/1'])
  const text = fields.string('source')
  if (!fields.has('maxAbs')) fields.fault('maxAbs', 'an object')
  const ranges = new Fields(fields.record('maxAbs'), 'maxAbs', problems)
  const channels = fields.has('channels') ? readChannels(fields, arch) : undefined
  const windows = fields.has('windows') ? readWindows(fields, arch) : undefined
  fields.noOthers()
  const optional = arch.layers.map((layer) => layer.id).filter((id) => ranges.has(id))
  const ids = new Set([...requiredIds(arch), ...optional])
  const maxAbs = [...ids].map((id) => [id, readRange(ranges, id)] as const)
  ranges.noOthers()
  if (problems.length > 0) throw new RingfenceError('BAD_FILE', summary(source, problems.length), problems)
  const options = { ...(channels ? { channels } : {}), ...(windows ? { windows } : {}) }
  return { format, source: text, maxAbs: Object.fromEntries(maxAbs), ...options }
}

/** Factors per channel, which have to fit the network. */
function readChannels(parent: Fields, arch: Architecture): ChannelFactors {
  const fields = new Fields(parent.record('channels'), 'channels', parent.problems)
  const lists = Object.entries(fields.object).map(([id, given]) => {
    return [id, typeof given === 'number' ? given : fields.numbers(id)] as const
  })
  const channels = Object.fromEntries(lists)
  if (!fields.failed) for (const problem of factorProblems(arch, channels)) fields.problem(problem)
  return channels
}

function readWindows(parent: Fields, arch: Architecture): Windows {
  const fields = new Fields(parent.record('windows'), 'windows', parent.problems)
  const bits = fields.integer('bits', { min: 4, max: 30 })
  const margin = fields.has('margin') ? fields.value('margin') : undefined
  if (!(typeof margin === 'number' && margin >= 0 && margin < bits)) fields.fault('margin', 'a number of bits')
  if (!fields.has('lo')) fields.fault('lo', 'an object')
  const low = new Fields(fields.record('lo'), 'windows: lo', parent.problems)
  fields.noOthers()
  const ids = arch.layers.filter((layer) => isActivation(layer) && low.has(layer.id)).map(({ id }) => id)
  const lo = Object.fromEntries(ids.map((id) => [id, low.integer(id, { min: 0, max: Math.max(0, bits - 1) })]))
  low.noOthers()
  return { bits, margin: Number(margin), lo }
}

function readRange(ranges: Fields, id: string): number {
  const value = ranges.value(id)
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value
  ranges.problem(`${quote(id)}: expected a finite number >= 0, got ${quote(value)}`)
  return 0
}

const isProduct = (layer: Layer): boolean => effectiveOp(layer).op === 'multiply'

/** Without these no plan can be made. */
function requiredIds(network: Architecture): string[] {
  const arch = bodyOf(network)
  const activations = arch.layers.filter(isActivation).map((layer) => layer.id)
  const products = arch.layers.filter(isProduct).map(({ id }) => id)
  return [...new Set([INPUT_RANGE, ...activations, ...products, ...arch.outputs])]
}

/**
 * Layers whose value may have met weights, and meets weights, an average, a maximum or a curve again: there `compile` has to
 * end a step although no activation stands there; and curves. A superset; a range too many does no harm.
 */
export function cutPoints(network: Architecture, spec: ReluSpec | undefined): string[] {
  const arch = bodyOf(network)
  const weighted = new Set<string>()
  const points = new Set<string>()
  for (const layer of arch.layers) {
    for (const from of layer.in) {
      const before = arch.byId.get(from)
      const { op } = effectiveOp(layer)
      // A maximum or a blend also cannot wait for the factor of an average.
      const ends = op === 'maxPool' || op === 'resize' || op === 'multiply' || (weighted.has(from) && ENDS.has(op))
      if (before && ends && !foldsInto(layer, before)) points.add(from)
    }
    if (weighs(layer, spec, (id) => weighted.has(id))) weighted.add(layer.id)
  }
  for (const [id, { root }] of curvesOf(arch, spec, () => true).byLayer)
    for (const end of [id, root]) if (arch.byId.has(end)) points.add(end)
  return [...points]
}

const AFFINE: ReadonlySet<string> = new Set(['batchNorm', 'channelScale', 'affine'])
const AVERAGES: ReadonlySet<string> = new Set(['avgPool', 'globalAvgPool'])
/** Ops that multiply or compare. */
const ENDS: ReadonlySet<string> = new Set([
  ...['conv2d', 'convTranspose2d', 'depthToSpace', 'linear', 'maxPool', 'weightedSum', 'resize', 'multiply'],
  ...[...AVERAGES, ...AFFINE],
])

/** A per-channel map right behind a convolution becomes part of it. */
const foldsInto = (layer: Layer, before: Layer): boolean =>
  AFFINE.has(layer.op) &&
  (before.op === 'conv2d' || before.op === 'convTranspose2d' || before.op === 'linear' || AFFINE.has(before.op))

/** Whether a layer's value may have met weights or a public factor since the last truncation. */
function weighs(layer: Layer, spec: ReluSpec | undefined, weighted: (id: string) => boolean): boolean {
  const op = effectiveOp(layer)
  switch (op.op) {
    case 'conv2d':
    case 'convTranspose2d':
    case 'linear':
    case 'batchNorm':
    case 'channelScale':
    case 'affine':
    case 'weightedSum':
    case 'leakyRelu':
    case 'prelu':
    case 'add': // summands of unlike scales are lifted
    case 'concat':
      return true
    case 'resize':
      return op.mode === 'bilinear' || weighted(layer.in[0])
    case 'avgPool': // windows of unlike sizes have unlike divisors
      return op.ceil || op.pad.some((edge) => edge > 0)
    case 'globalAvgPool':
    case 'zero':
    case 'multiply':
      return false
    case 'relu':
    case 'clip':
      if (op.op === 'clip' && op.min !== 0) return true // its lower bound is added to the step's scale
      return resolveRelu(spec, layer).kind === 'identity' && weighted(layer.in[0])
    default:
      return weighted(layer.in[0])
  }
}

/** The largest absolute value, 0 without any; a NaN counts for nothing. */
export function largest(values: Float32Array): number {
  let most = 0
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i])
    if (size > most) most = size
  }
  return most
}
