import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { loadKernels } from '../../../src/kernels/instance.js'
import {
  type EmbedSource,
  type EmbedTarget,
  embed32,
  embed64,
  type PoolGeometry,
  poolSize,
  poolSum32,
} from '../../../src/kernels/ring.js'
import * as twin from '../../../src/ring/reference.js'
import { Bay, read, same, VARIANTS, words } from '../fixture.js'

const between = (min: number, max: number) => fc.integer({ min, max })

describe.each(VARIANTS)('planes, %s', (variant) => {
  const k = loadKernels(variant)
  const bay = new Bay(k)

  function checkPool(g: PoolGeometry, offset = 0): void {
    const x = words(g.c * g.h * g.w, 32)
    const [oh, ow] = poolSize(g)
    const y = bay.room(g.c * oh * ow * 4, offset)
    poolSum32(k, g, bay.place(x, 32, offset), y)
    same(read(y, 32), twin.poolSum(g, x), JSON.stringify(g))
    bay.close(y)
  }

  it('poolSum32 equals its twin for every width 0-67 as window and as stride', () => {
    for (let w = 1; w <= 67; w++) {
      const offset = (4 * w) % 16
      checkPool({ c: 2, h: 3, w, kernel: [3, w], stride: [1, 1], pad: [0, 0, 0, 0] }, offset)
      checkPool({ c: 1, h: 4, w, kernel: [2, 2], stride: [2, 2], pad: [1, 1, 1, 1] }, offset)
      checkPool({ c: 1, h: 2, w, kernel: [2, 9], stride: [1, w], pad: [0, 4, 0, 5] }, offset)
    }
  })

  it('poolSum32 takes an explicit output size, beyond the image too', () => {
    checkPool({ c: 2, h: 5, w: 5, kernel: [2, 2], stride: [2, 2], pad: [0, 0, 0, 0], out: [4, 3] })
    checkPool({ c: 2, h: 5, w: 5, kernel: [3, 3], stride: [2, 2], pad: [1, 0, 0, 0], out: [1, 9] })
  })

  it('poolSum32 equals its twin for random shapes', () => {
    const pair = (min: number, max: number) => fc.tuple(between(min, max), between(min, max))
    const pad = fc.tuple(between(0, 3), between(0, 3), between(0, 3), between(0, 3))
    fc.assert(
      fc.property(between(1, 3), pair(1, 14), pair(1, 5), pair(1, 4), pad, (c, [h, w], kernel, stride, pads) =>
        checkPool({ c, h, w, kernel, stride, pad: pads }),
      ),
      { numRuns: 200 },
    )
  })

  function checkEmbed(s: EmbedSource, t: EmbedTarget, offset = 0): void {
    for (const bits of [32, 64] as const) {
      const x = words(s.c * s.h * s.w, bits)
      const y = bay.room((t.channels * t.h * t.w * bits) / 8, (offset * bits) / 32)
      const call = bits === 32 ? embed32 : embed64
      call(k, s, bay.place(x, bits, (offset * bits) / 32), t, y)
      same(read(y, bits), twin.embed(s, x, t), `embed${bits} ${JSON.stringify({ s, t })}`)
      bay.close(y)
    }
  }

  it('embed pads, subsamples and makes the option-A shortcut for every width 1-67', () => {
    for (let w = 1; w <= 67; w++) {
      const offset = (4 * w) % 16
      const plain = { c: 2, h: 3, w, stride: [1, 1], offset: [0, 0] } as const
      checkEmbed(plain, { channels: 2, h: 6, w: w + 3, channelOffset: 0, top: 1, left: 2 }, offset)
      const every = { ...plain, stride: [2, 2] } as const
      const half = Math.ceil(w / 2)
      checkEmbed(every, { channels: 2, h: 2, w: half, channelOffset: 0, top: 0, left: 0 }, offset)
      checkEmbed(every, { channels: 6, h: 2, w: half, channelOffset: 2, top: 0, left: 0 }, offset)
    }
  })

  it('embed equals its twin for random offsets of either sign', () => {
    const source = fc.record({
      c: between(1, 3),
      h: between(1, 8),
      w: between(1, 20),
      stride: fc.tuple(between(1, 3), between(1, 3)),
      offset: fc.tuple(between(-4, 9), between(-4, 9)),
    })
    const target = fc.record({
      channels: between(1, 4),
      h: between(1, 8),
      w: between(1, 40),
      channelOffset: between(-2, 5),
      top: between(-3, 9),
      left: between(-3, 9),
    })
    fc.assert(
      fc.property(source, target, (s, t) => checkEmbed(s, t)),
      { numRuns: 500 },
    )
  })

  it('refuses regions that are short or overlap', () => {
    const room = bay.room(64)
    const g: PoolGeometry = { c: 1, h: 4, w: 4, kernel: [2, 2], stride: [2, 2], pad: [0, 0, 0, 0] }
    expect(() => poolSum32(k, g, room, room)).toThrow(RangeError)
    expect(() => poolSum32(k, { ...g, h: 5 }, room, bay.room(64))).toThrow(RangeError)
    expect(() => poolSum32(k, { ...g, stride: [0, 1] }, room, bay.room(64))).toThrow(RangeError)
    const s: EmbedSource = { c: 1, h: 2, w: 2, stride: [1, 1], offset: [0, 0] }
    const t: EmbedTarget = { channels: 1, h: 2, w: 2, channelOffset: 0, top: 0, left: 0 }
    expect(() => embed32(k, s, room, t, room)).toThrow(RangeError)
    expect(() => embed32(k, s, room, { ...t, channels: 0 }, bay.room(64))).toThrow(RangeError)
    bay.close(room)
  })
})
