// Published networks with their published weights and pictures, where those files lie beside the checkout, and how
// private runs of them are held against the integer reference and the float network.
import { expect } from 'vitest'
import { readTorch } from '../../../src/convert/weights/torch.js'
import { FloatNetwork } from '../../../src/float/network.js'
import { type Architecture, parseArchitecture } from '../../../src/model/architecture.js'
import { readSafetensors } from '../../../src/model/safetensors.js'
import { bindWeights, type Weights } from '../../../src/model/weights.js'
import { Meter } from '../../../src/net/index.js'
import { type Calibration, calibrate } from '../../../src/plan/calibrate.js'
import type { Compiled } from '../../../src/plan/compile/compile.js'
import { encodeFixed } from '../../../src/ring/codec.js'
import { localParties, runReference } from '../../../src/testing.js'
import { committedJson, readRecords, sharedFile } from '../../fixtures/reference-files.js'

/** Of a picture, as `tables/reference_outputs.json` has them. */
interface Row {
  logits?: number[]
  top5?: number[]
  top5Logits?: number[]
  first8Logits?: number[]
}

interface Files {
  /** Of `test/vectors/examples`. */
  readonly arch: string
  readonly weights: string
  readonly pictures: string
  /** Bytes of a record before its pixels. */
  readonly head: number
  /** Of the table. */
  readonly rows: string
}

const cifar = { pictures: 'cifar10-test-first20.bin', head: 1 }

export const PUBLISHED = {
  'ResNet-20': { arch: 'resnet20-cifar10', weights: 'resnet20-12fca82f.th', rows: 'resnet20', ...cifar },
  'ResNet-8': { arch: 'resnet8-cifar10', weights: 'resnet8-mlperf-tiny.safetensors', rows: 'resnet8', ...cifar },
  ProxylessNAS: {
    arch: 'proxyless-w0.25-r112',
    weights: 'proxyless-w0.25-r112_imagenet.pth',
    pictures: 'imagenet20-112.bin',
    head: 2,
    rows: 'proxyless-w0.25-r112',
  },
} satisfies Record<string, Files>
export type Published = keyof typeof PUBLISHED

export interface RealNetwork {
  readonly arch: Architecture
  readonly weights: Weights
  readonly inputs: readonly Float32Array[]
  /** PyTorch's, or TensorFlow's. */
  readonly rows: readonly Row[]
  /** The float network's, which those are held against. */
  readonly logits: readonly Float32Array[]
  /** Measured on half of the pictures. */
  readonly calibration: Calibration
}

/** The network's files, or undefined where one is missing. */
export function published(name: Published): (() => RealNetwork) | undefined {
  const files = PUBLISHED[name]
  const paths = [`models/${files.weights}`, `images/${files.pictures}`, 'tables/reference_outputs.json']
  const [tensors, pictures, table] = paths.map(sharedFile)
  if (!tensors || !pictures || !table) return undefined
  return () => {
    const arch = parseArchitecture(committedJson(`test/vectors/examples/${files.arch}.arch.json`))
    const read = files.weights.endsWith('.safetensors') ? readSafetensors : readTorch
    const weights = bindWeights(arch, read(tensors))
    const inputs = readRecords(pictures, files.head, arch)
    const { rows } = JSON.parse(new TextDecoder().decode(table))[files.rows] as { rows: Row[] }
    const calibration = calibrate(arch, weights, undefined, inputs.slice(0, inputs.length / 2))
    const logits = FloatNetwork.prepare(arch, weights).run(inputs)
    for (const [i, found] of logits.entries()) expect(apart(found, rows[i])).toBeLessThan(1e-3)
    return { arch, weights, inputs, rows, logits, calibration }
  }
}

/** What a test of a network is called: that it is skipped, and why, when its files are missing. */
export const title = (name: Published, rest: string): string =>
  published(name) ? `${name}: ${rest}` : `${name}: ${rest} (SKIPPED: its files are not beside this checkout)`

/** The largest difference between logits and what the table has of them. */
export function apart(logits: ArrayLike<number>, { logits: all, top5 = [], top5Logits, first8Logits }: Row): number {
  const pairs = all
    ? all.map((x, i) => [x, logits[i]])
    : [...first8Logits!.map((x, i) => [x, logits[i]]), ...top5Logits!.map((x, i) => [x, logits[top5[i]]])]
  return Math.max(...pairs.map(([a, b]) => Math.abs(a - b)))
}

/** The class of the largest logit, and by how much it is larger than the next. */
export function best(logits: ArrayLike<number>): { top: number; margin: number } {
  const [first, second] = Array.from(logits).sort((a, b) => b - a)
  return { top: Array.prototype.indexOf.call(logits, first), margin: first - second }
}

/**
 * Private logits of all inputs, and the one-way waves between client and server that one takes. Those of the first
 * `checked` equal the integer reference bit for bit, and nothing leaves its range there.
 */
export async function runPrivately(compiled: Compiled, inputs: readonly Float32Array[], checked: number) {
  const { plan, model } = compiled
  const meter = new Meter()
  const parties = await localParties(compiled, { party: { deadlineMs: 120_000 }, client: { meter } })
  try {
    const logits: Float32Array[] = []
    for (const [i, input] of inputs.entries()) {
      const result = await parties.client.run(input)
      logits.push(result.logits)
      if (i >= checked) continue
      const words = encodeFixed(input, plan.input.scale, plan.input.bits)
      const { output, overflows } = runReference(plan, model, words, parties.masks(result.inference))
      expect(result.raw.length).toBe(output.length)
      expect(result.raw.findIndex((word, j) => word !== output[j])).toBe(-1)
      expect(overflows).toBe(0)
    }
    const { flights } = meter.report().links.server.online
    return { logits, flights: flights / inputs.length }
  } finally {
    await parties.release()
  }
}

/**
 * Top-1 is the float network's wherever its margin exceeds twice the largest error found; that error, and how many
 * pictures have such a margin.
 */
export function expectTopOne(found: readonly Float32Array[], { logits, rows }: RealNetwork) {
  const error = Math.max(...found.map((x, i) => Math.max(apart(x, rows[i]), apart(x, { logits: [...logits[i]] }))))
  let sure = 0
  found.forEach((x, i) => {
    const { top, margin } = best(logits[i])
    if (margin <= 2 * error) return
    sure++
    expect(best(x).top, `picture ${i}`).toBe(top)
  })
  return { error, sure }
}
