// A delegate's connections and what is prepared on them: who lends next, who prepares, who waits.
import { RingfenceError } from '../errors.js'
import { wait } from '../net/index.js'
import { asRingfenceError } from '../party/options.js'
import { entropy } from '../random/seed.js'
import type { Lending, Seat } from './seat.js'

/** What became of an owner's request. */
export interface LentInference {
  /** Which material it took; undefined where it ended before it took any. */
  readonly session: Uint8Array
  readonly inference: number | undefined
  /** False: its owner had left. */
  readonly begun: boolean
  readonly milliseconds: number
  /** Why it was not finished. */
  readonly error?: RingfenceError
}

export interface PoolOptions {
  /** Connections to the server, each with one inference at a time. */
  readonly connections: number
  /** Prepares when fewer than `low` inferences are ready, until `high` are. */
  readonly low: number
  readonly high: number
  connect(signal: AbortSignal): Promise<Seat>
  /** A connection ended, or could not be made; it is made again. */
  onError(error: RingfenceError): void
  onLent(lent: LentInference): void
}

/** A request that cannot be lent to for so long is dropped: its owner has been told DEADLINE by the server. */
const LONGEST_WAIT_MS = 10_000
/** When a server that refuses and does not say when to come back is asked again. */
const PAUSE_MS = 30_000
const REJOIN_FIRST_MS = 500
const REJOIN_MOST_MS = 5000

interface Waiting extends Lending {
  readonly since: number
}

export class Pool {
  readonly #seats = new Set<Seat>()
  readonly #queue: Waiting[] = []
  readonly #end = new AbortController()
  readonly #working: Promise<void>[]
  #preparing = 0
  #filling = true
  /** The server has refused: nothing is prepared until it may be asked again. */
  #paused = false
  /** Rung whenever somebody may have something to do. */
  #bell = bell()

  constructor(private readonly options: PoolOptions) {
    this.#working = Array.from({ length: options.connections }, () => this.#keep())
  }

  /** Inferences that can be lent at once. */
  get prepared(): number {
    let sum = 0
    for (const { prepared } of this.#seats) sum += prepared
    return sum
  }

  get connected(): number {
    return this.#seats.size
  }

  get waiting(): number {
    return this.#queue.length
  }

  get memoryInUse(): number {
    let sum = 0
    for (const { memoryInUse } of this.#seats) sum += memoryInUse
    return sum
  }

  /** Lends an inference as soon as a connection is free. */
  lend(request: Lending): void {
    this.#queue.push({ ...request, since: performance.now() })
    this.#ring()
  }

  async release(): Promise<void> {
    this.#end.abort()
    for (const seat of this.#seats) seat.close()
    this.#ring()
    await Promise.all(this.#working)
    for (const { seed } of this.#queue.splice(0)) seed.fill(0)
  }

  #ring(): void {
    const { ring } = this.#bell
    this.#bell = bell()
    ring()
  }

  /** Keeps one connection for as long as the pool lasts. */
  async #keep(): Promise<void> {
    const { signal } = this.#end
    for (let ms = REJOIN_FIRST_MS; !signal.aborted; ms = Math.min(2 * ms, REJOIN_MOST_MS)) {
      let seat: Seat | undefined
      try {
        seat = await this.options.connect(signal)
        this.#seats.add(seat)
        ms = REJOIN_FIRST_MS
        await this.#work(seat)
      } catch (cause) {
        if (!signal.aborted) this.options.onError(asRingfenceError(cause))
      } finally {
        if (seat) this.#seats.delete(seat)
        seat?.end(new RingfenceError('ABORTED', 'the delegate ended this connection'))
        this.#ring() // others take over what waits
      }
      if (!signal.aborted) await wait(ms * (0.5 + entropy(1)[0] / 512), signal)
    }
  }

  /** What one connection does, until it ends. */
  async #work(seat: Seat): Promise<void> {
    let gone = false
    void seat.closed.then(() => {
      gone = true
      this.#ring()
    })
    while (!this.#end.signal.aborted) {
      if (gone) throw await seat.whyGone()
      const { rung } = this.#bell
      const request = this.#next(seat)
      if (request) await this.#lend(seat, request)
      else if (this.#wants(seat)) await this.#prepare(seat)
      else await rung
    }
  }

  /** The request that has waited longest, unless somebody who is prepared takes it. */
  #next(seat: Seat): Waiting | undefined {
    if (seat.prepared === 0 && this.prepared > 0) return undefined
    const now = performance.now()
    for (;;) {
      const request = this.#queue.shift()
      if (!request || now - request.since < LONGEST_WAIT_MS) return request
      request.seed.fill(0)
    }
  }

  async #lend(seat: Seat, request: Waiting): Promise<void> {
    const began = performance.now()
    const told = (what: Pick<LentInference, 'inference' | 'begun' | 'error'>) => {
      this.options.onLent({ session: seat.session, milliseconds: performance.now() - began, ...what })
    }
    try {
      told(await seat.lend(request))
    } catch (cause) {
      const error = asRingfenceError(cause)
      told({ inference: undefined, begun: false, error })
      throw error
    } finally {
      request.seed.fill(0)
    }
  }

  /** Whether this connection is to prepare one more: all have their share, and half of them stay free to lend. */
  #wants(seat: Seat): boolean {
    const { connections, low, high } = this.options
    const ready = this.prepared + this.#preparing
    if (ready < low) this.#filling = true
    else if (ready >= high) this.#filling = false
    const share = Math.ceil(high / connections)
    const most = Math.max(1, Math.floor(connections / 2))
    const free = !this.#paused && this.#preparing < most && seat.prepared < share
    return this.#filling && free && ready < high
  }

  async #prepare(seat: Seat): Promise<void> {
    this.#preparing++
    try {
      await seat.prepare()
    } catch (cause) {
      const error = asRingfenceError(cause)
      const { code, retryAfterMs = PAUSE_MS } = error
      if (error.cause !== undefined || !(code === 'STORE_FULL' || code === 'BUSY' || code === 'UNAUTHORIZED'))
        throw error
      // What is prepared has to do for now.
      if (code !== 'STORE_FULL' || this.prepared === 0) this.options.onError(error)
      this.#paused = true
      void wait(retryAfterMs, this.#end.signal).then(() => {
        this.#paused = false
        this.#ring()
      })
    } finally {
      this.#preparing--
      this.#ring()
    }
  }
}

function bell(): { rung: Promise<void>; ring: () => void } {
  let ring!: () => void
  const rung = new Promise<void>((resolve) => {
    ring = resolve
  })
  return { rung, ring }
}
