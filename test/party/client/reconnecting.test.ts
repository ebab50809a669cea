// A client that comes back: parties that go away and return, calls that are repeated once and never under the same mask.
import { afterEach, expect, test } from 'vitest'
import { RingfenceError } from '../../../src/errors.js'
import { type Channel, memoryPair } from '../../../src/net/index.js'
import {
  type Connection,
  ReconnectingClient,
  type ReconnectOptions,
} from '../../../src/party/client/reconnecting-client.js'
import type { Helper } from '../../../src/party/helper/helper.js'
import { Server } from '../../../src/party/server.js'
import { Kind } from '../../../src/protocol/kinds.js'
import { decodeFixed } from '../../../src/ring/codec.js'
import { createHelper, eventually, failure, inputFor, kindOf, tinyNetwork, watchRejections, wire } from '../fixture.js'

const compiled = tinyNetwork(1)
const input = inputFor(compiled)
const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

/** Long enough for a machine that does much else. */
const DEADLINE_MS = 20_000

test('comes back no sooner than it is told to', async () => {
  const site = new Site()
  await site.start()
  const told = new RingfenceError('BUSY', 'come back', [], { retryAfterMs: 300 })
  let turnedAway = 2
  site.turnAway = () => (turnedAway-- > 0 ? told : undefined)
  const began = performance.now()
  const client = await site.client()
  expect(performance.now() - began).toBeGreaterThanOrEqual(600)
  const waits = site.connections.flatMap((each) => (each.state === 'waiting' ? [each.retryAfterMs] : []))
  expect(waits).toHaveLength(2)
  for (const ms of waits) expect(ms).toBeGreaterThanOrEqual(300)
  await client.release()
  await site.stop()
})

test('asks no more where an address leads to another party', async () => {
  const site = new Site()
  await site.start()
  const error = await failure(site.client({ server: site.toHelper, helper: site.toServer }))
  expect(error).toMatchObject({
    code: 'WRONG_PARTY',
    message: expect.stringMatching(/expected a server at the server/),
  })
  expect(site.connections.filter(({ state }) => state === 'waiting')).toEqual([])
  await site.stop()
})

/** Parties that can be stopped and started; every message of kind `input` that a client sent. */
class Site {
  helper: Helper | undefined
  server: Server | undefined
  readonly inputs: Uint8Array[] = []
  readonly connections: Connection[] = []
  readonly links: ReturnType<typeof wire>[] = []
  /** So many connections to the server are cut when the client replies. */
  cuts = 0
  /** Why the server lets nobody in, if so. */
  turnAway: () => RingfenceError | undefined = () => undefined

  async start(model = compiled): Promise<void> {
    this.helper ??= await createHelper({ deadlineMs: DEADLINE_MS })
    this.server = await Server.create(model, () => this.#toHelper(), { deadlineMs: DEADLINE_MS })
  }

  async stop(): Promise<void> {
    const { server, helper } = this
    this.server = this.helper = undefined
    await server?.release()
    await helper?.release()
  }

  #toHelper(): Channel {
    if (!this.helper) throw new Error('no helper')
    const [near, far] = memoryPair()
    void this.helper.run(far)
    return near
  }

  #toServer(): Channel {
    const refusal = this.turnAway()
    if (refusal) throw refusal
    const link = wire((message, _, from) => {
      if (from === 'a' && kindOf(message) === Kind.input) this.inputs.push(message.slice())
      if (from === 'a' && kindOf(message) === Kind.reply && this.cuts > 0) {
        this.cuts--
        return 'cut'
      }
      return message
    })
    this.links.push(link)
    // A party that is not there refuses, as a port does where nobody listens.
    if (this.server) void this.server.run(link.b)
    else link.cut()
    return link.a
  }

  readonly toServer = (): Channel => this.#toServer()
  readonly toHelper = (): Channel => (this.helper ? this.#toHelper() : closed())

  client(options: Partial<ReconnectOptions> = {}): Promise<ReconnectingClient> {
    return ReconnectingClient.create({
      ...{ server: this.toServer, helper: this.toHelper },
      ...{ pausesMs: [5, 40], deadlineMs: DEADLINE_MS, patienceMs: DEADLINE_MS },
      onConnection: (connection) => this.connections.push(connection),
      ...options,
    })
  }
}

function closed(): Channel {
  const [near, far] = memoryPair()
  far.close('nobody')
  return near
}

const expectRight = async (client: ReconnectingClient, model = compiled) => {
  const { logits, raw, scale } = await client.run(input)
  expect(logits).toEqual(decodeFixed(raw, scale))
  expect(raw).toHaveLength(3)
  expect(client.plan).toEqual(model.plan)
}

