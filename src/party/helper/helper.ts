// The helper: deals randomness to servers for their clients, off line on `mcc`, on line on `securenn`. It never sees an
// input or a weight.
import { type ErrorCode, RingfenceError } from '../../errors.js'
import { type Kernels, loadKernels } from '../../kernels/instance.js'
import { type Channel, type Link, type Peer, Phase, wait } from '../../net/index.js'
import type { MccPlan, SecurennPlan } from '../../plan/plan.js'
import { Kind } from '../../protocol/kinds.js'
import type { DealerStreams } from '../../protocol/mcc/gadget.js'
import { materialLengths } from '../../protocol/mcc/material.js'
import type { MccSteps } from '../../protocol/mcc/step.js'
import { agreeSeed, entropy, type KeyPair, keyPair, type Seed } from '../../random/seed.js'
import { Streams } from '../../random/streams.js'
import { JOINS_PER_SECOND, keptAlive, LONGEST_JOIN_MS, Pace } from '../admission.js'
import type { HelpedClient, HelpedServer } from '../backend.js'
import type { HelperStatus } from '../events.js'
import { Grants } from '../grant.js'
import { receiveHello } from '../greeting.js'
import { dealForClient } from '../mcc/helper.js'
import {
  Caller,
  confirmation,
  decodeHello,
  equal,
  type HelperHello,
  hex,
  ID_BYTES,
  MAX_GRANT,
  sessionProof,
  sessionSeed,
  sharedModel,
} from '../messages.js'
import {
  asRingfenceError,
  deadlineOf,
  type HostOptions,
  idleOf,
  linkTo,
  seedSource,
  Turns,
  unusedOf,
} from '../options.js'
import { helpClient } from '../securenn/helper.js'
import type { DealerPool } from './dealing.js'
import { Epoch } from './epoch.js'
import { HelpedSessions } from './helped-sessions.js'
import { Attendance, Budget, type RegisteredModel, receiveGuard, receiveModel, SharedModels } from './registered.js'
import { identify } from './replica.js'
import { SessionLinks } from './session-links.js'

/** What a helper takes. */
export interface HelperOptions extends HostOptions {
  /** Long-lived key pair, so that others can pin its public key. Default: a fresh one. */
  keys?: KeyPair
  /**
   * Memory for the networks of all registered servers together, in bytes. Default 1 GiB: ResNet-18 takes 90 MB. A server
   * that finds none is told BUSY. One whose clients have all been gone for `idleMs` is let go.
   */
  registeredBytes?: number
  /**
   * 32 secret bytes that this helper shares with whoever else deals in its place: k_H of a connection follows from them, so
   * that a number that is dealt again comes out as the same bytes. Without them every connection has a k_H of its own, and no
   * number is dealt twice. Copied; whoever has them later can open what was dealt in this epoch (docs/protocol.md, section 9).
   */
  epoch?: Seed
  /**
   * What all registrations here begin with: 8 bytes that tell this helper from others of its key.
   * @internal
   */
  tag?: Uint8Array
  /** Who deals, where that is not this thread: `startDealers` of `ringfence/node`. It stays the caller's to release. */
  dealers?: DealerPool
}

/**
 * The helper: it deals random numbers and sees neither input nor weights nor answer. It serves many servers and clients.
 *
 * @example
 * ```ts
 * import { Helper } from 'ringfence/helper'
 * import { listen } from 'ringfence/node'
 *
 * const helper = await Helper.create({ onError: (error) => console.error(error.message) })
 * const { url } = await listen({ port: 7701, onConnection: (channel, peer) => helper.run(channel, peer) })
 * console.log(`helper at ${url}, public key ${Buffer.from(helper.publicKey).toString('hex')}`)
 * ```
 */
export class Helper {
  readonly #k: Kernels
  readonly #options: HelperOptions
  readonly #keys: KeyPair
  readonly #budget: Budget
  readonly #joins: Pace
  readonly #shared = new SharedModels()
  #epoch: Epoch | undefined
  readonly #registrations = new Map<string, HelpedServer>()
  readonly #links = new Set<Link>()
  readonly #running = new Set<Promise<void>>()
  #draining = false
  #released = false
  readonly #end = new AbortController()

