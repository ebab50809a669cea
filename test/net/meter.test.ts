import { expect, test } from 'vitest'
import { HEADER_BYTES, Link, Meter, memoryPair, Phase } from '../../src/net/index.js'

test('bytes and messages per step, header included, seen alike from both ends', async () => {
  const meters = [new Meter(), new Meter()]
  const [near, far] = memoryPair().map((channel, i) => {
    return new Link(channel, { name: 'peer', meter: meters[i], deadlineMs: 60_000, maxFrame: 100 })
  })
  near.send(1, Phase.online, 0, new Uint8Array(10))
  near.send(1, Phase.online, 4, new Uint8Array(20))
  await far.receive(1, Phase.online, 0, 10)
  await far.receive(1, Phase.online, 4, 20)
  far.send(2, Phase.online, 4, new Uint8Array(5))
  await near.receive(2, Phase.online, 4, 5)
  const [a, b] = meters.map((meter) => meter.report().links.peer.online)
  expect(a).toMatchObject({
    bytesSent: 30 + 2 * HEADER_BYTES,
    bytesReceived: 5 + HEADER_BYTES,
    messagesSent: 2,
    messagesReceived: 1,
    flights: 2,
  })
  expect(a.steps).toEqual([
    { step: 0, bytesSent: 18, bytesReceived: 0, messagesSent: 1, messagesReceived: 0, flights: 1 },
    { step: 4, bytesSent: 28, bytesReceived: 13, messagesSent: 1, messagesReceived: 1, flights: 1 },
  ])
  expect(b).toMatchObject({ bytesSent: a.bytesReceived, bytesReceived: a.bytesSent, flights: a.flights })
})

test('a flight is a change of direction, on one link, in one phase', () => {
  const meter = new Meter()
  for (const step of [0, 0, 1]) meter.sent('server', Phase.online, step, 1)
  meter.sent('helper', Phase.online, 1, 1)
  meter.received('server', Phase.offline, 1, 1)
  meter.sent('server', Phase.online, 2, 1)
  for (const step of [2, 3]) meter.received('server', Phase.online, step, 1)
  meter.sent('server', Phase.online, 3, 1)
  const { server, helper } = meter.report().links
  expect(server.online.flights).toBe(3)
  expect(server.online.steps.map(({ step, flights }) => [step, flights])).toEqual([
    [0, 1],
    [1, 0],
    [2, 1],
    [3, 1],
  ])
  expect([helper.online.flights, server.offline.flights, server.setup.flights]).toEqual([1, 1, 0])
})

test('what crosses the answers to a flight belongs to that flight, and so do its own answers', () => {
  const meter = new Meter()
  const count = () => meter.report().links.server.online.flights
  meter.sent('server', Phase.online, 0, 1)
  meter.received('server', Phase.online, 0, 1)
  meter.sent('server', Phase.online, 0, 1)
  meter.received('server', Phase.online, 1, 1, true)
  meter.sent('server', Phase.online, 1, 1)
  expect(count()).toBe(3)
  // Without that it waited for the answer.
  meter.received('server', Phase.online, 2, 1)
  meter.sent('server', Phase.online, 2, 1)
  expect(count()).toBe(5)
  expect(meter.report().links.server.online.steps.map(({ flights }) => flights)).toEqual([3, 0, 2])
})

test('time goes to the marked step', () => {
  const meter = new Meter()
  meter.mark(Phase.offline, 0, 100)
  meter.mark(Phase.online, 1, 110)
  meter.mark(Phase.online, 0, 115)
  meter.mark(Phase.online, 1, 118)
  meter.stop(120)
  meter.stop(500)
  const { offline, online, setup } = meter.report().milliseconds
  expect(offline).toEqual({ total: 10, steps: [{ step: 0, ms: 10 }] })
  expect(online.total).toBe(10)
  expect(online.steps).toEqual([
    { step: 0, ms: 3 },
    { step: 1, ms: 7 },
  ])
  expect(setup.total).toBe(0)
})

test('waits go to the marked step, and what overlaps counts once', () => {
  const meter = new Meter()
  meter.waited(0, 50) // nothing is marked
  meter.mark(Phase.online, 0, 100)
  meter.waited(90, 104)
  meter.waited(100, 106)
  meter.mark(Phase.online, 1, 110)
  meter.waited(112, 115)
  meter.stop(120)
  const { waiting, milliseconds } = meter.report()
  expect(waiting.online).toEqual({
    total: 9,
    steps: [
      { step: 0, ms: 6 },
      { step: 1, ms: 3 },
    ],
  })
  expect(milliseconds.online.total).toBe(20)
  meter.reset(Phase.online)
  expect(meter.report().waiting.online.total).toBe(0)
})

test('reset forgets one phase, or all', () => {
  const meter = new Meter()
  const fill = () => {
    meter.sent('server', Phase.offline, 0, 1)
    meter.sent('server', Phase.online, 0, 1)
    meter.mark(Phase.online, 0, 0)
    meter.stop(5)
  }
  fill()
  meter.reset(Phase.online)
  expect(meter.report().links.server).toMatchObject({ offline: { bytesSent: 1 }, online: { bytesSent: 0, steps: [] } })
  expect(meter.report().milliseconds.online.total).toBe(0)
  fill()
  expect(meter.report().links.server).toMatchObject({ offline: { bytesSent: 2, flights: 1 }, online: { flights: 1 } })
  meter.reset()
  expect(meter.report().links.server).toMatchObject({ offline: { bytesSent: 0 }, online: { bytesSent: 0 } })
})

test('a report is plain JSON', () => {
  const meter = new Meter()
  meter.sent('server', Phase.online, 0, 1)
  meter.mark(Phase.online, 0, 0)
  meter.stop(1)
  expect(JSON.parse(JSON.stringify(meter.report()))).toEqual(meter.report())
})
