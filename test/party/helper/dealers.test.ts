// Threads that deal: the same bytes as without them, whichever deals, also when one ends in the middle.
import type { Worker } from 'node:worker_threads'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { loadKernels } from '../../../src/kernels/instance.js'
import type { DealerPool } from '../../../src/party/helper/dealing.js'
import { type DealJob, type DealtModel, LocalDealer, type ModelDealer } from '../../../src/party/helper/dealing.js'
import { shareOf } from '../../../src/party/helper/registered.js'
import { startDealers } from '../../../src/party/helper/threads.node.js'
import type { Compiled } from '../../../src/plan/compile/compile.js'
import type { MccPlan } from '../../../src/plan/plan.js'
import { Kind } from '../../../src/protocol/kinds.js'
import type { MccSteps } from '../../../src/protocol/mcc/step.js'
import { layOut } from '../../../src/protocol/step.js'
import { freshSeed } from '../../../src/random/seed.js'
import {
  createHelper,
  eventually,
  expectTyped,
  failure,
  hex,
  inputFor,
  kindOf,
  Site,
  tinyNetwork,
  watchRejections,
  wire,
} from '../fixture.js'

const { threads } = vi.hoisted(() => ({ threads: [] as Worker[] }))
vi.mock('node:worker_threads', async (original) => {
  const actual = (await original()) as typeof import('node:worker_threads')
  class Watched extends actual.Worker {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args)
      threads.push(this)
    }
  }
  return { ...actual, Worker: Watched }
})

const compiled = tinyNetwork(1)
const guarded = tinyNetwork(1, 2, { guard: {} })
const rejections = watchRejections()
let pool: DealerPool
beforeAll(async () => {
  pool = await startDealers(2)
})
afterAll(() => pool.release())
afterEach(() => expect(rejections).toEqual([]))

/** What a server sends its helper when it registers. */
async function registered(network: Compiled): Promise<{ model: DealtModel; transposes: Uint8Array[] }> {
  const filters: Uint8Array[] = []
  const transposes: Uint8Array[] = []
  const watched = wire((message) => {
    if (kindOf(message) === Kind.weights) filters.push(message.slice(8))
    if (kindOf(message) === Kind.transposes) transposes.push(message.slice(8))
    return message
  })
  const helper = await createHelper()
  const site = await Site.create(network, helper, { wire: watched })
  const { client } = await site.seat()
  await client.prepare() // not before the guard is there
  await client.release()
  await site.server.release()
  await helper.release()
  return { model: { plan: network.plan as MccPlan, filters }, transposes }
}

async function local({ plan, filters }: DealtModel): Promise<ModelDealer> {
  const k = loadKernels()
  const share = await shareOf(k, plan, (at) => filters[at])
  return new LocalDealer(k, layOut(k, plan) as MccSteps, share)
}

async function dealt(dealer: ModelDealer, job: DealJob): Promise<string[]> {
  const messages: string[] = []
  const bundle = await dealer.begin(job)
  await bundle.send((step, message) => {
    messages[step] = hex(message instanceof Uint8Array ? message : message.u8())
  })
  return messages
}

const jobs = (count: number): DealJob[] =>
  Array.from({ length: count }, (_, inference) => ({
    ...{ inference, ch: freshSeed(), sh: freshSeed(), own: freshSeed() },
  }))

/** The same model on this thread and on others. */
async function both(network: Compiled) {
  const { model, transposes } = await registered(network)
  const dealers = { here: await local(model), there: await pool.open(model) }
  const seed = freshSeed()
  for (const dealer of Object.values(dealers)) {
    for (const packed of transposes) dealer.addTransposes(packed)
    if (transposes.length > 0) dealer.guard(seed)
  }
  return dealers
}

describe.each([
  ['a plan', compiled],
  ['a guarded plan', guarded],
])('%s', (_, network) => {
  test('is dealt to the same bytes on this thread and on others', async () => {
    const { here, there } = await both(network)
    const orders = jobs(4)
    const expected = []
    for (const job of orders) expected.push(await dealt(here, job))
    expect(new Set(expected.flat()).size).toBe(expected.flat().length)
    expect(await Promise.all(orders.map((job) => dealt(there, job)))).toEqual(expected)
    there.release()
  })
})

test('a thread that ends is replaced, and what it dealt is dealt again to the same bytes', async () => {
  const { here, there } = await both(guarded)
  const orders = jobs(6)
  const expected = []
  for (const job of orders) expected.push(await dealt(here, job))
  const before = threads.length
  const running = Promise.all(orders.map((job) => dealt(there, job)))
  await threads.at(-1)!.terminate()
  expect(await running).toEqual(expected)
  await threads.at(-2)!.terminate()
  // With those that came in their place, which were told of the model and its guard.
  expect(await eventually(() => threads.length === before + 2, 60_000)).toBe(true)
  expect(await Promise.all(orders.map((job) => dealt(there, job)))).toEqual(expected)
  there.release()
})

test('what waits for a thread when all are ended fails, as does what comes later', async () => {
  const one = await startDealers(1)
  const { model } = await registered(compiled)
  const dealer = await one.open(model)
  const waiting = jobs(3).map((job) => failure(dealt(dealer, job)))
  await one.release()
  const ended = [...(await Promise.all(waiting)), await failure(dealt(dealer, jobs(1)[0]))]
  expect(ended.map((error) => error?.message)).toEqual(Array(4).fill('a thread that deals has ended'))
})

test('a helper with threads serves several clients, each answer equal to the reference', async () => {
  const helper = await createHelper({ dealers: pool, epoch: freshSeed() })
  const site = await Site.create(compiled, helper)
  const seats = await Promise.all([site.seat(), site.seat(), site.seat()])
  await Promise.all(seats.map(({ client }) => client.prepare(3)))
  for (const { compare } of seats) {
    for (let i = 0; i < 3; i++) expect(await compare(inputFor(compiled, i))).toBeNull()
  }
  expect(await helper.drain(120_000)).toBe(true)
  await Promise.all(seats.map(({ client }) => client.release()))
  expectTyped(site.errors)
  await site.server.release()
  await helper.release()
  expect([site.server.memoryInUse, helper.memoryInUse, helper.status.registered.usedBytes]).toEqual([0, 0, 0])
})

test('a registration that threads have no room for is told to come back', async () => {
  const helper = await createHelper({ dealers: pool, registeredBytes: 2 ** 14 })
  expect(await failure(Site.create(compiled, helper))).toMatchObject({ code: 'BUSY' })
  expect(helper.status.registered.usedBytes).toBe(0)
  await helper.release()
})

test.each([0, 1.5, Number.NaN])('%s threads are none', async (count) => {
  expect(await failure(startDealers(count))).toMatchObject({ code: 'BAD_INPUT' })
})
