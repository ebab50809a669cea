// Several fronts on one queue: whoever comes to the wrong one is led to the right one, and no number is dealt under two keys.
import { afterEach, describe, expect, test } from 'vitest'
import { MemoryEngine } from '../../src/engine/memory.js'
import { FleetDealer } from '../../src/fleet/dealer.js'
import { FleetFront } from '../../src/fleet/front.js'
import { Fronts } from '../../src/fleet/fronts.js'
import { HttpTransport, listenForDealers } from '../../src/fleet/http.node.js'
import { openJob } from '../../src/fleet/job.js'
import { FleetKeys } from '../../src/fleet/keys.js'
import { connect, type Link, memoryPair, type PeerRole, Phase } from '../../src/net/index.js'
import { Caller, encodeDeal, encodeHello, hex } from '../../src/party/messages.js'
import { planDigest } from '../../src/plan/plan.js'
import { Kind } from '../../src/protocol/kinds.js'
import { freshSeed, keyPair } from '../../src/random/seed.js'
import { createHelper, failure, inputFor, raw, Site, tinyNetwork, watchRejections } from '../party/fixture.js'
import { stranger } from '../party/helper/stranger.js'
import { localPool } from './local-pool.js'

const compiled = tinyNetwork(1)
const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

async function severalFronts(count: number) {
  const engine = new MemoryEngine({ name: 'deal' })
  let keys = new FleetKeys([freshSeed()])
  const seen: { numbers: string; own: string; ch: string }[] = []
  const put = engine.jobs.put.bind(engine.jobs)
  engine.jobs.put = (job, id) => {
    const { deal } = openJob(keys, job)
    seen.push({ numbers: `${hex(deal.sh)} ${deal.inference}`, own: hex(deal.own), ch: hex(deal.ch) })
    return put(job, id)
  }
  const identity = keyPair()
  const open = async () => {
    const parts: { front?: FleetFront; fronts?: Fronts; helper?: Awaited<ReturnType<typeof createHelper>> } = {}
    const listener = await listenForDealers(
      { host: '127.0.0.1', port: 0 },
      { expects: (...asked) => parts.front!.expects(...asked), gives: (...asked) => parts.front!.gives(...asked) },
      {
        admits: (token) => parts.fronts!.admits(token),
        run: (channel, role) => void parts.helper!.run(channel, { role }),
      },
    )
    const { url } = listener
    const front = new FleetFront({ engine, keys: () => keys, url })
    const fronts = new Fronts({ engine, keys: () => keys, url })
    await fronts.announce()
    const errors: string[] = []
    const onError = ({ code }: { code: string }) => void errors.push(code)
    const helper = await createHelper({ dealers: front, epoch: keys.epoch, tag: fronts.tag, keys: identity, onError })
    Object.assign(parts, { front, fronts, helper })
    const enter = (role?: PeerRole) => {
      const [near, far] = memoryPair()
      void fronts.run(far, role, (channel) => helper.run(channel, { role }))
      return near
    }
    const close = async () => {
      await front.release()
      await helper.release()
      await listener.close()
    }
    return { url, helper, fronts, enter, close, errors }
  }
  const members = await Promise.all(Array.from({ length: count }, open))
  const transport = new HttpTransport()
  const end = new AbortController()
  const dealing = new FleetDealer({ engine, keys: () => keys, transport, pool: localPool() }).run(end.signal)
  const close = async () => {
    end.abort()
    await dealing
    await Promise.all(members.map((member) => member.close()))
    transport.close()
    await engine.close()
  }
  const renew = async (next: FleetKeys) => {
    keys = next
    await Promise.all(members.map(({ fronts }) => fronts.announce()))
  }
  return { members, seen, close, renew }
}

/** A client that comes to that front. */
async function answers(site: Site, enter: () => ReturnType<typeof memoryPair>[0], count = 2): Promise<unknown[]> {
  const { client, compare } = await site.seat({ toHelper: { a: enter(), b: memoryPair()[0] } as never })
  await client.prepare(count)
  const wrong = []
  for (let i = 0; i < count; i++) wrong.push(await compare(inputFor(compiled, i)))
  await client.release()
  return wrong
}

