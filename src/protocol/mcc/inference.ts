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
import { handOver, receiveRegions, sendRegions } from '../regions.js'
import { isProduct } from '../step.js'
import type { ModelShare } from '../weights.js'
import type { Opened } from './gadget.js'
import { aheadOf, draw, open, partSizes } from './gadgets.js'
import { ClientGuard, ServerGuard } from './guard/inference.js'
import { guardSizes, guardTerms, lastActive, segmentAt, segmentSizes } from './guard/terms.js'
import { sendInput, takeInput } from './input.js'
import { runLinear } from './linear.js'
import { type InferenceMaterial, releaseMaterial, spend } from './material.js'
import { openOutput, sendOutput } from './output.js'
import { type AnsweredStep, type MccStep, type MccSteps, opens } from './step.js'

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
    await handOver(masked.byteLength)
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
 * Client: answers a step's opening, part by part.
 * @param guard of a guarded plan
 */
async function answerStep(
  walk: ClientWalk,
  step: AnsweredStep,
  { beside, queued }: Place,
  guard: ClientGuard | undefined,
): Promise<void> {
  const { k, planned, server, ch, inference, signal } = walk
  const { ring } = planned.plan
  const mask = (tensor: number) => tensorMask(k, planned, ch, tensor, inference)
  const parts = partSizes(step, ring, guard?.terms)
  const next = mask(step.index + 1)
  const drawn = draw({ k, ch, next, mask, inference, ring, guard }, step)
  try {
    for (const [part, sizes] of parts.entries()) {
      const reply = k.memory.alloc(sizes.reply)
      let message: Region | undefined
      try {
        const how = { signal, beside: beside || part > 0 }
        ;[message] = await receiveRegions(k, server, Kind.opening, step.index, [sizes.opening], how)
        drawn.answer(message, reply, part)
        await sendRegions(server, Kind.reply, step.index, [reply], {
          signal,
          queued: queued || part < parts.length - 1,
        })
      } finally {
        for (const region of [message, reply]) region?.release()
      }
    }
  } finally {
    drawn.release()
    next.release(true)
  }
  await handOver(parts[parts.length - 1].reply)
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
  let tensors: LiveTensors | undefined
  let opened: OpenedSteps | undefined
  try {
    const made =
      typeof input === 'function' ? input() : guard ? guard.input(input, planned) : takeInput(k, planned, input)
    tensors = new LiveTensors(planned, made)
    const held = { tensors, material, guard }
    opened = new OpenedSteps(walk, held)
    for (const wave of planned.waves) await serveWave(walk, wave, { ...held, opened })
    meter.stop()
  } finally {
    opened?.release()
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
  readonly opened: OpenedSteps
}

async function serveWave(
  walk: ServerWalk,
  wave: readonly MccStep[],
  { tensors, material, guard, opened }: Held,
): Promise<void> {
  const { k, planned, share, client, meter } = walk
  const source = { tensor: tensors.get, weights: share.weights, lifts: true }
  const last = lastActive(planned.steps)
  for (const step of wave) {
    if (step !== wave[0]) {
      // What was sent leaves while the next step is computed; a client that is slower is waited for.
      await turn()
      await client.drained()
    }
    meter.mark(Phase.online, step.index)
    const { c } = material.steps.get(step.index)!
    if (!isProduct(step)) {
      runLinear(k, step, source, c)
      tensors.drop(step.index)
    }
    if (!opens(step)) {
      if (last < 0) await expectProof(walk, 0, guard)
      await giveOutput(walk, step, c)
      continue
    }
    await opened.open(step)
    await openSecondSets(walk, step.index, guard)
  }
  opened.draw(planned.waves[planned.waves.indexOf(wave) + 1]?.[0])
  for (const step of wave.filter(opens)) {
    tensors.add(step.index, await opened.finish(step))
    if (step.index === last) await expectProof(walk, last, guard)
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

/** Steps between what is drawn for their openings and the client's replies. */
class OpenedSteps {
  readonly #ahead = new Map<number, Opened>()
  /** What the replies are read with, by step. */
  readonly #kept = new Map<number, { readonly opened: Opened; dealt?: Region }>()

  constructor(
    private readonly walk: ServerWalk,
    private readonly held: Omit<Held, 'opened'>,
  ) {}

  /** Draws what the next opening takes, while the client works on those before. */
  draw(step: MccStep | undefined): void {
    if (!step || !opens(step) || aheadOf(step) === 0) return
    const { c, dealt } = this.held.material.steps.get(step.index)!
    this.#ahead.set(step.index, this.#open(step, c, dealt!.opening))
  }

  #open(step: AnsweredStep, y: Region, dealt: Region): Opened {
    const { k, sh, inference, planned } = this.walk
    const { tensors, guard } = this.held
    const { ring } = planned.plan
    return open({ k, sh, y, tensor: tensors.get, dealt, inference, ring, guard }, step)
  }

  async open(step: AnsweredStep): Promise<void> {
    const { client, planned } = this.walk
    const { tensors, guard, material } = this.held
    const parts = partSizes(step, planned.plan.ring, guard?.terms)
    const dealt = await spend(material, step.index, async (y, dealt) => {
      const opened = this.#ahead.get(step.index) ?? this.#open(step, y, dealt)
      this.#ahead.delete(step.index)
      this.#kept.set(step.index, { opened })
      for (let part = 0; part < parts.length; part++) {
        if (part > 0) await client.drained()
        const message = opened.message(part)
        if (part === parts.length - 1) tensors.drop(step.index)
        try {
          await sendRegions(client, Kind.opening, step.index, [message])
        } finally {
          message.release()
        }
      }
    })
    this.#kept.get(step.index)!.dealt = dealt
  }

  /** x̂ of the step's result. The caller releases it. */
  async finish(step: AnsweredStep): Promise<Region> {
    const { k, planned, client, meter } = this.walk
    meter.mark(Phase.online, step.index)
    const { opened, dealt } = this.#kept.get(step.index)!
    if (opened.prepare) {
      await turn()
      opened.prepare(dealt!)
    }
    let x: Region | undefined
    try {
      for (const [part, { reply }] of partSizes(step, planned.plan.ring, this.held.guard?.terms).entries()) {
        const [answer] = await receiveRegions(k, client, Kind.reply, step.index, [reply])
        try {
          x = opened.finish(answer, dealt!, part, x)
        } finally {
          answer.release()
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
    const { opened, dealt } = this.#kept.get(index)!
    opened.release()
    dealt?.release()
    this.#kept.delete(index)
  }

  release(): void {
    for (const opened of this.#ahead.values()) opened.release()
    for (const index of [...this.#kept.keys()]) this.#forget(index)
  }
}
