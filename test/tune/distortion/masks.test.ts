// Distortions of nested masks: every number against whole runs of the network, and the ranks against the values passed.
import { describe, expect, it } from 'vitest'
import { FloatNetwork } from '../../../src/float/network.js'
import { parseArchitecture } from '../../../src/model/architecture.js'
import type { Pair } from '../../../src/model/layers/layers.js'
import { toBase64 } from '../../../src/model/relu/mask-bits.js'
import { parseReluSpec } from '../../../src/model/relu/spec.js'
import { type DistortionProgress, distortion } from '../../../src/tune/distortion/distortion.js'
import { keptCounts, maskOf } from '../../../src/tune/distortion/nested-masks.js'
import { formatDistortionPart, parseDistortionPart } from '../../../src/tune/distortion/part.js'
import {
  type DistortionTable,
  formatDistortionTable,
  parseDistortionTable,
} from '../../../src/tune/distortion/table.js'
import { measurementKey } from '../../../src/tune/part.js'
import { randomWeights } from '../../fixtures/networks.js'
import { sampleInput } from '../../fixtures/workloads.js'

/** A shortcut, a batch norm before an activation, one that is not a ReLU, one of a vector. */
const tiny = parseArchitecture({
  ...{ format: 'arch/1', name: 'tiny', outputs: ['fc2'], inputs: [{ name: 'x', shape: [2, 6, 5] }] },
  layers: [
    { id: 'c1', op: 'conv2d', in: ['x'], cout: 3, kernel: [3, 3], pad: [1, 1, 1, 1] },
    { id: 'n1', op: 'batchNorm', in: ['c1'] },
    { id: 'r1', op: 'relu', in: ['n1'], specName: 'first' },
    { id: 'c2', op: 'conv2d', in: ['r1'], cout: 3, kernel: [3, 3], pad: [1, 1, 1, 1] },
    { id: 'sum', op: 'add', in: ['c2', 'r1'] },
    { id: 'r2', op: 'clip', in: ['sum'], min: 0, max: 6 },
    { id: 'flat', op: 'flatten', in: ['r2'] },
    { id: 'fc1', op: 'linear', in: ['flat'], cout: 4 },
    { id: 'r3', op: 'relu', in: ['fc1'] },
    { id: 'fc2', op: 'linear', in: ['r3'], cout: 3 },
  ],
})
const weights = randomWeights(tiny, 1)
const inputs = [1, 2, 3].map((seed) => sampleInput(tiny, seed))
const blocks: readonly Pair[] = [
  [1, 1],
  [0, 1],
]
const masks = [1, 0.6, 0.2, 0]
const measured = distortion(tiny, weights, inputs, { blocks, masks })

/** The mean squared change when one channel of a layer uses one of its masks, by whole runs. */
function byWholeRuns(table: DistortionTable, name: string, channel: number, mask: number): number {
  const { shape, masks: own } = table.layers.get(name)!
  const choice = Array.from({ length: shape[0] }, (_, c) => (c === channel ? mask : -1))
  const bits = new Uint8Array(Math.ceil(own!.levels.length / 8))
  maskOf(own!, shape, choice).forEach((bit, i) => {
    bits[i >> 3] |= bit << (i & 7)
  })
  const entry = { kind: 'mask', off: 'identity', encoding: 'base64-bits-lsb-first', bits: toBase64(bits) }
  const run = (spec?: object) => {
    const network = FloatNetwork.prepare(tiny, weights, spec ? { spec: parseReluSpec(spec, tiny) } : {})
    const outputs = network.run(inputs)
    network.release()
    return outputs
  }
  const [before, after] = [run(), run({ format: 'relu-spec/1', layers: { [name]: entry } })]
  const squares = before.flatMap((logits, i) => [...logits].map((logit, k) => (logit - after[i][k]) ** 2))
  return squares.reduce((sum, square) => sum + square, 0) / squares.length
}

