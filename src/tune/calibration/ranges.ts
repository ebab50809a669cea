// Calibration on many threads: ranges of values, and for every activation layer how near to zero its comparisons are.
import { RingfenceError } from '../../errors.js'
import { Fields, type Json, quote } from '../../model/json/fields.js'
import { checkInput } from '../../model/pictures/input.js'
import { asMap } from '../../model/shape.js'
import { type Calibration, rangeSources } from '../../plan/calibrate.js'
import { activationLayers } from '../distortion/table.js'
import { type PoolOptions, runTasks } from '../workers/pool.js'
import { BINS, type LayerSample, type RangesPart, type RangesSetup } from './ranges-job.js'

export type { LayerSample } from './ranges-job.js'

/** What was measured on some inputs. */
export interface Ranges {
  readonly inputs: number
  readonly maxAbs: Calibration['maxAbs']
  /** What all inputs but the one that reaches furthest reach, range by range; 0 of a single input. */
  readonly nextAbs: Calibration['maxAbs']
  /** By id of the activation layer. */
  readonly layers: ReadonlyMap<string, LayerSample>
}

/** What was measured before, and who measures the rest. */
export interface RangesOptions extends PoolOptions {
  /** Ranges of the inputs before `from`; only the others are run. */
  readonly resume?: Ranges
  /** Gets what is known of a growing number of inputs, counted from the first. */
  readonly onProgress?: (done: number, ranges: Ranges) => void
}

/** Inputs that a thread takes at a time; sums do not depend on the threads, but on this. */
const TOGETHER = 16

/**
 * Runs the float network over all inputs.
 * @param inputs CHW, preprocessed
 * @throws RingfenceError BAD_INPUT without inputs or for one that does not fit; ABORTED by `signal`, when the last ranges
 *   that `onProgress` got can be resumed
 */
export async function measureRanges(
  setup: RangesSetup,
  inputs: readonly Float32Array[],
  options: RangesOptions = {},
): Promise<Ranges> {
  if (inputs.length === 0)
    throw new RingfenceError('BAD_INPUT', 'calibration: expected at least one sample input, got none')
  for (const input of inputs) checkInput(input, setup.arch.inputs[0].shape)
  let ranges = options.resume
  const first = ranges?.inputs ?? 0
  const tasks = Array.from({ length: Math.ceil((inputs.length - first) / TOGETHER) }, (_, i) => ({
    inputs: inputs.slice(first + i * TOGETHER, first + (i + 1) * TOGETHER),
  }))
  /** Results that wait for those before them. */
  const waiting = new Map<number, RangesPart>()
  let next = 0
  const onResult = (part: RangesPart, index: number) => {
    waiting.set(index, part)
    for (; waiting.has(next); next++) {
      ranges = joined(ranges, waiting.get(next)!)
      waiting.delete(next)
      options.onProgress?.(ranges.inputs / inputs.length, ranges)
    }
  }
  await runTasks('ranges', setup, tasks, onResult, options)
  return ranges!
}

function joined(a: Ranges | undefined, b: RangesPart): Ranges {
  if (!a) return b
  const maxAbs: Record<string, number> = {}
  const nextAbs: Record<string, number> = {}
  for (const id of Object.keys(a.maxAbs)) {
    const [x, y] = [a.maxAbs[id], b.maxAbs[id]]
    maxAbs[id] = Math.max(x, y)
    nextAbs[id] = Math.max(Math.min(x, y), a.nextAbs[id], b.nextAbs[id])
  }
  const layers = new Map([...a.layers].map(([id, sample]) => [id, joinedSample(sample, b.layers.get(id)!)]))
  return { inputs: a.inputs + b.inputs, maxAbs, nextAbs, layers }
}

function joinedSample(a: LayerSample, b: LayerSample): LayerSample {
  return {
    channelMax: a.channelMax.map((most, c) => Math.max(most, b.channelMax[c])),
    counts: a.counts.map((count, bin) => count + b.counts[bin]),
    energy: a.energy.map((energy, bin) => energy + b.energy[bin]),
    output: a.output + b.output,
  }
}

/** As a calibration without windows. */
export function calibrationOf({ maxAbs }: Ranges, source: string): Calibration {
  return { format: 'calibration/1', source, maxAbs }
}

/** Ranges as JSON, for a measurement that goes on later. */
export function rangesJson({ inputs, maxAbs, nextAbs, layers }: Ranges): Json {
  const sparse = (values: Float64Array) =>
    Object.fromEntries([...values.entries()].filter(([, value]) => value !== 0).map(([bin, value]) => [bin, value]))
  const samples = [...layers].map(([id, { channelMax, counts, energy, output }]) => [
    id,
    { channelMax: [...channelMax], counts: sparse(counts), energy: sparse(energy), output },
  ])
  return { inputs, maxAbs, nextAbs, layers: Object.fromEntries(samples) }
}

/** What `rangesJson` made of this network's ranges; adds what is wrong with it to the problems of `fields`. */
export function readRanges(fields: Fields, { arch, spec }: Pick<RangesSetup, 'arch' | 'spec'>): Ranges {
  const { where, problems } = fields
  const inputs = fields.integer('inputs', { min: 1 })
  const sizes = (name: string) => {
    const own = new Fields(fields.record(name), `${where}, ${name}`, problems)
    const all = Object.fromEntries(rangeSources(arch, spec).map(([id]) => [id, sizeOf(own, id)]))
    own.noOthers()
    return all
  }
  const [maxAbs, nextAbs] = [sizes('maxAbs'), sizes('nextAbs')]
  const samples = new Fields(fields.record('layers'), `${where}, layers`, problems)
  const layers = activationLayers(arch).map(({ id, out }) => {
    const own = new Fields(samples.record(id), `${where}, layer ${quote(id)}`, problems)
    const channelMax = Float32Array.from(own.numbers('channelMax'))
    if (channelMax.length !== asMap(out)[0]) own.fault('channelMax', `${asMap(out)[0]} numbers, one per channel`)
    const sample = { channelMax, counts: binsOf(own, 'counts'), energy: binsOf(own, 'energy') }
    const output = sizeOf(own, 'output')
    own.noOthers()
    return [id, { ...sample, output }] as const
  })
  samples.noOthers()
  fields.noOthers()
  return { inputs, maxAbs, nextAbs, layers: new Map(layers) }
}

function sizeOf(fields: Fields, name: string): number {
  const value = fields.number(name)
  if (value < 0) fields.fault(name, 'a number >= 0')
  return value
}

/** Numbers by bin, those that are not zero. */
function binsOf(fields: Fields, name: string): Float64Array {
  const all = new Float64Array(BINS)
  for (const [bin, value] of Object.entries(fields.record(name))) {
    const fits = /^\d{1,4}$/.test(bin) && Number(bin) < BINS && typeof value === 'number' && value >= 0
    if (fits) all[Number(bin)] = value
    else fields.problem(`${name}: expected numbers >= 0 by bin from 0 to ${BINS - 1}, got ${quote({ [bin]: value })}`)
  }
  return all
}
