// Linear steps (docs/protocol.md, "linear layers"): W = B + F, x = x̂ + r.
//
//   off line   helper → server   u = F∗r - s
//              client → server   δ = B∗r + s - m
//              server keeps      c = u + δ + bias
//   on line    server            ŷ = W∗x̂ + c = y - m          (nobody sends anything)
//
// All three parties walk the same operations over their own tensor and weights. A public factor (lift) counts as
// weights that the client knows in full: the helper's part of it is zero.

import { packedBytes } from '../../kernels/bits.js'
import type { Kernels, Region } from '../../kernels/instance.js'
import { sub32 } from '../../kernels/ring.js'
import { Purpose, type Streams } from '../../random/streams.js'
import type { ReluNumbers } from '../layout.js'
import { accumulate, type LinearSource } from '../linear.js'
import type { Message } from '../transcript.js'
import type { MccStep } from './step.js'

/** Words are computed with mod 2^32; what travels is cut to n bits. */
const RING_WORD = 32

/** Bytes of u, and of δ. A product has no linear part: the client has nothing to upload for it, and says so. */
export const linearBytes = ({ size, product }: MccStep<ReluNumbers>, ring: number): number =>
  product ? 0 : packedBytes(size, ring)

export function linearMessages(ring: number, step: MccStep<ReluNumbers>): Message[] {
  const each = { to: 'server', bytes: linearBytes(step, ring), stage: 0, offline: true } as const
  return [
    { kind: 'material', from: 'helper', ...each },
    { kind: 'delta', from: 'client', ...each },
  ]
}

/** Client and helper: m of a step. The caller releases it. */
export function outputMask(ch: Streams, { index, size }: MccStep<ReluNumbers>, inference: number): Region {
  return ch.take({ purpose: Purpose.outputMask, layer: index, inference }, size * 4)
}

/** Client and helper: s of a step. The caller releases it. */
export function blind(ch: Streams, { index, size }: MccStep<ReluNumbers>, inference: number): Region {
  return ch.take({ purpose: Purpose.blind, layer: index, inference }, size * 4)
}

/** Helper: u = F∗r - s. `source` holds r and F. The caller releases it. */
export function dealLinear(k: Kernels, step: MccStep, s: Region, source: LinearSource): Region {
  const u = k.memory.allocZero(step.size * 4)
  accumulate(k, RING_WORD, step, source, u)
  sub32(k, u, s, u, step.size)
  return u
}

/** Client: δ = B∗r + s - m. `source` holds r and B. The caller releases it. */
export function uploadLinear(k: Kernels, step: MccStep, ch: Streams, source: LinearSource, inference: number): Region {
  const delta = blind(ch, step, inference)
  accumulate(k, RING_WORD, step, source, delta)
  const m = outputMask(ch, step, inference)
  sub32(k, delta, m, delta, step.size)
  m.release()
  return delta
}

/** Server: turns c into ŷ = W∗x̂ + c, in place. `source` holds x̂ and W. */
export function runLinear(k: Kernels, step: MccStep, source: LinearSource, c: Region): void {
  accumulate(k, RING_WORD, step, source, c)
}
