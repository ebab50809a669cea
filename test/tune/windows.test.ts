// Calibration: ranges on any number of threads, windows from them, and what the windows are predicted to do.
import { describe, expect, it } from 'vitest'
import { parseArchitecture } from '../../src/model/architecture.js'
import { decodeImage } from '../../src/model/pictures/decode.js'
import { pictureToInput } from '../../src/model/pictures/input.js'
import { parseReluSpec } from '../../src/model/relu/spec.js'
import { readSafetensors } from '../../src/model/safetensors.js'
import { bindWeights } from '../../src/model/weights.js'
import { type Calibration, calibrate, parseCalibration } from '../../src/plan/calibrate.js'
import { compile } from '../../src/plan/compile/compile.js'
import { formatRangesPart, parseRangesPart } from '../../src/tune/calibration/part.js'
import { calibrationOf, measureRanges, type Ranges } from '../../src/tune/calibration/ranges.js'
import { BINS, binValue, type LayerSample } from '../../src/tune/calibration/ranges-job.js'
import { measureGains } from '../../src/tune/calibration/window-gains.js'
import { chooseWindows, wrongSigns } from '../../src/tune/calibration/windows.js'
import { evaluate } from '../../src/tune/evaluation/evaluate.js'
import { startJob } from '../../src/tune/workers/jobs.js'
import { committed, committedJson } from '../fixtures/reference-files.js'

const arch = parseArchitecture(committedJson('models/mnist-cnn3/arch.json'))
const weights = bindWeights(arch, readSafetensors(committed('models/mnist-cnn3/weights.safetensors')))
const digits = Array.from({ length: 10 }, (_, digit) => {
  return pictureToInput(decodeImage(committed(`models/samples/digit-${digit}.png`)), arch.inputs[0])
})
/** Fainter ones, so that there are more than one task's. */
const inputs = [1, 0.7, 0.4].flatMap((factor) => digits.map((digit) => digit.map((value) => value * factor)))
const setup = { arch, weights, spec: undefined }
const spec = parseReluSpec({ format: 'relu-spec/1', default: { kind: 'block', blocks: [] }, layers: blocks() }, arch)

function blocks(): Record<string, unknown> {
  const activations = arch.layers.filter(({ op }) => op === 'relu')
  const list = (channels: number) =>
    Array.from(
      { length: channels },
      (_, c) =>
        [
          [1, 1],
          [2, 2],
          [0, 1],
          [1, 3],
        ][c % 4],
    )
  return Object.fromEntries(activations.map(({ id, out }) => [id, { kind: 'block', blocks: list(out[0]) }]))
}

describe('ranges', () => {
  it('are those of calibrate(), and go on from where they were', async () => {
    const parts: Ranges[] = []
    const all = await measureRanges(setup, inputs, { onProgress: (_, ranges) => parts.push(ranges) })
    expect(calibrationOf(all, 'x')).toEqual(calibrate(arch, weights, undefined, inputs, 'x'))
    expect(parts.map((part) => part.inputs)).toEqual([16, 30])
    const { ranges: resume } = parseRangesPart(formatRangesPart({ ranges: parts[0] }, 'key'), setup, 'key', 'x.part')
    expect(resume).toEqual(parts[0])
    expect(await measureRanges(setup, inputs, { resume })).toEqual(all)
  })

  it('of many inputs are the sums of what single ones have', async () => {
    const all = (await measureRanges(setup, inputs)).layers
    const job = startJob('ranges', setup)
    const each = inputs.map((input) => job.run({ inputs: [input] }).layers)
    for (const [id, { counts, energy, output }] of all) {
      const sum = (of: (sample: LayerSample) => number) =>
        each.reduce((total, layers) => total + of(layers.get(id)!), 0)
      const total = (values: Float64Array) => values.reduce((a, b) => a + b, 0)
      expect(total(counts)).toBe(sum((sample) => total(sample.counts)))
      expect(total(energy) / sum((sample) => total(sample.energy))).toBeCloseTo(1, 9)
      expect(output / sum((sample) => sample.output)).toBeCloseTo(1, 9)
    }
    job.release()
  })

  it('count one comparison per block and per element that has none, with what it switches', async () => {
    const { layers } = await measureRanges({ ...setup, spec }, digits)
    const { drelus } = spec
    const counted = [...layers.values()].reduce((sum, { counts }) => sum + counts.reduce((a, b) => a + b), 0)
    expect(counted).toBe(drelus * digits.length)
    const plain = (await measureRanges(setup, digits)).layers
    const [[id, first]] = plain
    const energy = first.energy.reduce((a, b) => a + b)
    expect(energy).toBeGreaterThan(first.output)
    expect(Math.max(...first.channelMax)).toBe(calibrate(arch, weights, undefined, digits).maxAbs[id])
  })
})

