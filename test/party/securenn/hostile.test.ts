// Peers on `securenn` that do what they should not: numbers used twice or not agreed on, strangers who claim a server's
// session at the helper. They are refused, and nobody else notices.
import { afterEach, describe, expect, test } from 'vitest'
import { memoryPair, Phase } from '../../../src/net/index.js'
import { Caller, encodeHello, HELLO_BYTES } from '../../../src/party/messages.js'
import { planDigest } from '../../../src/plan/plan.js'
import { Kind } from '../../../src/protocol/kinds.js'
import { now } from '../../fixtures/clock.js'
import {
  causeOf,
  DEADLINE_MS,
  eventually,
  failure,
  inputFor,
  kindOf,
  raw,
  renumber,
  type Wire,
  watchRejections,
  wire,
} from '../fixture.js'
import { type SecurennSite, securennNeighbourhood, smallNetwork } from './fixture.js'

const compiled = smallNetwork(1)
const input = inputFor(compiled)
const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

describe('inference numbers', () => {
  test.each(['toServer', 'toHelper'] as const)('one used before is refused %s', async (link) => {
    const { site, end } = await securennNeighbourhood(compiled)
    const { client, compare } = await site.seat({ [link]: wire(renumber(Kind.start, 1, 0)) })
    expect(await compare(input)).toBeNull()
    const error = await failure(client.run(input))
    expect(error).toMatchObject({ code: 'PEER_FAILED' })
    // What the server refuses itself it says; what the helper refuses reaches the client through the server.
    expect(causeOf(error)).toBe(link === 'toServer' ? 'MATERIAL_USED' : 'PEER_FAILED')
    if (link === 'toHelper') expect(site.errors.map(causeOf)).toEqual(['MATERIAL_USED'])
    expect(await failure(client.run(input))).toBe(error)
    await end()
  })

  test('a number that is used again on a new connection of the same client is refused by the helper', async () => {
    const { helper, site, end } = await securennNeighbourhood(compiled)
    let hello!: Uint8Array
    const toHelper = wire((message) => {
      if (kindOf(message) === Kind.hello) hello = message.slice(8)
      return message
    })
    const { client, compare } = await site.seat({ toHelper })
    expect(await compare(input)).toBeNull()
    const [near, far] = memoryPair()
    void helper.run(far)
    const again = raw(near)
    again.send(Kind.hello, Phase.setup, 0, hello)
    await again.receive(Kind.welcome, Phase.setup, 0, 32)
    again.send(Kind.start, Phase.online, 0, new Uint8Array(8))
    expect(causeOf(await failure(again.receiveAny(100)))).toBe('MATERIAL_USED')
    expect(await compare(input)).toBeNull()
    await client.release()
    await end()
  })

  test.each(['toServer', 'toHelper'] as const)(
    'client and server that start different ones, %s changed',
    async (link) => {
      const { site, end } = await securennNeighbourhood(compiled)
      const { client, compare } = await site.seat({ [link]: wire(renumber(Kind.start, 1, 7)) })
      expect(await compare(input)).toBeNull()
      expect(causeOf(await failure(client.run(input)))).toBe('PEER_FAILED')
      expect(site.errors.map(causeOf)).toEqual(['PROTOCOL'])
      await end()
    },
  )
})

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

describe('connections for a session', () => {
  /** Says hello to the helper as a server's connection for a session. */
  const intrude = async (site: SecurennSite, hello: Uint8Array, change: (hello: Uint8Array) => void) => {
    const copy = hello.slice()
    change(copy)
    const [near, far] = memoryPair()
    void site.helper.run(far)
    const link = raw(near)
    link.send(Kind.hello, Phase.setup, 0, copy)
    return { link, error: () => failure(link.receiveAny(100)) }
  }
  const listening = () => {
    const heard: Uint8Array[] = []
    const session = wire((message) => {
      if (kindOf(message) === Kind.hello) heard.push(message.slice(8))
      return message
    })
    return { heard, session }
  }

  test('a stranger with a wrong proof, or none that is registered, is refused', async () => {
    const { heard, session } = listening()
    const { site, end, complaints } = await securennNeighbourhood(compiled, { wires: [undefined, session] })
    const { client, compare } = await site.seat()
    expect(await compare(input)).toBeNull()
    expect(heard[0].byteLength).toBe(HELLO_BYTES)
    // Registration, session and proof; the digest of the plan does not matter any more.
    const told = [...range(2, 34), ...range(66, 98)]
    for (const at of told) {
      const { error } = await intrude(site, heard[0], (hello) => {
        hello[at] ^= 1
      })
      expect(causeOf(await error()), `byte ${at}`).toBe(at < 18 ? 'PEER_GONE' : 'PROTOCOL')
    }
    expect(complaints.map(({ message }) => message)).toEqual(
      told.map(() => expect.stringMatching(/no registered server opened this session|regist/)),
    )
    expect(await compare(input)).toBeNull()
    await client.release()
    await end()
  })

  test('a second connection for the same session is refused, and the first goes on', async () => {
    const { heard, session } = listening()
    const { site, end } = await securennNeighbourhood(compiled, { wires: [undefined, session] })
    const { client, compare } = await site.seat()
    expect(await compare(input)).toBeNull()
    const { error } = await intrude(site, heard[0], () => undefined)
    expect(causeOf(await error())).toBe('PROTOCOL')
    expect(await compare(input)).toBeNull()
    await client.release()
    await end()
  })

  test('a session at a helper that knows no such server is refused', async () => {
    const { site, end } = await securennNeighbourhood(compiled)
    const nothing = new Uint8Array(16)
    const proof = { role: Caller.session, registration: nothing, session: nothing, publicKey: new Uint8Array(32) }
    const hello = encodeHello({ ...proof, digest: planDigest(compiled.plan), planBytes: 0 })
    const { error } = await intrude(site, hello, () => undefined)
    expect(causeOf(await error())).toBe('PEER_GONE')
    await end()
  })

  test('a client whose server never connects is told within the deadline, and at once when it leaves', async () => {
    const { helper, site, end } = await securennNeighbourhood(compiled)
    const introduce = async (session: number) => {
      const { client } = await site.seat({ toHelper: observed })
      const [near, far] = memoryPair()
      void helper.run(far)
      const link = raw(near)
      const other = hello.slice()
      other.fill(session, 18, 34) // a session the server never opens
      link.send(Kind.hello, Phase.setup, 0, other)
      await link.receive(Kind.welcome, Phase.setup, 0, 32)
      link.send(Kind.start, Phase.online, 0, new Uint8Array(8))
      await client.release()
      return link
    }
    let hello!: Uint8Array
    let observed = observing()
    function observing(): Wire {
      return wire((message) => {
        if (kindOf(message) === Kind.hello) hello = message.slice(8)
        return message
      })
    }
    const waiting = await introduce(8)
    expect(causeOf(await failure(waiting.receiveAny(100, { deadlineMs: 4 * DEADLINE_MS })))).toBe('DEADLINE')
    observed = observing()
    const leaving = await introduce(9)
    const started = now()
    const before = helper.memoryInUse
    leaving.close()
    expect(await eventually(() => helper.memoryInUse < before)).toBe(true)
    expect(now() - started).toBeLessThan(DEADLINE_MS)
    await end()
  })
})
