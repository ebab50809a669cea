// The material of one inference, per role, before there is an input: the helper deals, the client uploads.
import { pack, packedBytes } from '../../kernels/bits.js'
import type { Kernels, Region } from '../../kernels/instance.js'
import type { Streams } from '../../random/streams.js'
import { type LinearSource, tensorMask } from '../linear.js'
import { isActive, isProduct } from '../step.js'
import type { ModelShare } from '../weights.js'
import type { DealerStreams } from './gadget.js'
import { deal } from './gadgets.js'
import { type DealtGuard, HelperGuard } from './guard/inference.js'
import { guardTerms } from './guard/terms.js'
import { type UploadMasks, uploadTag } from './guard/upload.js'
import { blind, dealLinear, linearBytes, outputMask, uploadLinear } from './linear.js'
import { materialBytes } from './material.js'
import type { MccSteps } from './step.js'

/** The r of every tensor of one inference, made when first needed. */
class InputMasks {
  readonly #masks: (Region | undefined)[] = []

  constructor(
    private readonly k: Kernels,
    private readonly steps: MccSteps,
    private readonly ch: Streams,
    private readonly inference: number,
  ) {}

  readonly get = (index: number): Region => {
    this.#masks[index] ??= tensorMask(this.k, this.steps, this.ch, index, this.inference)
    return this.#masks[index]
  }

  release(): void {
    for (const mask of this.#masks) mask?.release(true)
    this.#masks.length = 0
  }
}

/** Hands a message on and frees it, come what may. */
async function lend(message: Region, emit: (message: Region) => void | Promise<void>): Promise<void> {
  try {
    await emit(message)
  } finally {
    message.release()
  }
}

/**
 * Helper: the material of one inference, one message per step, then that of the guard. `message` is lent to `emit` until it
 * resolves.
 * @param dealt of a registration whose plan is guarded
 */
export async function dealInference(
  k: Kernels,
  planned: MccSteps,
  share: ModelShare,
  streams: DealerStreams,
  inference: number,
  emit: (step: number, message: Region) => void | Promise<void>,
  dealt?: DealtGuard,
): Promise<void> {
  const { plan, steps } = planned
  const masks = new InputMasks(k, planned, streams.ch, inference)
  const source: LinearSource = { tensor: masks.get, weights: share.weights, lifts: false }
  const guard = dealt && new HelperGuard(k, dealt, streams, inference)
  try {
    for (const step of steps) {
      const message = k.memory.alloc(materialBytes(step, plan.ring, guard?.terms))
      const u = linearBytes(step, plan.ring)
      const rest = message.part(u, message.byteLength - u)
      const dealing = { k, streams, mask: masks.get, inference, ring: plan.ring, guard }
      if (isProduct(step)) {
        deal(dealing, step, rest)
        await lend(message, (message) => emit(step.index, message))
        continue
      }
      const [s, m] = [blind(streams.ch, step, inference), outputMask(streams.ch, step, inference)]
      const words = dealLinear(k, step, s, source)
      pack(k, words, step.size, plan.ring, message.part(0, u))
      words.release()
      guard?.addBlinds(step, s, m)
      if (isActive(step)) deal({ ...dealing, m }, step, rest)
      for (const mask of [s, m]) mask.release(true)
      await lend(message, (message) => emit(step.index, message))
    }
    if (guard) await lend(guard.finish(masks.get), (message) => emit(steps.length, message))
  } finally {
    guard?.release()
    masks.release()
  }
}

/**
 * Client, off line: δ of every step, packed, then what a guard checks it by. `message` is lent to `emit` until it resolves.
 * @param uploadMasks where the plan is guarded
 */
export async function uploadInference(
  k: Kernels,
  planned: MccSteps,
  share: ModelShare,
  ch: Streams,
  inference: number,
  emit: (step: number, message: Region) => void | Promise<void>,
  uploadMasks?: UploadMasks,
): Promise<void> {
  const { plan, steps } = planned
  const terms = guardTerms(planned)
  const masks = new InputMasks(k, planned, ch, inference)
  const source: LinearSource = { tensor: masks.get, weights: share.weights, lifts: true }
  try {
    for (const step of steps) {
      if (isProduct(step)) {
        await lend(k.memory.alloc(0), (message) => emit(step.index, message))
        continue
      }
      const delta = uploadLinear(k, step, ch, source, inference)
      const message = k.memory.alloc(packedBytes(step.size, plan.ring))
      pack(k, delta, step.size, plan.ring, message)
      delta.release()
      await lend(message, (message) => emit(step.index, message))
    }
    if (terms) {
      const message = uploadTag(k, plan, terms, { ch, masks: uploadMasks! }, masks.get, inference)
      await lend(message, (message) => emit(steps.length, message))
    }
  } finally {
    masks.release()
  }
}
