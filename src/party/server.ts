// The server: owns the weights, registers its model with a helper, answers clients. It serves many at once.

import { RingfenceError } from '../errors.js'
import { packedBytes } from '../kernels/bits.js'
import { type Kernels, loadKernels } from '../kernels/index.js'
import { type Channel, type Frame, type Link, Meter, Phase, type PhaseCode } from '../net/index.js'
import { type Compiled, weightKey } from '../plan/compile.js'
import { canonicalJson, planDigest } from '../plan/plan.js'
import { Kind } from '../protocol/kinds.js'
import { materialBytes } from '../protocol/mcc/inference.js'
import { layOut, type PlannedSteps } from '../protocol/mcc/step.js'
import { type ModelShare, packShare } from '../protocol/mcc/weights.js'
import { entropy } from '../random/seed.js'
import { Streams } from '../random/streams.js'
import { Ledger } from './ledger.js'
import {
  BATCH_BYTES,
  checkVersion,
  DIGEST_BYTES,
  decodeBatch,
  encodeWelcome,
  equal,
  hex,
  ID_BYTES,
  INFERENCE_BYTES,
  readInference,
  sessionSeed,
} from './messages.js'
import { AUDIT, asRingfenceError, deadlineOf, type HostOptions, idleOf, linkTo, seedSource } from './options.js'
import { type Registration, register } from './registration.js'
import { inputBytes, serveInference } from './server-inference.js'
import { MaterialStore } from './store.js'
import { drained, receivePieces } from './transfer.js'

export interface ServerOptions extends HostOptions {
  /** Memory for one-time material that was dealt ahead. Default 512 MiB; room for one inference at least. */
  storeBytes?: number
  /** The helper's public key, when it was learnt over a trusted way; another key is refused. */
  helperKey?: Uint8Array
  meter?: Meter
}

/** What a client session needs on the server. */
interface Session {
  readonly id: Uint8Array
  readonly name: string
  readonly link: Link
  readonly meter: Meter
  /** Shared with the helper: a'. */
  readonly sh: Streams
  readonly ledger: Ledger
}

/** What `Server.create` gathers. */
interface ServerParts {
  readonly k: Kernels
  readonly compiled: Compiled
  readonly planned: PlannedSteps
  readonly digest: Uint8Array
  readonly share: ModelShare
  readonly helper: Link
  readonly registration: Registration
  readonly options: ServerOptions
}

export class Server {
  readonly #parts: ServerParts
  readonly #store: MaterialStore
  readonly #links = new Set<Link>()
  readonly #running = new Set<Promise<void>>()
  #helperLost: RingfenceError | undefined
  #released = false

  private constructor(parts: ServerParts) {
    this.#parts = parts
    const { k, planned, compiled, options } = parts
    this.#store = new MaterialStore(k, planned, compiled.model, options.storeBytes ?? 512 * 2 ** 20)
  }

  /**
   * Packs the model and registers its masked form with the helper.
   * @param compiled plan and integer weights
   * @param helper channel to the helper
   * @throws RingfenceError PEER_GONE, DEADLINE, PLAN_MISMATCH, INSECURE (another helper than the pinned one)
   */
  static async create(compiled: Compiled, helper: Channel, options: ServerOptions = {}): Promise<Server> {
    const link = linkTo('helper', helper, options, options.meter)
    try {
      const source = seedSource(options, [helper])
      const k = loadKernels()
      const { plan, model } = compiled
      const digest = planDigest(plan)
      const share = await packShare(k, plan, ({ step, operation }, words) => {
        words.i32().set(model.weights.get(weightKey(step, operation))!)
      })
      const settings = { source, helperKey: options.helperKey, deadlineMs: deadlineOf(options) }
      const registration = await register(k, compiled, digest, link, settings)
      const planned = layOut(k, plan)
      const server = new Server({ k, compiled, planned, digest, share, helper: link, registration, options })
      server.#track(server.#receiveMaterial())
      return server
    } catch (cause) {
      const error = asRingfenceError(cause)
      link.fail(error)
      throw error
    }
  }

  get planDigest(): Uint8Array {
    return this.#parts.digest
  }

  /** Bytes of WASM memory in use. */
  get memoryInUse(): number {
    return this.#parts.k.memory.inUse
  }

  /**
   * Serves one client until it leaves. Never rejects: a failure is told to the client and to `onError`, and concerns no
   * other client.
   */
  run(channel: Channel, meter = new Meter()): Promise<void> {
    return this.#track(this.#serveClient(channel, meter))
  }

