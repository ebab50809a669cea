// Slow twin of the reply MACs, one value at a time over BigInt, straight from their equations.

export interface TwinSecrets {
  rho: bigint
  p: bigint
  q: bigint
  known: bigint
  omega: bigint
  mu: bigint
}

/** The four words of a switched value: w_(2β+j), lifted to the integers. */
export function twinLifts({ p, q, known, omega, mu }: TwinSecrets, bits: number): bigint[] {
  const two = 1n << BigInt(bits)
  const a1 = known - two * omega
  return [p, p + two * q, a1 - two * mu - p, a1 - p - two * q]
}

/** ẽ of an opened value. */
export function twinCentred(e: number, bits: number): bigint {
  const opened = (e + 2 ** (bits - 2)) % 2 ** bits
  return BigInt(opened >= 2 ** (bits - 1) ? opened - 2 ** bits : opened)
}

/** Σ over ρ and w of coefficient · word, for the words themselves, their tags or their keys: four w's and the one of ρ. */
export function twinCombine(e: number, beta: number, rho: bigint, w: readonly bigint[], bits: number): bigint {
  const x = twinCentred(e, bits)
  return (beta ? -x : x) * rho + w[2 * beta + (x < 0n ? 1 : 0)]
}

/** Tags (or keys) of all four w's from the dealt ones. */
export function twinSpread(m: { w0: bigint; q: bigint; w2: bigint; muQ: bigint }, bits: number): bigint[] {
  const two = 1n << BigInt(bits)
  return [m.w0, m.w0 + two * m.q, m.w2, m.w2 + two * m.muQ]
}
