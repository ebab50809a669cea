// The server's side of one inference on line: the linear steps over x̂, an opening and a reply per ReLU step, the output.
// The openings of a wave (plan/waves.ts) all go out before the first of its replies is received.
import { packedBytes } from '../../kernels/bits.js'
import { type Kernels, type Region, upload } from '../../kernels/instance.js'
import { type Link, type Meter, Phase, turn } from '../../net/index.js'
import { elementCount, tensorShape } from '../../plan/plan.js'
import { Kind } from '../../protocol/kinds.js'
import { LiveTensors } from '../../protocol/live-tensors.js'
import { releaseMaterial, type StepMaterial } from '../../protocol/mcc/inference.js'
import { takeInput } from '../../protocol/mcc/input.js'
import { runLinear } from '../../protocol/mcc/linear.js'
import { sendOutput } from '../../protocol/mcc/output.js'
import { finishRelu, openRelu, reluSizes } from '../../protocol/mcc/relu.js'
import type { MccStep, MccSteps, ReluStep } from '../../protocol/mcc/step.js'
import { isActive } from '../../protocol/step.js'
import type { ModelShare } from '../../protocol/weights.js'
import type { Streams } from '../../random/streams.js'
import { INFERENCE_BYTES, readInference } from '../messages.js'

/** What an inference needs of the server and of the client's session. */
export interface InferenceContext {
  readonly k: Kernels
  readonly planned: MccSteps
  readonly share: ModelShare
  readonly link: Link
  readonly meter: Meter
  /** Shared with the helper: a'. */
  readonly sh: Streams
}

/** Bytes of a client's request to infer: the inference's number and x̂. */
export const inputBytes = ({ plan }: MccSteps): number =>
  INFERENCE_BYTES + packedBytes(elementCount(tensorShape(plan, 0)), plan.ring)

/**
 * @param payload the client's request, `inputBytes` long
 * @param take hands out the inference's one-time material; it is used up from then on
 * @throws RingfenceError MATERIAL_USED, DEADLINE, PEER_GONE, PEER_FAILED, PROTOCOL, FRAME
 */
export async function serveInference(
  context: InferenceContext,
  payload: Uint8Array,
  take: (inference: number) => Promise<StepMaterial[]>,
): Promise<void> {
  const { k, planned, meter } = context
  const inference = readInference(payload)
  const material = await take(inference)
  const tensors = new LiveTensors(planned, takeInput(k, planned, payload.subarray(INFERENCE_BYTES)))
  try {
    for (const wave of planned.waves) await serveWave(context, wave, tensors, material, inference)
    meter.stop()
  } finally {
    tensors.release()
    material.forEach(releaseMaterial)
  }
}

async function serveWave(
  context: InferenceContext,
  wave: readonly MccStep[],
  tensors: LiveTensors,
  material: readonly StepMaterial[],
  inference: number,
): Promise<void> {
  const { k, share, link, meter } = context
  const source = { tensor: tensors.get, weights: share.weights, lifts: true }
  const opened = new OpenedSteps(context)
  try {
    for (const step of wave) {
      if (step !== wave[0]) {
        // What was sent leaves while the next step is computed; a client that is slower is waited for.
        await turn()
        await link.drained()
      }
      meter.mark(Phase.online, step.index)
      runLinear(k, step, source, material[step.index].c)
      tensors.drop(step.index)
      if (isActive(step)) opened.open(step, material[step.index], inference)
      else giveOutput(context, step, material[step.index])
    }
    for (const step of wave.filter(isActive)) {
      tensors.add(step.index, await opened.finish(step, material[step.index]))
    }
  } finally {
    opened.release()
  }
}

function giveOutput({ k, planned, link }: InferenceContext, step: MccStep, { c }: StepMaterial): void {
  const output = sendOutput(k, step, c, planned.plan.ring)
  link.send(Kind.output, Phase.online, step.index, output.u8())
  output.release()
}

/** The steps of a wave between their openings and the client's replies. */
class OpenedSteps {
  /** e, by step. */
  readonly #e = new Map<number, Region>()

  constructor(private readonly context: InferenceContext) {}

  open(step: ReluStep, { c, relu }: StepMaterial, inference: number): void {
    const { k, planned, link, sh } = this.context
    const { e, message } = openRelu(k, step, sh, c, relu!, inference, planned.plan.ring)
    this.#e.set(step.index, e)
    try {
      link.send(Kind.opening, Phase.online, step.index, message.u8())
    } finally {
      message.release()
    }
  }

  /** x̂ of the step's result. The caller releases it. */
  async finish(step: ReluStep, { relu }: StepMaterial): Promise<Region> {
    const { k, planned, link, meter } = this.context
    const { ring } = planned.plan
    meter.mark(Phase.online, step.index)
    const { reply } = reluSizes(step, ring)
    const answer = upload(k.memory, await link.receive(Kind.reply, Phase.online, step.index, reply))
    const e = this.#e.get(step.index)!
    this.#e.delete(step.index)
    try {
      return finishRelu(k, step, { e }, relu!, answer, ring)
    } finally {
      answer.release()
      e.release()
    }
  }

  release(): void {
    for (const e of this.#e.values()) e.release()
    this.#e.clear()
  }
}
