// Truncation and index maps of 64-bit shares, and window sums in that ring: kernels against slow twins, both builds.
import { describe, expect, it } from 'vitest'
import { gather64, patchSums64, scatter64, uploadIndexMap, uploadPatchMap } from '../../../src/kernels/index-maps.js'
import { loadKernels, upload } from '../../../src/kernels/instance.js'
import { type PoolGeometry, poolSize, poolSum64 } from '../../../src/kernels/ring.js'
import { truncateShare } from '../../../src/kernels/securenn/shares.js'
import { Bay, read, same, VARIANTS, words } from '../../kernels/fixture.js'
import { drawFrom, whole } from '../mcc/gadget-plan.js'

const signed = (x: bigint) => BigInt.asIntN(64, x)
const wrap = (x: bigint) => BigInt.asUintN(64, x)

/** One party's truncation as SecureML writes it (section 4.1). */
const twinTruncate = (share: bigint, f: number, party: number): bigint =>
  party === 0 ? wrap(signed(share) >> BigInt(f)) : wrap(-(signed(-share) >> BigInt(f)))

const random64 = (count: number): bigint[] => {
  const out = new BigUint64Array(count)
  for (let at = 0; at < count; at += 8192) crypto.getRandomValues(out.subarray(at, at + 8192))
  return [...out]
}

const EDGES = [0n, 1n, -1n, 2n ** 62n, -(2n ** 62n), 2n ** 63n - 1n, -(2n ** 63n), -(2n ** 63n) + 1n].map(wrap)

describe.each(VARIANTS)('%s', (variant) => {
  const k = loadKernels(variant)
  const bay = new Bay(k)

  it('truncateShare equals its twin: every shift, both parties, edges, in place', () => {
    const shares = [...EDGES, ...words(57, 64)]
    for (let f = 0; f <= 62; f++) {
      for (const party of [0, 1] as const) {
        const out = bay.room(shares.length * 8, 8 * (f % 2))
        truncateShare(k, bay.place(shares, 64), shares.length, f, party, out)
        const expected = shares.map((share) => twinTruncate(share, f, party))
        same(read(out, 64), expected, `f = ${f}, party ${party}`)
        const inPlace = bay.place(shares, 64)
        truncateShare(k, inPlace, shares.length, f, party, inPlace)
        same(read(inPlace, 64), expected, `in place, f = ${f}`)
        bay.close(out, inPlace)
      }
    }
  })

  it('gather64 and scatter64 equal their twins for lengths 0-67', () => {
    const draw = drawFrom(3)
    for (let n = 0; n <= 67; n++) {
      const values = words(80, 64, n + 1)
      const picked = Array.from({ length: n }, () => whole(draw, 0, 79))
      const gathered = bay.room(n * 8)
      gather64(k, bay.place(values, 64), uploadIndexMap(k, picked), gathered)
      const expected = picked.map((i) => values[i])
      same(read(gathered, 64), expected, `gather ${n}`)
      const places = Array.from({ length: 80 }, (_, i) => i)
        .sort(() => draw() - 0.5)
        .slice(0, n)
      const scattered = bay.place(values, 64)
      scatter64(k, bay.place(expected, 64), uploadIndexMap(k, places), scattered)
      const moved = [...values]
      places.forEach((to, i) => {
        moved[to] = expected[i]
      })
      same(read(scattered, 64), moved, `scatter ${n}`)
      bay.close(gathered, scattered)
    }
  })

  it('patchSums64 equals its twin: patches of any size, shifts above and below the most', () => {
    const draw = drawFrom(5)
    for (let round = 0; round < 60; round++) {
      const values = words(90, 64, round + 1)
      const sizes = Array.from({ length: whole(draw, 1, 20) }, () => whole(draw, 1, 12))
      const elements = sizes.map((size) => Array.from({ length: size }, () => whole(draw, 0, 89)))
      const start = [0]
      for (const size of sizes) start.push(start[start.length - 1] + size)
      const shifts = sizes.map(() => whole(draw, 0, 8))
      const most = whole(draw, 0, 8)
      const out = bay.room(sizes.length * 8)
      const patches = uploadPatchMap(k, { start, elements: elements.flat(), shifts })
      patchSums64(k, bay.place(values, 64), patches, most, out)
      const expected = elements.map(
        (members, p) => wrap(members.reduce((sum, i) => sum + values[i], 0n)) >> BigInt(Math.min(shifts[p], most)),
      )
      same(read(out, 64), expected, `round ${round}`)
      bay.close(out)
    }
  })

  it('poolSum64 equals its twin for random shapes', () => {
    const draw = drawFrom(7)
    const pair = (low: number, high: number) => [whole(draw, low, high), whole(draw, low, high)] as const
    for (let round = 0; round < 150; round++) {
      const g: PoolGeometry = {
        c: whole(draw, 1, 3),
        h: whole(draw, 1, 12),
        w: whole(draw, 1, 20),
        kernel: pair(1, 5),
        stride: pair(1, 4),
        pad: [...pair(0, 3), ...pair(0, 3)],
      }
      const [oh, ow] = poolSize(g)
      if (oh < 1 || ow < 1) continue
      const x = words(g.c * g.h * g.w, 64, round + 1)
      const out = bay.room(g.c * oh * ow * 8, 8 * (round % 2))
      poolSum64(k, g, bay.place(x, 64), out)
      same(read(out, 64), twinPool(g, x), JSON.stringify(g))
      bay.close(out)
    }
  })
})

