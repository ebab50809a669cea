// Requests with one answer each, over fetch: where they may go, and what a refusal means.
import { moreTime, RingfenceError } from '../errors.js'
import { refusal } from '../net/access/credentials.js'
import { EXCHANGE_PATH } from '../net/exchange/exchange.js'
import { peerFailure, readFailure } from '../net/failure.js'
import { isLoopback } from '../net/loopback.js'

/** `fetch`, or what stands for it. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

export interface RequestOptions {
  readonly fetch: Fetch
  readonly token?: string | undefined
  readonly signal?: AbortSignal | undefined
  readonly deadlineMs: number
}

/** Longest refusal that is read. */
const REFUSAL_BYTES = 64

/**
 * Where a party takes requests: behind its path, with what its address asks for.
 * @throws RingfenceError BAD_INPUT for something that is no address, INSECURE for plain text off this machine
 */
export function requestUrl(name: string, base: string): string {
  const url = URL.canParse(base) ? new URL(base) : undefined
  const scheme = url?.protocol.replace('ws', 'http')
  if (scheme !== 'https:' && scheme !== 'http:') {
    throw new RingfenceError(
      'BAD_INPUT',
      `${name}: expected a URL that starts with https:// (or http:// on this machine)`,
    )
  }
  if (scheme === 'http:' && !isLoopback(url!.hostname)) {
    const what = `${name}: refused ${url!.protocol}//${url!.host}: plain text off this machine shows requests to others`
    throw new RingfenceError('INSECURE', `${what}; use https://`)
  }
  return `${scheme}//${url!.host}${url!.pathname.replace(/\/$/, '')}${EXCHANGE_PATH}${url!.search}`
}

/**
 * One request.
 * @param name of the party, for messages; @param body of a POST, none for a GET; @param mostBytes of an answer
 * @throws RingfenceError PEER_GONE when nobody answers, DEADLINE, ABORTED, UNAUTHORIZED, BUSY, PLAN_MISMATCH, or PEER_FAILED with
 *   the peer's code as its cause; FRAME for an answer that is too long
 */
export async function request(
  name: string,
  url: string,
  body: Uint8Array<ArrayBuffer> | undefined,
  mostBytes: number,
  { fetch, token, signal, deadlineMs }: RequestOptions,
): Promise<Uint8Array> {
  const limit = AbortSignal.timeout(deadlineMs)
  const headers: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` }
  const init: RequestInit = {
    method: body ? 'POST' : 'GET',
    ...(body && { body }),
    ...{ headers, credentials: 'omit', cache: 'no-store', redirect: 'error', referrerPolicy: 'no-referrer' },
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
  }
  try {
    const response = await fetch(url, init)
    const bytes = await bounded(response, response.ok ? mostBytes : REFUSAL_BYTES, name)
    if (response.ok) return bytes
    throw refused(name, response, bytes)
  } catch (cause) {
    if (cause instanceof RingfenceError) throw cause
    if (signal?.aborted) throw new RingfenceError('ABORTED', 'the call was aborted', [], { cause: signal.reason })
    if (limit.aborted) {
      throw new RingfenceError(
        'DEADLINE',
        `the ${name} did not answer within ${deadlineMs} ms; ${moreTime(deadlineMs)}`,
      )
    }
    const what = `the ${name} cannot be reached; see whether it runs, and whether it and this page's policy allow requests`
    throw new RingfenceError('PEER_GONE', what, [], { cause })
  }
}

/** The body, of which no more is kept than is due. */
async function bounded(response: Response, most: number, name: string): Promise<Uint8Array> {
  const out = new Uint8Array(most)
  let length = 0
  const reader = response.body?.getReader()
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true }
    if (done || !value) return out.subarray(0, length)
    if (length + value.byteLength > most) {
      void reader?.cancel()
      if (!response.ok) return out.subarray(0, 0)
      throw new RingfenceError('FRAME', `the ${name} answers with more than the ${most} bytes that are due`)
    }
    out.set(value, length)
    length += value.byteLength
  }
}

/** Codes that mean the same to an owner as to the party that told them. */
const OWN = new Set(['PEER_GONE', 'DEADLINE', 'STORE_FULL', 'UNAUTHORIZED', 'PLAN_MISMATCH', 'UNSUPPORTED'])

function refused(name: string, { status }: Response, body: Uint8Array): RingfenceError {
  const failure = readFailure(body, REFUSAL_BYTES)
  if (!failure)
    return refusal(status) ?? new RingfenceError('PEER_FAILED', `the ${name} answered with status ${status}`)
  const error = peerFailure(`${name}`, failure)
  const { cause, retryAfterMs } = error
  const message =
    failure.code === 'UNSUPPORTED'
      ? `the ${name} takes no delegated inputs; it has to be given the delegate's key`
      : error.message
  return OWN.has(failure.code) ? new RingfenceError(failure.code, message, [], { cause, retryAfterMs }) : error
}
