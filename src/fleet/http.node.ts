// How members of a fleet reach each other: models are got, bundles are put, over HTTP with a token for each.
import {
  createServer,
  Agent as HttpAgent,
  type Server as HttpServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http'
import {
  createServer as createTlsServer,
  Agent as HttpsAgent,
  type Server as HttpsServer,
  request as httpsRequest,
} from 'node:https'
import type { AddressInfo } from 'node:net'
import { RingfenceError } from '../errors.js'
import type { Channel, PeerRole } from '../net/index.js'
import { isLoopback } from '../net/loopback.js'
import { type Listener, listen, type TlsIdentity } from '../net/websocket-server.node.js'
import { fromHex, hex } from '../party/messages.js'
import type { Transport } from './dealer.js'
import type { Desk } from './front.js'
import { CLIENT_PATH } from './fronts.js'

/** A peer that is silent for so long is gone. */
const SILENCE_MS = 30_000
/** Whether more than that is wanted is asked before it is sent. */
const ASK_FIRST = 2 ** 16
/** Connections that other fronts lead here at a time; each was counted where it came in. */
const MOST_LED = 65_536
/** Most bytes of a model: what VGG-16 has, several times. */
const MAX_MODEL_BYTES = 2 ** 31

export interface FleetListener {
  readonly url: string
  close(): Promise<void>
}

/** Clients that other fronts lead here. */
export interface Led {
  admits(token: Uint8Array): boolean
  run(channel: Channel, role: PeerRole | undefined): void
}

/**
 * Listens for dealers, and for what other fronts lead here.
 * @throws RingfenceError INSECURE off this machine without TLS, HOST where the port is taken
 */
export async function listenForDealers(
  { host, port, tls }: { host: string; port: number; tls?: TlsIdentity },
  desk: Desk,
  led?: Led,
): Promise<FleetListener> {
  if (!tls && !isLoopback(host)) {
    throw new RingfenceError(
      'INSECURE',
      `bundles and models go to ${host} in plain text; give a certificate and its key`,
    )
  }
  const answer = (request: IncomingMessage, response: ServerResponse) => void serve(request, response, desk)
  const server = tls ? createTlsServer({ cert: pem(tls.cert), key: pem(tls.key) }, answer) : createServer(answer)
  // Who asks first whether a body is wanted is told before it has sent it.
  server.on('checkContinue', answer)
  const ear = led && (await takeLed(server, led))
  server.headersTimeout = SILENCE_MS
  server.requestTimeout = 10 * SILENCE_MS
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      reject(new RingfenceError('HOST', `cannot listen at ${host}:${port} (${cause.code})`, [], { cause }))
    })
    server.listen(port, host.replace(/^\[|\]$/g, ''), resolve)
  })
  return {
    url: `${tls ? 'https' : 'http'}://${host}:${(server.address() as AddressInfo).port}`,
    close: async () => {
      await ear?.close()
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
    },
  }
}

const takeLed = (server: HttpServer | HttpsServer, { admits, run }: Led): Promise<Listener> =>
  listen({
    server,
    path: CLIENT_PATH,
    authorize: ({ token }) => {
      const bytes = /^[0-9a-f]{64}$/.test(token ?? '') && fromHex(token!)
      return bytes && admits(bytes) ? { principal: { name: 'front' } } : { refused: 'unauthorized' }
    },
    ...{ connections: MOST_LED, connectionsPerAddress: MOST_LED },
    onConnection: (channel, { role }) => run(channel, role),
  })

const pem = (text: string | Uint8Array): string | Buffer => (typeof text === 'string' ? text : Buffer.from(text))

async function serve(request: IncomingMessage, response: ServerResponse, desk: Desk): Promise<void> {
  const token = tokenOf(request)
  const path = request.url ?? '/'
  if (!token) return end(response, 401)
  if (request.method === 'GET') {
    const given = desk.gives?.(path, token) ?? 404
    return typeof given === 'number' ? end(response, given) : end(response, 200, given)
  }
  if (request.method !== 'PUT') return end(response, 405)
  const expected = desk.expects(path, token)
  if (typeof expected === 'number') return end(response, expected)
  try {
    if (request.headers['content-length'] !== String(expected.bytes)) return end(response, 400)
    if (request.headers.expect !== undefined) response.writeContinue()
    const body = await wholeBody(request, expected.bytes)
    // What was broken off is dropped; whoever deals it again brings it whole.
    if (body) end(response, expected.take(body))
  } catch {
    end(response, 503) // there is no memory for it
  } finally {
    expected.end?.()
  }
}

