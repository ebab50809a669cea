// Comparison windows per channel: how they are read, and that what is run covers every one of them.
import { describe, expect, it } from 'vitest'
import { parseArchitecture } from '../../src/model/architecture.js'
import { type ComparisonWindow, parseReluSpec } from '../../src/model/relu/spec.js'
import { calibrate } from '../../src/plan/calibrate.js'
import { compile } from '../../src/plan/compile/compile.js'
import { withChannelWindows } from '../../src/plan/equalize/channel-windows.js'
import { shapePlan } from '../../src/tune/cost/shape-plan.js'
import { evaluate } from '../../src/tune/evaluation/evaluate.js'
import { randomWeights } from '../fixtures/networks.js'
import { sampleInput } from '../fixtures/workloads.js'

const ARCH = parseArchitecture({
  format: 'arch/1',
  name: 'windows',
  inputs: [{ name: 'x', shape: [2, 6, 6] }],
  outputs: ['fc'],
  layers: [
    { id: 'c1', op: 'conv2d', in: ['x'], cout: 3, kernel: [3, 3], pad: [1, 1, 1, 1] },
    { id: 'r1', op: 'relu', in: ['c1'] },
    { id: 'c2', op: 'conv2d', in: ['r1'], cout: 3, kernel: [3, 3], pad: [1, 1, 1, 1] },
    { id: 'r2', op: 'relu', in: ['c2'] },
    { id: 'c3', op: 'conv2d', in: ['r2'], cout: 3, kernel: [1, 1] },
    { id: 'sum', op: 'add', in: ['c3', 'r2'] },
    { id: 'r3', op: 'relu', in: ['sum'] },
    { id: 'six', op: 'clip', in: ['c1'], min: 0, max: 6 },
    { id: 'both', op: 'concat', in: ['r3', 'six'] },
    { id: 'gap', op: 'globalAvgPool', in: ['both'] },
    { id: 'flat', op: 'flatten', in: ['gap'] },
    { id: 'fc', op: 'linear', in: ['flat'], cout: 4 },
  ],
})
// Without the clip, which keeps the stem's channels as they are.
const FREE = parseArchitecture({
  format: 'arch/1',
  name: 'free',
  inputs: [{ name: 'x', shape: [2, 6, 6] }],
  outputs: ['fc'],
  layers: [
    { id: 'c1', op: 'conv2d', in: ['x'], cout: 3, kernel: [3, 3], pad: [1, 1, 1, 1] },
    { id: 'r1', op: 'relu', in: ['c1'] },
    { id: 'flat', op: 'flatten', in: ['r1'] },
    { id: 'fc', op: 'linear', in: ['flat'], cout: 4 },
  ],
})

const specOf = (arch: typeof ARCH, windows: Record<string, ComparisonWindow>) => {
  const layers = Object.entries(windows).map(([id, comparison]) => [id, { kind: 'relu', comparison }])
  return parseReluSpec({ format: 'relu-spec/1', default: { kind: 'relu' }, layers: Object.fromEntries(layers) }, arch)
}
const networkOf = (arch: typeof ARCH) => {
  const weights = randomWeights(arch, 5)
  const inputs = [1, 2, 3, 4].map((seed) => sampleInput(arch, seed))
  return { arch, weights, inputs, calibration: calibrate(arch, weights, undefined, inputs) }
}

describe('windows per channel in a relu-spec', () => {
  it('are read, and change no count', () => {
    const comparison = { fractionBits: 16, lsbIgnored: [3, 0, 7], msbIgnored: 40 }
    const spec = specOf(FREE, { r1: comparison })
    expect(spec.layers.get('r1')).toEqual({ kind: 'relu', comparison })
    expect(spec.drelus).toBe(3 * 36)
    const blocks = { kind: 'block', blocks: [[1, 1], [2, 2], [0, 1]], comparison } // biome-ignore format: a list
    expect(parseReluSpec({ format: 'relu-spec/1', layers: { r1: blocks } }, FREE).drelus).toBe(36 + 9)
  })

  it('are refused with every problem: wrong lengths, wrong numbers, and lists for the whole file', () => {
    const read = () =>
      parseReluSpec(
        {
          format: 'relu-spec/1',
          comparison: { lsbIgnored: [1, 2, 3] },
          layers: {
            r1: { kind: 'relu', comparison: { lsbIgnored: [1, 2], msbIgnored: [1, 64, 3] } },
            r2: { kind: 'relu', comparison: { fractionBits: [1, 2, 3] } },
            r3: { kind: 'relu', comparison: { msbIgnored: [1, 2, 3, 4] } },
          },
        },
        ARCH,
      )
    let problems: readonly string[] = []
    try {
      read()
    } catch (error) {
      problems = (error as { problems: readonly string[] }).problems
    }
    expect(problems).toEqual([
      'file: comparison: lsbIgnored: expected an integer from 0 to 63, got [1,2,3]',
      'layer "r1": comparison: lsbIgnored: expected 3 integers from 0 to 63, got [1,2]',
      'layer "r1": comparison: msbIgnored: expected 3 integers from 0 to 63, got [1,64,3]',
      'layer "r2": comparison: fractionBits: expected an integer from 0 to 63, got [1,2,3]',
      'layer "r3": comparison: msbIgnored: expected 3 integers from 0 to 63, got [1,2,3,4]',
    ])
  })
})

