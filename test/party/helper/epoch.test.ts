// A number that is dealt again comes out as the same bytes, or not at all: two deals of it that differ open each other.
import { afterEach, describe, expect, test, vi } from 'vitest'
import { RingfenceError } from '../../../src/errors.js'
import { Memory } from '../../../src/kernels/memory.js'
import { Phase } from '../../../src/net/index.js'
import { Grants } from '../../../src/party/grant.js'
import { Epoch } from '../../../src/party/helper/epoch.js'
import { HelpedSessions } from '../../../src/party/helper/helped-sessions.js'
import type { HelperOptions } from '../../../src/party/helper/helper.js'
import { SessionLinks } from '../../../src/party/helper/session-links.js'
import { encodeDeal, ID_BYTES, readInference } from '../../../src/party/messages.js'
import { Kind } from '../../../src/protocol/kinds.js'
import { freshSeed, keyPair } from '../../../src/random/seed.js'
import {
  causeOf,
  createHelper,
  eventually,
  failure,
  hex,
  kindOf,
  Site,
  tinyNetwork,
  watchRejections,
  wire,
} from '../fixture.js'
import { stranger } from './stranger.js'

const compiled = tinyNetwork(1)
const guarded = tinyNetwork(1, 2, { guard: {} })
const PATIENT = { deadlineMs: 120_000 }
const rejections = watchRejections()
afterEach(() => {
  vi.restoreAllMocks()
  expect(rejections).toEqual([])
})

/** What was sent for one number, whole or not. */
interface Sent {
  readonly number: string
  bytes: string
  whole: boolean
}

/** A helper, a server, and everything that the one has sent the other of bundles. */
async function watched(network = compiled, options: HelperOptions = {}) {
  const helper = await createHelper({ epoch: freshSeed(), ...options })
  const sent: Sent[] = []
  const toServer = wire((message) => {
    const payload = message.subarray(8)
    if (kindOf(message) === Kind.bundle) {
      const number = `${hex(payload.subarray(0, ID_BYTES))} ${readInference(payload.subarray(ID_BYTES))}`
      sent.push({ number, bytes: '', whole: true })
    } else if (kindOf(message) === Kind.material) sent.at(-1)!.bytes += hex(payload)
    else if (kindOf(message) === Kind.undealt) sent.at(-1)!.whole = false
    return message
  })
  const site = await Site.create(network, helper, { wire: toServer })
  const end = async () => {
    await site.server.release()
    await helper.release()
    expect([site.server.memoryInUse, helper.memoryInUse]).toEqual([0, 0])
  }
  return { helper, site, sent, end }
}

/** All that was ever sent for a number are prefixes of one string. */
function agree(sent: readonly Sent[]): boolean {
  return sent.every((one) =>
    sent.every(
      (other) => one.number !== other.number || one.bytes.startsWith(other.bytes) || other.bytes.startsWith(one.bytes),
    ),
  )
}

describe.each([
  ['a plan', compiled],
  ['a guarded plan', guarded],
])('%s, in an epoch', (_, network) => {
  test('the same client gets a number again, as the same bytes, also what broke off', async () => {
    const { helper, site, sent, end } = await watched(network)
    const { atHelper, reserve, session, link } = await stranger(network, site.server)
    const keys = keyPair()
    const { grant } = await reserve(0, 2)
    const deal = async (dealt: number) => {
      const toHelper = await atHelper(helper, session, keys)
      toHelper.send(Kind.deal, Phase.offline, 0, encodeDeal(0, 2, grant))
      for (let i = 0; i < dealt; i++) await toHelper.receive(Kind.dealt, Phase.offline, 0, 0, PATIENT)
      return toHelper
    }
    // Memory runs out in the middle of the second number.
    const alloc = Memory.prototype.alloc
    vi.spyOn(Memory.prototype, 'alloc').mockImplementation(function (this: Memory, bytes) {
      const { number, bytes: begun } = sent.at(-1) ?? { number: '', bytes: '' }
      const here = number.endsWith(' 1') && begun.length > 0 && new Error().stack?.includes('dealReluStep')
      if (here) throw new RingfenceError('HOST', 'no memory')
      return alloc.call(this, bytes)
    })
    const first = await deal(1)
    expect(causeOf(await failure(first.receive(Kind.dealt, Phase.offline, 0, 0, PATIENT)))).toBe('BUSY')
    vi.restoreAllMocks()
    const second = await deal(2)
    // Another key, another k_H: numbers of the one before are not dealt for it.
    const other = await atHelper(helper)
    other.send(Kind.deal, Phase.offline, 0, encodeDeal(0, 2, grant))
    expect(causeOf(await failure(other.receive(Kind.dealt, Phase.offline, 0, 0)))).toBe('MATERIAL_USED')

    expect(sent.map(({ number, whole }) => [number.split(' ')[1], whole])).toEqual([
      ['0', true],
      ['1', false],
      ['0', true],
      ['1', true],
    ])
    expect(sent[1].bytes.length).toBeGreaterThan(0)
    expect(sent[1].bytes.length).toBeLessThan(sent[3].bytes.length)
    expect(agree(sent)).toBe(true)
    for (const each of [link, second]) each.close()
    await end()
  })

  test('with a k_H of each connection the bytes differ', async () => {
    // What `agree` would let through if it compared nothing, and what a helper without an epoch refuses to do.
    vi.spyOn(Epoch.prototype, 'dealerSeed').mockImplementation(freshSeed)
    const { helper, site, sent, end } = await watched(network)
    const { atHelper, reserve, session, link } = await stranger(network, site.server)
    const keys = keyPair()
    const { grant } = await reserve(0, 1)
    for (let i = 0; i < 2; i++) {
      const toHelper = await atHelper(helper, session, keys)
      toHelper.send(Kind.deal, Phase.offline, 0, encodeDeal(0, 1, grant))
      await toHelper.receive(Kind.dealt, Phase.offline, 0, 0, PATIENT)
      toHelper.close()
    }
    expect(sent).toHaveLength(2)
    expect(agree(sent)).toBe(false)
    link.close()
    await end()
  })
})

