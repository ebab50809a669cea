// Steps in parts: with parts of 64 values a small network is cut everywhere, and stays the reference bit for bit, at the
// declared bytes and flights; what does not belong to single elements, and what a guard counts by steps, is not cut.
import { describe, expect, it, vi } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { loadKernels } from '../../src/kernels/instance.js'
import { type Channel, Meter, memoryPair } from '../../src/net/index.js'
import { Client } from '../../src/party/client/client.js'
import { Helper } from '../../src/party/helper/helper.js'
import { Server } from '../../src/party/server.js'
import { inputWords } from '../../src/plan/ends.js'
import { planLayout } from '../../src/protocol/layout.js'
import { planCost } from '../../src/protocol/mcc/cost.js'
import { reluSizes } from '../../src/protocol/mcc/relu.js'
import { isCurve, type MccStep, type MccSteps, type ReluStep } from '../../src/protocol/mcc/step.js'
import { partsOf } from '../../src/protocol/mcc/values.js'
import { isActive, layOut } from '../../src/protocol/step.js'
import { localParties, runReference } from '../../src/testing.js'
import { prepareWorkload, sampleInput } from '../fixtures/workloads.js'

const PART = 64
vi.mock('../../src/protocol/pieces.js', async (original) => ({ ...((await original()) as object), PART_VALUES: 64 }))

const options = { ring: 32, bits: 16, lo: 0 } as const
const plain = () => prepareWorkload({ name: 'round-trips', options }).compiled
const blocks = () => prepareWorkload({ name: 'round-trips', options, block: [2, 2] }).compiled
const guarded = () => prepareWorkload({ name: 'round-trips', options: { ...options, guard: { sigma: 8 } } }).compiled
const input = sampleInput({ inputs: [{ shape: [3, 8, 8] }] } as never, 7)

const relus = ({ steps }: MccSteps): ReluStep[] =>
  (steps as MccStep[]).filter((step): step is ReluStep => isActive(step) && !isCurve(step))

async function run(compiled: ReturnType<typeof plain>) {
  const meter = new Meter()
  const parties = await localParties(compiled, { client: { meter } })
  try {
    const { raw, inference } = await parties.client.run(input)
    const { plan, model } = compiled
    expect([...raw]).toEqual([...runReference(plan, model, inputWords(plan, input), parties.masks(inference)).output])
    const { online } = meter.report().links.server
    const { total } = planCost(planLayout(plan as never))
    expect([online.bytesSent, online.bytesReceived, online.flights]).toEqual([
      ...[total.online.up, total.online.down, total.flights],
    ])
    return online.messagesSent
  } finally {
    await parties.release()
  }
}

describe('a step in parts', () => {
  it('has every value once, and the bytes of the whole', () => {
    const k = loadKernels()
    const { plan } = plain()
    const steps = relus(layOut(k, plan as never))
    expect(steps.length).toBeGreaterThan(10)
    for (const step of steps) {
      const parts = partsOf(step, false)
      expect(parts.length).toBe(Math.ceil(step.size / PART))
      const sizes = parts.map((part) => reluSizes(part.step, plan.ring))
      for (const name of ['opening', 'reply', 'tables'] as const) {
        expect(sizes.reduce((sum, each) => sum + each[name], 0)).toBe(reluSizes(step, plan.ring)[name])
      }
      expect(parts.map(({ from, step: { size } }) => [from, size])).toEqual(
        parts.map((_, i) => [i * PART, Math.min(PART, step.size - i * PART)]),
      )
    }
  })

  it('is the reference bit for bit, at the declared bytes and flights, in as many messages as there are parts', async () => {
    const compiled = plain()
    const steps = relus(layOut(loadKernels(), compiled.plan as never))
    const parts = steps.reduce((sum, step) => sum + partsOf(step, false).length, 0)
    expect(await run(compiled)).toBe(1 + parts) // the input goes before
    expect(parts).toBeGreaterThan(3 * steps.length)
  })

  it.each([
    ['whose elements share comparisons', blocks],
    ['of a guarded plan', guarded],
  ] as const)('is one %s', async (_, made) => {
    const compiled = made()
    const steps = relus(layOut(loadKernels(), compiled.plan as never))
    expect(await run(compiled)).toBe(1 + steps.length + (made === guarded ? 1 : 0)) // and the proof behind
  })
})

describe('a peer that leaves between two parts', () => {
  /** A channel that closes after so many messages of its own. */
  function leaving(channel: Channel, messages: number): Channel {
    let left = messages
    const send = (message: Uint8Array) => (left-- > 0 ? channel.send(message) : channel.close())
    return {
      ...channel,
      send,
      receive: (how) => channel.receive(how),
      drained: () => channel.drained(),
      close: (why) => channel.close(why),
      closed: channel.closed,
    }
  }

  it.each(['client', 'server'] as const)('the %s: the other ends with PEER_GONE, and serves the next', async (who) => {
    const compiled = plain()
    const helper = await Helper.create()
    const toHelper = () => {
      const [near, far] = memoryPair()
      void helper.run(far)
      return near
    }
    const errors: unknown[] = []
    const server = await Server.create(compiled, toHelper, { onError: (error) => void errors.push(error) })
    const connectVia = (wrap: (channel: Channel, of: string) => Channel) => {
      const [near, far] = memoryPair()
      void server.run(wrap(far, 'server'))
      return Client.create({ server: wrap(near, 'client'), helper: toHelper() })
    }
    try {
      const seen: Record<string, number> = { client: 0, server: 0 }
      const counted = (channel: Channel, of: string): Channel => ({
        ...leaving(channel, Number.POSITIVE_INFINITY),
        send: (message) => {
          seen[of]++
          channel.send(message)
        },
      })
      const whole = await connectVia(counted)
      await whole.prepare(1)
      const before = seen[who]
      const expected = (await whole.run(input)).prediction
      await whole.release()
      const client = await connectVia((channel, of) => (of === who ? leaving(channel, before + 20) : channel))
      await client.prepare(1)
      await expect(client.run(input)).rejects.toMatchObject({
        code: who === 'client' ? expect.stringMatching(/PEER_GONE|ABORTED/) : 'PEER_GONE',
      })
      await client.release()
      const next = await connectVia((channel) => channel)
      expect((await next.run(input)).prediction).toBe(expected)
      await next.release()
      for (const error of errors) expect(error).toBeInstanceOf(RingfenceError)
    } finally {
      for (const party of [server, helper]) await party.release()
    }
  })
})
