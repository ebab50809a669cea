// After a client was caught: its session and all that was prepared in it are gone, for every connection that could use them,
// and nobody else notices. Honest clients of a guarded plan prepare, keep, abort and come back as those of any other.
import { afterEach, describe, expect, test } from 'vitest'
import { Kind } from '../../../src/protocol/kinds.js'
import {
  difference,
  eventually,
  type Fault,
  failure,
  inputFor,
  kindOf,
  neighbourhood,
  type Site,
  tinyNetwork,
  watchRejections,
  wire,
} from '../fixture.js'
import { MemoryStore } from '../memory-store.js'

const compiled = tinyNetwork(1, 2, { guard: {} })
const input = inputFor(compiled)
const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

/** Flips the lowest bit of the first byte in every message of a kind that the client sends. */
const flipping =
  (kind: number): Fault =>
  (message, _, from) => {
    if (from !== 'a' || kindOf(message) !== kind) return message
    const changed = message.slice()
    changed[8] ^= 1
    return changed
  }

const stored = ({ server }: Site) => server.status.store!.usedBytes

describe('a client that is caught', () => {
  test.each([
    ['δ', Kind.delta],
    ['a reply', Kind.reply],
    ['the proof', Kind.proof],
  ])('%s changed: its session ends and its material is gone; helper and neighbours stay', async (_, kind) => {
    const { site, end } = await neighbourhood(compiled)
    const neighbour = await site.seat()
    await neighbour.client.prepare(1)
    const one = stored(site)
    expect(one).toBeGreaterThan(0)
    const { client } = await site.seat({ toServer: wire(flipping(kind)) })
    await client.prepare(3)
    expect(stored(site)).toBe(4 * one)
    expect(await failure(client.run(input))).toMatchObject({ code: 'CHEATED', retryable: false })
    expect((await client.closed).code).toBe('CHEATED')
    expect(await failure(client.run(input))).toMatchObject({ code: 'CHEATED' })
    expect(await eventually(() => stored(site) === one)).toBe(true)
    expect(client.memoryInUse).toBe(0)
    expect(site.errors.map(({ code }) => code)).toEqual(['CHEATED'])
    expect(site.server.status.registered).toBe(true)
    expect(await neighbour.compare(input)).toBeNull()
    expect(await neighbour.compare(inputFor(compiled, 2))).toBeNull() // dealt after the other one was caught
    await neighbour.client.release()
    await end()
  })

  test('is caught while it prepares more: what was on its way is not kept either', async () => {
    const { site, end } = await neighbourhood(compiled)
    const before = site.server.memoryInUse
    const { client } = await site.seat({ toServer: wire(flipping(Kind.proof)), keepPrepared: 3 })
    expect(await failure(client.run(input))).toMatchObject({ code: 'CHEATED' })
    expect((await client.closed).code).toBe('CHEATED')
    expect(await eventually(() => stored(site) === 0 && site.server.memoryInUse === before)).toBe(true)
    expect(site.errors.map(({ code }) => code)).toEqual(['CHEATED'])
    await end()
  })

  test('whoever holds its kept session is ended too, and nobody comes back to it', async () => {
    const { site, end } = await neighbourhood(compiled)
    const before = site.server.memoryInUse
    const store = new MemoryStore()
    const first = await site.seat({ keepMaterial: store })
    await first.client.prepare(4)
    const third = await site.seat({ keepMaterial: store })
    const cheat = await site.seat({ keepMaterial: store, toServer: wire(flipping(Kind.reply)) })
    expect([third.client.prepared, cheat.client.prepared]).toEqual([4, 4])
    const left = [...store.entries.values()].map((entry) => structuredClone(entry))
    expect(await failure(cheat.client.run(input))).toMatchObject({ code: 'CHEATED' })
    for (const { client } of [first, third, cheat]) {
      expect((await client.closed).code).toBe('CHEATED')
      expect(await failure(client.run(input))).toMatchObject({ code: 'CHEATED' })
    }
    expect(await eventually(() => stored(site) === 0)).toBe(true)
    // What is left on that page's disk is worth nothing.
    for (const entry of left) store.entries.set(entry.id, entry)
    const again = await site.seat({ keepMaterial: store })
    expect(again.client.prepared).toBe(0)
    expect(await again.compare(input)).toBeNull()
    await again.client.release()
    expect(await eventually(() => site.server.memoryInUse === before)).toBe(true)
    await end()
  })
})

describe('an honest client of a guarded plan', () => {
  test('prepares ahead, and aborts midway without being taken for another', async () => {
    const { site, end } = await neighbourhood(compiled)
    const before = site.server.memoryInUse
    const { client, compare } = await site.seat()
    await client.prepare(1)
    expect(client.prepared).toBe(1)
    expect(await compare(input)).toBeNull()
    await client.prepare(2)
    const controller = new AbortController()
    const options = { signal: controller.signal, onProgress: () => controller.abort() }
    expect(await failure(client.run(input, options))).toMatchObject({ code: 'ABORTED' })
    expect(await eventually(() => site.server.memoryInUse === before)).toBe(true)
    expect(site.errors.filter(({ code }) => code === 'CHEATED')).toEqual([])
    await end()
  })

  test('is told where the store is full, and goes on with what there is', async () => {
    const { site, end } = await neighbourhood(compiled, { server: { storeBytes: 1 } })
    const { client, compare } = await site.seat()
    expect(await failure(client.prepare(2))).toMatchObject({ code: 'STORE_FULL', retryable: true })
    expect(client.prepared).toBe(1)
    for (let i = 0; i < 3; i++) expect(await compare(inputFor(compiled, i))).toBeNull()
    await client.release()
    await end()
  })

  test('keeps as many prepared as it was told to', async () => {
    const { site, end } = await neighbourhood(compiled)
    const { client, compare } = await site.seat({ keepPrepared: 2 })
    for (let i = 0; i < 3; i++) {
      expect(await eventually(() => client.prepared === 2, 20_000)).toBe(true)
      expect(await compare(inputFor(compiled, i))).toBeNull()
    }
    await client.release()
    await end()
  })

  test('comes back to what it kept, bit for bit', async () => {
    const { site, end } = await neighbourhood(compiled)
    const store = new MemoryStore()
    const [toServer, toHelper] = [wire(), wire()]
    const before = await site.seat({ keepMaterial: store, toServer, toHelper })
    await before.client.prepare(2)
    for (const each of [toServer, toHelper]) each.cut()
    await before.client.closed
    const { client } = await site.seat({ keepMaterial: store })
    expect(client.prepared).toBe(2)
    for (let i = 0; i < 2; i++) {
      const x = inputFor(compiled, i)
      expect(difference(compiled, x, await client.run(x), before.seeds())).toBeNull()
    }
    await client.release()
    await end()
  })
})
