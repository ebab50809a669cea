// The client on `mcc`: it asks the helper to deal, uploads its part of the material to the server, then runs inferences
// with it (protocol/mcc/inference.ts).
import { RingfenceError } from '../../errors.js'
import type { Region } from '../../kernels/instance.js'
import { busy, Phase } from '../../net/index.js'
import type { MccPlan } from '../../plan/plan.js'
import { Kind } from '../../protocol/kinds.js'
import { uploadInference } from '../../protocol/mcc/dealing.js'
import { type ClientWalk, runClient } from '../../protocol/mcc/inference.js'
import type { Streams } from '../../random/streams.js'
import { refused } from '../allowance.js'
import type { ClientBackend, ClientContext, RawResult } from '../backend.js'
import type { CallOptions } from '../client/client-options.js'
import { Ledger } from '../ledger.js'
import {
  decodeReserved,
  encodeBatch,
  encodeDeal,
  INFERENCE_BYTES,
  RESERVED_BYTES,
  type Reserved,
  writeInference,
} from '../messages.js'
import { sendPieces } from '../transfer.js'
import type { Ready } from './keeping.js'

type InMemory = Ready & { readonly streams: Streams }

const inMemory = (ready: Ready | undefined): InMemory | undefined => (ready?.streams ? (ready as InMemory) : undefined)

export class MccClient implements ClientBackend {
  readonly #ledger = new Ledger()
  readonly #ready: Ready[]
  #claimed: InMemory | undefined

  constructor(private readonly context: ClientContext<MccPlan>) {
    this.#ready = [...(context.kept?.ready ?? [])]
  }

  get prepared(): number {
    return this.#ready.length
  }

  release(): void {
    for (const { streams } of this.#ready.splice(0)) streams?.release()
    this.#claimed?.streams.release()
    this.#claimed = undefined
  }

  async claim(options: CallOptions): Promise<void> {
    while (!this.#claimed) {
      const next = this.#ready.shift()
      if (!next) await this.prepare(1, options)
      else this.#claimed = inMemory(next.entry ? await this.context.kept!.keeping.take(next.entry, options) : next)
    }
  }

  /** In portions, as the server grants them. */
  async prepare(count: number, options: CallOptions): Promise<void> {
    const { dealer, meter } = this.context
    await dealer.join(options.signal)
    for (let done = 0; done < count; ) {
      meter.mark(Phase.offline, 0)
      const portion = await this.#reserve(count - done, options)
      const { granted, lack, retryAfterMs } = portion
      await this.#prepare(portion, options)
      meter.stop()
      done += granted
      if (lack === 'BUSY') throw busy('the server', retryAfterMs)
      if (lack === 'UNAUTHORIZED') throw refused({ granted: 0 })
      if (granted > 0) continue
      const what = `the server had room for ${done} of ${count} inferences; run some, then prepare more`
      throw new RingfenceError('STORE_FULL', what, [], { retryAfterMs })
    }
  }

  async #reserve(count: number, { signal }: CallOptions): Promise<Reserved & { first: number }> {
    const { server } = this.context
    const first = this.#ledger.next
    server.send(Kind.reserve, Phase.offline, 0, encodeBatch(first, count))
    const answer = decodeReserved(await server.receive(Kind.reserved, Phase.offline, 0, RESERVED_BYTES, { signal }))
    if (answer.granted > count) throw new RingfenceError('PROTOCOL', 'the server granted more than was asked for')
    if (answer.granted > 0) this.#ledger.burn(first, answer.granted)
    return { ...answer, first }
  }

  async #prepare({ first, granted, grant }: Reserved & { first: number }, options: CallOptions): Promise<void> {
    if (granted === 0) return
    const { dealer, kept } = this.context
    const { helper, ch } = await dealer.join()
    helper.send(Kind.deal, Phase.offline, 0, encodeDeal(first, granted, grant))
    for (let i = 0; i < granted; i++) {
      const inference = first + i
      const streams = ch.ofInference(inference)
      try {
        await this.#upload({ inference, streams }, options)
        await helper.receive(Kind.dealt, Phase.offline, 0, 0, { signal: options.signal })
      } catch (error) {
        streams.release()
        throw error
      }
      const ready = kept ? await kept.keeping.put(inference, streams) : { inference, streams }
      if (ready) this.#ready.push(ready)
    }
  }

  async #upload({ inference, streams }: InMemory, { signal, onProgress }: CallOptions): Promise<void> {
    const { k, planned, dealer, server, deadlineMs, meter } = this.context
    const { share, uploadMasks } = await dealer.join()
    const { steps } = planned
    meter.mark(Phase.offline, 0)
    server.send(Kind.upload, Phase.offline, 0, inferenceHead(inference))
    const send = async (step: number, message: Region) => {
      await sendPieces(server, Kind.delta, Phase.offline, step, message, { deadlineMs, signal })
      if (step === steps.length) return
      if (step + 1 < steps.length) meter.mark(Phase.offline, step + 1)
      onProgress?.({ phase: 'prepare', inference, step: step + 1, steps: steps.length, layer: steps[step].step.id })
    }
    await uploadInference(k, planned, share, streams, inference, send, uploadMasks)
  }

  async infer(input: Int32Array, { signal, onProgress }: CallOptions): Promise<RawResult> {
    const { steps } = this.context.planned
    const { inference, result } = await this.spend((walk) => {
      const onStep = (step: number) => {
        const progress = { step: step + 1, steps: steps.length, layer: steps[step].step.id }
        onProgress?.({ phase: 'run', inference: walk.inference, ...progress })
      }
      return runClient(walk, input, onStep)
    }, signal)
    return { inference, raw: result, scale: steps[steps.length - 1].step.scale }
  }

  /** Uses up what was claimed. */
  async spend<T>(
    run: (walk: ClientWalk) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<{ inference: number; result: T }> {
    const { inference, streams: ch } = this.#claimed!
    this.#claimed = undefined
    const { k, planned, server, meter } = this.context
    try {
      return { inference, result: await run({ k, planned, server, meter, ch, inference, signal }) }
    } finally {
      ch.release()
    }
  }
}

function inferenceHead(inference: number): Uint8Array {
  const head = new Uint8Array(INFERENCE_BYTES)
  writeInference(head, inference)
  return head
}
