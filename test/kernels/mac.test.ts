// The MAC kernels against their twin: keys, lifted replies, tags and the check, word for word.
import { describe, expect, it } from 'vitest'
import { loadKernels, type Region, upload } from '../../src/kernels/instance.js'
import {
  dot32,
  LONG,
  liftPassed,
  liftSelect,
  macDot,
  macKeys,
  macPassed,
  macPassedKeys,
  macSelect,
  type SelectTags,
  subsetSums,
  tagBytes,
} from '../../src/kernels/mac.js'
import { twinCentred, twinCombine, twinLifts, twinSpread } from './mac-twin.js'

const u64 = (x: bigint) => BigInt.asUintN(64, x)
const TAGS = ['rho', 'w0', 'q', 'w2', 'muQ'] as const
const HALVES = ['rho', 'p', 'q', 'known', 'omega', 'mu'] as const

function random(bytes: number): ArrayBuffer {
  const out = new Uint8Array(bytes)
  crypto.getRandomValues(out)
  return out.buffer
}

/** Random words with the extreme ones among them. */
const words = (count: number, bits: number): Uint32Array =>
  new Uint32Array(random(4 * count)).map((x, i) => (i % 7 === 0 ? 2 ** bits - 1 : i % 7 === 1 ? 0 : x % 2 ** bits))
const words64 = (count: number): BigUint64Array =>
  new BigUint64Array(random(8 * count)).map((x, i) => (i % 5 === 0 ? 2n ** 64n - 1n : x))

