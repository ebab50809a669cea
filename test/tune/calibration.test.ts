// Calibrating and evaluating as a user of the library does: in one call, with progress, resumed and called off.
import { beforeAll, describe, expect, it } from 'vitest'
import { loadModelDirectory, type ModelDirectory } from '../../src/files/model-directory.js'
import {
  type CalibrationOptions,
  calibrateNetwork,
  compile,
  evaluateNetwork,
  formatRangesPart,
  type MeasuredRanges,
  parseRangesPart,
  rangesKey,
  type StageProgress,
} from '../../src/plan.js'
import { sampleInput } from '../fixtures/workloads.js'

let model: ModelDirectory
let inputs: Float32Array[]

beforeAll(async () => {
  model = await loadModelDirectory('models/mnist-cnn3')
  inputs = Array.from({ length: 20 }, (_, seed) => sampleInput(model.arch, seed))
})

/** Calibrates, and gathers what a part file would have held. */
async function calibrated(options: CalibrationOptions = {}) {
  const kept: MeasuredRanges[] = []
  const stages: string[] = []
  const result = await calibrateNetwork(model, inputs, {
    ...{ per: 'channel', target: 'exact', source: 'noise', ...options },
    onProgress: ({ stage, measured }) => {
      stages.push(stage)
      if (measured) kept.push(measured)
    },
  })
  return { result, kept, stages }
}

describe('calibrateNetwork', () => {
  it('measures ranges and factors, chooses windows, and what it makes compiles', { timeout: 60_000 }, async () => {
    const { result, stages } = await calibrated({ target: { meanBits: 8 }, probes: 1 })
    expect(new Set(stages)).toEqual(
      new Set(['measuring', 'measuring with factors', 'probing layers', 'choosing windows']),
    )
    expect(result.calibration).toMatchObject({ format: 'calibration/1', source: 'noise', windows: { bits: 16 } })
    expect(result.ranges.maxAbs).not.toEqual(result.plain.maxAbs)
    expect(result.windowBits).toBeLessThanOrEqual(8)
    expect(result.outputChange).toBeGreaterThan(0)
    const { plan } = compile(model.arch, model.weights, result.calibration)
    const lows = plan.steps.flatMap(({ activation }) => (activation && 'lo' in activation ? [activation.lo] : []))
    expect(Math.max(...lows)).toBeGreaterThan(0)
  })

  it('leaves out what it is told to, and no more', { timeout: 60_000 }, async () => {
    const { layers, calibration } = (await calibrated({ target: { meanBits: 8 }, probes: 1 })).result
    const [first, ...others] = layers
    expect(Math.min(...others.map(({ lo }) => lo))).toBeGreaterThan(0)
    const widths = new Map(others.map(({ id, lo, scale }) => [id, 1.9 * 2 ** (lo - scale)]))
    const told = (await calibrated({ target: { widths } })).result.calibration
    expect(told.windows).toEqual({ ...calibration.windows, lo: { ...calibration.windows!.lo, [first.id]: 0 } })
    widths.set(others[0].id, 0.9 * 2 ** (others[0].lo - others[0].scale))
    const less = (await calibrated({ target: { widths } })).result.calibration
    expect(less.windows!.lo[others[0].id]).toBe(others[0].lo - 1)
  })

  it('goes on from wherever it was left, in either pass', { timeout: 60_000 }, async () => {
    const { result, kept, stages } = await calibrated()
    const measuring = stages.filter((stage) => stage.startsWith('measuring'))
    expect(measuring).toEqual(['measuring', 'measuring', 'measuring with factors', 'measuring with factors'])
    const key = rangesKey(model, inputs, { per: 'channel' })
    for (const [i, measured] of kept.entries()) {
      const resume = parseRangesPart(formatRangesPart(measured, key), model, key, 'x.part')
      const again = await calibrated({ resume })
      expect(again.result).toEqual(result)
      expect(again.stages).toEqual(stages.slice(i + 1))
    }
  })

  it('stops when it is called off', async () => {
    const stop = new AbortController()
    const stopped = calibrateNetwork(model, inputs, { signal: stop.signal, onProgress: () => stop.abort() })
    await expect(stopped).rejects.toMatchObject({ code: 'ABORTED' })
  })
})

describe('the part of a calibration', () => {
  it('is refused with every problem when it is damaged, and when it is of another one', async () => {
    const { kept } = await calibrated()
    const text = formatRangesPart(kept.at(-1)!, 'key')
    expect(() => parseRangesPart(text, model, 'other', 'x.part')).toThrow(/left by a measurement of another model/)
    const damaged = JSON.parse(text)
    damaged.plain.inputs = -1
    damaged.ranges.maxAbs.input = 'wide'
    const [layer] = Object.keys(damaged.ranges.layers)
    damaged.ranges.layers[layer].counts['99999'] = 1
    damaged.ranges.layers[layer].channelMax.pop()
    damaged.ranges.other = 1
    let problems: readonly string[] = []
    try {
      parseRangesPart(damaged, model, 'key', 'x.part')
    } catch (error) {
      problems = (error as { problems: readonly string[] }).problems
    }
    expect(problems.join('\n')).toMatch(/plain: inputs: expected an integer >= 1, got -1/)
    expect(problems.join('\n')).toMatch(/ranges, maxAbs: input: expected a finite number, got "wide"/)
    expect(problems.join('\n')).toMatch(/channelMax: expected \d+ numbers, one per channel/)
    expect(problems.join('\n')).toMatch(/counts: expected numbers >= 0 by bin from 0 to 4095, got \{"99999":1\}/)
    expect(problems.join('\n')).toMatch(/unknown field "other"/)
    expect(() => parseRangesPart('{', model, 'key', 'x.part')).toThrow(/x\.part: expected JSON/)
  })
})

describe('evaluateNetwork', () => {
  it('has a row per choice of windows, privately too, and goes on with what is known', {
    timeout: 120_000,
  }, async () => {
    const network = { ...model, calibration: model.calibration! }
    const some = inputs.slice(0, 3)
    const known = new Map()
    const stages: StageProgress[] = []
    const options = { windows: ['exact', 7] as const, sample: 1, known }
    const rows = await evaluateNetwork(network, some, { ...options, onProgress: (stage) => stages.push(stage) })
    expect(rows.map(({ windows }) => windows)).toEqual(['exact', 7])
    expect(rows[1].onlineBytes).toBeLessThan(rows[0].onlineBytes)
    for (const { float, reference, sample } of rows) {
      expect([float.images, reference.images, sample!.images]).toEqual([3, 3, 1])
      expect(float.correct).toBeUndefined()
      expect(sample!.agreeing).toBe(1)
    }
    expect(stages.map(({ stage }) => stage)).toContain('7 bits: privately')
    expect([...known.keys()].sort()).toEqual(['7 bits', 'exact', 'float'])
    const again: string[] = []
    const onProgress = ({ stage }: StageProgress) => void again.push(stage)
    const same = await evaluateNetwork(network, some, { windows: ['exact'], known, onProgress })
    expect(same[0].reference).toEqual(rows[0].reference)
    expect(again).toEqual([])
  })

  it('refuses a mean width on another back end, and stops when it is called off', async () => {
    const network = { ...model, calibration: model.calibration! }
    const other = evaluateNetwork(network, inputs, { windows: [8], compile: { backend: 'securenn' } })
    await expect(other).rejects.toThrow(/are for the back end mcc/)
    const stopped = evaluateNetwork(network, inputs, { signal: AbortSignal.abort() })
    await expect(stopped).rejects.toMatchObject({ code: 'ABORTED' })
  })
})
