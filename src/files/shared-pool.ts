// A measurement on several machines: each puts the tasks it needs into a queue that all share, does tasks out of it, and finds
// the results of all as claims. Whoever ends early is missed by nobody; a task that was begun comes again.
import { createHash } from 'node:crypto'
import type { Engine, Lease } from '../engine/engine.js'
import { hostTimers, type Timers } from '../engine/timers.js'
import { RingfenceError } from '../errors.js'
import type { JobKind, Result, Task } from '../tune/workers/jobs.js'
import type { StartPool, WorkerPool } from '../tune/workers/pool.js'

/** Tasks that a machine has in the queue at a time, for others to find some: all machines have the same ones. */
const OPEN = 256
/** How soon a result is looked for, then twice as late each time, and how late at most. */
const FIRST_LOOK_MS = 100
const LOOK_MS = 1600
/** How often a machine asks whether the queue is empty. Tasks without a result that were in it are lost, and are put again. */
const DEPTH_MS = 10_000
/** Brokers take messages of a megabyte. */
const MOST_BYTES = 2 ** 19
const RETRY_MS = 1000

/** @param queue of this measurement alone @param startPool who works on this machine */
export function sharedPool(queue: Engine, startPool: StartPool, timers: Timers = hostTimers): StartPool {
  return async (kind, setup) => {
    const about = `${kind} ${fingerprint(setup)}`
    return new SharedPool(queue, about, await startPool(kind, setup), timers)
  }
}

class SharedPool<K extends JobKind> implements WorkerPool<K> {
  readonly threads = OPEN
  readonly #end = new AbortController()
  readonly #working: Promise<unknown>
  /** Why a task could not be done here. */
  readonly #failed = new Map<string, unknown>()
  /** When the queue was last asked, and when it was last found empty. */
  #askedAt: number
  #emptyAt = Number.NEGATIVE_INFINITY

  constructor(
    private readonly queue: Engine,
    /** What tasks are about: those of another kind, or on other values, are for whoever is that far. */
    private readonly about: string,
    private readonly pool: WorkerPool<K>,
    private readonly timers: Timers,
  ) {
    this.#askedAt = timers.now()
    this.#working = Promise.all(Array.from({ length: pool.threads }, () => this.#work()))
    this.#working.catch(() => undefined)
  }

