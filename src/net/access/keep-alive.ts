// Notices peers that are gone without a word: a cable pulled, a machine halted, a NAT that forgot. For the `ws` package,
// whose sockets can be pinged and counted.

/** What is needed of a `ws` WebSocket. */
export interface PingableSocket {
  readonly readyState: number
  readonly bufferedAmount: number
  readonly isPaused: boolean
  ping(): void
  terminate(): void
  on(event: 'close', listener: () => void): unknown
}

interface Watched {
  readonly bytesRead: number
}

const OPEN = 1
export const KEEP_ALIVE_MS = 15_000
/** Rounds of silence after which a peer is given up: it is noticed within one more, 60 s at 15 s each. */
const SILENT_ROUNDS = 2

/**
 * Pings every peer once per interval and drops one that was silent for two. Any byte counts as life, and so does a
 * shrinking queue towards it; a peer we ourselves asked to pause cannot answer and is left alone.
 */
export class KeepAlive {
  readonly #peers = new Map<PingableSocket, { socket: Watched; silent: number; read: number; queued: number }>()
  #timer: ReturnType<typeof setInterval> | undefined

  constructor(private readonly everyMs = KEEP_ALIVE_MS) {}

  /** @param socket the TCP or TLS socket below */
  watch(ws: PingableSocket, socket: Watched): void {
    this.#peers.set(ws, { socket, silent: 0, read: 0, queued: 0 })
    ws.on('close', () => {
      this.#peers.delete(ws)
      if (this.#peers.size > 0) return
      clearInterval(this.#timer)
      this.#timer = undefined
    })
    this.#timer ??= setInterval(() => this.#round(), this.everyMs)
    ;(this.#timer as { unref?(): void }).unref?.()
  }

  #round(): void {
    for (const [ws, peer] of this.#peers) {
      const { bytesRead } = peer.socket
      const alive = ws.isPaused || bytesRead > peer.read || ws.bufferedAmount < peer.queued
      peer.silent = alive ? 0 : peer.silent + 1
      peer.read = bytesRead
      peer.queued = ws.bufferedAmount
      if (peer.silent > SILENT_ROUNDS) ws.terminate()
      else if (ws.readyState === OPEN) ws.ping()
    }
  }
}
