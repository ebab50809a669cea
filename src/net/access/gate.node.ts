// Who may open a WebSocket here: decided on the HTTP request, before there is a connection to hold anything for.
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { isLoopback } from '../loopback.js'
import {
  type Credentials,
  REFUSAL_STATUS,
  type Refusal,
  type RefusalReason,
  readCredentials,
  refusing,
  retryAfter,
  SUBPROTOCOL,
} from './credentials.js'
import type { PeerRole, Principal } from './peer.js'

/** Somebody asks to be let in. */
export interface AccessRequest {
  /** What the caller says it is; a helper holds it to that. */
  role: PeerRole
  /** From `Authorization: Bearer` or, of a page, from the subprotocol. */
  token: string | undefined
  headers: IncomingHttpHeaders
  /** The page a browser connects from; absent for other clients. */
  origin: string | undefined
  /** Behind a proxy: as the proxy tells it in the last place of X-Forwarded-For. */
  address: string
  /** Path and query the peer asked for. */
  target: string
}

/** What `authorize` decides: who the caller is, undefined for nobody in particular, or that it stays outside. */
export type AccessDecision = { principal: Principal | undefined } | { refused: RefusalReason; retryAfterMs?: number }

/** Asked for every caller before its connection is open; one that throws lets nobody in. */
export type Authorize = (request: AccessRequest) => AccessDecision | Promise<AccessDecision>

/** What a listener asks of whoever connects, and how many may. */
export interface GateOptions {
  /** Decides who is let in, as whom. Default: everybody, as nobody in particular. */
  authorize?: Authorize
  /** Pages that may connect, for example `https://app.example.org`. Programs have no origin and are not held back by this. */
  origins?: readonly string[]
  /** A proxy in front of this process ends TLS and nobody else can reach the port. */
  behindProxy?: boolean
  /** Connections at a time, in all and from one address. Default 4096, and 1024. */
  connections?: number
  connectionsPerAddress?: number
}

/** Defaults of the above. */
export const CONNECTIONS = 4096
export const CONNECTIONS_PER_ADDRESS = 1024

export interface Entry extends Omit<AccessRequest, 'headers' | 'token'> {
  principal: Principal | undefined
}

/** What ends sometime. */
interface Life {
  readonly destroyed: boolean
  once(event: 'close', listener: () => void): unknown
}

/** Decides who enters and counts who is in. */
export class Gate {
  readonly #principals = new Count()
  readonly #addresses = new Count()
  /** Nobody enters any more. */
  closed = false

  constructor(private options: GateOptions) {}

  /** Pages that may connect; undefined: all. */
  get origins(): readonly string[] | undefined {
    return this.options.origins
  }

  /** For who comes from now on. */
  change(options: Partial<GateOptions>): void {
    this.options = { ...this.options, ...options }
  }

  /** Who enters is counted until `life` closes: the connection, or the answer to one request. */
  async admit(request: IncomingMessage, life: Life = request.socket): Promise<Entry | Refusal> {
    const { authorize, origins, behindProxy } = this.options
    const { token, ...entry } = describe(request, behindProxy === true)
    if (this.closed) return refusing('unavailable')
    if (this.#full(entry.address)) return refusing('busy')
    if (!behindProxy && !isPrivate(request.socket)) return refusing('forbidden')
    if (origins && entry.origin !== undefined && !origins.includes(entry.origin)) return refusing('forbidden')
    if (!authorize) return this.#enter({ ...entry, principal: undefined }, life)
    const decision = await decide(authorize, { ...entry, token, headers: request.headers })
    if ('refused' in decision) return refusing(decision.refused, decision.retryAfterMs)
    if (this.closed) return refusing('unavailable')
    return this.#enter({ ...entry, principal: decision.principal }, life)
  }

  #full(address: string): boolean {
    const { connections = CONNECTIONS, connectionsPerAddress = CONNECTIONS_PER_ADDRESS } = this.options
    return this.#addresses.all >= connections || this.#addresses.of(address) >= connectionsPerAddress
  }

  /** Looks and counts at once: others may have entered while this caller was found out. */
  #enter(entry: Entry, life: Life): Entry | Refusal {
    const { address, principal } = entry
    const name = principal?.name
    const crowded =
      name !== undefined && this.#principals.of(name) >= (principal?.connections ?? Number.POSITIVE_INFINITY)
    if (crowded || this.#full(address)) return refusing('busy')
    const count = (more: 1 | -1) => {
      this.#addresses.add(address, more)
      if (name !== undefined) this.#principals.add(name, more)
    }
    count(1)
    if (life.destroyed) count(-1)
    else life.once('close', () => count(-1))
    return entry
  }
}

/** How many there are of each name; what there is none of is forgotten. */
class Count {
  readonly #counts = new Map<string, number>()
  all = 0

  of(name: string): number {
    return this.#counts.get(name) ?? 0
  }

  add(name: string, more: 1 | -1): void {
    const count = this.of(name) + more
    this.all += more
    if (count > 0) this.#counts.set(name, count)
    else this.#counts.delete(name)
  }
}

/** A hook that fails lets nobody in. */
async function decide(authorize: Authorize, request: AccessRequest): Promise<AccessDecision> {
  try {
    return await authorize(request)
  } catch {
    return { refused: 'unavailable' }
  }
}

function describe(request: IncomingMessage, behindProxy: boolean): Omit<AccessRequest, 'headers'> {
  const { role, token }: Credentials = readCredentials(request.headers)
  const { origin, 'x-forwarded-for': forwarded } = request.headers
  // The last entry is the one the proxy in front wrote; those before it are the caller's own words.
  const told = behindProxy ? [forwarded ?? ''].flat().join(',').split(',').at(-1)?.trim() : undefined
  const address = told || (request.socket.remoteAddress ?? '')
  return { role, token, origin, address, target: request.url ?? '/' }
}

/** Whether nobody on the way can read what crosses this connection. */
function isPrivate(socket: Socket): boolean {
  const here = socket.localAddress?.replace(/^::ffff:/, '') ?? ''
  return (socket as TLSSocket).encrypted === true || isLoopback(here)
}

/** Whether the caller would see a close code: pages do, and everybody who offers our subprotocol. */
export function readsCloseCodes({ headers }: IncomingMessage): boolean {
  return headers.origin !== undefined || (headers['sec-websocket-protocol'] ?? '').includes(SUBPROTOCOL)
}

/** Answers an upgrade request with HTTP. */
export function refuseUpgrade(socket: Socket, refusal: Refusal): void {
  const { reason } = refusal
  const status = REFUSAL_STATUS[reason]
  const later = retryAfter(refusal)
  const extra = later ? [`Retry-After: ${later}`] : status === 401 ? ['WWW-Authenticate: Bearer'] : []
  const lines = [`HTTP/1.1 ${status} ${reason}`, 'Connection: close', 'Content-Length: 0', ...extra, '', '']
  socket.once('finish', () => socket.destroy())
  socket.end(lines.join('\r\n'))
}
