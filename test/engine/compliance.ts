// What every engine has to do, one suite for all of them.
import { afterEach, describe, expect, test } from 'vitest'
import type { Engine, EngineOptions, Lease } from '../../src/engine/engine.js'
import { failure } from './failure.js'

/** An engine's place: a folder, a broker. */
export interface Place {
  open(options: EngineOptions): Promise<Engine>
  /** Whether what is in it outlives whoever opened it. */
  readonly lasts: boolean
  /** Jobs and takers of the long test. */
  readonly many: { jobs: number; takers: number }
}

const job = (n: number) => new Uint8Array([n & 255, n >> 8, 7])
const numberOf = ([low, high]: Uint8Array) => low + 256 * high
const later = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))
/** Long against what a call takes, short to wait for. */
const LEASE_MS = 700

export function engineCompliance(title: string, place: () => Place, skip = false): void {
  describe.skipIf(skip)(title, () => {
    let queues = 0
    const opened: Engine[] = []
    const open = async (options: Partial<EngineOptions> = {}): Promise<Engine> => {
      const name = `${title.replace(/\W/g, '')}${++queues}`
      const engine = await place().open({ name, leaseMs: LEASE_MS, ...options })
      opened.push(engine)
      return engine
    }
    afterEach(async () => {
      for (const engine of opened.splice(0)) await engine.close()
    })

    /** The next so many leases. */
    async function leases(engine: Engine, count: number): Promise<Lease[]> {
      const found: Lease[] = []
      if (count === 0) return found
      for await (const lease of engine.jobs.take()) if (found.push(lease) === count) break
      return found
    }

    test('a job comes out as it went in, in order, and once', async () => {
      const engine = await open()
      for (let n = 0; n < 5; n++) expect(await engine.jobs.put(job(n), `j${n}`)).toBe('queued')
      expect(await engine.jobs.depth()).toEqual({ waiting: 5, leased: 0, dead: 0 })
      const found = await leases(engine, 5)
      expect(found.map((lease) => [numberOf(lease.job), lease.attempt])).toEqual([0, 1, 2, 3, 4].map((n) => [n, 1]))
      for (const lease of found) await lease.done()
      await later(2 * LEASE_MS)
      expect(await engine.jobs.depth()).toEqual({ waiting: 0, leased: 0, dead: 0 })
    })

    test('a second job of an id is none, also once the first is done', async () => {
      const engine = await open()
      expect(await engine.jobs.put(job(1), 'one')).toBe('queued')
      expect(await engine.jobs.put(job(1), 'one')).toBe('duplicate')
      await (await leases(engine, 1))[0].done()
      expect(await engine.jobs.put(job(1), 'one')).toBe('duplicate')
      expect(await engine.jobs.put(job(1), 'two')).toBe('queued')
    })

    test('a lease that is not extended ends, and the job comes again', async () => {
      const engine = await open()
      await engine.jobs.put(job(1), 'one')
      const [first] = await leases(engine, 1)
      const [second] = await leases(engine, 1)
      expect([first.attempt, second.attempt, numberOf(second.job)]).toEqual([1, 2, 1])
      // What the first still says is no error.
      await first.extend()
      await second.done()
      await first.retry(0)
      await first.done()
      await later(2 * LEASE_MS)
      expect(await engine.jobs.depth()).toMatchObject({ waiting: 0, leased: 0 })
    })

    test('a lease that is extended lasts', async () => {
      const engine = await open()
      await engine.jobs.put(job(1), 'one')
      const [lease] = await leases(engine, 1)
      const end = new AbortController()
      let again = 0
      const watching = (async () => {
        for await (const _ of engine.jobs.take(end.signal)) again++
      })()
      for (let i = 0; i < 8; i++) {
        await later(LEASE_MS / 4)
        await lease.extend()
      }
      expect(again).toBe(0)
      await lease.done()
      end.abort()
      await watching
    })

    test('a job that is given back comes again after the time it was given', async () => {
      const engine = await open()
      await engine.jobs.put(job(1), 'one')
      const [lease] = await leases(engine, 1)
      const began = performance.now()
      await lease.retry(LEASE_MS / 2)
      const [again] = await leases(engine, 1)
      expect(performance.now() - began).toBeGreaterThanOrEqual(LEASE_MS / 2 - 20)
      expect(again.attempt).toBe(2)
      await again.done()
    })

    test('a job is given up when it was leased too often, or when its taker says so', async () => {
      const engine = await open({ attempts: 2 })
      await engine.jobs.put(job(1), 'often')
      await engine.jobs.put(job(2), 'wrong')
      const attempts: number[] = []
      const end = new AbortController()
      const taking = (async () => {
        for await (const lease of engine.jobs.take(end.signal)) {
          if (numberOf(lease.job) === 2) await lease.dead('cannot be read')
          else {
            attempts.push(lease.attempt)
            await lease.retry(0)
          }
        }
      })()
      while ((await engine.jobs.depth()).dead < 2) await later(10)
      end.abort()
      await taking
      await later(100)
      expect(attempts).toEqual([1, 2])
      expect(await engine.jobs.depth()).toEqual({ waiting: 0, leased: 0, dead: 2 })
    })

    test('a queue takes as many jobs as it may, and more when there is room again', async () => {
      const engine = await open({ limit: 3 })
      for (let n = 0; n < 3; n++) await engine.jobs.put(job(n), `j${n}`)
      expect(await failure(engine.jobs.put(job(3), 'j3'))).toMatchObject({ code: 'BUSY', retryable: true })
      await (await leases(engine, 1))[0].done()
      await later(50)
      expect(await engine.jobs.put(job(3), 'j3')).toBe('queued')
    })

    test('of many who claim at the same time one does, and what it claimed stays', async () => {
      const engine = await open()
      const won = await Promise.all(Array.from({ length: 16 }, (_, n) => engine.claims.create('session', job(n))))
      expect(won.filter(Boolean)).toHaveLength(1)
      expect(numberOf((await engine.claims.get('session'))!)).toBe(won.indexOf(true))
      expect(await engine.claims.create('session', job(99))).toBe(false)
      expect(await engine.claims.get('other')).toBeUndefined()
    })

    test('takers end when they are told to, and when the engine is closed', async () => {
      const engine = await open()
      const end = new AbortController()
      const run = async (signal?: AbortSignal) => {
        for await (const _ of engine.jobs.take(signal)) {
          // there is none
        }
        return 'ended'
      }
      const told = run(end.signal)
      const others = [run(), run()]
      await later(50)
      end.abort()
      expect(await told).toBe('ended')
      await engine.close()
      expect(await Promise.all(others)).toEqual(['ended', 'ended'])
    })

    test.each(['', 'a b', 'a.b', '../a', 'ä', 'x'.repeat(129)])('%o names nothing', async (name) => {
      const engine = await open()
      expect(await failure(engine.jobs.put(job(1), name))).toMatchObject({ code: 'BAD_INPUT' })
      expect(await failure(engine.claims.create(name, job(1)))).toMatchObject({ code: 'BAD_INPUT' })
    })

    test('many jobs go to many takers, each once', async () => {
      const { jobs, takers } = place().many
      const engine = await open({ leaseMs: 600_000, limit: jobs })
      const seen = new Map<number, number>()
      const end = new AbortController()
      const running = Array.from({ length: takers }, async () => {
        for await (const lease of engine.jobs.take(end.signal)) {
          const n = numberOf(lease.job)
          seen.set(n, (seen.get(n) ?? 0) + 1)
          await lease.done()
          if (seen.size === jobs) end.abort()
        }
      })
      for (let at = 0; at < jobs; at += 50) {
        const some = Array.from({ length: Math.min(50, jobs - at) }, (_, i) => at + i)
        await Promise.all(some.map((n) => engine.jobs.put(job(n), `j${n}`)))
      }
      await Promise.all(running)
      expect([seen.size, [...seen.values()].every((times) => times === 1)]).toEqual([jobs, true])
    })

    test('jobs and claims outlast whoever made them, where they are said to', async () => {
      if (!place().lasts) return
      const options = { name: `lasting${title.replace(/\W/g, '')}`, leaseMs: LEASE_MS }
      const before = await open(options)
      await before.jobs.put(job(1), 'waiting')
      await before.jobs.put(job(2), 'leased')
      await before.claims.create('session', job(3))
      await leases(before, 1)
      await before.close()
      const after = await open(options)
      expect(numberOf((await after.claims.get('session'))!)).toBe(3)
      expect(await after.jobs.put(job(1), 'waiting')).toBe('duplicate')
      // One at a time: a lease that is held while another is waited for may end, and its job come again.
      const found = new Set<number>()
      for await (const lease of after.jobs.take()) {
        found.add(numberOf(lease.job))
        await lease.done()
        if (found.size === 2) break
      }
      expect([...found].sort()).toEqual([1, 2])
    })
  })
}
