// Whole networks: given its masks, a private run equals the integer reference bit for bit.
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { loadModelDirectory } from '../../../src/files/model-directory.js'
import { runFloat } from '../../../src/float/run.js'
import { pictureToInput } from '../../../src/model/pictures/input.js'
import { calibrate } from '../../../src/plan/calibrate.js'
import { type Compiled, type CompileOptions, compile } from '../../../src/plan/compile/compile.js'
import { decodeFixed, encodeFixed } from '../../../src/ring/codec.js'
import { localParties, runReference } from '../../../src/testing.js'
import { cifarPictures } from '../../fixtures/pictures.js'
import { committedJson, modelFolder, sharedFile } from '../../fixtures/reference-files.js'
import { drawFrom } from '../mcc/gadget-plan.js'
import { growNetwork } from './zoo.js'

/** Private results, each compared with the reference under the masks of its run. */
async function runPrivately(compiled: Compiled, inputs: readonly Float32Array[]): Promise<Float32Array[]> {
  const { plan, model } = compiled
  const parties = await localParties(compiled)
  try {
    const logits: Float32Array[] = []
    for (const input of inputs) {
      const result = await parties.client.run(input)
      const words = encodeFixed(input, plan.input.scale, plan.input.bits)
      const reference = runReference(plan, model, words, parties.masks(result.inference))
      expect([...result.raw]).toEqual([...reference.output])
      logits.push(decodeFixed(result.raw, result.scale))
    }
    return logits
  } finally {
    await parties.release()
  }
}

const noise = (length: number, seed: number, size: number) => {
  const draw = drawFrom(seed)
  return Float32Array.from({ length }, () => size * (2 * draw() - 1))
}

async function compileModel(name: string, variant?: string, options: CompileOptions<'mcc'> = {}) {
  const { arch, weights, calibration, spec } = await loadModelDirectory(modelFolder(name), variant)
  return { arch, weights, spec, compiled: compile(arch, weights, calibration!, spec, options) }
}

describe('trained networks equal the integer reference bit for bit', () => {
  const cases: [string, string | undefined, CompileOptions<'mcc'>][] = [
    ['mnist-cnn3', undefined, {}],
    ['mnist-cnn3', undefined, { ring: 28, bits: 14 }],
    ['mnist-cnn3', undefined, { bits: 16, lo: 6, rounds: 20 }],
    ['mnist-cnn3', undefined, { ring: 24, bits: 12, chunks: 3 }],
    ['resnet20-cifar10', 'plain', { bits: 16, lo: 4 }],
    ['resnet20-cifar10', 'plain', { bits: 16, lo: 8 }],
    ['resnet20-cifar10', 'plain', { ring: 28, bits: 14, rounds: 20 }],
    ['resnet20-cifar10', '25', {}],
    ['resnet20-cifar10', '12', { lo: 4 }],
    ['resnet20-cifar10', '06', {}],
  ]
  for (const [name, variant, options] of cases) {
    it(`${name}${variant ? ` ${variant}` : ''} with ${JSON.stringify(options)}`, async () => {
      const { compiled } = await compileModel(name, variant, options)
      const length = compiled.plan.input.shape.reduce((a, b) => a * b)
      // Noise as large as a picture, and zeros.
      await runPrivately(compiled, [noise(length, 1, 1), new Float32Array(length)])
    })
  }
})

describe('ResNet-20 on pictures', () => {
  const file = sharedFile('images/cifar10-test-first20.bin')
  const name = 'plain: private top-1 is that of the float network wherever its margin exceeds 0.5'
  it.skipIf(!file)(
    file ? name : `${name} (skipped: cifar10-test-first20.bin is not beside this checkout)`,
    async () => {
      const { compiled, arch } = await compileModel('resnet20-cifar10', 'plain')
      const { pairs } = committedJson('models/resnet20-cifar10/reference.json') as {
        pairs: { weights: string; rows: { label: number; logits: number[] }[] }[]
      }
      const { rows } = pairs.find(({ weights }) => weights === 'weights.safetensors')!
      const pictures = cifarPictures(file!)
      expect(pictures.map(({ label }) => label)).toEqual(rows.map(({ label }) => label))
      const logits = await runPrivately(
        compiled,
        pictures.map(({ picture }) => pictureToInput(picture, arch.inputs[0])),
      )
      let sure = 0
      let largest = 0
      rows.forEach((row, i) => {
        const [first, second] = [...row.logits].sort((a, b) => b - a)
        row.logits.forEach((value, j) => {
          largest = Math.max(largest, Math.abs(value - logits[i][j]))
        })
        if (first - second <= 0.5) return
        sure++
        expect(logits[i].indexOf(Math.max(...logits[i])), `picture ${i}`).toBe(row.logits.indexOf(first))
      })
      console.log(
        `ResNet-20: ${sure} of ${rows.length} pictures with a margin, largest logit error ${largest.toFixed(4)}`,
      )
      expect(sure).toBeGreaterThan(10)
      expect(largest).toBeLessThan(0.05)
    },
  )
})

describe('random networks', () => {
  const seen = new Set<string>()
  let cuts = 0
  it('equal the integer reference bit for bit and lie close to float', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.integer({ min: 1, max: 14 }), async (seed, size) => {
        const { arch, weights, spec, options, blocks, input } = growNetwork(seed, size)
        const inputs = [input(), input(), input()]
        const compiled = compile(arch, weights, calibrate(arch, weights, spec, inputs), spec, options)
        for (const { op } of arch.layers) seen.add(op)
        for (const { activation } of compiled.plan.steps) if (activation?.relu.kind === 'identity') cuts++
        const logits = await runPrivately(compiled, inputs.slice(1))
        if (blocks || options.lo !== 0) return
        logits.forEach((found, i) => {
          const wanted = runFloat(arch, weights, spec, inputs[i + 1])
          const range = wanted.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
          wanted.forEach((x, j) => {
            expect(Math.abs(x - found[j]), `output ${j}: ${found[j]} instead of ${x}`).toBeLessThan(0.1 * range + 0.05)
          })
        })
      }),
      { numRuns: 150, seed: 20 },
    )
  })
  afterAll(() => {
    expect(cuts).toBeGreaterThan(10)
    expect([...seen].sort()).toEqual(
      'add avgPool batchNorm channelScale conv2d flatten globalAvgPool identity linear pad relu shortcutA subsample zero'.split(
        ' ',
      ),
    )
  })
})