function twinPool({ c, h, w, kernel, stride, pad, ...rest }: PoolGeometry, x: readonly bigint[]): bigint[] {
  const [oh, ow] = poolSize({ c, h, w, kernel, stride, pad, ...rest })
  const sumAt = (channel: number, i: number, j: number): bigint => {
    let sum = 0n
    for (let y = i * stride[0] - pad[0], ky = 0; ky < kernel[0]; ky++, y++) {
      for (let z = j * stride[1] - pad[1], kx = 0; kx < kernel[1]; kx++, z++) {
        if (y >= 0 && y < h && z >= 0 && z < w) sum += x[(channel * h + y) * w + z]
      }
    }
    return wrap(sum)
  }
  return Array.from({ length: c * oh * ow }, (_, at) =>
    sumAt(Math.floor(at / (oh * ow)), Math.floor(at / ow) % oh, at % ow),
  )
}

describe('local truncation of shares of v', () => {
  const k = loadKernels()
  /** v' of every value under the given client shares. */
  function truncated(values: readonly bigint[], mine: readonly bigint[], f: number): bigint[] {
    const n = values.length
    const regions = [
      upload(k.memory, BigUint64Array.from(mine)),
      upload(
        k.memory,
        BigUint64Array.from(values, (v, i) => wrap(v - mine[i])),
      ),
    ]
    for (const party of [0, 1] as const) truncateShare(k, regions[party], n, f, party, regions[party])
    const [a, b] = regions.map((region) => region.u64().slice())
    for (const region of regions) region.release()
    return Array.from(a, (word, i) => signed(word + b[i]))
  }

  it('is v >> f or one more, and one more as often as the dropped part says', () => {
    const count = 40_000
    for (const [v, f] of [
      [13n * 32n + 20n, 5],
      [-(13n * 32n) + 7n, 5],
      [2n ** 40n + 3n * 2n ** 10n, 12],
      [-1n, 8],
      [0n, 8],
      [4096n, 12],
      [-4096n, 12],
    ] as const) {
      const low = v >> BigInt(f)
      const found = truncated(new Array<bigint>(count).fill(v), random64(count), f)
      const up = found.filter((word) => word === low + 1n).length
      expect(found.filter((word) => word === low).length + up).toBe(count)
      const share = Number(v - (low << BigInt(f))) / 2 ** f
      if (share === 0) expect(up).toBe(0)
      else expect(Math.abs(up / count - share)).toBeLessThan(6 * Math.sqrt((share * (1 - share)) / count))
    }
  })

  it('is right for all shares but |v| at the ends of the ring', () => {
    const ends = Array.from({ length: 100 }, (_, i) => BigInt(i)).flatMap((i) => [-(2n ** 63n) + i, 2n ** 63n - 1n - i])
    for (const f of [1, 4, 12, 62]) {
      for (let v = -60n; v <= 60n; v++) {
        const low = v >> BigInt(f)
        const found = truncated(new Array<bigint>(ends.length).fill(v), ends.map(wrap), f)
        const wrong = found.filter((word) => word !== low && word !== low + 1n)
        expect(wrong.length, `v = ${v}, f = ${f}`).toBe(Math.abs(Number(v)))
      }
    }
  })

  it('goes wrong for |v| / 2^64 of all shares, which only shows near the ends of the ring', () => {
    const count = 40_000
    for (const v of [2n ** 61n, -(2n ** 61n), 2n ** 62n]) {
      const low = v >> 12n
      const wrong = truncated(new Array<bigint>(count).fill(v), random64(count), 12).filter(
        (word) => word !== low && word !== low + 1n,
      )
      const expected = Math.abs(Number(v)) / 2 ** 64
      expect(Math.abs(wrong.length / count - expected)).toBeLessThan(6 * Math.sqrt(expected / count))
      for (const word of wrong) expect(Math.abs(Number(word - low)) / 2 ** 52).toBeCloseTo(1, 12)
    }
    // |v| < 2^53 is what compiled plans promise: once in 2^11 of 2^64 shares at worst, never seen here.
    const small = truncated(new Array<bigint>(count).fill(2n ** 40n), random64(count), 12)
    expect(small.every((word) => word === 2n ** 28n)).toBe(true)
  })
})
