// Worker threads that deal, on Node. The thread that owns the links gives them jobs and gets bundles back.
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { type ErrorCode, RingfenceError } from '../../errors.js'
import type { Seed } from '../../random/seed.js'
import type { Bundle, DealerPool, DealJob, DealtModel, ModelDealer } from './dealing.js'

/** What a thread is told; it answers each in turn. Models have numbers. */
export type ThreadOrder =
  | { readonly order: 'open'; readonly model: number; readonly dealt: DealtModel }
  | { readonly order: 'transposes'; readonly model: number; readonly packed: Uint8Array }
  | { readonly order: 'guard'; readonly model: number; readonly seed: Seed }
  | { readonly order: 'deal'; readonly model: number; readonly job: DealJob }
  | { readonly order: 'close'; readonly model: number }

export type ThreadAnswer =
  | { readonly messages: readonly Uint8Array[] }
  | { readonly failure: { readonly code?: ErrorCode; readonly message: string } }

/** A job that has ended so many threads is given up. */
const MOST_ATTEMPTS = 3
/** A thread that has ended is replaced after so long, so that one that cannot start does not start all the time. */
const RESTART_MS = 200

/** Beside the bundle, or where the bundle is when this runs from the sources. */
function threadFile(): URL {
  const here = new URL('./dealer-thread.js', import.meta.url)
  return existsSync(here) ? here : new URL('../../../dist/dealer-thread.js', import.meta.url)
}

/**
 * Starts threads that deal for a helper, one per core unless told otherwise: `Helper.create({ dealers })`. Each holds every
 * registered network. A thread that ends is replaced, and what it was dealing is dealt again, to the same bytes.
 * @throws RingfenceError BAD_INPUT, HOST where no thread can be started
 */
export async function startDealers(threads = availableParallelism()): Promise<DealerPool> {
  if (!Number.isInteger(threads) || threads < 1) {
    throw new RingfenceError('BAD_INPUT', `expected a whole number of threads from 1 on, got ${threads}`)
  }
  const pool = new ThreadPool(threads)
  try {
    await pool.started()
  } catch (cause) {
    await pool.release()
    throw new RingfenceError('HOST', 'this host starts no worker threads; deal without them', [], { cause })
  }
  return pool
}

/** Orders that set a thread up for a model. */
type Setup = Exclude<ThreadOrder, { order: 'deal' | 'close' }>

class ThreadPool implements DealerPool {
  readonly #members: Thread[]
  readonly #idle: Thread[] = []
  readonly #waiting: { resolve(thread: Thread): void; reject(error: Error): void }[] = []
  /** What a thread that comes in another's place has to be told. */
  readonly #models = new Map<number, Setup[]>()
  #opened = 0
  #released = false

  constructor(readonly threads: number) {
    this.#members = Array.from({ length: threads }, (_, at) => this.#start(at))
  }

