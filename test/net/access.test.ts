// Who is let in: tokens in headers and subprotocols, origins, connections per principal, and what those hear who are not.
import { afterEach, describe, expect, test } from 'vitest'
import { WebSocket as NodeWebSocket } from 'ws'
import type { AccessDecision, AccessRequest } from '../../src/net/access/gate.node.js'
import { type Channel, connect, type WebSocketLike } from '../../src/net/index.js'
import { type ConnectionInfo, type Listener, type ListenOptions, listen } from '../../src/net/websocket-server.node.js'
import { selfSigned } from './certificate.js'
import { codeOf } from './compliance.js'

const TOKEN = 'abc.DEF-123_~+/=='
const listeners: Listener[] = []
afterEach(async () => {
  for (const listener of listeners.splice(0)) await listener.close()
})

/** Lets in whoever shows TOKEN. */
async function guarded(options: Partial<ListenOptions> = {}) {
  const asked: AccessRequest[] = []
  const entered: ConnectionInfo[] = []
  const refused: string[] = []
  const listener = await listen({
    authorize: (request): AccessDecision => {
      asked.push(request)
      return request.token === TOKEN ? { principal: { name: 'anna' } } : { refused: 'unauthorized' }
    },
    onRefused: ({ reason }) => refused.push(reason),
    onConnection: (_, info) => entered.push(info),
    ...options,
  })
  listeners.push(listener)
  return { url: listener.url, listener, asked, entered, refused }
}

/** As a page does: no header can be set but the origin, which the browser sets. */
const page =
  (origin = 'https://app.example.org') =>
  (url: string, protocols: string[]) =>
    new NodeWebSocket(url, protocols, { origin }) as unknown as WebSocketLike
/** As Bun and Deno do: no header, no origin. */
const bare = (url: string, protocols: string[]) => new NodeWebSocket(url, protocols) as unknown as WebSocketLike

const failureOf = async (channel: Promise<Channel>): Promise<string> =>
  codeOf(channel.then((open) => open.receive({ deadlineMs: 60_000 })))

describe('a token', () => {
  test.each([
    ['in a header', {}],
    ['in a subprotocol, from a page', { open: page() }],
    ['in a subprotocol, from a program', { open: bare }],
  ])('%s lets its bearer in, and is in no URL', async (_, options) => {
    const { url, asked, entered } = await guarded()
    const channel = await connect(url, { ...options, token: TOKEN })
    expect(entered).toMatchObject([{ role: 'client', principal: { name: 'anna' }, target: '/' }])
    expect(asked).toMatchObject([{ token: TOKEN, address: '127.0.0.1', target: '/' }])
    channel.close()
  })

  test('tells the role with it', async () => {
    const { url, entered } = await guarded()
    for (const open of [undefined, bare]) {
      const channel = await connect(url, { open, token: TOKEN, role: 'server' })
      expect(entered.at(-1)?.role).toBe('server')
      channel.close()
    }
  })

  test.each([
    ['missing', undefined],
    ['wrong', 'other'],
  ])('that is %s: UNAUTHORIZED for programs and pages', async (_, token) => {
    const { url, entered, refused } = await guarded()
    for (const open of [undefined, page(), bare]) {
      // Without a token a bare WebSocket offers nothing, hence hears HTTP's answer, which `ws` tells.
      expect(await failureOf(connect(url, { open, token }))).toBe('UNAUTHORIZED')
    }
    expect(entered).toEqual([])
    expect(refused).toEqual(['unauthorized', 'unauthorized', 'unauthorized'])
  })

  test('that cannot travel is refused before anything is sent, and is not in the error', async () => {
    const error = await connect('ws://127.0.0.1:9', { token: 'se cret' }).catch((e) => e)
    expect(error.code).toBe('BAD_INPUT')
    expect(error.message).not.toContain('cret')
    expect(await codeOf(connect('ws://127.0.0.1:9', { token: 'x'.repeat(5000) }))).toBe('BAD_INPUT')
  })
})

test('without authorize everybody enters, as nobody, in no role', async () => {
  const { url, entered } = await guarded({ authorize: undefined })
  const channel = await connect(url, { token: TOKEN, role: 'server' })
  expect(entered).toMatchObject([{ role: undefined, principal: undefined }])
  channel.close()
})

test('a hook that fails lets nobody in', async () => {
  const { url, refused } = await guarded({ authorize: () => Promise.reject(new Error('the directory is away')) })
  expect(await codeOf(connect(url, { token: TOKEN }))).toBe('BUSY')
  expect(refused).toEqual(['unavailable'])
})

test('pages of other origins are kept out; programs have none', async () => {
  const { url } = await guarded({ authorize: undefined, origins: ['https://app.example.org'] })
  const [own, program] = [await connect(url, { open: page() }), await connect(url)]
  expect(await failureOf(connect(url, { open: page('https://evil.example.org') }))).toBe('UNAUTHORIZED')
  own.close()
  program.close()
})

