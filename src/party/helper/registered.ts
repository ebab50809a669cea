// What a registered server holds at its helper, and the bound on all of them together: nothing takes memory before it has
// come, and nothing comes to stay once the memory set aside is taken.
import { packedBytes, unpack } from '../../kernels/bits.js'
import { type Kernels, type Region, upload } from '../../kernels/instance.js'
import { busy, type Link, Phase } from '../../net/index.js'
import type { Plan } from '../../plan/plan.js'
import { Kind } from '../../protocol/kinds.js'
import type { DealtGuard } from '../../protocol/mcc/guard/inference.js'
import { guardTerms } from '../../protocol/mcc/guard/terms.js'
import { takeTransposes, tensorSizes } from '../../protocol/mcc/guard/upload.js'
import type { MccSteps } from '../../protocol/mcc/step.js'
import { layOut, type PlannedSteps } from '../../protocol/step.js'
import { type ModelShare, packShare } from '../../protocol/weights.js'
import type { Seed } from '../../random/seed.js'
import { Streams } from '../../random/streams.js'
import type { HelperHello } from '../messages.js'
import { filterBytes, layoutBytes, parsedBytes, receivePlan } from '../received-plan.js'
import { receivePieces } from '../transfer.js'

/** When a helper whose memory is taken may have some again: registrations end with their servers, or when they go idle. */
const FULL_MS = 60_000

/** Bytes that may be taken by all together. */
export class Budget {
  #left: number

  constructor(private readonly bytes: number) {
    this.#left = bytes
  }

  get status(): { usedBytes: number; limitBytes: number } {
    return { usedBytes: this.bytes - this.#left, limitBytes: this.bytes }
  }

  /** What one registration takes of it, until `release`. */
  open(): { take(bytes: number): void; release(): void } {
    let taken = 0
    return {
      take: (bytes) => {
        if (bytes > this.#left) throw busy('the helper has no memory left for this network; it', FULL_MS)
        this.#left -= bytes
        taken += bytes
      },
      release: () => {
        this.#left += taken
        taken = 0
      },
    }
  }
}

export interface RegisteredModel {
  readonly planned: PlannedSteps
  /** F */
  readonly share: ModelShare
  /** Takes more of the memory set aside. @throws RingfenceError BUSY */
  take(bytes: number): void
  release(): void
}

/**
 * Receives plan and F.
 * @throws RingfenceError BUSY when they do not fit into what is left, PLAN_MISMATCH, and as `Link.receive`
 */
export async function receiveModel(
  k: Kernels,
  link: Link,
  hello: HelperHello,
  budget: Budget,
): Promise<RegisteredModel> {
  const room = budget.open()
  let share: ModelShare | undefined
  try {
    const plan = await receivePlan(link, hello)
    room.take(parsedBytes(hello.planBytes))
    const received = await receiveShare(k, link, plan, room.take)
    share = received
    room.take(layoutBytes(plan))
    const planned = layOut(k, plan)
    const release = () => {
      received.release()
      planned.release()
      room.release()
    }
    return { planned, share, take: room.take, release }
  } catch (error) {
    share?.release()
    room.release()
    throw error
  }
}

/**
 * Receives what a guarded plan adds to a registration; undefined for other plans.
 * @param seed shared with the server
 * @throws as `receiveModel`
 */
export async function receiveGuard(
  k: Kernels,
  link: Link,
  seed: Seed,
  { planned, take }: RegisteredModel,
): Promise<DealtGuard | undefined> {
  const { plan } = planned
  if (plan.backend !== 'mcc') return undefined
  const terms = guardTerms(planned as MccSteps)
  if (!terms) return undefined
  const transposes: Region[] = []
  try {
    for (const [tensor, size] of tensorSizes(plan).entries()) {
      const length = packedBytes(size, plan.ring) * terms.vectors
      const payload = await receivePieces(link, Kind.transposes, Phase.setup, tensor, length)
      take(size * 4 * terms.vectors)
      transposes.push(takeTransposes(k, payload, size, terms))
    }
  } catch (error) {
    for (const region of transposes) region.release()
    throw error
  }
  return { terms, registration: new Streams(k, seed, plan.rounds), transposes }
}

export function releaseGuard({ registration, transposes }: DealtGuard): void {
  registration.release()
  for (const region of transposes) region.release(true)
}

function receiveShare(k: Kernels, link: Link, plan: Plan, take: (bytes: number) => void): Promise<ModelShare> {
  let payload: Uint8Array
  return packShare(
    k,
    plan,
    (slot, words) => {
      const packed = upload(k.memory, payload)
      try {
        unpack(k, packed, slot.words, plan.ring, words)
      } finally {
        packed.release()
      }
    },
    async ({ step, words }) => {
      payload = await receivePieces(link, Kind.weights, Phase.setup, step, packedBytes(words, plan.ring))
      take(filterBytes(plan, words))
    },
  )
}

/** Who is there, and when nobody has been for some time. */
export class Attendance {
  #present = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #resolve!: () => void
  /** Resolves once nobody has been there for that long. */
  readonly over = new Promise<void>((resolve) => {
    this.#resolve = resolve
  })

  constructor(private readonly idleMs: number) {
    this.#wait()
  }

  enter(): void {
    this.#present++
    clearTimeout(this.#timer)
  }

  leave(): void {
    if (--this.#present === 0) this.#wait()
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#present = Number.POSITIVE_INFINITY
  }

  #wait(): void {
    this.#timer = setTimeout(this.#resolve, Math.min(this.idleMs, 2 ** 31 - 1))
  }
}
