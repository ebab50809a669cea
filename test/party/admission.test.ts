// Nothing is allocated, dealt or held for a stranger beyond a bound, and an honest neighbour is served all the while.
import { afterEach, describe, expect, test, vi } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { Memory, type Region } from '../../src/kernels/memory.js'
import { ALIVE_KIND, type Channel, type Link, memoryPair, Phase } from '../../src/net/index.js'
import { GRANT_MS, Grants } from '../../src/party/grant.js'
import { HelpedSessions } from '../../src/party/helper/helped-sessions.js'
import type { Helper } from '../../src/party/helper/helper.js'
import { SessionLinks } from '../../src/party/helper/session-links.js'
import {
  Caller,
  encodeDeal,
  encodeHello,
  GRANT_BYTES,
  hex,
  MAX_BATCH,
  MAX_GRANT,
  type Reserved,
} from '../../src/party/messages.js'
import { canonicalJson, planDigest } from '../../src/plan/plan.js'
import { Kind } from '../../src/protocol/kinds.js'
import { freshSeed, keyPair } from '../../src/random/seed.js'
import {
  causeOf,
  createHelper,
  DEADLINE_MS,
  eventually,
  failure,
  inputFor,
  kindOf,
  neighbourhood,
  type Seat,
  Site,
  tinyNetwork,
  type Wire,
  watchRejections,
  wire,
} from './fixture.js'
import { reach, stranger } from './helper/stranger.js'

const compiled = tinyNetwork(1)
const input = inputFor(compiled)
const rejections = watchRejections()
afterEach(() => {
  vi.restoreAllMocks()
  expect(rejections).toEqual([])
})

/** A wire on which every message takes 10 ms. */
function slow(onMessage: (message: Uint8Array) => void = () => undefined): Wire {
  const [a, innerA] = memoryPair()
  const [innerB, b] = memoryPair()
  const pump = async (from: Channel, to: Channel) => {
    for (;;) {
      const message = await from.receive()
      onMessage(message)
      await new Promise((done) => setTimeout(done, 10))
      to.send(message)
    }
  }
  pump(innerA, innerB).catch(() => innerB.close())
  pump(innerB, innerA).catch(() => innerA.close())
  return { a, b, count: () => 0, cut: () => innerA.close() }
}

/** Says a server's first words: hello and plan, and nothing of F. */
function announce(helper: Helper, { plan } = compiled): Link {
  const link = reach(helper)
  const json = new TextEncoder().encode(canonicalJson(plan))
  const nothing = new Uint8Array(16)
  const hello = { role: Caller.server, registration: nothing, session: nothing, digest: planDigest(plan) }
  const { publicKey } = keyPair()
  link.send(Kind.hello, Phase.setup, 0, encodeHello({ ...hello, publicKey, planBytes: json.byteLength }))
  link.send(Kind.plan, Phase.setup, 0, json)
  return link
}

describe('registrations', () => {
  test('no filter takes memory before it has come, however many strangers announce plans', async () => {
    const { helper, end } = await neighbourhood(compiled)
    const before = helper.memoryInUse
    const wide = tinyNetwork(1, 64)
    const links = Array.from({ length: 60 }, () => announce(helper, wide))
    await new Promise((done) => setTimeout(done, 100))
    expect(helper.memoryInUse).toBe(before)
    for (const link of links) link.close()
    await end()
  })

  test('all together have a bound; who does not fit is told to come back, who is there stays, and room returns', async () => {
    const helper = await createHelper({ registeredBytes: 200_000 })
    const sites: Site[] = []
    let refused: RingfenceError | null = null
    for (let i = 0; i < 40 && !refused; i++) {
      refused = await failure(Site.create(compiled, helper).then((site) => void sites.push(site)))
    }
    expect(refused).toMatchObject({ code: 'BUSY', retryable: true, retryAfterMs: 60_000 })
    expect(sites.length).toBeGreaterThan(1)
    const { client, compare } = await sites[0].seat()
    expect(await compare(input)).toBeNull()
    await client.release()
    await sites[1].server.release()
    await eventually(() => false, 20)
    sites[1] = await Site.create(compiled, helper)
    for (const { server } of sites) await server.release()
    await helper.release()
    expect(helper.memoryInUse).toBe(0)
  })

  test('one whose clients are all gone ends after a while; one that has a client stays', async () => {
    const idle = 4 * DEADLINE_MS
    const helper = await createHelper({ idleMs: idle })
    const lonely = await Site.create(compiled, helper)
    const site = await Site.create(compiled, helper)
    const { client } = await site.seat()
    await client.prepare()
    expect(await eventually(() => lonely.errors.length > 0, 20 * idle)).toBe(true)
    expect(site.errors).toEqual([])
    expect(lonely.errors[0]).toMatchObject({ code: 'PEER_GONE' })
    await client.release()
    for (const { server } of [lonely, site]) await server.release()
    await helper.release()
    expect(helper.memoryInUse).toBe(0)
  })
})

