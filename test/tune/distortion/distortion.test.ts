// The distortion table: every number against whole runs of the network, whoever measures, in one go or in several.
import { describe, expect, it } from 'vitest'
import { FloatNetwork } from '../../../src/float/network.js'
import { type Architecture, parseArchitecture } from '../../../src/model/architecture.js'
import type { Pair } from '../../../src/model/layers/layers.js'
import { pictureToInput } from '../../../src/model/pictures/input.js'
import { parseReluSpec } from '../../../src/model/relu/spec.js'
import { readSafetensors } from '../../../src/model/safetensors.js'
import { asMap } from '../../../src/model/shape.js'
import { bindWeights, type Weights } from '../../../src/model/weights.js'
import { COMMON_BLOCKS, type DistortionProgress, distortion } from '../../../src/tune/distortion/distortion.js'
import {
  activationLayers,
  type DistortionTable,
  formatDistortionTable,
  parseDistortionTable,
} from '../../../src/tune/distortion/table.js'
import { type Setup, startJob } from '../../../src/tune/workers/jobs.js'
import type { StartPool, WorkerPool } from '../../../src/tune/workers/pool.js'
import { randomWeights } from '../../fixtures/networks.js'
import { cifarPictures } from '../../fixtures/pictures.js'
import { committed, committedJson, sharedFile } from '../../fixtures/reference-files.js'
import { sampleInput } from '../../fixtures/workloads.js'

/** Two convolutions, a shortcut around the second, a layer that has a name of its own in specs. */
const tiny = parseArchitecture({
  format: 'arch/1',
  name: 'tiny',
  inputs: [{ name: 'x', shape: [2, 6, 5] }],
  outputs: ['fc'],
  layers: [
    { id: 'c1', op: 'conv2d', in: ['x'], cout: 5, kernel: [3, 3], pad: [1, 1, 1, 1] },
    { id: 'r1', op: 'relu', in: ['c1'], specName: 'first' },
    { id: 'c2', op: 'conv2d', in: ['r1'], cout: 5, kernel: [3, 3], pad: [1, 1, 1, 1] },
    { id: 'sum', op: 'add', in: ['c2', 'r1'] },
    { id: 'r2', op: 'clip', in: ['sum'], min: 0, max: 6 },
    { id: 'flat', op: 'flatten', in: ['r2'] },
    { id: 'fc', op: 'linear', in: ['flat'], cout: 3 },
  ],
})
const weights = randomWeights(tiny, 1)
const inputs = [1, 2, 3].map((seed) => sampleInput(tiny, seed))
const blocks: readonly Pair[] = [
  [1, 1],
  [2, 3],
  [4, 4],
  [7, 1],
  [0, 1],
  [1, 0],
]
const rowsOf = (table: DistortionTable, name: string) => [...table.layers.get(name)!.values]

/** The network run from its input with the changed activation, as the definition says it. */
function byWholeRuns(arch: Architecture, own: Weights, all: Float32Array[], layers: Record<string, unknown>): number {
  const run = (spec?: unknown) => {
    const network = FloatNetwork.prepare(arch, own, spec ? { spec: parseReluSpec(spec, arch) } : {})
    const outputs = network.run(all)
    network.release()
    return outputs
  }
  const [before, after] = [run(), run({ format: 'relu-spec/1', layers })]
  const squares = before.flatMap((logits, i) => [...logits].map((logit, k) => (logit - after[i][k]) ** 2))
  return squares.reduce((sum, square) => sum + square, 0) / squares.length
}

function oneChannel(arch: Architecture, id: string, channel: number, block: Pair): Record<string, unknown> {
  const layer = arch.byId.get(id)!
  const [channels] = asMap(layer.out)
  const all = Array.from({ length: channels }, (_, c) => (c === channel ? block : [1, 1]))
  return { [layer.specName ?? id]: { kind: 'block', blocks: all } }
}

