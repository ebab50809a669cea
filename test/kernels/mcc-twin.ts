// Slow twin of the masked carry chain: entry by entry, straight from docs/protocol.md, one DReLU at a time.

export interface DealerBits {
  rho: number
  /** s_0 … s_(t-2) */
  s: number[]
  /** keys[j][v] = bits of K_j^v, for 1 <= j < t */
  keys: number[][][]
}

/** Splits t² - 1 random bits the way the dealer's kernel reads them. */
export function dealerBits(rho: number, bits: number[], t: number): DealerBits {
  let at = 0
  const take = (n: number) => bits.slice(at, (at += n))
  const s = take(t - 1)
  const keys: number[][][] = [[]]
  for (let j = 1; j < t; j++) keys.push([take(t - j), take(t - j)])
  return { rho, s, keys }
}

/** tables[j][chunk value] = entry bits of stage j, for both carries in turn after stage 0. */
export function twinTables(r: number, lo: number, chunks: readonly number[], dealer: DealerBits): number[][][] {
  const t = chunks.length
  const xor = (a: number[], b: number[]) => a.map((x, i) => x ^ b[i])
  let shift = lo
  return chunks.map((c, j) => {
    const size = 2 ** c
    const chunk = Math.floor(r / 2 ** shift) % size
    shift += c
    return Array.from({ length: size }, (_, e) => {
      const row = (v: number): number[] => {
        const q = j === 0 ? 0 : v ^ dealer.s[j - 1]
        const sum = e + chunk + q
        if (j === t - 1) return [(sum % size >= size / 2 ? 0 : 1) ^ dealer.rho]
        const u = (sum >= size ? 1 : 0) ^ dealer.s[j]
        return [u, ...dealer.keys[j + 1][u]]
      }
      if (j === 0) return row(0)
      return [...xor(row(0), dealer.keys[j][0]), ...xor(row(1), dealer.keys[j][1])]
    })
  })
}

/** Position of an entry's bit within one DReLU's tables, in bits. */
export function tablePosition(chunks: readonly number[], stage: number, column: number, entry: number): number {
  const t = chunks.length
  let at = 0
  for (let j = 0; j < stage; j++) at += (j === 0 ? t : 2 * (t - j)) * 2 ** chunks[j]
  return at + column * 2 ** chunks[stage] + entry
}

/** b of a window: is the `bits`-bit sum of the windows' words non-negative? */
export function twinSign(e: number, r: number, add: number, bits: number, lo: number): number {
  const m = 2 ** bits
  const size = 2 ** (bits - lo)
  const x = Math.floor(((e + add) % m) / 2 ** lo)
  const y = Math.floor(r / 2 ** lo)
  return (x + y) % size < size / 2 ? 1 : 0
}

/** The words of one value, from its mask and the server's, both below 2^bits. */
export interface TwinWords {
  rho: number
  p: number
  q: number
  omega: number
  mu: number
}

export function twinWords(m: number, a: number, rho: number, bits: number): TwinWords {
  const r = (m + a) % 2 ** bits
  const mu = r >= 2 ** (bits - 1) ? 1 : 0
  const a0 = r - 2 ** bits * mu - 2 ** (bits - 2)
  return { rho, p: rho * a0, q: rho * mu, omega: m + a >= 2 ** bits ? 1 : 0, mu }
}

const mod32 = (x: bigint): number => Number(BigInt.asUintN(32, x))

/** One party's share of A_1: the summand of r it knows, less 2^bits·[ω], less the offset at the server (one = 1). */
export function twinAddend(known: number, omega: number, bits: number, one: 0 | 1): number {
  return mod32(BigInt(known) - (BigInt(omega) << BigInt(bits)) - BigInt(one * 2 ** (bits - 2)))
}

/** One party's share of b·y', of y' itself for β = null. */
export function twinSelect(
  e: number,
  beta: number | null,
  { rho, p, q, mu }: TwinWords,
  a1: number,
  bits: number,
  one: 0 | 1,
): number {
  const opened = (e + 2 ** (bits - 2)) % 2 ** bits
  const j = opened >= 2 ** (bits - 1) ? 1n : 0n
  const x = BigInt(opened) - (j << BigInt(bits))
  const addend = BigInt(a1) - (((1n - j) * BigInt(mu)) << BigInt(bits))
  const product = BigInt(p) + ((j * BigInt(q)) << BigInt(bits))
  if (beta === null) return mod32(BigInt(one) * x + addend)
  return mod32(beta === 0 ? x * BigInt(rho) + product : x * (BigInt(one) - BigInt(rho)) + addend - product)
}
