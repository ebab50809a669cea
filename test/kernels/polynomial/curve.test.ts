// Segment tables against their slow twin: what is dealt, what each party makes of it, and what the two have together.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { loadKernels, upload } from '../../../src/kernels/instance.js'
import { curve, curveWords, dealCurve, polynomialsOf } from '../../../src/kernels/polynomial/curve.js'
import { firstOf, type TwinCurve, twinCurveShare, twinEntry, twinOpened, twinValue } from './curve-twin.js'
import { residue } from './product-twin.js'

interface Case {
  readonly count: number
  readonly bits: number
  readonly segments: number
  readonly degree: number
  readonly ring: number
  readonly drop: number
  readonly seed: number
}

const cases: fc.Arbitrary<Case> = fc.record({
  count: fc.integer({ min: 1, max: 5 }),
  bits: fc.integer({ min: 6, max: 20 }),
  segments: fc.integer({ min: 1, max: 4 }),
  degree: fc.integer({ min: 1, max: 2 }),
  ring: fc.integer({ min: 24, max: 32 }),
  drop: fc.integer({ min: 0, max: 25 }),
  seed: fc.integer(),
})

/** Words of any width, from a seed. */
function drawing(seed: number): (bits: number) => bigint {
  let state = BigInt.asUintN(64, BigInt(seed) * 0x9e3779b97f4a7c15n + 0x2545f4914f6cdd1dn)
  return (bits) => {
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n)
    return residue(state >> 11n, bits)
  }
}

describe.each(['simd', 'scalar'] as const)('segment tables, %s', (variant) => {
  const k = loadKernels(variant)

  function run({ count, bits, segments, degree, ring, drop, seed }: Case) {
    const draw = drawing(seed)
    const shape = { count, bits, segments, degree }
    const polynomials = Array.from({ length: 2 ** segments }, () =>
      Array.from({ length: degree + 1 }, (_, power) => draw(20 - 5 * power) - (1n << BigInt(19 - 5 * power))),
    )
    const twin: TwinCurve = { bits, segments, polynomials }
    // The lowest segment may not occur; both ends of what may come often.
    const [least, most] = [firstOf(twin, 1n), (1n << BigInt(bits - 1)) - 1n]
    const y = Array.from(
      { length: count },
      (_, i) => [least, most, 0n][(seed + i) & 7] ?? least + (draw(40) % (most - least)),
    )
    const masks = y.map(() => ({ m: draw(bits), a: draw(bits) }))
    const r = masks.map(({ m, a }) => residue(m + a, bits))
    const e = y.map((value, i) => residue(value - r[i], bits))
    const words32 = (words: readonly bigint[]) => upload(k.memory, Uint32Array.from(words, Number))
    const halves = BigUint64Array.from({ length: count * curveWords(shape) }, () => draw(53))
    const [client, server] = [upload(k.memory, halves), upload(k.memory, halves)]
    const local = polynomials.map((each) => each.map(Number))
    const [segmentsAt, rAt, eAt] = [polynomialsOf(k, shape, local), words32(r), words32(e)]
    dealCurve(k, shape, { r: rAt, polynomials: segmentsAt, tables: server })
    const next = y.map(() => draw(ring))
    const reply = words32(next)
    const numbers = { width: ring + drop, drop }
    curve(k, 'client', shape, numbers, { e: eAt, tables: client, other: reply, out: reply })
    const result = k.memory.alloc(count * 4)
    curve(k, 'server', shape, numbers, { e: eAt, tables: server, other: reply, out: result })
    const made = {
      tables: [...server.u64()].slice(0, halves.length),
      sent: [...reply.u32()],
      masked: [...result.u32()],
    }
    for (const region of [client, server, segmentsAt, rAt, eAt, reply, result]) region.release()
    return { twin, y, r, e, halves, next, made }
  }

  it('deals, shares and truncates as the twin does, to the bit', () => {
    fc.assert(
      fc.property(cases, (given) => {
        const { degree, segments, ring, drop } = given
        const { twin, y, r, e, halves, next, made } = run(given)
        const own = degree + 1
        const at = (i: number, entry: bigint) => (i * 2 ** segments + Number(entry)) * own
        y.forEach((_, i) => {
          for (let entry = 0n; entry < 2n ** BigInt(segments); entry++) {
            const dealt = twinEntry(twin, r[i], entry)
            const from = at(i, entry)
            expect(made.tables.slice(from, from + own)).toEqual(
              dealt.map((word, d) => residue(word - halves[from + d], 64)),
            )
          }
          const { value, entry } = twinOpened(twin, e[i])
          const share = (side: 'client' | 'server', words: ArrayLike<bigint>) => {
            const mine = Array.from({ length: own }, (_, d) => words[at(i, entry) + d])
            return residue(twinCurveShare(side, value, mine, drop), ring + drop) >> BigInt(drop)
          }
          const sent = residue(share('client', halves) - next[i], 32)
          expect(BigInt(made.sent[i])).toBe(sent)
          expect(BigInt(made.masked[i])).toBe(residue(share('server', made.tables) + sent, 32))
        })
      }),
      { numRuns: 60 },
    )
  })

  it('gives the polynomial of the segment or of the one before, rounded by less than a unit', () => {
    fc.assert(
      fc.property(cases, (given) => {
        const { bits, segments, ring, drop } = given
        const { twin, y, next, made } = run(given)
        y.forEach((value, i) => {
          const own = (value + (1n << BigInt(bits - 1))) >> BigInt(bits - segments)
          const wanted = [own, own - 1n].flatMap((segment) => {
            const up = (twinValue(twin, segment, value) + (1n << BigInt(drop)) - 1n) >> BigInt(drop)
            return [up, up - 1n].map((word) => residue(word, ring))
          })
          expect(wanted).toContain(residue(BigInt(made.masked[i]) + next[i], ring))
        })
      }),
      { numRuns: 60 },
    )
  })
})