describe('grants', () => {
  test('the helper deals nothing that the server did not grant', async () => {
    let dealt = 0
    const counted = wire((message) => {
      if (kindOf(message) === Kind.bundle) dealt++
      return message
    })
    const { helper, site, end } = await neighbourhood(compiled, { wire: counted })
    const { reserve, atHelper, link, session } = await stranger(compiled, site.server)
    const { granted, grant } = await reserve(5, 3)
    expect(granted).toBe(3)
    const forged = grant.slice()
    forged[GRANT_BYTES - 1] ^= 1
    const later = grant.slice()
    later[3] ^= 1
    const other = await stranger(compiled, site.server)
    const cases: Record<string, [Uint8Array, Uint8Array]> = {
      'none at all': [session, encodeDeal(0, MAX_BATCH, new Uint8Array(GRANT_BYTES))],
      'a session the server never opened': [new Uint8Array(16).fill(7), encodeDeal(5, 3, grant)],
      'the session of somebody else': [other.session, encodeDeal(5, 3, grant)],
      'other numbers': [session, encodeDeal(6, 3, grant)],
      'more than granted': [session, encodeDeal(5, 4, grant)],
      'fewer than granted': [session, encodeDeal(5, 2, grant)],
      'a damaged MAC': [session, encodeDeal(5, 3, forged)],
      'a later end': [session, encodeDeal(5, 3, later)],
    }
    for (const [name, [as, message]] of Object.entries(cases)) {
      const toHelper = await atHelper(helper, as)
      toHelper.send(Kind.deal, Phase.offline, 0, message)
      expect(causeOf(await failure(toHelper.receive(Kind.dealt, Phase.offline, 0, 0))), name).toBe('PROTOCOL')
    }
    expect(dealt).toBe(0)
    const toHelper = await atHelper(helper)
    toHelper.send(Kind.deal, Phase.offline, 0, encodeDeal(5, 3, grant))
    for (let i = 0; i < 3; i++) await toHelper.receive(Kind.dealt, Phase.offline, 0, 0, { deadlineMs: 120_000 })
    expect(dealt).toBe(3)
    toHelper.send(Kind.deal, Phase.offline, 0, encodeDeal(5, 3, grant))
    expect(causeOf(await failure(toHelper.receive(Kind.dealt, Phase.offline, 0, 0)))).toBe('MATERIAL_USED')
    for (const each of [link, other.link]) each.close()
    await end()
  })

  test('end, are bound to their registration, and a session is forgotten once none of its grants can be used', () => {
    let now = 1000
    const [seed, id] = [freshSeed(), new Uint8Array(16).fill(1)]
    const [server, helper] = [new Grants(seed, id, () => now), new Grants(seed, id, () => now)]
    const session = new Uint8Array(16).fill(2)
    const grant = server.issue(session, 0, 4)
    const elsewhere = new Grants(seed, new Uint8Array(16).fill(3), () => now)
    expect(() => elsewhere.check(grant, session, 0, 4)).toThrow(/granted no such deal/)

    const sessions = new HelpedSessions(helper, new SessionLinks())
    const first = sessions.hold(hex(session))
    first.until = helper.check(grant, session, 0, 4)
    first.ledger.burn(0, 4)
    sessions.leave(first)
    for (let i = 0; i < 100; i++) sessions.leave(sessions.hold(`nobody knows ${i}`))
    expect(sessions.size).toBe(1)
    now += GRANT_MS
    // While the grant can be shown again, so can the ledger that refuses it.
    expect(helper.check(grant, session, 0, 4)).toBe(GRANT_MS)
    const again = sessions.hold(hex(session))
    expect(() => again.ledger.burn(0, 4)).toThrow(/used before/)
    sessions.leave(again)
    expect(sessions.size).toBe(1)
    now += 1
    expect(() => helper.check(grant, session, 0, 4)).toThrow(/grant ended/)
    sessions.sweep()
    expect(sessions.size).toBe(0)
  })

  test('a deal that cannot be made ends one client; the server and the others go on', async () => {
    const { site, end } = await neighbourhood(compiled)
    const { client: neighbour, compare } = await site.seat()
    const { client } = await site.seat()
    const { alloc } = Memory.prototype
    let left = 3 // in the middle of a bundle
    vi.spyOn(Memory.prototype, 'alloc').mockImplementation(function (this: Memory, bytes: number): Region {
      if (new Error().stack?.includes('dealReluStep') && left-- === 0) throw new RingfenceError('HOST', 'no memory')
      return alloc.call(this, bytes)
    })
    expect(await failure(client.prepare(2))).toMatchObject({ code: 'BUSY', retryable: true })
    expect(left).toBeLessThan(0)
    expect(await compare(input)).toBeNull()
    expect(await compare(input)).toBeNull()
    expect(site.errors.filter(({ message }) => message.includes('helper is gone'))).toEqual([])
    await neighbour.release()
    await client.release()
    await end()
  })
})

