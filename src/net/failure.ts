// What one party tells another about its own failure: the error's code and nothing else. The words a user reads come
// from the table below on the reader's side, so neither a secret nor a peer's free text travels.
import { type ErrorCode, RingfenceError } from '../errors.js'

const PUBLIC_TEXT: Readonly<Record<ErrorCode, string>> = {
  BAD_FILE: 'it could not read one of its files; see its own log',
  BAD_INPUT: 'it was given an argument it cannot take; see its own log',
  UNSUPPORTED: 'it cannot run what was asked; use the same version and plan on all sides',
  PLAN_MISMATCH: 'it holds another plan; give all parties the same model and settings',
  PROTOCOL: 'it received a message the protocol does not allow; use the same version on all sides',
  FRAME: 'it received a truncated, oversized or malformed frame',
  PEER_GONE: 'it lost another party; try again when that party is back',
  PEER_FAILED: 'another party reported a failure to it; see the log there',
  DEADLINE: 'another party did not answer it in time; try again or allow more time',
  ABORTED: 'its user stopped it',
  STORE_FULL: 'it has no room for more one-time material; try again later',
  BUSY: 'it takes nothing more on for the moment; try again later',
  UNAUTHORIZED: 'it does not let this caller in, or no longer; ask whoever runs it for a token or a larger allowance',
  MATERIAL_USED: 'one-time material was used up or never dealt; deal a new bundle',
  INSECURE: 'it refused something that would weaken the guarantees; see its own log',
  HOST: 'its host lacks something it needs; see its own log',
}

export function failurePayload(code: ErrorCode): Uint8Array {
  return new TextEncoder().encode(code)
}

/** The code in a failure frame, or undefined when it is none this version knows. */
export function failureCode(payload: Uint8Array, maxBytes: number): ErrorCode | undefined {
  if (payload.byteLength > maxBytes) return undefined
  const code = new TextDecoder().decode(payload)
  return Object.hasOwn(PUBLIC_TEXT, code) ? (code as ErrorCode) : undefined
}

/** PEER_FAILED; its `cause` is a RingfenceError with the peer's own code. */
export function peerFailure(peer: string, code: ErrorCode | undefined): RingfenceError {
  if (code === undefined) return new RingfenceError('PEER_FAILED', `the ${peer} failed for a reason unknown here`)
  const cause = new RingfenceError(code, PUBLIC_TEXT[code])
  return new RingfenceError('PEER_FAILED', `the ${peer} failed with ${code}: ${PUBLIC_TEXT[code]}`, [], { cause })
}
