import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromPlanes32, pack, packedBytes, planeBytes, toPlanes32, unpack } from '../../../src/kernels/bits.js'
import { loadKernels } from '../../../src/kernels/instance.js'
import * as twin from '../../../src/ring/reference.js'
import { Bay, read, same, VARIANTS, words } from '../fixture.js'

const sameBytes = (actual: Uint8Array, expected: Uint8Array, what: string) => {
  const at = expected.findIndex((byte, i) => byte !== actual[i])
  if (at >= 0 || actual.length !== expected.length) expect.fail(`${what}: differs at byte ${at}`)
}

describe.each(VARIANTS)('bits, %s', (variant) => {
  const k = loadKernels(variant)
  const bay = new Bay(k)

  function check(n: number, bits: number, byteOffset: number): void {
    const x = words(n, 32, bits)
    const expected = twin.pack(x, bits)
    const src = bay.place(x, 32, (4 * byteOffset) % 16)
    const stream = bay.room(packedBytes(n, bits), byteOffset)
    pack(k, src, n, bits, stream)
    sameBytes(stream.u8(), expected, `pack n=${n} bits=${bits}`)
    const back = bay.room(4 * n, (4 * byteOffset) % 16)
    unpack(k, stream, n, bits, back)
    same(read(back, 32), twin.mask(x, bits), `unpack n=${n} bits=${bits}`)
    pack(k, src, n, bits, src)
    sameBytes(src.u8().subarray(0, expected.length), expected, `pack in place n=${n} bits=${bits}`)
    bay.close(stream, back, src)
  }

  it('pack and unpack equal their twins for 1-32 bits, every length 0-67 and every byte offset', () => {
    for (let bits = 1; bits <= 32; bits++) {
      for (let n = 0; n <= 67; n++) check(n, bits, (n + bits) % 16)
      for (let offset = 0; offset < 16; offset++) check(67, bits, offset)
    }
  })

  it('pack and unpack equal their twins for random lengths', () => {
    const any = (min: number, max: number) => fc.integer({ min, max })
    fc.assert(fc.property(any(0, 700), any(1, 32), any(0, 15), check), { numRuns: 200 })
  })

  it('unpack reads nothing beyond the stream', () => {
    for (const bits of [1, 5, 8, 11, 16, 19, 24, 31]) {
      const n = 64
      const stream = bay.room(packedBytes(n, bits), 3)
      stream.u8().fill(0)
      const back = bay.room(4 * n)
      const end = stream.ptr + stream.byteLength
      new Uint8Array(k.memory.buffer).fill(0xff, end, end + 8)
      unpack(k, stream, n, bits, back)
      expect(back.u32().every((word) => word === 0)).toBe(true)
      bay.close(back)
    }
  })

  function checkPlanes(n: number, offset: number): void {
    const x = words(n, 32)
    const planes = bay.room(planeBytes(n), offset)
    toPlanes32(k, bay.place(x, 32, offset), n, planes)
    sameBytes(planes.u8(), twin.toPlanes(x), `toPlanes32 n=${n}`)
    const back = bay.room(4 * n, 12 - offset)
    fromPlanes32(k, planes, n, back)
    same(read(back, 32), x, `fromPlanes32 n=${n}`)
    bay.close(planes, back)
  }

  it('bit planes equal their twin for every length 0-67, around blocks, at every alignment', () => {
    for (let n = 0; n <= 67; n++) checkPlanes(n, (4 * n) % 16)
    for (const n of [127, 128, 129, 255, 256, 300]) for (const offset of [0, 4, 8, 12]) checkPlanes(n, offset)
  })

  it('refuses widths outside 1-32, short regions and overlap', () => {
    const room = bay.room(1024)
    expect(() => pack(k, room, 4, 0, room)).toThrow(RangeError)
    expect(() => pack(k, room, 4, 33, room)).toThrow(RangeError)
    expect(() => pack(k, room, 257, 8, room)).toThrow(RangeError)
    expect(() => pack(k, room, 9, 8, bay.room(8))).toThrow(RangeError)
    expect(() => pack(k, room, 9, 8, room.part(1, 64))).toThrow(RangeError)
    expect(() => unpack(k, room, 9, 8, room)).toThrow(RangeError)
    expect(() => unpack(k, bay.room(8), 9, 8, room)).toThrow(RangeError)
    expect(() => toPlanes32(k, bay.room(4), 1, bay.room(508))).toThrow(RangeError)
    expect(() => toPlanes32(k, room, 128, room.part(4, 512))).toThrow(RangeError)
    bay.close(room)
  })
})
