// The client on `securenn`: all three parties are on line, nothing is prepared.
import { scoped } from '../../kernels/scope.js'
import { Phase } from '../../net/index.js'
import type { SecurennPlan } from '../../plan/plan.js'
import { outputFraction } from '../../plan/plan.js'
import { Kind } from '../../protocol/kinds.js'
import { runClient } from '../../protocol/securenn/inference.js'
import { Streams } from '../../random/streams.js'
import type { ClientBackend, ClientContext, RawResult } from '../backend.js'
import type { CallOptions } from '../client/client-options.js'
import { Ledger } from '../ledger.js'
import { INFERENCE_BYTES, writeInference } from '../messages.js'

export class SecurennClient implements ClientBackend {
  readonly prepared = Number.POSITIVE_INFINITY
  readonly #ledger = new Ledger()
  /** Shared with the server: the masks that the helper must not know. */
  readonly #common: Streams

  constructor(private readonly context: ClientContext<SecurennPlan>) {
    const { k, planned, server, source } = context
    const seed = source()
    this.#common = new Streams(k, seed, planned.plan.rounds)
    server.send(Kind.pair, Phase.setup, 0, seed)
    seed.fill(0)
  }

  async prepare(): Promise<void> {}

  async claim(): Promise<void> {}

  release(): void {
    this.#common.release()
  }

  async infer(input: Int32Array, { signal, onProgress }: CallOptions): Promise<RawResult> {
    const { k, server, dealer, planned, meter } = this.context
    const { helper, ch, share } = await dealer.join()
    const { plan, steps } = planned
    const inference = this.#ledger.next
    this.#ledger.burn(inference)
    const head = new Uint8Array(INFERENCE_BYTES)
    writeInference(head, inference)
    for (const link of [server, helper]) link.send(Kind.start, Phase.online, 0, head)
    const onStep = (step: number) =>
      onProgress?.({ phase: 'run', inference, step: step + 1, steps: steps.length, layer: steps[step].step.id })
    const raw = await scoped(k, (k) => {
      const [common, dealt] = [this.#common.on(k), ch.on(k)]
      const side = { k, party: 0, common, dealt, peer: server, helper, signal } as const
      return runClient({ side, planned, share, meter, inference, ch: dealt }, input, onStep)
    })
    return { inference, raw, scale: outputFraction(plan) }
  }
}
