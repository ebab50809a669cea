// What a server tells its helper once, so that uploads can be checked (upload.ts): the transposes of its random subsets
// through B, under masks that clients know.
import { pack, packedBytes } from '../../../kernels/bits.js'
import type { Kernels, Region } from '../../../kernels/instance.js'
import { add32 } from '../../../kernels/ring.js'
import type { Streams } from '../../../random/streams.js'
import { accumulateAdjoint } from '../../adjoint.js'
import { fillModelMask, filterSlots } from '../../weights.js'
import type { MccLayout, MccStep } from '../step.js'
import type { GuardTerms } from './terms.js'
import { flagsOf, maskOf, tensorSizes } from './upload.js'

/**
 * Server: λ' of every tensor, q vectors of packed words after one another. `message` is lent to `emit`.
 * @param registration shared with the helper
 * @param model the seed of B, shared with clients
 */
export async function sendTransposes(
  k: Kernels,
  { plan, steps }: MccLayout,
  { ring, vectors }: GuardTerms,
  { registration, model }: { registration: Streams; model: Streams },
  emit: (tensor: number, message: Region) => void | Promise<void>,
): Promise<void> {
  const sizes = tensorSizes(plan)
  const sums = sizes.map((size) => Array.from({ length: vectors }, () => k.memory.allocZero(size * 4)))
  const slots = new Map(filterSlots(plan).map((slot) => [`${slot.step}.${slot.operation}`, slot]))
  try {
    for (const step of steps) {
      const gammas = subsets(k, step, vectors, registration)
      const filters = new Map<number, Region>()
      accumulateAdjoint(k, step, gammas, {
        tensor: (index) => sums[index],
        weights(operation) {
          const slot = slots.get(`${step.index}.${operation}`)!
          const words = filters.get(operation) ?? k.memory.alloc(slot.words * 4)
          if (!filters.has(operation)) fillModelMask(model, slot, words)
          filters.set(operation, words)
          return words
        },
      })
      for (const region of [...gammas, ...filters.values()]) region.release(true)
    }
    for (const [tensor, size] of sizes.entries()) {
      const each = packedBytes(size, ring)
      const message = k.memory.alloc(each * vectors)
      sums[tensor].forEach((lambda, vector) => {
        const z = maskOf(model, tensor, vector, size)
        add32(k, lambda, z, lambda, size)
        z.release(true)
        pack(k, lambda, size, ring, message.part(vector * each, each))
      })
      try {
        await emit(tensor, message)
      } finally {
        message.release()
      }
    }
  } finally {
    for (const region of sums.flat()) region.release(true)
  }
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
