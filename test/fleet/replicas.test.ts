// Servers that share a registration: the helper has their network once, each gets its own bundles, and strangers get nothing.
import { afterEach, describe, expect, test } from 'vitest'
import { MemoryEngine } from '../../src/engine/memory.js'
import { FleetDealer, type Transport } from '../../src/fleet/dealer.js'
import { FleetFront } from '../../src/fleet/front.js'
import { HttpTransport, listenForDealers } from '../../src/fleet/http.node.js'
import { FleetKeys } from '../../src/fleet/keys.js'
import { memoryPair, Phase } from '../../src/net/index.js'
import type { Helper } from '../../src/party/helper/helper.js'
import { Caller, encodeHello, ID_BYTES, IDENTIFIED_BYTES } from '../../src/party/messages.js'
import { newRegistration } from '../../src/party/registration.js'
import { Server } from '../../src/party/server.js'
import type { SharedRegistration } from '../../src/party/server-options.js'
import type { Compiled } from '../../src/plan/compile/compile.js'
import { planDigest } from '../../src/plan/plan.js'
import { Kind } from '../../src/protocol/kinds.js'
import { freshSeed, keyPair } from '../../src/random/seed.js'
import {
  createHelper,
  failure,
  inputFor,
  kindOf,
  raw,
  Site,
  tinyNetwork,
  watchRejections,
  wire,
} from '../party/fixture.js'
import { localPool } from './local-pool.js'

const compiled = tinyNetwork(1)
const digest = planDigest(compiled.plan)
const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

const shared = (helper: Helper, of: Compiled = compiled): Promise<SharedRegistration> => {
  const [near, far] = memoryPair()
  void helper.run(far)
  return newRegistration(of, near, { deadlineMs: 1000 })
}

/** A replica, and how many frames of F it sent. */
async function replica(helper: Helper, registration: SharedRegistration, deliverAt?: string, of = compiled) {
  let filters = 0
  const counted = wire((message, _, from) => {
    if (from === 'a' && kindOf(message) === Kind.weights) filters++
    return message
  })
  const site = await Site.create(of, helper, { wire: counted, server: { registration, deliverAt } })
  return { site, filters: () => filters }
}

async function answers({ site }: { site: Site }, count: number): Promise<unknown[]> {
  const { client, compare } = await site.seat()
  await client.prepare(count)
  const wrong = []
  for (let i = 0; i < count; i++) wrong.push(await compare(inputFor(site.compiled, i)))
  await client.release()
  return wrong
}