describe('wrong signs', () => {
  it('are predicted as the definition makes them', () => {
    // Values of a few sizes, every mask: E2 of docs/protocol.md, centred.
    const [lo, scale] = [6, 3]
    const [window, half] = [2 ** lo, 2 ** (lo - 1)]
    const values = [-40, -20, -7, -1, 0, 3, 9, 15, 31, 70]
    let [wrong, error] = [0, 0]
    for (const v of values) {
      for (let r = 0; r < window; r++) {
        const centred = v + half
        const carry = ((((centred - r) % window) + window) % window) + r >= window ? 1 : 0
        const seen = Math.floor(centred / window) - carry >= 0
        if (seen !== v >= 0) {
          wrong++
          error += (v / 2 ** scale) ** 2
        }
      }
    }
    const output = values.reduce((sum, v) => sum + (v > 0 ? (v / 2 ** scale) ** 2 : 0), 0)
    const predicted = wrongSigns(
      sampleOf(
        values.map((v) => v / 2 ** scale),
        output,
      ),
      2 ** (lo - scale),
    )
    expect(predicted.probability).toBeCloseTo(wrong / window / values.length, 1)
    expect(predicted.noise / Math.sqrt(error / window / output)).toBeCloseTo(1, 1)
  })

  it('bins hold their middles', () => {
    for (const value of [1e-6, 0.3, 1, 5.13, 1e4]) {
      const bin = new Uint32Array(Float32Array.of(value).buffer)[0] >>> 19
      expect(Math.abs(binValue(bin) / value - 1)).toBeLessThan(0.04)
    }
    expect(binValue(0)).toBe(0)
  })
})

