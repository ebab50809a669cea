// A helper whose bundles are dealt elsewhere: jobs go through an engine, bundles come back over HTTP, answers stay the same.
import { afterEach, describe, expect, test } from 'vitest'
import type { Engine, EngineOptions } from '../../src/engine/engine.js'
import { MemoryEngine } from '../../src/engine/memory.js'
import { openNatsEngine } from '../../src/engine/nats.node.js'
import { FleetDealer, type Outcome, type Transport } from '../../src/fleet/dealer.js'
import { FleetFront } from '../../src/fleet/front.js'
import { HttpTransport, listenForDealers } from '../../src/fleet/http.node.js'
import { openJob, sealJob } from '../../src/fleet/job.js'
import { FleetKeys } from '../../src/fleet/keys.js'
import { decodeModel, encodeModel } from '../../src/fleet/model.js'
import type { MccPlan } from '../../src/plan/plan.js'
import { freshSeed } from '../../src/random/seed.js'
import { Broker, noBroker } from '../engine/broker.js'
import { createHelper, expectTyped, failure, inputFor, Site, tinyNetwork, watchRejections } from '../party/fixture.js'
import { localPool } from './local-pool.js'

const compiled = tinyNetwork(1)
const guarded = tinyNetwork(1, 2, { guard: {} })
const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

/** A front that listens, and dealers that it can lose. */
async function fleet(engine: Engine, { leaseMs = 15_000, waitMs = 60_000, width = 16 } = {}) {
  const keys = new FleetKeys([freshSeed()])
  const outcomes: Outcome[] = []
  let front!: FleetFront
  const listener = await listenForDealers(
    { host: '127.0.0.1', port: 0 },
    { expects: (...asked) => front.expects(...asked), gives: (...asked) => front.gives(...asked) },
  )
  front = new FleetFront({ engine, keys: () => keys, url: listener.url, waitMs, width })
  const helper = await createHelper({ dealers: front, epoch: keys.epoch })
  const transport = new HttpTransport()
  const hire = (through: Transport = transport, its = keys) => {
    const end = new AbortController()
    const pool = localPool()
    const dealer = new FleetDealer({
      ...{ engine, transport: through, pool, leaseMs, keys: () => its },
      onJob: (outcome) => void outcomes.push(outcome),
    })
    const running = dealer.run(end.signal)
    return async () => {
      end.abort()
      await running
    }
  }
  const close = async () => {
    await front.release()
    await helper.release()
    await listener.close()
    transport.close()
    await engine.close()
  }
  return { keys, front, helper, listener, transport, hire, outcomes, close }
}

const memory = (options: Partial<EngineOptions> = {}) => new MemoryEngine({ name: 'deal', ...options })

async function answersOf(
  network: typeof compiled,
  at: Awaited<ReturnType<typeof fleet>>,
  clients: number,
  each: number,
) {
  const site = await Site.create(network, at.helper)
  const seats = await Promise.all(Array.from({ length: clients }, () => site.seat()))
  await Promise.all(seats.map(({ client }) => client.prepare(each)))
  const wrong: unknown[] = []
  for (const { compare } of seats) {
    for (let i = 0; i < each; i++) wrong.push(await compare(inputFor(network, i)))
  }
  await Promise.all(seats.map(({ client }) => client.release()))
  expectTyped(site.errors)
  await site.server.release()
  return wrong
}

describe.each([
  ['a plan', compiled],
  ['a guarded plan', guarded],
])('%s', (_, network) => {
  test('is dealt by two dealers for three clients, each answer equal to the reference', async () => {
    const at = await fleet(memory())
    const leave = [at.hire(), at.hire()]
    expect(await answersOf(network, at, 3, 3)).toEqual(Array(9).fill(null))
    await Promise.all(leave.map((end) => end()))
    expect(at.outcomes).toEqual(Array(9).fill('dealt'))
    expect(at.front.waiting).toBe(0)
    await at.close()
  })

  test('comes to a dealer as it is', async () => {
    const filters = [new Uint8Array([1])]
    const plan = network.plan as MccPlan
    const short = encodeModel({ plan, filters, transposes: [], seed: undefined })
    expect(() => decodeModel(short)).toThrow(expect.objectContaining({ code: 'PROTOCOL' }))
    short[40] ^= 1
    expect(() => decodeModel(short)).toThrow(expect.objectContaining({ code: 'PLAN_MISMATCH' }))
  })
})

test('a dealer that vanishes with a job costs time only', async () => {
  const engine = memory({ leaseMs: 200 })
  const at = await fleet(engine, { leaseMs: 200 })
  let lost = 0
  /** Takes jobs, and never says anything again. */
  const vanishing = (async () => {
    for await (const _ of engine.jobs.take()) if (++lost === 2) return
  })()
  const done = answersOf(compiled, at, 1, 3)
  await vanishing
  const leave = at.hire()
  expect(await done).toEqual(Array(3).fill(null))
  await leave()
  expect(lost).toBe(2)
  await at.close()
})

