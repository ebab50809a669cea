// What training refuses before it begins: pictures that are none for the network, and a shard that no thread has room for.
import { RingfenceError } from '../errors.js'
import { type FactorSlot, factorsOf, lengthOf } from '../gradient/parameters.js'
import { Tape } from '../gradient/tape.js'
import type { Architecture } from '../model/architecture.js'
import type { ReluSpec } from '../model/relu/spec.js'
import { elementCount } from '../model/shape.js'
import type { Weights } from '../model/weights.js'
import type { LabelledPictures } from './pictures.js'
import type { Recipe } from './recipe.js'

/** A thread's WebAssembly memory ends at 4 GiB; weights, a layer's gradients and the teacher take their part of it. */
const MOST_KEPT = 3 * 2 ** 30

export function checkPictures(arch: Architecture, { inputs, labels }: LabelledPictures): void {
  const problems: string[] = []
  const classes = elementCount(arch.byId.get(arch.outputs[0])!.out)
  if (inputs.length === 0) problems.push('expected at least one picture, got none')
  if (labels.length !== inputs.length)
    problems.push(`expected a class per picture, ${inputs.length}, got ${labels.length}`)
  const wrong = labels.filter((label) => !Number.isInteger(label) || label < 0 || label >= classes).length
  if (wrong > 0) problems.push(`expected classes from 0 to ${classes - 1}, the network's, got ${wrong} others`)
  if (problems.length > 0) throw new RingfenceError('BAD_INPUT', 'these pictures cannot be trained on:', problems)
}

/** What a forward pass of one picture keeps for the way back, in bytes. Also finds out whether network and spec fit. */
export function keptBytes(
  { arch, weights, spec }: { readonly arch: Architecture; readonly weights: Weights; readonly spec?: ReluSpec },
  slots: readonly FactorSlot[] = [],
): number {
  const factors = factorsOf(slots, new Float32Array(lengthOf(slots)))
  const tape = Tape.prepare(arch, weights, { spec, factors })
  const kept = tape.keptBytes()
  tape.release()
  return kept
}

/** Before any thread is started. @param each bytes that a picture keeps */
export function requireMemory(each: number, { shard }: Recipe): void {
  if (each * shard <= MOST_KEPT) return
  const fits = Math.max(Math.floor(MOST_KEPT / each), 1)
  throw new RingfenceError(
    'BAD_INPUT',
    `a shard of ${shard} pictures keeps ${gib(each * shard)} per thread, more than ${gib(MOST_KEPT)}; try a shard of ${fits}`,
  )
}

export const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`

/** @param what came apart @param fault what is not finite, in words */
export function diverged(
  what: string,
  fault: string,
  { epoch, step }: { readonly epoch: number; readonly step: number },
  { rate }: Recipe,
): RingfenceError {
  const when = `epoch ${epoch + 1}, step ${step + 1}`
  return new RingfenceError(
    'BAD_INPUT',
    `${what} came apart in ${when}: ${fault} is not finite any more; try a lower rate than ${rate}`,
  )
}
