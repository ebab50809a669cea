// The client: owns the input and learns the answer. In a web page its share of the work runs in a worker, elsewhere in
// the caller's thread.
import type { RingfenceError } from '../errors.js'
import { provideKernels } from '../kernels/instance.js'
import type { Channel, Meter, MeterReport } from '../net/index.js'
import type { Plan } from '../plan/plan.js'
import type { CallOptions, MaterialLoss } from './backend.js'
import type { MaterialStore } from './client-store.js'
import { LocalClient } from './local-client.js'
import type { PartyOptions } from './options.js'
import { remoteClient } from './worker/remote-client.js'

export type { CallOptions, MaterialLoss, Progress } from './backend.js'

/** Whom a client connects to, and what it insists on. */
export interface ClientOptions extends PartyOptions {
  /** `wss://…` (or `ws://` on loopback), or an open channel. */
  server: string | Channel
  helper: string | Channel
  /** Shown to both parties, or one for each, where they do not let everybody in. Channels that are open carry their own. */
  token?: string | { server?: string; helper?: string }
  /** A plan the client already has; the server must run exactly this one. */
  plan?: Plan
  /** SHA-256 of the plan the client will accept. */
  planDigest?: Uint8Array
  /** The helper's public key, when it was learnt over a trusted way; another key is refused. */
  helperKey?: Uint8Array
  meter?: Meter
  signal?: AbortSignal
  /** Prepares in the background until this many inferences are ready, and again whenever one is used. Default 0. */
  keepPrepared?: number
  /** Told how many are ready after every one that was prepared in the background. */
  onPrepared?: (prepared: number) => void
  /**
   * Keeps prepared material over reloads, each inference to be used once: `true` in the page's IndexedDB, elsewhere in a store
   * of your own. The server has to keep its part too, and does so for some minutes; the helper is not needed again. Whoever
   * reads the store *and* what the server sees can open inputs, also some time after: see SECURITY.md. Default false.
   */
  keepMaterial?: boolean | MaterialStore
  /** Told of every kept inference that cannot be used any more. */
  onMaterialLost?: (why: MaterialLoss) => void
  /** The compiled `ringfence/kernels.simd.wasm`, for hosts that compile no WebAssembly at run time. */
  wasm?: WebAssembly.Module
  /**
   * In a web page: `true` (default) works in a worker of the page's own bundle, `false` in the page's thread, a function
   * makes the worker, for bundlers that do not follow `new URL('./worker.js', import.meta.url)`. Open channels and meters
   * cannot leave the thread they are in: with them the client stays there.
   */
  worker?: boolean | (() => Worker)
  /** Told, once, when the worker cannot be started and the page's thread does its work. Default: `console.warn`. */
  onWarning?: (message: string) => void
}

/** What the client has learnt from one input. */
export interface InferenceResult {
  /** Real values of the network's output, one per class; of a plan that gives the label alone, 1 for it and 0 elsewhere. */
  readonly logits: Float32Array
  /** The same as fixed-point integers of `scale` fraction bits. */
  readonly raw: Int32Array
  readonly scale: number
  /** Index of the largest logit, and its name when the network gives names. */
  readonly prediction: number
  readonly label: string | undefined
  readonly inference: number
  /** On line, without preparation. */
  readonly milliseconds: number
}

/** @internal A connected client, wherever it runs. */
export interface ClientEngine {
  readonly plan: Plan
  readonly prepared: number
  readonly traffic: MeterReport
  readonly memoryInUse: number
  prepare(count: number, options: CallOptions): Promise<void>
  run(input: Float32Array, options: CallOptions): Promise<InferenceResult>
  release(): Promise<void>
  readonly closed: Promise<RingfenceError>
}

/** A client that nobody holds any more leaves its parties. */
const forgotten = new FinalizationRegistry<ClientEngine>((engine) => void engine.release())

/** A client is held by its calls in progress, also when the caller kept nothing but the promise. */
const busy = new Set<{ readonly client: Client }>()

/** The client: it holds the input and learns the answer. One call at a time is worked on; others wait for their turn. */
export class Client {
  readonly #engine: ClientEngine

  private constructor(engine: ClientEngine) {
    this.#engine = engine
    forgotten.register(this, engine, this)
  }

  /**
   * Connects to server and helper, agrees on plan and seeds.
   * @throws RingfenceError PEER_GONE, DEADLINE, PLAN_MISMATCH, INSECURE (plain text off loopback, another helper), ABORTED
   */
  static async create(options: ClientOptions): Promise<Client> {
    if (options.wasm) provideKernels(options.wasm)
    return new Client((await remoteClient(options)) ?? (await LocalClient.create(options)))
  }

  /** The network all three parties have agreed on: `plan.input.shape` is the shape of an input. */
  get plan(): Plan {
    return this.#engine.plan
  }

  /** Inferences that can start without preparation; Infinity on `securenn`, where none needs any. */
  get prepared(): number {
    return this.#engine.prepared
  }

  /** Bytes, flights and time so far, per link, phase and step; in a page as of the last call that ended. */
  get traffic(): MeterReport {
    return this.#engine.traffic
  }

  /** Bytes of WASM memory in use; in a page as of the last call that ended. */
  get memoryInUse(): number {
    return this.#engine.memoryInUse
  }

  /**
   * Resolves, with the reason, once this client can do no more: its server went away, though nothing was asked of it, a call
   * failed, or it was released. Never rejects.
   */
  get closed(): Promise<RingfenceError> {
    return this.#engine.closed
  }

  /**
   * Off line: has one-time material dealt for `count` more inferences and uploads the client's part. On `securenn` nothing
   * can be done ahead.
   * @throws RingfenceError STORE_FULL (the server has no room; what it granted stays prepared), PEER_GONE, DEADLINE, ABORTED
   */
  prepare(count = 1, options: CallOptions = {}): Promise<void> {
    return this.#busy(this.#engine.prepare(count, options))
  }

  /**
   * Classifies one input; prepares first when nothing is prepared.
   * @param input normalised values in CHW order; `pictureToInput` makes them from a picture
   * @throws RingfenceError BAD_INPUT before anything is sent; PEER_GONE, PEER_FAILED, DEADLINE, ABORTED
   */
  run(input: Float32Array, options: CallOptions = {}): Promise<InferenceResult> {
    return this.#busy(this.#engine.run(input, options))
  }

  /** Leaves server and helper and wipes the seeds; a call in progress ends with ABORTED. */
  release(): Promise<void> {
    forgotten.unregister(this)
    return this.#engine.release()
  }

  async #busy<T>(call: Promise<T>): Promise<T> {
    const entry = { client: this }
    busy.add(entry)
    try {
      return await call
    } finally {
      busy.delete(entry)
    }
  }

  /** As `release`, at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.release()
  }
}
