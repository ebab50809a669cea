// On `securenn` all three parties are on line: whatever happens to any message on any of the four connections of a
// client, every caller gets a typed error within the deadline, other clients are served to the last bit, and no memory
// stays behind.
import { afterEach, expect } from 'vitest'
import type { RingfenceError } from '../../../src/errors.js'
import type { Client } from '../../../src/party/client/client.js'
import { now } from '../../fixtures/clock.js'
import { disturb, wiresOf } from '../disturbance.js'
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
} from '../fixture.js'
import { SecurennSite, smallNetwork } from './fixture.js'

const compiled = smallNetwork(1)
const input = inputFor(compiled)
const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

const LINKS = ['client-server', 'client-helper', 'registration', 'session'] as const
type LinkName = (typeof LINKS)[number]
type Wires = Record<LinkName, Wire>

const wires = (fault?: Fault, at?: LinkName): Wires => wiresOf(LINKS, wire, fault, at)

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
  const started = now()
  const site = SecurennSite.create(compiled, helper, serverWires(on))
  const error = await failure(converse(outcome, site, on, controller?.signal))
  expect(now() - started, 'time to the caller’s error').toBeLessThan(4 * DEADLINE_MS + 1000)
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
  const started = now()
  await site.server.release()
  expect(now() - started, 'time to release').toBeLessThan(DEADLINE_MS)
  expect(site.server.memoryInUse, 'server').toBe(0)
  expectTyped(site.errors)
}

const damages = ['one byte short', 'another step']
disturb({ links: LINKS, quiet: 'registration', lengths, endure, damages, width: 8 })