describe('a distortion table', () => {
  it('holds what whole runs give, within 1e-3', async () => {
    const table = await distortion(tiny, weights, inputs, { blocks })
    expect(table).toMatchObject({ network: 'tiny', images: 3 })
    expect([...table.layers.keys()]).toEqual(['first', 'r2'])
    for (const { id, specName } of activationLayers(tiny)) {
      const { values, identity } = table.layers.get(specName ?? id)!
      for (let c = 0; c < 5; c++) {
        blocks.forEach((block, j) => {
          const value = values[c * blocks.length + j]
          if (block[0] === 7) expect(value).toBeNaN()
          else closeTo(value, byWholeRuns(tiny, weights, inputs, oneChannel(tiny, id, c, block)))
        })
      }
      closeTo(identity!, byWholeRuns(tiny, weights, inputs, { [specName ?? id]: { kind: 'identity' } }))
    }
  })

  it('comes back from its file', async () => {
    const table = await distortion(tiny, weights, inputs, { blocks })
    expect(parseDistortionTable(formatDistortionTable(table), tiny)).toEqual(table)
  })

  it('has the same bits whoever takes which task, in any order', async () => {
    const alone = await distortion(tiny, weights, inputs, { blocks })
    const crowd = await distortion(tiny, weights, inputs, { blocks, startPool: unsteady(3) })
    expect(formatDistortionTable(crowd)).toBe(formatDistortionTable(alone))
  })

  it('offers the nine blocks of the shipped tables unless told otherwise', () => {
    const { palette } = committedJson('models/resnet20-cifar10/distortion.json') as { palette: Pair[] }
    expect(COMMON_BLOCKS).toEqual(palette)
  })
})

describe('an interrupted measurement', () => {
  it('goes on from every point with nothing lost, nothing measured twice and the same bits', async () => {
    const whole = formatDistortionTable(await distortion(tiny, weights, inputs, { blocks }))
    for (let stop = 1; stop <= 11; stop++) {
      const left = await interrupted(stop)
      const resume = parseDistortionTable(left, tiny, { partial: true })
      let tasks = 0
      const table = await distortion(tiny, weights, inputs, { blocks, resume, onProgress: () => tasks++ })
      expect(formatDistortionTable(table)).toBe(whole)
      expect(tasks).toBe(12 - stop)
    }
  })

  it('tells how far it is', async () => {
    const seen: DistortionProgress[] = []
    await distortion(tiny, weights, inputs, { blocks, onProgress: (progress) => seen.push(progress) })
    expect(seen.map(({ measured }) => measured)).toEqual([1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10, 10])
    expect(seen.every(({ rows }) => rows === 10)).toBe(true)
    expect(seen.map(({ done }) => done)).toEqual(seen.map(({ done }) => done).sort((a, b) => a - b))
    expect(seen.at(-1)!.done).toBeCloseTo(1, 12)
  })

  it('is not resumed with other images or candidates', async () => {
    const resume = parseDistortionTable(await interrupted(3), tiny, { partial: true })
    await expect(distortion(tiny, weights, inputs.slice(1), { blocks, resume })).rejects.toThrow('3 images, not of 2')
    await expect(distortion(tiny, weights, inputs, { resume })).rejects.toThrow('layer first has other candidates')
  })
})

describe('what cannot be measured', () => {
  it('is refused with every reason', async () => {
    const wrong: unknown = [[1, 1], [1, 1], [0, 2], 'identity']
    const call = distortion(tiny, weights, [], { blocks: wrong as Pair[] })
    await expect(call).rejects.toMatchObject({
      code: 'BAD_INPUT',
      problems: [
        'inputs: expected at least one, got none',
        'blocks: [1,1] stands there twice',
        'blocks: expected [height, width] >= 1, [0,1] or [1,0], got [0,2]',
        'blocks: expected [height, width] >= 1, [0,1] or [1,0], got "identity"',
      ],
    })
  })

  it('an input of NaN', async () => {
    await expect(distortion(tiny, weights, [inputs[0].map(() => Number.NaN)])).rejects.toThrow('60 that are NaN')
  })

  it('ends with the first error of a thread, and lets all go', async () => {
    const { startPool, ended } = failing(2)
    await expect(distortion(tiny, weights, inputs, { blocks, startPool })).rejects.toThrow('out of memory')
    expect(ended()).toBe(true)
  })
})