test('waits for parties that are not there yet, and says so', async () => {
  const site = new Site()
  const creating = site.client()
  expect(await eventually(() => site.connections.length >= 3, DEADLINE_MS)).toBe(true)
  expect(new Set(site.connections.map(({ state }) => state))).toEqual(new Set(['waiting']))
  await site.start()
  const client = await creating
  expect(site.connections.at(-1)).toEqual({ state: 'connected' })
  await expectRight(client)
  await client.release()
  await site.stop()
})

test('pauses grow to the longest one', async () => {
  const site = new Site()
  const refused = failure(site.client({ patienceMs: 400, pausesMs: [10, 80] }))
  expect((await refused)?.code).toBe('PEER_GONE')
  const pauses = site.connections.flatMap((each) => (each.state === 'waiting' ? [each.retryAfterMs] : []))
  const fits = pauses.every(
    (pause, i) => pause >= 0.75 * Math.min(80, 10 * 2 ** i) && pause <= Math.min(80, 10 * 2 ** i) + 1,
  )
  expect([fits, pauses.length > 2]).toEqual([true, true])
  expect(site.connections.at(-1)?.state).toBe('closed')
})

test('comes back by itself when server and helper return, with material as it was asked for', async () => {
  const site = new Site()
  await site.start()
  const client = await site.client({ keepPrepared: 2 })
  expect(await eventually(() => client.prepared === 2, DEADLINE_MS)).toBe(true)
  await site.stop()
  expect(await eventually(() => !client.connected, DEADLINE_MS)).toBe(true)
  expect(client.prepared).toBe(0)
  await site.start()
  expect(await eventually(() => client.prepared === 2, DEADLINE_MS)).toBe(true)
  await expectRight(client)
  await client.release()
  await site.stop()
})

test('repeats a call once, as another inference under another mask', async () => {
  const site = new Site()
  await site.start()
  const client = await site.client()
  site.cuts = 1
  await expectRight(client)
  expect(site.links).toHaveLength(2)
  // The first attempt had sent its masked input already; the second sends the same input under a mask of its own.
  expect(site.inputs).toHaveLength(2)
  const [first, second] = site.inputs.map((message) => message.subarray(16))
  expect(first).toHaveLength(second.length)
  const same = first.filter((byte, i) => byte === second[i]).length
  expect(same).toBeLessThan(first.length / 4)
  await client.release()
  await site.stop()
})

test('a call that fails twice fails, and the next one starts over', async () => {
  const site = new Site()
  await site.start()
  const client = await site.client()
  site.cuts = 2
  const error = await failure(client.run(input))
  expect(error?.code).toBe('PEER_GONE')
  expect(site.inputs).toHaveLength(2)
  await expectRight(client)
  await client.release()
  await site.stop()
})

test('what no attempt will mend ends it at once: another plan than the pinned one', async () => {
  const site = new Site()
  await site.start()
  const client = await site.client({ plan: compiled.plan })
  await site.stop()
  await site.start(tinyNetwork(2, 3))
  const error = await failure(client.run(input))
  expect(error?.code).toBe('PLAN_MISMATCH')
  expect(site.connections.at(-1)).toMatchObject({ state: 'closed', why: { code: 'PLAN_MISMATCH' } })
  expect((await failure(client.run(input)))?.code).toBe('PLAN_MISMATCH')
  await client.release()
  await site.stop()
})

test('without a pinned plan it takes the one the server comes back with', async () => {
  const site = new Site()
  await site.start()
  const client = await site.client()
  await site.stop()
  const other = tinyNetwork(2, 3)
  await site.start(other)
  await expectRight(client, other)
  await client.release()
  await site.stop()
})

test('a mistake of the caller is no end of the connection', async () => {
  const site = new Site()
  await site.start()
  const client = await site.client()
  expect((await failure(client.run(new Float32Array(1))))?.code).toBe('BAD_INPUT')
  await expectRight(client)
  expect(site.links).toHaveLength(1)
  await client.release()
  await site.stop()
})

test('calls end with their signal while they wait, and with release', async () => {
  const site = new Site()
  await site.start()
  const client = await site.client({ patienceMs: Number.POSITIVE_INFINITY })
  await site.stop()
  const controller = new AbortController()
  const aborted = failure(client.run(input, { signal: controller.signal }))
  const released = failure(client.run(input))
  await eventually(() => site.connections.length > 3, DEADLINE_MS)
  controller.abort()
  expect((await aborted)?.code).toBe('ABORTED')
  await client.release()
  expect((await released)?.code).toBe('ABORTED')
  expect(site.connections.at(-1)).toMatchObject({ state: 'closed', why: { code: 'ABORTED' } })
})
