// What the commands do, called by a user of the library: on files, with progress, called off and gone on with.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  calibrateModel,
  convertFiles,
  evaluateModel,
  inspectModel,
  measureDistortion,
  planModel,
  type StageProgress,
} from '../../src/node.js'
import { parseCalibration, parseReluSpec } from '../../src/plan.js'

const IMAGES = 'models/samples'
const MODEL = 'models/mnist-cnn3'
let dir: string
const at = (name: string) => join(dir, name)
const json = (name: string) => JSON.parse(readFileSync(at(name), 'utf8'))

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringfence-calls-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

/** The pictures that fit the network: its folder has some of another size. */
function digits(): string {
  for (let digit = 0; digit < 10; digit++) {
    writeFileSync(at(`${digit}.png`), readFileSync(`${IMAGES}/digit-${digit}.png`))
  }
  const labels = Object.fromEntries(Array.from({ length: 10 }, (_, digit) => [`${digit}.png`, digit]))
  writeFileSync(at('labels.json'), JSON.stringify(labels))
  return dir
}

/** Calls the work off at its first progress, and sees that a part file is left. */
async function calledOff(
  work: (how: { signal: AbortSignal; onProgress: (progress: StageProgress) => void }) => Promise<unknown>,
  part: string,
) {
  const stop = new AbortController()
  const onProgress = ({ stage }: StageProgress) => stage !== 'reading' && stop.abort()
  await expect(work({ signal: stop.signal, onProgress })).rejects.toMatchObject({
    code: 'ABORTED',
    message: expect.stringContaining(part),
  })
  expect(existsSync(at(part))).toBe(true)
}

