// Life on `securenn`: clients side by side over memory and real sockets, one that stalls, and parties that end in the
// middle of an inference.

import { afterEach, describe, expect, test } from 'vitest'
import { loadKernels } from '../../../src/kernels/instance.js'
import { type Channel, connect, memoryPair } from '../../../src/net/index.js'
import { listen } from '../../../src/net/websocket-server.node.js'
import { Client } from '../../../src/party/client/client.js'
import { Server } from '../../../src/party/server.js'
import { Kind } from '../../../src/protocol/kinds.js'
import { PIECE_BYTES } from '../../../src/protocol/pieces.js'
import { sendRegions } from '../../../src/protocol/regions.js'
import { now } from '../../fixtures/clock.js'
import {
  causeOf,
  createHelper,
  DEADLINE_MS,
  eventually,
  type Fault,
  failure,
  inputFor,
  kindOf,
  raw,
  watchRejections,
  wire,
} from '../fixture.js'
import { SecurennSite, securennNeighbourhood, smallNetwork } from './fixture.js'

const compiled = smallNetwork(1)
const input = inputFor(compiled)
const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

describe('clients side by side', () => {
  test('of two servers at one helper, several inferences each, in any order', async () => {
    const helper = await createHelper()
    const networks = [smallNetwork(1), smallNetwork(2, { ignoredMsb: 44, ignoredLsb: 4 })]
    const sites = await Promise.all(networks.map((network) => SecurennSite.create(network, helper)))
    const visit = async (site: SecurennSite, seed: number) => {
      const { client, compare } = await site.seat({ deadlineMs: 5000 })
      for (let i = 0; i < 4; i++) expect(await compare(inputFor(site.compiled, 10 * seed + i))).toBeNull()
      await client.release()
    }
    await Promise.all(sites.flatMap((site, s) => [0, 1, 2].map((c) => visit(site, 3 * s + c))))
    for (const { errors, server } of sites) {
      expect(errors).toEqual([])
      await server.release()
      expect(server.memoryInUse).toBe(0)
    }
    await helper.release()
    expect(helper.memoryInUse).toBe(0)
  })

  test('over WebSockets', async () => {
    const helper = await createHelper({ deadlineMs: 5000 })
    const atHelper = await listen({ port: 0, onConnection: (channel) => void helper.run(channel) })
    const server = await Server.create(compiled, () => connect(atHelper.url), { deadlineMs: 5000 })
    const atServer = await listen({ port: 0, onConnection: (channel) => void server.run(channel) })
    const { site, end } = await securennNeighbourhood(compiled)
    const exact = await site.seat()
    const visit = async (seed: number) => {
      const client = await Client.create({ server: atServer.url, helper: atHelper.url, deadlineMs: 5000 })
      for (let i = 0; i < 3; i++) {
        const x = inputFor(compiled, 5 * seed + i)
        const [{ logits }, wanted] = await Promise.all([client.run(x), exact.client.run(x)])
        // The same network under other masks: some units apart.
        logits.forEach((value, j) => void expect(Math.abs(value - wanted.logits[j])).toBeLessThan(0.02))
      }
      await client.release()
    }
    await Promise.all([1, 2, 3, 4].map(visit))
    await server.release()
    await helper.release()
    expect([server.memoryInUse, helper.memoryInUse]).toEqual([0, 0])
    await Promise.all([atServer.close(), atHelper.close()])
    await exact.client.release()
    await end()
  })

  test('one that stalls holds up nobody, and is given up within the deadline', async () => {
    const { site, end } = await securennNeighbourhood(compiled)
    let stalled = false
    const toServer = wire((message, _, from) => {
      stalled ||= from === 'a' && kindOf(message) === Kind.xor
      return stalled && from === 'a' ? [] : message
    })
    const slow = await site.seat({ toServer })
    const waiting = failure(slow.client.run(input))
    await eventually(() => stalled)
    const started = now()
    const quick = await site.seat()
    for (let i = 0; i < 3; i++) expect(await quick.compare(inputFor(compiled, i))).toBeNull()
    expect(now() - started).toBeLessThan(DEADLINE_MS)
    expect((await waiting)?.code).toMatch(/^(DEADLINE|PEER_FAILED|PEER_GONE)$/)
    await eventually(() => site.errors.length > 0)
    expect(site.errors.every(({ code }) => /^(DEADLINE|PEER_FAILED|PEER_GONE)$/.test(code))).toBe(true)
    await quick.client.release()
    await end()
  })
})

