// A channel over a WebSocket: any WHATWG-like one, or the `ws` package with its flow control.
import { RingfenceError } from '../errors.js'
import { readClosingReason, refusal } from './access/credentials.js'
import { giveBuffer, KEPT_FROM } from './bulk/kept-buffers.js'
import type { Channel, ChannelOptions } from './channel.js'
import { InboxChannel, ownsBuffer, printable } from './inbox.js'

/** The part of the WHATWG interface that is used, and what `ws` adds to it. */
export interface WebSocketLike {
  binaryType: string
  readonly readyState: number
  readonly bufferedAmount: number
  /** Queues one binary message. `ws`: and calls back when it is written. */
  send(data: Uint8Array, written?: () => void): void
  /** Begins the closing handshake. */
  close(code?: number, reason?: string): void
  /** A message arrived. */
  addEventListener(type: 'message', listener: (event: { data: unknown }) => void): void
  /** The connection is closed. */
  addEventListener(type: 'close', listener: (event: { code: number; reason: string }) => void): void
  /** The connection failed. */
  addEventListener(type: 'error', listener: (event: object) => void): void
  /** The connection is open. */
  addEventListener(type: 'open', listener: () => void): void
  /** `ws`: no more is read from the connection. */
  pause?(): void
  /** `ws`: reading goes on. */
  resume?(): void
}

const OPEN = 1
const CLOSED_NORMALLY = 1000
const TOO_LARGE = 1009
const REASON_BYTES = 100

class WebSocketChannel extends InboxChannel {
  readonly #ws: WebSocketLike

  constructor(ws: WebSocketLike, options: ChannelOptions) {
    super(options)
    this.#ws = ws
    ws.binaryType = 'arraybuffer'
    ws.addEventListener('message', ({ data }) => this.#arrived(data))
    ws.addEventListener('error', (event) => this.#broken(event))
    ws.addEventListener('close', ({ code, reason }) => {
      const error = refusal(code - 4000, readClosingReason(reason))
      if (error) this.endWith(error)
      else this.peerGone(farewell(code, reason))
    })
  }

  protected override transmit(message: Uint8Array): void {
    // What no `ws` writes is copied at once.
    const written = () => giveBuffer(message)
    if (message.byteLength < KEPT_FROM || !ownsBuffer(message)) this.#ws.send(message)
    else if (this.#ws.pause) this.#ws.send(message, written)
    else {
      this.#ws.send(message)
      written()
    }
  }

  protected override shut(reason: string): void {
    this.#ws.resume?.() // or the peer's answer to the close would never be read
    this.#ws.close(CLOSED_NORMALLY, printable(reason).slice(0, REASON_BYTES))
  }

  protected override backlog(): number {
    return this.#ws.bufferedAmount
  }

  protected override hold(): void {
    this.#ws.pause?.()
  }

  protected override release(): void {
    this.#ws.resume?.()
  }

  #arrived(data: unknown): void {
    if (data instanceof ArrayBuffer) this.accept(new Uint8Array(data))
    else this.fault(new RingfenceError('FRAME', 'expected a binary message, got text'), 'not binary')
  }

  /** `ws` reports what was wrong with the peer's bytes as an error; a WHATWG socket only closes. */
  #broken(event: object): void {
    const code = errorCode(event)
    if (!code.startsWith('WS_ERR_')) return
    const tooLarge = code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH'
    const detail = tooLarge ? 'a message is larger than maxPayload' : `malformed WebSocket data (${code})`
    this.fault(new RingfenceError('FRAME', `${detail}; use the same version on both sides`), 'malformed')
  }
}

/** A channel over an open WebSocket. No message may have been delivered yet. */
export function webSocketChannel(ws: WebSocketLike, options: ChannelOptions = {}): Channel {
  if (ws.readyState !== OPEN) {
    throw new RingfenceError('BAD_INPUT', `expected an open WebSocket (readyState 1), got readyState ${ws.readyState}`)
  }
  return new WebSocketChannel(ws, options)
}

/** The machine-readable code of an error event of `ws`, or an empty string. */
export function errorCode(event: object): string {
  const { error } = event as { error?: { code?: unknown } }
  return typeof error?.code === 'string' ? error.code : ''
}

function farewell(code: number, reason: string): string {
  if (code === TOO_LARGE) return 'closed the connection: a message was larger than it accepts (1009)'
  if (code === CLOSED_NORMALLY || code === 1001) return `closed the connection (${printable(reason) || code})`
  return `was lost: the connection ended with code ${code}`
}