describe('masks', () => {
  it('hold what whole runs give, within 1e-3', async () => {
    const table = await measured
    for (const [name, { shape, masks: own, values }] of table.layers) {
      expect(own!.count).toBe(4)
      for (let c = 0; c < shape[0]; c++) {
        expect(own!.values[4 * c]).toBe(0)
        // Nothing kept is the block [0,1].
        expect(own!.values[4 * c + 3]).toBeCloseTo(values[2 * c + 1], 6)
        for (let j = 0; j < 4; j++) {
          const expected = byWholeRuns(table, name, c, j)
          expect(Math.abs(own!.values[4 * c + j] - expected)).toBeLessThanOrEqual(1e-3 * expected + 1e-9)
        }
      }
    }
    // Something depends on them.
    expect(table.layers.get('first')!.masks!.values.filter((value) => value > 0).length).toBeGreaterThan(5)
  })

  it('keep the elements whose switch changes the most, as many as the shares say', async () => {
    const table = await measured
    const network = FloatNetwork.prepare(tiny, weights, { variable: true })
    const [before, after] = [[] as Float32Array[], [] as Float32Array[]]
    for (const input of inputs) {
      const pass = network.start(input)
      before.push(pass.value('sum'))
      after.push(pass.value('r2'))
      pass.release()
    }
    network.release()
    const energy = Array.from(before[0], (_, e) =>
      before.reduce((sum, values, i) => sum + (values[e] - after[i][e]) ** 2, 0),
    )
    const { levels } = table.layers.get('r2')!.masks!
    for (let c = 0; c < 3; c++) {
      for (let a = 30 * c; a < 30 * c + 30; a++) {
        for (let b = 30 * c; b < 30 * c + 30; b++) {
          if (levels[a] > levels[b]) expect(energy[a]).toBeGreaterThanOrEqual(energy[b] - 1e-9)
        }
      }
    }
    expect(new Set(levels).size).toBe(3)
    for (const { masks: own, shape } of table.layers.values()) {
      const plane = own!.levels.length / shape[0]
      for (const counts of keptCounts(own!, shape)) expect(counts).toEqual(masks.map((s) => Math.round(s * plane)))
    }
  })

  it('do not depend on where the measurement was interrupted', async () => {
    const whole = await measured
    const key = measurementKey(tiny, weights, inputs, blocks, masks)
    for (const stopAt of [1, 4, 7, 11, 19]) {
      const stop = new AbortController()
      let left = ''
      const onProgress = ({ measured: rows, table }: DistortionProgress) => {
        left = formatDistortionPart(table, key)
        if (rows === stopAt) stop.abort()
      }
      const cut = distortion(tiny, weights, inputs, { blocks, masks, signal: stop.signal, onProgress })
      await expect(cut).rejects.toMatchObject({ code: 'ABORTED' })
      const resume = parseDistortionPart(JSON.parse(left), tiny, key, 'x.part')
      let first: DistortionProgress | undefined
      const again = await distortion(tiny, weights, inputs, {
        ...{ blocks, masks, resume },
        onProgress: (progress) => {
          first ??= progress
        },
      })
      expect(formatDistortionTable(again)).toBe(formatDistortionTable(whole))
      expect(first!.measured).toBeGreaterThan(stopAt)
      expect(first!.rows).toBe(20)
    }
    expect(measurementKey(tiny, weights, inputs, blocks)).not.toBe(key)
    expect(measurementKey(tiny, weights, inputs, blocks, [0.5])).not.toBe(key)
  })

  it('are left out when nobody asks, and read back as they were written', async () => {
    const table = await measured
    const without = await distortion(tiny, weights, inputs, { blocks })
    expect([...without.layers.values()].some((layer) => layer.masks)).toBe(false)
    expect([...without.layers.values()].map(({ values }) => values)).toEqual(
      [...table.layers.values()].map(({ values }) => values),
    )
    expect(parseDistortionTable(formatDistortionTable(table), tiny)).toEqual(table)
  })

  it('refuse shares that do not fall', async () => {
    for (const shares of [[0.5, 0.6], [1.2], [-0.1], [Number.NaN]]) {
      await expect(distortion(tiny, weights, inputs, { blocks, masks: shares })).rejects.toMatchObject({
        code: 'BAD_INPUT',
        problems: ['masks: expected at most 255 shares from 0 to 1, none above the last'],
      })
    }
  })
})
