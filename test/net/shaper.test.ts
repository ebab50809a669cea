import { expect, test } from 'vitest'
import { type Clock, memoryPair, networkProfiles, shape } from '../../src/net/index.js'
import { channelCompliance } from './compliance.js'

channelCompliance('shaped memory, shaped end first', {
  async open(options) {
    const [a, b] = memoryPair(options)
    return [shape(a, { rttMs: 4, upBitsPerSecond: 2e10, downBitsPerSecond: 2e10, ...options }), b]
  },
})

channelCompliance('shaped memory, shaped end second', {
  async open(options) {
    const [a, b] = memoryPair(options)
    return [b, shape(a, { rttMs: 4, upBitsPerSecond: 2e10, downBitsPerSecond: 2e10, ...options })]
  },
})

/** Time that moves only when everybody sleeps. */
class ManualClock implements Clock {
  time = 0
  readonly #sleepers: { until: number; wake: () => void }[] = []

  now = () => this.time
  sleep = (ms: number) =>
    new Promise<void>((wake) => {
      this.#sleepers.push({ until: this.time + ms, wake })
    })

  async run(): Promise<void> {
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve))
      const next = this.#sleepers.sort((a, b) => a.until - b.until).shift()
      if (next === undefined) return
      this.time = next.until
      next.wake()
    }
  }
}

const profile = { rttMs: 60, upBitsPerSecond: 8e6, downBitsPerSecond: 8e7 } // 1 and 10 bytes per microsecond

async function arrivals(from: 'near' | 'far', sizes: number[]): Promise<number[]> {
  const clock = new ManualClock()
  const [inner, far] = memoryPair()
  const near = shape(inner, { ...profile, now: clock.now, sleep: clock.sleep })
  const [sender, receiver] = from === 'near' ? [near, far] : [far, near]
  const times: number[] = []
  for (const size of sizes) {
    sender.send(new Uint8Array(size))
    void receiver.receive().then(() => times.push(clock.time))
  }
  await clock.run()
  return times
}

test('up: each message waits for the ones before it, then half a round trip', async () => {
  expect(await arrivals('near', [1000, 5000, 0, 2000])).toEqual([31, 36, 36, 38])
})

test('down: the other rate', async () => {
  expect(await arrivals('far', [1000, 5000, 0, 2000])).toEqual(
    [30.1, 30.6, 30.6, 30.8].map((t) => expect.closeTo(t, 9)),
  )
})

test('the two directions do not wait for each other', async () => {
  const clock = new ManualClock()
  const [inner, far] = memoryPair()
  const near = shape(inner, { ...profile, now: clock.now, sleep: clock.sleep })
  const seen: Record<string, number> = {}
  near.send(new Uint8Array(10_000))
  far.send(new Uint8Array(10_000))
  void near.receive().then(() => (seen.near = clock.time))
  void far.receive().then(() => (seen.far = clock.time))
  await clock.run()
  expect(seen).toEqual({ near: 31, far: 40 })
})

test('close travels behind the messages and takes its time too', async () => {
  const clock = new ManualClock()
  const [inner, far] = memoryPair()
  const near = shape(inner, { ...profile, now: clock.now, sleep: clock.sleep })
  near.send(new Uint8Array(1000))
  near.close()
  const got: [number, number | string][] = []
  void far.receive().then((message) => got.push([clock.time, message.byteLength]))
  void far.receive().catch((error) => got.push([clock.time, error.code]))
  await clock.run()
  expect(got).toEqual([
    [31, 1000],
    [31, 'PEER_GONE'],
  ])
})

test('the real clock: a round trip of 40 ms is never early, and on time as soon as the machine lets it', async () => {
  const [inner, far] = memoryPair()
  const near = shape(inner, networkProfiles.wan40)
  let least = Number.POSITIVE_INFINITY
  // A shaper that is late by itself is late every time; a machine that is busy is not.
  for (let i = 0; i < 500 && (i < 5 || least > 0.5); i++) {
    const start = performance.now()
    near.send(new Uint8Array(1250)) // 0.1 ms at 100 Mbit/s
    far.send(await far.receive())
    await near.receive()
    const late = performance.now() - start - 40.2
    expect(late).toBeGreaterThan(-0.01)
    least = Math.min(least, late)
  }
  expect(least).toBeLessThanOrEqual(0.5)
})
