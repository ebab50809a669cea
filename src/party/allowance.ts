// What a principal may still use: asked before anything is promised to it.
import { RingfenceError } from '../errors.js'
import type { Allowance, Peer } from '../net/index.js'

/** Takes up to `count` inferences off a peer's allowance. */
export function spend({ principal }: Peer, count: number): Allowance {
  return principal?.spend?.(count) ?? { granted: count }
}

/** Why a peer was granted nothing, as its client is told: used up for now, or for good. */
export function refused({ retryAfterMs }: Allowance): RingfenceError {
  if (retryAfterMs === undefined) {
    return new RingfenceError('UNAUTHORIZED', 'the allowance of inferences is used up; ask for a larger one')
  }
  const what = `the allowance of inferences per minute is used up; come back in ${Math.ceil(retryAfterMs / 1000)} s`
  return new RingfenceError('BUSY', what, [], { retryAfterMs })
}
