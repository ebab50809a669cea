// What goes wrong between owners, delegate and server: said with a code, bounded in time, and nothing is used twice.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Delegate } from '../../src/delegate/delegate.js'
import { Epochs } from '../../src/delegate/epochs.js'
import { RingfenceError } from '../../src/errors.js'
import { Link, memoryPair } from '../../src/net/index.js'
import { Client } from '../../src/party/client/client.js'
import { Owners } from '../../src/party/delegated/owners.js'
import { hex } from '../../src/party/messages.js'
import { Server } from '../../src/party/server.js'
import { planDigest } from '../../src/plan/plan.js'
import { encodeInputHalf } from '../../src/protocol/delegated/messages.js'
import { Kind } from '../../src/protocol/kinds.js'
import { delegatedSizes } from '../../src/protocol/mcc/delegated.js'
import { sealSeed } from '../../src/random/seal.js'
import { keyPair } from '../../src/random/seed.js'
import { causeOf, failure, inputFor, tinyNetwork } from '../party/fixture.js'
import { DelegatedSite, delegatedNetwork } from './fixture.js'

const compiled = delegatedNetwork()
const input = inputFor(compiled)
const codeOf = async (task: Promise<unknown>) => (await failure(task))?.code

describe('with all four there', () => {
  let site: DelegatedSite
  beforeAll(async () => {
    site = await DelegatedSite.create(compiled)
  })
  afterAll(() => site.release())

  test('requests that come again are refused by both, and nothing is lent for them', async () => {
    const sent: Record<string, Uint8Array> = {}
    const client = await site.owner(
      {},
      {
        before: (party, body) => {
          if (body) sent[party] = body.slice()
          return body
        },
      },
    )
    await client.run(input)
    const { server, delegate } = site.exchanges
    const before = site.lent.length
    expect(await codeOf(server.answer(sent.server, {}))).toBe('MATERIAL_USED')
    expect(await codeOf(delegate.answer(sent.delegate, {}))).toBe('MATERIAL_USED')
    expect(site.lent.length - before).toBeLessThanOrEqual(1) // the run's own, told late
  })

  test('every attempt has an id, a seed and a mask of its own, a retry after a lost response too', async () => {
    const bodies: Uint8Array[] = []
    let lost = 0
    const client = await site.owner(
      {},
      {
        before: (party, body) => {
          if (party === 'server' && body) bodies.push(body.slice())
          return body
        },
        after: (party, answer) => {
          if (party === 'server' && bodies.length > 0 && lost++ === 0) throw new TypeError('connection reset')
          return answer
        },
      },
    )
    const error = await failure(client.run(input))
    expect(error).toMatchObject({ code: 'PEER_GONE', retryable: true })
    await client.run(input)
    const [first, second] = bodies
    const differing = first.filter((byte, i) => byte !== second[i]).length
    // Version and digest are the same; of the rest one byte in 256 is by chance.
    expect(differing).toBeGreaterThan((first.byteLength - 33) * 0.9)
  })

  test('a key that is gone is renewed, once, without the caller', async () => {
    const client = await site.owner()
    await client.run(input)
    const { identity } = site
    await site.delegate.release()
    await site.startDelegate({ identity })
    expect((await client.run(input)).raw).toHaveLength(3)
  })

  test('what was sealed before the delegate ended is opened by nobody', async () => {
    let sealed: Uint8Array | undefined
    const client = await site.owner(
      {},
      {
        before: (party, body) => {
          if (party === 'delegate' && body) sealed = body.slice()
          return body
        },
      },
    )
    await client.run(input)
    await site.delegate.release()
    await site.startDelegate({ identity: site.identity })
    expect(await codeOf(site.exchanges.delegate.answer(sealed!, {}))).toBe('PEER_GONE')
  })

  test('a server that ends is found again, and its owners with it', async () => {
    await site.server.release()
    const lonely = await failure(site.owner())
    expect(lonely).toMatchObject({ code: 'BUSY', retryable: true })
    await site.startServer()
    await expect
      .poll(() => site.delegate.status.ready && site.delegate.status.prepared > 0, { timeout: 30_000 })
      .toBe(true)
    expect((await (await site.owner()).run(input)).raw).toHaveLength(3)
  })

  test('a call that is aborted says so, and the connections go on', async () => {
    const client = await site.owner()
    const stop = new AbortController()
    const running = client.run(input, { signal: stop.signal, onProgress: () => stop.abort() })
    expect(await codeOf(running)).toBe('ABORTED')
    expect((await client.run(input)).raw).toHaveLength(3)
  })

  test('allowances count at both', async () => {
    for (const party of ['server', 'delegate'] as const) {
      let left = 1
      const spend = (count: number) => ({ granted: left-- > 0 ? count : 0 })
      const peer = { principal: { name: 'somebody', spend } }
      const sent: Record<string, Uint8Array> = {}
      const client = await site.owner(
        {},
        {
          before: (which, body) => {
            if (body) sent[which] = body.slice()
            return body
          },
        },
      )
      await client.run(input)
      // The same request under another id and name, up to the end of the allowance.
      const other = (at: number) => sent[party].map((byte, i) => (i === 1 ? byte ^ at : byte))
      const stop = new AbortController()
      const { signal } = stop
      const first = codeOf(site.exchanges[party].answer(other(1), { peer, signal }))
      expect(await codeOf(site.exchanges[party].answer(other(2), { peer, signal }))).toBe('UNAUTHORIZED')
      stop.abort()
      expect(await first).toBe(party === 'server' ? 'ABORTED' : 'PROTOCOL')
    }
  })

  test('an ordinary client is told why it is not served, and so is another delegate', async () => {
    const direct = await failure(Client.create({ server: site.toServer(), helper: site.toHelper(), worker: false }))
    expect(direct).toMatchObject({ code: 'UNAUTHORIZED' })
    expect(direct?.message).toMatch(/through its delegate alone/)
    const other = { server: site.toServer, helper: site.toHelper, identity: keyPair() }
    const refused = await failure(Delegate.create(other))
    expect(refused?.code).toBe('PEER_FAILED')
    expect(causeOf(refused)).toBe('UNAUTHORIZED')
  })

  test('an owner of another plan is told', async () => {
    expect(await codeOf(site.owner({ planDigest: new Uint8Array(32) }))).toBe('PLAN_MISMATCH')
    const { server } = site.exchanges
    const words = new Uint8Array(server.requestBytes - 49)
    const strange = encodeInputHalf({ id: new Uint8Array(16), digest: new Uint8Array(32), words })
    expect(await codeOf(server.answer(strange, {}))).toBe('PLAN_MISMATCH')
  })
})

