// The helper: deals one-time material to servers for their clients, off line. It never sees an input, a weight or
// anything that travels between client and server.

import { RingfenceError } from '../errors.js'
import { packedBytes, unpack } from '../kernels/bits.js'
import { type Kernels, loadKernels, upload } from '../kernels/index.js'
import { type Channel, type Link, type Meter, Phase } from '../net/index.js'
import { checkPlan } from '../plan/check.js'
import { type Plan, planDigest } from '../plan/plan.js'
import { Kind } from '../protocol/kinds.js'
import { dealInference, materialBytes } from '../protocol/mcc/inference.js'
import { layOut, type PlannedSteps } from '../protocol/mcc/step.js'
import { type ModelShare, packShare } from '../protocol/mcc/weights.js'
import { agreeSeed, entropy, type KeyPair, keyPair, type Seed } from '../random/seed.js'
import { Streams } from '../random/streams.js'
import { Ledger } from './ledger.js'
import {
  BATCH_BYTES,
  decodeBatch,
  decodeHello,
  equal,
  HELLO_BYTES,
  type HelperHello,
  hex,
  ID_BYTES,
  INFERENCE_BYTES,
  MAX_PLAN_BYTES,
  Role,
  sessionSeed,
  writeInference,
} from './messages.js'
import { asRingfenceError, linkTo, type PartyOptions, seedSource, Turn } from './options.js'
import { receivePieces, sendPieces } from './transfer.js'

export interface HelperOptions extends PartyOptions {
  /** Long-lived key pair, so that others can pin its public key. Default: a fresh one. */
  keys?: KeyPair
  /** Called when a connection ends with an error; the helper goes on serving the others. */
  onError?: (error: RingfenceError) => void
}

/** One server with one model. */
interface Registration {
  readonly link: Link
  readonly planned: PlannedSteps
  readonly digest: Uint8Array
  readonly share: ModelShare
  readonly seed: Seed
  /** Bundles of different clients do not interleave on the server's link. */
  readonly turn: Turn
  /** False once the server has left: what its clients still ask for is refused. */
  open: boolean
}

export class Helper {
  readonly #k: Kernels
  readonly #options: HelperOptions
  readonly #keys: KeyPair
  readonly #registrations = new Map<string, Registration>()
  readonly #links = new Set<Link>()
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
  async run(channel: Channel, meter?: Meter): Promise<void> {
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
      const error = asRingfenceError(cause)
      link.fail(error)
      this.#options.onError?.(error)
    } finally {
      this.#links.delete(link)
    }
  }

  /** Closes every connection and wipes every seed. */
  async release(): Promise<void> {
    this.#released = true
    for (const link of this.#links) link.close()
  }

  async #serveServer(link: Link, hello: HelperHello): Promise<void> {
    if (hello.planBytes > MAX_PLAN_BYTES) {
      throw new RingfenceError('FRAME', `a plan has at most ${MAX_PLAN_BYTES} bytes, not ${hello.planBytes}`)
    }
    const plan = parsePlan(await link.receive(Kind.plan, Phase.setup, 0, hello.planBytes))
    const digest = planDigest(plan)
    if (!equal(digest, hello.digest)) {
      throw new RingfenceError('PLAN_MISMATCH', 'the plan that arrived is not the one its digest names')
    }
    const registration = await this.#register(link, plan, digest, hello.publicKey)
    const id = entropy(ID_BYTES)
    this.#registrations.set(hex(id), registration)
    try {
      const welcome = new Uint8Array([...id, ...this.#keys.publicKey])
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

  async #register(link: Link, plan: Plan, digest: Uint8Array, serverKey: Uint8Array): Promise<Registration> {
    const order = { initiator: serverKey, responder: this.#keys.publicKey }
    const seed = agreeSeed('server-helper', this.#keys, serverKey, order, digest)
    const share = await packShare(this.#k, plan, async (slot, words) => {
      const bytes = packedBytes(slot.words, plan.ring)
      const payload = await receivePieces(link, Kind.weights, Phase.setup, slot.step, bytes)
      const packed = upload(this.#k.memory, payload)
      unpack(this.#k, packed, slot.words, plan.ring, words)
      packed.release()
    })
    return { link, planned: layOut(this.#k, plan), digest, share, seed, turn: new Turn(), open: true }
  }

  async #serveClient(link: Link, hello: HelperHello, source: () => Seed): Promise<void> {
    const registration = this.#registrations.get(hex(hello.registration))
    if (!registration) {
      throw new RingfenceError('PROTOCOL', 'no server with this registration is connected; connect to the server again')
    }
    if (!equal(registration.digest, hello.digest)) {
      throw new RingfenceError('PLAN_MISMATCH', 'client and server hold different plans; update one of them')
    }
    const order = { initiator: hello.publicKey, responder: this.#keys.publicKey }
    const { rounds } = registration.planned.plan
    const context = new Uint8Array([...hello.digest, ...hello.session])
    const seeds = [
      agreeSeed('client-helper', this.#keys, hello.publicKey, order, context),
      sessionSeed(registration.seed, hello.session),
      source(),
    ]
    const [ch, sh, own] = seeds.map((seed) => new Streams(this.#k, seed, rounds))
    for (const seed of seeds) seed.fill(0)
    link.send(Kind.welcome, Phase.setup, 0, this.#keys.publicKey)
    const ledger = new Ledger()
    try {
      for (;;) {
        const request = await this.#nextRequest(link)
        if (!request) return
        ledger.burn(request.first, request.count)
        await registration.turn.take(async () => {
          for (let i = 0; i < request.count; i++) {
            await this.#deal(registration, hello.session, { ch, sh, own }, request.first + i)
          }
        })
        link.send(Kind.dealt, Phase.offline, 0, new Uint8Array(0))
      }
    } finally {
      for (const streams of [ch, sh, own]) streams.release()
    }
  }

  /** The client's next request, or null when it has left. A client may think as long as it likes. */
  async #nextRequest(link: Link): Promise<{ first: number; count: number } | null> {
    try {
      const frame = await link.receive(Kind.deal, Phase.offline, 0, BATCH_BYTES, {
        deadlineMs: Number.POSITIVE_INFINITY,
      })
      return decodeBatch(frame)
    } catch (error) {
      if (error instanceof RingfenceError && (error.code === 'PEER_GONE' || error.code === 'ABORTED')) return null
      throw error
    }
  }

  async #deal(
    registration: Registration,
    session: Uint8Array,
    streams: { ch: Streams; sh: Streams; own: Streams },
    inference: number,
  ): Promise<void> {
    const { link, planned, share } = registration
    if (!registration.open) throw new RingfenceError('PEER_GONE', 'the server has left the helper')
    const head = new Uint8Array(ID_BYTES + INFERENCE_BYTES)
    head.set(session)
    writeInference(head.subarray(ID_BYTES), inference)
    link.send(Kind.bundle, Phase.offline, 0, head)
    await dealInference(this.#k, planned, share, streams, inference, (step, message) =>
      sendPieces(link, Kind.material, Phase.offline, step, message),
    )
  }

  /** Bytes the server of a plan receives per inference, without frame headers. */
  static materialBytes(planned: PlannedSteps): number {
    return planned.steps.reduce((sum, step) => sum + materialBytes(step, planned.plan.ring), 0)
  }
}

/** @throws RingfenceError PLAN_MISMATCH when the bytes are no plan this version can walk */
export function parsePlan(payload: Uint8Array): Plan {
  let json: unknown
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload))
  } catch (cause) {
    throw new RingfenceError('PLAN_MISMATCH', 'the plan is not JSON', [], { cause })
  }
  return checkPlan(json)
}
