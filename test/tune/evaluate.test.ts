// Evaluation: predictions in float and as the integer reference, whoever makes them, in one go or in several.
import { describe, expect, it } from 'vitest'
import { runFloat } from '../../src/float/run.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { decodeImage } from '../../src/model/pictures/decode.js'
import { pictureToInput } from '../../src/model/pictures/input.js'
import { readSafetensors } from '../../src/model/safetensors.js'
import { bindWeights } from '../../src/model/weights.js'
import { calibrate, parseCalibration } from '../../src/plan/calibrate.js'
import { compile } from '../../src/plan/compile/compile.js'
import { runReference } from '../../src/plan/reference/reference.js'
import { decodeFixed, encodeFixed } from '../../src/ring/codec.js'
import { evaluate, type KnownLogits } from '../../src/tune/evaluation/evaluate.js'
import { startJob } from '../../src/tune/workers/jobs.js'
import type { StartPool } from '../../src/tune/workers/pool.js'
import { digitPictures } from '../fixtures/pictures.js'
import { committed, committedJson, sharedFile } from '../fixtures/reference-files.js'

const arch = parseArchitecture(committedJson('models/mnist-cnn3/arch.json'))
const weights = bindWeights(arch, readSafetensors(committed('models/mnist-cnn3/weights.safetensors')))
const network = { arch, weights, spec: undefined }
const calibration = parseCalibration(committedJson('models/mnist-cnn3/calibration.json'), arch)
const compiled = compile(arch, weights, calibration)
const digits = Array.from({ length: 10 }, (_, digit) => {
  return pictureToInput(decodeImage(committed(`models/samples/digit-${digit}.png`)), arch.inputs[0])
})
const labels = [0, 1, 2, 3, 4, 5, 6, 7, 8, 1]

describe('evaluate', () => {
  it('counts what is right, in float and in fixed point, and where they agree', async () => {
    const { float, reference } = await evaluate(network, digits, { labels, compiled })
    expect(float).toMatchObject({ images: 10, predictions: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], correct: 9 })
    expect(reference).toMatchObject({ images: 10, correct: 9, agreeing: 10, overflows: 0 })
    expect(reference!.maxError).toBeLessThan(0.05)
    expect(reference!.maxError).toBeGreaterThan(0)
    digits.forEach((digit, i) => {
      expect(float.logits[i]).toEqual(runFloat(arch, weights, undefined, digit))
    })
  })

  it('makes the roundings of a private run: exact windows differ from no masks by carries only', async () => {
    const { plan, model } = compiled
    const { reference } = await evaluate(network, digits.slice(0, 2), { compiled })
    const scale = plan.steps.at(-1)!.scale
    digits.slice(0, 2).forEach((digit, i) => {
      const words = encodeFixed(digit, plan.input.scale, plan.input.bits)
      const bare = decodeFixed(runReference(plan, model, words).output, scale)
      const far = Math.max(...bare.map((value, k) => Math.abs(value - reference!.logits[i][k])))
      expect(far).toBeGreaterThan(0)
      expect(far).toBeLessThan(0.05)
    })
  })

  it('draws other roundings for every input, and the same ones again', async () => {
    const same = [digits[3], digits[3], digits[3]]
    const { reference } = await evaluate(network, same, { compiled })
    const [first, second, third] = reference!.logits.map((values) => [...values])
    expect(second).not.toEqual(first)
    expect(third).not.toEqual(first)
    expect((await evaluate(network, same, { compiled })).reference!.logits).toEqual(reference!.logits)
  })

  it('runs only as many references as it is told, and none without a plan', async () => {
    const some = await evaluate(network, digits, { labels, compiled, referenceInputs: 3 })
    expect(some.reference).toMatchObject({ images: 3, correct: 3, agreeing: 3 })
    expect((await evaluate(network, digits)).reference).toBeUndefined()
    expect((await evaluate(network, digits)).float.correct).toBeUndefined()
  })

  it('gives the same whoever works in what order', async () => {
    const alone = await evaluate(network, digits, { labels, compiled })
    expect(await evaluate(network, digits, { labels, compiled, startPool: unsteady })).toEqual(alone)
  })

  it('goes on with what is known, and does not run it again', async () => {
    const whole = await evaluate(network, digits, { compiled })
    const known = { float: nothing(), reference: nothing() }
    const stop = new AbortController()
    let references = 0
    const onProgress = (_: number, stage: string) => {
      if (stage === 'reference' && ++references === 3) stop.abort()
    }
    const broken = evaluate(network, digits, { compiled, known, onProgress, signal: stop.signal })
    await expect(broken).rejects.toMatchObject({ code: 'ABORTED' })
    expect(known.reference.logits.length).toBe(6)
    const stages: string[] = []
    const rest = await evaluate(network, digits, { compiled, known, onProgress: (_, stage) => stages.push(stage) })
    expect(stages).toEqual(['reference', 'reference'])
    expect(rest).toEqual(whole)
  })

  it('counts values beyond the calibrated range', async () => {
    const narrow = calibrate(arch, weights, undefined, [digits[1]])
    const halved = Object.fromEntries(
      Object.entries(narrow.maxAbs).map(([id, most]) => [id, most / (id === 'input' ? 1 : 4)]),
    )
    const tight = compile(arch, weights, { ...narrow, maxAbs: halved }, undefined, { margin: 0 })
    const { reference } = await evaluate(network, digits, { compiled: tight })
    expect(reference!.overflows).toBeGreaterThan(0)
  })

  it('runs the reference of securenn', async () => {
    const other = compile(arch, weights, calibration, undefined, { backend: 'securenn' })
    const { reference } = await evaluate(network, digits.slice(0, 2), { compiled: other })
    expect(reference).toMatchObject({ images: 2, agreeing: 2 })
    expect(reference!.maxError).toBeLessThan(0.05)
  })

  it('refuses nothing to evaluate, odd inputs and labels of others', async () => {
    await expect(evaluate(network, [])).rejects.toThrow('at least one input')
    await expect(evaluate(network, [digits[0].subarray(1)])).rejects.toMatchObject({ code: 'BAD_INPUT' })
    await expect(evaluate(network, digits, { labels: [1] })).rejects.toThrow('a label per input, 10, got 1')
  })

  const mnist = sharedFile('images/mnist-test-first20.bin')
  it.skipIf(!mnist)(`19 of 20 test digits${mnist ? '' : ' (SKIPPED: they are not beside this checkout)'}`, async () => {
    const pictures = digitPictures(mnist!)
    const inputs = pictures.map(({ picture }) => pictureToInput(picture, arch.inputs[0]))
    const all = pictures.map(({ label }) => label)
    const { float, reference } = await evaluate(network, inputs, { labels: all, compiled })
    expect(float.correct).toBe(19)
    expect(reference).toMatchObject({ correct: 19, agreeing: 20 })
  })
})

const nothing = (): KnownLogits => ({ logits: [], overflows: 0 })

/** Two threads that answer out of order. */
const unsteady: StartPool = async (kind, setup) => {
  const jobs = [startJob(kind, setup), startJob(kind, setup)]
  let turn = 0
  return {
    threads: 2,
    run: async (task) => {
      const own = turn++
      await new Promise((resolve) => setTimeout(resolve, (own * 5) % 4))
      return jobs[own % 2].run(task)
    },
    release: async () => {},
  }
}
