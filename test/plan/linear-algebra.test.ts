// What folding makes of linear maps evaluates to the same numbers, borders included; and where it makes nothing, a fold
// would change them.
import { afterAll, describe, expect, it } from 'vitest'
import { type ConvGeometry, geometryProblems, outputSize } from '../../src/kernels/geometry.js'
import { affineFilter, type Expression, type Filter } from '../../src/plan/compile/expression.js'
import { constant, convolved, mergedSum, scaleChannels } from '../../src/plan/compile/linear-algebra.js'
import { elementCount, type MapShape } from '../../src/plan/plan.js'
import { type Draw, drawFrom, whole } from '../protocol/mcc/gadget-plan.js'
import { evaluate } from './evaluate.js'

/** Composed weights are float32. */
const ROUNDING = 2e-5

const pick = <T>(draw: Draw, list: readonly T[]): T => list[whole(draw, 0, list.length - 1)]
const values = (draw: Draw, length: number) => Float32Array.from({ length }, () => 2 * draw() - 1)
const tensor = (index: number, shape: MapShape): Expression => ({ kind: 'tensor', tensor: index, shape })

function expectSame(folded: Expression, plain: Expression, tensors: readonly Float64Array[], what: unknown): void {
  const [found, wanted] = [evaluate(folded, tensors), evaluate(plain, tensors)]
  expect(found.length).toBe(wanted.length)
  const range = wanted.reduce((most, x) => Math.max(most, Math.abs(x)), 1)
  const off = wanted.findIndex((x, i) => !(Math.abs(x - found[i]) < ROUNDING * range))
  expect(off, `element ${off}: ${found[off]} instead of ${wanted[off]} in ${JSON.stringify(what)}`).toBe(-1)
}

function filterOf(draw: Draw, geometry: ConvGeometry, bias: boolean): Filter {
  const area = geometry.kernel[0] * geometry.kernel[1]
  const weights = values(draw, ((geometry.cout * geometry.cin) / geometry.groups) * area)
  return { layer: 'c', geometry, weights, bias: bias ? values(draw, geometry.cout) : new Float32Array(geometry.cout) }
}

const convOf = (of: Expression, filter: Filter): Expression => ({
  kind: 'conv',
  of,
  filter,
  shape: [filter.geometry.cout, ...outputSize(filter.geometry)],
})

/** Small windows of every sort, often with a single tap along one axis or both. */
function randomGeometry(draw: Draw, [cin, h, w]: MapShape): ConvGeometry {
  const sizes = pick(draw, [
    [1, 1],
    [1, 1],
    [1, 3],
    [3, 1],
    [2, 1],
    [1, 2],
    [3, 3],
    [2, 3],
  ] as const)
  const two = (low: number, high: number): [number, number] => [whole(draw, low, high), whole(draw, low, high)]
  const groups = pick(
    draw,
    [1, 1, 2, 3, cin].filter((g) => cin % g === 0),
  )
  const bare = draw() < 0.4
  const geometry: ConvGeometry = {
    ...{ cin, h, w, cout: groups * whole(draw, 1, 3), kernel: sizes, groups },
    stride: draw() < 0.6 ? [1, 1] : two(1, 2),
    pad: bare ? [0, 0, 0, 0] : [...two(0, 2), ...two(0, 2)],
    dilation: draw() < 0.6 ? [1, 1] : two(1, 2),
  }
  return geometryProblems(geometry).length === 0 ? geometry : randomGeometry(draw, [cin, h, w])
}

const randomMap = (draw: Draw): MapShape => [pick(draw, [1, 2, 3, 4, 6]), whole(draw, 3, 7), whole(draw, 3, 7)]
const randomTensor = (draw: Draw, shape: MapShape) => Float64Array.from(values(draw, elementCount(shape)))

