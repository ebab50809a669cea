// The client in this thread. What happens between the handshake and the answer is its back end's affair: party/mcc or
// party/securenn.
import { RingfenceError } from '../../errors.js'
import type { Meter, MeterReport } from '../../net/index.js'
import { inputWords, outputsOf } from '../../plan/ends.js'
import { planOutputs } from '../../plan/outputs.js'
import { bounds, elementCount, type MccPlan, type Plan, type SecurennPlan, tensorShape } from '../../plan/plan.js'
import { expectInput } from '../../ring/codec.js'
import type { ClientBackend, ClientContext } from '../backend.js'
import { MccClient } from '../mcc/client.js'
import { MAX_BATCH } from '../messages.js'
import { AUDIT, asRingfenceError, SEEDS, Turns, whyGone } from '../options.js'
import { SecurennClient } from '../securenn/client.js'
import { answerOf } from './answer.js'
import type { CallOptions, ClientEngine, ClientOptions, InferenceResult } from './client-options.js'
import { connectClient } from './connect-client.js'

export class LocalClient implements ClientEngine {
  readonly #context: ClientContext
  readonly #backend: ClientBackend
  /** Calls of one client take turns: its links carry one conversation at a time. */
  readonly #mutex = new Turns()
  #ended: RingfenceError | undefined
  readonly #keep: number
  readonly #onPrepared: ((prepared: number) => void) | undefined
  #refilling = false
  #close!: (error: RingfenceError) => void
  readonly closed = new Promise<RingfenceError>((resolve) => {
    this.#close = resolve
  })

  /** How a further connection is made; undefined: not at all, and then nothing of the caller's is held. */
  readonly #again: ClientOptions | undefined
  /** Of the first connection, where this is another: what passed over this one is counted there in the end. */
  #first: Meter | undefined

  private constructor(context: ClientContext, options: ClientOptions) {
    const { keepPrepared = 0, onPrepared, server, helper, token, helperKey, deadlineMs, [AUDIT]: audit } = options
    if (typeof server !== 'object' && typeof helper !== 'object') {
      this.#again = { server, helper, token, helperKey, deadlineMs, [AUDIT]: audit, [SEEDS]: options[SEEDS] }
    }
    this.#context = context
    this.#backend = backendOf(context)
    this.#keep = keepPrepared
    this.#onPrepared = onPrepared
    void this.#refill()
    void this.#watch()
  }

  /** A server that goes away while nothing is asked of it ends the client too. */
  async #watch(): Promise<void> {
    const { server } = this.#context
    await server.closed
    await this.#mutex.take(async () => {
      if (this.#ended) return
      this.#end(await whyGone(server))
    })
  }

  /** Prepares one inference after another, between calls, until enough are ready or the server has no room. */
  async #refill(): Promise<void> {
    if (this.#refilling) return
    this.#refilling = true
    try {
      while (!this.#ended && this.#backend.prepared < this.#keep) {
        await this.#context.dealer.join() // not in a call's turn: a helper that is away keeps nobody waiting
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
    return new LocalClient(await connectClient(options), options)
  }

  /** @throws RingfenceError UNSUPPORTED where the client was given open channels; else as `create` */
  async another(signal: AbortSignal): Promise<LocalClient> {
    if (this.#ended) throw this.#ended
    const { network, meter } = this.#context
    const { plan } = network.planned
    if (!this.#again) {
      const what = 'a client of an open channel has one connection; give it addresses, or functions that open channels'
      throw new RingfenceError('UNSUPPORTED', what)
    }
    const options = { ...this.#again, plan, signal }
    const lane = new LocalClient(await connectClient(options, undefined, network.hold()), options)
    lane.#first = meter
    return lane
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
      const values = expectInput(input, elementCount(tensorShape(plan, 0)))
      const words = inputWords(plan, values)
      await this.#backend.claim(options)
      const started = performance.now()
      const { inference, raw, scale } = await this.#backend.infer(words, options)
      void this.#refill()
      const { input: widest, output: largest } = bounds(plan)
      return {
        ...answerOf({ ...outputsOf(plan), scale, labels: plan.labels }, raw, (values) => planOutputs(plan, values)),
        raw,
        scale,
        inference,
        beyondRange: { input: countBeyond(words, widest), output: countBeyond(raw, largest) },
        milliseconds: performance.now() - started,
      }
    })
  }

  async release(): Promise<void> {
    this.#context.server.close()
    this.#context.dealer.close()
    await this.#mutex.take(async () => this.#forget(new RingfenceError('ABORTED', 'this client was released')))
  }

  /** Runs a call in turn. An error between parties ends the session: the conversation cannot be resumed. */
  #guard<T>({ signal }: CallOptions, task: () => Promise<T>): Promise<T> {
    return this.#mutex.take(async () => {
      if (this.#ended) throw this.#ended
      if (signal?.aborted) throw new RingfenceError('ABORTED', 'the call was aborted before it began')
      try {
        return await task()
      } catch (cause) {
        const error = asRingfenceError(cause)
        // As a peer's last word these have a cause; as an answer they have none, and the conversation goes on.
        const refused = error.code === 'BUSY' || error.code === 'UNAUTHORIZED'
        const answered = error.code === 'STORE_FULL' || (refused && error.cause === undefined)
        const harmless = answered || error.code === 'BAD_INPUT' || error === this.#context.dealer.refusal
        if (!harmless) this.#end(error)
        throw error
      }
    })
  }

  /** Tells both peers that the conversation failed. */
  #end(error: RingfenceError): void {
    this.#context.server.fail(error)
    this.#context.dealer.fail(error)
    this.#forget(error)
  }

  #forget(error: RingfenceError): void {
    if (this.#ended) return
    this.#ended = error
    this.#backend.release()
    const { network, dealer, meter } = this.#context
    dealer.release()
    network.release()
    this.#first?.add(meter)
    this.#close(error)
  }
}

function backendOf(context: ClientContext): ClientBackend {
  return context.planned.plan.backend === 'mcc'
    ? new MccClient(context as ClientContext<MccPlan>)
    : new SecurennClient(context as ClientContext<SecurennPlan>)
}

/** How many words are no smaller than a bound. */
function countBeyond(words: Int32Array, bound: number): number {
  let beyond = 0
  for (let i = 0; i < words.length; i++) if (Math.abs(words[i]) >= bound) beyond++
  return beyond
}
