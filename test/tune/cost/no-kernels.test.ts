// Costs are predicted from a plan alone: no WebAssembly is started, so that a search may ask for thousands of them.
import { expect, test, vi } from 'vitest'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { predict } from '../../../src/tune/cost/predict.js'
import { shapePlan } from '../../../src/tune/cost/shape-plan.js'
import { committedJson } from '../../fixtures/reference-files.js'

vi.mock('../../../src/kernels/instance.js', async (original) => ({
  ...((await original()) as object),
  loadKernels: () => {
    throw new Error('a prediction started kernels')
  },
}))

test.each(['mcc', 'securenn'] as const)('a prediction on %s touches no kernels', (backend) => {
  const arch = parseArchitecture(committedJson('test/vectors/examples/resnet20-cifar10.arch.json'))
  const compile = vi.spyOn(WebAssembly, 'Instance')
  const profile = { rttMs: 60, upBitsPerSecond: 1e8, downBitsPerSecond: 1e8 }
  const { total } = predict(shapePlan(arch, undefined, { backend }), { profile })
  expect(total.comparisons).toBeGreaterThan(0)
  expect(compile).not.toHaveBeenCalled()
})
