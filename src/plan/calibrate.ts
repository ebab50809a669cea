// Ranges of a network's values, measured on sample inputs; the plan chooses scales and widths from them.
import { RingfenceError } from '../errors.js'
import type { Architecture } from '../model/architecture.js'
import { Fields, quote } from '../model/fields.js'
import { parseObject, summary } from '../model/json-file.js'
import type { ReluSpec } from '../model/relu-spec.js'
import type { Weights } from '../model/weights.js'
import { runFloat } from './float.js'

/** A `calibration/1` file. */
export interface Calibration {
  readonly format: 'calibration/1'
  /** On what the ranges were measured, in words. */
  readonly source: string
  /** Largest absolute value: of every relu layer's input, of the output layer's values (by layer id), of `input`. */
  readonly maxAbs: Readonly<Record<string, number>>
}

/** The key of the network input's range. */
export const INPUT_RANGE = 'input'

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
  const maxAbs = new Map<string, number>(calibratedIds(arch).map((id) => [id, 0]))
  const widen = (id: string, values: Float32Array) => maxAbs.set(id, Math.max(maxAbs.get(id)!, largest(values)))
  let count = 0
  for (const input of inputs) {
    const logits = runFloat(arch, weights, spec, input, widen)
    widen(INPUT_RANGE, input)
    widen(arch.outputs[0], logits)
    count++
  }
  if (count === 0) throw new RingfenceError('BAD_INPUT', 'calibration: expected at least one sample input, got none')
  return { format: 'calibration/1', source, maxAbs: Object.fromEntries(maxAbs) }
}

/** For every key the larger value of the two. */
export function widerCalibration(a: Calibration, b: Calibration, source: string): Calibration {
  const maxAbs: Record<string, number> = { ...a.maxAbs }
  for (const [id, value] of Object.entries(b.maxAbs)) maxAbs[id] = Math.max(maxAbs[id] ?? 0, value)
  return { format: 'calibration/1', source, maxAbs }
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
  fields.noOthers()
  const maxAbs = calibratedIds(arch).map((id) => [id, readRange(ranges, id)] as const)
  ranges.noOthers()
  if (problems.length > 0) throw new RingfenceError('BAD_FILE', summary(source, problems.length), problems)
  return { format, source: text, maxAbs: Object.fromEntries(maxAbs) }
}

function readRange(ranges: Fields, id: string): number {
  const value = ranges.value(id)
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value
  ranges.problem(`${quote(id)}: expected a finite number >= 0, got ${quote(value)}`)
  return 0
}

function calibratedIds(arch: Architecture): string[] {
  const relus = arch.layers.filter((layer) => layer.op === 'relu').map((layer) => layer.id)
  return [...new Set([INPUT_RANGE, ...relus, ...arch.outputs])]
}

function largest(values: Float32Array): number {
  let most = 0
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i])
    if (size > most) most = size
  }
  return most
}
