// Predicted seconds: the simulated parties send what the protocols declare, and time behaves like time.

import { describe, expect, test } from 'vitest'
import { loadModelDirectory } from '../../../src/files/model-directory.js'
import { parseArchitecture } from '../../../src/model/architecture.js'
import { networkProfiles } from '../../../src/net/index.js'
import { calibrate } from '../../../src/plan/calibrate.js'
import { compile } from '../../../src/plan/compile/compile.js'
import type { MccActivation, MccPlan, Plan, SecurennPlan } from '../../../src/plan/plan.js'
import { type PlanLayout, planLayout } from '../../../src/protocol/layout.js'
import { offlinePrograms, onlinePrograms } from '../../../src/tune/cost/mcc-programs.js'
import { DEFAULT_MACHINE, predict } from '../../../src/tune/cost/predict.js'
import { type Network, Program, schedule } from '../../../src/tune/cost/schedule.js'
import { securennPrograms } from '../../../src/tune/cost/securenn-programs.js'
import { shapePlan } from '../../../src/tune/cost/shape-plan.js'
import { modelFolder } from '../../fixtures/reference-files.js'
import { growNetwork, securennOptions } from '../../protocol/networks/zoo.js'

const instant = {
  rttMs: 0,
  upBitsPerSecond: Number.POSITIVE_INFINITY,
  downBitsPerSecond: Number.POSITIVE_INFINITY,
}
const instantly: Network = { clientServer: instant, clientHelper: instant, serverHelper: instant }
const idle = { ...DEFAULT_MACHINE, copy: 0, link: { send: 0, sendByte: 0, receive: 0, receiveByte: 0 } }

/** On `mcc`, guarded, and on `securenn`. */
function grown(seed: number): [mcc: MccPlan, guarded: MccPlan, securenn: Plan] {
  const { arch, weights, spec, options, input } = growNetwork(seed, 10, { maxPools: true })
  const calibration = calibrate(arch, weights, spec, [input(), input()])
  const plan = (options: object) => compile(arch, weights, calibration, spec, options).plan
  const guarded = plan({ ...options, lo: undefined, guard: { sigma: 9 } })
  return [plan(options) as MccPlan, guarded as MccPlan, plan(securennOptions(arch, seed))]
}

describe('the simulated parties', () => {
  test.each(Array.from({ length: 12 }, (_, seed) => [seed]))('send the declared bytes and flights, seed %i', (seed) => {
    const [mcc, guarded, securenn] = grown(seed)
    for (const plan of [mcc, guarded]) {
      const planned = planLayout(plan)
      const { online, offline, flights } = predict(plan, { profile: instant }).total
      const run = schedule(onlinePrograms(planned, idle), instantly)
      expect(run.bytes).toEqual({ 'client-server': online.up, 'server-client': online.down })
      expect(run.flights).toBe(flights)
      const before = schedule(offlinePrograms(planned, idle), instantly)
      // The request for a batch, 12 bytes and a header, is declared for none of its inferences.
      expect(before.bytes['client-server']! - 20).toBe(offline.clientUp)
      expect(before.bytes['helper-server']).toBe(offline.helperToServer)
    }

    const wide = planLayout(securenn) as PlanLayout<SecurennPlan>
    const published = predict(securenn, { profile: instant }).total
    const links = schedule(securennPrograms(wide, idle), instantly)
    expect({
      up: links.bytes['client-server'],
      down: links.bytes['server-client'],
      clientHelper: links.bytes['client-helper'],
      serverHelper: links.bytes['server-helper'],
      helperServer: links.bytes['helper-server'],
    }).toEqual(published.online)
    expect(links.flights).toBe(published.flights)
  })
})

describe('the clock', () => {
  const program = () => new Program(idle)
  const one = { rttMs: 10, upBitsPerSecond: 8e6, downBitsPerSecond: 4e6 }
  const network = { clientServer: one, clientHelper: one, serverHelper: one }

  test('computing, half a round trip and the rate of each direction add up', () => {
    const client = program().work(3e6).send('server', 992).receive('server', 1992)
    const server = program().receive('client', 992).work(2e6).send('client', 1992)
    const { end, busy, flights } = schedule({ client, server, helper: program() }, network)
    // 3 ms, 1000 bytes at 1 byte/µs, 5 ms; 2 ms, 2000 bytes at 0.5 bytes/µs, 5 ms.
    expect(end.client).toBeCloseTo(3 + 1 + 5 + 2 + 4 + 5, 9)
    expect([busy.client, busy.server, flights]).toEqual([3, 2, 2])
  })

  test('messages of one direction queue; those of both directions do not', () => {
    const client = program().send('server', 992).send('server', 992).receive('server', 1992)
    const server = program().send('client', 1992).receive('client', 992).receive('client', 992)
    const { end } = schedule({ client, server, helper: program() }, network)
    expect(end.server).toBeCloseTo(2 + 5, 9)
    expect(end.client).toBeCloseTo(4 + 5, 9)
  })

  test('parties that share processors slow each other down', () => {
    const all = () => ({ client: program().work(6e6), server: program().work(6e6), helper: program().work(2e6) })
    const ends = (cores?: number) => Object.values(schedule(all(), network, cores).end)
    expect(ends()).toEqual([6, 6, 2])
    // Two of three until the helper is done with its 2 ms after 3 ms; then all have one each.
    for (const [i, ms] of [7, 7, 3].entries()) expect(ends(2)[i]).toBeCloseTo(ms, 9)
    expect(ends(1)[2]).toBeCloseTo(6, 9)
    expect(ends(1)[0]).toBeCloseTo(14, 9)
  })

  test('a party that waits for ever is a bug, and found', () => {
    const client = program().receive('helper', 1)
    expect(() => schedule({ client, server: program(), helper: program() }, network)).toThrow(/client/)
  })
})

