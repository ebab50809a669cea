// All engines hold what a fleet relies on; those that last, over restarts.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Engine, termsOf } from '../../src/engine/engine.js'
import { MemoryEngine } from '../../src/engine/memory.js'
import { openNatsEngine } from '../../src/engine/nats.node.js'
import { openEngine } from '../../src/engine/open.node.js'
import { Broker, noBroker } from './broker.js'
import { engineCompliance, type Place } from './compliance.js'
import { failure } from './failure.js'

const folder = mkdtempSync(join(tmpdir(), 'rf-engine-'))
let broker: Broker | undefined
beforeAll(async () => {
  if (!noBroker) broker = await Broker.start()
})
afterAll(async () => {
  await broker?.end()
  rmSync(folder, { recursive: true, force: true })
})

const memory: Place = {
  open: async (options) => new MemoryEngine(options),
  ...{ lasts: false, many: { jobs: 10_000, takers: 100 } },
}
const files: Place = {
  open: (options) => openEngine(pathToFileURL(folder).href, options),
  ...{ lasts: true, many: { jobs: 400, takers: 20 } },
}
const nats = (): Place => ({
  open: (options) => openEngine(broker!.url, options),
  ...{ lasts: true, many: { jobs: 2000, takers: 20 } },
})

engineCompliance('memory', () => memory)
engineCompliance('file', () => files)
engineCompliance(`nats${noBroker}`, nats, noBroker !== '')

describe.skipIf(noBroker !== '')(`a broker${noBroker}`, () => {
  test('that is killed and started again has its jobs and claims, and goes on with who was there', async () => {
    const own = await Broker.start()
    const engine = await openNatsEngine(own.url, { name: 'killed', leaseMs: 1000 })
    const seen: number[] = []
    const taking = (async () => {
      for await (const lease of engine.jobs.take()) {
        seen.push(lease.job[0])
        await lease.done()
      }
    })()
    await engine.jobs.put(new Uint8Array([1]), 'before')
    await engine.claims.create('claimed', new Uint8Array([1]))
    await own.kill()
    const refused = await failure(engine.jobs.put(new Uint8Array([2]), 'during'))
    expect(refused).toMatchObject({ code: 'BUSY' })
    await own.up()
    for (let tries = 0; tries < 60; tries++) {
      const put = await engine.jobs.put(new Uint8Array([3]), 'after').catch(() => 'again')
      if (put !== 'again') break
    }
    while (!seen.includes(3)) await new Promise((resolve) => setTimeout(resolve, 20))
    expect(seen).toContain(1)
    expect(await engine.claims.create('claimed', new Uint8Array([2]))).toBe(false)
    await engine.close()
    await taking
    await own.end()
  })
})

describe('an address', () => {
  const refused = (url: string, options = { name: 'deal' }): Promise<unknown> => failure(openEngine(url, options))

  test('is a folder’s or a broker’s', async () => {
    for (const url of [
      'http://x',
      'deal',
      'nats://',
      'tls:',
      'file://srv/queue',
      'file:///srv%2Fqueue',
      'file:///srv%00',
    ]) {
      expect(await refused(url)).toMatchObject({ code: 'BAD_INPUT' })
    }
  })

  test('holds no secret and leaves this machine only over TLS', async () => {
    expect(await refused('nats://queue.example:4222')).toMatchObject({ code: 'INSECURE' })
    const secret = (await refused('nats://user:secret@127.0.0.1:4222')) as Error
    expect([secret.message.includes('INSECURE'), secret.message.includes('secret@')]).toEqual([false, false])
    expect(secret).toMatchObject({ code: 'INSECURE' })
  })

  test.skipIf(noBroker !== '')(`at which nobody answers is told${noBroker}`, async () => {
    expect(await refused('nats://127.0.0.1:1')).toMatchObject({ code: 'PEER_GONE' })
  })
})

test.each([{ leaseMs: 0 }, { attempts: 0.5 }, { limit: Number.NaN }, { name: 'a/b' }])('%o are no terms', (wrong) => {
  expect(() => termsOf({ name: 'deal', ...wrong })).toThrow(expect.objectContaining({ code: 'BAD_INPUT' }))
})

test('leases of an engine in memory go by the clock it is given', async () => {
  let now = 0
  const due: { at: number; call: () => void }[] = []
  const timers = {
    now: () => now,
    date: () => now,
    after: (ms: number, call: () => void) => {
      const entry = { at: now + ms, call }
      due.push(entry)
      return () => void due.splice(due.indexOf(entry), due.includes(entry) ? 1 : 0)
    },
  }
  const engine: Engine = new MemoryEngine({ name: 'deal' }, timers)
  await engine.jobs.put(new Uint8Array([1]), 'one')
  const taker = engine.jobs.take()[Symbol.asyncIterator]()
  await taker.next()
  now = 14_999
  expect(due.map(({ at }) => at)).toEqual([15_000])
  due.shift()!.call()
  expect((await taker.next()).value).toMatchObject({ attempt: 2 })
  await engine.close()
})
