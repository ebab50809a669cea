// One inference through a whole plan, on line, per role: client and server walk the steps with the material of dealing.ts.
// Parties put these between their links and their life cycle.

import { packedBytes } from '../../kernels/bits.js'
import type { Kernels, Region } from '../../kernels/instance.js'
import { type Link, type Meter, Phase, turn } from '../../net/index.js'
import type { Streams } from '../../random/streams.js'
import { INFERENCE_BYTES, writeInference } from '../control.js'
import { Kind } from '../kinds.js'
import { tensorMask } from '../linear.js'
import { LiveTensors } from '../live-tensors.js'
import { receiveRegions, sendRegions } from '../regions.js'
import { isActive, isProduct } from '../step.js'
import type { ModelShare } from '../weights.js'
import { answerCurve, curveSizes, finishCurve, openCurve } from './curve.js'
import { ClientGuard, ServerGuard } from './guard/inference.js'
import { type GuardTerms, guardSizes, guardTerms, lastActive, segmentAt, segmentSizes } from './guard/terms.js'
import { sendInput, takeInput } from './input.js'
import { runLinear } from './linear.js'
import { type InferenceMaterial, releaseMaterial, type StepMaterial, spend } from './material.js'
import { openOutput, sendOutput } from './output.js'
import { answerProduct, finishProduct, openProduct, productSizes } from './product.js'
import {
  answerRelu,
  type DrawnOpening,
  drawnBytes,
  drawOpening,
  drawRelu,
  finishRelu,
  MOST_AHEAD,
  openingOf,
  openRelu,
  reluSizes,
  replyOf,
} from './relu.js'
import { type CurveStep, isCurve, type MccStep, type MccSteps, opens, type ProductStep, type ReluStep } from './step.js'
import { partsOf, tablesOf, wordsOf } from './values.js'

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
  const { plan, steps } = planned
  await withGuard(walk, async (guard) => {
    await startInference(walk, input, guard)
    await answerOpenings(walk, guard, onStep)
  })
  const step = steps[steps.length - 1] // the only one that opens nothing
  meter.mark(Phase.online, step.index)
  const length = packedBytes(step.size, plan.ring)
  const [packed] = await receiveRegions(k, server, Kind.output, step.index, [length], { signal })
  const output = openOutput(k, step, ch, packed, inference, plan.ring)
  packed.release()
  onStep?.(step.index)
  meter.stop()
  return output
}

/** Client: does something with the guard of an inference, or with none. */
export async function withGuard<T>(
  { k, planned, ch, inference }: ClientWalk,
  run: (guard: ClientGuard | undefined) => Promise<T>,
): Promise<T> {
  const terms = guardTerms(planned)
  const guard = terms ? new ClientGuard(k, terms, ch, inference) : undefined
  try {
    return await run(guard)
  } finally {
    guard?.release()
  }
}

/** Client: answers every opening, and vouches for all it said where the plan is guarded. */
export async function answerOpenings(
  walk: ClientWalk,
  guard: ClientGuard | undefined,
  onStep?: (step: number) => void,
): Promise<void> {
  const { steps, waves } = walk.planned
  const last = lastActive(steps)
  if (last < 0) await prove(walk, 0, guard)
  const leading = new Set(waves.map(([step]) => step))
  for (const step of steps.filter(opens)) {
    walk.meter.mark(Phase.online, step.index)
    const beside = !leading.has(step)
    const more = guard && segmentAt(guard.terms, step.index)
    await answerStep(walk, step, { beside, queued: !leading.has(steps[step.index + 1]) || Boolean(more) }, guard)
    await answerSecondSets(walk, step.index, guard)
    if (step.index === last) await prove(walk, last, guard)
    onStep?.(step.index)
  }
}

async function startInference(
  { k, planned, server, ch, inference, signal }: ClientWalk,
  input: Int32Array,
  guard: ClientGuard | undefined,
): Promise<void> {
  const masked = guard ? guard.input(input, planned) : sendInput(k, planned, ch, input, inference)
  const head = new Uint8Array(INFERENCE_BYTES)
  writeInference(head, inference)
  try {
    await sendRegions(server, Kind.input, 0, [head, masked], { signal })
  } finally {
    masked.release()
  }
}

/** Where a step stands among those that share its round trip. */
export interface Place {
  /** Its opening comes in the flight of the one before. */
  readonly beside: boolean
  /** The server may still be sending when the reply leaves: then the reply waits for nothing. */
  readonly queued: boolean
}

/**
 * Client: answers a step's opening.
 * @param guard of a guarded plan
 */
