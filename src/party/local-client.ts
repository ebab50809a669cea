// The client in this thread. What happens between the handshake and the answer is its back end's affair: party/mcc or
// party/securenn.
import { RingfenceError } from '../errors.js'
import { loadKernels } from '../kernels/index.js'
import { type Channel, connect, type Link, Meter, type MeterReport, Phase } from '../net/index.js'
import { type MccPlan, mapSize, type Plan, planDigest, type SecurennPlan, tensorShape } from '../plan/plan.js'
import { Kind } from '../protocol/kinds.js'
import { layOut } from '../protocol/step.js'
import { fillModelMask, packShare } from '../protocol/weights.js'
import { agreeSeed, keyPair } from '../random/seed.js'
import { Streams } from '../random/streams.js'
import { decodeFixed, encodeFixed, expectInput } from '../ring/codec.js'
import type { CallOptions, ClientBackend, ClientContext } from './backend.js'
import type { ClientEngine, ClientOptions, InferenceResult } from './client.js'
import { MccClient } from './mcc/client.js'
import {
  DIGEST_BYTES,
  decodeWelcome,
  encodeHello,
  equal,
  KEY_BYTES,
  MAX_BATCH,
  Role,
  type ServerWelcome,
  VERSION,
  WELCOME_BYTES,
} from './messages.js'
import { AUDIT, asRingfenceError, deadlineOf, linkTo, seedSource, Turn } from './options.js'
import { receivePlan } from './received-plan.js'
import { SecurennClient } from './securenn/client.js'

export class LocalClient implements ClientEngine {
  readonly #context: ClientContext
  readonly #backend: ClientBackend
  /** Calls of one client take turns: its links carry one conversation at a time. */
  readonly #turn = new Turn()
  #ended: RingfenceError | undefined
  readonly #keep: number
  readonly #onPrepared: ((prepared: number) => void) | undefined
  #refilling = false

  private constructor(context: ClientContext, { keepPrepared = 0, onPrepared }: ClientOptions) {
    this.#context = context
    this.#backend = backendOf(context)
    this.#keep = keepPrepared
    this.#onPrepared = onPrepared
    void this.#refill()
  }

  /** Prepares one inference after another, between calls, until enough are ready or the server has no room. */
  async #refill(): Promise<void> {
    if (this.#refilling) return
    this.#refilling = true
    try {
      while (!this.#ended && this.#backend.prepared < this.#keep) {
        await this.prepare(1, {})
        this.#onPrepared?.(this.#backend.prepared)
      }
    } catch {
      // The next call meets the same error and reports it; without room at the server there is nothing to report.
    } finally {
      this.#refilling = false
    }
  }

  static async create(options: ClientOptions): Promise<LocalClient> {
    const { signal } = options
    const meter = options.meter ?? new Meter()
    const opened: Channel[] = []
    try {
      for (const end of [options.server, options.helper]) {
        opened.push(typeof end === 'string' ? await connect(end, { signal, deadlineMs: options.deadlineMs }) : end)
      }
      return await LocalClient.#handshake(opened[0], opened[1], meter, options)
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
    options[AUDIT]?.({ session: welcome.session, seed: seed.slice(), model: welcome.modelSeed.slice() })
    const k = loadKernels()
    const ch = new Streams(k, seed, plan.rounds)
    seed.fill(0)
    const modelMask = new Streams(k, welcome.modelSeed, plan.rounds)
    const share = await packShare(k, plan, (slot, words) => fillModelMask(modelMask, slot, words))
    modelMask.release()
    welcome.modelSeed.fill(0)
    const planned = layOut(k, plan)
    const held = { k, server, helper, ch, planned, share, meter, deadlineMs: deadlineOf(options), source }
    return new LocalClient(held, options)
  }

  get plan(): Plan {
    return this.#context.planned.plan
  }

  get prepared(): number {
    return this.#backend.prepared
  }

  get traffic(): MeterReport {
    return this.#context.meter.report()
  }

  get memoryInUse(): number {
    return this.#context.k.memory.inUse
  }

  prepare(count: number, options: CallOptions): Promise<void> {
    return this.#guard(options, async () => {
      if (!Number.isInteger(count) || count < 1 || count > MAX_BATCH) {
        throw new RingfenceError('BAD_INPUT', `prepare 1 to ${MAX_BATCH} inferences at a time, not ${count}`)
      }
      await this.#backend.prepare(count, options)
    })
  }

  run(input: Float32Array, options: CallOptions): Promise<InferenceResult> {
    return this.#guard(options, async () => {
      const { plan } = this.#context.planned
      const values = expectInput(input, mapSize(tensorShape(plan, 0)))
      const words = encodeFixed(values, plan.input.scale, plan.input.bits)
      if (this.#backend.prepared === 0) await this.#backend.prepare(1, options)
      const started = performance.now()
      const { inference, raw, scale } = await this.#backend.infer(words, options)
      void this.#refill()
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
    })
  }

  async release(): Promise<void> {
    this.#context.server.close()
    this.#context.helper.close()
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
    this.#context.server.fail(error)
    this.#context.helper.fail(error)
    this.#forget(error)
  }

  #forget(error: RingfenceError): void {
    if (this.#ended) return
    this.#ended = error
    this.#backend.release()
    const { share, planned, ch } = this.#context
    for (const held of [share, planned, ch]) held.release()
  }
}

function backendOf(context: ClientContext): ClientBackend {
  return context.planned.plan.backend === 'mcc'
    ? new MccClient(context as ClientContext<MccPlan>)
    : new SecurennClient(context as ClientContext<SecurennPlan>)
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