describe('room in the store', () => {
  const server = { storeBytes: 200_000, deadlineMs: 2 * DEADLINE_MS }

  test('what is reserved and not uploaded comes back', async () => {
    const { site, end } = await neighbourhood(compiled, { server })
    const before = site.server.memoryInUse
    const { link, reserve } = await stranger(compiled, site.server)
    expect((await reserve(0, MAX_BATCH)).granted).toBeGreaterThan(0)
    const reserved = site.server.memoryInUse
    expect(reserved).toBeGreaterThan(before)
    expect(await eventually(() => site.server.memoryInUse < before + (reserved - before) / 4, 20_000)).toBe(true)
    link.close()
    await end()
  })

  test.each([
    ['a connection', undefined],
    ['the connections of a principal', 'somebody'],
  ])('%s gets a share, and something is left for the next', async (_, principal) => {
    const { site, end } = await neighbourhood(compiled, { server: { ...server, deadlineMs: 60_000 } })
    const links: Link[] = []
    /** Takes all it can get. */
    const greedy = async (name: string | undefined): Promise<number> => {
      const { link, reserve } = await stranger(compiled, site.server, name)
      links.push(link)
      let first = 0
      for (;;) {
        const { granted, lack, retryAfterMs }: Reserved = await reserve(first, MAX_BATCH)
        expect(granted).toBeLessThanOrEqual(MAX_GRANT)
        first += granted
        if (granted > 0) continue
        expect([lack, retryAfterMs]).toEqual(['STORE_FULL', 60_000])
        return first
      }
    }
    const first = await greedy(principal)
    const second = await greedy(principal)
    const [third, fourth] = [await greedy('x'), await greedy('y')]
    expect(first).toBeGreaterThan(2)
    expect(second === 0).toBe(principal !== undefined)
    expect(third).toBeGreaterThan(0)
    expect(fourth).toBeGreaterThan(0)
    expect(third).toBeLessThan(first)
    for (const link of links) link.close()
    await end()
  })

  test('a refusal travels with the time to come back', async () => {
    const { site, end } = await neighbourhood(compiled, { server: { storeBytes: 1 } })
    const { client } = await site.seat()
    await client.prepare()
    expect(await failure(client.prepare())).toMatchObject({ code: 'STORE_FULL', retryAfterMs: DEADLINE_MS })
    await client.release()
    await end()
  })

  test('a client that never reserves may not stay for long, one that did may', async () => {
    const { site, end } = await neighbourhood(compiled, { server: { unusedMs: DEADLINE_MS } })
    const { client } = await site.seat()
    await client.prepare()
    const { link } = await stranger(compiled, site.server)
    expect(causeOf(await failure(link.receiveAny(100, { deadlineMs: 20_000 })))).toBe('DEADLINE')
    await client.run(input)
    await client.release()
    await end()
  })
})

describe('a queue', () => {
  test('60 clients that prepare and run at once wait longer than a deadline, and all are answered', async () => {
    const deadlineMs = 4 * DEADLINE_MS
    const helper = await createHelper({ deadlineMs })
    let alive = 0
    const site = await Site.create(compiled, helper, { server: { deadlineMs: 2 * deadlineMs } })
    const counted = () => slow((message) => void (kindOf(message) === ALIVE_KIND && alive++))
    const seats: Seat[] = []
    for (let i = 0; i < 60; i++) seats.push(await site.seat({ toServer: counted(), toHelper: counted(), deadlineMs }))
    const started = performance.now()
    const codes = await Promise.all(
      seats.map(async (seat, i) => {
        const error = await failure(
          (async () => {
            await seat.client.prepare(8)
            expect(await seat.compare(inputFor(compiled, i + 1))).toBeNull()
          })(),
        )
        await seat.client.release()
        return error?.code ?? 'answered'
      }),
    )
    expect(new Set(codes)).toEqual(new Set(['answered']))
    expect(performance.now() - started).toBeGreaterThan(deadlineMs)
    expect(alive).toBeGreaterThan(0)
    await site.server.release()
    await helper.release()
    expect([site.server.memoryInUse, helper.memoryInUse]).toEqual([0, 0])
  })
})