describe('the end of a party', () => {
  /** Two clients in the middle of an inference: what comes from them or to them no longer moves. */
  async function midway(seats = 2) {
    const { helper, site } = await securennNeighbourhood(compiled)
    let stuck = 0
    const hold = (): Fault => {
      let held = false
      return (message, _, from) => {
        if (from === 'a' && kindOf(message) === Kind.opened && !held) {
          held = true
          stuck++
        }
        return held && from === 'a' ? [] : message
      }
    }
    const running: Promise<unknown>[] = []
    const clients: Client[] = []
    for (let i = 0; i < seats; i++) {
      const { client } = await site.seat({ toServer: wire(hold()), deadlineMs: 20_000 })
      clients.push(client)
      running.push(failure(client.run(input)))
    }
    expect(await eventually(() => stuck === seats)).toBe(true)
    return { helper, site, clients, running }
  }
  const within = async (task: Promise<unknown>) => {
    const started = now()
    await task
    expect(now() - started).toBeLessThan(DEADLINE_MS * 0.8)
  }

  test.each(['server', 'helper'] as const)('the %s’s release ends everything at once', async (who) => {
    const { helper, site, clients, running } = await midway()
    await within(who === 'server' ? site.server.release() : helper.release())
    for (const error of await Promise.all(running)) {
      expect((error as { code: string }).code).toMatch(/^(PEER_GONE|PEER_FAILED)$/)
    }
    for (const client of clients) {
      await client.release()
      expect(client.memoryInUse).toBe(0)
    }
    await site.server.release()
    await helper.release()
    expect([site.server.memoryInUse, helper.memoryInUse]).toEqual([0, 0])
  })

  test('a client’s release ends its own inference at once', async () => {
    const { helper, site, clients, running } = await midway()
    await within(clients[0].release())
    expect(await running[0]).toMatchObject({ code: 'ABORTED' })
    expect(clients[0].memoryInUse).toBe(0)
    await clients[1].release()
    await site.server.release()
    await helper.release()
    expect([site.server.memoryInUse, helper.memoryInUse]).toEqual([0, 0])
  })

  test('a registration that is lost takes its sessions along, and nothing is read after it is freed', async () => {
    const { helper, site, clients, running } = await midway()
    site.wires[0].cut()
    await within(eventually(() => helper.memoryInUse === 0))
    expect(helper.memoryInUse).toBe(0)
    // The server waits for its clients, which are silent: that takes its deadline.
    for (const error of await Promise.all(running)) {
      expect((error as { code: string }).code).toMatch(/^(PEER_GONE|PEER_FAILED)$/)
    }
    for (const client of clients) await client.release()
    // The helper is still there: with the next client the server registers anew.
    const late = await site.seat()
    expect(await late.compare(inputFor(compiled))).toBeNull()
    await late.client.release()
    await helper.release()
    await eventually(() => site.errors.length > 1)
    const refused = await failure(site.seat())
    expect(refused).toMatchObject({ code: 'PEER_FAILED' })
    expect(causeOf(refused!)).toBe('PEER_GONE')
    await site.server.release()
    expect(site.server.memoryInUse).toBe(0)
  })

  test('an abort signal ends a call, not the other clients', async () => {
    const { site, end } = await securennNeighbourhood(compiled)
    const stopping = new AbortController()
    const { client } = await site.seat({
      toServer: wire((message) => {
        if (kindOf(message) === Kind.product) stopping.abort()
        return message
      }),
    })
    const other = await site.seat()
    const both = await Promise.all([failure(client.run(input, { signal: stopping.signal })), other.compare(input)])
    expect(both).toMatchObject([{ code: 'ABORTED' }, null])
    await client.release()
    expect(client.memoryInUse).toBe(0)
    await other.client.release()
    await end()
  })
})

describe('what does not fit', () => {
  test('a server with one channel to the helper is refused before anything is sent', async () => {
    const [near, far] = memoryPair()
    let sent = 0
    const watched: Channel = {
      send: () => void sent++,
      receive: (options) => near.receive(options),
      drained: () => near.drained(),
      close: (reason) => near.close(reason),
      closed: near.closed,
    }
    const error = await failure(Server.create(compiled, watched))
    expect(error).toMatchObject({ code: 'BAD_INPUT' })
    expect(error!.message).toMatch(/pass a function that opens one/)
    expect(sent).toBe(0)
    far.close()
  })

  test('a helper that cannot be reached for a client: the client is told, and the next one can be served', async () => {
    const helper = await createHelper()
    let refusals = 0
    const errors: unknown[] = []
    const open = () => {
      if (refusals++ === 1) throw new Error('no route')
      const { a, b } = wire()
      void helper.run(b)
      return a
    }
    const server = await Server.create(compiled, open, {
      deadlineMs: DEADLINE_MS,
      onError: ({ code }) => errors.push(code),
    })
    const seat = async () => {
      const [toServer, toHelper] = [wire(), wire()]
      void server.run(toServer.b)
      void helper.run(toHelper.b)
      return Client.create({ server: toServer.a, helper: toHelper.a, deadlineMs: DEADLINE_MS })
    }
    const [first, second] = [await seat(), await seat()]
    expect((await failure(first.run(input)))?.code).toBe('PEER_FAILED')
    expect(errors).toHaveLength(1)
    expect((await second.run(input)).raw).toHaveLength(3)
    for (const party of [first, second, server, helper]) await party.release()
    expect([server.memoryInUse, helper.memoryInUse]).toEqual([0, 0])
  })

  test('a peer that reads nothing is given up within the deadline, or when the caller aborts', async () => {
    const k = loadKernels()
    const [near] = memoryPair()
    const stuffed: Channel = {
      send: (message) => near.send(message),
      receive: (options) => near.receive(options),
      drained: () => new Promise(() => undefined),
      close: (reason) => near.close(reason),
      closed: near.closed,
    }
    const link = raw(stuffed)
    const long = k.memory.alloc(PIECE_BYTES + 1)
    const started = now()
    expect(await failure(sendRegions(link, Kind.tensor, 0, [long]))).toMatchObject({ code: 'DEADLINE' })
    expect(now() - started).toBeLessThan(2 * DEADLINE_MS)
    const stopping = new AbortController()
    const sending = failure(sendRegions(link, Kind.tensor, 0, [long], { signal: stopping.signal }))
    stopping.abort()
    expect(await sending).toMatchObject({ code: 'ABORTED' })
  })
})
