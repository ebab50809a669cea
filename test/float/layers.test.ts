import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { runFloat } from '../../src/float/run.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import type { LayerOf } from '../../src/model/layers.js'
import { elementCount } from '../../src/model/shape.js'
import type { LayerTensors } from '../../src/model/weights.js'

const network = (layer: object, shape: number[]) =>
  parseArchitecture({
    format: 'arch/1',
    name: 'one',
    inputs: [{ name: 'x', shape }],
    outputs: ['a'],
    layers: [{ id: 'a', in: ['x'], ...layer }],
  })

function run(layer: object, shape: number[], values: number[], tensors: LayerTensors = {}): number[] {
  return [...runFloat(network(layer, shape), new Map([['a', tensors]]), undefined, Float32Array.from(values))]
}

const counting = (n: number) => Array.from({ length: n }, (_, i) => i + 1)

/** Convolution as its definition reads: for every output element, every tap that lies within the map. */
function slowConvolve(layer: LayerOf<'conv2d'>, x: Float32Array, weight: Float32Array): Float32Array {
  const [cin, h, w] = layer.inShapes[0]
  const [cout, oh, ow] = layer.out
  const [kh, kw] = layer.kernel
  const perIn = cin / layer.groups
  const perOut = cout / layer.groups
  return Float32Array.from({ length: cout * oh * ow }, (_, i) => {
    const o = Math.floor(i / (oh * ow))
    const oy = Math.floor(i / ow) % oh
    const first = Math.floor(o / perOut) * perIn
    let sum = 0
    for (let t = 0; t < perIn * kh * kw; t++) {
      const c = first + Math.floor(t / (kh * kw))
      const y = oy * layer.stride[0] + (Math.floor(t / kw) % kh) * layer.dilation[0] - layer.pad[0]
      const z = (i % ow) * layer.stride[1] + (t % kw) * layer.dilation[1] - layer.pad[1]
      if (y >= 0 && y < h && z >= 0 && z < w) sum += weight[o * perIn * kh * kw + t] * x[(c * h + y) * w + z]
    }
    return sum
  })
}

describe('convolution', () => {
  it('equals its definition for every variant', () => {
    const small = fc.integer({ min: 1, max: 3 })
    const edge = fc.integer({ min: 0, max: 2 })
    const four = fc.tuple(edge, edge, edge, edge)
    const shape = fc.tuple(small, small, small, fc.integer({ min: 5, max: 9 }), fc.integer({ min: 5, max: 9 }))
    const two = fc.tuple(small, small)
    fc.assert(
      fc.property(
        shape,
        two,
        two,
        fc.tuple(fc.constantFrom(1, 2), fc.constantFrom(1, 2)),
        four,
        (s, kernel, stride, dilation, pad) => {
          const [groups, perIn, perOut, h, w] = s
          const spec = { op: 'conv2d', cout: groups * perOut * 3, kernel, stride, dilation, pad, groups, bias: false }
          const arch = network(spec, [groups * perIn, h, w])
          const layer = arch.layers[0] as LayerOf<'conv2d'>
          const whole = (n: number, factor: number) =>
            Float32Array.from({ length: n }, (_, i) => ((i * factor) % 17) - 8)
          const x = whole(groups * perIn * h * w, 5)
          const weight = whole(layer.cout * perIn * kernel[0] * kernel[1], 7)
          const out = runFloat(arch, new Map([['a', { weight }]]), undefined, x)
          expect(out).toEqual(slowConvolve(layer, x, weight))
        },
      ),
      { numRuns: 200 },
    )
  })

  it('adds its bias', () => {
    const tensors = { weight: Float32Array.of(2, 3), bias: Float32Array.of(10, 20) }
    expect(run({ op: 'conv2d', cout: 2, kernel: [1, 1] }, [1, 1, 2], [1, 2], tensors)).toEqual([12, 14, 23, 26])
  })
})

describe('other layers', () => {
  it('linear, batchNorm and channelScale', () => {
    const linear = { weight: Float32Array.of(1, 2, 3, 4), bias: Float32Array.of(5, 6) }
    expect(run({ op: 'linear', cout: 2 }, [2], [1, 10], linear)).toEqual([26, 49])
    const norm = { weight: [2], bias: [1], running_mean: [3], running_var: [4] }
    const tensors = Object.fromEntries(Object.entries(norm).map(([k, v]) => [k, Float32Array.from(v)]))
    expect(run({ op: 'batchNorm', eps: 0 }, [1, 1, 2], [3, 5], tensors)).toEqual([1, 3])
    expect(run({ op: 'channelScale' }, [2, 1, 1], [3, 5], { weight: Float32Array.of(2, -1) })).toEqual([6, -5])
  })

  it('pad fills and crops', () => {
    expect(run({ op: 'pad', pad: [1, 0, 0, 1] }, [1, 1, 2], [1, 2])).toEqual([0, 0, 0, 1, 2, 0])
    expect(run({ op: 'pad', pad: [0, -1, -1, 1], fill: 9 }, [1, 2, 2], [1, 2, 3, 4])).toEqual([2, 9])
  })

  it('subsample and shortcutA', () => {
    expect(run({ op: 'subsample', stride: [2, 2], offset: [1, 0] }, [1, 3, 3], counting(9))).toEqual([4, 6])
    const spec = { op: 'shortcutA', stride: [2, 2], padChannels: [1, 2] }
    expect(run(spec, [1, 2, 3], counting(6))).toEqual([0, 0, 1, 3, 0, 0, 0, 0])
  })

  it('avgPool divides by what countPad says, and knows ceil', () => {
    const pool = { op: 'avgPool', kernel: [2, 2], stride: [2, 2], pad: [1, 1, 0, 0] }
    expect(run({ ...pool, countPad: true }, [1, 1, 3], [4, 8, 12])).toEqual([1, 5])
    expect(run({ ...pool, countPad: false }, [1, 1, 3], [4, 8, 12])).toEqual([4, 10])
    const ceil = { op: 'avgPool', kernel: [1, 2], stride: [1, 2], ceil: true }
    expect(run({ ...ceil, countPad: true }, [1, 1, 3], [4, 8, 12])).toEqual([6, 12])
    expect(run({ op: 'globalAvgPool' }, [2, 1, 2], [1, 3, 5, 9])).toEqual([2, 7])
  })

  it('identity, zero, flatten and add', () => {
    expect(run({ op: 'identity' }, [2], [1, -2])).toEqual([1, -2])
    expect(run({ op: 'zero' }, [2], [1, -2])).toEqual([0, 0])
    expect(run({ op: 'flatten' }, [1, 2, 1], [1, -2])).toEqual([1, -2])
    const arch = network({ op: 'add', in: ['x', 'x', 'x'] }, [2])
    expect([...runFloat(arch, new Map(), undefined, Float32Array.of(1, -2))]).toEqual([3, -6])
  })

  it('refuses NaN, infinities and a wrong length', () => {
    const arch = network({ op: 'identity' }, [2])
    for (const wrong of [[1], [1, Number.NaN], [Number.POSITIVE_INFINITY, 0]]) {
      expect(() => runFloat(arch, new Map(), undefined, Float32Array.from(wrong))).toThrow(
        expect.objectContaining({ code: 'BAD_INPUT' }),
      )
    }
    expect(elementCount(arch.layers[0].out)).toBe(2)
  })
})
