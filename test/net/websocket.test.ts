import { createServer, type Socket } from 'node:net'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { WebSocket as NodeWebSocket } from 'ws'
import {
  type Channel,
  type ConnectOptions,
  connect,
  type WebSocketLike,
  webSocketChannel,
} from '../../src/net/index.js'
import { type ConnectionInfo, type Listener, type ListenOptions, listen } from '../../src/net/websocket-server.node.js'
import { selfSigned } from './certificate.js'
import { channelCompliance, codeOf } from './compliance.js'

const listeners: Listener[] = []
const started = async (options: ListenOptions) => {
  const listener = await listen(options)
  listeners.push(listener)
  return listener
}
afterEach(async () => {
  vi.unstubAllGlobals()
  for (const listener of listeners.splice(0)) await listener.close()
})

/** For conditions that hold soon, on a machine that is busy. */
const PATIENT = { timeout: 60_000 }

const viaWs = (url: string) => new NodeWebSocket(url, { perMessageDeflate: false }) as unknown as WebSocketLike

/** A connected pair: the connecting end, the accepted end. */
async function pair(options: ConnectOptions & Partial<ListenOptions> = {}): Promise<[Channel, Channel]> {
  let arrived!: (channel: Channel) => void
  const accepted = new Promise<Channel>((resolve) => (arrived = resolve))
  const greetingBytes = Number.POSITIVE_INFINITY // a channel's first message may be anything
  const { url } = await started({ port: 0, greetingBytes, ...options, onConnection: arrived })
  const near = await connect(url, options)
  return [near, await accepted]
}

channelCompliance('WebSocket, connecting end first', { open: pair })
channelCompliance('WebSocket, accepting end first', {
  open: async (o) => (await pair(o)).reverse() as [Channel, Channel],
})
channelCompliance('WebSocket, masked as off loopback', { open: (o) => pair({ ...o, open: viaWs }) })
channelCompliance('WebSocket over TLS', {
  async open(options) {
    const tls = selfSigned()
    const open = (url: string) => new NodeWebSocket(url, { ca: tls.cert }) as unknown as WebSocketLike
    return pair({ ...options, tls, open })
  },
})
channelCompliance('WebSocket over TLS, opened as a client does', {
  async open(options) {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
    return pair({ ...options, tls: selfSigned() }).finally(() => vi.unstubAllEnvs())
  },
})

const { WebSocket: Native } = globalThis as { WebSocket?: new (url: string) => unknown }
if (Native !== undefined) {
  channelCompliance('WebSocket of the platform', {
    open: (o) => pair({ ...o, open: (url) => new Native(url) as WebSocketLike }),
  })
} else {
  test.skip('WebSocket of the platform: skipped because this Node has none', () => {})
}

describe('connect', () => {
  test.each([
    'ws://example.org/',
    'ws://10.0.0.1:9000',
    'ws://127.0.0.1.example.org/',
    'ws://localhost.example.org',
    'ws://user:secret@example.org/',
  ])('refuses plain text to %s', async (url) => {
    const error = await connect(url).catch((e) => e)
    expect(error.code).toBe('INSECURE')
    expect(error.message).toContain('wss://')
    expect(error.message).not.toContain('secret')
  })

  test.each(['http://localhost', 'localhost:90', '', 'ws://', 'file:///etc'])('%j is no WebSocket URL', async (url) => {
    expect(await codeOf(connect(url))).toBe('BAD_INPUT')
  })

  test('nobody there: PEER_GONE that names the host', async () => {
    const { url, close } = await listen({ port: 0, onConnection() {} })
    await close()
    const error = await connect(url).catch((e) => e)
    expect(error.code).toBe('PEER_GONE')
    expect(error.message).toContain(new URL(url).host)
    expect(error.message).toContain('start the party')
  })

  test('another path: BAD_INPUT; a request that is no WebSocket: 426', async () => {
    const { port } = await started({ port: 0, path: '/party', onConnection() {} })
    expect(await codeOf(connect(`ws://localhost:${port}/other`))).toBe('BAD_INPUT')
    const response = await fetch(`http://127.0.0.1:${port}/party`)
    expect(response.status).toBe(426)
  })

  test('a peer that never answers: DEADLINE, ABORTED', async () => {
    const sockets: Socket[] = []
    const silent = createServer((socket) => void sockets.push(socket))
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as { port: number }
    expect(await codeOf(connect(`ws://127.0.0.1:${port}`, { deadlineMs: 30 }))).toBe('DEADLINE')
    const signal = AbortSignal.timeout(30)
    expect(await codeOf(connect(`ws://127.0.0.1:${port}`, { signal }))).toBe('ABORTED')
    expect(await codeOf(connect(`ws://127.0.0.1:${port}`, { signal }))).toBe('ABORTED')
    for (const socket of sockets) socket.destroy()
    silent.close()
  })

  test('an untrusted certificate: INSECURE', async () => {
    const { url } = await started({ port: 0, tls: selfSigned(), onConnection() {} })
    expect(url).toMatch(/^wss:/)
    expect(await codeOf(connect(url, { open: viaWs }))).toBe('INSECURE')
  })

  test('uses globalThis.WebSocket off Node', async () => {
    vi.stubGlobal('navigator', { userAgent: 'Mozilla/5.0' })
    const made: string[] = []
    class Native extends NodeWebSocket {
      constructor(url: string) {
        super(url)
        made.push(url)
      }
    }
    vi.stubGlobal('WebSocket', Native)
    const [a, b] = await pair()
    a.send(new Uint8Array([7]))
    expect([...(await b.receive({ deadlineMs: 60_000 }))]).toEqual([7])
    expect(made.length).toBe(1)
  })
})