describe('a registration that two servers share', () => {
  test('is brought to the helper once, and held as long as one of them is there', async () => {
    const helper = await createHelper()
    const registration = await shared(helper)
    const first = await replica(helper, registration)
    const { usedBytes } = helper.status.registered
    const second = await replica(helper, registration)
    expect([first.filters() > 0, second.filters()]).toEqual([true, 0])
    expect(helper.status.registered.usedBytes).toBe(usedBytes)
    expect(helper.status.registrations).toBe(2)
    expect(await answers(first, 2)).toEqual([null, null])
    await first.site.server.release()
    expect(await answers(second, 2)).toEqual([null, null])
    await second.site.server.release()
    await helper.release()
    expect([helper.status.registered.usedBytes, helper.memoryInUse]).toEqual([0, 0])
  })

  test('is joined by several at a time', async () => {
    const helper = await createHelper()
    const registration = await shared(helper)
    const replicas = await Promise.all([1, 2, 3].map(() => replica(helper, registration)))
    for (const each of replicas) expect(await answers(each, 1)).toEqual([null])
    await Promise.all(replicas.map(({ site }) => site.server.release()))
    await helper.release()
    expect(helper.memoryInUse).toBe(0)
  })

  test.each([
    [
      'another network of the same plan',
      () => ({ ...compiled, model: tinyNetwork(2).model }) as Compiled,
      'PLAN_MISMATCH',
    ],
    ['another plan', () => tinyNetwork(1, 3), 'PLAN_MISMATCH'],
    ['a guarded plan', () => tinyNetwork(1, 2, { guard: {} }), 'UNSUPPORTED'],
  ])('is not for %s: its weights under the same mask would show', async (_, network, code) => {
    const helper = await createHelper()
    const registration = await shared(helper)
    const [near, far] = memoryPair()
    void helper.run(far)
    expect(await failure(Server.create(network(), near, { registration }))).toMatchObject({ code })
    await helper.release()
  })

  test('goes to nobody but the helper it was made with', async () => {
    const [its, other] = [await createHelper(), await createHelper()]
    const registration = await shared(its)
    const sent: number[] = []
    const { a, b } = wire((message, _, from) => {
      if (from === 'a') sent.push(kindOf(message))
      return message
    })
    void other.run(b)
    expect(await failure(Server.create(compiled, a, { registration }))).toMatchObject({ code: 'INSECURE' })
    // One that shows the right public key and has not its secret one.
    const [near, far] = memoryPair()
    const imposter = raw(far)
    const joining = failure(Server.create(compiled, near, { registration }))
    await imposter.receive(Kind.hello, Phase.setup, 0, 102)
    const shown = new Uint8Array([...keyPair().publicKey, ...registration.helperKey, ...freshSeed()])
    imposter.send(Kind.challenge, Phase.setup, 0, shown)
    expect(await joining).toMatchObject({ code: 'INSECURE' })
    expect(sent.every((kind) => kind !== Kind.weights && kind !== Kind.identified && kind !== Kind.plan)).toBe(true)
    for (const helper of [its, other]) await helper.release()
  })

  test('is joined by nobody who only knows its public key', async () => {
    const errors: string[] = []
    const helper = await createHelper({ onError: ({ code }) => errors.push(code) })
    const { keys } = await shared(helper)
    const [near, far] = memoryPair()
    void helper.run(far)
    const link = raw(near)
    const nothing = new Uint8Array(ID_BYTES)
    const hello = { role: Caller.replica, registration: nothing, session: nothing, digest, publicKey: keys.publicKey }
    link.send(Kind.hello, Phase.setup, 0, encodeHello({ ...hello, planBytes: 9 }))
    await link.receive(Kind.challenge, Phase.setup, 0, 96)
    link.send(Kind.identified, Phase.setup, 0, new Uint8Array(IDENTIFIED_BYTES).fill(7, 0, 32))
    expect(await failure(link.receive(Kind.lacks, Phase.setup, 0, 1))).toMatchObject({ code: 'PEER_FAILED' })
    expect(errors).toContain('UNAUTHORIZED')
    expect(helper.status.registered.usedBytes).toBe(0)
    await helper.release()
  })
})

test('an address of a replica that somebody changed on its way is refused', async () => {
  const errors: string[] = []
  const helper = await createHelper({ onError: ({ code }) => errors.push(code) })
  const registration = await shared(helper)
  const [at, elsewhere] = ['https://a.example:7704', 'https://b.example:7704']
  const changing = wire((message, _, from) => {
    if (from !== 'a' || kindOf(message) !== Kind.identified) return message
    return new Uint8Array(Buffer.from(Buffer.from(message).toString('latin1').replace(at, elsewhere), 'latin1'))
  })
  const joining = Site.create(compiled, helper, { wire: changing, server: { registration, deliverAt: at } })
  expect(await failure(joining)).toMatchObject({ code: 'PEER_FAILED' })
  expect(errors).toContain('UNAUTHORIZED')
  await helper.release()
})

/** A front, a dealer, and two replicas that listen for bundles. */
async function delivering(through: (transport: Transport) => Transport = (transport) => transport) {
  const engine = new MemoryEngine({ name: 'deal' })
  const keys = new FleetKeys([freshSeed()])
  let front!: FleetFront
  const atFront = await listenForDealers(
    { host: '127.0.0.1', port: 0 },
    { expects: (...asked) => front.expects(...asked), gives: (...asked) => front.gives(...asked) },
  )
  const allowed = new Set<string>()
  const delivers = (url: string) => allowed.has(url)
  front = new FleetFront({ engine, keys: () => keys, url: atFront.url, delivers })
  const helper = await createHelper({ dealers: front, epoch: keys.epoch })
  const transport = new HttpTransport()
  const end = new AbortController()
  let models = 0
  const counted: Transport = {
    get: (...asked) => {
      models++
      return transport.get(...asked)
    },
    put: (...brought) => transport.put(...brought),
  }
  const dealer = new FleetDealer({ engine, keys: () => keys, transport: through(counted), pool: localPool() })
  const running = dealer.run(end.signal)
  const registration = await shared(helper)
  const open = async () => {
    let server: Server | undefined
    const listener = await listenForDealers(
      { host: '127.0.0.1', port: 0 },
      { expects: (...asked) => server?.expects(...asked) ?? 503 },
    )
    allowed.add(listener.url)
    let overLink = 0
    const counted = wire((message, _, from) => {
      if (from === 'b' && kindOf(message) === Kind.material) overLink++
      return message
    })
    const site = await Site.create(compiled, helper, {
      wire: counted,
      server: { registration, deliverAt: listener.url },
    })
    server = site.server
    const close = async () => {
      await site.server.release()
      await listener.close()
    }
    return { site, url: listener.url, overLink: () => overLink, close }
  }
  const close = async () => {
    end.abort()
    await running
    await front.release()
    await helper.release()
    await atFront.close()
    transport.close()
    await engine.close()
  }
  return { helper, front, registration, open, close, transport, models: () => models }
}

