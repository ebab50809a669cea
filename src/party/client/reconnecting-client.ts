// A client that comes back: when server or helper go away it connects anew, with growing pauses, and takes new material. A
// call that met the end of a connection is repeated once, on a new session: under other masks, as another inference.
import { RingfenceError } from '../../errors.js'
import type { Plan } from '../../plan/plan.js'
import { entropy } from '../../random/seed.js'
import { asRingfenceError } from '../options.js'
import { Client } from './client.js'
import type { CallOptions, ClientOptions, InferenceResult, OpenChannel } from './client-options.js'

/** How a reconnecting client stands with its parties. */
export type Connection =
  | { readonly state: 'connected' }
  /** It tries again after so many milliseconds. */
  | { readonly state: 'waiting'; readonly why: RingfenceError; readonly retryAfterMs: number }
  /** It has given up: `why` says what has to change, or that it was released. */
  | { readonly state: 'closed'; readonly why: RingfenceError }

/** As `ClientOptions`, with parties that can be reached again and again. */
export interface ReconnectOptions extends Omit<ClientOptions, 'server' | 'helper' | 'signal'> {
  /** `wss://…` (or `ws://` on loopback), or what opens a channel. */
  server: string | OpenChannel
  /** As `server`. */
  helper: string | OpenChannel
  /** How long `create` and every call wait for parties that are away, in milliseconds. Default one minute. */
  patienceMs?: number
  /** The first pause between two attempts and the longest, in milliseconds; each is twice the one before. Default 250 and 10,000. */
  pausesMs?: readonly [first: number, longest: number]
  /** Told of every change, and of every failed attempt. */
  onConnection?: (connection: Connection) => void
  /** Calls off `create`. */
  signal?: AbortSignal
}

/** What no attempt will mend: an argument, a plan, a version or a key has to change. */
const FINAL = ['BAD_FILE', 'BAD_INPUT', 'UNSUPPORTED', 'PLAN_MISMATCH', 'WRONG_PARTY', 'INSECURE', 'HOST']

/** Whether a new connection may succeed where this one failed. */
function mayPass(error: RingfenceError): boolean {
  const { code } = error.code === 'PEER_FAILED' && error.cause instanceof RingfenceError ? error.cause : error
  return !FINAL.includes(code) && (code !== 'ABORTED' || error.code === 'PEER_FAILED')
}

/**
 * A client that outlives its connections. Calls wait while it has none.
 *
 * @example
 * ```ts
 * import { ReconnectingClient } from 'ringfence'
 *
 * const client = await ReconnectingClient.create({
 *   server: 'wss://server.example',
 *   helper: 'wss://helper.example',
 *   onConnection: ({ state }) => console.log(state), // connected, waiting, …
 * })
 * const input = new Float32Array(client.plan!.input.shape.reduce((product, size) => product * size, 1))
 * console.log((await client.run(input)).prediction) // repeated once under other masks if the connection is lost
 * ```
 */
export class ReconnectingClient {
  readonly #options: ReconnectOptions
  #client: Client | undefined
  #plan: Plan | undefined
  #why = new RingfenceError('PEER_GONE', 'server and helper were not reached yet')
  #over: RingfenceError | undefined
  #connecting: Promise<void> | undefined
  /** Ends an attempt, and the pause between two. */
  readonly #leaving = new AbortController()

  private constructor(options: ReconnectOptions) {
    this.#options = options
  }

  /**
   * Connects, waiting for parties that are not there yet.
   * @throws RingfenceError what the last attempt met, once patience ends; at once what no attempt will mend: PLAN_MISMATCH,
   *   INSECURE, BAD_INPUT, UNSUPPORTED, HOST; ABORTED
   */
  static async create(options: ReconnectOptions): Promise<ReconnectingClient> {
    const client = new ReconnectingClient(options)
    try {
      await client.#connected(options.signal, client.#deadline())
    } catch (error) {
      await client.release()
      throw error
    }
    return client
  }

  /** The network of the present connection, or of the last one. A server may come back with another, unless `planDigest` pins it. */
  get plan(): Plan {
    return this.#plan!
  }

  /** Inferences that can start without preparation; 0 while there is no connection. */
  get prepared(): number {
    return this.#client?.prepared ?? 0
  }

  /** Whether there is a connection now. */
  get connected(): boolean {
    return this.#client !== undefined
  }

  /** The client of the present connection, for its traffic and memory. */
  get current(): Client | undefined {
    return this.#client
  }

