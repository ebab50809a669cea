// Transposes of linear steps: ⟨γ, L(x)⟩ = ⟨Lᵀγ, x⟩ mod 2^32 for the plain-text L, over every operation and every convolution.
import { describe, expect, it } from 'vitest'
import { loadKernels, upload } from '../../src/kernels/instance.js'
import { calibrate } from '../../src/plan/calibrate.js'
import { compile } from '../../src/plan/compile/compile.js'
import { elementCount, type LinearOp, type MapShape, type Plan, type Step, tensorShape } from '../../src/plan/plan.js'
import { int32, linearReference } from '../../src/plan/reference/linear.js'
import { accumulateAdjoint } from '../../src/protocol/adjoint.js'
import type { PlannedStep } from '../../src/protocol/step.js'
import { type Draw, drawFrom } from './mcc/gadget-plan.js'
import { growNetwork } from './networks/zoo.js'

const GAMMAS = 3
const words = (draw: Draw, count: number) => Int32Array.from({ length: count }, () => Math.floor(draw() * 2 ** 32) | 0)
const dot = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum = (sum + Math.imul(a[i], b[i])) | 0
  return sum
}

/** ⟨γ, L(x)⟩ and Σ ⟨Lᵀγ, x⟩ over the step's tensors, for random words everywhere. */
function bothSides(
  linear: readonly LinearOp[],
  shapes: readonly MapShape[],
  draw: Draw,
  spoil = (filter: Int32Array) => filter,
): [number, number][] {
  const k = loadKernels()
  const step = { id: 's', linear, out: linear[linear.length - 1].out, scale: 0, activation: null } as unknown as Step
  const size = elementCount(linear[linear.length - 1].out)
  const tensors = shapes.map((shape) => words(draw, elementCount(shape)))
  const filters = linear.map((op) => {
    if (op.op !== 'conv') return new Int32Array(0)
    const { cin, cout, groups, kernel } = op.geometry
    return words(draw, (cout * cin * kernel[0] * kernel[1]) / groups)
  })
  const y = linearReference(int32, step, tensors, (i) => filters[i])
  const gammas = Array.from({ length: GAMMAS }, (_, n) => {
    // The first is binary, as checks use them; adding to what is there already is part of the contract.
    return n === 0 ? Int32Array.from({ length: size }, () => Math.floor(draw() * 2)) : words(draw, size)
  })
  const before = tensors.map((tensor) => gammas.map(() => words(draw, tensor.length)))
  const sums = before.map((each) => each.map((start) => upload(k.memory, start)))
  const own = gammas.map((gamma) => upload(k.memory, gamma))
  const uploaded = filters.map((filter) => upload(k.memory, spoil(filter)))
  const planned = { index: 0, step, size, activation: null, relu: null } as PlannedStep
  const inUse = k.memory.inUse
  accumulateAdjoint(k, planned, own, { weights: (i) => uploaded[i], tensor: (i) => sums[i] })
  expect(k.memory.inUse).toBe(inUse)
  return gammas.map((gamma, n) => {
    expect([...own[n].i32()]).toEqual([...gamma])
    const pulled = tensors.reduce((sum, x, i) => sum + dot(sums[i][n].i32(), x) - dot(before[i][n], x), 0)
    return [dot(gamma, y), pulled | 0]
  })
}

const expectEqual = (pairs: [number, number][]) => {
  for (const [left, right] of pairs) expect(right).toBe(left)
}

const conv = (input: MapShape, rest: object): LinearOp[] => {
  const [cin, h, w] = input
  const geometry = {
    ...{ cin, h, w, cout: 4, kernel: [3, 3], stride: [1, 1], pad: [1, 1, 1, 1], dilation: [1, 1], groups: 1 },
    ...rest,
  } as Extract<LinearOp, { op: 'conv' }>['geometry']
  const along = (axis: 0 | 1) => {
    const pads = geometry.pad[axis] + geometry.pad[axis + 2]
    const reach = geometry.dilation[axis] * (geometry.kernel[axis] - 1) + 1
    return Math.floor(((axis === 0 ? h : w) + pads - reach) / geometry.stride[axis]) + 1
  }
  const out = [geometry.cout, along(0), along(1)] as const
  return [
    { op: 'tensor', tensor: 0, out: input },
    { op: 'conv', of: 0, layer: 'c', geometry, scale: 0, out },
  ]
}

describe('the transpose of a convolution', () => {
  it.each([
    ['3×3', [3, 6, 5], {}],
    ['1×1, a vector', [7, 1, 1], { kernel: [1, 1], pad: [0, 0, 0, 0], cout: 5 }],
    ['strides that leave a rest', [2, 8, 9], { stride: [2, 3], pad: [0, 1, 1, 0] }],
    ['a stride longer than the kernel', [2, 9, 9], { kernel: [2, 2], stride: [3, 4], pad: [0, 0, 0, 0] }],
    ['dilation', [2, 9, 8], { dilation: [2, 3], pad: [2, 3, 2, 3] }],
    ['more padding than the kernel reaches', [2, 4, 4], { pad: [4, 3, 2, 5] }],
    ['uneven kernels', [2, 6, 7], { kernel: [1, 4], pad: [0, 2, 0, 1] }],
    ['groups', [6, 5, 5], { groups: 3, cout: 9 }],
    ['depthwise', [4, 6, 6], { groups: 4, cout: 4, stride: [2, 2] }],
    ['depthwise, two filters a channel', [3, 6, 6], { groups: 3, cout: 6 }],
  ] as const)('%s', (_, input, rest) => {
    const draw = drawFrom(5)
    expectEqual(bothSides(conv(input, rest), [input], draw))
  })

  it('is not that of the same filters unturned', () => {
    const unturned = (filter: Int32Array) => {
      const out = filter.slice()
      for (let at = 0; at < out.length; at += 9) out.subarray(at, at + 9).reverse()
      return out
    }
    const linear = conv([2, 5, 5], {})
    const wrong = bothSides(linear, [[2, 5, 5]], drawFrom(9), unturned)
    expect(wrong.filter(([left, right]) => left === right)).toEqual([])
  })
})

it('holds for every step of random networks of every op', () => {
  const seen = new Set<string>()
  for (let seed = 1; seed <= 40; seed++) {
    const network = growNetwork(seed, 9, { all: true })
    const calibration = calibrate(network.arch, network.weights, network.spec, [network.input()])
    const { plan } = compile(network.arch, network.weights, calibration, network.spec, network.options)
    const shapes = Array.from({ length: plan.steps.length }, (_, i) => tensorShape(plan as Plan, i))
    const draw = drawFrom(seed)
    for (const { linear } of plan.steps) {
      for (const { op } of linear) seen.add(op)
      expectEqual(bothSides(linear, shapes, draw))
    }
  }
  expect([...seen].sort().join(' ')).toBe('add conv embed lift poolSum resize scale tensor zero')
})
