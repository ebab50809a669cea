// The server's side of one inference on line: the linear steps over x̂, an opening and a reply per ReLU step, the output.
import { packedBytes } from '../../kernels/bits.js'
import { type Kernels, type Region, upload } from '../../kernels/index.js'
import { type Link, type Meter, Phase } from '../../net/index.js'
import { mapSize, tensorShape } from '../../plan/plan.js'
import { Kind } from '../../protocol/kinds.js'
import { LiveTensors } from '../../protocol/live-tensors.js'
import { releaseMaterial, type StepMaterial } from '../../protocol/mcc/inference.js'
import { takeInput } from '../../protocol/mcc/input.js'
import { runLinear } from '../../protocol/mcc/linear.js'
import { sendOutput } from '../../protocol/mcc/output.js'
import { finishRelu, openRelu, reluSizes } from '../../protocol/mcc/relu.js'
import type { MccSteps, ReluStep } from '../../protocol/mcc/step.js'
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
  INFERENCE_BYTES + packedBytes(mapSize(tensorShape(plan, 0)), plan.ring)

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
  const { k, planned, share, link, meter } = context
  const inference = readInference(payload)
  const material = await take(inference)
  const tensors = new LiveTensors(planned, takeInput(k, planned, payload.subarray(INFERENCE_BYTES)))
  try {
    const source = { tensor: tensors.get, weights: share.weights, lifts: true }
    for (const step of planned.steps) {
      meter.mark(Phase.online, step.index)
      runLinear(k, step, source, material[step.index].c)
      tensors.drop(step.index)
      if (!isActive(step)) {
        const output = sendOutput(k, step, material[step.index].c, planned.plan.ring)
        link.send(Kind.output, Phase.online, step.index, output.u8())
        output.release()
      } else {
        tensors.add(step.index, await serveRelu(context, step, material[step.index], inference))
      }
    }
    meter.stop()
  } finally {
    tensors.release()
    material.forEach(releaseMaterial)
  }
}

async function serveRelu(
  { k, planned, link, sh }: InferenceContext,
  step: ReluStep,
  { c, relu }: StepMaterial,
  inference: number,
): Promise<Region> {
  const { ring } = planned.plan
  const { e, message } = openRelu(k, step, sh, c, relu!, inference, ring)
  try {
    link.send(Kind.opening, Phase.online, step.index, message.u8())
  } finally {
    message.release()
  }
  try {
    const { reply } = reluSizes(step, ring)
    const answer = upload(k.memory, await link.receive(Kind.reply, Phase.online, step.index, reply))
    try {
      return finishRelu(k, step, { e }, relu!, answer, ring)
    } finally {
      answer.release()
    }
  } finally {
    e.release()
  }
}
