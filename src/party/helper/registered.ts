// What a registered server holds at its helper, and the bound on all of them together: nothing takes memory before it has
// come, and nothing comes to stay once the memory set aside is taken.
import { packedBytes, unpack } from '../../kernels/bits.js'
import type { Kernels, Region } from '../../kernels/instance.js'
import { wordRing } from '../../kernels/words.js'
import { busy, type Link, Phase } from '../../net/index.js'
import type { MccPlan, Plan } from '../../plan/plan.js'
import { Kind } from '../../protocol/kinds.js'
import { guardTerms } from '../../protocol/mcc/guard/terms.js'
import { tensorSizes } from '../../protocol/mcc/guard/upload.js'
import { materialLengths } from '../../protocol/mcc/material.js'
import type { MccSteps } from '../../protocol/mcc/step.js'
import { filterBytes, layoutBytes } from '../../protocol/memory.js'
import { firstPiece } from '../../protocol/pieces.js'
import { layOutInTurns, type PlannedSteps } from '../../protocol/step.js'
import { type FilterSlot, filterSlots, type ModelShare, packShare } from '../../protocol/weights.js'
import type { Seed } from '../../random/seed.js'
import type { HelperHello } from '../messages.js'
import { parsedBytes, receivePlan } from '../received-plan.js'
import { eachPiece, receivePieces } from '../transfer.js'
import { type DealerPool, type DealtModel, LocalDealer, type ModelDealer } from './dealing.js'

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
  /** F; not where other threads deal, which have it. */
  readonly share: ModelShare | undefined
  /** Makes bundles; only on `mcc`. */
  readonly dealer: ModelDealer | undefined
  /** What its bundles take that lie here until their server has read them. */
  readonly bundleBytes: number
  /** Takes more of the memory set aside. @throws RingfenceError BUSY */
  take(bytes: number): void
  release(): void
}

/** Models of registrations that several servers share, each held once. */
export class SharedModels {
  readonly #models = new Map<string, { readonly model: RegisteredModel; users: number }>()

  has(name: string): boolean {
    return this.#models.has(name)
  }

  /** @param receive brings it where nobody has before; one of several that bring it at a time stays */
  async take(name: string, receive: () => Promise<RegisteredModel>): Promise<RegisteredModel> {
    if (!this.#models.has(name)) {
      const model = await receive()
      if (this.#models.has(name)) model.release()
      else this.#models.set(name, { model, users: 0 })
    }
    const held = this.#models.get(name)!
    held.users++
    const release = () => {
      if (--held.users > 0) return
      this.#models.delete(name)
      held.model.release()
    }
    return { ...held.model, release }
  }
}

/**
 * Receives plan and F.
 * @param pool whoever deals, where that is not this thread @param name of a model that several servers share
 * @throws RingfenceError BUSY when they do not fit into what is left, PLAN_MISMATCH, and as `Link.receive`
 */
export async function receiveModel(
  k: Kernels,
  link: Link,
  hello: HelperHello,
  budget: Budget,
  { pool, name }: { pool?: DealerPool | undefined; name?: Uint8Array } = {},
): Promise<RegisteredModel> {
  const room = budget.open()
  const held: { release(): void }[] = [room]
  const release = () => {
    for (const each of held.splice(0).reverse()) each.release()
  }
  try {
    const plan = await receivePlan(link, hello)
    room.take(parsedBytes(hello.planBytes))
    let share: ModelShare | undefined
    let dealer: ModelDealer | undefined
    if (pool && plan.backend === 'mcc')
      held.push((dealer = await receiveForPool(pool, link, { plan, name }, room.take)))
    else held.push((share = await receiveShare(k, link, plan, room.take)))
    room.take(layoutBytes(plan))
    const planned = await layOutInTurns(k, plan)
    held.push(planned)
    if (share && plan.backend === 'mcc') held.push((dealer = new LocalDealer(k, planned as MccSteps, share)))
    // A local dealer's bundle lies in no memory but a message's.
    const bundleBytes = dealer && !share ? dealer.width * sum(materialLengths(planned as MccSteps).helper) : 0
    return { planned, share, dealer, bundleBytes, take: room.take, release }
  } catch (error) {
    release()
    throw error
  }
}

/** Every thread holds the network. @throws as `receiveModel` */
async function receiveForPool(
  pool: DealerPool,
  link: Link,
  { plan, name }: Omit<DealtModel, 'filters'>,
  take: (bytes: number) => void,
): Promise<ModelDealer> {
  const filters: Uint8Array[] = []
  for (const slot of filterSlots(plan)) {
    filters.push(await receiveFilter(link, plan, slot))
    take(2 * filters.at(-1)!.byteLength + pool.threads * filterBytes(plan, slot))
  }
  take(pool.threads * layoutBytes(plan))
  return pool.open({ plan, filters, name })
}

/**
 * Receives what a guarded plan adds to a registration.
 * @param seed shared with the server
 * @throws as `receiveModel`
 */
export async function receiveGuard(link: Link, seed: Seed, { planned, dealer, take }: RegisteredModel): Promise<void> {
  const { plan } = planned
  const terms = plan.backend === 'mcc' && guardTerms(planned as MccSteps)
  if (!terms || !dealer) return
  for (const [tensor, size] of tensorSizes(plan as MccPlan).entries()) {
    const length = packedBytes(size, plan.ring) * terms.vectors
    take(size * 4 * terms.vectors * dealer.width)
    const payload = await receivePieces(link, Kind.transposes, Phase.setup, tensor, length)
    dealer.addTransposes(payload)
  }
  dealer.guard(seed)
}

async function receiveShare(k: Kernels, link: Link, plan: Plan, take: (bytes: number) => void): Promise<ModelShare> {
  const { weights } = Kind
  const { setup } = Phase
  const length = ({ words }: FilterSlot) => packedBytes(words, plan.ring)
  let first: Uint8Array
  return unpackShare(
    k,
    plan,
    (slot, packed) => {
      const put = (piece: Uint8Array, at: number) => packed.u8().set(piece, at)
      return eachPiece(first, put, link, weights, setup, slot.step, length(slot))
    },
    async (slot) => {
      take(filterBytes(plan, slot))
      first = await link.receive(weights, setup, slot.step, firstPiece(length(slot)))
    },
  )
}

const receiveFilter = (link: Link, plan: Plan, { step, words }: FilterSlot): Promise<Uint8Array> =>
  receivePieces(link, Kind.weights, Phase.setup, step, packedBytes(words, plan.ring))

/** F for the kernels. @param packed the filter at a place, as it travels */
export const shareOf = (k: Kernels, plan: Plan, packed: (at: number) => Uint8Array): Promise<ModelShare> =>
  unpackShare(k, plan, ({ place }, region) => region.u8().set(packed(place)))

/** @param write writes a filter as it travels @param ready as of `packShare` */
function unpackShare(
  k: Kernels,
  plan: Plan,
  write: (slot: FilterSlot, packed: Region) => void | Promise<void>,
  ready?: (slot: FilterSlot) => Promise<void>,
): Promise<ModelShare> {
  const { ring } = plan
  // Whole words travel as they lie in memory.
  if (ring === 8 * wordRing(ring).bytes) return packShare(k, plan, write, ready)
  const fill = async (slot: FilterSlot, words: Region) => {
    const packed = k.memory.alloc(packedBytes(slot.words, ring))
    try {
      await write(slot, packed)
      unpack(k, packed, slot.words, ring, words)
    } finally {
      packed.release()
    }
  }
  return packShare(k, plan, fill, ready)
}

const sum = (lengths: readonly number[]): number => lengths.reduce((total, length) => total + length, 0)

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
