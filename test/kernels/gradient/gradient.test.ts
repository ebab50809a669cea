// Every gradient kernel against its definition, on both builds, which must agree to the bit.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { blendTable, blockActivationF32, clampF32, maskActivationF32 } from '../../../src/kernels/float/conv.js'
import type { FloatKernels } from '../../../src/kernels/float/instance.js'
import { type ConvGeometry, outputSize } from '../../../src/kernels/geometry.js'
import {
  inputGradF32,
  prepareConvGradient,
  reloadConvGradient,
  weightGradF32,
} from '../../../src/kernels/gradient/conv.js'
import * as maps from '../../../src/kernels/gradient/maps.js'
import type { Region } from '../../../src/kernels/memory.js'
import type { Sums } from '../float/float-twin.js'
import { builds, close, numbers, onBoth } from './both-builds.js'
import * as twin from './twin.js'

const BASE: ConvGeometry = {
  ...{ cin: 4, h: 6, w: 6, cout: 4, kernel: [3, 3], stride: [1, 1], pad: [1, 1, 1, 1], dilation: [1, 1], groups: 1 },
}

function checkConv(g: ConvGeometry): void {
  const what = JSON.stringify(g)
  const [oh, ow] = outputSize(g)
  const x = numbers(g.cin * g.h * g.w, 5)
  const w = numbers((g.cout * g.cin * g.kernel[0] * g.kernel[1]) / g.groups, 6)
  const dy = numbers(g.cout * oh * ow, 7)
  const { dx, dw } = twin.convGradients(g, x, w, dy)
  const gotX = onBoth(`dx of ${what}`, (k, place, room) => {
    const conv = prepareConvGradient(k, g, new Float32Array(w.length))
    reloadConvGradient(k, conv, w)
    const out = room(x.length)
    inputGradF32(k, conv, place(dy), out)
    conv.release()
    return out
  })
  close(`dx of ${what}`, gotX, dx)
  const gotW = onBoth(`dw of ${what}`, (k, place) => {
    const conv = prepareConvGradient(k, g, w)
    const out = place(new Float32Array(w.length).fill(1))
    weightGradF32(k, conv, place(x), place(dy), out)
    conv.release()
    return out
  })
  close(`dw of ${what}`, gotW, { values: dw.values.map((v) => v + 1), sizes: dw.sizes.map((v) => v + 1) })
}

const between = (min: number, max: number) => fc.integer({ min, max })
const pair = (min: number, max: number) => fc.tuple(between(min, max), between(min, max))
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
  .map(({ groups, perGroup, size: [h, w], ...rest }): ConvGeometry => {
    return { cin: groups * perGroup[0], cout: groups * perGroup[1], h, w, groups, ...rest }
  })
  .filter((g) => outputSize(g).every((size) => size > 0))

describe('gradients of convolutions', () => {
  it('of every width 1-40, dense, grouped and depthwise, of stride 1 and 2', () => {
    for (let w = 1; w <= 40; w++) {
      checkConv({ ...BASE, cin: 2, cout: 5, h: 3, w })
      checkConv({ ...BASE, cin: 4, cout: 6, h: 2, w, groups: 2, stride: [1, 2] })
      checkConv({ ...BASE, cin: 3, cout: 3, h: 4, w, groups: 3 })
      checkConv({ ...BASE, cin: 2, cout: 4, h: 5, w, groups: 2, stride: [2, 2] })
    }
  })

  it('of any geometry', () => {
    fc.assert(fc.property(geometries, checkConv), { numRuns: 150 })
  })

  it('of more pixels and taps than one block holds, and of a matrix', () => {
    checkConv({ ...BASE, cin: 3, cout: 9, h: 20, w: 20 })
    checkConv({ ...BASE, cin: 40, cout: 5, h: 4, w: 4, stride: [2, 2] })
    checkConv({ ...BASE, cin: 77, cout: 13, h: 1, w: 1, kernel: [1, 1], pad: [0, 0, 0, 0] })
  })

  it('refuse operands that are too short, overlap, or belong to another instance', () => {
    const k = builds.simd
    const conv = prepareConvGradient(k, BASE, new Float32Array(144))
    const [x, dy, dw] = [4 * 36, 4 * 36, 144].map((words) => k.memory.alloc(4 * words))
    expect(() => weightGradF32(k, conv, x.part(0, 100), dy, dw)).toThrow(RangeError)
    expect(() => weightGradF32(k, conv, x, dy, dw.part(0, 100))).toThrow(RangeError)
    expect(() => weightGradF32(k, conv, x, dy, x)).toThrow('overlaps')
    expect(() => weightGradF32(builds.scalar, conv, x, dy, dw)).toThrow('another instance')
    expect(() => inputGradF32(k, conv, dy.part(0, 100), x)).toThrow(RangeError)
    expect(() => prepareConvGradient(k, { ...BASE, groups: 3 }, new Float32Array(144))).toThrow('not a convolution')
    for (const region of [x, dy, dw, conv]) region.release()
  })
})

