// One model of a server: registers it as soon as its helper is there, and puts a new one in its place without a break.
import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { RingfenceError } from '../errors.js'
import type { Exchange } from '../net/exchange/exchange.js'
import {
  type Channel,
  HEADER_BYTES,
  type Meter,
  memoryPair,
  type Peer,
  type PeerRole,
  wait,
  withFirst,
} from '../net/index.js'
import { Client } from '../party/client/client.js'
import type { PartyEvent, ServerStatus } from '../party/events.js'
import { CLIENT_HELLO_BYTES, decodeClientHello, equal } from '../party/messages.js'
import { OWN } from '../party/options.js'
import { Server } from '../party/server.js'
import type { ServerOptions } from '../party/server-options.js'
import type { Compiled } from '../plan/compile/compile.js'
import { elementCount, type Plan, planDigest, tensorShape } from '../plan/plan.js'
import { digestOf } from '../protocol/delegated/messages.js'

const RETRY_FIRST_MS = 500
const RETRY_MOST_MS = 5000
const HELLO_MS = 30_000
/** Of HTTP: come back, and it is of no use. */
export const UNAVAILABLE = 503
const GONE = 410

export interface ModelHooks {
  onEvent(event: PartyEvent): void
  onError(error: RingfenceError, peer?: Peer): void
  /** The helper could not be reached; it is tried again. */
  onWaiting(error: RingfenceError): void
}

export interface ModelOptions {
  /** Reads and compiles the model as it is now. */
  compile(): Promise<Compiled>
  connectHelper(role: PeerRole): Promise<Channel>
  server: Omit<ServerOptions, 'onEvent' | 'onError' | 'meter'>
  meter: Meter
  /** What else the server depends on: its helper, and how it gets in there. */
  reach: unknown
  hooks: ModelHooks
  /** How long a model that was replaced stays for those whose plan it is. */
  overlapMs: number
}

export class ServedModel {
  #current: Server | undefined
  /** Replaced, but there for clients that want its plan. */
  #retired: Server | undefined
  /** Until it is registered; from then on the server has what it needs of it. */
  #compiled: Compiled | undefined
  #plan: Plan
  #name: string
  readonly #end = new AbortController()
  #released = false
  readonly #leaving = new Set<Promise<void>>()

  private constructor(
    private options: ModelOptions,
    compiled: Compiled,
  ) {
    this.#compiled = compiled
    this.#plan = compiled.plan
    this.#name = nameOf(compiled)
  }

  static async compile(options: ModelOptions): Promise<ServedModel> {
    return new ServedModel(options, await options.compile())
  }

  get plan(): Plan {
    return this.#plan
  }

  get digest(): Uint8Array {
    return planDigest(this.plan)
  }

