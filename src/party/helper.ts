// The helper: deals one-time material to servers for their clients, off line. It never sees an input, a weight or
// anything that travels between client and server.

import { RingfenceError } from '../errors.js'
import { packedBytes, unpack } from '../kernels/bits.js'
import { type Kernels, loadKernels, upload } from '../kernels/index.js'
import { type Channel, type Link, type Meter, Phase } from '../net/index.js'
import type { Plan } from '../plan/plan.js'
import { Kind } from '../protocol/kinds.js'
import { dealInference, materialBytes } from '../protocol/mcc/inference.js'
import type { DealerStreams } from '../protocol/mcc/relu.js'
import { layOut, type PlannedSteps } from '../protocol/mcc/step.js'
import { type ModelShare, packShare } from '../protocol/mcc/weights.js'
import { agreeSeed, entropy, type KeyPair, keyPair, type Seed } from '../random/seed.js'
import { Streams } from '../random/streams.js'
import { Ledger } from './ledger.js'
import {
  BATCH_BYTES,
  confirmation,
  decodeBatch,
  decodeHello,
  equal,
  HELLO_BYTES,
  type HelperHello,
  hex,
  ID_BYTES,
  INFERENCE_BYTES,
  Role,
  sessionSeed,
  writeInference,
} from './messages.js'
import { asRingfenceError, deadlineOf, type HostOptions, idleOf, linkTo, seedSource, Turn } from './options.js'
import { receivePlan } from './received-plan.js'
import { receivePieces, sendPieces } from './transfer.js'

export interface HelperOptions extends HostOptions {
  /** Long-lived key pair, so that others can pin its public key. Default: a fresh one. */
  keys?: KeyPair
}

/** One server with one model. */
interface Registration {
  readonly link: Link
  readonly planned: PlannedSteps
  readonly digest: Uint8Array
  readonly share: ModelShare
  readonly seed: Seed
  /** Bundles of different clients do not interleave on the server's link; clients take turns inference by inference. */
  readonly turn: Turn
  /** What was dealt, by session: a client that connects anew does not get a number a second time. */
  readonly ledgers: Map<string, Ledger>
  /** False once the server has left: what its clients still ask for is refused. */
  open: boolean
}

/** One client of such a server. */
interface DealtClient {
  readonly link: Link
  readonly session: Uint8Array
  readonly streams: DealerStreams
}

export class Helper {
  readonly #k: Kernels
  readonly #options: HelperOptions
  readonly #keys: KeyPair
  readonly #registrations = new Map<string, Registration>()
  readonly #links = new Set<Link>()
  readonly #running = new Set<Promise<void>>()
  #released = false

