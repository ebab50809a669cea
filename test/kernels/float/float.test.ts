import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RingfenceError } from '../../../src/errors.js'
import * as f from '../../../src/kernels/float/conv.js'
import { loadFloatKernels } from '../../../src/kernels/float/instance.js'
import { type ConvGeometry, outputSize } from '../../../src/kernels/geometry.js'
import type { Region } from '../../../src/kernels/memory.js'
import { Bay, VARIANTS } from '../fixture.js'
import * as twin from './float-twin.js'

const RELU: f.Bounds = { low: 0, high: Number.POSITIVE_INFINITY }
const RELU6: f.Bounds = { low: 0, high: 6 }
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

/** Numbers of both signs and many magnitudes, the same in every run. */
function numbers(count: number, seed = 1): Float32Array {
  let state = seed * 0x9e3779b1
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state / 2 ** 31 - 1) * 2 ** ((state & 7) - 3)
  })
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

describe.each(VARIANTS)('float kernels, %s', (variant) => {
  const k = loadFloatKernels(variant)
  const bay = new Bay(k)
  const room = (words: number, offset = 0) => bay.room(4 * words, 4 * offset)
  const place = (values: ArrayLike<number>, offset = 0): Region => {
    const region = room(values.length, offset)
    region.f32().set(values)
    return region
  }

  function close(what: string, y: Region, { values, sizes }: twin.Sums, bounds: f.Bounds = f.UNBOUNDED): void {
    const got = y.f32()
    values.forEach((value, i) => {
      const wanted = twin.within(value, bounds.low, bounds.high)
      if (!(Math.abs(got[i] - wanted) <= 2 ** -20 * sizes[i] + 2 ** -140)) {
        expect.fail(`${what}: word ${i} is ${got[i]}, expected ${wanted}`)
      }
    })
  }

  function convolve(g: ConvGeometry, offset = 0, bounds = f.UNBOUNDED): void {
    const x = numbers(g.cin * g.h * g.w, 5)
    const w = numbers((g.cout * g.cin * g.kernel[0] * g.kernel[1]) / g.groups, 6)
    const bias = numbers(g.cout, 7)
    const [oh, ow] = outputSize(g)
    const y = room(g.cout * oh * ow, offset)
    const conv = f.packConvF32(k, g, w, bias)
    f.convF32(k, conv, place(x, offset), y, bounds)
    close(`conv ${JSON.stringify(g)}`, y, twin.conv(g, x, w, bias), bounds)
    if (g.groups === 1) addChannel(g, conv, x, w, bias, y)
    conv.release()
    bay.close(y)
  }

  /** One channel's change, added to the outputs before it. */
  function addChannel(
    g: ConvGeometry,
    conv: f.FloatConv,
    x: Float32Array,
    w: Float32Array,
    bias: Float32Array,
    y: Region,
  ): void {
    const plane = g.h * g.w
    const channel = g.cin >> 1
    const change = numbers(plane, 8)
    f.convF32(k, conv, place(x), y)
    f.addConvChannelF32(k, conv, channel, place(change), y)
    const changed = x.slice()
    change.forEach((value, i) => {
      changed[channel * plane + i] += value
    })
    const { values, sizes } = twin.conv(g, changed, w, bias)
    const before = twin.conv(g, x, w, bias).sizes
    close(`channel of ${JSON.stringify(g)}`, y, { values, sizes: sizes.map((size, i) => size + before[i]) })
  }

  it('convolve for every image width 1-67, dense, grouped and depthwise, at every alignment', () => {
    for (let w = 1; w <= 67; w++) {
      const at = w % 4
      convolve({ ...BASE, cin: 2, cout: 5, h: 2, w }, at, RELU)
      convolve({ ...BASE, cin: 4, cout: 6, h: 1, w, groups: 2 }, at, RELU6)
      convolve({ ...BASE, cin: 2, cout: 2, h: 4, w, groups: 2 }, at, RELU6)
      convolve({ ...BASE, cin: 2, cout: 4, h: 7, w, groups: 2, stride: [2, 2] }, at)
      convolve({ ...BASE, cin: 1, cout: 3, h: 1, w, kernel: [1, 1], pad: [0, 0, 0, 0] }, at)
    }
  })

  it('convolve fully connected layers of every length 1-67', () => {
    const full: ConvGeometry = { ...BASE, h: 1, w: 1, kernel: [1, 1], pad: [0, 0, 0, 0] }
    for (let cin = 1; cin <= 67; cin++) {
      convolve({ ...full, cin, cout: 68 - cin }, cin % 4, RELU)
      convolve({ ...full, cin: 2 * cin, cout: 6, groups: 2 }, cin % 4)
    }
  })

  it('convolve where the inner dimension takes several blocks, with the activation after the last', () => {
    convolve({ ...BASE, cin: 64, cout: 5, h: 3, w: 4 }, 0, RELU)
    convolve({ ...BASE, cin: 60, cout: 9, h: 8, w: 8, stride: [2, 2] }, 0, RELU6)
    convolve({ ...BASE, cin: 30, cout: 3, h: 3, w: 3, pad: [0, 0, 0, 0] })
    convolve({ ...BASE, cin: 58, cout: 4, h: 5, w: 5, kernel: [3, 3] })
  })

  it('convolve random shapes: strides, dilations, one-sided padding, groups', () => {
    fc.assert(
      fc.property(geometries, between(0, 3), (g, at) => convolve(g, at)),
      { numRuns: 150 },
    )
  })

  it('work element by element, at every length 0-67', () => {
    for (let n = 0; n <= 67; n++) {
      const [a, b] = [numbers(n, 2), numbers(n, 3)]
      const [x, y, out] = [place(a), place(b, 1), room(n, n % 4)]
      const check = (wanted: (i: number) => number) =>
        expect([...out.f32()]).toEqual(Array.from(a, (_, i) => Math.fround(wanted(i))))
      f.clampF32(k, x, RELU6, out, n)
      check((i) => (a[i] < 0 ? 0 : Math.min(a[i], 6)))
      f.addF32(k, x, y, out, n)
      check((i) => a[i] + b[i])
      f.addF32(k, x, y, out, n, RELU)
      check((i) => Math.max(a[i] + b[i], 0))
      f.subF32(k, x, y, out, n)
      check((i) => a[i] - b[i])
      out.f32().set(b)
      f.addScaledF32(k, x, 0.75, out, n)
      check((i) => Math.fround(a[i] * 0.75) + b[i])
      bay.close(out)
    }
  })

  it('work channel by channel', () => {
    for (const n of [1, 2, 3, 4, 5, 8, 19]) {
      const x = numbers(3 * n, 4)
      const [factors, shifts] = [numbers(3, 5), numbers(3, 6)]
      const out = room(3 * n)
      f.affineF32(k, place(x), place(factors), place(shifts), out, 3, n, RELU)
      const affine = Array.from(x, (value, i) => {
        const c = Math.floor(i / n)
        const sum = Math.fround(Math.fround(value * factors[c]) + shifts[c])
        return Math.max(sum, 0)
      })
      expect([...out.f32()]).toEqual(affine)
      bay.close(out)
    }
  })

  it('let a NaN pass and keep infinities', () => {
    const odd = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 7, -1]
    const out = room(5)
    f.clampF32(k, place(odd), RELU, out, 5)
    expect([...out.f32()]).toEqual([Number.NaN, Number.POSITIVE_INFINITY, 0, 7, 0])
    f.maxPoolF32(
      k,
      { c: 1, h: 1, w: 5, kernel: [1, 5], stride: [1, 1], pad: [0, 0, 0, 0], out: [1, 1] },
      place(odd),
      out,
    )
    expect(out.f32()[0]).toBeNaN()
    bay.close(out)
  })

  it('activate by blocks and by masks', () => {
    const sides = fc.constantFrom([1, 1], [0, 1], [1, 0], [2, 2], [3, 1], [2, 5], [4, 4], [9, 9])
    fc.assert(
      fc.property(pair(1, 9), fc.array(sides, { minLength: 1, maxLength: 5 }), fc.boolean(), ([h, w], list, six) => {
        const blocks = list as [number, number][]
        const bounds = six ? RELU6 : RELU
        const x = numbers(blocks.length * h * w, 9)
        const out = room(x.length)
        const table = bay.bytes(new Uint8Array(Int32Array.from(blocks.flat()).buffer))
        f.blockActivationF32(k, place(x), table, bounds, out, { c: blocks.length, h, w })
        const wanted = twin.blockActivation(x, blocks, bounds.low, bounds.high, h, w)
        expect(Array.from(out.f32(), (v) => v + 0)).toEqual(wanted.map((v) => v + 0))
        const bits = Uint8Array.from(x, (_, i) => (i % 3) & 1)
        f.maskActivationF32(k, place(x), bay.bytes(bits), six, bounds, out, x.length)
        const cut = (v: number) => twin.within(v, bounds.low, bounds.high)
        expect(Array.from(out.f32(), (v) => v + 0)).toEqual(
          Array.from(x, (v, i) => (bits[i] ? cut(v) : six ? v : 0) + 0),
        )
        bay.close(out)
      }),
      { numRuns: 100 },
    )
  })

  it('pool with padding on any side', () => {
    const shape = fc.record({
      kernel: pair(1, 4),
      stride: pair(1, 3),
      size: pair(4, 11),
      pads: pair(0, 3),
      out: pair(1, 3),
    })
    fc.assert(
      fc.property(shape, fc.boolean(), ({ kernel, stride, size: [h, w], pads, out }, countPad) => {
        const top = Math.min(pads[0], kernel[0] - 1)
        const right = Math.min(pads[1], kernel[1] - 1)
        const starts = (size: number, axis: 0 | 1, before: number) =>
          Math.min(out[axis], Math.floor((size + before - 1) / stride[axis]) + 1)
        const g = {
          c: 3,
          h,
          w,
          kernel,
          stride,
          pad: [top, 0, 0, right],
          out: [starts(h, 0, top), starts(w, 1, 0)],
        } as const
        const x = numbers(3 * h * w, 10)
        const windows = twin.poolWindows(g, x)
        const y = room(windows.length)
        f.maxPoolF32(k, g, place(x), y)
        expect([...y.f32()]).toEqual(windows.map(({ elements }) => Math.max(...elements)))
        f.avgPoolF32(k, g, place(x), countPad, y)
        const sum = (list: number[]) => list.reduce((a, b) => a + b, 0)
        const mean = windows.map(({ elements, places }) => sum(elements) / (countPad ? places : elements.length))
        expect([...y.f32()]).toEqual(mean.map(Math.fround))
        bay.close(y)
      }),
      { numRuns: 100 },
    )
  })

  it('pad, crop and blend', () => {
    const x = place([1, 2, 3, 4, 5, 6])
    const y = room(12)
    f.padF32(k, { c: 1, h: 2, w: 3 }, x, [1, -1], 9, [3, 4], y)
    expect([...y.f32()]).toEqual([9, 9, 9, 9, 2, 3, 9, 9, 5, 6, 9, 9])
    const rows = f.blendTable(k, [{ first: 0, second: 1, weight: 0.25 }])
    const columns = f.blendTable(k, [
      { first: 2, second: 2, weight: 0 },
      { first: 0, second: 1, weight: 0.5 },
    ])
    f.resizeF32(k, { c: 1, h: 2, w: 3 }, x, rows, columns, [1, 2], y)
    expect([...y.f32().subarray(0, 2)]).toEqual([3.75, 2.25])
    expect(() => f.resizeF32(k, { c: 1, h: 1, w: 3 }, x, rows, columns, [1, 2], y)).toThrow(RangeError)
    bay.close(y)
  })

  it('refuse wrong geometries, short regions, overlap and weights of another instance', () => {
    expect(() => f.packConvF32(k, { ...BASE, groups: 3 }, numbers(144))).toThrow(RingfenceError)
    expect(() => f.packConvF32(k, BASE, numbers(143))).toThrow(RangeError)
    expect(() => f.packConvF32(k, BASE, numbers(144), numbers(3))).toThrow(RangeError)
    const [x, y] = [room(144), room(144)]
    const conv = f.packConvF32(k, BASE, numbers(144))
    expect(() => f.convF32(loadFloatKernels(variant), conv, x, y)).toThrow(RangeError)
    expect(() => f.convF32(k, conv, x.part(0, 572), y)).toThrow(RangeError)
    expect(() => f.convF32(k, conv, x, x)).toThrow(RangeError)
    expect(() => f.addConvChannelF32(k, conv, 4, x, y)).toThrow(RangeError)
    conv.release()
    bay.close(y)
  })
})

it('float convolutions have the same bits in both builds', () => {
  const bits = VARIANTS.map((variant) => {
    const k = loadFloatKernels(variant)
    return [
      { ...BASE, cin: 40, cout: 7, h: 9, w: 9 },
      { ...BASE, cin: 70, h: 1, w: 1, kernel: [1, 1], pad: [0, 0, 0, 0] } as const,
      { ...BASE, groups: 4, h: 7, w: 9, stride: [2, 2] } as const,
    ].map((g) => {
      const [oh, ow] = outputSize(g)
      const x = k.memory.alloc(4 * g.cin * g.h * g.w)
      x.f32().set(numbers(x.byteLength / 4, 11))
      const y = k.memory.alloc(4 * g.cout * oh * ow)
      const weights = numbers((g.cout * g.cin * g.kernel[0] * g.kernel[1]) / g.groups, 12)
      f.convF32(k, f.packConvF32(k, g, weights, numbers(g.cout, 13)), x, y, RELU6)
      return [...y.u32()]
    })
  })
  expect(bits[0]).toEqual(bits[1])
})
