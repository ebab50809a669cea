// Networks of other shapes than a classifier's, delegated: several outputs, products, inputs whose channels come last. Owners
// get the same words and the same names as direct clients; layers that are left to a client are refused by name.
import { describe, expect, test } from 'vitest'
import { parseArchitecture } from '../../src/model/architecture.js'
import { answerOf } from '../../src/party/client/answer.js'
import { calibrate } from '../../src/plan/calibrate.js'
import { type Compiled, compile } from '../../src/plan/compile/compile.js'
import { inputWords, openedScale, outputsOf } from '../../src/plan/ends.js'
import { planOutputs } from '../../src/plan/outputs.js'
import { revealMasks, runReference } from '../../src/testing.js'
import { randomWeights } from '../fixtures/networks.js'
import { drawFrom } from '../protocol/mcc/gadget-plan.js'
import { DelegatedSite } from './fixture.js'

const conv = (id: string, from: string, cout: number) => ({
  ...{ id, op: 'conv2d', in: [from], cout, kernel: [3, 3], pad: [1, 1, 1, 1] },
})
const STEM = [conv('stem', 'x', 3), { id: 'act', op: 'relu', in: ['stem'] }]

interface Given {
  readonly layers: readonly object[]
  readonly outputs: readonly string[]
  readonly input?: object
}

const NETWORKS: Record<string, Given> = {
  'several outputs, of ranges a thousand times apart': {
    layers: [...STEM, { id: 'large', op: 'affine', in: ['stem'], factor: 1000, offset: 30 }, conv('small', 'act', 2)],
    outputs: ['large', 'small'],
  },
  'a map of classes, channels last': {
    layers: [...STEM, conv('classes', 'act', 4)],
    outputs: ['classes'],
    input: { layout: 'hwc' },
  },
  'a product of two values': {
    layers: [
      ...STEM,
      conv('gate', 'act', 3),
      { id: 'gated', op: 'multiply', in: ['act', 'gate'] },
      conv('last', 'gated', 2),
    ],
    outputs: ['last'],
  },
  'a max pool of three by two': {
    layers: [
      ...STEM,
      { id: 'pool', op: 'maxPool', in: ['act'], kernel: [3, 3], stride: [2, 2], pad: [1, 1, 1, 1] },
      conv('last', 'pool', 2),
    ],
    outputs: ['last'],
  },
  'a square of the input': {
    layers: [{ id: 'square', op: 'multiply', in: ['x', 'x'] }, conv('last', 'square', 2)],
    outputs: ['last'],
  },
}

function compiledOf({ layers, outputs, input }: Given): { compiled: Compiled; x: Float32Array } {
  const inputs = [{ name: 'x', shape: [2, 4, 5], ...input }]
  const arch = parseArchitecture({ format: 'arch/1', name: 'other', inputs, outputs, layers })
  const draw = drawFrom(5)
  const x = Float32Array.from({ length: 40 }, () => 2 * draw() - 1)
  const weights = randomWeights(arch, 11)
  const calibration = calibrate(arch, weights, undefined, [x])
  return { compiled: compile(arch, weights, calibration, undefined, { delegated: true }), x }
}

describe('delegated, bit for bit and under the same names as to a direct client', () => {
  test.each(Object.entries(NETWORKS))('%s', async (_, given) => {
    const { compiled, x } = compiledOf(given)
    const { plan, model } = compiled
    const site = await DelegatedSite.create(compiled)
    const { milliseconds, beyondRange, inference, raw, scale, ...answer } = await (await site.owner()).run(x)
    await expect.poll(() => site.lent.length).toBe(1)
    const [lent] = site.lent
    const { output } = runReference(
      plan,
      model,
      inputWords(plan, x),
      revealMasks(plan, site.seeds(lent), lent.inference!),
    )
    expect([...raw]).toEqual([...output])
    const end = { ...outputsOf(plan), scale: openedScale(plan), labels: plan.labels }
    expect(answer).toEqual(answerOf(end, output, (values) => planOutputs(plan, values)))
    expect(Object.keys(answer.outputs)).toEqual(given.outputs)
    expect(beyondRange).toEqual({ input: 0, output: 0 })
    await site.release()
  })
})

test('layers that are left to the client are refused by name', () => {
  const layers = [...STEM, { id: 'likely', op: 'sigmoid', in: ['stem'] }]
  expect(() => compiledOf({ layers, outputs: ['likely'] })).toThrow(
    expect.objectContaining({ code: 'UNSUPPORTED', problems: ['likely: sigmoid is left to the client'] }),
  )
})
