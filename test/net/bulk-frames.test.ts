// Large messages: read past `ws`, in every cut of the stream, with what it still reads between them; and the buffers they lie in.
import { createHash } from 'node:crypto'
import { EventEmitter } from 'node:events'
import { connect as connectSocket, createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { SUBPROTOCOL } from '../../src/net/access/credentials.js'
import { readStrangersBulk } from '../../src/net/bulk/frames.js'
import { BULK_FROM, KEPT_FROM, keptBuffer, takeBuffer } from '../../src/net/bulk/kept-buffers.js'
import { type Channel, connect, giveBuffer, type WebSocketLike, webSocketChannel } from '../../src/net/index.js'
import { listen } from '../../src/net/websocket-server.node.js'
import { codeOf } from './compliance.js'

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean()
})

/** A server's socket behind the handshake, to write any bytes to; and the channel of who connected. */
async function raw(first: Uint8Array[] = []): Promise<{ channel: Channel; socket: Socket }> {
  let socket!: Socket
  const server = createServer((arrived) => {
    socket = arrived
    arrived.on('error', () => undefined)
    arrived.once('data', (request) => {
      const [, key] = /Sec-WebSocket-Key: (\S+)/i.exec(String(request))!
      const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
      const protocol = /Sec-WebSocket-Protocol: ([^,\r]+)/i.exec(String(request))?.[1]
      const head = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade']
      const answer = [
        ...head,
        `Sec-WebSocket-Accept: ${accept}`,
        ...(protocol ? [`Sec-WebSocket-Protocol: ${protocol}`] : []),
      ]
      arrived.write(Buffer.concat([Buffer.from(`${answer.join('\r\n')}\r\n\r\n`), ...first]))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => {
    socket?.destroy()
    server.close()
  })
  const channel = await connect(`ws://127.0.0.1:${(server.address() as { port: number }).port}`)
  cleanups.push(() => channel.close())
  return { channel, socket }
}

/** A client's socket behind the handshake, and the server's channel of it. */
async function stranger(maxPayload?: number): Promise<{ channel: Channel; socket: Socket }> {
  let accept!: (channel: Channel) => void
  const accepted = new Promise<Channel>((resolve) => {
    accept = resolve
  })
  const listener = await listen({ port: 0, maxPayload, greetingBytes: 2 ** 24, onConnection: accept })
  const socket = connectSocket(listener.port, '127.0.0.1')
  const names = ['GET / HTTP/1.1', 'Host: x', 'Upgrade: websocket', 'Connection: Upgrade']
  const key = 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='
  const more = ['Sec-WebSocket-Version: 13', `Sec-WebSocket-Protocol: ${SUBPROTOCOL}`]
  socket.write(`${[...names, key, ...more].join('\r\n')}\r\n\r\n`)
  const channel = await accepted
  cleanups.push(() => {
    socket.destroy()
    void listener.close()
  })
  return { channel, socket }
}

async function greet(socket: Socket, channel: Channel): Promise<void> {
  socket.write(maskedFrame(BINARY, message(20, 9), 3))
  await channel.receive()
}

/** A frame as a client sends it. */
function maskedFrame(first: number, payload: Uint8Array, mask: number): Buffer {
  const plain = frame(first, payload, 0x80)
  const at = plain.length - payload.length
  plain.writeUInt32BE(mask, at - 4)
  for (let i = 0; i < payload.length; i++) plain[at + i] ^= plain[at - 4 + (i & 3)]
  return plain
}

/** A frame as a server sends it. */
function frame(first: number, payload: Uint8Array, masked = 0): Buffer {
  const { length } = payload
  const head = length < 126 ? Buffer.from([first, length]) : Buffer.alloc(length < 65536 ? 4 : 10)
  if (length >= 126) {
    head[0] = first
    head[1] = length < 65536 ? 126 : 127
    if (length < 65536) head.writeUInt16BE(length, 2)
    else head.writeBigUInt64BE(BigInt(length), 2)
  }
  head[1] |= masked
  return Buffer.concat([head, Buffer.alloc(masked ? 4 : 0), payload])
}

const BINARY = 0x82
/** Bytes that tell messages and places apart. */
const message = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (Math.imul(i ^ (seed << 20), 2654435761) >>> 13) & 255)

/** 0 … below, the same in every run. */
function dice(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

type Frame = (first: number, payload: Uint8Array) => Buffer

/** Sends forty messages of all sizes, some in parts with a ping between them, in cuts of all sizes. */
async function sendAll(socket: Socket, roll: (below: number) => number, frame: Frame): Promise<Uint8Array[]> {
  const sent: Uint8Array[] = []
  const wire: Buffer[] = []
  for (let i = 0; i < 40; i++) {
    const sizes = [0, 5, 125, 126, 4000, 65535, 65536, 65537, 70_000 + 10_000 * roll(30)]
    const payload = message(sizes[roll(sizes.length)], i)
    sent.push(payload)
    if (roll(4) === 0) {
      const at = roll(payload.length + 1)
      const parts = [
        frame(0x02, payload.subarray(0, at)),
        frame(0x89, message(roll(125), i)),
        frame(0x80, payload.subarray(at)),
      ]
      wire.push(...parts)
    } else wire.push(frame(BINARY, payload))
  }
  const stream = Buffer.concat(wire)
  for (let at = 0; at < stream.length; ) {
    const size = roll(3) === 0 ? 1 + roll(12) : 1 + roll(150_000)
    socket.write(stream.subarray(at, at + size))
    at += size
    if (roll(4) === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  return sent
}

describe('large messages of a connection', () => {
  test.each([1, 2, 3])('come as they were sent, whatever the stream is cut into (%i)', async (seed) => {
    const { channel, socket } = await raw()
    const sent = await sendAll(socket, dice(seed), frame)
    // Nothing is given back before all have come: no two may share a buffer.
    const came: Uint8Array[] = []
    for (const _ of sent) came.push(await channel.receive())
    for (const [i, payload] of sent.entries()) expect(Buffer.compare(came[i], payload), `message ${i}`).toBe(0)
  })

  test('may come in one piece with the handshake', async () => {
    const [small, large] = [message(10, 1), message(100_000, 2)]
    const { channel } = await raw([frame(BINARY, small), frame(BINARY, large)])
    expect(await channel.receive()).toEqual(small)
    expect(Buffer.compare(await channel.receive(), large)).toBe(0)
  })

  test('that are malformed end the channel as `ws` has it', async () => {
    const large = message(70_000, 3)
    for (const wrong of [
      [frame(BINARY, large, 0x80)],
      [frame(0x02, large), frame(BINARY, large)],
      [frame(0x80, large)],
      [frame(0xc2, large)],
      [Buffer.from([BINARY, 127, 0, 0, 0, 0, 1, 0, 0, 1])], // one byte more than 16 MiB
      [Buffer.from([BINARY, 127, 255, 255, 255, 255, 255, 255, 255, 255])],
    ]) {
      const { channel, socket } = await raw()
      for (const bytes of wrong) socket.write(bytes)
      expect(await codeOf(channel.receive())).toBe('FRAME')
    }
  })

  test('that are cut off never arrive', async () => {
    const { channel, socket } = await raw()
    socket.end(frame(BINARY, message(70_000, 4)).subarray(0, 69_000))
    expect(await codeOf(channel.receive())).toBe('PEER_GONE')
  })

  test('are not read any more behind a close', async () => {
    const { channel, socket } = await raw()
    socket.write(Buffer.concat([frame(0x88, Buffer.from([3, 232])), frame(BINARY, message(70_000, 5))]))
    expect(await codeOf(channel.receive())).toBe('PEER_GONE')
  })
})

describe('large messages of who connected', () => {
  test.each([1, 2, 3])('come as they were sent, behind any mask (%i)', async (seed) => {
    const { channel, socket } = await stranger()
    const roll = dice(seed)
    await greet(socket, channel)
    // Kept twice over: some are lent, for some none is left.
    for (let size = 70_000; size < 370_000; size += 10_000) giveBuffer(new Uint8Array(takeBuffer(size)))
    const masks = [0, 1, 0x01020304, 0xfffefdfc]
    const masked: Frame = (first, payload) => maskedFrame(first, payload, masks[roll(4)])
    const sent = await sendAll(socket, roll, masked)
    const came: Uint8Array[] = []
    for (const _ of sent) came.push(await channel.receive())
    for (const [i, payload] of sent.entries()) expect(Buffer.compare(came[i], payload), `message ${i}`).toBe(0)
  })

  test('are read into a buffer that is kept, which comes back when they do not', async () => {
    const size = BULK_FROM + 12_344
    const payload = message(size, 6)
    const mine = takeBuffer(size)
    giveBuffer(new Uint8Array(mine))
    const { channel, socket } = await stranger()
    await greet(socket, channel)
    socket.write(maskedFrame(BINARY, payload, 7))
    const came = await channel.receive()
    expect(came.buffer).toBe(mine)
    expect(Buffer.compare(came, payload)).toBe(0)
    giveBuffer(came)
    const isKept = () => {
      const buffer = keptBuffer(size)
      if (buffer) giveBuffer(new Uint8Array(buffer))
      return buffer === mine
    }
    expect(isKept()).toBe(true)
    socket.write(maskedFrame(BINARY, payload, 7).subarray(0, size / 2))
    await expect.poll(isKept).toBe(false)
    socket.destroy()
    expect(await codeOf(channel.receive())).toBe('PEER_GONE')
    await expect.poll(isKept).toBe(true)
  })

  test('take no memory when they are announced: one that is not kept comes as `ws` has it', async () => {
    const size = BULK_FROM + 54_320
    const payload = message(size, 7)
    const { channel, socket } = await stranger()
    socket.write(maskedFrame(BINARY, payload, 9))
    expect(Buffer.compare(await channel.receive(), payload)).toBe(0)
  })

  test('are not lent anything before a greeting, nor beyond `maxPayload`', async () => {
    const size = 2 ** 20 + 24
    const mine = takeBuffer(size)
    giveBuffer(new Uint8Array(mine))
    const first = await stranger(2 ** 21)
    first.socket.write(maskedFrame(BINARY, message(size, 8), 5))
    expect((await first.channel.receive()).buffer).not.toBe(mine)
    const { channel, socket } = await stranger(2 ** 20)
    await greet(socket, channel)
    socket.write(maskedFrame(BINARY, message(size, 8), 5))
    expect(await codeOf(channel.receive())).toBe('FRAME')
  })

  test('without a mask are refused, and so is no frame at all, at once', async () => {
    for (const wrong of [frame(BINARY, message(70_000, 8)), frame(BINARY, message(5, 8)), Buffer.from('no frame')]) {
      const { channel, socket } = await stranger()
      socket.write(wrong.subarray(0, 8))
      expect(await codeOf(channel.receive())).toBe('FRAME')
    }
  })
})

describe('kept buffers', () => {
  test('are used again from a certain size on, and never by two', () => {
    const size = KEPT_FROM + 24
    const first = takeBuffer(size)
    giveBuffer(new Uint8Array(first, 8))
    giveBuffer(new Uint8Array(first))
    expect(takeBuffer(size)).toBe(first)
    expect(takeBuffer(size)).not.toBe(first)
    const small = takeBuffer(KEPT_FROM - 1)
    giveBuffer(new Uint8Array(small))
    expect(takeBuffer(KEPT_FROM - 1)).not.toBe(small)
  })

  test('are of sizes that somebody takes: others would push them out', () => {
    const size = BULK_FROM + 40
    const [mine, other] = [takeBuffer(size), new ArrayBuffer(BULK_FROM + 48)]
    giveBuffer(new Uint8Array(mine))
    for (let i = 0; i < 300; i++) giveBuffer(new Uint8Array(new ArrayBuffer(BULK_FROM + 48)))
    giveBuffer(new Uint8Array(other))
    expect(takeBuffer(size)).toBe(mine)
    expect(takeBuffer(BULK_FROM + 48)).not.toBe(other)
    expect(other.byteLength, 'its memory went back at once').toBe(0)
  })

  test('below those that are read into them: what nobody takes is left to the collector', () => {
    const [mine, other] = [takeBuffer(BULK_FROM - 8), new ArrayBuffer(BULK_FROM - 16)]
    giveBuffer(new Uint8Array(mine))
    giveBuffer(new Uint8Array(other))
    expect(takeBuffer(BULK_FROM - 8)).toBe(mine)
    expect(takeBuffer(BULK_FROM - 16)).not.toBe(other)
    expect(other.byteLength, 'to give it back costs more than to collect it').toBe(BULK_FROM - 16)
  })

  test('of many sizes are those of the last ones', () => {
    const first = takeBuffer(KEPT_FROM + 1)
    giveBuffer(new Uint8Array(first))
    for (let i = 2; i < 1100; i++) takeBuffer(KEPT_FROM + i)
    expect(takeBuffer(KEPT_FROM + 1)).not.toBe(first)
  })

  test('are bounded: those unused for longest go', () => {
    const MIB = 2 ** 20
    const [oldest, ...others] = Array.from({ length: 18 }, (_, i) => takeBuffer(MIB + 8 * i))
    giveBuffer(new Uint8Array(oldest))
    for (const buffer of others) giveBuffer(new Uint8Array(buffer))
    expect(takeBuffer(MIB)).not.toBe(oldest)
    expect(oldest.byteLength, 'its memory went back at once').toBe(0)
    expect(takeBuffer(MIB + 8 * 17)).toBe(others.at(-1))
    expect(new Uint8Array(takeBuffer(MIB + 8)).every((byte) => byte === 0)).toBe(true)
  })

  test('of what `ws` has not written yet are left alone', async () => {
    const written: (() => void)[] = []
    const idle = { readyState: 1, bufferedAmount: 0, binaryType: '', addEventListener() {}, close() {}, pause() {} }
    const ws = { ...idle, send: (_: Uint8Array, done?: () => void) => written.push(done!) } as unknown as WebSocketLike
    const size = KEPT_FROM + 4096
    const buffer = takeBuffer(size)
    webSocketChannel(ws).send(new Uint8Array(buffer))
    expect(takeBuffer(size)).not.toBe(buffer)
    written[0]()
    expect(takeBuffer(size)).toBe(buffer)
  })
})

test("a stranger's chunk is given back once it is read, unless ws has a part of it", () => {
  const size = 3 * BULK_FROM + 40
  const taken = [takeBuffer(size)]
  for (const buffer of taken) giveBuffer(new Uint8Array(buffer))
  const [ws, socket] = [new EventEmitter(), new EventEmitter()]
  const toWs: Uint8Array[] = []
  socket.on('data', (chunk: Uint8Array) => toWs.push(chunk))
  readStrangersBulk(ws as never, socket as never, 2 ** 24)
  const chunkOf = (bytes: Uint8Array) => new Uint8Array(bytes)
  const greeting = chunkOf(maskedFrame(BINARY, message(20, 9), 3))
  ws.emit('message')
  socket.emit('data', greeting)
  expect(toWs.length).toBeGreaterThan(0)
  expect(greeting.byteLength).toBeGreaterThan(20)

  const sent = message(size, 5)
  const whole = maskedFrame(BINARY, sent, 77)
  const half = chunkOf(whole.subarray(0, 2 ** 16))
  const [pool, last] = [new Uint8Array(2 ** 20), whole.subarray(2 ** 17)]
  pool.set(last, 64)
  const middle = chunkOf(whole.subarray(2 ** 16, 2 ** 17))
  let got: Uint8Array | undefined
  ws.once('message', (data: ArrayBuffer) => {
    got = new Uint8Array(data)
  })
  for (const chunk of [half, middle, pool.subarray(64, 64 + last.length)]) socket.emit('data', chunk)
  expect(Buffer.from(got!).equals(sent)).toBe(true)
  // What is all of its buffer is gone; what lies in somebody else's is not.
  expect([half.byteLength, middle.byteLength, pool.byteLength]).toEqual([0, 0, 2 ** 20])

  // The rest of a message, and the beginning of what `ws` reads.
  const mixed = chunkOf(Buffer.concat([maskedFrame(BINARY, message(20, 1), 5), whole.subarray(0, 100)]))
  socket.emit('data', mixed)
  expect(mixed.byteLength).toBeGreaterThan(100)
  ws.emit('close')
})
