// Networks with several outputs, with layers that the client computes behind the private part, and with transposed
// convolutions: on both back ends a private run equals the integer reference bit for bit and lies close to float.
import { describe, expect, it, test } from 'vitest'
import { FloatNetwork } from '../../../src/float/network.js'
import { parseArchitecture } from '../../../src/model/architecture.js'
import type { NamedOutputs } from '../../../src/model/tail/split.js'
import type { InferenceResult } from '../../../src/party/client/client.js'
import { calibrate } from '../../../src/plan/calibrate.js'
import { checkPlan } from '../../../src/plan/check.js'
import { type Compiled, compile } from '../../../src/plan/compile/compile.js'
import { inputWords } from '../../../src/plan/ends.js'
import type { Plan } from '../../../src/plan/plan.js'
import { localParties, runReference } from '../../../src/testing.js'
import { randomWeights } from '../../fixtures/networks.js'
import { drawFrom } from '../mcc/gadget-plan.js'

type LayerJson = Readonly<Record<string, unknown>> & { readonly id: string }

const conv = (id: string, from: string, cout: number, more: object = {}): LayerJson => ({
  ...{ id, op: 'conv2d', in: [from], cout, kernel: [3, 3], pad: [1, 1, 1, 1], ...more },
})
const layer = (id: string, op: string, from: readonly string[] | string, more: object = {}): LayerJson => ({
  ...{ id, op, in: typeof from === 'string' ? [from] : from, ...more },
})

const network = (layers: readonly LayerJson[], outputs: readonly string[], input: object = {}) => {
  const inputs = [{ name: 'x', shape: [3, 6, 8], ...input }]
  return parseArchitecture({ format: 'arch/1', name: 'outputs', inputs, outputs, layers })
}

const STEM = [conv('stem', 'x', 4), layer('act', 'relu', 'stem')]
/** Boxes as detectors write them: channels last, cut into rows of one anchor each, two maps one after another. */
const DETECTOR = network(
  [
    ...STEM,
    conv('boxes', 'act', 8),
    conv('far', 'act', 4, { stride: [2, 2] }),
    layer('far.act', 'relu', 'far'),
    conv('far.boxes', 'far.act', 8),
    layer('last', 'transpose', 'boxes', { order: [1, 2, 0] }),
    layer('rows', 'reshape', 'last', { shape: [96, 4] }),
    layer('far.last', 'transpose', 'far.boxes', { order: [1, 2, 0] }),
    layer('far.rows', 'reshape', 'far.last', { shape: [24, 4] }),
    layer('anchors', 'concat', ['rows', 'far.rows'], { axis: 0 }),
    conv('score', 'act', 1),
    layer('likely', 'sigmoid', 'score'),
  ],
  ['anchors', 'likely'],
)
/** Outputs of ranges a thousand times apart, one of which other layers read. */
const UNLIKE = network(
  [
    ...STEM,
    layer('large', 'affine', 'stem', { factor: 1000, offset: 30 }),
    layer('pool', 'globalAvgPool', 'act'),
    layer('flat', 'flatten', 'pool'),
    layer('small', 'linear', 'flat', { cout: 5 }),
  ],
  ['stem', 'large', 'small'],
)
const SPREAD = network(
  [
    ...STEM,
    layer('up', 'convTranspose2d', 'act', {
      ...{ cout: 6, kernel: [3, 4], stride: [2, 3], pad: [1, 0, 0, 2], outputPad: [1, 2], groups: 2 },
    }),
    layer('up.act', 'relu', 'up'),
    layer('mixed', 'convTranspose2d', 'up.act', { cout: 4, kernel: [2, 2], dilation: [2, 1], bias: false }),
    layer('pixels', 'depthToSpace', 'mixed', { block: 2 }),
    layer('pixels.act', 'relu', 'pixels'),
    conv('wide', 'pixels.act', 8),
    layer('wide.act', 'relu', 'wide'),
    layer('blocks', 'depthToSpace', 'wide.act', { block: 2, order: 'dcr' }),
    conv('classes', 'blocks', 3, { stride: [3, 3] }),
  ],
  ['classes'],
)
const LAST = network(
  [
    ...STEM,
    layer('pool', 'globalAvgPool', 'act'),
    layer('flat', 'flatten', 'pool'),
    layer('fc', 'linear', 'flat', { cout: 4 }),
    layer('p', 'softmax', 'fc'),
  ],
  ['p'],
  { layout: 'hwc' },
)
const NETWORKS = { DETECTOR, UNLIKE, SPREAD, LAST }