describe('a convolution behind a convolution', () => {
  const folded = { pointwise: 0, before: 0, axes: 0, refused: 0 }
  it('is one convolution of the same values, borders included', () => {
    for (let seed = 0; seed < 6000; seed++) {
      const draw = drawFrom(seed)
      const map = randomMap(draw)
      const first = convOf(tensor(0, map), filterOf(draw, randomGeometry(draw, map), draw() < 0.4))
      const second = filterOf(draw, randomGeometry(draw, first.shape), draw() < 0.5)
      const plain = convOf(first, second)
      const joined = convolved(first, second, plain.shape)
      if (!joined) {
        folded.refused++
        continue
      }
      const one = joined.kind === 'add' ? joined.of[0] : joined
      expect(one.kind === 'conv' && one.of.kind).toBe('tensor')
      const geometry = first.kind === 'conv' && first.filter.geometry
      expectSame(joined, plain, [randomTensor(draw, map)], { seed, first: geometry, second: second.geometry })
      const single = (g: ConvGeometry) => g.kernel.every((k) => k === 1)
      folded[single(second.geometry) ? 'pointwise' : geometry && single(geometry) ? 'before' : 'axes']++
    }
  })
  afterAll(() => {
    console.log(`convolutions behind convolutions: ${JSON.stringify(folded)}`)
    for (const count of Object.values(folded)) expect(count).toBeGreaterThan(100)
  })
})

/** What a rule would make of two convolutions if it did not ask what lies outside the map between them. */
function carelessly(first: Filter, second: Filter, map: MapShape): Expression {
  const [a, b] = [first.geometry, second.geometry]
  const kernel = [a.kernel[0] + b.kernel[0] - 1, a.kernel[1] + b.kernel[1] - 1] as const
  const weights = new Float32Array(b.cout * a.cin * kernel[0] * kernel[1])
  const at = ([c0, c1, y, x]: number[], { weights: w, geometry: g }: Filter) =>
    w[((c0 * g.cin + c1) * g.kernel[0] + y) * g.kernel[1] + x]
  const pairs = [b.cout, a.cout, a.cin, ...a.kernel, ...b.kernel].reduce<number[][]>(
    (list, n) => list.flatMap((head) => Array.from({ length: n }, (_, i) => [...head, i])),
    [[]],
  )
  for (const [out, m, i, ay, ax, by, bx] of pairs) {
    const to = ((out * a.cin + i) * kernel[0] + ay + by) * kernel[1] + ax + bx
    weights[to] += at([out, m, by, bx], second) * at([m, i, ay, ax], first)
  }
  const bias = second.bias.map((base, out) => {
    let sum = base
    for (let m = 0; m < a.cout; m++) {
      for (let t = 0; t < b.kernel[0] * b.kernel[1]; t++) {
        sum += second.weights[(out * a.cout + m) * b.kernel[0] * b.kernel[1] + t] * first.bias[m]
      }
    }
    return sum
  })
  const pad = a.pad.map((p, i) => p + b.pad[i]) as unknown as ConvGeometry['pad']
  const geometry = { ...a, cout: b.cout, kernel, pad }
  return convOf(tensor(0, map), { layer: 'c', geometry, weights, bias })
}

