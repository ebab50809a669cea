// The quadratic select against its slow twin: what is dealt, what each party makes of it, and what the two have together.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { loadKernels, upload } from '../../../src/kernels/instance.js'
import {
  answerQuadratic,
  COPY_WORDS,
  dealQuadratic,
  finishQuadratic,
  OWN_WORDS,
  type QuadraticPiece,
  quadraticWords,
} from '../../../src/kernels/polynomial/quadratic.js'
import { residue, type TwinFactor } from './product-twin.js'
import { twinBit, twinCopyWords, twinOwnWords, twinQuadraticShare } from './quadratic-twin.js'

interface Case {
  readonly count: number
  readonly ring: number
  readonly bits: number
  readonly drop: number
  readonly from: number
  readonly pieces: readonly (QuadraticPiece & { readonly shift: number })[]
  readonly seed: number
}

/** Coefficients as they come with values of so many bits. */
const pieceOf = (reach: number) =>
  fc.record({
    sign: fc.constantFrom(1 as const, -1 as const),
    c0: fc.integer({ min: -(reach ** 2), max: reach ** 2 }),
    c1: fc.integer({ min: -reach, max: reach }),
    shift: fc.integer({ min: -reach, max: reach }),
  })

const cases: fc.Arbitrary<Case> = fc.integer({ min: 4, max: 16 }).chain((bits) =>
  fc.record({
    count: fc.integer({ min: 1, max: 21 }),
    ring: fc.integer({ min: 24, max: 32 }),
    bits: fc.constant(bits),
    drop: fc.integer({ min: 0, max: 20 }),
    from: fc.integer({ min: 0, max: 16 }),
    pieces: fc.array(pieceOf(2 ** (bits - 3)), { minLength: 1, maxLength: 3 }),
    seed: fc.integer(),
  }),
)

/** Words of any width, from a seed. */
function drawing(seed: number): (bits: number) => bigint {
  let state = BigInt.asUintN(64, BigInt(seed) * 0x9e3779b97f4a7c15n + 0x2545f4914f6cdd1dn)
  return (bits) => {
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n)
    return residue(state >> 11n, bits)
  }
}