interface Prepared {
  readonly inputs: readonly Float32Array[]
  readonly compiled: Compiled<Plan>
  readonly float: readonly NamedOutputs[]
}

function prepare(arch: typeof DETECTOR, backend: 'mcc' | 'securenn', options: object = {}): Prepared {
  const draw = drawFrom(5)
  const inputs = [0, 1].map(() => Float32Array.from({ length: 3 * 6 * 8 }, () => 2 * draw() - 1))
  const weights = randomWeights(arch, 11)
  const calibration = calibrate(arch, weights, undefined, inputs)
  const compiled = compile(arch, weights, calibration, undefined, { backend, ...options } as never) as Compiled<Plan>
  const run = FloatNetwork.prepare(arch, weights)
  const float = inputs.map((input) => run.outputs(input))
  run.release()
  return { inputs, compiled, float }
}

async function runPrivately({ inputs, compiled }: Prepared): Promise<InferenceResult[]> {
  const { plan, model } = compiled
  expect(checkPlan(JSON.parse(JSON.stringify(plan)))).toBeTruthy()
  const parties = await localParties(compiled, { party: { deadlineMs: 60_000 } })
  try {
    const results: InferenceResult[] = []
    for (const input of inputs) {
      const result = await parties.client.run(input)
      const { output, overflows } = runReference(plan, model, inputWords(plan, input), parties.masks(result.inference))
      expect(overflows).toBe(0)
      expect([...result.raw]).toEqual([...output])
      results.push(result)
    }
    return results
  } finally {
    await parties.release()
  }
}

describe.each(['mcc', 'securenn'] as const)('outputs on %s', (backend) => {
  it.each(Object.entries(NETWORKS))('of network %s are the reference and close to float', async (_, arch) => {
    const prepared = prepare(arch, backend)
    const results = await runPrivately(prepared)
    results.forEach((result, i) => {
      expect(Object.keys(result.outputs)).toEqual(arch.outputs)
      for (const [name, { shape, data }] of Object.entries(prepared.float[i])) {
        const found = result.outputs[name]
        expect(found.shape).toEqual(shape)
        expect(shape).toEqual(arch.byId.get(name)!.out)
        const range = data.reduce((most, v) => Math.max(most, Math.abs(v)), 0)
        const error = data.reduce((most, v, j) => Math.max(most, Math.abs(v - found.data[j])), 0)
        expect(range).toBeGreaterThan(0)
        expect(error, `${name} of range ${range}`).toBeLessThan(0.03 * range)
      }
    })
  })
})

test('an output of small values keeps its own fraction bits beside one of large values', () => {
  const { outputs } = prepare(UNLIKE, 'mcc').compiled.plan
  const shifts = outputs!.opened.map(({ shift }) => shift)
  expect(outputs!.opened.map(({ id }) => id)).toEqual(['stem', 'large', 'small'])
  expect(shifts[1]).toBe(0)
  expect(Math.min(shifts[0], shifts[2])).toBeGreaterThan(5)
})