describe('convolutions that do not fold would change the border', () => {
  const map: MapShape = [2, 6, 7]
  const square = { cin: 2, h: 6, w: 7, cout: 2, stride: [1, 1], dilation: [1, 1], groups: 1 } as const
  const three = { ...square, kernel: [3, 3], pad: [1, 1, 1, 1] } as const
  const row = { ...square, kernel: [1, 3], pad: [0, 1, 0, 1] } as const
  const column = { ...square, kernel: [3, 1], pad: [1, 0, 1, 0] } as const
  const point = { ...square, kernel: [1, 1], pad: [0, 0, 0, 0] } as const
  const cases: [string, ConvGeometry, ConvGeometry, boolean][] = [
    ['3×3 behind 3×3', three, three, false],
    ['1×3 behind 1×3', row, row, false],
    ['3×3 behind 1×1 with bias', point, three, true],
    ['3×1 behind 1×3 with bias', row, column, true],
    ['1×1 with padding behind 3×3', three, { ...point, pad: [1, 1, 1, 1] }, false],
    ['3×1 with padding at the sides behind 1×3', row, { ...column, pad: [1, 1, 1, 1] }, false],
  ]
  it.each(cases)('%s', (_, a, b, bias) => {
    const draw = drawFrom(5)
    const first = filterOf(draw, a, bias)
    const [oh, ow] = outputSize(a)
    const second = filterOf(draw, { ...b, h: oh, w: ow }, false)
    const plain = convOf(convOf(tensor(0, map), first), second)
    expect(convolved(convOf(tensor(0, map), first), second, plain.shape)).toBeNull()
    const careless = carelessly(first, second, map)
    expect(careless.shape).toEqual(plain.shape)
    const tensors = [randomTensor(draw, map)]
    const [found, wanted] = [evaluate(careless, tensors), evaluate(plain, tensors)]
    const [, h, w] = plain.shape
    const off = Array.from(found, (x, i) => Math.abs(x - wanted[i]) > ROUNDING)
    expect(off.some(Boolean)).toBe(true)
    const inside = off.filter((__, i) => {
      const [y, x] = [Math.floor(i / w) % h, i % w]
      return Math.min(y, x, h - 1 - y, w - 1 - x) >= 2
    })
    expect(inside.length).toBeGreaterThan(0)
    expect(inside.some(Boolean), 'the middle would be right').toBe(false)
  })
})

/** Divisors of windows that leave out what lies beyond the border: a factor per position. */
function borderedPool(draw: Draw, of: Expression): Expression {
  const [c, h, w] = of.shape
  const [kh, kw] = [whole(draw, 1, Math.min(3, h)), whole(draw, 1, Math.min(3, w))]
  const [top, left] = [whole(draw, 0, kh - 1), whole(draw, 0, kw - 1)]
  const shape: MapShape = [c, h, w]
  const pad = [top, left, kh - 1 - top, kw - 1 - left] as const
  const pool: Expression = { kind: 'pool', of, kernel: [kh, kw], stride: [1, 1], pad, shape }
  const inside = (i: number, size: number, kernel: number, before: number) =>
    Math.min(i - before + kernel, size) - Math.max(i - before, 0)
  const factor = Array.from(
    { length: h * w },
    (_, i) => 1 / (inside(Math.floor(i / w), h, kh, top) * inside(i % w, w, kw, left)),
  )
  return { kind: 'lift', of: pool, factor, shape }
}

const lifted = (of: Expression, factor: number): Expression => ({ kind: 'lift', of, factor, shape: of.shape })
const negated = (of: Expression): Expression => ({ kind: 'negate', of, shape: of.shape })
const added = (of: readonly Expression[]): Expression => ({ kind: 'add', of, shape: of[0].shape })

/** A convolution that keeps the map's size, off centre at times, with any grouping. */
function keepingConv(draw: Draw, of: Expression, cout: number): Expression {
  const [cin, h, w] = of.shape
  const kernel = pick(draw, [[1, 1], [1, 3], [3, 1], [3, 3], [2, 2], [1, 5], [5, 5]] as const) // biome-ignore format: a list
  const dilation = pick(draw, [[1, 1], [1, 1], [2, 2], [1, 2]] as const) // biome-ignore format: a list
  const edges = kernel.map((k, i) => dilation[i] * (k - 1))
  const before = edges.map((edge) => (draw() < 0.7 ? Math.ceil(edge / 2) : whole(draw, 0, edge)))
  const pad = [before[0], before[1], edges[0] - before[0], edges[1] - before[1]] as const
  const groups = pick(
    draw,
    [1, 1, 2, cin].filter((g) => cin % g === 0 && cout % g === 0),
  )
  return convOf(of, filterOf(draw, { cin, h, w, cout, kernel, stride: [1, 1], pad, dilation, groups }, draw() < 0.5))
}

