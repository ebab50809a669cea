// Predicted bytes and flights are what the meters show, for any network, spec and back end.

import { describe, expect, test } from 'vitest'
import { loadModelDirectory } from '../../../src/files/model-directory.js'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { elementCount } from '../../../src/model/shape.js'
import { Meter } from '../../../src/net/index.js'
import { calibrate } from '../../../src/plan/calibrate.js'
import { type Compiled, type CompileOptions, compile } from '../../../src/plan/compile/compile.js'
import { type Plan, tensorShape } from '../../../src/plan/plan.js'
import { localParties } from '../../../src/testing.js'
import { type CostPrediction, predict } from '../../../src/tune/cost/predict.js'
import { shapePlan } from '../../../src/tune/cost/shape-plan.js'
import { modelFolder } from '../../fixtures/reference-files.js'
import { growNetwork, securennOptions } from '../../protocol/networks/zoo.js'

const LAN = { rttMs: 0.2, upBitsPerSecond: 1e9, downBitsPerSecond: 1e9 }

async function compileModel(name: string, variant?: string, options: CompileOptions = {}) {
  const { arch, weights, calibration, spec } = await loadModelDirectory(modelFolder(name), variant)
  return { arch, spec, compiled: compile(arch, weights, calibration!, spec, options) }
}

/** What the meters of all three parties' links counted in one inference. */
async function metered(compiled: Compiled): Promise<Pick<CostPrediction['total'], 'flights' | 'online' | 'offline'>> {
  const server = new Meter()
  const parties = await localParties(compiled, { server: { meter: server } })
  try {
    const { client } = parties
    await client.prepare()
    await client.run(new Float32Array(elementCount(tensorShape(compiled.plan, 0))))
    const mine = client.traffic.links
    const helper = server.report().links.helper
    const online = {
      up: mine.server.online.bytesSent,
      down: mine.server.online.bytesReceived,
      clientHelper: mine.helper.online.bytesSent,
      serverHelper: helper.online.bytesSent,
      helperServer: helper.online.bytesReceived,
    }
    return {
      flights: mine.server.online.flights,
      online,
      offline: {
        clientUp: mine.server.offline.bytesSent - requestBytes(compiled),
        helperToServer: helper.offline.bytesReceived,
      },
    }
  } finally {
    await parties.release()
  }
}

/** What a plan makes of the network, but for time. */
function traffic(plan: Plan) {
  const { steps, total } = predict(plan, { profile: LAN })
  const { flights, online, offline, material, comparisons } = total
  return { flights, online, offline, material, comparisons, steps: steps.map(({ seconds: _, ...step }) => step) }
}

/** Asking for material: 12 bytes and a header for the whole batch, not for an inference. */
const requestBytes = ({ plan }: Compiled) => (plan.backend === 'mcc' ? 20 : 0)

async function expectMetered(compiled: Compiled): Promise<void> {
  const { total } = predict(compiled.plan, { profile: LAN })
  const { flights, online, offline } = await metered(compiled)
  expect(total.online).toEqual(online)
  expect(total.offline).toEqual(offline)
  // On securenn links carry both directions at once: the meters of one party cannot count waves that wait for each other.
  if (compiled.plan.backend === 'mcc') expect(total.flights).toBe(flights)
}

describe('bytes and flights of trained networks equal the meters', () => {
  const cases: [string, string | undefined, CompileOptions][] = [
    ['mnist-cnn3', undefined, {}],
    ['mnist-cnn3', undefined, { ring: 28, bits: 14, lo: 3 }],
    ['mnist-cnn3', undefined, { output: 'label' }],
    ['mnist-cnn3', undefined, { backend: 'securenn' }],
    ['resnet20-cifar10', 'plain', {}],
    ['resnet20-cifar10', '25', { lo: 4 }],
    ['resnet20-cifar10', '06', {}],
    ['resnet20-cifar10', '06', { backend: 'securenn', ignoredMsb: 40, ignoredLsb: 4 }],
  ]
  test.each(cases)('%s %s with %j', async (name, variant, options) => {
    const { arch, spec, compiled } = await compileModel(name, variant, options)
    await expectMetered(compiled)
    expect(traffic(shapePlan(arch, spec, options))).toEqual(traffic(compiled.plan))
  })
})

describe('random networks', () => {
  test.each(Array.from({ length: 16 }, (_, seed) => [seed]))('seed %i, both back ends', async (seed) => {
    const { arch, weights, spec, options, input } = growNetwork(seed, 10, { maxPools: true })
    const calibration = calibrate(arch, weights, spec, [input(), input()])
    for (const chosen of [options, securennOptions(arch, seed)]) {
      const compiled = compile(arch, weights, calibration, spec, chosen as CompileOptions)
      await expectMetered(compiled)
      const outline = shapePlan(arch, spec, chosen)
      // An average ends a step of its own where the weights behind it would vanish: shapes alone cannot tell.
      if (compiled.plan.steps.length > outline.steps.length) continue
      expect(traffic(outline)).toEqual(traffic(compiled.plan))
    }
  })
})

test('the material is what the server makes room for', async () => {
  const { compiled } = await compileModel('mnist-cnn3')
  const { serverBytes } = predict(compiled.plan, { profile: LAN }).total.material
  for (const [storeBytes, granted] of [
    [3 * serverBytes, 3],
    [3 * serverBytes - 1, 2],
  ]) {
    const { client, release } = await localParties(compiled, { server: { storeBytes, storeShare: 1 } })
    await expect(client.prepare(4)).rejects.toMatchObject({ code: 'STORE_FULL' })
    expect(client.prepared).toBe(granted)
    await release()
  }
})

test('a shape is enough: no weights, no ranges, every published example', () => {
  const arch = parseArchitecture({
    format: 'arch/1',
    name: 'two',
    inputs: [{ name: 'x', shape: [1, 6, 6] }],
    outputs: ['fc'],
    layers: [
      { id: 'conv', op: 'conv2d', in: ['x'], cout: 2, kernel: [3, 3], pad: [1, 1, 1, 1], bias: true },
      { id: 'relu', op: 'relu', in: ['conv'] },
      { id: 'flat', op: 'flatten', in: ['relu'] },
      { id: 'fc', op: 'linear', in: ['flat'], cout: 3 },
    ],
  })
  const { total, steps } = predict(shapePlan(arch), { profile: LAN })
  expect(total.comparisons).toBe(72)
  expect(total.flights).toBe(4)
  expect(steps.map(({ id }) => id)).toEqual(['relu', 'fc'])
  expect(total.online.up).toBe(elementCount([1, 6, 6]) * 4 + 8 + 8 + (72 / 8 + 72 * 4) + 8)
})