describe('refused from the start', () => {
  test('a plan that does not bound its input, by server and delegate', async () => {
    const site = await DelegatedSite.create(compiled)
    const direct = await Server.create(tinyNetwork(1), site.toHelper, { delegateKey: site.identity.publicKey })
    const error = await failure(direct.exchange.answer(new Uint8Array(0), {}))
    expect(error).toMatchObject({ code: 'UNSUPPORTED' })
    const toServer = () => {
      const [mine, theirs] = memoryPair()
      void direct.run(theirs)
      return mine
    }
    const refused = Delegate.create({ server: toServer, helper: site.toHelper, identity: site.identity })
    expect((await failure(refused))?.message).toMatch(/does not bound its input/)
    await direct.release()
    const open = await Server.create(compiled, site.toHelper)
    expect(() => open.exchange).toThrow(/no delegate serves here/)
    await open.release()
    await site.release()
  })

  test('plans that cannot be delegated', () => {
    const published = () => tinyNetwork(1, 2, { delegated: true, backend: 'securenn' } as never)
    expect(published).toThrow(/delegated: an option of back end mcc/)
  })

  test('numbers that make no pool', async () => {
    const options = { server: '', helper: '', connections: 0, prepared: { low: 3, high: 2 } }
    expect((await failure(Delegate.create(options)))?.problems).toHaveLength(2)
  })
})

