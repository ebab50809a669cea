// The delegate: plays the client of the protocol for owners of inputs, whose inputs and answers it never sees.
import { RingfenceError } from '../errors.js'
import type { Exchange, ExchangeCall } from '../net/exchange/exchange.js'
import { busy, type Channel, type Meter, wait } from '../net/index.js'
import { refused, spend } from '../party/allowance.js'
import type { ClientContext } from '../party/backend.js'
import { connectClient } from '../party/client/connect-client.js'
import { equal, hex } from '../party/messages.js'
import { asRingfenceError, type PartyOptions, tokenFor } from '../party/options.js'
import { type MccPlan, planDigest } from '../plan/plan.js'
import { decodeSealedSeed, encodeHead, SEED_MESSAGE_BYTES } from '../protocol/delegated/messages.js'
import { encodeTerms } from '../protocol/delegated/terms.js'
import { delegatedSizes } from '../protocol/mcc/delegated.js'
import { type KeyPair, keyPair, type Seed } from '../random/seed.js'
import { Announcer, type Reachable, reach } from './announcer.js'
import { Epochs } from './epochs.js'
import { type LentInference, Pool } from './pool.js'
import { Seat } from './seat.js'

/** Whom a delegate works with, and how much it keeps ready. */
export interface DelegateOptions extends PartyOptions {
  /** `wss://…` (or `ws://` on loopback), or what opens a connection. */
  server: Reachable
  helper: Reachable
  /** Shown to both, or one for each. */
  token?: string | { server?: string; helper?: string }
  /** Its lasting X25519 keys, which owners and the server pin. Default: fresh ones. */
  identity?: KeyPair
  /** SHA-256 of the only plan to work with. Default: the server's, whichever that is. */
  planDigest?: Uint8Array
  /** The helper's public key, when it was learnt over a trusted way; another key is refused. */
  helperKey?: Uint8Array
  /** Connections to the server; each runs or prepares one inference at a time. Default 2. */
  connections?: number
  /** Inferences that are ready: fewer than `low` are filled up to `high`. Default 4 and 16. */
  prepared?: { low: number; high: number }
  /** Counts what crosses its connections, but for the one that announces seeds. */
  meter?: Meter
  /** Called when a connection ends with an error; it is made again. */
  onError?: (error: RingfenceError) => void
  /** Called after every inference. */
  onLent?: (lent: LentInference) => void
}

/** Where a delegate stands. */
export interface DelegateStatus {
  /** Connected to its server, on at least one connection that runs inferences. */
  readonly ready: boolean
  readonly connections: number
  /** Inferences that can begin at once. */
  readonly prepared: number
  /** Seeds that wait for their other half, and those whose turn has not come. */
  readonly waiting: number
  /** WASM memory in use. */
  readonly memoryBytes: number
}

/** Seeds that wait for their other half. */
const WAITING = 4096
/** How long one waits; its owner asks the server at the same time. */
const HALF_MS = 10_000
const REJOIN_FIRST_MS = 500
const REJOIN_MOST_MS = 5000

/** A delegate's time with one plan of its server: it ends with the connection that announces seeds. */
interface Tenure {
  readonly plan: MccPlan
  readonly digest: Uint8Array
  readonly announcer: Announcer
  readonly pool: Pool
}

/**
 * The delegate: it sees neither input nor answer, and plays the client of the protocol for whoever has them.
 * @example
 * ```ts
 * import { Delegate } from 'ringfence/delegate'
 * import { listen } from 'ringfence/node'
 *
 * const delegate = await Delegate.create({ server: 'wss://server.example', helper: 'wss://helper.example' })
 * await listen({
 *   port: 7703,
 *   exchange: (target) => (target === '/delegated' ? delegate.exchange : undefined),
 *   onConnection: (channel) => channel.close(),
 * })
 * ```
 */
export class Delegate {
  readonly #options: DelegateOptions
  readonly #identity: KeyPair
  readonly #epochs: Epochs
  /** Seeds by the id of their request. */
  readonly #seeds = new Map<string, { seed: Seed; timer: ReturnType<typeof setTimeout> }>()
  readonly #end = new AbortController()
  #tenure: Tenure | undefined
  #working: Promise<void> | undefined

