// Material that outlives its connection: used once at most, by whoever comes back for it, and never where it is not certain
// that it is unused.
import { afterEach, describe, expect, test } from 'vitest'
import type { MaterialLoss } from '../../../src/party/client/client-options.js'
import type { MaterialStore, StoredMaterial } from '../../../src/party/client/client-store.js'
import { Kind } from '../../../src/protocol/kinds.js'
import {
  createHelper,
  difference,
  eventually,
  failure,
  hex,
  inputFor,
  kindOf,
  neighbourhood,
  type OpenSeat,
  Site,
  tinyNetwork,
  type Wire,
  watchRejections,
  wire,
} from '../fixture.js'
import { MemoryStore } from '../memory-store.js'

const compiled = tinyNetwork(1)
const input = inputFor(compiled)
const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

interface Visit extends OpenSeat {
  readonly losses: MaterialLoss[]
  readonly toServer: Wire
  readonly toHelper: Wire
}

/** A client with a store. */
async function visit(site: Site, store: MaterialStore, more: Parameters<Site['seat']>[0] = {}) {
  const losses: MaterialLoss[] = []
  const wires = { toServer: wire(), toHelper: wire() }
  const options = { ...wires, keepMaterial: store, onMaterialLost: (why: MaterialLoss) => losses.push(why), ...more }
  const seat = await site.seat(options)
  return { ...wires, ...seat, losses } satisfies Visit
}

/** A client that prepared some and was cut off, as a page is that is closed. */
async function prepareAndLeave(site: Site, store: MaterialStore, count: number): Promise<Visit> {
  const left = await visit(site, store)
  await left.client.prepare(count)
  left.toServer.cut()
  left.toHelper.cut()
  await left.client.closed
  return left
}

describe('a client that comes back', () => {
  test('uses what it had prepared, bit for bit, without the helper and without a byte off line', async () => {
    const { site, end } = await neighbourhood(compiled)
    const store = new MemoryStore()
    const before = await prepareAndLeave(site, store, 3)
    expect(store.entries.size).toBe(3)
    const { client, toHelper, losses } = await visit(site, store)
    expect(client.prepared).toBe(3)
    const numbers = new Set<number>()
    for (let i = 0; i < 3; i++) {
      const result = await client.run(inputFor(compiled, i))
      expect(difference(compiled, inputFor(compiled, i), result, before.seeds())).toBeNull()
      numbers.add(result.inference)
    }
    expect(numbers).toEqual(new Set([0, 1, 2]))
    expect([store.entries.size, client.prepared, toHelper.count()]).toEqual([0, 0, 0])
    const { offline, online } = client.traffic.links.server
    expect([offline.bytesSent, offline.bytesReceived]).toEqual([0, 0])
    expect(client.traffic.links.helper.setup.bytesSent).toBe(0)
    expect(online.bytesSent).toBeGreaterThan(0)
    expect(losses).toEqual([])
    await client.release()
    expect(client.memoryInUse).toBe(0)
    await end()
  })

  test('prepares more with the helper once nothing is left, in a session of its own', async () => {
    const { site, end } = await neighbourhood(compiled)
    const store = new MemoryStore()
    await prepareAndLeave(site, store, 1)
    const { client, compare, toHelper } = await visit(site, store)
    await client.run(input)
    expect(toHelper.count()).toBe(0)
    expect(await compare(input)).toBeNull()
    expect(toHelper.count()).toBeGreaterThan(0)
    await client.release()
    await end()
  })

  test('needs no helper: not to come back, not to run, and is not ended by its absence', async () => {
    const helper = await createHelper()
    const site = await Site.create(compiled, helper)
    const store = new MemoryStore()
    const before = await prepareAndLeave(site, store, 2)
    await helper.release()
    await eventually(() => site.errors.length > 0)
    const away = wire()
    away.cut()
    const { client } = await visit(site, store, { toHelper: away, keepPrepared: 2 })
    for (let i = 0; i < 2; i++) {
      expect(difference(compiled, input, await client.run(input), before.seeds())).toBeNull()
      expect((await failure(client.prepare()))?.code).toBe('PEER_GONE')
    }
    expect((await failure(client.run(input)))?.code).toBe('PEER_GONE')
    await client.release()
    await site.server.release()
    expect(site.server.memoryInUse).toBe(0)
  })

  test('shares with a client that never left: each inference goes to one of them', async () => {
    const { site, end } = await neighbourhood(compiled)
    const store = new MemoryStore()
    const first = await visit(site, store)
    await first.client.prepare(4)
    const second = await visit(site, store)
    expect(second.client.prepared).toBe(4)
    const runs = [first, second, first, second].map(async ({ client }) => client.run(input))
    const results = await Promise.all(runs)
    expect(new Set(results.map(({ inference }) => inference)).size).toBe(4)
    for (const result of results) expect(difference(compiled, input, result, first.seeds())).toBeNull()
    // The second may use up what the first left, also once the first is gone.
    await first.client.prepare(1)
    const third = await visit(site, store)
    await first.client.release()
    expect(difference(compiled, input, await third.client.run(input), first.seeds())).toBeNull()
    await second.client.release()
    await third.client.release()
    await end()
  })

  test('finds its session gone after the server’s time is over, or when it keeps none, and begins anew', async () => {
    for (const keepMs of [20, 0]) {
      const { site, end } = await neighbourhood(compiled, { server: { keepMs } })
      const inUse = site.server.memoryInUse
      const store = new MemoryStore()
      await prepareAndLeave(site, store, 2)
      expect(store.entries.size).toBe(keepMs === 0 ? 0 : 2)
      expect(await eventually(() => site.server.memoryInUse === inUse)).toBe(true)
      const { client, compare, losses } = await visit(site, store)
      expect([client.prepared, store.entries.size]).toEqual([0, 0])
      expect(losses).toEqual(keepMs === 0 ? [] : ['refused', 'refused'])
      expect(await compare(input)).toBeNull()
      await client.release()
      await end()
    }
  })

  test('deletes what another server process, plan or helper cannot use, and what is older than a day', async () => {
    const store = new MemoryStore()
    const former = await neighbourhood(compiled)
    await prepareAndLeave(former.site, store, 5)
    await former.end()
    const kept = [...store.entries.values()]
    const wanted = async (network: typeof compiled, change: (entry: StoredMaterial) => StoredMaterial) => {
      const helper = await createHelper()
      const site = await Site.create(network, helper)
      store.entries.clear()
      for (const entry of kept) store.entries.set(entry.id, change(structuredClone(entry)))
      const { client, compare, losses } = await visit(site, store)
      expect([client.prepared, store.entries.size]).toEqual([0, 0])
      expect(await compare(inputFor(network))).toBeNull()
      await client.release()
      await site.server.release()
      await helper.release()
      return new Set(losses)
    }
    const helperOf = (entry: StoredMaterial) => entry.terms.split(' ')[1]
    expect(helperOf(kept[0])).toBe(hex(former.helper.publicKey))
    expect(await wanted(compiled, (entry) => entry)).toEqual(new Set(['changed'])) // another helper
    expect(await wanted(tinyNetwork(2), (entry) => entry)).toEqual(new Set(['changed']))
    expect(await wanted(compiled, (entry) => ({ ...entry, expires: Date.now() - 1 }))).toEqual(new Set(['expired']))
  })

  test('of a server that was started anew learns so', async () => {
    const helper = await createHelper()
    const store = new MemoryStore()
    const first = await Site.create(compiled, helper)
    await prepareAndLeave(first, store, 1)
    await first.server.release()
    expect(first.server.memoryInUse).toBe(0)
    const second = await Site.create(compiled, helper)
    const { client, compare, losses } = await visit(second, store)
    expect(losses).toEqual(['refused'])
    expect(await compare(input)).toBeNull()
    await client.release()
    await second.server.release()
    await helper.release()
  })
})

