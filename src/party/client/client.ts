// The client: owns the input and learns the answer. In a web page its share of the work runs in a worker, elsewhere in
// the caller's thread.
import type { RingfenceError } from '../../errors.js'
import { provideKernels } from '../../kernels/instance.js'
import type { MeterReport } from '../../net/index.js'
import type { Plan } from '../../plan/plan.js'
import { remoteClient } from '../worker/remote-client.js'
import type {
  CallOptions,
  ClientEngine,
  ClientOptions,
  InferenceResult,
  ManyOptions,
  Outcome,
} from './client-options.js'
import { LocalClient } from './local-client.js'
import { runMany } from './run-many.js'

export type {
  CallOptions,
  ClientEngine,
  ClientOptions,
  InferenceResult,
  ManyOptions,
  ManyProgress,
  MaterialLoss,
  OpenChannel,
  Outcome,
  Progress,
} from './client-options.js'

/** A client that nobody holds any more leaves its parties. */
const forgotten = new FinalizationRegistry<ClientEngine>((engine) => void engine.release())

/** A client is held by its calls in progress, also when the caller kept nothing but the promise. */
const busy = new Set<{ readonly client: Client }>()

/**
 * The client: it holds the input and learns the answer. One call at a time is worked on; others wait for their turn.
 *
 * @example
 * ```ts
 * import { Client, decodeImage, pictureToInput } from 'ringfence'
 *
 * const client = await Client.create({ server: 'wss://server.example', helper: 'wss://helper.example', keepPrepared: 2 })
 * const picture = await (await fetch('/cat.png')).arrayBuffer()
 * const input = pictureToInput(decodeImage(new Uint8Array(picture)), client.plan.input)
 * const { label, milliseconds } = await client.run(input, { signal: AbortSignal.timeout(10_000) })
 * console.log(label, milliseconds)
 * await client.release()
 * ```
 */
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

  /**
   * Classifies many inputs, several at a time, each over a connection of its own: latency is waited for once for all of them.
   * Outcomes come in the order in which inferences end. An inference that fails is an outcome as well, and the others go on;
   * where the server has no room for as many, fewer are in flight. Inputs are read as they are needed: at most `inFlight` are
   * held, also while the caller is busy with an outcome. What was prepared before serves this client's own connection; the
   * others, which end with the iteration, prepare for themselves.
   *
   * @example
   * ```ts
   * import type { Client } from 'ringfence'
   *
   * export async function labels(client: Client, inputs: Iterable<Float32Array>): Promise<(string | undefined)[]> {
   *   const found: (string | undefined)[] = []
   *   for await (const { index, result, error } of client.runMany(inputs, { inFlight: 16 })) {
   *     if (error) console.error(`input ${index}: ${error.message}`)
   *     else found[index] = result.label
   *   }
   *   return found
   * }
   * ```
   * @throws RingfenceError BAD_INPUT (`inFlight`), ABORTED; once no connection is left, what ended the last; what reading the
   *   inputs throws
   */
  async *runMany(
    inputs: Iterable<Float32Array> | AsyncIterable<Float32Array>,
    options: ManyOptions = {},
  ): AsyncGenerator<Outcome, void, undefined> {
    const entry = { client: this }
    busy.add(entry)
    try {
      yield* runMany(this.#engine, inputs, options)
    } finally {
      busy.delete(entry)
    }
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
