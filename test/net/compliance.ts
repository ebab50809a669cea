// What every channel must do, whatever carries it. Each adapter's test runs this suite once.
import { afterEach, describe, expect, test, vi } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { deadlineClock } from '../../src/net/clock.js'
import type { Channel, ChannelOptions } from '../../src/net/index.js'

export interface Adapter {
  /** Two connected ends; `options` are for both. */
  open(options?: ChannelOptions): Promise<[Channel, Channel]>
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'resolved',
    (error) => (error instanceof RingfenceError ? error.code : `untyped ${error}`),
  )
}

const within = { deadlineMs: 60_000 }

function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) bytes[i] = (i * 7 + (i >> 8) + seed) & 255
  return bytes
}

export function channelCompliance(name: string, adapter: Adapter): void {
  describe(`${name}: channel compliance`, () => {
    let ends: Channel[] = []
    const open = async (options?: ChannelOptions) => {
      const pair = await adapter.open(options)
      ends = pair
      return pair
    }
    afterEach(async () => {
      for (const end of ends) end.close()
      await Promise.all(ends.map((end) => end.closed))
      ends = []
    })

    test('messages keep order and boundaries, from 0 bytes to 3 MiB', async () => {
      const [a, b] = await open()
      const lengths = [0, 1, 7, 8, 0, 125, 126, 4096, 65_535, 65_536, 300_000, 3 * 2 ** 20, 2]
      for (const [i, length] of lengths.entries()) a.send(pattern(length, i))
      for (const [i, length] of lengths.entries()) {
        const message = await b.receive(within)
        expect(message).toBeInstanceOf(Uint8Array)
        expect(message.byteLength).toBe(length)
        expect(Buffer.compare(message, pattern(length, i))).toBe(0)
      }
    })

    test('500 small messages stay in order', async () => {
      const [a, b] = await open()
      for (let i = 0; i < 500; i++) b.send(new Uint8Array(new Uint32Array([i]).buffer))
      for (let i = 0; i < 500; i++) expect(new Uint32Array((await a.receive(within)).slice().buffer)[0]).toBe(i)
    })

    test('both directions at once', async () => {
      const [a, b] = await open()
      const run = async (end: Channel, seed: number) => {
        for (let i = 0; i < 40; i++) end.send(pattern(20_000 + i, seed + i))
        for (let i = 0; i < 40; i++) {
          const message = await end.receive(within)
          if (Buffer.compare(message, pattern(20_000 + i, 1 - seed + i)) !== 0) throw new Error(`message ${i} differs`)
        }
      }
      await Promise.all([run(a, 0), run(b, 1)])
    })

    test('a view of a larger buffer sends its own bytes and leaves the rest alone', async () => {
      const [a, b] = await open()
      const whole = pattern(1000, 3)
      a.send(whole.subarray(100, 200))
      expect([...(await b.receive(within))]).toEqual([...pattern(1000, 3).subarray(100, 200)])
      expect(whole.byteLength).toBe(1000)
    })

    test('the two sides share no memory', async () => {
      const [a, b] = await open()
      const sent = pattern(100, 5)
      a.send(sent)
      const received = await b.receive(within)
      received.fill(0)
      if (sent.byteLength > 0) expect(sent[1]).not.toBe(0)
      expect(sent.buffer).not.toBe(received.buffer)
    })

    test('what was sent before close arrives, then PEER_GONE, every time', async () => {
      const [a, b] = await open()
      for (let i = 0; i < 5; i++) a.send(pattern(100_000, i))
      a.close('finished')
      for (let i = 0; i < 5; i++) expect((await b.receive(within))[0]).toBe(i)
      expect(await codeOf(b.receive(within))).toBe('PEER_GONE')
      expect(await codeOf(b.receive(within))).toBe('PEER_GONE')
      expect(await codeOf(b.drained())).toBe('PEER_GONE')
      await Promise.all([a.closed, b.closed])
    })

    test('close on this side rejects pending and later receives, and sending then does nothing', async () => {
      const [a] = await open()
      const pending = codeOf(a.receive(within))
      a.close()
      a.close()
      expect(await pending).toBe('ABORTED')
      expect(await codeOf(a.receive(within))).toBe('ABORTED')
      a.send(new Uint8Array(3))
      await a.closed
    })

    test('a pending receive learns that the peer closed', async () => {
      const [a, b] = await open()
      const pending = codeOf(b.receive(within))
      a.close()
      expect(await pending).toBe('PEER_GONE')
      b.send(new Uint8Array(3))
    })

    test('both sides close at the same time', async () => {
      const [a, b] = await open()
      a.close()
      b.close()
      await Promise.all([a.closed, b.closed])
    })

    test('a deadline takes no message', async () => {
      const [a, b] = await open()
      expect(await codeOf(b.receive({ deadlineMs: 5 }))).toBe('DEADLINE')
      const late = codeOf(b.receive({ deadlineMs: 5 }))
      const patient = b.receive(within)
      expect(await late).toBe('DEADLINE')
      for (let i = 0; i < 3; i++) a.send(pattern(10, i))
      expect((await patient)[0]).toBe(0)
      expect((await b.receive(within))[0]).toBe(1)
      expect((await b.receive(within))[0]).toBe(2)
    })

    test('deadlines hold in any order, and none is left over for the next', async () => {
      const [a, b] = await open()
      const patient = b.receive(within)
      expect(await codeOf(b.receive({ deadlineMs: 5 }))).toBe('DEADLINE')
      a.send(pattern(10, 1))
      expect((await patient)[0]).toBe(1)
      const served = b.receive({ deadlineMs: 40 })
      a.send(pattern(10, 2))
      expect((await served)[0]).toBe(2)
      const since = deadlineClock.now()
      expect(await codeOf(b.receive({ deadlineMs: 200 }))).toBe('DEADLINE')
      expect(deadlineClock.now() - since).toBeGreaterThanOrEqual(200)
      a.send(pattern(10, 3))
      expect((await b.receive(within))[0]).toBe(3)
    })

    test('one timer serves all that wait, and keeps no process alive once nobody does', async () => {
      const [a, b] = await open()
      const timers = vi.spyOn(globalThis, 'setTimeout')
      for (let i = 0; i < 20; i++) {
        const next = b.receive({ deadlineMs: 123_456 })
        a.send(pattern(10, i))
        expect((await next)[0]).toBe(i)
      }
      const set = timers.mock.calls.flatMap(([, ms], i) =>
        Math.abs(ms! - 123_456) < 2 ? [timers.mock.results[i]] : [],
      )
      timers.mockRestore()
      expect(set).toHaveLength(1)
      const [{ value: alarm }] = set
      expect(alarm.hasRef()).toBe(false)
      const last = b.receive({ deadlineMs: 234_567 })
      expect(alarm.hasRef()).toBe(true)
      a.send(pattern(10, 99))
      expect((await last)[0]).toBe(99)
    })

    test('who waits without a deadline behind one that had one keeps no process alive', async () => {
      const [a, b] = await open()
      const timers = vi.spyOn(globalThis, 'setTimeout')
      const [timed, patient] = [b.receive({ deadlineMs: 123_456 }), b.receive()]
      const at = timers.mock.calls.findIndex(([, ms]) => Math.abs(ms! - 123_456) < 2)
      const { value: alarm } = timers.mock.results[at]
      timers.mockRestore()
      expect(alarm.hasRef()).toBe(true)
      a.send(pattern(10, 1))
      expect((await timed)[0]).toBe(1)
      expect(alarm.hasRef()).toBe(false)
      a.send(pattern(10, 2))
      expect((await patient)[0]).toBe(2)
    })

    test('a deadline that is no number is over at once, as of a timer', async () => {
      const [, b] = await open()
      expect(await codeOf(b.receive({ deadlineMs: Number.NaN }))).toBe('DEADLINE')
    })

    test('an abort takes no message, before or while waiting', async () => {
      const [a, b] = await open()
      const control = new AbortController()
      const pending = codeOf(b.receive({ signal: control.signal, ...within }))
      control.abort()
      expect(await pending).toBe('ABORTED')
      a.send(pattern(4, 9))
      expect(await codeOf(b.receive({ signal: control.signal }))).toBe('ABORTED')
      expect((await b.receive(within))[0]).toBe(9)
    })

    test('several receivers are served in the order they asked', async () => {
      const [a, b] = await open()
      const receivers = [0, 1, 2].map(() => b.receive(within))
      for (let i = 0; i < 3; i++) a.send(pattern(1, i))
      expect((await Promise.all(receivers)).map((message) => message[0])).toEqual([0, 1, 2])
    })

    test('a flooded inbox ends the channel with FRAME, in order', async () => {
      const [a, b] = await open({ inboxLimit: 50_000 })
      for (let i = 0; i < 10; i++) a.send(pattern(10_000, i))
      await b.closed
      await a.closed
      expect((await b.receive(within))[0]).toBe(0)
      const rest = await Promise.all(Array.from({ length: 10 }, () => codeOf(b.receive(within))))
      expect(rest.at(-1)).toBe('FRAME')
      expect(await codeOf(a.receive(within))).toBe('PEER_GONE')
    })

    test('a flood of empty messages meets the limit too', async () => {
      const [a, b] = await open({ inboxLimit: 20_000 })
      for (let i = 0; i < 1000; i++) a.send(new Uint8Array(0))
      await b.closed
      const codes = await Promise.all(Array.from({ length: 1000 }, () => codeOf(b.receive(within))))
      expect(codes.at(-1)).toBe('FRAME')
    })

    test('a sender that awaits drained() can stream past a slow receiver', async () => {
      const [a, b] = await open()
      const total = 96
      const send = async () => {
        for (let i = 0; i < total; i++) {
          a.send(pattern(2 ** 20, i))
          await a.drained()
          await new Promise((resolve) => setImmediate(resolve))
        }
      }
      const receive = async () => {
        for (let i = 0; i < total; i++) {
          if (i % 16 === 0) await new Promise((resolve) => setTimeout(resolve, 20))
          expect((await b.receive(within))[0]).toBe(i & 255)
        }
      }
      await Promise.all([send(), receive()])
    })
  })
}
