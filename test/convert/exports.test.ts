// Files that PyTorch and TensorFlow.js wrote themselves (`test/vectors/exports`: `net.py`, `net.mjs`), with the logits they
// gave. Element i of two pictures, channels first, is ((37 i) mod 101) / 50 - 1.
import { describe, expect, it } from 'vitest'
import type { ConvertedNetwork } from '../../src/convert/arch-draft.js'
import { detectFormat } from '../../src/convert/detect.js'
import { convertOnnx } from '../../src/convert/onnx/onnx.js'
import { convertTfjs } from '../../src/convert/tfjs/tfjs.js'
import { fitWeights } from '../../src/convert/weights/fit.js'
import { readWeights } from '../../src/convert/weights/read.js'
import { runFloat } from '../../src/float/run.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { bindWeights } from '../../src/model/weights.js'
import { committed, committedJson } from '../fixtures/reference-files.js'

const file = (name: string): Uint8Array => committed(`test/vectors/exports/${name}`)
const { torch, tfjs } = committedJson('test/vectors/exports/logits.json') as Record<
  'torch' | 'tfjs',
  { by: string; logits: number[][] }
>
const pictures = [0, 1].map((n) => Float32Array.from({ length: 432 }, (_, i) => (((n * 432 + i) * 37) % 101) / 50 - 1))

function expectLogits(run: (picture: Float32Array) => ArrayLike<number>, logits: number[][]): void {
  pictures.forEach((picture, n) => {
    const found = run(picture)
    expect(found.length).toBe(5)
    logits[n].forEach((wanted, i) => {
      expect(Math.abs(found[i] - wanted), `picture ${n}, logit ${i}: ${found[i]} for ${wanted}`).toBeLessThan(1e-4)
    })
  })
  // Other logits for other pictures: a constant network would not pass.
  expect(Math.max(...logits[0].map((x, i) => Math.abs(x - logits[1][i])))).toBeGreaterThan(5e-3)
}

function expectNetwork({ arch, tensors }: ConvertedNetwork, logits: number[][]): void {
  const parsed = parseArchitecture(JSON.stringify(arch))
  const weights = bindWeights(parsed, tensors)
  expectLogits((picture) => runFloat(parsed, weights, undefined, picture), logits)
}

const conv = (id: string, from: string, cout: number, more: object) => ({ id, op: 'conv2d', in: [from], cout, ...more })
const edge = [1, 1, 1, 1]
/** The network of `net.py`, under its state dict's names. */
const NET = {
  format: 'arch/1',
  name: 'net',
  inputs: [{ name: 'x', shape: [3, 12, 12] }],
  outputs: ['fc'],
  layers: [
    conv('stem.0', 'x', 6, { kernel: [3, 3], pad: edge, bias: false }),
    { id: 'stem.1', op: 'batchNorm', in: ['stem.0'], eps: 1e-5 },
    { id: 'stem.2', op: 'relu', in: ['stem.1'] },
    { id: 'pool', op: 'maxPool', in: ['stem.2'], kernel: [2, 2], stride: [2, 2] },
    conv('dw', 'pool', 6, { kernel: [3, 3], stride: [2, 2], pad: edge, groups: 6, bias: false }),
    { id: 'bn', op: 'batchNorm', in: ['dw'], eps: 1e-5 },
    { id: 'act', op: 'clip', in: ['bn'], min: 0, max: 6 },
    conv('pw', 'act', 8, { kernel: [1, 1], bias: true }),
    conv('short', 'pool', 8, { kernel: [1, 1], stride: [2, 2], bias: false }),
    { id: 'sum', op: 'add', in: ['pw', 'short'] },
    { id: 'leaky', op: 'leakyRelu', in: ['sum'], slope: 0.1 },
    { id: 'gap', op: 'globalAvgPool', in: ['leaky'] },
    { id: 'flat', op: 'flatten', in: ['gap'] },
    { id: 'fc', op: 'linear', in: ['flat'], cout: 5, bias: true },
  ],
  weights: { layout: 'torch', unwrap: 'state_dict', stripPrefix: 'module.' },
}

describe(`as ${torch.by} wrote them`, () => {
  it.each([
    ['net.pt', 'torch.save of a state dict, zip'],
    ['net-legacy.pth', 'torch.save of a state dict, legacy'],
    ['net-checkpoint.pt', 'a checkpoint: state_dict among other entries, names behind module.'],
  ])('%s: %s', (name) => {
    const { arch, weights } = fitWeights(NET, readWeights(file(name), name), { source: name })
    expectLogits((picture) => runFloat(arch, weights, undefined, picture), torch.logits)
  })

  it.each([
    ['net-script.onnx', 'the exporter by tracing'],
    ['net-dynamo.onnx', 'the exporter by torch.export'],
  ])('%s: %s', (name) => {
    expect(detectFormat(file(name))).toBe('onnx')
    expectNetwork(convertOnnx(file(name), { source: name }), torch.logits)
  })
})

describe(`as ${tfjs.by} wrote them`, () => {
  it('a layers model', () => {
    const shards = new Map([['weights.bin', file('weights.bin')]])
    expectNetwork(convertTfjs(file('model.json'), shards, { source: 'model.json' }), tfjs.logits)
  })
})
