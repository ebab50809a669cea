// Many inputs at a time: every result right to the last bit, failures that stay with their input, and as much read and held as
// is in flight.
import { afterEach, describe, expect, test } from 'vitest'
import { RingfenceError } from '../../../src/errors.js'
import type { Channel } from '../../../src/net/index.js'
import { Client, type ClientOptions, type Outcome } from '../../../src/party/client/client.js'
import { Kind } from '../../../src/protocol/kinds.js'
import { AUDIT, type MaskSeeds } from '../../../src/testing.js'
import {
  checked,
  createHelper,
  DEADLINE_MS,
  difference,
  eventually,
  type Fault,
  failure,
  hex,
  inputFor,
  kindOf,
  Site,
  tinyNetwork,
  watchRejections,
  wire,
} from '../fixture.js'

const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

const compiled = tinyNetwork(1)
const inputs = Array.from({ length: 12 }, (_, i) => inputFor(compiled, i + 1))

/** A client that opens its own connections, and what its sessions have agreed on. */
async function many(options: Parameters<typeof Site.create>[2] = {}, faults: readonly (Fault | undefined)[] = []) {
  const helper = await createHelper()
  const site = await Site.create(compiled, helper, options)
  const seeds: MaskSeeds[] = []
  let connections = 0
  const toServer = (): Channel => {
    const { a, b } = wire(faults[connections++])
    void site.server.run(b)
    return a
  }
  const toHelper = (): Channel => {
    const { a, b } = wire()
    void helper.run(b)
    return a
  }
  const audit: ClientOptions[typeof AUDIT] = ({ session, seed, model }) =>
    seeds.push({ ch: seed, model: model!, sh: site.seedOf(hex(session)) })
  const client = await Client.create({ deadlineMs: DEADLINE_MS, server: toServer, helper: toHelper, [AUDIT]: audit })
  /** Whether a result is the reference's under the masks of one of the sessions. */
  const isRight = ({ index, result }: Outcome): boolean =>
    result !== undefined && seeds.some((each) => difference(compiled, inputs[index], result, each) === null)
  const end = async () => {
    await client.release()
    await eventually(() => site.server.status.sessions === 0)
    await site.server.release()
    await helper.release()
    expect([client.memoryInUse, site.server.memoryInUse, helper.memoryInUse]).toEqual([0, 0, 0])
  }
  return { client, site, isRight, end, seeds, connections: () => connections }
}