test('maps of classes come back as a class map, vectors as a label, several outputs as neither', async () => {
  const [map] = await runPrivately(prepare(SPREAD, 'mcc'))
  const { shape, data } = map.outputs.classes
  const plane = shape[1] * shape[2]
  expect(map.classMap).toHaveLength(plane)
  map.classMap!.forEach((c, i) => {
    for (let other = 0; other < shape[0]; other++) {
      expect(data[c * plane + i]).toBeGreaterThanOrEqual(data[other * plane + i])
    }
  })
  const labelled = { ...LAST, labels: ['a', 'b', 'c', 'd'] }
  const [vector] = await runPrivately(prepare(labelled, 'mcc'))
  expect(vector.classMap).toBeUndefined()
  expect(vector.label).toBe(labelled.labels[vector.prediction])
  expect(vector.outputs.p.data.indexOf(Math.max(...vector.outputs.p.data))).toBe(vector.prediction)
  const sum = vector.outputs.p.data.reduce((a, b) => a + b)
  expect(sum).toBeCloseTo(1, 5)
  expect(vector.logits).not.toEqual(vector.outputs.p.data)
  const [both] = await runPrivately(prepare({ ...DETECTOR, labels: [] }, 'mcc'))
  expect([both.classMap, both.label]).toEqual([undefined, undefined])
})

test('a network that gives the label alone keeps no softmax; one that has more behind it is refused', () => {
  expect(prepare(LAST, 'mcc', { output: 'label' }).compiled.plan.outputs).toBeUndefined()
  expect(() => prepare(DETECTOR, 'mcc', { output: 'label' })).toThrowError(
    /this network has 3: boxes, far.boxes, score/,
  )
})

test('a layer that only the plain engine computes is refused by name where weights stand behind it', () => {
  const gate = network([...STEM, layer('gate', 'softmax', 'act'), conv('head', 'gate', 2)], ['head'])
  expect(() => prepare(gate, 'mcc')).toThrowError(/softmax: "gate"/)
  const curve = network([...STEM, layer('gate', 'sigmoid', 'act'), conv('head', 'gate', 2)], ['head'])
  expect(() => prepare(curve, 'securenn')).toThrowError(/use mcc\n.*layer "gate": sigmoid of a private value/)
  const product = network([...STEM, layer('square', 'multiply', ['act', 'stem']), conv('head', 'square', 2)], ['head'])
  expect(() => prepare(product, 'securenn')).toThrowError(/use mcc\n.*layer "square": multiply of two private values/)
})

test('what a plan says of its outputs is checked before anything is made of it', () => {
  const { plan } = prepare(DETECTOR, 'mcc').compiled
  const outputs = plan.outputs!
  const damaged = (change: object) => () =>
    checkPlan(JSON.parse(JSON.stringify({ ...plan, outputs: { ...outputs, ...change } })))
  const [first] = outputs.opened
  expect(damaged({})).not.toThrow()
  expect(damaged({ opened: [first] })).toThrowError(/384 elements of the 528/)
  expect(damaged({ names: ['boxes', 'nothing'] })).toThrowError(/no value is called nothing/)
  expect(damaged({ opened: [...outputs.opened, { ...first, shape: [2 ** 24, 2 ** 24, 4] }] })).toThrowError(
    /elements of the 528/,
  )
  expect(damaged({ tail: [layer('c', 'conv2d', 'boxes', { cout: 1, kernel: [1, 1] })] })).toThrowError(
    /op: expected one of .*sigmoid.*, got "conv2d"/,
  )
  expect(damaged({ tail: [layer('c', 'multiply', ['boxes', 'elsewhere'])] })).toThrowError(
    /found no earlier value of id "elsewhere"/,
  )
  expect(damaged({ tail: [...outputs.tail, layer('boxes', 'exp', 'score')] })).toThrowError(
    /id: "boxes" is the name of an input/,
  )
  const rows = Array.from({ length: 9 }, (_, i) =>
    layer(`m${i}`, 'concat', Array(16).fill(i === 0 ? 'boxes' : `m${i - 1}`)),
  )
  expect(damaged({ tail: rows, names: ['boxes'] })).toThrowError(/outputs/)
})
