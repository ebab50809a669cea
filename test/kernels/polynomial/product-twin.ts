// Slow twin of the product kernels, one element at a time with whole numbers (docs/protocol.md, "Products").

/** Of one factor: what masks it, and what is dealt about it. */
export interface TwinFactor {
  /** y, m and a' below 2^bits. */
  readonly y: bigint
  readonly m: bigint
  readonly a: bigint
}

export interface TwinWords {
  readonly omega: bigint
  readonly mu: bigint
  /** A_1 and A_0: r read as unsigned and as signed number, less 2^(bits-2). */
  readonly a1: bigint
}

export const residue = (x: bigint, bits: number): bigint => BigInt.asUintN(bits, x)

export function twinFactor({ m, a }: TwinFactor, bits: number): TwinWords {
  const r = residue(m + a, bits)
  return { omega: (m + a) >> BigInt(bits), mu: r >> BigInt(bits - 1), a1: r - (1n << BigInt(bits - 2)) }
}

/** ω, μ, P, X, Y and Z of an element, as they are dealt. */
export function twinProductWords(left: TwinWords, right: TwinWords): bigint[] {
  return [left.omega, left.mu, left.a1 * right.a1, left.mu * right.a1, right.mu * left.a1, left.mu * right.mu]
}

export function opened({ y, m, a }: TwinFactor, bits: number): bigint {
  return residue(y - m - a, bits)
}

/** One party's share of a product in Z, from its shares of the words. `known`: m (client) or a' (server). */
export function twinProductShare(
  side: 'client' | 'server',
  e: readonly [bigint, bigint],
  known: readonly [bigint, bigint],
  words: readonly bigint[],
  right: readonly bigint[],
  { bits, truncate }: { bits: number; truncate: number },
): bigint {
  const q = 1n << BigInt(bits - 2)
  const top = BigInt(bits)
  const values = e.map((word) => BigInt.asIntN(bits, word + q))
  const negative = values.map((value) => (value < 0n ? 1n : 0n))
  const [omega, mu, p, x, y, z] = words
  const a = [[omega, mu], right].map(([omega, mu], i) => {
    return known[i] - (side === 'server' ? q : 0n) - ((omega + (1n - negative[i]) * mu) << top)
  })
  const [lift1, lift2] = negative.map((j) => 1n - j)
  const aa = p - ((lift1 * x) << top) - ((lift2 * y) << top) + ((lift1 * lift2 * z) << (2n * top))
  const cross = values[0] * a[1] + values[1] * a[0] + aa
  return side === 'server' ? cross + values[0] * values[1] + (1n << BigInt(truncate)) - 1n : cross
}
