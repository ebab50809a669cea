// What one party tells another about its own failure: the error's code, when to come back, and nothing else. The words a
// user reads come from the table below on the reader's side, so neither a secret nor a peer's free text travels.
import { type ErrorCode, MAX_RETRY_MS, RingfenceError } from '../errors.js'

const PUBLIC_TEXT: Readonly<Record<ErrorCode, string>> = {
  BAD_FILE: 'it could not read one of its files; see its own log',
  BAD_INPUT: 'it was given an argument it cannot take; see its own log',
  UNSUPPORTED: 'it cannot run what was asked; use the same version and plan on all sides',
  PLAN_MISMATCH: 'it holds another plan; give all parties the same model and settings',
  PROTOCOL: 'it received a message the protocol does not allow; use the same version on all sides',
  WRONG_PARTY: 'it was reached as another party than it is; see which address leads to whom',
  FRAME: 'it received a truncated, oversized or malformed frame',
  PEER_GONE: 'it lost another party; try again when that party is back',
  PEER_FAILED: 'another party reported a failure to it; see the log there',
  DEADLINE:
    'another party did not answer it in time; try again, or allow that party more time: --deadline SECONDS there',
  ABORTED: 'its user stopped it',
  STORE_FULL: 'it has no room for more one-time material; try again later',
  BUSY: 'it serves as many as it can; come back later',
  UNAUTHORIZED: 'it does not let this caller in, or no longer; ask whoever runs it for a token or a larger allowance',
  CHEATED:
    'it was sent what no client that follows the protocol sends; the session has ended, start a new one with an unchanged client',
  MATERIAL_USED: 'one-time material was used up or never dealt; deal a new bundle',
  INSECURE: 'it refused something that would weaken the guarantees; see its own log',
  HOST: 'its host lacks something it needs; see its own log',
}

/** What a failure frame says. */
export interface Failure {
  readonly code: ErrorCode
  /** At most ten minutes. */
  readonly retryAfterMs?: number
}

/** `CODE`, or `CODE milliseconds`. That a peer of one's own was another party is no fault of who is told: it gets PEER_FAILED. */
export function failurePayload(failure: Failure & { readonly cause?: unknown }): Uint8Array {
  const { retryAfterMs } = failure
  const code = failure.code === 'WRONG_PARTY' && failure.cause ? 'PEER_FAILED' : failure.code
  return new TextEncoder().encode(retryAfterMs === undefined ? code : `${code} ${retryAfterMs}`)
}

/** What a failure frame says, or undefined when it is nothing this version knows. */
export function readFailure(payload: Uint8Array, maxBytes: number): Failure | undefined {
  if (payload.byteLength > maxBytes) return undefined
  const [, code, wait] = /^([A-Z_]+)(?: (\d{1,6}))?$/.exec(new TextDecoder().decode(payload)) ?? []
  if (code === undefined || !Object.hasOwn(PUBLIC_TEXT, code)) return undefined
  if (wait === undefined) return { code: code as ErrorCode }
  return Number(wait) <= MAX_RETRY_MS ? { code: code as ErrorCode, retryAfterMs: Number(wait) } : undefined
}

/**
 * What a caller gets: BUSY, CHEATED and WRONG_PARTY as such, for there is nothing to look up in the peer's log; else PEER_FAILED, whose `cause` is a
 * RingfenceError with the peer's own code.
 */
export function peerFailure(peer: string, failure: Failure | undefined): RingfenceError {
  if (failure === undefined) return new RingfenceError('PEER_FAILED', `the ${peer} failed for a reason unknown here`)
  const { code, retryAfterMs } = failure
  const cause = new RingfenceError(code, PUBLIC_TEXT[code], [], { retryAfterMs })
  if (code === 'BUSY') return busy(`the ${peer}`, retryAfterMs, cause)
  if (code === 'WRONG_PARTY') return wrongParty(peer, cause)
  const what = `the ${peer} failed with ${code}: ${PUBLIC_TEXT[code]}`
  return new RingfenceError(code === 'CHEATED' ? code : 'PEER_FAILED', what, [], { cause, retryAfterMs })
}

function wrongParty(peer: string, cause: RingfenceError): RingfenceError {
  const came = `expected a ${peer} at the ${peer}'s address, another party answers there`
  return new RingfenceError('WRONG_PARTY', `${came}; see that no addresses are swapped`, [], {
    cause,
    retryAfterMs: cause.retryAfterMs,
  })
}

/** BUSY, of `who`. */
export function busy(who: string, retryAfterMs?: number, cause?: RingfenceError): RingfenceError {
  const when = retryAfterMs === undefined ? 'later' : `in ${Math.ceil(retryAfterMs / 1000)} s`
  return new RingfenceError('BUSY', `${who} serves as many as it can; come back ${when}`, [], { retryAfterMs, cause })
}
