// Exchanges over HTTP on Node: GET describes, POST asks, OPTIONS is a page's question whether it may. Who asks passes the same
// gate as connections do.
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { type ErrorCode, RingfenceError } from '../../errors.js'
import { REFUSAL_STATUS, type Refusal, type RefusalReason, retryAfter } from '../access/credentials.js'
import type { Entry, Gate } from '../access/gate.node.js'
import { failurePayload } from '../failure.js'
import type { Exchange } from './exchange.js'

/** What is served at a path, undefined where nothing is. @throws RingfenceError where nothing can be asked at the moment */
export type ExchangeAt = (target: string) => Exchange | undefined

export interface ExchangeServerOptions {
  readonly gate: Gate
  readonly at: ExchangeAt
  readonly onRefused: (reason: RefusalReason, remoteAddress: string) => void
}

/** A request's body has to be there after so long. */
const BODY_MS = 10_000
/** Bodies that are not whole yet, all together. */
const UNFINISHED_BYTES = 2 ** 26
/** How long a page may remember that it may ask; browsers cap it at two hours. */
const PREFLIGHT_SECONDS = 7200

const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = {
  ...{ BAD_INPUT: 400, FRAME: 400, PROTOCOL: 400, UNAUTHORIZED: 403, PLAN_MISMATCH: 409, MATERIAL_USED: 409 },
  ...{ UNSUPPORTED: 501, BUSY: 503, STORE_FULL: 503, PEER_GONE: 503, DEADLINE: 504 },
}

/** Answers requests at the paths that it knows; false for others, which are somebody else's. */
export function exchangeServer({ gate, at, onRefused }: ExchangeServerOptions) {
  let unfinished = 0
  /** Room for bodies, until it is given back. */
  const reserve = (bytes: number) => {
    if (unfinished + bytes > UNFINISHED_BYTES) throw new RingfenceError('BUSY', 'too many requests are under way')
    unfinished += bytes
    return () => {
      unfinished -= bytes
    }
  }

  const serve = async (request: IncomingMessage, response: ServerResponse, exchange: () => Exchange) => {
    const entry = await gate.admit(request, response)
    if ('reason' in entry) {
      onRefused(entry.reason, request.socket.remoteAddress ?? '')
      turnAway(response, entry)
      return
    }
    try {
      const asked = exchange()
      const answer =
        request.method === 'POST' ? await answered(request, response, asked, entry, reserve) : asked.describe()
      if (!response.destroyed) send(response, 200, answer)
    } catch (error) {
      if (!response.destroyed) fail(request, response, error)
    }
  }

  return (request: IncomingMessage, response: ServerResponse): boolean => {
    const target = request.url ?? '/'
    let found: (() => Exchange) | undefined
    try {
      const exchange = at(target)
      found = exchange && (() => exchange)
    } catch (error) {
      found = () => {
        throw error
      }
    }
    if (!found) return false
    allowOrigin(request, response, gate.origins)
    if (request.method === 'OPTIONS') preflight(response)
    else if (request.method === 'GET' || request.method === 'POST') void serve(request, response, found)
    else send(response.setHeader('Allow', 'GET, POST, OPTIONS'), 405, new Uint8Array(0))
    return true
  }
}

/** For `createServer`, where what is no exchange's is `other`'s. */
export const withExchanges =
  (exchanges: ReturnType<typeof exchangeServer>, other: RequestListener): RequestListener =>
  (request, response) => {
    if (!exchanges(request, response)) other(request, response)
  }

async function answered(
  request: IncomingMessage,
  response: ServerResponse,
  exchange: Exchange,
  { principal, role }: Entry,
  reserve: (bytes: number) => () => void,
): Promise<Uint8Array> {
  const left = new AbortController()
  response.once('close', () => left.abort())
  const giveBack = reserve(exchange.requestBytes)
  let body: Uint8Array
  try {
    body = await read(request, exchange.requestBytes)
  } finally {
    giveBack()
  }
  const peer = { role: principal && role, principal }
  return exchange.answer(body, { peer, signal: left.signal })
}

/** A body of at most so many bytes. @throws RingfenceError FRAME for a longer one, DEADLINE, PEER_GONE */
function read(request: IncomingMessage, most: number): Promise<Uint8Array> {
  const wrong = () => new RingfenceError('FRAME', `a request here has at most ${most} bytes`)
  const declared = request.headers['content-length']
  if (declared !== undefined && !(Number(declared) <= most)) return Promise.reject(wrong())
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let bytes = 0
    const settle = () => {
      clearTimeout(timer)
      request.off('data', onData).off('end', onEnd).off('close', onClose)
    }
    const end = (error: RingfenceError) => {
      settle()
      reject(error)
    }
    const onData = (chunk: Buffer) => {
      bytes += chunk.byteLength
      if (bytes > most) end(wrong())
      else chunks.push(chunk)
    }
    const onEnd = () => {
      settle()
      resolve(new Uint8Array(Buffer.concat(chunks)))
    }
    const onClose = () => end(new RingfenceError('PEER_GONE', 'a request was broken off'))
    const timer = setTimeout(
      () => end(new RingfenceError('DEADLINE', `a request was not whole after ${BODY_MS} ms`)),
      BODY_MS,
    )
    request.on('data', onData).on('end', onEnd).on('close', onClose)
  })
}

function allowOrigin({ headers }: IncomingMessage, response: ServerResponse, origins: readonly string[] | undefined) {
  const { origin } = headers
  response.setHeader('Cache-Control', 'no-store').setHeader('Vary', 'Origin')
  if (origin === undefined) return
  if (!origins) response.setHeader('Access-Control-Allow-Origin', '*')
  else if (origins.includes(origin)) response.setHeader('Access-Control-Allow-Origin', origin)
}

function preflight(response: ServerResponse): void {
  response.setHeader('Access-Control-Allow-Methods', 'GET, POST')
  response.setHeader('Access-Control-Allow-Headers', 'Authorization')
  response.setHeader('Access-Control-Max-Age', String(PREFLIGHT_SECONDS))
  response.writeHead(204).end()
}

/** Turned away by the gate, as an upgrade would be. */
function turnAway(response: ServerResponse, refusal: Refusal): void {
  const status = REFUSAL_STATUS[refusal.reason]
  const later = retryAfter(refusal)
  if (status === 401) response.setHeader('WWW-Authenticate', 'Bearer')
  if (later) response.setHeader('Retry-After', later)
  send(response, status, new Uint8Array(0))
}

/** The error's code and when to come back, and nothing else of it. */
function fail(request: IncomingMessage, response: ServerResponse, error: unknown): void {
  const told = error instanceof RingfenceError ? error : new RingfenceError('PROTOCOL', 'an internal check failed')
  const { code, retryAfterMs } = told
  if (retryAfterMs !== undefined) response.setHeader('Retry-After', String(Math.ceil(retryAfterMs / 1000)))
  // What of the body is still to come is not waited for.
  if (!request.complete) response.setHeader('Connection', 'close')
  send(response, STATUS[code] ?? 500, failurePayload({ code, retryAfterMs }))
}

function send(response: ServerResponse, status: number, body: Uint8Array): void {
  response.writeHead(status, { 'Content-Type': 'application/octet-stream', 'Content-Length': body.byteLength })
  response.end(body)
}
