// Products against their slow twin: what is dealt, what each party makes of it, and what the two have together.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { loadKernels, upload } from '../../../src/kernels/instance.js'
import { dealProduct, type ProductShape, product, productWords } from '../../../src/kernels/polynomial/product.js'
import { opened, residue, type TwinFactor, twinFactor, twinProductShare, twinProductWords } from './product-twin.js'

interface Case extends ProductShape {
  readonly ring: number
  readonly bits: number
  readonly truncate: number
  /** y, m, a' of every factor, then halves and the client's next mask, from one stream of words. */
  readonly seed: number
}

const cases: fc.Arbitrary<Case> = fc
  .record({
    plane: fc.integer({ min: 1, max: 5 }),
    broad: fc.integer({ min: 1, max: 5 }),
    times: fc.integer({ min: 1, max: 3 }),
    ring: fc.integer({ min: 24, max: 32 }),
    bits: fc.integer({ min: 4, max: 16 }),
    truncate: fc.integer({ min: 0, max: 20 }),
    seed: fc.integer(),
  })
  .map(({ plane, broad, times, ...rest }) => ({ plane, broad, count: plane * broad * times, ...rest }))

/** Words of any width, from a seed. */
function drawing(seed: number): (bits: number) => bigint {
  let state = BigInt.asUintN(64, BigInt(seed) * 0x9e3779b97f4a7c15n + 0x2545f4914f6cdd1dn)
  return (bits) => {
    state = BigInt.asUintN(64, state * 6364136223846793005n + 1442695040888963407n)
    return residue(state >> 11n, bits)
  }
}

describe.each(['simd', 'scalar'] as const)('products, %s', (variant) => {
  const k = loadKernels(variant)

  function run({ count, broad, plane, ring, bits, truncate, seed }: Case) {
    const draw = drawing(seed)
    const shape = { count, broad, plane }
    const width = ring + truncate
    const limit = 1n << BigInt(bits - 2)
    const factor = (i: number): TwinFactor => {
      // Both ends of the range and zero come often.
      const y = [limit - 1n, -limit, 0n][i % 7] ?? draw(bits - 1) - limit
      return { y, m: draw(bits), a: draw(bits) }
    }
    const factors = Array.from({ length: count + broad }, (_, i) => factor(i))
    const right = (i: number) => count + (Math.floor(i / plane) % broad)
    const twins = factors.map((each) => twinFactor(each, bits))
    const dealt = [
      ...[0, 1, 2, 3, 4, 5].flatMap((field) =>
        Array.from({ length: count }, (_, i) => twinProductWords(twins[i], twins[right(i)])[field]),
      ),
      ...twins.slice(count).map(({ omega }) => omega),
      ...twins.slice(count).map(({ mu }) => mu),
    ]
    const halves = BigUint64Array.from({ length: productWords(shape) }, () => draw(53))
    const words32 = (of: (f: TwinFactor) => bigint) =>
      upload(
        k.memory,
        Uint32Array.from(factors, (f) => Number(of(f))),
      )
    const dirt = (word: bigint) => residue(word + (draw(20) << BigInt(bits)), 32)
    const [e, m, a] = [words32((f) => opened(f, bits)), words32(({ m }) => dirt(m)), words32(({ a }) => dirt(a))]
    const r = words32(({ m, a }) => residue(m + a, bits))
    const [client, server] = [upload(k.memory, halves), upload(k.memory, halves)]
    dealProduct(k, shape, bits, { r, a, words: server })
    const next = Uint32Array.from({ length: count }, () => Number(draw(ring)))
    const reply = upload(k.memory, next)
    const each = { bits, truncate, width }
    product(k, 'client', shape, each, { e, known: m, words: client, other: reply, out: reply })
    const result = k.memory.alloc(count * 4)
    product(k, 'server', shape, each, { e, known: a, words: server, other: reply, out: result })
    const made = {
      words: [...server.u64().slice(0, productWords(shape))],
      sent: [...reply.u32()],
      masked: [...result.u32()],
    }
    for (const region of [e, m, a, r, client, server, reply, result]) region.release()
    return { factors, right, dealt, halves, next, made, width, opened: factors.map((f) => opened(f, bits)) }
  }

  it('deals, shares and truncates as the twin does, to the bit', () => {
    fc.assert(
      fc.property(cases, (given) => {
        const { count, broad, ring, bits, truncate } = given
        const { factors, right, dealt, halves, next, made, width, opened } = run(given)
        expect(made.words).toEqual(dealt.map((word, i) => residue(word - halves[i], 64)))
        for (let i = 0; i < count; i++) {
          const g = right(i)
          const mine = (words: ArrayLike<bigint>) => [0, 1, 2, 3, 4, 5].map((field) => words[field * count + i])
          const other = (words: ArrayLike<bigint>) => [0, 1].map((f) => words[6 * count + f * broad + g - count])
          const e = [opened[i], opened[g]] as const
          const share = (side: 'client' | 'server', words: ArrayLike<bigint>, known: readonly [bigint, bigint]) => {
            const z = twinProductShare(side, e, known, mine(words), other(words), { bits, truncate })
            return residue(z, width) >> BigInt(truncate)
          }
          const z = share('client', halves, [factors[i].m, factors[g].m])
          const sent = residue(z - BigInt(next[i]), 32)
          expect(BigInt(made.sent[i])).toBe(sent)
          const own = share('server', made.words, [factors[i].a, factors[g].a])
          expect(BigInt(made.masked[i])).toBe(residue(own + sent, 32))
        }
        expect(ring).toBeLessThanOrEqual(32)
      }),
      { numRuns: 60 },
    )
  })

  it('gives the product of what was opened, rounded by less than a unit, wherever it fits', () => {
    fc.assert(
      fc.property(cases, (given) => {
        const { count, ring, bits, truncate } = given
        fc.pre(2 * (bits - 2) < ring + truncate - 1)
        const { factors, right, next, made } = run(given)
        for (let i = 0; i < count; i++) {
          const exact = factors[i].y * factors[right(i)].y
          const got = BigInt.asIntN(ring, BigInt(made.masked[i]) + BigInt(next[i]))
          const up = (exact + (1n << BigInt(truncate)) - 1n) >> BigInt(truncate)
          const wanted = [up, up - 1n].map((value) => BigInt.asIntN(ring, value))
          expect(wanted).toContain(got)
        }
      }),
      { numRuns: 60 },
    )
  })
})
