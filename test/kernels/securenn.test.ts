import { describe, expect, it } from 'vitest'
import { loadKernels, upload } from '../../src/kernels/instance.js'
import { anyZero, compareDigits, rotateDigits, sampleBelow, shareBits } from '../../src/kernels/securenn/digits.js'
import { reduceOdd } from '../../src/kernels/securenn/shares.js'

const P = 67
const BLOCK = 256
const random = (n: number) => {
  const bytes = new Uint8Array(n)
  for (let i = 0; i < n; i += 65536) crypto.getRandomValues(bytes.subarray(i, Math.min(n, i + 65536)))
  return bytes
}
const digits = (n: number, range = P, least = 0) => random(n).map((b) => (b % range) + least)
const words = (n: number, bits: number) => {
  const all = new BigUint64Array(random(8 * n).buffer)
  return all.map((x) => BigInt.asUintN(bits, x))
}
/** Where bit `i` of value `e` lies. */
function place(e: number, i: number, n: number, bits: number): number {
  const block = Math.floor(e / BLOCK)
  const width = Math.min(BLOCK, n - block * BLOCK)
  return block * BLOCK * bits + i * width + (e % BLOCK)
}
const mod = (x: number) => ((x % P) + P) % P
const bitOf = (x: bigint, i: number) => Number((x >> BigInt(i)) & 1n)

/** Twin of one party's digits of one value, as SecureNN's algorithm 3 writes them. */
function twinCompare(
  x: number[],
  t: bigint,
  { less, always, zero, s }: { less: number; always: number; zero: number[]; s: number[] },
  party: number,
): number[] {
  const bits = x.length
  return x.map((digit, i) => {
    let c = (less ? digit - party * bitOf(t, i) : party * bitOf(t, i) - digit) + party
    for (let k = i + 1; k < bits; k++) c += x[k] + party * bitOf(t, k) - 2 * bitOf(t, k) * x[k]
    if (i === 0 && always) c = 0
    return mod(c * s[i] + (party === 0 ? zero[i] : -zero[i]))
  })
}

for (const variant of ['simd', 'scalar'] as const) {
  const k = loadKernels(variant)
  const region = (data: ArrayBufferView) => upload(k.memory, data)

  describe(`private comparison kernels, ${variant}`, () => {
    it('samples uniformly: every accepted byte once per residue', () => {
      const every = Uint8Array.from({ length: 256 }, (_, i) => i)
      for (const range of [2, 3, 31, 64, 66, 67, 200, 255, 256]) {
        for (const least of [0, 1]) {
          if (range + least > 256) continue
          const out = k.memory.alloc(272)
          const n = sampleBelow(k, region(every), range, least, out, 256)
          expect(n).toBe(256 - (256 % range))
          const counts = new Map<number, number>()
          for (const x of out.u8().subarray(0, n)) counts.set(x, (counts.get(x) ?? 0) + 1)
          expect(counts.size).toBe(range)
          expect(Math.min(...counts.keys())).toBe(least)
          expect(new Set(counts.values())).toEqual(new Set([Math.floor(256 / range)]))
        }
      }
    })

    it('stops when enough numbers are there', () => {
      const out = k.memory.alloc(21)
      expect(sampleBelow(k, region(new Uint8Array(50)), 67, 0, out, 5)).toBe(5)
      expect(sampleBelow(k, region(new Uint8Array(3).fill(255)), 67, 0, out, 5)).toBe(0)
    })

    const cases = [
      [64, 67],
      [64, 300],
      [63, 256],
      [33, 17],
      [16, 531],
      [8, 16],
      [5, 40],
      [4, 1],
      [1, 33],
    ]
    for (const [bits, n] of cases) {
      it(`compares ${n} values of ${bits} bits as its twin does, and finds exactly the right zeros`, () => {
        const x = words(n, bits)
        const t = words(n, bits)
        for (let e = 0; e < n; e += 3) t[e] = BigInt.asUintN(bits, x[e] + BigInt((e % 3) - 1)) // equal, and off by one
        const input = { less: digits(n, 2), always: digits(n, 8).map((b) => (b === 0 ? 1 : 0)), zero: digits(n * bits) }
        const s = digits(n * bits, 66, 1)
        const share0 = digits(n * bits)
        const share1 = k.memory.alloc(n * bits)
        shareBits(k, region(x), n, bits, region(share0), share1)
        const common = { t: region(t), less: region(input.less), always: region(input.always) }
        // Where the answer is forced, t is what it wraps to: all zeros for `less`, all ones for `greater`.
        const tView = common.t.u64()
        for (let e = 0; e < n; e++) if (input.always[e]) tView[e] = input.less[e] ? 0n : BigInt.asUintN(bits, -1n)
        const out = [k.memory.alloc(n * bits), k.memory.alloc(n * bits)]
        const shares = [region(share0), share1]
        for (const party of [0, 1] as const) {
          const more = { zero: region(input.zero), s: region(s) }
          compareDigits(k, { x: shares[party], ...common, ...more }, n, bits, party, out[party])
        }
        for (let e = 0; e < n; e++) {
          const pick = (bytes: Uint8Array) => Array.from({ length: bits }, (_, i) => bytes[place(e, i, n, bits)])
          for (let i = 0; i < bits; i++) {
            expect(mod(pick(share0)[i] + pick(share1.u8())[i])).toBe(bitOf(x[e], i))
          }
          const flags = { less: input.less[e], always: input.always[e], zero: pick(input.zero), s: pick(s) }
          for (const party of [0, 1]) {
            expect(pick(out[party].u8())).toEqual(
              twinCompare(pick(shares[party].u8()), common.t.u64()[e], flags, party),
            )
          }
        }
        const amounts = digits(n, bits)
        const before = out.map((o) => o.u8().slice())
        for (const o of out) rotateDigits(k, o, region(amounts), n, bits)
        for (let e = 0; e < n; e++) {
          for (let i = 0; i < bits; i++) {
            const from = place(e, (i + amounts[e]) % bits, n, bits)
            expect(out[0].u8()[place(e, i, n, bits)]).toBe(before[0][from])
          }
        }
        const found = k.memory.alloc(n)
        anyZero(k, out[0], out[1], n, bits, found)
        for (let e = 0; e < n; e++) {
          const answer = input.always[e] || (input.less[e] ? t[e] > x[e] : x[e] > t[e])
          expect(found.u8()[e], `value ${e}`).toBe(answer ? 1 : 0)
          const sums = Array.from({ length: bits }, (_, i) =>
            mod(before[0][place(e, i, n, bits)] + before[1][place(e, i, n, bits)]),
          )
          expect(sums.filter((c) => c === 0).length).toBeLessThanOrEqual(1)
        }
      })
    }
  })
}

describe.each(['simd', 'scalar'] as const)('odd rings (%s)', (variant) => {
  it('are reached exactly from every word, random and extreme ones', () => {
    const k = loadKernels(variant)
    for (let bits = 2; bits <= 64; bits++) {
      const m = 2n ** BigInt(bits) - 1n
      const near = Array.from({ length: 200 }, (_, i) => [m * BigInt(i), (m + 1n) * BigInt(i) - 1n, -BigInt(i)]).flat()
      const given = BigUint64Array.from([...near.map((x) => BigInt.asUintN(64, x)), ...words(500, 64)])
      const x = upload(k.memory, given)
      reduceOdd(k, x, given.length, bits)
      expect(x.u64()).toEqual(given.map((word) => word % m))
      x.release()
    }
  })
})