const resnet8 = sharedFile('models/resnet8-mlperf-tiny.safetensors')
const cifar = sharedFile('images/cifar10-test-first20.bin')
const missing = resnet8 && cifar ? '' : ' (SKIPPED: the files are not beside this checkout)'

describe('ResNet-8 for CIFAR-10', () => {
  it.skipIf(missing !== '')(`agrees with whole runs at channels of every layer${missing}`, async () => {
    const arch = parseArchitecture(committedJson('test/vectors/examples/resnet8-cifar10.arch.json'))
    const own = bindWeights(arch, readSafetensors(resnet8!))
    const pictures = cifarPictures(cifar!).slice(0, 2)
    const all = pictures.map(({ picture }) => pictureToInput(picture, arch.inputs[0]))
    const few: readonly Pair[] = [
      [2, 2],
      [0, 1],
    ]
    const table = await distortion(arch, own, all, { blocks: few, wholeLayers: false })
    for (const layer of activationLayers(arch)) {
      const values = rowsOf(table, layer.id)
      for (const c of [0, 7, layer.out[0] - 1]) {
        few.forEach((block, j) => {
          closeTo(values[c * few.length + j], byWholeRuns(arch, own, all, oneChannel(arch, layer.id, c, block)))
        })
      }
    }
  })

  it.skipIf(missing !== '')(`measures on other pictures what the published table shows${missing}`, async () => {
    // The table's own 32 pictures are not at hand: the sums of a layer over 20 others come near, single rows do not.
    const arch = parseArchitecture(committedJson('test/vectors/examples/resnet8-cifar10.arch.json'))
    const published = committedJson('test/vectors/resnet8-knapsack.json') as {
      candidates: Pair[]
      distortion: number[][]
    }
    const own = bindWeights(arch, readSafetensors(resnet8!))
    const all = cifarPictures(cifar!).map(({ picture }) => pictureToInput(picture, arch.inputs[0]))
    const blocks = published.candidates.slice(-2)
    const job = startJob('distortion', { arch, weights: own, inputs: all, blocks })
    const last = activationLayers(arch).at(-1)!
    const ours = [...job.run({ layer: last.id, from: 0, to: 64 })]
    const theirs = published.distortion.slice(-64).flatMap((row) => row.slice(-2))
    const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
    const ratio = sum(ours) / sum(theirs)
    expect(ratio).toBeGreaterThan(0.5)
    expect(ratio).toBeLessThan(2)
  })
})

it('the shipped table of ResNet-20 is of this arch', () => {
  const arch = parseArchitecture(committedJson('models/resnet20-cifar10/arch.json'))
  const text = new TextDecoder().decode(committed('models/resnet20-cifar10/distortion.json'))
  expect(parseDistortionTable(text, arch).images).toBe(128)
})

function closeTo(value: number, expected: number): void {
  expect(Math.abs(value - expected)).toBeLessThanOrEqual(1e-3 * expected + 1e-12)
}

/** The file of a measurement that was stopped after some tasks. */
async function interrupted(stop: number): Promise<string> {
  const controller = new AbortController()
  let tasks = 0
  let file = ''
  const onProgress = ({ table }: DistortionProgress) => {
    file = formatDistortionTable(table)
    if (++tasks === stop) controller.abort()
  }
  const call = distortion(tiny, weights, inputs, { blocks, onProgress, signal: controller.signal })
  await expect(call).rejects.toMatchObject({ code: 'ABORTED' })
  expect(tasks).toBe(stop)
  return file
}

/** Threads that answer out of order. */
function unsteady(threads: number) {
  const startPool = async (kind: 'distortion', setup: Setup<'distortion'>) => {
    const jobs = Array.from({ length: threads }, () => startJob(kind, setup))
    let turn = 0
    const run = async (task: never) => {
      const own = turn++
      await new Promise((resolve) => setTimeout(resolve, (own * 7) % 5))
      return jobs[own % threads].run(task)
    }
    return { threads, run, release: async () => {} }
  }
  return startPool as unknown as StartPool
}

function failing(threads: number) {
  let released = false
  const run = async () => {
    throw new Error('out of memory')
  }
  const release = async () => {
    released = true
  }
  return { startPool: async () => ({ threads, run, release }) as WorkerPool<never>, ended: () => released }
}