async function answerStep(
  walk: ClientWalk,
  step: ReluStep | ProductStep,
  place: Place,
  guard: ClientGuard | undefined,
): Promise<void> {
  const { k, planned, ch, inference } = walk
  const { ring } = planned.plan
  // What was sent leaves while the work is done that needs no answer to it.
  await turn()
  const next = tensorMask(k, planned, ch, step.index + 1, inference)
  const whole = answeredSizes(step, ring, guard?.terms)
  try {
    if (isProduct(step)) {
      await answer(walk, step, whole, place, (message, reply) => answerFactors(walk, step, message, next, reply))
    } else if (isCurve(step)) {
      const look = (message: Region, reply: Region) => answerCurve(k, step, ch, message, next, reply, inference, ring)
      await answer(walk, step, whole, place, look)
    } else await answerParts(walk, step, next, place, guard)
  } finally {
    next.release(true)
  }
}

/** Receives an opening, or a part of one, and replies to it. */
async function answer(
  { k, server, signal }: ClientWalk,
  { index }: MccStep,
  sizes: { readonly opening: number; readonly reply: number },
  { beside, queued }: Place,
  make: (message: Region, reply: Region) => void,
): Promise<void> {
  const reply = k.memory.alloc(sizes.reply)
  let message: Region | undefined
  try {
    ;[message] = await receiveRegions(k, server, Kind.opening, index, [sizes.opening], { signal, beside })
    make(message, reply)
    await sendRegions(server, Kind.reply, index, [reply], { signal, queued })
  } finally {
    for (const region of [message, reply]) region?.release()
  }
}

async function answerParts(
  walk: ClientWalk,
  step: ReluStep,
  next: Region,
  { beside, queued }: Place,
  guard: ClientGuard | undefined,
): Promise<void> {
  const { k, planned, ch, inference } = walk
  const { ring } = planned.plan
  const drawn = drawRelu(k, step, ch, next, inference, ring, guard)
  try {
    const parts = partsOf(step, guard !== undefined)
    for (const part of parts) {
      const place = { beside: beside || part !== parts[0], queued: queued || part !== parts[parts.length - 1] }
      await answer(walk, step, reluSizes(part.step, ring, guard?.terms), place, (message, reply) =>
        answerRelu(k, part.step, replyOf(part, drawn), message, wordsOf(part, next), reply, ring, guard),
      )
    }
  } finally {
    drawn.release()
  }
}

/** Byte lengths of a step's opening and reply. */
function answeredSizes(step: ReluStep | ProductStep, ring: number, terms: GuardTerms | undefined) {
  if (isProduct(step)) return productSizes(step.product, ring)
  return isCurve(step) ? curveSizes(step, ring) : reluSizes(step, ring, terms)
}

function answerFactors(walk: ClientWalk, step: ProductStep, message: Region, next: Region, reply: Region): void {
  const { k, planned, ch, inference } = walk
  const { left, right } = step.product
  const masks = new Map([left, right].map((tensor) => [tensor, tensorMask(k, planned, ch, tensor, inference)]))
  answerProduct(k, step, ch, message, (tensor) => masks.get(tensor)!, next, reply, inference, planned.plan.ring)
  for (const mask of masks.values()) mask.release(true)
}

/** Walks what is compared once more beside a step's opening; the answers wait for the last message. */
async function answerSecondSets(
  { k, server, signal }: ClientWalk,
  step: number,
  guard: ClientGuard | undefined,
): Promise<void> {
  const segment = guard && segmentAt(guard.terms, step)
  if (!segment) return
  const { opening } = segmentSizes(segment)
  const [message] = await receiveRegions(k, server, Kind.signs, step, [opening], { signal, beside: true })
  try {
    guard.answer(segment, message)
  } finally {
    message.release()
  }
}

