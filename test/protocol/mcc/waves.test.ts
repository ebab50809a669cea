// Steps of one wave share a round trip: a logical clock over all links, both ends' meters, the declared cost and the
// predicted programs count the same flights, fewer than steps after one another would take, and no bit changes.
import { describe, expect, it } from 'vitest'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { Meter, memoryPair } from '../../../src/net/index.js'
import { Client } from '../../../src/party/client/client.js'
import { Helper } from '../../../src/party/helper/helper.js'
import { Server } from '../../../src/party/server.js'
import { calibrate } from '../../../src/plan/calibrate.js'
import { type Compiled, compile } from '../../../src/plan/compile/compile.js'
import type { MccPlan } from '../../../src/plan/plan.js'
import { planLayout } from '../../../src/protocol/layout.js'
import { planCost } from '../../../src/protocol/mcc/cost.js'
import { encodeFixed } from '../../../src/ring/codec.js'
import { runReference } from '../../../src/testing.js'
import { onlinePrograms } from '../../../src/tune/cost/mcc-programs.js'
import { DEFAULT_MACHINE } from '../../../src/tune/cost/predict.js'
import { schedule } from '../../../src/tune/cost/schedule.js'
import { randomWeights } from '../../fixtures/networks.js'
import { sampleInput } from '../../fixtures/workloads.js'
import { growNetwork } from '../networks/zoo.js'
import { measured } from '../securenn/waves.js'

interface Case {
  readonly compiled: Compiled<MccPlan>
  readonly input: Float32Array
}

function family(name: string, params: object, side: number, rest: object = {}): Case {
  const inputs = [{ shape: [3, side, side] }]
  const arch = parseArchitecture({ format: 'arch/1', name, family: name, params, inputs, ...rest })
  const weights = randomWeights(arch, 1)
  const input = sampleInput(arch, 1)
  return { compiled: compile(arch, weights, calibrate(arch, weights, undefined, [input])), input }
}

const seesaw = (bit: number): Case => {
  const params = { dataset: 'cifar', blockConfig: [2], ops: 10, numClasses: 4 }
  return family('seesaw', params, 8, { choices: { default_1: bit, default_2: bit } })
}
const deeplab = (): Case => {
  const params = { backbone: 'mobilenetv2', numClasses: 5, widthMultiplier: 0.25, headChannels: 8 }
  return family('deeplabv3', params, 32)
}
function random(seed: number): Case {
  const { arch, weights, spec, options, input } = growNetwork(seed, 14, { all: true })
  const inputs = [input(), input()]
  return { compiled: compile(arch, weights, calibrate(arch, weights, spec, inputs), spec, options), input: inputs[0] }
}

/** Flights as they are declared and predicted. */
function declared({ plan }: Compiled<MccPlan>) {
  const planned = planLayout(plan)
  const { total, steps } = planCost(planned)
  const line = { rttMs: 10, upBitsPerSecond: 1e9, downBitsPerSecond: 1e9 }
  const network = { clientServer: line, clientHelper: line, serverHelper: line }
  const predicted = schedule(onlinePrograms(planned, DEFAULT_MACHINE), network).flights
  return { flights: total.flights, predicted, perStep: steps.map(({ flights }) => flights) }
}

/** As the meters at both ends of client and server count them, the client's per step. */
async function metered({ compiled, input }: Case) {
  const [mine, theirs] = [new Meter(), new Meter()]
  const helper = await Helper.create()
  const toHelper = () => {
    const [near, far] = memoryPair()
    void helper.run(far)
    return near
  }
  const server = await Server.create(compiled, toHelper)
  const [near, far] = memoryPair()
  void server.run(far, { meter: theirs })
  const client = await Client.create({ server: near, helper: toHelper(), meter: mine })
  try {
    await client.run(input)
    const [online, other] = [mine.report().links.server.online, theirs.report().links.client.online]
    return { flights: online.flights, theirs: other.flights, perStep: online.steps.map(({ flights }) => flights) }
  } finally {
    for (const party of [client, server, helper]) await party.release()
  }
}

/** @returns round trips, and as many as there are steps */
async function expectWaves(given: Case): Promise<[number, number]> {
  const { compiled, input } = given
  const { plan, model } = compiled
  const { flights, predicted, perStep } = declared(compiled)
  const run = await measured(compiled, input)
  const found = await metered(given)
  expect([run.flights, predicted, found.flights, found.theirs]).toEqual([flights, flights, flights, flights])
  // The input's flight is the first step's, too.
  expect(found.perStep).toEqual(perStep.map((own, i) => own + (i === 0 ? 1 : 0)))
  const words = encodeFixed(input, plan.input.scale, plan.input.bits)
  expect([...run.result.raw]).toEqual([...runReference(plan, model, words, run.masks as never).output])
  return [flights / 2, plan.steps.length]
}

describe('round trips are the waves of the plan, and bits those of the reference', () => {
  it.each([0, 1])('of a Seesaw network, choices %i: 6 instead of 12', async (bit) => {
    expect(await expectWaves(seesaw(bit))).toEqual([6, 12])
  })

  it('of DeepLabV3 with its five parallel branches: 39 instead of 43', async () => {
    expect(await expectWaves(deeplab())).toEqual([39, 43])
  })

  it('of random networks over all ops', async () => {
    let [trips, steps] = [0, 0]
    for (let seed = 0; seed < 12; seed++) {
      const [waves, series] = await expectWaves(random(seed))
      trips += waves
      steps += series
    }
    expect(trips).toBeLessThan(steps)
  })
})
