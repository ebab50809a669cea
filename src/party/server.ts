// The server: owns the weights, registers its model with a helper, answers clients. It serves many at once.

import { RingfenceError } from '../errors.js'
import { pack, packedBytes } from '../kernels/bits.js'
import { type Kernels, loadKernels, type Region, upload } from '../kernels/index.js'
import { sub32 } from '../kernels/ring.js'
import { type Channel, type Frame, type Link, Meter, Phase } from '../net/index.js'
import type { Compiled } from '../plan/compile.js'
import { weightKey } from '../plan/compile.js'
import { canonicalJson, mapSize, planDigest, tensorShape } from '../plan/plan.js'
import { Kind } from '../protocol/kinds.js'
import { isReluStep, materialBytes, releaseMaterial, type StepMaterial } from '../protocol/mcc/inference.js'
import { takeInput } from '../protocol/mcc/input.js'
import { runLinear } from '../protocol/mcc/linear.js'
import { sendOutput } from '../protocol/mcc/output.js'
import { finishRelu, openRelu, type ReluStep, reluSizes } from '../protocol/mcc/relu.js'
import { layOut, type PlannedSteps } from '../protocol/mcc/step.js'
import { type FilterSlot, fillModelMask, filterSlots, type ModelShare, packShare } from '../protocol/mcc/weights.js'
import { agreeSeed, entropy, keyPair, type Seed } from '../random/seed.js'
import { Streams } from '../random/streams.js'
import { Ledger } from './ledger.js'
import {
  BATCH_BYTES,
  DIGEST_BYTES,
  decodeBatch,
  encodeHello,
  encodeWelcome,
  equal,
  hex,
  ID_BYTES,
  INFERENCE_BYTES,
  KEY_BYTES,
  Role,
  readInference,
  sessionSeed,
  VERSION,
} from './messages.js'
import { AUDIT, asRingfenceError, DEFAULT_DEADLINE_MS, linkTo, type PartyOptions, seedSource } from './options.js'
import { MaterialStore } from './store.js'
import { receivePieces, sendPieces } from './transfer.js'

export interface ServerOptions extends PartyOptions {
  /** Memory for one-time material that was dealt ahead. Default 512 MiB; room for one inference at least. */
  storeBytes?: number
  /** The helper's public key, when it was learnt over a trusted way; another key is refused. */
  helperKey?: Uint8Array
  /** Called when a client's connection ends with an error; the server goes on serving the others. */
  onError?: (error: RingfenceError) => void
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

export class Server {
  readonly #k: Kernels
  readonly #options: ServerOptions
  readonly #compiled: Compiled
  readonly #planned: PlannedSteps
  readonly #digest: Uint8Array
  readonly #store: MaterialStore
  readonly #helper: Link
  readonly #helperChannel: Channel
  readonly #sessions = new Set<Session>()
  #share!: ModelShare
  #modelSeed!: Seed
  #helperSeed!: Seed
  #registration!: Uint8Array
  #helperKey!: Uint8Array
  #helperLost: RingfenceError | undefined

  private constructor(compiled: Compiled, helper: Channel, options: ServerOptions) {
    this.#k = loadKernels()
    this.#options = options
    this.#compiled = compiled
    this.#planned = layOut(this.#k, compiled.plan)
    this.#digest = planDigest(compiled.plan)
    this.#store = new MaterialStore(this.#k, this.#planned, compiled.model, options.storeBytes ?? 512 * 2 ** 20)
    this.#helperChannel = helper
    this.#helper = linkTo('helper', helper, options, options.meter)
  }

  /**
   * Packs the model and registers its masked form with the helper.
   * @param compiled plan and integer weights
   * @param helper channel to the helper
   * @throws RingfenceError PEER_GONE, DEADLINE, PLAN_MISMATCH, INSECURE (another helper than the pinned one)
   */
  static async create(compiled: Compiled, helper: Channel, options: ServerOptions = {}): Promise<Server> {
    const server = new Server(compiled, helper, options)
    try {
      await server.#register()
    } catch (error) {
      server.#helper.close()
      throw error
    }
    void server.#receiveMaterial()
    return server
  }

  get planDigest(): Uint8Array {
    return this.#digest
  }

  /** Bytes of WASM memory in use. */
  get memoryInUse(): number {
    return this.#k.memory.inUse
  }

