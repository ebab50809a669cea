import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RingfenceError } from '../../../src/errors.js'
import { conv32, conv64, packConvWeights32, packConvWeights64, unpackConvWeights } from '../../../src/kernels/conv.js'
import { bandOf, type ConvGeometry, outputSize, tilesOf } from '../../../src/kernels/geometry.js'
import { loadKernels, Region } from '../../../src/kernels/instance.js'
import * as twin from '../../../src/ring/reference.js'
import { Bay, read, same, VARIANTS, words } from '../fixture.js'

const BASE: ConvGeometry = {
  cin: 4,
  h: 6,
  w: 6,
  cout: 4,
  kernel: [3, 3],
  stride: [1, 1],
  pad: [1, 1, 1, 1],
  dilation: [1, 1],
  groups: 1,
}

const between = (min: number, max: number) => fc.integer({ min, max })
const pair = (min: number, max: number) => fc.tuple(between(min, max), between(min, max))

/** Random shapes that are convolutions: channels as multiples of groups, images that the kernel fits into. */
const geometries = fc
  .record({
    groups: fc.constantFrom(1, 1, 2, 3, 8),
    perGroup: pair(1, 6),
    size: pair(1, 12),
    kernel: pair(1, 4),
    stride: pair(1, 3),
    dilation: pair(1, 3),
    pad: fc.tuple(between(0, 3), between(0, 3), between(0, 3), between(0, 3)),
  })
  .map(({ groups, perGroup, size, ...rest }): ConvGeometry => {
    const [h, w] = size
    return { cin: groups * perGroup[0], cout: groups * perGroup[1], h, w, groups, ...rest }
  })
  .filter((g) => outputSize(g).every((size) => size > 0))

const random = (words: number) => Uint32Array.from({ length: words }, (_, i) => Math.imul(i + 1, 0x9e3779b1) ^ (i << 9))

/** A dense 3×3 convolution of stride 1, from its definition, mod 2^32. */
function direct(g: ConvGeometry, x: Uint32Array, w: Uint32Array): Uint32Array {
  const [oh, ow] = outputSize(g)
  const y = new Uint32Array(g.cout * oh * ow)
  for (let tap = 0; tap < g.cout * g.cin * 9; tap++) {
    const [o, c] = [Math.floor(tap / 9 / g.cin), Math.floor(tap / 9) % g.cin]
    const [down, across] = [(Math.floor(tap / 3) % 3) - g.pad[0], (tap % 3) - g.pad[1]]
    for (let i = Math.max(0, -down); i < Math.min(oh, g.h - down); i++) {
      const [from, to] = [(c * g.h + i + down) * g.w + across, (o * oh + i) * ow]
      const end = Math.min(ow, g.w - across)
      for (let j = Math.max(0, -across); j < end; j++) y[to + j] += Math.imul(w[tap], x[from + j])
    }
  }
  return y
}

