// Every party outlives its peers: whatever happens to any message on any link, the callers get a typed error within the
// deadline, nobody hangs, other clients are served to the last bit, and no memory stays behind.
import { afterEach, describe, expect, test } from 'vitest'
import type { RingfenceError } from '../../src/errors.js'
import type { Helper } from '../../src/party/helper.js'
import {
  createHelper,
  DEADLINE_MS,
  eventually,
  expectTyped,
  type Fault,
  failure,
  inputFor,
  Site,
  tinyNetwork,
  type Wire,
  watchRejections,
  wire,
} from './fixture.js'

const compiled = tinyNetwork(1)
const input = inputFor(compiled)
const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

const LINKS = ['client-server', 'client-helper', 'server-helper'] as const
type LinkName = (typeof LINKS)[number]
type Wires = Record<LinkName, Wire>

const wires = (fault?: Fault, at?: LinkName): Wires => {
  const of = (name: LinkName) => wire(name === at ? fault : undefined)
  return {
    'client-server': of('client-server'),
    'client-helper': of('client-helper'),
    'server-helper': of('server-helper'),
  }
}

/** Registers a server, prepares two inferences and runs both: the conversation that is disturbed. */
async function converse(helper: Helper, on: Wires, signal?: AbortSignal): Promise<Site> {
  const site = await Site.create(compiled, helper, { wire: on['server-helper'] })
  try {
    const seat = await site.seat({ toServer: on['client-server'], toHelper: on['client-helper'], signal })
    await seat.client.prepare(2, { signal })
    for (let i = 0; i < 2; i++) await seat.client.run(input, { signal })
    await seat.client.release()
    return site
  } catch (error) {
    Object.assign(error as object, { site })
    throw error
  }
}

const lengths = async (): Promise<Record<LinkName, number>> => {
  const helper = await createHelper()
  const on = wires()
  const site = await converse(helper, on)
  await site.server.release()
  await helper.release()
  return Object.fromEntries(LINKS.map((name) => [name, on[name].count()])) as Record<LinkName, number>
}

/** Runs the conversation under a fault and everything that must still hold afterwards; returns the caller's error code. */
async function endure(fault: Fault, link: LinkName, controller?: AbortController): Promise<string> {
  const complaints: RingfenceError[] = []
  const helper = await createHelper({ onError: (error) => complaints.push(error) })
  const started = performance.now()
  let site: Site | undefined
  const error = await failure(
    converse(helper, wires(fault, link), controller?.signal).then(
      (good) => {
        site = good
      },
      (bad: Error & { site?: Site }) => {
        site = bad.site
        throw bad
      },
    ),
  )
  // Several waits may follow each other, each within the deadline.
  expect(performance.now() - started).toBeLessThan(4 * DEADLINE_MS + 1000)
  if (site) {
    expectTyped(site.errors)
    const { server, compiled: model } = site
    // The wire to the helper is part of what was disturbed only on that link.
    if (link !== 'server-helper') {
      const other = await site.seat()
      expect(await other.compare(inputFor(model, 5))).toBeNull()
      await other.client.release()
    }
    await server.release()
    expect(server.memoryInUse).toBe(0)
  }
  expect(await eventually(() => helper.memoryInUse === 0)).toBe(true)
  const fresh = await Site.create(compiled, helper)
  const seat = await fresh.seat()
  expect(await seat.compare(input)).toBeNull()
  await seat.client.release()
  await fresh.server.release()
  await helper.release()
  expect(helper.memoryInUse).toBe(0)
  expectTyped(complaints)
  return error?.code ?? 'none'
}

/** Every case, a few at a time: most of their time is waiting. */
async function sweep(cases: (() => Promise<void>)[], width = 6): Promise<void> {
  const queue = cases.slice()
  const worker = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) await next()
  }
  await Promise.all(Array.from({ length: width }, worker))
}

const GONE = /^(PEER_GONE|PEER_FAILED|DEADLINE)$/

describe.each(LINKS)('%s', (link) => {
  /** One case per message of the undisturbed conversation. */
  const everywhere = async (check: (at: number) => Promise<void>, width?: number) => {
    const count = (await lengths())[link]
    expect(count).toBeGreaterThan(link === 'client-helper' ? 4 : 10)
    await sweep(
      Array.from({ length: count }, (_, at) => async () => {
        await check(at).catch((cause) => {
          throw new Error(`message ${at} of ${count}: ${cause.message}`, { cause })
        })
      }),
      width,
    )
  }

  test('a connection that is lost before any message', async () => {
    await everywhere(async (at) => {
      const code = await endure((message, index) => (index === at ? 'cut' : message), link)
      if (code !== 'none') expect(code).toMatch(GONE)
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
    }, 12)
  })

  const damages: Record<string, (message: Uint8Array) => Uint8Array> = {
    'one byte short': (message) => message.slice(0, -1),
    'less than a header': (message) => message.slice(0, 5),
    empty: () => new Uint8Array(0),
    'one byte long': (message) => new Uint8Array([...message, 0]),
    'longer than it says, both in step': (message) => {
      const long = new Uint8Array([...message, 1, 2, 3, 4])
      new DataView(long.buffer).setUint32(0, long.byteLength - 8, true)
      return long
    },
    'another kind': (message) => message.map((byte, i) => (i === 4 ? byte ^ 64 : byte)),
    'another phase': (message) => message.map((byte, i) => (i === 5 ? (byte + 1) % 3 : byte)),
    'another step': (message) => message.map((byte, i) => (i === 6 ? byte + 1 : byte)),
    'a phase that is none': (message) => message.map((byte, i) => (i === 5 ? 77 : byte)),
    'random bytes': (message) => crypto.getRandomValues(new Uint8Array(message.byteLength)),
  }
  test.each(Object.keys(damages))('a message that is damaged: %s', async (name) => {
    await everywhere(async (at) => {
      const code = await endure((message, index) => (index === at ? damages[name](message) : message), link)
      // Only the helper's last note to a client that already left may be lost on nobody.
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
