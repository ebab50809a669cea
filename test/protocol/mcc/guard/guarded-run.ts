// One guarded inference between three parties without links: every message can be watched and changed, and the coins of all
// parties are there to predict what comes of it.
import { RingfenceError } from '../../../../src/errors.js'
import { loadKernels, type Region } from '../../../../src/kernels/instance.js'
import { type Compiled, weightKey } from '../../../../src/plan/compile/compile.js'
import type { MccPlan } from '../../../../src/plan/plan.js'
import { tensorMask } from '../../../../src/protocol/linear.js'
import { dealInference, uploadInference } from '../../../../src/protocol/mcc/dealing.js'
import { ClientGuard, ServerGuard } from '../../../../src/protocol/mcc/guard/inference.js'
import { type GuardTerms, guardTerms, lastActive, segmentAt } from '../../../../src/protocol/mcc/guard/terms.js'
import { sendTransposes } from '../../../../src/protocol/mcc/guard/transposes.js'
import { takeTransposes, tensorSizes, UploadMasks } from '../../../../src/protocol/mcc/guard/upload.js'
import { runLinear } from '../../../../src/protocol/mcc/linear.js'
import { emptyMaterial, releaseMaterial, takeDealt, takeDelta } from '../../../../src/protocol/mcc/material.js'
import { sendOutput } from '../../../../src/protocol/mcc/output.js'
import {
  answerRelu,
  drawOpening,
  drawRelu,
  finishRelu,
  openRelu,
  reluMaterial,
  reluSizes,
} from '../../../../src/protocol/mcc/relu.js'
import type { MccSteps, ReluStep } from '../../../../src/protocol/mcc/step.js'
import { isActive, layOut } from '../../../../src/protocol/step.js'
import { fillModelMask, type ModelShare, packShare } from '../../../../src/protocol/weights.js'
import type { Streams } from '../../../../src/random/streams.js'
import { honest, type MakeStreams } from '../../../fixtures/faulty-streams.js'

/** What clients send, and what they are sent. */
export type FromClient = 'delta' | 'input' | 'reply' | 'proof'
export type ToClient = 'opening' | 'signs'

export interface Watcher {
  /** Changes what the client sends, in place. `step` of δ may be the one behind the last: t. */
  alter?(what: FromClient, step: number, payload: Uint8Array): void
  /** All that reaches the server, as it reaches it. */
  server?(what: FromClient | 'dealt', step: number, payload: Uint8Array): void
  /** Every tensor as the server holds it, x̂. */
  tensor?(index: number, words: Uint32Array): void
  /** All that reaches the client before the output. */
  client?(what: ToClient, step: number, payload: Uint8Array): void
}

/** Streams of which a test breaks one. */
export interface GuardedStreams {
  ch?: MakeStreams
  sh?: MakeStreams
  own?: MakeStreams
}

export class GuardedParties {
  readonly k = loadKernels()
  readonly planned: MccSteps
  readonly terms: GuardTerms
  /** Of client and helper, server and helper, the helper alone, and the registration. */
  readonly ch: Streams
  readonly sh: Streams
  readonly own: Streams
  readonly registration: Streams
  readonly #masks: UploadMasks
  #shares!: { w: ModelShare; b: ModelShare; f: ModelShare }
  #transposes: Region[] = []

  private constructor(
    readonly compiled: Compiled<MccPlan>,
    { ch = honest, sh = honest, own = honest }: GuardedStreams,
  ) {
    const { k } = this
    const seed = (byte: number) => new Uint8Array(32).fill(byte)
    this.planned = layOut(k, compiled.plan)
    this.terms = guardTerms(this.planned)!
    this.ch = ch(k, seed(1))
    this.sh = sh(k, seed(2))
    this.own = own(k, seed(3))
    this.registration = honest(k, seed(5))
    this.#masks = new UploadMasks(honest(k, seed(4)))
  }

