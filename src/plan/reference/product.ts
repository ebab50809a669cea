// The integer reference of a product on `mcc` (docs/protocol.md, "Products"): exact but for the coin of its truncation, which
// follows from the low bits of the client's share.
import { productFactors, type Step } from '../plan.js'

const signed = (word: number, bits: number): number => (word << (32 - bits)) >> (32 - bits)

/** What of a private inference decides the coins of products. */
export interface ProductMasks {
  /** a' of a step: of a product one word per left factor, then one per right one. */
  opening(step: number): Uint32Array
  /** r of tensor `index`, one word per element. */
  tensor(index: number): Uint32Array
  /** The client's halves of a product's words mod 2^32, in the order of the kernels. */
  product(step: number): Uint32Array
}

/** A factor as it is opened: its value, and where masks are known ẽ and the client's share of A_j, mod 2^32. */
interface Factor {
  readonly value: number
  readonly opened: number
  readonly addend: number
  /** Whether E reads negative. */
  readonly negative: boolean
}

/**
 * @param tensors the values made so far
 * @returns one word per element; factors outside of [-2^(bits-2), 2^(bits-2)) are counted
 */
export function multiply(
  step: Step,
  ring: number,
  tensors: readonly Int32Array[],
  masks: ProductMasks | undefined,
  index: number,
): { out: Int32Array; overflows: number } {
  const { left, right, broad, plane } = productFactors(step)!
  const { bits, truncate } = step.product!
  const [x, g] = [tensors[left], tensors[right]]
  const count = x.length
  const limit = 2 ** (bits - 2)
  const unit = 2 ** truncate
  const out = new Int32Array(count)
  const drawn = masks && {
    left: masks.tensor(left),
    right: masks.tensor(right),
    a: masks.opening(index),
    words: masks.product(index),
  }
  const ofLeft = (i: number) =>
    drawn
      ? factor(x[i], drawn.left[i], drawn.a[i], drawn.words[i], drawn.words[count + i], bits)
      : bare(signed(x[i], bits))
  const ofRight = (g0: number) => {
    if (!drawn) return bare(signed(g[g0], bits))
    const [omega, mu] = [drawn.words[6 * count + g0], drawn.words[6 * count + broad + g0]]
    return factor(g[g0], drawn.right[g0], drawn.a[count + g0], omega, mu, bits)
  }
  const others = Array.from({ length: broad }, (_, g0) => ofRight(g0))
  for (let i = 0; i < count; i++) {
    const a = ofLeft(i)
    const b = others[Math.floor(i / plane) % broad]
    const z = a.value * b.value + unit - 1
    const low = z - Math.floor(z / unit) * unit
    const carry = drawn && low < (clientShare(a, b, drawn.words, i, count, bits) & (unit - 1)) >>> 0 ? 1 : 0
    out[i] = signed(lowWord(Math.floor(z / unit) - carry), ring)
  }
  const outside = (values: Int32Array) => values.reduce((n, v) => n + Number(v >= limit || v < -limit), 0)
  return { out, overflows: outside(x) + outside(g) }
}

const bare = (value: number): Factor => ({ value, opened: 0, addend: 0, negative: false })

/** A whole number mod 2^32. */
const lowWord = (value: number): number => (value % 2 ** 32) | 0

function factor(y: number, mask: number, a: number, omega: number, mu: number, bits: number): Factor {
  const low = 2 ** bits - 1
  const offset = 2 ** (bits - 2)
  const m = mask & low
  const r = (m + (a & low)) & low
  const opened = signed(y - r + offset, bits)
  const negative = opened < 0
  const lifted = negative ? 0 : 1
  const value = opened + r - offset - lifted * (r >= 2 ** (bits - 1) ? 2 ** bits : 0)
  return { value, opened, negative, addend: (m - ((omega + lifted * mu) << bits)) | 0 }
}

/** z_C mod 2^32. */
function clientShare(a: Factor, b: Factor, words: Uint32Array, i: number, count: number, bits: number): number {
  const [p, x, y, z] = [2, 3, 4, 5].map((field) => words[field * count + i])
  const lift1 = a.negative ? 0 : 1
  const lift2 = b.negative ? 0 : 1
  const once = (Math.imul(lift1, x) + Math.imul(lift2, y)) << bits
  const twice = 2 * bits < 32 ? (lift1 * lift2 * z) << (2 * bits) : 0
  return (Math.imul(a.opened, b.addend) + Math.imul(b.opened, a.addend) + p - once + twice) | 0
}
