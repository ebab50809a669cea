// What is the same for all inferences of a client, over however many connections: kernels, the plan's maps, and B.
import { sha256 } from '@noble/hashes/sha2.js'
import type { Kernels } from '../../kernels/instance.js'
import type { Plan } from '../../plan/plan.js'
import { UploadMasks } from '../../protocol/mcc/guard/upload.js'
import type { PlannedSteps } from '../../protocol/step.js'
import { fillModelMask, type ModelShare, packShare } from '../../protocol/weights.js'
import type { Seed } from '../../random/seed.js'
import { Streams } from '../../random/streams.js'
import { hex } from '../messages.js'

/** B as it is worked with. */
export interface ModelMask {
  readonly share: ModelShare
  /** What hides the check of δ; only for guarded plans. */
  readonly uploadMasks: UploadMasks | undefined
}

/** Held by every connection of a client, and released with the last. */
export class ClientNetwork {
  #holders = 1
  readonly #masks = new Map<string, Promise<ModelMask>>()

  constructor(
    readonly k: Kernels,
    readonly planned: PlannedSteps,
  ) {}

  hold(): this {
    this.#holders++
    return this
  }

  release(): void {
    if (--this.#holders > 0) return
    this.planned.release()
    for (const mask of this.#masks.values()) {
      const release = ({ share, uploadMasks }: ModelMask) => {
        share.release()
        uploadMasks?.release()
      }
      mask.then(release, () => undefined)
    }
  }

  /** B of a seed, packed when it is first asked for. */
  modelMask(seed: Seed): Promise<ModelMask> {
    const name = hex(sha256(seed))
    let mask = this.#masks.get(name)
    if (!mask) {
      mask = this.#pack(seed)
      this.#masks.set(name, mask)
      mask.catch(() => this.#masks.delete(name))
    }
    return mask
  }

  async #pack(seed: Seed): Promise<ModelMask> {
    const plan: Plan = this.planned.plan
    const streams = new Streams(this.k, seed, plan.rounds)
    let uploadMasks: UploadMasks | undefined
    try {
      const share = await packShare(this.k, plan, (slot, words) => fillModelMask(streams, slot, words))
      if (plan.backend === 'mcc' && plan.guard) uploadMasks = new UploadMasks(streams)
      return { share, uploadMasks }
    } finally {
      if (!uploadMasks) streams.release()
    }
  }
}