describe('halves that wait', () => {
  const sizes = delegatedSizes(compiled.plan as never)!
  const digest = planDigest(compiled.plan)
  const half = (id: number) =>
    encodeInputHalf({ id: new Uint8Array(16).fill(id), digest, words: new Uint8Array(sizes.inputBytes) })

  function attended(joinMs?: number) {
    const owners = new Owners({ digest, sizes }, joinMs)
    const [near, far] = memoryPair()
    const options = { name: 'peer', deadlineMs: 30_000, maxFrame: 2 ** 20 }
    const link = new Link(near, options)
    owners.attend(link)
    return { owners, link, delegate: new Link(far, options) }
  }

  test('without a delegate nobody waits', async () => {
    expect(await codeOf(new Owners({ digest, sizes }).answer(half(1)))).toBe('PEER_GONE')
  })

  test('whichever comes first, the delegate is asked when both are there', async () => {
    const { owners, link, delegate } = attended()
    const [one, two] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)]
    owners.offer(one, link)
    const first = owners.answer(half(1))
    expect(hex((await delegate.receiveAny(16)).payload)).toBe(hex(one))
    const second = owners.answer(half(2))
    owners.offer(two, link)
    const wanted = await delegate.receiveAny(16)
    expect([wanted.kind, hex(wanted.payload)]).toEqual([Kind.wanted, hex(two)])
    owners.take(two)!.resolve(new Uint8Array([7]))
    expect(await second).toEqual(new Uint8Array([7]))
    expect(owners.take(two)).toBeUndefined()
    owners.end(new RingfenceError('PEER_GONE', 'the server ends'))
    expect(await codeOf(first)).toBe('PEER_GONE')
  })

  test('one that stays alone is given up, and its late half finds nobody', async () => {
    const { owners, link } = attended(50)
    const alone = await failure(owners.answer(half(3)))
    expect(alone).toMatchObject({ code: 'DEADLINE', retryable: true })
    expect(owners.waiting).toBe(0)
    owners.offer(new Uint8Array(16).fill(3), link)
    expect(owners.take(new Uint8Array(16).fill(3))).toBeUndefined()
  })

  test('more than a thousand are told to come back', async () => {
    const { owners } = attended()
    const waiting = Array.from({ length: 1024 }, (_, i) => {
      const request = half(0)
      new DataView(request.buffer).setUint32(1, i + 1)
      return failure(owners.answer(request))
    })
    const refused = await failure(owners.answer(half(255)))
    expect(refused).toMatchObject({ code: 'BUSY', retryable: true })
    owners.end(new RingfenceError('PEER_GONE', 'the server ends'))
    expect(new Set((await Promise.all(waiting)).map((error) => error?.code))).toEqual(new Set(['PEER_GONE']))
  })
})

describe('the delegate’s passing keys', () => {
  const identity = keyPair()
  const context = new Uint8Array([1])
  const sealed = (epochs: Epochs) => {
    const epoch = epochs.publicKey
    return { epoch, ...sealSeed(new Uint8Array(32).fill(5), { identity: identity.publicKey, epoch }, context) }
  }

  test('open for two hours at most, for one context, and once', () => {
    let time = 0
    const epochs = new Epochs(identity, 1000, () => time)
    const first = sealed(epochs)
    expect(() => epochs.open(first, 'a', new Uint8Array([2]))).toThrow(/does not open/)
    expect(epochs.open(first, 'a', context)).toEqual(new Uint8Array(32).fill(5))
    expect(() => epochs.open(first, 'a', context)).toThrow(/came before/)
    time = 1500
    const second = sealed(epochs)
    expect(second.epoch).not.toEqual(first.epoch)
    expect(() => epochs.open(first, 'a', context)).toThrow(/came before/)
    expect(epochs.open(first, 'b', context)).toHaveLength(32)
    time = 2600
    expect(epochs.open(second, 'c', context)).toHaveLength(32)
    expect(() => epochs.open(first, 'd', context)).toThrow(/is gone/)
    time = 9000
    expect(() => epochs.open(second, 'e', context)).toThrow(/is gone/)
  })

  test('another identity opens nothing', () => {
    const epochs = new Epochs(keyPair())
    expect(() => epochs.open(sealed(epochs), 'a', context)).toThrow(/does not open/)
  })
})
