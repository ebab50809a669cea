import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DemoOutcome } from '../../src/cli/process/demo-outcome.js'
import { demoReport, demoText } from '../../src/cli/report/demo.js'
import { imageInputs, readImageFiles } from '../../src/files/image-files.js'
import { findModel, type PreparedModel, prepareModel } from '../../src/files/prepared-model.js'
import { runFloat } from '../../src/float/run.js'
import type { InferenceResult } from '../../src/party/client/client.js'
import { exitStatus, type Judgement, judge } from '../../src/party/local/judge.js'
import { type LocalParties, localParties } from '../../src/testing.js'

let prepared: PreparedModel
let parties: LocalParties
let input: Float32Array
let plaintext: Float32Array
let result: InferenceResult

const judged = (raw = result.raw, inference = result.inference): Judgement =>
  judge(prepared.compiled, parties.masks(inference), { raw, input, plaintext })

/** The result with one bit of one logit changed. */
const tampered = (logit: number, bit: number): Int32Array => {
  const raw = result.raw.slice()
  raw[logit] ^= 1 << bit
  return raw
}

function outcome(judgement: Judgement): DemoOutcome {
  const { model, compiled } = prepared
  const none = { up: 0, down: 0 }
  const steps = compiled.plan.steps.map(() => ({ flights: 2, up: 1, down: 1, helper: none, ms: 1 }))
  const run = { ...result, onlineMs: 1, offlineMs: 1, steps, offline: { server: none, helper: none } }
  const setUp = { ms: 1, bytes: { server: none, helper: none } }
  return {
    ...{ model: model.name, variant: model.variant, plan: compiled.plan, network: undefined },
    serverHelper: { setUp: none, offline: none, online: none, steps: steps.map(() => none) },
    processes: { helper: { pid: 1 }, server: { pid: 2 }, client: { pid: 3 } },
    setUp: { server: setUp, client: setUp },
    images: [{ file: 'digit.png', label: 3, plaintextPrediction: 3, plaintextMs: 1, run, judgement }],
    cheat: undefined,
  }
}

beforeAll(async () => {
  prepared = await prepareModel(findModel('mnist-cnn3'), undefined)
  const { model, compiled } = prepared
  parties = await localParties(compiled)
  input = imageInputs(await readImageFiles([model.samples[3].file]), compiled.plan)[0]
  plaintext = runFloat(model.arch, model.weights, model.spec, input)
  result = await parties.client.run(input)
})
afterAll(() => parties.release())

describe('the judge of the demo', () => {
  it('finds a private run equal to the reference with the same masks', () => {
    const judgement = judged()
    expect(judgement).toMatchObject({ differing: 0, logits: 10, overflows: 0 })
    expect(exitStatus([judgement])).toBe(0)
  })

  it('finds one flipped bit in any logit, and the exit status says so', () => {
    for (const [logit, bit] of [
      [0, 0],
      [3, 7],
      [9, 31],
    ]) {
      const judgement = judged(tampered(logit, bit))
      expect(judgement.differing).toBe(1)
      expect(exitStatus([judged(), judgement])).toBe(1)
    }
  })

  it('finds masks of another inference', () => {
    expect(judged(result.raw, result.inference + 1).differing).toBeGreaterThan(0)
  })

  it('does not call a demo without pictures a success', () => expect(exitStatus([])).toBe(1))

  it('makes the report and the JSON line say equal or different', () => {
    const plain = { write: () => true, isTTY: false }
    const good = outcome(judged())
    const bad = outcome(judged(tampered(3, 0)))
    expect(demoReport(good).agree).toBe(true)
    expect(demoText(good, plain)).toContain('✓ EQUAL: all 10 logits bit for bit')
    expect(demoReport(bad).agree).toBe(false)
    expect(demoText(bad, plain)).toContain('✗ DIFFERENT: 1 of 10 logits are not those of the integer reference')
  })
})
