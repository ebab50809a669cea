// A helper that was away: a server that can open a connection registers with it anew when the next client comes. One that is
// lost at the first registration: nothing goes on behind the error.
import { afterEach, expect, test } from 'vitest'
import { type Channel, memoryPair } from '../../src/net/index.js'
import { Client } from '../../src/party/client/client.js'
import type { Helper } from '../../src/party/helper/helper.js'
import { Server } from '../../src/party/server.js'
import { AUDIT } from '../../src/testing.js'
import { prepareWorkload } from '../fixtures/workloads.js'
import {
  causeOf,
  createHelper,
  DEADLINE_MS,
  difference,
  eventually,
  failure,
  hex,
  inputFor,
  tinyNetwork,
  watchRejections,
} from './fixture.js'

const compiled = tinyNetwork(1)
const input = inputFor(compiled)
const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

test('a server is registered again once its helper is back; who was there goes on with what is prepared', async () => {
  let helper: Helper = await createHelper()
  const errors: string[] = []
  const seeds = new Map<string, Uint8Array>()
  const toHelper = (): Channel => {
    const [near, far] = memoryPair()
    void helper.run(far)
    return near
  }
  const server = await Server.create(compiled, toHelper, {
    deadlineMs: DEADLINE_MS,
    onError: ({ code }) => errors.push(code),
    [AUDIT]: ({ session, seed }) => seeds.set(hex(session), seed),
  })
  const connect = async () => {
    const [near, far] = memoryPair()
    void server.run(far)
    const own = { ch: new Uint8Array(), model: new Uint8Array(), sh: new Uint8Array() }
    const client = await Client.create({
      deadlineMs: DEADLINE_MS,
      server: near,
      helper: toHelper(),
      [AUDIT]: ({ session, seed, model }) => Object.assign(own, { ch: seed, model, sh: seeds.get(hex(session)) }),
    })
    return { client, right: async () => difference(compiled, input, await client.run(input), own) }
  }
  const early = await connect()
  await early.client.prepare(2)

  await helper.release()
  expect(await eventually(() => errors.length > 0)).toBe(true)
  expect(errors).toEqual(['PEER_GONE'])
  const refused = await failure(connect())
  expect([refused?.code, causeOf(refused)]).toEqual(['PEER_FAILED', 'PEER_GONE'])

  helper = await createHelper()
  const late = await Promise.all([connect(), connect()])
  for (const { right } of [...late, early, late[0], early]) expect(await right()).toBeNull()
  expect((await failure(early.client.prepare()))?.code).toBe('PEER_GONE')

  for (const { client } of [early, ...late]) await client.release()
  await server.release()
  await helper.release()
  expect([server.memoryInUse, helper.memoryInUse]).toEqual([0, 0])
})

/** A larger network, and how often one of its filters was read. */
function counted() {
  const { compiled } = prepareWorkload({ name: 'resnet20-cifar10', options: {} })
  const { model } = compiled
  let reads = 0
  const weights = new Map(model.weights)
  weights.get = (key) => {
    reads++
    return model.weights.get(key)
  }
  return { compiled: { ...compiled, model: { ...model, weights } }, reads: () => reads }
}

test.each([
  ['hears of it', 0],
  ['has its first filters', 4],
])('a server that loses its helper as that %s packs no more', async (_, messages) => {
  const { compiled, reads } = counted()
  const [near, far] = memoryPair()
  const lost = failure(Server.create(compiled, near, { deadlineMs: 5000 }))
  for (let i = 0; i < messages; i++) await far.receive()
  far.close()
  expect(await lost).toMatchObject({ code: 'PEER_GONE' })
  const before = reads()
  expect(before).toBeLessThan(compiled.model.weights.size)
  await new Promise((done) => setTimeout(done, 200))
  expect(reads()).toBe(before)
})