describe('dealers that bring bundles to servers', () => {
  test('bring each to the server whose session it is, past the front', async () => {
    const at = await delivering()
    const replicas = [await at.open(), await at.open()]
    const wrong = await Promise.all(replicas.map((each) => answers(each, 3)))
    expect(wrong.flat()).toEqual(Array(6).fill(null))
    expect(replicas.map(({ overLink }) => overLink())).toEqual([0, 0])
    // One network, whichever server it is for.
    expect(at.models()).toBe(1)
    expect(at.front.waiting).toBe(0)
    for (const each of replicas) await each.close()
    await at.close()
  })

  test('are the only ones who can: strangers, other sessions, other lengths, and a second time', async () => {
    const seen: string[] = []
    let other = ''
    const at = await delivering((transport) => ({
      get: (...asked) => transport.get(...asked),
      put: async (url, token, body) => {
        if (!other || !url.includes('/v1/bundle/') || body.length === 1) return transport.put(url, token, body)
        const tell = async (...[to, as, what]: Parameters<Transport['put']>) =>
          seen.push(`${await transport.put(to, as, what).catch(() => 'torn')}`)
        const path = new URL(url).pathname
        await tell(url, freshSeed(), body)
        await tell(url.replace(/bundle\/../, 'bundle/zz'), token, body)
        await tell(
          url.replace(/bundle\/../, (head) => `${head.slice(0, 7)}${head[7] === '0' ? '1' : '0'}${head[8]}`),
          token,
          body,
        )
        await tell(other + path, token, body)
        await tell(url.replace(/\d+$/, '77'), token, body)
        await tell(url, token, body.slice(1))
        await tell(url, token, [...body, new Uint8Array(1)])
        const status = await transport.put(url, token, body)
        seen.push(`${status}`)
        await tell(url, token, body)
        return status
      },
    }))
    const [one, two] = [await at.open(), await at.open()]
    other = two.url
    expect(await answers(one, 1)).toEqual([null])
    // Stranger, no such path, other session, other server, other number, short, long; then it is taken, and there already.
    expect(seen).toEqual(['403', '404', '403', '410', '410', '400', '400', '201', '200'])
    for (const each of [one, two]) await each.close()
    await at.close()
  })

  test('what was used is not taken again', async () => {
    let late: (() => Promise<number>) | undefined
    const at = await delivering((transport) => ({
      get: (...asked) => transport.get(...asked),
      put: async (url, token, body) => {
        if (body.length > 1) {
          const [key, copy] = [token.slice(), body.map((part) => part.slice())]
          late = () => transport.put(url, key, copy)
        }
        return transport.put(url, token, body)
      },
    }))
    const one = await at.open()
    const { client, compare } = await one.site.seat()
    await client.prepare(1)
    expect(await late!()).toBe(200)
    expect(await compare(inputFor(compiled))).toBeNull()
    expect(await late!()).toBe(410)
    await client.release()
    await one.close()
    await at.close()
  })

  test('bring nothing to an address that the helper does not allow', async () => {
    const at = await delivering()
    const asked = replica(at.helper, at.registration, 'http://127.0.0.1:1')
    expect(await failure(asked)).toMatchObject({ code: 'PEER_FAILED' })
    await at.close()
  })

  test('a bundle that cannot be brought costs time, then its client is told', async () => {
    let broken = 2
    const at = await delivering((transport) => ({
      get: (...asked) => transport.get(...asked),
      put: async (url, token, body) => {
        if (body.length > 1 && broken-- > 0) throw new Error('the network lost it')
        return transport.put(url, token, body)
      },
    }))
    const one = await at.open()
    expect(await answers(one, 2)).toEqual([null, null])
    expect(broken).toBeLessThanOrEqual(0)
    await one.close()
    await at.close()
  })
})
