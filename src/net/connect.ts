// Opening a WebSocket to a party: what may be connected to, with which implementation, and what a failure means.
import { RingfenceError } from '../errors.js'
import { bearer, checkToken, readRetryAfter, refusal, subprotocols } from './access/credentials.js'
import { KeepAlive, type PingableSocket } from './access/keep-alive.js'
import type { PeerRole } from './access/peer.js'
import { onread, readBulk } from './bulk/frames.js'
import type { Channel, ChannelOptions } from './channel.js'
import { isLoopback } from './loopback.js'
import { errorCode, type WebSocketLike, webSocketChannel } from './websocket.js'

/** How to reach a party. */
export interface ConnectOptions extends ChannelOptions {
  signal?: AbortSignal
  /** Milliseconds until the connection must be open. Default 10 s. */
  deadlineMs?: number
  /** Largest message accepted, where the platform lets us say so. Default 16 MiB. */
  maxPayload?: number
  /** Shown to a party that does not let everybody in: in a header where those can be set, else as a subprotocol. */
  token?: string
  /** What the caller is, to a helper that asks for tokens. Default `client`. */
  role?: PeerRole
  /** Where pings can be sent (`ws`): a peer that shows no sign of life for two such intervals is given up. Default 15 s. */
  keepAliveMs?: number
  /**
   * Makes the socket, for a certificate authority or header of one's own. `protocols` are the subprotocols to offer; the
   * token is among them. Default: the platform's own, on Node `ws`.
   */
  open?: (url: string, protocols: string[]) => WebSocketLike
}

export const DEFAULT_MAX_PAYLOAD = 16 * 2 ** 20

/** For `ws`, both ends: shares do not compress, text is refused anyway, and a dead peer answers no close. */
export const WS_SETTINGS = { perMessageDeflate: false, skipUTF8Validation: true, closeTimeout: 5000 }

/**
 * The masking key protects intermediaries from bytes a page could choose (RFC 6455 §10.3). On loopback there is none,
 * and a zero key saves both sides a sweep in JavaScript: a 256 KiB round trip takes 0.4 ms instead of 1.8 ms.
 */
const LOOPBACK_SETTINGS = { generateMask: (mask: Uint8Array) => void mask.fill(0) }

/**
 * Connects to a party that listens at `url`.
 *
 * @throws RingfenceError BAD_INPUT for something that is no WebSocket URL, INSECURE for `ws:` off loopback or a
 *   certificate that is not accepted, UNAUTHORIZED without a valid token where one is wanted, BUSY, PEER_GONE when nobody
 *   answers, DEADLINE, ABORTED, HOST without any WebSocket
 */
export async function connect(url: string, options: ConnectOptions = {}): Promise<Channel> {
  const target = checkUrl(url)
  if (options.signal?.aborted) throw aborted(target, options.signal)
  checkToken(options.token)
  const open = options.open ?? (await platformSocket(target, options))
  const { role = 'client', token } = options
  return opened(open(target.href, subprotocols({ role, token })), target, options)
}

/** Whether `connect` can work at all here. */
export async function hasWebSocket(): Promise<boolean> {
  try {
    await platformSocket(new URL('ws://localhost'), {})
    return true
  } catch {
    return false
  }
}

/** @throws RingfenceError BAD_INPUT, INSECURE: as `connect` */
export function checkUrl(url: string): URL {
  const target = URL.canParse(url) ? new URL(url) : undefined
  if (target?.protocol !== 'ws:' && target?.protocol !== 'wss:') {
    throw new RingfenceError('BAD_INPUT', 'expected a URL that starts with wss:// (or ws:// on this machine)')
  }
  if (target.protocol === 'ws:' && !isLoopback(target.hostname)) {
    const what = `refused ws://${target.host}: plain text off this machine shows the messages to others`
    throw new RingfenceError('INSECURE', `${what}; use wss://`)
  }
  target.hash = '' // a WebSocket URL has none
  return target
}

type Opener = (url: string, protocols: string[]) => WebSocketLike

