// The integer reference of a segment table on `mcc` (docs/protocol.md, "Curves"): exact but for the segment, which may be the
// one before, and the coin of its truncation, which follows from the low bits of the client's share.
import type { Curve, MccActivation } from '../plan.js'

/** What of a private inference decides segments and coins. */
export interface CurveMasks {
  /** The client's halves of one entry of every element's table, mod 2^32. @param entries by element */
  curve(step: number, entries: Uint32Array): Uint32Array
}

/** The value of a curve at every opened value, as one ring word each. */
export function followCurve(
  values: ArrayLike<number>,
  { bits }: MccActivation,
  curve: Curve,
  ring: number,
  masks: { readonly r: ArrayLike<number>; halves(entries: Uint32Array): Uint32Array } | undefined,
): { out: Int32Array; overflows: number } {
  const { segments, drop, polynomials } = curve
  const low = bits - segments
  const [whole, half, unit] = [2 ** bits, 2 ** (bits - 1), 2 ** drop]
  const count = values.length
  const opened = masks && Array.from({ length: count }, (_, i) => modulo(values[i] - masks.r[i] + half, whole))
  const halves = masks?.halves(Uint32Array.from(opened!, (e) => e >> low))
  const words = polynomials[0].length
  const out = new Int32Array(count)
  let overflows = 0
  for (let i = 0; i < count; i++) {
    const top = opened ? (opened[i] >> low) + (masks!.r[i] >> low) : (values[i] + half) >> low
    const segment = modulo(top, 2 ** segments)
    const y = opened ? opened[i] + masks!.r[i] - (top >> segments) * whole - half : values[i]
    const x = y - ((segment + 1) * 2 ** low - half)
    const z = polynomials[segment].reduceRight((sum, q) => sum * x + q, 0) + unit - 1
    const coin = halves && modulo(z, unit) < lowBits(opened![i], halves, i * words, words, unit) ? 1 : 0
    out[i] = (((Math.floor(z / unit) - coin) % 2 ** 32) << (32 - ring)) >> (32 - ring)
    if (Math.abs(values[i]) >= half - 2 ** low) overflows++
  }
  return { out, overflows }
}

const modulo = (x: number, by: number): number => ((x % by) + by) % by

/** z_C mod `unit`. */
function lowBits(e: number, halves: Uint32Array, at: number, words: number, unit: number): number {
  let z = 0
  for (let degree = words - 1; degree >= 0; degree--) z = (Math.imul(z, e) + halves[at + degree]) | 0
  return (z & (unit - 1)) >>> 0
}
