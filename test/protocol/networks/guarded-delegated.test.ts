// Trained networks, guarded, delegated and both: given its masks, every private run equals the integer reference bit for bit, and
// what crosses a delegate's link is what the list of its messages says.
import { describe, expect, test } from 'vitest'
import { loadModelDirectory } from '../../../src/files/model-directory.js'
import { Meter } from '../../../src/net/index.js'
import { calibrate } from '../../../src/plan/calibrate.js'
import { compile } from '../../../src/plan/compile/compile.js'
import { elementCount, type MccPlan } from '../../../src/plan/plan.js'
import { delegatedMessages } from '../../../src/protocol/delegated/link.js'
import { planLayout } from '../../../src/protocol/layout.js'
import { linkBytes, partFlights, wireBytes } from '../../../src/protocol/transcript.js'
import { encodeFixed } from '../../../src/ring/codec.js'
import { localParties, runReference } from '../../../src/testing.js'
import { DelegatedSite } from '../../delegate/fixture.js'
import { modelFolder } from '../../fixtures/reference-files.js'
import { difference } from '../../party/fixture.js'
import { drawFrom } from '../mcc/gadget-plan.js'

async function compiledModel(name: string, options: { guard?: object; delegated?: boolean }) {
  const { arch, weights, calibration, spec } = await loadModelDirectory(modelFolder(name))
  const draw = drawFrom(7)
  const size = elementCount(arch.inputs[0].shape)
  const inputs = [1, 2].map(() => Float32Array.from({ length: size }, () => 2 * draw() - 1))
  const ranges = calibration ?? calibrate(arch, weights, spec, inputs)
  return { inputs, compiled: compile(arch, weights, ranges, spec, options) }
}

describe.each(['mnist-cnn3', 'resnet20-cifar10'])('%s', (name) => {
  test('guarded', async () => {
    const { compiled, inputs } = await compiledModel(name, { guard: {} })
    const { plan, model } = compiled
    const parties = await localParties(compiled)
    for (const input of inputs) {
      const { raw, inference } = await parties.client.run(input)
      const words = encodeFixed(input, plan.input.scale, plan.input.bits)
      expect([...raw]).toEqual([...runReference(plan, model, words, parties.masks(inference)).output])
    }
    await parties.release()
  })

  test.each([
    ['delegated', {}],
    ['guarded and delegated', { guard: {} }],
  ])('%s', async (_, options) => {
    const { compiled, inputs } = await compiledModel(name, { ...options, delegated: true })
    const meter = new Meter()
    const site = await DelegatedSite.create(compiled, { delegate: { meter } })
    const owner = await site.owner()
    for (const [i, input] of inputs.entries()) {
      const result = await owner.run(input)
      await expect.poll(() => site.lent.length, { timeout: 60_000 }).toBe(i + 1)
      const lent = site.lent[i]
      expect(difference(compiled, input, { ...result, inference: lent.inference! }, site.seeds(lent))).toBeNull()
    }
    expect(site.errors).toEqual([])
    const { online } = meter.report().links.server
    const messages = delegatedMessages(planLayout(compiled.plan as MccPlan))
    const { up, down } = linkBytes(messages.flat(), wireBytes)
    expect([online.bytesSent, online.bytesReceived]).toEqual([up, down].map((bytes) => bytes * inputs.length))
    // The last reply of one inference and the join of the next go the same way.
    const flights = partFlights(messages).reduce((a, b) => a + b)
    expect(online.flights).toBe(flights + (inputs.length - 1) * (flights - 1))
    await site.release()
  })
})
