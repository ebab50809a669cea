// What a party tells and lets its operator do: events, status, draining, allowances, roles, coming back to a helper.
import { afterEach, describe, expect, test } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { type Channel, memoryPair, type Peer } from '../../src/net/index.js'
import { Client } from '../../src/party/client/client.js'
import type { PartyEvent } from '../../src/party/events.js'
import { Helper } from '../../src/party/helper/helper.js'
import { Server } from '../../src/party/server.js'
import { causeOf, eventually, failure, inputFor, tinyNetwork, watchRejections } from './fixture.js'

const compiled = tinyNetwork(1)
const input = inputFor(compiled)
const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

/** A helper that can be replaced, a server that connects to whichever there is, what both told. */
async function site() {
  const events: PartyEvent[] = []
  const helperEvents: PartyEvent[] = []
  const errors: [string, Peer | undefined][] = []
  const start = () => Helper.create({ onEvent: (event) => helperEvents.push(event) })
  const held = { helper: await start() }
  const toHelper = (peer?: Peer): Channel => {
    const [near, far] = memoryPair()
    void held.helper.run(far, peer)
    return near
  }
  const server = await Server.create(compiled, () => toHelper({ role: 'server' }), {
    onEvent: (event) => events.push(event),
    onError: ({ code }, peer) => errors.push([code, peer]),
  })
  const client = (peer?: Peer) => {
    const [near, far] = memoryPair()
    void server.run(far, peer)
    return Client.create({ server: near, helper: toHelper({ role: 'client' }) })
  }
  const restartHelper = async () => {
    held.helper = await start()
  }
  const end = () => Promise.all([server.release(), held.helper.release()])
  return { held, server, client, restartHelper, toHelper, events, helperEvents, errors, end }
}

test('a server tells of its helper, of sessions, bundles and inferences, with the peer it was given', async () => {
  const { server, client, events, helperEvents, end } = await site()
  const peer: Peer = { role: 'client', principal: { name: 'anna' } }
  const one = await client(peer)
  await one.run(input)
  expect(await eventually(() => events.length === 4)).toBe(true)
  expect(events.map(({ kind }) => kind)).toEqual(['helper', 'session', 'bundle', 'inference'])
  for (const event of events) if ('peer' in event) expect(event.peer).toBe(peer)
  expect(events.at(-1)).toMatchObject({ error: undefined })
  expect(helperEvents.map(({ kind }) => kind)).toEqual(['session', 'session', 'bundle'])
  await one.prepare(2)
  const { store, ...status } = server.status
  expect(status).toMatchObject({ registered: true, draining: false, sessions: 1 })
  expect(store.usedBytes).toBeGreaterThan(0)
  expect(store.usedBytes).toBeLessThanOrEqual(store.limitBytes)
  await one.release()
  expect(await eventually(() => server.status.sessions === 0)).toBe(true)
  expect(server.status.store.usedBytes).toBe(0)
  await end()
})

test('a server that loses its helper comes back to it though no client asks', async () => {
  const { held, server, restartHelper, events, end } = await site()
  await held.helper.release()
  expect(await eventually(() => !server.status.registered)).toBe(true)
  await restartHelper()
  expect(await eventually(() => server.status.registered)).toBe(true)
  expect(held.helper.status.registrations).toBe(1)
  expect(events.map((event) => event.kind === 'helper' && event.up)).toEqual([true, false, true])
  await end()
})

test('release does not wait for a helper that does not answer', async () => {
  let first = true
  const helper = await Helper.create()
  const open = (): Channel | Promise<Channel> => {
    if (!first) return new Promise(() => undefined)
    first = false
    const [near, far] = memoryPair()
    void helper.run(far)
    return near
  }
  const server = await Server.create(compiled, open)
  await helper.release()
  expect(await eventually(() => !server.status.registered)).toBe(true)
  await server.release()
})

describe('draining', () => {
  test('lets an inference in progress end, then its client goes; nobody new comes in', async () => {
    const { server, client, end } = await site()
    const [busy, idle] = [await client(), await client()]
    await busy.prepare()
    const answer = busy.run(input)
    const drained = server.drain(60_000)
    expect((await answer).raw).toHaveLength(3)
    expect((await failure(client()))?.code).toBe('PEER_GONE')
    expect(await drained).toBe(true)
    expect((await busy.closed).code).toBe('PEER_GONE')
    expect((await idle.closed).code).toBe('PEER_GONE')
    await end()
  })

  test('ends after its time though a client does not', async () => {
    const { server, client, end } = await site()
    await client()
    expect(await server.drain(1)).toBe(false)
    await end()
  })

  test('a helper finishes what it deals', async () => {
    const { held, client, toHelper, end } = await site()
    const one = await client()
    const prepared = one.prepare(3)
    expect(await eventually(() => held.helper.status.connections === 2)).toBe(true)
    expect(await held.helper.drain(60_000)).toBe(true)
    await prepared.catch(() => undefined)
    expect(held.helper.status.draining).toBe(true)
    await expect(toHelper().receive()).rejects.toMatchObject({ code: 'PEER_GONE' })
    await end()
  })
})

describe('allowances', () => {
  const limited = (...granted: { granted: number; retryAfterMs?: number }[]): Peer => ({
    principal: { name: 'anna', spend: () => granted.shift() ?? { granted: 0 } },
  })

  test('what is granted is prepared, and no more', async () => {
    const { client, end } = await site()
    const one = await client(limited({ granted: 2 }))
    await failure(one.prepare(5))
    expect(one.prepared).toBe(2)
    await end()
  })

  test.each<[{ granted: number; retryAfterMs?: number }, string]>([
    [{ granted: 0, retryAfterMs: 30_000 }, 'BUSY'],
    [{ granted: 0 }, 'UNAUTHORIZED'],
  ])('nothing granted, %j: %s', async (allowance, code) => {
    const { client, end } = await site()
    const one = await client(limited({ granted: 1 }, allowance))
    await one.prepare()
    const error = await failure(one.prepare())
    expect([error?.code, error?.retryAfterMs]).toEqual([code, allowance.retryAfterMs])
    // What was granted stays good.
    expect((await one.run(input)).raw).toHaveLength(3)
    await end()
  })
})

test('who was let in as a client cannot register as a server', async () => {
  const { toHelper, end } = await site()
  const error = await failure(Server.create(compiled, () => toHelper({ role: 'client' })))
  expect(error).toBeInstanceOf(RingfenceError)
  expect(causeOf(error)).toBe('UNAUTHORIZED')
  await end()
})