describe('sums', () => {
  it('of branches of one map become fewer convolutions of the same values', () => {
    let [before, after] = [0, 0]
    for (let seed = 0; seed < 1500; seed++) {
      const draw = drawFrom(seed)
      const map = randomMap(draw)
      const sources = [tensor(0, map), tensor(1, map)]
      const branch = (): Expression => {
        const of = draw() < 0.8 ? sources[0] : sources[1]
        const sort = draw()
        if (sort < 0.6) return keepingConv(draw, of, map[0])
        if (sort < 0.75) return lifted(of, 2 * draw() - 1)
        if (sort < 0.85) return borderedPool(draw, of)
        if (sort < 0.95) return added([keepingConv(draw, of, map[0]), lifted(of, 0.5)])
        return negated(keepingConv(draw, of, map[0]))
      }
      const parts = Array.from({ length: whole(draw, 2, 6) }, branch)
      const merged = mergedSum(parts, map)
      expectSame(merged, added(parts), [randomTensor(draw, map), randomTensor(draw, map)], { seed, parts })
      before += parts.length
      after += merged.kind === 'add' ? merged.of.length : 1
    }
    console.log(`sums: ${before} branches in ${after} operations`)
    expect(after).toBeLessThan(0.7 * before)
  })

  it('merge what has strides, too', () => {
    let merges = 0
    for (let seed = 0; seed < 2000; seed++) {
      const draw = drawFrom(seed)
      const map: MapShape = [2, whole(draw, 4, 7), whole(draw, 4, 7)]
      const source = tensor(0, map)
      const convs = Array.from({ length: 8 }, () => {
        const geometry = { ...randomGeometry(draw, map), cout: 2, groups: pick(draw, [1, 2]) }
        return convOf(source, filterOf(draw, geometry, true))
      })
      const parts = convs.filter(({ shape }) => shape.join() === convs[0].shape.join())
      const sum = mergedSum(parts, convs[0].shape)
      if ((sum.kind === 'add' ? sum.of.length : 1) < parts.length) merges++
      expectSame(sum, added(parts), [randomTensor(draw, map)], { seed, parts })
    }
    expect(merges).toBeGreaterThan(200)
  })

  it('keep apart what reads another map, has other strides, or takes too many multiplications together', () => {
    const draw = drawFrom(1)
    const map: MapShape = [8, 32, 32]
    const source = tensor(0, map)
    const geometry = { cin: 8, h: 32, w: 32, cout: 8, kernel: [3, 3], groups: 1, stride: [1, 1] } as const
    const conv = (more: Partial<ConvGeometry> = {}, of = source) =>
      convOf(of, filterOf(draw, { ...geometry, pad: [1, 1, 1, 1], dilation: [1, 1], ...more }, false))
    const halved = conv({ stride: [2, 2] })
    const count = (host: Expression, guest: Expression) => {
      const sum = mergedSum([host, guest], host.shape)
      return sum.kind === 'add' ? sum.of.length : 1
    }
    expect(count(conv(), conv())).toBe(1)
    expect(count(conv(), conv({ groups: 4 }))).toBe(1)
    expect(count(conv(), conv({ dilation: [2, 2], pad: [2, 2, 2, 2] }))).toBe(1)
    expect(count(halved, conv({ stride: [2, 2], kernel: [1, 1], pad: [0, 0, 0, 0] }))).toBe(1)
    expect(count(conv(), conv({}, tensor(1, map)))).toBe(2)
    expect(count(conv({ kernel: [2, 2], stride: [2, 2], pad: [0, 0, 0, 0] }), conv({ stride: [2, 2] }))).toBe(1)
    expect(count({ ...conv({ stride: [1, 2], pad: [0, 1, 0, 1] }), shape: halved.shape }, halved)).toBe(2)
    // 25×25 taps for twice 9.
    expect(count(conv(), conv({ dilation: [12, 12], pad: [12, 12, 12, 12] }))).toBe(1)
    expect(count(conv(), conv({ dilation: [14, 13], pad: [14, 13, 14, 13] }))).toBe(2)
  })
})