describe('activations with gates', () => {
  const blocks = [
    [1, 1],
    [1, 2],
    [2, 1],
    [2, 2],
    [2, 4],
    [4, 2],
    [4, 4],
    [8, 8],
    [3, 5],
    [0, 1],
    [1, 0],
  ] as const
  const c = blocks.length

  it.each([
    [0, Number.POSITIVE_INFINITY],
    [-0.25, 0.5],
  ])('between %d and %d keep what they pass, and give what the plain ones give', (low, high) => {
    for (const [h, w] of [
      [1, 1],
      [2, 3],
      [4, 4],
      [5, 7],
      [8, 8],
      [9, 18],
      [16, 16],
    ]) {
      const x = numbers(c * h * w, h + w)
      const n = x.length
      const bits = Uint8Array.from(x, (_, i) => (i % 3) & 1)
      const wanted = twin.openGates(x, blocks, low, high, h, w)
      const gates = (
        k: FloatKernels,
        kind: string,
        place: (v: ArrayLike<number>) => Region,
        out: Region,
        to: Region,
      ) => {
        const [input, bounds] = [place(x), { low, high }]
        const plain = k.memory.alloc(4 * n)
        const table = k.memory.alloc(8 * c)
        table.i32().set(blocks.flat())
        const mask = k.memory.alloc(n)
        mask.u8().set(bits)
        if (kind === 'blocks') {
          maps.gatedBlocksF32(k, input, table, bounds, out, to, { c, h, w })
          blockActivationF32(k, input, table, bounds, plain, { c, h, w })
        } else if (kind === 'clamp') {
          maps.gatedClampF32(k, input, bounds, out, to, n)
          clampF32(k, input, bounds, plain, n)
        } else {
          maps.gatedMaskF32(k, input, mask, kind === 'pass', bounds, out, to, n)
          maskActivationF32(k, input, mask, kind === 'pass', bounds, plain, n)
        }
        expect(Buffer.compare(out.u8(), plain.u8())).toBe(0)
        for (const region of [plain, table, mask]) region.release()
      }
      const gatesOf = (kind: string) => {
        const got = onBoth(kind, (k, place, room) => {
          const all = room(n + Math.ceil(n / 4))
          gates(k, kind, place, all.part(0, 4 * n), all.part(4 * n, n))
          return all
        })
        return [...new Uint8Array(got.buffer, 4 * n, n)]
      }
      const single = Array.from(x, (v) => (v < low || v > high ? 0 : 255))
      expect(gatesOf('blocks')).toEqual(wanted)
      expect(gatesOf('clamp')).toEqual(single)
      expect(gatesOf('pass')).toEqual(single.map((gate, i) => (bits[i] ? gate : 255)))
      expect(gatesOf('zero')).toEqual(single.map((gate, i) => (bits[i] ? gate : 0)))
    }
  })

  it('let the gradient through open gates alone', () => {
    for (let n = 1; n <= 70; n++) {
      const g = numbers(n, n)
      const open = Uint8Array.from(g, (_, i) => ((i * 7) % 5 < 2 ? 255 : 0))
      const got = onBoth('gate', (k, place, room) => {
        const gates = k.memory.alloc(n)
        gates.u8().set(open)
        const out = room(n)
        maps.gateF32(k, place(g), gates, out, n)
        gates.release()
        return out
      })
      expect([...got]).toEqual(Array.from(g, (v, i) => (open[i] ? v : 0)))
    }
  })
})

