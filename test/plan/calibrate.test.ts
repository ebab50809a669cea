// Ranges measured by the float engine: which there are, and that merging layers hides none.
import { describe, expect, it } from 'vitest'
import { runFloat } from '../../src/float/run.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { calibrate, cutPoints, parseCalibration } from '../../src/plan/calibrate.js'
import { randomWeights } from '../fixtures/networks.js'
import { sampleInput } from '../fixtures/workloads.js'

const ARCH = parseArchitecture({
  format: 'arch/1',
  name: 'mixed',
  inputs: [{ name: 'x', shape: [2, 6, 6] }],
  outputs: ['fc'],
  layers: [
    { id: 'c1', op: 'conv2d', in: ['x'], cout: 4, kernel: [1, 1] },
    { id: 'n1', op: 'batchNorm', in: ['c1'] },
    { id: 'six', op: 'clip', in: ['n1'], min: 0, max: 6 },
    { id: 'c2', op: 'conv2d', in: ['six'], cout: 4, kernel: [1, 1] },
    { id: 'max', op: 'maxPool', in: ['c2'], kernel: [2, 2] },
    { id: 'r', op: 'relu', in: ['max'] },
    { id: 'c3', op: 'conv2d', in: ['r'], cout: 4, kernel: [1, 1] },
    { id: 'mix', op: 'weightedSum', in: ['c3', 'r'], coef: 'alpha', norm: 'softmax' },
    { id: 'cat', op: 'concat', in: ['mix', 'r'] },
    { id: 'gap', op: 'globalAvgPool', in: ['cat'] },
    { id: 'flat', op: 'flatten', in: ['gap'] },
    { id: 'fc', op: 'linear', in: ['flat'], cout: 3 },
  ],
})
const WEIGHTS = randomWeights(ARCH, 1)
const INPUTS = [1, 2, 3].map((seed) => sampleInput(ARCH, seed))

describe('calibrate', () => {
  it('measures every activation, clips among them, and every place where a step may end', () => {
    expect(cutPoints(ARCH, undefined)).toEqual(['c2', 'c3', 'cat'])
    const { maxAbs } = calibrate(ARCH, WEIGHTS, undefined, INPUTS)
    expect(Object.keys(maxAbs).sort()).toEqual(['c2', 'c3', 'cat', 'fc', 'gap', 'input', 'r', 'six'])
  })

  it('finds the ranges that the layers have one by one', () => {
    const wanted = new Map<string, number>()
    const widen = (id: string, values: ArrayLike<number>) => {
      wanted.set(id, Math.max(wanted.get(id) ?? 0, ...Array.from(values, Math.abs)))
    }
    for (const input of INPUTS) {
      widen('input', input)
      runFloat(ARCH, WEIGHTS, undefined, input, widen, (id, values) => {
        if (id !== 'six' && id !== 'r') widen(id, values)
      })
    }
    const { maxAbs } = calibrate(ARCH, WEIGHTS, undefined, INPUTS)
    for (const [id, most] of Object.entries(maxAbs)) {
      expect(Math.abs(most - wanted.get(id)!), id).toBeLessThan(1e-5)
      expect(most).toBeGreaterThan(0)
    }
  })

  it('its file needs the ranges of clips', () => {
    const file = calibrate(ARCH, WEIGHTS, undefined, INPUTS)
    expect(parseCalibration(file, ARCH)).toEqual(file)
    const { six: _, ...rest } = file.maxAbs
    expect(() => parseCalibration({ ...file, maxAbs: rest }, ARCH)).toThrow(/"six"/)
  })

  it('refuses an empty sample and inputs that do not fit', () => {
    expect(() => calibrate(ARCH, WEIGHTS, undefined, [])).toThrow(/at least one/)
    expect(() => calibrate(ARCH, WEIGHTS, undefined, [INPUTS[0], new Float32Array(3)])).toThrow(
      expect.objectContaining({ code: 'BAD_INPUT' }),
    )
  })
})
