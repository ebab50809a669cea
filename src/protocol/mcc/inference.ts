// One inference through a whole plan, per role: off line the helper deals and the client uploads, on line client and server
// walk the steps. Parties put these between their links and their life cycle.
import { pack, packedBytes } from '../../kernels/bits.js'
import { type Kernels, type Region, upload } from '../../kernels/instance.js'
import { type Link, type Meter, Phase, turn } from '../../net/index.js'
import type { Streams } from '../../random/streams.js'
import { INFERENCE_BYTES, writeInference } from '../control.js'
import { Kind } from '../kinds.js'
import type { LinearSource } from '../linear.js'
import { LiveTensors } from '../live-tensors.js'
import { isActive } from '../step.js'
import type { ModelShare } from '../weights.js'
import { delegatedSizes, writeDelegateHalf } from './delegated.js'
import { sendInput } from './input.js'
import { dealLinear, inputMask, outputMask, runLinear, uploadLinear } from './linear.js'
import { materialBytes, releaseMaterial, type StepMaterial } from './material.js'
import { openOutput, sendOutput } from './output.js'
import { answerRelu, type DealerStreams, dealRelu, finishRelu, type Opened, openRelu, reluSizes } from './relu.js'
import type { MccStep, MccSteps, ReluStep } from './step.js'
import { packWords } from './words.js'

/** The r of every tensor of one inference, made when first needed. */
class InputMasks {
  readonly #masks: (Region | undefined)[] = []

  constructor(
    private readonly k: Kernels,
    private readonly steps: MccSteps,
    private readonly ch: Streams,
    private readonly inference: number,
  ) {}

  readonly get = (index: number): Region => {
    this.#masks[index] ??= inputMask(this.k, this.steps, this.ch, index, this.inference)
    return this.#masks[index]
  }