  /** As `Server.expects`, of the model as it is or as it was. */
  expects(path: string, token: Uint8Array): ReturnType<Server['expects']> {
    const expected = this.#current?.expects(path, token) ?? UNAVAILABLE
    return expected === GONE ? (this.#retired?.expects(path, token) ?? GONE) : expected
  }

  /** Undefined until it is registered for the first time. */
  get status(): ServerStatus | undefined {
    return this.#current?.status
  }

  /** Why a new client cannot be served, if it cannot. */
  get problem(): string | undefined {
    const { status } = this
    if (!status?.registered) return 'it is not registered with its helper'
    if (status.draining) return 'it is shutting down'
    const { usedBytes, limitBytes } = status.store
    return limitBytes > 0 && usedBytes >= limitBytes ? 'its store is full' : undefined
  }

  /** Registers the model, waiting for the helper as long as that takes. @throws RingfenceError what waiting cannot cure */
  async register(): Promise<void> {
    for (let ms = RETRY_FIRST_MS; ; ms = Math.min(2 * ms, RETRY_MOST_MS)) {
      try {
        const compiled = this.#compiled!
        const server = await serverOf(compiled, this.options)
        if (compiled === this.#compiled) {
          this.#current = server
          this.#compiled = undefined
          return
        }
        await server.release() // it was reloaded meanwhile
      } catch (error) {
        if (this.#end.signal.aborted) return
        if (!(error instanceof RingfenceError) || !error.retryable) throw error
        this.options.hooks.onWaiting(error)
        await wait(ms, this.#end.signal)
        if (this.#end.signal.aborted) return
      }
    }
  }

  /** What owners ask, of the model as it is now or of the one before it. @throws RingfenceError where nobody is served */
  get exchange(): Exchange {
    const servers = [this.#current, this.#retired].filter((server) => server !== undefined)
    if (servers.length === 0) throw new RingfenceError('BUSY', 'the server has not registered yet; come back later')
    const [newest, ...older] = servers.map((server) => ({ digest: server.planDigest, exchange: server.exchange }))
    const all = [newest, ...older]
    return {
      requestBytes: Math.max(...all.map(({ exchange }) => exchange.requestBytes)),
      describe: () => new Uint8Array(all.flatMap(({ exchange }) => [...exchange.describe()])),
      answer: (request, call) => {
        const plan = digestOf(request)
        const { exchange } = all.find(({ digest }) => equal(digest, plan)) ?? newest
        return exchange.answer(request, call)
      },
    }
  }

  /** Serves one client with the model as it is, or as it was if that is the plan it wants. */
  async run(channel: Channel, peer: Peer): Promise<void> {
    const [current, retired] = [this.#current, this.#retired]
    if (!current) return channel.close()
    // Of one plan and other weights or bounds, there is no reason to want the old.
    if (!retired || equal(retired.planDigest, current.planDigest)) return current.run(channel, peer)
    try {
      const hello = await channel.receive({ deadlineMs: HELLO_MS })
      await (wants(hello, retired.planDigest) ? retired : current).run(withFirst(channel, hello), peer)
    } catch {
      channel.close() // it left before it said anything
    }
  }

  /**
   * Compiles, registers and tries the model as it is now, then serves it to whoever comes; the one before ends when the
   * overlap is over and its clients have their answers.
   * @param options what holds from now on
   * @returns whether there was anything new
   * @throws RingfenceError what is wrong with the new one; the old one goes on
   */
  async reload(options: ModelOptions, drainMs: number): Promise<boolean> {
    const compiled = await options.compile()
    const terms = ({ server, reach }: ModelOptions) => [server, reach]
    if (nameOf(compiled) === this.#name && isDeepStrictEqual(terms(options), terms(this.options))) {
      this.options = options
      return false
    }
    if (!this.#current) {
      // Not registered yet: the next attempt is with this one.
      this.options = options
      this.#compiled = compiled
      this.#goBy(compiled)
      return true
    }
    const server = await serverOf(compiled, options)
    try {
      await tryOut(server, compiled, options)
    } catch (error) {
      await server.release()
      throw error
    }
    const old = this.#current
    this.#current = server
    this.#goBy(compiled)
    this.options = options
    this.#retire(old, drainMs)
    return true
  }

  async drain(withinMs: number): Promise<boolean> {
    this.#end.abort()
    const done = await Promise.all([this.#current, this.#retired].map((server) => server?.drain(withinMs) ?? true))
    return done.every(Boolean)
  }

  async release(): Promise<void> {
    this.#released = true
    this.#end.abort()
    await Promise.all([this.#current?.release(), this.#retired?.release(), ...this.#leaving])
  }

  #goBy(compiled: Compiled): void {
    this.#plan = compiled.plan
    this.#name = nameOf(compiled)
  }

  #retire(old: Server, drainMs: number): void {
    const before = this.#retired
    this.#retired = old
    const leave = async () => {
      await before?.release()
      await wait(this.options.overlapMs, this.#end.signal)
      if (this.#retired === old) this.#retired = undefined
      if (!this.#released) await old.drain(drainMs)
      await old.release()
    }
    const leaving = leave().finally(() => this.#leaving.delete(leaving))
    this.#leaving.add(leaving)
  }
}

function serverOf(compiled: Compiled, { connectHelper, server, meter, hooks }: ModelOptions): Promise<Server> {
  return Server.create(compiled, () => connectHelper('server'), {
    ...server,
    meter,
    onEvent: (event) => hooks.onEvent(event),
    onError: (error, peer) => hooks.onError(error, peer),
  })
}

/** One inference from end to end, as a client's. */
async function tryOut(server: Server, { plan }: Compiled, options: ModelOptions): Promise<void> {
  const [near, far] = memoryPair()
  void server.run(far, { [OWN]: true } as Peer)
  const helper = await options.connectHelper('client')
  const { deadlineMs } = options.server
  const client = await Client.create({ server: near, helper, worker: false, deadlineMs })
  try {
    await client.run(new Float32Array(elementCount(tensorShape(plan, 0))))
  } finally {
    await client.release()
  }
}

/** Two models of one name are the same. */
function nameOf({ plan, model }: Compiled): string {
  const hash = createHash('sha256').update(planDigest(plan))
  for (const [key, words] of model.weights) hash.update(`${key}:${words.byteLength};`).update(words)
  for (const words of model.bias) hash.update(`${words.byteLength};`).update(words)
  return hash.digest('hex')
}

/** Whether a client's first frame asks for a plan; what it may be instead is for the server to say. */
function wants(frame: Uint8Array, digest: Uint8Array): boolean {
  const payload = frame.subarray(HEADER_BYTES)
  if (payload.byteLength !== CLIENT_HELLO_BYTES) return false
  try {
    const { digest: wanted } = decodeClientHello(payload)
    return wanted !== undefined && equal(wanted, digest)
  } catch {
    return false
  }
}
