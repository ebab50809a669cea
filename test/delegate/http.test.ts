// Owners over HTTP, on the servers that parties' connections come to: who may ask, what is refused, what it says.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Authorize } from '../../src/net/access/gate.node.js'
import { type Listener, listen } from '../../src/net/websocket-server.node.js'
import { Server } from '../../src/party/server.js'
import { ThinClient, type ThinOptions } from '../../src/thin/thin-client.js'
import { failure, inputFor } from '../party/fixture.js'
import { DelegatedSite, delegatedNetwork } from './fixture.js'

const compiled = delegatedNetwork()
const PAGE = 'https://page.example'
let site: DelegatedSite
let server: Listener
let delegate: Listener

const authorize: Authorize = ({ token }) =>
  token === 'wrong' ? { refused: 'unauthorized' } : { principal: token === undefined ? undefined : { name: token } }

beforeAll(async () => {
  site = await DelegatedSite.create(compiled)
  const common = { authorize, origins: [PAGE] }
  server = await listen({
    ...common,
    exchange: (target) => (target === '/delegated' ? site.server.exchange : undefined),
    onConnection: (channel, info) => void site.server.run(channel, info),
  })
  delegate = await listen({
    ...common,
    exchange: (target) => (target === '/delegated' ? site.delegate.exchange : undefined),
    onConnection: (channel) => channel.close(),
  })
})
afterAll(async () => {
  await server.close()
  await delegate.close()
  await site.release()
})

const owner = (options: Partial<ThinOptions> = {}) =>
  ThinClient.create({
    server: server.url,
    delegate: delegate.url,
    delegateKey: site.delegate.publicKey,
    ...options,
  })
const at = (listener: Listener) => `${listener.url.replace('ws', 'http')}/delegated`

test('an owner asks over HTTP and has the answer of one request', async () => {
  const client = await owner({ token: 'somebody' })
  const [first, second] = await Promise.all([client.run(inputFor(compiled, 1)), client.run(inputFor(compiled, 2))])
  expect([...first.logits]).not.toEqual([...second.logits])
  expect(first.logits).toHaveLength(3)
})

test('the query of an address goes with every request', async () => {
  const asked: string[] = []
  const fetch = (url: string, init: RequestInit) => {
    asked.push(url)
    return globalThis.fetch(new URL(new URL(url).pathname, url), init)
  }
  const client = await owner({ server: `${server.url}/?tenant=a%20b`, delegate: `${delegate.url}?x=1`, fetch })
  await client.run(inputFor(compiled))
  const [atServer, atDelegate] = [`${at(server)}?tenant=a%20b`, `${at(delegate)}?x=1`]
  expect(asked.sort()).toEqual([atServer, atServer, atDelegate, atDelegate].sort())
})

describe('refused with words', () => {
  test('a token that is none, at either party', async () => {
    for (const party of ['server', 'delegate']) {
      const error = await failure(owner({ token: { [party]: 'wrong' } }))
      expect(error).toMatchObject({ code: 'UNAUTHORIZED', retryable: false })
    }
  })

  test('another delegate than the pinned one', async () => {
    expect(await failure(owner({ delegateKey: new Uint8Array(32).fill(9) }))).toMatchObject({ code: 'INSECURE' })
  })

  test('plain text off this machine, and addresses that are none', async () => {
    expect(await failure(owner({ server: 'http://server.example' }))).toMatchObject({ code: 'INSECURE' })
    expect(await failure(owner({ delegate: 'delegate' }))).toMatchObject({ code: 'BAD_INPUT' })
    expect(await failure(owner({ delegateKey: new Uint8Array(3) }))).toMatchObject({ code: 'BAD_INPUT' })
  })

  test('a party that is not there', async () => {
    const gone = await failure(owner({ server: 'http://127.0.0.1:1' }))
    expect(gone).toMatchObject({ code: 'PEER_GONE', retryable: true })
  })

  test('a server that was given no delegate’s key', async () => {
    const open = await Server.create(compiled, site.toHelper)
    const without = await listen({
      exchange: () => open.exchange,
      onConnection: (channel) => channel.close(),
    })
    const error = await failure(owner({ server: without.url, token: 'somebody' }))
    expect(error).toMatchObject({ code: 'UNSUPPORTED', retryable: false })
    expect((error as Error).message).toContain(
      "the server takes no delegated inputs; it has to be given the delegate's key",
    )
    await without.close()
    await open.release()
  })

  test.each([0, 10, 100_000])('a body of %i bytes', async (bytes) => {
    for (const listener of [server, delegate]) {
      const response = await fetch(at(listener), { method: 'POST', body: new Uint8Array(bytes) })
      expect([response.status, await response.text()]).toEqual([400, 'FRAME'])
    }
  })

  test('other methods and other paths', async () => {
    expect((await fetch(at(server), { method: 'PUT', body: 'x' })).status).toBe(405)
    expect((await fetch(at(server).replace('delegated', 'other'))).status).toBe(426)
  })

  test('a page that may not, and a page that may is told for two hours', async () => {
    const from = (origin: string, method = 'GET') => fetch(at(server), { method, headers: { Origin: origin } })
    expect((await from('https://other.example')).status).toBe(403)
    const preflight = await from(PAGE, 'OPTIONS')
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('access-control-allow-origin')).toBe(PAGE)
    expect(preflight.headers.get('access-control-allow-headers')).toBe('Authorization')
    expect((await from('https://other.example', 'OPTIONS')).headers.get('access-control-allow-origin')).toBeNull()
  })
})