  release(): void {
    for (const mask of this.#masks) mask?.release(true)
    this.#masks.length = 0
  }
}

/** Writes a packed vector at `offset` of a message; returns where it ends. */
function put(k: Kernels, words: Region, count: number, bits: number, message: Region, offset: number): number {
  const bytes = packedBytes(count, bits)
  pack(k, words, count, bits, message.part(offset, bytes))
  return offset + bytes
}

/** Helper: the material of one inference, one message per step. `message` is lent to `emit` until it resolves. */
export async function dealInference(
  k: Kernels,
  planned: MccSteps,
  share: ModelShare,
  streams: DealerStreams,
  inference: number,
  emit: (step: number, message: Region) => void | Promise<void>,
): Promise<void> {
  const { plan, steps } = planned
  const masks = new InputMasks(k, planned, streams.ch, inference)
  const source: LinearSource = { tensor: masks.get, weights: share.weights, lifts: false }
  try {
    for (const step of steps) {
      const message = k.memory.alloc(materialBytes(step, plan.ring))
      const u = dealLinear(k, step, streams.ch, source, inference)
      const at = put(k, u, step.size, plan.ring, message, 0)
      u.release()
      if (isActive(step)) dealInto(k, step, streams, inference, plan.ring, message, at)
      try {
        await emit(step.index, message)
      } finally {
        message.release()
      }
    }
  } finally {
    masks.release()
  }
}

function dealInto(
  k: Kernels,
  step: ReluStep,
  streams: DealerStreams,
  inference: number,
  ring: number,
  message: Region,
  at: number,
): void {
  const m = outputMask(streams.ch, step, inference)
  const { tables, words } = dealRelu(k, step, streams, m, inference, ring)
  m.release(true)
  const sizes = reluSizes(step, ring)
  message.u8().set(tables.u8().subarray(0, sizes.tables), at)
  packWords(k, step, ring, words, message.part(at + sizes.tables, sizes.words))
  tables.release()
  words.release()
}

/** Client, off line: δ of every step, packed. `message` is lent to `emit` until it resolves. */
export async function uploadInference(
  k: Kernels,
  planned: MccSteps,
  share: ModelShare,
  ch: Streams,
  inference: number,
  emit: (step: number, message: Region) => void | Promise<void>,
): Promise<void> {
  const { plan, steps } = planned
  const masks = new InputMasks(k, planned, ch, inference)
  const source: LinearSource = { tensor: masks.get, weights: share.weights, lifts: true }
  try {
    for (const step of steps) {
      const delta = uploadLinear(k, step, ch, source, inference)
      const message = k.memory.alloc(packedBytes(step.size, plan.ring))
      pack(k, delta, step.size, plan.ring, message)
      delta.release()
      try {
        await emit(step.index, message)
      } finally {
        message.release()
      }
    }
  } finally {
    masks.release()
  }
}

/** What a client walks a plan with, on line. */
export interface ClientWalk {
  readonly k: Kernels
  readonly planned: MccSteps
  readonly server: Link
  readonly meter: Meter
  /** Shared with the helper, for this inference: r, m, pads and halves. */
  readonly ch: Streams
  readonly inference: number
  /** Calls the inference off. */
  readonly signal?: AbortSignal
}

/**
 * Client: from its input (signed fixed-point words, CHW) to y of the last step. It answers openings in the order in which
 * they come, one round trip per wave of independent steps.
 */
export async function runClient(
  walk: ClientWalk,
  input: Int32Array,
  onStep?: (step: number) => void,
): Promise<Int32Array> {
  const { k, planned, server, meter, ch, inference, signal } = walk
  const { ring } = planned.plan
  startInference(walk, input)
  await answerSteps(walk, onStep)
  const step = planned.steps[planned.steps.length - 1]
  meter.mark(Phase.online, step.index)
  const length = packedBytes(step.size, ring)
  const payload = await server.receive(Kind.output, Phase.online, step.index, length, { signal })
  const output = openOutput(k, step, ch, payload, inference, ring)
  onStep?.(step.index)
  meter.stop()
  return output
}

/**
 * Delegate: plays the client of an inference whose input and answer belong to somebody else.
 * @param owner streams of the seed that it shares with the owner; @param id of the owner's request
 * @returns false when the owner has left: the inference is used up all the same
 */
export async function runDelegate(walk: ClientWalk, owner: Streams, id: Uint8Array): Promise<boolean> {
  const { k, planned, server, meter, ch, inference, signal } = walk
  const frame = server.frame(Kind.join, Phase.online, 0, delegatedSizes(planned.plan)!.joinBytes)
  writeDelegateHalf(k, planned, { ch, owner, inference, id }, frame)
  server.sendFrame(frame)
  const [begins] = await server.receive(Kind.joined, Phase.online, 0, 1, { signal })
  if (begins) await answerSteps(walk)
  meter.stop()
  return begins === 1
}

/** Answers the openings of all steps but the last, which has none. */
async function answerSteps(walk: ClientWalk, onStep?: (step: number) => void): Promise<void> {
  const { planned, meter } = walk
  const leading = new Set(planned.waves.map(([step]) => step))
  for (const step of planned.steps.filter(isActive)) {
    meter.mark(Phase.online, step.index)
    await answerStep(walk, step, !leading.has(step))
    onStep?.(step.index)
  }
}

function startInference({ k, planned, server, ch, inference }: ClientWalk, input: Int32Array): void {
  const masked = sendInput(k, planned, ch, input, inference)
  const frame = server.frame(Kind.input, Phase.online, 0, INFERENCE_BYTES + masked.byteLength)
  writeInference(frame, inference)
  frame.set(masked.u8(), INFERENCE_BYTES)
  masked.release()
  server.sendFrame(frame)
}

/** @param beside whether the step's opening comes in the flight of the one before */
async function answerStep(walk: ClientWalk, step: ReluStep, beside: boolean): Promise<void> {
  const { k, planned, server, ch, inference, signal } = walk
  const { ring } = planned.plan
  const sizes = reluSizes(step, ring)
  const next = inputMask(k, planned, ch, step.index + 1, inference)
  const reply = k.memory.alloc(sizes.reply)
  let message: Region | undefined
  try {
    const payload = await server.receive(Kind.opening, Phase.online, step.index, sizes.opening, { signal, beside })
    message = upload(k.memory, payload)
    answerRelu(k, step, ch, message, next, reply, inference, ring)
    server.send(Kind.reply, Phase.online, step.index, reply.u8())
  } finally {
    message?.release()
    reply.release()
    next.release(true)
  }
}

/** What a server walks a plan with, on line. */
export interface ServerWalk {
  readonly k: Kernels
  readonly planned: MccSteps
  readonly share: ModelShare
  readonly client: Link
  readonly meter: Meter
  /** Shared with the helper: a'. */
  readonly sh: Streams
  readonly inference: number
  /** Takes ŷ of the last step, one word per element. Default: it goes to the client. */
  readonly give?: (y: Region) => void
}

/**
 * Server: the linear steps over x̂, an opening and a reply per ReLU step, the output. The openings of a wave
 * (plan/waves.ts) all go out before the first of its replies is received.
 * @param input x̂, one word per element; released
 * @param material of this inference alone; used up and released
 * @throws RingfenceError PEER_GONE, PEER_FAILED, DEADLINE, PROTOCOL, FRAME
 */
export async function runServer(walk: ServerWalk, input: Region, material: readonly StepMaterial[]): Promise<void> {
  const { planned, meter } = walk
  const tensors = new LiveTensors(planned, input)
  try {
    for (const wave of planned.waves) await serveWave(walk, wave, tensors, material)
    meter.stop()
  } finally {
    tensors.release()
    material.forEach(releaseMaterial)
  }
}

async function serveWave(
  walk: ServerWalk,
  wave: readonly MccStep[],
  tensors: LiveTensors,
  material: readonly StepMaterial[],
): Promise<void> {
  const { k, share, client, meter } = walk
  const source = { tensor: tensors.get, weights: share.weights, lifts: true }
  const opened = new OpenedSteps(walk)
  try {
    for (const step of wave) {
      if (step !== wave[0]) {
        // What was sent leaves while the next step is computed; a client that is slower is waited for.
        await turn()
        await client.drained()
      }
      meter.mark(Phase.online, step.index)
      runLinear(k, step, source, material[step.index].c)
      tensors.drop(step.index)
      if (isActive(step)) opened.open(step, material[step.index])
      else giveOutput(walk, step, material[step.index])
    }
    for (const step of wave.filter(isActive)) {
      tensors.add(step.index, await opened.finish(step, material[step.index]))
    }
  } finally {
    opened.release()
  }
}

function giveOutput({ k, planned, client, give }: ServerWalk, step: MccStep, { c }: StepMaterial): void {
  if (give) {
    give(c)
    return
  }
  const output = sendOutput(k, step, c, planned.plan.ring)
  client.send(Kind.output, Phase.online, step.index, output.u8())
  output.release()
}

/** The steps of a wave between their openings and the client's replies. */
class OpenedSteps {
  /** What the reply is read with, by step. */
  readonly #kept = new Map<number, Pick<Opened, 'e' | 'a1'>>()

  constructor(private readonly walk: ServerWalk) {}

  open(step: ReluStep, { c, relu }: StepMaterial): void {
    const { k, planned, client, sh, inference } = this.walk
    const { message, ...kept } = openRelu(k, step, sh, c, relu!, inference, planned.plan.ring)
    this.#kept.set(step.index, kept)
    try {
      client.send(Kind.opening, Phase.online, step.index, message.u8())
    } finally {
      message.release()
    }
  }

  /** x̂ of the step's result. The caller releases it. */
  async finish(step: ReluStep, { relu }: StepMaterial): Promise<Region> {
    const { k, planned, client, meter } = this.walk
    const { ring } = planned.plan
    meter.mark(Phase.online, step.index)
    const { reply } = reluSizes(step, ring)
    const answer = upload(k.memory, await client.receive(Kind.reply, Phase.online, step.index, reply))
    const kept = this.#kept.get(step.index)!
    this.#kept.delete(step.index)
    try {
      return finishRelu(k, step, kept, relu!, answer, ring)
    } finally {
      for (const region of [answer, kept.e, kept.a1]) region.release()
    }
  }

  release(): void {
    for (const { e, a1 } of this.#kept.values()) for (const region of [e, a1]) region.release()
    this.#kept.clear()
  }
}