/** The platform's WebSocket; on Node rather `ws`, which bounds messages, can pause and takes a masking key. */
async function platformSocket(target: URL, options: ConnectOptions): Promise<Opener> {
  const { WebSocket: Native } = globalThis as { WebSocket?: new (url: string, protocols: string[]) => unknown }
  const native: Opener | undefined = Native && ((url, protocols) => new Native(url, protocols) as WebSocketLike)
  if (native !== undefined && !onNode() && !denoMayUseWs()) return native
  try {
    const { WebSocket } = await import('ws')
    const { maxPayload = DEFAULT_MAX_PAYLOAD, token, role = 'client', keepAliveMs } = options
    const headers = token === undefined ? {} : { Authorization: bearer(token) }
    const loopback = target.protocol === 'ws:' && LOOPBACK_SETTINGS
    const settings = { ...WS_SETTINGS, maxPayload, headers, ...loopback, ...('Deno' in globalThis ? {} : { onread }) }
    return (url) => {
      const ws = new WebSocket(url, subprotocols({ role }), settings)
      // One timer each: a party has few connections that it opened itself.
      ws.once('upgrade', ({ socket }) => {
        new KeepAlive(keepAliveMs).watch(ws as PingableSocket, socket)
        ws.once('open', () => readBulk(ws, socket, maxPayload))
      })
      ws.once('unexpected-response', (request, { statusCode = 0, headers }) => {
        request.destroy()
        ws.emit('error', new Answered(statusCode, readRetryAfter(headers['retry-after'])))
      })
      return ws as unknown as WebSocketLike
    }
  } catch (cause) {
    if (native !== undefined) return native
    throw new RingfenceError('HOST', 'this host has no WebSocket; install the package ws', [], { cause })
  }
}

/** Node before 21 has no navigator, and no WebSocket either. */
function onNode(): boolean {
  return globalThis.navigator?.userAgent?.startsWith('Node.js/') ?? false
}

/**
 * Deno's own WebSocket leaves Nagle's algorithm on, which costs 40 ms per flight on a quiet line; `ws` turns it off, but
 * looks at two environment variables. It is taken where they may be read without asking anybody.
 */
function denoMayUseWs(): boolean {
  const { Deno } = globalThis as { Deno?: { permissions: { querySync(what: object): { state: string } } } }
  const readable = (variable: string) => Deno?.permissions.querySync({ name: 'env', variable }).state === 'granted'
  return readable('WS_NO_BUFFER_UTIL') && readable('WS_NO_UTF_8_VALIDATE')
}

function opened(ws: WebSocketLike, target: URL, options: ConnectOptions): Promise<Channel> {
  const { signal, deadlineMs = 10_000 } = options
  return new Promise((resolve, reject) => {
    let pending = true
    const settle = () => {
      pending = false
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
    const giveUp = (error: RingfenceError) => {
      if (!pending) return
      settle()
      reject(error)
      ws.close()
    }
    const onAbort = () => giveUp(aborted(target, signal!))
    const timer = setTimeout(() => giveUp(late(target, deadlineMs)), deadlineMs)
    signal?.addEventListener('abort', onAbort)
    ws.addEventListener('error', (event) => giveUp(turnedAway(event) ?? refused(target, errorCode(event))))
    ws.addEventListener('close', () => giveUp(refused(target, '')))
    ws.addEventListener('open', () => {
      if (!pending) return
      settle()
      resolve(webSocketChannel(ws, options)) // at once, before a first message is delivered
    })
  })
}

/** An HTTP answer instead of a WebSocket; a page is told of none. */
class Answered extends Error {
  constructor(
    readonly status: number,
    readonly retryAfterMs: number | undefined,
  ) {
    super(`expected a WebSocket, got HTTP ${status}`)
  }
}

function turnedAway(event: object): RingfenceError | undefined {
  const { error } = event as { error?: unknown }
  if (error instanceof Answered) return refusal(error.status, error.retryAfterMs)
  // A `ws` that the caller opened tells the status, in its error's words.
  const [, status] = /^Unexpected server response: (\d{3})$/.exec(String((error as Error | undefined)?.message)) ?? []
  return refusal(Number(status))
}

function refused(target: URL, code: string): RingfenceError {
  if (/CERT|SIGNATURE/.test(code)) {
    const what = `the certificate of ${target.host} was not accepted (${code})`
    return new RingfenceError('INSECURE', `${what}; give that party a certificate this machine trusts`)
  }
  const what = `cannot connect to ${target.host}${code === '' ? '' : ` (${code})`}`
  return new RingfenceError('PEER_GONE', `${what}; start the party that listens there, or correct the URL`)
}

function late(target: URL, deadlineMs: number): RingfenceError {
  return new RingfenceError('DEADLINE', `${target.host} did not open a connection within ${deadlineMs} ms; try again`)
}

function aborted(target: URL, signal: AbortSignal): RingfenceError {
  const options = { cause: signal.reason }
  return new RingfenceError('ABORTED', `connecting to ${target.host} was aborted by the caller`, [], options)
}
