// A plan that gives the label alone gives the label alone, also where ReLUs compare a window of their bits: the winner is
// found by exact comparisons, or its client would read the order of all classes.
import { describe, expect, it } from 'vitest'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { calibrate } from '../../../src/plan/calibrate.js'
import { type CompileOptions, compile } from '../../../src/plan/compile/compile.js'
import { localParties } from '../../../src/testing.js'
import { randomWeights } from '../../fixtures/networks.js'
import { sampleInput } from '../../fixtures/workloads.js'

const CLASSES = 5
const arch = parseArchitecture({
  format: 'arch/1',
  name: 'classes',
  inputs: [{ name: 'x', shape: [6] }],
  outputs: ['fc'],
  layers: [
    { id: 'hidden', op: 'linear', in: ['x'], cout: 8, bias: true },
    { id: 'relu', op: 'relu', in: ['hidden'] },
    { id: 'fc', op: 'linear', in: ['relu'], cout: CLASSES, bias: true },
  ],
  weights: { layout: 'torch' },
})
const weights = randomWeights(arch, 3)
const inputs = Array.from({ length: 12 }, (_, seed) => sampleInput(arch, seed))
const calibration = calibrate(arch, weights, undefined, inputs)

const options: CompileOptions[] = [
  {},
  { lo: 8 },
  { lo: 11, chunks: 1 },
  { lo: 6, chunks: 2 },
  { backend: 'securenn' },
  { backend: 'securenn', ignoredMsb: 20, ignoredLsb: 8 },
  { backend: 'securenn', ignoredMsb: 48 },
]

describe('a client that is given the label', () => {
  it.each(options.map((each) => [JSON.stringify(each), each] as const))(
    'learns nothing else with %s',
    async (_, each) => {
      const compiled = compile(arch, weights, calibration, undefined, { ...each, output: 'label' } as CompileOptions)
      const parties = await localParties(compiled, { party: { deadlineMs: 120_000 } })
      try {
        for (const input of inputs) {
          const { logits } = await parties.client.run(input)
          expect([...logits].sort()).toEqual([...new Array(CLASSES - 1).fill(0), 1])
        }
      } finally {
        await parties.release()
      }
    },
  )

  it('still has its ReLUs compare the window that was asked for', () => {
    const { plan } = compile(arch, weights, calibration, undefined, { output: 'label', lo: 8 })
    expect(plan.steps.map(({ activation }) => activation && [activation.relu.kind, activation.lo])).toEqual([
      ...[['relu', 8], ['relu', 0], ['relu', 0]], // biome-ignore format: a list
      null,
    ])
  })
})
