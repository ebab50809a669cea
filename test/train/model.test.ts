// The recipe of docs/train.md in the small: digits, a spec that ruins the plain network, and what fine-tuning makes of it.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { finetune } from '../../src/cli/commands/training/finetune.js'
import { finetuneModel, finetuneRounds, loadModelDirectory, prepareModel } from '../../src/node.js'
import { run } from '../cli/in-process.js'
import { writeDigits } from './digits.js'

let dir: string
let images: string
let test: string
const at = (name: string) => join(dir, name)

/** 224 comparisons of 2,864. */
const SPEC = {
  format: 'relu-spec/1',
  network: 'mnist-cnn3',
  layers: {
    relu1: { kind: 'block', blocks: Array(8).fill([7, 7]) },
    relu2: { kind: 'block', blocks: Array(16).fill([4, 4]) },
    relu3: { kind: 'block', blocks: Array(32).fill([2, 2]) },
  },
}
const recipe = { epochs: 6, batch: 32, shard: 32, rate: 0.03, shift: 1, flip: false, holdout: 0.2 }
const options = () => ({
  ...{ model: 'models/mnist-cnn3', reluSpec: at('spec.json'), images, test, recipe, threads: 1 },
  ...{ calibrationPictures: 50, referencePictures: 20 },
})

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'ringfence-train-'))
  images = writeDigits(dir, 'train', 40)
  test = writeDigits(dir, 'test', 20, 500)
  writeFileSync(at('spec.json'), JSON.stringify(SPEC))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

describe('finetuneModel', () => {
  it('makes a folder that is served, and right where the plain weights were not', async () => {
    const report = await finetuneModel({ ...options(), output: at('tuned') })
    expect(report.before).toBeLessThan(0.7)
    expect(report.after).toBeGreaterThan(0.85)
    expect(report.after! - report.before!).toBeGreaterThan(0.2)
    expect(report.reference!.agreeing).toBeGreaterThanOrEqual(19)
    expect(report).toMatchObject({
      comparisons: 224,
      trained: 320,
      heldOut: 80,
      evaluated: '200 pictures of test-images-idx3-ubyte',
    })
    const { weights, spec, calibration } = await loadModelDirectory(at('tuned'))
    expect([...weights.keys()]).toContain('conv1')
    expect([spec!.drelus, calibration !== undefined]).toEqual([224, true])
    expect((await prepareModel(at('tuned'), undefined)).compiled.plan.steps.length).toBeGreaterThan(3)
    expect(existsSync(at('tuned/weights.safetensors.part'))).toBe(false)
  })

  it('goes on after Ctrl-C to the same weights', async () => {
    const stop = new AbortController()
    const onProgress = ({ detail }: { detail?: string }) => {
      if (detail?.startsWith('epoch 2')) stop.abort()
    }
    const interrupted = finetuneModel({ ...options(), output: at('again'), signal: stop.signal, onProgress })
    await expect(interrupted).rejects.toMatchObject({
      code: 'ABORTED',
      message: expect.stringContaining('weights.safetensors.part'),
    })
    const other = finetuneModel({ ...options(), output: at('again'), recipe: { ...recipe, seed: 9 } })
    await expect(other).rejects.toThrow('other options')
    await finetuneModel({ ...options(), output: at('again') })
    const bytes = (folder: string) => readFileSync(at(`${folder}/weights.safetensors`)).toString('base64')
    expect(bytes('again')).toBe(bytes('tuned'))
  })

  it('refuses what it cannot do before it begins', async () => {
    await expect(finetuneModel({ ...options(), output: at('tuned') })).rejects.toThrow('tuned')
    await expect(finetuneModel({ ...options(), output: at('spec.json') })).rejects.toThrow('expected a folder')
    await expect(finetuneModel({ ...options(), output: 'models/mnist-cnn3' })).rejects.toThrow('model.json')
    writeFileSync(at('other.json'), JSON.stringify({ ...SPEC, network: 'another' }))
    await expect(finetuneModel({ ...options(), reluSpec: at('other.json'), output: at('x') })).rejects.toThrow(
      'another',
    )
    await expect(finetuneModel({ ...options(), images: dir, output: at('x') })).rejects.toMatchObject({
      code: 'BAD_INPUT',
    })
    expect(existsSync(at('x'))).toBe(false)
  })
})

