// Slow twin of the quadratic select, one value at a time with whole numbers (docs/protocol.md, "Quadratic selects").
import type { QuadraticPiece } from '../../../src/kernels/polynomial/quadratic.js'
import { residue, type TwinFactor, twinFactor } from './product-twin.js'

/** ω, μ, S and V of a value, as they are dealt. */
export function twinOwnWords(value: TwinFactor, bits: number): bigint[] {
  const { omega, mu, a1 } = twinFactor(value, bits)
  return [omega, mu, a1 * a1, mu * a1]
}

/** ρ, P, Q, P2 and Q2 of a copy. */
export function twinCopyWords(value: TwinFactor, rho: bigint, bits: number): bigint[] {
  const { mu, a1 } = twinFactor(value, bits)
  return [1n, a1, mu, a1 * a1, mu * a1].map((word) => rho * word)
}

/** [y + shift ≥ 0] where it fits the ring. */
export const twinBit = ({ y }: TwinFactor, shift: bigint): bigint => (y + shift >= 0n ? 1n : 0n)

/** One party's share of the sum in Z, from its shares of the words. `known`: m (client) or a' (server). */
export function twinQuadraticShare(
  side: 'client' | 'server',
  e: bigint,
  known: bigint,
  beta: readonly bigint[],
  own: readonly bigint[],
  copies: readonly (readonly bigint[])[],
  pieces: readonly QuadraticPiece[],
  { bits, drop }: { bits: number; drop: number },
): bigint {
  const q = 1n << BigInt(bits - 2)
  const top = BigInt(bits)
  const one = side === 'server' ? 1n : 0n
  const x = BigInt.asIntN(bits, residue(e, bits) + q)
  const lift = x < 0n ? 0n : 1n
  const [omega, mu, s1, v] = own
  const a = known - one * q - ((omega + lift * mu) << top)
  const s = s1 - lift * ((v << (top + 1n)) - (mu << (2n * top)))
  return pieces.reduce(
    (sum, { sign, c0, c1 }, j) => {
      const [rho, p1, q1, p2, q2] = copies[j]
      const p = p1 - lift * (q1 << top)
      const square = p2 - lift * ((q2 << (top + 1n)) - (q1 << (2n * top)))
      const [b, bA, bS] = beta[j] === 1n ? [one - rho, a - p, s - square] : [rho, p, square]
      return sum + BigInt(sign) * (x * x * b + 2n * x * bA + bS + BigInt(c1) * (x * b + bA) + BigInt(c0) * b)
    },
    one * ((1n << BigInt(drop)) - 1n),
  )
}