describe.each(['simd', 'scalar'] as const)('quadratic selects, %s', (variant) => {
  const k = loadKernels(variant)

  function run({ count, ring, bits, drop, from, pieces, seed }: Case) {
    const draw = drawing(seed)
    const copies = pieces.length
    const shape = { count, copies }
    const width = ring + drop
    const limit = 1n << BigInt(bits - 2)
    const values = Array.from({ length: count }, (_, i): TwinFactor => {
      // Both ends of the range and zero come often.
      const y = [limit - 1n, -limit, 0n][i % 7] ?? draw(bits - 1) - limit
      return { y, m: draw(bits), a: draw(bits) }
    })
    const rho = pieces.map(() => values.map(() => draw(1)))
    const fields = (of: (value: TwinFactor, i: number) => bigint[], words: number) => {
      const all = values.map(of)
      return Array.from({ length: words }, (_, field) => all.map((words) => words[field])).flat()
    }
    const dealt = [
      ...fields((value) => twinOwnWords(value, bits), OWN_WORDS),
      ...rho.flatMap((own) => fields((value, i) => twinCopyWords(value, own[i], bits), COPY_WORDS)),
    ]
    const beta = pieces.map(({ shift }, j) => values.map((value, i) => twinBit(value, BigInt(shift)) ^ rho[j][i]))
    const halves = BigUint64Array.from({ length: quadraticWords(shape) }, () => draw(53))
    const words32 = (of: (value: TwinFactor) => bigint) =>
      upload(
        k.memory,
        Uint32Array.from(values, (value) => Number(residue(of(value), 32))),
      )
    const flags = (bits: readonly bigint[][]) => {
      const bytes = new Uint8Array(Math.ceil((count * copies) / 8))
      bits.flat().forEach((bit, i) => {
        bytes[i >> 3] |= Number(bit) << (i & 7)
      })
      return upload(k.memory, bytes)
    }
    const e = words32(({ y, m, a }) => residue(y - m - a, bits))
    const m = words32(({ m }) => (m << BigInt(from)) + draw(from) + (draw(16) << BigInt(bits + from)))
    const a = words32(({ a }) => a + (draw(20) << BigInt(bits)))
    const r = words32(({ m, a }) => residue(m + a, bits))
    const [dealtRho, sentBeta] = [flags(rho), flags(beta)]
    const [client, server] = [upload(k.memory, halves), upload(k.memory, halves)]
    dealQuadratic(k, shape, bits, { r, a, rho: dealtRho, words: server })
    const next = Uint32Array.from({ length: count }, () => Number(draw(ring)))
    const fresh = Uint32Array.from({ length: count }, () => Number(draw(32)))
    const [nextAt, freshAt, reply] = [upload(k.memory, next), upload(k.memory, fresh), k.memory.alloc(count * 8)]
    const each = { bits, drop, width }
    const shared = { e, beta: sentBeta }
    const mine = { ...shared, m, words: client, next: nextAt, fresh: freshAt, out: reply }
    answerQuadratic(k, shape, pieces, { ...each, from }, mine)
    const result = k.memory.alloc(count * 4)
    finishQuadratic(k, shape, pieces, each, { ...shared, a, words: server, reply, out: result })
    const made = {
      words: [...server.u64().slice(0, quadraticWords(shape))],
      sent: [...reply.u64()],
      masked: [...result.u32()],
    }
    for (const region of [e, m, a, r, dealtRho, sentBeta, client, server, nextAt, freshAt, reply, result])
      region.release()
    return { values, beta, dealt, halves, next, fresh, made, width }
  }

  it('deals, shares and truncates as the twin does, to the bit', () => {
    fc.assert(
      fc.property(cases, (given) => {
        const { count, bits, drop, pieces } = given
        const { values, beta, dealt, halves, next, fresh, made, width } = run(given)
        expect(made.words).toEqual(dealt.map((word, i) => residue(word - halves[i], 64)))
        for (let i = 0; i < count; i++) {
          const { y, m, a } = values[i]
          const fields = (words: ArrayLike<bigint>, from: number, fields: number) =>
            Array.from({ length: fields }, (_, field) => words[(from + field) * count + i])
          const share = (side: 'client' | 'server', words: ArrayLike<bigint>, known: bigint) => {
            const own = fields(words, 0, OWN_WORDS)
            const copies = pieces.map((_, j) => fields(words, OWN_WORDS + COPY_WORDS * j, COPY_WORDS))
            const bits1 = beta.map((bits) => bits[i])
            return twinQuadraticShare(side, y - m - a, known, bits1, own, copies, pieces, { bits, drop })
          }
          const mask = (BigInt(next[i]) << BigInt(drop)) + residue(BigInt(fresh[i]), drop)
          const sent = residue(share('client', halves, m) - mask, width)
          expect(made.sent[i]).toBe(sent)
          const z = residue(share('server', made.words, a) + sent, width) >> BigInt(drop)
          expect(BigInt(made.masked[i])).toBe(residue(z, 32))
        }
      }),
      { numRuns: 60 },
    )
  })

  it('gives the sum of what was opened, rounded by the fresh bits of the next mask', () => {
    fc.assert(
      fc.property(cases, (given) => {
        const { count, ring, drop, pieces } = given
        const { values, next, fresh, made } = run(given)
        for (let i = 0; i < count; i++) {
          const { y } = values[i]
          const exact = pieces.reduce(
            (sum, { sign, c0, c1, shift }) =>
              sum + BigInt(sign) * twinBit(values[i], BigInt(shift)) * (y * y + BigInt(c1) * y + BigInt(c0)),
            0n,
          )
          const got = BigInt.asIntN(ring, BigInt(made.masked[i]) + BigInt(next[i]))
          const z = exact + (1n << BigInt(drop)) - 1n
          const coin = residue(z, drop) < residue(BigInt(fresh[i]), drop) ? 1n : 0n
          expect(got).toBe(BigInt.asIntN(ring, (z >> BigInt(drop)) - coin))
        }
      }),
      { numRuns: 60 },
    )
  })
})