describe('gradients of maps', () => {
  it('of pools of any geometry', () => {
    const pools = fc
      .record({
        c: between(1, 3),
        size: pair(1, 9),
        kernel: pair(1, 4),
        stride: pair(1, 3),
        edges: pair(0, 2),
        countPad: fc.boolean(),
      })
      .map(({ c, size: [h, w], kernel, stride, edges, countPad }) => {
        const most = (axis: 0 | 1) => Math.min(edges[axis], kernel[axis] - 1)
        const pad = [most(0), most(1), most(0), most(1)] as const
        const out = outputSize({ h, w, kernel, stride, pad })
        return { pool: { c, h, w, kernel, stride, pad, out }, countPad }
      })
      .filter(({ pool: { out, stride, pad, h, w } }) => {
        const holds = (axis: 0 | 1) => out[axis] > 0 && (out[axis] - 1) * stride[axis] - pad[axis] < [h, w][axis]
        return holds(0) && holds(1)
      })
    const check = ({ pool, countPad }: { pool: Parameters<typeof twin.poolGradient>[0]; countPad: boolean }) => {
      const x = numbers(pool.c * pool.h * pool.w, 3)
      const dy = numbers(pool.c * pool.out[0] * pool.out[1], 4)
      const average = onBoth('average', (k, place, room) => {
        const dx = room(x.length)
        maps.avgPoolGradF32(k, pool, place(dy), countPad, dx)
        return dx
      })
      close('average', average, twin.poolGradient(pool, dy, countPad))
      const largest = onBoth('largest', (k, place, room) => {
        const dx = room(x.length)
        maps.maxPoolGradF32(k, pool, place(x), place(dy), dx)
        return dx
      })
      close('largest', largest, twin.poolGradient(pool, dy, countPad, x))
    }
    fc.assert(fc.property(pools, check), { numRuns: 150 })
    check({
      pool: { c: 1, h: 2, w: 2, kernel: [2, 2], stride: [2, 2], pad: [0, 0, 0, 0], out: [1, 1] },
      countPad: true,
    })
  })

  it('give a window of equal elements to the first of them', () => {
    const pool = { c: 1, h: 2, w: 2, kernel: [2, 2], stride: [2, 2], pad: [0, 0, 0, 0], out: [1, 1] } as const
    const dx = onBoth('ties', (k, place, room) => {
      const out = room(4)
      maps.maxPoolGradF32(k, pool, place([7, 7, 7, 7]), place([3]), out)
      return out
    })
    expect([...dx]).toEqual([3, 0, 0, 0])
  })

  it('spread elements out, and drop those that fall outside', () => {
    fc.assert(
      fc.property(between(1, 2), pair(1, 6), pair(1, 3), pair(-4, 4), pair(1, 9), (c, [h, w], stride, offset, to) => {
        const x = numbers(c * h * w, 9)
        const wanted = new Float64Array(c * to[0] * to[1])
        x.forEach((value, i) => {
          const row = (Math.floor(i / w) % h) * stride[0] + offset[0]
          const column = (i % w) * stride[1] + offset[1]
          if (row < 0 || row >= to[0] || column < 0 || column >= to[1]) return
          wanted[(Math.floor(i / (h * w)) * to[0] + row) * to[1] + column] = value
        })
        const got = onBoth('spread', (k, place, room) => {
          const y = room(wanted.length)
          maps.spreadF32(k, { c, h, w }, place(x), stride, offset, to, y)
          return y
        })
        expect([...got]).toEqual([...wanted])
      }),
    )
  })

  it('of resizing: each element goes back to the four it was blended from', () => {
    const [h, w, oh, ow] = [3, 4, 5, 7]
    const blends = (from: number, to: number) =>
      Array.from({ length: to }, (_, i) => {
        const at = (i * (from - 1)) / (to - 1)
        const first = Math.min(Math.floor(at), from - 1)
        return { first, second: Math.min(first + 1, from - 1), weight: Math.fround(at - first) }
      })
    const [rows, columns] = [blends(h, oh), blends(w, ow)]
    const dy = numbers(2 * oh * ow, 2)
    const wanted: Sums = { values: new Float64Array(2 * h * w), sizes: new Float64Array(2 * h * w) }
    dy.forEach((g, i) => {
      const [c, row, column] = [Math.floor(i / (oh * ow)), rows[Math.floor(i / ow) % oh], columns[i % ow]]
      for (const [y, v] of [
        [row.first, 1 - row.weight],
        [row.second, row.weight],
      ]) {
        for (const [z, t] of [
          [column.first, 1 - column.weight],
          [column.second, column.weight],
        ]) {
          wanted.values[(c * h + y) * w + z] += v * t * g
          wanted.sizes[(c * h + y) * w + z] += Math.abs(v * t * g)
        }
      }
    })
    const got = onBoth('resize', (k, place, room) => {
      const [r, c] = [blendTable(k, rows), blendTable(k, columns)]
      const dx = room(2 * h * w)
      maps.resizeGradF32(k, { c: 2, h, w }, place(dy), r, c, [oh, ow], dx)
      r.release()
      c.release()
      return dx
    })
    close('resize', got, wanted)
  })
})