describe('several fronts', () => {
  test('serve clients of each other’s servers, also after the secret was renewed', async () => {
    const fleet = await severalFronts(3)
    const { members } = fleet
    const sites = await Promise.all(members.map(({ helper }) => Site.create(compiled, helper)))
    const all = async () => {
      for (const site of sites) for (const { enter } of members) expect(await answers(site, enter, 1)).toEqual([null])
    }
    await all()
    const first = fleet.seen.length
    await fleet.renew(new FleetKeys([freshSeed()]))
    await all()
    expect(fleet.seen.length).toBe(2 * first)
    await Promise.all(sites.map(({ server }) => server.release()))
    await fleet.close()
  })

  test('deal no number under two keys, and again only as the same', async () => {
    const fleet = await severalFronts(2)
    const [a, b] = fleet.members
    const { server } = await Site.create(compiled, a.helper)
    const { reserve, session, atHelper, link, registration } = await stranger(compiled, server)
    await atHelper(a.helper)
    const { grant, granted } = await reserve(0, 2)
    expect(granted).toBe(2)
    const digest = planDigest(compiled.plan)
    const ask = async (enter: () => ReturnType<typeof memoryPair>[0], { publicKey } = keyPair()): Promise<Link> => {
      const to = raw(enter(), true)
      const hello = { role: Caller.client, registration, session, digest, publicKey, planBytes: 0 }
      to.send(Kind.hello, Phase.setup, 0, encodeHello(hello))
      await to.receive(Kind.welcome, Phase.setup, 0, 32)
      to.send(Kind.deal, Phase.offline, 0, encodeDeal(0, 2, grant))
      return to
    }
    const dealt = (at: Link) => at.receive(Kind.dealt, Phase.offline, 0, 0)
    const mine = keyPair()
    await dealt(await ask(b.enter, mine))
    for (const { enter } of [a, b]) {
      await dealt(await ask(enter, mine))
      expect(await failure(dealt(await ask(enter)))).toMatchObject({ code: 'PEER_FAILED' })
    }
    expect(a.errors).toEqual(['MATERIAL_USED', 'MATERIAL_USED'])
    const under = new Map<string, Set<string>>()
    for (const { numbers, own, ch } of fleet.seen) under.set(numbers, (under.get(numbers) ?? new Set()).add(own + ch))
    expect([...under.values()].map(({ size }) => size)).toEqual([1, 1])
    link.close()
    await server.release()
    await fleet.close()
  })

  test('lead in nobody without a front’s token, and hold everybody to what they were let in as', async () => {
    const fleet = await severalFronts(2)
    const [a, b] = fleet.members
    const { server } = await Site.create(compiled, a.helper)
    const url = `${a.url.replace('http', 'ws')}/v1/client`
    for (const token of [undefined, 'x', hex(freshSeed())]) {
      expect(await failure(connect(url, { token }))).toMatchObject({ code: 'UNAUTHORIZED' })
    }
    const { registration, session } = await stranger(compiled, server)
    const digest = planDigest(compiled.plan)
    const to = raw(b.enter('server'))
    const hello = { role: Caller.client, registration, session, digest, publicKey: keyPair().publicKey, planBytes: 0 }
    to.send(Kind.hello, Phase.setup, 0, encodeHello(hello))
    expect(await failure(to.receive(Kind.welcome, Phase.setup, 0, 32))).toMatchObject({ code: 'PEER_FAILED' })
    expect(a.errors).toEqual(['UNAUTHORIZED'])
    await server.release()
    await fleet.close()
  })

  test('say that a registration is gone when its front is, or was never there', async () => {
    const fleet = await severalFronts(2)
    const [a, b] = fleet.members
    const { server } = await Site.create(compiled, a.helper)
    const { session, registration } = await stranger(compiled, server)
    const digest = planDigest(compiled.plan)
    const ask = async (of: Uint8Array) => {
      const to = raw(b.enter())
      const hello = {
        role: Caller.client,
        registration: of,
        session,
        digest,
        publicKey: keyPair().publicKey,
        planBytes: 0,
      }
      to.send(Kind.hello, Phase.setup, 0, encodeHello(hello))
      return failure(to.receive(Kind.welcome, Phase.setup, 0, 32, { deadlineMs: 5000 }))
    }
    await a.close()
    expect(await ask(registration)).toMatchObject({ code: 'PEER_FAILED' })
    expect(await ask(new Uint8Array(16).fill(9))).toMatchObject({ code: 'PEER_FAILED' })
    expect(b.errors).toEqual(['PEER_GONE', 'PEER_GONE'])
    await server.release()
    await fleet.close()
  })
})
