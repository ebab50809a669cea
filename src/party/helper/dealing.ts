// Dealing as a function: what a bundle is made from, and who makes it. The same job makes the same bytes wherever it is done.
import type { Kernels, Region } from '../../kernels/instance.js'
import { scoped } from '../../kernels/scope.js'
import type { MccPlan } from '../../plan/plan.js'
import { dealInference } from '../../protocol/mcc/dealing.js'
import type { DealerStreams } from '../../protocol/mcc/gadget.js'
import type { DealtGuard } from '../../protocol/mcc/guard/inference.js'
import { guardTerms } from '../../protocol/mcc/guard/terms.js'
import { takeTransposes, tensorSizes } from '../../protocol/mcc/guard/upload.js'
import type { MccSteps } from '../../protocol/mcc/step.js'
import type { ModelShare } from '../../protocol/weights.js'
import type { Seed } from '../../random/seed.js'
import { Streams } from '../../random/streams.js'

/** What one bundle is made from, beside the model. The seeds are for whoever gets the job to wipe. */
export interface DealJob {
  readonly inference: number
  /** k_i, shared with the client. */
  readonly ch: Seed
  /** k_SH of the session, shared with the server. */
  readonly sh: Seed
  /** k_H of the client's connection. */
  readonly own: Seed
}

export function dealJob({ ch, sh, own }: DealerStreams, inference: number): DealJob {
  const one = ch.ofInference(inference)
  const job = { inference, ch: one.seed(), sh: sh.seed(), own: own.seed() }
  one.release()
  return job
}

export function wipeJob({ ch, sh, own }: DealJob): void {
  for (const seed of [ch, sh, own]) seed.fill(0)
}

/** Takes one message of a bundle, which is lent to it until it resolves. */
export type Emit = (step: number, message: Region | Uint8Array) => void | Promise<void>

/** Where a bundle is brought, past the helper. */
export interface Destination {
  readonly url: string
  readonly session: Uint8Array
}

/** A bundle that is dealt, or is dealt while it is sent. */
export interface Bundle {
  /** It was brought to where it was asked for: there is nothing to send. */
  readonly delivered?: boolean
  /** Hands on every message in turn, once. @throws RingfenceError why it could not be dealt, and what `emit` throws */
  send(emit: Emit): Promise<void>
}

/** Who makes the bundles of one registration. */
export interface ModelDealer {
  /** How many bundles may be in the making, or made and not sent, at a time. */
  readonly width: number
  /** Where the plan is guarded: what the server sends for the next tensor. */
  addTransposes(packed: Uint8Array): void
  /** That was the last. @param seed of the registration, copied */
  guard(seed: Seed): void
  /**
   * Resolves when the bundle can be sent; why it cannot be dealt is for its `send` to say.
   * @param to who can, brings it there
   */
  begin(job: DealJob, to?: Destination): Promise<Bundle>
  release(): void
}

/** F as it came, filter by filter. */
export interface DealtModel {
  /** Of a registration that several servers share: the same wherever one of them joins it. */
  readonly name?: Uint8Array | undefined
  readonly plan: MccPlan
  readonly filters: readonly Uint8Array[]
}

/** Makes dealers for models, on threads of its own for example: `startDealers` of `ringfence/node`. */
export interface DealerPool {
  /** How many bundles it makes at a time. */
  readonly threads: number
  /** Whether its dealers may bring bundles to this address. Absent: they bring none anywhere. */
  readonly delivers?: (url: string) => boolean
  /** @internal @throws RingfenceError HOST when there is no memory for the model */
  open(model: DealtModel): Promise<ModelDealer>
  /** Ends it; what it works on fails. */
  release(): Promise<void>
}

/** Deals on this thread, while the bundle is sent. */
export class LocalDealer implements ModelDealer {
  readonly width = 1
  readonly #transposes: Region[] = []
  #guard: DealtGuard | undefined

  /** @param share F, which stays the caller's */
  constructor(
    private readonly k: Kernels,
    private readonly planned: MccSteps,
    private readonly share: ModelShare,
  ) {}

  addTransposes(packed: Uint8Array): void {
    const { plan } = this.planned
    const size = tensorSizes(plan)[this.#transposes.length]
    this.#transposes.push(takeTransposes(this.k, packed, size, guardTerms(this.planned)!))
  }

  guard(seed: Seed): void {
    const registration = new Streams(this.k, seed, this.planned.plan.rounds)
    this.#guard = { terms: guardTerms(this.planned)!, registration, transposes: this.#transposes }
  }

  async begin(job: DealJob): Promise<Bundle> {
    return { send: (emit) => this.#deal(job, emit) }
  }

  release(): void {
    this.#guard?.registration.release()
    for (const region of this.#transposes) region.release(true)
  }

  async #deal(job: DealJob, emit: Emit): Promise<void> {
    const { planned, share } = this
    await scoped(this.k, async (k) => {
      const [ch, sh, own] = [job.ch, job.sh, job.own].map((seed) => new Streams(k, seed, planned.plan.rounds))
      await dealInference(k, planned, share, { ch, sh, own }, job.inference, emit, this.#guard)
    })
  }
}
