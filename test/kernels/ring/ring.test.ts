import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { loadKernels } from '../../../src/kernels/instance.js'
import {
  add32,
  add64,
  mask32,
  matmul32,
  matmul64,
  mul32,
  mul64,
  scale32,
  scale64,
  shl32,
  shl64,
  shrLogical32,
  shrLogical64,
  sub32,
  sub64,
} from '../../../src/kernels/ring.js'
import * as twin from '../../../src/ring/reference.js'
import { Bay, read, same, VARIANTS, words } from '../fixture.js'

const PAIRWISE = {
  add: { 32: add32, 64: add64, twin: twin.add },
  sub: { 32: sub32, 64: sub64, twin: twin.sub },
  mul: { 32: mul32, 64: mul64, twin: twin.mul },
}
const SHIFTS = { shl: { 32: shl32, 64: shl64 }, shrLogical: { 32: shrLogical32, 64: shrLogical64 } }
const MATMUL = { 32: matmul32, 64: matmul64 }
const LENGTHS = Array.from({ length: 68 }, (_, i) => i)

describe.each(VARIANTS)('elementwise, %s', (variant) => {
  const k = loadKernels(variant)
  const bay = new Bay(k)

  describe.each([32, 64] as const)('u%d', (bits) => {
    const bytes = bits / 8
    const offsets = Array.from({ length: 16 / bytes }, (_, i) => i * bytes)

    it.each(['add', 'sub', 'mul'] as const)('%s equals its twin: lengths 0-67, alignments, in place', (name) => {
      const call = PAIRWISE[name][bits]
      for (const n of LENGTHS) {
        const [a, b] = [words(n, bits, 1), words(n, bits, 2)]
        const expected = PAIRWISE[name].twin(bits, a, b)
        for (const offset of offsets) {
          const [x, y] = [bay.place(a, bits, offset), bay.place(b, bits, (3 * offset + bytes) % 16)]
          const out = bay.room(n * bytes, 16 - bytes - offset)
          call(k, x, y, out, n)
          same(read(out, bits), expected, `${name}${bits} n=${n}`)
          call(k, x, y, y, n)
          same(read(y, bits), expected, `${name}${bits} n=${n} in place of b`)
          call(k, x, bay.place(b, bits), x, n)
          same(read(x, bits), expected, `${name}${bits} n=${n} in place of a`)
          bay.close(out, x, y)
        }
      }
    })

    it.each(['shl', 'shrLogical'] as const)('%s equals its twin: every distance, lengths 0-67, alignments', (name) => {
      const call = SHIFTS[name][bits]
      for (const n of LENGTHS) {
        const x = words(n, bits)
        for (let by = n % 3; by < bits; by += n === 67 ? 1 : 5) {
          const offset = (by * bytes) % 16
          const out = bay.room(n * bytes, 16 - bytes - offset)
          const input = bay.place(x, bits, offset)
          const expected = name === 'shl' ? twin.shl(bits, x, by) : twin.shrLogical(x, by)
          call(k, input, by, out, n)
          same(read(out, bits), expected, `${name}${bits} n=${n} by=${by}`)
          call(k, input, by, input, n)
          same(read(input, bits), expected, `${name}${bits} n=${n} by=${by} in place`)
          bay.close(out, input)
        }
      }
    })
  })

  it('scale32, scale64 and mask32 equal their twins: lengths 0-67, alignments, in place', () => {
    for (const n of LENGTHS) {
      for (const factor of [0, 1, -1, 3, -(2 ** 31), 2 ** 32 - 1]) {
        const x = words(n, 32)
        const input = bay.place(x, 32, (4 * n) % 16)
        scale32(k, input, factor, input, n)
        same(read(input, 32), twin.scale(32, x, BigInt(factor)), `scale32 n=${n}`)
        bay.close(input)
      }
      for (const factor of [0n, -1n, 2n ** 63n, 0x123456789abcdef0n]) {
        const x = words(n, 64)
        const out = bay.room(8 * n, (8 * n) % 16)
        scale64(k, bay.place(x, 64), factor, out, n)
        same(read(out, 64), twin.scale(64, x, factor), `scale64 n=${n}`)
        bay.close(out)
      }
      for (let bits = 0; bits <= 32; bits++) {
        const x = words(n, 32)
        const out = bay.room(4 * n, (4 * bits) % 16)
        mask32(k, bay.place(x, 32, (4 * n) % 16), bits, out, n)
        same(read(out, 32), twin.mask(x, bits), `mask32 n=${n} bits=${bits}`)
        bay.close(out)
      }
    }
  })

  it('refuses short, misaligned and partly overlapping regions', () => {
    const room = bay.room(64)
    expect(() => add32(k, room, room, room, 17)).toThrow(RangeError)
    expect(() => add32(k, room.part(2, 16), room, room, 4)).toThrow(RangeError)
    expect(() => add64(k, room.part(4, 16), room, room, 2)).toThrow(RangeError)
    expect(() => add32(k, room, room, room.part(4, 16), 4)).toThrow(RangeError)
    expect(() => shl32(k, room, 32, room, 4)).toThrow(RangeError)
    expect(() => scale32(k, room, 2 ** 32, room, 4)).toThrow(RangeError)
    expect(() => mask32(k, room, 33, room, 4)).toThrow(RangeError)
    expect(() => add32(k, room, room, room, -1)).toThrow(RangeError)
    bay.close(room)
  })
})

