// The client: owns the input and learns the answer. It asks the helper to deal, uploads its part of the material to the
// server, then classifies in one round trip per ReLU layer.

import { RingfenceError } from '../errors.js'
import { packedBytes } from '../kernels/bits.js'
import { type Kernels, loadKernels, type Region, upload } from '../kernels/index.js'
import { type Channel, connect, type Link, Meter, type MeterReport, Phase } from '../net/index.js'
import { mapSize, type Plan, planDigest, tensorShape } from '../plan/plan.js'
import { Kind } from '../protocol/kinds.js'
import { isReluStep, uploadInference } from '../protocol/mcc/inference.js'
import { sendInput } from '../protocol/mcc/input.js'
import { inputMask } from '../protocol/mcc/linear.js'
import { openOutput } from '../protocol/mcc/output.js'
import { answerRelu, type ReluStep, reluSizes } from '../protocol/mcc/relu.js'
import { layOut, type PlannedSteps } from '../protocol/mcc/step.js'
import { fillModelMask, type ModelShare, packShare } from '../protocol/mcc/weights.js'
import { agreeSeed, keyPair } from '../random/seed.js'
import { Streams } from '../random/streams.js'
import { decodeFixed, encodeFixed, expectInput } from '../ring/codec.js'
import { Ledger } from './ledger.js'
import {
  DIGEST_BYTES,
  decodeWelcome,
  encodeBatch,
  encodeHello,
  equal,
  INFERENCE_BYTES,
  KEY_BYTES,
  MAX_BATCH,
  Role,
  type ServerWelcome,
  VERSION,
  WELCOME_BYTES,
  writeInference,
} from './messages.js'
import { AUDIT, asRingfenceError, deadlineOf, linkTo, type PartyOptions, seedSource, Turn } from './options.js'
import { receivePlan } from './received-plan.js'
import { sendPieces } from './transfer.js'

export interface Progress {
  readonly phase: 'prepare' | 'run'
  readonly inference: number
  /** Steps done, of `steps`. */
  readonly step: number
  readonly steps: number
  /** The layer that was just finished. */
  readonly layer: string
}

export interface CallOptions {
  signal?: AbortSignal
  onProgress?: (progress: Progress) => void
}

export interface ClientOptions extends PartyOptions {
  /** `wss://…` (or `ws://` on loopback), or an open channel. */
  server: string | Channel
  helper: string | Channel
  /** A plan the client already has; the server must run exactly this one. */
  plan?: Plan
  /** SHA-256 of the plan the client will accept. */
  planDigest?: Uint8Array
  /** The helper's public key, when it was learnt over a trusted way; another key is refused. */
  helperKey?: Uint8Array
  meter?: Meter
  signal?: AbortSignal
}

export interface InferenceResult {
  /** Real values of the network's output, one per class. */
  readonly logits: Float32Array
  /** The same as fixed-point integers of `scale` fraction bits. */
  readonly raw: Int32Array
  readonly scale: number
  /** Index of the largest logit, and its name when the network gives names. */
  readonly prediction: number
  readonly label: string | undefined
  readonly inference: number
  readonly milliseconds: number
}

export class Client {
  readonly #k: Kernels
  readonly #server: Link
  readonly #helper: Link
  readonly #ch: Streams
  readonly #planned: PlannedSteps
  readonly #share: ModelShare
  readonly #meter: Meter
  readonly #ledger = new Ledger()
  readonly #ready: number[] = []
  readonly #deadlineMs: number
  /** Calls of one client take turns: its links carry one conversation at a time. */
  readonly #turn = new Turn()
  #ended: RingfenceError | undefined

  private constructor(parts: {
    k: Kernels
    server: Link
    helper: Link
    ch: Streams
    planned: PlannedSteps
    share: ModelShare
    meter: Meter
    deadlineMs: number
  }) {
    this.#k = parts.k
    this.#server = parts.server
    this.#helper = parts.helper
    this.#ch = parts.ch
    this.#planned = parts.planned
    this.#share = parts.share
    this.#meter = parts.meter
    this.#deadlineMs = parts.deadlineMs
  }

  /**
   * Connects to server and helper, agrees on plan and seeds.
   * @throws RingfenceError PEER_GONE, DEADLINE, PLAN_MISMATCH, INSECURE (plain text off loopback, another helper), ABORTED
   */
  static async create(options: ClientOptions): Promise<Client> {
    const { signal } = options
    const meter = options.meter ?? new Meter()
    const opened: Channel[] = []
    try {
      for (const end of [options.server, options.helper]) {
        opened.push(typeof end === 'string' ? await connect(end, { signal, deadlineMs: options.deadlineMs }) : end)
      }
      return await Client.#handshake(opened[0], opened[1], meter, options)
    } catch (error) {
      for (const channel of opened) channel.close()
      throw error
    }
  }

