// A helper that is lost while a server registers: nothing goes on behind the error.
import { afterEach, expect, test } from 'vitest'
import { memoryPair } from '../../src/net/index.js'
import { Server } from '../../src/party/server.js'
import { prepareWorkload } from '../fixtures/workloads.js'
import { failure, watchRejections } from './fixture.js'

const { compiled } = prepareWorkload({ name: 'resnet20-cifar10', options: {} })
const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

/** The compiled network, and how often one of its filters was read. */
function counted() {
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
