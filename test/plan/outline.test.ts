// The outline of a plan is the plan's own steps, told without weights.
import { describe, expect, it } from 'vitest'
import { type Architecture, parseArchitecture } from '../../src/model/architecture.js'
import { isActivation } from '../../src/model/layers/layers.js'
import { parseReluSpec, type ReluSpec } from '../../src/model/relu/spec.js'
import type { Calibration } from '../../src/plan/calibrate.js'
import { compile } from '../../src/plan/compile/compile.js'
import { outlinePlan } from '../../src/plan/compile/outline.js'
import { waves } from '../../src/plan/waves.js'
import { randomWeights } from '../fixtures/networks.js'
import { committedJson } from '../fixtures/reference-files.js'

const ranges = ({ layers }: Architecture): Calibration => {
  const ids = ['input', ...layers.map(({ id }) => id)]
  return { format: 'calibration/1', source: 'test', maxAbs: Object.fromEntries(ids.map((id) => [id, 4])) }
}

/** Steps of the compiled plan, as far as an outline tells them. */
function planned(arch: Architecture, spec?: ReluSpec) {
  const { plan } = compile(arch, randomWeights(arch, 1), ranges(arch), spec)
  return plan.steps.map(({ id, linear, activation }) => ({
    id,
    compares: activation !== null && activation.relu.kind !== 'identity' && activation.relu.kind !== 'zero',
    convolutions: linear.filter((op) => {
      if (op.op !== 'conv') return false
      const { kernel, groups, cin, cout } = op.geometry
      return kernel[0] * kernel[1] > 1 || groups !== cin || groups !== cout
    }).length,
  }))
}

const short = (family: string, params: object, side: number, rest: object = {}) =>
  parseArchitecture({ format: 'arch/1', name: family, family, params, inputs: [{ shape: [3, side, side] }], ...rest })
const example = (name: string) => parseArchitecture(committedJson(`test/vectors/examples/${name}.arch.json`))
const seesaw = (ops: 10 | 27, bit: number, choices = { default_1: bit, default_2: bit }) =>
  short('seesaw', { dataset: 'cifar', blockConfig: [2], ops, numClasses: 4 }, 4, { choices })

const networks: [string, Architecture][] = [
  ['mnist-cnn3', example('mnist-cnn3')],
  ['resnet20', example('resnet20-cifar10')],
  ['resnet8, asymmetric padding', example('resnet8-cifar10')],
  ['proxyless', example('proxyless-w0.25-r112')],
  ['seesaw, nine ops', example('seesaw-tiny-expanded')],
  ['seesaw, ten ops, linear', seesaw(10, 0)],
  ['seesaw, all 27 ops', seesaw(27, 1)],
  ['resnet with max pools', short('resnet', { depth: 18, widths: [4, 8, 8, 8], numClasses: 4 }, 32)],
  ['wrn', short('wrn', { depth: 10, widen: 1, numClasses: 4 }, 16)],
  [
    'leaky, PReLU and clip',
    parseArchitecture({
      ...{ format: 'arch/1', name: 'bends', inputs: [{ name: 'x', shape: [2, 6, 6] }], outputs: ['fc'] },
      layers: [
        { id: 'a', op: 'conv2d', in: ['x'], cout: 4, kernel: [3, 3] },
        { id: 'leaky', op: 'leakyRelu', in: ['a'] },
        { id: 'b', op: 'conv2d', in: ['leaky'], cout: 4, kernel: [3, 3], pad: [1, 1, 1, 1], bias: false },
        { id: 'prelu', op: 'prelu', in: ['b'] },
        { id: 'c', op: 'conv2d', in: ['prelu'], cout: 4, kernel: [1, 1] },
        { id: 'clip', op: 'clip', in: ['c'], min: -1, max: 1 },
        { id: 'cat', op: 'concat', in: ['clip', 'leaky'] },
        { id: 'pool', op: 'globalAvgPool', in: ['cat'] },
        { id: 'flat', op: 'flatten', in: ['pool'] },
        { id: 'fc', op: 'linear', in: ['flat'], cout: 3 },
      ],
    }),
  ],
]

describe('an outline', () => {
  it.each(networks)('of %s has the steps and convolutions of the compiled plan', (_, arch) => {
    const { steps, unfolded, linearLayers, waves: trips, unfoldedWaves } = outlinePlan(arch)
    expect(steps).toEqual(planned(arch))
    expect(trips).toBe(waves(compile(arch, randomWeights(arch, 1), ranges(arch)).plan.steps).length)
    expect(unfoldedWaves).toBeGreaterThanOrEqual(trips)
    expect(unfoldedWaves).toBeLessThanOrEqual(unfolded.length)
    // Folding never makes steps.
    expect(unfolded.length).toBeGreaterThanOrEqual(steps.length)
    expect(linearLayers).toBeGreaterThan(steps.length / 4)
  })

  it('knows what a ReLU spec leaves', () => {
    const arch = example('resnet20-cifar10')
    const names = arch.layers.filter(isActivation).map(({ id }) => id)
    const kinds = ['relu', 'identity', 'zero']
    const layers = Object.fromEntries(names.map((id, i) => [id, { kind: kinds[i % 3] }]))
    const comparison = { fractionBits: 40, lsbIgnored: 60 }
    const spec = parseReluSpec({ format: 'relu-spec/1', network: arch.name, default: { kind: 'relu' }, layers }, arch)
    expect(outlinePlan(arch, spec).steps).toEqual(planned(arch, spec))
    const windows = { format: 'relu-spec/1', network: arch.name, default: { kind: 'relu', comparison }, layers }
    expect(outlinePlan(arch, parseReluSpec(windows, arch)).steps).toEqual(planned(arch, spec))
  })

  it('without folding, every linear layer of ResNet-20 ends in a truncation', () => {
    const { steps, unfolded, linearLayers } = outlinePlan(example('resnet20-cifar10'))
    // 19 convolutions, 19 batch norms, the average, the classifier; 10 ReLUs behind one of them, 9 behind an addition.
    expect([linearLayers, unfolded.length, steps.length]).toEqual([40, 49, 20])
    expect(unfolded.filter(({ compares }) => compares)).toHaveLength(19)
    // Its shortcuts hold no weights: all of them follow one another.
    expect(outlinePlan(example('resnet20-cifar10')).unfoldedWaves).toBe(49)
  })
})
