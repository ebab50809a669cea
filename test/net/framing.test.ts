import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RingfenceError } from '../../src/errors.js'
import { type Channel, FAILURE_KIND, HEADER_BYTES, Link, Meter, memoryPair, Phase } from '../../src/net/index.js'
import { codeOf } from './compliance.js'

const MAX = 1000
const options = { deadlineMs: 60_000, maxFrame: MAX }

function links(): { near: Link; far: Link; raw: Channel; meter: Meter } {
  const [a, b] = memoryPair()
  const meter = new Meter()
  return {
    near: new Link(a, { name: 'server', meter, ...options }),
    far: new Link(b, { name: 'client', ...options }),
    raw: b,
    meter,
  }
}

function header(length: number, kind: number, phase: number, step: number, payload: number[] = []): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + payload.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, length, true)
  view.setUint8(4, kind)
  view.setUint8(5, phase)
  view.setUint16(6, step, true)
  bytes.set(payload, HEADER_BYTES)
  return bytes
}

describe('frames', () => {
  test('the header is u32 length, u8 kind, u8 phase, u16 step, little-endian', async () => {
    const { near, raw } = links()
    near.send(7, Phase.online, 0x0102, new Uint8Array([9, 8, 7]))
    expect([...(await raw.receive())]).toEqual([3, 0, 0, 0, 7, 2, 0x02, 0x01, 9, 8, 7])
  })

  test('what is sent is received, aligned, without a copy', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(253),
        fc.constantFrom(...Object.values(Phase)),
        fc.nat(65535),
        fc.uint8Array({ maxLength: 300 }),
        async (kind, phase, step, payload) => {
          const { near, far } = links()
          near.send(kind, phase, step, payload)
          const received = await far.receive(kind, phase, step, payload.length)
          expect([...received]).toEqual([...payload])
          expect(received.byteOffset).toBe(HEADER_BYTES)
        },
      ),
      { numRuns: 200 },
    )
  })

  test('a frame can be written in place, and is sent once', async () => {
    const { near, far } = links()
    const view = near.frame(1, Phase.offline, 2, 4)
    view.fill(5)
    near.sendFrame(view)
    expect([...(await far.receive(1, Phase.offline, 2, 4))]).toEqual([5, 5, 5, 5])
    expect(() => near.sendFrame(view)).toThrow(/once/)
    expect(() => near.sendFrame(near.frame(1, Phase.offline, 2, 4).subarray(1))).toThrow(/whole view/)
    expect(() => near.sendFrame(new Uint8Array(4))).toThrow(/whole view/)
  })

  test('a frame that is too large, or whose header does not fit, is not made', () => {
    const { near } = links()
    expect(near.frame(0, Phase.setup, 0, MAX).byteLength).toBe(MAX)
    expect(() => near.frame(0, Phase.setup, 0, MAX + 1)).toThrow(/maxFrame/)
    expect(() => near.frame(FAILURE_KIND, Phase.setup, 0, 0)).toThrow(/kind/)
    expect(() => near.frame(0, Phase.setup, 65536, 0)).toThrow(/step/)
  })
})

