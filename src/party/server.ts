// The server: owns the weights, registers its model with a helper, answers clients. It serves many at once; how is its
// back end's affair: party/mcc or party/securenn.
import { type ErrorCode, RingfenceError } from '../errors.js'
import { loadKernels } from '../kernels/instance.js'
import { wordRing } from '../kernels/words.js'
import type { Exchange } from '../net/exchange/exchange.js'
import { busy, type Channel, type Frame, type Link, Meter, type Peer, Phase, wait } from '../net/index.js'
import type { Compiled } from '../plan/compile/compile.js'
import { canonicalJson, planDigest } from '../plan/plan.js'
import { heldModel, modelOf } from '../protocol/held-model.js'
import { Kind } from '../protocol/kinds.js'
import { requireMemory } from '../protocol/memory.js'
import { layOutInTurns } from '../protocol/step.js'
import { packShare } from '../protocol/weights.js'
import { entropy } from '../random/seed.js'
import { Streams } from '../random/streams.js'
import { JOINS_PER_SECOND, keptAlive, LONGEST_JOIN_MS, Pace } from './admission.js'
import type { ClientSession, ServerBackend, SessionBackend } from './backend.js'
import { expectDelegate } from './delegated/proof.js'
import type { ServerStatus } from './events.js'
import { receiveHello } from './greeting.js'
import { Ledger } from './ledger.js'
import { type Delivery, delivered } from './mcc/deliveries.js'
import { decodeClientHello, encodeWelcome, equal, hex, ID_BYTES, sessionSeed } from './messages.js'
import { AUDIT, asRingfenceError, deadlineOf, idleOf, linkTo, OWN, seedSource, timed, unusedOf } from './options.js'
import { forget, openUnless, registered } from './registration.js'
import { type Registered, serverBackend } from './server-backend.js'
import type { ConnectHelper, ServerOptions } from './server-options.js'

/** A server that lost its helper tries to register again after so long, then twice that, at most so long. */
const REJOIN_FIRST_MS = 500
const REJOIN_MOST_MS = 5000
/** While a server drains, a client that asks for nothing during so long has finished. */
const QUIET_MS = 2000

/** After so many failed checks the server registers anew: each may have excluded one guess at the coins of uploads. */
const CHEATS_PER_REGISTRATION = 4096

/** What a client's connection is at. */
interface Attention {
  serving: boolean
  since: number
}

/** What `Server.create` gathers. */
interface ServerParts extends Registered {
  readonly digest: Uint8Array
}

/** The server: it holds the weights and sees neither input nor answer. It serves many clients at once.
 * @example
 * ```ts
 * import { findModel, listen, loadModelDirectory } from 'ringfence/node'
 * import { compile, connect, Server } from 'ringfence/server'
 * const { arch, weights, calibration, spec } = await loadModelDirectory(findModel('mnist-cnn3'))
 * const server = await Server.create(compile(arch, weights, calibration, spec), () => connect('wss://helper.example'))
 * await listen({ port: 7702, onConnection: (channel, peer) => server.run(channel, peer) })
 * ```
 */
export class Server {
  #parts: ServerParts
  readonly #backend: ServerBackend
  readonly #joins: Pace
  /** The plan as it travels. */
  readonly #planBytes: Uint8Array
  readonly #links = new Map<Link, Attention>()
  readonly #running = new Set<Promise<void>>()
  #helperLost: RingfenceError | undefined
  #cheats = 0
  /** Names of principals that cheated. */
  readonly #caught = new Set<string>()
  #rejoining: Promise<void> | undefined
  #draining = false
  #released = false
  readonly #end = new AbortController()

  private constructor(parts: ServerParts) {
    this.#parts = parts
    this.#backend = serverBackend(parts, () => this.#parts.registration.grants)
    this.#joins = new Pace(parts.options.joinsPerSecond ?? JOINS_PER_SECOND, LONGEST_JOIN_MS)
    this.#planBytes = new TextEncoder().encode(canonicalJson(parts.model.plan))
  }