describe('seconds', () => {
  const folder = modelFolder('resnet20-cifar10')
  const model = loadModelDirectory(folder, '25')
  const plans = model.then(({ arch, weights, calibration, spec }) =>
    [{}, { backend: 'securenn' } as const, { guard: {} }].map(
      (options) => compile(arch, weights, calibration!, spec, options).plan,
    ),
  )
  const { wan40, wan60, mobile80 } = networkProfiles

  test('grow with the round trip and with less bandwidth, and sum up over the steps', async () => {
    for (const plan of await plans) {
      const of = (profile: typeof wan40) => predict(plan, { profile, helperProfile: profile }).total.seconds
      expect(of(wan60 as never).online - of(wan40).online).toBeCloseTo(
        0.01 * predict(plan, { profile: wan40 }).total.flights,
        1,
      )
      const thin = { ...wan40, upBitsPerSecond: 1e7, downBitsPerSecond: 1e7 } as never
      expect(of(thin).online).toBeGreaterThan(of(wan40).online)
      expect(of(mobile80 as never).online).toBeGreaterThan(of(wan60 as never).online)
      const { steps, total } = predict(plan, { profile: wan40 })
      expect(steps.reduce((sum, { seconds }) => sum + seconds, 0)).toBeCloseTo(total.seconds.online, 6)
      expect(Math.min(...steps.map(({ seconds }) => seconds))).toBeGreaterThanOrEqual(0)
    }
  })

  test('no network is faster than the work of the parties that wait for each other', async () => {
    const [mcc] = await plans
    const { online, offline, perRole } = predict(mcc, { profile: instant, helperProfile: instant }).total.seconds
    expect(online).toBeLessThanOrEqual(perRole.client.online + perRole.server.online + 1e-9)
    expect(online).toBeGreaterThan(Math.max(perRole.client.online, perRole.server.online))
    expect(offline).toBeGreaterThanOrEqual(Math.max(...Object.values(perRole).map((role) => role.offline)))
    expect(perRole.helper).toEqual({ online: 0, offline: expect.any(Number) })
  })

  test('a guard adds work to every party, on line and off', async () => {
    const [mcc, , guarded] = await plans
    const of = (plan: Plan) => predict(plan, { profile: wan60 }).total
    const [plain, more] = [of(mcc), of(guarded)]
    expect(more.seconds.online).toBeGreaterThan(plain.seconds.online)
    expect(more.seconds.offline).toBeGreaterThan(plain.seconds.offline)
    expect(more.material.serverBytes).toBeGreaterThan(plain.material.serverBytes)
    for (const role of ['client', 'server'] as const) {
      expect(more.seconds.perRole[role].online).toBeGreaterThan(plain.seconds.perRole[role].online)
    }
    for (const role of ['client', 'server', 'helper'] as const) {
      expect(more.seconds.perRole[role].offline).toBeGreaterThan(plain.seconds.perRole[role].offline)
    }
  })

  test('a curve costs its tables: dealt by the helper, drawn by the client, read by the server', () => {
    const of = (op: 'sigmoid' | 'relu') => {
      const arch = parseArchitecture({
        ...{ format: 'arch/1', name: op, inputs: [{ name: 'x', shape: [4, 16, 16] }], outputs: ['last'] },
        layers: [
          { id: 'bent', op, in: ['x'] },
          { id: 'last', op: 'conv2d', in: ['bent'], cout: 2, kernel: [1, 1] },
        ],
      })
      const plan = shapePlan(arch)
      return { plan, ...predict(plan, { profile: instant, helperProfile: instant }).total.seconds.perRole }
    }
    const [curved, compared] = [of('sigmoid'), of('relu')]
    const { curve } = (curved.plan as MccPlan).steps[0].activation as Required<MccActivation>
    const words = 4 * 16 * 16 * curve.polynomials[0].length * 2 ** curve.segments
    const drawn = (words * 8 * DEFAULT_MACHINE.chacha[12]) / 1e9
    expect(curved.client.online - compared.client.online).toBeGreaterThan(drawn / 2)
    expect(curved.server.online - compared.server.online).toBeGreaterThan((words * DEFAULT_MACHINE.curve.pack) / 2e9)
    const dealt = drawn + (words * (DEFAULT_MACHINE.curve.deal + DEFAULT_MACHINE.curve.pack)) / 1e9
    expect(curved.helper.offline - compared.helper.offline).toBeGreaterThan(dealt / 2)
  })

  test('a machine twice as slow takes twice as long where there is no network', async () => {
    const twice = (value: unknown): unknown =>
      typeof value === 'number'
        ? 2 * value
        : value && typeof value === 'object' && !Array.isArray(value)
          ? Object.fromEntries(Object.entries(value).map(([name, of]) => [name, twice(of)]))
          : value
    const slow = {
      ...(twice(DEFAULT_MACHINE) as typeof DEFAULT_MACHINE),
      comparisons: DEFAULT_MACHINE.comparisons.map((c) => ({ ...(twice(c) as typeof c), chunks: c.chunks })),
    }
    for (const plan of await plans) {
      const of = (machine: typeof DEFAULT_MACHINE) =>
        predict(plan, { profile: instant, helperProfile: instant, machine }).total.seconds.online
      expect(of(slow) / of(DEFAULT_MACHINE)).toBeCloseTo(2, 6)
    }
  })
})