describe('many inputs', () => {
  test('are in flight together, and every result is that of its input, bit for bit', async () => {
    const { client, isRight, end, connections } = await many()
    const outcomes: Outcome[] = []
    const told: { done: number; inFlight: number; connections: number }[] = []
    const onProgress = (progress: (typeof told)[0]) => void told.push(progress)
    for await (const outcome of client.runMany(inputs, { inFlight: 4, onProgress })) outcomes.push(outcome)
    expect(outcomes.map(({ index }) => index).sort((a, b) => a - b)).toEqual(inputs.map((_, i) => i))
    expect(outcomes.map(isRight)).toEqual(inputs.map(() => true))
    expect(connections()).toBe(4)
    expect(told.map(({ done }) => done)).toEqual(inputs.map((_, i) => i + 1))
    expect(Math.max(...told.map(({ inFlight }) => inFlight))).toBe(3) // beside the one that was just done
    const bytes = client.traffic.links.server.online.bytesSent
    await client.run(inputs[0])
    expect(client.traffic.links.server.online.bytesSent - bytes).toBe(bytes / inputs.length)
    await end()
  })

  test('are read as they are needed, and no more than are in flight while the caller looks at an outcome', async () => {
    const { client, end } = await many()
    let read = 0
    async function* source() {
      for (;;) {
        await undefined
        yield inputs[read++ % inputs.length]
      }
    }
    let outcomes = 0
    for await (const { result } of client.runMany(source(), { inFlight: 3 })) {
      expect(result).toBeDefined()
      outcomes++
      const before = read
      await new Promise((done) => setTimeout(done, 20))
      expect(read - before).toBeLessThanOrEqual(2) // by the two others, if they have none
      expect(read - outcomes).toBeLessThanOrEqual(3)
      if (outcomes === 9) break
    }
    await client.run(inputs[0]) // this client's own connection is as it was
    await end()
  })

  test('fail one by one: a bad input, a connection that is lost; the others have their results', async () => {
    // The third connection is cut when its inference is on line.
    const cut: Fault = (message, _, from) => (from === 'a' && kindOf(message) === Kind.input ? 'cut' : message)
    const { client, isRight, end } = await many({}, [undefined, undefined, cut])
    const mixed = inputs.map((input, i) => (i === 5 ? new Float32Array(1) : input))
    const outcomes: Outcome[] = []
    for await (const outcome of client.runMany(mixed, { inFlight: 3 })) outcomes.push(outcome)
    const failed = outcomes.filter(({ error }) => error)
    expect(failed.map(({ error }) => checked(error).code).sort()).toEqual(['BAD_INPUT', 'PEER_GONE'])
    expect(failed.find(({ error }) => error!.code === 'BAD_INPUT')!.index).toBe(5)
    expect(outcomes.filter(isRight)).toHaveLength(10)
    await end()
  })

  test('go on when the client’s own connection is the one that is lost', async () => {
    const cut: Fault = (message, _, from) => (from === 'a' && kindOf(message) === Kind.input ? 'cut' : message)
    const { client, isRight, end } = await many({}, [cut])
    const outcomes: Outcome[] = []
    for await (const outcome of client.runMany(inputs, { inFlight: 3 })) outcomes.push(outcome)
    expect(outcomes.filter(({ error }) => error?.code === 'PEER_GONE')).toHaveLength(1)
    expect(outcomes.filter(isRight)).toHaveLength(11)
    expect((await failure(client.run(inputs[0])))?.code).toBe('PEER_GONE')
    await end()
  })

  test('end with the last connection: what it ended with is thrown after its outcome', async () => {
    const cut: Fault = (message, _, from) => (from === 'a' && kindOf(message) === Kind.input ? 'cut' : message)
    const { client, end } = await many({}, [cut, cut])
    const outcomes: Outcome[] = []
    const all = (async () => {
      for await (const outcome of client.runMany(inputs, { inFlight: 2 })) outcomes.push(outcome)
    })()
    expect((await failure(all))?.code).toBe('PEER_GONE')
    expect(outcomes.map(({ error }) => error?.code)).toEqual(['PEER_GONE', 'PEER_GONE'])
    await end()
  })

  test('make do with the room the server has', async () => {
    // Room for two inferences in all: of five connections two work at a time.
    const storeBytes = 2 * (await bytesEach())
    const { client, isRight, end } = await many({ server: { storeBytes, storeShare: 1 } })
    const outcomes: Outcome[] = []
    for await (const outcome of client.runMany(inputs, { inFlight: 5 })) outcomes.push(outcome)
    expect(outcomes.map(({ error }) => error?.code)).toEqual(inputs.map(() => undefined))
    expect(outcomes.filter(isRight)).toHaveLength(12)
    await end()
  })

  test('are called off by a signal, and refuse a wrong number in flight', async () => {
    const { client, end } = await many()
    const controller = new AbortController()
    const outcomes: Outcome[] = []
    const all = (async () => {
      for await (const outcome of client.runMany(inputs, { inFlight: 3, signal: controller.signal })) {
        outcomes.push(outcome)
        if (outcomes.length === 2) controller.abort()
      }
    })()
    expect((await failure(all))?.code).toBe('ABORTED')
    expect(outcomes).toHaveLength(2)
    for (const inFlight of [0, 1.5, 257]) {
      expect((await failure(client.runMany(inputs, { inFlight }).next()))?.code).toBe('BAD_INPUT')
    }
    await end()
  })

  test('go over one connection where a client was given open channels', async () => {
    const helper = await createHelper()
    const site = await Site.create(compiled, helper)
    const { client } = await site.seat()
    const outcomes: Outcome[] = []
    for await (const outcome of client.runMany(inputs.slice(0, 3), { inFlight: 2 })) outcomes.push(outcome)
    expect(outcomes.map(({ index, error }) => [index, error])).toEqual([0, 1, 2].map((i) => [i, undefined]))
    await client.release()
    await site.server.release()
    await helper.release()
  })

  test('and what reading them throws is thrown', async () => {
    const { client, end } = await many()
    function* source() {
      yield inputs[0]
      throw new RingfenceError('BAD_FILE', 'no more pictures')
    }
    const outcomes: Outcome[] = []
    const all = (async () => {
      for await (const outcome of client.runMany(source(), { inFlight: 2 })) outcomes.push(outcome)
    })()
    expect((await failure(all))?.code).toBe('BAD_FILE')
    await end()
  })
})

async function bytesEach(): Promise<number> {
  const helper = await createHelper()
  const site = await Site.create(compiled, helper, { server: { storeBytes: 1 } })
  const { limitBytes } = site.server.status.store
  await site.server.release()
  await helper.release()
  return limitBytes
}
