// An engine within one process: for tests, simulations, and a helper that is front and dealer in one.
import {
  type Claims,
  checkName,
  type Depth,
  type Engine,
  type EngineOptions,
  type EngineTerms,
  GIVEN_UP,
  type Jobs,
  type Lease,
  queueFull,
  termsOf,
} from './engine.js'
import { hostTimers, type Timers } from './timers.js'

interface Entry {
  readonly id: string
  readonly job: Uint8Array
  attempt: number
  /** Ends the lease, or the wait for the next. */
  callOff: () => void
}

export class MemoryEngine implements Engine {
  readonly jobs: MemoryJobs
  readonly claims: MemoryClaims = new MemoryClaims()

  constructor(options: EngineOptions, timers: Timers = hostTimers) {
    this.jobs = new MemoryJobs(termsOf(options), timers)
  }

  async close(): Promise<void> {
    this.jobs.close()
  }
}

class MemoryJobs implements Jobs {
  /** All that are not done. */
  readonly #entries = new Map<string, Entry>()
  /** Those that can be leased, the first to come first. */
  readonly #ready = new Set<Entry>()
  readonly #ids = new Map<string, number>()
  readonly #takers = new Set<() => void>()
  /** Why jobs were given up. */
  readonly dead: string[] = []
  #closed = false

  constructor(
    private readonly terms: EngineTerms,
    private readonly timers: Timers,
  ) {}

  async put(job: Uint8Array, id: string): Promise<'queued' | 'duplicate'> {
    checkName('a job', id)
    const now = this.timers.now()
    for (const [old, until] of this.#ids) {
      if (until > now) break
      this.#ids.delete(old)
    }
    if (this.#ids.has(id) || this.#entries.has(id)) return 'duplicate'
    if (this.#entries.size >= this.terms.limit) throw queueFull(this.terms)
    this.#ids.set(id, now + this.terms.windowMs)
    const entry = { id, job: job.slice(), attempt: 0, callOff: () => undefined }
    this.#entries.set(id, entry)
    this.#offer(entry)
    return 'queued'
  }

  async *take(signal?: AbortSignal): AsyncGenerator<Lease, void> {
    while (!signal?.aborted && !this.#closed) {
      const [entry] = this.#ready
      if (!entry) await this.#offered(signal)
      else if (entry.attempt < this.terms.attempts) yield this.#lease(entry)
      else this.#drop(entry, GIVEN_UP)
    }
  }

  async depth(): Promise<Depth> {
    const waiting = this.#ready.size
    return { waiting, leased: this.#entries.size - waiting, dead: this.dead.length }
  }

  close(): void {
    this.#closed = true
    for (const { callOff } of this.#entries.values()) callOff()
    this.#wake()
  }

  #lease(entry: Entry): Lease {
    this.#ready.delete(entry)
    const attempt = ++entry.attempt
    const arm = () => {
      entry.callOff()
      entry.callOff = this.timers.after(this.terms.leaseMs, () => this.#offer(entry))
    }
    arm()
    const held = () => this.#entries.get(entry.id) === entry && !this.#ready.has(entry) && entry.attempt === attempt
    return {
      job: entry.job.slice(),
      attempt,
      extend: async () => {
        if (held()) arm()
      },
      done: async () => this.#drop(entry),
      retry: async (afterMs) => {
        if (!held()) return
        entry.callOff()
        entry.callOff = this.timers.after(afterMs, () => this.#offer(entry))
      },
      dead: async (reason) => this.#drop(entry, reason),
    }
  }

  #drop(entry: Entry, reason?: string): void {
    if (this.#entries.get(entry.id) !== entry) return
    entry.callOff()
    this.#entries.delete(entry.id)
    this.#ready.delete(entry)
    if (reason !== undefined) this.dead.push(reason)
  }

  #offer(entry: Entry): void {
    this.#ready.add(entry)
    this.#wake()
  }

  #wake(): void {
    for (const taker of [...this.#takers]) taker()
  }

  #offered(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#takers.delete(wake)
        signal?.removeEventListener('abort', wake)
        resolve()
      }
      this.#takers.add(wake)
      signal?.addEventListener('abort', wake)
    })
  }
}

class MemoryClaims implements Claims {
  readonly #values = new Map<string, Uint8Array>()

  async create(key: string, value: Uint8Array): Promise<boolean> {
    checkName('a claim', key)
    if (this.#values.has(key)) return false
    this.#values.set(key, value.slice())
    return true
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    return this.#values.get(key)?.slice()
  }
}