  async run(task: Task<K>): Promise<Result<K>> {
    const job = encode({ about: this.about, task })
    if (job.byteLength > MOST_BYTES) return this.pool.run(task)
    const id = createHash('sha256').update(job).digest('hex')
    let [puts, put] = [0, Number.NEGATIVE_INFINITY]
    for (let pause = FIRST_LOOK_MS; ; pause = Math.min(2 * pause, LOOK_MS)) {
      const found = await this.#result(id)
      if (found !== undefined) return found
      if (this.#failed.has(id)) throw this.#failed.get(id)
      if ((puts === 0 || put < this.#emptyAt) && (await this.#put(job, `${id}-${puts}`))) {
        puts++
        put = this.timers.now()
      }
      await this.#ask()
      await new Promise<void>((resolve) => void this.timers.after(pause, resolve))
      if (this.#end.signal.aborted) throw new RingfenceError('ABORTED', 'the measurement has ended')
    }
  }

  async release(): Promise<void> {
    this.#end.abort()
    await this.#working.catch(() => undefined)
    await this.pool.release()
  }

  /** A result is there before its task leaves the queue: what was not found since the queue was empty is not in it. */
  async #ask(): Promise<void> {
    if (this.timers.now() - this.#askedAt < DEPTH_MS) return
    this.#askedAt = this.timers.now()
    const asked = this.#askedAt
    const depth = await this.queue.jobs.depth().catch(() => undefined) // a broker that is away: the next time
    if (depth && depth.waiting + depth.leased === 0) this.#emptyAt = asked
  }

  /** Whether it is in the queue now. */
  async #put(job: Uint8Array, id: string): Promise<boolean> {
    try {
      await this.queue.jobs.put(job, id)
      return true
    } catch (error) {
      // Full, or away: the next time.
      if (error instanceof RingfenceError && error.code === 'BUSY') return false
      throw error
    }
  }

  async #work(): Promise<void> {
    for await (const lease of this.queue.jobs.take(AbortSignal.any([this.#end.signal]))) await this.#do(lease)
  }

  async #do(lease: Lease): Promise<void> {
    const leave = this.#extending(lease)
    const id = createHash('sha256').update(lease.job).digest('hex')
    try {
      const { about, task } = decode(lease.job) as { about: string; task: Task<K> }
      if (about !== this.about) return await lease.retry(RETRY_MS)
      if ((await this.#result(id)) === undefined) await this.#keep(id, await this.pool.run(task))
      await lease.done()
    } catch (error) {
      this.#failed.set(id, error)
      await lease.retry(RETRY_MS).catch(() => undefined)
    } finally {
      leave()
    }
  }

  /** Keeps a lease until it is called off. */
  #extending(lease: Lease): () => void {
    let callOff = () => {}
    const arm = () => {
      callOff = this.timers.after(EXTEND_MS, () => {
        lease.extend().catch(() => undefined)
        arm()
      })
    }
    arm()
    return () => callOff()
  }

  /** In pieces, the first of which says how many and comes last. */
  async #keep(id: string, result: Result<K>): Promise<void> {
    const bytes = encode(result)
    const count = Math.ceil(bytes.byteLength / MOST_BYTES)
    for (let at = 1; at < count; at++) {
      await this.queue.claims.create(`${id}-${at}`, bytes.subarray(at * MOST_BYTES, (at + 1) * MOST_BYTES))
    }
    await this.queue.claims.create(id, new Uint8Array([count, ...bytes.subarray(0, MOST_BYTES)]))
  }

  async #result(id: string): Promise<Result<K> | undefined> {
    const first = await this.queue.claims.get(id)
    if (!first) return undefined
    const pieces = [first.subarray(1)]
    for (let at = 1; at < first[0]; at++) pieces.push((await this.queue.claims.get(`${id}-${at}`))!)
    return decode(Buffer.concat(pieces)) as Result<K>
  }
}

/** Of leases that last a minute. */
export const LEASE_MS = 60_000
const EXTEND_MS = LEASE_MS / 3

const ARRAYS = { Uint8Array, Int32Array, Float32Array, Float64Array } as const
type ArrayName = keyof typeof ARRAYS

/** The same for equal values. */
function fingerprint(value: unknown): string {
  const json = JSON.stringify(value, (_, part) => {
    if (part instanceof Map) return [...part]
    if (!ArrayBuffer.isView(part)) return part
    const { buffer, byteOffset, byteLength } = part
    return createHash('sha256')
      .update(new Uint8Array(buffer, byteOffset, byteLength))
      .digest('hex')
  })
  return createHash('sha256').update(json).digest('hex')
}

/** JSON, maps, and typed arrays to the bit. */
function encode(value: unknown): Uint8Array {
  const json = JSON.stringify(value, (_, part) => {
    if (part instanceof Map) return { $map: [...part] }
    if (!ArrayBuffer.isView(part)) return part
    const { buffer, byteOffset, byteLength } = part
    return { $array: part.constructor.name, bytes: Buffer.from(buffer, byteOffset, byteLength).toString('base64') }
  })
  return new TextEncoder().encode(json)
}

function decode(bytes: Uint8Array): unknown {
  return JSON.parse(new TextDecoder().decode(bytes), (_, part) => {
    if (Array.isArray(part?.$map)) return new Map(part.$map)
    if (typeof part?.$array !== 'string' || !Object.hasOwn(ARRAYS, part.$array)) return part
    const copy = new Uint8Array(Buffer.from(part.bytes, 'base64'))
    return new ARRAYS[part.$array as ArrayName](copy.buffer)
  })
}
