// The cheapest segment table that is close enough to a function: near-minimax polynomials by Chebyshev's nodes, with integer
// coefficients.
import { RingfenceError } from '../../errors.js'
import type { Curve } from '../plan.js'
import { MOST_DROPPED } from './check.js'

/** Where a table is wanted: integers of y at `scale` fraction bits, results at `result` fraction bits. */
export interface TableSetting {
  readonly ring: number
  /** n' */
  readonly bits: number
  readonly scale: number
  readonly result: number
  /** Largest absolute value and result that were calibrated. */
  readonly range: number
  readonly reach: number
}

export interface SegmentTable {
  readonly curve: Curve
  /** Largest distance from the function over calibrated values, rounding of masked shares aside. */
  readonly error: number
}

export type RealFunction = (x: Float32Array) => Float32Array

/** A table is close enough within this share of the largest result. */
const CLOSE = 2 ** -9
const SEGMENTS = [3, 4, 5, 6, 7, 8]

/**
 * @param id the layer, for errors
 * @throws RingfenceError UNSUPPORTED where the function is not finite
 */
export function segmentTable(f: RealFunction, setting: TableSetting, id: string): SegmentTable {
  const options = SEGMENTS.filter((segments) => segments <= setting.bits - 2).flatMap((segments) =>
    [1, 2].map((degree) => tableOf(f, setting, segments, degree)),
  )
  options.sort((a, b) => tableBits(a.curve, setting.ring) - tableBits(b.curve, setting.ring))
  const close = options.find(({ error }) => error <= CLOSE * setting.reach)
  const best = close ?? options.reduce((a, b) => (b.error < a.error ? b : a))
  if (Number.isFinite(best.error)) return best
  const what = `expected a function that is finite for all values up to ${setting.range} and down to ${-setting.range}`
  throw new RingfenceError('UNSUPPORTED', `${id}: ${what}; leave it to the client with convert --outputs`)
}

/** Bits that are dealt per value. */
function tableBits({ polynomials, drop }: Curve, ring: number): number {
  return polynomials.length * polynomials[0].length * (ring + drop)
}

function tableOf(f: RealFunction, setting: TableSetting, segments: number, degree: number): SegmentTable {
  const { ring, bits, scale, result, range } = setting
  const width = 2 ** (bits - segments)
  // Coefficients of the highest degree are then off by half a unit of the result over a segment.
  const drop = Math.min(MOST_DROPPED, 63 - ring, degree * (bits - segments))
  const limit = 2 ** (bits - 1)
  const at = (ys: readonly number[]) => [...f(Float32Array.from(ys, (y) => y / 2 ** scale))].map((z) => z * 2 ** result)
  const nodes = Array.from(
    { length: degree + 1 },
    (_, i) => width * Math.cos(((2 * i + 1) * Math.PI) / (2 * degree + 2)),
  )
  const probes = Array.from({ length: 17 }, (_, i) => (width * (i - 8)) / 8)
  let error = 0
  const polynomials = Array.from({ length: 2 ** segments }, (_, segment) => {
    const middle = (segment + 1) * width - limit
    const values = at(nodes.map((x) => middle + x)).map((z) =>
      z > limit ? limit : z > -limit ? z : z <= -limit ? -limit : 0,
    )
    const coefficients = through(nodes, values).map((q, power) => Math.round((q / width ** power) * 2 ** drop))
    const seen = probes.filter((x) => Math.abs(middle + x) <= range * 2 ** scale)
    at(seen.map((x) => middle + x)).forEach((z, i) => {
      const made = coefficients.reduceRight((sum, q) => sum * seen[i] + q, 0) / 2 ** drop
      const off = Math.abs(made - z)
      error = off <= error ? error : Number.isNaN(off) ? Number.POSITIVE_INFINITY : off
    })
    return coefficients
  })
  return { curve: { segments, drop, polynomials }, error: error / 2 ** result }
}

/** Coefficients, constant first, of the polynomial in x / width through values at `nodes`, Chebyshev's of the width. */
function through(nodes: readonly number[], values: readonly number[]): number[] {
  const count = nodes.length
  const width = nodes[0] / Math.cos(Math.PI / (2 * count))
  const t = nodes.map((x) => x / width)
  const mean = values.reduce((a, b) => a + b) / count
  const first = (2 / count) * values.reduce((sum, z, i) => sum + z * t[i], 0)
  if (count === 2) return [mean, first]
  const second = (2 / count) * values.reduce((sum, z, i) => sum + z * (2 * t[i] * t[i] - 1), 0)
  return [mean - second, first, 2 * second]
}