for (const variant of ['simd', 'scalar'] as const) {
  describe(`reply MACs, ${variant}`, () => {
    const k = loadKernels(variant)
    for (const [n, bits, wide, narrow] of [
      [32, 16, 6, 4],
      [32, 31, 6, 3],
      [24, 12, 5, 4],
      [30, 4],
      [17, 17, 7, 1],
    ]) {
      it(`ring of ${n} bits, ${bits} opened, tags every ${wide ?? 8} and ${narrow ?? 8} bytes`, () => {
        for (const count of [0, 1, 7, 64, 67]) {
          const size = Math.max(1, count)
          const region = (data: ArrayBufferView): Region => upload(k.memory, data)
          const [e, beta] = [words(size, bits), new Uint8Array(random((size + 7) >> 3))]
          const widths = { rho: n, p: n, q: n - bits, known: bits, omega: n - bits, mu: n - bits }
          const secrets = Object.fromEntries(HALVES.map((name) => [name, words(size, widths[name])]))
          const halves = Object.fromEntries(HALVES.map((name) => [name, region(secrets[name])])) as Record<
            (typeof HALVES)[number],
            Region
          >
          const [alpha, next] = [words64(size), words64(size)]
          const bytesOf = { wide: wide ?? 8, narrow: narrow ?? 8 }
          const each = (name: (typeof TAGS)[number]) => bytesOf[name === 'q' || name === 'muQ' ? 'narrow' : 'wide']
          const streams = Object.fromEntries(
            TAGS.map((name) => [name, new Uint8Array(random(tagBytes(size, each(name))))]),
          )
          // A tag is eight bytes of its stream, of which the next one may be part.
          const tags = Object.fromEntries(
            TAGS.map((name) => {
              const view = new DataView(streams[name].buffer)
              return [name, BigUint64Array.from({ length: size }, (_, i) => view.getBigUint64(i * each(name), true))]
            }),
          )
          const m = Object.fromEntries(TAGS.map((name) => [name, region(streams[name])])) as unknown as SelectTags
          const room = () => k.memory.alloc(8 * size)
          const keys = Object.fromEntries(TAGS.map((name) => [name, room()])) as unknown as SelectTags
          const given = { alpha: region(alpha), next: region(next) }
          macKeys(k, count, bits, { ...halves, ...given }, m, bytesOf, keys)
          const opened = { e: region(e), beta: region(beta) }
          const out = k.memory.alloc(8 * size)
          liftSelect(k, count, bits, { ...halves, ...opened, next: given.next, out })
          const sum = () => region(BigUint64Array.of(3n))
          const [tag, expected] = [sum(), sum()]
          macSelect(k, count, bits, opened, m, bytesOf, -1, tag)
          macSelect(k, count, bits, opened, keys, LONG, -1, expected)
          const passedTags = { w0: m.w0, mu: m.muQ }
          const passedKeys = { w0: room(), mu: room() }
          macPassedKeys(k, count, bits, { ...halves, ...given }, passedTags, bytesOf, passedKeys)
          const passed = k.memory.alloc(8 * size)
          liftPassed(k, count, bits, { ...halves, e: opened.e, next: given.next, out: passed })
          const [passedTag, passedExpected] = [sum(), sum()]
          macPassed(k, count, bits, opened.e, passedTags, bytesOf, 1, passedTag)
          macPassed(k, count, bits, opened.e, passedKeys, LONG, 1, passedExpected)
          let [twinTag, twinPassedTag] = [3n, 3n]
          const two = 1n << BigInt(bits)
          for (let i = 0; i < count; i++) {
            const own = Object.fromEntries(HALVES.map((name) => [name, BigInt(secrets[name][i])])) as never
            const { rho, omega, mu, known } = own as Record<string, bigint>
            const b = (beta[i >> 3] >> (i & 7)) & 1
            const w = twinLifts(own, bits)
            const own64 = Object.fromEntries(TAGS.map((name) => [name, tags[name][i]])) as Record<
              (typeof TAGS)[number],
              bigint
            >
            const spread = twinSpread(own64, bits)
            const key = Object.fromEntries(TAGS.map((name) => [name, keys[name].u64()[i]])) as typeof own64
            expect(key.rho).toBe(u64(own64.rho - alpha[i] * rho))
            // The keys of all four w's, of which two come as differences.
            twinSpread(key, bits).forEach((found, j) => {
              expect(u64(found)).toBe(u64(spread[j] - alpha[i] * (w[j] - next[i])))
            })
            expect(out.u64()[i]).toBe(u64(twinCombine(e[i], b, rho, w, bits) - next[i]))
            twinTag -= twinCombine(e[i], b, own64.rho, spread, bits)
            const j = twinCentred(e[i], bits) < 0n ? 1n : 0n
            const low = known - two * (omega + mu)
            expect(passed.u64()[i]).toBe(u64(low + j * two * mu - next[i]))
            expect(passedKeys.w0.u64()[i]).toBe(u64(own64.w0 - alpha[i] * (low - next[i])))
            expect(passedKeys.mu.u64()[i]).toBe(u64(own64.muQ - alpha[i] * mu))
            twinPassedTag += own64.w0 + j * two * own64.muQ
          }
          expect(tag.u64()[0]).toBe(u64(twinTag))
          expect(passedTag.u64()[0]).toBe(u64(twinPassedTag))
          // The check: α·R and the keys add up to the tag. Copies with sign -1 enter with -R.
          const dot = sum()
          macDot(k, count, given.alpha, out, dot)
          expect(u64(expected.u64()[0] - (dot.u64()[0] - 3n))).toBe(tag.u64()[0])
          macDot(k, count, given.alpha, passed, passedExpected)
          expect(passedExpected.u64()[0]).toBe(passedTag.u64()[0])
        }
      })
    }
  })
}

for (const variant of ['simd', 'scalar'] as const) {
  describe(`sums over vectors, ${variant}`, () => {
    const k = loadKernels(variant)
    for (const count of [0, 1, 7, 8, 64, 1027, 2051]) {
      it(`${count} words`, () => {
        const [a, b] = [words(Math.max(1, count), 32), words(Math.max(1, count), 32)]
        const [x, y] = [upload(k.memory, a), upload(k.memory, b)]
        const u32 = (value: bigint) => Number(BigInt.asUintN(32, value))
        const sum = (term: (i: number) => bigint) =>
          u32(Array.from({ length: count }, (_, i) => term(i)).reduce((all, one) => all + one, 0n))
        expect(dot32(k, count, x, y)).toBe(sum((i) => BigInt(a[i]) * BigInt(b[i])))
        for (const vectors of [1, 17, 32]) {
          const sums = upload(
            k.memory,
            Uint32Array.from({ length: vectors }, (_, j) => 5 * j),
          )
          subsetSums(k, count, vectors, x, y, sums)
          const due = Array.from({ length: vectors }, (_, j) =>
            u32(BigInt(5 * j) + BigInt(sum((i) => ((a[i] >>> j) & 1 ? BigInt(b[i]) : 0n)))),
          )
          expect([...sums.u32()]).toEqual(due)
        }
      })
    }
  })
}
