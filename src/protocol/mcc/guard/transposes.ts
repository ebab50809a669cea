// What a server tells its helper once, so that uploads can be checked (upload.ts): the transposes of its random subsets
// through B, under masks that clients know.
import { pack, packedBytes } from '../../../kernels/bits.js'
import type { Kernels, Region } from '../../../kernels/instance.js'
import { add32 } from '../../../kernels/ring.js'
import type { Streams } from '../../../random/streams.js'
import { accumulateAdjoint } from '../../adjoint.js'
import { lastUses } from '../../live-tensors.js'
import { fillModelMask, filterSlots } from '../../weights.js'
import type { MccLayout, MccStep } from '../step.js'
import type { GuardTerms } from './terms.js'
import { flagsOf, maskOf, tensorSizes } from './upload.js'

/**
 * Server: λ' of every tensor, q vectors of packed words after one another, each as soon as no later step adds to it: the
 * helper is not left waiting for all of them. `message` is lent to `emit`.
 * @param registration shared with the helper
 * @param model the seed of B, shared with clients
 */
export async function sendTransposes(
  k: Kernels,
  layout: MccLayout,
  { ring, vectors }: GuardTerms,
  { registration, model }: { registration: Streams; model: Streams },
  emit: (tensor: number, message: Region) => void | Promise<void>,
): Promise<void> {
  const { plan, steps } = layout
  const sizes = tensorSizes(plan)
  const sums = new Map<number, Region[]>()
  const sumsOf = (tensor: number): Region[] => {
    const held = sums.get(tensor) ?? Array.from({ length: vectors }, () => k.memory.allocZero(sizes[tensor] * 4))
    sums.set(tensor, held)
    return held
  }
  const slots = new Map(filterSlots(plan).map((slot) => [`${slot.step}.${slot.operation}`, slot]))
  const lastUse = lastUses(layout)
  let due = 0
  try {
    for (const step of steps) {
      const gammas = subsets(k, step, vectors, registration)
      const filters = new Map<number, Region>()
      accumulateAdjoint(k, step, gammas, {
        tensor: sumsOf,
        weights(operation) {
          const slot = slots.get(`${step.index}.${operation}`)!
          const words = filters.get(operation) ?? k.memory.alloc(slot.words * 4)
          if (!filters.has(operation)) fillModelMask(model, slot, words)
          filters.set(operation, words)
          return words
        },
      })
      for (const region of [...gammas, ...filters.values()]) region.release(true)
      for (; due < sizes.length && (lastUse.get(due) ?? -1) <= step.index; due++) {
        const message = masked(k, sumsOf(due), sizes[due], ring, (vector) => maskOf(model, due, vector, sizes[due]))
        for (const region of sumsOf(due)) region.release(true)
        sums.delete(due)
        try {
          await emit(due, message)
        } finally {
          message.release()
        }
      }
    }
  } finally {
    for (const region of [...sums.values()].flat()) region.release(true)
  }
}

/** λ + z, packed, vector after vector; the sums become λ'. */
function masked(
  k: Kernels,
  sums: readonly Region[],
  size: number,
  ring: number,
  z: (vector: number) => Region,
): Region {
  const each = packedBytes(size, ring)
  const message = k.memory.alloc(each * sums.length)
  sums.forEach((sum, vector) => {
    const mask = z(vector)
    add32(k, sum, mask, sum, size)
    mask.release(true)
    pack(k, sum, size, ring, message.part(vector * each, each))
  })
  return message
}

/** γ_k of a step as words of 0 and 1. */
function subsets(k: Kernels, step: Pick<MccStep, 'index' | 'size'>, vectors: number, registration: Streams): Region[] {
  const gammas = Array.from({ length: vectors }, () => k.memory.alloc(step.size * 4))
  const flags = flagsOf(registration, step)
  // Views are taken once all memory is there: it moves when it grows.
  const bits = flags.u32()
  gammas.forEach((gamma, vector) => {
    const words = gamma.u32()
    for (let i = 0; i < words.length; i++) words[i] = (bits[i] >>> vector) & 1
  })
  flags.release(true)
  return gammas
}