describe('normalisation', () => {
  it('sums channels over pictures in double precision', () => {
    for (const n of [1, 3, 4, 9, 16, 49]) {
      const [pictures, channels] = [3, 5]
      const [a, b] = [numbers(pictures * channels * n, 1), numbers(pictures * channels * n, 2)]
      onBoth('sums', (k, place, room) => {
        const { sum, dot } = maps.channelSumsF32(k, place(a), place(b), pictures, channels, n)
        for (let c = 0; c < channels; c++) {
          const at = Array.from({ length: pictures * n }, (_, i) => (Math.floor(i / n) * channels + c) * n + (i % n))
          const of = (term: (i: number) => number) => at.reduce((total, i) => total + term(i), 0)
          expect(sum[c]).toBeCloseTo(
            of((i) => a[i]),
            10,
          )
          expect(dot[c]).toBeCloseTo(
            of((i) => a[i] * b[i]),
            10,
          )
        }
        const out = room(4 * channels)
        out.u8().set(new Uint8Array(Float64Array.from([...sum, ...dot]).buffer))
        return out
      })
    }
  })

  it('maps two operands by three numbers a channel, in place too', () => {
    for (const n of [1, 4, 7, 25]) {
      const [x, y, p] = [numbers(3 * n, 1), numbers(3 * n, 2), numbers(9, 3)]
      const wanted = { values: new Float64Array(3 * n), sizes: new Float64Array(3 * n) }
      for (let i = 0; i < 3 * n; i++) {
        const terms = [x[i] * p[Math.floor(i / n)], y[i] * p[3 + Math.floor(i / n)], p[6 + Math.floor(i / n)]]
        wanted.values[i] = terms[0] + terms[1] + terms[2]
        wanted.sizes[i] = terms.reduce((size, term) => size + Math.abs(term), 0)
      }
      for (const inPlace of [false, true]) {
        const got = onBoth('affine', (k, place, room) => {
          const [a, b, coefficients] = [place(x), place(y), place(p)]
          const out = inPlace ? a : room(3 * n)
          maps.affine2F32(k, a, b, coefficients, out, 3, n)
          return out
        })
        close('affine', got, wanted)
      }
    }
  })
})