  async started(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.ready))
    this.#idle.push(...this.#members)
  }

  async open({ plan, filters }: DealtModel): Promise<ModelDealer> {
    const model = ++this.#opened
    const shared = { plan, filters: filters.map(inSharedMemory) }
    this.#models.set(model, [])
    try {
      await this.#tell({ order: 'open', model, dealt: shared })
    } catch (error) {
      this.#close(model)
      throw error
    }
    return {
      width: this.threads + 1,
      addTransposes: (packed) => this.#set({ order: 'transposes', model, packed: inSharedMemory(packed) }),
      guard: (seed) => this.#set({ order: 'guard', model, seed: seed.slice() }),
      begin: (job) => this.#begin(model, job),
      release: () => this.#close(model),
    }
  }

  async release(): Promise<void> {
    this.#released = true
    for (const { reject } of this.#waiting.splice(0)) reject(new ThreadLost())
    await Promise.all(this.#members.map((member) => member.end()))
    for (const model of this.#models.keys()) this.#forget(model)
  }

  async #begin(model: number, job: DealJob): Promise<Bundle> {
    let messages: readonly Uint8Array[]
    try {
      messages = await this.#deal(model, job)
    } catch (error) {
      return { send: () => Promise.reject(error) }
    }
    return {
      send: async (emit) => {
        for (const [step, message] of messages.entries()) await emit(step, message)
      },
    }
  }

  async #deal(model: number, job: DealJob): Promise<readonly Uint8Array[]> {
    for (let attempt = 1; ; attempt++) {
      const thread = await this.#take()
      try {
        return await thread.ask({ order: 'deal', model, job })
      } catch (error) {
        // The job holds k_H: whoever deals it again deals the same.
        if (!(error instanceof ThreadLost) || this.#released || attempt === MOST_ATTEMPTS) throw error
      } finally {
        this.#give(thread)
      }
    }
  }

  async #take(): Promise<Thread> {
    if (this.#released) throw new ThreadLost()
    return this.#idle.pop() ?? new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  #give(thread: Thread): void {
    if (thread.lost) return
    const next = this.#waiting.shift()
    if (next) next.resolve(thread)
    else this.#idle.push(thread)
  }

  /** Tells all threads, and those that come after them. */
  async #tell(setup: Setup): Promise<void> {
    this.#models.get(setup.model)?.push(setup)
    const told = await Promise.allSettled(this.#members.map((member) => member.ask(setup)))
    const failed = told.find((each) => each.status === 'rejected' && !(each.reason instanceof ThreadLost))
    if (failed) throw (failed as PromiseRejectedResult).reason
  }

  /** What fails here makes deals fail. */
  #set(setup: Setup): void {
    this.#tell(setup).catch(() => undefined)
  }

  #close(model: number): void {
    this.#forget(model)
    for (const member of this.#members) member.ask({ order: 'close', model }).catch(() => undefined)
  }

  #forget(model: number): void {
    for (const setup of this.#models.get(model) ?? []) if (setup.order === 'guard') setup.seed.fill(0)
    this.#models.delete(model)
  }

  #start(at: number): Thread {
    return new Thread((thread) => {
      const idle = this.#idle.indexOf(thread)
      if (idle >= 0) this.#idle.splice(idle, 1)
      if (!this.#released) setTimeout(() => this.#replace(at), RESTART_MS)
    })
  }

  #replace(at: number): void {
    if (this.#released) return
    const thread = this.#start(at)
    this.#members[at] = thread
    const setups = [...this.#models.values()].flat().map((setup) => thread.ask(setup))
    Promise.allSettled([thread.ready, ...setups]).then(() => this.#give(thread))
  }
}

/** The thread has ended, whatever the reason. */
class ThreadLost extends RingfenceError {
  constructor(cause?: unknown) {
    super('HOST', 'a thread that deals has ended', [], { cause })
  }
}

class Thread {
  readonly #worker: Worker
  readonly #pending: { resolve(messages: readonly Uint8Array[]): void; reject(error: Error): void }[] = []
  readonly ready: Promise<unknown>
  lost: ThreadLost | undefined

  constructor(private readonly onLost: (thread: Thread) => void) {
    this.#worker = new Worker(threadFile())
    this.#worker.on('message', (answer: ThreadAnswer) => {
      const pending = this.#pending.shift()
      if ('messages' in answer) pending?.resolve(answer.messages)
      else pending?.reject(restored(answer.failure))
    })
    this.#worker.on('error', (cause) => this.#end(cause))
    this.#worker.on('exit', () => this.#end())
    this.ready = this.#answer()
    this.ready.catch(() => undefined)
  }

  async ask(order: ThreadOrder): Promise<readonly Uint8Array[]> {
    if (this.lost) throw this.lost
    this.#worker.postMessage(order)
    return this.#answer()
  }

  async end(): Promise<void> {
    await this.#worker.terminate()
  }

  #answer(): Promise<readonly Uint8Array[]> {
    return new Promise((resolve, reject) => this.#pending.push({ resolve, reject }))
  }

  #end(cause?: unknown): void {
    if (this.lost) return
    this.lost = new ThreadLost(cause)
    for (const { reject } of this.#pending.splice(0)) reject(this.lost)
    this.onLost(this)
  }
}

/** For threads to read without a copy for each. It is F, which goes to nobody else. */
function inSharedMemory(bytes: Uint8Array): Uint8Array {
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.byteLength))
  shared.set(bytes)
  return shared
}

function restored({ code, message }: { code?: ErrorCode; message: string }): Error {
  return code ? new RingfenceError(code, message) : new Error(message)
}