  private constructor(options: HelperOptions) {
    this.#k = loadKernels()
    this.#options = options
    this.#keys = options.keys ?? keyPair()
    this.#budget = new Budget(options.registeredBytes ?? 2 ** 30)
    this.#joins = new Pace(options.joinsPerSecond ?? JOINS_PER_SECOND, LONGEST_JOIN_MS)
    this.#epoch = options.epoch && new Epoch(options.epoch)
  }

  /** A helper that serves nobody yet: `run` a channel for each who connects. */
  static async create(options: HelperOptions = {}): Promise<Helper> {
    return new Helper(options)
  }

  /** What clients and servers can pin. */
  get publicKey(): Uint8Array {
    return this.#keys.publicKey
  }

  /** Bytes of WASM memory in use. */
  get memoryInUse(): number {
    return this.#k.memory.inUse
  }

  /**
   * Serves one connection, from a server or a client, until it ends. Never rejects: a failure is told to the peer and
   * to `onError`, and concerns no other connection.
   * @param peer who that is, as `listen` tells it
   */
  run(channel: Channel, peer: Peer = {}): Promise<void> {
    const running = this.#serve(channel, peer)
    this.#running.add(running)
    return running.finally(() => this.#running.delete(running))
  }

  /** Where it stands, for whoever operates it. */
  get status(): HelperStatus {
    return {
      draining: this.#draining,
      connections: this.#links.size,
      registrations: this.#registrations.size,
      registered: this.#budget.status,
      memoryBytes: this.memoryInUse,
    }
  }

  /**
   * Takes nobody new and finishes what is being dealt, and what waits for its turn to be. `release` follows.
   * @param withinMs how long that may take
   * @returns whether all was dealt by then
   */
  async drain(withinMs: number): Promise<boolean> {
    this.#draining = true
    const work = [...this.#registrations.values()].flatMap(({ deals, running }) => [...deals, ...running.values()])
    const given = new AbortController()
    const late = wait(withinMs, given.signal).then(() => false)
    const done = await Promise.race([Promise.allSettled(work).then(() => true), late])
    given.abort()
    return done
  }

  /**
   * Sessions that begin from now on deal under another secret. The one before is wiped as soon as the last session that
   * began under it can ask for nothing any more.
   * @param secret 32 bytes, copied
   * @throws RingfenceError BAD_INPUT
   */
  beginEpoch(secret: Seed): void {
    const next = new Epoch(secret)
    this.#epoch?.end()
    this.#epoch = next
  }

  async #serve(channel: Channel, peer: Peer): Promise<void> {
    const link = linkTo('peer', channel, this.#options, peer.meter)
    if (this.#released || this.#draining) return link.close()
    this.#links.add(link)
    const began = performance.now()
    try {
      const source = seedSource(this.#options, [channel])
      const hello = decodeHello(await receiveHello(link, 'helper'))
      checkRole(hello.role, peer)
      const joined = () => this.#options.onEvent?.({ kind: 'session', peer, milliseconds: performance.now() - began })
      if (hello.role === Caller.server) await this.#serveServer(link, hello, joined)
      else if (hello.role === Caller.client) await this.#serveClient(link, hello, source, joined, peer)
      else if (hello.role === Caller.replica) await this.#serveReplica(link, hello, joined)
      else if (hello.role === Caller.session) await this.#serveSession(link, hello)
      else throw new RingfenceError('PROTOCOL', `a peer is a client or a server, not role ${hello.role}`)
    } catch (cause) {
      if (this.#released) return
      const error = asRingfenceError(cause)
      link.fail(error)
      this.#options.onError?.(error, peer)
    } finally {
      link.close()
      this.#links.delete(link)
    }
  }

  /** Closes every connection, then frees the memory and wipes every seed that connections held. */
  async release(): Promise<void> {
    this.#released = true
    this.#end.abort()
    for (const link of this.#links) link.close()
    await Promise.all(this.#running)
    this.#epoch?.end()
  }

  async #serveServer(link: Link, hello: HelperHello, joined: () => void): Promise<void> {
    const model = await receiveModel(this.#k, link, hello, this.#budget, { pool: this.#options.dealers })
    const seed = this.#agree(hello)
    await this.#attend(link, { hello, model, seed, deliverAt: undefined }, joined)
  }

  /** One of several servers that share a registration. F is taken from the first of them. */
  async #serveReplica(link: Link, hello: HelperHello, joined: () => void): Promise<void> {
    await keptAlive(link, deadlineOf(this.#options), () => this.#joins.take(this.#end.signal))
    const seed = this.#agree(hello)
    const { dealers: pool } = this.#options
    const deliverAt = await identify(link, hello, { seed, helperKey: this.publicKey, pool })
    const name = sharedModel(seed)
    link.send(Kind.lacks, Phase.setup, 0, new Uint8Array([this.#shared.has(hex(name)) ? 0 : 1]))
    const receive = () => receiveModel(this.#k, link, hello, this.#budget, { pool, name })
    const model = await this.#shared.take(hex(name), receive)
    await this.#attend(link, { hello, model, seed, deliverAt }, joined)
  }

  #agree({ publicKey, digest }: HelperHello): Seed {
    const order = { initiator: publicKey, responder: this.#keys.publicKey }
    return agreeSeed('server-helper', this.#keys, publicKey, order, digest)
  }

  /** Serves a server whose model is here until it leaves. */
  async #attend(link: Link, server: RegisteredServer, joined: () => void): Promise<void> {
    const { model, deliverAt } = server
    const room = this.#budget.open()
    let registered: { id: Uint8Array; registration: HelpedServer } | undefined
    try {
      if (deliverAt === undefined) room.take(model.bundleBytes)
      await this.#joins.take(this.#end.signal)
      registered = this.#register(link, server)
      const { id, registration } = registered
      link.send(
        Kind.welcome,
        Phase.setup,
        0,
        new Uint8Array([...id, ...this.#keys.publicKey, ...confirmation(registration.seed, id)]),
      )
      joined()
      registration.guard = receiveGuard(link, registration.seed, model)
      await registration.guard
      await Promise.race([link.closed, registration.attendance.over])
      registration.attendance.close()
      link.fail(new RingfenceError('DEADLINE', 'no client of this server came for a long time; register again'))
    } finally {
      if (registered) await this.#unregister(registered.id, registered.registration)
      model.release()
      room.release()
    }
  }

  #register(link: Link, { hello: { digest }, model: { planned, share, dealer }, seed, deliverAt }: RegisteredServer) {
    const id = this.#newId()
    const grants = new Grants(seed, id)
    const sessionLinks = new SessionLinks()
    const registration: HelpedServer = {
      ...{ link, planned, digest, share, dealer, guard: undefined, seed, deliverAt, grants, sessionLinks, open: true },
      making: new Turns(dealer?.width ?? 1),
      mutex: new Turns(),
      deals: new Set(),
      sessions: new HelpedSessions(grants, sessionLinks, Math.min(MAX_GRANT, dealer?.width ?? 1)),
      running: new Map(),
      attendance: new Attendance(idleOf(this.#options)),
    }
    this.#registrations.set(hex(id), registration)
    return { id, registration }
  }

  #newId(): Uint8Array {
    for (;;) {
      const id = entropy(ID_BYTES)
      id.set(this.#options.tag ?? [])
      if (!this.#registrations.has(hex(id))) return id
    }
  }

  async #unregister(id: Uint8Array, registration: HelpedServer): Promise<void> {
    this.#registrations.delete(hex(id))
    registration.open = false
    registration.attendance.close()
    registration.sessionLinks.close()
    registration.sessions.end()
    await Promise.allSettled(registration.deals)
    for (const client of registration.running.keys())
      client.fail(new RingfenceError('PEER_GONE', 'the server has left'))
    await Promise.allSettled(registration.running.values())
    registration.grants.release()
    registration.seed.fill(0)
  }

  async #serveClient(
    link: Link,
    hello: HelperHello,
    source: () => Seed,
    joined: () => void,
    peer: Peer,
  ): Promise<void> {
    const registration = this.#registrations.get(hex(hello.registration))
    if (!registration) {
      throw new RingfenceError(
        'PEER_GONE',
        'no server with this registration is connected; connect to the server again',
      )
    }
    if (!equal(registration.digest, hello.digest)) {
      throw new RingfenceError('PLAN_MISMATCH', 'client and server hold different plans; update one of them')
    }
    await keptAlive(link, deadlineOf(this.#options), () => this.#joins.take(this.#end.signal))
    if (!registration.open) throw new RingfenceError('PEER_GONE', 'the server has left the helper')
    const { session } = hello
    const mcc = registration.planned.plan.backend === 'mcc'
    const held = registration.sessions.hold(hex(session), mcc ? this.#epoch : undefined)
    const times = {
      deadlineMs: deadlineOf(this.#options),
      idleMs: idleOf(this.#options),
      unusedMs: unusedOf(this.#options),
    }
    const onBundle = (milliseconds: number) => this.#options.onEvent?.({ kind: 'bundle', milliseconds })
    const onInference = (milliseconds: number, error?: ErrorCode) =>
      this.#options.onEvent?.({ kind: 'inference', peer, milliseconds, error })
    let streams: DealerStreams | undefined
    registration.attendance.enter()
    try {
      const own = held.epoch?.dealerSeed(hello.registration, session, hello.publicKey) ?? source()
      streams = this.#streams(registration, hello, own)
      const key = hex(hello.publicKey)
      const client = { k: this.#k, link, registration, session, key, held, streams, onBundle, onInference, ...times }
      link.send(Kind.welcome, Phase.setup, 0, this.#keys.publicKey)
      joined()
      await (mcc ? dealForClient(client as HelpedClient<MccPlan>) : helpClient(client as HelpedClient<SecurennPlan>))
    } finally {
      registration.attendance.leave()
      registration.sessions.leave(held)
      if (streams) for (const each of [streams.ch, streams.sh, streams.own]) each.release()
    }
  }

  /** A server's connection for one of its clients: lent to that client's inferences until it ends. */
  async #serveSession(link: Link, { registration: id, session, publicKey }: HelperHello): Promise<void> {
    const registration = this.#registrations.get(hex(id))
    if (!registration) throw new RingfenceError('PEER_GONE', 'this registration has ended; register again')
    if (!equal(publicKey, sessionProof(registration.seed, session))) {
      throw new RingfenceError('PROTOCOL', 'no registered server opened this session; connect to the server again')
    }
    if (!registration.sessionLinks.offer(hex(session), link)) {
      throw new RingfenceError('PROTOCOL', 'this session has a connection already')
    }
    await link.closed
  }

  #streams({ seed, planned }: HelpedServer, hello: HelperHello, own: Seed): DealerStreams {
    const order = { initiator: hello.publicKey, responder: this.#keys.publicKey }
    const context = new Uint8Array([...hello.digest, ...hello.session])
    const seeds = [
      agreeSeed('client-helper', this.#keys, hello.publicKey, order, context),
      sessionSeed(seed, hello.session),
      own,
    ]
    const [ch, sh, alone] = seeds.map((each) => new Streams(this.#k, each, planned.plan.rounds))
    for (const each of seeds) each.fill(0)
    return { ch, sh, own: alone }
  }

  /** Bytes the server of a plan receives per inference, without frame headers. */
  static materialBytes(planned: MccSteps): number {
    return materialLengths(planned).helper.reduce((sum, bytes) => sum + bytes, 0)
  }
}

interface RegisteredServer {
  readonly hello: HelperHello
  readonly model: RegisteredModel
  /** Shared with it. */
  readonly seed: Seed
  readonly deliverAt: string | undefined
}

/** Whoever was let in as a client is none of the servers. */
function checkRole(said: number, { role }: Peer): void {
  if (role === undefined || (role === 'client') === (said === Caller.client)) return
  const what = `it connected as a ${role} and speaks as a ${said === Caller.client ? 'client' : 'server'}`
  throw new RingfenceError('UNAUTHORIZED', `${what}; give connect the role it has`)
}