  /** As `Client.prepare`, repeated once where a connection ends. What was prepared before a connection ended is lost with it. */
  prepare(count = 1, options: CallOptions = {}): Promise<void> {
    return this.#twice(options, (client) => client.prepare(count, options))
  }

  /** As `Client.run`, repeated once where a connection ends: the second time under other masks. */
  run(input: Float32Array, options: CallOptions = {}): Promise<InferenceResult> {
    return this.#twice(options, (client) => client.run(input, options))
  }

  /** Leaves server and helper; calls that wait or run end with ABORTED. */
  async release(): Promise<void> {
    const client = this.#client
    this.#end(new RingfenceError('ABORTED', 'this client was released'))
    await client?.release()
    await this.#connecting
  }

  /** As `release`, at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.release()
  }

  async #twice<T>(options: CallOptions, call: (client: Client) => Promise<T>): Promise<T> {
    const deadline = this.#deadline()
    const client = await this.#connected(options.signal, deadline)
    try {
      return await call(client)
    } catch (cause) {
      const error = asRingfenceError(cause)
      if (options.signal?.aborted || this.#over || !mayPass(error)) throw error
      // Without room at the server the connection still stands; everything else has ended it.
      if (error.code === 'STORE_FULL') await pause(this.#firstPause(), options.signal)
      else this.#lose(client, error)
      return call(await this.#connected(options.signal, deadline))
    }
  }

  #deadline(): number {
    return performance.now() + (this.#options.patienceMs ?? 60_000)
  }

  /** The present connection, or the next one. */
  async #connected(signal: AbortSignal | undefined, deadline: number): Promise<Client> {
    while (!this.#client) {
      if (this.#over) throw this.#over
      if (signal?.aborted) throw new RingfenceError('ABORTED', 'the call was aborted while it waited for a connection')
      const left = deadline - performance.now()
      if (left <= 0) throw this.#why
      this.#connecting ??= this.#connect().finally(() => {
        this.#connecting = undefined
      })
      const waited = new AbortController()
      const stop = () => waited.abort()
      signal?.addEventListener('abort', stop)
      await Promise.race([this.#connecting, pause(left, waited.signal)])
      signal?.removeEventListener('abort', stop)
      stop()
    }
    return this.#client
  }

  /** Tries until there is a connection, or there will be none. */
  async #connect(): Promise<void> {
    for (let attempt = 0; !this.#over; attempt++) {
      try {
        await this.#open()
        return
      } catch (cause) {
        const error = asRingfenceError(cause)
        if (this.#over) return
        if (!mayPass(error)) return this.#end(error)
        const longest = this.#options.pausesMs?.[1] ?? 10_000
        await this.#waitFor(error, Math.min(longest, this.#firstPause() * 2 ** attempt))
      }
    }
  }

  async #open(): Promise<void> {
    const { patienceMs, pausesMs, onConnection, signal, ...options } = this.#options
    const client = await Client.create({ ...options, signal: this.#leaving.signal })
    if (this.#over) return void (await client.release())
    this.#client = client
    this.#plan = client.plan
    onConnection?.({ state: 'connected' })
    void client.closed.then((why) => this.#lose(client, why))
  }

  /** The connection has ended: the next one is made at once, not at the next call. */
  #lose(client: Client, why: RingfenceError): void {
    if (this.#client !== client) return
    this.#client = undefined
    this.#why = why
    void client.release().catch(() => undefined)
    if (this.#over) return
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined
    })
  }

  async #waitFor(why: RingfenceError, ms: number): Promise<void> {
    this.#why = why
    // Clients that lost the same server do not come back at the same moment.
    const scattered = Math.ceil(ms * (0.75 + entropy(1)[0] / 1024))
    const retryAfterMs = (why.retryAfterMs ?? 0) + scattered // no sooner than it was told to
    this.#options.onConnection?.({ state: 'waiting', why, retryAfterMs })
    await pause(retryAfterMs, this.#leaving.signal)
  }

  #firstPause(): number {
    return this.#options.pausesMs?.[0] ?? 250
  }

  #end(why: RingfenceError): void {
    if (this.#over) return
    this.#over = why
    this.#client = undefined
    this.#leaving.abort()
    this.#options.onConnection?.({ state: 'closed', why })
  }
}

/** The longest time that a timer takes. */
const LONGEST_MS = 2 ** 31 - 1

/** Resolves after so many milliseconds, or with the signal. */
function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, Math.min(ms, LONGEST_MS))
    if (signal?.aborted) end()
    else signal?.addEventListener('abort', end)
  })
}
