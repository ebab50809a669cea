// Whole networks of every family's ops with random weights, end to end: bit for bit the integer reference where that takes
// no minute, and close to float.
import { describe, expect, it } from 'vitest'
import { randomWeights } from '../../bench/networks.js'
import { sampleInput } from '../../bench/workloads.js'
import { FloatNetwork } from '../../src/float/network.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { calibrate } from '../../src/plan/calibrate.js'
import { type CompileOptions, compile } from '../../src/plan/compile.js'
import { runPrivately } from './real-networks.js'

const CIFAR_SEESAW = {
  format: 'arch/1',
  name: 'seesaw',
  family: 'seesaw',
  params: {
    dataset: 'cifar',
    blockConfig: [2, 1, 1],
    kept: [
      ['skip_connect', 'conv_3x3', 'dil_conv_3x3'],
      ['conv_7x1_1x7', 'conv_1x1'],
      ['avg_pool_3x3', 'conv_5x1_1x5', 'group_8_conv_3x3'],
      ['skip_connect', 'sep_conv_3x3', 'van_conv_3x3'],
    ],
  },
  choices: { default_1: 1, default_2: 0, default_3: 1, default_4: 1 },
}
const deeplab = (params: object) => ({
  format: 'arch/1',
  name: 'deeplab',
  family: 'deeplabv3',
  params: { backbone: 'mobilenetv2', numClasses: 5, ...params },
  inputs: [{ shape: [3, 128, 128] }],
})

const thin = { widthMultiplier: 0.25, headChannels: 32 }
const onSecurenn = { backend: 'securenn' } as const

describe('networks of random weights', () => {
  /** Inputs held against the reference, and the flights of an inference between client and server. */
  const cases: [string, object, CompileOptions, { checked: number; flights?: number }][] = [
    ['Seesaw for CIFAR with pruned branches on mcc', CIFAR_SEESAW, {}, { checked: 1, flights: 32 }],
    ['a thin DeepLabV3-MobileNetV2 at 128×128 on mcc', deeplab(thin), {}, { checked: 1, flights: 78 }],
    ['DeepLabV3-MobileNetV2 at 128×128 on mcc', deeplab({}), {}, { checked: 0, flights: 88 }],
    ['Seesaw for CIFAR with pruned branches on securenn', CIFAR_SEESAW, onSecurenn, { checked: 0 }],
    ['a thin DeepLabV3-MobileNetV2 at 128×128 on securenn', deeplab(thin), onSecurenn, { checked: 0 }],
  ]
  it.each(cases)('%s lies close to float', async (name, file, options, { checked, flights }) => {
    const arch = parseArchitecture(file)
    const weights = randomWeights(arch, 1)
    const inputs = [1, 2].map((seed) => sampleInput(arch, seed))
    const calibration = calibrate(arch, weights, undefined, inputs)
    const compiled = compile(arch, weights, calibration, undefined, options as CompileOptions<'mcc'>)
    const run = await runPrivately(compiled, inputs.slice(0, 1), checked)
    const [found] = run.logits
    const [wanted] = FloatNetwork.prepare(arch, weights).run(inputs)
    const range = wanted.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
    const error = wanted.reduce((most, x, i) => Math.max(most, Math.abs(x - found[i])), 0)
    console.log(`${name}: largest error ${error.toFixed(5)} of ${range.toFixed(3)}, ${run.flights} flights`)
    if (flights) expect(run.flights).toBe(flights)
    expect(range).toBeGreaterThan(0.05)
    expect(error).toBeLessThan(0.01 * range)
  })
})
