// A planned spec of blocks and masks on the shipped ResNet-20, run privately. The spec is what `plan --ratio 0.8` made of
// the distortions of 20 CIFAR-10 pictures (`distortion --masks`).
import { describe, expect, it } from 'vitest'
import { loadModelDirectory } from '../../../src/files/model-directory.js'
import { FloatNetwork } from '../../../src/float/network.js'
import { dreluCount } from '../../../src/model/relu/layout.js'
import { parseReluSpec } from '../../../src/model/relu/spec.js'
import { calibrate } from '../../../src/plan/calibrate.js'
import { compile } from '../../../src/plan/compile/compile.js'
import { encodeFixed } from '../../../src/ring/codec.js'
import { localParties, runReference } from '../../../src/testing.js'
import { committedJson, modelFolder } from '../../fixtures/reference-files.js'
import { sampleInput } from '../../fixtures/workloads.js'

const path = modelFolder('resnet20-cifar10')
const { arch, weights } = await loadModelDirectory(path, 'plain')
const spec = parseReluSpec(committedJson('test/vectors/resnet20-masks.relu-spec.json'), arch)
const inputs = [1, 2, 3].map((seed) => sampleInput(arch, seed))

describe('a planned spec with masks', () => {
  it('has layers of masks, of blocks and of plain ReLUs, and as many comparisons as the budget allows', () => {
    const kinds = [...spec.layers.values()].map(({ kind }) => kind)
    expect(new Set(kinds)).toEqual(new Set(['block', 'mask', 'relu']))
    expect(kinds.filter((kind) => kind === 'mask').length).toBeGreaterThan(5)
    const counted = [...spec.layers].reduce((sum, [id, relu]) => sum + dreluCount(relu, arch.byId.get(id)!.out), 0)
    expect(counted).toBe(spec.drelus)
    expect(spec.drelus).toBeLessThanOrEqual(0.8 * 188_416)
  })

  it.each(['mcc', 'securenn'] as const)(
    'runs privately on %s as the integer reference does, bit for bit',
    async (backend) => {
      const calibration = calibrate(arch, weights, spec, inputs)
      const { plan, model } = compile(arch, weights, calibration, spec, { backend })
      expect(plan.steps.filter(({ activation }) => activation?.relu.kind === 'mask').length).toBeGreaterThan(5)
      const parties = await localParties({ plan, model }, { party: { deadlineMs: 120_000 } })
      try {
        const result = await parties.client.run(inputs[0])
        const words = encodeFixed(inputs[0], plan.input.scale, plan.input.bits)
        const { output, overflows } = runReference(plan, model, words, parties.masks(result.inference) as never)
        expect([...result.raw]).toEqual([...output])
        expect(overflows).toBe(0)
        // And that is the network with these masks, not the one without.
        const [masked, plain] = [{ spec }, {}].map(
          (options) => FloatNetwork.prepare(arch, weights, options).run([inputs[0]])[0],
        )
        const apart = (other: Float32Array) => Math.max(...other.map((x, i) => Math.abs(x - result.logits[i])))
        expect(apart(masked)).toBeLessThan(0.05)
        expect(apart(plain)).toBeGreaterThan(0.2)
      } finally {
        await parties.release()
      }
    },
  )
})