describe('ringfence finetune', () => {
  const args = () => [
    'models/mnist-cnn3',
    '--images',
    images,
    '--limit',
    '100',
    '--epochs',
    '1',
    '--no-flip',
    '--threads',
    '1',
  ]

  const HERE = {
    date: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    machine: expect.stringContaining('GiB'),
    ringfence: expect.stringMatching(/^\d/),
    runtime: expect.stringContaining('Node'),
  }
  it('prints a table that fits, and the same as JSON', async () => {
    const wrapped = await run(finetune, ...args(), '-o', at('cli'), '--relu-spec', at('spec.json'), '--batch', '20')
    const text = wrapped.replace(/\s+/g, ' ')
    expect(text).toContain('trained on 90 of 100 pictures of train-images-idx3-ubyte, 10 held out')
    expect(text).toMatch(/224 comparisons; 10 held out of .*: \d+\.\d\d % right before,\s+\d+\.\d\d % after/)
    expect(text).toMatch(/1 ← +\d+\.\d{4} +\d+\.\d\d % +\d+\.\d\d %/)
    const json = await run(finetune, ...args(), '-o', at('cli'), '--force', '--json', '--holdout', '0')
    expect(JSON.parse(json)).toMatchObject({
      ...HERE,
      epoch: 1,
      held: null,
      before: null,
      comparisons: null,
      history: [{ epoch: 1 }],
    })
  })

  it('learns masks for a budget, and writes them as the spec', async () => {
    const learning = ['--learn-masks', '--budget', '150', '--mask-epochs', '2', '--mask-rate', '0.2', '--batch', '20']
    const report = await run(finetune, ...args(), '-o', at('masked'), ...learning)
    expect(report).toMatch(/1 +\d+\.\d{4} +\d+\.\d\d % +\d+\.\d\d % +[\d,]+\n/)
    const { spec } = await loadModelDirectory(at('masked'))
    expect(spec!.drelus).toBe(150)
    expect((await prepareModel(at('masked'), undefined)).compiled.plan.steps.length).toBeGreaterThan(3)
  })

  it('plans, trains and plans again, round by round, and goes on where it was', async () => {
    const given = { ...options(), limit: 100, recipe: { ...recipe, epochs: 1, batch: 20 }, reluSpec: undefined }
    const rounds = () =>
      finetuneRounds({ ...given, rounds: 2, ratio: 0.05, distortionPictures: 4, output: at('rounds') })
    const counts = (await rounds()).map(({ comparisons }) => comparisons!)
    expect(counts[0]).toBeLessThanOrEqual(2864 * Math.sqrt(0.05))
    expect(counts[0]).toBeGreaterThan(0.9 * 2864 * Math.sqrt(0.05))
    expect(counts[1]).toBeLessThanOrEqual(143)
    expect(counts[1]).toBeGreaterThan(130)
    // The second plan is by the weights of the first round: another table than the plain weights have.
    const { variants, spec, weights } = await loadModelDirectory(at('rounds'))
    expect([variants, spec!.drelus]).toEqual([['round-2', 'round-1'], counts[1]])
    const tables = [1, 2].map((i) => readFileSync(at(`rounds/round-${i}/distortion.json`), 'utf8'))
    expect(tables[0]).not.toBe(tables[1])
    await expect(rounds()).rejects.toThrow('model.json is there already')
    // Without the end of its last round it comes to the same weights, and leaves the first as it is.
    for (const file of ['model.json', 'round-2/report.json']) rmSync(at(`rounds/${file}`))
    const first = readFileSync(at('rounds/round-1/report.json'), 'utf8')
    await rounds()
    expect(readFileSync(at('rounds/round-1/report.json'), 'utf8')).toBe(first)
    const again = (await loadModelDirectory(at('rounds'))).weights.get('conv1')!.weight
    expect(again).toEqual(weights.get('conv1')!.weight)
  })

  it('prints epochs, and rounds, for a spreadsheet', async () => {
    const epochs = await run(finetune, ...args(), '-o', at('csv'), '--csv')
    expect(epochs).toMatch(
      /^epoch,loss,accuracy,held,left,date,machine,ringfence,runtime\n1,\d\.\d+,0\.\d+,[01](\.\d+)?,,20.*\n$/,
    )
    const rounds = ['--rounds', '1', '--ratio', '0.5', '--cull', 'layers', '--csv', '-o', at('csv-rounds')]
    const row = 'round-1,1296,[01](\\.\\d+)?,[01](\\.\\d+)?,10,\\d+,\\d+'
    const text = await run(finetune, ...args(), ...rounds)
    expect(text).toMatch(
      new RegExp(
        `^name,comparisons,before,after,reference,correct,agreeing,date,machine,ringfence,runtime\n${row},20.*\n$`,
      ),
    )
  })

  it('says of rounds, too, when and where they were made', async () => {
    const rounds = ['--rounds', '1', '--ratio', '0.5', '--cull', 'layers', '--json', '-o', at('json-rounds')]
    const made = JSON.parse(await run(finetune, ...args(), ...rounds))
    expect(made).toMatchObject({ ...HERE, rounds: [{ name: 'round-1', comparisons: 1296 }] })
  })

  it('drops whole layers, those that matter least', async () => {
    const culling = ['--rounds', '1', '--ratio', '0.5', '--cull', 'layers', '--holdout', '0']
    const report = await run(finetune, ...args(), '-o', at('culled'), ...culling)
    expect(report).toMatch(/mnist-cnn3: nothing was held out\n.*\n.*round-1/)
    const { spec } = await loadModelDirectory(at('culled'))
    // Of 1568, 784 and 512 only those below half of their sum may stay: together, or the largest would not fit.
    expect([...spec!.layers.values()].map(({ kind }) => kind)).toEqual(['identity', 'relu', 'relu'])
    expect(spec!.drelus).toBe(784 + 512)
  })

  it('names every flag that is wrong', async () => {
    const alone = run(finetune, ...args(), '-o', at('x'), '--budget', '3')
    await expect(alone).rejects.toMatchObject({ problems: ['--budget: goes with --learn-masks'] })
    const rounds = run(finetune, ...args(), '-o', at('x'), '--rounds', '2', '--relu-spec', 'a', '--cull', 'b')
    await expect(rounds).rejects.toMatchObject({
      problems: [
        expect.stringContaining('--cull'),
        expect.stringContaining('--ratio'),
        expect.stringContaining('--relu-spec'),
      ],
    })
    const wrong = run(finetune, '--epochs', '0', '--optimizer', 'lion', '--rate', 'x')
    await expect(wrong).rejects.toMatchObject({
      problems: expect.arrayContaining([expect.stringContaining('--optimizer'), expect.stringContaining('--epochs')]),
    })
  })
})
