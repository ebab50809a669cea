// The input (docs/protocol.md, "input"): the client masks it with r_0, which it shares with the helper.
//
//   on line    client → server   x̂ = x - r_0

import { pack, packedBytes, unpack } from '../../kernels/bits.js'
import { type Kernels, type Region, upload } from '../../kernels/instance.js'
import { elementCount, type MccPlan, tensorShape } from '../../plan/plan.js'
import type { Streams } from '../../random/streams.js'
import { INFERENCE_BYTES } from '../control.js'
import { tensorMask } from '../linear.js'
import type { Message } from '../transcript.js'
import { windowedInputBytes } from './guard/input.js'
import { type GuardTerms, isWindowed } from './guard/terms.js'
import type { MccSteps } from './step.js'

const inputSize = (plan: MccPlan): number => elementCount(tensorShape(plan, 0))

/** Bytes of the frame that starts an inference: its number and x̂. */
export const inputBytes = (plan: MccPlan, terms: GuardTerms | null = null): number =>
  INFERENCE_BYTES + (terms && isWindowed(terms) ? windowedInputBytes(terms) : packedBytes(inputSize(plan), plan.ring))

export const inputMessages = (plan: MccPlan, terms: GuardTerms | null = null): Message[] => [
  { kind: 'input', from: 'client', to: 'server', bytes: inputBytes(plan, terms), stage: 1 },
]

/** Client: x̂ as it goes to the server. `input`: signed fixed-point words, CHW. The caller releases it. */
export function sendInput(k: Kernels, planned: MccSteps, ch: Streams, input: Int32Array, inference: number): Region {
  const { plan } = planned
  const size = inputSize(plan)
  const mask = tensorMask(k, planned, ch, 0, inference)
  const masked = mask.i32()
  for (let i = 0; i < size; i++) masked[i] = input[i] - masked[i]
  const message = k.memory.alloc(packedBytes(size, plan.ring))
  pack(k, mask, size, plan.ring, message)
  mask.release()
  return message
}

/** Server: x̂, one word per element. The caller releases it. */
export function takeInput(k: Kernels, { plan }: MccSteps, payload: Uint8Array): Region {
  const size = inputSize(plan)
  const packed = upload(k.memory, payload)
  const input = k.memory.alloc(size * 4)
  unpack(k, packed, size, plan.ring, input)
  packed.release()
  return input
}
