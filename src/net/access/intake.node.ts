// What connections may hold here before they have said anything whole. A WebSocket message is kept until its last byte has
// come: whoever begins many and ends none would fill the memory.
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'

export interface IntakeOptions {
  /** Bytes that a connection may send before its first whole message, which is a short greeting. Default 16 KiB. */
  greetingBytes?: number
  /** Bytes of unfinished messages that all connections may hold together; beyond, the largest is dropped. Default 256 MiB. */
  unfinishedBytes?: number
}

/** One connection's unfinished message. */
interface Unfinished {
  readonly drop: () => void
  bytes: number
}

/** Counts the bytes of messages that have begun and not ended, over all connections of a listener. */
export class Intake {
  readonly #all = new Set<Unfinished>()
  readonly #greeting: number
  readonly #most: number
  #held = 0

  constructor({ greetingBytes = 2 ** 14, unfinishedBytes = 2 ** 28 }: IntakeOptions) {
    this.#greeting = greetingBytes
    this.#most = unfinishedBytes
  }

  /** @param onDrop told when this connection is dropped for what it holds */
  watch(ws: WebSocket, socket: Socket, onDrop: () => void): void {
    const leave = () => {
      socket.off('data', grown)
      this.#all.delete(mine)
      this.#held -= mine.bytes
      mine.bytes = 0
    }
    const drop = () => {
      leave()
      ws.terminate()
      onDrop()
    }
    const mine: Unfinished = { drop, bytes: 0 }
    let greeted = false
    let whole = socket.bytesRead
    const count = () => {
      const bytes = socket.bytesRead - whole
      this.#held += bytes - mine.bytes
      mine.bytes = bytes
    }
    // Behind the listener of `ws`, which has made a message of these bytes by then if they end one.
    const grown = () => {
      count()
      if (!greeted && mine.bytes > this.#greeting) drop()
      else if (this.#held > this.#most) this.#largest().drop()
    }
    this.#all.add(mine)
    socket.on('data', grown)
    ws.on('message', () => {
      greeted = true
      whole = socket.bytesRead
      count()
    })
    ws.once('close', leave)
  }

  #largest(): Unfinished {
    return [...this.#all].reduce((a, b) => (b.bytes > a.bytes ? b : a))
  }
}
