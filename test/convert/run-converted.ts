// Runs what a converter wrote, and compares.
import type { ConvertedNetwork } from '../../src/convert/arch-draft.js'
import { RingfenceError } from '../../src/errors.js'
import { FloatNetwork } from '../../src/float/network.js'
import { parseArchitecture } from '../../src/model/architecture.js'
import { bindWeights } from '../../src/model/weights.js'

/** Values of every output, by its name. */
export function runConverted(converted: ConvertedNetwork, input: Float32Array): Map<string, Float32Array> {
  const arch = parseArchitecture(JSON.stringify(converted.arch))
  const network = FloatNetwork.prepare(arch, bindWeights(arch, converted.tensors))
  const outputs = network.outputs(input)
  network.release()
  return new Map(arch.outputs.map((id) => [id, outputs[id].data]))
}

/** What a network computes, as text to compare: shapes and elements of its outputs. Where it is refused, why. */
export function outcome(convert: () => ConvertedNetwork, input: Float32Array): string {
  let converted: ConvertedNetwork
  try {
    converted = convert()
  } catch (error) {
    if (error instanceof RingfenceError) return `${error.code}: ${error.problems.join('; ')}`
    throw error
  }
  const arch = parseArchitecture(JSON.stringify(converted.arch))
  const network = FloatNetwork.prepare(arch, bindWeights(arch, converted.tensors))
  const outputs = network.outputs(input)
  network.release()
  return arch.outputs.map((id) => `${outputs[id].shape}: ${outputs[id].data}`).join('; ')
}

export const isRefusal = (got: string) => /^[A-Z_]+: /.test(got)

/** Whether a network computes something else than before, or is refused by an error that names the field. */
export function isFelt(field: string, before: string, now: string): boolean {
  return isRefusal(now) ? new RegExp(`\\b${field}\\b`).test(now) : now !== before
}

/** Largest difference of two equally long lists. */
export function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY
  let most = 0
  for (let i = 0; i < a.length; i++) most = Math.max(most, Math.abs(a[i] - b[i]))
  return most
}

/** Numbers from -1 to 1 in steps of 1/8, the same for the same seed. */
export function numbers(count: number, seed: number): number[] {
  let state = seed * 2654435761 + 1
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return ((state >>> 12) % 17) / 8 - 1
  })
}
