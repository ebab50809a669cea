// Linear steps of the published protocol, with the server's half of the product left where it is: W = B + F, B from a
// seed of client and server, F at the helper since registration.
//
//   on line   helper → server   u = F∗r - s                  8 B per element of y; depends on nothing that is secret
//             client → server   X_0 - r, once per tensor     8 B per element of X
//             server            y_1 = W∗(X_1 + X_0 - r) + u + bias
//             client            y_0 = B∗r + s
//
// r and s come from the seed of client and helper.

import type { Kernels, Region } from '../../kernels/instance.js'
import { sub64 } from '../../kernels/ring.js'
import { Purpose, type Streams } from '../../random/streams.js'
import type { ReluNumbers } from '../layout.js'
import { accumulate, type LinearSource } from '../linear.js'
import type { Message } from '../transcript.js'
import { toServer } from './parties.js'
import type { SecurennStep } from './step.js'

const RING = 64

/** Bytes of u, of y, and of what goes in for a tensor of `count` values: a word each. */
export const wordBytes = (count: number): number => 8 * count

/** u leaves as soon as the helper's part of the step before is done. */
export const linearMessages = (size: number): Message[] => [toServer('linear', wordBytes(size), 0)]

/** X_0 - r of a tensor's values that are not known to be zero. */
export const tensorMessages = (values: number, stage: number): Message[] => [
  { kind: 'tensor', from: 'client', to: 'server', bytes: wordBytes(values), stage },
]

/** The server's share of the last y. */
export const outputMessages = (size: number): Message[] => [
  { kind: 'output', from: 'server', to: 'client', bytes: wordBytes(size), stage: 1 },
]

/** Client and helper: s of a step. The caller releases it. */
export function blind(ch: Streams, { index, size }: SecurennStep<ReluNumbers>, inference: number): Region {
  return ch.take({ purpose: Purpose.blind, layer: index, inference }, size * 8)
}

/** Helper: u = F∗r - s. `source` holds r and F. The caller releases it. */
export function dealLinear(
  k: Kernels,
  step: SecurennStep,
  ch: Streams,
  source: LinearSource,
  inference: number,
): Region {
  const u = k.memory.allocZero(step.size * 8)
  accumulate(k, RING, step, source, u)
  const s = blind(ch, step, inference)
  sub64(k, u, s, u, step.size)
  s.release(true)
  return u
}

/** Client: y_0 = B∗r + s. `source` holds r and B. The caller releases it. */
export function clientLinear(
  k: Kernels,
  step: SecurennStep,
  ch: Streams,
  source: LinearSource,
  inference: number,
): Region {
  const y = blind(ch, step, inference)
  accumulate(k, RING, step, source, y)
  return y
}

/** Server: adds W∗x̂ to u + bias, in place. `source` holds x̂ and W. */
export function serverLinear(k: Kernels, step: SecurennStep, source: LinearSource, y: Region): void {
  accumulate(k, RING, step, source, y)
}