  static async #handshake(serverChannel: Channel, helperChannel: Channel, meter: Meter, options: ClientOptions) {
    const { signal } = options
    const source = seedSource(options, [serverChannel, helperChannel])
    const server = linkTo('server', serverChannel, options, meter)
    const helper = linkTo('helper', helperChannel, options, meter)
    const wanted = options.plan ? planDigest(options.plan) : options.planDigest
    const { welcome, plan } = await greetServer(server, options.plan, wanted, signal)
    const keys = keyPair(source())
    const helperKey = await greetHelper(helper, welcome, keys.publicKey, signal)
    if (!equal(helperKey, welcome.helperKey) || (options.helperKey && !equal(helperKey, options.helperKey))) {
      throw new RingfenceError('INSECURE', 'this is not the helper that the server deals with, or not the pinned one')
    }
    const context = new Uint8Array([...welcome.digest, ...welcome.session])
    const order = { initiator: keys.publicKey, responder: helperKey }
    const seed = agreeSeed('client-helper', keys, helperKey, order, context)
    keys.secretKey.fill(0)
    options[AUDIT]?.({ session: welcome.session, seed: seed.slice() })
    const k = loadKernels()
    const ch = new Streams(k, seed, plan.rounds)
    seed.fill(0)
    const modelMask = new Streams(k, welcome.modelSeed, plan.rounds)
    const share = await packShare(k, plan, (slot, words) => fillModelMask(modelMask, slot, words))
    modelMask.release()
    return new Client({
      k,
      server,
      helper,
      ch,
      planned: layOut(k, plan),
      share,
      meter,
      deadlineMs: deadlineOf(options),
    })
  }

  get plan(): Plan {
    return this.#planned.plan
  }

  /** Inferences that are prepared and unused. */
  get prepared(): number {
    return this.#ready.length
  }

  /** Bytes and flights so far, per link, phase and step. */
  get traffic(): MeterReport {
    return this.#meter.report()
  }

  /** Bytes of WASM memory in use. */
  get memoryInUse(): number {
    return this.#k.memory.inUse
  }

  /**
   * Off line: has one-time material dealt for `count` more inferences and uploads the client's part.
   * @throws RingfenceError STORE_FULL (the server has no room; what it granted stays prepared), PEER_GONE, DEADLINE, ABORTED
   */
  prepare(count = 1, options: CallOptions = {}): Promise<void> {
    return this.#guard(options, () => this.#prepare(count, options))
  }

  /**
   * Classifies one input; prepares first when nothing is prepared.
   * @param input normalised values in CHW order; `pictureToInput` makes them from a picture
   * @throws RingfenceError BAD_INPUT before anything is sent; PEER_GONE, PEER_FAILED, DEADLINE, ABORTED
   */
  run(input: Float32Array, options: CallOptions = {}): Promise<InferenceResult> {
    return this.#guard(options, async () => {
      const { plan } = this.#planned
      const values = expectInput(input, mapSize(tensorShape(plan, 0)))
      const words = encodeFixed(values, plan.input.scale, plan.input.bits)
      if (this.#ready.length === 0) await this.#prepare(1, options)
      return this.#infer(words, options)
    })
  }

  /** Leaves server and helper and wipes the seeds; a call in progress ends with ABORTED. */
  async release(): Promise<void> {
    this.#server.close()
    this.#helper.close()
    await this.#turn.take(async () => this.#forget(new RingfenceError('ABORTED', 'this client was released')))
  }

  /** Runs a call in turn. An error between parties ends the session: the conversation cannot be resumed. */
  #guard<T>({ signal }: CallOptions, task: () => Promise<T>): Promise<T> {
    return this.#turn.take(async () => {
      if (this.#ended) throw this.#ended
      if (signal?.aborted) throw new RingfenceError('ABORTED', 'the call was aborted before it began')
      try {
        return await task()
      } catch (cause) {
        const error = asRingfenceError(cause)
        if (error.code !== 'BAD_INPUT' && error.code !== 'STORE_FULL') this.#end(error)
        throw error
      }
    })
  }

  /** Tells both peers that the conversation failed. */
  #end(error: RingfenceError): void {
    this.#server.fail(error)
    this.#helper.fail(error)
    this.#forget(error)
  }

  #forget(error: RingfenceError): void {
    if (this.#ended) return
    this.#ended = error
    this.#ready.length = 0
    this.#share.release()
    this.#planned.release()
    this.#ch.release()
  }

  async #prepare(count: number, { signal, onProgress }: CallOptions): Promise<void> {
    if (!Number.isInteger(count) || count < 1 || count > MAX_BATCH) {
      throw new RingfenceError('BAD_INPUT', `prepare 1 to ${MAX_BATCH} inferences at a time, not ${count}`)
    }
    const first = this.#ledger.next
    this.#ledger.burn(first, count)
    this.#server.send(Kind.reserve, Phase.offline, 0, encodeBatch(first, count))
    const answer = await this.#server.receive(Kind.reserved, Phase.offline, 0, 4, { signal })
    const granted = Math.min(count, new DataView(answer.buffer, answer.byteOffset).getUint32(0, true))
    if (granted > 0) {
      this.#helper.send(Kind.deal, Phase.offline, 0, encodeBatch(first, granted))
      for (let i = 0; i < granted; i++) {
        await this.#upload(first + i, { signal, onProgress })
        await this.#helper.receive(Kind.dealt, Phase.offline, 0, 0, { signal })
        this.#ready.push(first + i)
      }
    }
    if (granted < count) {
      throw new RingfenceError(
        'STORE_FULL',
        `the server had room for ${granted} of ${count} inferences; run some, then prepare more`,
      )
    }
  }

  async #upload(inference: number, { signal, onProgress }: CallOptions): Promise<void> {
    const { steps } = this.#planned
    const head = new Uint8Array(INFERENCE_BYTES)
    writeInference(head, inference)
    this.#server.send(Kind.upload, Phase.offline, 0, head)
    await uploadInference(this.#k, this.#planned, this.#share, this.#ch, inference, async (step, message) => {
      await sendPieces(this.#server, Kind.delta, Phase.offline, step, message, { deadlineMs: this.#deadlineMs, signal })
      onProgress?.({ phase: 'prepare', inference, step: step + 1, steps: steps.length, layer: steps[step].step.id })
    })
  }

  async #infer(input: Int32Array, { signal, onProgress }: CallOptions): Promise<InferenceResult> {
    const { plan, steps } = this.#planned
    const inference = this.#ready.shift()!
    const started = performance.now()
    const masked = sendInput(this.#k, this.#planned, this.#ch, input, inference)
    const first = this.#server.frame(Kind.input, Phase.online, 0, INFERENCE_BYTES + masked.byteLength)
    writeInference(first, inference)
    first.set(masked.u8(), INFERENCE_BYTES)
    masked.release()
    this.#server.sendFrame(first)
    let raw = new Int32Array(0) as Int32Array
    for (const step of steps) {
      this.#meter.mark(Phase.online, step.index)
      if (isReluStep(step)) await this.#relu(step, inference, signal)
      else {
        const length = packedBytes(step.size, plan.ring)
        const payload = await this.#server.receive(Kind.output, Phase.online, step.index, length, { signal })
        raw = openOutput(this.#k, step, this.#ch, payload, inference, plan.ring)
      }
      onProgress?.({ phase: 'run', inference, step: step.index + 1, steps: steps.length, layer: step.step.id })
    }
    this.#meter.stop()
    const { scale } = steps[steps.length - 1].step
    let prediction = 0
    for (let i = 1; i < raw.length; i++) if (raw[i] > raw[prediction]) prediction = i
    return {
      logits: decodeFixed(raw, scale),
      raw,
      scale,
      prediction,
      label: plan.labels[prediction],
      inference,
      milliseconds: performance.now() - started,
    }
  }

  async #relu(step: ReluStep, inference: number, signal: AbortSignal | undefined): Promise<void> {
    const k = this.#k
    const { ring } = this.#planned.plan
    const sizes = reluSizes(step, ring)
    const next = inputMask(k, this.#planned, this.#ch, step.index + 1, inference)
    const reply = k.memory.alloc(sizes.reply)
    let message: Region | undefined
    try {
      const payload = await this.#server.receive(Kind.opening, Phase.online, step.index, sizes.opening, { signal })
      message = upload(k.memory, payload)
      answerRelu(k, step, this.#ch, message, next, reply, inference, ring)
      this.#server.send(Kind.reply, Phase.online, step.index, reply.u8())
    } finally {
      message?.release()
      reply.release()
      next.release(true)
    }
  }
}

async function greetServer(
  link: Link,
  known: Plan | undefined,
  wanted: Uint8Array | undefined,
  signal: AbortSignal | undefined,
): Promise<{ welcome: ServerWelcome; plan: Plan }> {
  const hello = new Uint8Array(1 + DIGEST_BYTES)
  hello[0] = VERSION
  if (known && wanted) hello.set(wanted, 1)
  link.send(Kind.hello, Phase.setup, 0, hello)
  const welcome = decodeWelcome(await link.receive(Kind.welcome, Phase.setup, 0, WELCOME_BYTES, { signal }))
  if (wanted && !equal(wanted, welcome.digest)) {
    throw new RingfenceError('PLAN_MISMATCH', 'the server runs another plan than the one this client accepts')
  }
  if (known && welcome.planBytes === 0) return { welcome, plan: known }
  return { welcome, plan: await receivePlan(link, welcome, { signal }) }
}

async function greetHelper(
  link: Link,
  { registration, session, digest }: ServerWelcome,
  publicKey: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const hello = encodeHello({ role: Role.client, registration, session, digest, publicKey, planBytes: 0 })
  link.send(Kind.hello, Phase.setup, 0, hello)
  return (await link.receive(Kind.welcome, Phase.setup, 0, KEY_BYTES, { signal })).slice()
}
