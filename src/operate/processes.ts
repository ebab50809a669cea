// One service in several processes that share a port: the one that was started keeps the others running, passes on what it is
// told, and ends when they have ended. Each of the others is the same program, started again.
import cluster, { type Worker } from 'node:cluster'
import { RingfenceError } from '../errors.js'
import type { Log } from './log.js'

/** Tells a process that it is one of several, and which. */
const NUMBER = 'RINGFENCE_WORKER'
const RESTART_FIRST_MS = 500
const RESTART_MOST_MS = 5000

/** What goes from one process to all. */
type Word =
  | { readonly ringfence: 'ready'; readonly facts: unknown }
  | { readonly ringfence: 'banned'; readonly name: string }
  | { readonly ringfence: 'stop' }

/** This process, where it is one of several. */
export class OneOfSeveral {
  /** Counted from 1. */
  readonly number: number

  private constructor(number: number) {
    this.number = number
    let told = false
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => (told = true))
    process.on('message', (word: Word) => {
      // A terminal tells all processes itself: to be told twice would be to end at once.
      if (word.ringfence === 'stop' && !told) process.emit('SIGTERM')
    })
  }

  /** @returns undefined in a process that was not started by `Several` */
  static here(): OneOfSeveral | undefined {
    const number = Number(process.env[NUMBER])
    return cluster.isWorker && number > 0 ? new OneOfSeveral(number) : undefined
  }

  /** It serves. @param facts for `Several` to hand on; plain data */
  ready(facts: unknown): void {
    process.send?.({ ringfence: 'ready', facts } satisfies Word)
  }

  /** It has nothing left to do, and no word from the first keeps it. */
  leave(): void {
    cluster.worker?.disconnect()
  }

  /** The others are to let nobody of that name in. */
  banned(name: string): void {
    process.send?.({ ringfence: 'banned', name } satisfies Word)
  }

  onBanned(ban: (name: string) => void): void {
    process.on('message', (word: Word) => {
      if (word.ringfence === 'banned') ban(word.name)
    })
  }
}

export interface SeveralOptions {
  readonly count: number
  readonly log: Log
  /** All serve. @param facts of the first */
  onReady(facts: unknown): void
}

/** The processes, seen from the one that was started. */
export class Several {
  readonly #workers = new Map<number, Worker>()
  readonly #ready = new Set<number>()
  #first: unknown
  #said = false
  #stopping = false
  #end!: (status: number) => void
  /** The status to end with, once all have ended. */
  readonly ended = new Promise<number>((resolve) => {
    this.#end = resolve
  })

  /** Starts one; the others as soon as it serves, so that what is wrong is said once. @throws RingfenceError HOST */
  constructor(private readonly options: SeveralOptions) {
    // Deno has `cluster`, but a process there outlives the one that started it.
    if ('Deno' in globalThis) throw elsewhere()
    try {
      this.#start(1, RESTART_FIRST_MS)
    } catch (cause) {
      throw elsewhere(cause)
    }
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, this.#stop)
    process.on('SIGHUP', () => {
      for (const worker of this.#workers.values()) worker.process.kill('SIGHUP')
    })
  }

  #start(number: number, restartMs: number): void {
    const worker = cluster.fork({ [NUMBER]: String(number) })
    this.#workers.set(number, worker)
    worker.on('message', (word: Word) => this.#heard(number, word))
    worker.on('exit', (code, signal) => this.#exited(number, code, signal, restartMs))
  }

  #heard(number: number, word: Word): void {
    if (word.ringfence === 'banned') {
      for (const [other, worker] of this.#workers) if (other !== number && worker.isConnected()) worker.send(word)
    } else if (word.ringfence === 'ready') {
      this.#ready.add(number)
      if (number === 1 && !this.#said) {
        this.#first ??= word.facts
        for (let other = 2; other <= this.options.count; other++) this.#start(other, RESTART_FIRST_MS)
      }
      if (this.#ready.size < this.options.count || this.#said) return
      this.#said = true
      this.options.onReady(this.#first)
    }
  }

  #exited(number: number, code: number | null, signal: string | null, restartMs: number): void {
    this.#workers.delete(number)
    const served = this.#ready.delete(number)
    // Nobody is served yet: it has said why.
    if (!this.#said && !this.#stopping) this.#giveUp(code ?? 1)
    if (this.#stopping) {
      if (this.#workers.size === 0) this.#end(0)
      return
    }
    const { log } = this.options
    const text = `process ${number} has ended (${signal ?? `status ${code}`}) and is started again`
    log.say('error', 'ended', { process: number, code: code ?? undefined, signal: signal ?? undefined }, text)
    const next = served ? RESTART_FIRST_MS : Math.min(2 * restartMs, RESTART_MOST_MS)
    setTimeout(() => {
      if (!this.#stopping) this.#start(number, next)
    }, next)
  }

  #giveUp(status: number): void {
    this.#stopping = true
    for (const worker of this.#workers.values()) worker.process.kill('SIGKILL')
    this.#end(status || 1)
  }

  readonly #stop = (): void => {
    if (this.#stopping) {
      for (const worker of this.#workers.values()) worker.process.kill('SIGKILL')
      process.exit(130)
    }
    this.#stopping = true
    if (this.#workers.size === 0) this.#end(0)
    // More than once: one that is starting hears nothing yet.
    const tell = () => {
      for (const worker of this.#workers.values()) if (worker.isConnected()) worker.send({ ringfence: 'stop' })
    }
    tell()
    setInterval(tell, RESTART_FIRST_MS).unref()
  }
}

const elsewhere = (cause?: unknown): RingfenceError => {
  const what = 'this host runs no program in several processes'
  return new RingfenceError('HOST', `${what}; start several, each at a port of its own`, [], { cause })
}
