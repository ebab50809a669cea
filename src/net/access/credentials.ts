// How a caller says who it is while a WebSocket opens: a token in the Authorization header where headers can be set (RFC
// 6750), else as a subprotocol, as pages can set nothing else. Never in a URL, which ends up in logs. And what the codes
// mean with which a listener refuses.
import { RingfenceError } from '../../errors.js'
import type { PeerRole } from './peer.js'

/** The one subprotocol a listener ever selects. */
export const SUBPROTOCOL = 'ringfence.v1'
const TOKEN = 'ringfence.token.'
const ROLE = 'ringfence.role.'
const MAX_TOKEN = 4096

/** Who calls. */
export interface Credentials {
  role: PeerRole
  /** As RFC 6750 §2.1 has it: letters, digits and `-._~+/`, padded with `=`. */
  token?: string
}

/** @throws RingfenceError BAD_INPUT for a token that cannot travel in a header */
export function checkToken(token: string | undefined): void {
  if (token === undefined || (token.length <= MAX_TOKEN && /^[\w.~+/-]+=*$/.test(token))) return
  const what = `expected a token of at most ${MAX_TOKEN} letters, digits and -._~+/, padded with =`
  throw new RingfenceError('BAD_INPUT', `${what}, got ${token.length} characters of which some are others`)
}

export const bearer = (token: string): string => `Bearer ${token}`

/** Subprotocols to offer; none where there is nothing to say, as not every listener selects one. */
export function subprotocols({ role, token }: Credentials): string[] {
  if (role === 'client' && token === undefined) return []
  const encoded = token === undefined ? [] : [TOKEN + base64url(token)]
  return [SUBPROTOCOL, ...(role === 'client' ? [] : [ROLE + role]), ...encoded]
}

/** The credentials in a request's headers. A role that is none and a token that cannot be read are nobody's. */
export function readCredentials(headers: { authorization?: string; 'sec-websocket-protocol'?: string }): Credentials {
  const offers = (headers['sec-websocket-protocol'] ?? '').split(',').map((offer) => offer.trim())
  const [, inHeader] = /^Bearer +([\w.~+/-]+=*)$/i.exec(headers.authorization ?? '') ?? []
  const offered = offers.find((offer) => offer.startsWith(TOKEN))
  const token = inHeader ?? (offered && fromBase64url(offered.slice(TOKEN.length)))
  const role = offers.includes(`${ROLE}server`) ? 'server' : 'client'
  return token !== undefined && token.length <= MAX_TOKEN ? { role, token } : { role }
}

const base64url = (text: string): string => btoa(text).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')

function fromBase64url(text: string): string | undefined {
  try {
    return atob(text.replaceAll('-', '+').replaceAll('_', '/'))
  } catch {
    return undefined
  }
}

/** Why a caller is not let in. */
export type RefusalReason = 'unauthorized' | 'forbidden' | 'not found' | 'busy' | 'too large' | 'unavailable'

/** HTTP's codes (RFC 9110 §15.5, RFC 6585 §4); a page sees none of them, only how an open WebSocket closes: 4000 more. */
export const REFUSAL_STATUS: Readonly<Record<RefusalReason, number>> = {
  unauthorized: 401,
  forbidden: 403,
  'not found': 404,
  busy: 429,
  'too large': 413,
  unavailable: 503,
}

/** That a caller is not let in. */
export interface Refusal {
  reason: RefusalReason
  /** When it may try again, where that helps; milliseconds. */
  retryAfterMs?: number
}

/** When to try again, of those whom only the moment keeps outside, unless somebody knows better. */
const RETRY_MS = 2000

/** Fills in when to try again. */
export function refusing(reason: RefusalReason, retryAfterMs?: number): Refusal {
  const passes = reason === 'busy' || reason === 'unavailable'
  return passes ? { reason, retryAfterMs: retryAfterMs ?? RETRY_MS } : { reason }
}

/** As a WebSocket's closing reason, for pages, which see no header. */
export const closingReason = ({ reason, retryAfterMs }: Refusal): string =>
  retryAfterMs === undefined ? reason : `${reason} ${Math.ceil(retryAfterMs)}`

export function readClosingReason(text: string): number | undefined {
  const [, ms] = / (\d{1,9})$/.exec(text) ?? []
  return ms === undefined ? undefined : Number(ms)
}

/** HTTP's `Retry-After` (RFC 9110 §10.2.3), in seconds. */
export const retryAfter = ({ retryAfterMs }: Refusal): string | undefined =>
  retryAfterMs === undefined ? undefined : `${Math.ceil(retryAfterMs / 1000)}`

/** Milliseconds; undefined for dates, which none of us sends. */
export function readRetryAfter(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) * 1000 : undefined
}

/** What a caller learns of an HTTP status or, less 4000, of a close code; undefined for others. */
export function refusal(status: number, retryAfterMs?: number): RingfenceError | undefined {
  switch (status) {
    case 401:
      return new RingfenceError('UNAUTHORIZED', 'the peer lets nobody in without a valid token; pass one as `token`')
    case 403:
      return new RingfenceError('UNAUTHORIZED', 'the peer does not let this caller in; ask whoever runs it')
    case 404:
      return new RingfenceError('BAD_INPUT', 'there is nothing at this path; correct the URL')
    case 429:
      return turnedAway('the peer takes no more connections of this caller; close some or', retryAfterMs)
    case 503:
      return turnedAway('the peer takes no more connections for the moment;', retryAfterMs)
    default:
      return undefined
  }
}

function turnedAway(what: string, retryAfterMs: number | undefined): RingfenceError {
  const when = retryAfterMs === undefined ? 'later' : `in ${Math.ceil(retryAfterMs / 1000)} s`
  return new RingfenceError('BUSY', `${what} come back ${when}`, [], { retryAfterMs })
}
