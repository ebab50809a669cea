// What is needed of a queue and a store that several machines share. No secret is put there in clear.
import { RingfenceError } from '../errors.js'

/** A queue of jobs, each done at least once, and claims, each made once for good. */
export interface Engine {
  readonly jobs: Jobs
  readonly claims: Claims
  /** Ends every `take`. What is leased is leased out again when its time is over. */
  close(): Promise<void>
}

export interface Jobs {
  /**
   * Resolves once the job would survive this process.
   * @param id a second job of that id within `windowMs` is none; letters, digits, `-` and `_`
   * @throws RingfenceError BUSY while the queue holds as many as it may, or cannot be reached
   */
  put(job: Uint8Array, id: string): Promise<'queued' | 'duplicate'>
  /** Jobs, one after the other, until it is aborted or the engine closed. Each is leased for `leaseMs`. */
  take(signal?: AbortSignal): AsyncIterable<Lease>
  depth(): Promise<Depth>
}

export interface Depth {
  /** Jobs that nobody has leased. */
  readonly waiting: number
  readonly leased: number
  /** Jobs that were given up. */
  readonly dead: number
}

/** A job that one taker has for a time. What it does after that time may be without effect, and is no error. */
export interface Lease {
  readonly job: Uint8Array
  /** From 1 on. */
  readonly attempt: number
  /** Has it for another `leaseMs`. */
  extend(): Promise<void>
  done(): Promise<void>
  /** Gives it back, for whoever takes it after so many milliseconds. */
  retry(afterMs: number): Promise<void>
  /** Gives the job up, for a person to look at. @param reason without secrets; not every engine keeps it */
  dead(reason: string): Promise<void>
}

export interface Claims {
  /** False where the key was claimed before. A claim is never changed or deleted. */
  create(key: string, value: Uint8Array): Promise<boolean>
  get(key: string): Promise<Uint8Array | undefined>
}

export interface EngineOptions {
  /** Which of an engine's queues; each has claims of its own. */
  readonly name: string
  /** How long a taker may be silent. Default 15 s. */
  readonly leaseMs?: number
  /** A job that was leased so often and not done is given up. Default 5. */
  readonly attempts?: number
  /** Jobs that may be in it. Default 10,000. */
  readonly limit?: number
  /** How long an id is remembered. Default two minutes. */
  readonly windowMs?: number
  /** Told of what the queue needed and did not find, and so was made: of a wrong address a new and empty one is made as well. */
  readonly onMade?: (what: string) => void
}

export type EngineTerms = Required<Omit<EngineOptions, 'onMade'>>

/** @throws RingfenceError BAD_INPUT */
export function termsOf(options: EngineOptions): EngineTerms {
  const terms = { leaseMs: 15_000, attempts: 5, limit: 10_000, windowMs: 120_000, ...options }
  checkName('a queue', terms.name)
  for (const part of ['leaseMs', 'attempts', 'limit', 'windowMs'] as const) {
    if (!(terms[part] >= 1)) throw new RingfenceError('BAD_INPUT', `${part}: expected 1 or more, got ${terms[part]}`)
  }
  return terms
}

/** Names go into subjects and file names. @throws RingfenceError BAD_INPUT */
export function checkName(what: string, name: string): void {
  if (/^[\w-]{1,128}$/.test(name)) return
  throw new RingfenceError(
    'BAD_INPUT',
    `${what} is named by up to 128 letters, digits, - and _, not ${name.slice(0, 40)}`,
  )
}

/** What a putter is told while there is no room. */
export function queueFull({ name, limit }: EngineTerms): RingfenceError {
  const what = `the queue ${name} holds ${limit} jobs, which is all it may; come back later`
  return new RingfenceError('BUSY', what, [], { retryAfterMs: 1000 })
}

export const GIVEN_UP = 'leased too often without being done'
