// The integer weights of a server's model, filter by filter: as they were compiled, and from when they are packed, out of the
// kernels' memory. They are needed once more only when a helper has to be told of the model anew.
import { unpackConvWeights } from '../kernels/conv.js'
import type { Kernels } from '../kernels/instance.js'
import { wordRing } from '../kernels/words.js'
import { type Compiled, weightKey } from '../plan/compile/compile.js'
import { type FilterWords, narrowed } from '../plan/compile/rounding.js'
import type { Plan } from '../plan/plan.js'
import { type FilterSlot, filterSlots, type ModelShare } from './weights.js'

/** A plan and its weights. */
export interface SecretModel {
  readonly plan: Plan
  readonly filter: (slot: FilterSlot) => FilterWords
}

/** A model as it was compiled. */
export const modelOf = ({ plan, model }: Compiled): SecretModel => ({
  plan,
  filter: ({ step, operation }) => model.weights.get(weightKey(step, operation))!,
})

/** A model by its packed weights: what the compiler made of it can go. */
export function heldModel(k: Kernels, { plan, filter }: SecretModel, share: ModelShare): SecretModel {
  return readBack(k, plan, share, unreadable(plan, filter, share))
}

/** Filters that lie as sums for tiles, a small part of most networks. */
function unreadable(plan: Plan, filter: SecretModel['filter'], { weights }: ModelShare): Map<number, FilterWords> {
  const slots = filterSlots(plan).filter(({ step, operation }) => weights(step, operation).tiled)
  return new Map(slots.map((slot) => [slot.place, filter(slot)]))
}

function readBack(k: Kernels, plan: Plan, share: ModelShare, kept: ReadonlyMap<number, FilterWords>): SecretModel {
  const stride = wordRing(plan.ring).bytes / 4
  const read = ({ step, operation, words: count }: FilterSlot): FilterWords => {
    const words = unpackConvWeights(k, share.weights(step, operation))!
    const low = words.i32()
    const values = narrowed(Int32Array.from({ length: count }, (_, i) => low[i * stride]))
    words.release(true)
    return values
  }
  return { plan, filter: (slot) => kept.get(slot.place) ?? read(slot) }
}