describe('calls on files', { timeout: 120_000 }, () => {
  it('pictures of any size are refused, or resized', async () => {
    const options = { model: MODEL, images: IMAGES, labelled: false, state: at('e.json'), threads: 1 } as const
    await expect(evaluateModel(options)).rejects.toThrow('do not fit this network')
    const { rows, images } = await evaluateModel({ ...options, resize: 'fit' })
    expect(images).toMatch(/^1[0-9] pictures of samples$/)
    expect(rows[0].float.images).toBeGreaterThan(10)
  })

  it('calibrateModel writes a calibration, and goes on where it was called off', async () => {
    const options = { model: MODEL, images: digits(), output: at('c.json'), per: 'layer', threads: 1 } as const
    await calledOff((how) => calibrateModel({ ...options, ...how }), 'c.json.part')
    const stages: string[] = []
    const onProgress = ({ stage }: StageProgress) => void stages.push(stage)
    const { calibration, warnings, network, windowBits } = await calibrateModel({ ...options, onProgress })
    expect(stages[0]).toBe('reading')
    // The first pass had been measured.
    expect(stages.filter((stage) => stage === 'measuring')).toEqual([])
    expect(json('c.json')).toEqual(JSON.parse(JSON.stringify(calibration)))
    expect(warnings[0]).toBe('10 pictures are few: others may reach further than these')
    expect([network, windowBits > 2]).toEqual(['mnist-cnn3', true])
    expect(existsSync(at('c.json.part'))).toBe(false)
    const { arch } = await inspectModel({ name: MODEL })
    expect(parseCalibration(json('c.json'), arch).source).toBe(calibration.source)
    await expect(calibrateModel(options)).rejects.toThrow('there already; --force overwrites')
  })

  it('a damaged part tells all that is wrong with it', async () => {
    const options = { model: MODEL, images: digits(), output: at('c.json'), threads: 1 } as const
    writeFileSync(at('c.json.part'), '{"format": "ranges-part/7", "ranges": {"inputs": 0}}')
    await expect(calibrateModel(options)).rejects.toMatchObject({
      code: 'BAD_FILE',
      problems: expect.arrayContaining([
        'file: format: expected one of ranges-part/1, got "ranges-part/7"',
        'file: key: expected a non-empty string, got nothing',
        'ranges: inputs: expected an integer >= 1, got 0',
      ]),
    })
    writeFileSync(at('evaluation.json.part'), '{"format": "evaluation-part/2", "variants": {"plain": 3}}')
    const evaluation = evaluateModel({ ...options, state: at('evaluation.json') })
    await expect(evaluation).rejects.toMatchObject({
      code: 'BAD_FILE',
      problems: expect.arrayContaining(['variant "plain": expected an object, got 3']),
    })
  })

  it('evaluateModel scores every variant, and goes on where it was called off', async () => {
    const options = { model: MODEL, images: digits(), all: true, state: at('e.json'), threads: 1 } as const
    await calledOff((how) => evaluateModel({ ...options, ...how }), 'e.json.part')
    const { rows, labelled, profile } = await evaluateModel({ ...options, windows: ['calibrated'], referenceInputs: 2 })
    expect([labelled, profile]).toEqual([true, 'wan60'])
    expect(rows.map(({ float, reference }) => [float.images, reference.images])).toEqual(rows.map(() => [10, 2]))
    expect(rows[0].float.correct).toBeGreaterThanOrEqual(9)
    const unlabelled = await evaluateModel({ ...options, all: false, labelled: false, referenceInputs: 1 })
    expect(unlabelled.rows[0].float.correct).toBeUndefined()
  })

  it('measureDistortion writes a table that planModel plans by', async () => {
    const blocks = [
      [1, 1],
      [2, 2],
      [0, 1],
    ] as const
    const measuring = { model: MODEL, images: digits(), limit: 2, blocks, output: at('d.json'), threads: 1 }
    await calledOff((how) => measureDistortion({ ...measuring, ...how }), 'd.json.part')
    const { resumed, rows, table } = await measureDistortion(measuring)
    expect(resumed).toBeGreaterThan(0)
    expect([...table.layers.values()].reduce((sum, { shape }) => sum + shape[0], 0)).toBe(rows)
    const stop = AbortSignal.abort()
    const planning = { model: MODEL, distortion: at('d.json'), budget: { ratio: 0.5 }, output: at('spec.json') }
    await expect(planModel({ ...planning, signal: stop })).rejects.toMatchObject({ code: 'ABORTED' })
    const { cost, plainCost, predicted } = await planModel(planning)
    expect(cost).toBeLessThanOrEqual(plainCost / 2)
    expect(predicted!.planned.onlineBytes).toBeLessThan(predicted!.plain.onlineBytes)
    const { arch } = await inspectModel({ name: MODEL })
    expect(parseReluSpec(json('spec.json'), arch).drelus).toBe(cost)
  })

  it('convertFiles and inspectModel', async () => {
    const [weights, arch] = ['weights.safetensors', 'arch.json'].map((name) => join(MODEL, name))
    const stages: string[] = []
    const onProgress = ({ stage }: StageProgress) => void stages.push(stage)
    const converted = await convertFiles({ input: weights, arch, output: `${at('net')}/`, onProgress })
    expect(converted.outputs.map(({ kind }) => kind).sort()).toEqual(['arch', 'safetensors'])
    expect(new Set(stages)).toEqual(new Set(['reading', 'converting', 'writing']))
    const { inspection } = await inspectModel({ name: join(at('net'), 'arch.json'), weights })
    expect(inspection).toMatchObject({ name: 'mnist-cnn3', backend: 'mcc' })
    expect(inspection.roundTrips).toBeGreaterThan(1)
    const stopped = convertFiles({ input: weights, output: at('x.safetensors'), signal: AbortSignal.abort() })
    await expect(stopped).rejects.toMatchObject({ code: 'ABORTED' })
    expect(existsSync(at('x.safetensors'))).toBe(false)
    await expect(convertFiles({ input: weights, to: 'relu-spec' })).rejects.toMatchObject({
      problems: ['to: expected safetensors or arch, got relu-spec'],
    })
  })
})