describe.each(VARIANTS)('matmul, %s', (variant) => {
  const k = loadKernels(variant)
  const bay = new Bay(k)

  function check(bits: 32 | 64, m: number, kk: number, n: number, offset = 0): void {
    const [a, b] = [words(m * kk, bits, 3), words(kk * n, bits, 4)]
    const c = bay.room((m * n * bits) / 8, offset)
    MATMUL[bits](k, bay.place(a, bits, offset), bay.place(b, bits, offset), c, m, kk, n)
    same(read(c, bits), twin.matmul(bits, a, b, m, kk, n), `u${bits} ${m}×${kk}×${n}`)
    bay.close(c)
  }

  describe.each([32, 64] as const)('u%d', (bits) => {
    const align = bits / 8

    it('equals its twin for every length 0-67 of each dimension, at every alignment', () => {
      for (const size of LENGTHS) {
        const offset = (size * align) % 16
        check(bits, size, 5, 9, offset)
        check(bits, 5, size, 9, offset)
        check(bits, 5, 7, size, offset)
        check(bits, 5, size, 1, offset)
        check(bits, 1, size, 6, offset)
      }
    })

    it('equals its twin across blocks of the inner dimension and of rows', () => {
      for (const [m, kk, n] of [
        [6, 255, 9],
        [6, 256, 8],
        [4, 257, 5],
        [3, 513, 12],
        [515, 3, 5],
        [513, 260, 2],
      ]) {
        check(bits, m, kk, n)
      }
    })

    it('equals its twin for random shapes', () => {
      const size = fc.integer({ min: 1, max: 40 })
      fc.assert(
        fc.property(size, size, size, fc.integer({ min: 0, max: 16 / align - 1 }), (m, kk, n, at) =>
          check(bits, m, kk, n, at * align),
        ),
        { numRuns: 60 },
      )
    })
  })

  it('gives its scratch back, also when it throws', () => {
    const before = k.memory.inUse
    check(32, 5, 6, 7)
    const room = bay.room(64)
    expect(() => matmul32(k, room, room, room, 2, 2, 2)).toThrow(RangeError)
    expect(() => matmul32(k, room, room, room, 5, 5, 2)).toThrow(RangeError)
    bay.close(room)
    expect(k.memory.inUse).toBe(before)
  })

  it('agrees with the scalar yardstick of the benchmark', () => {
    const [a, b] = [words(30, 32, 3), words(42, 32, 4)]
    const c = bay.room(35 * 4)
    k.raw.naiveMatmul32(bay.place(a, 32).ptr, bay.place(b, 32).ptr, c.ptr, 5, 6, 7)
    same(read(c, 32), twin.matmul(32, a, b, 5, 6, 7), 'naive')
    bay.close(c)
  })
})