/** The last message of a guarded inference: it answers what was compared once more, and vouches for all replies. */
async function prove({ server, signal }: ClientWalk, step: number, guard: ClientGuard | undefined): Promise<void> {
  if (guard) await sendRegions(server, Kind.proof, step, [guard.prove()], { signal })
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
 * @param input x̂, packed; or what makes it, one word per element
 * @param material of this inference alone; used up and released
 * @throws RingfenceError CHEATED from a guarded plan; PEER_GONE, PEER_FAILED, DEADLINE, PROTOCOL, FRAME
 */
export async function runServer(
  walk: ServerWalk,
  input: Uint8Array | (() => Region),
  material: InferenceMaterial,
): Promise<void> {
  const { k, planned, meter, sh, inference } = walk
  const terms = guardTerms(planned)
  const guard = terms ? new ServerGuard(k, terms, sh, inference, material.guard!) : undefined
  const ahead = new Ahead(walk)
  let tensors: LiveTensors | undefined
  try {
    const made =
      typeof input === 'function' ? input() : guard ? guard.input(input, planned) : takeInput(k, planned, input)
    tensors = new LiveTensors(planned, made)
    for (const wave of planned.waves) await serveWave(walk, wave, { tensors, material, guard, ahead })
    meter.stop()
  } finally {
    ahead.release()
    tensors?.release()
    guard?.release()
    releaseMaterial(material)
  }
}

/** What a server's walk holds of an inference. */
interface Held {
  readonly tensors: LiveTensors
  readonly material: InferenceMaterial
  readonly guard: ServerGuard | undefined
  readonly ahead: Ahead
}

async function serveWave(
  walk: ServerWalk,
  wave: readonly MccStep[],
  { tensors, material, guard, ahead }: Held,
): Promise<void> {
  const { k, planned, share, client, meter } = walk
  const source = { tensor: tensors.get, weights: share.weights, lifts: true }
  const opened = new OpenedSteps(walk, guard, ahead)
  const last = lastActive(planned.steps)
  try {
    for (const step of wave) {
      if (step !== wave[0]) {
        // What was sent leaves while the next step is computed; a client that is slower is waited for.
        await turn()
        await client.drained()
      }
      meter.mark(Phase.online, step.index)
      if (isProduct(step)) {
        await opened.openProduct(step, material, tensors)
        tensors.drop(step.index)
        continue
      }
      const { c } = material.steps.get(step.index)!
      runLinear(k, step, source, c)
      tensors.drop(step.index)
      if (!isActive(step)) {
        if (last < 0) await expectProof(walk, 0, guard)
        await giveOutput(walk, step, c)
        continue
      }
      await opened.open(step, material)
      await openSecondSets(walk, step.index, guard)
    }
    ahead.draw(planned.waves[planned.waves.indexOf(wave) + 1], material)
    for (const step of wave.filter(opens)) {
      tensors.add(step.index, await opened.finish(step))
      if (step.index === last) await expectProof(walk, last, guard)
    }
  } finally {
    opened.release()
  }
}

/** What is compared once more leaves whole, behind the last opening that it covers. */
async function openSecondSets({ client }: ServerWalk, step: number, guard: ServerGuard | undefined): Promise<void> {
  const segment = guard && segmentAt(guard.terms, step)
  if (!segment) return
  await turn()
  const message = guard.signs(segment)
  try {
    await sendRegions(client, Kind.signs, step, [message])
  } finally {
    message.release()
  }
}

/** The check, before the output is computed. @throws RingfenceError CHEATED */
async function expectProof({ k, client }: ServerWalk, step: number, guard: ServerGuard | undefined): Promise<void> {
  if (!guard) return
  const [proof] = await receiveRegions(k, client, Kind.proof, step, [guardSizes(guard.terms).proof])
  const payload = proof.u8().slice()
  proof.release()
  guard.check(payload)
}

async function giveOutput({ k, planned, client, give }: ServerWalk, step: MccStep, c: Region): Promise<void> {
  if (give) {
    give(c)
    return
  }
  const output = sendOutput(k, step, c, planned.plan.ring)
  try {
    await sendRegions(client, Kind.output, step.index, [output])
  } finally {
    output.release()
  }
}

/** A step between its opening and the client's reply. */
interface Kept {
  /** Messages that are due, in order. */
  readonly replies: readonly { readonly bytes: number; read(reply: Region, x: Region | undefined): Region }[]
  /** What they are read with. */
  readonly regions: (Pick<Region, 'release'> | null)[]
  /** Of a guarded ReLU. */
  keys?: Region | null
}

/** What the server's openings take that no reply decides: drawn while the client works on those before. */
class Ahead {
  readonly #drawn = new Map<number, DrawnOpening>()

  constructor(private readonly walk: ServerWalk) {}

  /** For the next of its steps. */
  draw(wave: readonly MccStep[] | undefined, { steps }: InferenceMaterial): void {
    const step = wave?.[0]
    if (!step || !isActive(step) || isCurve(step) || drawnBytes(step) > MOST_AHEAD) return
    this.#drawn.set(step.index, this.#draw(step, steps.get(step.index)!))
  }

  take(step: ReluStep, material: StepMaterial): DrawnOpening {
    const drawn = this.#drawn.get(step.index) ?? this.#draw(step, material)
    this.#drawn.delete(step.index)
    return drawn
  }

  #draw(step: ReluStep, { relu }: StepMaterial): DrawnOpening {
    const { k, sh, inference, planned } = this.walk
    return drawOpening(k, step, sh, relu!.words, inference, planned.plan.ring)
  }

  release(): void {
    for (const drawn of this.#drawn.values()) drawn.release()
    this.#drawn.clear()
  }
}

/** The steps of a wave between their openings and the client's replies. */
class OpenedSteps {
  readonly #kept = new Map<number, Kept>()

  constructor(
    private readonly walk: ServerWalk,
    private readonly guard: ServerGuard | undefined,
    private readonly ahead: Ahead,
  ) {}

  open(step: ReluStep, material: InferenceMaterial): Promise<void> {
    return isCurve(step) ? this.#openCurve(step, material) : this.#openParts(step, material)
  }

  async openProduct(step: ProductStep, material: InferenceMaterial, tensors: LiveTensors): Promise<void> {
    const { k, sh, inference, planned } = this.walk
    const { ring } = planned.plan
    const [{ message, e, a }, words] = await spend(material, step.index, () =>
      openProduct(k, step, sh, tensors.get, inference),
    )
    const read = (reply: Region) => finishProduct(k, step, { e, a }, words!, reply, ring)
    this.#kept.set(step.index, {
      replies: [{ bytes: productSizes(step.product, ring).reply, read }],
      regions: [e, a, words],
    })
    await this.#send(step, message)
  }

  async #openCurve(step: CurveStep, material: InferenceMaterial): Promise<void> {
    const { k, sh, inference, planned } = this.walk
    const { ring } = planned.plan
    const [{ message, e }, words] = await spend(material, step.index, ({ c }) => openCurve(k, step, sh, c, inference))
    const read = (reply: Region) => finishCurve(k, step, e, words!, reply, ring)
    this.#kept.set(step.index, { replies: [{ bytes: curveSizes(step, ring).reply, read }], regions: [e, words] })
    await this.#send(step, message)
  }

  async #openParts(step: ReluStep, material: InferenceMaterial): Promise<void> {
    const { k, planned, client } = this.walk
    const { ring } = planned.plan
    const guard = this.guard
    const replies: Kept['replies'][number][] = []
    const kept: Kept = { replies, regions: [] }
    this.#kept.set(step.index, kept)
    const [, keys] = await spend(material, step.index, async (dealt) => {
      const drawn = this.ahead.take(step, dealt)
      kept.regions.push(drawn)
      for (const part of partsOf(step, guard !== undefined)) {
        if (part.from > 0) await client.drained()
        const tables = tablesOf(part, dealt.relu!.tables)
        const opening = openingOf(part, drawn)
        const { message, ...opened } = openRelu(k, part.step, opening, wordsOf(part, dealt.c), tables, guard?.compared)
        kept.regions.push(opened.e)
        const read = (reply: Region, x: Region | undefined) => {
          if (part.whole) return finishRelu(k, step, opened, reply, ring, guard)
          const whole = x ?? k.memory.alloc(step.size * 4)
          finishRelu(k, part.step, opened, reply, ring, guard, wordsOf(part, whole))
          return whole
        }
        replies.push({ bytes: reluSizes(part.step, ring, guard?.terms).reply, read })
        await this.#send(step, message)
      }
    })
    kept.regions.push(keys)
    kept.keys = keys
  }

  async #send(step: MccStep, message: Region): Promise<void> {
    try {
      await sendRegions(this.walk.client, Kind.opening, step.index, [message])
    } finally {
      message.release()
    }
  }

  /** x̂ of the step's result. The caller releases it. */
  async finish(step: ReluStep | ProductStep): Promise<Region> {
    const { k, client, meter } = this.walk
    meter.mark(Phase.online, step.index)
    const { replies, keys } = this.#kept.get(step.index)!
    if (this.guard && keys && !isProduct(step)) {
      await turn()
      this.guard.prepare(step, keys)
    }
    let x: Region | undefined
    try {
      for (const { bytes, read } of replies) {
        const [reply] = await receiveRegions(k, client, Kind.reply, step.index, [bytes])
        try {
          x = read(reply, x)
        } finally {
          reply.release()
        }
      }
    } catch (error) {
      x?.release()
      throw error
    }
    this.#forget(step.index)
    return x!
  }

  #forget(index: number): void {
    for (const region of this.#kept.get(index)!.regions) region?.release()
    this.#kept.delete(index)
  }

  release(): void {
    for (const index of [...this.#kept.keys()]) this.#forget(index)
  }
}