/** A weighted value of any sort: what scaling and convolving have to get through. */
function randomValue(draw: Draw, of: Expression, depth = 2): Expression {
  const channels = of.shape[0]
  const again = () => randomValue(draw, of, depth - 1)
  switch (whole(draw, depth > 0 ? 0 : 3, 6)) {
    case 0:
      return added([again(), again()])
    case 1:
      return negated(again())
    case 2: {
      const inner = again()
      const [top, left] = [whole(draw, 0, 2), whole(draw, 0, 2)]
      const [from, stride] = [
        [whole(draw, 0, 1), whole(draw, 0, 1)],
        [whole(draw, 1, 2), whole(draw, 1, 2)],
      ] as const
      return { kind: 'embed', of: inner, stride, from, at: [whole(draw, -1, 1), top, left], shape: of.shape }
    }
    case 3:
      return borderedPool(draw, of)
    case 4:
      return lifted(of, 2 * draw() - 1)
    case 5:
      return constant(values(draw, channels), of.shape)
    default:
      return keepingConv(draw, of, channels)
  }
}

describe('a factor per channel', () => {
  it('goes into any weighted value: sums, copies, averages with corrected borders', () => {
    for (let seed = 0; seed < 1500; seed++) {
      const draw = drawFrom(seed)
      const map = randomMap(draw)
      const value = randomValue(draw, tensor(0, map))
      const factors = values(draw, map[0])
      const found = scaleChannels(value, factors, 's')
      expect(found, `seed ${seed}`).not.toBeNull()
      const scale = affineFilter('s', map, factors, new Float32Array(map[0]))
      expectSame(found!, convOf(value, scale), [randomTensor(draw, map)], { seed, value })
    }
  })

  it('of an average takes one convolution per region of windows alike: nine for 3×3 at the borders', () => {
    const of = tensor(0, [2, 6, 6])
    const pool: Expression = { kind: 'pool', of, kernel: [3, 3], stride: [1, 1], pad: [1, 1, 1, 1], shape: of.shape }
    const edge = (i: number) => (i === 0 || i === 5 ? 2 : 3)
    const factor = Array.from({ length: 36 }, (_, i) => 1 / (edge(Math.floor(i / 6)) * edge(i % 6)))
    const found = scaleChannels({ kind: 'lift', of: pool, factor, shape: of.shape }, new Float32Array([1, 2]), 's')
    expect(found?.kind === 'add' && found.of.length).toBe(9)
  })

  it('does not go through what would lose or double it', () => {
    const of = tensor(0, [2, 3, 4])
    const conv = keepingConv(drawFrom(1), of, 2)
    const reshaped: Expression = { kind: 'add', of: [conv], shape: [4, 3, 2] }
    expect(scaleChannels(reshaped, values(drawFrom(1), 4), 's')).toBeNull()
    const pool: Expression = {
      kind: 'pool',
      of: conv,
      kernel: [3, 4],
      stride: [3, 4],
      pad: [0, 0, 0, 0],
      shape: [2, 1, 1],
    }
    expect(scaleChannels(pool, values(drawFrom(1), 2), 's')).toBeNull()
  })
})

describe('a convolution of a sum', () => {
  it('is the sum of the convolutions, with the bias once', () => {
    let [folded, refused] = [0, 0]
    for (let seed = 0; seed < 3000; seed++) {
      const draw = drawFrom(seed)
      const map = randomMap(draw)
      const value = randomValue(draw, tensor(0, map))
      if (value.kind === 'conv') continue
      const plain = convOf(value, filterOf(draw, randomGeometry(draw, map), draw() < 0.5))
      const joined = plain.kind === 'conv' && convolved(value, plain.filter, plain.shape)
      if (!joined) refused++
      else {
        folded++
        expectSame(joined, plain, [randomTensor(draw, map)], { seed, value })
      }
    }
    console.log(`convolutions of sums: ${folded} folded, ${refused} not`)
    expect(folded).toBeGreaterThan(500)
    expect(refused).toBeGreaterThan(200)
  })
})
