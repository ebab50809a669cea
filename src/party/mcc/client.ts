// The client on `mcc`: it asks the helper to deal, uploads its part of the material to the server, then classifies in one
// round trip per wave of independent steps: it answers openings in the order in which they come.
import { RingfenceError } from '../../errors.js'
import { packedBytes } from '../../kernels/bits.js'
import { type Region, upload } from '../../kernels/instance.js'
import { busy, type NextOptions, Phase } from '../../net/index.js'
import type { MccPlan } from '../../plan/plan.js'
import { Kind } from '../../protocol/kinds.js'
import { uploadInference } from '../../protocol/mcc/inference.js'
import { sendInput } from '../../protocol/mcc/input.js'
import { inputMask } from '../../protocol/mcc/linear.js'
import { openOutput } from '../../protocol/mcc/output.js'
import { answerRelu, reluSizes } from '../../protocol/mcc/relu.js'
import type { ReluStep } from '../../protocol/mcc/step.js'
import { isActive } from '../../protocol/step.js'
import type { Streams } from '../../random/streams.js'
import type { ClientBackend, ClientContext, RawResult } from '../backend.js'
import type { CallOptions } from '../client-options.js'
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
    const { share } = await dealer.join()
    const { steps } = planned
    meter.mark(Phase.offline, 0)
    server.send(Kind.upload, Phase.offline, 0, inferenceHead(inference))
    await uploadInference(k, planned, share, streams, inference, async (step, message) => {
      await sendPieces(server, Kind.delta, Phase.offline, step, message, { deadlineMs, signal })
      if (step + 1 < steps.length) meter.mark(Phase.offline, step + 1)
      onProgress?.({ phase: 'prepare', inference, step: step + 1, steps: steps.length, layer: steps[step].step.id })
    })
  }

  async infer(input: Int32Array, options: CallOptions): Promise<RawResult> {
    const ready = this.#claimed!
    this.#claimed = undefined
    try {
      return await this.#infer(ready, input, options)
    } finally {
      ready.streams.release()
    }
  }

  async #infer(ready: InMemory, input: Int32Array, { signal, onProgress }: CallOptions): Promise<RawResult> {
    const { inference, streams } = ready
    const { k, planned, server, meter } = this.context
    const { plan, steps } = planned
    const masked = sendInput(k, planned, streams, input, inference)
    const first = server.frame(Kind.input, Phase.online, 0, INFERENCE_BYTES + masked.byteLength)
    writeInference(first, inference)
    first.set(masked.u8(), INFERENCE_BYTES)
    masked.release()
    server.sendFrame(first)
    let raw = new Int32Array(0) as Int32Array
    const leading = new Set(planned.waves.map(([step]) => step))
    for (const step of steps) {
      meter.mark(Phase.online, step.index)
      if (isActive(step)) await this.#relu(step, ready, { signal, beside: !leading.has(step) })
      else {
        const length = packedBytes(step.size, plan.ring)
        const payload = await server.receive(Kind.output, Phase.online, step.index, length, { signal })
        raw = openOutput(k, step, streams, payload, inference, plan.ring)
      }
      onProgress?.({ phase: 'run', inference, step: step.index + 1, steps: steps.length, layer: step.step.id })
    }
    meter.stop()
    return { inference, raw, scale: steps[steps.length - 1].step.scale }
  }

  async #relu(step: ReluStep, { inference, streams }: InMemory, options: NextOptions): Promise<void> {
    const { k, planned, server } = this.context
    const { ring } = planned.plan
    const sizes = reluSizes(step, ring)
    const next = inputMask(k, planned, streams, step.index + 1, inference)
    const reply = k.memory.alloc(sizes.reply)
    let message: Region | undefined
    try {
      const payload = await server.receive(Kind.opening, Phase.online, step.index, sizes.opening, options)
      message = upload(k.memory, payload)
      answerRelu(k, step, streams, message, next, reply, inference, ring)
      server.send(Kind.reply, Phase.online, step.index, reply.u8())
    } finally {
      message?.release()
      reply.release()
      next.release(true)
    }
  }
}

function inferenceHead(inference: number): Uint8Array {
  const head = new Uint8Array(INFERENCE_BYTES)
  writeInference(head, inference)
  return head
}
