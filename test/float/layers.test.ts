import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { runFloat } from '../../src/float/run.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import type { LayerOf } from '../../src/model/layers/layers.js'
import { parseReluSpec } from '../../src/model/relu/spec.js'
import { elementCount } from '../../src/model/shape.js'
import type { LayerTensors } from '../../src/model/weights.js'

const network = (layer: object, shape: number[], before: object[] = [], choices: object = {}) =>
  parseArchitecture({
    format: 'arch/1',
    name: 'one',
    inputs: [{ name: 'x', shape }],
    outputs: ['a'],
    choices,
    layers: [...before, { id: 'a', in: ['x'], ...layer }],
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
    expect(run({ op: 'shortcutA', padChannels: [-1, -1] }, [3, 1, 2], counting(6))).toEqual([3, 4])
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

  it('maxPool leaves the padding out, and knows ceil', () => {
    const pool = { op: 'maxPool', kernel: [2, 2], stride: [2, 2], pad: [1, 1, 0, 0] }
    expect(run(pool, [1, 1, 3], [-4, -8, -2])).toEqual([-4, -2])
    const ceil = { op: 'maxPool', kernel: [1, 2], stride: [1, 2], ceil: true }
    expect(run(ceil, [1, 1, 3], [4, 8, -12])).toEqual([8, -12])
  })

  it('clip, concat and weightedSum', () => {
    expect(run({ op: 'clip', min: -1, max: 6 }, [4], [-2, 3, 6, 7])).toEqual([-1, 3, 6, 6])
    const twice = { in: ['x', 'x'] }
    expect(run({ op: 'concat', ...twice }, [1, 1, 2], [1, 2])).toEqual([1, 2, 1, 2])
    const sum = { op: 'weightedSum', coef: 'c', ...twice }
    const coef = Float32Array.of(Math.log(3), 0)
    expect(run({ ...sum, norm: 'none' }, [2], [1, -2], { coef: Float32Array.of(3, -1) })).toEqual([2, -4])
    expect(run({ ...sum, norm: 'softmax' }, [1], [8], { coef })[0]).toBeCloseTo(8, 5)
    const arch = network({ ...sum, norm: 'softmax', in: ['x', 'z'] }, [1], [{ id: 'z', op: 'zero', in: ['x'] }])
    expect(runFloat(arch, new Map([['a', { coef }]]), undefined, Float32Array.of(8))[0]).toBeCloseTo(6, 5)
  })

  it('resize as PyTorch does without align_corners', () => {
    const resize = (mode: string, size: number[], shape: number[], values: number[]) =>
      run({ op: 'resize', mode, size }, shape, values)
    // torch.nn.functional.interpolate of [[1, 2], [3, 4]] and of [0, 1, 2, 3, 4].
    expect(resize('nearest', [2, 3], [1, 2, 2], [1, 2, 3, 4])).toEqual([1, 1, 2, 3, 3, 4])
    expect(resize('nearest', [1, 3], [1, 1, 5], [0, 1, 2, 3, 4])).toEqual([0, 1, 3])
    expect(resize('bilinear', [1, 4], [1, 1, 2], [1, 2])).toEqual([1, 1.25, 1.75, 2])
    const square = [1, 1.25, 1.75, 2, 1.5, 1.75, 2.25, 2.5, 2.5, 2.75, 3.25, 3.5, 3, 3.25, 3.75, 4]
    expect(resize('bilinear', [4, 4], [1, 2, 2], [1, 2, 3, 4])).toEqual(square)
    expect(resize('bilinear', [1, 2], [1, 1, 4], [1, 2, 3, 4])).toEqual([1.5, 3.5])
    expect(resize('broadcast', [2, 2], [2, 1, 1], [5, 7])).toEqual([5, 5, 5, 5, 7, 7, 7, 7])
    expect(() => resize('broadcast', [4, 4], [1, 2, 2], [1, 2, 3, 4])).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED', problems: [expect.stringContaining('broadcast')] }),
    )
  })

  it('choice runs the chosen option, and an open one is an error', () => {
    const of = [{ op: 'identity' }, { op: 'relu' }, { op: 'clip', min: 0, max: 1 }]
    const choice = (chosen?: number) =>
      network({ op: 'choice', key: 'k', of }, [3], [], chosen === undefined ? {} : { k: chosen })
    const x = Float32Array.of(-1, 0.5, 2)
    const outcomes = [0, 1, 2].map((chosen) => [...runFloat(choice(chosen), new Map(), undefined, x)])
    expect(outcomes).toEqual([
      [-1, 0.5, 2],
      [0, 0.5, 2],
      [0, 0.5, 1],
    ])
    expect(() => runFloat(choice(), new Map(), undefined, x)).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED', problems: [expect.stringContaining('choices')] }),
    )
  })

  it('a ReLU spec speaks of clips as it does of ReLUs', () => {
    const arch = network({ op: 'clip', min: 0, max: 6 }, [4, 1, 4])
    const blocks = [
      [1, 1],
      [1, 2],
      [0, 1],
      [1, 0],
    ]
    const json = { format: 'relu-spec/1', layers: { a: { kind: 'block', blocks } } }
    const spec = parseReluSpec(json, arch)
    const row = [-1, 3, 5, 9]
    const out = [...runFloat(arch, new Map(), spec, Float32Array.from([row, row, row, row].flat()))]
    expect([out.slice(0, 4), out.slice(4, 8), out.slice(8, 12), out.slice(12)]).toEqual([
      [0, 3, 5, 6],
      [-1, 3, 6, 6],
      row,
      [0, 0, 0, 0],
    ])
    const mask = parseReluSpec({ ...json, layers: { a: { kind: 'identity' } } }, arch)
    expect([...runFloat(arch, new Map(), mask, Float32Array.from([row, row, row, row].flat()))].slice(0, 4)).toEqual(
      row,
    )
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
