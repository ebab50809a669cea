// Material that a client keeps is at one of several servers behind an address: the client comes back to that one.
import { afterEach, describe, expect, test } from 'vitest'
import { connect } from '../../src/net/index.js'
import { listen } from '../../src/node.js'
import { Client, type MaterialLoss } from '../../src/party/client/client.js'
import { homeWithin } from '../../src/party/client/home.js'
import { Server } from '../../src/party/server.js'
import { AUDIT, type MaskSeeds } from '../../src/testing.js'
import { createHelper, difference, failure, hex, inputFor, tinyNetwork, watchRejections } from '../party/fixture.js'
import { MemoryStore } from '../party/memory-store.js'
import { balancer } from './balancer.js'

const compiled = tinyNetwork(1)
const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

/** Servers of one network behind a balancer, each registered by itself. */
async function replicas(count: number, { tell = true } = {}) {
  const helper = await createHelper()
  const atHelper = await listen({ port: 0, onConnection: (channel) => helper.run(channel) })
  const address = await balancer()
  const seeds = new Map<string, Uint8Array>()
  const open = async () => {
    let server: Server | undefined
    let visits = 0
    const listener = await listen({
      port: 0,
      onConnection: (channel, peer) => {
        visits++
        return server!.run(channel, peer)
      },
    })
    server = await Server.create(compiled, () => connect(atHelper.url), {
      ...(tell && { keptAt: listener.url }),
      [AUDIT]: ({ session, seed }) => seeds.set(hex(session), seed),
    })
    const close = async () => {
      await server!.release()
      await listener.close()
    }
    return { url: listener.url, visits: () => visits, close }
  }
  const servers = await Promise.all(Array.from({ length: count }, open))
  const close = async () => {
    for (const server of servers) await server.close()
    await address.close()
    await helper.release()
    await atHelper.close()
  }
  /** A client behind the balancer, and the seeds of its own session. */
  const visit = async (store: MemoryStore) => {
    const losses: MaterialLoss[] = []
    let own!: MaskSeeds
    const client = await Client.create({
      ...{ server: address.url, helper: atHelper.url, keepMaterial: store, worker: false },
      onMaterialLost: (why) => losses.push(why),
      [AUDIT]: ({ session, seed, model }) => {
        own = { ch: seed, model: model!, sh: seeds.get(hex(session))! }
      },
    })
    return { client, losses, seeds: () => own }
  }
  return { address, servers, helper, visit, close }
}

describe('what a client keeps', () => {
  test('is found at the server that has the other part, wherever the balancer leads', async () => {
    const { address, servers, visit, close } = await replicas(2)
    const store = new MemoryStore()
    address.lead(servers[0].url)
    const first = await visit(store)
    await first.client.prepare(3)
    await first.client.release()
    address.lead(servers[1].url)
    const { client, losses } = await visit(store)
    expect([client.prepared, servers.map(({ visits }) => visits())]).toEqual([3, [2, 0]])
    for (let i = 0; i < 3; i++) {
      const input = inputFor(compiled, i)
      expect(difference(compiled, input, await client.run(input), first.seeds())).toBeNull()
    }
    expect([client.traffic.links.helper.setup.bytesSent, losses]).toEqual([0, []])
    await client.release()
    await close()
  })

  test('is lost at another server, which is what the address is for', async () => {
    const { address, servers, visit, close } = await replicas(2, { tell: false })
    const store = new MemoryStore()
    address.lead(servers[0].url)
    const first = await visit(store)
    await first.client.prepare(2)
    await first.client.release()
    address.lead(servers[1].url)
    const { client, losses } = await visit(store)
    expect([client.prepared, losses]).toEqual([0, ['refused', 'refused']])
    await client.release()
    await close()
  })

  test('is given up where its server has gone, and another serves', async () => {
    const { address, servers, visit, close } = await replicas(2)
    const store = new MemoryStore()
    address.lead(servers[0].url)
    const first = await visit(store)
    await first.client.prepare(2)
    await first.client.release()
    await servers[0].close()
    address.lead(servers[1].url)
    const second = await visit(store)
    expect([second.client.prepared, second.losses, store.entries.size]).toEqual([0, ['refused', 'refused'], 0])
    const input = inputFor(compiled)
    expect(difference(compiled, input, await second.client.run(input), second.seeds())).toBeNull()
    await second.client.release()
    await close()
  })

  test('stays where nobody can be reached at all', async () => {
    const { address, servers, visit, close } = await replicas(1)
    const store = new MemoryStore()
    address.lead(servers[0].url)
    const first = await visit(store)
    await first.client.prepare(2)
    await first.client.release()
    await close()
    expect(await failure(visit(store))).toMatchObject({ code: 'PEER_GONE' })
    expect(store.entries.size).toBe(2)
  })

  test('at two servers is used at that with most of it, and later at the other', async () => {
    const { address, servers, visit, close } = await replicas(2)
    const store = new MemoryStore()
    for (const [at, count] of [
      [0, 1],
      [1, 3],
    ]) {
      const here = new MemoryStore()
      address.lead(servers[at].url)
      const each = await visit(here)
      await each.client.prepare(count)
      await each.client.release()
      for (const entry of here.entries.values()) await store.put(entry)
    }
    const found: number[] = []
    const losses: MaterialLoss[] = []
    for (let visits = 0; visits < 2; visits++) {
      const next = await visit(store)
      losses.push(...next.losses)
      found.push(next.client.prepared)
      while (next.client.prepared > 0) await next.client.run(inputFor(compiled))
      await next.client.release()
    }
    expect([found, losses]).toEqual([[3, 1], []])
    await close()
  })

  test.each([
    ['wss://infer.example', 'wss://infer.example:8443/3', true],
    ['wss://infer.example/m/a', 'wss://r3.infer.example', true],
    ['wss://infer.example', 'wss://other.example', false],
    ['wss://infer.example', 'wss://notinfer.example', false],
    ['wss://infer.example', 'https://infer.example', false],
    ['wss://infer.example', 'infer.example', false],
    ['', 'wss://infer.example', false],
  ])('of an address %s may be at %s: %s', (address, home, may) => {
    expect(homeWithin(address, home)).toBe(may ? home : '')
  })
})
