// What strangers may hold at a listener: connections, greetings, and messages that never end.
import { once } from 'node:events'
import { connect as connectSocket, type Socket } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { connect } from '../../src/net/connect.js'
import { type Listener, type ListenOptions, listen, type Refused } from '../../src/net/websocket-server.node.js'

const listeners: Listener[] = []
const sockets: Socket[] = []
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  for (const listener of listeners.splice(0)) await listener.close()
})

async function started(options: Partial<ListenOptions>) {
  const refused: Refused[] = []
  const seen: number[] = []
  const listener = await listen({
    port: 0,
    onRefused: (who) => refused.push(who),
    onConnection: (channel) => {
      const hear = async (): Promise<never> => {
        for (;;) seen.push((await channel.receive()).byteLength)
      }
      hear().catch(() => undefined)
    },
    ...options,
  })
  listeners.push(listener)
  return { ...listener, port: listener.port, url: listener.url, refused, seen }
}

/** A WebSocket by hand, to send what no client would. */
async function byHand(port: number): Promise<Socket> {
  const socket = connectSocket(port, '127.0.0.1')
  sockets.push(socket)
  socket.on('error', () => undefined)
  const key = Buffer.alloc(16).toString('base64')
  const head = ['GET / HTTP/1.1', 'Host: here', 'Upgrade: websocket', 'Connection: Upgrade']
  socket.write([...head, 'Sec-WebSocket-Version: 13', `Sec-WebSocket-Key: ${key}`, '', ''].join('\r\n'))
  await once(socket, 'data')
  return socket
}

/** The beginning of a binary message of `length` bytes, masked with zeros. */
function begun(length: number, sent: number): Buffer {
  const head = Buffer.alloc(14)
  head[0] = 0x82
  head[1] = 0x80 | 127
  head.writeBigUInt64BE(BigInt(length), 2)
  return Buffer.concat([head, Buffer.alloc(sent)])
}

const isOpen = (socket: Socket) => !socket.destroyed && socket.writable && socket.readable
const ended = async (socket: Socket) => {
  if (isOpen(socket)) await once(socket, 'close')
}
const sendAll = (socket: Socket, bytes: Buffer) => new Promise<void>((done) => socket.write(bytes, () => done()))

test('a first message has to be short: a longer one ends the connection before it has come', async () => {
  const { port, refused, seen } = await started({ greetingBytes: 1000 })
  const long = await byHand(port)
  void sendAll(long, begun(2 ** 20, 5000))
  await ended(long)
  expect(refused).toEqual([{ reason: 'too large', remoteAddress: '127.0.0.1' }])
  const short = await byHand(port)
  await sendAll(short, begun(900, 900))
  await expect.poll(() => seen).toEqual([900])
  // From then on a message may be as long as any.
  await sendAll(short, begun(2 ** 20, 2 ** 20))
  await expect.poll(() => seen).toEqual([900, 2 ** 20])
})

test('messages that never end hold no more than the budget: the largest is dropped, the others stay', async () => {
  const { port, refused, seen } = await started({ unfinishedBytes: 3 * 2 ** 20 })
  const all = await Promise.all([0.5, 0.75, 1.5, 1].map(async (mib) => ({ mib, socket: await byHand(port) })))
  for (const { socket } of all) await sendAll(socket, begun(10, 10))
  await expect.poll(() => seen.length).toBe(4)
  for (const { mib, socket } of all) await sendAll(socket, begun(8 * 2 ** 20, mib * 2 ** 20))
  await ended(all[2].socket)
  expect(refused).toHaveLength(1)
  expect(all.filter(({ socket }) => isOpen(socket)).map(({ mib }) => mib)).toEqual([0.5, 0.75, 1])
  // What a finished or dropped message held is free again.
  await sendAll(all[3].socket, Buffer.alloc(7 * 2 ** 20).subarray(0, 2 ** 19))
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(refused).toHaveLength(1)
})

test('connections are bounded, in all and per address, and free again when they end', async () => {
  const { port, url, refused } = await started({ connections: 3, connectionsPerAddress: 2 })
  const first = await byHand(port)
  await byHand(port)
  await expect(connect(url)).rejects.toMatchObject({ code: 'BUSY', retryable: true })
  expect(refused).toEqual([{ reason: 'busy', remoteAddress: '127.0.0.1' }])
  first.destroy()
  await expect
    .poll(async () => connect(url).then((channel) => channel.close(), ({ code }) => code)) // biome-ignore format: one call
    .toBe(undefined)
})

test('callers that are found out at the same time are counted one by one', async () => {
  const waiting: (() => void)[] = []
  const authorize = () =>
    new Promise<{ principal: { name: string; connections: number } }>((resolve) => {
      waiting.push(() => resolve({ principal: { name: 'one', connections: 2 } }))
    })
  const { url, refused } = await started({ authorize })
  const asking = Array.from({ length: 6 }, () => connect(url).then(() => 'in', ({ code }) => code)) // biome-ignore format: one call
  await expect.poll(() => waiting.length).toBe(6)
  for (const answer of waiting) answer()
  expect((await Promise.all(asking)).sort()).toEqual(['BUSY', 'BUSY', 'BUSY', 'BUSY', 'in', 'in'])
  expect(refused).toHaveLength(4)
})
