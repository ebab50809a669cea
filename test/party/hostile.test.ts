// Peers that do what they should not: numbers used twice, keys that are not theirs, floods, silence. One-time material is
// used at most once, and nobody else notices.
import { afterEach, describe, expect, test } from 'vitest'
import { type Channel, memoryPair, Phase } from '../../src/net/index.js'
import { Client } from '../../src/party/client/client.js'
import {
  CLIENT_HELLO_BYTES,
  encodeBatch,
  encodeClientHello,
  HELLO_BYTES,
  MAX_BATCH,
  RESERVED_BYTES,
} from '../../src/party/messages.js'
import { Server } from '../../src/party/server.js'
import { PROTOCOL_VERSION, planDigest } from '../../src/plan/plan.js'
import { Kind } from '../../src/protocol/kinds.js'
import { keyPair } from '../../src/random/seed.js'
import { now } from '../fixtures/clock.js'
import {
  causeOf,
  createHelper,
  DEADLINE_MS,
  eventually,
  type Fault,
  failure,
  inputFor,
  kindOf,
  neighbourhood,
  raw,
  renumber,
  repeat,
  Site,
  tinyNetwork,
  watchRejections,
  wire,
} from './fixture.js'

const compiled = tinyNetwork(1)
const input = inputFor(compiled)
const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

describe('one-time material', () => {
  test('a full store grants what it has, says so, and the client goes on with that', async () => {
    const { site, end } = await neighbourhood(compiled, { server: { storeBytes: 1 } })
    const { client, compare } = await site.seat()
    const error = await failure(client.prepare(3))
    expect(error).toMatchObject({ code: 'STORE_FULL', retryable: true })
    expect(error!.message).toMatch(/room for 1 of 3/)
    expect(client.prepared).toBe(1)
    const second = await site.seat()
    expect(await failure(second.client.prepare())).toMatchObject({ code: 'STORE_FULL' })
    expect(await compare(input)).toBeNull()
    expect(await second.compare(input)).toBeNull()
    expect(await compare(input)).toBeNull()
    await client.release()
    await second.client.release()
    await end()
  })

  const misuses: Record<string, [Fault, 'toServer' | 'toHelper']> = {
    'an inference number used before': [renumber(Kind.input, 1, 0), 'toServer'],
    'an inference that was never prepared': [renumber(Kind.input, 1, 99), 'toServer'],
    'a reservation of numbers used before': [renumber(Kind.reserve, 1, 0), 'toServer'],
    'an upload for a number that was not reserved': [renumber(Kind.upload, 1, 99), 'toServer'],
    'an upload for a number that was used': [renumber(Kind.upload, 1, 0), 'toServer'],
    'a deal of numbers that were dealt before': [repeat(Kind.deal), 'toHelper'],
  }
  test.each(Object.keys(misuses))('%s is refused', async (name) => {
    const { site, end } = await neighbourhood(compiled)
    const [fault, link] = misuses[name]
    const { client, compare } = await site.seat({ [link]: wire(fault) })
    expect(await compare(input)).toBeNull()
    const error = await failure(client.run(input))
    expect(error).toMatchObject({ code: 'PEER_FAILED' })
    expect(causeOf(error)).toBe('MATERIAL_USED')
    expect(client.memoryInUse).toBe(0)
    await end()
  })

  test('a session does not get its numbers dealt again over another connection', async () => {
    const { helper, site, end } = await neighbourhood(compiled)
    let hello!: Uint8Array
    let deal!: Uint8Array
    const toHelper = wire((message) => {
      if (kindOf(message) === Kind.hello) hello = message.slice(8)
      if (kindOf(message) === Kind.deal) deal ??= message.slice(8)
      return message
    })
    const { client, compare } = await site.seat({ toHelper })
    expect(await compare(input)).toBeNull()
    const [near, far] = memoryPair()
    void helper.run(far)
    const link = raw(near)
    link.send(Kind.hello, Phase.setup, 0, hello)
    await link.receive(Kind.welcome, Phase.setup, 0, 32)
    link.send(Kind.deal, Phase.offline, 0, deal)
    const error = await failure(link.receive(Kind.dealt, Phase.offline, 0, 0))
    expect(causeOf(error)).toBe('MATERIAL_USED')
    expect(await compare(input)).toBeNull()
    await client.release()
    await end()
  })

  test('a registration is worth nothing once its server has left', async () => {
    const { helper, site } = await neighbourhood(compiled)
    let hello!: Uint8Array
    const toHelper = wire((message) => {
      if (kindOf(message) === Kind.hello) hello = message.slice(8)
      return message
    })
    const { client } = await site.seat({ toHelper })
    await site.server.release()
    expect(await failure(client.prepare())).toMatchObject({ code: 'PEER_GONE' })
    await eventually(() => helper.memoryInUse === 0)
    const [near, far] = memoryPair()
    void helper.run(far)
    const link = raw(near)
    link.send(Kind.hello, Phase.setup, 0, hello)
    expect(causeOf(await failure(link.receive(Kind.welcome, Phase.setup, 0, 32)))).toBe('PEER_GONE')
    await helper.release()
    expect(helper.memoryInUse).toBe(0)
  })
})