  static async of(compiled: Compiled<MccPlan>, streams: GuardedStreams = {}): Promise<GuardedParties> {
    const made = new GuardedParties(compiled, streams)
    const { k, planned, terms, registration } = made
    const { plan, model } = compiled
    const seed = honest(k, new Uint8Array(32).fill(4))
    const weightsOf = (step: number, operation: number) => model.weights.get(weightKey(step, operation))!
    const w = await packShare(k, plan, ({ step, operation }, words) => void words.i32().set(weightsOf(step, operation)))
    const b = await packShare(k, plan, (slot, words) => fillModelMask(seed, slot, words))
    const f = await packShare(k, plan, (slot, words) => {
      fillModelMask(seed, slot, words)
      const [weights, masked] = [weightsOf(slot.step, slot.operation), words.i32()]
      for (let i = 0; i < masked.length; i++) masked[i] = weights[i] - masked[i]
    })
    made.#shares = { w, b, f }
    const sizes = tensorSizes(plan)
    await sendTransposes(k, planned, terms, { registration, model: seed }, (tensor, message) => {
      made.#transposes.push(takeTransposes(k, message.u8().slice(), sizes[tensor], terms))
    })
    return made
  }

  /** The bytes of y that the client gets, or null where it is refused. */
  async run(input: Int32Array, inference: number, watcher: Watcher = {}): Promise<Uint8Array | null> {
    const { k, planned, terms, ch, sh, own, registration } = this
    const { steps, plan } = planned
    const material = emptyMaterial(k, steps, terms, this.compiled.model.bias)
    const dealt = { terms, registration, transposes: this.#transposes }
    const emit = (step: number, message: Region) => {
      const payload = message.u8().slice()
      watcher.server?.('dealt', step, payload)
      takeDealt(k, planned, terms, step, payload, material)
    }
    await dealInference(k, planned, this.#shares.f, { ch, sh, own }, inference, emit, dealt)
    const sent = (what: FromClient, step: number, message: Region | Uint8Array): Uint8Array => {
      const payload = message instanceof Uint8Array ? message : message.u8().slice()
      watcher.alter?.(what, step, payload)
      watcher.server?.(what, step, payload)
      return payload
    }
    const upload = (step: number, message: Region) =>
      takeDelta(k, planned, step, sent('delta', step, message), material, registration)
    await uploadInference(k, planned, this.#shares.b, ch, inference, upload, this.#masks)
    const client = new ClientGuard(k, terms, ch, inference)
    const server = new ServerGuard(k, terms, sh, inference, material.guard!)
    const tensors: Region[] = []
    const hold = (tensor: Region) => {
      watcher.tensor?.(tensors.length, tensor.u32().slice())
      tensors.push(tensor)
    }
    try {
      const first = client.input(input, planned)
      hold(server.input(sent('input', 0, first), planned))
      first.release()
      const source = { tensor: (i: number) => tensors[i], weights: this.#shares.w.weights, lifts: true }
      for (const step of steps) {
        const { c, dealt } = material.steps.get(step.index)!
        runLinear(k, step, source, c)
        if (!isActive(step)) {
          const output = sendOutput(k, step, c, plan.ring)
          const bytes = output.u8().slice()
          output.release()
          return bytes
        }
        const relu = reluMaterial(step, plan.ring, dealt!.opening)
        const drawn = drawOpening(k, step, sh, relu.words, inference, plan.ring)
        const opened = openRelu(k, step, drawn, c, relu.tables, server.compared)
        watcher.client?.('opening', step.index, opened.message.u8().slice())
        const reply = this.#reply(step, opened.message, inference, client)
        reply.u8().set(sent('reply', step.index, reply))
        server.prepare(step, dealt!.reply)
        hold(finishRelu(k, step, opened, reply, plan.ring, server))
        for (const region of [opened.e, opened.a1, opened.words, opened.message, reply]) region.release()
        const segment = segmentAt(terms, step.index)
        if (segment) {
          const signs = server.signs(segment)
          watcher.client?.('signs', step.index, signs.u8().slice())
          client.answer(segment, signs)
          signs.release()
        }
        if (step.index === lastActive(steps)) server.check(sent('proof', step.index, client.prove()))
      }
      throw new Error('a plan ends in a step without an activation')
    } catch (error) {
      if (error instanceof RingfenceError && error.code === 'CHEATED') return null
      throw error
    } finally {
      for (const tensor of tensors) tensor.release()
      client.release()
      server.release()
      releaseMaterial(material)
    }
  }

  #reply(step: ReluStep, message: Region, inference: number, guard: ClientGuard): Region {
    const { k, planned, ch, terms } = this
    const { ring } = planned.plan
    const next = tensorMask(k, planned, ch, step.index + 1, inference)
    const reply = k.memory.alloc(reluSizes(step, ring, terms).reply)
    const drawn = drawRelu(k, step, ch, next, inference, ring, guard)
    answerRelu(k, step, drawn, message, next, reply, ring, guard)
    drawn.release()
    next.release()
    return reply
  }
}