describe('windows', () => {
  const calibration = calibrate(arch, weights, undefined, inputs)
  const choose = async (target: Parameters<typeof chooseWindows>[3]['target'], more = {}) => {
    return chooseWindows(setup, await measureRanges(setup, inputs), calibration, { target, ...more })
  }

  it('read as many bits as asked on average, and fewer where that does less harm', async () => {
    for (const meanBits of [6, 8, 10.5]) {
      const { layers } = await choose({ meanBits })
      const all = layers.reduce((sum, { comparisons }) => sum + comparisons, 0)
      const read = layers.reduce((sum, { bits, lo, comparisons }) => sum + (bits - lo) * comparisons, 0) / all
      expect(read).toBeLessThanOrEqual(meanBits)
      expect(read).toBeGreaterThan(meanBits - 1)
      const power = layers.reduce((sum, { predicted }) => sum + predicted.noise ** 2, 0)
      const flat = await chooseFlat(Math.floor(meanBits))
      expect(power).toBeLessThanOrEqual(flat * (1 + 1e-9))
    }
  })

  it('keep the noise below what was asked, and not by a bit more than needed', async () => {
    const { layers } = await choose({ noise: 0.01 })
    for (const { id, lo, scale, predicted } of layers) {
      expect(predicted.noise).toBeLessThanOrEqual(0.01)
      const sample = (await measureRanges(setup, inputs)).layers.get(id)!
      expect(wrongSigns(sample, 2 ** (lo + 1 - scale)).noise).toBeGreaterThan(0.01)
    }
    expect((await choose('exact')).layers.every(({ lo, predicted }) => lo === 0 && predicted.probability === 0)).toBe(
      true,
    )
  })

  it('report the margin of every layer, at least what was asked for', async () => {
    for (const margin of [0, 1, 2]) {
      const { layers } = await choose('exact', { margin })
      for (const layer of layers) expect(layer.margin).toBeGreaterThanOrEqual(margin)
    }
  })

  it('are kept in a calibration file, and compile uses them', async () => {
    const { windows } = await choose({ meanBits: 8 })
    const file: Calibration = { ...calibration, windows }
    expect(parseCalibration(JSON.stringify(file), arch)).toEqual(file)
    const lows = (options = {}) =>
      compile(arch, weights, file, undefined, options).plan.steps.flatMap(({ activation }) => activation?.lo ?? [])
    expect(lows()).toEqual(Object.values(windows.lo))
    expect(lows({ lo: 0 })).toEqual([0, 0, 0])
    expect(lows({ bits: 15 })).toEqual(Object.values(windows.lo).map((lo) => lo - 1))
    expect(lows({ margin: 2 })).toEqual(Object.values(windows.lo).map((lo) => lo - 1))
  })

  it('in a file are checked', () => {
    const broken = { ...calibration, windows: { bits: 16, margin: -1, lo: { nobody: 3, [arch.layers[2].id]: 16 } } }
    expect(() => parseCalibration(broken, arch)).toThrow(/margin: expected a number of bits/)
    expect(() => parseCalibration(broken, arch)).toThrow(/unknown field/)
    expect(() => parseCalibration(broken, arch)).toThrow(/from 0 to 15, got 16/)
  })

  it('are chosen by what each layer does to the outputs, where that was measured', async () => {
    const ranges = await measureRanges(setup, inputs)
    const gains = await measureGains(setup, digits.slice(0, 4), ranges, calibration)
    expect([...gains.keys()]).toEqual(arch.layers.filter(({ op }) => op === 'relu').map(({ id }) => id))
    const target = { meanBits: 6 }
    const { layers, windows } = await chooseWindows(setup, ranges, calibration, { target, gains })
    const alike = await chooseWindows(setup, ranges, calibration, { target })
    const effectOf = (all: typeof layers) =>
      all.reduce((sum, { id, predicted }) => sum + gains.get(id)! * predicted.noise ** 2, 0)
    expect(effectOf(layers)).toBeLessThanOrEqual(effectOf(alike.layers))
    expect(layers.reduce((sum, { effect }) => sum + effect!, 0)).toBeCloseTo(effectOf(layers), 9)
    // The prediction against whole runs with all windows at once.
    const logits = async (own: Calibration) => {
      const { reference } = await evaluate(setup, digits, { compiled: compile(arch, weights, own) })
      return reference!.logits.flatMap((values) => [...values])
    }
    const [exact, windowed] = [await logits(calibration), await logits({ ...calibration, windows })]
    const change = exact.reduce((sum, value, i) => sum + (value - windowed[i]) ** 2, 0) / exact.length
    expect(change / effectOf(layers)).toBeGreaterThan(1 / 4)
    expect(change / effectOf(layers)).toBeLessThan(4)
  })

  it('of 8 bits leave the digits as they are; of 3 they do not', async () => {
    const agreeing = async (meanBits: number) => {
      const { windows } = await choose({ meanBits })
      const compiled = compile(arch, weights, { ...calibration, windows })
      const { reference } = await evaluate(setup, digits, { compiled })
      return reference!
    }
    expect((await agreeing(8)).agreeing).toBe(10)
    const [fine, coarse] = [await agreeing(10), await agreeing(3)]
    expect(coarse.maxError).toBeGreaterThan(4 * fine.maxError)
  })

  async function chooseFlat(bits: number): Promise<number> {
    const ranges = await measureRanges(setup, inputs)
    const { layers } = await choose('exact')
    return layers.reduce((sum, { id, scale }) => {
      return sum + wrongSigns(ranges.layers.get(id)!, 2 ** (16 - bits - scale)).noise ** 2
    }, 0)
  }
})

function sampleOf(values: readonly number[], output: number): LayerSample {
  const [counts, energy] = [new Float64Array(BINS), new Float64Array(BINS)]
  for (const value of values) {
    const bin = new Uint32Array(Float32Array.of(Math.abs(value)).buffer)[0] >>> 19
    counts[bin]++
    energy[bin] += value ** 2
  }
  return { channelMax: new Float32Array(1), counts, energy, output }
}