  private constructor(options: HelperOptions) {
    this.#k = loadKernels()
    this.#options = options
    this.#keys = options.keys ?? keyPair()
  }

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
   */
  run(channel: Channel, meter?: Meter): Promise<void> {
    const running = this.#serve(channel, meter)
    this.#running.add(running)
    return running.finally(() => this.#running.delete(running))
  }

  async #serve(channel: Channel, meter: Meter | undefined): Promise<void> {
    const link = linkTo('peer', channel, this.#options, meter)
    if (this.#released) return link.close()
    this.#links.add(link)
    try {
      const source = seedSource(this.#options, [channel])
      const hello = decodeHello(await link.receive(Kind.hello, Phase.setup, 0, HELLO_BYTES))
      if (hello.role === Role.server) await this.#serveServer(link, hello)
      else if (hello.role === Role.client) await this.#serveClient(link, hello, source)
      else throw new RingfenceError('PROTOCOL', `a peer is a client or a server, not role ${hello.role}`)
    } catch (cause) {
      if (this.#released) return
      const error = asRingfenceError(cause)
      link.fail(error)
      this.#options.onError?.(error)
    } finally {
      link.close()
      this.#links.delete(link)
    }
  }

  /** Closes every connection, then frees the memory and wipes every seed that connections held. */
  async release(): Promise<void> {
    this.#released = true
    for (const link of this.#links) link.close()
    await Promise.all(this.#running)
  }

  async #serveServer(link: Link, hello: HelperHello): Promise<void> {
    const plan = await receivePlan(link, hello)
    const registration = await this.#register(link, plan, hello)
    const id = entropy(ID_BYTES)
    this.#registrations.set(hex(id), registration)
    try {
      const welcome = new Uint8Array([...id, ...this.#keys.publicKey, ...confirmation(registration.seed, id)])
      link.send(Kind.welcome, Phase.setup, 0, welcome)
      await link.closed
    } finally {
      this.#registrations.delete(hex(id))
      registration.open = false
      await registration.turn.take(async () => undefined)
      registration.share.release()
      registration.planned.release()
      registration.seed.fill(0)
    }
  }

  async #register(link: Link, plan: Plan, { digest, publicKey }: HelperHello): Promise<Registration> {
    const order = { initiator: publicKey, responder: this.#keys.publicKey }
    const seed = agreeSeed('server-helper', this.#keys, publicKey, order, digest)
    const share = await packShare(this.#k, plan, async (slot, words) => {
      const bytes = packedBytes(slot.words, plan.ring)
      const payload = await receivePieces(link, Kind.weights, Phase.setup, slot.step, bytes)
      const packed = upload(this.#k.memory, payload)
      unpack(this.#k, packed, slot.words, plan.ring, words)
      packed.release()
    })
    let planned: PlannedSteps
    try {
      planned = layOut(this.#k, plan)
    } catch (error) {
      share.release()
      throw error
    }
    return { link, planned, digest, share, seed, turn: new Turn(), ledgers: new Map(), open: true }
  }

  async #serveClient(link: Link, hello: HelperHello, source: () => Seed): Promise<void> {
    const registration = this.#registrations.get(hex(hello.registration))
    if (!registration) {
      throw new RingfenceError('PROTOCOL', 'no server with this registration is connected; connect to the server again')
    }
    if (!equal(registration.digest, hello.digest)) {
      throw new RingfenceError('PLAN_MISMATCH', 'client and server hold different plans; update one of them')
    }
    const client: DealtClient = { link, session: hello.session, streams: this.#streams(registration, hello, source()) }
    link.send(Kind.welcome, Phase.setup, 0, this.#keys.publicKey)
    let left = false
    void link.closed.then(() => {
      left = true
    })
    try {
      for (;;) {
        const request = await this.#nextRequest(link)
        if (!request) return
        ledgerOf(registration, hello.session).burn(request.first, request.count)
        for (let i = 0; i < request.count && !left; i++) {
          await registration.turn.take(() => this.#deal(registration, client, request.first + i))
          link.send(Kind.dealt, Phase.offline, 0, new Uint8Array(0))
        }
      }
    } finally {
      const { ch, sh, own } = client.streams
      for (const streams of [ch, sh, own]) streams.release()
    }
  }

  #streams({ seed, planned }: Registration, hello: HelperHello, own: Seed): DealerStreams {
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

  /** The client's next request, or null when it has left. */
  async #nextRequest(link: Link): Promise<{ first: number; count: number } | null> {
    try {
      const deadlineMs = idleOf(this.#options)
      return decodeBatch(await link.receive(Kind.deal, Phase.offline, 0, BATCH_BYTES, { deadlineMs }))
    } catch (error) {
      if (error instanceof RingfenceError && (error.code === 'PEER_GONE' || error.code === 'ABORTED')) return null
      throw error
    }
  }

  async #deal(registration: Registration, { session, streams }: DealtClient, inference: number): Promise<void> {
    const { link, planned, share } = registration
    if (!registration.open) throw new RingfenceError('PEER_GONE', 'the server has left the helper')
    const head = new Uint8Array(ID_BYTES + INFERENCE_BYTES)
    head.set(session)
    writeInference(head.subarray(ID_BYTES), inference)
    const options = { deadlineMs: deadlineOf(this.#options) }
    try {
      link.send(Kind.bundle, Phase.offline, 0, head)
      await dealInference(this.#k, planned, share, streams, inference, (step, message) =>
        sendPieces(link, Kind.material, Phase.offline, step, message, options),
      )
    } catch (cause) {
      // Half a bundle is on its way: nothing that follows on this link would be understood.
      registration.open = false
      link.fail(asRingfenceError(cause))
      throw cause
    }
  }

  /** Bytes the server of a plan receives per inference, without frame headers. */
  static materialBytes(planned: PlannedSteps): number {
    return planned.steps.reduce((sum, step) => sum + materialBytes(step, planned.plan.ring), 0)
  }
}

function ledgerOf({ ledgers }: Registration, session: Uint8Array): Ledger {
  const name = hex(session)
  const ledger = ledgers.get(name) ?? new Ledger()
  ledgers.set(name, ledger)
  return ledger
}