describe('windows per channel that are run', () => {
  const { weights, inputs, calibration } = networkOf(FREE)
  const securenn = { backend: 'securenn', fraction: 12 } as const

  it('on securenn end at one bit and are as wide as the widest', async () => {
    // Windows [3, 18), [5, 20) and [0, 16) of values with 12 fraction bits.
    const window = { fractionBits: 12, lsbIgnored: [3, 5, 0], msbIgnored: [46, 44, 48] }
    const spec = specOf(FREE, { r1: window })
    const own = withChannelWindows(FREE, weights, calibration, spec, 'securenn')
    const plain = weights.get('c1')!.weight!
    const ratio = own.weights.get('c1')!.weight!.map((w, i) => w / plain[i])
    expect([ratio[0], ratio[18], ratio[36]]).toEqual([4, 1, 16])
    const [{ activation }] = compile(FREE, weights, calibration, spec, securenn).plan.steps
    expect(activation).toMatchObject({ ignoredMsb: 44, ignoredLsb: 4 })
    // What is run answers as the float network does, as every value fits its window.
    const compiled = compile(FREE, weights, calibration, spec, securenn)
    const { float, reference } = await evaluate({ arch: FREE, weights, spec }, inputs, { compiled })
    expect(reference!.maxError).toBeLessThan(0.05 * Math.max(...float.logits.flatMap((l) => [...l].map(Math.abs))))
    // Of a spec whose windows are alike nothing moves.
    const alike = { fractionBits: 12, lsbIgnored: [3, 3, 3], msbIgnored: [44, 44, 44] }
    expect(withChannelWindows(FREE, weights, calibration, specOf(FREE, { r1: alike }), 'securenn').weights).toBe(
      weights,
    )
    expect(
      compile(FREE, weights, calibration, specOf(FREE, { r1: alike }), securenn).plan.steps[0].activation,
    ).toMatchObject({ ignoredMsb: 44, ignoredLsb: 3 })
  })

  it('are known without weights', () => {
    const spec = specOf(FREE, { r1: { fractionBits: 12, lsbIgnored: [3, 5, 0], msbIgnored: [46, 44, 48] } })
    const [{ activation }] = shapePlan(FREE, spec, securenn, calibration).steps
    expect(activation).toMatchObject({ ignoredMsb: 44, ignoredLsb: 4 })
  })

  it('on mcc begin at the lowest bit that a channel names', () => {
    const spec = specOf(FREE, { r1: { fractionBits: 14, lsbIgnored: [10, 8, 9], msbIgnored: [46, 44, 48] } })
    const [{ activation, scale }] = compile(FREE, weights, calibration, spec).plan.steps
    expect(activation!.lo).toBe(8 + scale - 14)
    expect(activation!.lo).toBeGreaterThan(0)
  })

  it('cover those of every channel, factors of a calibration included', () => {
    const channels = { r1: [3, 1, 8] }
    const spec = specOf(FREE, { r1: { fractionBits: 14, lsbIgnored: [10, 12, 10], msbIgnored: 40 } })
    const own = withChannelWindows(FREE, weights, { ...calibration, channels }, spec)
    // 10 + log2 3, 12 and 13; 40 - 3 at the other end.
    expect(own.spec!.layers.get('r1')).toMatchObject({
      comparison: { fractionBits: 14, lsbIgnored: 11, msbIgnored: 37 },
    })
    expect(own.calibration.maxAbs).toEqual(calibration.maxAbs)
  })

  it('of joined and bounded channels take what all of them can have', () => {
    const { weights, calibration } = networkOf(ARCH)
    const spec = specOf(ARCH, {
      // Beside a ReLU6 of the same convolution, so that it stays as it is.
      r1: { fractionBits: 12, msbIgnored: [46, 44, 48] },
      // r2 and r3 are joined by the sum.
      r2: { fractionBits: 12, lsbIgnored: [2, 2, 2], msbIgnored: [46, 44, 48] },
      r3: { fractionBits: 12, lsbIgnored: [1, 4, 2], msbIgnored: [45, 44, 45] },
    })
    const own = withChannelWindows(ARCH, weights, calibration, spec, 'securenn')
    const windowOf = (id: string) => (own.spec!.layers.get(id) as { comparison: ComparisonWindow }).comparison
    expect(own.weights.get('c1')).toBe(weights.get('c1'))
    expect(windowOf('r1')).toEqual({ fractionBits: 12, msbIgnored: 44 })
    // Both by 2, 1 and 2.
    expect(own.weights.get('c2')!.weight![0] / weights.get('c2')!.weight![0]).toBe(2)
    expect(windowOf('r2')).toEqual({ fractionBits: 12, lsbIgnored: 2, msbIgnored: 44 })
    expect(windowOf('r3')).toEqual({ fractionBits: 12, lsbIgnored: 2, msbIgnored: 44 })
    expect(own.calibration.maxAbs.r3).toBe(2 * calibration.maxAbs.r3)
    expect(own.calibration.maxAbs.fc).toBe(calibration.maxAbs.fc)
  })
})
