// Whole guarded networks, trained and random: what comes out is the integer reference bit for bit, and nobody honest is
// refused.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { loadModelDirectory } from '../../../../src/files/model-directory.js'
import { loadKernels } from '../../../../src/kernels/instance.js'
import { calibrate } from '../../../../src/plan/calibrate.js'
import { checkPlan } from '../../../../src/plan/check.js'
import { type Compiled, compile } from '../../../../src/plan/compile/compile.js'
import { guardEpsilon } from '../../../../src/plan/guard.js'
import { canonicalJson, type MccPlan } from '../../../../src/plan/plan.js'
import { planLayout } from '../../../../src/protocol/layout.js'
import { guardTerms } from '../../../../src/protocol/mcc/guard/terms.js'
import { sendTransposes } from '../../../../src/protocol/mcc/guard/transposes.js'
import { encodeFixed } from '../../../../src/ring/codec.js'
import { localParties, runReference } from '../../../../src/testing.js'
import { honest } from '../../../fixtures/faulty-streams.js'
import { modelFolder } from '../../../fixtures/reference-files.js'
import { prepareWorkload } from '../../../fixtures/workloads.js'
import { growNetwork } from '../../networks/zoo.js'
import { drawFrom } from '../gadget-plan.js'

async function runPrivately(compiled: Compiled<MccPlan>, inputs: readonly Float32Array[]): Promise<void> {
  const { plan, model } = compiled
  expect(canonicalJson(checkPlan(JSON.parse(JSON.stringify(plan))))).toBe(canonicalJson(plan))
  const parties = await localParties(compiled)
  try {
    for (const input of inputs) {
      const result = await parties.client.run(input)
      const words = encodeFixed(input, plan.input.scale, plan.input.bits)
      const reference = runReference(plan, model, words, parties.masks(result.inference))
      expect([...result.raw]).toEqual([...reference.output])
    }
  } finally {
    await parties.release()
  }
}

const noise = (length: number, seed: number) => {
  const draw = drawFrom(seed)
  return Float32Array.from({ length }, () => 2 * draw() - 1)
}

describe('guarded networks equal the integer reference bit for bit', () => {
  for (const output of ['logits', 'label'] as const) {
    it(`mnist-cnn3, ${output}`, async () => {
      const { arch, weights, calibration, spec } = await loadModelDirectory(modelFolder('mnist-cnn3'))
      const compiled = compile(arch, weights, calibration!, spec, { guard: {}, output })
      expect(compiled.plan.guard!.signs!.sets).toBe(2)
      expect(guardEpsilon(compiled.plan, compiled.plan.guard!)).toBeLessThanOrEqual(-16)
      const length = compiled.plan.input.shape.reduce((a, b) => a * b)
      await runPrivately(compiled, [noise(length, 1), new Float32Array(length)])
    })
  }

  it('ResNet-20, blocks and culled channels', async () => {
    const { arch, weights, calibration, spec } = await loadModelDirectory(modelFolder('resnet20-cifar10'), '06')
    const compiled = compile(arch, weights, calibration!, spec, { guard: {} })
    await runPrivately(compiled, [noise(3072, 1)])
  })

  it('random networks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer(),
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 9, max: 24 }),
        async (seed, size, sigma) => {
          const { arch, weights, spec, options, input } = growNetwork(seed, size)
          const inputs = [input(), input(), input()]
          const guard = { ...options, lo: undefined, guard: { sigma } }
          const compiled = compile(arch, weights, calibrate(arch, weights, spec, inputs), spec, guard)
          await runPrivately(compiled, inputs.slice(1))
        },
      ),
      { numRuns: 12 },
    )
  })
})

it('the transposes of a wide layer are the same in memory that grows while they are made', async () => {
  const workload = { name: 'relu-65536', options: { ring: 32, bits: 16, lo: 0, guard: {} } } as const
  const layout = planLayout(prepareWorkload(workload).compiled.plan as MccPlan)
  const transposes = async (reserved: number): Promise<Uint8Array[]> => {
    const k = loadKernels()
    k.memory.alloc(reserved).release()
    const streams = {
      registration: honest(k, new Uint8Array(32).fill(1)),
      model: honest(k, new Uint8Array(32).fill(2)),
    }
    const sent: Uint8Array[] = []
    await sendTransposes(k, layout, guardTerms(layout)!, streams, (_, message) => void sent.push(message.u8().slice()))
    return sent
  }
  const [grown, reserved] = [await transposes(0), await transposes(2 ** 25)]
  expect(grown.map((bytes, tensor) => Buffer.compare(bytes, reserved[tensor]))).toEqual(grown.map(() => 0))
})
