// Queues by themselves: who is next, what is to be waited for, how often something may happen; and greetings at a server.
import { afterEach, describe, expect, test } from 'vitest'
import { Admission, Pace } from '../../src/party/admission.js'
import { createHelper, eventually, failure, inputFor, Site, tinyNetwork, watchRejections } from './fixture.js'

const compiled = tinyNetwork(1)
const input = inputFor(compiled)
const rejections = watchRejections()
afterEach(() => expect(rejections).toEqual([]))

describe('greetings', () => {
  test('beyond the rate wait at the server, kept alive, and are then served; a release ends the wait', async () => {
    const helper = await createHelper({ deadlineMs: 20_000 }) // it hears of a client only once the server has
    const site = await Site.create(compiled, helper, { server: { joinsPerSecond: 1, deadlineMs: 400 } })
    const held = await Promise.all([site.seat(), site.seat(), site.seat()]) // two at once, the third a second later
    for (const { compare } of held) expect(await compare(input)).toBeNull()
    const waiting = [1, 2, 3].map(() => failure(site.seat()))
    await eventually(() => site.server.status.sessions === 6)
    await site.server.release()
    expect((await Promise.all(waiting)).map((error) => error?.code)).toEqual(['PEER_GONE', 'PEER_GONE', 'PEER_GONE'])
    await Promise.all(held.map(({ client }) => client.release()))
    await helper.release()
  })
})

describe('a queue', () => {
  const turn = () => new Promise((done) => setTimeout(done, 0))

  test('serves in order, as many at once as it may, and states what is to be waited for', async () => {
    let now = 0
    const queue = new Admission({ slots: 2, waiting: 3, typicalMs: 100, clock: () => now })
    const served: number[] = []
    const places = Array.from({ length: 5 }, () => ({ leave: undefined as (() => void) | undefined }))
    const turns = places.map(async (place, i) => {
      const leave = await queue.enter(place)
      if (leave) served.push(i)
      return leave
    })
    await turn()
    expect([served, queue.waiting, queue.expectedMs]).toEqual([[0, 1], 3, 200])
    const refused = await failure(queue.enter({}))
    expect(refused).toMatchObject({ code: 'BUSY', retryable: true, retryAfterMs: 1000 })
    places[2].leave?.()
    expect(await turns[2]).toBeUndefined()
    now = 100
    const first = (await turns[0])!
    first()
    first() // ends a turn once
    await turn()
    expect(served).toEqual([0, 1, 3])
    for (const i of [1, 3, 4]) (await turns[i])!()
    expect([served, queue.waiting, queue.expectedMs]).toEqual([[0, 1, 3, 4], 0, 0])
  })

  test('serves next whose owner has the fewest inside, in order among equals', async () => {
    const queue = new Admission({ slots: 2, waiting: 9 })
    const served: string[] = []
    const guest = async (owner: string) => {
      const leave = await queue.enter({ owner })
      served.push(owner)
      return leave!
    }
    const many = Array.from({ length: 4 }, () => guest('many'))
    const one = guest('one')
    const other = guest('other')
    await turn()
    expect(served).toEqual(['many', 'many'])
    for (const [leaves, next] of [
      [many[0], 'one'],
      [many[1], 'many'],
      [one, 'other'],
      [other, 'many'],
    ] as const) {
      ;(await leaves)()
      await turn()
      expect(served.at(-1)).toBe(next)
    }
  })

  test('a pace lets a burst pass, then so many a second, and refuses who would wait too long', async () => {
    const pace = new Pace(10, 0, () => 5000)
    for (let i = 0; i < 11; i++) await pace.take()
    expect(await failure(pace.take())).toMatchObject({ code: 'BUSY', retryAfterMs: 100 })
  })
})
