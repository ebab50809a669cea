// Slow twin of the segment tables, one entry at a time with whole numbers (docs/protocol.md, "Curves").
import { residue } from './product-twin.js'

export interface TwinCurve {
  readonly bits: number
  readonly segments: number
  /** In y less the middle of the two segments that each serves. */
  readonly polynomials: readonly (readonly bigint[])[]
}

/** The lowest y of a segment. */
export function firstOf({ bits, segments }: TwinCurve, segment: bigint): bigint {
  return segment * (1n << BigInt(bits - segments)) - (1n << BigInt(bits - 1))
}

/** Coefficients in E of entry `entry`, which stands for y = E + b. */
export function twinEntry(curve: TwinCurve, r: bigint, entry: bigint): bigint[] {
  const { bits, segments, polynomials } = curve
  const sum = entry + (r >> BigInt(bits - segments))
  const segment = residue(sum, segments)
  const b = r - ((sum >> BigInt(segments)) << BigInt(bits)) - (1n << BigInt(bits - 1))
  // y less the middle is E + shift.
  const shift = b - firstOf(curve, segment + 1n)
  const [q0, q1, q2 = 0n] = polynomials[Number(segment)]
  const inE = [q0 + q1 * shift + q2 * shift * shift, q1 + 2n * q2 * shift, q2]
  return inE.slice(0, polynomials[0].length)
}

/** E and its entry. */
export function twinOpened({ bits, segments }: TwinCurve, e: bigint): { value: bigint; entry: bigint } {
  const value = residue(e + (1n << BigInt(bits - 1)), bits)
  return { value, entry: value >> BigInt(bits - segments) }
}

/** One party's share of the polynomial, from its shares of the words of one entry. */
export function twinCurveShare(
  side: 'client' | 'server',
  value: bigint,
  words: readonly bigint[],
  drop: number,
): bigint {
  const share = words.reduce((sum, word, degree) => sum + word * value ** BigInt(degree), 0n)
  return side === 'server' ? share + (1n << BigInt(drop)) - 1n : share
}

/** The polynomial of a segment at y. */
export function twinValue(curve: TwinCurve, segment: bigint, y: bigint): bigint {
  const x = y - firstOf(curve, segment + 1n)
  return curve.polynomials[Number(segment)].reduce((sum, q, degree) => sum + q * x ** BigInt(degree), 0n)
}
