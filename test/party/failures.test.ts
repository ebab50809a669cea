// Every party outlives its peers: whatever happens to any message on any link, the callers get a typed error within the
// deadline, nobody hangs, other clients are served to the last bit, and no memory stays behind.
import { afterEach, expect } from 'vitest'
import type { RingfenceError } from '../../src/errors.js'
import type { Helper } from '../../src/party/helper/helper.js'
import { now } from '../fixtures/clock.js'
import { DAMAGES, disturb, wiresOf } from './disturbance.js'
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

const wires = (fault?: Fault, at?: LinkName): Wires => wiresOf(LINKS, wire, fault, at)

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
  const started = now()
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
  expect(now() - started).toBeLessThan(4 * DEADLINE_MS + 1000)
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

disturb({ links: LINKS, quiet: 'client-helper', lengths, endure, damages: Object.keys(DAMAGES), width: 6 })
