// On `securenn` all three parties are on line: whatever happens to any message on any of the four connections of a
// client, every caller gets a typed error within the deadline, other clients are served to the last bit, and no memory
// stays behind.
import { afterEach, describe, expect, test } from 'vitest'
import type { RingfenceError } from '../../src/errors.js'
import type { Client } from '../../src/party/client.js'
import {
  createHelper,
  DEADLINE_MS,
  eventually,
  expectTyped,
  type Fault,
  failure,
  inputFor,
  type Wire,
  watchRejections,
  wire,
} from './fixture.js'
import { SecurennSite, smallNetwork } from './securenn-fixture.js'

const compiled = smallNetwork(1)
const input = inputFor(compiled)
const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

const LINKS = ['client-server', 'client-helper', 'registration', 'session'] as const
type LinkName = (typeof LINKS)[number]
type Wires = Record<LinkName, Wire>

const wires = (fault?: Fault, at?: LinkName) =>
  Object.fromEntries(LINKS.map((name) => [name, wire(name === at ? fault : undefined)])) as Wires

interface Outcome {
  site?: SecurennSite
  client?: Client
}

/** Registers a server and runs two inferences: the conversation that is disturbed. */
async function converse(into: Outcome, site: Promise<SecurennSite>, on: Wires, signal?: AbortSignal): Promise<void> {
  into.site = await site
  const toServer = on['client-server']
  const { client } = await into.site.seat({ toServer, toHelper: on['client-helper'], signal })
  into.client = client
  for (let i = 0; i < 2; i++) await client.run(input, { signal })
  await client.release()
}

const serverWires = (on: Wires) => ({ wires: [on.registration, on.session] })

const lengths = async (): Promise<Record<LinkName, number>> => {
  const helper = await createHelper()
  const on = wires()
  const outcome: Outcome = {}
  await converse(outcome, SecurennSite.create(compiled, helper, serverWires(on)), on)
  await outcome.site!.server.release()
  await helper.release()
  return Object.fromEntries(LINKS.map((name) => [name, on[name].count()])) as Record<LinkName, number>
}

/** Runs the conversation under a fault and everything that must still hold afterwards; returns the caller's error code. */
async function endure(fault: Fault, link: LinkName, controller?: AbortController): Promise<string> {
  const complaints: RingfenceError[] = []
  const helper = await createHelper({ onError: (error) => complaints.push(error) })
  const on = wires(fault, link)
  const outcome: Outcome = {}
  const started = performance.now()
  const site = SecurennSite.create(compiled, helper, serverWires(on))
  const error = await failure(converse(outcome, site, on, controller?.signal))
  expect(performance.now() - started, 'time to the caller’s error').toBeLessThan(4 * DEADLINE_MS + 1000)
  const { client } = outcome
  await client?.release()
  if (client) expect(client.memoryInUse, 'client').toBe(0)
  if (outcome.site) await afterwards(outcome.site, link)
  expect(await eventually(() => helper.memoryInUse === 0), 'helper').toBe(true)
  await helper.release()
  expectTyped(complaints)
  return error?.code ?? 'none'
}

/** The server goes on with others, and gives everything back in the end. */
async function afterwards(site: SecurennSite, link: LinkName): Promise<void> {
  if (link !== 'registration') {
    const other = await site.seat()
    expect(await other.compare(inputFor(compiled, 5))).toBeNull()
    await other.client.release()
  }
  const started = performance.now()
  await site.server.release()
  expect(performance.now() - started, 'time to release').toBeLessThan(DEADLINE_MS)
  expect(site.server.memoryInUse, 'server').toBe(0)
  expectTyped(site.errors)
}

/** Every case, a few at a time: most of their time is waiting. */
async function sweep(cases: (() => Promise<void>)[], width: number): Promise<void> {
  const queue = cases.slice()
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) await next()
  }
  await Promise.all(Array.from({ length: width }, worker))
}

const GONE = /^(PEER_GONE|PEER_FAILED|DEADLINE)$/

describe.each(LINKS)('%s', (link) => {
  /** One case per message of the undisturbed conversation. */
  const everywhere = async (check: (at: number) => Promise<void>, width = 8) => {
    const count = (await lengths())[link]
    expect(count).toBeGreaterThan(link === 'registration' ? 4 : 10)
    const cases = Array.from({ length: count }, (_, at) => async () => {
      await check(at).catch((cause) => {
        throw new Error(`message ${at} of ${count}: ${cause.message}`, { cause })
      })
    })
    await sweep(cases, width)
  }

  test('a connection that is lost before any message', async () => {
    await everywhere(async (at) => {
      const code = await endure((message, index) => (index === at ? 'cut' : message), link)
      if (code !== 'none') expect(code).toMatch(GONE)
      // What the helper is sent last is nobody's but its own.
      else expect(link).not.toBe('client-server')
    })
  })

  test.each(['a', 'b'] as const)('a peer at end %s that falls silent after any message', async (end) => {
    await everywhere(async (at) => {
      let silent = false
      const fault: Fault = (message, index, from) => {
        silent ||= index >= at
        return silent && from === end ? [] : message
      }
      const code = await endure(fault, link)
      if (code !== 'none') expect(code).toMatch(GONE)
    }, 16)
  })

  const damages: Record<string, (message: Uint8Array) => Uint8Array> = {
    'one byte short': (message) => message.slice(0, -1),
    'another step': (message) => message.map((byte, i) => (i === 6 ? byte + 1 : byte)),
  }
  test.each(Object.keys(damages))('a message that is damaged: %s', async (name) => {
    await everywhere(async (at) => {
      const code = await endure((message, index) => (index === at ? damages[name](message) : message), link)
      if (code === 'none') expect(link).not.toBe('client-server')
      else expect(code).toMatch(/^(FRAME|PROTOCOL|PEER_GONE|PEER_FAILED|DEADLINE)$/)
    })
  })

  test('a right frame with random bytes inside', async () => {
    await everywhere(async (at) => {
      const fault: Fault = (message, index) => {
        if (index === at) crypto.getRandomValues(message.subarray(8))
        return message
      }
      const codes = /^(none|FRAME|PROTOCOL|PLAN_MISMATCH|INSECURE|MATERIAL_USED|PEER_GONE|PEER_FAILED|DEADLINE)$/
      expect(await endure(fault, link)).toMatch(codes)
    })
  })

  test('a caller who aborts at any message', async () => {
    await everywhere(async (at) => {
      const controller = new AbortController()
      const fault: Fault = (message, index) => {
        if (index === at) controller.abort()
        return message
      }
      expect(await endure(fault, link, controller)).toMatch(/^(ABORTED|none)$/)
    })
  })
})