describe.each(VARIANTS)('convolution, %s', (variant) => {
  const k = loadKernels(variant)
  const bay = new Bay(k)

  function check(bits: 32 | 64, g: ConvGeometry, offset = 0): void {
    const x = words(g.cin * g.h * g.w, bits, 5)
    const w = words((g.cout * g.cin * g.kernel[0] * g.kernel[1]) / g.groups, bits, 6)
    const [oh, ow] = outputSize(g)
    const input = bay.place(x, bits, offset)
    const y = bay.room((g.cout * oh * ow * bits) / 8, offset)
    const packed = (bits === 32 ? packConvWeights32 : packConvWeights64)(k, g, bay.place(w, bits, offset))
    const conv = bits === 32 ? conv32 : conv64
    conv(k, g, input, packed, y)
    const once = twin.conv(bits, g, x, w)
    same(read(y, bits), once, `conv${bits} ${JSON.stringify(g)}`)
    conv(k, g, input, packed, y, true)
    same(read(y, bits), twin.add(bits, once, once), `conv${bits} accumulated ${JSON.stringify(g)}`)
    const unpacked = unpackConvWeights(k, packed)
    if (packed.tiled) expect(unpacked).toBeNull()
    else same(read(unpacked!, bits), w, `unpackConvWeights ${bits} ${JSON.stringify(g)}`)
    unpacked?.release()
    packed.release()
    bay.close(y)
  }

  describe.each([32, 64] as const)('u%d', (bits) => {
    const align = bits / 8

    it('equals its twin for every image width 1-67, dense, grouped and depthwise, at every alignment', () => {
      for (let w = 1; w <= 67; w++) {
        const offset = (w * align) % 16
        check(bits, { ...BASE, cin: 2, cout: 5, h: 2, w }, offset)
        check(bits, { ...BASE, cin: 4, cout: 6, h: 1, w, groups: 2 }, offset)
        check(bits, { ...BASE, cin: 2, cout: 2, h: 4, w, groups: 2 }, offset)
        check(bits, { ...BASE, cin: 2, cout: 4, h: 3, w, groups: 2, stride: [2, 2] }, offset)
        check(bits, { ...BASE, cin: 1, cout: 3, h: 1, w, kernel: [1, 1], pad: [0, 0, 0, 0] }, offset)
      }
    })

    it('equals its twin for fully connected layers of every length 1-67', () => {
      const full: ConvGeometry = { ...BASE, h: 1, w: 1, kernel: [1, 1], pad: [0, 0, 0, 0] }
      for (let cin = 1; cin <= 67; cin++) {
        check(bits, { ...full, cin, cout: 68 - cin }, (cin * align) % 16)
        check(bits, { ...full, cin: 2 * cin, cout: 6, groups: 2 }, (cin * align) % 16)
      }
    })

    it('equals its twin where the inner dimension takes several blocks', () => {
      check(bits, { ...BASE, cin: 64, cout: 5, h: 3, w: 4 })
      check(bits, { ...BASE, cin: 60, cout: 9, h: 8, w: 8, stride: [2, 2] })
      check(bits, { ...BASE, cin: 30, cout: 3, h: 3, w: 3, kernel: [3, 3], pad: [0, 0, 0, 0] })
    })

    it('equals its twin for one-sided padding, dilation and unequal strides', () => {
      check(bits, { ...BASE, pad: [0, 3, 2, 0] })
      check(bits, { ...BASE, dilation: [2, 3], pad: [2, 3, 2, 3], h: 9, w: 11 })
      check(bits, { ...BASE, stride: [3, 1], kernel: [2, 5], h: 9, w: 11 })
      check(bits, { ...BASE, groups: 4, cout: 8, stride: [1, 2], h: 9, w: 11 })
      check(bits, { ...BASE, groups: 4, stride: [2, 1], h: 9, w: 11 })
      check(bits, { ...BASE, groups: 4, dilation: [2, 2], kernel: [3, 2], stride: [1, 3], h: 9, w: 11 })
      check(bits, { ...BASE, groups: 4, stride: [1, 2], kernel: [3, 3], h: 3, w: 3, pad: [0, 0, 0, 0] })
    })

    it('equals its twin for random shapes', () => {
      fc.assert(
        fc.property(geometries, between(0, 16 / align - 1), (g, at) => check(bits, g, at * align)),
        { numRuns: 150 },
      )
    })
  })

  it('equals its definition by tiles: every rest of a division by four, one-sided padding, several blocks and bands', () => {
    const shapes: ConvGeometry[] = [
      { ...BASE, cin: 12, cout: 13, h: 20, w: 20 },
      { ...BASE, cin: 16, cout: 12, h: 17, w: 30 },
      { ...BASE, cin: 12, cout: 12, h: 31, w: 18, pad: [0, 0, 0, 0] },
      { ...BASE, cin: 16, cout: 14, h: 16, w: 23, pad: [0, 2, 3, 1] },
      { ...BASE, cin: 13, cout: 12, h: 4, w: 96, pad: [3, 3, 3, 0] },
      { ...BASE, cin: 64, cout: 64, h: 8, w: 7 },
      { ...BASE, cin: 270, cout: 16, h: 16, w: 16 },
      { ...BASE, cin: 12, cout: 12, h: 12, w: 470 },
    ]
    for (const [at, g] of shapes.entries()) {
      expect(tilesOf(g), JSON.stringify(g)).not.toBeNull()
      const offset = (4 * at) % 16
      const [x, w] = [random(g.cin * g.h * g.w), random(g.cout * g.cin * 9)]
      const expected = direct(g, x, w)
      const [input, weights] = [bay.room(x.byteLength, offset), bay.room(w.byteLength, offset)]
      const y = bay.room(expected.byteLength, offset)
      input.u32().set(x)
      weights.u32().set(w)
      const packed = packConvWeights32(k, g, weights)
      expect(packed.tiled).toBe(variant === 'simd')
      if (packed.tiled) expect(unpackConvWeights(k, packed)).toBeNull()
      conv32(k, g, input, packed, y)
      const wrong = (times: number) => y.u32().findIndex((word, i) => word !== (times * expected[i]) >>> 0)
      expect(wrong(1), JSON.stringify(g)).toBe(-1)
      conv32(k, g, input, packed, y, true)
      expect(wrong(2), JSON.stringify(g)).toBe(-1)
      packed.release()
      bay.close(y)
    }
    const narrow = shapes[7]
    expect(bandOf(narrow, tilesOf(narrow)!)).toBeLessThan(3)
  })

  it('reports every problem of a geometry at once', () => {
    const weights = bay.room(4096)
    const wrong = { ...BASE, cout: 5, groups: 3 }
    expect(() => packConvWeights32(k, wrong, weights)).toThrow(RingfenceError)
    expect(() => packConvWeights32(k, wrong, weights)).toThrow(/3 does not divide 4[\s\S]*3 does not divide 5/)
    expect(() => packConvWeights32(k, { ...BASE, h: 0, stride: [0, 1] }, weights)).toThrow(/h: [\s\S]*stride: /)
    expect(() => packConvWeights32(k, { ...BASE, pad: [0, 0, 0, 0], h: 2 }, weights)).toThrow(/does not fit/)
    bay.close(weights)
  })

  it('refuses weights of another width, geometry or instance, short regions and overlap', () => {
    const [x, y] = [bay.room(576), bay.room(576)]
    const packed = packConvWeights32(k, BASE, bay.room(576))
    expect(() => conv64(k, BASE, x, packed, y)).toThrow(RangeError)
    expect(() => conv32(k, { ...BASE, pad: [0, 0, 0, 0] }, x, packed, y)).toThrow(RangeError)
    expect(() => conv32(loadKernels(variant), BASE, x, packed, y)).toThrow(RangeError)
    expect(() => conv32(k, BASE, x.part(0, 572), packed, y)).toThrow(RangeError)
    expect(() => conv32(k, BASE, x, packed, x)).toThrow(RangeError)
    expect(() => packConvWeights32(k, BASE, x.part(0, 572))).toThrow(RangeError)
    conv32(k, { ...BASE }, x, packed, y)
    packed.release()
    bay.close(y)
  })

  it.each([
    ['dense', BASE],
    ['grouped', { ...BASE, groups: 2 }],
    ['depthwise', { ...BASE, groups: 4 }],
  ])('refuses an output on its packed weights or their tables, by one word too: %s', (_, g) => {
    for (const bits of [32, 64] as const) {
      const [pack, conv] = bits === 32 ? [packConvWeights32, conv32] : [packConvWeights64, conv64]
      const bytes = bits / 8
      const [x, around] = [bay.room(144 * bytes), bay.room(8192)]
      around.release() // what is packed below lies in the middle of memory that may be looked at
      const before = bay.room(144 * bytes)
      const packed = pack(k, g, bay.room(((144 * 9) / g.groups) * bytes))
      const { ptr, byteLength } = packed.region
      const kept = packed.region.u8().slice()
      const at = (address: number) => new Region(k.memory, address, 144 * bytes, false)
      for (const address of [ptr, ptr + bytes, ptr - 143 * bytes, ptr + byteLength - bytes]) {
        expect(() => conv(k, g, x, packed, at(address)), `${bits} bits, ${address - ptr} bytes after`).toThrow(
          /overlaps/,
        )
        expect(packed.region.u8().slice()).toEqual(kept)
      }
      packed.release()
      bay.close(before)
    }
  })
})
