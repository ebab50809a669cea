// One gadget between three parties over metered links, held against its declared cost, the reference and the formulas.
import { expect } from 'vitest'
import { HEADER_BYTES, Meter, type PhaseTraffic } from '../../../src/net/index.js'
import type { Compiled } from '../../../src/plan/compile/compile.js'
import { elementCount, type MccPlan } from '../../../src/plan/plan.js'
import { planLayout } from '../../../src/protocol/layout.js'
import { planCost } from '../../../src/protocol/mcc/cost.js'
import { guardTerms } from '../../../src/protocol/mcc/guard/terms.js'
import { inputBytes } from '../../../src/protocol/mcc/input.js'
import { localParties, runReference } from '../../../src/testing.js'
import { type Draw, drawFrom, expectedRelu, type ReluGadget, reluPlan, whole } from './gadget-plan.js'

/** Frame payloads in front of the declared ones: a batch is reserved, an upload names its inference, so does an input. */
const RESERVE_FRAME = HEADER_BYTES + 12
const INFERENCE = 8

/** Runs one input privately; declared and measured costs agree to the byte, result and reference to the bit. */
export async function run(compiled: Compiled<MccPlan>, input: Int32Array) {
  const [client, server] = [new Meter(), new Meter()]
  const parties = await localParties(compiled, { client: { meter: client }, server: { meter: server } })
  try {
    await parties.client.prepare(1)
    const result = await parties.client.run(Float32Array.from(input, (word) => word / 2 ** compiled.plan.input.scale))
    const masks = parties.masks(result.inference)
    expectDeclared(compiled, client.report().links.server, server.report().links.helper)
    expect(client.report().links.helper.online.messagesSent).toBe(0)
    expect(server.report().links.helper.online.messagesReceived).toBe(0)
    const reference = runReference(compiled.plan, compiled.model, input, masks)
    expect([...result.raw]).toEqual([...reference.output])
    return { raw: result.raw, logits: result.logits, masks, reference }
  } finally {
    await parties.release()
  }
}

type Phases = Record<'offline' | 'online', PhaseTraffic>

function expectDeclared(compiled: Compiled<MccPlan>, clientServer: Phases, serverHelper: Phases): void {
  const layout = planLayout(compiled.plan)
  const { steps, total } = planCost(layout)
  const start = inputBytes(compiled.plan, guardTerms(layout))
  expect(clientServer.online.flights).toBe(total.flights)
  expect(clientServer.online.bytesSent).toBe(total.online.up)
  expect(clientServer.online.bytesReceived).toBe(total.online.down)
  expect(clientServer.offline.bytesSent).toBe(total.offline.clientUp + RESERVE_FRAME)
  expect(serverHelper.offline.bytesReceived).toBe(total.offline.helperToServer)
  steps.forEach((cost, i) => {
    const first = i === 0
    const online = clientServer.online.steps.find(({ step }) => step === i)!
    const payload = {
      flights: online.flights,
      up: online.bytesSent - HEADER_BYTES * online.messagesSent,
      down: online.bytesReceived - HEADER_BYTES * online.messagesReceived,
    }
    expect(payload).toEqual({
      flights: cost.flights + (first ? 1 : 0),
      up: cost.online.up + (first ? start : 0),
      down: cost.online.down,
    })
    const uploaded = clientServer.offline.steps.find(({ step }) => step === i)!
    const control = first ? RESERVE_FRAME + HEADER_BYTES + INFERENCE : 0
    expect(uploaded.bytesSent - HEADER_BYTES - control).toBe(cost.offline.clientUp)
    const dealt = serverHelper.offline.steps.find(({ step }) => step === i)!
    const head = first ? HEADER_BYTES + 24 : 0
    expect(dealt.bytesReceived - HEADER_BYTES - head).toBe(cost.offline.helperToServer)
  })
}

export const input = (shape: readonly number[], draw: Draw) =>
  Int32Array.from({ length: shape.reduce((a, b) => a * b) }, () => whole(draw, -(2 ** 19) + 1, 2 ** 19 - 1))

/** y of every element: around zero and other bends, at the ends of the range, and anywhere between. */
function targets({ bits, lo, truncate, shape, bends }: ReluGadget, draw: Draw): number[] {
  const shifts = bends?.shifts ?? [0]
  const limit = 2 ** (bits - 2) - Math.max(...shifts.map(Math.abs))
  const unit = 2 ** truncate
  const near = [
    -limit + 1,
    limit - 1,
    0,
    -1,
    1,
    2 ** lo - 1,
    -(2 ** lo),
    2 ** lo,
    ...shifts.flatMap((shift) => [-shift, -shift - 1]),
  ]
  return Array.from({ length: elementCount(shape) }, (_, i) => {
    const edge = near[Math.floor(i / 3) % near.length]
    const reach = Math.min(limit - 1, Math.max(2 ** lo, ...shifts.map((shift) => 2 * Math.abs(shift))))
    const value = i % 3 === 0 ? edge : i % 3 === 1 ? whole(draw, -reach, reach - 1) : whole(draw, 1 - limit, limit - 1)
    return Math.max(1 - limit, Math.min(limit - 1, value)) * unit + whole(draw, 0, unit - 1)
  })
}

export async function runRelu(gadget: ReluGadget, seed: number, y?: number[]) {
  const draw = drawFrom(seed)
  const x = input(gadget.shape, draw)
  const values = y ?? targets(gadget, draw)
  const compiled = reluPlan(
    gadget,
    Int32Array.from(values, (value, i) => value - x[i]),
  )
  const { raw, masks } = await run(compiled, x)
  const expected = expectedRelu(gadget, compiled, values, masks)
  expect([...raw]).toEqual(expected.z)
  return { ...expected, raw, values }
}
