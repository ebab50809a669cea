// The three faces of a model's weights: W at the server, its mask B from a seed at server and client, F = W - B at the
// helper. Each is packed once for the convolution kernels.
import type { PackedWeights } from '../kernels/conv.js'
import type { ConvGeometry } from '../kernels/geometry.js'
import type { Kernels, Region } from '../kernels/instance.js'
import { wordRing } from '../kernels/words.js'
import { turn } from '../net/index.js'
import type { Plan } from '../plan/plan.js'
import { Purpose, type Streams } from '../random/streams.js'

/** One secret filter of a plan. */
export interface FilterSlot {
  /** Its place in the order in which filters travel. */
  readonly place: number
  readonly step: number
  readonly operation: number
  readonly geometry: ConvGeometry
  /** Words of the filter: [cout, cin/groups, kh, kw]. */
  readonly words: number
}

/** Every secret filter of a plan, in the order in which it travels. */
export function filterSlots(plan: Plan): FilterSlot[] {
  const slots: FilterSlot[] = []
  for (const [step, { linear }] of plan.steps.entries()) {
    for (const [operation, op] of linear.entries()) {
      if (op.op !== 'conv') continue
      const { geometry } = op
      const { cin, cout, groups, kernel } = geometry
      const words = cout * (cin / groups) * kernel[0] * kernel[1]
      slots.push({ place: slots.length, step, operation, geometry, words })
    }
  }
  return slots
}

export interface ModelShare {
  weights(step: number, operation: number): PackedWeights
  release(): void
}

/**
 * Packs a share of the weights; `fill` writes one filter's words. With `ready` filters come in their places, and no memory is
 * taken for one before that has resolved: whoever has to receive it does so there.
 */
export async function packShare(
  k: Kernels,
  plan: Plan,
  fill: (slot: FilterSlot, words: Region) => void | Promise<void>,
  ready?: (slot: FilterSlot) => Promise<void>,
): Promise<ModelShare> {
  const ring = wordRing(plan.ring)
  const slots = filterSlots(plan)
  const packed = new Map<string, PackedWeights>()
  const release = () => {
    for (const weights of packed.values()) weights.release()
    packed.clear()
  }
  try {
    for (const slot of ready ? slots : slots.sort(largestFirst)) {
      // What waits in this thread has its turn: packing a large network takes a while.
      await (ready?.(slot) ?? turn())
      const words = k.memory.alloc(slot.words * ring.bytes)
      // Where a filter stops coming, pages that it did not reach take no memory: to wipe them would.
      let wipe = !ready
      try {
        await fill(slot, words)
        wipe = true
        packed.set(`${slot.step}.${slot.operation}`, ring.packWeights(k, slot.geometry, words))
      } finally {
        words.release(wipe)
      }
    }
  } catch (error) {
    release()
    throw error
  }
  return { weights: (step, operation) => packed.get(`${step}.${operation}`)!, release }
}

/** What the largest leaves free when it is packed has room for all others, and then for tensors. */
const largestFirst = (a: FilterSlot, b: FilterSlot) => b.words - a.words

/** Words of B for one filter. */
export function fillModelMask(seed: Streams, { step, operation }: FilterSlot, words: Region): void {
  // A plan has at most 4096 steps of 4096 operations; an address, 65536 layers of 256 tensors.
  const address = { layer: step + 4096 * (operation >> 8), tensor: operation & 255, inference: 0 }
  seed.fill({ purpose: Purpose.modelMask, ...address }, words)
}
