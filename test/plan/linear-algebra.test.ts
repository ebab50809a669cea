// What folding makes of linear maps evaluates to the same numbers, borders included; and where it makes nothing, a fold
// would change them.
import { afterAll, describe, expect, it } from 'vitest'
import { type ConvGeometry, geometryProblems, outputSize } from '../../src/kernels/geometry.js'
import { affineFilter, type Expression, type Filter } from '../../src/plan/expression.js'
import { constant, convolved, mergedSum, scaleChannels } from '../../src/plan/linear-algebra.js'
import { type MapShape, mapSize } from '../../src/plan/plan.js'
import { type Draw, drawFrom, whole } from '../protocol/gadget-plan.js'
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

/** How many elements of two expressions differ, and how many do not. */
function differing(a: Expression, b: Expression, tensors: readonly Float64Array[]): [differ: boolean[], count: number] {
  const [x, y] = [evaluate(a, tensors), evaluate(b, tensors)]
  const differ = Array.from(x, (v, i) => Math.abs(v - y[i]) > ROUNDING)
  return [differ, differ.filter(Boolean).length]
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
const randomTensor = (draw: Draw, shape: MapShape) => Float64Array.from(values(draw, mapSize(shape)))

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