describe('at most once', () => {
  /** A wire that looks at the store whenever an inference is claimed or starts. */
  function watched(store: MemoryStore) {
    const faults = new Set<string>()
    const onLine = wire((message, _, from) => {
      const at =
        from === 'a' &&
        new Map([
          [Kind.claim, 24],
          [Kind.input, 8],
        ] as [number, number][]).get(kindOf(message))
      if (at) {
        const inference = new DataView(message.buffer, message.byteOffset + at).getBigUint64(0, true)
        const kept = [...store.entries.keys()].some((id) => id.endsWith(` ${inference}`))
        if (kept) faults.add(`${inference} is used while it is kept`)
      }
      return message
    })
    return { onLine, faults }
  }

  async function faultsWith(store: MemoryStore): Promise<string[]> {
    const { site, end } = await neighbourhood(compiled)
    await prepareAndLeave(site, store, 2)
    const { onLine, faults } = watched(store)
    const { client } = await visit(site, store, { toServer: onLine })
    // Two of an earlier session, and one of its own.
    for (let i = 0; i < 3; i++) await client.run(input)
    await client.release()
    await end()
    return [...faults]
  }

  /** What would be wrong: an entry is handed out and deleted later. */
  class LateShelf extends MemoryStore {
    override async take(id: string): Promise<StoredMaterial | undefined> {
      setTimeout(() => this.entries.delete(id), 20)
      return structuredClone(this.entries.get(id))
    }
  }

  test('an entry is gone from the store before anything of it is used; a store that deletes later is caught', async () => {
    expect(await faultsWith(new MemoryStore())).toEqual([])
    expect(await faultsWith(new LateShelf())).toEqual(['0 is used while it is kept', '1 is used while it is kept'])
  })

  test('two clients that race get different inferences; with a store that gives one twice, the server refuses', async () => {
    for (const [store, refused] of [
      [new MemoryStore(), false],
      [new LateShelf(), true],
    ] as const) {
      const { site, end } = await neighbourhood(compiled)
      const before = await prepareAndLeave(site, store, 2)
      const inputs: string[] = []
      const tap = () =>
        wire((message, _, from) => {
          if (from === 'a' && kindOf(message) === Kind.input) inputs.push(hex(message.subarray(8, 16)))
          return message
        })
      const clients = await Promise.all([1, 2].map(() => visit(site, store, { toServer: tap() })))
      const results = await Promise.all(clients.map(({ client }) => client.run(input)))
      if (!refused) {
        for (const result of results) expect(difference(compiled, input, result, before.seeds())).toBeNull()
        expect(new Set(inputs).size).toBe(2)
      }
      for (const { client } of clients) await client.run(input)
      // A refused inference is one that no input was masked with: nothing went out twice under one mask.
      const right = results.filter((result) => difference(compiled, input, result, before.seeds()) === null)
      expect(right).toHaveLength(2)
      // The second of two entries may be asked for once only, when one client is ahead of the other.
      expect(clients.flatMap(({ losses }) => losses).length > 0).toBe(refused)
      for (const { client } of clients) await client.release()
      await end()
    }
  })

  test('an entry put back by hand is refused before an input is masked with it', async () => {
    const { site, end } = await neighbourhood(compiled)
    const store = new MemoryStore()
    const before = await prepareAndLeave(site, store, 2)
    const copies = [...store.entries.values()]
    const first = await visit(site, store)
    expect((await first.client.run(input)).inference).toBe(0)
    await first.client.release()
    store.entries.clear()
    for (const copy of copies) store.entries.set(copy.id, structuredClone(copy))
    const second = await visit(site, store)
    expect(second.client.prepared).toBe(2)
    const result = await second.client.run(input)
    expect(result.inference).toBe(1)
    expect(difference(compiled, input, result, before.seeds())).toBeNull()
    expect(second.losses).toEqual(['refused'])
    await second.client.release()
    await end()
  })

  test('what was lost between store and use stays lost', async () => {
    const { site, end } = await neighbourhood(compiled)
    const store = new MemoryStore()
    await prepareAndLeave(site, store, 2)
    for (const kind of [Kind.claim, Kind.input]) {
      const cut = wire((message, _, from) => (from === 'a' && kindOf(message) === kind ? 'cut' : message))
      const { client } = await visit(site, store, { toServer: cut })
      expect((await failure(client.run(input)))?.code).toBe('PEER_GONE')
    }
    expect(store.entries.size).toBe(0)
    const { client, compare, losses } = await visit(site, store)
    expect([client.prepared, losses]).toEqual([0, []])
    expect(await compare(input)).toBeNull()
    await client.release()
    await end()
  })

  test('another token opens nothing', async () => {
    const { site, end } = await neighbourhood(compiled)
    const store = new MemoryStore()
    await prepareAndLeave(site, store, 1)
    for (const { token } of store.entries.values()) token[31] ^= 1
    const { client, losses } = await visit(site, store)
    expect([client.prepared, losses]).toEqual([0, ['refused']])
    await client.release()
    await end()
  })
})

