// A WebSocket server for Node: one channel per connection, on a server of its own or mounted on one that is there.
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer, Server as TlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import { RingfenceError } from '../errors.js'
import { closingReason, REFUSAL_STATUS, type RefusalReason, SUBPROTOCOL } from './access/credentials.js'
import { type Entry, Gate, type GateOptions, readsCloseCodes, refuseUpgrade } from './access/gate.node.js'
import { Intake, type IntakeOptions } from './access/intake.node.js'
import { KEEP_ALIVE_MS, KeepAlive } from './access/keep-alive.js'
import type { Peer } from './access/peer.js'
import { readStrangersBulk } from './bulk/frames.js'
import type { Channel, ChannelOptions } from './channel.js'
import { DEFAULT_MAX_PAYLOAD, WS_SETTINGS } from './connect.js'
import { type ExchangeAt, exchangeServer, withExchanges } from './exchange/http.node.js'
import { isLoopback } from './loopback.js'
import { type WebSocketLike, webSocketChannel } from './websocket.js'

/** Who connected. */
export interface ConnectionInfo extends Peer {
  remoteAddress: string
  /** The page a browser connects from; absent for other clients. */
  origin: string | undefined
  /** Path and query the peer asked for. */
  target: string
}

/** Somebody who was not let in. */
export interface Refused {
  reason: RefusalReason
  remoteAddress: string
}

/** PEM certificate chain and private key. */
export interface TlsIdentity {
  cert: string | Uint8Array
  key: string | Uint8Array
}

/** Where and how to listen. */
export interface ListenOptions extends ChannelOptions, GateOptions, IntakeOptions {
  /** Default 127.0.0.1. Anything off loopback needs `tls` or `behindProxy`. */
  host?: string
  /** 0 picks a free one. Needed unless there is a `server`. */
  port?: number
  /** A server of Node's http or https to mount on, instead of host, port and tls; whoever made it listens and closes. */
  server?: Server | TlsServer
  /** Only this path is served. Default: every path. */
  path?: string
  tls?: TlsIdentity
  /** Largest message accepted. Default 16 MiB. */
  maxPayload?: number
  /** A peer that shows no sign of life for two such intervals is dropped. Default 15 s. */
  keepAliveMs?: number
  /**
   * Which exchange answers requests at a path: a party's `exchange`, at `/delegated` behind each of its addresses. Callers pass
   * `authorize` and are held to `origins` as connections are. On somebody else's server give requests to `onRequest`.
   */
  exchange?: ExchangeAt
  /** Answers other requests that are no WebSockets, on a server of our own. Default: 426, upgrade required. */
  onRequest?: RequestListener
  /** Told of everybody who is not let in. */
  onRefused?(refused: Refused): void
  /** Called for everybody who is let in; usually `(channel, info) => party.run(channel, info)`. */
  onConnection(channel: Channel, info: ConnectionInfo): void
}

/** What can change while a party listens. */
export type Admitted = Pick<GateOptions, 'origins' | 'connections' | 'connectionsPerAddress'>

/** A party's ear. */
export interface Listener {
  /** Where to connect to; of a mounted one that does not listen yet, an empty text. */
  readonly url: string
  readonly port: number
  /** Answers requests to the `exchange`, and others with 426: to be put in the way of a server that it is mounted on. */
  readonly onRequest: RequestListener
  /** Lets nobody in from now on; who is in stays. */
  refuse(): void
  /** Holds newcomers to other bounds, all three of them. */
  admit(bounds: Admitted): void
  /** Greets newcomers with another certificate. @throws RingfenceError BAD_INPUT for one that cannot be used */
  renew(tls: TlsIdentity): void
  /** Stops listening and closes every connection. */
  close(): Promise<void>
}

const GOING_AWAY = 1001
const CLOSE_GRACE_MS = 1000

/**
 * Listens for parties.
 *
 * @throws RingfenceError INSECURE for a host off loopback without TLS, BAD_INPUT for a certificate or key that is none,
 *   HOST when the address cannot be listened on
 */
export async function listen(options: ListenOptions): Promise<Listener> {
  const { host = '127.0.0.1', tls, path, server: mounted } = options
  if (!mounted && !isLoopback(host) && tls === undefined && options.behindProxy !== true) {
    const what = `refused to listen on ${host} without TLS: messages would cross the network in plain text`
    throw new RingfenceError(
      'INSECURE',
      `${what}; give tls (--cert and --key), or set behindProxy (--behind-proxy) where a proxy ends TLS`,
    )
  }
  const gate = new Gate(options)
  const { onRefused, exchange: at = () => undefined } = options
  const refused = (reason: RefusalReason, remoteAddress: string) => onRefused?.({ reason, remoteAddress })
  const exchanges = exchangeServer({ gate, at, onRefused: refused })
  const answer = withExchanges(exchanges, options.onRequest ?? upgradeOnly)
  const http = mounted ?? (tls === undefined ? createServer(answer) : createTlsServer(pem(tls), answer))
  const ear = new Ear(http, options, gate)
  if (!mounted) await bound(http, host, options.port ?? 0)
  const shown = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
  return {
    onRequest: answer,
    get port() {
      return (http.address() as AddressInfo | null)?.port ?? 0
    },
    get url() {
      const address = http.address() as AddressInfo | null
      if (!address) return ''
      const scheme = http instanceof TlsServer ? 'wss' : 'ws'
      return `${scheme}://${mounted ? '127.0.0.1' : shown}:${address.port}${path ?? ''}`
    },
    refuse: () => ear.refuse(),
    admit: (bounds) => ear.admit(bounds),
    renew: (identity) => {
      if (!(http instanceof TlsServer)) throw new RingfenceError('BAD_INPUT', 'there is no TLS here to renew')
      http.setSecureContext(pem(identity))
    },
    close: async () => {
      await ear.close()
      if (!mounted) await closed(http)
    },
  }
}

