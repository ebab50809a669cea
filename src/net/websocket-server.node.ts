// A WebSocket server for Node: one channel per connection.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'
import { RingfenceError } from '../errors.js'
import type { Channel, ChannelOptions } from './channel.js'
import { DEFAULT_MAX_PAYLOAD, WS_SETTINGS } from './connect.js'
import { isLoopback } from './loopback.js'
import { type WebSocketLike, webSocketChannel } from './websocket.js'

/** Who connected. */
export interface ConnectionInfo {
  remoteAddress: string
  /** The page a browser connects from; absent for other clients. */
  origin: string | undefined
  /** Path and query the peer asked for. */
  target: string
}

/** Where and how to listen. */
export interface ListenOptions extends ChannelOptions {
  /** Default 127.0.0.1. Anything off loopback needs `tls` or `behindProxy`. */
  host?: string
  /** 0 picks a free one. */
  port: number
  /** Only this path is served. Default: every path. */
  path?: string
  /** PEM certificate chain and private key. */
  tls?: { cert: string | Uint8Array; key: string | Uint8Array }
  /** A proxy in front of this process ends TLS and nobody else can reach the port. */
  behindProxy?: boolean
  /** Largest message accepted. Default 16 MiB. */
  maxPayload?: number
  /** A peer that shows no sign of life for two such intervals is dropped. Default 15 s. */
  keepAliveMs?: number
  /** Called for everybody who connects; usually `(channel) => party.run(channel)`. */
  onConnection(channel: Channel, info: ConnectionInfo): void
}

/** A party's ear. */
export interface Listener {
  /** Where to connect to. */
  url: string
  port: number
  /** Stops listening and closes every connection. */
  close(): Promise<void>
}

const GOING_AWAY = 1001
const CLOSE_GRACE_MS = 1000

/**
 * Listens for parties.
 *
 * @throws RingfenceError INSECURE for a host off loopback without TLS, HOST when the address cannot be listened on
 */
export async function listen(options: ListenOptions): Promise<Listener> {
  const { host = '127.0.0.1', tls, path } = options
  if (!isLoopback(host) && tls === undefined && options.behindProxy !== true) {
    const what = `refused to listen on ${host} without TLS: messages would cross the network in plain text`
    throw new RingfenceError('INSECURE', `${what}; give tls, or set behindProxy when a proxy ends TLS`)
  }
  const http = tls === undefined ? createServer(upgradeOnly) : createTlsServer(pem(tls), upgradeOnly)
  const maxPayload = options.maxPayload ?? DEFAULT_MAX_PAYLOAD
  const sockets = new WebSocketServer({ server: http, path, maxPayload, ...WS_SETTINGS })
  const watch = keepAlive(sockets, options.keepAliveMs ?? 15_000)
  sockets.on('connection', (ws, request) => {
    watch(ws, request.socket)
    options.onConnection(webSocketChannel(ws as unknown as WebSocketLike, options), describe(request))
  })
  const port = await bound(http, sockets, host, options.port)
  const shown = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
  const url = `${tls === undefined ? 'ws' : 'wss'}://${shown}:${port}${path ?? ''}`
  return { url, port, close: () => closeAll(http, sockets) }
}

function bound(http: ReturnType<typeof createServer>, sockets: WebSocketServer, host: string, port: number) {
  return new Promise<number>((resolve, reject) => {
    let listening = false
    sockets.on('error', (cause: NodeJS.ErrnoException) => {
      if (listening) return // one connection could not be accepted; the others go on
      sockets.close()
      const what = `cannot listen on ${host} port ${port} (${cause.code})`
      reject(new RingfenceError('HOST', `${what}; choose a free port and an address of this machine`, [], { cause }))
    })
    http.listen(port, host.replace(/^\[|\]$/g, ''), () => {
      listening = true
      resolve((http.address() as AddressInfo).port)
    })
  })
}

/**
 * Pings every peer once per interval and drops one that was silent for two. Any byte counts as life, and so does a
 * shrinking queue towards it; a peer we ourselves asked to pause cannot answer and is left alone.
 */
function keepAlive(sockets: WebSocketServer, everyMs: number): (ws: WebSocket, socket: Socket) => void {
  const peers = new Map<WebSocket, { socket: Socket; silent: number; read: number; queued: number }>()
  const timer = setInterval(() => {
    for (const [ws, peer] of peers) {
      const { bytesRead } = peer.socket
      const alive = ws.isPaused || bytesRead > peer.read || ws.bufferedAmount < peer.queued
      peer.silent = alive ? 0 : peer.silent + 1
      peer.read = bytesRead
      peer.queued = ws.bufferedAmount
      if (peer.silent > 2) ws.terminate()
      else if (ws.readyState === ws.OPEN) ws.ping()
    }
  }, everyMs)
  timer.unref()
  sockets.once('close', () => clearInterval(timer))
  return (ws, socket) => {
    peers.set(ws, { socket, silent: 0, read: 0, queued: 0 })
    ws.on('close', () => peers.delete(ws))
  }
}

async function closeAll(http: ReturnType<typeof createServer>, sockets: WebSocketServer): Promise<void> {
  for (const ws of sockets.clients) ws.close(GOING_AWAY, 'shutting down')
  const timer = setTimeout(() => {
    for (const ws of sockets.clients) ws.terminate()
  }, CLOSE_GRACE_MS)
  await new Promise<void>((resolve) => {
    sockets.close(() => http.close(() => resolve()))
    http.closeIdleConnections()
  })
  clearTimeout(timer)
}

function describe(request: IncomingMessage): ConnectionInfo {
  const { origin } = request.headers
  return { remoteAddress: request.socket.remoteAddress ?? '', origin, target: request.url ?? '/' }
}

function pem({ cert, key }: NonNullable<ListenOptions['tls']>) {
  const text = (part: string | Uint8Array) => (typeof part === 'string' ? part : Buffer.from(part))
  return { cert: text(cert), key: text(key), minVersion: 'TLSv1.2' as const }
}

function upgradeOnly(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(426, { Connection: 'Upgrade', Upgrade: 'websocket' })
  response.end('This address speaks WebSocket.\n')
}