test('what a broker altered is never dealt', async () => {
  const at = await fleet(memory())
  const other = new FleetKeys([freshSeed()])
  const seeds = { ch: freshSeed(), sh: freshSeed(), own: freshSeed(), inference: 3 }
  const job = {
    ...{ model: new Uint8Array(16), order: new Uint8Array(16), token: freshSeed(), to: undefined, deal: seeds },
    ...{ until: Date.now() + 60_000, front: at.listener.url },
  }
  const sealed = sealJob(at.keys, job)
  expect(openJob(at.keys, sealed)).toEqual({ ...job, until: Math.floor(job.until) })
  for (const byte of [0, 30, sealed.length - 1]) {
    const altered = sealed.slice()
    altered[byte] ^= 1
    expect(() => openJob(at.keys, altered)).toThrow(expect.objectContaining({ code: 'INSECURE' }))
  }
  expect(() => openJob(other, sealed)).toThrow(expect.objectContaining({ code: 'INSECURE' }))
  // The key of the day before opens what it sealed.
  const [first, second] = [freshSeed(), freshSeed()]
  const before = sealJob(new FleetKeys([first]), job)
  expect(openJob(new FleetKeys([second, first]), before).deal).toEqual(seeds)
  await at.close()
})

test('a dealer of another fleet gives the job up, and the client is told to come back', async () => {
  const at = await fleet(memory(), { waitMs: 300 })
  const leave = at.hire(undefined, new FleetKeys([freshSeed()]))
  const site = await Site.create(compiled, at.helper)
  const { client } = await site.seat()
  expect(await failure(client.prepare(1))).toMatchObject({ code: 'BUSY', retryable: true })
  expect(at.outcomes).toEqual(['dead'])
  await leave()
  await client.release()
  await site.server.release()
  await at.close()
})

test('a full queue reaches the client as BUSY', async () => {
  const engine = memory({ limit: 1 })
  const at = await fleet(engine)
  await engine.jobs.put(new Uint8Array(1), 'fills-it')
  const site = await Site.create(compiled, at.helper)
  const { client } = await site.seat()
  expect(await failure(client.prepare(1))).toMatchObject({ code: 'BUSY', retryable: true })
  await client.release()
  await site.server.release()
  await at.close()
})

test('who asks for one is not behind all of somebody who asks for many', async () => {
  const engine = memory()
  const asked: string[] = []
  const put = engine.jobs.put.bind(engine.jobs)
  engine.jobs.put = (job, id) => {
    asked.push(Buffer.from(openJob(at.keys, job).deal.sh).toString('hex'))
    return put(job, id)
  }
  const at = await fleet(engine, { width: 3 })
  const site = await Site.create(compiled, at.helper)
  const [many, one] = [await site.seat(), await site.seat()]
  const preparing = many.client.prepare(8)
  while (asked.length < 3) await new Promise((resolve) => setTimeout(resolve, 5))
  const alone = one.client.prepare(1)
  // No more than that many are open; the one waits in front of what the other still wants.
  await new Promise((resolve) => setTimeout(resolve, 200))
  expect([asked.length, at.front.waiting]).toEqual([3, 3])
  const leave = at.hire()
  await Promise.all([preparing, alone])
  await leave()
  expect(asked).toHaveLength(9)
  expect(asked.findIndex((session) => session !== asked[0])).toBeLessThanOrEqual(6)
  for (const { client } of [many, one]) await client.release()
  await site.server.release()
  await at.close()
})

test('strangers get no model and leave no bundle', async () => {
  const at = await fleet(memory())
  const { url } = at.listener
  const stranger = freshSeed()
  const statuses = [
    await at.transport.get(`${url}/v1/model/${'0'.repeat(32)}`, stranger),
    await at.transport.put(`${url}/v1/bundle/${'0'.repeat(32)}`, stranger, [new Uint8Array(9)]),
    await at.transport.get(`${url}/other`, stranger),
    (await fetch(`${url}/v1/model/${'0'.repeat(32)}`)).status,
    (await fetch(url, { method: 'POST', headers: { authorization: `Bearer ${'0'.repeat(64)}` } })).status,
  ]
  expect(statuses).toEqual([410, 410, 404, 401, 405])
  // With a registration and an order that are there.
  const site = await Site.create(compiled, at.helper)
  const { client } = await site.seat()
  const preparing = client.prepare(1)
  while (at.front.waiting === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  const seen: string[] = []
  const watched: Transport = {
    get: async (to, token) => {
      seen.push(`${await at.transport.get(to, stranger)}`)
      return at.transport.get(to, token)
    },
    put: async (to, token, body) => {
      seen.push(`${await at.transport.put(to, stranger, body)}`, `${await at.transport.put(to, token, body.slice(1))}`)
      const status = await at.transport.put(to, token, body)
      seen.push(`${status}`, `${await at.transport.put(to, token, body)}`)
      return status
    },
  }
  const leave = at.hire(watched)
  await preparing
  await leave()
  // Wrong token, wrong token, wrong length, right, twice.
  expect(seen).toEqual(['403', '403', '400', '201', '410'])
  await client.release()
  await site.server.release()
  await at.close()
})

describe.skipIf(noBroker !== '')(`over a real broker${noBroker}`, () => {
  test('answers are equal to the reference, and nothing it was given is in clear', async () => {
    const broker = await Broker.start()
    const engine = await openNatsEngine(broker.url, { name: 'deal' })
    const given: Uint8Array[] = []
    const put = engine.jobs.put.bind(engine.jobs)
    engine.jobs.put = (job, id) => {
      given.push(job)
      return put(job, id)
    }
    const at = await fleet(engine)
    const leave = [at.hire(), at.hire()]
    expect(await answersOf(compiled, at, 2, 3)).toEqual(Array(6).fill(null))
    await Promise.all(leave.map((end) => end()))
    expect(given).toHaveLength(6)
    for (const sealed of given) {
      const { deal, token, model, order } = openJob(at.keys, sealed)
      for (const secret of [deal.ch, deal.sh, deal.own, token, model, order]) {
        expect(Buffer.from(sealed).includes(Buffer.from(secret))).toBe(false)
      }
    }
    await at.close()
    await broker.end()
  })
})