  private constructor(options: DelegateOptions) {
    this.#options = options
    this.#identity = options.identity ?? keyPair()
    this.#epochs = new Epochs(this.#identity)
  }

  /**
   * Connects to server and helper and begins to prepare.
   * @throws RingfenceError UNAUTHORIZED (the server has another delegate's key), UNSUPPORTED (its plan is none for delegates),
   *   PLAN_MISMATCH, BAD_INPUT, PEER_GONE, DEADLINE
   */
  static async create(options: DelegateOptions): Promise<Delegate> {
    checkOptions(options)
    const delegate = new Delegate(options)
    delegate.#tenure = await delegate.#join()
    delegate.#working = delegate.#work()
    return delegate
  }

  /** What owners seal their seeds to, and what its server knows it by. */
  get publicKey(): Uint8Array {
    return this.#identity.publicKey
  }

  /** Where it stands, for whoever operates it. */
  get status(): DelegateStatus {
    const pool = this.#tenure?.pool
    return {
      ready: (pool?.connected ?? 0) > 0,
      connections: pool?.connected ?? 0,
      prepared: pool?.prepared ?? 0,
      waiting: this.#seeds.size + (pool?.waiting ?? 0),
      memoryBytes: pool?.memoryInUse ?? 0,
    }
  }

  /** What owners ask it: give it to `listen`, or call it from a server of your own. */
  get exchange(): Exchange {
    return {
      requestBytes: SEED_MESSAGE_BYTES,
      describe: () => encodeTerms(this.#current().plan, this.#identity.publicKey, this.#epochs.publicKey),
      answer: async (request, call) => {
        this.#accept(request, call)
        return new Uint8Array(0)
      },
    }
  }

  /** Resolves, false when the time was over, once no owner waits for it any more. */
  async drain(withinMs: number): Promise<boolean> {
    const until = performance.now() + withinMs
    while (this.status.waiting > 0) {
      const left = until - performance.now()
      if (left <= 0) return false
      await wait(Math.min(50, left))
    }
    return true
  }

  /** Leaves server and helper, wipes seeds and keys. */
  async release(): Promise<void> {
    this.#end.abort()
    this.#tenure?.announcer.close()
    await this.#working
    for (const id of [...this.#seeds.keys()]) this.#take(id)?.fill(0)
    this.#epochs.release()
  }

  /** As `release`, at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.release()
  }

  #current(): Tenure {
    if (this.#tenure && !this.#end.signal.aborted) return this.#tenure
    throw new RingfenceError('PEER_GONE', 'the delegate is not connected to its server; ask again later')
  }

  /** Takes in an owner's seed. */
  #accept(request: Uint8Array, { peer = {} }: ExchangeCall): void {
    const { digest, announcer } = this.#current()
    const message = decodeSealedSeed(request)
    if (!equal(message.digest, digest)) {
      throw new RingfenceError('PLAN_MISMATCH', 'the delegate works on another plan than the one this request is for')
    }
    if (this.#seeds.size >= WAITING) throw busy('the delegate', 1000)
    this.#epochs.expect(message.epoch) // who asks again for its sake has not asked twice
    const allowed = spend(peer, 1)
    if (allowed.granted === 0) throw refused(allowed)
    const id = hex(message.id)
    const seed = this.#epochs.open(message, id, encodeHead(message))
    const timer = setTimeout(() => this.#take(id)?.fill(0), HALF_MS)
    this.#seeds.set(id, { seed, timer })
    announcer.offer(message.id)
  }

  /** Takes a seed out; there is none when it has waited for too long. */
  #take(id: string): Seed | undefined {
    const held = this.#seeds.get(id)
    if (!held) return undefined
    clearTimeout(held.timer)
    this.#seeds.delete(id)
    return held.seed
  }

  /** Goes from tenure to tenure until it is released. */
  async #work(): Promise<void> {
    const { signal } = this.#end
    for (let ms = REJOIN_FIRST_MS; !signal.aborted; ms = Math.min(2 * ms, REJOIN_MOST_MS)) {
      try {
        this.#tenure ??= await this.#join()
        ms = REJOIN_FIRST_MS
        await this.#serve(this.#tenure)
      } catch (cause) {
        if (!signal.aborted) this.#options.onError?.(asRingfenceError(cause))
      } finally {
        const over = this.#tenure
        this.#tenure = undefined
        over?.announcer.close()
        await over?.pool.release()
      }
      if (!signal.aborted) await wait(ms, signal)
    }
  }

  async #serve({ announcer, pool }: Tenure): Promise<void> {
    for await (const id of announcer.wanted(this.#end.signal)) {
      const seed = this.#take(hex(id))
      if (seed) pool.lend({ id, seed })
    }
  }

  async #join(): Promise<Tenure> {
    const { server, deadlineMs, planDigest: wanted, connections = 2, prepared = { low: 4, high: 16 } } = this.#options
    const { signal } = this.#end
    const token = tokenFor('server', this.#options)
    const channel = await reach(server, { signal, deadlineMs, token })
    const announcer = await Announcer.open(channel, this.#identity, { wanted, signal, deadlineMs })
    try {
      const plan = delegable(announcer)
      const onError = (error: RingfenceError) => {
        this.#options.onError?.(error)
        // The server has another plan now: everything begins anew with that one.
        if (error.code === 'PLAN_MISMATCH') announcer.close()
      }
      const onLent = (lent: LentInference) => this.#options.onLent?.(lent)
      const connect = (during: AbortSignal) => this.#seat(plan, during)
      const pool = new Pool({ connections, ...prepared, connect, onError, onLent })
      return { plan, digest: planDigest(plan), announcer, pool }
    } catch (error) {
      announcer.close()
      throw error
    }
  }

  async #seat(plan: MccPlan, signal: AbortSignal): Promise<Seat> {
    const { server, helper, token, helperKey, deadlineMs } = this.#options
    const opened: Channel[] = []
    try {
      for (const [name, end] of [
        ['server', server],
        ['helper', helper],
      ] as const) {
        opened.push(await reach(end, { signal, deadlineMs, token: tokenFor(name, { token }) }))
      }
      const [toServer, toHelper] = opened
      const given = { ...this.#options, server: toServer, helper: toHelper, plan, helperKey, signal }
      return new Seat((await connectClient(given, this.#identity)) as ClientContext<MccPlan>)
    } catch (error) {
      for (const channel of opened) channel.close()
      throw error
    }
  }
}

function checkOptions({ connections = 2, prepared = { low: 4, high: 16 } }: DelegateOptions): void {
  const problems: string[] = []
  const whole = (value: number, low: number, high: number) => Number.isInteger(value) && value >= low && value <= high
  if (!whole(connections, 1, 64)) problems.push(`connections: 1 to 64, not ${connections}`)
  if (!whole(prepared.low, 0, prepared.high) || !whole(prepared.high, 1, 4096)) {
    problems.push(`prepared: 0 ≤ low ≤ high ≤ 4096, not ${prepared.low} and ${prepared.high}`)
  }
  if (problems.length > 0) throw new RingfenceError('BAD_INPUT', 'these options cannot make a delegate', problems)
}

function delegable({ plan }: Announcer): MccPlan {
  if (plan.backend !== 'mcc') {
    throw new RingfenceError('UNSUPPORTED', `back end ${plan.backend} cannot be delegated; compile the model for mcc`)
  }
  if (plan.outputs && plan.outputs.tail.length > 0) {
    throw new RingfenceError('UNSUPPORTED', 'this plan leaves layers to its client, and owners of inputs compute none')
  }
  if (delegatedSizes(plan)) return plan
  const what = 'this plan does not bound its input, so an owner could ask for anything'
  throw new RingfenceError('UNSUPPORTED', `${what}; compile the model with \`delegated: true\``)
}
