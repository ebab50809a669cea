// The last step (docs/protocol.md, "output"): the server sends its share y - m of the result, the client adds m.
//
//   on line    server → client   ŷ = y - m of the last linear step

import { pack, packedBytes, unpack } from '../../kernels/bits.js'
import type { Kernels, Region } from '../../kernels/instance.js'
import { add32 } from '../../kernels/ring.js'
import type { Streams } from '../../random/streams.js'
import type { ReluNumbers } from '../layout.js'
import type { Message } from '../transcript.js'
import { outputMask } from './linear.js'
import type { MccStep } from './step.js'

export const outputMessages = (ring: number, { size }: MccStep<ReluNumbers>): Message[] => [
  { kind: 'output', from: 'server', to: 'client', bytes: packedBytes(size, ring), stage: 1 },
]

/** Server: ŷ as it goes to the client. The caller releases it. */
export function sendOutput(k: Kernels, { size }: MccStep, y: Region, ring: number): Region {
  const message = k.memory.alloc(packedBytes(size, ring))
  pack(k, y, size, ring, message)
  return message
}

/** Client: y, as signed integers of the step's scale. `packed`: ŷ as it came. */
export function openOutput(
  k: Kernels,
  step: MccStep,
  ch: Streams,
  packed: Region,
  inference: number,
  ring: number,
): Int32Array {
  const share = k.memory.alloc(step.size * 4)
  unpack(k, packed, step.size, ring, share)
  const m = outputMask(ch, step, inference)
  add32(k, share, m, share, step.size)
  m.release(true)
  const up = 32 - ring
  const output = share.i32().slice()
  if (up > 0) for (let i = 0; i < output.length; i++) output[i] = (output[i] << up) >> up
  share.release(true)
  return output
}