/** Turns upgrade requests of a server into channels. */
class Ear {
  readonly #sockets: WebSocketServer
  readonly #keepAlive: KeepAlive
  readonly #intake: Intake
  readonly #onUpgrade = (request: IncomingMessage, socket: Socket, head: Buffer) =>
    void this.#upgrade(request, socket, head)

  constructor(
    private readonly http: Server | TlsServer,
    private readonly options: ListenOptions,
    private readonly gate: Gate,
  ) {
    const maxPayload = options.maxPayload ?? DEFAULT_MAX_PAYLOAD
    const handleProtocols = (offered: Set<string>) => offered.has(SUBPROTOCOL) && SUBPROTOCOL
    this.#sockets = new WebSocketServer({ noServer: true, maxPayload, handleProtocols, ...WS_SETTINGS })
    this.#intake = new Intake(options)
    this.#keepAlive = new KeepAlive(options.keepAliveMs ?? KEEP_ALIVE_MS)
    http.on('upgrade', this.#onUpgrade)
  }

  refuse(): void {
    this.gate.closed = true
  }

  admit(bounds: Admitted): void {
    this.gate.change(bounds)
  }

  async close(): Promise<void> {
    this.refuse()
    this.http.off('upgrade', this.#onUpgrade)
    const { clients } = this.#sockets
    const gone = Promise.all([...clients].map((ws) => new Promise((resolve) => ws.once('close', resolve))))
    for (const ws of clients) ws.close(GOING_AWAY, 'shutting down')
    const timer = setTimeout(() => {
      for (const ws of clients) ws.terminate()
    }, CLOSE_GRACE_MS)
    await gone
    clearTimeout(timer)
  }

  async #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    const { path, server, onRefused } = this.options
    if (path !== undefined && request.url?.split('?', 1)[0] !== path) {
      // On somebody else's server the path may be another listener's.
      if (!server || this.http.listenerCount('upgrade') === 1) refuseUpgrade(socket, { reason: 'not found' })
      return
    }
    const ignore = () => undefined // a caller that left before it was let in
    socket.on('error', ignore)
    const entry = await this.gate.admit(request)
    socket.off('error', ignore)
    if (!('reason' in entry)) {
      this.#sockets.handleUpgrade(request, socket, head, (ws) => this.#accept(ws, request, entry))
      return
    }
    onRefused?.({ reason: entry.reason, remoteAddress: request.socket.remoteAddress ?? '' })
    if (!readsCloseCodes(request)) refuseUpgrade(socket, entry)
    else
      this.#sockets.handleUpgrade(request, socket, head, (ws) =>
        ws.close(4000 + REFUSAL_STATUS[entry.reason], closingReason(entry)),
      )
  }

  #accept(ws: WebSocket, request: IncomingMessage, { address, role, principal, ...entry }: Entry): void {
    this.#keepAlive.watch(ws, request.socket)
    readStrangersBulk(ws, request.socket, this.options.maxPayload ?? DEFAULT_MAX_PAYLOAD)
    const dropped = () => this.options.onRefused?.({ reason: 'too large', remoteAddress: address })
    this.#intake.watch(ws, request.socket, dropped)
    const channel = webSocketChannel(ws as unknown as WebSocketLike, this.options)
    this.options.onConnection(channel, { ...entry, role: principal && role, principal, remoteAddress: address })
  }
}

function bound(http: Server | TlsServer, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (cause: NodeJS.ErrnoException) => {
      const what = `cannot listen on ${host} port ${port} (${cause.code})`
      reject(new RingfenceError('HOST', `${what}; choose a free port and an address of this machine`, [], { cause }))
    }
    http.once('error', failed)
    http.listen(port, host.replace(/^\[|\]$/g, ''), () => {
      http.off('error', failed)
      http.on('error', () => undefined) // one connection could not be accepted; the others go on
      resolve()
    })
  })
}

function closed(http: Server | TlsServer): Promise<void> {
  return new Promise((resolve) => {
    http.close(() => resolve())
    http.closeAllConnections()
  })
}

/** Certificate and key, found to belong together before anybody is greeted with them. */
function pem({ cert, key }: TlsIdentity) {
  const identity = { cert: Buffer.from(cert as Uint8Array), key: Buffer.from(key as Uint8Array) }
  const problems: string[] = []
  const read = <T>(what: string, parse: () => T): T | undefined => {
    try {
      return parse()
    } catch {
      problems.push(`${what}: expected PEM`)
      return undefined
    }
  }
  const certificate = read('cert', () => new X509Certificate(identity.cert))
  const secret = read('key', () => createPrivateKey(identity.key))
  if (certificate && secret && !certificate.checkPrivateKey(secret))
    problems.push("key: expected the certificate's own")
  if (problems.length > 0) throw new RingfenceError('BAD_INPUT', 'TLS cannot be offered with this identity', problems)
  return { ...identity, minVersion: 'TLSv1.2' as const }
}

function upgradeOnly(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(426, { Connection: 'Upgrade', Upgrade: 'websocket' })
  response.end('This address speaks WebSocket.\n')
}
