import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { loadModelDirectory } from '../../src/files/model-directory.js'
import { runFloat } from '../../src/float/run.js'
import { decodeImage } from '../../src/model/pictures/decode.js'
import { pictureToInput } from '../../src/model/pictures/input.js'
import { calibrate } from '../../src/plan/calibrate.js'
import { committed } from '../fixtures/reference-files.js'

const models = fileURLToPath(new URL('../../models', import.meta.url))
const folders: string[] = []

function copyOf(model: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'ringfence-model-'))
  folders.push(dir)
  cpSync(join(models, model), dir, { recursive: true })
  return dir
}

afterEach(() => {
  for (const dir of folders.splice(0)) rmSync(dir, { recursive: true })
})

async function failure(run: Promise<unknown>): Promise<RingfenceError> {
  const error = await run.then(
    () => undefined,
    (e: unknown) => e,
  )
  expect(error).toBeInstanceOf(RingfenceError)
  return error as RingfenceError
}

describe('committed models', () => {
  it.each(['plain', '25', '12', '06'])(
    'resnet20-cifar10, variant %s, labels its samples and stays within its ranges',
    async (variant) => {
      const { arch, weights, spec, calibration, samples } = await loadModelDirectory(
        join(models, 'resnet20-cifar10'),
        variant,
      )
      expect(spec === undefined).toBe(variant === 'plain')
      const inputs = samples.map(({ file }) =>
        pictureToInput(decodeImage(committed(file.slice(file.indexOf('models/')))), arch.inputs[0]),
      )
      samples.forEach(({ label }, i) => {
        const logits = runFloat(arch, weights, spec, inputs[i])
        expect(logits.indexOf(Math.max(...logits))).toBe(label)
      })
      // Ranges of averages are measured since; the packaged calibration is older and goes without.
      for (const [id, value] of Object.entries(calibrate(arch, weights, spec, inputs).maxAbs)) {
        if (calibration!.maxAbs[id] !== undefined) expect(value, id).toBeLessThanOrEqual(calibration!.maxAbs[id])
      }
    },
  )

  it('mnist-cnn3 has one variant and ten samples', async () => {
    const model = await loadModelDirectory(join(models, 'mnist-cnn3'))
    expect(model).toMatchObject({ name: 'mnist-cnn3', variant: 'plain', variants: ['plain'], spec: undefined })
    expect(model.samples.map(({ label }) => label)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  it('an unknown variant is refused with the known ones', async () => {
    const error = await failure(loadModelDirectory(join(models, 'resnet20-cifar10'), '50'))
    expect(error).toMatchObject({ code: 'BAD_INPUT' })
    for (const name of ['25', '12', '06', 'plain']) expect(error.message).toContain(name)
  })
})

describe('folders', () => {
  it('without a manifest the usual names do, and a spec or ranges are optional', async () => {
    const dir = copyOf('mnist-cnn3')
    rmSync(join(dir, 'model.json'))
    expect((await loadModelDirectory(dir)).calibration?.maxAbs.input).toBe(1)
    rmSync(join(dir, 'calibration.json'))
    expect(await loadModelDirectory(dir)).toMatchObject({ variant: 'default', calibration: undefined, samples: [] })
  })

  it('problems of several files come in one error', async () => {
    const dir = copyOf('resnet20-cifar10')
    writeFileSync(join(dir, 'relu-spec-25.json'), '{"format":"relu-spec/1","layers":{"fc":{"kind":"relu"}}}')
    writeFileSync(join(dir, 'calibration-25.json'), '{"format":"calibration/1","source":"x","maxAbs":{"relu":-1}}')
    rmSync(join(dir, 'weights-25.safetensors'))
    const { code, problems } = await failure(loadModelDirectory(dir))
    expect(code).toBe('BAD_FILE')
    const text = problems.join('\n')
    expect(text).toContain('weights-25.safetensors: expected a file in')
    expect(text).toContain('relu-spec-25.json: layer "fc": expected a relu')
    expect(text).toContain('calibration-25.json: maxAbs: "relu": expected a finite number >= 0, got -1')
    expect(text).toContain('calibration-25.json: maxAbs: "fc"')
  })

  it('a faulty manifest reports all its problems', async () => {
    const dir = copyOf('mnist-cnn3')
    const manifest = {
      format: 'model/2',
      name: 'x',
      arch: '/etc/arch.json',
      default: 'big',
      variants: { small: {} },
      samples: [{}],
    }
    writeFileSync(join(dir, 'model.json'), JSON.stringify(manifest))
    expect((await failure(loadModelDirectory(dir))).problems).toHaveLength(7)
  })

  it('an empty folder says what is missing', async () => {
    const dir = copyOf('mnist-cnn3')
    for (const file of ['model.json', 'arch.json', 'weights.safetensors']) rmSync(join(dir, file))
    expect((await failure(loadModelDirectory(dir))).problems).toHaveLength(2)
  })
})
