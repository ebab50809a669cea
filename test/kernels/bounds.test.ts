// Kernels whose geometry comes from a peer's plan touch nothing but their operands, however extreme its numbers are.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { conv32, conv64, packConvWeights32, packConvWeights64 } from '../../src/kernels/conv.js'
import { type ConvGeometry, geometryProblems, outputSize, paddedSize, tilesOf } from '../../src/kernels/geometry.js'
import type { Kernels, Region } from '../../src/kernels/instance.js'
import { embed32, embed64, poolSum32, poolSum64 } from '../../src/kernels/planes.js'
import { type Instrumented, instrumented, watched } from './instrumented.js'

const small = fc.integer({ min: 1, max: 9 })
const extreme = fc.oneof(
  small,
  small,
  fc.integer({ min: 1, max: 2 ** 24 }),
  fc.integer({ min: 0, max: 24 }).map((bits) => 2 ** bits),
  fc.integer({ min: 0, max: 300 }).map((less) => 2 ** 24 - less),
)
const lowered = extreme.map((value) => value - 1)
const two = fc.tuple(extreme, extreme)
const size = fc.record({ c: fc.integer({ min: 1, max: 3 }), h: small, w: fc.integer({ min: 1, max: 40 }) })
const wide = fc.constantFrom(4, 8)

/** Runs a call on regions of its own and counts accesses elsewhere; false when the call refuses its geometry. */
function outside(build: Instrumented) {
  let watching = false
  let strange = 0
  const allowed: Region[] = []
  const inside = (at: number, bytes: number) =>
    allowed.some(({ ptr, byteLength }) => at >= ptr && at + bytes <= ptr + byteLength)
  const access = (_: number, bytes: number, at: number) => {
    if (watching && !inside(at, bytes)) strange++
  }
  const k = watched(build, { access, step: () => undefined })
  const alloc = k.memory.alloc.bind(k.memory)
  k.memory.alloc = (bytes) => {
    const region = alloc(bytes)
    allowed.push(region)
    return region
  }
  return (call: (k: Kernels, room: (bytes: number) => Region) => void): number | false => {
    const from = allowed.length
    const own: Region[] = []
    strange = 0
    watching = true
    try {
      call(k, (bytes) => {
        alloc(64) // what belongs to somebody else lies in between
        own.push(k.memory.alloc(bytes))
        return own[own.length - 1]
      })
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError)
      return false
    } finally {
      watching = false
      allowed.length = from
      for (const region of own) region.release()
    }
    return strange
  }
}

describe.each(instrumented)('$variant kernels', (build) => {
  it('sum windows inside the image', () => {
    const run = outside(build)
    let ran = 0
    const out = fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 200 }))
    const geometry = fc.record({ size, kernel: two, stride: two, pad: fc.tuple(lowered, lowered), out, bytes: wide })
    const property = fc.property(geometry, ({ size: { c, h, w }, kernel, stride, pad, out, bytes }) => {
      const found = run((k, room) => {
        const [x, y] = [room(c * h * w * bytes), room(c * out[0] * out[1] * bytes)]
        const call = bytes === 8 ? poolSum64 : poolSum32
        call(k, { c, h, w, kernel, stride, pad: [...pad, 0, 0], out }, x, y)
      })
      if (found === false) return
      ran++
      expect(found).toBe(0)
    })
    fc.assert(property, { numRuns: 2000, seed: 1 })
    expect(ran).toBeGreaterThan(500)
  })

  it('copy planes from image to image', () => {
    const run = outside(build)
    let ran = 0
    const at = fc.tuple(
      fc.oneof(
        lowered,
        lowered.map((value) => -value),
      ),
      lowered,
      lowered,
    )
    const geometry = fc.record({ size, to: size, stride: two, offset: fc.tuple(lowered, lowered), at, bytes: wide })
    const property = fc.property(geometry, ({ size: { c, h, w }, to, stride, offset, at, bytes }) => {
      const [channelOffset, top, left] = at
      const target = { channels: to.c, h: to.h, w: to.w, channelOffset, top, left }
      const found = run((k, room) => {
        const [x, y] = [room(c * h * w * bytes), room(to.c * to.h * to.w * bytes)]
        const call = bytes === 8 ? embed64 : embed32
        call(k, { c, h, w, stride, offset }, x, target, y)
      })
      if (found !== false) ran++
      expect(found).toBe(0)
    })
    fc.assert(property, { numRuns: 2000, seed: 2 })
    expect(ran).toBe(2000)
  })

  it('convolve', () => {
    const run = outside(build)
    let ran = 0
    const pads = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 60 }))
    const few = fc.integer({ min: 1, max: 4 })
    const geometry = fc.record({ size, pad: fc.tuple(pads, pads, pads, pads), stride: two, bytes: wide, outputs: few })
    const kernel = fc.record({ kernel: fc.tuple(few, few), dilation: fc.tuple(small, small), depthwise: fc.boolean() })
    const property = fc.property(geometry, kernel, ({ size: { c, h, w }, pad, stride, bytes, outputs }, more) => {
      const groups = more.depthwise ? c : 1
      const { kernel, dilation } = more
      const g: ConvGeometry = { cin: c, h, w, cout: groups * outputs, kernel, stride, pad, dilation, groups }
      const [oh, ow] = outputSize(g)
      if (geometryProblems(g).length > 0 || paddedSize(g) > 2 ** 16 || g.cout * oh * ow > 2 ** 12) return
      const found = run((k, room) => {
        const weights = room(g.cout * (c / groups) * kernel[0] * kernel[1] * bytes)
        const packed = (bytes === 8 ? packConvWeights64 : packConvWeights32)(k, g, weights)
        const [x, y] = [room(c * h * w * bytes), room(g.cout * oh * ow * bytes)]
        const call = bytes === 8 ? conv64 : conv32
        call(k, g, x, packed, y, true)
        packed.release()
      })
      ran++
      expect(found).toBe(0)
    })
    fc.assert(property, { numRuns: 600, seed: 3 })
    expect(ran).toBeGreaterThan(100)
  })

  it('convolve by tiles', () => {
    const run = outside(build)
    const shapes = [
      { cin: 12, cout: 13, h: 19, w: 18, pad: [1, 1, 1, 1] },
      { cin: 13, cout: 12, h: 16, w: 33, pad: [0, 2, 3, 1] },
      { cin: 64, cout: 64, h: 7, w: 8, pad: [1, 1, 1, 1] },
      { cin: 12, cout: 12, h: 10, w: 603, pad: [0, 0, 0, 0] },
    ] as const
    for (const shape of shapes) {
      const g: ConvGeometry = { ...shape, kernel: [3, 3], stride: [1, 1], dilation: [1, 1], groups: 1 }
      expect(tilesOf(g)).not.toBeNull()
      const [oh, ow] = outputSize(g)
      const found = run((k, room) => {
        const packed = packConvWeights32(k, g, room(4 * g.cout * g.cin * 9))
        const [x, y] = [room(4 * g.cin * g.h * g.w), room(4 * g.cout * oh * ow)]
        for (const accumulate of [false, true]) conv32(k, g, x, packed, y, accumulate)
        packed.release()
      })
      expect(found, JSON.stringify(shape)).toBe(0)
    }
  })
})
