// Large messages of a `ws` connection that this side opened on Node: they are read into kept buffers as they arrive. Left to
// itself `ws` collects the socket's chunks, each in memory of its own, and copies them into fresh memory once the last has come.
// Whom one connects to may announce a message of `maxPayload` bytes and send none; whoever connects to us may not.
import { KEPT_FROM, takeBuffer } from './kept-buffers.js'

/** What is needed of a `ws` WebSocket and of the socket below. */
interface Bulky {
  emit(event: 'message', data: ArrayBuffer, isBinary: true): unknown
  once(event: 'error', listener: () => void): unknown
}
interface Below {
  readonly readableLength: number
  isPaused(): boolean
  push(chunk: Uint8Array): boolean
  listeners(event: 'data'): unknown[]
  on(event: 'data', listener: Feed): unknown
  off(event: 'data', listener: Feed): unknown
}
type Feed = (chunk: Uint8Array) => void

const WHOLE_BINARY = 0x82
/** Of a length in 64 bits, without a mask. */
const LONG = 127
const FIN = 0x80
const CLOSE = 8

/** Who reads a socket's chunks where they lie. */
const feeds = new WeakMap<Below, Feed>()

/** As of `net.connect`: all sockets read into one buffer, which is read or copied before the next chunk comes. */
export const onread = {
  buffer: new Uint8Array(2 ** 16),
  callback(this: Below, length: number, buffer: Uint8Array): boolean {
    const feed = this.readableLength === 0 && feeds.get(this)
    if (!feed) return this.push(buffer.slice(0, length))
    feed(buffer.subarray(0, length))
    return !this.isPaused()
  },
}

/** From now on large messages come from here, all else from `ws` as before. */
export function readBulk(ws: Bulky, socket: Below, maxPayload: number): void {
  const [read, ...others] = socket.listeners('data') as Feed[]
  if (!read || others.length > 0) return
  const head = new Uint8Array(10)
  let [known, passing, filled] = [0, 0, 0]
  let [fragmented, over] = [false, false]
  let target: Uint8Array<ArrayBuffer> | undefined
  const pass = (chunk: Uint8Array) => read.call(socket, chunk.slice())

  /** The header is whole: what follows is this side's, or passed on with it. */
  const begin = (length: number) => {
    const opcode = head[0] & 15
    const large = head[0] === WHOLE_BINARY && head[1] === LONG && length >= KEPT_FROM && length <= maxPayload
    if (large && !fragmented) {
      target = new Uint8Array(takeBuffer(length))
      filled = 0
      return
    }
    if (opcode < CLOSE) fragmented = head[0] < FIN
    over = opcode === CLOSE
    pass(head.subarray(0, known))
    passing = length
  }

  const feed = (chunk: Uint8Array) => {
    for (let at = 0; at < chunk.length; ) {
      const left = chunk.length - at
      if (target) {
        const count = Math.min(left, target.length - filled)
        target.set(chunk.subarray(at, at + count), filled)
        filled += count
        at += count
        if (filled < target.length) return
        const { buffer } = target
        target = undefined
        ws.emit('message', buffer, true)
      } else if (passing > 0) {
        const count = Math.min(left, passing)
        pass(chunk.subarray(at, at + count))
        passing -= count
        at += count
      } else if (over) return
      else {
        head[known++] = chunk[at++]
        if (known < 2) continue
        // A masked frame, which no server sends, is passed on with its mask as if it were longer: `ws` refuses it.
        const short = head[1] & LONG
        const size = short < 126 ? 2 : short === 126 ? 4 : 10
        if (known < size) continue
        const view = new DataView(head.buffer)
        begin(short < 126 ? short : short === 126 ? view.getUint16(2) : Number(view.getBigUint64(2)))
        known = 0
      }
    }
  }
  ws.once('error', () => {
    over = true
    target = undefined
    passing = 0
  })
  socket.off('data', read)
  socket.on('data', feed)
  feeds.set(socket, feed)
}