describe('room', () => {
  test('of parked sessions goes to clients that are there, the longest parked first', async () => {
    const helper = await createHelper()
    const site = await Site.create(compiled, helper, { server: { storeBytes: 30_000, storeShare: 1 } })
    const stores = [new MemoryStore(), new MemoryStore()]
    const full = async (client: Visit['client']) => {
      let most = 0
      while (!(await failure(client.prepare()))) most++
      return most
    }
    const probe = await visit(site, new MemoryStore())
    const most = await full(probe.client)
    expect(most).toBeGreaterThan(2)
    await probe.client.release()
    await prepareAndLeave(site, stores[0], 1)
    await prepareAndLeave(site, stores[1], 1)
    // The probe's session is the longest parked: it goes first, and only as far as needed.
    const { client } = await site.seat()
    await client.prepare(most - 1)
    const back = await Promise.all(stores.map((store) => visit(site, store)))
    expect(back.map(({ losses }) => losses)).toEqual([['refused'], []])
    for (const each of back) await each.client.release()
    await client.release()
    await site.server.release()
    expect(site.server.memoryInUse).toBe(0)
    await helper.release()
  })

  test('is not taken by what was not finished', async () => {
    const { site, end } = await neighbourhood(compiled, { server: { storeBytes: 1 } })
    const inUse = site.server.memoryInUse
    const store = new MemoryStore()
    const toServer = wire((message, _, from) => (from === 'a' && kindOf(message) === Kind.delta ? 'cut' : message))
    const { client } = await visit(site, store, { toServer })
    await failure(client.prepare())
    expect(await eventually(() => site.server.memoryInUse === inUse)).toBe(true)
    await client.release()
    await end()
  })
})

test('a store that cannot store loses one inference; the rest stays in memory', async () => {
  const { site, end } = await neighbourhood(compiled)
  const store = new MemoryStore()
  store.put = () => Promise.reject(new Error('no room'))
  const { client, compare, losses } = await visit(site, store)
  expect(await compare(input)).toBeNull()
  expect([losses, store.entries.size]).toEqual([['storage'], 0])
  expect(await compare(input)).toBeNull()
  await client.release()
  await end()
})

test('without IndexedDB and without a store the option is refused', async () => {
  const { site, end } = await neighbourhood(compiled)
  const error = await failure(site.seat({ keepMaterial: true }))
  expect(error?.code).toBe('UNSUPPORTED')
  expect(error?.message).toContain('IndexedDB')
  await end()
})
