// The guard's three checks over rings of a few bits, one value or a handful at a time, as docs/protocol.md writes them:
// small enough for every outcome of every coin and every error a client can make. Nothing here is the protocol's own code.
import { Coins, View } from '../tiny.js'

const low = (x: number, bits: number): number => x & ((1 << bits) - 1)
const signed = (x: number, bits: number): number => (x << (32 - bits)) >> (32 - bits)

/** n, n', σ; N = n + σ. */
export interface TinyMac {
  n: number
  bits: number
  sigma: number
}

export const wordOf = ({ n, sigma }: TinyMac): number => n + sigma

/** The client's halves of a switched value's words and its m'. */
export interface ClientHalves {
  rho: number
  p: number
  q: number
  known: number
  omega: number
  mu: number
}

/** Tags M or keys K of a switched value. */
export interface TinyTags {
  rho: number
  w0: number
  q: number
  w2: number
  muQ: number
}

/** ρ, w_0, Q, w_2 and μ - Q as integers: what a reply is made of. */
export function partsOf({ rho, p, q, known, omega, mu }: ClientHalves, { bits }: TinyMac): TinyTags {
  return { rho, w0: p, q, w2: known - ((omega + mu) << bits) - p, muQ: mu - q }
}

/** sgn·ẽ·x_ρ + x_(2β+j): of parts the client's reply, of tags its tag, of keys what the tag has to be. */
export function combined(e: number, beta: number, x: TinyTags, ring: TinyMac): number {
  const { bits } = ring
  const centred = signed(low(e + (1 << (bits - 2)), bits), bits)
  const high = centred < 0 ? (beta ? x.muQ : x.q) << bits : 0
  return low((beta ? -1 : 1) * centred * x.rho + (beta ? x.w2 : x.w0) + high, wordOf(ring))
}

/** K = M - α·part, with r̃ of the result counted in both w. `alpha` times the copy's sign, `next` zero but in the first. */
export function keysOf(tags: TinyTags, parts: TinyTags, alpha: number, next: number, ring: TinyMac): TinyTags {
  const word = wordOf(ring)
  const high = word - ring.bits
  return {
    rho: low(tags.rho - alpha * parts.rho, word),
    w0: low(tags.w0 - alpha * parts.w0 + next, word),
    q: low(tags.q - alpha * parts.q, high),
    w2: low(tags.w2 - alpha * parts.w2 + next, word),
    muQ: low(tags.muQ - alpha * parts.muQ, high),
  }
}

/** How the second sets are dealt. */
export interface TinySets {
  bits: number
  /** y' of every comparison. */
  y: readonly number[]
  /** 0 or 1 trap in every set. */
  traps: number
  sets: number
  /** The second comparison is another copy of the first: one opening in set 1. */
  copy?: boolean
  broken?: 'no g' | 'one g' | "one a''"
}

/** m' of the comparisons: the client knows it. */
const known = (v: number, { bits, copy }: TinySets) => low(copy ? 1 : 1 + 2 * v, bits)

export function permutations(count: number): number[][] {
  if (count === 0) return [[]]
  return permutations(count - 1).flatMap((rest) =>
    Array.from({ length: count }, (_, at) => [...rest.slice(0, at), count - 1, ...rest.slice(at)]),
  )
}

/** Every choice of one order per set. */
export const ordersOf = ({ y, traps, sets }: TinySets): number[][][] =>
  Array.from({ length: sets }).reduce<number[][][]>(
    (all) => all.flatMap((some) => permutations(y.length + traps).map((order) => [...some, order])),
    [[]],
  )

/** Bits of β as the places of a set hold them; `order[p]` is the source at place p, traps hold 0. */
export const placed = (order: readonly number[], beta: number): number =>
  order.reduce((bits, source, p) => bits | (((beta >> source) & 1) << p), 0)

/** What a set's answer and β disagree in: the server accepts zero. */
export const disagreement = (order: readonly number[], g: number, beta: number, answer: number): number =>
  answer ^ placed(order, beta) ^ g

/**
 * How often the client sees what, over all coins, under one choice of orders: e' and β of set 1, then e'' and β'' by
 * places. Counts in the last place how often an honest client would have been refused.
 */
export function clientViews(sets: TinySets, orders: readonly (readonly number[])[]): Uint32Array {
  const { bits, y, traps, broken, copy } = sets
  const [size, count] = [y.length, y.length + traps]
  const masks = copy ? 1 : size
  const own = size * bits + (broken === 'one g' ? 0 : count) + traps * bits
  const coins = masks * bits + size + (broken === 'one g' ? count : 0) + sets.sets * own
  const width = size * (bits + 1) + sets.sets * count * (bits + 1)
  const seen = new Uint32Array(2 ** width + 1)
  const [source, view] = [new Coins(), new View()]
  const sign = (word: number) => 1 - (low(word, bits) >> (bits - 1))
  const hat = y.map((value, v) => value - known(v, sets))
  for (let outcome = 0; outcome < 2 ** coins; outcome++) {
    source.set(outcome)
    view.clear()
    let beta = 0
    let a = 0
    const rho = source.take(size)
    for (let v = 0; v < size; v++) {
      if (v < masks) a = source.take(bits)
      view.put(hat[v] - a, bits)
      beta |= (sign(y[v]) ^ ((rho >> v) & 1)) << v
    }
    view.put(beta, size)
    const shared = broken === 'one g' ? source.take(count) : 0
    for (const order of orders) {
      const drawn = broken === 'one g' ? shared : source.take(count)
      const g = broken === 'no g' ? 0 : drawn
      const second = source.take(size * bits)
      let answer = 0
      for (let p = 0; p < count; p++) {
        const v = order[p]
        if (v < size) {
          const mask = broken === "one a''" ? second : second >> (v * bits)
          view.put(hat[v] - mask, bits)
          answer |= (sign(y[v]) ^ ((rho >> v) & 1)) << p
        } else {
          // ρ of a trap is its sign b, so that b ⊕ ρ'' is g, whatever r'' is.
          view.put(source.take(bits), bits)
        }
      }
      answer ^= g
      view.put(answer, count)
      if (disagreement(order, g, beta, answer) !== 0) seen[seen.length - 1]++
    }
    seen[view.key]++
  }
  return seen
}

/**
 * The most likely acceptance of errors f in β and h in the answers, over all views a client can base them on. The check is
 * linear, so that an honest client with errors is accepted exactly where f stands at h's places of every set.
 */
export function bestAcceptance(
  orders: readonly (readonly (readonly number[])[])[],
  views: readonly Uint32Array[],
  f: number,
  h: readonly number[],
): number {
  const right = orders.map((some) => some.every((order, set) => placed(order, f) === h[set]))
  let best = 0
  for (let key = 0; key < views[0].length - 1; key++) {
    let [all, accepted] = [0, 0]
    for (let i = 0; i < orders.length; i++) {
      all += views[i][key]
      if (right[i]) accepted += views[i][key]
    }
    if (all > 0) best = Math.max(best, accepted / all)
  }
  return best
}
