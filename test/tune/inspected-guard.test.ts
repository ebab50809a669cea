// What `inspect` says of a guard, of memory and of round trips is what the compiled plan has.
import { expect, test } from 'vitest'
import { loadModelDirectory } from '../../src/files/model-directory.js'
import { type Architecture, parseArchitecture } from '../../src/model/architecture.js'
import { compile } from '../../src/plan/compile/compile.js'
import { guardEpsilon } from '../../src/plan/guard.js'
import type { MccPlan } from '../../src/plan/plan.js'
import { planLayout } from '../../src/protocol/layout.js'
import { places } from '../../src/protocol/mcc/guard/signs.js'
import { guardTerms, setsOf } from '../../src/protocol/mcc/guard/terms.js'
import { tensorSizes } from '../../src/protocol/mcc/guard/upload.js'
import { planMemory } from '../../src/protocol/memory.js'
import { predict } from '../../src/tune/cost/predict.js'
import { shapePlan } from '../../src/tune/cost/shape-plan.js'
import { inspectNetwork } from '../../src/tune/inspection/inspect-network.js'
import { modelFolder } from '../fixtures/reference-files.js'

test.each([['mnist-cnn3'], ['resnet20-cifar10']])('%s', async (name) => {
  const { arch, weights, calibration, spec } = await loadModelDirectory(modelFolder(name))
  const plan = compile(arch, weights, calibration!, spec, { guard: {} }).plan as MccPlan
  const terms = guardTerms(planLayout(plan))!
  const sets = setsOf(terms)
  expect(inspectNetwork(arch, { spec }).guard).toEqual({
    epsilonLog2: guardEpsilon(plan, plan.guard!),
    comparisons: terms.segments.reduce((sum, { comparisons }) => sum + comparisons, 0),
    orders: sets.length,
    places: sets.reduce((sum, set) => sum + places(set), 0),
    helperBytes: tensorSizes(plan).reduce((sum, size) => sum + 4 * terms.vectors * size, 0),
    problems: [],
  })
  expect(inspectNetwork(arch, { spec, backend: 'securenn' }).guard).toBeNull()
})

test.each(['mcc', 'securenn'] as const)(
  'memory of every party on %s, of measured ranges and of shapes alone',
  async (backend) => {
    const { arch, weights, calibration, spec } = await loadModelDirectory(modelFolder('resnet20-cifar10'), '25')
    const needed = planMemory(compile(arch, weights, calibration!, spec, { backend }).plan)
    expect(inspectNetwork(arch, { spec, backend, calibration }).memory).toEqual(needed)
    const { memory, notes } = inspectNetwork(arch, { backend })
    expect(memory!.server).toBeGreaterThanOrEqual(needed.server)
    expect(notes).toEqual([])
  },
)

function pooled(window: object): Architecture {
  return parseArchitecture({
    ...{ format: 'arch/1', name: 'pooled', inputs: [{ name: 'x', shape: [2, 16, 16] }], outputs: ['fc'] },
    layers: [
      { id: 'c', op: 'conv2d', in: ['x'], cout: 3, kernel: [1, 1] },
      { id: 'r', op: 'relu', in: ['c'] },
      { id: 'p', op: 'maxPool', in: ['r'], pad: [0, 0, 0, 0], ...window },
      { id: 'flat', op: 'flatten', in: ['p'] },
      { id: 'fc', op: 'linear', in: ['flat'], cout: 3 },
    ],
  })
}

// Steps of the pool, each a round trip, and on securenn four and a half.
test.each([
  [
    { kernel: [3, 3], stride: [2, 2] },
    { mcc: 2, securenn: 4 },
  ],
  [
    { kernel: [3, 3], stride: [4, 3] },
    { mcc: 3, securenn: 4 },
  ],
  [
    { kernel: [2, 2], stride: [2, 2] },
    { mcc: 2, securenn: 2 },
  ],
])('round trips of a max pool are those of its plan on both back ends: %o', (window, levels) => {
  const arch = pooled(window)
  const profile = { rttMs: 60, upBitsPerSecond: 1e8, downBitsPerSecond: 1e8 }
  for (const backend of ['mcc', 'securenn'] as const) {
    const { folding, roundTrips } = inspectNetwork(arch, { backend })
    const { flights } = predict(shapePlan(arch, undefined, { backend }), { profile }).total
    expect(roundTrips, backend).toBe(flights / 2)
    // A convolution, the ReLU behind it, the pool's, and the last one.
    expect(folding!.steps.before, backend).toBe(1 + levels[backend] + 1)
  }
})

test('a network without a plan has no memory, and the note says why', () => {
  const arch = parseArchitecture({
    ...{ format: 'arch/1', name: 'attends', inputs: [{ name: 'x', shape: [4, 4, 4] }], outputs: ['c'] },
    layers: [
      { id: 's', op: 'softmax', in: ['x'], axis: 0 },
      { id: 'c', op: 'conv2d', in: ['s'], cout: 2, kernel: [1, 1] },
    ],
  })
  const { memory, notes } = inspectNetwork(arch)
  expect(memory).toBeNull()
  expect(notes).toEqual([expect.stringContaining('softmax')])
})

test('a network that cannot be guarded says why', () => {
  const arch = parseArchitecture({
    ...{ format: 'arch/1', name: 'large', inputs: [{ name: 'x', shape: [3, 1024, 1024] }], outputs: ['r'] },
    layers: [
      { id: 'c', op: 'conv2d', in: ['x'], cout: 8, kernel: [1, 1], bias: true },
      { id: 'r', op: 'relu', in: ['c'] },
    ],
  })
  expect(inspectNetwork(arch).guard!.problems).toEqual([
    expect.stringContaining('would share an order'),
    expect.stringContaining('take a smaller input'),
  ])
})
