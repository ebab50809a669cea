// Model files as people get them, from packages of the registry: float against the runtime that they were made for, private
// against the integer reference, bit for bit. `npm run models:real` fetches them; without them the tests are skipped, and say so.
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { describe, expect, it } from 'vitest'
import { FloatNetwork } from '../../../src/float/network.js'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { decodeImage } from '../../../src/model/pictures/decode.js'
import { bindWeights } from '../../../src/model/weights.js'
import { calibrate } from '../../../src/plan/calibrate.js'
import { compile } from '../../../src/plan/compile/compile.js'
import { inputWords } from '../../../src/plan/ends.js'
import { localParties, runReference } from '../../../src/testing.js'
import { convertModel, modelFiles, PACKAGES } from '../../fixtures/real-models.js'

/** Every step-th value of an output. */
interface Sampled {
  readonly length: number
  readonly step: number
  readonly largest: number
  readonly values: readonly number[]
}
interface Recorded {
  readonly files: Readonly<Record<string, { runtime: string; outputs: Readonly<Record<string, Sampled>> }>>
}
const recorded = JSON.parse(readFileSync('test/vectors/real-files.json', 'utf8')) as Recorded

/** What each shows: of the kinds that people ask for. */
const KINDS: Readonly<Record<string, string>> = {
  'ch_ppocr_mobile_v2.0_cls_infer.onnx': 'MobileNetV3 of PP-OCR: squeeze-excite, hard-swish, hard sigmoid',
  'face_detection_front_128x128_barracuda.onnx': 'a face detector with its heads',
  'meet.json': 'segmentation: sigmoid gates, hard-swish, transposed convolutions',
  'selfie.json': 'selfie segmentation: the same at 256×256',
}
const fetched = new Map(PACKAGES.flatMap(modelFiles).map((file) => [basename(file), file]))

async function opened(name: string) {
  const { arch: json, tensors } = convertModel(fetched.get(name)!)
  const arch = parseArchitecture(JSON.stringify(json))
  const picture = await decodeImage(readFileSync('models/samples/cat-chelsea-whole.png'))
  const [{ shape, layout }] = arch.inputs
  const [channels, height, width] = shape
  const input = Float32Array.from({ length: channels * height * width }, (_, i) => {
    const c = layout === 'hwc' ? i % channels : Math.floor(i / (height * width))
    const pixel = layout === 'hwc' ? Math.floor(i / channels) : i % (height * width)
    const row = Math.floor((Math.floor(pixel / width) * picture.height) / height)
    const column = Math.floor(((pixel % width) * picture.width) / width)
    return picture.data[(row * picture.width + column) * channels + c] / 127.5 - 1
  })
  return { arch, weights: bindWeights(arch, tensors), input }
}

describe.each(Object.entries(KINDS))('%s (%s)', (name) => {
  const missing = fetched.has(name) ? '' : ' (not fetched: npm run models:real)'

  it.skipIf(missing)(`computes in float what its own runtime computes${missing}`, async () => {
    const { arch, weights, input } = await opened(name)
    const float = FloatNetwork.prepare(arch, weights)
    const own = float.outputs(input)
    float.release()
    for (const [output, { length, step, largest, values }] of Object.entries(recorded.files[name].outputs)) {
      const { data } = own[output]
      expect(data.length).toBe(length)
      values.forEach((value, i) => {
        expect(Math.abs(data[i * step] - value)).toBeLessThanOrEqual(1e-4 * largest)
      })
    }
  })

  it.skipIf(missing)(`runs privately, to the bit as the integer reference${missing}`, async () => {
    const { arch, weights, input } = await opened(name)
    const compiled = compile(arch, weights, calibrate(arch, weights, undefined, [input]))
    const parties = await localParties(compiled)
    try {
      const { raw, inference } = await parties.client.run(input)
      const words = inputWords(compiled.plan, input)
      const reference = runReference(compiled.plan, compiled.model, words, parties.masks(inference))
      expect(reference.overflows).toBe(0)
      expect([...raw]).toEqual([...reference.output])
    } finally {
      await parties.release()
    }
  })
})
