// What an error promises: every code, whether it is worth trying again, and whether its words say the same.
import { describe, expect, test } from 'vitest'
import { type ErrorCode, RingfenceError } from '../../src/errors.js'
import { busy, failurePayload, peerFailure, readFailure } from '../../src/net/failure.js'

/** Whether the same call may succeed with nothing changed. */
const RETRYABLE = {
  BAD_FILE: false,
  BAD_INPUT: false,
  UNSUPPORTED: false,
  PLAN_MISMATCH: false,
  PROTOCOL: false,
  WRONG_PARTY: false, // an address has to change
  FRAME: false,
  PEER_GONE: true, // the peer may be back
  PEER_FAILED: false, // of an unknown reason; else as the peer's own code
  DEADLINE: true, // it may be quicker
  ABORTED: false, // the caller wanted that
  STORE_FULL: true, // room comes back
  BUSY: true, // others finish
  UNAUTHORIZED: false,
  MATERIAL_USED: false, // somebody counts wrongly
  INSECURE: false,
  HOST: false,
  CHEATED: false, // an unchanged client is not caught
} as const satisfies Record<ErrorCode, boolean>
const CODES = Object.entries(RETRYABLE) as [ErrorCode, boolean][]

describe.each(CODES)('%s', (code, retryable) => {
  test(`is ${retryable ? '' : 'not '}retryable, here and as a peer's failure, whose words say so`, () => {
    const own = new RingfenceError(code, 'x', [], { retryAfterMs: 1500 })
    expect(own.retryable).toBe(retryable)
    const told = peerFailure('server', readFailure(failurePayload(own), 64))
    expect([told.retryable, told.retryAfterMs]).toEqual([retryable, 1500])
    expect((told.cause as RingfenceError).code).toBe(code)
    expect(told.code).toBe(['BUSY', 'CHEATED', 'WRONG_PARTY'].includes(code) ? code : 'PEER_FAILED')
    expect(/try again|come back/.test(told.message)).toBe(retryable)
  })
})

test('a peer that fails for a reason unknown here is not asked again', () => {
  expect(peerFailure('server', undefined)).toMatchObject({ code: 'PEER_FAILED', retryable: false })
})

test('who is busy says when to come back, in words and as a figure, ten minutes at most', () => {
  expect(busy('this party', 2500)).toMatchObject({ retryAfterMs: 2500, message: expect.stringContaining('in 3 s') })
  expect(busy('this party', 1e9).retryAfterMs).toBe(600_000)
})

test('that a party reached another one than it meant is told to nobody as their own mistake', () => {
  const text = (error: RingfenceError) => new TextDecoder().decode(failurePayload(error))
  const own = new RingfenceError('WRONG_PARTY', 'this is a helper')
  expect(text(own)).toBe('WRONG_PARTY')
  expect(text(new RingfenceError('WRONG_PARTY', 'expected a helper', [], { cause: own }))).toBe('PEER_FAILED')
})
