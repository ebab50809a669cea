// What whole networks on `securenn` declare is what they take: bytes of every link to the byte, waves by a logical clock.

import { describe, expect, it } from 'vitest'
import { loadModelDirectory } from '../../../src/files/model-directory.js'
import { parseArchitecture } from '../../../src/model/architecture.js'
import type { Layer } from '../../../src/model/layers/layers.js'
import { parametersOf } from '../../../src/model/parameters.js'
import { elementCount } from '../../../src/model/shape.js'
import type { LayerTensors } from '../../../src/model/weights.js'
import { calibrate } from '../../../src/plan/calibrate.js'
import { type Compiled, type CompileOptions, compile } from '../../../src/plan/compile/compile.js'
import type { SecurennPlan } from '../../../src/plan/plan.js'
import { planLayout } from '../../../src/protocol/layout.js'
import { PIECE_BYTES } from '../../../src/protocol/pieces.js'
import { type SecurennPlanCost, securennCost } from '../../../src/protocol/securenn/cost.js'
import type { LinkBytes } from '../../../src/protocol/transcript.js'
import { encodeFixed } from '../../../src/ring/codec.js'
import { runReference } from '../../../src/testing.js'
import { resnet18Cifar100 } from '../../fixtures/networks.js'
import { modelFolder } from '../../fixtures/reference-files.js'
import { prepareWorkload } from '../../fixtures/workloads.js'
import { growNetwork, securennOptions } from '../networks/zoo.js'
import { measured } from './waves.js'

function declared(plan: SecurennPlan): SecurennPlanCost {
  return securennCost(planLayout(plan))
}

const onAllLinks = ({ up, down, clientHelper, serverHelper, helperServer }: LinkBytes) =>
  up + down + clientHelper + serverHelper + helperServer

/** Runs one input; cost and result are right. */
async function expectDeclared(compiled: Compiled, input: Float32Array) {
  const found = await measured(compiled, input)
  const { total, flights } = declared(compiled.plan as SecurennPlan)
  expect(found.bytes).toEqual(total)
  expect(found.flights).toBe(flights)
  const { plan, model } = compiled
  const words = encodeFixed(input, plan.input.scale, plan.input.bits)
  expect([...found.result.raw]).toEqual([...runReference(plan, model, words, found.masks).output])
  return found
}

describe('declared = measured', () => {
  for (const options of [{}, { ignoredMsb: 48, ignoredLsb: 4 }] as CompileOptions<'securenn'>[]) {
    it(`mnist-cnn3 with ${JSON.stringify(options)}`, async () => {
      const path = modelFolder('mnist-cnn3')
      const { arch, weights, calibration, spec } = await loadModelDirectory(path)
      const compiled = compile(arch, weights, calibration!, spec, { ...options, backend: 'securenn' })
      await expectDeclared(compiled, new Float32Array(28 * 28).fill(0.5))
    })
  }

  it('random networks with blocks, masks, windows and steps that compare nothing', async () => {
    const kinds = new Set<string>()
    for (let seed = 1; seed <= 64; seed++) {
      const { arch, weights, spec, input } = growNetwork(seed, 2 + (seed % 11), { maxPools: true })
      const x = input()
      const compiled = compile(arch, weights, calibrate(arch, weights, spec, [x]), spec, securennOptions(arch, seed))
      for (const { activation } of compiled.plan.steps) kinds.add(activation?.relu.kind ?? 'output')
      await expectDeclared(compiled, x)
    }
    expect([...kinds].sort()).toEqual(['block', 'identity', 'mask', 'output', 'relu'])
  })

  it('a step whose messages are longer than a frame: 73,728 comparisons of 64 bits', async () => {
    const shape = [72, 32, 32]
    const { compiled, input } = wide(shape)
    const found = await expectDeclared(compiled, input)
    expect(shape.reduce((a, b) => a * b) * 64).toBeGreaterThan(PIECE_BYTES)
    // Three digit messages and more in two frames each.
    expect(found.frames).toBeGreaterThan(27)
  })
})

/** One factor and one ReLU per value. */
function wide(shape: readonly number[]) {
  const { compiled } = prepareWorkload({ name: 'relu-65536', options: { backend: 'securenn' } })
  const text = JSON.stringify(compiled.plan)
  // The bench's layer with more channels.
  const { model } = compiled
  const size = shape.reduce((a, b) => a * b)
  const plan = JSON.parse(text.replaceAll('64,32,32', shape.join())) as SecurennPlan
  for (const { linear } of plan.steps) {
    for (const op of linear) if (op.op === 'conv') Object.assign(op.geometry, { cin: 72, cout: 72, groups: 72 })
  }
  const weights = new Map([...model.weights].map(([key, words]) => [key, new Int32Array(72).fill(words[0])]))
  const bias = plan.steps.map(() => new BigInt64Array(size))
  return {
    compiled: { plan, model: { weights, bias } } as Compiled,
    input: Float32Array.from({ length: size }, (_, i) => (i % 4001) / 1000 - 2),
  }
}

describe('ResNet18-CIFAR100, by its declared cost', () => {
  const check = (name: string, plan: SecurennPlan, bytes: number) => {
    const { total, flights } = declared(plan)
    console.log(`ResNet18-CIFAR100, ${name}: ${(onAllLinks(total) / 1e6).toFixed(1)} MB, ${flights} flights`)
    expect(onAllLinks(total)).toBeLessThanOrEqual(bytes)
    expect(flights).toBeLessThanOrEqual(190)
  }

  it('at most 190 flights; 320 MB exact, 35 MB with one comparison per 4×4 block on 16 of 64 bits', () => {
    const exact = shapeOnly()
    check('exact', exact, 320e6)
    const steps = exact.steps.map((step) => {
      if (!step.activation) return step
      const relu = { kind: 'block', blocks: new Array<[4, 4]>(step.out[0]).fill([4, 4]) } as const
      return { ...step, activation: { ...step.activation, ignoredMsb: 48, ignoredLsb: 4, relu } }
    })
    check('4×4 blocks, 16 bits', { ...exact, steps }, 35e6)
  })
})

/** The cost is one of shapes: weights of zero and made-up ranges do. */
function shapeOnly(): SecurennPlan {
  const arch = parseArchitecture(resnet18Cifar100())
  const tensors = (layer: Layer): LayerTensors =>
    Object.fromEntries(parametersOf(layer).map(({ tensor, shape }) => [tensor, new Float32Array(elementCount(shape))]))
  const weights = new Map(arch.layers.map((layer) => [layer.id, tensors(layer)]))
  const maxAbs = Object.fromEntries(['input', ...arch.layers.map(({ id }) => id)].map((id) => [id, 8]))
  const calibration = { format: 'calibration/1', source: 'none', maxAbs } as const
  return compile(arch, weights, calibration, undefined, { backend: 'securenn' }).plan
}
