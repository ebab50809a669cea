// Who is served at once, who waits, and who is told to come back: queues that are bounded in length and in time.
import type { RingfenceError } from '../errors.js'
import { busy, type Link, wait } from '../net/index.js'

/** Clients that may wait at a time, in each queue. */
export const WAITING = 1024

/** Inferences on line at a time, at most: while one waits for its client others are worked on. */
export const RUNNING = 64

/** What a guest has to wait before it is served, at most; beyond it is told to come back. */
export const LONGEST_WAIT_MS = 60_000

/** A peer that waits is told that often that it is not forgotten, or four times within its deadline. */
const ALIVE_MS = 5000

/** Tells a peer, while a task of its runs or waits, that it is not forgotten. */
export async function keptAlive<T>(link: Link, deadlineMs: number, task: () => Promise<T>): Promise<T> {
  const timer = setInterval(() => link.alive(), Math.min(ALIVE_MS, deadlineMs / 4))
  try {
    return await task()
  } finally {
    clearInterval(timer)
  }
}

/** A guest's place in a queue. */
export interface Place {
  /** Whose guest it is; a guest of nobody in particular is its own. */
  readonly owner?: string
  leave?: (() => void) | undefined
}

export interface AdmissionOptions {
  /** How many are served at once. */
  readonly slots: number
  /** How many may wait. */
  readonly waiting: number
  /** A guess of how long one is served, until the first was; milliseconds. */
  readonly typicalMs?: number
  readonly clock?: () => number
}

/** Serves so many at once. Of others who wait, the first of the owner with the fewest guests inside is next. */
export class Admission {
  #free: number
  readonly #queue = new Map<() => void, string | undefined>()
  readonly #inside = new Map<string, number>()
  /** How long one is served: a mean in which the last counts for a tenth. */
  #typicalMs: number
  readonly #clock: () => number

  constructor(private readonly options: AdmissionOptions) {
    this.#free = options.slots
    this.#typicalMs = options.typicalMs ?? 50
    this.#clock = options.clock ?? (() => performance.now())
  }

  get waiting(): number {
    return this.#queue.size
  }

  /** What who comes now has to expect, in milliseconds. */
  get expectedMs(): number {
    return this.#free > 0 ? 0 : ((this.#queue.size + 1) * this.#typicalMs) / this.options.slots
  }

  /** Why nobody more may wait, if so. */
  get refusal(): RingfenceError | undefined {
    const { expectedMs } = this
    const full = this.#free === 0 && this.#queue.size >= this.options.waiting
    return full || expectedMs > LONGEST_WAIT_MS ? busy('this party', Math.max(1000, expectedMs)) : undefined
  }

  /**
   * Waits for its turn.
   * @param place `leave` gives the place in the queue up, where there is one: for a guest that has gone
   * @returns what ends the turn; undefined when the place was given up
   * @throws RingfenceError BUSY when too many wait
   */
  async enter(place: Place): Promise<(() => void) | undefined> {
    const { refusal } = this
    if (refusal) throw refusal
    if (this.#free > 0) {
      this.#free--
      this.#count(place.owner, 1)
    } else if (!(await this.#turn(place))) return undefined
    const start = this.#clock()
    let ended = false
    return () => {
      if (ended) return
      ended = true
      this.#count(place.owner, -1)
      this.#typicalMs += (this.#clock() - start - this.#typicalMs) / 10
      this.#next()
    }
  }

  #turn(place: Place): Promise<boolean> {
    return new Promise((resolve) => {
      const begin = () => {
        place.leave = undefined
        this.#count(place.owner, 1)
        resolve(true)
      }
      this.#queue.set(begin, place.owner)
      place.leave = () => {
        this.#queue.delete(begin)
        place.leave = undefined
        resolve(false)
      }
    })
  }

  #count(owner: string | undefined, more: 1 | -1): void {
    if (owner === undefined) return
    const inside = (this.#inside.get(owner) ?? 0) + more
    if (inside > 0) this.#inside.set(owner, inside)
    else this.#inside.delete(owner)
  }

  #next(): void {
    let begin: (() => void) | undefined
    let fewest = Number.POSITIVE_INFINITY
    for (const [guest, owner] of this.#queue) {
      const inside = (owner !== undefined && this.#inside.get(owner)) || 0
      if (inside >= fewest) continue
      begin = guest
      fewest = inside
      if (inside === 0) break
    }
    if (!begin) {
      this.#free++
      return
    }
    this.#queue.delete(begin)
    begin()
  }
}

/** Greetings: each costs a party a key agreement, or a plan to send. */
export const JOINS_PER_SECOND = 50

/** Longest time that a client waits to join; with more before it, it is told to come back. Half of a default deadline. */
export const LONGEST_JOIN_MS = 15_000

/** Lets something happen so often, in bursts of a second's worth; who comes too early waits, up to a bound. */
export class Pace {
  /** When the next may happen. */
  #due = Number.NEGATIVE_INFINITY

  /** @param clock milliseconds, monotone */
  constructor(
    private readonly perSecond: number,
    private readonly longestMs: number,
    private readonly clock: () => number = () => performance.now(),
  ) {}

  /**
   * Resolves when it is time, or nobody waits any more.
   * @throws RingfenceError BUSY when that would be too long
   */
  async take(signal?: AbortSignal): Promise<void> {
    const now = this.clock()
    const due = Math.max(this.#due, now - 1000)
    const ms = due - now
    if (ms > this.longestMs) throw busy('this party', ms)
    this.#due = due + 1000 / this.perSecond
    if (ms > 0) await wait(ms, signal)
  }
}