function tokenOf({ headers }: IncomingMessage): Uint8Array | undefined {
  const [, digits] = /^Bearer ([0-9a-f]{64})$/.exec(headers.authorization ?? '') ?? []
  return digits === undefined ? undefined : new Uint8Array(Buffer.from(digits, 'hex'))
}

/** Takes memory as it comes, and no more than was announced. */
function wholeBody(request: IncomingMessage, bytes: number): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    request.setTimeout(SILENCE_MS, () => request.destroy())
    request.on('data', (chunk: Buffer) => void chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      resolve(body.byteLength === bytes ? new Uint8Array(body.buffer, body.byteOffset, bytes) : undefined)
    })
    request.on('error', () => resolve(undefined))
    request.on('close', () => resolve(undefined))
  })
}

function end(response: ServerResponse, status: number, body: Uint8Array = new Uint8Array(0)): void {
  // A body that is refused is not read.
  if (status >= 400) response.setHeader('Connection', 'close')
  response.writeHead(status, { 'Content-Length': body.byteLength, 'Content-Type': 'application/octet-stream' })
  response.end(body)
}

/** Reaches fronts at http:// on this machine and at https:// elsewhere, over connections that stay open. */
export class HttpTransport implements Transport {
  readonly #http = new HttpAgent({ keepAlive: true })
  readonly #https = new HttpsAgent({ keepAlive: true })

  async get(url: string, token: Uint8Array): Promise<Uint8Array | number> {
    const response = await this.#ask('GET', url, token, [])
    if (response.statusCode !== 200) {
      response.resume()
      return response.statusCode!
    }
    const bytes = Number(response.headers['content-length'])
    if (!(bytes <= MAX_MODEL_BYTES)) {
      response.destroy()
      throw new RingfenceError('FRAME', `a front announced a model of more than ${MAX_MODEL_BYTES} bytes`)
    }
    const body = await wholeBody(response, bytes)
    if (!body) throw gone(url)
    return body
  }

  async put(url: string, token: Uint8Array, body: readonly Uint8Array[]): Promise<number> {
    const response = await this.#ask('PUT', url, token, body)
    response.resume()
    return response.statusCode!
  }

  close(): void {
    this.#http.destroy()
    this.#https.destroy()
  }

  #ask(method: string, url: string, token: Uint8Array, body: readonly Uint8Array[]): Promise<IncomingMessage> {
    const target = checkFleetUrl(url)
    const plain = target.protocol === 'http:'
    const ask = plain ? httpRequest : httpsRequest
    const bytes = body.reduce((sum, { byteLength }) => sum + byteLength, 0)
    const asks = bytes > ASK_FIRST
    const headers = {
      Authorization: `Bearer ${hex(token)}`,
      'Content-Length': bytes,
      ...(asks && { Expect: '100-continue' }),
    }
    return new Promise((resolve, reject) => {
      let sent = false
      const request = ask(target, { method, headers, agent: plain ? this.#http : this.#https }, (response) => {
        if (!sent) response.once('end', () => request.destroy()) // its body is not wanted, and nothing can follow it
        resolve(response)
      })
      request.setTimeout(SILENCE_MS, () => request.destroy())
      request.on('error', (cause) => reject(gone(url, cause)))
      const send = () => {
        sent = true
        for (const part of body) request.write(part)
        request.end()
      }
      if (asks) request.on('continue', send)
      else send()
    })
  }
}

const gone = (url: string, cause?: unknown) =>
  new RingfenceError('PEER_GONE', `${new URL(url).host} cannot be reached or broke off`, [], { cause })

/** @throws RingfenceError BAD_INPUT, INSECURE for http off this machine */
export function checkFleetUrl(url: string): URL {
  const target = URL.canParse(url) ? new URL(url) : undefined
  if (!target || !['http:', 'https:'].includes(target.protocol)) {
    throw new RingfenceError('BAD_INPUT', `a member of a fleet is at https://HOST:PORT, not ${url.slice(0, 80)}`)
  }
  if (target.protocol === 'http:' && !isLoopback(target.hostname)) {
    throw new RingfenceError('INSECURE', `${target.host}: http is plain text and for this machine only; use https://`)
  }
  return target
}

/** HOST:PORT of an address that bundles may be brought to, of which it has to be all: https://, or http:// on this machine. */
export function deliveryHost(url: string): string | undefined {
  const [, at] = /^https?:\/\/((?:[a-z\d.-]+|\[[a-f\d:]+\]):\d{1,5})$/.exec(url) ?? []
  try {
    checkFleetUrl(url)
    return at
  } catch {
    return undefined
  }
}