describe('the helper', () => {
  test('another key than the pinned one is refused by server and client', async () => {
    const { helper, site, end } = await neighbourhood(compiled)
    const helperKey = keyPair().publicKey
    expect(await failure(Site.create(compiled, helper, { server: { helperKey } }))).toMatchObject({ code: 'INSECURE' })
    expect(await failure(site.seat({ helperKey }))).toMatchObject({ code: 'INSECURE' })
    const { client, compare } = await site.seat({ helperKey: helper.publicKey })
    expect(await compare(input)).toBeNull()
    await client.release()
    await end()
  })

  test('a stranger who shows the pinned public key without holding its secret is refused', async () => {
    const genuine = await createHelper()
    const stranger = await createHelper()
    const posing = wire((message, _, from) => {
      if (from === 'b' && kindOf(message) === Kind.welcome) message.set(genuine.publicKey, 8 + 16)
      return message
    })
    const { publicKey: helperKey } = genuine
    const error = await failure(Site.create(compiled, stranger, { wire: posing, server: { helperKey } }))
    expect(error).toMatchObject({ code: 'INSECURE' })
    await genuine.release()
    await stranger.release()
    expect(stranger.memoryInUse).toBe(0)
  })

  test('a helper other than the server’s cannot deal', async () => {
    const { site, end } = await neighbourhood(compiled)
    const elsewhere = await createHelper()
    const toHelper = wire()
    void elsewhere.run(toHelper.b)
    const [server, far] = memoryPair()
    void site.server.run(far)
    const error = await failure(Client.create({ server, helper: toHelper.a, deadlineMs: DEADLINE_MS }))
    expect(causeOf(error)).toBe('PEER_GONE')
    await elsewhere.release()
    await end()
  })

  test('what was dealt before it died still runs; what needs it fails at once', async () => {
    const helper = await createHelper()
    const site = await Site.create(compiled, helper)
    const { client, compare } = await site.seat()
    await client.prepare(2)
    await helper.release()
    expect(helper.memoryInUse).toBe(0)
    expect(await compare(input)).toBeNull()
    expect(await compare(inputFor(compiled, 3))).toBeNull()
    const started = now()
    const error = await failure(client.run(input))
    expect(error?.code).toMatch(/^PEER_(GONE|FAILED)$/)
    const [server, far] = memoryPair()
    void site.server.run(far)
    const late = await failure(Client.create({ server, helper: memoryPair()[0], deadlineMs: DEADLINE_MS }))
    expect(late).toMatchObject({ code: 'PEER_FAILED' })
    expect(now() - started).toBeLessThan(DEADLINE_MS)
    await site.server.release()
    expect(site.server.memoryInUse).toBe(0)
  })
})

