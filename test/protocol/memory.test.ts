// What a plan's parties are said to need at most, against what their kernels held; and plans that are too large.
import { afterEach, describe, expect, it, vi } from 'vitest'
import { loadKernels } from '../../src/kernels/instance.js'
import { Memory } from '../../src/kernels/memory.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { Server } from '../../src/party/server.js'
import { calibrate } from '../../src/plan/calibrate.js'
import { type Compiled, compile } from '../../src/plan/compile/compile.js'
import { planMemory, requireMemory } from '../../src/protocol/memory.js'
import { layOut, layOutInTurns } from '../../src/protocol/step.js'
import { localParties } from '../../src/testing.js'
import { randomWeights } from '../fixtures/networks.js'
import { prepareWorkload, sampleInput } from '../fixtures/workloads.js'
import { growNetwork } from './networks/zoo.js'

const { alloc } = Memory.prototype
afterEach(() => vi.restoreAllMocks())

/** Most bytes that each party's kernels held at once, from registration to an answer. */
async function peaks(compiled: Compiled, input: Float32Array) {
  const most = new Map<Memory, number>()
  vi.spyOn(Memory.prototype, 'alloc').mockImplementation(function (this: Memory, bytes) {
    const region = alloc.call(this, bytes)
    most.set(this, Math.max(most.get(this) ?? 0, this.inUse))
    return region
  })
  const parties = await localParties(compiled, { party: { deadlineMs: 600_000 } })
  await parties.client.run(input)
  await parties.release()
  // Filters are masked before the helper hears of them, and it has them before a client comes.
  const [server, helper, client] = [...most.values()]
  vi.restoreAllMocks()
  return { server, helper, client }
}

const PARTIES = ['client', 'server', 'helper'] as const

describe('what the parties of a plan need at most', () => {
  it.each(['mcc', 'securenn'] as const)('is at least what they held: random networks on %s', async (backend) => {
    for (let seed = 1; seed < 7; seed++) {
      const { arch, weights, spec, options, input } = growNetwork(seed, 10, { all: backend === 'mcc' })
      const inputs = [input()]
      const calibration = calibrate(arch, weights, spec, inputs)
      const chosen = backend === 'mcc' ? options : { backend }
      const compiled = compile(arch, weights, calibration, spec, chosen)
      const held = await peaks(compiled, inputs[0])
      const said = planMemory(compiled.plan)
      for (const party of PARTIES) expect(said[party]).toBeGreaterThanOrEqual(held[party])
    }
  })

  it.each([
    ['on mcc', {}],
    ['on securenn', { backend: 'securenn' }],
    ['guarded', { guard: { sigma: 16 } }],
  ] as const)('is less than two and a half times that: 65,536 ReLUs %s', async (_, options) => {
    const { arch, compiled } = prepareWorkload({ name: 'relu-65536', options })
    const held = await peaks(compiled, sampleInput(arch, 1))
    const said = planMemory(compiled.plan)
    for (const party of PARTIES) {
      expect(said[party]).toBeGreaterThanOrEqual(held[party])
      expect(said[party]).toBeLessThan(2.5 * held[party] + 2 ** 18)
    }
  })
})

it('counts the tables of a curve, which the helper makes and the server keeps', async () => {
  const arch = parseArchitecture({
    format: 'arch/1',
    name: 'curved',
    inputs: [{ name: 'x', shape: [4, 32, 32] }],
    outputs: ['fc'],
    layers: [
      { id: 'c', op: 'conv2d', in: ['x'], cout: 4, kernel: [1, 1] },
      { id: 'sigmoid', op: 'sigmoid', in: ['c'] },
      { id: 'flat', op: 'flatten', in: ['sigmoid'] },
      { id: 'fc', op: 'linear', in: ['flat'], cout: 3 },
    ],
    weights: { layout: 'torch' },
  })
  const [weights, input] = [randomWeights(arch, 5), sampleInput(arch, 1)]
  const compiled = compile(arch, weights, calibrate(arch, weights, undefined, [input]))
  const held = await peaks(compiled, input)
  const said = planMemory(compiled.plan)
  for (const party of PARTIES) expect(said[party]).toBeGreaterThanOrEqual(held[party])
})

it.each(['mcc', 'securenn'] as const)(
  'counts two filters at the server, packed and masked side by side: %s',
  async (backend) => {
    const arch = parseArchitecture({
      format: 'arch/1',
      name: 'one-filter',
      inputs: [{ name: 'x', shape: [1024, 1, 1] }],
      outputs: ['fc'],
      layers: [
        { id: 'flat', op: 'flatten', in: ['x'] },
        { id: 'fc', op: 'linear', in: ['flat'], cout: 1024 },
      ],
      weights: { layout: 'torch' },
    })
    const [weights, input] = [randomWeights(arch, 5), sampleInput(arch, 1)]
    const compiled = compile(arch, weights, calibrate(arch, weights, undefined, [input]), undefined, { backend })
    const held = await peaks(compiled, input)
    const said = planMemory(compiled.plan)
    for (const party of PARTIES) expect(said[party]).toBeGreaterThanOrEqual(held[party])
  },
)

it('is laid out in turns: what waits in the thread goes on, step by step', async () => {
  const { compiled } = prepareWorkload({ name: 'round-trips', options: {} })
  let turns = 0
  const immediate = () => {
    turns++
    pending = setImmediate(immediate)
  }
  let pending = setImmediate(immediate)
  const planned = await layOutInTurns(loadKernels(), compiled.plan)
  clearImmediate(pending)
  expect(turns).toBeGreaterThanOrEqual(compiled.plan.steps.length)
  const whole = layOut(loadKernels(), compiled.plan)
  expect(planned.steps.map(({ relu }) => relu?.values)).toEqual(whole.steps.map(({ relu }) => relu?.values))
  expect(planned.waves.map((wave) => wave.length)).toEqual(whole.waves.map((wave) => wave.length))
})

describe('a plan that its parties have no memory for', () => {
  const { compiled } = prepareWorkload({ name: 'relu-65536', options: {} })
  const large = JSON.parse(JSON.stringify(compiled.plan).replaceAll('64,32,32', '64,1024,1024'))
  for (const { linear } of large.steps)
    for (const op of linear) if (op.op === 'conv') Object.assign(op.geometry, { h: 1024, w: 1024 })

  it('is refused with what it needs, what there is, and what to do', () => {
    const fault = { code: 'UNSUPPORTED', message: expect.stringMatching(/smaller pictures/) }
    expect(() => requireMemory(large)).toThrow(expect.objectContaining(fault))
    try {
      requireMemory(large)
    } catch (error) {
      expect((error as { problems: string[] }).problems.join('\n')).toMatch(
        /the server needs up to \d+\.\d GiB of memory, \d+\.\d GiB of it for what is dealt .*; WebAssembly has at most 4 GiB/,
      )
    }
  })

  it('is refused before a server asks its helper for anything', async () => {
    const connect = vi.fn()
    await expect(Server.create({ ...compiled, plan: large }, connect)).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    expect(connect).not.toHaveBeenCalled()
  })
})
