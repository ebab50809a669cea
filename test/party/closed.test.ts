// When a client can do no more it says so, also when nobody was asking anything of it.
import { afterEach, expect, test } from 'vitest'
import { failure, inputFor, neighbourhood, tinyNetwork, watchRejections, wire } from './fixture.js'

const compiled = tinyNetwork(1)
const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

/** What `closed` says by now. */
const soFar = (closed: Promise<unknown>) => Promise.race([closed, new Promise((done) => setTimeout(done, 5, 'open'))])

test('an idle client learns that its server went away, and is over', async () => {
  const { site, end } = await neighbourhood(compiled)
  const toServer = wire()
  const { client } = await site.seat({ toServer })
  await client.prepare()
  expect(await soFar(client.closed)).toBe('open')
  toServer.cut()
  expect((await client.closed).code).toBe('PEER_GONE')
  expect((await failure(client.run(inputFor(compiled))))?.code).toBe('PEER_GONE')
  expect(client.memoryInUse).toBe(0)
  await end()
})

test('it learns why, if the server says so', async () => {
  const { site, end } = await neighbourhood(compiled, { server: { idleMs: 500 } })
  const { client } = await site.seat()
  const error = await client.closed
  expect([error.code, (error.cause as { code?: string }).code]).toEqual(['PEER_FAILED', 'DEADLINE'])
  await client.release()
  await end()
})

test('a client that was released or whose call failed is closed too, with that reason', async () => {
  const { site, end } = await neighbourhood(compiled)
  const released = await site.seat()
  await released.client.release()
  expect((await released.client.closed).code).toBe('ABORTED')
  const aborted = await site.seat()
  const controller = new AbortController()
  const options = { signal: controller.signal, onProgress: () => controller.abort() }
  const call = failure(aborted.client.run(inputFor(compiled), options))
  expect((await aborted.client.closed).code).toBe('ABORTED')
  expect((await call)?.code).toBe('ABORTED')
  const mistaken = await site.seat()
  expect((await failure(mistaken.client.run(new Float32Array(1))))?.code).toBe('BAD_INPUT')
  expect(await soFar(mistaken.client.closed)).toBe('open')
  await mistaken.client.release()
  await end()
})