test('without an epoch no number is dealt again, the same client’s neither', async () => {
  const { helper, site, sent, end } = await watched(compiled, { epoch: undefined })
  const { atHelper, reserve, session, link } = await stranger(compiled, site.server)
  const keys = keyPair()
  const { grant } = await reserve(0, 1)
  const deal = async () => {
    const toHelper = await atHelper(helper, session, keys)
    toHelper.send(Kind.deal, Phase.offline, 0, encodeDeal(0, 1, grant))
    await toHelper.receive(Kind.dealt, Phase.offline, 0, 0, PATIENT)
  }
  await deal()
  expect(causeOf(await failure(deal()))).toBe('MATERIAL_USED')
  expect(sent).toHaveLength(1)
  link.close()
  await end()
})

test('a number is not dealt again without end', async () => {
  const { helper, site, sent, end } = await watched()
  const { atHelper, reserve, link } = await stranger(compiled, site.server)
  const { grant } = await reserve(0, 2)
  const toHelper = await atHelper(helper)
  const deal = async () => {
    toHelper.send(Kind.deal, Phase.offline, 0, encodeDeal(0, 2, grant))
    for (let i = 0; i < 2; i++) await toHelper.receive(Kind.dealt, Phase.offline, 0, 0, PATIENT)
  }
  for (let i = 0; i < 5; i++) await deal()
  expect(causeOf(await failure(deal()))).toBe('MATERIAL_USED')
  expect(sent).toHaveLength(10)
  expect(agree(sent)).toBe(true)
  link.close()
  await end()
})

test('k_H is another for every epoch, registration, session and key', () => {
  const bytes = (length: number, value: number) => new Uint8Array(length).fill(value)
  const of = (epoch: number, registration: number, session: number, key: number) =>
    hex(new Epoch(bytes(32, epoch)).dealerSeed(bytes(16, registration), bytes(16, session), bytes(32, key)))
  const cases = [of(0, 1, 2, 3), of(1, 1, 2, 3), of(0, 2, 2, 3), of(0, 1, 3, 3), of(0, 1, 2, 4), of(0, 2, 1, 3)]
  expect(new Set(cases).size).toBe(cases.length)
  expect(of(0, 1, 2, 3)).toBe(cases[0])
  expect(() => new Epoch(bytes(31, 0))).toThrow(/32 bytes, not 31/)
})

test('a secret is wiped once its epoch is over and the last session that began in it is forgotten', () => {
  let now = 0
  const grants = new Grants(freshSeed(), new Uint8Array(16), () => now)
  const sessions = new HelpedSessions(grants, new SessionLinks())
  const seeds: Uint8Array[] = []
  const slice = Uint8Array.prototype.slice
  vi.spyOn(Uint8Array.prototype, 'slice').mockImplementation(function (this: Uint8Array, ...range) {
    const copy = slice.apply(this, range)
    seeds.push(copy)
    return copy
  })
  const epoch = new Epoch(new Uint8Array(32).fill(7))
  vi.restoreAllMocks()
  const [secret] = seeds
  const wiped = () => secret.every((byte) => byte === 0)
  const [asked, silent] = [sessions.hold('asked', epoch), sessions.hold('silent', epoch)]
  asked.until = 1000
  asked.deal('key', 0, 1)
  sessions.leave(silent)
  sessions.leave(asked)
  epoch.end()
  // A grant of the first could still be shown.
  expect([sessions.size, wiped()]).toEqual([1, false])
  now = 1001
  sessions.sweep()
  expect([sessions.size, wiped()]).toEqual([0, true])
})

test('sessions that began in an epoch go on with it after the next has begun', async () => {
  const { helper, site, sent, end } = await watched()
  const { atHelper, reserve, session, link } = await stranger(compiled, site.server)
  const keys = keyPair()
  const { grant } = await reserve(0, 1)
  for (let i = 0; i < 2; i++) {
    const toHelper = await atHelper(helper, session, keys)
    toHelper.send(Kind.deal, Phase.offline, 0, encodeDeal(0, 1, grant))
    await toHelper.receive(Kind.dealt, Phase.offline, 0, 0, PATIENT)
    helper.beginEpoch(freshSeed())
    toHelper.close()
    expect(await eventually(() => helper.status.connections === 1)).toBe(true)
  }
  expect(sent).toHaveLength(2)
  expect(agree(sent)).toBe(true)
  link.close()
  await end()
})
