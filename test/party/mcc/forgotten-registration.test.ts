// A server that fails while it registers leaves no seed behind, whichever of the two fails: the helper, or its own packing.
import { expect, test, vi } from 'vitest'
import { memoryPair } from '../../../src/net/index.js'
import { allowChosenSeeds } from '../../../src/party/options.js'
import type * as Registering from '../../../src/party/registration.js'
import { Server } from '../../../src/party/server.js'
import type * as Sharing from '../../../src/protocol/weights.js'
import { freshSeed, type Seed } from '../../../src/random/seed.js'
import { SEEDS } from '../../../src/testing.js'
import { createHelper, eventually, failure, tinyNetwork } from '../fixture.js'

const { made, packing } = vi.hoisted(() => ({
  made: [] as { helperSeed: Uint8Array; modelSeed: Uint8Array }[],
  packing: { fails: false },
}))

vi.mock('../../../src/party/registration.js', async (original) => {
  const actual = (await original()) as typeof Registering
  const registered: typeof actual.registered = async (...order) => {
    const registration = await actual.registered(...order)
    made.push(registration)
    return registration
  }
  return { ...actual, registered }
})

vi.mock('../../../src/protocol/weights.js', async (original) => {
  const actual = (await original()) as typeof Sharing
  const packShare: typeof actual.packShare = async (k, plan, fill, ready) => {
    // A helper's share comes piece by piece; a server's fails once it has registered.
    if (ready || !packing.fails) return actual.packShare(k, plan, fill, ready)
    await eventually(() => made.length > 0)
    throw new RangeError('no memory for its share')
  }
  return { ...actual, packShare }
})

const compiled = tinyNetwork(1)
const nothing = (bytes: Uint8Array) => bytes.every((byte) => byte === 0)

test('its own packing fails when it has registered', async () => {
  packing.fails = true
  const helper = await createHelper()
  const [near, far] = memoryPair()
  void helper.run(far)
  expect(await failure(Server.create(compiled, near, { deadlineMs: 5000 }))).toMatchObject({ code: 'PROTOCOL' })
  const [{ helperSeed, modelSeed }] = made
  expect(await eventually(() => nothing(helperSeed) && nothing(modelSeed))).toBe(true)
  packing.fails = false
  await helper.release()
})

test('the helper leaves before it has said welcome', async () => {
  const seeds: Seed[] = []
  const source = () => {
    const seed = freshSeed()
    seeds.push(seed)
    return seed
  }
  const [near, far] = memoryPair()
  const lost = failure(Server.create(compiled, allowChosenSeeds(near), { deadlineMs: 5000, [SEEDS]: source }))
  for (let message = 0; message < 3; message++) await far.receive() // hello, plan, a filter
  far.close()
  expect(await lost).toMatchObject({ code: 'PEER_GONE' })
  expect(seeds).toHaveLength(2)
  for (const seed of seeds) expect(nothing(seed)).toBe(true)
})