describe('listen', () => {
  test('refuses plain text off loopback', async () => {
    for (const host of ['0.0.0.0', '::', '192.168.1.1', 'example.org']) {
      expect(await codeOf(listen({ host, port: 0, onConnection() {} }))).toBe('INSECURE')
    }
    const { port } = await started({ host: '0.0.0.0', port: 0, behindProxy: true, onConnection() {} })
    expect(port).toBeGreaterThan(0)
  })

  test('a port in use: HOST', async () => {
    const { port } = await started({ port: 0, onConnection() {} })
    expect(await codeOf(listen({ port, onConnection() {} }))).toBe('HOST')
  })

  test('tells who connects', async () => {
    let info: ConnectionInfo | undefined
    const { url } = await started({ port: 0, onConnection: (_, i) => (info = i) })
    const channel = await connect(`${url}/a?b=1`)
    await vi.waitFor(
      () => expect(info).toEqual({ remoteAddress: '127.0.0.1', origin: undefined, target: '/a?b=1' }),
      PATIENT,
    )
    channel.close()
  })

  test('close ends every connection, within its grace even for a peer that does not answer', async () => {
    const listener = await listen({ port: 0, onConnection() {} })
    const channel = await connect(listener.url)
    const frozen = viaWs(listener.url)
    await new Promise<void>((resolve) => frozen.addEventListener('open', resolve))
    frozen.pause!()
    await listener.close()
    expect(await codeOf(channel.receive({ deadlineMs: 60_000 }))).toBe('PEER_GONE')
  })

  test('keep-alive drops a silent peer and keeps one that answers', async () => {
    const accepted: Channel[] = []
    const { url } = await started({ port: 0, keepAliveMs: 500, onConnection: (channel) => accepted.push(channel) })
    const silent = viaWs(url)
    await new Promise<void>((resolve) => silent.addEventListener('open', resolve))
    silent.pause!()
    const lively = await connect(url)
    await vi.waitFor(() => expect(accepted.length).toBe(2), PATIENT)
    expect(await codeOf(accepted[0].receive({ deadlineMs: 60_000 }))).toBe('PEER_GONE')
    lively.send(new Uint8Array([1]))
    expect((await accepted[1].receive({ deadlineMs: 60_000 }))[0]).toBe(1)
  })
})

describe('faults on the wire', () => {
  test('a text message is FRAME, and none of it is in the error', async () => {
    const accepted: Channel[] = []
    const { url } = await started({ port: 0, onConnection: (channel) => accepted.push(channel) })
    const ws = new NodeWebSocket(url)
    await new Promise((resolve) => ws.once('open', resolve))
    ws.send('a secret')
    await vi.waitFor(() => expect(accepted.length).toBe(1), PATIENT)
    const error = await accepted[0].receive({ deadlineMs: 60_000 }).catch((e) => e)
    expect(error.code).toBe('FRAME')
    expect(error.message).not.toContain('secret')
  })

  test('a message beyond maxPayload is FRAME at its receiver, PEER_GONE (1009) at its sender', async () => {
    const [a, b] = await pair({ maxPayload: 1000 })
    a.send(new Uint8Array(1000))
    a.send(new Uint8Array(1001))
    expect((await b.receive({ deadlineMs: 60_000 })).byteLength).toBe(1000)
    expect(await codeOf(b.receive({ deadlineMs: 60_000 }))).toBe('FRAME')
    const error = await a.receive({ deadlineMs: 60_000 }).catch((e) => e)
    expect(error.code).toBe('PEER_GONE')
    expect(error.message).toContain('1009')
  })

  test('bytes that are no WebSocket frame are FRAME', async () => {
    const accepted: Channel[] = []
    const { port } = await started({ port: 0, onConnection: (channel) => accepted.push(channel) })
    const ws = new NodeWebSocket(`ws://127.0.0.1:${port}`)
    ws.on('error', () => {})
    await new Promise((resolve) => ws.once('open', resolve))
    const { _socket: socket } = ws as unknown as { _socket: Socket }
    socket.write(Buffer.from([0xff, 0xff, 0xff, 0xff]))
    await vi.waitFor(() => expect(accepted.length).toBe(1), PATIENT)
    expect(await codeOf(accepted[0].receive({ deadlineMs: 60_000 }))).toBe('FRAME')
  })

  test('a connection cut without a close is PEER_GONE', async () => {
    const accepted: Channel[] = []
    const { url } = await started({ port: 0, onConnection: (channel) => accepted.push(channel) })
    const ws = new NodeWebSocket(url)
    await new Promise((resolve) => ws.once('open', resolve))
    ws.terminate()
    await vi.waitFor(() => expect(accepted.length).toBe(1), PATIENT)
    expect(await codeOf(accepted[0].receive({ deadlineMs: 60_000 }))).toBe('PEER_GONE')
  })

  test('a socket that is not open is refused', () => {
    const ws = viaWs('ws://127.0.0.1:9')
    ws.addEventListener('error', () => {})
    expect(() => webSocketChannel(ws)).toThrow(/open WebSocket/)
    ws.close()
  })
})