  /**
   * Serves one client until it leaves. Never rejects: a failure is told to the client and to `onError`, and concerns no
   * other client.
   */
  async run(channel: Channel, meter = new Meter()): Promise<void> {
    const link = linkTo('client', channel, this.#options, meter)
    let session: Session | undefined
    try {
      seedSource(this.#options, [channel])
      session = await this.#welcome(link, meter)
      while (await this.#serve(session)) {
        // one request after another
      }
    } catch (cause) {
      const error = asRingfenceError(cause)
      link.fail(error)
      this.#options.onError?.(error)
    } finally {
      link.close()
      if (session) {
        this.#sessions.delete(session)
        this.#store.forget(session.name)
        session.sh.release()
      }
    }
  }

  /** Closes every connection and frees what it holds. */
  async release(): Promise<void> {
    for (const { link } of this.#sessions) link.close()
    this.#helper.close()
  }

  async #register(): Promise<void> {
    const { plan } = this.#compiled
    const source = seedSource(this.#options, [this.#helperChannel])
    const keys = keyPair(source())
    const json = new TextEncoder().encode(canonicalJson(plan))
    const nothing = new Uint8Array(ID_BYTES)
    this.#helper.send(
      Kind.hello,
      Phase.setup,
      0,
      encodeHello({
        role: Role.server,
        registration: nothing,
        session: nothing,
        digest: this.#digest,
        publicKey: keys.publicKey,
        planBytes: json.byteLength,
      }),
    )
    this.#helper.send(Kind.plan, Phase.setup, 0, json)
    this.#modelSeed = source()
    await this.#sendMaskedWeights()
    const welcome = await this.#helper.receive(Kind.welcome, Phase.setup, 0, ID_BYTES + KEY_BYTES)
    this.#registration = welcome.slice(0, ID_BYTES)
    this.#helperKey = welcome.slice(ID_BYTES)
    const { helperKey } = this.#options
    if (helperKey && !equal(helperKey, this.#helperKey)) {
      throw new RingfenceError('INSECURE', 'this is not the helper whose public key was pinned')
    }
    const order = { initiator: keys.publicKey, responder: this.#helperKey }
    this.#helperSeed = agreeSeed('server-helper', keys, this.#helperKey, order, this.#digest)
    keys.secretKey.fill(0)
  }

  /** Packs W for this server and sends F = W - B to the helper. */
  async #sendMaskedWeights(): Promise<void> {
    const { plan, model } = this.#compiled
    const k = this.#k
    const seed = new Streams(k, this.#modelSeed, plan.rounds)
    this.#share = await packShare(k, plan, (slot, words) => {
      words.i32().set(model.weights.get(weightKey(slot.step, slot.operation))!)
    })
    for (const slot of filterSlots(plan)) {
      const masked = this.#maskedFilter(seed, slot)
      await sendPieces(this.#helper, Kind.weights, Phase.setup, slot.step, masked)
      masked.release()
    }
    seed.release()
  }

  #maskedFilter(seed: Streams, slot: FilterSlot): Region {
    const { plan, model } = this.#compiled
    const k = this.#k
    const filter = upload(k.memory, model.weights.get(weightKey(slot.step, slot.operation))!)
    const mask = k.memory.alloc(slot.words * 4)
    fillModelMask(seed, slot, mask)
    sub32(k, filter, mask, filter, slot.words)
    const masked = k.memory.alloc(packedBytes(slot.words, plan.ring))
    pack(k, filter, slot.words, plan.ring, masked)
    filter.release(true)
    mask.release(true)
    return masked
  }

  /** Takes in what the helper deals, for as long as it is there. */
  async #receiveMaterial(): Promise<void> {
    const forever = { deadlineMs: Number.POSITIVE_INFINITY }
    const { plan, steps } = this.#planned
    try {
      for (;;) {
        const head = await this.#helper.receive(Kind.bundle, Phase.offline, 0, ID_BYTES + INFERENCE_BYTES, forever)
        const session = hex(head.subarray(0, ID_BYTES))
        const inference = readInference(head.subarray(ID_BYTES))
        for (const step of steps) {
          const length = materialBytes(step, plan.ring)
          const payload = await receivePieces(this.#helper, Kind.material, Phase.offline, step.index, length)
          this.#store.dealt(session, inference, step.index, payload)
        }
      }
    } catch (cause) {
      const error = asRingfenceError(cause)
      this.#helperLost = new RingfenceError(
        'PEER_GONE',
        `the helper is gone (${error.code}); start it and the server again`,
      )
      this.#store.fail(this.#helperLost)
      this.#helper.fail(error)
      this.#options.onError?.(error)
    }
  }

  async #welcome(link: Link, meter: Meter): Promise<Session> {
    const { plan } = this.#compiled
    const hello = await link.receive(Kind.hello, Phase.setup, 0, 1 + DIGEST_BYTES)
    if (hello[0] !== VERSION) {
      throw new RingfenceError(
        'PROTOCOL',
        `the client speaks version ${hello[0]} of the protocol, this is version ${VERSION}`,
      )
    }
    if (this.#helperLost) throw this.#helperLost
    const id = entropy(ID_BYTES)
    // A client that names the plan it holds is spared the download; one that names another is told so by the digest.
    const known = equal(hello.subarray(1), this.#digest)
    const json = known ? new Uint8Array(0) : new TextEncoder().encode(canonicalJson(plan))
    const seed = sessionSeed(this.#helperSeed, id)
    this.#options[AUDIT]?.({ session: id, seed: seed.slice() })
    const sh = new Streams(this.#k, seed, plan.rounds)
    const session: Session = { id, name: hex(id), link, meter, sh, ledger: new Ledger() }
    this.#sessions.add(session)
    link.send(
      Kind.welcome,
      Phase.setup,
      0,
      encodeWelcome({
        registration: this.#registration,
        session: id,
        helperKey: this.#helperKey,
        modelSeed: this.#modelSeed,
        digest: this.#digest,
        planBytes: json.byteLength,
      }),
    )
    if (!known) link.send(Kind.plan, Phase.setup, 0, json)
    return session
  }

  /** One request of a client; false when it has left. */
  async #serve(session: Session): Promise<boolean> {
    const { link } = session
    const frame = await this.#nextRequest(link)
    if (!frame) return false
    const { kind, payload } = frame
    if (kind === Kind.reserve && payload.byteLength === BATCH_BYTES) this.#reserve(session, payload)
    else if (kind === Kind.upload && payload.byteLength === INFERENCE_BYTES) await this.#upload(session, payload)
    else if (kind === Kind.input) await this.#infer(session, payload)
    else
      throw new RingfenceError(
        'PROTOCOL',
        `the client sent kind ${kind} with ${payload.byteLength} bytes, which is no request`,
      )
    return true
  }

  async #nextRequest(link: Link): Promise<Frame | null> {
    const { plan } = this.#compiled
    const longest = INFERENCE_BYTES + packedBytes(mapSize(tensorShape(plan, 0)), plan.ring)
    try {
      return await link.receiveAny(Math.max(longest, BATCH_BYTES), { deadlineMs: Number.POSITIVE_INFINITY })
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
    const { plan, steps } = this.#planned
    for (const step of steps) {
      const length = packedBytes(step.size, plan.ring)
      const delta = await receivePieces(link, Kind.delta, Phase.offline, step.index, length)
      this.#store.uploaded(name, inference, step.index, delta)
    }
  }

  async #infer(session: Session, payload: Uint8Array): Promise<void> {
    const { plan, steps } = this.#planned
    const k = this.#k
    const size = mapSize(tensorShape(plan, 0))
    const expected = INFERENCE_BYTES + packedBytes(size, plan.ring)
    if (payload.byteLength !== expected) {
      throw new RingfenceError('FRAME', `an input has ${expected} bytes here, not ${payload.byteLength}`)
    }
    const inference = readInference(payload)
    const tensors = new LiveTensors(this.#planned, takeInput(k, this.#planned, payload.subarray(INFERENCE_BYTES)))
    let material: StepMaterial[] = []
    try {
      material = await this.#store.take(session.name, inference, this.#options.deadlineMs ?? DEFAULT_DEADLINE_MS)
      const source = { tensor: tensors.get, weights: this.#share.weights, lifts: true }
      for (const step of steps) {
        session.meter.mark(Phase.online, step.index)
        runLinear(k, step, source, material[step.index].c)
        tensors.drop(step.index)
        if (!isReluStep(step)) {
          const share = sendOutput(k, step, material[step.index].c, plan.ring)
          session.link.send(Kind.output, Phase.online, step.index, share.u8())
          share.release()
        } else {
          tensors.add(step.index, await this.#relu(session, step, material[step.index], inference))
        }
      }
      session.meter.stop()
    } finally {
      tensors.release()
      material.forEach(releaseMaterial)
    }
  }

  async #relu(session: Session, step: ReluStep, { c, relu }: StepMaterial, inference: number): Promise<Region> {
    const k = this.#k
    const { ring } = this.#planned.plan
    const { link, sh } = session
    const { e, message } = openRelu(k, step, sh, c, relu!, inference, ring)
    try {
      link.send(Kind.opening, Phase.online, step.index, message.u8())
    } finally {
      message.release()
    }
    try {
      const reply = upload(
        k.memory,
        await link.receive(Kind.reply, Phase.online, step.index, reluSizes(step, ring).reply),
      )
      try {
        return finishRelu(k, step, { e }, relu!, reply, ring)
      } finally {
        reply.release()
      }
    } finally {
      e.release()
    }
  }
}

/** The masked tensors of one inference, each kept until the last step that reads it. */
class LiveTensors {
  readonly #tensors = new Map<number, Region>()
  readonly #lastUse = new Map<number, number>()

  constructor({ steps }: PlannedSteps, input: Region) {
    for (const { index, step } of steps) {
      for (const op of step.linear) if (op.op === 'tensor') this.#lastUse.set(op.tensor, index)
    }
    this.#tensors.set(0, input)
  }

  readonly get = (index: number): Region => this.#tensors.get(index)!

  /** The result of step `step`, which is tensor `step + 1`. */
  add(step: number, tensor: Region): void {
    this.#tensors.set(step + 1, tensor)
  }

  /** Frees what no step after `step` reads. */
  drop(step: number): void {
    for (const [index, tensor] of this.#tensors) {
      if ((this.#lastUse.get(index) ?? -1) > step) continue
      tensor.release()
      this.#tensors.delete(index)
    }
  }

  release(): void {
    for (const tensor of this.#tensors.values()) tensor.release()
    this.#tensors.clear()
  }
}
