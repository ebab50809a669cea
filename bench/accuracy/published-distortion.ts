// The distortion table of ResNet-8 that test/vectors holds, measured again: on 32 of the first hundred test images of
// each class, after JPEG, which is what the table was made of.
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { parseArchitecture } from '../../src/model/architecture.js'
import type { Pair } from '../../src/model/layers/layers.js'
import { readSafetensors } from '../../src/model/safetensors.js'
import { bindWeights } from '../../src/model/weights.js'
import { distortion } from '../../src/tune/distortion/distortion.js'
import { startThreads } from '../../src/tune/workers/pool.node.js'
import { beside, vectors } from '../../test/fixtures/vectors.js'
import { RECORD } from './cifar10.js'

export interface DistortionCheck {
  /** Values of the table that are not zero, and those among them that are met. */
  values: number
  within: number
  /** Largest and median deviation, relative to the table's value. */
  most: number
  typical: number
  target: number
}

const WITHIN = 1e-3

/** Undefined where the network's weights, which are not part of this project, do not lie beside it. */
export async function checkDistortion(jpeg: string): Promise<DistortionCheck | undefined> {
  const file = beside('models/resnet8-mlperf-tiny.safetensors')
  if (!file) return undefined
  const arch = parseArchitecture(vectors('examples/resnet8-cifar10.arch.json'))
  const table = vectors<typeof import('../../test/vectors/resnet8-knapsack.json')>('resnet8-knapsack.json')
  const options = { blocks: table.candidates as unknown as Pair[], startPool: startThreads(availableParallelism()) }
  const inputs = pictures(await readFile(jpeg)).map((planes) => Float32Array.from(planes))
  const { layers } = await distortion(arch, bindWeights(arch, readSafetensors(file)), inputs, options)
  const measured = [...layers.values()].flatMap(({ values }) => [...values])
  const stated = table.distortion.flat()
  if (stated.length !== measured.length) throw new Error(`${measured.length} values for ${stated.length} of the table`)
  const deviations = measured
    .flatMap((value, i) => (stated[i] > 0 ? [Math.abs(value / stated[i] - 1)] : []))
    .sort((a, b) => a - b)
  const most = deviations[deviations.length - 1]
  const typical = deviations[deviations.length >> 1]
  const within = deviations.filter((deviation) => deviation <= WITHIN).length
  return { values: deviations.length, within, most, typical, target: WITHIN }
}

/** Every 32nd of the first hundred images of each class, class by class. */
function pictures(records: Uint8Array): Uint8Array[] {
  const classes = Array.from({ length: 10 }, (): Uint8Array[] => [])
  for (let at = 0; at < records.length; at += RECORD) {
    classes[records[at]].push(records.subarray(at + 1, at + RECORD))
  }
  return classes.flatMap((images) => images.slice(0, 100)).filter((_, i) => i % 32 === 0)
}
