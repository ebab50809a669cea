// The integer reference of a quadratic select on `mcc` (docs/protocol.md, "Quadratic selects"): exact but for the coin of its
// truncation, which fresh bits of the client's mask decide.
import type { Bends, MccActivation, Quadratic } from '../plan.js'

/** What of a private inference decides the coins of quadratic selects. */
export interface QuadraticMasks {
  /** The bits of a step's reply masks below those of r, one word per element. */
  fresh(step: number): Uint32Array
}

/** What is known of an opened value: y' itself, mod 2^n', and where masks are known r. */
interface Given {
  readonly values: ArrayLike<number>
  readonly r: ((value: number) => number) | undefined
  /** Whether copy `j` of a value is switched on. */
  on(value: number, copy: number): boolean
  readonly fresh: Uint32Array | undefined
}

/** Σ sign·b·(y² + c1·y + c0) of every opened value, as one ring word each. */
export function sumQuadratics(
  { values, r, on, fresh }: Given,
  { bits, bends }: MccActivation & { readonly bends: Bends },
  { drop, polynomials }: Quadratic,
  ring: number,
): Int32Array {
  const unit = 2 ** drop
  const { signs } = bends.sum!
  return Int32Array.from(values, (value, i) => {
    const y = r ? lifted(value, r(i), bits) : value
    const sum = polynomials.reduce(
      (sum, [c0, c1], j) => (on(i, j) ? sum + signs[j] * (y * y + c1 * y + c0) : sum),
      unit - 1,
    )
    const whole = Math.floor(sum / unit)
    const coin = fresh && sum - whole * unit < (fresh[i] & (unit - 1)) >>> 0 ? 1 : 0
    return (((whole - coin) % 2 ** 32) << (32 - ring)) >> (32 - ring)
  })
}

/** ẽ + A_j: y' itself where it is within range, else what the parties compute with. */
function lifted(value: number, r: number, bits: number): number {
  const [whole, offset] = [2 ** bits, 2 ** (bits - 2)]
  const opened = ((value - r + offset) << (32 - bits)) >> (32 - bits)
  return opened + r - offset - (opened >= 0 && r >= whole / 2 ? whole : 0)
}
