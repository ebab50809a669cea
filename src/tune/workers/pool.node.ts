// A pool of worker threads, on Node.
import { existsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { RingfenceError } from '../../errors.js'
import type { JobKind, Result, Setup, Task } from './jobs.js'
import type { StartPool, WorkerPool } from './pool.js'

/** What goes to a thread when it starts. */
export interface ThreadStart<K extends JobKind = JobKind> {
  readonly kind: K
  readonly setup: Setup<K>
}

/** What comes back: first that it is ready, then one answer per task, in their order. */
export type ThreadAnswer =
  | { readonly result: unknown }
  | { readonly failure: { readonly code?: RingfenceError['code']; readonly message: string } }

/** Beside the bundle, or where the bundle is when this runs from the sources. */
function threadFile(): URL {
  const here = new URL('./tune-thread.js', import.meta.url)
  return existsSync(here) ? here : new URL('../../../dist/tune-thread.js', import.meta.url)
}

/** Starts `threads` worker threads, or one per core. */
export function startThreads(threads = availableParallelism()): StartPool {
  return async (kind, setup) => {
    const members = Array.from({ length: threads }, () => new Thread({ kind, setup }))
    const release = async () => {
      await Promise.all(members.map((member) => member.end()))
    }
    try {
      await Promise.all(members.map((member) => member.answer()))
    } catch (error) {
      await release()
      throw error
    }
    return { threads, run: (task) => runOn(members, task), release } as WorkerPool<typeof kind>
  }
}

async function runOn<K extends JobKind>(members: readonly Thread[], task: Task<K>): Promise<Result<K>> {
  const free = members.find((member) => !member.busy)
  if (!free) throw new RingfenceError('BAD_INPUT', `expected at most ${members.length} tasks at a time`)
  return (await free.ask(task)) as Result<K>
}

class Thread {
  readonly #worker: Worker
  #waiting: { resolve(value: unknown): void; reject(error: Error): void } | undefined
  #failed: Error | undefined
  busy = false

  constructor(start: ThreadStart) {
    this.#worker = new Worker(threadFile(), { workerData: start })
    this.#worker.on('message', (answer: ThreadAnswer) => {
      if ('result' in answer) this.#settle()?.resolve(answer.result)
      else this.#settle()?.reject(restored(answer.failure))
    })
    this.#worker.on('error', (error) => this.#fail(error))
    this.#worker.on('exit', (code) => this.#fail(new RingfenceError('HOST', `a worker thread ended with ${code}`)))
  }

  ask(task: unknown): Promise<unknown> {
    this.#worker.postMessage(task)
    return this.answer()
  }

  answer(): Promise<unknown> {
    this.busy = true
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
      if (this.#failed) this.#fail(this.#failed)
    })
  }

  async end(): Promise<void> {
    this.#worker.removeAllListeners('exit')
    await this.#worker.terminate()
  }

  #settle() {
    const waiting = this.#waiting
    this.#waiting = undefined
    this.busy = false
    return waiting
  }

  #fail(error: Error): void {
    this.#failed = error
    this.#settle()?.reject(error)
  }
}

function restored({ code, message }: { code?: RingfenceError['code']; message: string }): Error {
  return code ? new RingfenceError(code, message) : new Error(message)
}