test.each([
  ['nobody knows better', undefined, 2000, '2'],
  ['the hook says so', 7300, 7300, '8'],
] as const)('who is told to come back hears when, program or page: %s', async (_, said, toPage, header) => {
  const authorize = (): AccessDecision => ({ refused: 'busy', retryAfterMs: said })
  const { url } = await guarded({ authorize })
  const answer = await new Promise<string | undefined>((resolve) =>
    new NodeWebSocket(url).once('unexpected-response', (request, { headers }) => {
      request.destroy()
      resolve(headers['retry-after'])
    }),
  )
  expect(answer).toBe(header)
  const program = await connect(url).catch((error) => error)
  expect(program).toMatchObject({ code: 'BUSY', retryable: true, retryAfterMs: Number(header) * 1000 })
  const fromPage = await connect(url, { open: page() })
  const error = await fromPage.receive({ deadlineMs: 10_000 }).catch((error) => error)
  expect(error).toMatchObject({ code: 'BUSY', retryable: true, retryAfterMs: toPage })
})

test('a principal has so many connections and no more, until one ends', async () => {
  const { url } = await guarded({ authorize: () => ({ principal: { name: 'anna', connections: 2 } }) })
  const [one, two] = [await connect(url), await connect(url)]
  expect(await codeOf(connect(url))).toBe('BUSY')
  expect(await failureOf(connect(url, { open: page() }))).toBe('BUSY')
  one.close()
  await one.closed
  let third: Channel | undefined
  for (let i = 0; i < 200 && !third; i++) third = await connect(url).catch(() => undefined)
  expect(third).toBeDefined()
  two.close()
  third!.close()
})

test('refuse keeps newcomers out and nobody else', async () => {
  const { url, listener } = await guarded({
    authorize: undefined,
    onConnection: (channel) =>
      void channel
        .receive()
        .then((message) => channel.send(message))
        .catch(() => undefined),
  })
  const inside = await connect(url)
  listener.refuse()
  expect(await codeOf(connect(url))).toBe('BUSY')
  inside.send(new Uint8Array([7]))
  expect([...(await inside.receive({ deadlineMs: 60_000 }))]).toEqual([7])
  inside.close()
})

test('the address behind a proxy is what the proxy wrote last', async () => {
  const headers = { 'X-Forwarded-For': '6.6.6.6, 10.0.0.7' }
  const open = (url: string) => new NodeWebSocket(url, { headers }) as unknown as WebSocketLike
  const behind = await guarded({ behindProxy: true, authorize: undefined })
  const alone = await guarded({ authorize: undefined })
  for (const [{ url, entered }, address] of [[behind, '10.0.0.7'] as const, [alone, '127.0.0.1'] as const]) {
    const channel = await connect(url, { open })
    expect(entered[0].remoteAddress).toBe(address)
    channel.close()
  }
})

describe('a certificate', () => {
  const trusting = (cert: string) => (url: string) => new NodeWebSocket(url, { ca: cert }) as unknown as WebSocketLike

  test('is renewed while connections go on', async () => {
    const [first, second] = [selfSigned(), selfSigned()]
    const { url, listener } = await guarded({ authorize: undefined, tls: first })
    const early = await connect(url, { open: trusting(first.cert) })
    listener.renew(second)
    const late = await connect(url, { open: trusting(second.cert) })
    expect(await codeOf(connect(url, { open: trusting(first.cert) }))).toBe('INSECURE')
    expect(() => listener.renew({ cert: first.cert, key: second.key })).toThrow(/certificate's own/)
    early.close()
    late.close()
  })

  test.each([
    ['empty', { cert: '', key: '' }, /cert: expected PEM\n.*key: expected PEM/],
    [
      'with the key of another',
      { cert: selfSigned().cert, key: selfSigned().key },
      /key: expected the certificate's own/,
    ],
  ])('that is %s is refused', async (_, tls, text) => {
    await expect(listen({ tls, onConnection() {} })).rejects.toThrow(text)
  })
})

test('the connecting side notices a peer that falls silent', async () => {
  const { url } = await guarded({ authorize: undefined, keepAliveMs: 3_600_000, onConnection: () => undefined })
  const sockets: { pause(): void }[] = []
  // The listener's end stops reading, so that no ping is answered, as when its machine halts.
  const silent = await guarded({
    authorize: undefined,
    keepAliveMs: 3_600_000,
    onConnection: (channel) => sockets.push(channel as unknown as { pause(): void }),
  })
  const lively = await connect(url, { keepAliveMs: 100 })
  const channel = await connect(silent.url, { keepAliveMs: 100 })
  ;(sockets[0] as unknown as { hold(): void }).hold()
  expect(await codeOf(channel.receive({ deadlineMs: 60_000 }))).toBe('PEER_GONE')
  expect(await codeOf(lively.receive({ deadlineMs: 500 }))).toBe('DEADLINE')
  lively.close()
})
