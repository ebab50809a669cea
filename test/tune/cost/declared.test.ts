// What plans declare, step by step and in total, stays what it was, to the byte: test/vectors/declared-costs.json. A
// protocol that is meant to send something else writes the file anew: `npx vitest run test/tune/cost/declared.test.ts -u`.
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadModelDirectory } from '../../../src/files/model-directory.js'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { calibrate } from '../../../src/plan/calibrate.js'
import { type CompileOptions, compile } from '../../../src/plan/compile/compile.js'
import type { Plan } from '../../../src/plan/plan.js'
import { type OnlineBytes, predict } from '../../../src/tune/cost/predict.js'
import { shapePlan } from '../../../src/tune/cost/shape-plan.js'
import { modelFolder } from '../../fixtures/reference-files.js'
import { growNetwork, securennOptions } from '../../protocol/networks/zoo.js'

const LAN = { rttMs: 0.2, upBitsPerSecond: 1e9, downBitsPerSecond: 1e9 }

/** Packaged models, their block and mask specs, rings, windows and labels. */
const MODELS: readonly (readonly [string, string | undefined, CompileOptions])[] = [
  ['mnist-cnn3', undefined, {}],
  ['mnist-cnn3', undefined, { ring: 28, bits: 14, lo: 3 }],
  ['mnist-cnn3', undefined, { output: 'label' }],
  ['mnist-cnn3', undefined, { backend: 'securenn' }],
  ['mnist-cnn3', undefined, { backend: 'securenn', output: 'label' }],
  ['resnet20-cifar10', 'plain', {}],
  ['resnet20-cifar10', '25', { lo: 4 }],
  ['resnet20-cifar10', '12', {}],
  ['resnet20-cifar10', '06', {}],
  ['resnet20-cifar10', '25', { backend: 'securenn' }],
  ['resnet20-cifar10', '06', { backend: 'securenn', ignoredMsb: 40, ignoredLsb: 4 }],
]

/** Branches that share waves, bends, pooling pyramids; from shapes alone. */
const FAMILIES: readonly (readonly [string, object, number, object])[] = [
  ['seesaw', { dataset: 'cifar', blockConfig: [2], ops: 10, numClasses: 4 }, 8, { default_1: 1, default_2: 0 }],
  ['deeplabv3', { backbone: 'mobilenetv2', numClasses: 5, widthMultiplier: 0.25, headChannels: 8 }, 32, {}],
]

/** Small random networks of every op: blocks, masks, bends, max pools, steps that compare nothing. */
const SEEDS = Array.from({ length: 24 }, (_, seed) => seed)

/** One line per step, so that a change can be read: comparisons; flights; every direction on line; off line. */
function declared(plan: Plan) {
  const { steps, total } = predict(plan, { profile: LAN })
  const bytes = ({ up, down, clientHelper, serverHelper, helperServer }: OnlineBytes) =>
    [up, down, clientHelper, serverHelper, helperServer].join(' ')
  const line = ({ comparisons, flights, online, offline }: Omit<(typeof steps)[number], 'id' | 'seconds'>) =>
    `${comparisons}; ${flights}; ${bytes(online)}; ${offline.clientUp} ${offline.helperToServer}`
  return { total: `${line(total)}; ${total.material.serverBytes}`, steps: steps.map((s) => `${s.id}: ${line(s)}`) }
}

test('declared bytes and flights, step by step and in total', async () => {
  const found: Record<string, ReturnType<typeof declared>> = {}
  for (const [name, variant, options] of MODELS) {
    const { arch, weights, calibration, spec } = await loadModelDirectory(modelFolder(name), variant)
    const { plan } = compile(arch, weights, calibration!, spec, options)
    found[`${name} ${variant ?? ''} ${JSON.stringify(options)}`] = declared(plan)
  }
  for (const [family, params, side, choices] of FAMILIES) {
    const inputs = [{ shape: [3, side, side] }]
    const arch = parseArchitecture({ format: 'arch/1', name: family, family, params, inputs, choices })
    for (const backend of ['mcc', 'securenn'] as const) {
      found[`${family} ${backend}`] = declared(shapePlan(arch, undefined, { backend }))
    }
  }
  for (const seed of SEEDS) {
    const { arch, weights, spec, options, input } = growNetwork(seed, 12, { all: true })
    const calibration = calibrate(arch, weights, spec, [input(), input()])
    for (const chosen of [options, securennOptions(arch, seed)]) {
      const { plan } = compile(arch, weights, calibration, spec, chosen as CompileOptions)
      found[`random ${seed} ${plan.backend}`] = declared(plan)
    }
  }
  const path = join(import.meta.dirname, '../../vectors/declared-costs.json')
  await expect(`${JSON.stringify(found, undefined, 1)}\n`).toMatchFileSnapshot(path)
})