  /**
   * Packs the model and registers its masked form with the helper.
   * @param compiled plan and integer weights
   * @param helper channel to the helper, or what opens one: on `securenn` every client has a connection of its own there
   * @throws RingfenceError PEER_GONE, DEADLINE, PLAN_MISMATCH, INSECURE (another helper than the pinned one), BAD_INPUT
   *   (a channel where connections must be opened)
   */
  static async create(
    compiled: Compiled,
    helper: Channel | ConnectHelper,
    options: ServerOptions = {},
  ): Promise<Server> {
    const connectHelper = typeof helper === 'function' ? helper : undefined
    if (compiled.plan.backend === 'securenn' && !connectHelper) {
      throw new RingfenceError(
        'BAD_INPUT',
        'on securenn a server opens a connection to the helper for every client: pass a function that opens one',
      )
    }
    requireMemory(compiled.plan)
    const channel = typeof helper === 'function' ? await helper() : helper
    const link = linkTo('helper', channel, options, options.meter)
    const failed = new AbortController()
    let registering: ReturnType<typeof registered> | undefined
    try {
      const source = seedSource(options, [channel])
      const k = loadKernels()
      const model = modelOf(compiled)
      const { plan, filter } = model
      const digest = planDigest(plan)
      registering = registered(k, model, digest, link, source, options)
      // The helper packs its share while this one packs its own.
      const [registration, share, planned] = await Promise.all([
        registering,
        packShare(k, plan, (slot, words) => {
          failed.signal.throwIfAborted()
          wordRing(plan.ring).write(filter(slot), words)
        }),
        layOutInTurns(k, plan),
      ])
      const [held, { bias }] = [heldModel(k, model, share), compiled.model]
      const parts = { k, model: held, bias, planned, digest, share, helper: link, connectHelper, registration, options }
      const server = new Server(parts)
      options.onEvent?.({ kind: 'helper', up: true })
      server.#track(server.#attendHelper())
      return server
    } catch (cause) {
      failed.abort()
      registering?.then(forget, () => undefined)
      const error = asRingfenceError(cause)
      link.fail(error)
      throw error
    }
  }

  /** SHA-256 of the plan, which clients can pin. */
  get planDigest(): Uint8Array {
    return this.#parts.digest
  }

  /** Bytes of WASM memory in use. */
  get memoryInUse(): number {
    return this.#parts.k.memory.inUse
  }

  /** Where it stands, for whoever operates it. */
  get status(): ServerStatus {
    return {
      registered: !this.#helperLost,
      draining: this.#draining,
      sessions: this.#links.size,
      waiting: this.#backend.waiting,
      store: this.#backend.stored,
      memoryBytes: this.memoryInUse,
    }
  }

  /**
   * Serves one client until it leaves. Never rejects: a failure is told to the client and to `onError`, and concerns no
   * other client.
   * @param peer who that is, as `listen` tells it
   */
  run(channel: Channel, peer: Peer = {}): Promise<void> {
    return this.#track(this.#serveClient(channel, peer))
  }

