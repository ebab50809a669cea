// What operators see of `securenn` and what protects it: a queue, events at server and helper, draining.
import { afterEach, describe, expect, test } from 'vitest'
import { RUNNING } from '../../../src/party/admission.js'
import type { Client } from '../../../src/party/client/client.js'
import type { PartyEvent } from '../../../src/party/events.js'
import { Kind } from '../../../src/protocol/kinds.js'
import { now } from '../../fixtures/clock.js'
import { createHelper, eventually, type Fault, failure, inputFor, kindOf, watchRejections, wire } from '../fixture.js'
import { SecurennSite, smallNetwork } from './fixture.js'

const compiled = smallNetwork(1)
const input = inputFor(compiled)
const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

/** Clients that send no more from the middle of an inference on. */
async function stuck(site: SecurennSite, count: number, deadlineMs: number) {
  let held = 0
  const hold = (): Fault => {
    let holding = false
    return (message, _, from) => {
      if (from !== 'a' || (kindOf(message) !== Kind.opened && !holding)) return message
      if (!holding) held++
      holding = true
      return []
    }
  }
  const running: Promise<unknown>[] = []
  const clients: Client[] = []
  for (let i = 0; i < count; i++) {
    const { client } = await site.seat({ toServer: wire(hold()), deadlineMs })
    clients.push(client)
    running.push(failure(client.run(input)))
  }
  expect(await eventually(() => held === count, 10_000)).toBe(true)
  return { clients, ended: Promise.all(running) }
}

describe('a server', () => {
  test('runs so many inferences at a time; who waits is kept alive beyond its deadline, then answered', async () => {
    const deadlineMs = 2500 // longer than it takes to fill the server
    const helper = await createHelper({ deadlineMs })
    const site = await SecurennSite.create(compiled, helper, { server: { deadlineMs } })
    const { clients, ended } = await stuck(site, RUNNING, 60_000)
    const { client, compare } = await site.seat({ deadlineMs: 1000 })
    const began = now()
    const answered = compare(input)
    expect(await eventually(() => site.server.status.waiting === 1)).toBe(true)
    // Those are given up, and make room.
    expect(await answered).toBeNull()
    expect(now() - began).toBeGreaterThan(1000)
    expect(site.server.status.waiting).toBe(0)
    await ended
    await Promise.all([client, ...clients].map((each) => each.release()))
    await site.server.release()
    await helper.release()
    expect([site.server.memoryInUse, helper.memoryInUse]).toEqual([0, 0])
  })

  test('and helper tell of every inference, with the peer, and with the code of one that failed', async () => {
    const [atServer, atHelper]: PartyEvent[][] = [[], []]
    const helper = await createHelper({ onEvent: (event) => atHelper.push(event) })
    const onEvent = (event: PartyEvent) => atServer.push(event)
    const site = await SecurennSite.create(compiled, helper, { server: { onEvent } })
    const { client, compare } = await site.seat()
    expect(await compare(input)).toBeNull()
    const { clients, ended } = await stuck(site, 1, 60_000)
    await ended
    const inferences = (events: PartyEvent[]) => events.filter((event) => event.kind === 'inference')
    expect(await eventually(() => inferences(atServer).length === 2 && inferences(atHelper).length === 2)).toBe(true)
    for (const events of [atServer, atHelper]) {
      expect(inferences(events).map(({ error }) => error === undefined)).toEqual([true, false])
    }
    await Promise.all([client, ...clients].map((each) => each.release()))
    await site.server.release()
    await helper.release()
  })

  test('drains: an inference in progress ends, then its client goes, and nobody new comes in', async () => {
    const helper = await createHelper()
    const site = await SecurennSite.create(compiled, helper)
    const { client, compare } = await site.seat()
    expect(await compare(input)).toBeNull() // the server's connection for this client is there
    const answer = compare(input)
    const drained = Promise.all([site.server.drain(60_000), helper.drain(60_000)])
    expect(await answer).toBeNull()
    expect((await failure(site.seat()))?.code).toBe('PEER_GONE')
    expect(await drained).toEqual([true, true])
    expect((await client.closed).code).toBe('PEER_GONE')
    await site.server.release()
    await helper.release()
  })
})
