// What the helper sees of a private comparison beyond sums: the rows of client and server one beside the other. It knows
// the digit shares behind them, because it dealt these, so the ratio of two digits would tell bit for bit what was
// compared: the masks, and with them the values. Fresh shares of zero prevent it; without them the search below succeeds.
import { describe, expect, it } from 'vitest'
import { Draw, drawBelow, drawWords } from '../../../src/protocol/securenn/draws.js'
import { dealDrelu, drelu } from '../../../src/protocol/securenn/drelu.js'
import { shared, three } from './three.js'

const P = 67
const BITS = 16
/** One block of digits: digit i of value e is byte i·COUNT + e. */
const COUNT = 64
const WINDOW = { ignoredMsb: 64 - BITS, ignoredLsb: 0 }
const at = { layer: 1, inference: 0 }
const mod = (x: number) => ((x % P) + P) % P
const every = Array.from({ length: BITS }, (_, i) => i)

/** Rows and digit shares of one value, client's and server's, lowest bit first. */
interface Sight {
  readonly rows: readonly [number[], number[]]
  readonly shares: readonly [number[], number[]]
}

/** The helper's view of the first comparison, what a + r is, and what only client and server know. */
async function listen() {
  const parties = three()
  const { client, helper } = parties
  const [a, b] = shared(
    parties,
    Array.from({ length: COUNT }, (_, i) => BigInt((i - 32) * 811)),
  )
  await Promise.all([
    drelu(parties.client, a, COUNT, WINDOW, at),
    drelu(parties.server, b, COUNT, WINDOW, at),
    dealDrelu(parties.helper, COUNT, WINDOW, at),
  ])
  const digits = parties.traffic.views.helper.filter(({ byteLength }) => byteLength === COUNT * BITS)
  const masked = parties.traffic.views.helper.filter(({ byteLength }) => byteLength === COUNT * 8)
  const dealt = drawBelow(helper.k, helper.ch, at, Draw.bits1, COUNT * BITS, P)
    .u8()
    .slice()
  const zeros = drawBelow(client.k, client.common, at, Draw.zero1, COUNT * BITS, P)
    .u8()
    .slice()
  const turns = drawBelow(client.k, client.common, at, Draw.turn1, COUNT, BITS).u8().slice()
  const [r0, r1] = [Draw.r0, Draw.r1].map((draw) => [...drawWords(client.common, at, draw, COUNT).u64()])
  const word = (message: Uint8Array, e: number) =>
    new DataView(message.buffer, message.byteOffset).getBigUint64(8 * e, true)
  const sight = (e: number, plain: boolean): Sight => {
    const x = Number((word(masked[0], e) + word(masked[1], e)) % 2n ** BigInt(BITS))
    const mine = every.map((i) => dealt[i * COUNT + e])
    const theirs = mine.map((share, i) => mod(((x >> i) & 1) - share))
    // Without the shares of zero, which client and server add before they turn their rows.
    const zero = every.map((i) => (plain ? zeros[((i + turns[e]) % BITS) * COUNT + e] : 0))
    const row = (who: 0 | 1) => every.map((i) => mod(digits[who][i * COUNT + e] + (who === 0 ? -zero[i] : zero[i])))
    return { rows: [row(0), row(1)], shares: [mine, theirs] }
  }
  const secret = (e: number) => Number(BigInt.asUintN(BITS, r0[e] + r1[e]))
  return { sight, secret }
}

/** Every r that explains the rows, for any turn and flip: c_i of both parties as they compute it, in one proportion. */
function explanations({ rows, shares }: Sight): number[] {
  const found: number[] = []
  const search = (turn: number, flip: number, i: number, t: number, above: readonly [number, number]): void => {
    if (i < 0) {
      found.push((t + flip) % 2 ** BITS)
      return
    }
    const [d0, d1] = rows.map((row) => row[(i - turn + BITS) % BITS])
    const [p, q] = shares.map((share) => share[i])
    for (const bit of [0, 1]) {
      const sign = flip === 0 ? 1 : -1
      const c0 = mod(sign * p + above[0])
      const c1 = mod(sign * (q - bit) + 1 + above[1])
      if ((c0 === 0) !== (d0 === 0) || (c1 === 0) !== (d1 === 0) || mod(d0 * c1 - d1 * c0) !== 0) continue
      const next = [above[0] + (bit ? -p : p), above[1] + (bit ? 1 - q : q)] as const
      search(turn, flip, i - 1, t + bit * 2 ** i, next)
    }
  }
  for (const turn of every) for (const flip of [0, 1]) search(turn, flip, BITS - 1, 0, [0, 0])
  return found
}

const values = Array.from({ length: COUNT }, (_, e) => e)

describe('rows of client and server together', () => {
  it('tell the helper nothing of what was compared', async () => {
    const { sight } = await listen()
    // A wrong explanation survives sixteen digits with probability 2^5 · (2/67)^16.
    for (const e of values) expect(explanations(sight(e, false))).toEqual([])
  })

  it('would tell it all without fresh shares of zero', async () => {
    const { sight, secret } = await listen()
    for (const e of values) expect(explanations(sight(e, true))).toContain(secret(e))
  })
})