  /**
   * What owners of inputs ask it, whose other half its delegate brings (docs/delegated.md): give it to `listen`. Answers
   * come masked, and errors are UNSUPPORTED (no delegate serves here), PROTOCOL, FRAME, PLAN_MISMATCH, MATERIAL_USED, BUSY,
   * UNAUTHORIZED, PEER_GONE, DEADLINE and ABORTED.
   */
  get exchange(): Exchange {
    const { owners } = this.#backend
    if (owners && this.#parts.options.delegateKey) {
      return owners.exchange(() => {
        if (this.#released || this.#draining) throw busy('the server', 1000)
      })
    }
    throw new RingfenceError('UNSUPPORTED', 'no delegate serves here; give the server its key, on back end mcc')
  }

  /**
   * What dealers of its helper may bring it past the helper's connection: for a listener at `deliverAt`.
   * @returns what is expected at a path from who shows this token, or a status of HTTP
   */
  expects(path: string, token: Uint8Array): Delivery | number {
    if (this.#released) return 410
    const named = delivered(path, token, this.#parts.registration.helperSeed)
    return typeof named === 'number' ? named : (this.#backend.deliveries?.expects(...named) ?? 410)
  }

  /**
   * Takes no new client and lets those that are at work finish: each gets the answer it is waiting for, then its
   * connection ends. `release` follows.
   * @param withinMs how long to wait for them
   * @returns whether all had finished by then
   */
  async drain(withinMs: number): Promise<boolean> {
    this.#draining = true
    const until = performance.now() + withinMs
    while (this.#links.size > 0 && !this.#released) {
      const now = performance.now()
      if (now >= until) return false
      for (const [link, { serving, since }] of this.#links) if (!serving && now - since >= QUIET_MS) link.close()
      await wait(Math.min(50, until - now))
    }
    return true
  }

  /** Closes every connection, then frees what it holds and wipes the seeds. */
  async release(): Promise<void> {
    if (this.#released) return
    this.#released = true
    this.#end.abort()
    const { helper, share, planned, registration } = this.#parts
    for (const link of [...this.#links.keys(), helper]) link.close()
    await Promise.all(this.#running)
    this.#backend.release()
    share.release()
    planned.release()
    forget(registration)
  }

  #track(running: Promise<void>): Promise<void> {
    this.#running.add(running)
    return running.finally(() => this.#running.delete(running))
  }

  async #serveClient(channel: Channel, peer: Peer): Promise<void> {
    const { options } = this.#parts
    const meter = peer.meter ?? new Meter()
    const link = linkTo('client', channel, options, meter)
    if (this.#released || this.#draining) return link.close()
    const began = performance.now()
    this.#links.set(link, { serving: true, since: began })
    let session: ClientSession | undefined
    let backend: SessionBackend | undefined
    try {
      seedSource(options, [channel])
      if (peer.principal && this.#caught.has(peer.principal.name)) throw caught(peer.principal.name)
      session = await this.#welcome(link, peer, meter)
      backend = await this.#backend.join(session)
      options.onEvent?.({ kind: 'session', peer, milliseconds: performance.now() - began })
      while (await this.#serve(session, backend)) {
        // one request after another
      }
    } catch (cause) {
      if (this.#released) return
      const error = asRingfenceError(cause)
      link.fail(error)
      if (error.code === 'CHEATED' && session) this.#cheated(peer)
      options.onError?.(error, peer)
    } finally {
      link.close()
      this.#links.delete(link)
      backend?.release()
      session?.sh.release()
      session?.registration?.release()
    }
  }

  #cheated(peer: Peer): void {
    const { helper, options } = this.#parts
    if (peer.principal) this.#caught.add(peer.principal.name)
    options.onCheat?.(peer)
    if (++this.#cheats % CHEATS_PER_REGISTRATION === 0) helper.close()
  }

  /** For as long as the helper is there. */
  async #attendHelper(): Promise<void> {
    const { helper, options } = this.#parts
    try {
      await this.#backend.attend()
    } catch (cause) {
      const error = asRingfenceError(cause)
      this.#helperLost = new RingfenceError('PEER_GONE', `the helper is gone (${error.code}); start it again`, [], {
        cause: error,
      })
      this.#backend.helperLost(this.#helperLost)
      helper.fail(error)
      if (this.#released) return
      options.onEvent?.({ kind: 'helper', up: false, error: this.#helperLost })
      options.onError?.(this.#helperLost)
      this.#track(this.#rejoinInTime())
    }
  }

  /** Tries to register again, less and less often, until that works. */
  async #rejoinInTime(): Promise<void> {
    if (!this.#parts.connectHelper) return
    for (let ms = REJOIN_FIRST_MS; this.#helperLost && !this.#released; ms = Math.min(2 * ms, REJOIN_MOST_MS)) {
      // Servers that lost the same helper at the same time come back one after another.
      await wait(ms * (0.5 + entropy(1)[0] / 512), this.#end.signal)
      if (this.#helperLost && !this.#released) await this.#rejoin()
    }
  }

  /** Registers anew with a helper that may be back, once for all who arrive meanwhile. What is prepared stays good. */
  async #rejoin(): Promise<void> {
    this.#rejoining ??= this.#register().finally(() => {
      this.#rejoining = undefined
    })
    await this.#rejoining
  }

  async #register(): Promise<void> {
    const { k, model, digest, connectHelper, options } = this.#parts
    if (!connectHelper) return
    let helper: Link | undefined
    try {
      const channel = await openUnless(this.#end.signal, connectHelper)
      helper = linkTo('helper', channel, options, options.meter)
      const source = seedSource(options, [channel])
      const registration = await registered(k, model, digest, helper, source, options)
      if (this.#released) {
        forget(registration)
        throw new RingfenceError('ABORTED', 'the server was released')
      }
      this.#parts.registration.helperSeed.fill(0)
      this.#parts.registration.grants.release()
      this.#parts = { ...this.#parts, helper, registration }
      this.#backend.helperBack(helper, registration)
      this.#helperLost = undefined
      options.onEvent?.({ kind: 'helper', up: true })
      this.#track(this.#attendHelper())
    } catch (cause) {
      helper?.fail(asRingfenceError(cause)) // it is still away
    }
  }

  async #welcome(link: Link, peer: Peer, meter: Meter): Promise<ClientSession> {
    const { k, model, digest, options } = this.#parts
    const { plan } = model
    const hello = decodeClientHello(await receiveHello(link, 'server'))
    if (options.delegateKey && !(OWN in peer)) await expectDelegate(link, options.delegateKey)
    await keptAlive(link, deadlineOf(options), () => this.#joins.take(this.#end.signal))
    if (this.#helperLost) await this.#rejoin()
    if (this.#helperLost && !this.#backend.hasKept) throw this.#helperLost
    const { registration } = this.#parts
    const id = entropy(ID_BYTES)
    // A client that has the plan is spared the download; one that wants another is told so by the digest.
    const known = hello.hasPlan && hello.digest !== undefined && equal(hello.digest, digest)
    const json = known ? new Uint8Array(0) : this.#planBytes
    const seed = sessionSeed(registration.helperSeed, id)
    options[AUDIT]?.({ session: id, seed: seed.slice() })
    const sh = new Streams(k, seed, plan.rounds)
    seed.fill(0)
    const guarded = plan.backend === 'mcc' && plan.guard
    const own = guarded ? new Streams(k, registration.helperSeed, plan.rounds) : undefined
    const name = hex(id)
    const { principal } = peer
    const owner = principal ? `principal ${principal.name}` : `session ${name}`
    const [ledger, place] = [new Ledger(), { owner }]
    const session = { id, name, owner, link, peer, meter, sh, registration: own, ledger, place }
    const { id: at, helperKey, modelSeed } = registration
    const planBytes = json.byteLength
    const welcome = encodeWelcome({ registration: at, session: id, helperKey, modelSeed, digest, planBytes })
    link.send(Kind.welcome, Phase.setup, 0, welcome)
    if (!known) link.send(Kind.plan, Phase.setup, 0, json)
    return session
  }

  /** One request of a client; false when it has left. */
  async #serve({ link, peer }: ClientSession, backend: SessionBackend): Promise<boolean> {
    const { options } = this.#parts
    this.#links.set(link, { serving: false, since: performance.now() })
    const frame = await this.#nextRequest(link, backend.engaged ? idleOf(options) : unusedOf(options))
    if (!frame) return false
    this.#links.set(link, { serving: true, since: performance.now() })
    const answers = frame.kind === Kind.input || frame.kind === Kind.start || frame.kind === Kind.join
    const ended = (milliseconds: number, error?: ErrorCode) =>
      options.onEvent?.({ kind: 'inference', peer, milliseconds, error })
    const served = answers ? await timed(backend.serve(frame), ended) : await backend.serve(frame)
    if (!served) {
      const what = `kind ${frame.kind}, phase ${frame.phase}, step ${frame.step} with ${frame.payload.byteLength} bytes`
      throw new RingfenceError('PROTOCOL', `the client sent ${what}, which is no request`)
    }
    await link.drained()
    return !(answers && this.#draining)
  }

  async #nextRequest(link: Link, deadlineMs: number): Promise<Frame | null> {
    try {
      return await link.receiveAny(this.#backend.requestBytes, { deadlineMs })
    } catch (error) {
      if (error instanceof RingfenceError && (error.code === 'PEER_GONE' || error.code === 'ABORTED')) return null
      throw error
    }
  }
}

const caught = (name: string): RingfenceError =>
  new RingfenceError('UNAUTHORIZED', `${name} was caught deviating from the protocol and is not served any more`)
