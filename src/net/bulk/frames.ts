// Large messages of a `ws` connection on Node: they are read into kept buffers as they arrive. Left to itself `ws` collects the
// socket's chunks, each in memory of its own, copies them into fresh memory once the last has come, and takes masks off byte by
// byte. Whom one connects to may announce a message of `maxPayload` bytes and send none. Whoever connects to us takes no memory
// with what it announces: it is lent a buffer that is kept already, while not too much is lent.
import { ownsBuffer } from '../inbox.js'
import { BULK_FROM, dropBuffer, giveBuffer, keptBuffer, takeBuffer } from './kept-buffers.js'

/** What is needed of a `ws` WebSocket and of the socket below. */
interface Bulky {
  emit(event: 'message', data: ArrayBuffer, isBinary: true): unknown
  once(event: 'message' | 'error' | 'close', listener: () => void): unknown
}
interface Below {
  readonly readableLength: number
  isPaused(): boolean
  push(chunk: Uint8Array): boolean
  listeners(event: 'data'): unknown[]
  on(event: 'data', listener: Feed): unknown
  off(event: 'data', listener: Feed): unknown
}
type Feed = (chunk: Uint8Array<ArrayBuffer>) => void

const WHOLE_BINARY = 0x82
/** Of a length in 64 bits. */
const LONG = 127
const MASKED = 0x80
/** Before a payload: two bytes, the length, the mask. */
const HEAD_BYTES = 2 + 8 + 4
const FIN = 0x80
const CLOSE = 8

/** Who reads a socket's chunks where they lie. */
const feeds = new WeakMap<Below, Feed>()

/** As of `net.connect`: all sockets read into one buffer, which is read or copied before the next chunk comes. */
export const onread = {
  buffer: new Uint8Array(2 ** 16),
  callback(this: Below, length: number, buffer: Uint8Array<ArrayBuffer>): boolean {
    const feed = this.readableLength === 0 && feeds.get(this)
    if (!feed) return this.push(buffer.slice(0, length))
    feed(buffer.subarray(0, length))
    return !this.isPaused()
  },
}

/** Where messages of a connection are read to. */
interface Buffers {
  /** A buffer of exactly so many bytes; none leaves the message to `ws`. */
  take(length: number): ArrayBuffer | undefined
  /** What was taken for a message is filled, or will not be. */
  done(length: number): void
}

/** From now on large messages of a connection that this side opened come from here, all else from `ws` as before. */
export function readBulk(ws: Bulky, socket: Below, maxPayload: number): void {
  const take = (length: number) => (length <= maxPayload ? takeBuffer(length) : undefined)
  feedBulk(ws, socket, false, { take, done() {} })
}

/** Lent to connections that others opened, at most this. */
const MOST_LENT = 2 ** 23
let lent = 0

/** The same of a connection that somebody else opened: masked, and behind its greeting, into what is lent. */
export function readStrangersBulk(ws: Bulky, socket: Below, maxPayload: number): void {
  let greeted = false
  ws.once('message', () => {
    greeted = true
  })
  const take = (length: number) => {
    const mayHave = greeted && length <= maxPayload && lent + length <= MOST_LENT
    const buffer = mayHave ? keptBuffer(length) : undefined
    if (buffer) lent += length
    return buffer
  }
  const done = (length: number) => {
    lent -= length
  }
  feedBulk(ws, socket, true, { take, done })
}

/** @param masked whether messages have to be; others are left to `ws`, which refuses them */
function feedBulk(ws: Bulky, socket: Below, masked: boolean, { take, done }: Buffers): void {
  const [read, ...others] = socket.listeners('data') as Feed[]
  if (!read || others.length > 0) return
  const head = new Uint8Array(HEAD_BYTES)
  let [known, passing, filled] = [0, 0, 0]
  let [fragmented, over] = [false, false]
  let target: Uint8Array<ArrayBuffer> | undefined
  const long = masked ? LONG | MASKED : LONG
  /** Whether `ws` has a part of the chunk, to keep. */
  let passed = false
  /** Chunks of a connection that somebody else opened lie in memory of their own. */
  const pass = (chunk: Uint8Array<ArrayBuffer>) => {
    passed = true
    read.call(socket, masked ? chunk : chunk.slice())
  }

  /** Whether the frame whose header begins so may be read here. Of any other `ws` gets every byte as it comes, to refuse it at once. */
  const isBulk = () => head[0] === WHOLE_BINARY && head[1] === long && !fragmented

  /** The header is whole: what follows is this side's, or passed on. */
  const begin = (length: number) => {
    const bulk = isBulk()
    const buffer = bulk && length >= BULK_FROM && take(length)
    if (buffer) {
      target = new Uint8Array(buffer)
      filled = 0
      return
    }
    if (bulk) pass(head.slice(0, known))
    const opcode = head[0] & 15
    if (opcode < CLOSE) fragmented = head[0] < FIN
    over = opcode === CLOSE
    passing = length
  }

  const eat = (chunk: Uint8Array<ArrayBuffer>) => {
    for (let at = 0; at < chunk.length; ) {
      const left = chunk.length - at
      if (target) {
        const count = Math.min(left, target.length - filled)
        target.set(chunk.subarray(at, at + count), filled)
        filled += count
        at += count
        if (filled < target.length) return
        const { buffer } = target
        if (masked) unmask(target, head.subarray(HEAD_BYTES - 4))
        target = undefined
        done(filled)
        ws.emit('message', buffer, true)
      } else if (passing > 0) {
        const count = Math.min(left, passing)
        pass(chunk.subarray(at, at + count))
        passing -= count
        at += count
      } else if (over) return
      else {
        const count = Math.min(left, (known < 2 ? 2 : headBytes(head)) - known)
        head.set(chunk.subarray(at, at + count), known)
        at += count
        known += count
        if (known < 2) continue
        // The first two bytes tell whose it is.
        if (!isBulk()) pass(head.slice(known - count < 2 ? 0 : known - count, known))
        if (known < headBytes(head)) continue
        const view = new DataView(head.buffer)
        const short = head[1] & LONG
        begin(short < 126 ? short : short === 126 ? view.getUint16(2) : Number(view.getBigUint64(2)))
        known = 0
      }
    }
  }
  const feed = (chunk: Uint8Array<ArrayBuffer>) => {
    passed = false
    eat(chunk)
    // Megabytes of them make V8 collect garbage in full.
    if (masked && !passed && ownsBuffer(chunk)) dropBuffer(chunk.buffer)
  }
  const ended = () => {
    if (target) {
      done(target.length)
      giveBuffer(target)
    }
    over = true
    target = undefined
    passing = 0
  }
  ws.once('error', ended)
  ws.once('close', ended)
  socket.off('data', read)
  socket.on('data', feed)
  feeds.set(socket, feed)
}

/** Bytes of a header that begins so. */
function headBytes(head: Uint8Array): number {
  const short = head[1] & LONG
  return (short < 126 ? 2 : short === 126 ? 4 : 10) + (head[1] & MASKED ? 4 : 0)
}

/** Takes a mask off in place, by words (RFC 6455, section 5.3); on loopback there is none. */
function unmask(message: Uint8Array<ArrayBuffer>, mask: Uint8Array): void {
  if (mask.every((byte) => byte === 0)) return
  const words = new Uint32Array(message.buffer, 0, message.length >> 2)
  const [word] = new Uint32Array(mask.slice().buffer)
  for (let i = 0; i < words.length; i++) words[i] ^= word
  for (let i = words.byteLength; i < message.length; i++) message[i] ^= mask[i & 3]
}
