// What a principal may still use: asked before anything is promised to it.
import { RingfenceError } from '../errors.js'
import type { Peer } from '../net/index.js'

/**
 * Takes up to `count` inferences off a peer's allowance.
 * @returns how many it got, at least one
 * @throws RingfenceError BUSY when there will be more later, UNAUTHORIZED when it is used up
 */
export function spend({ principal }: Peer, count: number): number {
  const { granted, retryAfterMs } = principal?.spend?.(count) ?? { granted: count }
  if (granted > 0) return Math.min(granted, count)
  if (retryAfterMs === undefined) {
    throw new RingfenceError('UNAUTHORIZED', 'the allowance of inferences is used up; ask for a larger one')
  }
  const seconds = Math.ceil(retryAfterMs / 1000)
  const what = `the allowance of inferences per minute is used up; come back in ${seconds} s`
  throw new RingfenceError('BUSY', what, [], { retryAfterMs })
}