describe('peers that say nothing, too much, or do not listen', () => {
  test('a connection that never introduces itself is closed', async () => {
    const { helper, site, end } = await neighbourhood(compiled)
    for (const party of [site.server, helper]) {
      const [near, far] = memoryPair()
      const running = party.run(far)
      const link = raw(near)
      expect(causeOf(await failure(link.receiveAny(100, { deadlineMs: 4 * DEADLINE_MS })))).toBe('DEADLINE')
      await running
    }
    await end()
  })

  test('a client that thinks too long loses what was kept for it', async () => {
    const { site, end } = await neighbourhood(compiled, { server: { storeBytes: 1, idleMs: DEADLINE_MS } })
    const { client } = await site.seat()
    await client.prepare()
    const { client: next, compare } = await site.seat()
    expect(await failure(next.prepare())).toMatchObject({ code: 'STORE_FULL' })
    await new Promise((done) => setTimeout(done, DEADLINE_MS * 0.6))
    expect(await failure(next.prepare())).toMatchObject({ code: 'STORE_FULL' })
    await new Promise((done) => setTimeout(done, DEADLINE_MS * 0.6))
    expect(await compare(input)).toBeNull()
    const error = await failure(client.run(input))
    expect(causeOf(error)).toBe('DEADLINE')
    await next.release()
    await end()
  })

  test('a flood of reservations gets what the store has and not a byte more', async () => {
    const { site, end } = await neighbourhood(compiled, { server: { storeBytes: 1 } })
    const [near, far] = memoryPair()
    const running = site.server.run(far)
    const link = raw(near)
    link.send(Kind.hello, Phase.setup, 0, encodeClientHello({ digest: planDigest(compiled.plan), hasPlan: true }))
    await link.receive(Kind.welcome, Phase.setup, 0, 132)
    const before = site.server.memoryInUse
    for (let i = 0; i < 2000; i++) link.send(Kind.reserve, Phase.offline, 0, encodeBatch(i * MAX_BATCH, MAX_BATCH))
    let granted = 0
    let most = 0
    for (let i = 0; i < 2000; i++) {
      granted += (await link.receive(Kind.reserved, Phase.offline, 0, RESERVED_BYTES))[0]
      most = Math.max(most, site.server.memoryInUse)
    }
    expect(granted).toBe(1)
    expect(most - before).toBeLessThan(10_000)
    link.close()
    await running
    await end()
  })

  test('a peer that does not read is given up within the deadline', async () => {
    const { helper, site, end } = await neighbourhood(compiled)
    /** Takes messages and never reports room for more. */
    const stuffed = (channel: Channel): Channel => ({
      send: (message) => channel.send(message),
      receive: (options) => channel.receive(options),
      drained: () => new Promise(() => undefined),
      close: (reason) => channel.close(reason),
      closed: channel.closed,
    })
    const toServer = wire()
    const { client } = await site.seat({ toServer: { ...toServer, a: stuffed(toServer.a) } })
    expect(await failure(client.prepare())).toMatchObject({ code: 'DEADLINE' })
    const [near, far] = memoryPair()
    void helper.run(far)
    expect(await failure(Server.create(compiled, stuffed(near), { deadlineMs: DEADLINE_MS }))).toMatchObject({
      code: 'DEADLINE',
    })
    const lazy = wire()
    const elsewhere = await createHelper()
    void elsewhere.run(stuffed(lazy.b))
    const server = await Server.create(compiled, lazy.a, { deadlineMs: DEADLINE_MS })
    const [c1, s1] = memoryPair()
    const [c2, h1] = memoryPair()
    void server.run(s1)
    void elsewhere.run(h1)
    const waiting = await Client.create({ server: c1, helper: c2, deadlineMs: 4 * DEADLINE_MS })
    const error = await failure(waiting.prepare())
    expect(causeOf(error)).toBe('DEADLINE')
    await server.release()
    await elsewhere.release()
    expect([server.memoryInUse, elsewhere.memoryInUse]).toEqual([0, 0])
    await end()
  })

  test('who is neither client nor server, or speaks another version, is told so', async () => {
    const { helper, site, end } = await neighbourhood(compiled)
    const say = async (party: { run(channel: Channel): Promise<void> }, hello: Uint8Array) => {
      const [near, far] = memoryPair()
      const running = party.run(far)
      const link = raw(near)
      link.send(Kind.hello, Phase.setup, 0, hello)
      const error = await failure(link.receiveAny(1000))
      await running
      return causeOf(error)
    }
    const hello = (...start: number[]) => {
      const bytes = new Uint8Array(HELLO_BYTES)
      bytes.set(start)
      return bytes
    }
    expect(await say(helper, hello(PROTOCOL_VERSION + 1, 1))).toBe('PROTOCOL')
    expect(await say(helper, hello(PROTOCOL_VERSION, 9))).toBe('PROTOCOL')
    expect(await say(helper, hello(PROTOCOL_VERSION, 1))).toBe('PEER_GONE')
    const tooLong = hello(PROTOCOL_VERSION, 2)
    tooLong.fill(255, HELLO_BYTES - 4)
    expect(await say(helper, tooLong)).toBe('FRAME')
    expect(await say(site.server, new Uint8Array(CLIENT_HELLO_BYTES).fill(PROTOCOL_VERSION + 1))).toBe('PROTOCOL')
    await end()
  })

  test('a public key on which no secret can be agreed is refused', async () => {
    const { site, end } = await neighbourhood(compiled)
    const toHelper = wire((message, _, from) => {
      if (from === 'a' && kindOf(message) === Kind.hello) message.fill(0, 8 + 66, 8 + 98)
      return message
    })
    expect(causeOf(await failure(site.seat({ toHelper })))).toBe('PROTOCOL')
    await end()
  })
})