describe('faults', () => {
  test.each([
    ['empty', new Uint8Array(0)],
    ['truncated header', new Uint8Array(7)],
    ['more promised than sent', header(4, 1, 2, 3, [1, 2, 3])],
    ['more sent than promised', header(2, 1, 2, 3, [1, 2, 3])],
    ['length near 2^32', header(0xffffffff, 1, 2, 3, [1, 2, 3])],
    ['unknown phase', header(3, 1, 3, 3, [1, 2, 3])],
    ['oversized', header(MAX + 1, 1, 2, 3, new Array(MAX + 1).fill(0))],
    ['another length', header(4, 1, 2, 3, [1, 2, 3, 4])],
  ])('%s: FRAME', async (_, message) => {
    const { near, raw } = links()
    raw.send(message)
    const error = await near.receive(1, Phase.online, 3, 3).catch((e) => e)
    expect(error.code).toBe('FRAME')
    expect(error.message).toContain('server')
  })

  test('the wrong length says expected and actual', async () => {
    const { near, far } = links()
    far.send(1, Phase.online, 3, new Uint8Array(40))
    await expect(near.receive(1, Phase.online, 3, 44)).rejects.toThrow(/expected 44 bytes, got 40/)
  })

  test.each([
    [2, Phase.online, 3],
    [1, Phase.offline, 3],
    [1, Phase.online, 4],
  ])('kind %i, phase %i, step %i where 1, 2, 3 is due: PROTOCOL', async (kind, phase, step) => {
    const { near, far } = links()
    far.send(kind, phase, step, new Uint8Array(3))
    expect(await codeOf(near.receive(1, Phase.online, 3, 3))).toBe('PROTOCOL')
  })

  test('receiveAny takes any frame up to its own bound', async () => {
    const { near, far } = links()
    far.send(9, Phase.setup, 1, new Uint8Array([1, 2]))
    expect(await near.receiveAny(2)).toEqual({ kind: 9, phase: Phase.setup, step: 1, payload: new Uint8Array([1, 2]) })
    far.send(9, Phase.setup, 1, new Uint8Array(3))
    await expect(near.receiveAny(2)).rejects.toThrow(/at most 2 bytes are due, got 3/)
  })

  test('random messages only ever give typed errors or frames, and no byte of them reaches an error', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }), async (messages) => {
        const { near, raw } = links()
        for (const message of messages) raw.send(message)
        raw.close()
        for (let i = 0; i <= messages.length; i++) {
          const error = await near.receiveAny(20).catch((e) => e)
          if (error instanceof Error) expect(error).toBeInstanceOf(RingfenceError)
        }
        expect(await codeOf(near.receiveAny(20))).toBe('PEER_GONE')
      }),
      { numRuns: 500 },
    )
  })

  test('plausible headers with random fields only ever give typed errors or frames', async () => {
    const byte = fc.nat(255)
    await fc.assert(
      fc.asyncProperty(
        fc.nat(20),
        byte,
        fc.nat(4),
        fc.nat(3),
        fc.array(byte, { maxLength: 20 }),
        async (length, ...rest) => {
          const { near, raw } = links()
          raw.send(header(length, ...rest))
          const got = await near.receive(1, Phase.online, 3, 3).catch((e) => e)
          const [kind, phase, step, payload] = rest
          const right = kind === 1 && phase === 2 && step === 3 && length === 3 && payload.length === 3
          expect(got instanceof RingfenceError).toBe(!right)
        },
      ),
      { numRuns: 500 },
    )
  })

  test('a deadline names the peer and the frame that is due, and loses nothing', async () => {
    const { near, far } = links()
    const error = await near.receive(1, Phase.online, 3, 1, { deadlineMs: 5 }).catch((e) => e)
    expect(error.code).toBe('DEADLINE')
    expect(error.message).toMatch(/kind 1 \(online, step 3\) from the server/)
    expect(error.message).toMatch(/within 5 ms; .*deadlineMs 1000, --deadline 1$/)
    far.send(1, Phase.online, 3, new Uint8Array(1))
    expect(await near.receive(1, Phase.online, 3, 1)).toEqual(new Uint8Array(1))
  })

  test('an abort and a closed peer keep their codes', async () => {
    const { near, far } = links()
    expect(await codeOf(near.receive(1, Phase.online, 3, 1, { signal: AbortSignal.abort() }))).toBe('ABORTED')
    far.close()
    expect(await codeOf(near.receive(1, Phase.online, 3, 1))).toBe('PEER_GONE')
  })
})

describe('failure frames', () => {
  test('the peer learns the code and nothing else', async () => {
    const { near, far, meter } = links()
    near.fail(new RingfenceError('PLAN_MISMATCH', 'the weight 17 is secret', ['so is this']))
    const error = await far.receive(1, Phase.online, 3, 3).catch((e) => e)
    expect(error.code).toBe('PEER_FAILED')
    expect(error.cause.code).toBe('PLAN_MISMATCH')
    expect(error.message).toContain('the client failed with PLAN_MISMATCH')
    expect(error.message).not.toMatch(/secret|so is/)
    expect(await codeOf(far.receive(1, Phase.online, 3, 3))).toBe('PEER_GONE')
    expect(await codeOf(near.receive(1, Phase.online, 3, 3))).toBe('ABORTED')
    expect(meter.report().links.server.setup.bytesSent).toBe(HEADER_BYTES + 'PLAN_MISMATCH'.length)
  })

  test.each([
    [[]],
    [[...Buffer.from('NO_SUCH_CODE')]],
    [[...Buffer.from('toString')]],
    [new Array(900).fill(65)],
    [[0xff, 0xfe]],
  ])('an unknown code %j is PEER_FAILED without its words', async (payload) => {
    const { near, raw } = links()
    raw.send(header(payload.length, FAILURE_KIND, 0, 0, payload))
    const error = await near.receive(1, Phase.online, 3, 3).catch((e) => e)
    expect(error.code).toBe('PEER_FAILED')
    expect(error.message).toBe('the server failed for a reason unknown here')
  })
})
