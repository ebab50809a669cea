// What an interrupted calibration leaves.
import { Fields } from '../../model/json/fields.js'
import { measurementKey, readPart } from '../part.js'
import type { FactorsPer } from './channel-factors.js'
import { type Ranges, rangesJson, readRanges } from './ranges.js'
import type { RangesSetup } from './ranges-job.js'

/** What a calibration has measured so far. */
export interface MeasuredRanges {
  /** Of the network as it is, once that is complete and factors follow from it. */
  readonly plain?: Ranges
  /** Of the first inputs: with factors where `plain` is there, else of the network as it is. */
  readonly ranges: Ranges
}

const FORMAT = 'ranges-part/1'

/** What ranges depend on: the network, the inputs, and the factors that follow from the first pass. */
export function rangesKey(
  { arch, weights, spec }: RangesSetup,
  inputs: readonly Float32Array[],
  { per, margin = 1 }: { readonly per?: FactorsPer; readonly margin?: number },
): string {
  const layers = spec ? JSON.stringify([...spec.layers]) : ''
  const factors = per ? ` ${per} ${margin}` : ''
  return measurementKey({ ...arch, name: `${arch.name} ranges ${layers}${factors}` }, weights, inputs, [])
}

/** The text of a calibration that is not finished, to be resumed under the same `key`. */
export function formatRangesPart({ plain, ranges }: MeasuredRanges, key: string): string {
  const first = plain ? { plain: rangesJson(plain) } : {}
  return JSON.stringify({ format: FORMAT, key, ...first, ranges: rangesJson(ranges) })
}

/** @throws RingfenceError BAD_FILE for a damaged file, BAD_INPUT for one of another calibration */
export function parseRangesPart(
  json: unknown,
  network: Pick<RangesSetup, 'arch' | 'spec'>,
  key: string,
  source: string,
): MeasuredRanges {
  return readPart(json, { format: FORMAT, key, source }, (fields) => {
    const of = (name: string) => readRanges(new Fields(fields.record(name), name, fields.problems), network)
    return { ...(fields.has('plain') ? { plain: of('plain') } : {}), ranges: of('ranges') }
  })
}