  /** Closes every connection, then frees what it holds and wipes the seeds. */
  async release(): Promise<void> {
    if (this.#released) return
    this.#released = true
    const { helper, share, planned, registration } = this.#parts
    for (const link of [...this.#links, helper]) link.close()
    await Promise.all(this.#running)
    share.release()
    planned.release()
    registration.helperSeed.fill(0)
    registration.modelSeed.fill(0)
  }

  #track(running: Promise<void>): Promise<void> {
    this.#running.add(running)
    return running.finally(() => this.#running.delete(running))
  }

  async #serveClient(channel: Channel, meter: Meter): Promise<void> {
    const { options } = this.#parts
    const link = linkTo('client', channel, options, meter)
    if (this.#released) return link.close()
    this.#links.add(link)
    let session: Session | undefined
    try {
      seedSource(options, [channel])
      session = await this.#welcome(link, meter)
      while (await this.#serve(session)) {
        // one request after another
      }
    } catch (cause) {
      if (this.#released) return
      const error = asRingfenceError(cause)
      link.fail(error)
      options.onError?.(error)
    } finally {
      link.close()
      this.#links.delete(link)
      if (session) {
        this.#store.forget(session.name)
        session.sh.release()
      }
    }
  }

  /** Takes in what the helper deals, for as long as it is there. */
  async #receiveMaterial(): Promise<void> {
    const forever = { deadlineMs: Number.POSITIVE_INFINITY }
    const { helper, planned, options } = this.#parts
    try {
      for (;;) {
        const head = await helper.receive(Kind.bundle, Phase.offline, 0, ID_BYTES + INFERENCE_BYTES, forever)
        const session = hex(head.subarray(0, ID_BYTES))
        const inference = readInference(head.subarray(ID_BYTES))
        for (const step of planned.steps) {
          const length = materialBytes(step, planned.plan.ring)
          const payload = await receivePieces(helper, Kind.material, Phase.offline, step.index, length)
          this.#store.dealt(session, inference, step.index, payload)
        }
      }
    } catch (cause) {
      const error = asRingfenceError(cause)
      this.#helperLost = new RingfenceError(
        'PEER_GONE',
        `the helper is gone (${error.code}); start it and the server again`,
        [],
        { cause: error },
      )
      this.#store.fail(this.#helperLost)
      helper.fail(error)
      if (!this.#released) options.onError?.(this.#helperLost)
    }
  }

  async #welcome(link: Link, meter: Meter): Promise<Session> {
    const { k, compiled, digest, registration, options } = this.#parts
    const hello = await link.receive(Kind.hello, Phase.setup, 0, 1 + DIGEST_BYTES)
    checkVersion(hello[0])
    if (this.#helperLost) throw this.#helperLost
    const id = entropy(ID_BYTES)
    // A client that names the plan it holds is spared the download; one that names another is told so by the digest.
    const known = equal(hello.subarray(1), digest)
    const json = known ? new Uint8Array(0) : new TextEncoder().encode(canonicalJson(compiled.plan))
    const seed = sessionSeed(registration.helperSeed, id)
    options[AUDIT]?.({ session: id, seed: seed.slice() })
    const sh = new Streams(k, seed, compiled.plan.rounds)
    seed.fill(0)
    const session: Session = { id, name: hex(id), link, meter, sh, ledger: new Ledger() }
    const { id: at, helperKey, modelSeed } = registration
    const planBytes = json.byteLength
    const welcome = encodeWelcome({ registration: at, session: id, helperKey, modelSeed, digest, planBytes })
    link.send(Kind.welcome, Phase.setup, 0, welcome)
    if (!known) link.send(Kind.plan, Phase.setup, 0, json)
    return session
  }

  /** One request of a client; false when it has left. */
  async #serve(session: Session): Promise<boolean> {
    const { link } = session
    const frame = await this.#nextRequest(link)
    if (!frame) return false
    const { payload } = frame
    if (is(frame, Kind.reserve, Phase.offline, BATCH_BYTES)) this.#reserve(session, payload)
    else if (is(frame, Kind.upload, Phase.offline, INFERENCE_BYTES)) await this.#upload(session, payload)
    else if (is(frame, Kind.input, Phase.online, inputBytes(this.#parts.planned))) await this.#infer(session, payload)
    else {
      const what = `kind ${frame.kind}, phase ${frame.phase}, step ${frame.step} with ${payload.byteLength} bytes`
      throw new RingfenceError('PROTOCOL', `the client sent ${what}, which is no request`)
    }
    await drained(link, { deadlineMs: deadlineOf(this.#parts.options) })
    return true
  }

  async #nextRequest(link: Link): Promise<Frame | null> {
    const { planned, options } = this.#parts
    try {
      return await link.receiveAny(Math.max(inputBytes(planned), BATCH_BYTES), { deadlineMs: idleOf(options) })
    } catch (error) {
      if (error instanceof RingfenceError && (error.code === 'PEER_GONE' || error.code === 'ABORTED')) return null
      throw error
    }
  }

  #reserve({ link, ledger, name }: Session, payload: Uint8Array): void {
    if (this.#helperLost) throw this.#helperLost
    const { first, count } = decodeBatch(payload)
    const granted = Math.min(count, this.#store.room)
    if (granted > 0) ledger.burn(first, granted)
    for (let i = 0; i < granted; i++) this.#store.reserve(name, first + i)
    const answer = new Uint8Array(4)
    new DataView(answer.buffer).setUint32(0, granted, true)
    link.send(Kind.reserved, Phase.offline, 0, answer)
  }

  async #upload({ link, name }: Session, payload: Uint8Array): Promise<void> {
    const inference = readInference(payload)
    if (!this.#store.has(name, inference)) {
      throw new RingfenceError('MATERIAL_USED', `inference ${inference} was not reserved`)
    }
    const { plan, steps } = this.#parts.planned
    for (const step of steps) {
      const length = packedBytes(step.size, plan.ring)
      const delta = await receivePieces(link, Kind.delta, Phase.offline, step.index, length)
      this.#store.uploaded(name, inference, step.index, delta)
    }
  }

  #infer({ name, link, meter, sh }: Session, payload: Uint8Array): Promise<void> {
    const { k, planned, share, options } = this.#parts
    return serveInference({ k, planned, share, link, meter, sh }, payload, (inference) =>
      this.#store.take(name, inference, deadlineOf(options)),
    )
  }
}

const is = (frame: Frame, kind: number, phase: PhaseCode, bytes: number): boolean =>
  frame.kind === kind && frame.phase === phase && frame.step === 0 && frame.payload.byteLength === bytes
